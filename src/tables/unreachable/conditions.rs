//! The conditions of rules besides `from` and `called`, compared as written: whose calls
//! are among whose.

use std::collections::{BTreeMap, BTreeSet};

use crate::limits::RULE_CONDITIONS_COMPARED_MAX;
use crate::routing::rule::Rule;
use crate::routing::{RoutingTable, RuleId};

/// Number of a set of conditions; rules with the same conditions have the same.
pub(super) type ConditionId = usize;

/// The items of one list that are asked for and those excluded.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Part<'t> {
    wanted: BTreeSet<&'t str>,
    excluded: BTreeSet<&'t str>,
}

impl<'t> Part<'t> {
    fn of(items: &'t [Box<str>]) -> Self {
        let mut part = Self::default();
        for item in items {
            match item.strip_prefix('!') {
                Some(item) => part.excluded.insert(item),
                None => part.wanted.insert(item),
            };
        }
        // `*` holds for anything.
        if part.wanted.contains("*") {
            part.wanted.clear();
        }
        part
    }

    /// Whether this holds wherever the other does.
    fn covers(&self, other: &Self) -> bool {
        let wanted = self.wanted.is_empty()
            || (!other.wanted.is_empty() && other.wanted.is_subset(&self.wanted));
        wanted && self.excluded.is_subset(&other.excluded)
    }
}

/// `calling`, `host`, `tgrp`, `during`.
type Conditions<'t> = [Part<'t>; 4];

fn conditions(rule: &Rule) -> Conditions<'_> {
    let text = &rule.text;
    [&text.calling, &text.host, &text.tgrp, &text.during].map(|items| Part::of(items))
}

/// Which conditions hold wherever others do.
pub(super) struct Covering {
    of_rules: Vec<ConditionId>,
    all: Vec<Vec<ConditionId>>,
    splits: Vec<Vec<[Vec<ConditionId>; 2]>>,
}

impl Covering {
    pub(super) fn new(table: &RoutingTable) -> Self {
        let mut known: BTreeMap<Conditions<'_>, ConditionId> = BTreeMap::new();
        let mut distinct = Vec::new();
        let of_rules = table.rules().iter().map(|rule| {
            let conditions = conditions(rule);
            *known.entry(conditions).or_insert_with_key(|conditions| {
                distinct.push(conditions.clone());
                distinct.len() - 1
            })
        });
        let of_rules = of_rules.collect();
        let compared = distinct.len() <= RULE_CONDITIONS_COMPARED_MAX;
        let covering = |below: &Conditions<'_>| -> Vec<ConditionId> {
            let holds = |above: &Conditions<'_>| match compared {
                true => above.iter().zip(below).all(|(a, b)| a.covers(b)),
                false => above == below || *above == Conditions::default(),
            };
            let all = distinct.iter().enumerate();
            all.filter(|(_, above)| holds(above))
                .map(|(id, _)| id)
                .collect()
        };
        let schedules: BTreeSet<&str> = distinct
            .iter()
            .flat_map(|[.., during]| during.wanted.iter().chain(&during.excluded))
            .copied()
            .filter(|_| compared)
            .collect();
        let splits = |below: &Conditions<'_>| -> Vec<[Vec<ConditionId>; 2]> {
            let [.., during] = below;
            // Of several wanted schedules any may be open: a further one cannot be asked for.
            let free = |name: &&&str| during.wanted.is_empty() && !during.excluded.contains(**name);
            let split = |name: &&'_ str| {
                let (mut open, mut closed) = (below.clone(), below.clone());
                let ([.., open_hours], [.., closed_hours]) = (&mut open, &mut closed);
                open_hours.wanted.insert(name);
                closed_hours.excluded.insert(name);
                [covering(&open), covering(&closed)]
            };
            schedules.iter().filter(free).map(split).collect()
        };
        Self {
            of_rules,
            all: distinct.iter().map(covering).collect(),
            splits: distinct.iter().map(splits).collect(),
        }
    }

    pub(super) fn of_rule(&self, rule: RuleId) -> ConditionId {
        self.of_rules.get(rule.index()).copied().unwrap_or_default()
    }

    /// The conditions that hold wherever these do, these among them.
    pub(super) fn all(&self, id: ConditionId) -> &[ConditionId] {
        self.all.get(id).map_or(&[], |ids| ids)
    }

    /// For each schedule these do not speak of: the conditions that hold wherever these do
    /// while it is open, and while it is closed.
    pub(super) fn splits(&self, id: ConditionId) -> &[[Vec<ConditionId>; 2]] {
        self.splits.get(id).map_or(&[], |splits| splits)
    }
}
