//! Inside a dialog: along the Route set, past the table.

use trunkline::proxy::ProxyEvent;

use crate::bench::{
    Bench, CALLER, Dialog, LON, PROXY, ack_of, cancel_of, invite, settings, table, value, values,
};

const BOB: &str = "10.0.1.9:5070";

/// A call that was answered, and its dialog.
fn answered(bench: &mut Bench) -> Dialog {
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 200, "");
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    let dialog = Dialog::of(&invite, &ok.text);
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    bench.take(BOB, "ACK ");
    dialog
}

#[test]
fn every_method_goes_both_ways_and_is_answered() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    let methods = [
        "PRACK", "UPDATE", "INFO", "REFER", "NOTIFY", "MESSAGE", "ODD", "BYE",
    ];
    for (method, number) in methods.iter().zip(2..) {
        let out = dialog.by_caller(method, number).replacen(
            "\r\nFrom:",
            "\r\nRefer-To: <sip:+449@x?Replaces=a%3Bb>\r\nFrom:",
            1,
        );
        bench.receive(CALLER, &out);
        let sent = bench.take(BOB, &format!("{method} sip:bob@10.0.1.9:5070 SIP/2.0\r\n"));
        assert_eq!(value(&sent.text, "Refer-To"), "<sip:+449@x?Replaces=a%3Bb>");
        assert!(values(&sent.text, "Record-Route").is_empty());
        assert!(values(&sent.text, "Route").is_empty());
        assert_eq!(value(&sent.text, "Max-Forwards"), "69");
        bench.quiet();
        // RFC 4320: no provisional response goes back.
        bench.answer(&sent, 100, "");
        bench.answer(&sent, 183, "");
        bench.quiet();
        bench.answer(&sent, 202, "");
        bench.take(CALLER, "SIP/2.0 202 ");
        bench.receive(CALLER, &out);
        bench.take(CALLER, "SIP/2.0 202 ");

        bench.receive(BOB, &dialog.by_callee(method, number));
        let sent = bench.take(
            CALLER,
            &format!("{method} sip:alice@10.0.0.10:5060 SIP/2.0\r\n"),
        );
        bench.answer(&sent, 200, "");
        bench.take(BOB, "SIP/2.0 200 ");
        bench.quiet();
    }
    bench.rest();
}

#[test]
fn a_re_invite_is_a_call_of_its_own_without_the_table() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    for from_callee in [false, true] {
        let (again, here, there) = if from_callee {
            (dialog.by_callee("INVITE", 7), BOB, CALLER)
        } else {
            (dialog.by_caller("INVITE", 7), CALLER, BOB)
        };
        bench.receive(here, &again);
        bench.take(here, "SIP/2.0 100 ");
        let sent = bench.take(there, "INVITE ");
        bench.answer(&sent, 180, "");
        bench.take(here, "SIP/2.0 180 ");
        bench.answer(&sent, 200, "");
        bench.take(here, "SIP/2.0 200 ");
        let ack = if from_callee {
            dialog.by_callee("ACK", 7)
        } else {
            dialog.by_caller("ACK", 7)
        };
        bench.receive(here, &ack.replace("CSeq: 1 ACK", "CSeq: 7 ACK"));
        bench.take(there, "ACK ");
    }
    // Refused, and both sides acknowledge.
    let again = dialog.by_caller("INVITE", 8);
    bench.receive(CALLER, &again);
    bench.take(CALLER, "SIP/2.0 100 ");
    let sent = bench.take(BOB, "INVITE ");
    bench.answer(&sent, 491, "");
    bench.take(BOB, "ACK ");
    let refused = bench.take(CALLER, "SIP/2.0 491 ");
    bench.receive(CALLER, &ack_of(&again, &refused.text));
    bench.wait_ms(5_000);
    bench.quiet();
    bench.rest();
}

#[test]
fn glare_is_for_the_ends_to_solve() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    bench.receive(CALLER, &dialog.by_caller("INVITE", 7));
    bench.take(CALLER, "SIP/2.0 100 ");
    let to_bob = bench.take(BOB, "INVITE ");
    bench.receive(BOB, &dialog.by_callee("INVITE", 7));
    bench.take(BOB, "SIP/2.0 100 ");
    let to_alice = bench.take(CALLER, "INVITE ");
    bench.answer(&to_bob, 491, "");
    bench.take(BOB, "ACK ");
    bench.take(CALLER, "SIP/2.0 491 ");
    bench.answer(&to_alice, 491, "");
    bench.take(CALLER, "ACK ");
    bench.take(BOB, "SIP/2.0 491 ");
    bench.rest();
}

#[test]
fn a_re_invite_can_be_cancelled() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    let again = dialog.by_caller("INVITE", 7);
    bench.receive(CALLER, &again);
    bench.take(CALLER, "SIP/2.0 100 ");
    let sent = bench.take(BOB, "INVITE ");
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.receive(CALLER, &cancel_of(&again).replace("1 CANCEL", "7 CANCEL"));
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.take(BOB, "CANCEL sip:bob@10.0.1.9:5070 ");
    bench.answer(&sent, 487, "");
    bench.take(BOB, "ACK ");
    bench.take(CALLER, "SIP/2.0 487 ");
    bench.rest();
}

#[test]
fn a_bye_nobody_answers_is_repeated_and_then_forgotten() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    bench.take(BOB, "BYE ");
    bench.wait_ms(3_500);
    // RFC 4320 §4.1: by now the caller wants to hear that we are here.
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.wait_ms(36_000);
    assert!(bench.ignore(BOB, "BYE ") >= 9);
    // RFC 4320 §4.2: no 408.
    bench.quiet();
    let silent = |event: &ProxyEvent| matches!(event, ProxyEvent::InDialog { status: None, .. });
    assert_eq!(bench.events.iter().filter(|e| silent(e)).count(), 1);
    bench.rest();
}

#[test]
fn a_bye_to_a_dead_end_is_answered_at_once() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    let sent = bench.take(BOB, "BYE ");
    bench.bounce(&sent);
    bench.take(CALLER, "SIP/2.0 500 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn strict_routers_on_either_side() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    // Before us: our Record-Route as Request-URI, the callee at the end of Route.
    let bye = dialog.by_caller("BYE", 2);
    let own = value(&bye, "Route");
    let uri = own.trim_matches(['<', '>']);
    let strict = bye
        .replacen("BYE sip:bob@10.0.1.9:5070", &format!("BYE {uri}"), 1)
        .replacen(&own, "<sip:bob@10.0.1.9:5070>", 1);
    bench.receive(CALLER, &strict);
    let sent = bench.take(BOB, "BYE sip:bob@10.0.1.9:5070 SIP/2.0\r\n");
    assert!(values(&sent.text, "Route").is_empty());
    // Behind us: it takes the Request-URI, and the callee goes to the end of Route.
    let bye = dialog.by_caller("BYE", 3).replacen(
        &format!("Route: {own}"),
        &format!("Route: {own}, <sip:10.0.1.8>, <sip:10.0.1.7;lr>"),
        1,
    );
    bench.receive(CALLER, &bye);
    let sent = bench.take("10.0.1.8:5060", "BYE sip:10.0.1.8 SIP/2.0\r\n");
    assert_eq!(
        values(&sent.text, "Route"),
        ["<sip:10.0.1.7;lr>", "<sip:bob@10.0.1.9:5070>"]
    );
    bench.rest();
}

#[test]
fn a_dialog_outlives_us() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    // A new process with another secret: what the table knows can still be reached.
    let mut other = settings(bench.now.instant);
    other.secret = *b"another one     ";
    let mut bench = Bench::with(table(crate::bench::TABLE), other, bench.now.instant);
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    let sent = bench.take(BOB, "BYE ");
    bench.answer(&sent, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.receive(BOB, &dialog.by_callee("BYE", 2));
    bench.take(CALLER, "BYE ");
    bench.rest();
}

#[test]
fn a_dialog_reaches_a_contact_the_table_does_not_know_only_if_it_was_made_here() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 200, "Contact: <sip:bob@192.0.2.77>\r\n");
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    let dialog = Dialog::of(&invite, &ok.text);
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    bench.take("192.0.2.77:5060", "BYE ");
    // The mark of another dialog does not open this one.
    let foreign = dialog
        .by_caller("BYE", 3)
        .replacen("Call-ID: call1", "Call-ID: call2", 1);
    bench.receive(CALLER, &foreign);
    bench.take(CALLER, "SIP/2.0 403 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn a_request_that_does_not_come_by_its_route_is_of_no_dialog() {
    let mut bench = Bench::new();
    let dialog = answered(&mut bench);
    let bye = dialog.by_caller("BYE", 2);
    let own = value(&bye, "Route");
    let routeless = bye.replacen(&format!("Route: {own}\r\n"), "", 1);
    bench.receive(CALLER, &routeless);
    bench.take(CALLER, "SIP/2.0 481 ");
    // To ourselves, in a circle.
    let circle = dialog.by_caller("BYE", 3).replacen(
        "sip:bob@10.0.1.9:5070",
        &format!("sip:bob@{PROXY}"),
        1,
    );
    bench.receive(CALLER, &circle);
    bench.take(CALLER, "SIP/2.0 481 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn a_reliable_provisional_response_is_acknowledged_end_to_end() {
    let mut bench = Bench::new();
    let invite = invite("+441", "1").replacen("\r\nFrom:", "\r\nSupported: 100rel\r\nFrom:", 1);
    bench.receive(CALLER, &invite);
    bench.take(CALLER, "SIP/2.0 100 ");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 183, "Require: 100rel\r\nRSeq: 1\r\n");
    let early = bench.take(CALLER, "SIP/2.0 183 ");
    assert_eq!(value(&early.text, "RSeq"), "1");
    let prack = Dialog::of(&invite, &early.text)
        .by_caller("PRACK", 2)
        .replacen("\r\nFrom:", "\r\nRAck: 1 1 INVITE\r\nFrom:", 1);
    bench.receive(CALLER, &prack);
    let sent_on = bench.take(BOB, "PRACK ");
    assert_eq!(value(&sent_on.text, "RAck"), "1 1 INVITE");
    bench.answer(&sent_on, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.answer(&sent, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.rest();
}
