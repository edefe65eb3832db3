//! What `route` shows is what the redirect server answers: the same INVITE, the same table,
//! the same moment.

#![allow(clippy::unwrap_used)] // A test that cannot load the example table has failed.

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, LazyLock};
use std::time::Instant;
use trunkline::proxy::{
    CallFacts, Datagram, Fate, Now, RedirectServer, RedirectSettings, call_hash,
};
use trunkline::routing::explanation::Report;
use trunkline::routing::{Explanation, RequestFacts, Snapshot, classify};
use trunkline::sip::{HeaderName, Message};
use trunkline::tables;

const SOURCE: &str = "10.20.0.11:5060";

static EXAMPLE: LazyLock<Snapshot> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing-tables/example");
    Snapshot::new(Arc::new(tables::load(&folder).table.unwrap()))
});

/// An answer as far as routing decides it: status, and the targets in order.
#[derive(Debug, PartialEq, Eq)]
struct Routed {
    status: u16,
    targets: Vec<String>,
}

fn answered(invite: &str, at: &str) -> Routed {
    let mut server = RedirectServer::new(RedirectSettings {
        tag_key: RandomState::new(),
        stateful: false,
        server_header: None,
    });
    let datagram = Datagram {
        bytes: invite.as_bytes(),
        source: source(),
        asked: None,
        listener: "",
    };
    let now = Now {
        instant: Instant::now(),
        wall: at.parse().unwrap(),
    };
    let mut out = Vec::new();
    let fate = server.handle(now, &datagram, &EXAMPLE, &mut out);
    let Fate::Answer { status, .. } = fate else {
        panic!("{fate:?}\n{invite}")
    };
    let answer = Message::parse_datagram(&out).unwrap();
    let contacts: Vec<&[u8]> = answer.values(HeaderName::Contact).collect();
    let parts: Vec<(String, String)> = contacts
        .iter()
        .map(|contact| {
            let text = std::str::from_utf8(contact).unwrap();
            let (uri, q) = text.strip_prefix('<').unwrap().split_once(">;q=").unwrap();
            (uri.to_owned(), q.to_owned())
        })
        .collect();
    assert!(
        parts.is_sorted_by(|a, b| a.1 > b.1),
        "q descends: {parts:?}"
    );
    Routed {
        status: status.code(),
        targets: parts.into_iter().map(|(uri, _)| uri).collect(),
    }
}

fn source() -> SocketAddr {
    SOURCE.parse().unwrap()
}

fn explained(invite: &str, at: &str) -> Routed {
    let message = Message::parse_datagram(invite.as_bytes()).unwrap();
    let facts = CallFacts::read(&message).unwrap();
    let arrival = facts.arrival(&message, source(), "");
    let header = |name: &str| message.by_name(name.as_bytes()).next();
    let Some(from) = classify(&EXAMPLE.table, &arrival, header) else {
        return Routed {
            status: 403,
            targets: Vec::new(),
        };
    };
    let mut carried = Vec::new();
    facts.write_carried(&mut carried);
    let request = RequestFacts {
        from,
        called: facts.called.dialled(),
        calling: facts.calling.as_ref().map(|user| user.dialled()),
        host: facts.host,
        tgrp: facts.label.trunk_context.and(facts.label.tgrp),
        at: at.parse().unwrap(),
        call_hash: call_hash(message.call_id().unwrap()),
    };
    routed(&Explanation::of(&EXAMPLE, &request, &carried).1)
}

fn routed(report: &Report) -> Routed {
    let chosen = report
        .routes
        .iter()
        .filter(|route| route.position.is_some());
    Routed {
        status: report.status.unwrap_or(302),
        targets: chosen.map(|route| route.request_uri.clone()).collect(),
    }
}

/// Numbers near those of the table, written in every way, and things that are no number.
fn dialled() -> impl Strategy<Value = String> {
    let london = (0u32..1_000).prop_map(|n| format!("207946{:04}", n));
    let berlin = (0u32..1_000).prop_map(|n| format!("3023125{n:03}"));
    let of_country = |code: &'static str, national: BoxedStrategy<String>| {
        (national, 0..4u8).prop_map(move |(national, way)| match way {
            0 => format!("+{code}{national}"),
            1 => format!("00{code}{national}"),
            2 => format!("0{national}"),
            _ => national.chars().skip(national.len() - 4).collect(),
        })
    };
    prop_oneof![
        4 => of_country("44", london.boxed()),
        4 => of_country("49", berlin.boxed()),
        2 => proptest::sample::select(vec!["112", "999", "110", "911", "+449061234567", "0900123456"])
            .prop_map(str::to_owned),
        2 => "\\+?[0-9]{1,15}",
        1 => "[0-9*][0-9*]{0,5}",
        1 => "[a-z][a-z0-9.-]{0,12}",
        1 => "\\+44%32[0-9]{8}",
    ]
}

prop_compose! {
    fn invite()(
        dialled in dialled(),
        suffix in proptest::sample::select(vec!["", ";ext=100", ";phone-context=+44", ";isub=7;npdi"]),
        group in proptest::sample::select(vec!["carrier-a", "carrier-b", "nobody"]),
        contact in proptest::sample::select(vec![
            "sip:m800.example.net",
            "sip:sip-du-a-eu.pstnhub.microsoft.com:5061;transport=tls",
            "sip:+442079460122;tgrp=genesys-05;trunk-context=byoc.example.net@10.20.0.11",
            "sip:+493023125122;tgrp=genesys-12;trunk-context=byoc.example.net@10.20.0.11",
            "sip:x;tgrp=genesys-01@10.20.0.11",
        ]),
        caller in proptest::sample::select(vec![
            "\"Anonymous\" <sip:anonymous@anonymous.invalid>",
            "<sip:+447700900123@carrier.example;user=phone>",
            "<sip:+493023125142@m800.example.net>",
            "<sip:+442079460300@m800.example.net>",
        ]),
        call in 0u64..u64::MAX,
    ) -> String {
        format!(
            "INVITE sip:{dialled}{suffix}@10.20.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.20.0.11:5060;branch=z9hG4bK{call:x}\r\n\
             Max-Forwards: 70\r\n\
             From: {caller};tag=a\r\n\
             To: <sip:{dialled}@10.20.0.1>\r\n\
             Call-ID: {call:x}@10.20.0.11\r\n\
             CSeq: 1 INVITE\r\n\
             Contact: <{contact}>\r\n\
             X-Trunk-Group: {group}\r\n\
             Content-Length: 0\r\n\r\n"
        )
    }
}

/// Moments in and out of the service desks' hours, on a holiday and around a clock change.
fn moment() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(vec![
        "2026-11-23T10:00:00Z",
        "2026-11-22T10:00:00Z",
        "2026-12-25T11:00:00Z",
        "2026-03-29T00:59:59Z",
        "2026-10-25T01:30:00Z",
        "2026-11-23T23:59:59Z",
    ])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 4_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_server_answers_what_route_explains(invite in invite(), at in moment()) {
        prop_assert_eq!(answered(&invite, at), explained(&invite, at), "{}", invite);
    }
}

/// The same through the program itself, for a few.
#[test]
fn the_command_line_shows_what_the_server_answers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("invite.sip");
    let mut runner = proptest::test_runner::TestRunner::deterministic();
    let mut statuses = std::collections::BTreeSet::new();
    for _ in 0..40 {
        let invite = invite().new_tree(&mut runner).unwrap().current();
        let at = "2026-11-23T10:00:00Z";
        std::fs::write(&file, &invite).unwrap();
        let output = Command::new(env!("CARGO_BIN_EXE_trunkline"))
            .args([
                "route",
                "--format",
                "json",
                "--at",
                at,
                "--source",
                "10.20.0.11",
            ])
            .args(["--table", "routing-tables/example", "--invite"])
            .arg(&file)
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .output()
            .unwrap();
        let server = answered(&invite, at);
        statuses.insert(server.status);
        if server.status == 403 && output.stdout.is_empty() {
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(said.contains("refused with 403"), "{said}");
            continue;
        }
        let shown: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let chosen = shown["routes"].as_array().unwrap().iter();
        let shown = Routed {
            status: shown["status"].as_u64().map_or(302, |status| status as u16),
            targets: chosen
                .filter(|route| !route["position"].is_null())
                .map(|route| route["request_uri"].as_str().unwrap().to_owned())
                .collect(),
        };
        assert_eq!(shown, server, "{invite}");
    }
    assert!(
        statuses.len() > 2,
        "the calls are of many kinds: {statuses:?}"
    );
}
