//! Rules that can never decide, because rules above them cover all they match.
//!
//! Complete for rules whose other conditions are the same or absent; a rule that is covered
//! only by several schedules together, say, is not found. Never wrong the other way: what is
//! reported can indeed never decide.

use super::compile::emergency::lead_to_a_trunk;
use crate::routing::dial_plan::DEFAULT_EMERGENCY;
use crate::routing::number::Number;
use crate::routing::prefix_map::Remaining;
use crate::routing::rule::{Action, NumberSet, Rule};
use crate::routing::{GroupId, ListId, RoutingTable, RuleId};
use std::collections::{BTreeSet, HashMap};

/// A rule that can never decide, and the rules above it that take its calls: none when it
/// excludes itself all that it asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Unreachable {
    pub(super) rule: RuleId,
    pub(super) covered_by: BTreeSet<RuleId>,
}

/// All rules of the table that can never decide, top to bottom.
pub(super) fn unreachable_rules(table: &RoutingTable) -> Vec<Unreachable> {
    // For each rule: the groups whose calls it can be asked about, and those of them whose
    // calls never reach it.
    let mut asked = vec![0usize; table.rules().len()];
    let mut covered: Vec<(usize, BTreeSet<RuleId>)> =
        vec![(0, BTreeSet::new()); table.rules().len()];
    for (index, _) in table.groups().iter().enumerate() {
        let group = GroupId(index as u16);
        let mut reach = Reach::default();
        for (position, rule) in table.rules().iter().enumerate() {
            if !rule
                .from
                .as_ref()
                .is_none_or(|groups| groups.contains(&group))
            {
                continue;
            }
            let id = RuleId(position as u16);
            if let Some(count) = asked.get_mut(position) {
                *count += 1;
            }
            let Some(by) = reach.covering(table, group, rule) else {
                reach.add(table, id, rule);
                continue;
            };
            if let Some(slot) = covered.get_mut(position) {
                slot.0 += 1;
                slot.1.extend(by);
            }
        }
    }
    let rules = table.rules().iter().zip((0u16..).map(RuleId));
    rules
        .zip(asked.iter().zip(covered))
        .filter_map(|((rule, id), (asked, (groups, covered_by)))| {
            let covered_by = if *asked > 0 && *asked == groups {
                covered_by
            } else if excludes_itself(table, rule) {
                BTreeSet::new()
            } else {
                return None;
            };
            Some(Unreachable {
                rule: id,
                covered_by,
            })
        })
        .collect()
}

/// Whether all that `called` asks for is excluded by its own items with `!`.
fn excludes_itself(table: &RoutingTable, rule: &Rule) -> bool {
    let Some(excluded) = &rule.called.none_of else {
        return false;
    };
    let mut taken = Taken::default();
    taken.add(RuleId(0), Some(excluded));
    let by = HashMap::from([(String::new(), taken)]);
    covered(table, &by, "", rule.called.any_of.as_ref()).is_some()
}

/// What the rules read so far have taken from one arrival group.
#[derive(Default)]
struct Reach {
    /// By the conditions besides `from` and `called`: none, or exactly these.
    taken: HashMap<String, Taken>,
    /// The same by rules that lead to a trunk for certain: others leave emergency calls to
    /// the rules below.
    routed: HashMap<String, Taken>,
}

/// Called numbers that are taken, each with the rule that takes it.
#[derive(Default)]
struct Taken {
    anything: Option<RuleId>,
    any_assigned: Option<RuleId>,
    emergency: Option<RuleId>,
    lists: HashMap<ListId, RuleId>,
    patterns: HashMap<(Number, Remaining), RuleId>,
}

impl Reach {
    fn add(&mut self, table: &RoutingTable, id: RuleId, rule: &Rule) {
        if rule.called.none_of.is_some() {
            return;
        }
        let key = other_conditions(rule);
        let routes = match &rule.action {
            Action::RouteTo(destinations) => lead_to_a_trunk(table, destinations),
            Action::Reject { .. } => false,
        };
        if routes {
            self.routed
                .entry(key.clone())
                .or_default()
                .add(id, rule.called.any_of.as_ref());
        }
        self.taken
            .entry(key)
            .or_default()
            .add(id, rule.called.any_of.as_ref());
    }

    /// The rules that together take all calls this one matches, if all are taken.
    fn covering(
        &self,
        table: &RoutingTable,
        group: GroupId,
        rule: &Rule,
    ) -> Option<BTreeSet<RuleId>> {
        let key = other_conditions(rule);
        let by = covered(table, &self.taken, &key, rule.called.any_of.as_ref())?;
        let emergency_left = emergency_numbers(table, group).into_iter().any(|number| {
            may_match(table, rule, &number)
                && !Looked {
                    by: &self.routed,
                    key: &key,
                }
                .iter()
                .any(|taken| taken.takes_emergency(table, &number))
        });
        (!emergency_left).then_some(by)
    }
}

/// The coverage that counts for a rule: of rules without other conditions, and of rules
/// with exactly its own.
struct Looked<'a> {
    by: &'a HashMap<String, Taken>,
    key: &'a str,
}

impl<'a> Looked<'a> {
    fn iter(&self) -> impl Iterator<Item = &'a Taken> + use<'a> {
        let own = if self.key.is_empty() {
            None
        } else {
            self.by.get(self.key)
        };
        self.by.get("").into_iter().chain(own)
    }
}

fn covered(
    table: &RoutingTable,
    by: &HashMap<String, Taken>,
    key: &str,
    set: Option<&NumberSet>,
) -> Option<BTreeSet<RuleId>> {
    let looked = Looked { by, key };
    if let Some(all) = looked.iter().find_map(|taken| taken.anything) {
        return Some(BTreeSet::from([all]));
    }
    let set = set.filter(|set| !set.anything)?;
    let mut taking = BTreeSet::new();
    let mut note = |found: Option<RuleId>| found.map(|id| taking.insert(id)).is_some();
    let any_assigned = || looked.iter().find_map(|taken| taken.any_assigned);
    let assigns = |id: &ListId| table.list(*id).is_some_and(|list| list.marks.is_none());
    let all = (!set.any_assigned || note(any_assigned()))
        && (!set.emergency || note(looked.iter().find_map(|taken| taken.emergency)))
        && set.lists.iter().all(|id| {
            let own = looked.iter().find_map(|taken| taken.lists.get(id).copied());
            note(own.or_else(|| assigns(id).then(any_assigned).flatten()))
        })
        && set.patterns.iter().all(|entry| {
            note(
                looked
                    .iter()
                    .find_map(|t| t.pattern(&entry.prefix, entry.remaining)),
            )
        });
    // A set of nothing asks for nothing; it was reported where it was read.
    (all && !taking.is_empty()).then_some(taking)
}

impl Taken {
    fn add(&mut self, id: RuleId, set: Option<&NumberSet>) {
        let Some(set) = set.filter(|set| !set.anything) else {
            self.anything.get_or_insert(id);
            return;
        };
        if set.any_assigned {
            self.any_assigned.get_or_insert(id);
        }
        if set.emergency {
            self.emergency.get_or_insert(id);
        }
        for list in &set.lists {
            self.lists.entry(*list).or_insert(id);
        }
        for entry in set.patterns.iter() {
            self.patterns
                .entry((entry.prefix, entry.remaining))
                .or_insert(id);
        }
    }

    /// Whether this emergency number is among what is taken.
    fn takes_emergency(&self, table: &RoutingTable, number: &Number) -> bool {
        self.anything.or(self.emergency).is_some()
            || self.pattern(number, Remaining::Exactly(0)).is_some()
            || (self.any_assigned.is_some() && table.did(number).is_some())
            || self.lists.keys().any(|id| is_listed(table, *id, number))
    }

    /// A pattern is taken when an open prefix of it is, or one of the same total length.
    fn pattern(&self, prefix: &Number, remaining: Remaining) -> Option<RuleId> {
        (1..=prefix.len()).find_map(|length| {
            let head = prefix.first(length)?;
            let same_length = match remaining {
                Remaining::Any => None,
                Remaining::Exactly(more) => {
                    let more = u8::try_from(prefix.len() - length)
                        .ok()?
                        .checked_add(more)?;
                    self.patterns.get(&(head, Remaining::Exactly(more)))
                }
            };
            same_length
                .or_else(|| self.patterns.get(&(head, Remaining::Any)))
                .copied()
        })
    }
}

/// The conditions besides `from` and `called`, as one text; empty when there are none.
fn other_conditions(rule: &Rule) -> String {
    let mut text = String::new();
    let parts = [
        &rule.text.calling,
        &rule.text.host,
        &rule.text.tgrp,
        &rule.text.during,
    ];
    for (index, items) in parts.into_iter().enumerate() {
        let mut items: Vec<&str> = items.iter().map(|item| &**item).collect();
        items.sort_unstable();
        for item in items {
            text.push(char::from(b'0' + index as u8));
            text.push_str(item);
            text.push('\n');
        }
    }
    text
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

/// Whether the rule's `called` can hold for this emergency number.
fn may_match(table: &RoutingTable, rule: &Rule, number: &Number) -> bool {
    rule.called.any_of.as_ref().is_none_or(|set| {
        set.anything
            || set.emergency
            || set.patterns.longest(number).is_some()
            || (set.any_assigned && table.did(number).is_some())
            || set.lists.iter().any(|id| is_listed(table, *id, number))
    })
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
