//! The rows of a compiled table one by one.

use crate::routing::number::Number;
use crate::routing::prefix_map::Remaining;
use crate::routing::{ListId, RoutingTable};

/// The line of the row that decides a number; 0 where none does.
pub(super) fn line_of(table: &RoutingTable, number: &Number) -> u32 {
    let mut line = 0;
    table.dids().all_matches(number, |_, of_row| line = of_row);
    line
}

/// The list of a prefix or block, and the line of its row.
pub(super) fn row_of(
    table: &RoutingTable,
    prefix: &Number,
    remaining: Remaining,
) -> Option<(ListId, u32)> {
    let more = match remaining {
        Remaining::Any => 0,
        Remaining::Exactly(more) => more,
    };
    let symbols = prefix.as_bytes().iter().copied();
    let witness = Number::collect(symbols.chain(std::iter::repeat_n(b'0', more.into())))?;
    let mut found = None;
    table.dids().all_matches(&witness, |row, line| {
        if usize::from(row.length) == prefix.len() && row.remaining == remaining {
            found = Some((row.value.list, line));
        }
    });
    found
}

/// The numbers of a run, whose ends differ in their last three digits.
pub(super) fn numbers(first: &Number, last: &Number) -> impl Iterator<Item = Number> + use<> {
    let (first, last) = (*first, *last);
    std::iter::successors(Some(first), move |number| {
        (*number < last).then(|| next_number(number)).flatten()
    })
}

fn next_number(number: &Number) -> Option<Number> {
    let symbols = number.as_bytes();
    let nines = symbols.iter().rev().take_while(|s| **s == b'9').count();
    let kept = symbols.len().checked_sub(nines + 1)?;
    let (head, tail) = symbols.split_at_checked(kept)?;
    let raised = tail.first().filter(|s| s.is_ascii_digit())? + 1;
    let zeros = std::iter::repeat_n(b'0', nines);
    Number::collect(head.iter().copied().chain([raised]).chain(zeros))
}
