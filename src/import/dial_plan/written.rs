//! The rules of a dial plan as rows of which the longest prefix decides.

use super::{Prefix, Rank, Shape};
use crate::import::notation::{Item, SYMBOLS, merged, symbols_of};
use crate::limits::{DIAL_PLAN_STATES_ANY, DIAL_PLAN_STATES_MAX, DIAL_PLAN_STATES_PER_RULE};
use std::collections::BTreeSet;

/// The rules as rows of which the longest prefix decides: for each rule its numbers.
///
/// # Errors
/// It takes too many of them.
pub(in crate::import) fn rows(rules: &[&Prefix]) -> Result<Vec<Vec<Item>>, TooMuch> {
    let mut shapes = Vec::new();
    for (rule, prefix) in rules.iter().enumerate() {
        shapes.extend(
            prefix
                .shapes(rule)
                .map_err(|why| TooMuch::Rule(rule, why))?,
        );
    }
    let mut rows: Vec<Vec<Item>> = vec![Vec::new(); rules.len()];
    let (alive, done) = (0..shapes.len()).partition(|at| {
        shapes
            .get(*at)
            .is_some_and(|shape| !shape.places.is_empty())
    });
    let mut open = vec![State {
        text: Vec::new(),
        alive,
        done,
        above: None,
    }];
    let most = shapes.len().saturating_mul(DIAL_PLAN_STATES_PER_RULE);
    let most = (DIAL_PLAN_STATES_ANY + most).min(DIAL_PLAN_STATES_MAX);
    let mut states = 0_usize;
    while let Some(state) = open.pop() {
        states += 1;
        if states > most {
            return Err(TooMuch::Together);
        }
        state.write(&shapes, &mut rows, &mut open);
    }
    let prefixes = Prefixes::of(&rows);
    for (rule, items) in rows.iter_mut().enumerate() {
        let runs = items.iter().filter(|item| matches!(item, Item::Run(..)));
        let runs = merged(runs.cloned().collect());
        items.retain(|item| matches!(item, Item::Prefix(_)));
        items.sort();
        items.extend(runs.iter().flat_map(|run| prefixes.kept_out(rule, run)));
        if let Some(item) = items.iter().find(|item| !item.can_be_written()) {
            let why = format!("{:?}, which no number list can say", item.text());
            return Err(TooMuch::Rule(rule, why));
        }
    }
    Ok(rows)
}

/// Why rules are not written as rows.
#[derive(Debug)]
pub(in crate::import) enum TooMuch {
    /// This one alone stands for too many numbers and prefixes.
    Rule(usize, String),
    /// All of them have too many beginnings.
    Together,
}

/// Numbers that begin alike.
struct State {
    text: Vec<u8>,
    /// Shapes that fit so far and ask for more.
    alive: Vec<usize>,
    /// Those that fit whatever follows.
    done: Vec<usize>,
    /// The rule whose prefix is written already.
    above: Option<usize>,
}

impl State {
    fn write(self, shapes: &[Shape], rows: &mut [Vec<Item>], open: &mut Vec<Self>) {
        let at = self.text.len();
        let mut add = |rule: usize, item: Item| {
            if let Some(items) = rows.get_mut(rule) {
                items.push(item);
            }
        };
        let shape = |index: &usize| shapes.get(*index);
        let whatever = best_of(self.done.iter().filter_map(shape));
        // No list can say in one row all numbers, or all that begin with a plus.
        let is_head = matches!(&*self.text, [] | [b'+']);
        let above = match (whatever, is_head) {
            (_, true) => self.above,
            (Some(rule), _) if self.above != Some(rule) => {
                add(rule, Item::Prefix(self.text.clone()));
                Some(rule)
            }
            _ => self.above,
        };
        let alive: Vec<&Shape> = self.alive.iter().filter_map(shape).collect();
        // Whichever digits follow, the same rules fit: one row says so for all of them.
        if alive.iter().all(|shape| shape.is_any_digit_from(at)) {
            let mut lengths: Vec<usize> = alive.iter().map(|shape| shape.places.len()).collect();
            lengths.sort_unstable();
            lengths.dedup();
            for length in lengths {
                let ending = alive.iter().copied();
                let ending = ending.filter(|shape| shape.places.len() == length);
                let fitting = ending.chain(self.done.iter().filter_map(shape));
                if let Some(rule) = best_of(fitting).filter(|rule| above != Some(*rule)) {
                    add(rule, Item::run(&self.text, length - at));
                }
            }
            if !is_head {
                return;
            }
        }
        for symbol in SYMBOLS {
            let is_behind_plus = self.text.first() == Some(&b'+');
            let can_follow = match symbol {
                b'+' => self.text.is_empty(),
                b'*' | b'#' => !is_behind_plus,
                _ => true,
            };
            if !can_follow {
                continue;
            }
            let bit = symbols_of(*symbol);
            let mut next = Self {
                text: [&*self.text, &[*symbol]].concat(),
                alive: Vec::new(),
                done: self.done.clone(),
                above,
            };
            let mut ended = Vec::new();
            for (index, shape) in self.alive.iter().zip(&alive) {
                if shape
                    .places
                    .get(at)
                    .is_none_or(|(place, _)| place & bit == 0)
                {
                    continue;
                }
                match (shape.places.len() > at + 1, shape.open) {
                    (true, _) => next.alive.push(*index),
                    (false, true) => next.done.push(*index),
                    (false, false) => ended.push(*index),
                }
            }
            let grew = next.done.len() > self.done.len();
            let is_nothing_new = next.alive.is_empty() && ended.is_empty() && !grew;
            if is_head && is_nothing_new && *symbol != b'+' {
                // Only what fits everything fits here.
                if let Some(rule) = whatever {
                    add(rule, Item::Prefix(next.text.clone()));
                }
                continue;
            }
            if !ended.is_empty() {
                let fitting = ended.iter().chain(&next.done).filter_map(shape);
                let without = best_of(next.done.iter().filter_map(shape));
                if let Some(rule) = best_of(fitting).filter(|rule| without != Some(*rule)) {
                    add(rule, Item::run(&next.text, 0));
                }
            }
            if !next.alive.is_empty() || grew || is_head {
                open.push(next);
            }
        }
    }
}

/// The best of rules that fit the same numbers, by what they ask place by place.
fn best_of<'s>(shapes: impl Iterator<Item = &'s Shape>) -> Option<usize> {
    let ranks = |shape: &Shape| {
        let places = 0..=shape.places.len();
        let ranks: Vec<Rank> = places.map(|at| shape.rank(at)).collect();
        (ranks, shape.rule)
    };
    shapes.map(ranks).min().map(|(_, rule)| rule)
}

/// The prefixes of all rows with their rules, in the order of their symbols.
struct Prefixes(Vec<(Vec<u8>, usize)>);

impl Prefixes {
    fn of(rows: &[Vec<Item>]) -> Self {
        let rows = rows.iter().zip(0..);
        let prefixes = rows.flat_map(|(items, rule)| {
            items.iter().filter_map(move |item| match item {
                Item::Prefix(symbols) => Some((symbols.clone(), rule)),
                Item::Run(..) => None,
            })
        });
        let mut prefixes: Vec<(Vec<u8>, usize)> = prefixes.collect();
        prefixes.sort();
        Self(prefixes)
    }

    /// A run of a rule in pieces that decide each of its numbers.
    ///
    /// A range counts as the fewest prefixes that say it, so `120 to 129` counts as `12`: a prefix
    /// `121*` of another rule is longer and would take 121 from it. A cut beside the numbers
    /// that begin with `121` leaves no room for anything shorter than these.
    fn kept_out(&self, rule: usize, run: &Item) -> Vec<Item> {
        let Item::Run(lead, digits, first, last) = run else {
            return vec![run.clone()];
        };
        // Where a new piece begins.
        let mut cuts = BTreeSet::new();
        // Longer ones first: their cut serves the shorter ones around them.
        for (prefix, of) in self.between(run).iter().rev() {
            let Some(inside) = prefix.strip_prefix(&**lead) else {
                continue;
            };
            let is_longer = prefix.len() > 1 && (1..=*digits).contains(&inside.len());
            if *of == rule || !is_longer || !inside.iter().all(u8::is_ascii_digit) {
                continue;
            }
            let size = 10_u128.pow((digits - inside.len()) as u32);
            let from = size * value_of(inside);
            let shorter = from - from % (size * 10);
            let shorter = shorter..=shorter + (size * 10 - 1);
            let is_taken = first <= shorter.start() && shorter.end() <= last;
            if is_taken
                && cuts
                    .range(shorter.start() + 1..=*shorter.end())
                    .next()
                    .is_none()
            {
                let is_last = inside.ends_with(b"9");
                cuts.insert(if is_last { from } else { from + size });
            }
        }
        let begins = std::iter::once(*first).chain(cuts.iter().copied());
        let ends = cuts.iter().map(|cut| cut - 1).chain([*last]);
        let piece = |(begin, end)| Item::Run(lead.clone(), *digits, begin, end);
        begins.zip(ends).map(piece).collect()
    }

    /// Those that may begin a number of a run, and some others.
    fn between(&self, run: &Item) -> &[(Vec<u8>, usize)] {
        let text = run.text();
        let (first, last) = text.split_once(" to ").unwrap_or((&text, &text));
        // A prefix stands before the numbers it begins, the first of which may end in zeros.
        let first = first.trim_end_matches('0').as_bytes();
        let begin = self.0.partition_point(|(prefix, _)| &**prefix < first);
        let end = self
            .0
            .partition_point(|(prefix, _)| &**prefix <= last.as_bytes());
        self.0.get(begin..end).unwrap_or_default()
    }
}

fn value_of(digits: &[u8]) -> u128 {
    let digits = digits.iter().map(|digit| u128::from(digit - b'0'));
    digits.fold(0, |value, digit| value * 10 + digit)
}
