//! What is counted of each trunk group and trunk, and how long things take.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use super::Roster;
use super::histogram::{Durations, Histogram};
use crate::limits::{GROUPS_TALLIED_MAX, NAMES_MAX};
use crate::proxy::{CallEvent, ProbeReport, ProxiedCall, counted};
use crate::routing::table::Cause;
use crate::routing::{GroupId, Outcome, RoutingTable};

/// Bounds of the time a decision takes.
const DECISION_BOUNDS: &[Duration] = &[
    Duration::from_nanos(500),
    Duration::from_micros(1),
    Duration::from_micros(2),
    Duration::from_micros(5),
    Duration::from_micros(10),
    Duration::from_micros(20),
    Duration::from_micros(50),
    Duration::from_micros(100),
    Duration::from_micros(500),
    Duration::from_millis(1),
    Duration::from_millis(10),
];

/// Bounds of the time until a phone rings.
const DELAY_BOUNDS: &[Duration] = &[
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(5),
    Duration::from_secs(8),
    Duration::from_secs(12),
    Duration::from_secs(20),
    Duration::from_secs(60),
];

/// Bounds of the time a trunk takes to answer OPTIONS.
const PROBE_BOUNDS: &[Duration] = &[
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(5),
    Duration::from_millis(10),
    Duration::from_millis(20),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(200),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(4),
    Duration::from_secs(16),
];

counted! {
    /// What was decided, but for rejections, which have a status.
    Decided {
        /// There is a route.
        Routed = "rule",
        /// There is, and every one leads back to who asks.
        Loop = "loop",
        /// What was dialled is no number, and no rule takes it.
        NoNumber = "no-number",
        /// No rule applied.
        NoRule = "no-rule",
        /// A rule did, and its destinations lead nowhere.
        NoDestination = "no-destination",
        /// No trunk may be tried now.
        Unavailable = "out-of-service",
    }
}

/// Final statuses that are no 2xx.
const REFUSALS: std::ops::Range<u16> = 300..700;
/// Places of the causes of a failover: refusals, and behind them these two.
const SILENT: usize = 400;
const UNREACHABLE: usize = 401;

/// Tallies of one worker. Written by it, read by anybody at any time.
#[derive(Debug)]
pub struct Tallies {
    roster: Arc<Roster>,
    groups: Box<[OnceLock<Box<GroupTally>>]>,
    decisions: Histogram,
    /// Only the worker that asks trunks has any.
    probes: Mutex<BTreeMap<Arc<str>, Histogram>>,
}

#[derive(Debug, Default)]
struct GroupTally {
    decided: [AtomicU64; Decided::ALL.len()],
    rejected: OnceLock<Box<[AtomicU64]>>,
    chosen: AtomicU64,
    failovers: OnceLock<Box<[AtomicU64]>>,
    delay: OnceLock<Histogram>,
}

/// The sum of all workers' tallies at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tallied {
    /// By the name of the group; those of which anything was counted.
    pub groups: BTreeMap<Arc<str>, GroupTallied>,
    /// How long decisions took.
    pub decisions: Durations,
    /// How long each trunk took to answer OPTIONS, by its name.
    pub probes: BTreeMap<Arc<str>, Durations>,
}

/// What was counted of one trunk group.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GroupTallied {
    /// Decisions about calls that arrived on it, by outcome and reason.
    pub decided: BTreeMap<(&'static str, String), u64>,
    /// Those of them that were without a route.
    pub no_route: u64,
    /// Calls whose first route is on it.
    pub chosen: u64,
    /// Calls that moved on from one of its routes, by what ended the attempt there.
    pub failovers: BTreeMap<String, u64>,
    /// Times until its calls rang.
    pub delay: Option<Durations>,
}

impl Tallies {
    /// All zero.
    #[must_use]
    pub fn new(roster: Arc<Roster>) -> Self {
        let groups = std::iter::repeat_with(OnceLock::new);
        Self {
            roster,
            groups: groups.take(GROUPS_TALLIED_MAX).collect(),
            decisions: Histogram::new(DECISION_BOUNDS),
            probes: Mutex::default(),
        }
    }

    /// A call was decided by `table`, and answered by a redirect server.
    pub fn call(&self, event: &CallEvent<'_>, table: &RoutingTable) {
        let reason = reason(&event.outcome, event.status, event.rule.is_some(), || {
            event.called.is_some()
        });
        self.decided(table, event.from, &event.outcome, reason);
    }

    /// A call of a proxy has its final answer.
    pub fn proxied(&self, call: &ProxiedCall) {
        let has_number = || call.called.is_some();
        let reason = reason(&call.outcome, 0, call.rule.is_some(), has_number);
        self.decided(&call.table, call.from, &call.outcome, reason);
        let later = call.attempts.iter().skip(1);
        for (failed, _) in call.attempts.iter().zip(later) {
            let cause = failed.ending.map(|ending| ending.cause);
            if let (Some(group), Some(cause)) = (self.of(&call.table, failed.route.group), cause) {
                group.moved_on(cause);
            }
        }
        if let Some(delay) = session_request_delay(call)
            && let Some(group) = self.of(&call.table, delay.0)
        {
            let delays = || Histogram::new(DELAY_BOUNDS);
            group.delay.get_or_init(delays).note(delay.1);
        }
    }

    /// So long a decision took.
    pub fn decision_took(&self, took: Duration) {
        self.decisions.note(took);
    }

    /// A trunk answered OPTIONS, or did not.
    pub fn probe(&self, report: &ProbeReport) {
        let Some(took) = report.took else { return };
        let mut probes = self.probes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answers) = probes.get(&report.trunk) {
            answers.note(took);
        } else if probes.len() < NAMES_MAX {
            let answers = Histogram::new(PROBE_BOUNDS);
            answers.note(took);
            probes.insert(Arc::clone(&report.trunk), answers);
        }
    }

    fn decided(&self, table: &RoutingTable, from: GroupId, outcome: &Outcome, reason: Decided) {
        if let Some(group) = self.of(table, from) {
            match outcome {
                Outcome::Reject { status } => count_status(&group.rejected, *status),
                _ => add(group.decided.get(reason.index())),
            }
        }
        if let Outcome::Route(routes) = outcome
            && let Some(first) = routes.first()
            && let Some(group) = self.of(table, first.group)
        {
            add(Some(&group.chosen));
        }
    }

    fn of(&self, table: &RoutingTable, group: GroupId) -> Option<&GroupTally> {
        let place = self.roster.place(table, group)?;
        Some(self.groups.get(place)?.get_or_init(Box::default))
    }
}

impl Tallied {
    /// Adds the tallies of all workers up.
    #[must_use]
    pub fn of<'t>(all: impl IntoIterator<Item = &'t Tallies>) -> Self {
        let mut sum = Self {
            groups: BTreeMap::new(),
            decisions: Durations::none(DECISION_BOUNDS),
            probes: BTreeMap::new(),
        };
        for tallies in all {
            sum.decisions.add(&tallies.decisions.durations());
            for (name, group) in tallies.roster.names().into_iter().zip(&tallies.groups) {
                if let Some(group) = group.get() {
                    group.add_to(sum.groups.entry(name).or_default());
                }
            }
            let probes = (tallies.probes.lock()).unwrap_or_else(PoisonError::into_inner);
            for (trunk, answers) in probes.iter() {
                let none = || Durations::none(PROBE_BOUNDS);
                let all = sum.probes.entry(Arc::clone(trunk)).or_insert_with(none);
                all.add(&answers.durations());
            }
        }
        sum
    }
}

impl GroupTally {
    fn moved_on(&self, cause: Cause) {
        let place = match cause {
            Cause::TrunkTimeout => SILENT,
            Cause::TransportError => UNREACHABLE,
            Cause::Status(status) => {
                return count_status(&self.failovers, status);
            }
            // What a policy lists, and no attempt ends with.
            Cause::StatusClass(_) | Cause::Q850(_) => return,
        };
        add(self.failovers.get_or_init(zeros).get(place));
    }

    fn add_to(&self, sum: &mut GroupTallied) {
        for (decided, count) in Decided::ALL.iter().zip(&self.decided) {
            let (outcome, reason) = (outcome_of(*decided), decided.as_str().to_owned());
            sum_up(&mut sum.decided, (outcome, reason), count);
        }
        for (status, count) in REFUSALS.zip(self.rejected.get().into_iter().flatten()) {
            sum_up(&mut sum.decided, ("rejected", status.to_string()), count);
        }
        let no_route = sum.decided.iter().filter(|(why, _)| why.0 == "no-route");
        sum.no_route = no_route.map(|(_, count)| count).sum();
        sum.chosen += self.chosen.load(Ordering::Relaxed);
        let causes = REFUSALS.map(|status| status.to_string());
        let causes = causes.chain(["timeout", "unreachable"].map(str::to_owned));
        for (cause, count) in causes.zip(self.failovers.get().into_iter().flatten()) {
            sum_up(&mut sum.failovers, cause, count);
        }
        if let Some(delay) = self.delay.get() {
            let none = || Durations::none(DELAY_BOUNDS);
            sum.delay.get_or_insert_with(none).add(&delay.durations());
        }
    }
}

/// RFC 6076 §4.3.1: from the INVITE to the first sign that it rings, of calls that came so
/// far, and the group whose trunk gave it.
fn session_request_delay(call: &ProxiedCall) -> Option<(GroupId, Duration)> {
    let answer_ms = (call.status.code() < 300).then_some(call.answer_ms);
    let delay_ms = call.progress_ms.or(answer_ms)?;
    let mut begun = call.attempts.iter().rev();
    let attempt = begun.find(|attempt| attempt.begun_ms <= delay_ms)?;
    let delay = Duration::from_millis(u64::from(delay_ms));
    Some((attempt.route.group, delay))
}

fn reason(
    outcome: &Outcome,
    status: u16,
    has_rule: bool,
    has_number: impl FnOnce() -> bool,
) -> Decided {
    match outcome {
        // The routes of a redirect all led back.
        Outcome::Route(_) if status == 482 => Decided::Loop,
        Outcome::Route(_) | Outcome::Reject { .. } => Decided::Routed,
        Outcome::Unavailable => Decided::Unavailable,
        Outcome::NoRoute if has_rule => Decided::NoDestination,
        Outcome::NoRoute if has_number() => Decided::NoRule,
        Outcome::NoRoute => Decided::NoNumber,
    }
}

const fn outcome_of(decided: Decided) -> &'static str {
    match decided {
        Decided::Routed | Decided::Loop => "routed",
        Decided::NoNumber | Decided::NoRule | Decided::NoDestination => "no-route",
        Decided::Unavailable => "unavailable",
    }
}

fn zeros() -> Box<[AtomicU64]> {
    let zeros = std::iter::repeat_with(AtomicU64::default);
    zeros.take(UNREACHABLE + 1).collect()
}

fn count_status(counts: &OnceLock<Box<[AtomicU64]>>, status: u16) {
    let place = usize::from(status.wrapping_sub(REFUSALS.start));
    let counts = counts.get_or_init(zeros);
    add(counts.get(place).filter(|_| REFUSALS.contains(&status)));
}

fn sum_up<K: Ord>(sums: &mut BTreeMap<K, u64>, key: K, count: &AtomicU64) {
    let count = count.load(Ordering::Relaxed);
    if count > 0 {
        *sums.entry(key).or_default() += count;
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

/// A table that has these trunk groups and nothing else.
#[cfg(test)]
pub(super) fn table_of(generation: u64, groups: &[&str]) -> RoutingTable {
    use crate::routing::table::TableParts;
    use crate::routing::trunk::TrunkGroup;
    let groups = groups.iter().map(|name| TrunkGroup::bare(name));
    RoutingTable::new(TableParts {
        groups: groups.collect(),
        ..TableParts::default()
    })
    .with_generation(generation)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::proxy::{AttemptReport, EndedBy};
    use crate::routing::{Caller, Ending, Route, RuleId, TrunkId};
    use crate::sip::StatusCode;
    use bytes::Bytes;
    use jiff::Timestamp;

    fn attempt(group: u16, begun_ms: u32, cause: Cause) -> AttemptReport {
        AttemptReport {
            route: Route {
                group: GroupId(group),
                trunk: TrunkId(group),
            },
            ending: Some(Ending { cause, q850: None }),
            begun_ms,
            ended_ms: None,
            large: None,
        }
    }

    /// From the group 0 to the groups 1 and 2, which rings after a second.
    pub(in crate::observe) fn call(table: RoutingTable) -> ProxiedCall {
        let attempts = [
            attempt(1, 0, Cause::TrunkTimeout),
            attempt(1, 400, Cause::Status(503)),
            attempt(2, 700, Cause::Status(200)),
        ];
        ProxiedCall {
            number: 0,
            is_followed: false,
            at: Timestamp::UNIX_EPOCH,
            source: "192.0.2.1:5060".parse().expect("an address"),
            listener: 0,
            invite: Bytes::new(),
            table: Arc::new(table),
            from: GroupId(0),
            called: None,
            calling: Caller::Anonymous,
            emergency: false,
            rule: Some(RuleId(0)),
            outcome: Outcome::Route(attempts.iter().map(|attempt| attempt.route).collect()),
            attempts: attempts.into_iter().collect(),
            sent_to: arrayvec::ArrayVec::new(),
            status: StatusCode::OK,
            ended_by: EndedBy::Answer,
            progress_ms: Some(1_000),
            answer_ms: 4_000,
        }
    }

    #[test]
    fn a_call_is_counted_where_it_came_from_and_where_it_went() {
        let roster = Arc::new(Roster::new());
        let workers = [(); 2].map(|()| Tallies::new(Arc::clone(&roster)));
        for (generation, worker) in (1..).zip(&workers) {
            worker.proxied(&call(table_of(generation, &["sbc", "uk", "de"])));
        }
        let sum = Tallied::of(&workers);
        let of = |name: &str| sum.groups.get(name).cloned().unwrap_or_default();
        assert_eq!(
            of("sbc").decided,
            BTreeMap::from([(("routed", "rule".to_owned()), 2)])
        );
        assert_eq!((of("uk").chosen, of("de").chosen), (2, 0));
        let failovers = BTreeMap::from([("timeout".to_owned(), 2), ("503".to_owned(), 2)]);
        assert_eq!(of("uk").failovers, failovers);
        assert_eq!(of("de").failovers, BTreeMap::new());
        let delay = of("de").delay.expect("it rang");
        assert_eq!((delay.count(), delay.sum_ns), (2, 2_000_000_000));
        assert_eq!(of("uk").delay, None);
    }

    #[test]
    fn what_is_no_route_and_what_is_refused_has_its_reason() {
        let tallies = Tallies::new(Arc::default());
        for (outcome, rule) in [
            (Outcome::NoRoute, None),
            (Outcome::NoRoute, Some(RuleId(0))),
            (Outcome::Unavailable, Some(RuleId(0))),
            (Outcome::Reject { status: 603 }, Some(RuleId(0))),
        ] {
            tallies.proxied(&ProxiedCall {
                outcome,
                rule,
                attempts: [].into_iter().collect(),
                progress_ms: None,
                status: StatusCode::NOT_FOUND,
                ..call(table_of(1, &["sbc"]))
            });
        }
        let sum = Tallied::of([&tallies]);
        let sbc = sum.groups.get("sbc").expect("it was counted");
        let reasons: Vec<_> = sbc
            .decided
            .keys()
            .map(|(o, r)| format!("{o} {r}"))
            .collect();
        assert_eq!(
            reasons,
            [
                "no-route no-destination",
                "no-route no-number",
                "rejected 603",
                "unavailable out-of-service"
            ]
        );
        assert_eq!((sbc.no_route, sbc.chosen), (2, 0));
        assert_eq!(sbc.delay, None);
    }

    #[test]
    fn probes_are_timed_by_trunk() {
        let tallies = Tallies::new(Arc::default());
        for took in [Some(Duration::from_millis(3)), None] {
            tallies.probe(&ProbeReport {
                trunk: "lon".into(),
                took,
                miss: None,
                turn: None,
            });
        }
        let sum = Tallied::of([&tallies]);
        assert_eq!(sum.probes.get("lon").map(Durations::count), Some(1));
    }
}
