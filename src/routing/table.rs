//! The compiled routing table: immutable, ids instead of names.

use super::dial_plan::DialPlan;
use super::did_map::{Did, DidMap};
use super::manipulation::Manipulation;
use super::number::Number;
use super::prefix_map::{Match, PrefixMap};
use super::rule_index::{Called, Candidates, RuleIndex};
use super::schedule::{Schedule, Verdict};
use super::trunk::{Hunt, Trunk, TrunkGroup, User};
use super::{
    Classification, Decision, DialPlanId, GroupId, ListId, ManipulationId, Origin, PolicyId, Route,
    Rule, RuleId, ScheduleId, TrunkId,
};
use crate::limits::NEAR_BYTES_MAX;
use ipnet::IpNet;
use jiff::Timestamp;
use std::fmt;
use std::ops::Range;

/// A DID list.
#[derive(Debug)]
pub struct DidList {
    /// Name in the table.
    pub name: Box<str>,
    /// The file its rows stand in.
    pub file: u16,
    /// Rows read.
    pub rows: u32,
    /// For a list that assigns no trunk groups: its numbers. A list that
    /// assigns has its rows in the table's one number space instead.
    pub marks: Option<PrefixMap<()>>,
}

/// A schedule and the schedules it includes.
#[derive(Debug)]
pub struct NamedSchedule {
    /// Name in the table.
    pub name: Box<str>,
    /// Its own hours.
    pub schedule: Schedule,
    /// Open when one of these is.
    pub open_with: Box<[ScheduleId]>,
    /// Closed when one of these is open (public holidays).
    pub closed_with: Box<[ScheduleId]>,
}

/// Which causes move a call to its next route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlternativeRouting {
    /// Name in the table.
    pub name: Box<str>,
    /// Causes that move a call on.
    pub next_route_on: Box<[Cause]>,
    /// Causes that end the search; they win over `next_route_on`.
    pub give_up_on: Box<[Cause]>,
    /// How long one trunk may stay silent, in milliseconds.
    pub trunk_timeout_ms: Option<u32>,
    /// Routes of a decision, at most `ROUTES_MAX`.
    pub max_routes: u8,
    /// Whether trunks that are believed dead are tried when there are no others.
    pub last_resort: bool,
}

/// Why an attempt on a route ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cause {
    /// The trunk stayed silent.
    TrunkTimeout,
    /// The trunk could not be reached: refused, unreachable, no such name.
    TransportError,
    /// A final SIP status.
    Status(u16),
    /// A class of final statuses: 4, 5 or 6.
    StatusClass(u8),
    /// A Q.850 cause in the Reason header of the final response (RFC 3326).
    Q850(u8),
}

/// What a change to a table may do without being let through by hand: `[policy]`. No call
/// is decided by it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChangePolicy {
    /// How many listed numbers may move.
    pub max_moved_numbers: Option<(u64, Origin)>,
    /// Prefixes of numbers for which nothing may change.
    pub frozen_prefixes: Box<[(Number, Origin)]>,
    /// Groups of which no call may be left without another route.
    pub require_alternative: Box<[(GroupId, Origin)]>,
    /// The change that made this table, where it is to pass the gates of the one before.
    pub accept: Option<Box<str>>,
}

impl ChangePolicy {
    /// Whether there is anything a change has to pass.
    #[must_use]
    pub fn has_gates(&self) -> bool {
        self.max_moved_numbers.is_some()
            || !self.frozen_prefixes.is_empty()
            || !self.require_alternative.is_empty()
    }
}

/// Everything a table is made of; `tables::compile` fills it, nothing changes it after.
#[derive(Debug, Default)]
pub struct TableParts {
    /// Names of the files, relative to the table's folder.
    pub files: Vec<Box<str>>,
    /// Trunks by [`TrunkId`].
    pub trunks: Vec<Trunk>,
    /// Trunk groups by [`GroupId`].
    pub groups: Vec<TrunkGroup>,
    /// Rules by [`RuleId`], top to bottom.
    pub rules: Vec<Rule>,
    /// Classifications, top to bottom.
    pub classifications: Vec<Classification>,
    /// `accept_from` networks; sorted by [`RoutingTable::new`].
    pub networks: Vec<(IpNet, GroupId)>,
    /// Dial plans by [`DialPlanId`], with their names.
    pub dial_plans: Vec<(Box<str>, DialPlan)>,
    /// Manipulations by [`ManipulationId`], with their names.
    pub manipulations: Vec<(Box<str>, Manipulation)>,
    /// Schedules by [`ScheduleId`]; inclusion has no circle.
    pub schedules: Vec<NamedSchedule>,
    /// Policies by [`PolicyId`].
    pub policies: Vec<AlternativeRouting>,
    /// DID lists by [`ListId`].
    pub lists: Vec<DidList>,
    /// The one number space of all lists that assign trunk groups.
    pub dids: DidMap,
    /// What a change to the table may do.
    pub change_policy: ChangePolicy,
    /// SHA-256 of all files.
    pub hash: [u8; 32],
}

/// A compiled routing table. Immutable; a call keeps the one it began with.
#[derive(Debug)]
pub struct RoutingTable {
    parts: TableParts,
    generation: u64,
    rule_index: RuleIndex,
    /// Whether a rule reads the host or the label, so that logs need to carry them.
    reads_host: bool,
    reads_tgrp: bool,
    /// Whether its numbers are more than a processor keeps near.
    is_far: bool,
}

impl RoutingTable {
    /// Seals the parts. Every id in them must be valid within them.
    #[must_use]
    pub fn new(mut parts: TableParts) -> Self {
        parts
            .networks
            .sort_by_key(|(net, _)| std::cmp::Reverse(net.prefix_len()));
        let rule_index = RuleIndex::new(&parts.rules, parts.groups.len(), &parts.lists);
        let reads_host = parts.rules.iter().any(|rule| !rule.host.is_unconditional());
        let reads_tgrp = parts.rules.iter().any(|rule| !rule.tgrp.is_unconditional());
        let is_far = parts.dids.memory_bytes() > NEAR_BYTES_MAX;
        Self {
            parts,
            generation: 0,
            is_far,
            rule_index,
            reads_host,
            reads_tgrp,
        }
    }

    /// The same table under the number by which logs and people know it.
    #[must_use]
    pub fn with_generation(mut self, generation: u64) -> Self {
        self.generation = generation;
        self
    }

    /// Counts up by one with every accepted change; 1 is the table the process began with.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// SHA-256 over the names and contents of all files of the table.
    #[must_use]
    pub fn hash(&self) -> ContentHash {
        ContentHash(self.parts.hash)
    }

    /// Whether some rule reads the host of the Request-URI.
    #[must_use]
    pub fn reads_host(&self) -> bool {
        self.reads_host
    }

    /// Whether some rule reads the trunk group label of the Request-URI.
    #[must_use]
    pub fn reads_tgrp(&self) -> bool {
        self.reads_tgrp
    }

    /// Whether lookups of numbers wait for memory, so that it is worth while to have what
    /// a batch of calls will need brought near.
    pub(super) const fn is_far(&self) -> bool {
        self.is_far
    }

    /// The trunk, if the id belongs to this table.
    #[must_use]
    pub fn trunk(&self, id: TrunkId) -> Option<&Trunk> {
        self.parts.trunks.get(id.index())
    }

    /// The trunk group, if the id belongs to this table.
    #[must_use]
    pub fn group(&self, id: GroupId) -> Option<&TrunkGroup> {
        self.parts.groups.get(id.index())
    }

    /// The rule, if the id belongs to this table.
    #[must_use]
    pub fn rule(&self, id: RuleId) -> Option<&Rule> {
        self.parts.rules.get(id.index())
    }

    /// The DID list, if the id belongs to this table.
    #[must_use]
    pub fn list(&self, id: ListId) -> Option<&DidList> {
        self.parts.lists.get(id.index())
    }

    /// Name of a trunk; empty for an id of another table.
    #[must_use]
    pub fn trunk_name(&self, id: TrunkId) -> &str {
        self.trunk(id).map_or("", |trunk| &trunk.name)
    }

    /// Name of a trunk group; empty for an id of another table.
    #[must_use]
    pub fn group_name(&self, id: GroupId) -> &str {
        self.group(id).map_or("", |group| &group.name)
    }

    /// Name of a rule; empty for an id of another table.
    #[must_use]
    pub fn rule_name(&self, id: RuleId) -> &str {
        self.rule(id).map_or("", |rule| &rule.name)
    }

    /// The group of that name.
    #[must_use]
    pub fn group_named(&self, name: &str) -> Option<GroupId> {
        self.parts
            .groups
            .iter()
            .position(|g| &*g.name == name)
            .map(|i| GroupId(i as u16))
    }

    /// All trunk groups.
    #[must_use]
    pub fn groups(&self) -> &[TrunkGroup] {
        &self.parts.groups
    }

    /// All trunks.
    #[must_use]
    pub fn trunks(&self) -> &[Trunk] {
        &self.parts.trunks
    }

    /// All rules, top to bottom.
    #[must_use]
    pub fn rules(&self) -> &[Rule] {
        &self.parts.rules
    }

    /// All DID lists.
    #[must_use]
    pub fn lists(&self) -> &[DidList] {
        &self.parts.lists
    }

    /// All schedules.
    #[must_use]
    pub fn schedules(&self) -> &[NamedSchedule] {
        &self.parts.schedules
    }

    /// Groups that calls can arrive on: a classification or `accept_from` names them.
    #[must_use]
    pub fn arrival_groups(&self) -> Vec<GroupId> {
        let classified = self.parts.classifications.iter().map(|c| c.group);
        let accepted = self.parts.networks.iter().map(|(_, group)| *group);
        let mut groups: Vec<GroupId> = classified.chain(accepted).collect();
        groups.sort_unstable();
        groups.dedup();
        groups
    }

    /// The number space of all lists that assign trunk groups.
    #[must_use]
    pub fn dids(&self) -> &DidMap {
        &self.parts.dids
    }

    /// What a change to this table may do.
    #[must_use]
    pub fn change_policy(&self) -> &ChangePolicy {
        &self.parts.change_policy
    }

    /// Rows of all DID lists.
    #[must_use]
    pub fn did_rows(&self) -> u64 {
        self.parts
            .lists
            .iter()
            .map(|list| u64::from(list.rows))
            .sum()
    }

    /// A file of the table, relative to its folder.
    #[must_use]
    pub fn file_name(&self, file: u16) -> &str {
        self.parts
            .files
            .get(usize::from(file))
            .map_or("", |name| name)
    }

    /// `routes.toml:18`.
    #[must_use]
    pub fn place(&self, origin: Origin) -> String {
        format!("{}:{}", self.file_name(origin.file), origin.line)
    }

    /// Place of a DID row that stands in this line of its list.
    #[must_use]
    pub fn did_place(&self, did: Did, line: u32) -> String {
        let file = self.list(did.list).map_or(u16::MAX, |list| list.file);
        self.place(Origin { file, line })
    }

    /// The dial plan of a group.
    #[must_use]
    pub fn dial_plan(&self, group: &TrunkGroup) -> Option<&DialPlan> {
        let DialPlanId(id) = group.dial_plan?;
        self.parts
            .dial_plans
            .get(usize::from(id))
            .map(|(_, plan)| plan)
    }

    /// Name of a group's dial plan.
    #[must_use]
    pub fn dial_plan_name(&self, group: &TrunkGroup) -> Option<&str> {
        let DialPlanId(id) = group.dial_plan?;
        self.parts
            .dial_plans
            .get(usize::from(id))
            .map(|(name, _)| &**name)
    }

    /// The alternative-routing policy of a group, if it names one.
    #[must_use]
    pub fn alternative_routing(&self, group: &TrunkGroup) -> Option<&AlternativeRouting> {
        let PolicyId(id) = group.alternative_routing?;
        self.parts.policies.get(usize::from(id))
    }

    /// The called number as a route's trunk group wants it, from the number of the call.
    #[must_use]
    pub fn outbound_called(&self, group: GroupId, number: Number) -> Number {
        self.manipulate(
            self.group(group).map_or(&[], |g| &g.outbound),
            number,
            |m| &m.called,
        )
    }

    /// The calling number as a route's trunk group wants it, from the number of the call.
    #[must_use]
    pub fn outbound_calling(&self, group: GroupId, number: Number) -> Number {
        self.manipulate(
            self.group(group).map_or(&[], |g| &g.outbound),
            number,
            |m| &m.calling,
        )
    }

    pub(super) fn manipulate(
        &self,
        list: &[ManipulationId],
        number: Number,
        side: impl Fn(&Manipulation) -> &[super::manipulation::Step],
    ) -> Number {
        list.iter()
            .filter_map(|id| self.parts.manipulations.get(id.index()))
            .fold(number, |number, (_, manipulation)| {
                super::manipulation::apply(side(manipulation), number).number
            })
    }

    /// The user part that a route's trunk is sent: its fixed one, or the called number as its
    /// group wants it.
    #[must_use]
    pub fn sent_user<'s>(&'s self, route: &Route, called: User<'s>) -> User<'s> {
        let fixed = self
            .trunk(route.trunk)
            .and_then(|trunk| trunk.target.fixed_user.as_ref());
        match (fixed, called) {
            (Some(fixed), _) => User::Raw(fixed.as_bytes()),
            (None, User::Number(number)) => User::Number(self.outbound_called(route.group, number)),
            (None, raw) => raw,
        }
    }

    /// Appends the Request-URI that a route's trunk is sent. `carried` are user parameters of
    /// the original request that stay behind the number, with their `;`.
    pub fn write_request_uri(
        &self,
        route: &Route,
        decision: &Decision<'_>,
        carried: &[u8],
        out: &mut Vec<u8>,
    ) {
        if let Some(trunk) = self.trunk(route.trunk) {
            trunk
                .target
                .write(self.sent_user(route, decision.called), carried, out);
        }
    }

    /// Whether a schedule is open, its included schedules counted in. A dated opening of its
    /// own beats a closing, and a closing beats weekly hours.
    #[must_use]
    pub fn is_open(&self, id: ScheduleId, at: Timestamp) -> bool {
        let Some(named) = self.parts.schedules.get(id.index()) else {
            return false;
        };
        let included = |ids: &[ScheduleId]| ids.iter().any(|id| self.is_open(*id, at));
        match named.schedule.explain(at).verdict() {
            Verdict::DatedOpening(_) => true,
            Verdict::DatedClosing(_) => false,
            _ if included(&named.closed_with) => false,
            Verdict::WeeklyOpening(_) => true,
            Verdict::NoHours => named.open_with.is_empty() || included(&named.open_with),
            Verdict::OutsideDatedOpening(_) | Verdict::OutsideWeeklyOpenings => {
                included(&named.open_with)
            }
        }
    }

    /// Whether some group draws its order from the Call-ID, so that logs need to carry it.
    #[must_use]
    pub fn draws(&self) -> bool {
        self.parts
            .groups
            .iter()
            .any(|group| group.hunt != Hunt::TopDown)
    }

    /// Bytes of the number tables, which are nearly all of a large table.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.parts.dids.memory_bytes()
            + self
                .parts
                .lists
                .iter()
                .filter_map(|list| list.marks.as_ref())
                .map(PrefixMap::memory_bytes)
                .sum::<usize>()
    }

    /// Where the arrays lie in memory that a lookup of a DID reads, as addresses: for who
    /// can have the system keep them in large pages.
    pub fn places(&self) -> impl Iterator<Item = Range<usize>> {
        self.parts.dids.places()
    }

    /// Adds the rules such a call can meet.
    pub(super) fn find_candidates<'t>(
        &'t self,
        from: GroupId,
        called: &Called<'_>,
        candidates: &mut Candidates<'t>,
    ) {
        self.rule_index.find_candidates(from, called, candidates);
    }

    pub(super) fn list_marks(&self, id: ListId) -> Option<&PrefixMap<()>> {
        self.list(id).and_then(|list| list.marks.as_ref())
    }

    /// Classifications, top to bottom.
    #[must_use]
    pub fn classifications(&self) -> &[Classification] {
        &self.parts.classifications
    }

    /// Networks that calls are accepted from, the longest first.
    #[must_use]
    pub fn networks(&self) -> &[(IpNet, GroupId)] {
        &self.parts.networks
    }

    /// The manipulation, if the id belongs to this table.
    #[must_use]
    pub fn manipulation(&self, id: ManipulationId) -> Option<&Manipulation> {
        let (_, manipulation) = self.parts.manipulations.get(id.index())?;
        Some(manipulation)
    }

    /// The DID row that fits best.
    #[must_use]
    pub fn did(&self, number: &Number) -> Option<Match<Did>> {
        self.parts.dids.longest(number)
    }
}

/// Ids of a vector's elements. Tables hold at most `NAMES_MAX` of anything with an id.
pub(super) fn ids<T>(list: &[T]) -> impl Iterator<Item = u16> + use<T> {
    0..u16::try_from(list.len()).unwrap_or(u16::MAX)
}

/// SHA-256 of a table's files; two tables with the same hash decide alike.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ContentHash(pub [u8; 32]);

impl fmt::Display for ContentHash {
    /// 64 hexadecimal digits; with a precision, that many: `{:.12}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(64).min(64);
        for (i, byte) in self.0.iter().enumerate() {
            match digits.saturating_sub(2 * i) {
                0 => break,
                1 => write!(f, "{:x}", byte >> 4)?,
                _ => write!(f, "{byte:02x}")?,
            }
        }
        Ok(())
    }
}
