//! What crosses what: CANCEL and answers, lost and late messages.

use trunkline::proxy::EndedBy;

use crate::bench::{Bench, CALLER, Dialog, LON, MAN, ack_of, cancel_of, respond, value};

#[test]
fn cancel_while_ringing() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    let cancel = cancel_of(&invite).replace(
        "CSeq:",
        "Reason: SIP;cause=200;text=\"Call completed elsewhere\"\r\nCSeq:",
    );
    bench.receive(CALLER, &cancel);
    bench.take(CALLER, "SIP/2.0 200 ");
    let sent_on = bench.take(LON, "CANCEL sip:+441@10.0.1.1:5060 SIP/2.0\r\n");
    assert!(value(&sent_on.text, "Reason").contains("completed elsewhere"));
    assert_eq!(value(&sent_on.text, "CSeq"), "1 CANCEL");
    // Repeated on either side.
    bench.receive(CALLER, &cancel);
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.wait_ms(500);
    bench.take(LON, "CANCEL ");
    bench.answer(&sent_on, 200, "");
    bench.answer(&sent, 487, "");
    bench.take(LON, "ACK ");
    let ended = bench.take(CALLER, "SIP/2.0 487 ");
    bench.receive(CALLER, &ack_of(&invite, &ended.text));
    bench.quiet();
    assert_eq!(bench.call().ended_by, EndedBy::Caller);
    bench.rest();
}

#[test]
fn cancel_before_anybody_rang_waits_for_the_first_word() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.receive(CALLER, &cancel_of(&invite));
    bench.take(CALLER, "SIP/2.0 200 ");
    // RFC 3261 §9.1: not before a provisional response.
    bench.quiet();
    bench.answer(&sent, 100, "");
    bench.take(LON, "CANCEL ");
    bench.answer(&sent, 487, "");
    bench.take(LON, "ACK ");
    bench.take(CALLER, "SIP/2.0 487 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn cancel_of_a_call_to_a_silent_trunk_ends_the_call() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    bench.receive(CALLER, &cancel_of(&invite));
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.wait_ms(4_000);
    bench.take(CALLER, "SIP/2.0 487 ");
    assert_eq!(bench.ignore(MAN, ""), 0, "who hung up needs no other route");
    assert_eq!(bench.call().ended_by, EndedBy::Caller);
    bench.rest();
}

#[test]
fn cancel_crosses_200() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.receive(CALLER, &cancel_of(&invite));
    bench.take(CALLER, "SIP/2.0 200 ");
    let cancel = bench.take(LON, "CANCEL ");
    // The callee had answered already.
    bench.answer(&sent, 200, "");
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    assert_eq!(value(&ok.text, "CSeq"), "1 INVITE");
    bench.answer(&cancel, 200, "");
    let dialog = Dialog::of(&invite, &ok.text);
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    bench.take("10.0.1.9:5070", "ACK ");
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    bench.take("10.0.1.9:5070", "BYE ");
    assert_eq!(bench.call().status.code(), 200);
    bench.rest();
}

#[test]
fn cancel_after_200_changes_nothing() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.receive(CALLER, &cancel_of(&invite));
    let served = bench.take(CALLER, "SIP/2.0 200 ");
    assert_eq!(value(&served.text, "CSeq"), "1 CANCEL");
    bench.quiet();
    bench.rest();
}

#[test]
fn cancel_of_nothing_is_481() {
    let mut bench = Bench::new();
    bench.receive(CALLER, &cancel_of(&crate::bench::invite("+441", "1")));
    bench.take(CALLER, "SIP/2.0 481 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn a_200_of_a_trunk_we_gave_up_on_is_relayed_and_ends_the_other_attempt() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let lon = bench.take(LON, "INVITE ");
    bench.wait_ms(4_000);
    bench.ignore(LON, "INVITE ");
    let man = bench.take(MAN, "INVITE ");
    bench.answer(&man, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    // Its 180 was lost; its callee answers.
    bench.answer(&lon, 200, "");
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    let cancel = bench.take(MAN, "CANCEL ");
    bench.answer(&cancel, 200, "");
    bench.answer(&man, 487, "");
    bench.take(MAN, "ACK ");
    bench.quiet();
    bench.receive(CALLER, &Dialog::of(&invite, &ok.text).by_caller("ACK", 1));
    bench.take("10.0.1.9:5070", "ACK ");
    let call = bench.call();
    assert_eq!((call.status.code(), call.attempts.len()), (200, 2));
    bench.rest();
}

#[test]
fn two_200s_both_reach_the_caller() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let lon = bench.take(LON, "INVITE ");
    bench.wait_ms(4_000);
    bench.ignore(LON, "INVITE ");
    let man = bench.take(MAN, "INVITE ");
    bench.answer(&man, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    let late = respond(&lon.text, 200, "").replace("tag=bob", "tag=late");
    bench.receive(LON, &late);
    let second = bench.take(CALLER, "SIP/2.0 200 ");
    assert!(value(&second.text, "To").ends_with(";tag=late"));
    assert_eq!(bench.call().status.code(), 200, "told of once");
    bench.rest();
}

#[test]
fn a_200_after_the_caller_was_refused_still_reaches_it() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let lon = bench.take(LON, "INVITE ");
    bench.wait_ms(4_000);
    bench.ignore(LON, "INVITE ");
    let man = bench.take(MAN, "INVITE ");
    bench.answer(&man, 404, "");
    bench.take(MAN, "ACK ");
    let refused = bench.take(CALLER, "SIP/2.0 404 ");
    bench.receive(CALLER, &ack_of(&invite, &refused.text));
    bench.answer(&lon, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn a_trunk_we_gave_up_on_is_cancelled_when_it_wakes() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let lon = bench.take(LON, "INVITE ");
    bench.wait_ms(4_000);
    bench.ignore(LON, "INVITE ");
    let man = bench.take(MAN, "INVITE ");
    bench.answer(&lon, 180, "");
    let cancel = bench.take(LON, "CANCEL ");
    bench.quiet();
    bench.answer(&cancel, 200, "");
    bench.answer(&lon, 487, "");
    bench.take(LON, "ACK ");
    bench.quiet();
    bench.answer(&man, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.quiet();
    bench.rest();
}
