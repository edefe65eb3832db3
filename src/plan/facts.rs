//! What a call can be besides its called number, as far as either table tells calls apart.
//!
//! Callers, hosts, labels and hours are each cut into classes: within one every condition of
//! every rule holds for all or for none. A class is known by one example, on which the
//! conditions themselves are tried.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::numbers::{Named, NumberSpace, Owner};
use super::{Side, TooComplex, hours, texts};
use crate::limits::PLAN_CLASSES_MAX;
use crate::routing::conditions::holds_for_caller;
use crate::routing::rule::{NumberSet, TextCondition};
use crate::routing::{Caller, RoutingTable, Rule, ScheduleId};

/// A kind of fact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fact {
    Calling,
    Host,
    Tgrp,
    Hour,
}

impl Fact {
    pub(super) const ALL: [Self; 4] = [Self::Calling, Self::Host, Self::Tgrp, Self::Hour];
}

/// For which classes of a fact something holds.
pub(super) type Truth = Box<[bool]>;

/// Number of a condition within its fact; [`ALWAYS`] holds for every class.
pub(super) type ConditionId = u32;
pub(super) const ALWAYS: ConditionId = 0;

/// Everything a call can be, and what rules ask of it.
pub(super) struct Facts {
    pub(super) callers: Vec<Caller>,
    pub(super) hosts: Vec<Vec<u8>>,
    pub(super) labels: Vec<Vec<u8>>,
    pub(super) hours: Vec<Timestamp>,
    /// By fact: the distinct conditions.
    conditions: [Vec<Truth>; 4],
    /// By table and rule: its condition on each fact.
    of_rules: [Vec<[ConditionId; 4]>; 2],
    /// By fact: what people call what tells its classes apart.
    pub(super) terms: [Vec<Term>; 4],
}

/// Something that holds for some classes of a fact, in words.
pub(super) struct Term {
    pub(super) holds: String,
    pub(super) holds_not: String,
    pub(super) truth: Truth,
}

impl Facts {
    pub(super) fn new(tables: [&RoutingTable; 2], since: Timestamp) -> Result<Self, TooComplex> {
        let patterns = |condition: fn(&Rule) -> &TextCondition| {
            let rules = tables.iter().flat_map(|table| table.rules());
            let conditions = rules.map(condition);
            texts::texts(conditions.flat_map(|condition| {
                let wanted = condition.any_of.iter().flatten();
                wanted.chain(&condition.none_of)
            }))
        };
        let mut facts = Self {
            callers: callers(tables)?,
            hosts: patterns(|rule| &rule.host)?,
            labels: patterns(|rule| &rule.tgrp)?,
            hours: hours::hours(tables, since)?,
            conditions: Default::default(),
            of_rules: Default::default(),
            terms: Default::default(),
        };
        facts.read_rules(tables);
        facts.name_schedules(tables);
        Ok(facts)
    }

    /// How many classes a fact has.
    pub(super) fn classes(&self, fact: Fact) -> usize {
        match fact {
            Fact::Calling => self.callers.len(),
            Fact::Host => self.hosts.len(),
            Fact::Tgrp => self.labels.len(),
            Fact::Hour => self.hours.len(),
        }
    }

    /// What a rule asks of each fact.
    pub(super) fn conditions_of(&self, side: Side, rule: usize) -> [ConditionId; 4] {
        let rules = side.of(&self.of_rules);
        rules.get(rule).copied().unwrap_or([ALWAYS; 4])
    }

    pub(super) fn truth(&self, fact: Fact, condition: ConditionId) -> &[bool] {
        let of_fact = self.conditions.get(fact as usize);
        of_fact
            .and_then(|conditions| conditions.get(condition as usize))
            .map_or(&[], |truth| truth)
    }

    fn read_rules(&mut self, tables: [&RoutingTable; 2]) {
        let mut known: [BTreeMap<Truth, ConditionId>; 4] = Default::default();
        for (fact, (known, conditions)) in Fact::ALL
            .into_iter()
            .zip(known.iter_mut().zip(&mut self.conditions))
        {
            let classes = match fact {
                Fact::Calling => self.callers.len(),
                Fact::Host => self.hosts.len(),
                Fact::Tgrp => self.labels.len(),
                Fact::Hour => self.hours.len(),
            };
            let always: Truth = vec![true; classes].into();
            known.insert(always.clone(), ALWAYS);
            conditions.push(always);
        }
        for side in Side::BOTH {
            let table = side.of(&tables);
            let mut of_rules = Vec::with_capacity(table.rules().len());
            for rule in table.rules() {
                let mut ids = [ALWAYS; 4];
                for (fact, id) in Fact::ALL.into_iter().zip(&mut ids) {
                    let Some(truth) = self.asked(table, rule, fact) else {
                        continue;
                    };
                    let at = fact as usize;
                    let Some((known, conditions)) =
                        known.get_mut(at).zip(self.conditions.get_mut(at))
                    else {
                        continue;
                    };
                    let next = conditions.len() as ConditionId;
                    *id = *known.entry(truth.clone()).or_insert(next);
                    if *id == next {
                        conditions.push(truth.clone());
                        self.name_condition(rule, fact, truth);
                    }
                }
                of_rules.push(ids);
            }
            if let Some(slot) = self.of_rules.get_mut(side as usize) {
                *slot = of_rules;
            }
        }
    }

    /// For which classes a rule's condition holds; `None` when it has none.
    fn asked(&self, table: &RoutingTable, rule: &Rule, fact: Fact) -> Option<Truth> {
        let text = |condition: &TextCondition, classes: &[Vec<u8>]| {
            let holds = classes.iter().map(|text| condition.holds(text));
            (!condition.is_unconditional()).then(|| holds.collect())
        };
        match fact {
            Fact::Calling => (!rule.calling.is_unconditional()).then(|| {
                let holds = |caller: &Caller| holds_for_caller(table, &rule.calling, *caller);
                self.callers.iter().map(holds).collect()
            }),
            Fact::Host => text(&rule.host, &self.hosts),
            Fact::Tgrp => text(&rule.tgrp, &self.labels),
            Fact::Hour => (!rule.during.is_empty()).then(|| {
                let holds = |at: &Timestamp| rule.holds_during(|id| table.is_open(id, *at));
                self.hours.iter().map(holds).collect()
            }),
        }
    }

    fn name_condition(&mut self, rule: &Rule, fact: Fact, truth: Truth) {
        let (word, items) = match fact {
            Fact::Calling => ("calling", &rule.text.calling),
            Fact::Host => ("host", &rule.text.host),
            Fact::Tgrp => ("tgrp", &rule.text.tgrp),
            // Schedules are named one by one: that is how people think of hours.
            Fact::Hour => return,
        };
        let items: Vec<&str> = items.iter().map(|item| &**item).collect();
        let items = items.join(", ");
        if let Some(terms) = self.terms.get_mut(fact as usize) {
            terms.push(Term {
                holds: format!("{word} {items}"),
                holds_not: format!("{word} not {items}"),
                truth,
            });
        }
    }

    fn name_schedules(&mut self, tables: [&RoutingTable; 2]) {
        let mut named: BTreeMap<(&str, Truth), Vec<Side>> = BTreeMap::new();
        for side in Side::BOTH {
            let table = side.of(&tables);
            for (schedule, id) in table.schedules().iter().zip((0..).map(ScheduleId)) {
                let open = self.hours.iter().map(|at| table.is_open(id, *at));
                let key = (&*schedule.name, open.collect());
                named.entry(key).or_default().push(side);
            }
        }
        let [.., terms] = &mut self.terms;
        for ((name, truth), sides) in named {
            let when = match sides.as_slice() {
                [Side::Before] => " before",
                [Side::After] => " after",
                _ => "",
            };
            terms.push(Term {
                holds: format!("{name} open{when}"),
                holds_not: format!("{name} closed{when}"),
                truth,
            });
        }
    }
}

/// Nobody, somebody without a number, and a number for every answer that the conditions on
/// calling numbers give together.
fn callers(tables: [&RoutingTable; 2]) -> Result<Vec<Caller>, TooComplex> {
    let mut named: Vec<Named> = Vec::new();
    let mut dids = Vec::new();
    let mut asking = Vec::new();
    let mut owner: Owner = 0;
    for table in tables {
        let mut reads_dids = false;
        for rule in table
            .rules()
            .iter()
            .filter(|r| !r.calling.is_unconditional())
        {
            asking.push((table, &rule.calling));
            for set in [&rule.calling.any_of, &rule.calling.none_of]
                .into_iter()
                .flatten()
            {
                reads_dids |= add_set(table, set, &mut named, &mut owner);
            }
        }
        dids.extend(reads_dids.then(|| table.dids()));
    }
    let mut known = BTreeSet::new();
    let mut kinds = BTreeSet::new();
    let mut callers = Vec::new();
    let mut consider = |caller: Caller| {
        let answers: Vec<bool> = asking
            .iter()
            .map(|(table, condition)| holds_for_caller(table, condition, caller))
            .collect();
        if kinds.insert(answers) {
            callers.push(caller);
        }
    };
    consider(Caller::Anonymous);
    consider(Caller::Shown(None));
    NumberSpace::new(dids, named).each(|_, number, key| {
        if known.len() <= PLAN_CLASSES_MAX && known.insert(key.to_vec()) {
            consider(Caller::Shown(Some(*number)));
        }
    });
    if known.len() > PLAN_CLASSES_MAX {
        return Err(TooComplex::Callers);
    }
    Ok(callers)
}

/// Adds what a set names, under owners of its own. True when it asks for rows that assign.
pub(super) fn add_set(
    table: &RoutingTable,
    set: &NumberSet,
    named: &mut Vec<Named>,
    owner: &mut Owner,
) -> bool {
    let patterns = set.patterns.iter();
    named.extend(patterns.map(|entry| (entry.prefix, entry.remaining, *owner)));
    *owner += 1;
    let mut reads_dids = set.any_assigned;
    for list in &set.lists {
        let marks = table.list(*list).and_then(|list| list.marks.as_ref());
        match marks {
            Some(marks) => {
                named.extend(marks.iter().map(|e| (e.prefix, e.remaining, *owner)));
                *owner += 1;
            }
            None => reads_dids = true,
        }
    }
    reads_dids
}
