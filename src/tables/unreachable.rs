//! Rules that can never decide, and items of `called` that never do, because rules above
//! cover all they match.
//!
//! Numbers are covered exactly: by open prefixes, by ranges, and by the parts of a range
//! together. The other conditions are compared as written: a rule above covers with fewer of
//! them, or with more items in a list; two rules that ask for an open and a closed schedule
//! cover together. What depends on more than one schedule at a time is not found. Never
//! wrong the other way: what is reported can indeed never decide.

mod conditions;
mod taken;

use super::compile::emergency::lead_to_a_trunk;
use crate::routing::dial_plan::DEFAULT_EMERGENCY;
use crate::routing::number::Number;
use crate::routing::prefix_map::Remaining;
use crate::routing::rule::{Action, Rule};
use crate::routing::{GroupId, ListId, RoutingTable, RuleId};
use conditions::{ConditionId, Covering};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use taken::{Item, is_covered};
pub(super) use taken::{Taken, covers};

/// A rule that can never decide, or an item of its `called`, and the rules above that take
/// its calls: none when the rule excludes itself all that it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreachable {
    pub(super) rule: RuleId,
    /// Index among the items as written; `None` is the whole rule.
    pub(super) item: Option<usize>,
    pub(super) covered_by: BTreeSet<RuleId>,
}

/// What of a rule is looked at: each item that `called` asks for, or anything.
struct Asked<'t> {
    rule: &'t Rule,
    id: RuleId,
    conditions: ConditionId,
    items: Vec<(Option<usize>, Item)>,
    /// Groups whose calls it can be asked about.
    groups: usize,
    /// For each item: in how many of these it is covered, and by which rules.
    covered: Vec<(usize, BTreeSet<RuleId>)>,
}

/// All that can never decide, top to bottom.
pub(super) fn unreachable_rules(table: &RoutingTable) -> Vec<Unreachable> {
    let covering = Covering::new(table);
    let mut rules = asked(table, &covering);
    for (index, _) in table.groups().iter().enumerate() {
        let group = GroupId(index as u16);
        let mut reach = Reach::default();
        let emergency = emergency_numbers(table, group);
        for asked in &mut rules {
            let from = asked.rule.from.as_ref();
            if !from.is_none_or(|groups| groups.contains(&group)) {
                continue;
            }
            asked.groups += 1;
            let mut all = true;
            for ((_, item), slot) in asked.items.iter().zip(&mut asked.covered) {
                let by = reach.covering(table, &covering, asked.conditions, item, &emergency);
                all &= by.is_some();
                if let Some(by) = by {
                    slot.0 += 1;
                    slot.1.extend(by);
                }
            }
            if !all {
                reach.add(table, asked);
            }
        }
    }
    rules
        .iter()
        .flat_map(|asked| findings(table, asked))
        .collect()
}

fn asked<'t>(table: &'t RoutingTable, covering: &Covering) -> Vec<Asked<'t>> {
    let lists: HashMap<&str, ListId> = table
        .lists()
        .iter()
        .zip((0..).map(ListId))
        .map(|(list, id)| (&*list.name, id))
        .collect();
    let rules = table.rules().iter().zip((0u16..).map(RuleId));
    rules
        .map(|(rule, id)| {
            let items = items(rule, &lists);
            Asked {
                rule,
                id,
                conditions: covering.of_rule(id),
                covered: vec![(0, BTreeSet::new()); items.len()],
                items,
                groups: 0,
            }
        })
        .collect()
}

/// The items of `called` that are asked for.
fn items(rule: &Rule, lists: &HashMap<&str, ListId>) -> Vec<(Option<usize>, Item)> {
    if rule.called.any_of.as_ref().is_none_or(|set| set.anything) {
        return vec![(None, Item::Anything)];
    }
    let written = rule.text.called.iter().enumerate();
    written
        .filter(|(_, text)| !text.starts_with('!'))
        .filter_map(|(index, text)| Some((Some(index), Item::parse(text, lists)?)))
        .collect()
}

fn findings(table: &RoutingTable, asked: &Asked<'_>) -> Vec<Unreachable> {
    let found = |item, covered_by| Unreachable {
        rule: asked.id,
        item,
        covered_by,
    };
    let is_dead = |(groups, _): &(usize, BTreeSet<RuleId>)| *groups == asked.groups;
    if asked.groups > 0 && !asked.items.is_empty() {
        if asked.covered.iter().all(is_dead) {
            let by = asked.covered.iter().flat_map(|(_, by)| by.iter().copied());
            return vec![found(None, by.collect())];
        }
        if !excludes_itself(table, asked) {
            let dead = asked.items.iter().zip(&asked.covered);
            let dead = dead.filter(|(_, covered)| is_dead(covered));
            return dead
                .map(|((item, _), (_, by))| found(*item, by.clone()))
                .collect();
        }
    }
    match excludes_itself(table, asked) {
        true => vec![found(None, BTreeSet::new())],
        false => Vec::new(),
    }
}

/// Whether all that `called` asks for is excluded by its own items with `!`.
fn excludes_itself(table: &RoutingTable, asked: &Asked<'_>) -> bool {
    let Some(excluded) = &asked.rule.called.none_of else {
        return false;
    };
    let mut taken = Taken::default();
    taken.add(RuleId(0), Some(excluded));
    !asked.items.is_empty()
        && asked
            .items
            .iter()
            .all(|(_, item)| is_covered(table, &[&taken], item).is_some())
}

/// What the rules read so far have taken from one arrival group.
#[derive(Default)]
struct Reach {
    /// By the conditions besides `from` and `called`.
    taken: BTreeMap<ConditionId, Taken>,
    /// The same by rules that lead to a trunk for certain: others leave emergency calls to
    /// the rules below.
    routed: BTreeMap<ConditionId, Taken>,
}

impl Reach {
    fn add(&mut self, table: &RoutingTable, asked: &Asked<'_>) {
        let rule = asked.rule;
        if rule.called.none_of.is_some() {
            return;
        }
        let routes = match &rule.action {
            Action::RouteTo(destinations) => lead_to_a_trunk(table, destinations),
            Action::Reject { .. } => false,
        };
        let set = rule.called.any_of.as_ref();
        if routes {
            let routed = self.routed.entry(asked.conditions).or_default();
            routed.add(asked.id, set);
        }
        let taken = self.taken.entry(asked.conditions).or_default();
        taken.add(asked.id, set);
    }

    /// The rules that together take all calls this item matches, if all are taken.
    fn covering(
        &self,
        table: &RoutingTable,
        covering: &Covering,
        conditions: ConditionId,
        item: &Item,
        emergency: &[Number],
    ) -> Option<BTreeSet<RuleId>> {
        let within = |ids: &[ConditionId]| -> Option<BTreeSet<RuleId>> {
            let looked: Vec<&Taken> = ids.iter().filter_map(|id| self.taken.get(id)).collect();
            let by = is_covered(table, &looked, item)?;
            let routed: Vec<&Taken> = ids.iter().filter_map(|id| self.routed.get(id)).collect();
            let is_left = |number: &&Number| {
                let takes = |taken: &&Taken| takes_emergency(table, taken, number);
                item.may_match(table, number) && !routed.iter().any(takes)
            };
            emergency.iter().find(is_left).is_none().then_some(by)
        };
        within(covering.all(conditions)).or_else(|| {
            covering
                .splits(conditions)
                .iter()
                .find_map(|[open, closed]| {
                    let mut by = within(open)?;
                    by.extend(within(closed)?);
                    Some(by)
                })
        })
    }
}

/// Whether this emergency number is among what is taken.
fn takes_emergency(table: &RoutingTable, taken: &Taken, number: &Number) -> bool {
    taken.anything.or(taken.emergency).is_some()
        || taken.whole(number, Remaining::Exactly(0)).is_some()
        || (taken.any_assigned.is_some() && table.did(number).is_some())
        || taken.lists.keys().any(|id| is_listed(table, *id, number))
}

fn emergency_numbers(table: &RoutingTable, group: GroupId) -> Vec<Number> {
    let plan = table.group(group).and_then(|group| table.dial_plan(group));
    match plan {
        Some(plan) if !plan.emergency.is_empty() => plan.emergency.clone(),
        _ => DEFAULT_EMERGENCY
            .iter()
            .filter_map(|n| Number::parse(n.as_bytes()))
            .collect(),
    }
}

/// Whether the number is one of the list's: of a list that assigns, by the row that decides.
fn is_listed(table: &RoutingTable, id: ListId, number: &Number) -> bool {
    match table.list(id).and_then(|list| list.marks.as_ref()) {
        Some(marks) => marks.longest(number).is_some(),
        None => table.did(number).is_some_and(|row| row.value.list == id),
    }
}

#[cfg(test)]
mod tests;
