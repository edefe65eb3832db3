//! Calls a trunk and a trunk group may carry (`max_calls`), and begin in a second
//! (`max_cps`): counted from the INVITE to the end of the last dialog.

use trunkline::proxy::{EndedBy, dialog_owner};
use trunkline::routing::{GroupId, Stop, TrunkId};

use crate::bench::{
    Bench, CALLER, Dialog, LON, MAN, Sent, cancel_of, invite, settings, table, value,
};

const BOB: &str = "10.0.1.9:5070";
const LONDON: TrunkId = TrunkId(0);

const LIMITED: &str = r#"
[trunk_group.sbc]
accept_from = ["10.0.0.10"]

[trunk_group.uk]
trunks      = ["lon", "man"]
accept_from = ["10.0.1.0/28"]

[trunk_group.narrow]
trunks    = ["lon", "man"]
max_calls = 1

[trunk_group.slow]
trunks = ["slow", "man"]

[trunk.lon]
address   = "sip:10.0.1.1:5060"
max_calls = 1

[trunk.man]
address = "sip:10.0.1.2"

[trunk.slow]
address = "sip:10.0.1.3"
max_cps = 2

[[rule]]
name     = "Emergency"
called   = ["emergency"]
route_to = ["uk"]

[[rule]]
name     = "Narrow"
called   = ["+49*"]
route_to = ["narrow"]

[[rule]]
name     = "Slow"
called   = ["+33*"]
route_to = ["slow"]

[[rule]]
name     = "UK"
called   = ["+44*"]
route_to = ["uk"]
"#;

fn limited() -> Bench {
    let now = std::time::Instant::now();
    Bench::with(table(LIMITED), settings(now), now)
}

impl Bench {
    fn calls(&self) -> u32 {
        self.snapshot.availability.calls_in_progress(LONDON)
    }

    /// A call up to the INVITE at that trunk.
    fn call_by(&mut self, id: &str, trunk: &str) -> (String, Sent) {
        let invite = invite("+441", id);
        self.receive(CALLER, &invite);
        self.take(CALLER, "SIP/2.0 100 ");
        (invite, self.take(trunk, "INVITE "))
    }

    /// A call that was answered with these lines.
    fn up(&mut self, id: &str, lines: &str) -> (Sent, String, Dialog) {
        let (invite, sent) = self.call_by(id, LON);
        let ok = self.answer(&sent, 200, lines);
        let first = self.take(CALLER, "SIP/2.0 200 ");
        let dialog = Dialog::of(&invite, &first.text);
        self.receive(CALLER, &dialog.by_caller("ACK", 1));
        self.take(BOB, "ACK ");
        (sent, ok, dialog)
    }

    fn bye(&mut self, bye: &str, from: &str, to: &str, status: u16) {
        self.receive(from, bye);
        let sent = self.take(to, "BYE ");
        self.answer(&sent, status, "");
        self.take(from, &format!("SIP/2.0 {status} "));
    }
}

#[test]
fn a_full_trunk_is_passed_over_until_a_call_ends() {
    for by_callee in [false, true] {
        let mut bench = limited();
        let (.., dialog) = bench.up("1", "");
        assert_eq!(bench.calls(), 1);
        let (_, man) = bench.call_by("2", MAN);
        bench.answer(&man, 486, "");
        bench.take(MAN, "ACK ");
        bench.take(CALLER, "SIP/2.0 486 ");
        let (bye, from, to) = if by_callee {
            (dialog.by_callee("BYE", 2), BOB, CALLER)
        } else {
            (dialog.by_caller("BYE", 2), CALLER, BOB)
        };
        bench.bye(&bye, from, to, 200);
        assert_eq!(bench.calls(), 0);
        // Again, and repeated by a network that does so: nothing falls below zero.
        bench.receive(from, &bye);
        bench.take(from, "SIP/2.0 200 ");
        bench.bye(&dialog.by_caller("BYE", 9), CALLER, BOB, 481);
        assert_eq!(bench.calls(), 0);
        bench.call_by("3", LON);
        assert_eq!(bench.calls(), 1);
        bench.wait_ms(300_000);
        assert_eq!(bench.calls(), 0);
    }
}

#[test]
fn an_attempt_that_fails_gives_its_place_back() {
    let mut bench = limited();
    let (_, lon) = bench.call_by("1", LON);
    assert_eq!(bench.calls(), 1);
    bench.answer(&lon, 503, "");
    assert_eq!(bench.calls(), 0);
    bench.take(LON, "ACK ");
    bench.take(MAN, "INVITE ");
    // Cancelled while it rings.
    let (invite, lon) = bench.call_by("2", LON);
    bench.answer(&lon, 180, "");
    bench.take(CALLER, "SIP/2.0 180 ");
    bench.receive(CALLER, &cancel_of(&invite));
    bench.take(CALLER, "SIP/2.0 200 ");
    assert_eq!(bench.calls(), 1, "until it has said so it may ring");
    bench.answer(&lon, 487, "");
    assert_eq!(bench.calls(), 0);
    bench.ignore(CALLER, "SIP/2.0 487 ");
    bench.ignore(LON, "");
    // Nobody is there.
    let (_, lon) = bench.call_by("3", LON);
    bench.bounce(&lon);
    assert_eq!(bench.calls(), 0);
}

#[test]
fn with_every_route_full_the_caller_may_come_again() {
    let mut bench = limited();
    let narrow = |id| invite("+491", id);
    bench.receive(CALLER, &narrow("1"));
    bench.take(CALLER, "SIP/2.0 100 ");
    let sent = bench.take(LON, "INVITE ");
    let group = bench.snapshot.table.group_named("narrow").unwrap();
    let calls = |bench: &Bench, group: GroupId| {
        let availability = &bench.snapshot.availability;
        availability.group_calls_in_progress(group)
    };
    assert_eq!(calls(&bench, group), 1);
    bench.receive(CALLER, &narrow("2"));
    let refused = bench.take(CALLER, "SIP/2.0 503 ");
    assert_eq!(value(&refused.text, "Retry-After"), "5");
    assert_eq!(bench.call().ended_by, EndedBy::Table);
    // The first one moves on to the other trunk: the group still carries it once.
    bench.answer(&sent, 500, "");
    bench.take(LON, "ACK ");
    let sent = bench.take(MAN, "INVITE ");
    assert_eq!((calls(&bench, group), bench.calls()), (1, 0));
    bench.answer(&sent, 486, "");
    assert_eq!(calls(&bench, group), 0);
}

/// Between its decision and its turn a route may fill up.
#[test]
fn a_route_that_filled_up_meanwhile_is_passed_over() {
    let mut bench = limited();
    let full = table(&LIMITED.replace(
        "trunks      = [\"lon\", \"man\"]",
        "trunks = [\"man\", \"lon\"]",
    ));
    bench.snapshot = full;
    let (_, man) = bench.call_by("1", MAN);
    let (table, trunk) = (
        bench.snapshot.table.clone(),
        bench.snapshot.table.group_named("uk"),
    );
    let route = trunkline::routing::Route {
        group: trunk.unwrap(),
        trunk: TrunkId(0),
    };
    let held = bench.snapshot.availability.hold(&table, route, false);
    assert!(held.as_ref().is_ok_and(Option::is_some));
    bench.answer(&man, 500, "");
    bench.take(MAN, "ACK ");
    bench.take(CALLER, "SIP/2.0 500 ");
    assert_eq!(bench.call().ended_by, EndedBy::Search(Stop::Full));
    drop(held);
    assert_eq!(bench.calls(), 0);
}

#[test]
fn no_more_calls_begin_in_a_second_than_the_trunk_takes() {
    let mut bench = limited();
    bench.wait_ms(10);
    let begins = |bench: &mut Bench, id: &str| {
        bench.receive(CALLER, &invite("+331", id));
        bench.take(CALLER, "SIP/2.0 100 ");
        let is_slow = bench.take_if("10.0.1.3:5060", "INVITE ").is_some();
        assert_ne!(is_slow, bench.take_if(MAN, "INVITE ").is_some());
        is_slow
    };
    let begun: Vec<bool> = ["1", "2", "3"]
        .iter()
        .map(|id| begins(&mut bench, id))
        .collect();
    assert_eq!(begun, [true, true, false]);
    bench.wait_ms(400);
    assert!(!begins(&mut bench, "4"));
    bench.wait_ms(600);
    bench.ignore("10.0.1.3:5060", "");
    bench.ignore(MAN, "");
    assert!(begins(&mut bench, "5"));
}

#[test]
fn who_is_asked_to_prove_himself_has_not_hung_up() {
    let mut bench = limited();
    let (.., dialog) = bench.up("1", "");
    bench.bye(&dialog.by_caller("BYE", 2), CALLER, BOB, 407);
    assert_eq!(bench.calls(), 1);
    bench.bye(&dialog.by_caller("BYE", 3), CALLER, BOB, 481);
    assert_eq!(bench.calls(), 0);
}

#[test]
fn a_bye_that_nobody_answers_ends_the_call_all_the_same() {
    let mut bench = limited();
    let (.., dialog) = bench.up("1", "");
    bench.receive(CALLER, &dialog.by_caller("BYE", 2));
    assert_eq!(bench.calls(), 1);
    bench.wait_ms(40_000);
    assert_eq!(bench.calls(), 0);
}

#[test]
fn both_dialogs_of_a_forked_call_must_end() {
    let mut bench = limited();
    let (_, ok, dialog) = bench.up("1", "");
    bench.receive(LON, &ok.replace("tag=bob", "tag=carol"));
    let other = bench.take(CALLER, "SIP/2.0 200 ");
    let other = Dialog::of(&invite("+441", "1"), &other.text);
    assert_eq!(bench.calls(), 1, "one call on its trunk");
    bench.bye(&other.by_caller("BYE", 2), CALLER, BOB, 200);
    assert_eq!(bench.calls(), 1);
    bench.bye(&dialog.by_caller("BYE", 3), CALLER, BOB, 200);
    assert_eq!(bench.calls(), 0);
}

#[test]
fn a_session_that_is_not_refreshed_is_over() {
    let mut bench = limited();
    let session = "Session-Expires: 600;refresher=uac\r\n";
    let (.., dialog) = bench.up("1", session);
    bench.wait_ms(500_000);
    let update = dialog.by_caller("UPDATE", 2);
    bench.receive(CALLER, &update);
    let sent = bench.take(BOB, "UPDATE ");
    bench.answer(&sent, 200, session);
    bench.take(CALLER, "SIP/2.0 200 ");
    bench.wait_ms(600_000);
    assert_eq!(bench.calls(), 1);
    bench.wait_ms(32_000);
    assert_eq!(bench.calls(), 0);
}

#[test]
fn a_call_that_never_ends_is_given_up_after_half_a_day() {
    let mut bench = limited();
    bench.up("1", "");
    bench.wait_ms(12 * 3_600_000 - 1);
    assert_eq!(bench.calls(), 1);
    bench.wait_ms(1);
    assert_eq!(bench.calls(), 0);
    assert_eq!(bench.engine.poll_timeout(), None);
}

#[test]
fn an_emergency_call_counts_and_is_not_refused() {
    let mut bench = limited();
    bench.up("1", "");
    bench.wait_ms(1_000);
    bench
        .snapshot
        .availability
        .order(TrunkId(1), trunkline::routing::Order::Drain);
    bench.receive(CALLER, &invite("112", "2"));
    bench.take(CALLER, "SIP/2.0 100 ");
    bench.take(LON, "INVITE ");
    assert_eq!(bench.calls(), 2);
}

#[test]
fn a_counted_dialog_says_whose_it_is() {
    let mut bench = limited();
    let (.., dialog) = bench.up("1", "");
    let bye = dialog.by_callee("BYE", 2);
    assert_eq!(
        dialog_owner(bye.as_bytes()),
        Some(settings(bench.now.instant).worker)
    );
    bench.call_by("2", MAN);
    let mut plain = Bench::new();
    let invite = plain.call_to("+441");
    let sent = plain.take(LON, "INVITE ");
    plain.answer(&sent, 200, "");
    let ok = plain.take(CALLER, "SIP/2.0 200 ");
    let bye = Dialog::of(&invite, &ok.text).by_callee("BYE", 2);
    assert_eq!(dialog_owner(bye.as_bytes()), None, "nothing is counted");
}
