//! What is told of the table, of numbers, and of calls.

use serde_json::{Value, json};
use trunkline::api::Role;
use trunkline::observe::MaskNumbers;

use crate::Administered;

#[test]
fn numbers_are_listed_page_by_page() {
    let server = Administered::open();
    let all = server.get("/table/routes");
    let firsts = |page: &Value| -> Vec<String> {
        let rows = page["routes"].as_array().unwrap().iter();
        rows.map(|row| row["first"].as_str().unwrap().to_owned())
            .collect()
    };
    let everything = firsts(&all);
    assert_eq!(everything.len(), 4, "{all}");
    assert_eq!(all["routes"][0]["place"], "dids/users.csv:2");
    assert!(everything.contains(&String::from("+4420794602xx")), "{all}");
    let mut paged = Vec::new();
    let mut path = String::from("/table/routes?limit=3");
    for pages in 1.. {
        let page = server.get(&path);
        paged.extend(firsts(&page));
        match page["next_cursor"].as_str() {
            Some(cursor) => path = format!("/table/routes?limit=3&cursor={cursor}"),
            None => {
                assert_eq!(pages, 2);
                break;
            }
        }
    }
    assert_eq!(paged, everything);
    for (query, count) in [
        ("prefix=%2B4420794601", 2),
        ("prefix=%2B44207946025", 1),
        ("prefix=%2B4930", 0),
        ("group=teams", 2),
        ("group=nobody", 0),
        ("q=0300", 1),
        ("q=USERS", 4),
        ("q=gen&group=genesys", 2),
    ] {
        let page = server.get(&format!("/table/routes?{query}"));
        assert_eq!(firsts(&page).len(), count, "{query}");
    }
    for wrong in [
        "limit=0",
        "limit=1001",
        "limit=x",
        "cursor=x",
        "cursor=1-1",
        "prefix=x",
        "page=1",
    ] {
        let reply = server.local().get(&format!("/table/routes?{wrong}"));
        assert!(matches!(reply.status, 400 | 409), "{wrong}: {}", reply.text);
    }
}

#[test]
fn an_etag_saves_the_way() {
    let server = Administered::open();
    let first = server.local().get("/table");
    let tag = first.header("etag").unwrap().to_owned();
    let sha = first.json()["sha256"].as_str().unwrap().to_owned();
    assert_eq!(tag, format!("\"{sha}\""));
    let again = server.local().header("If-None-Match", &tag);
    assert_eq!(again.get("/table").status, 304);
    assert_eq!(again.get("/table/routes").status, 304);
    server.write(
        "dids/users.csv",
        "number,trunk_group\n+442079460123,genesys\n",
    );
    assert_eq!(server.post("/reload", &json!({})).status, 200);
    assert_eq!(again.get("/table").status, 200);
}

#[test]
fn a_number_is_told_with_its_rows_its_calls_and_its_past() {
    let server = Administered::open();
    let did = server.get("/dids/+442079460123");
    assert_eq!(did["rows"][0]["trunk_group"], "teams");
    assert_eq!(did["rows"][0]["place"], "dids/users.csv:2");
    assert_eq!(did["calls"][0]["from"], "carrier-a");
    assert_eq!(did["calls"][0]["trunk_groups"], json!(["teams"]));
    let unlisted = server.get("/dids/+4930123");
    assert_eq!(unlisted["rows"], json!([]));
    assert_eq!(unlisted["calls"][0]["outcome"], "no_route");
    server.write(
        "dids/users.csv",
        "number,trunk_group\n+442079460123,genesys\n",
    );
    let made = server.post("/reload", &json!({"message": "wave 3"}));
    assert_eq!(made.json()["outcome"], "changed", "{}", made.text);
    let history = server.get("/dids/%2B442079460123/history");
    let spans = history["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2, "{history}");
    assert_eq!(spans[0]["calls"][0]["trunk_groups"], json!(["genesys"]));
    assert_eq!(spans[0]["message"], "wave 3");
    assert_eq!(spans[1]["until"], spans[0]["since"]);
    // A number for which nothing changed has one span.
    let barred = server.get("/dids/+4490111/history");
    assert_eq!(barred["spans"].as_array().unwrap().len(), 1, "{barred}");
    for wrong in ["x", "++1", "1234567890123456", "%00", "+44%2F..%2F.."] {
        assert_eq!(
            server.local().get(&format!("/dids/{wrong}")).status,
            400,
            "{wrong}"
        );
    }
}

#[test]
fn a_call_is_decided_as_sip_decides_it_by_any_table_that_served() {
    let server = Administered::open();
    let call = json!({"called": "020 7946 0123", "from": "carrier-a", "calling": "+4930"});
    let answer = server.post("/route", &call).json();
    assert_eq!(answer["outcome"], "route");
    assert_eq!(answer["called"], "+442079460123");
    assert_eq!(
        answer["routes"][0]["request_uri"],
        "sip:+442079460123@teams-1.route;user=phone"
    );
    assert_eq!(answer["explanation"]["rules"].as_array().unwrap().len(), 3);
    server.write(
        "dids/users.csv",
        "number,trunk_group\n+442079460123,genesys\n",
    );
    assert_eq!(server.post("/reload", &json!({})).status, 200);
    let by = |generation: u64| {
        let mut call = call.clone();
        call["generation"] = json!(generation);
        let reply = server.post("/route", &call);
        assert_eq!(reply.status, 200, "{}", reply.text);
        let answer = reply.json();
        assert_eq!(answer["generation"], generation);
        answer["routes"][0]["trunk_group"]
            .as_str()
            .unwrap()
            .to_owned()
    };
    assert_eq!(
        (by(1), by(2), by(1)),
        ("teams".into(), "genesys".into(), "teams".into())
    );
    assert_eq!(
        server
            .post("/route", &json!({"called": "1", "from": "x"}))
            .status,
        404
    );
    for (member, wrong) in [
        ("generation", json!(99)),
        ("generation", json!(-1)),
        ("at", json!("yesterday")),
        ("called", json!("")),
        ("host", json!("h".repeat(1_025))),
        ("calling", Value::Null),
        ("caled", json!("1")),
    ] {
        let mut call = call.clone();
        call[member] = wrong;
        let status = server.post("/route", &call).status;
        assert!(matches!(status, 400 | 404), "{member}: {status}");
    }
}

#[test]
fn ten_thousand_calls_are_decided_at_once_and_one_more_is_not() {
    let server = Administered::open();
    let calls = |count: usize| -> Value {
        let call = |at: usize| json!({"called": format!("+4420794{at:05}"), "from": "carrier-a"});
        json!({"calls": (60_000..60_000 + count).map(call).collect::<Vec<_>>()})
    };
    let reply = server.post("/route:batch", &calls(10_000));
    assert_eq!(reply.status, 200, "{}", reply.text);
    let answers = reply.json()["answers"].as_array().unwrap().clone();
    assert_eq!(answers.len(), 10_000);
    let routed = answers.iter().filter(|answer| answer["outcome"] == "route");
    assert_eq!(routed.count(), 103);
    assert_eq!(server.post("/route:batch", &calls(10_001)).status, 400);
    let mixed = json!({"calls": [
        {"called": "+442079460123", "from": "carrier-a"},
        {"called": "+442079460123", "from": "carrier"},
    ]});
    let answers = server.post("/route:batch", &mixed).json()["answers"].clone();
    assert_eq!(answers[0]["outcome"], "route");
    assert_eq!(answers[1]["code"], "unknown_trunk_group");
    assert!(
        answers[1]["detail"]
            .as_str()
            .unwrap()
            .contains("did you mean \"carrier-a\"?")
    );
}

#[test]
fn viewers_see_no_whole_numbers_where_the_configuration_says_so() {
    let server = Administered::configured(|config| config.mask_numbers = MaskNumbers::Last4);
    let viewer = server.with(Role::Viewer);
    let operator = server.with(Role::Operator);
    for path in [
        "/table/routes",
        "/dids/+442079460123",
        "/dids/+442079460123/history",
    ] {
        let (masked, whole) = (viewer.get(path), operator.get(path));
        assert_eq!((masked.status, whole.status), (200, 200));
        assert!(whole.text.contains("44207946"), "{path}");
        assert!(!masked.text.contains("44207946"), "{path}: {}", masked.text);
    }
    let call = json!({"called": "+442079460123", "from": "carrier-a"}).to_string();
    let masked = viewer.send("POST", "/route", &call);
    assert!(!masked.text.contains("44207946"), "{}", masked.text);
    assert!(
        masked.text.contains("sip:+********0123@teams-1.route"),
        "{}",
        masked.text
    );
    // What is no number stays whole.
    assert_eq!(viewer.get("/table").json(), operator.get("/table").json());
}

#[test]
fn groups_and_trunks_are_told_as_they_are() {
    let server = Administered::open();
    let groups = server.get("/groups")["groups"].clone();
    let teams = groups
        .as_array()
        .unwrap()
        .iter()
        .find(|group| group["name"] == "teams");
    assert_eq!(
        teams.unwrap()["trunks"][1],
        json!({"name": "teams-2", "in_service": true})
    );
    assert_eq!(server.get("/trunks")["trunks"].as_array().unwrap().len(), 4);
}
