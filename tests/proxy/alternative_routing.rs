//! One trunk after the other: what moves a call on, what ends it, and what the caller gets.

use trunkline::proxy::EndedBy;
use trunkline::routing::table::Cause;
use trunkline::routing::{Snapshot, Stop};

use crate::bench::{Bench, CALLER, LON, MAN, Sent, TABLE, ack_of, settings, table, value, values};

/// A call whose first trunk was sent the INVITE.
fn begun(bench: &mut Bench, number: &str) -> (String, Sent) {
    let invite = bench.call_to(number);
    (invite, bench.take(LON, "INVITE "))
}

#[test]
fn a_failing_trunk_is_followed_by_the_next_with_the_original_call() {
    for status in [408, 500, 502, 503, 504] {
        let mut bench = Bench::new();
        let (_, lon) = begun(&mut bench, "+441");
        bench.answer(&lon, status, "");
        bench.take(LON, "ACK ");
        let man = bench.take(MAN, "INVITE sip:+441@10.0.1.2;user=phone SIP/2.0\r\n");
        bench.quiet();
        assert_eq!(values(&man.text, "Via").len(), 2);
        assert_ne!(value(&man.text, "Via"), value(&lon.text, "Via"));
        assert_eq!(value(&man.text, "Max-Forwards"), "69");
        bench.answer(&man, 200, "");
        bench.take(CALLER, "SIP/2.0 200 ");
        let causes: Vec<_> = bench
            .call()
            .attempts
            .iter()
            .map(|a| a.ending.unwrap().cause)
            .collect();
        assert_eq!(causes, [Cause::Status(status), Cause::Status(200)]);
        bench.rest();
    }
}

#[test]
fn what_the_callee_decided_ends_the_search() {
    for status in [302, 401, 404, 407, 480, 486, 488, 600, 603, 606] {
        let mut bench = Bench::new();
        let (_, lon) = begun(&mut bench, "+441");
        bench.answer(&lon, status, "");
        bench.take(LON, "ACK ");
        bench.take(CALLER, &format!("SIP/2.0 {status} "));
        bench.quiet();
        assert_eq!(bench.call().ended_by, EndedBy::Search(Stop::NotListed));
        bench.rest();
    }
}

#[test]
fn a_policy_of_its_own() {
    // status, lines, moves on
    for (status, lines, moves_on) in [
        (486, "", true),
        (480, "Reason: Q.850;cause=34\r\n", true),
        (480, "Reason: Q.850;cause=16\r\n", false),
        (600, "", true),
        (603, "", false),
        (503, "", false),
    ] {
        let mut bench = Bench::new();
        let (_, lon) = begun(&mut bench, "+4420");
        bench.answer(&lon, status, lines);
        bench.take(LON, "ACK ");
        if moves_on {
            bench.take(MAN, "INVITE ");
        } else {
            // 503 is not relayed as such: RFC 3261 §16.7 step 6.
            let status = if status == 503 { 500 } else { status };
            bench.take(CALLER, &format!("SIP/2.0 {status} "));
        }
        bench.quiet();
        bench.rest();
    }
}

#[test]
fn silence_moves_a_call_on_when_the_policy_says() {
    for (number, timeout_ms) in [("+441", 4_000), ("+4420", 2_000)] {
        let mut bench = Bench::new();
        begun(&mut bench, number);
        bench.wait_ms(timeout_ms - 1);
        assert!(bench.ignore(LON, "INVITE ") >= 2);
        bench.quiet();
        bench.wait_ms(1);
        bench.take(MAN, "INVITE ");
        // And when the last one is silent too:
        bench.wait_ms(timeout_ms);
        bench.take(CALLER, "SIP/2.0 408 ");
        let call = bench.call();
        let silent = |a: &trunkline::proxy::AttemptReport| {
            a.ending.is_some_and(|e| e.cause == Cause::TrunkTimeout)
        };
        assert!(call.attempts.len() == 2 && call.attempts.iter().all(silent));
        assert_eq!(call.ended_by, EndedBy::Search(Stop::NoneLeft));
        bench.rest();
    }
}

#[test]
fn a_trunk_that_said_100_is_not_silent() {
    let mut bench = Bench::new();
    let (_, lon) = begun(&mut bench, "+441");
    bench.answer(&lon, 100, "");
    bench.wait_ms(60_000);
    bench.quiet();
    bench.answer(&lon, 503, "");
    bench.take(LON, "ACK ");
    bench.take(MAN, "INVITE ");
    bench.rest();
}

#[test]
fn a_trunk_nobody_reaches_moves_a_call_on_at_once() {
    let mut bench = Bench::new();
    let (_, lon) = begun(&mut bench, "+441");
    bench.bounce(&lon);
    let man = bench.take(MAN, "INVITE ");
    bench.bounce(&man);
    // RFC 3261 §16.9: as if it were 503, which leaves as 500.
    bench.take(CALLER, "SIP/2.0 500 ");
    bench.quiet();
    bench.rest();
}

#[test]
fn a_phone_that_rang_ends_the_search() {
    let mut bench = Bench::new();
    let (invite, lon) = begun(&mut bench, "+441");
    bench.answer(&lon, 183, "");
    bench.take(CALLER, "SIP/2.0 183 ");
    bench.answer(&lon, 503, "");
    bench.take(LON, "ACK ");
    let failed = bench.take(CALLER, "SIP/2.0 500 Server Internal Error\r\n");
    bench.receive(CALLER, &ack_of(&invite, &failed.text));
    bench.quiet();
    assert_eq!(bench.call().ended_by, EndedBy::Search(Stop::Progressed));
    bench.rest();
}

#[test]
fn the_best_of_all_answers_goes_back() {
    // A 6xx wins, then the lowest class, then what somebody said.
    for (first, second, best) in [(486, 404, 404), (486, 603, 603), (600, 486, 600)] {
        let mut bench = Bench::new();
        let (_, lon) = begun(&mut bench, "+4420");
        bench.answer(&lon, first, "");
        bench.take(LON, "ACK ");
        let man = bench.take(MAN, "INVITE ");
        bench.answer(&man, second, "");
        bench.take(MAN, "ACK ");
        bench.take(CALLER, &format!("SIP/2.0 {best} "));
        bench.quiet();
        bench.rest();
    }
}

#[test]
fn a_late_word_of_the_first_trunk_beats_the_silence_of_all() {
    let mut bench = Bench::new();
    let (_, lon) = begun(&mut bench, "+441");
    bench.wait_ms(4_000);
    bench.ignore(LON, "INVITE ");
    bench.take(MAN, "INVITE ");
    bench.answer(&lon, 404, "");
    bench.take(LON, "ACK ");
    bench.quiet();
    bench.wait_ms(4_000);
    bench.ignore(MAN, "INVITE ");
    bench.take(CALLER, "SIP/2.0 404 ");
    bench.rest();
}

#[test]
fn a_503_with_retry_after_keeps_calls_away_for_that_time() {
    let mut bench = Bench::new();
    let (_, lon) = begun(&mut bench, "+441");
    bench.answer(&lon, 503, "Retry-After: 30\r\n");
    bench.take(LON, "ACK ");
    let man = bench.take(MAN, "INVITE ");
    bench.answer(&man, 503, "");
    bench.take(MAN, "ACK ");
    bench.take(CALLER, "SIP/2.0 500 ");
    let again = crate::bench::invite("+441", "2");
    bench.wait_ms(29_000);
    bench.ignore(CALLER, "SIP/2.0 500 ");
    bench.receive(CALLER, &again);
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.take(MAN, "INVITE ");
    bench.quiet();
    bench.wait_ms(1_000);
    bench.ignore(MAN, "INVITE ");
    bench.receive(CALLER, &crate::bench::invite("+441", "3"));
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.take(LON, "INVITE ");
}

#[test]
fn dead_trunks_are_left_out_and_come_back_by_themselves() {
    let mut bench = Bench::new();
    for id in ["1", "2", "3"] {
        bench.receive(CALLER, &crate::bench::invite("+441", id));
        bench.take(CALLER, "SIP/2.0 100 ");
        bench.take(LON, "INVITE ");
        bench.wait_ms(4_000);
        let man = bench.take(MAN, "INVITE ");
        bench.answer(&man, 404, "");
        bench.ignore(LON, "");
        bench.ignore(MAN, "");
        bench.ignore(CALLER, "");
    }
    let snapshot = bench.snapshot.clone();
    let lon = snapshot
        .table
        .trunks()
        .iter()
        .position(|t| &*t.name == "lon");
    let lon = trunkline::routing::TrunkId(lon.unwrap() as u16);
    assert!(
        !snapshot.availability.in_service(lon),
        "three silences in a row"
    );
    bench.receive(CALLER, &crate::bench::invite("+441", "4"));
    assert_eq!(bench.ignore(LON, ""), 0);
    bench.take(MAN, "INVITE ");
    // A reload that leaves the trunk as it is remembers; one that moves it does not.
    let carried = |text: &str| {
        let Snapshot { table, .. } = table(text);
        let availability = snapshot.availability.carried_over(&snapshot.table, &table);
        let id = table
            .trunks()
            .iter()
            .position(|t| &*t.name == "lon")
            .unwrap();
        availability.in_service(trunkline::routing::TrunkId(id as u16))
    };
    assert!(!carried(&TABLE.replace("10.0.1.2", "10.0.1.3")));
    assert!(carried(&TABLE.replace("10.0.1.1:", "10.0.1.4:")));
    bench.wait_ms(2_000);
    bench.input(trunkline::proxy::Input::TimerDue);
    assert!(snapshot.availability.in_service(lon));
    bench.rest();
}

#[test]
fn without_a_trunk_in_service_the_answer_is_503() {
    let mut bench = Bench::new();
    for id in 0..bench.snapshot.table.trunks().len() {
        let id = trunkline::routing::TrunkId(id as u16);
        bench
            .snapshot
            .availability
            .order(id, trunkline::routing::Order::Drain);
    }
    bench.receive(CALLER, &crate::bench::invite("+441", "1"));
    let refused = bench.take(CALLER, "SIP/2.0 503 ");
    assert_eq!(value(&refused.text, "Retry-After"), "5");
    // But for those in need: a trunk believed dead is better than none.
    bench.receive(CALLER, &crate::bench::invite("112", "2"));
    bench.ignore(CALLER, "SIP/2.0 503 ");
    bench.take(CALLER, "SIP/2.0 100 ");
    let lon = bench.take(LON, "INVITE sip:112@");
    bench.bounce(&lon);
    bench.take(MAN, "INVITE sip:112@");
}

#[test]
fn the_last_resort_is_a_trunk_that_is_believed_dead_unless_the_table_says_otherwise() {
    for (setting, tries) in [("", true), ("last-resort", true), ("never", false)] {
        let text = if setting.is_empty() {
            TABLE.to_owned()
        } else {
            let policy = "[alternative_routing.careful]\nnext_route_on = [\"trunk-timeout\",";
            let text = TABLE.replace(policy, &format!("[alternative_routing.careful]\nout_of_service = \"{setting}\"\nnext_route_on = [\"transport-error\", \"trunk-timeout\","));
            text.replace(
                "[trunk_group.uk]\n",
                "[trunk_group.uk]\nalternative_routing = \"careful\"\n",
            )
        };
        let now = std::time::Instant::now();
        let mut bench = Bench::with(table(&text), settings(now), now);
        let trunks = &bench.snapshot.availability;
        for id in 0..bench.snapshot.table.trunks().len() {
            trunks.retry_after(trunkline::routing::TrunkId(id as u16), 30);
        }
        bench.receive(CALLER, &crate::bench::invite("+441", "1"));
        if tries {
            bench.take(CALLER, "SIP/2.0 100 ");
            let lon = bench.take(LON, "INVITE ");
            // And so is the next one.
            bench.bounce(&lon);
            let man = bench.take(MAN, "INVITE ");
            bench.answer(&man, 200, "");
            bench.take(CALLER, "SIP/2.0 200 ");
        } else {
            bench.take(CALLER, "SIP/2.0 503 ");
        }
        bench.quiet();
    }
}

#[test]
fn a_trunk_with_a_name_is_one_that_cannot_be_reached_yet() {
    let mut bench = Bench::new();
    bench.call_to("+331");
    bench.take(MAN, "INVITE sip:+331@10.0.1.2;user=phone ");
    bench.quiet();
    bench.rest();
}

#[test]
fn a_call_keeps_the_table_it_began_with() {
    let mut bench = Bench::new();
    let (_, lon) = begun(&mut bench, "+441");
    let next = table(&TABLE.replace("10.0.1.2", "10.0.1.5"));
    let old = std::mem::replace(&mut bench.snapshot, next);
    drop(old);
    bench.answer(&lon, 503, "");
    bench.take(LON, "ACK ");
    let man = bench.take(MAN, "INVITE ");
    bench.answer(&man, 200, "");
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.receive(CALLER, &crate::bench::invite("+441", "2"));
    bench.take(CALLER, "SIP/2.0 100 ");
    let lon = bench.take(LON, "INVITE ");
    bench.answer(&lon, 503, "");
    bench.take(LON, "ACK ");
    bench.take("10.0.1.5:5060", "INVITE ");
    bench.rest();
}

#[test]
fn a_cancel_ends_the_search() {
    let mut bench = Bench::new();
    let (invite, lon) = begun(&mut bench, "+441");
    bench.answer(&lon, 100, "");
    bench.receive(CALLER, &crate::bench::cancel_of(&invite));
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.take(LON, "CANCEL ");
    bench.answer(&lon, 503, "");
    bench.take(LON, "ACK ");
    bench.take(CALLER, "SIP/2.0 500 ");
    assert_eq!(bench.ignore(MAN, ""), 0);
    assert_eq!(bench.call().ended_by, EndedBy::Caller);
    bench.rest();
}
