//! Calls as they come and go, told to who listens.

use std::net::UdpSocket;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use trunkline::api::Role;
use trunkline::limits::API_CALL_LISTENERS_MAX;
use trunkline::observe::MaskNumbers;
use trunkline::server::{Config, ListenerConfig, Mode};

use crate::events::Listening;
use crate::page::fits;
use crate::phone::Phone;
use crate::words::{in_dialog, response};
use crate::{Administered, TABLE};

/// A trunk, and a server that carries calls to it and tells of them.
fn followed(change: impl FnOnce(&mut Config)) -> (UdpSocket, Administered) {
    let trunk = UdpSocket::bind("127.0.0.1:0").unwrap();
    let wait = Some(Duration::from_secs(60));
    trunk.set_read_timeout(wait).unwrap();
    let there = format!("\"sip:{}\"", trunk.local_addr().unwrap());
    let server = Administered::configured(|config| {
        let table = TABLE.replace("\"sip:teams-1.route;user=phone\"", &there);
        let table = table.replace(
            "trunks = [\"teams-1\", \"teams-2\"]",
            "trunks = [\"teams-1\"]",
        );
        std::fs::write(config.tables.join("routing.toml"), table).unwrap();
        let mut proxy = ListenerConfig::new("127.0.0.1:0".parse().unwrap());
        proxy.mode = Mode::Proxy;
        config.listeners.push(proxy);
        config.records.live_calls = true;
        change(config);
    });
    (trunk, server)
}

/// The next request to a trunk, which is answered.
fn answers(trunk: &UdpSocket, begins: &str) {
    let mut room = [0; 65_536];
    let (length, from) = trunk.recv_from(&mut room).unwrap();
    let request = std::str::from_utf8(&room[..length]).unwrap();
    assert!(request.starts_with(begins), "{begins}: {request}");
    if begins != "ACK" {
        let answer = response(request, 200, trunk.local_addr().unwrap());
        trunk.send_to(answer.as_bytes(), from).unwrap();
    }
}

/// A call that is answered, and its end after `meanwhile`.
fn call(server: &Administered, trunk: &UdpSocket, id: &str, meanwhile: impl FnOnce()) {
    let phone = Phone::new(server.sip_addr());
    phone.ask(&phone.invite("+442079460123", id));
    answers(trunk, "INVITE");
    let answer = phone.receive();
    assert!(answer.starts_with("SIP/2.0 200"), "{answer}");
    let me = phone.socket.local_addr().unwrap();
    phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
    answers(trunk, "ACK");
    meanwhile();
    phone.send(in_dialog(&answer, "BYE", 2, me).as_bytes());
    answers(trunk, "BYE");
    assert!(phone.receive().starts_with("SIP/2.0 200"));
}

/// What the page shows of an event.
fn shown(event: &str) -> Value {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/api.md");
    let page = std::fs::read_to_string(page).unwrap();
    let (_, rest) = page
        .split_once(&format!("\nevent: {event}\ndata: "))
        .unwrap();
    let (text, _) = rest.split_once("\n\n").unwrap();
    let text = text.split("\n```").next().unwrap();
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn who_listens_hears_of_every_call_when_it_is_answered_and_over() {
    let (trunk, server) = followed(|_| {});
    let mut listening = Listening::to("/calls", &server.local());
    let mut viewer = Listening::to("/calls", &server.with(Role::Viewer));
    call(&server, &trunk, "s1", || {
        let (_, name, told) = listening.next();
        assert_eq!(name, "answered");
        assert!(fits(&shown("answered"), &told), "{told}");
        // It is what the list has.
        let list = server.get("/calls");
        assert_eq!(list["calls"][0]["call"], told["call"]);
    });
    let (_, name, told) = listening.next();
    assert_eq!(name, "over");
    assert!(fits(&shown("over"), &told), "{told}");
    assert_eq!(
        (viewer.next().1, viewer.next().1),
        ("answered".into(), "over".into())
    );
    // One that nobody carries is told when it is refused.
    let phone = Phone::new(server.sip_addr());
    let refused = phone.ask(&phone.invite("+449061234567", "s2"));
    assert!(refused.starts_with("SIP/2.0 403"), "{refused}");
    let (_, name, told) = listening.next();
    assert_eq!(
        (&*name, &told["event"], &told["sip_code"]),
        ("over", &json!("fail"), &json!(403))
    );
    assert_eq!(
        server
            .bare()
            .header("Accept", "text/event-stream")
            .get("/calls")
            .status,
        401
    );
    // The end of the server is the end of the stream.
    let begun = Instant::now();
    let _ = server.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(60));
    listening.ends();
}

#[test]
fn numbers_are_masked_in_the_stream_as_in_the_list() {
    let (trunk, server) = followed(|config| config.mask_numbers = MaskNumbers::Last4);
    let mut listening = Listening::to("/calls", &server.with(Role::Viewer));
    call(&server, &trunk, "m1", || {});
    let (answered, over) = (listening.next().2, listening.next().2);
    for told in [&answered, &over] {
        assert_eq!(told["called"], "*********0123", "{told}");
        assert!(!told.to_string().contains("442079460123"), "{told}");
        assert!(!told.to_string().contains("447700900123"), "{told}");
    }
}

#[test]
fn as_many_listen_to_calls_as_may() {
    let (_trunk, server) = followed(|_| {});
    let stream = server.local().header("Accept", "text/event-stream");
    let all: Vec<_> = (0..API_CALL_LISTENERS_MAX)
        .map(|_| Listening::to("/calls", &server.local()))
        .collect();
    assert_eq!(stream.get("/calls").status, 503);
    // The list, and events, are for everybody all the same.
    assert_eq!(server.get("/calls")["count"], 0);
    assert_eq!(server.get("/events")["events"], json!([]));
    drop(all);
    let begun = Instant::now();
    while Listening::try_to("/calls", &server.local()).is_none() {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "no place is free again"
        );
    }
    let unfollowed = Administered::open();
    let stream = unfollowed.local().header("Accept", "text/event-stream");
    assert_eq!(stream.get("/calls").code(), "not_followed");
}
