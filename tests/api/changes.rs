//! What is changed, by whom, how often, and what is written down of it.

use serde_json::{Value, json};
use trunkline::api::Role;

use crate::{Administered, TABLE};

/// Changes the folder, in a way that differs each time.
fn edit(server: &Administered, group: &str) {
    let rows = format!("number,trunk_group\n+442079460123,{group}\n");
    server.write("dids/users.csv", &rows);
}

#[test]
fn a_change_is_tried_confirmed_undone_and_rolled_back() {
    let server = Administered::open();
    edit(&server, "genesys");
    let made = server
        .post("/reload", &json!({"confirm_s": 300, "message": "wave 3"}))
        .json();
    assert_eq!(made["outcome"], "changed");
    assert_eq!(made["generation"]["number"], 2);
    assert_eq!(made["trial"]["return_to"], 1);
    let refused = server.post("/reload", &json!({}));
    assert_eq!((refused.status, &*refused.code()), (409, "unconfirmed"));
    let kept = server.post("/confirm", &Value::Null);
    assert_eq!(kept.json()["kept"]["number"], 2, "{}", kept.text);
    assert_eq!(
        server.post("/confirm", &Value::Null).code(),
        "nothing_on_trial"
    );
    let undone = server
        .post("/undo", &json!({"message": "calls failed"}))
        .json();
    assert_eq!(undone["generation"]["cause"], "undo");
    assert_eq!(undone["held"], true);
    let rolled = server.post("/generations/2/rollback", &json!({})).json();
    assert_eq!(rolled["generation"]["table_of"], 2);
    assert_eq!(
        server.post("/generations/99/rollback", &json!({})).status,
        404
    );
    let listed = server.get("/generations?limit=3");
    let numbers: Vec<u64> = listed["generations"]
        .as_array()
        .unwrap()
        .iter()
        .map(|generation| generation["number"].as_u64().unwrap())
        .collect();
    assert_eq!(numbers, [4, 3, 2]);
    let rest = server.get(&format!(
        "/generations?cursor={}",
        listed["next_cursor"].as_str().unwrap()
    ));
    assert_eq!(rest["generations"][0]["number"], 1);
    assert_eq!(server.get("/generations/2")["message"], "wave 3");
}

#[test]
fn a_table_with_a_mistake_is_refused_with_its_place() {
    let server = Administered::open();
    server.write("routing.toml", &format!("{TABLE}\n[trunk.x]\naddres = 1\n"));
    let refused = server.post("/reload", &json!({}));
    assert_eq!((refused.status, &*refused.code()), (422, "table"));
    assert_eq!(
        refused.header("content-type"),
        Some("application/problem+json")
    );
    let problem = refused.json();
    let finding = &problem["findings"][0];
    assert_eq!(finding["file"], "routing.toml");
    assert_eq!(finding["line"], TABLE.lines().count() as u64 + 2);
    assert!(finding["column"].as_u64().unwrap() >= 1);
    assert!(
        finding["code"].as_str().unwrap().starts_with('T'),
        "{finding}"
    );
    assert_eq!(problem["serving"], 1);
    assert_eq!(server.get("/status")["generation"]["number"], 1);
}

#[test]
fn trunks_are_given_orders() {
    let server = Administered::open();
    let put = |name: &str, body: Value| {
        server
            .local()
            .send("PUT", &format!("/trunks/{name}/state"), &body.to_string())
    };
    let ordered = put("teams-1", json!({"state": "maint", "message": "new line"}));
    assert_eq!(
        ordered.json()["trunk"]["state"],
        "maintenance",
        "{}",
        ordered.text
    );
    assert_eq!(server.get("/status")["trunks_out"][0]["name"], "teams-1");
    let route = json!({"called": "+442079460123", "from": "carrier-a"});
    assert_eq!(
        server.post("/route", &route).json()["routes"][0]["trunk"],
        "teams-2"
    );
    assert_eq!(put("teams-1", json!({"state": "ready"})).status, 200);
    assert_eq!(put("teams-9", json!({"state": "ready"})).status, 404);
    assert_eq!(put("teams-1", json!({"state": "off"})).status, 400);
    assert_eq!(
        put(
            "teams-1",
            json!({"state": "drain", "message": "two\nlines"})
        )
        .status,
        400
    );
}

#[test]
fn who_may_only_look_changes_nothing() {
    let server = Administered::open();
    edit(&server, "genesys");
    let order = r#"{"state": "maint"}"#;
    let changes = [
        ("POST", "/reload", "{}"),
        ("POST", "/undo", "{}"),
        ("POST", "/confirm", ""),
        ("POST", "/generations/1/rollback", "{}"),
        ("PUT", "/trunks/teams-1/state", order),
    ];
    for (method, path, body) in changes {
        assert_eq!(server.bare().send(method, path, body).status, 401, "{path}");
        let viewer = server.with(Role::Viewer).send(method, path, body);
        assert_eq!(
            (viewer.status, &*viewer.code()),
            (403, "not_allowed"),
            "{path}"
        );
    }
    let forced = server
        .with(Role::Operator)
        .send("POST", "/reload", r#"{"force": true}"#);
    assert_eq!(forced.status, 403);
    assert_eq!(server.get("/status")["generation"]["number"], 1);
    assert_eq!(server.get("/status")["trunks_out"], json!([]));
    assert_eq!(
        server
            .with(Role::Operator)
            .send("POST", "/reload", "{}")
            .status,
        200
    );
    assert_eq!(server.get("/generations/2")["by"], "the operator");
}

#[test]
fn a_change_asked_for_twice_with_one_key_is_made_once() {
    let server = Administered::open();
    edit(&server, "genesys");
    let keyed = server.local().header("Idempotency-Key", "wave-3");
    let first = keyed.send("POST", "/reload", "{}");
    assert_eq!(first.json()["outcome"], "changed");
    edit(&server, "teams");
    let again = keyed.send("POST", "/reload", "{}");
    assert_eq!(again.text, first.text);
    assert_eq!(again.header("idempotency-replayed"), Some("true"));
    assert_eq!(server.get("/status")["generation"]["number"], 2);
    let other = keyed.send("POST", "/reload", r#"{"message":"x"}"#);
    assert_eq!((other.status, &*other.code()), (422, "key_used"));
    // The key of another is another key.
    let operator = server
        .with(Role::Operator)
        .header("Idempotency-Key", "wave-3");
    assert_eq!(
        operator.send("POST", "/reload", "{}").json()["outcome"],
        "changed"
    );
    // A refusal is an answer too.
    let refused = server.local().header("Idempotency-Key", "c");
    let first = refused.send("POST", "/confirm", "");
    assert_eq!(
        (first.status, first.text),
        (409, refused.send("POST", "/confirm", "").text)
    );
    for wrong in ["", "two words", &"x".repeat(129)] {
        let reply = server.local().header("Idempotency-Key", wrong);
        assert_eq!(reply.send("POST", "/reload", "{}").status, 400, "{wrong}");
    }
}

#[test]
fn every_change_that_was_asked_for_is_written_down() {
    let server = Administered::open();
    edit(&server, "genesys");
    assert_eq!(
        server.post("/reload", &json!({"message": "wave 3"})).status,
        200
    );
    let operator = server.with(Role::Operator);
    assert_eq!(operator.send("POST", "/confirm", "").status, 409);
    let _ = server.with(Role::Viewer).send("POST", "/undo", "{}");
    let _ = operator.send("PUT", "/trunks/teams-1/state", r#"{"state":"drain"}"#);
    let _ = server.get("/status");
    let text = std::fs::read_to_string(server.path("audit.log")).unwrap();
    let lines: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            (
                line["path"].as_str().unwrap(),
                line["status"].as_u64().unwrap(),
                line["result"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("/api/v1/reload", 200, "gen 2"),
            ("/api/v1/confirm", 409, "nothing_on_trial"),
            ("/api/v1/undo", 403, "not_allowed"),
            ("/api/v1/trunks/teams-1/state", 200, "teams-1 draining"),
        ]
    );
    assert_eq!(lines[0]["what"]["message"], "wave 3");
    assert!(lines[0]["from"].as_str().unwrap().starts_with("local uid "));
    assert_eq!(
        (&lines[1]["by"], &lines[1]["role"]),
        (&json!("the operator"), &json!("operator"))
    );
    assert!(lines[1]["from"].as_str().unwrap().starts_with("127.0.0.1:"));
}
