//! Which rules a call can meet, by its arrival group and its called number.
//!
//! A table of ten thousand rules is mostly many rules for few numbers each. Rules are found
//! by what their `called` names, like numbers in a DID list, and handed out top to bottom;
//! their conditions are checked as if every rule had been tried. What is left out has a
//! `from` or a `called` that cannot hold: the first rule that applies is the same.

use std::collections::BTreeMap;

use arrayvec::ArrayVec;

use super::number::Number;
use super::prefix_map::{PrefixMap, PrefixMapBuilder, Remaining};
use super::table::{DidList, ids};
use super::{GroupId, ListId, Rule, RuleId};
use crate::limits::{NUMBER_SYMBOLS_MAX, RANGE_ENTRIES_MAX};

/// The rules of a table, by arrival group and called number.
#[derive(Debug, Default)]
pub(super) struct RuleIndex {
    /// Rules for any arrival group, or for more than half of all.
    shared: CalledIndex,
    by_group: Box<[CalledIndex]>,
}

/// What is known of the called number when rules are looked for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Called<'a> {
    /// The number; `None` if what was dialled is none.
    pub(super) number: Option<&'a Number>,
    /// Whether it is an emergency number.
    pub(super) emergency: bool,
    /// The list of the row it is assigned by.
    pub(super) list: Option<ListId>,
}

impl RuleIndex {
    pub(super) fn new(rules: &[Rule], groups: usize, lists: &[DidList]) -> Self {
        let mut shared = Collected::default();
        let mut by_group: Vec<Collected> = Vec::new();
        by_group.resize_with(groups, Collected::default);
        for (id, rule) in ids(rules).map(RuleId).zip(rules) {
            match &rule.from {
                // A rule with `!` names nearly all groups: not to be kept once for each.
                Some(from) if from.len() * 2 <= groups => {
                    for group in from {
                        if let Some(collected) = by_group.get_mut(group.index()) {
                            collected.add(id, rule, lists);
                        }
                    }
                }
                _ => shared.add(id, rule, lists),
            }
        }
        Self {
            shared: shared.indexed(),
            by_group: by_group.into_iter().map(Collected::indexed).collect(),
        }
    }

    /// Adds every rule that can apply to such a call, and few others. Candidates are large
    /// on the stack: they are filled where they are.
    pub(super) fn find_candidates<'t>(
        &'t self,
        from: GroupId,
        called: &Called<'_>,
        candidates: &mut Candidates<'t>,
    ) {
        self.shared.add_sources(called, &mut candidates.sources);
        if let Some(own) = self.by_group.get(from.index()) {
            own.add_sources(called, &mut candidates.sources);
        }
    }
}

/// Rules by what their `called` names. Ids rise in every list.
#[derive(Debug, Default)]
struct CalledIndex {
    /// Rules for any number, and for lists that only mark numbers.
    any: Box<[RuleId]>,
    emergency: Box<[RuleId]>,
    assigned: Box<[RuleId]>,
    /// Rules for lists that assign, ordered by list: each with where its ids stand.
    by_list: Box<[(ListId, Ids)]>,
    /// Rules for numbers, prefixes and ranges: where their ids stand.
    patterns: PrefixMap<Ids>,
    ids: Box<[RuleId]>,
}

/// A stretch of [`CalledIndex::ids`].
#[derive(Clone, Copy, Debug)]
struct Ids {
    start: u32,
    end: u32,
}

/// Per index: any, emergency, assigned, one list, and two patterns for each length.
type Sources<'t> = ArrayVec<&'t [RuleId], { 2 * (4 + 2 * NUMBER_SYMBOLS_MAX) }>;

impl CalledIndex {
    fn add_sources<'t>(&'t self, called: &Called<'_>, sources: &mut Sources<'t>) {
        let mut add = |rules: &'t [RuleId]| {
            // There is room for all that one number can match.
            if !rules.is_empty() {
                let _ = sources.try_push(rules);
            }
        };
        add(&self.any);
        let Some(number) = called.number else { return };
        if called.emergency {
            add(&self.emergency);
        }
        if let Some(list) = called.list {
            add(&self.assigned);
            if let Ok(at) = self.by_list.binary_search_by_key(&list, |(list, _)| *list) {
                add(self
                    .by_list
                    .get(at)
                    .map_or(&[], |(_, ids)| self.stretch(*ids)));
            }
        }
        self.patterns
            .all_matches(number, |found| add(self.stretch(found.value)));
    }

    fn stretch(&self, ids: Ids) -> &[RuleId] {
        self.ids
            .get(ids.start as usize..ids.end as usize)
            .unwrap_or_default()
    }
}

/// Rules in the order of the table, out of several lists in that order; each once.
pub(super) struct Candidates<'t> {
    sources: Sources<'t>,
}

impl Candidates<'_> {
    pub(super) fn new() -> Self {
        Self {
            sources: Sources::new(),
        }
    }
}

impl Iterator for Candidates<'_> {
    type Item = RuleId;

    fn next(&mut self) -> Option<RuleId> {
        let next = *self
            .sources
            .iter()
            .filter_map(|rules| rules.first())
            .min()?;
        for rules in &mut self.sources {
            if let Some((first, rest)) = rules.split_first()
                && *first == next
            {
                *rules = rest;
            }
        }
        Some(next)
    }
}

/// A [`CalledIndex`] while rules are added, in order.
#[derive(Default)]
struct Collected {
    any: Vec<RuleId>,
    emergency: Vec<RuleId>,
    assigned: Vec<RuleId>,
    by_list: BTreeMap<ListId, Vec<RuleId>>,
    patterns: BTreeMap<(Number, Remaining), Vec<RuleId>>,
}

impl Collected {
    fn add(&mut self, id: RuleId, rule: &Rule, lists: &[DidList]) {
        let only_marks = |id: &ListId| {
            lists
                .get(id.index())
                .is_none_or(|list| list.marks.is_some())
        };
        let set = match &rule.called.any_of {
            Some(set) if !set.anything && !set.lists.iter().any(only_marks) => set,
            _ => return self.any.push(id),
        };
        if self.patterns.len() + set.patterns.len() > RANGE_ENTRIES_MAX {
            return self.any.push(id);
        }
        if set.emergency {
            self.emergency.push(id);
        }
        if set.any_assigned {
            self.assigned.push(id);
        }
        for list in &set.lists {
            self.by_list.entry(*list).or_default().push(id);
        }
        for entry in set.patterns.iter() {
            let key = (entry.prefix, entry.remaining);
            self.patterns.entry(key).or_default().push(id);
        }
    }

    fn indexed(self) -> CalledIndex {
        let mut ids = Vec::new();
        let mut stretch = |mut rules: Vec<RuleId>| {
            // A rule may name a list twice.
            rules.dedup();
            let start = ids.len() as u32;
            ids.append(&mut rules);
            let end = ids.len() as u32;
            Ids { start, end }
        };
        let by_list = self.by_list.into_iter();
        let by_list = by_list
            .map(|(list, rules)| (list, stretch(rules)))
            .collect();
        let mut patterns = PrefixMapBuilder::with_capacity(self.patterns.len());
        for ((prefix, remaining), rules) in self.patterns {
            patterns.push(&prefix, remaining, stretch(rules));
        }
        CalledIndex {
            any: self.any.into(),
            emergency: self.emergency.into(),
            assigned: self.assigned.into(),
            by_list,
            // The keys of a map are different, and fewer than a prefix map holds.
            patterns: patterns.build(0).unwrap_or_default(),
            ids: ids.into(),
        }
    }
}

#[cfg(test)]
mod tests;
