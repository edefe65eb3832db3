//! What becomes of calls, by name and not by id: what can be compared between two tables.

use crate::limits::ROUTES_MAX;
use crate::routing::rule::Destination;
use crate::routing::trunk::{Hunt, Trunk, TrunkGroup};
use crate::routing::{GroupId, RoutingTable};
use std::fmt;

/// What becomes of a call.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It is sent to the first of these that takes it.
    Route(Box<[Stage]>),
    /// It is refused by a rule.
    Reject {
        /// SIP status.
        status: u16,
        /// Reason phrase.
        reason: Box<str>,
    },
    /// No rule applies, or the rule leads nowhere: 404.
    NoRoute,
}

/// The trunks of one group, as far as a call can get to them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stage {
    /// Name of the trunk group.
    pub group: Box<str>,
    /// Names and addresses of the trunks: in the order of trying, or, where they share
    /// the calls, by name.
    pub trunks: Box<[(Box<str>, Box<str>)]>,
    /// How many of them a call may try.
    pub tries: usize,
    /// Whether they share calls rather than be tried in order.
    pub shared: bool,
    /// How calls are sent: weights and limits, manipulations, alternative routing. Only to
    /// be compared.
    manner: Box<str>,
}

impl Outcome {
    /// What a rule with these destinations does for a call whose number is assigned so.
    /// `sender` is the group it arrived on, if that takes none of its own back.
    pub(super) fn of_route(
        table: &RoutingTable,
        destinations: &[Destination],
        assigned: Option<GroupId>,
        sender: Option<GroupId>,
    ) -> Self {
        let mut stages: Vec<Stage> = Vec::new();
        let mut policy = None;
        for destination in destinations {
            let group = match destination {
                Destination::Group(group) => Some(*group),
                Destination::Assigned => assigned,
            };
            let Some(group) = group.and_then(|id| table.group(id)) else {
                continue;
            };
            let policy = *policy.get_or_insert_with(|| table.alternative_routing(group));
            let routes_max = policy.map_or(ROUTES_MAX, |p| p.max_routes.into());
            for id in group.search.iter().filter(|id| Some(**id) != sender) {
                let tried: usize = stages.iter().map(|stage| stage.tries).sum();
                let left = routes_max.saturating_sub(tried);
                let stage = table
                    .group(*id)
                    .map(|group| Stage::of(table, group, &stages, left));
                stages.extend(stage.filter(|stage| stage.tries > 0));
            }
        }
        if stages.is_empty() {
            return Self::NoRoute;
        }
        if let (Some(first), Some(Some(policy))) = (stages.first_mut(), policy) {
            let (on, off) = (&policy.next_route_on, &policy.give_up_on);
            let timeout = policy.trunk_timeout_ms;
            first.manner = format!("{}; {on:?} {off:?} {timeout:?}", first.manner).into();
        }
        Self::Route(stages.into())
    }

    /// Routes a call has at most; 0 when it is refused.
    #[must_use]
    pub fn routes(&self) -> usize {
        match self {
            Self::Route(stages) => stages.iter().map(|stage| stage.tries).sum(),
            _ => 0,
        }
    }

    /// The trunk group a call is sent to first.
    #[must_use]
    pub fn main(&self) -> Option<&str> {
        match self {
            Self::Route(stages) => stages.first().map(|stage| &*stage.group),
            _ => None,
        }
    }

    /// Whether calls go to the same trunks in the same order.
    #[must_use]
    pub fn same_trunks(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Route(a), Self::Route(b)) => {
                a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.same_trunks(b))
            }
            (a, b) => a == b,
        }
    }

    /// Trunks of the same name whose addresses differ: name, before, after.
    #[must_use]
    pub fn other_addresses<'a>(&'a self, after: &'a Self) -> Vec<(&'a str, &'a str, &'a str)> {
        let (Self::Route(before), Self::Route(after)) = (self, after) else {
            return Vec::new();
        };
        let trunks = after.iter().flat_map(|stage| &stage.trunks);
        let changed = trunks.filter_map(|(name, address)| {
            let mut old = before.iter().flat_map(|stage| &stage.trunks);
            let (_, old) = old.find(|(own, _)| own == name)?;
            (old != address).then_some((&**name, &**old, &**address))
        });
        changed.collect()
    }

    /// The same with every trunk: `teams (teams-1, teams-2), reception (reception-1)`.
    #[must_use]
    pub fn in_full(&self) -> String {
        let Self::Route(stages) = self else {
            return self.to_string();
        };
        let stage = |stage: &Stage| {
            let names: Vec<&str> = stage.trunks.iter().map(|(name, _)| &**name).collect();
            format!("{} ({})", stage.group, names.join(", "))
        };
        stages.iter().map(stage).collect::<Vec<_>>().join(", ")
    }
}

impl Stage {
    fn of(table: &RoutingTable, group: &TrunkGroup, before: &[Self], left: usize) -> Self {
        let taken = |name: &str| before.iter().any(|stage| stage.names(name));
        let trunks = group.trunks.iter().filter_map(|id| table.trunk(*id));
        let mut trunks: Vec<_> = trunks.filter(|trunk| !taken(&trunk.name)).collect();
        let tries = trunks.len().min(left);
        let shared = group.hunt != Hunt::TopDown && trunks.len() > 1;
        if shared {
            trunks.sort_by(|a, b| a.name.cmp(&b.name));
        } else {
            trunks.truncate(tries);
        }
        let mut manner = String::new();
        for trunk in &trunks {
            let weight = (shared && group.hunt == Hunt::Weighted).then_some(trunk.weight);
            let (calls, cps) = (trunk.max_calls, trunk.max_cps);
            let large = trunk.large_over_tcp;
            manner.push_str(&format!("{weight:?} {calls:?} {cps:?} {large}; "));
        }
        let least_loaded = shared && group.hunt == Hunt::LeastLoaded;
        let outbound = group.outbound.iter().map(|id| table.manipulation(*id));
        let outbound: Vec<_> = outbound.collect();
        let calls = group.max_calls;
        manner.push_str(&format!("{least_loaded} {calls:?} {outbound:?}"));
        let named = |trunk: &&Trunk| (trunk.name.clone(), address(trunk));
        Self {
            group: group.name.clone(),
            trunks: trunks.iter().map(named).collect(),
            tries,
            shared,
            manner: manner.into(),
        }
    }

    fn names(&self, trunk: &str) -> bool {
        self.trunks.iter().any(|(name, _)| &**name == trunk)
    }

    fn same_trunks(&self, other: &Self) -> bool {
        (&self.group, &self.trunks, self.tries, self.shared)
            == (&other.group, &other.trunks, other.tries, other.shared)
    }
}

/// The Request-URI of a call there, without the number.
fn address(trunk: &Trunk) -> Box<str> {
    let target = &trunk.target;
    let (scheme, host) = (&target.scheme, &target.host_and_parameters);
    let (user, parameters) = (&target.fixed_user, &target.user_parameters);
    match user.as_deref().unwrap_or_default() {
        "" if parameters.is_empty() => format!("{scheme}{host}").into(),
        user => format!("{scheme}{user}{parameters}@{host}").into(),
    }
}

impl fmt::Display for Outcome {
    /// `teams, reception`, `REJECT 403 Premium-rate numbers are barred`, `NO ROUTE 404`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Route(stages) => {
                let names: Vec<&str> = stages.iter().map(|stage| &*stage.group).collect();
                f.write_str(&names.join(", "))
            }
            Self::Reject { status, reason } => write!(f, "REJECT {status} {reason}"),
            Self::NoRoute => f.write_str("NO ROUTE 404"),
        }
    }
}

/// What a change means for a call, the gravest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// It had a route and has none: 404.
    Unroutable,
    /// It had a route and is refused by a rule.
    Rejected,
    /// It goes to another trunk group first.
    Moved,
    /// It was refused by a rule and has a route.
    Admitted,
    /// It had no route and has one.
    NewlyRouted,
    /// It was refused and is refused otherwise.
    RefusedOtherwise,
    /// It goes to the same trunk group first, but the trunks or what follows are others.
    Rerouted,
    /// It goes to the same trunks, but is sent otherwise: weights, limits, manipulations,
    /// alternative routing, or the reason of a refusal.
    Manner,
    /// The same becomes of it, by another rule.
    RuleOnly,
}

impl Kind {
    /// What the change from one outcome to another means, when they or their rules differ.
    pub(super) fn of(before: &Outcome, after: &Outcome) -> Self {
        use Outcome::{NoRoute, Reject, Route};
        match (before, after) {
            _ if before == after => Self::RuleOnly,
            (Route(_), NoRoute) => Self::Unroutable,
            (Route(_), Reject { .. }) => Self::Rejected,
            (Reject { .. }, Route(_)) => Self::Admitted,
            (NoRoute, Route(_)) => Self::NewlyRouted,
            (Route(_), Route(_)) if before.main() != after.main() => Self::Moved,
            (Route(_), Route(_)) if before.same_trunks(after) => Self::Manner,
            (Route(_), Route(_)) => Self::Rerouted,
            (Reject { status: a, .. }, Reject { status: b, .. }) if a == b => Self::Manner,
            _ => Self::RefusedOtherwise,
        }
    }

    /// Whether calls that got through before now end elsewhere, or calls that were refused
    /// get through: what a bound on moved numbers counts. A number that had no route and
    /// gets one is not moved.
    #[must_use]
    pub const fn is_move(self) -> bool {
        matches!(
            self,
            Self::Unroutable | Self::Rejected | Self::Moved | Self::Admitted
        )
    }

    /// Stable name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unroutable => "unroutable",
            Self::Rejected => "rejected",
            Self::Moved => "moved",
            Self::Admitted => "admitted",
            Self::NewlyRouted => "newly_routed",
            Self::RefusedOtherwise => "refused_otherwise",
            Self::Rerouted => "rerouted",
            Self::Manner => "manner",
            Self::RuleOnly => "rule_only",
        }
    }
}
