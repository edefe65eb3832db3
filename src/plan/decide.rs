//! Both tables' decisions for one region of called numbers, compared for every other fact.
//!
//! What is left of a table for one called number and one arrival group is a short list of
//! steps: a condition on the other facts and what becomes of the call. Two lists are
//! compared for every combination of the classes that any of their conditions tells apart;
//! equal lists need no comparison, and pairs that were compared are remembered.

use std::collections::BTreeMap;

use super::facts::{ALWAYS, ConditionId, Fact, Facts};
use super::outcome::{Kind, Outcome};
use super::{Side, TooComplex};
use crate::limits::PLAN_CELLS_MAX;
use crate::routing::conditions::of_called;
use crate::routing::rule::Action;
use crate::routing::{GroupId, Number, RoutingTable, RuleId};

/// Index of a [`Decided`].
pub(super) type DecidedId = u32;

/// What becomes of a call, and by which rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Decided {
    /// Name of the rule; `None` when none applied.
    pub(super) rule: Option<Box<str>>,
    pub(super) outcome: Outcome,
}

/// One rule as far as it is left: what it asks of each fact, and what it does.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Step {
    asks: [ConditionId; 4],
    decided: DecidedId,
}

/// Calls for which something changes alike: the classes of each fact, `None` for all.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Cell {
    pub(super) classes: [Option<Vec<u32>>; 4],
    pub(super) before: DecidedId,
    pub(super) after: DecidedId,
}

/// Index of the cells that two lists of steps differ in; [`SAME`] for none.
pub(super) type CellsId = u32;
pub(super) const SAME: CellsId = 0;

/// Compares two tables, region by region.
pub(super) struct Decisions<'t> {
    tables: [&'t RoutingTable; 2],
    facts: &'t Facts,
    pub(super) decided: Vec<Decided>,
    known_decided: BTreeMap<Decided, DecidedId>,
    of_rules: BTreeMap<(Side, RuleId, Option<GroupId>, Option<GroupId>), DecidedId>,
    pub(super) cells: Vec<Vec<Cell>>,
    known_cells: BTreeMap<(Vec<Step>, Vec<Step>), CellsId>,
}

impl<'t> Decisions<'t> {
    pub(super) fn new(tables: [&'t RoutingTable; 2], facts: &'t Facts) -> Self {
        Self {
            tables,
            facts,
            decided: Vec::new(),
            known_decided: BTreeMap::new(),
            of_rules: BTreeMap::new(),
            cells: vec![Vec::new()],
            known_cells: BTreeMap::new(),
        }
    }

    /// What changes for calls to this number (`None`: to what is no number) that arrive on
    /// a group of each table.
    pub(super) fn compare(
        &mut self,
        from: [GroupId; 2],
        called: Option<Number>,
    ) -> Result<CellsId, TooComplex> {
        let before = self.steps(Side::Before, from, called);
        let after = self.steps(Side::After, from, called);
        if before == after {
            return Ok(SAME);
        }
        let lists = (before, after);
        if let Some(known) = self.known_cells.get(&lists) {
            return Ok(*known);
        }
        let cells = self.differences(&lists.0, &lists.1)?;
        let id = if cells.is_empty() {
            SAME
        } else {
            self.cells.push(cells);
            self.cells.len() as CellsId - 1
        };
        self.known_cells.insert(lists, id);
        Ok(id)
    }

    fn steps(&mut self, side: Side, from: [GroupId; 2], called: Option<Number>) -> Vec<Step> {
        let table = *side.of(&self.tables);
        let met = of_called(table, *side.of(&from), called);
        let assigned = met.did.and_then(|row| row.value.group);
        let from = *side.of(&from);
        let takes_back = table.group(from).is_none_or(|group| group.send_back);
        let sender = (!takes_back && !met.emergency).then_some(from);
        let mut steps = Vec::new();
        for id in met.rules {
            let Some(rule) = table.rule(id) else { continue };
            let decided = match &rule.action {
                // Nobody bars an emergency call.
                Action::Reject { .. } if met.emergency => continue,
                _ => self.decided_by(side, id, assigned, sender),
            };
            if met.emergency && self.leads_nowhere(decided) {
                continue;
            }
            let asks = self.facts.conditions_of(side, id.index());
            steps.push(Step { asks, decided });
            if asks == [ALWAYS; 4] {
                return steps;
            }
        }
        steps.push(Step {
            asks: [ALWAYS; 4],
            decided: self.intern(Decided {
                rule: None,
                outcome: Outcome::NoRoute,
            }),
        });
        steps
    }

    fn leads_nowhere(&self, decided: DecidedId) -> bool {
        let decided = self.decided.get(decided as usize);
        decided.is_some_and(|decided| decided.outcome == Outcome::NoRoute)
    }

    fn decided_by(
        &mut self,
        side: Side,
        id: RuleId,
        assigned: Option<GroupId>,
        sender: Option<GroupId>,
    ) -> DecidedId {
        let table = *side.of(&self.tables);
        if let Some(known) = self.of_rules.get(&(side, id, assigned, sender)) {
            return *known;
        }
        let outcome = match table.rule(id).map(|rule| &rule.action) {
            Some(Action::RouteTo(list)) => Outcome::of_route(table, list, assigned, sender),
            Some(Action::Reject { status, reason }) => Outcome::Reject {
                status: *status,
                reason: reason.clone(),
            },
            None => Outcome::NoRoute,
        };
        let decided = self.intern(Decided {
            rule: Some(table.rule_name(id).into()),
            outcome,
        });
        self.of_rules.insert((side, id, assigned, sender), decided);
        decided
    }

    fn intern(&mut self, decided: Decided) -> DecidedId {
        if let Some(known) = self.known_decided.get(&decided) {
            return *known;
        }
        let id = self.decided.len() as DecidedId;
        self.decided.push(decided.clone());
        self.known_decided.insert(decided, id);
        id
    }

    fn differences(&self, before: &[Step], after: &[Step]) -> Result<Vec<Cell>, TooComplex> {
        let asked = Fact::ALL.map(|fact| {
            let steps = before.iter().chain(after);
            let mut ids: Vec<ConditionId> = steps
                .filter_map(|step| step.asks.get(fact as usize).copied())
                .filter(|id| *id != ALWAYS)
                .collect();
            ids.sort_unstable();
            ids.dedup();
            Kinds::of(self.facts, fact, ids)
        });
        let combinations = asked
            .iter()
            .try_fold(1_usize, |product, kinds| product.checked_mul(kinds.len()));
        if combinations.is_none_or(|count| count > PLAN_CELLS_MAX) {
            return Err(TooComplex::Combinations);
        }
        let [callings, hosts, labels, hours] = &asked;
        let mut same: BTreeMap<(DecidedId, DecidedId), Vec<[u32; 4]>> = BTreeMap::new();
        for calling in 0..callings.len() as u32 {
            for host in 0..hosts.len() as u32 {
                for label in 0..labels.len() as u32 {
                    for hour in 0..hours.len() as u32 {
                        let at = [calling, host, label, hour];
                        let decide = |steps: &[Step]| {
                            let holds = |step: &&Step| {
                                let facts = asked.iter().zip(&step.asks).zip(at);
                                facts.into_iter().all(|((k, ask), at)| k.holds(*ask, at))
                            };
                            steps.iter().find(holds).map_or(0, |step| step.decided)
                        };
                        let (before, after) = (decide(before), decide(after));
                        if before != after {
                            same.entry((before, after)).or_default().push(at);
                        }
                    }
                }
            }
        }
        let mut cells = Vec::new();
        for ((before, after), places) in same {
            for sets in boxes(places) {
                let classes = [0, 1, 2, 3].map(|fact: usize| {
                    let (kinds, set) = asked.get(fact).zip(sets.get(fact))?;
                    kinds.classes(set)
                });
                cells.push(Cell {
                    classes,
                    before,
                    after,
                });
            }
        }
        Ok(cells)
    }

    /// What a change means.
    pub(super) fn kind(&self, cell: &Cell) -> Kind {
        match self.both(cell) {
            Some((before, after)) => Kind::of(&before.outcome, &after.outcome),
            None => Kind::RuleOnly,
        }
    }

    /// Before and after.
    pub(super) fn both(&self, cell: &Cell) -> Option<(&Decided, &Decided)> {
        let before = self.decided.get(cell.before as usize)?;
        Some((before, self.decided.get(cell.after as usize)?))
    }
}

/// The classes of one fact, put together as far as some conditions do not tell them apart.
struct Kinds {
    asked: Vec<ConditionId>,
    /// What holds for a kind, condition by condition, and its classes.
    kinds: Vec<(Vec<bool>, Vec<u32>)>,
}

impl Kinds {
    fn of(facts: &Facts, fact: Fact, asked: Vec<ConditionId>) -> Self {
        let mut kinds: BTreeMap<Vec<bool>, Vec<u32>> = BTreeMap::new();
        for class in 0..facts.classes(fact) {
            let holds = asked.iter().map(|id| {
                let truth = facts.truth(fact, *id).get(class);
                truth.copied().unwrap_or(false)
            });
            kinds.entry(holds.collect()).or_default().push(class as u32);
        }
        let kinds = kinds.into_iter().collect();
        Self { asked, kinds }
    }

    fn len(&self) -> usize {
        self.kinds.len()
    }

    fn holds(&self, asked: ConditionId, kind: u32) -> bool {
        if asked == ALWAYS {
            return true;
        }
        let at = self.asked.binary_search(&asked).ok();
        let holds = at.and_then(|at| self.kinds.get(kind as usize)?.0.get(at));
        holds.copied().unwrap_or(false)
    }

    /// The classes of some kinds; `None` when they are all.
    fn classes(&self, kinds: &[u32]) -> Option<Vec<u32>> {
        if kinds.len() == self.kinds.len() {
            return None;
        }
        let classes = kinds
            .iter()
            .filter_map(|kind| self.kinds.get(*kind as usize));
        let mut classes: Vec<u32> = classes.flat_map(|(_, c)| c.iter().copied()).collect();
        classes.sort_unstable();
        Some(classes)
    }
}

/// The same places as products of sets: few for people to read, and together exactly them.
fn boxes(places: Vec<[u32; 4]>) -> Vec<[Vec<u32>; 4]> {
    let mut boxes: Vec<[Vec<u32>; 4]> = places
        .into_iter()
        .map(|place| place.map(|at| vec![at]))
        .collect();
    for fact in (0..4).rev() {
        // Those that differ in this fact only become one.
        let mut merged: BTreeMap<[Vec<u32>; 4], Vec<u32>> = BTreeMap::new();
        for mut sets in boxes {
            let Some(own) = sets.get_mut(fact).map(std::mem::take) else {
                continue;
            };
            merged.entry(sets).or_default().extend(own);
        }
        boxes = merged
            .into_iter()
            .map(|(mut sets, mut own)| {
                own.sort_unstable();
                if let Some(slot) = sets.get_mut(fact) {
                    *slot = own;
                }
                sets
            })
            .collect();
    }
    boxes
}

#[cfg(test)]
mod tests {
    use super::boxes;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn boxes_hold_the_places_each_once(
            places in prop::collection::btree_set([0..3_u32, 0..3_u32, 0..2_u32, 0..3_u32], 0..40),
        ) {
            let mut held = Vec::new();
            for [a, b, c, d] in boxes(places.iter().copied().collect()) {
                for a in &a {
                    for b in &b {
                        for c in &c {
                            held.extend(d.iter().map(|d| [*a, *b, *c, *d]));
                        }
                    }
                }
            }
            held.sort_unstable();
            prop_assert_eq!(held, places.into_iter().collect::<Vec<_>>());
        }
    }
}
