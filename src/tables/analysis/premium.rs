//! Premium-rate numbers that some rule routes: T046, which is no mistake where it is meant.

use std::collections::BTreeMap;

use super::Analysis;
use crate::routing::number::Number;
use crate::routing::prefix_map::Remaining;
use crate::routing::rule::{Action, NumberSet, Rule};
use crate::routing::{GroupId, RuleId};
use crate::tables::diagnostic::{Code, Diagnostic};
use crate::tables::unreachable::Taken;

/// Where calls cost the caller more than the call: ITU-T E.164 country codes 878, 881 to 883
/// and 979, and national premium-rate ranges that have stood unchanged for decades.
const PREMIUM_RATE: &[&str] = &[
    "+1900", "+31900", "+31906", "+31909", "+3389", "+34803", "+34806", "+34807", "+41900",
    "+41901", "+41906", "+43900", "+43901", "+43930", "+43931", "+449", "+49137", "+49900",
    "+61190", "+878", "+881", "+882", "+883", "+979",
];

/// As many as fit a line.
const PREFIXES_SHOWN: usize = 6;

pub(super) fn report(analysis: Analysis<'_>) {
    let table = analysis.table;
    let mut routed: BTreeMap<RuleId, Vec<&str>> = BTreeMap::new();
    let rules: Vec<(RuleId, &Rule, Asks)> = table
        .rules()
        .iter()
        .zip((0u16..).map(RuleId))
        .map(|(rule, id)| (id, rule, Asks::of(rule)))
        .collect();
    let mut from = table.arrival_groups();
    if from.is_empty() {
        from = (0..table.groups().len() as u16).map(GroupId).collect();
    }
    for text in PREMIUM_RATE {
        let Some(prefix) = Number::parse(text.as_bytes()) else {
            continue;
        };
        for group in &from {
            if let Some(rule) = first_that_routes(&rules, *group, &prefix) {
                let known = routed.entry(rule).or_default();
                if known.last() != Some(text) {
                    known.push(text);
                }
            }
        }
    }
    for (rule, prefixes) in routed {
        let Some(spot) = analysis.rule_spot(rule) else {
            continue;
        };
        let mut shown: Vec<String> = prefixes.iter().map(|prefix| format!("{prefix}*")).collect();
        let more = shown.split_off(shown.len().min(PREFIXES_SHOWN)).len();
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let message = format!(
            "rule {} routes premium-rate numbers: {}{more}",
            analysis.rule_name(rule),
            shown.join(", ")
        );
        let diagnostic = Diagnostic::info(Code::PremiumRate, message)
            .at(analysis.place(spot, "not barred above it"))
            .help("bar what nobody should call: a rule with reject above this one");
        analysis.context.diagnostics.push(diagnostic);
    }
}

/// What `called` of a rule asks for.
enum Asks {
    Anything,
    These(Box<Taken>),
}

impl Asks {
    fn of(rule: &Rule) -> Self {
        match &rule.called.any_of {
            None | Some(NumberSet { anything: true, .. }) => Self::Anything,
            Some(set) => {
                let mut taken = Taken::default();
                taken.add(RuleId(0), Some(set));
                Self::These(Box::new(taken))
            }
        }
    }

    fn all(&self, prefix: &Number) -> bool {
        match self {
            Self::Anything => true,
            Self::These(taken) => taken.whole(prefix, Remaining::Any).is_some(),
        }
    }

    fn some(&self, prefix: &Number) -> bool {
        match self {
            Self::Anything => true,
            Self::These(taken) => taken.goes_on_below(prefix),
        }
    }
}

/// The first rule by which some call from the group to some number of the prefix is routed.
fn first_that_routes(
    rules: &[(RuleId, &Rule, Asks)],
    from: GroupId,
    prefix: &Number,
) -> Option<RuleId> {
    for (id, rule, asks) in rules {
        if !rule
            .from
            .as_ref()
            .is_none_or(|groups| groups.contains(&from))
        {
            continue;
        }
        let excluded = rule.called.none_of.as_ref();
        let excludes = |set: &NumberSet| {
            let mut taken = Taken::default();
            taken.add(RuleId(0), Some(set));
            set.anything || taken.whole(prefix, Remaining::Any).is_some()
        };
        if excluded.is_some_and(excludes) {
            continue;
        }
        let all = asks.all(prefix);
        match &rule.action {
            Action::RouteTo(_) if all || asks.some(prefix) => return Some(*id),
            Action::Reject { .. } if all && excluded.is_none() && is_for_all(rule) => return None,
            _ => {}
        }
    }
    None
}

fn is_for_all(rule: &Rule) -> bool {
    rule.calling.is_unconditional()
        && rule.host.is_unconditional()
        && rule.tgrp.is_unconditional()
        && rule.during.is_empty()
}
