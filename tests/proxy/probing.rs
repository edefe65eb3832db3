//! OPTIONS that ask the trunks whether they are alive, and what becomes of the calls.

use proptest::prelude::*;
use std::sync::Arc;
use trunkline::limits::PROBES_AT_ONCE_MAX;
use trunkline::proxy::{Input, ProbeMiss, ProxyEvent};
use trunkline::routing::{Order, Snapshot, TrunkId, Turn};

use crate::bench::{Bench, CALLER, LON, MAN, Sent, TABLE, ack_of, invite, settings, table, value};

/// The table of these tests with a trunk that is probed as these keys say.
fn probed(keys: &str) -> Snapshot {
    let lon = "address = \"sip:10.0.1.1:5060\"\n";
    table(&TABLE.replace(lon, &format!("{lon}{keys}\n")))
}

const KEYS: &str = "options = \"5s\"\noptions_misses = 3\noptions_hits = 2";
/// More than an interval, less than two.
const NEXT_MS: u64 = 5_100;

fn bench(keys: &str) -> Bench {
    let now = std::time::Instant::now();
    let mut bench = Bench::with(probed(keys), settings(now), now);
    bench.engine.probe_trunks(now);
    bench
}

/// Lets time pass until the next new OPTIONS is there.
#[track_caller]
fn next(bench: &mut Bench, last: Option<&Sent>) -> Sent {
    for _ in 0..1_000 {
        while let Some(sent) = bench.take_if(LON, "OPTIONS ") {
            if last.is_none_or(|last| value(&last.text, "CSeq") != value(&sent.text, "CSeq")) {
                return sent;
            }
        }
        bench.wait_ms(100);
    }
    panic!("no OPTIONS for so long");
}

/// What turned the trunk, in order.
fn turns(bench: &Bench) -> Vec<(Turn, Option<ProbeMiss>)> {
    let reports = bench.events.iter().filter_map(|event| match event {
        ProxyEvent::Probe(report) => {
            assert_eq!(&*report.trunk, "lon");
            Some((report.turn?, report.miss))
        }
        _ => None,
    });
    reports.collect()
}

/// Where a new call is sent first.
fn first_trunk(bench: &mut Bench, id: &str) -> &'static str {
    let invite = invite("+441", id);
    bench.receive(CALLER, &invite);
    bench.take(CALLER, "SIP/2.0 100 ");
    for trunk in [LON, MAN] {
        if let Some(sent) = bench.take_if(trunk, "INVITE ") {
            bench.answer(&sent, 486, "");
            bench.take(trunk, "ACK ");
            let busy = bench.take(CALLER, "SIP/2.0 486 ");
            bench.receive(CALLER, &ack_of(&invite, &busy.text));
            return trunk;
        }
    }
    panic!("sent nowhere");
}

#[test]
fn a_probe_asks_the_trunk_itself() {
    let mut bench = bench("options = \"5s\"");
    let probe = next(&mut bench, None);
    assert!(
        probe
            .text
            .starts_with("OPTIONS sip:10.0.1.1:5060 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;rport;branch=z9hG4bKtl03"),
        "{}",
        probe.text
    );
    assert_eq!(value(&probe.text, "CSeq"), "1 OPTIONS");
    assert!(value(&probe.text, "From").starts_with("<sip:10.0.0.1:5060>;tag="));
    // Timer E repeats it as it is.
    bench.wait_ms(600);
    assert_eq!(bench.take(LON, "OPTIONS ").text, probe.text);
    bench.answer(&probe, 200, "");
    bench.answer(&probe, 200, "");
    assert!(matches!(&bench.events[..], [ProxyEvent::Probe(report)] if report.miss.is_none()));
    bench.wait_ms(3_000);
    bench.quiet();
    let second = next(&mut bench, Some(&probe));
    assert_ne!(
        value(&second.text, "Call-ID"),
        value(&probe.text, "Call-ID")
    );
    assert_ne!(value(&second.text, "Via"), value(&probe.text, "Via"));
    // Nobody else is asked, and nobody at all once we stop.
    bench.ignore(LON, "OPTIONS ");
    bench.engine.drain();
    bench.wait_ms(100_000);
    bench.quiet();
    assert_eq!(bench.engine.poll_timeout(), None);
}

#[test]
fn a_silent_trunk_is_out_after_three_and_back_after_two() {
    let mut bench = bench(KEYS);
    let mut last = next(&mut bench, None);
    for _ in 0..2 {
        last = next(&mut bench, Some(&last));
        assert_eq!(first_trunk(&mut bench, &value(&last.text, "Call-ID")), LON);
    }
    assert_eq!(turns(&bench), []);
    last = next(&mut bench, Some(&last));
    let out = (Turn::Out(3), Some(ProbeMiss::Unanswered));
    assert_eq!(turns(&bench), [out]);
    assert_eq!(first_trunk(&mut bench, "out"), MAN);
    bench.answer(&last, 200, "");
    assert_eq!(first_trunk(&mut bench, "one"), MAN, "one of two");
    last = next(&mut bench, Some(&last));
    bench.answer(&last, 405, "");
    assert_eq!(turns(&bench), [out, (Turn::Back(2), None)]);
    assert_eq!(first_trunk(&mut bench, "back"), LON);
}

/// With no other trunk left, an emergency call does not ask what probes have found out.
#[test]
fn where_all_trunks_are_out_a_call_is_tried_on_one_that_is_not_out_by_order() {
    let mut bench = bench(KEYS);
    bench.wait_ms(40_000);
    assert_eq!(turns(&bench).len(), 1);
    bench.snapshot.availability.order(TrunkId(1), Order::Drain);
    bench.receive(CALLER, &invite("+441", "n"));
    bench.ignore(LON, "OPTIONS ");
    // The last resort of every call: the other one is out by order, which is obeyed.
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.take(LON, "INVITE ");
    bench.snapshot.availability.order(TrunkId(0), Order::Drain);
    bench.receive(CALLER, &invite("+441", "m"));
    bench.take(CALLER, "SIP/2.0 503 ");
    bench.receive(CALLER, &invite("112", "e"));
    bench.take(LON, "INVITE ");
}

#[test]
fn the_table_says_which_answers_count() {
    for (keys, status, is_hit) in [
        ("", 200, true),
        ("", 404, true),
        ("", 483, true),
        ("", 500, true),
        ("", 408, false),
        ("", 503, false),
        ("options_alive = [\"2xx\", \"405\"]", 202, true),
        ("options_alive = [\"2xx\", \"405\"]", 405, true),
        ("options_alive = [\"2xx\", \"405\"]", 404, false),
        ("options_alive = [\"!5xx\"]", 503, false),
        ("options_alive = [\"!5xx\"]", 408, true),
        ("options_alive = [\"*\"]", 503, true),
    ] {
        let mut bench = bench(&format!("options = \"5s\"\noptions_misses = 1\n{keys}"));
        let probe = next(&mut bench, None);
        bench.answer(&probe, 100, "");
        assert!(bench.events.is_empty(), "not final");
        bench.answer(&probe, status, "");
        let turned = turns(&bench);
        assert_eq!(turned.is_empty(), is_hit, "{keys} {status}");
        if let [(turn, why)] = turned[..] {
            assert_eq!(turn, Turn::Out(1));
            assert!(matches!(why, Some(ProbeMiss::Answered(is)) if is.code() == status));
        }
    }
}

#[test]
fn what_the_network_says_is_a_miss_at_once() {
    let mut bench = bench(KEYS);
    let mut last = None;
    for _ in 0..3 {
        assert_eq!(turns(&bench), []);
        let probe = next(&mut bench, last.as_ref());
        bench.bounce(&probe);
        bench.bounce(&probe);
        bench.wait_ms(2_000);
        bench.quiet();
        last = Some(probe);
    }
    let out = (Turn::Out(3), Some(ProbeMiss::Unreachable));
    assert_eq!(turns(&bench), [out]);
}

/// RFC 3261 §21.5.4: no requests for as long as it asks, OPTIONS neither.
#[test]
fn quiet_that_is_asked_for_is_given() {
    let mut bench = bench(KEYS);
    let probe = next(&mut bench, None);
    bench.answer(&probe, 503, "Retry-After: 30\r\n");
    assert_eq!(turns(&bench), []);
    assert_eq!(first_trunk(&mut bench, "a"), MAN);
    bench.wait_ms(29_900);
    bench.quiet();
    bench.wait_ms(200);
    bench.take(LON, "OPTIONS ");
    assert_eq!(first_trunk(&mut bench, "b"), LON, "one miss of three");
}

#[test]
fn a_dead_trunk_is_asked_once_a_minute_at_least_and_ever_less_often() {
    let mut bench = bench(KEYS);
    let mut last = next(&mut bench, None);
    let mut gaps = Vec::new();
    for _ in 0..9 {
        let begun = bench.now.instant;
        last = next(&mut bench, Some(&last));
        gaps.push((bench.now.instant - begun).as_millis());
    }
    // An eighth may be missing, and the test looks ten times a second.
    let longest = [
        5_000, 5_000, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000,
    ];
    for (gap, longest) in gaps.iter().zip(longest) {
        assert!(
            (longest - longest / 8 - 100..=longest + 200).contains(gap),
            "{gaps:?}"
        );
    }
}

/// An answer that nobody but the trunk could have given: a guessed one does nothing.
#[test]
fn forged_answers_do_nothing() {
    let mut bench = bench("options = \"5s\"\noptions_misses = 1\noptions_hits = 1");
    let probe = next(&mut bench, None);
    let via = value(&probe.text, "Via");
    let branch = via.split("branch=").nth(1).unwrap();
    let mut forged = probe.clone();
    forged.text = forged.text.replace(&branch[20..28], "00000000");
    bench.answer(&forged, 503, "");
    let mut invited = probe.clone();
    invited.text = invited.text.replace("1 OPTIONS", "1 INVITE");
    bench.answer(&invited, 503, "");
    assert_eq!(turns(&bench), []);
    bench.wait_ms(NEXT_MS);
    assert_eq!(turns(&bench).len(), 1);
    bench.answer(&probe, 200, "");
    assert_eq!(turns(&bench).len(), 1, "too late");
}

/// However many trunks are due at once, one step does not send to all of them; the rest
/// follow in the next, and each is asked once.
#[test]
fn many_trunks_do_not_hold_up_a_step() {
    const TRUNKS: usize = 200;
    let many: String = (0..TRUNKS)
        .map(|n| format!("[trunk.m{n}]\naddress = \"sip:10.9.0.{n}\"\noptions = \"1s\"\n"))
        .collect();
    let now = std::time::Instant::now();
    let mut bench = Bench::with(table(&format!("{TABLE}{many}")), settings(now), now);
    bench.engine.probe_trunks(now);
    bench.input(Input::TimerDue);
    bench.now.instant += std::time::Duration::from_secs(1);
    let (mut steps, mut asked) = (0, 0);
    while bench
        .engine
        .poll_timeout()
        .is_some_and(|due| due <= bench.now.instant)
    {
        bench.input(Input::TimerDue);
        let before = asked;
        asked += (0..TRUNKS)
            .filter(|n| {
                bench
                    .take_if(&format!("10.9.0.{n}:5060"), "OPTIONS ")
                    .is_some()
            })
            .count();
        assert!(asked - before <= PROBES_AT_ONCE_MAX);
        steps += 1;
    }
    assert_eq!(asked, TRUNKS);
    assert!(
        steps >= TRUNKS.div_ceil(PROBES_AT_ONCE_MAX),
        "{steps} steps"
    );
    bench.quiet();
}

/// The next snapshot, as a reload makes it.
fn reload(bench: &mut Bench, keys: &str) {
    let next = probed(keys);
    let carried = (bench.snapshot.availability).carried_over(&bench.snapshot.table, &next.table);
    bench.snapshot = Snapshot {
        table: next.table,
        availability: Arc::new(carried),
    };
}

#[test]
fn a_reload_keeps_what_probes_have_found_out() {
    let lon = TrunkId(0);
    let mut bench = bench(KEYS);
    let mut last = next(&mut bench, None);
    for round in 0..3 {
        // Another table each time, and the probe that is on its way stays on it.
        reload(&mut bench, &format!("{KEYS}\nweight = {}", round + 2));
        assert_eq!(turns(&bench), []);
        last = next(&mut bench, Some(&last));
    }
    assert_eq!(turns(&bench).len(), 1);
    reload(&mut bench, KEYS);
    assert!(!bench.snapshot.availability.in_service(lon));
    bench.answer(&last, 200, "");
    last = next(&mut bench, Some(&last));
    reload(&mut bench, &format!("{KEYS}\nweight = 9"));
    bench.answer(&last, 200, "");
    assert_eq!(
        turns(&bench).len(),
        2,
        "and is back by two, one on each table"
    );
    assert!(bench.snapshot.availability.in_service(lon));
}

#[test]
fn who_is_probed_no_more_is_not_kept_out() {
    let mut bench = bench(KEYS);
    bench.wait_ms(40_000);
    assert_eq!(turns(&bench).len(), 1);
    reload(&mut bench, "options = \"off\"");
    bench.wait_ms(1_100);
    bench.ignore(LON, "OPTIONS ");
    assert_eq!(first_trunk(&mut bench, "a"), LON);
    bench.wait_ms(200_000);
    bench.quiet();
    // And a table that wants probes again gets them without a call.
    reload(&mut bench, KEYS);
    bench.wait_ms(NEXT_MS + 1_000);
    bench.take(LON, "OPTIONS ");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever a trunk does to its probes, calls go to it exactly when the last N or M of
    /// them say so.
    #[test]
    fn calls_follow_the_probes(
        misses in 1..5_u8,
        hits in 1..5_u8,
        answers in prop::collection::vec(prop::sample::select(vec![0_u16, 200, 200, 404, 503, 1]), 1..40),
    ) {
        let keys = format!("options = \"5s\"\noptions_misses = {misses}\noptions_hits = {hits}");
        let mut bench = bench(&keys);
        let (mut is_out, mut in_a_row) = (false, 0);
        let mut last = next(&mut bench, None);
        for answer in answers {
            match answer {
                0 => {}
                1 => bench.bounce(&last),
                status => { bench.answer(&last, status, ""); }
            }
            last = next(&mut bench, Some(&last));
            let is_hit = matches!(answer, 200 | 404);
            in_a_row = if is_hit == is_out { in_a_row + 1 } else { 0 };
            if in_a_row >= if is_out { hits } else { misses } {
                (is_out, in_a_row) = (!is_out, 0);
            }
            prop_assert_eq!(bench.snapshot.availability.in_service(TrunkId(0)), !is_out);
        }
        prop_assert_eq!(turns(&bench).len() % 2 == 1, is_out);
    }

    /// Neither bytes nor branches that look like ours do any harm.
    #[test]
    fn no_answer_makes_it_panic(number: u32, unique: u64, status in 100..700_u16) {
        let mut bench = bench(KEYS);
        let mut probe = next(&mut bench, None);
        let branch = value(&probe.text, "Via").split("branch=").nth(1).unwrap().to_owned();
        let forged = format!("z9hG4bKtl03{number:08x}{unique:016x}{:016x}", 0);
        probe.text = probe.text.replace(&branch, &forged);
        bench.answer(&probe, status, "");
        bench.bounce(&probe);
        prop_assert_eq!(turns(&bench), []);
    }
}

/// Maintenance leaves a trunk alone, whatever was under way; afterwards it is asked at once,
/// and what was known of it still is.
#[test]
fn a_trunk_in_maintenance_is_asked_nothing_and_told_of_nothing() {
    let lon = TrunkId(0);
    let mut bench = bench(KEYS);
    let order = |bench: &Bench, order| bench.snapshot.availability.order(lon, order);
    let mut last = next(&mut bench, None);
    order(&bench, Order::Maint);
    assert_eq!(first_trunk(&mut bench, "m"), MAN);
    bench.wait_ms(60_000);
    bench.ignore(LON, "OPTIONS ");
    bench.wait_ms(600_000);
    bench.quiet();
    bench.answer(&last, 200, "");
    assert!(
        (bench.events.iter()).all(|event| !matches!(event, ProxyEvent::Probe(_))),
        "neither a hit nor a miss"
    );
    order(&bench, Order::Ready);
    assert_eq!(first_trunk(&mut bench, "r"), LON);
    bench.wait_ms(1_100);
    last = bench.take(LON, "OPTIONS ");
    for _ in 0..2 {
        last = next(&mut bench, Some(&last));
    }
    assert_eq!(turns(&bench), []);
    next(&mut bench, Some(&last));
    assert_eq!(turns(&bench).len(), 1, "three misses since");
    order(&bench, Order::Maint);
    bench.wait_ms(60_000);
    order(&bench, Order::Ready);
    assert_eq!(
        first_trunk(&mut bench, "d"),
        MAN,
        "still dead, for all we know"
    );
}

/// A trunk that drains is probed, and what probes find holds when it is ready again.
#[test]
fn a_trunk_that_drains_is_probed_and_gets_no_call() {
    let mut bench = bench(KEYS);
    bench.snapshot.availability.order(TrunkId(0), Order::Drain);
    let last = next(&mut bench, None);
    bench.answer(&last, 200, "");
    assert_eq!(first_trunk(&mut bench, "d"), MAN);
    bench.wait_ms(40_000);
    bench.ignore(LON, "OPTIONS ");
    assert_eq!(turns(&bench).len(), 1);
    bench.snapshot.availability.order(TrunkId(0), Order::Ready);
    assert_eq!(first_trunk(&mut bench, "r"), MAN);
}
