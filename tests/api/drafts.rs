//! Drafts: made, changed, looked at, applied, and not lost.

use std::process::{Command, Stdio};

use serde_json::{Value, json};
use trunkline::api::Role;

use crate::client::{Client, Reply};
use crate::{Administered, TABLE, USERS};

const MOVED: &str = "number,trunk_group\n+442079460123,genesys\n+442079460300,teams\n";

struct Draft<'s> {
    server: &'s Administered,
    id: String,
}

impl<'s> Draft<'s> {
    fn begin(server: &'s Administered) -> Self {
        let begun = server.post("/drafts", &json!({"message": "wave 3"}));
        assert_eq!(begun.status, 201, "{}", begun.text);
        let id = begun.json()["id"].as_str().unwrap().to_owned();
        assert_eq!(
            begun.header("location").unwrap(),
            format!("/api/v1/drafts/{id}")
        );
        Self { server, id }
    }

    fn client(&self) -> Client {
        self.server.local()
    }

    fn get(&self, path: &str) -> Reply {
        self.client().get(&format!("/drafts/{}{path}", self.id))
    }

    fn put(&self, name: &str, text: &str) -> Reply {
        let path = format!("/drafts/{}/files/{name}", self.id);
        let request = format!(
            "{}Content-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}",
            self.client().head("PUT", &path),
            text.len()
        );
        self.client().say(request.as_bytes())
    }

    fn tag(&self) -> String {
        self.get("").header("etag").unwrap().to_owned()
    }

    fn apply(&self, tag: &str, body: &Value) -> Reply {
        let client = self.client().header("If-Match", tag);
        client.send(
            "POST",
            &format!("/drafts/{}/apply", self.id),
            &body.to_string(),
        )
    }
}

fn routed(server: &Administered) -> String {
    let call = json!({"called": "+442079460123", "from": "carrier-a"});
    let answer = server.post("/route", &call).json();
    answer["routes"][0]["trunk_group"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[test]
fn a_draft_is_changed_planned_and_applied_and_the_folder_stays_as_it_is() {
    let server = Administered::open();
    let draft = Draft::begin(&server);
    assert_eq!(draft.get("/files/dids/users.csv").text, USERS);
    let put = draft.put("dids/users.csv", MOVED);
    assert_eq!(
        (put.status, &put.json()["changed"]),
        (200, &json!(["dids/users.csv"])),
        "{}",
        put.text
    );
    let plan = draft.get("/plan");
    assert_eq!(plan.status, 200, "{}", plan.text);
    assert_eq!(plan.json()["changed"], true);
    assert!(
        plan.json()["summary"]["moved"]["numbers"].as_u64().unwrap() >= 1,
        "{}",
        plan.text
    );
    let patch = draft.get("/patch").text;
    assert!(
        patch.contains("-+442079460123,teams\n") && patch.contains("++442079460123,genesys\n"),
        "{patch}"
    );
    assert_eq!(routed(&server), "teams");
    let applied = draft.apply(&draft.tag(), &json!({}));
    assert_eq!(applied.status, 200, "{}", applied.text);
    let made = applied.json();
    assert_eq!(made["generation"]["cause"], "draft");
    assert_eq!(made["generation"]["message"], "wave 3");
    assert_eq!(made["held"], true);
    assert_eq!(routed(&server), "genesys");
    let folder = std::fs::read_to_string(server.tables().join("dids/users.csv")).unwrap();
    assert_eq!(folder, USERS);
    // What served before is whole: the draft shared its files on disk.
    let before = server.local().get("/generations/1/files/dids/users.csv");
    assert_eq!(before.text, USERS);
    assert_eq!(
        server.get("/generations/2/files")["files"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    let diff = server.get("/generations/1/diff/2");
    assert_eq!(diff["summary"], plan.json()["summary"]);
    assert_eq!(server.local().get("/generations/1/patch/2").text, patch);
    assert_eq!(draft.get("").json()["applied"], 2);
    assert_eq!(draft.put("dids/users.csv", USERS).code(), "applied");
}

#[test]
fn a_reload_does_not_lose_a_draft_that_serves() {
    let server = Administered::open();
    let draft = Draft::begin(&server);
    draft.put("dids/users.csv", MOVED);
    assert_eq!(draft.apply(&draft.tag(), &json!({})).status, 200);
    let refused = server.post("/reload", &json!({}));
    assert_eq!(
        (refused.status, &*refused.code()),
        (409, "draft_serves"),
        "{}",
        refused.text
    );
    // Another file of the folder changed: still nobody has the draft.
    server.write("routing.toml", &format!("{TABLE}# a remark\n"));
    assert_eq!(server.post("/reload", &json!({})).code(), "draft_serves");
    assert_eq!(routed(&server), "genesys");
    // The patch goes into the folder by git, beside what others changed there.
    let patch = draft.get("/patch").text;
    let mut git = Command::new("git")
        .args(["apply", "-"])
        .current_dir(server.tables())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut git.stdin.take().unwrap(), patch.as_bytes()).unwrap();
    assert!(git.wait().unwrap().success(), "{patch}");
    let made = server.post("/reload", &json!({})).json();
    assert_eq!(
        (&made["outcome"], &made["held"]),
        (&json!("changed"), &json!(false))
    );
    assert_eq!(routed(&server), "genesys");
}

#[test]
fn a_draft_that_serves_ends_by_an_undo_by_force_or_when_the_folder_says_the_same() {
    let server = Administered::open();
    let apply = || {
        let draft = Draft::begin(&server);
        draft.put("dids/users.csv", MOVED);
        assert_eq!(draft.apply(&draft.tag(), &json!({})).status, 200);
    };
    apply();
    assert_eq!(server.post("/undo", &json!({})).json()["held"], false);
    assert_eq!(routed(&server), "teams");
    // Undone by mistake: what comes back is a draft as it was.
    assert_eq!(server.post("/undo", &json!({})).status, 200);
    assert_eq!(routed(&server), "genesys");
    assert_eq!(server.post("/reload", &json!({})).code(), "draft_serves");
    let forced = server.post("/reload", &json!({"force": true}));
    assert_eq!(
        (forced.status, routed(&server)),
        (200, "teams".into()),
        "{}",
        forced.text
    );
    apply();
    server.write("dids/users.csv", MOVED);
    assert_eq!(
        server.post("/reload", &json!({})).json()["outcome"],
        "unchanged"
    );
    assert_eq!(server.get("/status")["held"], false);
    server.write("dids/users.csv", USERS);
    assert_eq!(
        server.post("/reload", &json!({})).json()["outcome"],
        "changed"
    );
}

#[test]
fn what_was_not_looked_at_is_not_applied() {
    let server = Administered::open();
    let draft = Draft::begin(&server);
    let seen = draft.tag();
    draft.put("dids/users.csv", MOVED);
    let stale = draft.apply(&seen, &json!({}));
    assert_eq!((stale.status, &*stale.code()), (412, "stale"));
    let path = format!("/drafts/{}/apply", draft.id);
    assert_eq!(server.post(&path, &json!({})).status, 428);
    // Another table serves by now.
    server.write("routing.toml", &format!("{TABLE}# a remark\n"));
    assert_eq!(server.post("/reload", &json!({})).status, 200);
    let stale = draft.apply(&draft.tag(), &json!({}));
    assert_eq!(
        (stale.status, &*stale.code()),
        (412, "stale"),
        "{}",
        stale.text
    );
    assert_eq!(routed(&server), "teams");
}

#[test]
fn a_draft_with_a_mistake_is_told_with_its_place_and_does_not_serve() {
    let server = Administered::open();
    let draft = Draft::begin(&server);
    draft.put(
        "dids/users.csv",
        "number,trunk_group\n+442079460123,taems\n",
    );
    for reply in [draft.get("/plan"), draft.apply(&draft.tag(), &json!({}))] {
        assert_eq!(
            (reply.status, &*reply.code()),
            (422, "table"),
            "{}",
            reply.text
        );
        let finding = &reply.json()["findings"][0];
        assert_eq!(
            (&finding["code"], &finding["line"]),
            (&json!("T004"), &json!(2))
        );
    }
    assert_eq!(server.get("/status")["generation"]["number"], 1);
    assert_eq!(draft.put("dids/users.csv", MOVED).status, 200);
    let tried = draft.apply(&draft.tag(), &json!({"confirm_s": 300}));
    assert_eq!(tried.json()["trial"]["return_to"], 1, "{}", tried.text);
}

#[test]
fn drafts_have_bounds_and_names_lead_nowhere() {
    let server = Administered::open();
    let draft = Draft::begin(&server);
    for name in [
        "..%2Fx.toml",
        "../../ledger.json",
        "%2Fetc%2Fx.toml",
        "dids/..%2F..%2Fx.csv",
        "x.sh",
        ".x.toml",
        "dids%2F.x.csv",
        "x%00.toml",
        "%ff.toml",
    ] {
        let put = draft.put(name, "x");
        assert!(
            matches!(put.status, 400 | 404),
            "{name}: {} {}",
            put.status,
            put.text
        );
        let read = draft.get(&format!("/files/{name}"));
        assert!(
            matches!(read.status, 400 | 404),
            "{name}: {} {}",
            read.status,
            read.text
        );
    }
    assert_eq!(draft.put("new.toml", "# nothing\n").status, 200);
    let gone = server.local().send(
        "DELETE",
        &format!("/drafts/{}/files/new.toml", draft.id),
        "",
    );
    assert_eq!(gone.status, 200, "{}", gone.text);
    let others: Vec<Draft<'_>> = (0..15).map(|_| Draft::begin(&server)).collect();
    assert_eq!(server.post("/drafts", &json!({})).code(), "too_many");
    assert_eq!(
        server.get("/drafts")["drafts"].as_array().unwrap().len(),
        16
    );
    let ended = server
        .local()
        .send("DELETE", &format!("/drafts/{}", others[0].id), "");
    assert_eq!(ended.status, 204);
    assert_eq!(others[0].get("").status, 404);
    let _ = Draft::begin(&server);
    let viewer = server.with(Role::Viewer);
    for path in [
        "/drafts",
        "/generations/1/files",
        "/generations/1/files/routing.toml",
    ] {
        assert_eq!(viewer.get(path).status, 403, "{path}");
    }
}

#[test]
fn without_a_state_folder_there_are_no_drafts() {
    let server = Administered::configured(|config| config.keeping.folder = None);
    assert_eq!(server.post("/drafts", &json!({})).code(), "no_state");
}
