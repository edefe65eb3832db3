//! Every emergency number of a dial plan must be routed, from every group that uses the plan,
//! at any hour and for any caller.

use crate::routing::number::Number;
use crate::routing::rule::{Action, Destination, Rule};
use crate::routing::trunk::TrunkGroup;
use crate::routing::{GroupId, RoutingTable};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::names::Context;
use crate::tables::schema::Schema;

pub(super) fn check(context: &Context<'_>, table: &RoutingTable, schema: &Schema) {
    for (group, id) in table.groups().iter().zip((0u16..).map(GroupId)) {
        let Some(plan) = table.dial_plan(group) else {
            continue;
        };
        for number in &plan.emergency {
            if !table
                .rules()
                .iter()
                .any(|rule| always_routes(table, rule, id, number))
            {
                report(context, table, schema, group, number);
            }
        }
    }
}

/// Whether the rule routes the number from the group whatever else the call is.
fn always_routes(table: &RoutingTable, rule: &Rule, from: GroupId, number: &Number) -> bool {
    let Action::RouteTo(destinations) = &rule.action else {
        return false;
    };
    rule.from
        .as_ref()
        .is_none_or(|groups| groups.contains(&from))
        && rule.calling.is_unconditional()
        && rule.host.is_unconditional()
        && rule.tgrp.is_unconditional()
        && rule.during.is_empty()
        && rule.called.any_of.as_ref().is_none_or(|set| {
            set.anything || set.emergency || set.patterns.longest(number).is_some()
        })
        && !rule.called.none_of.as_ref().is_some_and(|set| {
            set.anything
                || set.emergency
                || set.any_assigned
                || !set.lists.is_empty()
                || set.patterns.longest(number).is_some()
        })
        && lead_to_a_trunk(table, destinations)
}

/// Whether there is a trunk at the end of these, whatever number is called.
pub(in crate::tables) fn lead_to_a_trunk(
    table: &RoutingTable,
    destinations: &[Destination],
) -> bool {
    destinations.iter().any(|destination| match destination {
        Destination::Assigned => false,
        Destination::Group(id) => table.group(*id).is_some_and(|group| {
            let has_trunks = |g: &TrunkGroup| !g.trunks.is_empty();
            group
                .search
                .iter()
                .filter_map(|id| table.group(*id))
                .any(has_trunks)
        }),
    })
}

fn report(
    context: &Context<'_>,
    table: &RoutingTable,
    schema: &Schema,
    group: &TrunkGroup,
    number: &Number,
) {
    let message = format!(
        "emergency number {number} is not always routed from trunk group {}",
        quoted(&group.name)
    );
    let section = schema
        .groups
        .iter()
        .find(|section| section.name.as_str() == &*group.name);
    let plan = table.dial_plan_name(group).unwrap_or_default();
    let plan_section = schema
        .dial_plans
        .iter()
        .find(|section| section.name.as_str() == plan);
    let named = plan_section
        .and_then(|section| section.emergency.as_ref())
        .and_then(|list| list.iter().find(|text| text.as_str() == number.as_str()));
    let mut diagnostic = Diagnostic::error(Code::EmergencyNotRouted, message);
    if let Some(spot) = named.map(|text| text.spot) {
        diagnostic = diagnostic.at(context.sources.place(spot, "an emergency number here"));
    }
    if let Some(spot) = section
        .and_then(|section| section.dial_plan.as_ref())
        .map(|d| d.spot)
    {
        diagnostic = diagnostic.at(context.sources.place(spot, "the plan is used here"));
    }
    context.diagnostics.push(
        diagnostic
            .help("add a rule with called = [\"emergency\"] and no other condition than from"),
    );
}
