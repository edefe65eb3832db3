//! The redirect server from bytes to bytes, with a table built by hand.

#![allow(clippy::unwrap_used)] // a test may fail loudly

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::{
    Answer, CallEvent, Datagram, DropReason, Fate, Now, RedirectServer, RedirectSettings, Refusal,
};
use crate::routing::number::Number;
use crate::routing::prefix_map::{PrefixMap, PrefixMapBuilder, Remaining};
use crate::routing::rule::{
    Action, Destination, NumberCondition, NumberSet, RuleText, TextCondition,
};
use crate::routing::table::TableParts;
use crate::routing::trunk::{Hunt, TargetUri, Trunk, TrunkGroup};
use crate::routing::{GroupId, Origin, RoutingTable, Rule, Snapshot, TrunkId};
use crate::sip::Message;
use crate::transaction::AnswerPath;

const ORIGIN: Origin = Origin { file: 0, line: 1 };

fn group(name: &str, id: u16, trunks: &[u16]) -> TrunkGroup {
    TrunkGroup {
        name: name.into(),
        trunks: trunks.iter().copied().map(TrunkId).collect(),
        hunt: Hunt::TopDown,
        max_calls: None,
        dial_plan: None,
        inbound: Box::default(),
        outbound: Box::default(),
        search: Box::new([GroupId(id)]),
        alternative_routing: None,
        send_back: true,
        transfers_to: None,
        origin: ORIGIN,
    }
}

fn trunk(name: &str, fixed_user: Option<&str>, host_and_parameters: &str) -> Trunk {
    Trunk {
        name: name.into(),
        target: TargetUri {
            scheme: "sip:".into(),
            fixed_user: fixed_user.map(Into::into),
            user_parameters: "".into(),
            host_and_parameters: host_and_parameters.into(),
        },
        weight: 1,
        max_calls: None,
        max_cps: None,
        large_over_tcp: false,
        probing: None,
        options_contact: None,
        origin: ORIGIN,
    }
}

fn prefixes(prefix: &str) -> PrefixMap<()> {
    let mut builder = PrefixMapBuilder::with_capacity(1);
    builder.push(
        &Number::parse(prefix.as_bytes()).unwrap(),
        Remaining::Any,
        (),
    );
    builder
        .build(0)
        .unwrap_or_else(|_| panic!("one prefix is no duplicate"))
}

fn rule(name: &str, called: &str, action: Action) -> Rule {
    let set = NumberSet {
        patterns: prefixes(called),
        ..NumberSet::default()
    };
    Rule {
        name: name.into(),
        from: None,
        called: NumberCondition {
            any_of: Some(set),
            none_of: None,
        },
        calling: NumberCondition::default(),
        host: TextCondition::default(),
        tgrp: TextCondition::default(),
        during: Box::default(),
        action,
        text: RuleText::default(),
        origin: ORIGIN,
    }
}

fn snapshot() -> Snapshot {
    let to = |groups: &[u16]| {
        Action::RouteTo(
            groups
                .iter()
                .map(|g| Destination::Group(GroupId(*g)))
                .collect(),
        )
    };
    let barred = Action::Reject {
        status: 403,
        reason: "Premium-rate numbers are barred".into(),
    };
    Snapshot::new(Arc::new(RoutingTable::new(TableParts {
        trunks: vec![
            trunk("teams-1", None, "teams.route;user=phone"),
            trunk("vm-1", Some("voicemail"), "198.51.100.9"),
            trunk("back-1", None, "192.0.2.1"),
        ],
        groups: vec![
            group("pstn", 0, &[]),
            group("teams", 1, &[0]),
            group("reception", 2, &[1]),
            group("back", 3, &[2]),
        ],
        rules: vec![
            rule("Premium is barred", "+449", barred),
            rule("In circles", "+44666", to(&[3])),
            rule("Half in circles", "+44667", to(&[3, 2])),
            rule("London", "+4420", to(&[1, 2])),
        ],
        networks: vec![("10.0.0.0/8".parse().unwrap(), GroupId(0))],
        ..TableParts::default()
    })))
}

struct Rig {
    server: RedirectServer,
    snapshot: Snapshot,
    now: Now,
    out: Vec<u8>,
}

const KNOWN: &str = "10.0.0.5:5060";

impl Rig {
    fn new(stateful: bool) -> Self {
        let settings = RedirectSettings {
            tag_key: RandomState::new(),
            stateful,
            server_header: Some("Trunkline".into()),
        };
        let now = Now {
            instant: Instant::now(),
            wall: "2026-11-22T19:00:00Z".parse().unwrap(),
        };
        Self {
            server: RedirectServer::new(settings),
            snapshot: snapshot(),
            now,
            out: Vec::new(),
        }
    }

    /// What becomes of a message from `source`: its answer, or what it is called.
    fn send_from(&mut self, source: &str, message: &str) -> String {
        let datagram = Datagram {
            bytes: message.as_bytes(),
            source: source.parse().unwrap(),
            asked: None,
            listener: "inside",
        };
        match self
            .server
            .handle(self.now, &datagram, &self.snapshot, &mut self.out)
        {
            Fate::Answer { to, status, .. } => {
                assert_eq!(to.ip(), datagram.source.ip());
                let text = String::from_utf8(self.out.clone()).unwrap();
                assert!(
                    text.starts_with(&format!("SIP/2.0 {} ", status.code())),
                    "{text}"
                );
                assert!(Message::parse_datagram(&self.out).is_ok(), "{text}");
                text
            }
            Fate::Repeat(_) => format!("again {}", String::from_utf8_lossy(&self.out)),
            Fate::Absorbed(method) => format!("absorbed {}", method.as_str()),
            Fate::Dropped(reason) => format!("dropped {}", reason.as_str()),
        }
    }

    fn send(&mut self, message: &str) -> String {
        self.send_from(KNOWN, message)
    }

    fn status(&mut self, message: &str) -> u16 {
        let answer = self.send(message);
        answer
            .get(8..11)
            .and_then(|status| status.parse().ok())
            .unwrap_or_else(|| panic!("{message}\n-> {answer}"))
    }

    fn advance(&mut self, ms: u64) {
        self.now.instant += Duration::from_millis(ms);
    }
}

fn request(method: &str, uri: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.5;branch=z9hG4bK-{method}-1;rport\r\nMax-Forwards: 70\r\n\
         From: <sip:+447700900123@10.0.0.5>;tag=a\r\nTo: <{uri}>\r\nCall-ID: 8f2a@10.0.0.5\r\nCSeq: 1 {method}\r\n\
         Contact: <sip:10.0.0.5>\r\nContent-Length: 0\r\n\r\n"
    )
}

fn invite(uri: &str) -> String {
    request("INVITE", uri)
}

const LONDON: &str = "sip:+442071838750@192.0.2.1";

fn contacts(answer: &str) -> Vec<&str> {
    answer
        .lines()
        .filter_map(|line| line.strip_prefix("Contact: "))
        .collect()
}

#[test]
fn a_call_is_redirected_to_its_routes_in_order_of_q() {
    let mut rig = Rig::new(false);
    let answer = rig.send(&invite(
        "sip:+442071838750;ext=7;tgrp=x;trunk-context=y@192.0.2.1",
    ));
    assert!(
        answer.starts_with("SIP/2.0 302 Moved Temporarily\r\n"),
        "{answer}"
    );
    assert_eq!(
        contacts(&answer),
        [
            "<sip:+442071838750;ext=7@teams.route;user=phone>;q=1.0",
            "<sip:voicemail@198.51.100.9>;q=0.9"
        ]
    );
    for line in [
        "rport=5060",
        "received=10.0.0.5",
        "Server: Trunkline\r\n",
        "CSeq: 1 INVITE\r\n",
        "Content-Length: 0\r\n",
    ] {
        assert!(answer.contains(line), "{line} in {answer}");
    }
}

#[test]
fn a_retransmission_gets_the_same_answer_and_another_call_another_tag() {
    let mut rig = Rig::new(false);
    let first = rig.send(&invite(LONDON));
    assert_eq!(rig.send(&invite(LONDON)), first);
    let other = rig.send(&invite(LONDON).replace("8f2a", "8f2b"));
    let tag = |answer: &str| {
        answer
            .lines()
            .find_map(|l| l.strip_prefix("To: "))
            .unwrap()
            .split("tag=")
            .nth(1)
            .unwrap()
            .to_owned()
    };
    assert_ne!(tag(&other), tag(&first));
    assert_eq!(tag(&first).len(), 16);
}

#[test]
fn every_number_gets_the_status_its_rules_say() {
    let mut rig = Rig::new(false);
    for (uri, status) in [
        (LONDON, 302),
        ("sip:%2b442071838750@192.0.2.1", 302),
        ("tel:+44-20-7183-8750", 302),
        ("sip:+449061234567@192.0.2.1", 403),
        ("sip:+4930123@192.0.2.1", 404),
        ("sip:nobody@192.0.2.1", 404),
        ("sip:192.0.2.1", 404),
        ("sip:+442071838750%00@192.0.2.1", 404),
        ("sip:+44666@192.0.2.1", 482),
        ("sip:+44667@192.0.2.1", 302),
        ("mailto:alice@example.net", 416),
    ] {
        assert_eq!(rig.status(&invite(uri)), status, "{uri}");
    }
    let barred = rig.send(&invite("sip:+449061234567@192.0.2.1"));
    assert!(
        barred.starts_with("SIP/2.0 403 Premium-rate numbers are barred\r\n"),
        "{barred}"
    );
    let half = rig.send(&invite("sip:+44667@192.0.2.1"));
    assert_eq!(contacts(&half), ["<sip:voicemail@198.51.100.9>;q=1.0"]);
}

#[test]
fn requests_that_are_not_calls_get_their_own_answers() {
    let mut rig = Rig::new(false);
    let options = rig.send(&request("OPTIONS", "sip:192.0.2.1"));
    assert!(
        options.starts_with("SIP/2.0 200 OK")
            && options.contains("Allow: INVITE, ACK, CANCEL, OPTIONS\r\n"),
        "{options}"
    );
    assert_eq!(
        rig.status(&request("OPTIONS", LONDON).replace("Forwards: 70", "Forwards: 0")),
        200
    );
    assert_eq!(rig.status(&request("CANCEL", LONDON)), 200);
    assert!(rig.send(&request("BYE", LONDON)).contains("Allow: "));
    for method in ["BYE", "REGISTER", "SUBSCRIBE", "INFO", "NEWMETHOD"] {
        assert_eq!(rig.status(&request(method, LONDON)), 405, "{method}");
    }
    assert_eq!(rig.send(&request("ACK", LONDON)), "absorbed ACK");
    assert_eq!(rig.send("\r\n\r\n"), "dropped keep-alive");
    assert_eq!(rig.send(""), "dropped keep-alive");
    assert_eq!(rig.send("\u{16}\u{3}\u{1}garbage"), "dropped junk");
    let response = rig.send(&invite(LONDON));
    assert_eq!(rig.send(&response), "dropped response");
}

#[test]
fn what_an_invite_may_not_say_is_refused() {
    let mut rig = Rig::new(false);
    let whole = invite(LONDON);
    for (was, is, status) in [
        ("Max-Forwards: 70", "Max-Forwards: 0", 483),
        ("Max-Forwards: 70", "Max-Forwards: 256", 400),
        ("Max-Forwards: 70", "Require: 100rel", 420),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", 400),
        ("CSeq: 1 INVITE", "CSeq: 4294967296 INVITE", 400),
        (
            "To: <sip:+442071838750@192.0.2.1>",
            "To: <sip:+442071838750@192.0.2.1>;tag=b",
            481,
        ),
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 505),
        ("Contact: <sip:10.0.0.5>", "Call-ID: another", 400),
        ("Content-Length: 0", "Content-Length: 5", 400),
    ] {
        let message = whole.replace(was, is);
        assert_ne!(message, whole);
        assert_eq!(rig.status(&message), status, "{is}");
    }
    let extension = rig.send(&whole.replace("Max-Forwards: 70", "Require: 100rel"));
    assert!(extension.contains("Unsupported: 100rel\r\n"), "{extension}");
}

#[test]
fn an_unknown_source_learns_nothing() {
    let mut rig = Rig::new(true);
    let from = "172.16.0.1:5060";
    for message in [
        invite(LONDON),
        request("OPTIONS", LONDON),
        request("BYE", LONDON),
        invite(LONDON).replace("70", "0"),
    ] {
        let answer = rig.send_from(from, &message);
        assert!(answer.starts_with("SIP/2.0 403 Forbidden\r\n"), "{answer}");
        assert!(contacts(&answer).is_empty() && answer.len() <= message.len() + 512);
    }
    assert_eq!(rig.send_from(from, &request("ACK", LONDON)), "absorbed ACK");
    assert_eq!(rig.send_from(from, "junk"), "dropped junk");
    assert_eq!(
        rig.server.awaiting_ack(),
        0,
        "strangers occupy no transaction"
    );
}

#[test]
fn a_flood_of_strangers_bounces_off_nobody_and_delays_no_call() {
    let mut rig = Rig::new(false);
    let from = "172.16.0.1:5060";
    let mut answered = 0;
    for _ in 0..1000 {
        answered += usize::from(rig.send_from(from, &invite(LONDON)) != "dropped flood");
    }
    assert_eq!(answered, 100);
    assert_eq!(rig.status(&invite(LONDON)), 302);
    rig.advance(1000);
    assert!(
        rig.send_from(from, &invite(LONDON))
            .starts_with("SIP/2.0 403 ")
    );
}

#[test]
fn answers_never_leave_for_crowds_or_nowhere() {
    let mut rig = Rig::new(false);
    for source in [
        "10.0.0.5:0",
        "255.255.255.255:5060",
        "224.0.1.75:5060",
        "0.0.0.0:5060",
    ] {
        assert_eq!(
            rig.send_from(source, &invite(LONDON)),
            "dropped unanswerable",
            "{source}"
        );
    }
    for forged in [
        "10.0.0.5;maddr=224.0.1.75",
        "10.0.0.5;received=255.255.255.255",
        "10.0.0.5:0",
    ] {
        let message = invite(LONDON).replace("UDP 10.0.0.5", &format!("UDP {forged}"));
        // Either to the packet's source (asserted by the rig), or not at all.
        rig.send(&message);
    }
}

#[test]
fn a_stateful_server_repeats_its_answer_until_the_ack() {
    let mut rig = Rig::new(true);
    let answer = rig.send(&invite(LONDON));
    assert_eq!(rig.server.awaiting_ack(), 1);
    assert_eq!(rig.send(&invite(LONDON)), format!("again {answer}"));
    rig.advance(500);
    let mut out = Vec::new();
    assert_eq!(
        rig.server.poll_timer(rig.now.instant, &mut out),
        Some(AnswerPath {
            to: KNOWN.parse().unwrap(),
            from: None
        })
    );
    assert_eq!(String::from_utf8(out.clone()).unwrap(), answer);
    assert_eq!(rig.server.poll_timer(rig.now.instant, &mut out), None);
    let ack = request("ACK", LONDON).replace("z9hG4bK-ACK-1", "z9hG4bK-INVITE-1");
    assert_eq!(rig.send(&ack), "absorbed ACK");
    assert_eq!(rig.server.awaiting_ack(), 0);
    assert_eq!(rig.send(&invite(LONDON)), "absorbed INVITE");
    rig.advance(5000);
    assert_eq!(rig.server.poll_timer(rig.now.instant, &mut out), None);
    assert_eq!(rig.server.deadline(), None, "timer I has ended it");
}

#[test]
fn without_an_ack_a_transaction_ends_after_timer_h() {
    let mut rig = Rig::new(true);
    rig.send(&invite(LONDON));
    let (mut out, mut repeats) = (Vec::new(), 0);
    while let Some(due) = rig.server.deadline() {
        rig.now.instant = due;
        repeats += usize::from(rig.server.poll_timer(due, &mut out).is_some());
    }
    assert_eq!((repeats, rig.server.awaiting_ack()), (10, 0));
}

#[test]
fn a_cancel_of_nothing_is_told_apart_when_transactions_are_kept() {
    let mut rig = Rig::new(true);
    let cancel = request("CANCEL", LONDON).replace("z9hG4bK-CANCEL-1", "z9hG4bK-INVITE-1");
    assert_eq!(rig.status(&cancel), 481);
    rig.send(&invite(LONDON));
    assert_eq!(rig.status(&cancel), 200);
}

#[test]
fn an_rfc_2543_peer_is_told_apart_without_a_branch() {
    let mut rig = Rig::new(true);
    let old = |method| request(method, LONDON).replace(&format!(";branch=z9hG4bK-{method}-1"), "");
    let answer = rig.send(&old("INVITE"));
    assert_eq!(rig.send(&old("INVITE")), format!("again {answer}"));
    rig.send(&old("ACK"));
    assert_eq!(rig.server.awaiting_ack(), 0);
}

#[test]
fn a_draining_server_sends_new_calls_elsewhere_and_ends_the_old_ones() {
    let mut rig = Rig::new(true);
    let answer = rig.send(&invite(LONDON));
    rig.server.drain();
    assert_eq!(rig.send(&invite(LONDON)), format!("again {answer}"));
    assert_eq!(
        rig.status(&invite(LONDON).replace("INVITE-1", "INVITE-2")),
        503
    );
}

#[test]
fn the_event_tells_what_was_dialled_and_what_was_decided() {
    let rig = &mut Rig::new(false);
    let message = invite("sip:%2b442071838750;phone-context=example.net@sbc.example.net").replace(
        "Contact: ",
        "P-Asserted-Identity: \"Ann\" <sip:ann@example.net>, <tel:+441632960001>\r\nContact: ",
    );
    let datagram = Datagram {
        bytes: message.as_bytes(),
        source: KNOWN.parse().unwrap(),
        asked: None,
        listener: "inside",
    };
    let fate = rig
        .server
        .handle(rig.now, &datagram, &rig.snapshot, &mut rig.out);
    let Fate::Answer {
        answer: Answer::Call(event),
        ..
    } = fate
    else {
        panic!("{fate:?}")
    };
    let CallEvent {
        dialled,
        shown,
        host,
        phone_context,
        status,
        call_id,
        ..
    } = event;
    assert_eq!(dialled.as_slice(), b"+442071838750");
    assert_eq!(
        shown.unwrap().as_slice(),
        b"+441632960001",
        "a number before a name"
    );
    assert_eq!(
        (host, phone_context),
        (&b"sbc.example.net"[..], Some(&b"example.net"[..]))
    );
    assert_eq!((status, call_id), (302, &b"8f2a@10.0.0.5"[..]));
    assert_eq!(event.called.unwrap().as_str(), "+442071838750");
}

#[test]
fn who_hides_is_anonymous_unless_asserted() {
    let rig = &mut Rig::new(false);
    let hidden = invite(LONDON).replace(
        "<sip:+447700900123@10.0.0.5>",
        "Anonymous <sip:anonymous@anonymous.invalid>",
    );
    let asserted = hidden.replace(
        "Contact: ",
        "P-Asserted-Identity: <tel:+447700900123>\r\nPrivacy: id\r\nContact: ",
    );
    for (message, shown) in [(hidden, None), (asserted, Some(&b"+447700900123"[..]))] {
        let datagram = Datagram {
            bytes: message.as_bytes(),
            source: KNOWN.parse().unwrap(),
            asked: None,
            listener: "",
        };
        let fate = rig
            .server
            .handle(rig.now, &datagram, &rig.snapshot, &mut rig.out);
        let Fate::Answer {
            answer: Answer::Call(event),
            ..
        } = fate
        else {
            panic!("{fate:?}")
        };
        assert_eq!(event.shown.as_deref(), shown);
    }
}

#[test]
fn a_refusal_says_why() {
    let rig = &mut Rig::new(false);
    let message = invite(LONDON);
    let source: SocketAddr = "172.16.0.1:5060".parse().unwrap();
    let fate = rig.server.handle(
        rig.now,
        &Datagram {
            bytes: message.as_bytes(),
            source,
            asked: None,
            listener: "",
        },
        &rig.snapshot,
        &mut rig.out,
    );
    let Fate::Answer {
        answer: Answer::Refused(refused),
        ..
    } = fate
    else {
        panic!("{fate:?}")
    };
    assert_eq!((refused.why, refused.error), (Refusal::UnknownSource, None));
}

proptest! {
    /// Bytes of any kind never bring it down, and whatever it answers is a response that
    /// can be read, to the host it came from.
    #[test]
    fn damaged_messages_get_whole_answers_or_none(
        cut in 0..500_usize, at in 0..500_usize, with in prop::collection::vec(any::<u8>(), 0..12), stateful: bool, known: bool,
    ) {
        let mut bytes = invite(LONDON).into_bytes();
        bytes.truncate(bytes.len().saturating_sub(cut.saturating_sub(400)));
        let at = at.min(bytes.len());
        let end = (at + with.len() / 2).min(bytes.len());
        bytes.splice(at..end, with);
        let mut rig = Rig::new(stateful);
        let source: SocketAddr = if known { KNOWN } else { "172.16.0.1:5060" }.parse().unwrap();
        let datagram = Datagram { bytes: &bytes, source, asked: None, listener: "" };
        match rig.server.handle(rig.now, &datagram, &rig.snapshot, &mut rig.out) {
            Fate::Answer { to, status, .. } => {
                prop_assert_eq!(to.ip(), source.ip());
                prop_assert!(known || rig.out.len() <= bytes.len() + 512);
                let answer = String::from_utf8_lossy(&rig.out);
                let start = format!("SIP/2.0 {} ", status.code());
                prop_assert!(answer.starts_with(&start));
                prop_assert!(answer.ends_with("\r\n\r\n"));
                prop_assert_eq!(answer.matches("\r\n\r\n").count(), 1);
                prop_assert!(!answer.replace("\r\n", "").contains(['\r', '\n', '\0']));
            }
            Fate::Repeat(_) => prop_assert!(false, "nothing came twice"),
            Fate::Absorbed(_) => {}
            Fate::Dropped(reason) => prop_assert!(reason != DropReason::Response),
        }
    }
}
