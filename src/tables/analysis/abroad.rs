//! Emergency calls that may leave the country: T044.
//!
//! The country of a trunk group is the `country_code` of its dial plan. Deliberate is what
//! names the emergency number itself, or asks who calls; a group without a dial plan has no
//! country and is no finding.

use std::collections::BTreeSet;

use super::Analysis;
use crate::routing::number::Number;
use crate::routing::prefix_map::Remaining;
use crate::routing::rule::{Action, Destination, Rule};
use crate::routing::trunk::TrunkGroup;
use crate::routing::{GroupId, RuleId};
use crate::tables::compile::emergency::lead_to_a_trunk;
use crate::tables::diagnostic::{Code, Diagnostic, quoted};

pub(super) fn report(analysis: Analysis<'_>) {
    let mut said = BTreeSet::new();
    for (group, id) in analysis.table.groups().iter().zip((0u16..).map(GroupId)) {
        let Some(plan) = analysis.table.dial_plan(group) else {
            continue;
        };
        for number in &plan.emergency {
            for (rule, away) in ways_abroad(analysis, id, plan.country_code, number) {
                if said.insert((rule, id, away)) {
                    say(analysis, rule, group, away);
                }
            }
        }
    }
}

/// The rules by which a call to the number may go to a group of another country.
fn ways_abroad(
    analysis: Analysis<'_>,
    from: GroupId,
    country: Number,
    number: &Number,
) -> Vec<(RuleId, GroupId)> {
    let table = analysis.table;
    let mut ways = Vec::new();
    for (rule, id) in table.rules().iter().zip((0u16..).map(RuleId)) {
        let Action::RouteTo(destinations) = &rule.action else {
            continue;
        };
        let Some(meant) = holds(rule, from, number) else {
            continue;
        };
        if !meant && rule.calling.is_unconditional() {
            let abroad = destinations
                .iter()
                .filter_map(|destination| match destination {
                    Destination::Group(group) => abroad(analysis, *group, country),
                    Destination::Assigned => None,
                });
            ways.extend(abroad.map(|group| (id, group)));
        }
        let always = rule.calling.is_unconditional()
            && rule.host.is_unconditional()
            && rule.tgrp.is_unconditional()
            && rule.during.is_empty();
        if always && lead_to_a_trunk(table, destinations) {
            break;
        }
    }
    ways
}

/// Whether the rule can hold for the number; true when it names exactly this one.
fn holds(rule: &Rule, from: GroupId, number: &Number) -> Option<bool> {
    if !rule
        .from
        .as_ref()
        .is_none_or(|groups| groups.contains(&from))
    {
        return None;
    }
    let excluded =
        rule.called.none_of.as_ref().is_some_and(|set| {
            set.anything || set.emergency || set.patterns.longest(number).is_some()
        });
    if excluded {
        return None;
    }
    let Some(set) = &rule.called.any_of else {
        return Some(false);
    };
    match set.patterns.longest(number) {
        Some(found) => Some(found.remaining == Remaining::Exactly(0)),
        None => (set.anything || set.emergency).then_some(false),
    }
}

/// The group, or one it overflows into, that is of another country.
fn abroad(analysis: Analysis<'_>, group: GroupId, country: Number) -> Option<GroupId> {
    let search = &analysis.table.group(group)?.search;
    search.iter().copied().find(|id| {
        let group = analysis.table.group(*id);
        let plan = group.and_then(|group| analysis.table.dial_plan(group));
        plan.is_some_and(|plan| plan.country_code != country)
            && group.is_some_and(|group| !group.trunks.is_empty())
    })
}

fn say(analysis: Analysis<'_>, rule: RuleId, from: &TrunkGroup, away: GroupId) {
    let Some(away) = analysis.table.group(away) else {
        return;
    };
    let plan = |group| analysis.table.dial_plan_name(group).unwrap_or_default();
    let message = format!(
        "emergency calls from trunk group {} may leave the country over {}",
        quoted(&from.name),
        quoted(&away.name)
    );
    let route_to = analysis.rule(rule).and_then(|rule| rule.route_to.as_ref());
    let item = route_to.and_then(|list| list.iter().find(|item| item.as_str() == &*away.name));
    let spot = item
        .map(|item| item.spot)
        .or_else(|| analysis.rule_spot(rule));
    let Some(spot) = spot else {
        return;
    };
    let label = format!("of dial plan {}", plan(away));
    let mut diagnostic = Diagnostic::warning(Code::EmergencyAbroad, message)
        .at(analysis.place(spot, label))
        .help("route them over trunks of their own country only, or name the number itself in the rule");
    let mut groups = analysis.schema.groups.iter();
    let section = groups.find(|section| section.name.as_str() == &*from.name);
    if let Some(used) = section.and_then(|section| section.dial_plan.as_ref()) {
        diagnostic = diagnostic.at(analysis.place(used.spot, "they come from here"));
    }
    analysis.context.diagnostics.push(diagnostic);
}
