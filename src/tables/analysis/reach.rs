//! Assigned numbers that no rule holds for: T037. Calls to them are answered 404.
//!
//! Most lists are in reach as a whole, because a rule asks for the list. Of the others every
//! number is looked up, and every prefix and block of a range.

use std::collections::{BTreeMap, BTreeSet};

use super::Analysis;
use super::walk::{line_of, numbers, row_of};
use crate::routing::conditions::of_called;
use crate::routing::number::Number;
use crate::routing::prefix_map::{PrefixMap, PrefixMapBuilder, Remaining};
use crate::routing::rule::{NumberSet, Rule};
use crate::routing::{GroupId, ListId, Origin, RoutingTable};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::unreachable::{Taken, covers};

pub(super) fn report(analysis: Analysis<'_>) {
    let table = analysis.table;
    if table.dids().is_empty() || table.rules().is_empty() {
        return;
    }
    let reach = Reach::new(table);
    let mut lost: BTreeMap<ListId, Lost> = BTreeMap::new();
    if reach.whole_lists.iter().all(|whole| *whole) {
        return;
    }
    table.dids().whole_numbers(|first, last| {
        let list = table.did(&first).map(|row| row.value.list);
        let Some(list) = list.filter(|list| !reach.holds_all_of(*list)) else {
            return;
        };
        for number in numbers(&first, &last) {
            if !reach.holds(&number) {
                lost.entry(list)
                    .or_insert_with(|| Lost::new(table, &number))
                    .numbers += 1;
            }
        }
    });
    for (prefix, remaining) in table.dids().prefixes() {
        let Some((list, line)) = row_of(table, &prefix, remaining) else {
            continue;
        };
        if !reach.holds_all_of(list) && !reach.holds_block(&prefix, remaining) {
            let lost = lost.entry(list).or_insert_with(|| Lost::at(prefix, line));
            lost.numbers += match remaining {
                Remaining::Any => 1,
                Remaining::Exactly(more) => 10_u64.saturating_pow(more.into()),
            };
        }
    }
    for (list, lost) in lost {
        say(analysis, list, &lost);
    }
}

/// What of a list no rule holds for.
struct Lost {
    first: Number,
    line: u32,
    numbers: u64,
}

impl Lost {
    const fn at(first: Number, line: u32) -> Self {
        Self {
            first,
            line,
            numbers: 0,
        }
    }

    fn new(table: &RoutingTable, first: &Number) -> Self {
        Self::at(*first, line_of(table, first))
    }
}

fn say(analysis: Analysis<'_>, id: ListId, lost: &Lost) {
    let Some(list) = analysis.table.list(id) else {
        return;
    };
    let name = quoted(&list.name);
    let first = lost.first;
    let message = match lost.numbers {
        1 => format!("{first} of DID list {name} is in no rule's reach"),
        n => format!("{n} numbers of DID list {name} are in no rule's reach, {first} first"),
    };
    let origin = Origin {
        file: list.file,
        line: lost.line,
    };
    let diagnostic = Diagnostic::warning(Code::InNoRulesReach, message)
        .at(analysis.line(origin, "called by nobody with success: 404"))
        .help(format!(
            "write a rule with called = [\"did:{}\"], or delete the rows",
            list.name
        ));
    analysis.context.diagnostics.push(diagnostic);
}

/// What rules hold for, from any group that calls can arrive on.
struct Reach<'t> {
    table: &'t RoutingTable,
    from: Vec<GroupId>,
    /// By list: whether some rule holds for all of it.
    whole_lists: Vec<bool>,
    /// What rules ask for that exclude nothing: fast for numbers, exact for blocks.
    patterns: PrefixMap<()>,
    taken: Taken,
    /// Rules that hold for anything assigned but some patterns.
    all_but: Vec<&'t NumberSet>,
    /// By list: whether any other rule could hold for a number of it.
    needs_walk: bool,
}

impl<'t> Reach<'t> {
    fn new(table: &'t RoutingTable) -> Self {
        let mut from = table.arrival_groups();
        if from.is_empty() {
            from = (0..table.groups().len() as u16).map(GroupId).collect();
        }
        let is_asked = |rule: &&Rule| {
            let groups = rule.from.as_ref();
            groups.is_none_or(|groups| groups.iter().any(|group| from.contains(group)))
        };
        let mut reach = Self {
            table,
            whole_lists: table.lists().iter().map(|l| l.marks.is_some()).collect(),
            patterns: PrefixMap::default(),
            taken: Taken::default(),
            all_but: Vec::new(),
            needs_walk: false,
            from: Vec::new(),
        };
        let mut patterns = BTreeSet::new();
        for rule in table.rules().iter().filter(is_asked) {
            reach.add(rule, &mut patterns);
        }
        let mut builder = PrefixMapBuilder::with_capacity(patterns.len());
        for (prefix, remaining) in patterns {
            builder.push(&prefix, remaining, ());
        }
        // Each stands once.
        reach.patterns = builder.build(0).unwrap_or_default();
        reach.from = from;
        reach
    }

    fn add(&mut self, rule: &'t Rule, patterns: &mut BTreeSet<(Number, Remaining)>) {
        let set = rule.called.any_of.as_ref();
        let all = set.is_none_or(|set| set.anything || set.any_assigned);
        if let Some(but) = &rule.called.none_of {
            let only_patterns = !(but.anything || but.any_assigned) && but.lists.is_empty();
            match all && only_patterns {
                true => self.all_but.push(but),
                false => self.needs_walk = true,
            }
            return;
        }
        if all {
            self.whole_lists.fill(true);
        }
        let Some(set) = set else {
            return;
        };
        for list in &set.lists {
            match self.table.list(*list).and_then(|list| list.marks.as_ref()) {
                Some(_) => self.needs_walk = true,
                None => {
                    if let Some(whole) = self.whole_lists.get_mut(list.index()) {
                        *whole = true;
                    }
                }
            }
        }
        patterns.extend(
            set.patterns
                .iter()
                .map(|entry| (entry.prefix, entry.remaining)),
        );
        self.taken.add(crate::routing::RuleId(0), Some(set));
    }

    fn holds_all_of(&self, list: ListId) -> bool {
        self.whole_lists.get(list.index()).copied().unwrap_or(true)
    }

    fn holds(&self, number: &Number) -> bool {
        let but = |but: &&NumberSet| but.patterns.longest(number).is_none();
        self.patterns.longest(number).is_some()
            || self.all_but.iter().any(but)
            || (self.needs_walk && self.is_met(number))
    }

    fn is_met(&self, number: &Number) -> bool {
        let is_met = |from: &GroupId| !of_called(self.table, *from, Some(*number)).rules.is_empty();
        self.from.iter().any(is_met)
    }

    /// A block of a range is in reach when all of it is, a prefix when any of it is: nobody
    /// dials all that begins so.
    fn holds_block(&self, prefix: &Number, remaining: Remaining) -> bool {
        let witness = || {
            let Remaining::Exactly(more) = remaining else {
                return Some(*prefix);
            };
            let symbols = prefix.as_bytes().iter().copied();
            Number::collect(symbols.chain(std::iter::repeat_n(b'0', more.into())))
        };
        let mut by = BTreeSet::new();
        covers(&[&self.taken], prefix, remaining, &mut by)
            || (remaining == Remaining::Any && self.taken.goes_on_below(prefix))
            || !self.all_but.is_empty()
            || (self.needs_walk && witness().is_none_or(|number| self.is_met(&number)))
    }
}
