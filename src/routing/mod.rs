//! Facts in, decision out: the routing core.
//!
//! [`route`] reads a [`Snapshot`] and [`RequestFacts`] and answers with a [`Decision`]. It
//! knows no SIP message, no clock and no socket, so the same function serves the redirect
//! server, the command line, the cases of a table and every later face. What it did is told
//! to a [`Trace`]: an explanation is the same walk, written down.
//!
//! Nothing here allocates while deciding.

pub mod availability;
mod call_load;
pub mod classification;
pub mod conditions;
pub mod decision;
pub mod dial_plan;
pub mod did_map;
pub mod explanation;
mod foresight;
mod ids;
mod laws;
pub mod manipulation;
pub mod next_route;
pub mod number;
pub mod prefix_map;
pub mod probing;
pub mod rule;
mod rule_index;
pub mod schedule;
pub mod table;
pub mod text_pattern;
pub mod trunk;

pub use availability::{Availability, Order, Outage};
pub use call_load::{CallHold, Full};
pub use classification::{
    Arrival, Classification, Label, classify, is_by_source_only, is_known_source,
};
pub use decision::{Caller, Decision, End, Outcome, Route, Trace};
pub use did_map::Did;
pub use explanation::Explanation;
pub use foresight::Foresight;
pub use ids::{
    DialPlanId, GroupId, ListId, ManipulationId, Origin, PolicyId, RuleId, ScheduleId, TrunkId,
};
#[doc(hidden)]
pub use laws::{fuzz_did_map, fuzz_explanation, fuzz_prefix_map};
pub use next_route::{Ending, Next, Search, Stop, next_route};
pub use number::Number;
pub use probing::{AliveAnswers, Answers, ProbeRecord, Probing, Turn};
pub use rule::{Miss, Rule};
pub use table::RoutingTable;
pub use trunk::{Trunk, TrunkState, User};

use arrayvec::ArrayVec;
use jiff::Timestamp;
use prefix_map::Match;
use rule::{Action, Destination};
use rule_index::Candidates;
use std::sync::Arc;
use trunk::Hunt;

use crate::limits::TRUNKS_PER_GROUP_MAX;

/// Everything a decision reads besides the facts of the call.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The table.
    pub table: Arc<RoutingTable>,
    /// State of its trunks.
    pub availability: Arc<Availability>,
}

impl Snapshot {
    /// A snapshot with every trunk in service and no call in progress.
    #[must_use]
    pub fn new(table: Arc<RoutingTable>) -> Self {
        let availability = Arc::new(Availability::of(&table));
        Self {
            table,
            availability,
        }
    }
}

/// A number as the peer wrote it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Dialled<'a> {
    /// The user part without its parameters, percent-decoded; read as a number.
    pub number: &'a [u8],
    /// The same bytes as they were received; sent on where it is no number.
    pub raw: &'a [u8],
    /// `phone-context` (RFC 3966), if it had one.
    pub phone_context: Option<&'a [u8]>,
}

/// The facts of one call: plain data, from SIP, the command line or a case alike.
#[derive(Clone, Copy, Debug)]
pub struct RequestFacts<'a> {
    /// The trunk group it arrived on; an id of the snapshot's table.
    pub from: GroupId,
    /// The number that was dialled.
    pub called: Dialled<'a>,
    /// The caller; `None` is anonymous.
    pub calling: Option<Dialled<'a>>,
    /// Host of the Request-URI.
    pub host: &'a [u8],
    /// `tgrp` of the Request-URI, if its label is whole (RFC 4904).
    pub tgrp: Option<&'a [u8]>,
    /// Time of the call.
    pub at: Timestamp,
    /// Hash of the Call-ID: what weighted and least-loaded hunting draw from.
    pub call_hash: u64,
}

/// Decides one call. Total: every call gets a decision, whatever its facts.
pub fn route<'a>(
    snapshot: &Snapshot,
    facts: &RequestFacts<'a>,
    trace: &mut impl Trace,
) -> Decision<'a> {
    let mut walk = Walk::new(&snapshot.table, facts, trace);
    let (rule, outcome) = match walk.transfers_to() {
        Some(group) => {
            let group = [Destination::Group(group)];
            (None, find_routes(snapshot, &walk, &group, trace))
        }
        None => first_rule(snapshot, &mut walk, trace),
    };
    Decision {
        rule,
        called: walk
            .called
            .map_or(User::Raw(facts.called.raw), User::Number),
        calling: walk.calling,
        did: walk.did,
        emergency: walk.emergency,
        outcome,
    }
}

/// What is known of the call while its rules are tried.
pub(crate) struct Walk<'t, 'f> {
    table: &'t RoutingTable,
    facts: &'t RequestFacts<'f>,
    called: Option<Number>,
    calling: Caller,
    emergency: bool,
    did: Option<Match<Did>>,
    /// Looked up when the first rule asks for it.
    calling_did: Option<Option<Match<Did>>>,
}

impl<'t, 'f> Walk<'t, 'f> {
    fn new(table: &'t RoutingTable, facts: &'t RequestFacts<'f>, trace: &mut impl Trace) -> Self {
        let (called, emergency) = read_number(table, facts.from, &facts.called, End::Called, trace);
        let calling = match &facts.calling {
            None => Caller::Anonymous,
            Some(dialled) => {
                Caller::Shown(read_number(table, facts.from, dialled, End::Calling, trace).0)
            }
        };
        let did = called.and_then(|number| table.did(&number));
        Self {
            table,
            facts,
            called,
            calling,
            emergency,
            did,
            calling_did: None,
        }
    }

    /// Where the call goes if it is the rest of a transfer: a Request-URI that names no user
    /// is for whoever made it.
    fn transfers_to(&self) -> Option<GroupId> {
        if !self.facts.called.raw.is_empty() {
            return None;
        }
        self.table.group(self.facts.from)?.transfers_to
    }

    /// Whether the group has sent this call and takes none of its own back.
    fn is_sender(&self, group: GroupId) -> bool {
        group == self.facts.from
            && !self.emergency
            && self
                .table
                .group(group)
                .is_some_and(|group| !group.send_back)
            && self.transfers_to().is_none()
    }

    fn calling_did(&mut self) -> Option<Match<Did>> {
        let (table, calling) = (self.table, self.calling);
        *self
            .calling_did
            .get_or_insert_with(|| calling.number().and_then(|n| table.did(&n)))
    }
}

/// Inbound manipulations of the arrival group, then its dial plan. The second value tells
/// whether it is an emergency number, which nothing rewrites.
fn read_number(
    table: &RoutingTable,
    from: GroupId,
    dialled: &Dialled<'_>,
    end: End,
    trace: &mut impl Trace,
) -> (Option<Number>, bool) {
    let group = table.group(from);
    let plan = group.and_then(|group| table.dial_plan(group));
    let written = Number::parse_visual(dialled.number);
    let is_emergency = |number: &Number| dial_plan::is_emergency(plan, number);
    let arrived = written
        .filter(|n| end == End::Calling || !is_emergency(n))
        .map(|number| {
            table.manipulate(group.map_or(&[], |g| &g.inbound), number, |m| match end {
                End::Called => &m.called,
                End::Calling => &m.calling,
            })
        });
    // An emergency number was not manipulated.
    let number = arrived.or(written);
    let normalised = dial_plan::normalise_number(plan, number, dialled.phone_context);
    trace.number(end, arrived.filter(|n| Some(*n) != written), &normalised);
    let number = normalised.number;
    (
        number,
        end == End::Called && number.as_ref().is_some_and(is_emergency),
    )
}

/// Tries the rules top to bottom.
fn first_rule<T: Trace>(
    snapshot: &Snapshot,
    walk: &mut Walk<'_, '_>,
    trace: &mut T,
) -> (Option<RuleId>, Outcome) {
    let table = &*snapshot.table;
    // A trace may want to hear of the rules that the index spares us; it changes nothing,
    // because their `from` or `called` does not hold.
    if T::EVERY_RULE {
        let every = table::ids(table.rules()).map(RuleId);
        return first_of(every, snapshot, walk, trace);
    }
    let called = rule_index::Called {
        number: walk.called.as_ref(),
        emergency: walk.emergency,
        list: walk.did.map(|row| row.value.list),
    };
    let mut candidates = Candidates::new();
    table.find_candidates(walk.facts.from, &called, &mut candidates);
    first_of(&mut candidates, snapshot, walk, trace)
}

/// The first of these rules that applies.
fn first_of(
    rules: impl Iterator<Item = RuleId>,
    snapshot: &Snapshot,
    walk: &mut Walk<'_, '_>,
    trace: &mut impl Trace,
) -> (Option<RuleId>, Outcome) {
    for id in rules {
        let Some(rule) = snapshot.table.rule(id) else {
            continue;
        };
        let verdict = rule
            .conditions(walk)
            .and_then(|()| act(snapshot, walk, rule, trace));
        trace.rule(id, verdict.as_ref().map(|_| ()).map_err(|miss| *miss));
        if let Ok(outcome) = verdict {
            return (Some(id), outcome);
        }
    }
    (None, Outcome::NoRoute)
}

/// What a rule whose conditions hold does with the call. A miss is possible only for an
/// emergency call, which goes on to the next rule rather than be refused.
fn act(
    snapshot: &Snapshot,
    walk: &Walk<'_, '_>,
    rule: &Rule,
    trace: &mut impl Trace,
) -> Result<Outcome, Miss> {
    match &rule.action {
        Action::Reject { .. } if walk.emergency => Err(Miss::EmergencyNotBarred),
        Action::Reject { status, .. } => Ok(Outcome::Reject { status: *status }),
        Action::RouteTo(destinations) => match find_routes(snapshot, walk, destinations, trace) {
            Outcome::NoRoute if walk.emergency => Err(Miss::EmergencyNotRouted),
            outcome => Ok(outcome),
        },
    }
}

/// The destinations' trunks in the order of trying, those out of service left out.
fn find_routes(
    snapshot: &Snapshot,
    walk: &Walk<'_, '_>,
    destinations: &[Destination],
    trace: &mut impl Trace,
) -> Outcome {
    let mut routes = ArrayVec::new();
    let mut unavailable = Passed::default();
    let mut policy = None;
    for destination in destinations {
        let group = match destination {
            Destination::Group(group) => Some(*group),
            Destination::Assigned => walk.did.and_then(|row| row.value.group),
        };
        let Some(group) = group.and_then(|id| walk.table.group(id)) else {
            continue;
        };
        policy = policy.or(Some(walk.table.alternative_routing(group)));
        let routes_max = policy
            .flatten()
            .map_or(routes.capacity(), |p| p.max_routes.into());
        for id in &group.search {
            hunt(
                snapshot,
                walk,
                *id,
                routes_max,
                (&mut routes, &mut unavailable),
                trace,
            );
        }
    }
    if routes.is_empty() && walk.emergency {
        // A trunk believed dead, or full, is better than no trunk.
        routes = unavailable.all.clone();
    } else if routes.is_empty() && policy.flatten().is_none_or(|policy| policy.last_resort) {
        // They are believed dead; the caller has nobody else.
        routes = unavailable.believed_dead.clone();
    }
    match (routes.is_empty(), unavailable.all.is_empty()) {
        (false, _) => Outcome::Route(routes),
        (true, false) => Outcome::Unavailable,
        (true, true) => Outcome::NoRoute,
    }
}

type Routes = ArrayVec<Route, { crate::limits::ROUTES_MAX }>;

/// Routes that were passed over.
#[derive(Default)]
struct Passed {
    all: Routes,
    /// Those whose trunk is out of service, but not by order, and not full.
    believed_dead: Routes,
}

/// Adds the trunks of one group, until there are `routes_max`. A trunk is tried once.
fn hunt(
    snapshot: &Snapshot,
    walk: &Walk<'_, '_>,
    id: GroupId,
    routes_max: usize,
    (routes, unavailable): (&mut Routes, &mut Passed),
    trace: &mut impl Trace,
) {
    let Some(group) = walk.table.group(id) else {
        return;
    };
    let sent_it = walk.is_sender(id);
    let drawn;
    let trunks = if group.hunt == Hunt::TopDown {
        group
            .trunks
            .get(..TRUNKS_PER_GROUP_MAX)
            .unwrap_or(&group.trunks)
    } else {
        let hash = walk.facts.call_hash;
        drawn = trunk::drawn_order(walk.table, &snapshot.availability, group, hash);
        &drawn
    };
    for &trunk in trunks {
        let known = |list: &Routes| list.iter().any(|route| route.trunk == trunk);
        if walk.table.trunk(trunk).is_none() {
            continue;
        }
        if known(routes) || known(&unavailable.all) {
            continue;
        }
        let route = Route { group: id, trunk };
        if sent_it {
            trace.trunk(route, TrunkState::SentIt);
            continue;
        }
        let state = trunk::state(walk.table, route, &snapshot.availability);
        let list = if state == TrunkState::InService {
            &mut *routes
        } else {
            &mut unavailable.all
        };
        if list.len() >= routes_max || list.try_push(route).is_err() {
            return;
        }
        if let TrunkState::OutOfService(outage) = state
            && !outage.is_by_order()
        {
            // As long as the list of all, which had room.
            let _ = unavailable.believed_dead.try_push(route);
        }
        trace.trunk(route, state);
    }
}
