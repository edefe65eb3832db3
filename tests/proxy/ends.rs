//! What is told of the end of a call: who ended it, when, and once.

use trunkline::proxy::{CallEnd, CallEnded, CallWords, ProxyEvent};

use crate::bench::{Bench, CALLER, Dialog, LON, Sent, settings, table};
use crate::bench::{TABLE, invite};

const BOB: &str = "10.0.1.9:5070";

fn following() -> Bench {
    let mut bench = Bench::new();
    bench.engine.follow_calls();
    bench
}

/// A call that is up, answered after two seconds.
fn answered(bench: &mut Bench, lines: &str) -> (Sent, Dialog) {
    let invite = bench.call_to("+441");
    let sent = bench.take(LON, "INVITE ");
    bench.wait_ms(400);
    bench.answer(&sent, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.wait_ms(1_600);
    bench.answer(&sent, 200, lines);
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    let dialog = Dialog::of(&invite, &ok.text);
    bench.receive(CALLER, &dialog.by_caller("ACK", 1));
    bench.take(BOB, "ACK ");
    (sent, dialog)
}

fn ends(bench: &Bench) -> Vec<&CallEnded> {
    let events = bench.events.iter();
    let ends = events.filter_map(|event| match event {
        ProxyEvent::Ended(ended) => Some(&**ended),
        _ => None,
    });
    ends.collect()
}

#[track_caller]
fn the_end(bench: &Bench) -> &CallEnded {
    let ends = ends(bench);
    assert_eq!(ends.len(), 1, "{ends:#?}");
    ends[0]
}

#[test]
fn who_hangs_up_is_told_and_why() {
    for (from, to, by) in [
        (CALLER, BOB, CallEnd::Caller),
        (BOB, CALLER, CallEnd::Callee),
    ] {
        let mut bench = following();
        let (_, dialog) = answered(&mut bench, "");
        assert!(bench.call().is_followed);
        assert_eq!(bench.call().attempts[0].ended_ms, Some(2_000));
        assert_eq!(bench.call().sent_to[0], Some(LON.parse().unwrap()));
        bench.wait_ms(61_000);
        let bye = match by {
            CallEnd::Caller => dialog.by_caller("BYE", 2),
            _ => dialog.by_callee("BYE", 2),
        };
        let bye = bye.replacen(
            "\r\nContent-Length",
            "\r\nReason: Q.850;cause=16;text=\"Normal call clearing\"\r\nContent-Length",
            1,
        );
        bench.receive(from, &bye);
        assert!(ends(&bench).is_empty(), "not before its answer");
        let sent = bench.take(to, "BYE ");
        bench.wait_ms(300);
        bench.answer(&sent, 200, "");
        bench.take(from, "SIP/2.0 200 ");
        let ended = the_end(&bench);
        assert_eq!(ended.call, Some(bench.call().number));
        assert_eq!((ended.by, ended.up_ms), (by, Some(61_000)));
        assert_eq!(ended.source, Some(from.parse().unwrap()));
        let words = CallWords::of(&ended.bye);
        assert_eq!(words.q850, Some(16));
        assert_eq!(words.text, Some(&b"Normal call clearing"[..]));
        assert_eq!(words.call_id, b"call1@10.0.0.10");
        bench.rest();
    }
}

#[test]
fn both_hang_up_at_once_and_it_is_one_end() {
    let mut bench = following();
    let (_, dialog) = answered(&mut bench, "");
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    bench.receive(BOB, &dialog.by_callee("BYE", 2));
    let (to_bob, to_caller) = (bench.take(BOB, "BYE "), bench.take(CALLER, "BYE "));
    bench.answer(&to_bob, 200, "");
    bench.wait_ms(5_000);
    bench.ignore(CALLER, "BYE ");
    bench.answer(&to_caller, 481, "");
    assert_eq!(the_end(&bench).by, CallEnd::Caller);
}

#[test]
fn a_bye_that_has_to_prove_itself_is_no_end() {
    let mut bench = following();
    let (_, dialog) = answered(&mut bench, "");
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    let sent = bench.take(BOB, "BYE ");
    bench.answer(&sent, 407, "");
    assert!(ends(&bench).is_empty());
    bench.receive(CALLER, &dialog.by_caller("BYE", 3));
    // Nobody answers it: who sent it is done with the call all the same (RFC 3261 §15.1.1).
    bench.wait_ms(40_000);
    assert_eq!(the_end(&bench).up_ms, Some(0));
}

#[test]
fn a_session_that_is_not_refreshed_ends_and_one_without_a_timer_is_given_up() {
    for (lines, by, up_ms) in [
        ("Session-Expires: 90\r\n", CallEnd::SessionExpired, 122_000),
        ("", CallEnd::NothingHeard, 43_200_000),
    ] {
        let mut bench = following();
        let (_, dialog) = answered(&mut bench, lines);
        let refreshed = up_ms < 1_000_000;
        if refreshed {
            bench.wait_ms(60_000);
            bench.receive(BOB, &dialog.by_callee("UPDATE", 5));
            let sent = bench.take(CALLER, "UPDATE ");
            bench.answer(&sent, 200, lines);
            bench.take(BOB, "SIP/2.0 200 ");
        }
        bench.wait_ms(up_ms - 1);
        assert!(ends(&bench).is_empty());
        bench.wait_ms(60_001);
        let ended = the_end(&bench);
        let refreshed_ms = if refreshed { 60_000 } else { 0 };
        assert_eq!(ended.up_ms, Some(up_ms + refreshed_ms));
        assert_eq!((ended.by, ended.bye.is_empty()), (by, true));
    }
}

#[test]
fn a_call_older_than_the_process_ends_without_a_beginning() {
    let mut before = following();
    let (_, dialog) = answered(&mut before, "");
    for (from, to, by) in [
        (BOB, CALLER, CallEnd::Callee),
        (CALLER, BOB, CallEnd::Caller),
    ] {
        let mut bench = following();
        let bye = match by {
            CallEnd::Caller => dialog.by_caller("BYE", 2),
            _ => dialog.by_callee("BYE", 2),
        };
        bench.receive(from, &bye);
        let sent = bench.take(to, "BYE ");
        bench.answer(&sent, 200, "");
        let ended = the_end(&bench);
        assert_eq!((ended.call, ended.up_ms, ended.by), (None, None, by));
        assert_eq!(CallWords::of(&ended.bye).call_id, b"call1@10.0.0.10");
        // Said again, it is no other call.
        bench.wait_ms(20_000);
        bench.receive(from, &bye.replace("z9hG4bK", "z9hG4bKagain"));
        let sent = bench.take(to, "BYE ");
        bench.answer(&sent, 481, "");
        the_end(&bench);
        bench.rest();
    }
}

#[test]
fn a_forked_call_ends_with_the_last_of_its_dialogs() {
    let mut bench = following();
    let (sent, dialog) = answered(&mut bench, "");
    let second = crate::bench::respond(&sent.text, 200, "").replace(";tag=bob", ";tag=carol");
    bench.receive(LON, &second);
    let ok = bench.take(CALLER, "SIP/2.0 200 ");
    let other = Dialog::of(&invite("+441", "1"), &ok.text);
    bench.receive(CALLER, &other.by_caller("ACK", 1));
    bench.take(BOB, "ACK ");
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    let bye = bench.take(BOB, "BYE ");
    bench.answer(&bye, 200, "");
    assert!(ends(&bench).is_empty(), "carol is still there");
    bench.wait_ms(7_000);
    bench.receive(CALLER, &other.by_caller("BYE", 3));
    let bye = bench.take(BOB, "BYE ");
    bench.answer(&bye, 200, "");
    assert_eq!(the_end(&bench).up_ms, Some(7_000));
}

#[test]
fn nothing_is_told_of_calls_that_were_not_answered_or_where_nobody_asks() {
    let mut bench = following();
    bench.receive(CALLER, &invite("+449", "1"));
    bench.take(CALLER, "SIP/2.0 603 ");
    assert!(!bench.call().is_followed);
    assert!(ends(&bench).is_empty());

    let mut bench = Bench::new();
    let (_, dialog) = answered(&mut bench, "");
    assert!(!bench.call().is_followed && bench.call().sent_to.is_empty());
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    let sent = bench.take(BOB, "BYE ");
    bench.answer(&sent, 200, "");
    assert!(ends(&bench).is_empty());
    bench.take(CALLER, "SIP/2.0 200 ");
    // Not even the Record-Route is another one.
    let now = bench.now.instant;
    let fresh = || Bench::with(table(TABLE), settings(now), now);
    let invited = |mut bench: Bench| {
        bench.call_to("+441");
        let sent = bench.take(LON, "INVITE ");
        crate::bench::value(&sent.text, "Record-Route")
    };
    let mut follows = fresh();
    follows.engine.follow_calls();
    assert_ne!(invited(fresh()), invited(follows), "it names its worker");
}
