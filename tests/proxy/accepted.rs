//! A 2xx and its ACK on a hop that loses them: RFC 3261 §13.3.1.4.

use trunkline::proxy::{ProxyEvent, ProxyRepeat};

use crate::bench::{Bench, CALLER, Dialog, LON, Sent, invite};

const BOB: &str = "10.0.1.9:5070";

/// A call that was answered: its INVITE at the trunk, the answer as the trunk sent it and as
/// the caller got it, and the dialog.
fn answered(bench: &mut Bench) -> (Sent, String, Sent, Dialog) {
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    let ok = bench.answer(&sent, 200, "");
    let first = bench.take(CALLER, "SIP/2.0 200 ");
    let dialog = Dialog::of(&invite, &first.text);
    (sent, ok, first, dialog)
}

fn counted(bench: &Bench, what: ProxyRepeat) -> usize {
    let fits = |event: &&ProxyEvent| matches!(event, ProxyEvent::Repeated(is) if *is == what);
    bench.events.iter().filter(fits).count()
}

#[test]
fn a_lost_200_is_repeated_to_the_caller_until_it_is_acknowledged() {
    let mut bench = Bench::new();
    let (_, ok, first, dialog) = answered(&mut bench);
    for after_ms in [500, 1_000, 2_000, 4_000, 4_000] {
        bench.wait_ms(after_ms - 1);
        bench.quiet();
        // What the callee repeats meanwhile stays here.
        bench.receive(LON, &ok);
        bench.quiet();
        bench.wait_ms(1);
        assert_eq!(bench.take(CALLER, "SIP/2.0 200 ").text, first.text);
    }
    assert_eq!(counted(&bench, ProxyRepeat::Success), 5);
    assert_eq!(counted(&bench, ProxyRepeat::SuccessAbsorbed), 5);
    // The INVITE again, for the caller has not heard of it: absorbed (RFC 6026).
    let invite = invite("+441", "1");
    bench.receive(CALLER, &invite);
    bench.quiet();
    assert_eq!(counted(&bench, ProxyRepeat::Request), 1);
    // An ACK for each 200 the caller got: every one of them goes on.
    for _ in 0..3 {
        bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    }
    let acks: Vec<String> = (0..3).map(|_| bench.take(BOB, "ACK ").text).collect();
    assert!(
        acks.iter().all(|ack| *ack == acks[0]),
        "alike: RFC 3261 §16.11"
    );
    bench.wait_ms(10_000);
    bench.quiet();
    // They were lost: the callee says so, and the caller is not troubled.
    for _ in 0..3 {
        bench.receive(LON, &ok);
        assert_eq!(bench.take(BOB, "ACK ").text, acks[0]);
        bench.quiet();
    }
    assert_eq!(counted(&bench, ProxyRepeat::Ack), 3);
    // After 64*T1 nobody is interested any more.
    bench.wait_ms(40_000);
    bench.receive(LON, &ok);
    bench.quiet();
    bench.rest();
}

#[test]
fn no_ack_is_made_up_for_a_caller_that_sends_none() {
    let mut bench = Bench::new();
    let (_, ok, ..) = answered(&mut bench);
    for _ in 0..8 {
        bench.wait_ms(4_000);
        bench.receive(LON, &ok);
    }
    assert_eq!(bench.ignore(CALLER, "SIP/2.0 200 "), 10);
    assert_eq!(bench.ignore(BOB, ""), 0, "no ACK");
    bench.wait_ms(60_000);
    bench.quiet();
    bench.rest();
}

#[test]
fn an_ack_with_an_answer_is_kept_byte_for_byte() {
    let mut bench = Bench::new();
    let (_, ok, _, dialog) = answered(&mut bench);
    let ack = dialog.by_caller("ACK", 1).replacen(
        "Content-Length: 0\r\n\r\n",
        "Content-Type: application/sdp\r\nContent-Length: 10\r\n\r\nv=0\r\no=- \0",
        1,
    );
    bench.receive(CALLER, &ack);
    let sent = bench.take(BOB, "ACK ");
    assert!(sent.text.ends_with("\r\n\r\nv=0\r\no=- \0"));
    bench.receive(LON, &ok);
    assert_eq!(bench.take(BOB, "ACK ").text, sent.text);
    bench.quiet();
    bench.rest();
}

#[test]
fn each_dialog_of_a_forked_invite_has_its_own_ack() {
    let mut bench = Bench::new();
    let (sent, ok, first, dialog) = answered(&mut bench);
    let fork = |text: &str| text.replace("tag=bob", "tag=carol");
    bench.receive(LON, &fork(&ok));
    let other = bench.take(CALLER, "SIP/2.0 200 ");
    assert_eq!(other.text, fork(&first.text));
    let other = Dialog::of(&invite("+441", "1"), &other.text);
    bench.receive(CALLER, &other.by_caller("ACK", 1));
    let ack = bench.take(BOB, "ACK ");
    bench.receive(LON, &fork(&ok));
    assert_eq!(bench.take(BOB, "ACK ").text, ack.text);
    // The first one still waits for its own.
    bench.receive(LON, &ok);
    bench.quiet();
    bench.wait_ms(500);
    assert_eq!(bench.take(CALLER, "SIP/2.0 200 ").text, first.text);
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    bench.take(BOB, "ACK ");
    bench.wait_ms(20_000);
    bench.quiet();
    drop(sent);
    bench.rest();
}

#[test]
fn a_bye_ends_the_repeating() {
    for by_callee in [false, true] {
        let mut bench = Bench::new();
        let (_, ok, first, dialog) = answered(&mut bench);
        let (bye, from, to) = if by_callee {
            (dialog.by_callee("BYE", 2), BOB, CALLER)
        } else {
            (dialog.by_caller("BYE", 2), CALLER, BOB)
        };
        bench.receive(from, &bye);
        let sent = bench.take(to, "BYE ");
        bench.answer(&sent, 200, "");
        bench.take(from, "SIP/2.0 200 ");
        bench.wait_ms(2_000);
        bench.quiet();
        // As without us: what the callee repeats all the same goes on.
        bench.receive(LON, &ok);
        assert_eq!(bench.take(CALLER, "SIP/2.0 200 ").text, first.text);
        bench.quiet();
        bench.rest();
    }
}

#[test]
fn a_re_invite_of_either_side_is_treated_alike() {
    let mut bench = Bench::new();
    let (.., dialog) = answered(&mut bench);
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    bench.take(BOB, "ACK ");
    for from_callee in [false, true] {
        let (again, ack, here, there) = if from_callee {
            let ack = dialog.by_callee("ACK", 7);
            (dialog.by_callee("INVITE", 7), ack, BOB, CALLER)
        } else {
            let ack = dialog.by_caller("ACK", 7);
            (dialog.by_caller("INVITE", 7), ack, CALLER, BOB)
        };
        let ack = ack.replace("CSeq: 1 ACK", "CSeq: 7 ACK");
        bench.receive(here, &again);
        bench.take(here, "SIP/2.0 100 ");
        let sent = bench.take(there, "INVITE ");
        let ok = bench.answer(&sent, 200, "");
        let first = bench.take(here, "SIP/2.0 200 ");
        bench.receive(there, &ok);
        bench.quiet();
        bench.wait_ms(500);
        assert_eq!(bench.take(here, "SIP/2.0 200 ").text, first.text);
        bench.receive(here, &ack);
        let sent = bench.take(there, "ACK ");
        bench.receive(there, &ok);
        assert_eq!(bench.take(there, "ACK ").text, sent.text);
        bench.wait_ms(5_000);
        bench.quiet();
    }
    bench.rest();
}

/// The second pass of a spiral, or whoever else brings the same dialog: its ACKs cannot be
/// told apart, so its 2xx goes from end to end.
#[test]
fn where_two_invites_of_one_dialog_wait_only_the_first_is_repeated() {
    let mut bench = Bench::new();
    let (_, _, first, dialog) = answered(&mut bench);
    let other = "10.0.0.11:5060";
    let second = invite("+442", "1").replace("z9hG4bKcaller1", "z9hG4bKagain");
    bench.receive(other, &second);
    bench.take(other, "SIP/2.0 100 ");
    let sent = bench.take(LON, "INVITE ");
    let ok = bench.answer(&sent, 200, "");
    let relayed = bench.take(other, "SIP/2.0 200 ");
    assert_ne!(relayed.text, first.text);
    bench.receive(LON, &ok);
    assert_eq!(bench.take(other, "SIP/2.0 200 ").text, relayed.text);
    bench.wait_ms(500);
    assert_eq!(bench.take(CALLER, "SIP/2.0 200 ").text, first.text);
    bench.quiet();
    // An ACK from elsewhere is not the one of the first.
    bench.receive(other, &dialog.by_caller("ACK", 1));
    bench.take(BOB, "ACK ");
    bench.wait_ms(1_000);
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    bench.take(BOB, "ACK ");
    bench.wait_ms(10_000);
    bench.quiet();
    bench.rest();
}
