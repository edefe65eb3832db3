//! Called numbers that rules have taken, and whether an item is covered by them.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::is_listed;
use crate::routing::number::Number;
use crate::routing::prefix_map::{Remaining, range_to_prefixes};
use crate::routing::rule::NumberSet;
use crate::routing::{ListId, RoutingTable, RuleId};
use crate::tables::pattern::Pattern;

/// One item of `called`.
pub(super) enum Item {
    Anything,
    AnyAssigned,
    Emergency,
    List(ListId),
    Patterns(Vec<(Number, Remaining)>),
}

impl Item {
    /// Reads an item as written in a rule that compiled; `None` is none of these.
    pub(super) fn parse(text: &str, lists: &HashMap<&str, ListId>) -> Option<Self> {
        Some(match text {
            "*" => Self::Anything,
            "did:*" => Self::AnyAssigned,
            "emergency" => Self::Emergency,
            _ => match text.strip_prefix("did:") {
                Some(name) => Self::List(*lists.get(name)?),
                None => Self::Patterns(patterns(text)?),
            },
        })
    }

    /// Whether the item can hold for this emergency number.
    pub(super) fn may_match(&self, table: &RoutingTable, number: &Number) -> bool {
        match self {
            Self::Anything | Self::Emergency => true,
            Self::AnyAssigned => table.did(number).is_some(),
            Self::List(id) => is_listed(table, *id, number),
            Self::Patterns(patterns) => patterns.iter().any(|(prefix, remaining)| {
                let rest = number.as_bytes().strip_prefix(prefix.as_bytes());
                rest.is_some_and(|rest| remaining.allows(rest))
            }),
        }
    }
}

fn patterns(text: &str) -> Option<Vec<(Number, Remaining)>> {
    // In a rule `+*` is any international number; no other place takes it.
    if text.trim() == "+*" {
        return Some(vec![(Number::parse(b"+")?, Remaining::Any)]);
    }
    Some(match Pattern::parse(text).ok()? {
        Pattern::Exact(number) => vec![(number, Remaining::Exactly(0))],
        Pattern::Prefix(prefix) => vec![(prefix, Remaining::Any)],
        Pattern::Range(first, last) => {
            let mut parts = Vec::new();
            let add = |prefix, remaining| parts.push((prefix, remaining));
            range_to_prefixes(&first, &last, add).ok()?;
            parts
        }
    })
}

/// Called numbers that are taken, each with the first rule that takes it.
#[derive(Default)]
pub(in crate::tables) struct Taken {
    pub(super) anything: Option<RuleId>,
    pub(super) any_assigned: Option<RuleId>,
    pub(super) emergency: Option<RuleId>,
    pub(super) lists: BTreeMap<ListId, RuleId>,
    patterns: BTreeMap<(Number, Remaining), RuleId>,
}

impl Taken {
    pub(in crate::tables) fn add(&mut self, id: RuleId, set: Option<&NumberSet>) {
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

    /// A pattern is taken whole when an open prefix of it is, or one of the same total length.
    pub(in crate::tables) fn whole(&self, prefix: &Number, remaining: Remaining) -> Option<RuleId> {
        if self.patterns.is_empty() {
            return None;
        }
        (1..=prefix.len()).find_map(|length| {
            let head = prefix.first(length)?;
            let behind = prefix.as_bytes().get(length..)?;
            let same_length = match remaining {
                Remaining::Exactly(more) if behind.iter().all(u8::is_ascii_digit) => {
                    let more = u8::try_from(behind.len()).ok()?.checked_add(more)?;
                    self.patterns.get(&(head, Remaining::Exactly(more)))
                }
                Remaining::Any | Remaining::Exactly(_) => None,
            };
            same_length
                .or_else(|| self.patterns.get(&(head, Remaining::Any)))
                .copied()
        })
    }

    /// Whether a pattern begins with this prefix and is longer.
    pub(in crate::tables) fn goes_on_below(&self, prefix: &Number) -> bool {
        let behind = self
            .patterns
            .range((*prefix, Remaining::Exactly(u8::MAX))..)
            .next();
        behind.is_some_and(|((next, _), _)| next.starts_with(prefix.as_bytes()))
    }
}

/// The rules that together take all that the item matches, if all is taken.
pub(super) fn is_covered(
    table: &RoutingTable,
    looked: &[&Taken],
    item: &Item,
) -> Option<BTreeSet<RuleId>> {
    let one = |id: RuleId| Some(BTreeSet::from([id]));
    if let Some(all) = looked.iter().find_map(|taken| taken.anything) {
        return one(all);
    }
    let any_assigned = || looked.iter().find_map(|taken| taken.any_assigned);
    match item {
        Item::Anything => None,
        Item::AnyAssigned => any_assigned().and_then(one),
        Item::Emergency => looked.iter().find_map(|t| t.emergency).and_then(one),
        Item::List(id) => {
            let marks = table.list(*id).and_then(|list| list.marks.as_ref());
            let own = looked.iter().find_map(|taken| taken.lists.get(id).copied());
            match (own, marks) {
                (Some(own), _) => one(own),
                (None, None) => any_assigned().and_then(one),
                (None, Some(marks)) => {
                    all_covered(looked, marks.iter().map(|e| (e.prefix, e.remaining)))
                }
            }
        }
        Item::Patterns(patterns) => all_covered(looked, patterns.iter().copied()),
    }
}

fn all_covered(
    looked: &[&Taken],
    mut patterns: impl Iterator<Item = (Number, Remaining)>,
) -> Option<BTreeSet<RuleId>> {
    let mut by = BTreeSet::new();
    let all = patterns.all(|(prefix, remaining)| covers(looked, &prefix, remaining, &mut by));
    // A set of nothing asks for nothing; it was reported where it was read.
    (all && !by.is_empty()).then_some(by)
}

/// A range is also covered by its parts, digit by digit; an open prefix is not, because it
/// holds a number without a further digit. Ends: only where something lies below is looked
/// further.
pub(in crate::tables) fn covers(
    looked: &[&Taken],
    prefix: &Number,
    remaining: Remaining,
    by: &mut BTreeSet<RuleId>,
) -> bool {
    if let Some(id) = looked.iter().find_map(|t| t.whole(prefix, remaining)) {
        by.insert(id);
        return true;
    }
    let Remaining::Exactly(more) = remaining else {
        return false;
    };
    let Some(more) = more.checked_sub(1) else {
        return false;
    };
    looked.iter().any(|taken| taken.goes_on_below(prefix))
        && (b'0'..=b'9').all(|digit| {
            let longer = prefix.as_bytes().iter().copied().chain([digit]);
            Number::collect(longer)
                .is_some_and(|longer| covers(looked, &longer, Remaining::Exactly(more), by))
        })
}
