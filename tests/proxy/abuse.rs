//! What peers do wrong, by mistake or on purpose: refused, dropped, counted; never a
//! message to somebody who has nothing to do with it.

use proptest::prelude::*;
use trunkline::proxy::{ProxyDrop, ProxyEvent, ProxyRefusal, response_owner};

use crate::bench::{
    Bench, CALLER, LON, MAN, PROXY, TABLE, ack_of, invite, respond, settings, table, value,
};

const STRANGER: &str = "192.0.2.66:5060";

fn drops(bench: &Bench) -> Vec<ProxyDrop> {
    let why = |event: &ProxyEvent| match event {
        ProxyEvent::Dropped { why, .. } => Some(*why),
        _ => None,
    };
    bench.events.iter().filter_map(why).collect()
}

fn refusals(bench: &Bench) -> Vec<ProxyRefusal> {
    let why = |event: &ProxyEvent| match event {
        ProxyEvent::Refused(refused) => Some(refused.why),
        _ => None,
    };
    bench.events.iter().filter_map(why).collect()
}

#[test]
fn a_stranger_is_refused_before_anything_is_believed() {
    let mut bench = Bench::new();
    bench.receive(STRANGER, &invite("+441", "1"));
    bench.take(STRANGER, "SIP/2.0 403 ");
    // A trunk's address may speak inside dialogs; calls arrive from where the table says.
    for _ in 0..300 {
        bench.receive(STRANGER, &invite("+441", "1"));
    }
    assert_eq!(
        bench.ignore(STRANGER, "SIP/2.0 403 "),
        99,
        "a hundred a second"
    );
    bench.receive(STRANGER, &invite("+441", "1").replace("INVITE", "ACK"));
    bench.quiet();
    assert!(drops(&bench).contains(&ProxyDrop::StrayAck));
    assert_eq!(bench.engine.in_progress(), 0);
}

#[test]
fn what_is_not_forwarded_and_why() {
    let good = invite("+441", "1");
    for (bad, line, why) in [
        (
            good.replace("Max-Forwards: 70", "Max-Forwards: 0"),
            "SIP/2.0 483 ",
            ProxyRefusal::Hops,
        ),
        (
            good.replace("\r\nFrom:", "\r\nProxy-Require: foo, bar\r\nFrom:"),
            "SIP/2.0 420 ",
            ProxyRefusal::Extension,
        ),
        (
            good.replace("INVITE sip:+441@10.0.0.1;user=phone", "INVITE nobody:knows"),
            "SIP/2.0 416 ",
            ProxyRefusal::Malformed,
        ),
        (
            good.replace("CSeq: 1 INVITE", "CSeq: 1 BYE"),
            "SIP/2.0 400 ",
            ProxyRefusal::Malformed,
        ),
        (
            good.replace("INVITE", "REGISTER"),
            "SIP/2.0 405 ",
            ProxyRefusal::Method,
        ),
        (
            good.replace("INVITE", "BYE")
                .replace("To: <sip:+441@10.0.0.1>", "To: <sip:x@y>;tag=z"),
            "SIP/2.0 481 ",
            ProxyRefusal::NoDialog,
        ),
        (
            good.replace("\r\nFrom:", "\r\nRoute: nonsense\r\nFrom:"),
            "SIP/2.0 400 ",
            ProxyRefusal::Malformed,
        ),
    ] {
        let mut bench = Bench::new();
        bench.receive(CALLER, &bad);
        let refused = bench.take(CALLER, line);
        bench.quiet();
        if why == ProxyRefusal::Extension {
            assert_eq!(value(&refused.text, "Unsupported"), "foo, bar");
        }
        assert_eq!(refusals(&bench), [why]);
        bench.receive(CALLER, &ack_of(&good, &refused.text));
        bench.quiet();
        bench.rest();
    }
}

#[test]
fn a_request_without_max_forwards_gets_70() {
    let mut bench = Bench::new();
    bench.receive(
        CALLER,
        &invite("+441", "1").replace("Max-Forwards: 70\r\n", ""),
    );
    bench.take(CALLER, "SIP/2.0 100 ");
    let sent = bench.take(LON, "INVITE ");
    assert_eq!(value(&sent.text, "Max-Forwards"), "70");
}

#[test]
fn options_are_ours_to_answer_even_without_hops_left() {
    let mut bench = Bench::new();
    let options = invite("+441", "1").replace("INVITE", "OPTIONS");
    for text in [
        options.clone(),
        options.replace("Max-Forwards: 70", "Max-Forwards: 0"),
    ] {
        bench.receive(CALLER, &text);
        let ok = bench.take(CALLER, "SIP/2.0 200 ");
        assert!(value(&ok.text, "Allow").contains("INVITE"));
        // Nothing is kept of it, and a repetition gets the same answer: RFC 3261 §8.2.7.
        assert_eq!(bench.engine.in_progress(), 0);
        bench.receive(CALLER, &text);
        assert_eq!(bench.take(CALLER, "SIP/2.0 200 ").text, ok.text);
        bench.quiet();
    }
    bench.receive(
        CALLER,
        &options.replace("\r\nFrom:", "\r\nRequire: foo\r\nFrom:"),
    );
    let refused = bench.take(CALLER, "SIP/2.0 420 ");
    assert_eq!(value(&refused.text, "Unsupported"), "foo");
    bench.rest();
}

/// RFC 5393: what comes back as it left is a loop; what comes back changed is a spiral.
#[test]
fn a_loop_is_known_and_a_spiral_is_not_one() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    // LON is a proxy that sends it back with a Via of its own.
    let back = |text: &str, branch: &str| {
        let via = format!("\r\nVia: SIP/2.0/UDP {LON};branch=z9hG4bK{branch}\r\n");
        text.replacen("\r\n", &via, 1)
    };
    bench.receive(LON, &back(&sent.text, "1"));
    bench.take(LON, "SIP/2.0 100 ");
    let again = bench.take(LON, "INVITE sip:+441@10.0.1.1:5060 ");
    bench.quiet();
    bench.receive(LON, &back(&again.text, "2"));
    bench.take(LON, "SIP/2.0 482 ");
    bench.quiet();
    assert_eq!(refusals(&bench), [ProxyRefusal::Loop]);
    // Changed on the way: another call.
    bench.receive(LON, &back(&again.text, "3").replacen("+441@", "+4930@", 1));
    bench.take(LON, "SIP/2.0 100 ");
    bench.take("[2001:db8::49]:5060", "INVITE ");
    bench.rest();
}

#[test]
fn stray_and_forged_responses_go_nowhere() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    let good = respond(&sent.text, 200, "");
    let via = value(&good, "Via");
    let branch = via.split("branch=").nth(1).unwrap();
    // Our branch with one digit changed, at every place; another worker's; nobody's.
    for at in "z9hG4bKtl03".len()..branch.len() - 16 {
        let mut forged = branch.to_owned().into_bytes();
        forged[at] = if forged[at] == b'0' { b'1' } else { b'0' };
        let forged = String::from_utf8(forged).unwrap();
        bench.receive(LON, &good.replace(branch, &forged));
    }
    let elsewhere = good.replace("z9hG4bKtl03", "z9hG4bKtl04");
    assert_eq!(response_owner(elsewhere.as_bytes()), Some(4));
    assert_eq!(response_owner(good.as_bytes()), Some(3));
    assert_eq!(response_owner(invite.as_bytes()), None);
    bench.receive(LON, &elsewhere);
    bench.receive(LON, &good.replace(branch, "z9hG4bKother"));
    bench.receive(LON, &good.replace("1 INVITE", "1 BYE"));
    bench.receive(LON, &good.replace("1 INVITE", "1 CANCEL"));
    bench.receive(LON, &respond(&invite, 200, ""));
    let (before, rest) = good.split_once("Via: SIP/2.0/UDP 10.0.0.10").unwrap();
    let rest = rest.split_once("\r\n").unwrap().1;
    bench.receive(LON, &format!("{before}{rest}"));
    bench.quiet();
    assert!(
        drops(&bench)
            .iter()
            .all(|why| { [ProxyDrop::Stray, ProxyDrop::Elsewhere].contains(why) })
    );
    bench.receive(LON, &good);
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.rest();
}

#[test]
fn nothing_is_sent_to_crowds_or_nowhere() {
    let mut bench = Bench::new();
    for via in ["224.0.0.1", "255.255.255.255", "0.0.0.0"] {
        let text = invite("+441", "1").replace(
            "10.0.0.10:5060;branch=z9hG4bKcaller1;rport",
            &format!("10.0.0.10:5060;branch=z9hG4bKx{via};maddr={via}"),
        );
        bench.receive(CALLER, &text);
    }
    bench.ignore(LON, "INVITE ");
    bench.ignore(CALLER, "SIP/2.0 100 ");
    bench.quiet();
    // A Contact that is a crowd: the BYE is refused.
    let call = bench.call_to("+442");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 200, "Contact: <sip:bob@224.0.0.1>\r\n");
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    let bye = crate::bench::Dialog::of(&call, &ok.text).by_caller("BYE", 2);
    bench.receive(CALLER, &bye);
    bench.take(CALLER, "SIP/2.0 403 ");
    bench.quiet();
}

#[test]
fn a16_new_calls_are_shed_first_and_dialogs_go_on() {
    let mut bench = Bench::new();
    let mut few = settings(bench.now.instant);
    few.calls_max = 14;
    bench = Bench::with(table(TABLE), few, bench.now.instant);
    let first = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 200, "");
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    for id in 2..=30 {
        bench.receive(CALLER, &invite("+441", &id.to_string()));
    }
    assert_eq!(bench.ignore(CALLER, "SIP/2.0 100 "), 13);
    let shed = bench.take_if(CALLER, "SIP/2.0 503 ").unwrap().text;
    assert!(shed.contains("\r\nRetry-After: "), "{shed}");
    assert_eq!(bench.ignore(CALLER, "SIP/2.0 503 "), 15);
    assert_eq!(bench.ignore(LON, "INVITE "), 13);
    bench.quiet();
    let options = invite("+441", "98").replace("INVITE", "OPTIONS");
    bench.receive(CALLER, &options);
    bench.take(CALLER, "SIP/2.0 200 ");
    let dialog = crate::bench::Dialog::of(&first, &ok.text);
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    bench.take("10.0.1.9:5070", "BYE ");
    bench.receive(CALLER, &invite("112", "99"));
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.take(LON, "INVITE sip:112@");
    // The bound holds for all together.
    for number in 3..60 {
        bench.receive(CALLER, &dialog.by_caller("INFO", number));
    }
    assert!(bench.engine.in_progress() <= 28);
    assert!(bench.ignore(CALLER, "SIP/2.0 503 ") > 40);
    bench.rest();
}

#[test]
fn a_drain_lets_calls_end_and_begins_none() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.engine.drain();
    assert_eq!(bench.engine.unanswered(), 1);
    bench.receive(CALLER, &invite("+441", "2"));
    bench.take(CALLER, "SIP/2.0 503 ");
    bench.answer(&sent, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    assert_eq!(bench.engine.unanswered(), 0);
    bench.rest();
}

#[test]
fn forged_errors_of_the_network_change_nothing() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let mut sent = bench.take(LON, "INVITE ");
    let whole = sent.text.clone();
    let branch_at = whole.find("z9hG4bK").unwrap();
    sent.text = whole.split_at(branch_at + 20).0.to_owned();
    bench.bounce(&sent);
    sent.text = whole.replace("z9hG4bKtl03", "z9hG4bKtl04");
    bench.bounce(&sent);
    bench.quiet();
    sent.text = whole;
    bench.bounce(&sent);
    bench.take(MAN, "INVITE ");
}

#[test]
fn a_preloaded_route_does_not_steer_a_call() {
    let mut bench = Bench::new();
    let text = invite("+441", "1").replace(
        "\r\nFrom:",
        &format!("\r\nRoute: <sip:{PROXY};lr>, <sip:192.0.2.66;lr>\r\nFrom:"),
    );
    bench.receive(CALLER, &text);
    bench.take(CALLER, "SIP/2.0 100 ");
    let sent = bench.take(LON, "INVITE sip:+441@10.0.1.1:5060 ");
    assert!(!sent.text.contains("Route: <sip:192"), "{}", sent.text);
    bench.quiet();
    bench.rest();
}

proptest! {
    /// Whatever arrives from whoever: no panic, nothing to strangers but refusals, and at
    /// rest nothing is left.
    #[test]
    fn no_bytes_do_harm(
        pieces in prop::collection::vec((0..6_usize, 0..400_usize, any::<u8>(), 0..5_u8), 1..12),
    ) {
        let mut bench = Bench::new();
        let call = bench.call_to("+441");
        let sent = bench.take(LON, "INVITE ");
        let ok = respond(&sent.text, 200, "");
        let dialog = crate::bench::Dialog::of(&call, &ok);
        let texts = [
            call.clone(),
            ok,
            crate::bench::cancel_of(&call),
            dialog.by_caller("BYE", 2),
            dialog.by_callee("INVITE", 3),
            respond(&sent.text, 486, ""),
        ];
        for (which, at, byte, from) in pieces {
            let mut bytes = texts[which].clone().into_bytes();
            let at = at % bytes.len();
            bytes[at] = byte;
            let from = [CALLER, LON, MAN, STRANGER, "10.0.0.11:5060"][usize::from(from)];
            bench.receive_bytes(from, &bytes);
            bench.ignore(CALLER, "");
            bench.ignore(LON, "");
            bench.ignore(MAN, "");
            bench.ignore(STRANGER, "SIP/2.0 4");
            bench.wait_ms(700);
        }
        bench.wait_ms(3_700_000);
        prop_assert_eq!(bench.engine.in_progress(), 0);
    }
}

/// An INVITE with a number of its own: a call of its own.
fn nth_invite(number: &str, n: u32) -> String {
    invite(number, &n.to_string())
}

#[test]
fn a15_a_flood_of_calls_from_one_source_takes_nobody_elses_room() {
    let mut bench = Bench::new();
    bench.engine.limit_sources(10);
    for n in 0..100 {
        bench.receive(CALLER, &nth_invite("+441", n));
    }
    assert_eq!(bench.ignore(CALLER, "SIP/2.0 503 "), 90);
    assert_eq!(bench.ignore(CALLER, "SIP/2.0 100 "), 10);
    assert_eq!(bench.ignore(LON, "INVITE "), 10);
    let floods = refusals(&bench);
    assert!(floods.len() == 90 && floods.iter().all(|why| *why == ProxyRefusal::SourceFlood));
    // Another source, the same one for an emergency, and the same one a second later.
    let other = "10.0.0.11:5060";
    bench.receive(other, &nth_invite("+441", 200));
    bench.take(other, "SIP/2.0 100 ");
    bench.receive(CALLER, &nth_invite("112", 201));
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.wait_ms(100);
    bench.receive(CALLER, &nth_invite("+441", 202));
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.receive(CALLER, &nth_invite("+441", 203));
    assert!(
        bench
            .take(CALLER, "SIP/2.0 503 ")
            .text
            .contains("\r\nRetry-After: ")
    );
}

/// A retransmission is no new call: it is not counted.
#[test]
fn a18_a_storm_of_one_invite_is_one_call_of_its_source() {
    let mut bench = Bench::new();
    bench.engine.limit_sources(1);
    let call = bench.call_to("+441");
    for _ in 0..100 {
        bench.receive(CALLER, &call);
    }
    assert_eq!(bench.ignore(CALLER, "SIP/2.0 100 "), 100);
    assert_eq!(bench.ignore(LON, "INVITE "), 1);
    assert!(refusals(&bench).is_empty());
}

/// Security case 13: a challenge is the caller's to answer, in its own transaction; one that
/// belongs to nothing goes nowhere, and we send no credentials to anybody.
#[test]
fn a13_a_challenge_is_relayed_to_who_was_challenged_and_never_answered() {
    let mut bench = Bench::new();
    let call = bench.call_to("+441");
    let invited = bench.take(LON, "INVITE ");
    let challenge = "Proxy-Authenticate: Digest realm=\"evil\", nonce=\"1\",\r\n qop=\"auth\"\r\n";
    bench.answer(&invited, 407, challenge);
    bench.take(LON, "ACK ");
    let refused = bench.take(CALLER, "SIP/2.0 407 ").text;
    assert!(refused.contains(challenge), "{refused}");
    bench.receive(CALLER, &ack_of(&call, &refused));
    // The same again, in no transaction of ours and in one that is none.
    let stray = respond(&invited.text, 407, challenge).replace("branch=z9hG4bK", "branch=z9hG4bKx");
    bench.receive(LON, &stray);
    bench.receive(STRANGER, &stray);
    bench.quiet();
    assert_eq!(drops(&bench).len(), 2, "{:?}", bench.events);
    bench.rest();
}
