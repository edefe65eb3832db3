//! The server with real sockets, on loopback only.

#![allow(clippy::unwrap_used)] // a test may fail loudly

mod ca;
mod capture;
mod control;
mod daemon;
mod hostile_http;
mod large;
mod logs;
mod metrics;
mod moving_on;
mod names;
mod other_connection;
mod phone;
mod proxy;
mod proxy_life;
mod slow_peers;
mod tcp;
mod tcp_proxy;
mod tls;
mod tls_names;
mod tls_proxy;
mod trunk_orders;
mod wire;
mod words;

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::path::Path;
use std::time::{Duration, Instant};

use phone::{Phone, contacts};
use tempfile::TempDir;
use trunkline::server::{Config, ListenerConfig, Server, ServerHandle, StartError};
use trunkline::tables::Reload;

const TRUNKS: &str = r#"
[trunk.teams-1]
address = "sip:teams.route:5061;user=phone"

[trunk.vm-1]
address = "sip:voicemail@198.51.100.9"

[trunk_group.pstn]
accept_from = ["127.0.0.1", "::1"]

[trunk_group.teams]
trunks = ["teams-1"]

[trunk_group.reception]
trunks = ["vm-1"]
"#;

const ROUTES: &str = r#"
[[rule]]
name     = "Emergency calls"
called   = ["emergency"]
route_to = ["reception"]

[[rule]]
name     = "London"
called   = ["+4420*"]
route_to = ["teams", "reception"]

[[rule]]
name   = "Premium-rate numbers are barred"
called = ["+449*"]
reject = { status = 403, reason = "Premium-rate numbers are barred" }
"#;

struct Rig {
    folder: TempDir,
    handle: ServerHandle,
}

impl Rig {
    fn start(listeners: &[&str], workers: usize, change: impl FnOnce(&mut Config)) -> Self {
        Self::with_tables(|_| {}, listeners, workers, change)
    }

    fn with_tables(
        write_more: impl FnOnce(&Path),
        listeners: &[&str],
        workers: usize,
        change: impl FnOnce(&mut Config),
    ) -> Self {
        let folder = tables();
        write_more(folder.path());
        let listeners = listeners
            .iter()
            .map(|address| ListenerConfig::new(address.parse().unwrap()));
        let mut config = Config::new(folder.path(), listeners.collect());
        config.workers = workers;
        config.drain_timeout = Duration::from_millis(200);
        change(&mut config);
        let handle = Server::start(&config).unwrap_or_else(|error| panic!("{error}"));
        Self { folder, handle }
    }

    fn address(&self) -> SocketAddr {
        self.handle.local_addrs()[0]
    }

    fn write_routes(&self, routes: &str) {
        write(self.folder.path(), "routes.toml", routes);
    }
}

fn tables() -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), "trunks.toml", TRUNKS);
    write(folder.path(), "routes.toml", ROUTES);
    folder
}

fn write(folder: &Path, name: &str, text: &str) {
    fs::write(folder.join(name), text).unwrap();
}

#[test]
fn calls_are_answered_as_the_table_says() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |_| {});
    let phone = Phone::new(rig.address());
    let answer = phone.ask(&phone.invite("+442071838750", "c1"));
    assert!(
        answer.starts_with("SIP/2.0 302 Moved Temporarily\r\n"),
        "{answer}"
    );
    assert_eq!(
        contacts(&answer),
        [
            "<sip:+442071838750@teams.route:5061;user=phone>;q=1.0",
            "<sip:voicemail@198.51.100.9>;q=0.9"
        ]
    );
    phone.send(
        phone
            .request("ACK", "sip:+442071838750@trunkline", "c1")
            .as_bytes(),
    );
    assert!(
        phone
            .ask(&phone.invite("+4930123", "c2"))
            .starts_with("SIP/2.0 404 Not Found\r\n")
    );
    let barred = phone.ask(&phone.invite("+449061234567", "c3"));
    assert!(
        barred.starts_with("SIP/2.0 403 Premium-rate numbers are barred\r\n"),
        "{barred}"
    );
    let options = phone.ask(&phone.request("OPTIONS", "sip:trunkline", "c4"));
    assert!(
        options.starts_with("SIP/2.0 200 OK\r\n") && options.contains("\r\nAllow: "),
        "{options}"
    );
    let totals = rig.handle.shutdown();
    assert_eq!(totals.requests["INVITE"], 3);
    assert_eq!(totals.requests["ACK"], 1);
    assert_eq!(
        totals.replies.into_iter().collect::<Vec<_>>(),
        [(200, 1), (302, 1), (403, 1), (404, 1)]
    );
}

#[test]
fn ipv6_is_served_like_ipv4() {
    let rig = Rig::start(&["[::1]:0", "127.0.0.1:0"], 1, |_| {});
    for server in rig.handle.local_addrs() {
        let phone = Phone::new(*server);
        let answer = phone.ask(&phone.invite("+442071838750", "c1"));
        assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
    }
}

/// What is asked at one of many addresses is answered from it, first and again: a caller
/// behind a firewall or a strict SBC would not take it from another.
#[test]
fn a_wildcard_listener_answers_from_the_address_that_was_asked() {
    let rig = Rig::start(&["0.0.0.0:0", "[::]:0"], 2, |config| {
        config.listeners[1].stateful = true;
        config.listeners[0].stateful = true;
    });
    let [v4, v6] = rig.handle.local_addrs() else {
        panic!("two listeners")
    };
    for (address, port) in [
        ("127.0.0.1", v4.port()),
        ("127.0.0.2", v4.port()),
        ("127.0.0.3", v4.port()),
        ("::1", v6.port()),
    ] {
        let asked = SocketAddr::new(address.parse().unwrap(), port);
        let phone = Phone::new(asked);
        let invite = phone.invite("+442071838750", &format!("w{}", phone.port()));
        phone.send(invite.as_bytes());
        for occasion in ["first answer", "timer G", "retransmission"] {
            let (answer, from) = phone.receive_from();
            assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
            assert_eq!(from, asked, "{occasion}");
            if occasion == "timer G" {
                phone.send(invite.as_bytes());
            }
        }
    }
}

#[test]
fn more_than_a_batch_at_once_is_answered_whole() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |_| {});
    let phone = Phone::new(rig.address());
    for call in 0..100 {
        phone.send(
            phone
                .invite("+442071838750", &format!("b{call}"))
                .as_bytes(),
        );
    }
    let answers: BTreeSet<String> = (0..100).map(|_| phone.receive()).collect();
    assert_eq!(answers.len(), 100, "each call its own answer");
    for call in 0..100 {
        let call_id = format!("\r\nCall-ID: b{call}\r\n");
        assert!(answers.iter().any(|answer| answer.contains(&call_id)));
    }
}

#[test]
fn a_stranger_is_refused() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |_| {});
    let stranger = Phone::bound("127.0.0.2:0", rig.address());
    let answer = stranger.ask(&stranger.invite("+442071838750", "c1"));
    assert!(
        answer.starts_with("SIP/2.0 403 Forbidden\r\n") && contacts(&answer).is_empty(),
        "{answer}"
    );
}

#[test]
fn garbage_is_counted_and_hurts_nobody() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |_| {});
    let phone = Phone::new(rig.address());
    for junk in [
        &b"\0\xff\xfe junk"[..],
        b"\r\n\r\n",
        b"",
        b"INVITE",
        &[b'A'; 60_000],
        b"SIP/2.0 200 OK\r\n\r\n",
    ] {
        phone.send(junk);
    }
    phone.hears_only("after-junk");
    let totals = rig.handle.shutdown();
    assert_eq!(totals.drops["keep-alive"], 2);
    assert!(totals.drops["junk"] >= 3, "{totals}");
}

#[test]
fn a_stateful_listener_repeats_until_the_ack() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |config| {
        config.listeners[0].stateful = true;
    });
    let phone = Phone::new(rig.address());
    let answer = phone.ask(&phone.invite("+442071838750", "c1"));
    let sent = Instant::now();
    assert_eq!(phone.receive_from().0, answer, "timer G");
    assert!(
        sent.elapsed() >= Duration::from_millis(400),
        "after {:?}",
        sent.elapsed()
    );
    phone.send(
        phone
            .request("ACK", "sip:+442071838750@trunkline", "c1")
            .as_bytes(),
    );
    phone.hears_only("after-ack");
    let repeats = rig.handle.totals().repeats;
    assert!(repeats > 0);
    // The next one was due a second after the last.
    std::thread::sleep(Duration::from_millis(1_500));
    let totals = rig.handle.shutdown();
    assert_eq!((totals.repeats, totals.replies[&302]), (repeats, 1));
}

#[test]
fn every_worker_gives_a_call_the_same_answer() {
    let rig = Rig::start(&["127.0.0.1:0"], 2, |_| {});
    // The kernel picks the worker by the sender's port: 16 senders meet both.
    let home = Phone::new(rig.address());
    let message = home.invite("+442071838750", "same").replace(";rport", "");
    let answers: BTreeSet<String> = (0..16)
        .map(|_| {
            Phone::new(rig.address()).send(message.as_bytes());
            // Without rport the answer goes where the Via says.
            home.receive_from().0
        })
        .collect();
    assert_eq!(answers.len(), 1, "{answers:?}");
}

#[test]
fn a_reload_swaps_the_table_or_keeps_it() {
    let rig = Rig::start(&["127.0.0.1:0"], 2, |_| {});
    let phone = Phone::new(rig.address());
    let first_contact = |call_id: &str| {
        let answer = phone.ask(&phone.invite("+442071838750", call_id));
        contacts(&answer).first().map(|contact| contact.to_string())
    };
    assert!(first_contact("c1").unwrap().contains("teams.route"));
    assert!(matches!(
        rig.handle.reload(),
        Reload::Unchanged { generation: 1 }
    ));
    rig.write_routes(&ROUTES.replace("[\"teams\", \"reception\"]", "[\"reception\"]"));
    assert!(matches!(
        rig.handle.reload(),
        Reload::Swapped { generation: 2, .. }
    ));
    assert!(first_contact("c2").unwrap().contains("voicemail"));
    rig.write_routes(&ROUTES.replace("teams", "teems"));
    let Reload::Refused {
        generation: 2,
        report,
    } = rig.handle.reload()
    else {
        panic!("served a broken table")
    };
    assert!(report.has_errors());
    assert!(first_contact("c3").unwrap().contains("voicemail"));
}

#[test]
fn a_storm_of_reloads_ends_on_the_last_state() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |_| {});
    let phone = Phone::new(rig.address());
    for turn in 0..500 {
        let host = format!("198.51.100.{}", turn % 200);
        write(
            rig.folder.path(),
            "trunks.toml",
            &TRUNKS.replace("198.51.100.9", &host),
        );
        rig.handle.reload_soon();
    }
    write(
        rig.folder.path(),
        "trunks.toml",
        &TRUNKS.replace("teams.route", "last.route"),
    );
    rig.handle.reload_soon();
    let deadline = Instant::now() + Duration::from_secs(20);
    let mut turn = 0;
    while !phone
        .ask(&phone.invite("+442071838750", &format!("s{turn}")))
        .contains("last.route")
    {
        assert!(Instant::now() < deadline, "the last state was never served");
        turn += 1;
    }
}

#[test]
fn a_stopping_server_answers_what_is_queued() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |_| {});
    let phone = Phone::new(rig.address());
    for call in 0..100 {
        phone.send(
            phone
                .invite("+442071838750", &format!("q{call}"))
                .as_bytes(),
        );
    }
    let totals = rig.handle.shutdown();
    assert_eq!(totals.replies[&302], 100);
}

#[test]
fn what_keeps_it_from_starting_is_said() {
    let folder = tables();
    let holder = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap();
    let error = Server::start(&Config::new(
        folder.path(),
        vec![ListenerConfig::new(address)],
    ))
    .unwrap_err();
    assert!(
        error.to_string().contains(&address.to_string()) && error.to_string().contains("in use"),
        "{error}"
    );
    let free = ListenerConfig::new("127.0.0.1:0".parse().unwrap());
    write(
        folder.path(),
        "routes.toml",
        &ROUTES.replace("teams", "teems"),
    );
    let error = Server::start(&Config::new(folder.path(), vec![free])).unwrap_err();
    assert!(matches!(error, StartError::Table(_)), "{error}");
}
