//! What happens is told as it happens.

use std::io::{BufRead, BufReader};

use serde_json::{Value, json};
use trunkline::api::Role;

use crate::Administered;
use crate::client::{Client, Stream};

pub(crate) struct Listening(BufReader<Box<dyn Stream>>);

impl Listening {
    fn open(client: &Client) -> Self {
        Self::to("/events", client)
    }

    /// To a stream below `/api/v1`.
    pub(crate) fn to(path: &str, client: &Client) -> Self {
        Self::try_to(path, client).unwrap()
    }

    /// The same; `None` where it is refused.
    pub(crate) fn try_to(path: &str, client: &Client) -> Option<Self> {
        let client = client.clone().header("Accept", "text/event-stream");
        let mut stream = client.connect();
        let request = format!("{}\r\n", client.head("GET", path));
        stream.write_all(request.as_bytes()).unwrap();
        let mut listening = Self(BufReader::new(stream));
        let mut line = String::new();
        listening.0.read_line(&mut line).unwrap();
        if !line.starts_with("HTTP/1.1 200") {
            return None;
        }
        while !listening.line().starts_with("retry") {}
        Some(listening)
    }

    /// Reads until there is nothing more.
    pub(crate) fn ends(mut self) {
        let mut line = String::new();
        while self.0.read_line(&mut line).is_ok_and(|length| length > 0) {}
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        assert!(self.0.read_line(&mut line).unwrap() > 0, "the stream ended");
        line.trim_end().to_owned()
    }

    /// The next event: its id, its name and what it says.
    pub(crate) fn next(&mut self) -> (String, String, Value) {
        let (mut id, mut event) = (String::new(), String::new());
        loop {
            let line = self.line();
            match line.split_once(": ") {
                Some(("id", value)) => id = value.to_owned(),
                Some(("event", value)) => event = value.to_owned(),
                Some(("data", value)) => return (id, event, serde_json::from_str(value).unwrap()),
                _ => {}
            }
        }
    }
}

#[test]
fn who_listens_hears_of_every_change() {
    let server = Administered::open();
    let mut listening = Listening::open(&server.local());
    let mut viewer = Listening::open(&server.with(Role::Viewer));
    server.write(
        "dids/users.csv",
        "number,trunk_group\n+442079460123,genesys\n",
    );
    let tried = server.post("/reload", &json!({"confirm_s": 60, "message": "wave 3"}));
    assert_eq!(tried.status, 200, "{}", tried.text);
    assert_eq!(server.post("/reload", &json!({})).status, 409);
    assert_eq!(server.post("/confirm", &Value::Null).status, 200);
    let order = json!({"state": "drain"}).to_string();
    assert_eq!(
        server
            .local()
            .send("PUT", "/trunks/teams-1/state", &order)
            .status,
        200
    );
    let heard: Vec<_> = (0..6).map(|_| listening.next()).collect();
    let names: Vec<&str> = heard.iter().map(|(_, name, _)| &**name).collect();
    assert_eq!(
        names,
        [
            "changed",
            "trial",
            "refused",
            "confirmed",
            "ordered",
            "trunk"
        ]
    );
    assert_eq!(heard[0].2["data"]["message"], "wave 3");
    assert_eq!(heard[1].2["data"]["return_to"], 1);
    assert_eq!(
        heard[5].2["data"],
        json!({"trunk": "teams-1", "state": "draining", "was": "up"})
    );
    assert_eq!(viewer.next().1, "changed");
    // Who was away is told what happened meanwhile.
    let mut again = Listening::open(&server.local().header("Last-Event-ID", &heard[2].0));
    assert_eq!(again.next().1, "confirmed");
    assert_eq!(again.next().1, "ordered");
    let list = server.get("/events");
    assert_eq!(list["events"].as_array().unwrap().len(), 6);
    assert_eq!(server.bare().get("/events").status, 401);
    // The end of the server is the end of the stream.
    let begun = std::time::Instant::now();
    let _ = server.server.shutdown();
    assert!(begun.elapsed().as_secs() < 60);
    listening.ends();
}
