//! Whole calls: answered, busy, never answered, refused by the table.

use trunkline::proxy::EndedBy;
use trunkline::routing::Stop;

use crate::bench::{
    BER, Bench, CALLER, Dialog, LON, PROXY, PROXY_V6, ack_of, invite, respond, value, values,
};

#[test]
fn a_call_is_carried_to_its_trunk_and_answered() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE sip:+441@10.0.1.1:5060 SIP/2.0\r\n");
    bench.quiet();
    // What we add.
    let vias = values(&sent.text, "Via");
    assert!(vias[0].starts_with(&format!("SIP/2.0/UDP {PROXY};rport;branch=z9hG4bKtl03")));
    assert_eq!(
        vias[1],
        "SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKcaller1;rport=5060;received=10.0.0.10"
    );
    assert_eq!(value(&sent.text, "Max-Forwards"), "69");
    let own = value(&sent.text, "Record-Route");
    assert!(own.starts_with("<sip:10.0.0.1:5060;lr;tl="), "{own}");
    // What we leave: unknown fields as they were spelled, the body to its last byte.
    assert!(sent.text.contains("\r\nX-Odd :  kept  as it is \r\n"));
    assert!(sent.text.ends_with("\r\n\r\nv=0\r\no=- \0"));

    bench.answer(&sent, 100, "");
    bench.quiet();
    bench.answer(&sent, 180, "");
    let ringing = bench.take(CALLER, "SIP/2.0 180 Whatever\r\n");
    assert_eq!(values(&ringing.text, "Via"), vias[1..]);
    bench.answer(&sent, 200, "X-Other: 1\r\n");
    let ok = bench.take(CALLER, "SIP/2.0 200 Whatever\r\n");
    assert!(ok.text.contains("X-Other: 1\r\n"));

    let dialog = Dialog::of(&invite, &ok.text);
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    let ack = bench.take("10.0.1.9:5070", "ACK sip:bob@10.0.1.9:5070 SIP/2.0\r\n");
    assert!(values(&ack.text, "Route").is_empty());
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    let bye = bench.take("10.0.1.9:5070", "BYE sip:bob@10.0.1.9:5070 SIP/2.0\r\n");
    bench.answer(&bye, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.quiet();
    let call = bench.call();
    assert_eq!((call.status.code(), call.ended_by), (200, EndedBy::Answer));
    assert_eq!(call.attempts.len(), 1);
    assert!(call.progress_ms.is_some());
    bench.rest();
}

#[test]
fn busy_goes_back_and_is_acknowledged_on_both_sides() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    let busy = bench.answer(&sent, 486, "Reason: Q.850;cause=17\r\n");
    let ack = bench.take(LON, "ACK sip:+441@10.0.1.1:5060 SIP/2.0\r\n");
    assert_eq!(value(&ack.text, "Via"), value(&sent.text, "Via"));
    assert_eq!(value(&ack.text, "To"), value(&busy, "To"));
    let got = bench.take(CALLER, "SIP/2.0 486 ");
    assert_eq!(value(&got.text, "Reason"), "Q.850;cause=17");
    // Until it is acknowledged it is repeated, as is our ACK when the 486 is.
    bench.wait_ms(1_600);
    assert_eq!(bench.ignore(CALLER, "SIP/2.0 486 "), 2);
    bench.receive(LON, &busy);
    bench.take(LON, "ACK ");
    bench.receive(CALLER, &ack_of(&invite, &got.text));
    bench.wait_ms(10_000);
    bench.quiet();
    let call = bench.call();
    assert_eq!(call.status.code(), 486);
    assert_eq!(call.ended_by, EndedBy::Search(Stop::NotListed));
    assert_eq!(call.attempts[0].ending.unwrap().q850, Some(17));
    bench.rest();
}

#[test]
fn a_repeated_invite_is_one_call() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    for _ in 0..5 {
        bench.receive(CALLER, &invite);
        bench.take(CALLER, "SIP/2.0 100 ");
    }
    let sent = bench.take(LON, "INVITE ");
    bench.quiet();
    bench.answer(&sent, 183, "");
    bench.take(CALLER, "SIP/2.0 183 ");
    bench.receive(CALLER, &invite);
    bench.take(CALLER, "SIP/2.0 183 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn all_early_dialogs_are_relayed() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    for tag in ["one", "two", "three"] {
        let response = respond(&sent.text, 183, "").replace("tag=bob", &format!("tag={tag}"));
        bench.receive(LON, &response);
        let got = bench.take(CALLER, "SIP/2.0 183 ");
        assert!(value(&got.text, "To").ends_with(&format!(";tag={tag}")));
    }
    bench.rest();
}

#[test]
fn the_table_refuses_with_its_own_words() {
    for (number, line) in [
        ("+449", "SIP/2.0 603 Not from here\r\n"),
        ("+1", "SIP/2.0 404 Not Found\r\n"),
    ] {
        let mut bench = Bench::new();
        let invite = invite(number, "1");
        bench.receive(CALLER, &invite);
        let refused = bench.take(CALLER, line);
        bench.quiet();
        bench.wait_ms(600);
        bench.take(CALLER, line);
        bench.receive(CALLER, &ack_of(&invite, &refused.text));
        bench.wait_ms(5_000);
        bench.quiet();
        assert_eq!(bench.call().ended_by, EndedBy::Table);
        bench.rest();
    }
}

#[test]
fn a_call_into_another_network_has_two_record_routes_and_its_numbers_rewritten() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+4930123");
    let sent = bench.take(BER, "INVITE sip:030123@[2001:db8::49] SIP/2.0\r\n");
    assert_eq!(sent.listener, 1);
    assert!(value(&sent.text, "Via").starts_with(&format!("SIP/2.0/UDP {PROXY_V6};")));
    let own = values(&sent.text, "Record-Route");
    assert_eq!(own.len(), 2);
    assert!(own[0].starts_with("<sip:[2001:db8::1]:5060;lr;tl="));
    assert!(own[1].starts_with("<sip:10.0.0.1:5060;lr;tl="));
    assert_eq!(
        value(&sent.text, "P-Asserted-Identity"),
        "<sip:01632960001@10.0.0.10>"
    );
    assert!(
        value(&sent.text, "From").contains("+441632960001"),
        "From stays"
    );

    bench.answer(&sent, 200, "Contact: <sip:bob@[2001:db8::49]:5070>\r\n");
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    assert_eq!(ok.listener, 0);
    let dialog = Dialog::of(&invite, &ok.text);
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    let ack = bench.take("[2001:db8::49]:5070", "ACK ");
    assert_eq!((ack.listener, values(&ack.text, "Route").len()), (1, 0));
    bench.receive("[2001:db8::49]:5060", &dialog.by_callee("BYE", 1));
    let bye = bench.take(CALLER, "BYE sip:alice@10.0.0.10:5060 ");
    assert_eq!((bye.listener, values(&bye.text, "Route").len()), (0, 0));
    bench.rest();
}

#[test]
fn a_late_offer_passes_unread() {
    let mut bench = Bench::new();
    let invite = invite("+441", "1")
        .replace("Content-Type: application/sdp\r\n", "")
        .replace(
            "Content-Length: 10\r\n\r\nv=0\r\no=- \0",
            "Content-Length: 0\r\n\r\n",
        );
    bench.receive(CALLER, &invite);
    bench.take(CALLER, "SIP/2.0 100 ");
    let sent = bench.take(LON, "INVITE ");
    assert!(sent.text.ends_with("\r\n\r\n"));
    let answer = respond(&sent.text, 200, "Content-Type: application/sdp\r\n")
        .replace("Content-Length: 0\r\n\r\n", "Content-Length: 3\r\n\r\nv=0");
    bench.receive(LON, &answer);
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    assert!(ok.text.ends_with("Content-Length: 3\r\n\r\nv=0"));
    let ack = Dialog::of(&invite, &ok.text)
        .by_caller("ACK", 1)
        .replace("Content-Length: 0\r\n\r\n", "Content-Length: 4\r\n\r\nv=00");
    bench.receive(CALLER, &ack);
    let sent = bench.take("10.0.1.9:5070", "ACK ");
    assert!(sent.text.ends_with("Content-Length: 4\r\n\r\nv=00"));
    bench.rest();
}

#[test]
fn a_phone_that_rings_on_is_cancelled_by_timer_c() {
    let mut bench = Bench::new();
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.wait_ms(170_000);
    bench.quiet();
    // It says so again: the time begins anew. RFC 3261 §16.7 step 2.
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.wait_ms(180_999);
    bench.quiet();
    bench.wait_ms(1);
    let cancel = bench.take(LON, "CANCEL sip:+441@10.0.1.1:5060 SIP/2.0\r\n");
    assert_eq!(value(&cancel.text, "Via"), value(&sent.text, "Via"));
    bench.answer(&cancel, 200, "");
    bench.answer(&sent, 487, "");
    bench.take(LON, "ACK ");
    let ended = bench.take(CALLER, "SIP/2.0 487 ");
    bench.receive(CALLER, &ack_of(&invite, &ended.text));
    bench.quiet();
    bench.rest();
}

#[test]
fn a_phone_that_rings_on_and_does_not_hear_the_cancel_ends_with_408() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.wait_ms(181_000);
    bench.wait_ms(31_999);
    assert!(bench.ignore(LON, "CANCEL ") > 5);
    bench.quiet();
    bench.wait_ms(1);
    bench.take(CALLER, "SIP/2.0 408 ");
    bench.rest();
}

#[test]
fn nobody_rings_for_ever() {
    let mut bench = Bench::new();
    bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    for _ in 0..59 {
        bench.answer(&sent, 180, "");
        bench.take(CALLER, "SIP/2.0 180 ");
        bench.wait_ms(60_000);
    }
    bench.quiet();
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.wait_ms(60_000);
    bench.take(LON, "CANCEL ");
    bench.rest();
}
