//! The one number space of a table: every DID and what it is assigned to.
//!
//! # Layout
//! Nearly all rows of a large table are whole numbers, and a whole number that is listed
//! beats everything shorter. They stand by themselves in [`runs`], by length; prefixes and
//! blocks of ranges, which are few, in a [`PrefixMap`] that is asked when no whole number
//! fits. A row says one of a few thousand things at most (trunk group and list), so each
//! of these is kept once and numbers hold its index; the lines of the files are kept
//! beside all that, where only explanations go.

mod decimal;
mod runs;

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;

use arrayvec::ArrayVec;

use super::number::Number;
use super::prefix_map::{BuildError, Duplicate, Match, PrefixMap, PrefixMapBuilder, Remaining};
use super::{GroupId, ListId};
use crate::limits::{FORESEEN_CALLS_MAX, PREFIX_MAP_ENTRIES_MAX};
use runs::{ASSIGNMENTS_MAX, Found, LINES_MAX, Row, Runs};

/// What a DID row says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Did {
    /// The trunk group it is assigned to.
    pub group: Option<GroupId>,
    /// The list it stands in.
    pub list: ListId,
}

/// Immutable longest-prefix match from numbers to [`Did`]s, with the rules of
/// [`PrefixMap`]: the longest prefix wins, and at the same prefix
/// [`Remaining::Exactly`] beats [`Remaining::Any`].
///
/// Lookups do not allocate. A map is valid for ever; a changed table is a new map.
#[derive(Clone, Default)]
pub struct DidMap {
    /// Whole numbers of one symbol, of two, … of [`SYMBOLS_MAX`].
    whole: [Runs; SYMBOLS_MAX],
    /// Prefixes, blocks of ranges, and numbers longer than [`SYMBOLS_MAX`].
    open: PrefixMap<Placed>,
    assignments: Box<[Did]>,
}

/// A whole number of at most so many symbols has an 8-byte key: `+` and the 15 digits of
/// E.164.
const SYMBOLS_MAX: usize = 16;

/// Index of an assignment, and the line of the row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Placed {
    assignment: u32,
    line: u32,
}

impl DidMap {
    /// The row that decides this number, if any does.
    #[must_use]
    pub fn longest(&self, number: &Number) -> Option<Match<Did>> {
        match self.find(number) {
            Some(found) => self.whole_number(number, found),
            None => self.longest_open(number),
        }
    }

    /// [`DidMap::longest`] of several numbers at once: their waits for memory overlap, so
    /// that sixteen take hardly more time than three one after the other.
    #[must_use]
    pub fn longest_batch<const N: usize>(&self, numbers: &[Number; N]) -> [Option<Match<Did>>; N] {
        let lanes = numbers.each_ref().map(|number| self.lane(number));
        let mut places = [0; N];
        descend_all(&lanes, &mut places);
        let mut answers = [None; N];
        for (((answer, number), lane), at) in
            answers.iter_mut().zip(numbers).zip(&lanes).zip(&places)
        {
            let found = lane.and_then(|(runs, key)| runs.find_in_block(*at, key));
            *answer = match found {
                Some(found) => self.whole_number(number, found),
                None => self.longest_open(number),
            };
        }
        answers
    }

    /// Shows every row that fits the number and the line of its list's file, from the
    /// shortest prefix to the one that [`DidMap::longest`] answers.
    pub fn all_matches(&self, number: &Number, mut show: impl FnMut(Match<Did>, u32)) {
        self.open.all_matches(number, |found| {
            if let Some(value) = self.assignment(found.value.assignment) {
                show(of_value(found, value), found.value.line);
            }
        });
        let lane = self.lane(number);
        if let Some((runs, found)) = lane.and_then(|(runs, key)| Some((runs, runs.find(key)?)))
            && let Some(matched) = self.whole_number(number, found)
        {
            show(matched, runs.line(found));
        }
    }

    /// Shows the whole numbers, the short ones first, as runs of neighbours that say the
    /// same: the first and the last of each, which differ in their last three digits.
    pub fn whole_numbers(&self, mut show: impl FnMut(Number, Number)) {
        for (runs, symbols) in self.whole.iter().zip(1..) {
            let number = |key: u64| Number::unpack(u128::from(key) << (128 - 4 * symbols));
            runs.each(|first, last| {
                if let Some((first, last)) = number(first).zip(number(last)) {
                    show(first, last);
                }
            });
        }
    }

    /// Prefixes and blocks of ranges (and numbers too long for the shelves of whole ones),
    /// ordered by prefix.
    pub fn prefixes(&self) -> impl Iterator<Item = (Number, Remaining)> {
        self.open
            .iter()
            .map(|entry| (entry.prefix, entry.remaining))
    }

    /// How many rows there are: whole numbers, prefixes and blocks of ranges.
    #[must_use]
    pub fn len(&self) -> usize {
        self.open.len() + self.whole.iter().map(Runs::numbers).sum::<usize>()
    }

    /// Whether no number matches at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap memory held, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.open.memory_bytes()
            + self.whole.iter().map(Runs::memory_bytes).sum::<usize>()
            + size_of_val(&*self.assignments)
    }

    /// Where the arrays lie that a lookup of a whole number reads, as addresses.
    pub fn places(&self) -> impl Iterator<Item = Range<usize>> {
        self.whole.iter().flat_map(Runs::places)
    }

    /// Where a whole number would stand, and its key there.
    fn lane(&self, number: &Number) -> Lane<'_> {
        let runs = self.whole.get(number.len().checked_sub(1)?)?;
        Some((runs, whole_key(number.packed(), number.len())))
    }

    fn find(&self, number: &Number) -> Option<Found> {
        let (runs, key) = self.lane(number)?;
        runs.find(key)
    }

    fn whole_number(&self, number: &Number, found: Found) -> Option<Match<Did>> {
        Some(Match {
            length: number.len() as u8,
            remaining: Remaining::Exactly(0),
            value: self.assignment(found.assignment)?,
        })
    }

    fn longest_open(&self, number: &Number) -> Option<Match<Did>> {
        let found = self.open.longest(number)?;
        Some(of_value(found, self.assignment(found.value.assignment)?))
    }

    fn assignment(&self, index: u32) -> Option<Did> {
        self.assignments.get(index as usize).copied()
    }
}

/// Where a whole number of a batch would stand, and its key there.
type Lane<'m> = Option<(&'m Runs, u64)>;

/// The block of each lane, with what is read of it on its way; the places are zeros.
fn descend_all(lanes: &[Lane<'_>], places: &mut [usize]) {
    let depth = lanes.iter().flatten().map(|(runs, _)| runs.depth()).max();
    let mut touched = 0;
    for level in (0..depth.unwrap_or(0)).rev() {
        // Few instructions a lane, so that the loads of all are under way together.
        if level < TOUCHED_LEVELS {
            for (lane, at) in lanes.iter().zip(&*places) {
                touched ^= lane.map_or(0, |(runs, _)| runs.touch_node(level, *at));
            }
        }
        for (lane, at) in lanes.iter().zip(&mut *places) {
            if let Some((runs, key)) = lane {
                *at = runs.descend(level, *at, *key);
            }
        }
    }
    for (lane, at) in lanes.iter().zip(&*places) {
        touched ^= lane.map_or(0, |(runs, _)| runs.touch_block(*at));
    }
    // What was touched is read again later; it must not be left out until then.
    std::hint::black_box(touched);
}

/// Lookups that are still to come.
#[derive(Debug, Default)]
pub(super) struct Lookups<'m>(ArrayVec<Lane<'m>, FORESEEN_CALLS_MAX>);

impl<'m> Lookups<'m> {
    /// One more; whether there is room for another.
    pub(super) fn add(&mut self, map: &'m DidMap, number: &Number) -> bool {
        let _ = self.0.try_push(map.lane(number));
        !self.0.is_full()
    }

    /// Has the memory that these lookups will wait for brought near, all of it at once, and
    /// forgets them. Nothing is decided by it.
    pub(super) fn bring_near(&mut self) {
        // The wait of one has nothing to overlap with.
        if let Some(places) = [0; FORESEEN_CALLS_MAX].get_mut(..self.0.len())
            && places.len() > 1
        {
            descend_all(&self.0, places);
        }
        self.0.clear();
    }
}

/// The lowest levels of the index are too large for the nearest caches when the numbers
/// are: their nodes are touched before they are read.
const TOUCHED_LEVELS: usize = 2;

fn of_value(found: Match<Placed>, value: Did) -> Match<Did> {
    Match {
        length: found.length,
        remaining: found.remaining,
        value,
    }
}

/// The symbols of a packed number of at most [`SYMBOLS_MAX`], the last in the lowest bits.
fn whole_key(packed: u128, symbols: usize) -> u64 {
    let front = (packed >> 64) as u64;
    front >> (4 * SYMBOLS_MAX.saturating_sub(symbols)).min(63)
}

impl fmt::Debug for DidMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A million rows help nobody.
        write!(f, "DidMap({} rows)", self.len())
    }
}

/// Collects rows for a [`DidMap`]: 16 bytes for a whole number.
#[derive(Clone, Debug, Default)]
pub struct DidMapBuilder {
    whole: [Vec<Row>; SYMBOLS_MAX],
    open: PrefixMapBuilder<Placed>,
    assignments: Vec<Did>,
    known: BTreeMap<Did, u32>,
}

impl DidMapBuilder {
    /// A builder without rows.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one row, which stands in this line of its list's file. One that asks for more
    /// symbols than a number can have is left out: it could never match.
    pub fn push(&mut self, prefix: &Number, remaining: Remaining, did: Did, line: u32) {
        let assignment = self.assignment(did);
        self.push_packed(prefix.packed(), remaining, assignment, line);
    }

    /// [`DidMapBuilder::push`] of a prefix as [`Number::packed`] makes it, and of what
    /// [`DidMapBuilder::assignment`] answered: a large list has few assignments.
    pub fn push_packed(
        &mut self,
        prefix: u128,
        remaining: Remaining,
        assignment: Assignment,
        line: u32,
    ) {
        let symbols = (u128::BITS - prefix.trailing_zeros()).div_ceil(4) as usize;
        let rows = self.whole.get_mut(symbols.wrapping_sub(1));
        match rows.filter(|_| remaining == Remaining::Exactly(0)) {
            Some(rows) => rows.push(Row {
                key: whole_key(prefix, symbols),
                assignment: assignment.0,
                line: line.min(LINES_MAX - 1),
            }),
            None => self.open.push_packed(
                prefix,
                remaining,
                Placed {
                    assignment: assignment.0,
                    line,
                },
            ),
        }
    }

    /// What stands for an assignment in this builder.
    pub fn assignment(&mut self, did: Did) -> Assignment {
        let next = self.assignments.len() as u32;
        let index = *self.known.entry(did).or_insert(next);
        if index == next {
            self.assignments.push(did);
        }
        Assignment(index)
    }

    /// Sorts what was added and lays it out. The order of adding does not matter, but what
    /// is in order of number already takes less time.
    ///
    /// # Errors
    /// [`BuildError::Duplicates`] if the same prefix and remaining were added twice, with
    /// at most `duplicates_max` of them shown; [`BuildError::TooMany`] beyond
    /// [`PREFIX_MAP_ENTRIES_MAX`] rows, or more different assignments than 20 bits tell
    /// apart.
    pub fn build(mut self, duplicates_max: usize) -> Result<DidMap, BuildError<Did>> {
        let entries = self.whole.iter().map(Vec::len).sum::<usize>();
        if entries > PREFIX_MAP_ENTRIES_MAX {
            return Err(BuildError::TooMany { entries });
        }
        if self.assignments.len() > ASSIGNMENTS_MAX {
            let entries = self.assignments.len();
            return Err(BuildError::TooMany { entries });
        }
        let mut twice = Twice::new(&self.assignments, duplicates_max);
        for (rows, symbols) in self.whole.iter_mut().zip(1..) {
            rows.sort_unstable_by_key(|row| row.key);
            twice.look_at(rows, symbols);
        }
        let open = match std::mem::take(&mut self.open).build(duplicates_max) {
            Ok(open) => open,
            Err(error) => return Err(twice.and(error)),
        };
        if twice.total > 0 {
            return Err(twice.error());
        }
        Ok(DidMap {
            // One length after the other, so that never all rows are there twice.
            whole: self.whole.map(|rows| Runs::of_sorted(&rows)),
            open,
            assignments: self.assignments.into_boxed_slice(),
        })
    }
}

/// What stands for a [`Did`] in the [`DidMapBuilder`] that gave it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Assignment(u32);

/// Whole numbers that were added twice.
struct Twice<'a> {
    assignments: &'a [Did],
    max: usize,
    shown: Vec<Duplicate<Did>>,
    total: usize,
}

impl<'a> Twice<'a> {
    const fn new(assignments: &'a [Did], max: usize) -> Self {
        Self {
            assignments,
            max,
            shown: Vec::new(),
            total: 0,
        }
    }

    fn look_at(&mut self, sorted: &[Row], symbols: usize) {
        let pairs = sorted.iter().zip(sorted.iter().skip(1));
        for (first, second) in pairs.filter(|(a, b)| a.key == b.key) {
            self.total += 1;
            let packed = u128::from(first.key) << (128 - 4 * symbols);
            if let Some(prefix) = Number::unpack(packed) {
                self.show(
                    prefix,
                    Remaining::Exactly(0),
                    first.assignment,
                    second.assignment,
                );
            }
        }
    }

    fn show(&mut self, prefix: Number, remaining: Remaining, first: u32, second: u32) {
        let did = |index: u32| self.assignments.get(index as usize).copied();
        if self.shown.len() < self.max
            && let Some((first, second)) = did(first).zip(did(second))
        {
            self.shown.push(Duplicate {
                prefix,
                remaining,
                first,
                second,
            });
        }
    }

    fn and(mut self, open: BuildError<Placed>) -> BuildError<Did> {
        match open {
            BuildError::TooMany { entries } => BuildError::TooMany { entries },
            BuildError::Duplicates { shown, total } => {
                self.total += total;
                for found in shown {
                    let (first, second) = (found.first, found.second);
                    self.show(
                        found.prefix,
                        found.remaining,
                        first.assignment,
                        second.assignment,
                    );
                }
                self.error()
            }
        }
    }

    fn error(self) -> BuildError<Did> {
        BuildError::Duplicates {
            shown: self.shown,
            total: self.total,
        }
    }
}

#[cfg(test)]
mod tests;
