//! Questions over HTTP: what is answered, to whom, and that it is what SIP answers.

#![allow(clippy::unwrap_used)] // a test may fail loudly

mod bounds;
mod metrics;
mod observability;
mod page;
mod same_decision;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use trunkline::http::{Account, Secret, Template};
use trunkline::observe::MaskNumbers;
use trunkline::server::{Config, HttpConfig, Server, ServerHandle};
use ureq::http::Response;
use ureq::{Agent, Body};

/// The table of the tests: calls of `carrier-a` may come from anywhere here.
const TABLE: &str = r#"
[trunk_group.carrier-a]
accept_from = ["127.0.0.1"]
dial_plan   = "uk"

[trunk_group.carrier-b]
accept_from = ["192.0.2.0/24"]
dial_plan   = "uk"

[trunk_group.teams]
trunks = ["teams-1", "teams-2"]

[trunk.teams-1]
address = "sip:teams-1.route:5061;user=phone"

[trunk.teams-2]
address = "sip:teams-2.route:5061;user=phone"

[dial_plan.uk]
country_code         = "44"
area_code            = "20"
international_prefix = ["00"]
national_prefix      = "0"
emergency            = ["999"]

[[rule]]
name     = "Emergency"
called   = ["emergency"]
route_to = ["teams"]

[[rule]]
name   = "Barred"
called = ["+449*"]
reject = { status = 403, reason = "Premium numbers are barred" }

[[rule]]
name     = "London"
called   = ["+4420*"]
route_to = ["teams"]

[[rule]]
name     = "Of carrier B"
from     = ["carrier-b"]
called   = ["+441*"]
route_to = ["teams"]
"#;

/// A server that answers over HTTP only, and a client of it.
pub(crate) struct Asked {
    server: ServerHandle,
    pub(crate) base: String,
    /// Where it is watched.
    watch: String,
    agent: Agent,
    _folder: tempfile::TempDir,
}

impl Asked {
    pub(crate) fn open(accounts: Vec<Account>, answer: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routing.toml"), TABLE).unwrap();
        let server = Server::start(&config(folder.path().to_owned(), accounts, answer)).unwrap();
        let agent = Agent::config_builder().http_status_as_error(false).build();
        Self {
            base: format!("http://{}", server.http_addr().unwrap()),
            watch: format!("http://{}", server.metrics_addr().unwrap()),
            server,
            agent: agent.into(),
            _folder: folder,
        }
    }

    fn get(&self, path: &str) -> (u16, String) {
        told(
            self.agent
                .get(format!("{}{path}", self.base))
                .call()
                .unwrap(),
        )
    }

    fn get_as(&self, path: &str, authorization: &str) -> (u16, String) {
        let request = self.agent.get(format!("{}{path}", self.base));
        told(
            request
                .header("Authorization", authorization)
                .call()
                .unwrap(),
        )
    }

    fn post(&self, path: &str, question: &Value) -> (u16, Value) {
        let request = self.agent.post(format!("{}{path}", self.base));
        let (status, text) = told(request.send_json(question).unwrap());
        (status, serde_json::from_str(&text).unwrap())
    }

    /// What a watcher reads there.
    fn watched(&self, path: &str) -> String {
        let (status, text) = told(
            self.agent
                .get(format!("{}{path}", self.watch))
                .call()
                .unwrap(),
        );
        assert_eq!(status, 200, "{path}");
        text
    }

    /// Puts a mistake into the table and has it read.
    fn break_table(&self) {
        let file = self.server.tables().folder().join("routing.toml");
        std::fs::write(file, format!("{TABLE}\n[trunk.x]\naddres = 1\n")).unwrap();
        self.server.reload();
    }

    /// What the listener refused before anybody looked at it.
    fn refused(&self, reason: &'static str) -> u64 {
        let refused = self.server.totals().http_refusals;
        refused.get(&("http", reason)).copied().unwrap_or(0)
    }

    fn counted(&self, outcome: &str) -> u64 {
        self.server.totals().http.get(outcome).copied().unwrap_or(0)
    }
}

fn config(folder: PathBuf, accounts: Vec<Account>, answer: &str) -> Config {
    let mut config = Config::new(folder, Vec::new());
    config.workers = 1;
    config.mask_numbers = MaskNumbers::All;
    config.metrics = Some("127.0.0.1:0".parse().unwrap());
    config.http = Some(HttpConfig {
        address: "127.0.0.1:0".parse().unwrap(),
        template: Template::parse(answer, "barred").unwrap(),
        tls: None,
        accounts,
    });
    config
}

fn told(mut response: Response<Body>) -> (u16, String) {
    (
        response.status().as_u16(),
        response.body_mut().read_to_string().unwrap(),
    )
}

fn account(name: &str, trunk_group: Option<&str>) -> Account {
    Account {
        name: name.to_owned(),
        secret: Secret::of(format!("secret of {name}").as_bytes()),
        trunk_group: trunk_group.map(str::to_owned),
    }
}

#[test]
fn a_call_setup_rule_is_told_a_line() {
    let asked = Asked::open(Vec::new(), "{trunk_group}");
    let line = |query: &str| asked.get(&format!("/v1/answer?{query}"));
    assert_eq!(line("called=02079460123"), (200, "teams".to_owned()));
    assert_eq!(line("called=%2B442079460123&calling=anonymous").1, "teams");
    assert_eq!(line("called=%2B4490111"), (200, "barred".to_owned()));
    assert_eq!(line("called=999").1, "teams");
    let (status, problem) = line("called=%2B4930123");
    assert_eq!(status, 404, "no opinion is no route");
    assert!(problem.contains("\"sip_status\":404"), "{problem}");
    let rich = Asked::open(
        Vec::new(),
        "{called};{calling};{trunk};{request_uri};{rule}",
    );
    let (_, text) = rich.get("/v1/answer?called=02079460123&calling=02079460999");
    assert_eq!(
        text,
        "+442079460123;+442079460999;teams-1;\
         sip:+442079460123@teams-1.route:5061;user=phone;London"
    );
}

#[test]
fn json_says_the_whole_decision() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let (status, answer) = asked.post(
        "/v1/route",
        &json!({"called": "020 7946 0123", "calling": "+4930123"}),
    );
    assert_eq!(status, 200);
    assert_eq!(answer["schema"], "trunkline.decision/1");
    assert_eq!(answer["outcome"], "route");
    assert_eq!(answer["rule"], "London");
    assert_eq!(answer["from"], "carrier-a");
    assert_eq!(answer["called"], "+442079460123");
    assert_eq!(answer["calling"], "+4930123");
    assert_eq!(answer["routes"][1]["trunk"], "teams-2");
    assert_eq!(answer["generation"], 1);
    let (_, same) = asked.get("/v1/route?called=020%207946%200123&calling=%2B4930123");
    assert_eq!(serde_json::from_str::<Value>(&same).unwrap(), answer);
    let (status, explained) = asked.post("/v1/route", &json!({"called": "+4490", "explain": true}));
    assert_eq!((status, &explained["outcome"]), (200, &json!("reject")));
    assert_eq!(explained["reason"], "Premium numbers are barred");
    assert_eq!(explained["rules"].as_array().unwrap().len(), 4);
    let (status, nothing) = asked.post("/v1/route", &json!({"called": "+4930"}));
    assert_eq!((status, &nothing["outcome"]), (404, &json!("no_route")));
    assert_eq!(
        (
            asked.counted("routed"),
            asked.counted("rejected"),
            asked.counted("no-opinion")
        ),
        (2, 1, 1)
    );
}

#[test]
fn other_engines_are_told_by_their_contracts() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let (_, text) = asked.get("/v1/rtjson?called=02079460123");
    let document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        document,
        json!({"version": "1.0", "routing": "serial", "routes": [
            {"uri": "sip:+442079460123@teams-1.route:5061;user=phone"},
            {"uri": "sip:+442079460123@teams-2.route:5061;user=phone"},
        ]})
    );
    assert_eq!(asked.get("/v1/rtjson?called=%2B4490").0, 403);
    assert_eq!(asked.get("/v1/rtjson?called=%2B4930").0, 404);
    let lcr =
        |number: &str| {
            let source = json!({"ip": "192.0.2.50", "transport": "udp"});
            asked.post("/v1/lcr", &json!({
            "version": "1", "call_id": "a@b", "from": "sip:+4420999@sbc.example",
            "to": "sip:x@y", "dialed_number": number, "source": source, "attributes": {"k": 1},
        }))
        };
    let (status, answer) = lcr("+442079460123");
    assert_eq!(status, 200);
    let routes = answer["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 2);
    assert_eq!(routes[0]["carrier_id"], "teams-1");
    assert_eq!(
        routes[0]["ruri"],
        "sip:+442079460123@teams-1.route:5061;user=phone"
    );
    assert_eq!(routes[0]["caller_id"], "+4420999");
    assert_eq!(
        (&answer["cache_ttl_secs"], &answer["reject"]),
        (&json!(0), &Value::Null)
    );
    let (_, barred) = lcr("+4490");
    assert_eq!(
        barred["reject"],
        json!({"code": 403, "reason": "Premium numbers are barred"})
    );
    let (status, nothing) = lcr("+4930");
    assert_eq!(
        (status, &nothing["routes"], &nothing["reject"]),
        (200, &json!([]), &Value::Null)
    );
    let (status, _) = asked.post("/v1/lcr", &json!({"version": "2", "dialed_number": "1"}));
    assert_eq!(status, 400);
}

#[test]
fn without_accounts_the_table_says_who_may_ask() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    let of = |group: &str| asked.get(&format!("/v1/answer?called=%2B441&from={group}"));
    assert_eq!(
        of("carrier-b"),
        (200, "teams-1".to_owned()),
        "it may speak for another"
    );
    assert_eq!(of("carrier-a").0, 404);
    let (status, problem) = of("nobody");
    assert_eq!(status, 403);
    assert!(
        problem.contains("no trunk group \\\"nobody\\\""),
        "{problem}"
    );
}

#[test]
fn with_accounts_only_a_secret_lets_in() {
    let accounts = vec![account("sbc-1", Some("carrier-b")), account("ops", None)];
    let asked = Asked::open(accounts, "{trunk}");
    let path = "/v1/answer?called=%2B441";
    let basic = |pair: &str| {
        use base64::Engine as _;
        format!(
            "Basic {}",
            base64::engine::general_purpose::STANDARD.encode(pair)
        )
    };
    assert_eq!(asked.get(path).0, 401);
    assert_eq!(asked.get_as(path, &basic("sbc-1:guess")).0, 401);
    assert_eq!(
        asked.get_as(path, &basic("sbc-1:secret of sbc-1")),
        (200, "teams-1".to_owned())
    );
    assert_eq!(asked.get_as(path, "Bearer secret of sbc-1").0, 200);
    // An account of a trunk group speaks for no other; one without goes by the address.
    let other = format!("{path}&from=carrier-a");
    assert_eq!(asked.get_as(&other, "Bearer secret of sbc-1").0, 403);
    assert_eq!(asked.get_as(&other, "Bearer secret of ops").0, 404);
    assert_eq!(
        asked.get_as(path, "Bearer secret of ops").0,
        404,
        "carrier-a has its address"
    );
    assert_eq!(asked.counted("refused"), 3);
}

#[test]
fn a_reload_is_heard_by_the_next_question() {
    let asked = Asked::open(Vec::new(), "{trunk}");
    assert_eq!(asked.get("/v1/answer?called=%2B442079460123").1, "teams-1");
    let file = Path::new(asked.server.tables().folder()).join("routing.toml");
    let table = std::fs::read_to_string(&file).unwrap();
    std::fs::write(
        &file,
        table.replace("[\"teams-1\", \"teams-2\"]", "[\"teams-2\"]"),
    )
    .unwrap();
    asked.server.reload();
    assert_eq!(asked.get("/v1/answer?called=%2B442079460123").1, "teams-2");
}
