//! Numbers that are assigned twice, and ranges that cut across each other.
//!
//! All lists that assign trunk groups share one number space. Sorted by length, first
//! number and falling size, every range comes after the ranges that hold it, so one
//! pass with a stack of open ranges sees every collision: O(n log n).

use std::cmp::Reverse;

use super::{DidRow, DidRows, ListId};
use crate::limits;
use crate::routing::number::Number;
use crate::routing::prefix_map::{Remaining, range_to_prefixes};
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics, Severity};
use crate::tables::pattern::{Pattern, digits_value};
use crate::tables::source::Sources;

/// Prefixes first, then by length, first number, falling size and place.
type Order = (bool, u32, u128, Reverse<u64>, u16, u32);

impl DidRow {
    /// Symbols of the number: a packed one has 4 bits for each, the rest is 0.
    pub(super) const fn symbols(&self) -> u32 {
        (u128::BITS - self.first.trailing_zeros()).div_ceil(4)
    }

    pub(super) const fn is_range(&self) -> bool {
        self.size > 1
    }

    pub(super) const fn order(&self) -> Order {
        (
            self.size > 0,
            self.symbols(),
            self.first,
            Reverse(self.size),
            self.list.0,
            self.position,
        )
    }

    const fn same_numbers(&self, other: &Self) -> bool {
        self.first == other.first && self.size == other.size
    }

    /// Last of its numbers as an integer of its digits, to be compared with ranges of
    /// the same length and the same symbols in front.
    fn last_value(&self) -> u128 {
        let first = Number::unpack(self.first).map_or(0, |first| digits_value(&first));
        first + u128::from(self.size.saturating_sub(1))
    }
}

/// A row that holds numbers the next rows may hold too.
struct Open {
    row: DidRow,
    last: u128,
}

impl DidRows {
    /// Sorts all rows by number and reports what lists that assign trunk groups assign
    /// twice (T013), and their ranges of one length that overlap without one holding
    /// the other (T014). A row whose trunk group is empty takes part: it says that its
    /// numbers are assigned nowhere.
    pub fn check_overlaps(&mut self, sources: &Sources, diagnostics: &Diagnostics) {
        // Lists that were read in pieces are sorted piece by piece: this sort merges them.
        self.rows.sort_by_key(DidRow::order);
        let mut open: Vec<Open> = Vec::new();
        let mut before: Option<DidRow> = None;
        for row in self.assigning() {
            if let Some(before) = before.filter(|before| before.same_numbers(row)) {
                self.report_twice(&before, row, sources, diagnostics);
                continue;
            }
            before = Some(*row);
            // Without ranges there is nothing to be inside of.
            if row.size > 0 && (row.is_range() || !open.is_empty()) {
                self.enter(&mut open, row, sources, diagnostics);
            }
        }
    }

    fn enter(
        &self,
        open: &mut Vec<Open>,
        row: &DidRow,
        sources: &Sources,
        diagnostics: &Diagnostics,
    ) {
        let Some(first) = Number::unpack(row.first) else {
            return;
        };
        let value = digits_value(&first);
        let comparable = |open: &DidRow| {
            let head = Number::unpack(open.first);
            open.symbols() == row.symbols() && head.is_some_and(|head| same_lead(&head, &first))
        };
        while open
            .last()
            .is_some_and(|open| open.last < value || !comparable(&open.row))
        {
            open.pop();
        }
        let last = row.last_value();
        if let Some(outer) = open.last()
            && outer.last < last
        {
            self.report_overlap(&outer.row, row, sources, diagnostics);
        }
        if row.is_range() {
            open.push(Open { row: *row, last });
        }
    }

    /// Rows of lists that assign trunk groups, in the order the rows stand in.
    pub(super) fn assigning(&self) -> impl Iterator<Item = &DidRow> {
        self.rows
            .iter()
            .filter(|row| self.list(row.list).is_some_and(super::List::assigns))
    }

    /// Shows the entries of the shared number space: one for a number or a prefix, and
    /// the fewest prefixes for a range, without those that a range or number inside it
    /// has as well. Call it after [`DidRows::check_overlaps`] found nothing; among rows
    /// that collide the one that comes first by list and line is shown. Prefixes are as
    /// [`Number::packed`] makes them: nobody here needs their text.
    ///
    /// # Errors
    /// The row whose range made it more than [`limits::RANGE_ENTRIES_MAX`] entries for
    /// ranges; what has been shown is then not complete.
    pub fn entries(&self, mut show: impl FnMut(u128, Remaining, &DidRow)) -> Result<(), DidRow> {
        let mut pieces = self.range_pieces()?;
        pieces.sort_unstable_by_key(|piece| (piece.prefix, piece.remaining, piece.size, piece.row));
        pieces.dedup_by_key(|piece| (piece.prefix, piece.remaining));
        let mut before: Option<&DidRow> = None;
        for row in self.assigning() {
            if row.is_range() || before.is_some_and(|before| before.same_numbers(row)) {
                continue;
            }
            before = Some(row);
            if row.size == 0 {
                show(row.first, Remaining::Any, row);
            } else {
                show(row.first, Remaining::Exactly(0), row);
                // The number is inside a range that was cut down to it.
                let same = pieces
                    .binary_search_by_key(&(row.first, 0), |piece| (piece.prefix, piece.remaining));
                if let Some(piece) = same.ok().and_then(|index| pieces.get_mut(index)) {
                    piece.size = 0;
                }
            }
        }
        for piece in pieces.iter().filter(|piece| piece.size > 0) {
            if let Some(row) = self.rows.get(piece.row as usize) {
                show(piece.prefix, Remaining::Exactly(piece.remaining), row);
            }
        }
        Ok(())
    }

    /// Shows the entries of every wanted list by itself, list after list: who stands in
    /// it, whatever other lists say. The same entry of one list is shown once.
    ///
    /// # Errors
    /// As for [`DidRows::entries`]; nothing has been shown then.
    pub fn members(
        &self,
        wanted: impl Fn(ListId) -> bool,
        mut show: impl FnMut(ListId, u128, Remaining),
    ) -> Result<(), DidRow> {
        let mut members = Vec::new();
        let mut of_ranges = 0;
        for row in self.rows.iter().filter(|row| wanted(row.list)) {
            let mut add =
                |prefix: Number, remaining| members.push((row.list, prefix.packed(), remaining));
            match row.pattern() {
                None => {}
                Some(Pattern::Prefix(prefix)) => add(prefix, Remaining::Any),
                Some(Pattern::Exact(number)) => add(number, Remaining::Exactly(0)),
                Some(Pattern::Range(first, last)) => {
                    let shown = range_to_prefixes(&first, &last, |prefix, remaining| {
                        of_ranges += 1;
                        add(prefix, remaining);
                    });
                    debug_assert!(shown.is_ok(), "a range that was parsed has ends that fit");
                }
            }
            if of_ranges > limits::RANGE_ENTRIES_MAX {
                return Err(*row);
            }
        }
        members.sort_unstable();
        members.dedup();
        for (list, prefix, remaining) in members {
            show(list, prefix, remaining);
        }
        Ok(())
    }

    fn range_pieces(&self) -> Result<Vec<Piece>, DidRow> {
        let mut pieces = Vec::new();
        for (index, row) in (0..).zip(&self.rows) {
            let assigns = || self.list(row.list).is_some_and(super::List::assigns);
            if !row.is_range() || !assigns() {
                continue;
            }
            let Some(Pattern::Range(first, last)) = row.pattern() else {
                continue;
            };
            let shown = range_to_prefixes(&first, &last, |prefix, remaining| {
                if let Remaining::Exactly(remaining) = remaining {
                    pieces.push(Piece {
                        prefix: prefix.packed(),
                        size: row.size,
                        row: index,
                        remaining,
                    });
                }
            });
            debug_assert!(shown.is_ok(), "a range that was parsed has ends that fit");
            if pieces.len() > limits::RANGE_ENTRIES_MAX {
                return Err(*row);
            }
        }
        Ok(pieces)
    }

    fn report_twice(
        &self,
        first: &DidRow,
        again: &DidRow,
        sources: &Sources,
        diagnostics: &Diagnostics,
    ) {
        diagnostics.push_with(Code::AssignedTwice, Severity::Error, || {
            let message = format!("{} is assigned twice", shown(again));
            Diagnostic::error(Code::AssignedTwice, message)
                .at(self.place(again, sources, self.assigned(again)))
                .at(self.place(first, sources, format!("first {}", self.assigned(first))))
        });
    }

    fn report_overlap(&self, a: &DidRow, b: &DidRow, sources: &Sources, diagnostics: &Diagnostics) {
        diagnostics.push_with(Code::RangesOverlap, Severity::Error, || {
            let (first, again) = if (a.list, a.position) < (b.list, b.position) {
                (a, b)
            } else {
                (b, a)
            };
            let message = format!("ranges {} and {} overlap", shown(again), shown(first));
            Diagnostic::error(Code::RangesOverlap, message)
                .at(self.place(again, sources, self.assigned(again)))
                .at(self.place(first, sources, self.assigned(first)))
                .help("a range may stand inside another, but not across its end: split one of them")
        });
    }

    fn assigned(&self, row: &DidRow) -> String {
        match row.group().and_then(|group| self.groups.get(group)) {
            Some(cell) => format!("assigned to {}", cell.name),
            None => String::from("assigned nowhere"),
        }
    }
}

/// A part of a range that is one entry.
struct Piece {
    prefix: u128,
    /// Numbers of the whole range: of two ranges with the same part the smaller one,
    /// which is inside the other, has it. 0 marks a part that an exact number has.
    size: u64,
    row: u32,
    remaining: u8,
}

fn shown(row: &DidRow) -> String {
    row.pattern()
        .map(|pattern| pattern.to_string())
        .unwrap_or_default()
}

/// Whether two numbers have the same symbols in front of their first digit.
fn same_lead(a: &Number, b: &Number) -> bool {
    let lead = |number: &Number| {
        number
            .as_bytes()
            .iter()
            .take_while(|symbol| !symbol.is_ascii_digit())
            .count()
    };
    lead(a) == lead(b)
        && a.as_bytes()
            .iter()
            .zip(b.as_bytes())
            .take(lead(a))
            .all(|(a, b)| a == b)
}
