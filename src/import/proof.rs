//! Whether a table answers as the original would, over every number.
//!
//! All patterns of the original and of the table are read together, symbol by symbol. Numbers
//! that leave them in the same state are the same to both, so one number of each state that
//! can be reached is asked for, from every group, by every kind of caller, for every host.

use super::notation::{self, DIGITS, SYMBOLS, Shape, Symbols, symbols_of};
use super::original::{Change, Original, Row, Seen, Target};
use super::write::Names;
use crate::limits::PROOF_STATES_MAX;
use crate::routing::conditions::{holds_for_caller, of_called};
use crate::routing::dial_plan::is_emergency;
use crate::routing::manipulation;
use crate::routing::prefix_map::{PrefixMap, Remaining};
use crate::routing::rule::{Action, Destination, NumberCondition};
use crate::routing::{Availability, Ending, Next, Search, Stop, next_route};
use crate::routing::{Caller, GroupId, Number, RoutingTable, RuleId};
use std::collections::{BTreeSet, VecDeque};

/// What the comparison came to.
#[derive(Debug, Default)]
pub struct Proof {
    /// Kinds of numbers that were told apart.
    pub numbers: usize,
    /// Calls and manipulated numbers that were compared.
    pub compared: u64,
    /// Where the table does something else: one call of each kind.
    pub differences: Vec<String>,
    /// Whether all kinds of numbers were asked for.
    pub is_complete: bool,
}

/// Longest number whose manipulation is compared: 15 digits, a `+`, and some that are dialled
/// in front.
const LONGEST: usize = 20;

/// Compares the original with the table that was made of it.
#[must_use]
pub fn compare(original: &Original, names: &Names, table: &RoutingTable) -> Proof {
    let mut proof = Proof {
        is_complete: true,
        ..Proof::default()
    };
    proof.routes(original, names, table);
    proof.changes(original, names, table);
    proof.reasons(original, names, table);
    proof
}

impl Proof {
    fn routes(&mut self, original: &Original, names: &Names, table: &RoutingTable) {
        let of_rows = |called: bool| {
            let rows = original.rows.iter();
            let notations = rows.map(move |row| if called { &row.called } else { &row.calling });
            notations.flat_map(|notation| notation.shapes().unwrap_or_default())
        };
        let of_rules = |condition: fn(&crate::routing::Rule) -> &NumberCondition| {
            let sets = table
                .rules()
                .iter()
                .filter_map(move |rule| condition(rule).any_of.as_ref());
            sets.flat_map(|set| shapes_of(&set.patterns))
        };
        let of_plan = || {
            original
                .plan
                .rules
                .iter()
                .flat_map(|rule| rule.prefix.plain_shapes())
        };
        let mut called: BTreeSet<Shape> = of_rows(true).chain(of_rules(|r| &r.called)).collect();
        let mut calling: BTreeSet<Shape> = of_rows(false).chain(of_rules(|r| &r.calling)).collect();
        called.extend(of_plan().chain(listed(table)));
        if original.rows.iter().any(|row| row.calling_tag.is_some()) {
            calling.extend(of_plan().chain(listed(table)));
        }
        let (called, calling) = (self.witnesses(&called), self.witnesses(&calling));
        self.numbers = called.len();
        let best = |number: &Number| original.plan.best(number.as_bytes());
        let called: Vec<(Number, Option<usize>)> = called
            .into_iter()
            .map(|number| (number, best(&number)))
            .collect();
        let calling = calling
            .into_iter()
            .map(|number| (Some(number), best(&number)));
        let callers: Vec<(Option<Number>, Option<usize>)> =
            std::iter::once((None, None)).chain(calling).collect();
        let hosts = original.rows.iter().filter_map(|row| row.host.as_deref());
        let hosts: BTreeSet<&str> = hosts.chain(["elsewhere.invalid"]).collect();
        for group in &original.groups {
            let Some(id) = table.group_named(names.of(&group.name)) else {
                continue;
            };
            let mut seen = BTreeSet::new();
            for (number, best) in &called {
                let rows = original.rows.iter().enumerate();
                let fits =
                    |row: &Row| original.fits_called(row, &group.name, number.as_bytes(), *best);
                let rows: Vec<usize> = rows
                    .filter(|(_, row)| fits(row))
                    .map(|(at, _)| at)
                    .collect();
                let here = of_called(table, id, Some(*number));
                let assigned = here.did.and_then(|row| row.value.group);
                let assigned = assigned.map_or("", |group| table.group_name(group));
                let wanted = original.assigned(*best);
                let wanted = wanted.map_or("", |group| names.of(&group.name));
                if !seen.insert((rows, here.rules.clone(), wanted, assigned)) {
                    continue;
                }
                let rules = here.rules;
                let ask = Ask {
                    original,
                    names,
                    table,
                    from: &group.name,
                    called: *number,
                    best: *best,
                    wanted,
                    assigned,
                };
                let difference = callers.iter().find_map(|caller| {
                    hosts.iter().find_map(|host| {
                        self.compared += 1;
                        ask.difference(&rules, caller, host)
                    })
                });
                self.differences.extend(difference);
            }
        }
    }

    fn changes(&mut self, original: &Original, names: &Names, table: &RoutingTable) {
        for group in &original.groups {
            let Some(id) = table.group_named(names.of(&group.name)) else {
                continue;
            };
            for (changes, is_inbound) in [(&original.inbound, true), (&original.outbound, false)] {
                for of_called in [true, false] {
                    self.change(table, id, &group.name, changes, is_inbound, of_called);
                }
            }
        }
    }

    /// Which final responses of a group move a call on: of the groups that rules lead to.
    fn reasons(&mut self, original: &Original, names: &Names, table: &RoutingTable) {
        let availability = Availability::of(table);
        for group in original
            .groups
            .iter()
            .filter(|group| original.is_target(group))
        {
            let id = table.group_named(names.of(&group.name));
            let Some(here) = id.and_then(|id| table.group(id)) else {
                continue;
            };
            let policy = table.alternative_routing(here);
            let came = |status| {
                let search = Search {
                    routes: &[],
                    tried: 0,
                    progressed: false,
                    emergency: false,
                };
                let next = next_route(policy, Ending::status(status, None), search, &availability);
                next == Next::Stop(Stop::NoneLeft)
            };
            for status in 300..700 {
                self.compared += 1;
                let wanted = original.moves_on(group, status);
                if wanted != came(status) {
                    let [there, here] = match wanted {
                        true => ["moves a call on", "ends the search"],
                        false => ["ends the search", "moves a call on"],
                    };
                    let name = &group.name;
                    self.differences
                        .push(format!("{name}: {status} {there} there and {here} here"));
                }
            }
        }
    }

    fn change(
        &mut self,
        table: &RoutingTable,
        id: GroupId,
        group: &str,
        changes: &[Change],
        is_inbound: bool,
        of_called: bool,
    ) {
        let own = changes
            .iter()
            .filter(|c| c.is_of(group) && c.of_called == of_called);
        let shapes = own.flat_map(|change| change.fits.shapes().unwrap_or_default());
        let shapes: BTreeSet<Shape> = shapes.collect();
        for witness in self.witnesses(&shapes) {
            for length in witness.len()..=LONGEST.max(witness.len()) {
                let symbols = witness.as_bytes().iter().copied();
                let longer = symbols.chain(std::iter::repeat(b'5')).take(length);
                let Some(number) = Number::collect(longer) else {
                    continue;
                };
                self.compared += 1;
                let wanted = Original::changed(changes, group, of_called, number);
                let came = manipulated(table, id, is_inbound, of_called, number);
                if wanted != came {
                    let end = if of_called { "called" } else { "calling" };
                    self.differences.push(format!(
                        "{group}: the {end} number {number} becomes {wanted} there and {came} here"
                    ));
                    break;
                }
            }
        }
    }

    /// A number of each state of the patterns that can be reached.
    fn witnesses(&mut self, shapes: &BTreeSet<Shape>) -> Vec<Number> {
        let shapes: Vec<&Shape> = shapes.iter().collect();
        let start = State {
            text: Vec::new(),
            alive: (0..shapes.len() as u32).collect(),
            done: Vec::new(),
        };
        let mut queue = VecDeque::from([start]);
        let mut known = BTreeSet::new();
        let mut witnesses = Vec::new();
        while let Some(state) = queue.pop_front() {
            for symbol in SYMBOLS {
                if *symbol == b'+' && !state.text.is_empty() {
                    continue;
                }
                let (next, ended) = state.after(*symbol, &shapes);
                let depth = if next.alive.is_empty() {
                    0
                } else {
                    next.text.len()
                };
                let can_be_dialled = next.text.first() != Some(&b'+')
                    || next.text.get(1).is_none_or(u8::is_ascii_digit);
                if !can_be_dialled
                    || !known.insert((depth, next.alive.clone(), next.done.clone(), ended))
                {
                    continue;
                }
                if known.len() > PROOF_STATES_MAX {
                    self.is_complete = false;
                    return witnesses;
                }
                if next.text != b"+" {
                    witnesses.extend(Number::parse(&next.text));
                }
                if !next.alive.is_empty() {
                    queue.push_back(next);
                }
            }
        }
        witnesses
    }
}

/// Where a number leaves the patterns.
struct State {
    text: Vec<u8>,
    /// Patterns that fit so far and ask for more.
    alive: Vec<u32>,
    /// Those that fit whatever follows.
    done: Vec<u32>,
}

impl State {
    /// The state behind one more symbol, and the patterns that fit exactly this far.
    fn after(&self, symbol: u8, shapes: &[&Shape]) -> (Self, Vec<u32>) {
        let at = self.text.len();
        let symbol_bit = symbols_of(symbol);
        let mut next = Self {
            text: [&*self.text, &[symbol]].concat(),
            alive: Vec::new(),
            done: self.done.clone(),
        };
        let mut ended = Vec::new();
        for index in &self.alive {
            let Some(shape) = shapes.get(*index as usize) else {
                continue;
            };
            if shape
                .places
                .get(at)
                .is_none_or(|place| place & symbol_bit == 0)
            {
                continue;
            }
            match (shape.places.len() > at + 1, shape.open) {
                (true, _) => next.alive.push(*index),
                (false, true) => next.done.push(*index),
                (false, false) => ended.push(*index),
            }
        }
        next.done.sort_unstable();
        (next, ended)
    }
}

/// The numbers of the table's lists, symbol by symbol.
fn listed(table: &RoutingTable) -> impl Iterator<Item = Shape> {
    let symbols = |number: &[u8]| {
        number
            .iter()
            .map(|s| symbols_of(*s))
            .collect::<Vec<Symbols>>()
    };
    let mut shapes = Vec::new();
    table.dids().whole_numbers(|first, last| {
        let value = |number: &Number, digits: usize| -> Option<u64> {
            let (_, end) = number.as_bytes().split_at_checked(number.len() - digits)?;
            std::str::from_utf8(end).ok()?.parse().ok()
        };
        // Neighbours differ in their last digits.
        let digits = first.as_bytes().iter().rev();
        let digits = digits.take_while(|s| s.is_ascii_digit()).count().min(3);
        let ends = value(&first, digits).zip(value(&last, digits));
        let head = first
            .as_bytes()
            .get(..first.len() - digits)
            .unwrap_or_default();
        match ends {
            Some((a, b)) if digits > 0 => {
                shapes.extend(
                    notation::blocks(a, b, digits)
                        .into_iter()
                        .map(|block| Shape {
                            places: [symbols(head), block].concat(),
                            open: false,
                        }),
                );
            }
            _ => shapes.push(Shape {
                places: symbols(first.as_bytes()),
                open: false,
            }),
        }
    });
    let prefixes = table.dids().prefixes().map(move |(prefix, remaining)| {
        let mut places = symbols(prefix.as_bytes());
        if let Remaining::Exactly(more) = remaining {
            places.resize(places.len() + usize::from(more), DIGITS);
        }
        Shape {
            places,
            open: remaining == Remaining::Any,
        }
    });
    prefixes.chain(shapes)
}

/// What a set of a rule asks for, symbol by symbol.
fn shapes_of(patterns: &PrefixMap<()>) -> Vec<Shape> {
    let shape = |prefix: &Number, remaining: Remaining| {
        let mut places: Vec<Symbols> = prefix.as_bytes().iter().map(|s| symbols_of(*s)).collect();
        if let Remaining::Exactly(more) = remaining {
            // A range stands for its digits.
            places.resize(places.len() + usize::from(more), DIGITS);
        }
        Shape {
            places,
            open: remaining == Remaining::Any,
        }
    };
    patterns
        .iter()
        .map(|entry| shape(&entry.prefix, entry.remaining))
        .collect()
}

/// One kind of called number from one group.
struct Ask<'a> {
    original: &'a Original,
    names: &'a Names,
    table: &'a RoutingTable,
    from: &'a str,
    called: Number,
    /// The rule of the dial plan that fits it best.
    best: Option<usize>,
    /// The groups that its tag leads to there, and its row here.
    wanted: &'a str,
    assigned: &'a str,
}

impl Ask<'_> {
    fn difference(
        &self,
        rules: &[RuleId],
        (caller, caller_best): &(Option<Number>, Option<usize>),
        host: &str,
    ) -> Option<String> {
        let caller = *caller;
        let row = self.original.decide(Seen {
            from: self.from,
            called: self.called.as_bytes(),
            calling: caller.as_ref().map(Number::as_bytes),
            rules: [self.best, *caller_best],
            host,
        });
        let wanted: Vec<&str> = row.map_or(Vec::new(), |row| {
            row.targets
                .iter()
                .map(|target| match target {
                    Target::Assigned => self.wanted,
                    target => self.names.of(target.name()),
                })
                .filter(|name| !name.is_empty())
                .collect()
        });
        let shown = match caller {
            Some(number) => Caller::Shown(Some(number)),
            None => Caller::Anonymous,
        };
        let rule = rules
            .iter()
            .filter_map(|id| self.table.rule(*id))
            .find(|rule| {
                holds_for_caller(self.table, &rule.calling, shown)
                    && rule.host.holds(host.as_bytes())
            });
        let came: Vec<&str> = match rule.map(|rule| &rule.action) {
            Some(Action::RouteTo(list)) => list
                .iter()
                .map(|to| self.destination(*to))
                .filter(|name| !name.is_empty())
                .collect(),
            Some(Action::Reject { .. }) => vec!["a refusal"],
            None => Vec::new(),
        };
        (wanted != came).then(|| {
            let line = row.map_or(String::from("no row"), |row| format!("line {}", row.line));
            let rule = rule.map_or("no rule", |rule| &rule.name);
            let caller = caller.map_or(String::from("anonymous"), |number| number.to_string());
            format!(
                "{} calls {} (calling {caller}, host {host}): {} there ({line}), {} here ({rule})",
                self.from,
                self.called,
                or_nowhere(&wanted),
                or_nowhere(&came)
            )
        })
    }

    fn destination(&self, to: Destination) -> &str {
        match to {
            Destination::Group(id) => self.table.group_name(id),
            Destination::Assigned => self.assigned,
        }
    }
}

fn or_nowhere(groups: &[&str]) -> String {
    match groups {
        [] => String::from("nowhere"),
        groups => groups.join(", "),
    }
}

/// The number as the group's manipulations leave it. Inbound, an emergency number stays.
fn manipulated(
    table: &RoutingTable,
    group: GroupId,
    is_inbound: bool,
    of_called: bool,
    number: Number,
) -> Number {
    let Some(group) = table.group(group) else {
        return number;
    };
    if is_inbound && of_called && is_emergency(table.dial_plan(group), &number) {
        return number;
    }
    let list = if is_inbound {
        &group.inbound
    } else {
        &group.outbound
    };
    let found = list.iter().filter_map(|id| table.manipulation(*id));
    found.fold(number, |number, found| {
        let steps = if of_called {
            &found.called
        } else {
            &found.calling
        };
        manipulation::apply(steps, number).number
    })
}
