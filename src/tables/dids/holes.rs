//! Blocks of a hundred numbers of which all but one stand in the lists.
//!
//! Of a block with more free numbers nobody can say that one is missing; and where many blocks
//! have a free number, that is how the site is.

use std::collections::BTreeMap;

use super::{DidRow, DidRows};
use crate::limits::HOLES_MAX;
use crate::routing::number::{Number, code_symbol};
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics};
use crate::tables::pattern::Pattern;
use crate::tables::source::Sources;

/// The symbols of a block's numbers, and what is in front of their last two digits.
type Block = (u32, u128);

/// Which of the hundred numbers are listed, and by which row the first.
#[derive(Clone, Copy)]
struct Listed {
    bits: u128,
    by: DidRow,
}

const HUNDRED: u32 = 100;

impl DidRows {
    /// Reports blocks of which one number is missing (T038), once all rows were read without
    /// an error and sorted. None when there are more than [`HOLES_MAX`] of them.
    pub fn check_holes(&self, sources: &Sources, diagnostics: &Diagnostics) {
        let holes = self.holes();
        if holes.len() > HOLES_MAX {
            return;
        }
        for (missing, row) in holes {
            let message = format!("{missing} is the only number of its hundred that is not listed");
            let finding = Diagnostic::warning(Code::Hole, message)
                .at(self.place(&row, sources, "the others stand from here on"))
                .help(format!(
                    "add a row for {missing}, with an empty trunk_group if it is meant to be free"
                ));
            diagnostics.push(finding);
        }
    }

    fn holes(&self) -> Vec<(Number, DidRow)> {
        let numbers = self.rows.partition_point(|row| row.size == 0);
        let (_, rows) = self.rows.split_at_checked(numbers).unwrap_or_default();
        let mut of_ranges = self.parts_of_ranges();
        let mut holes = Vec::new();
        let mut left = rows;
        while let Some(block) = left.first().map(block_of) {
            // A block that has 99 rows has one 98 rows on: the others are passed over.
            let Some(ahead) = left.get(HUNDRED as usize - 2).map(block_of) else {
                break;
            };
            let wanted = |row: &DidRow| match ahead == block {
                true => block_of(row) == block,
                false => block_of(row) < ahead,
            };
            let (passed, rest) = left
                .split_at_checked(left.partition_point(wanted))
                .unwrap_or_default();
            if ahead == block {
                let ranges = of_ranges.remove(&block);
                self.look_at(block, passed, ranges, &mut holes);
            }
            left = rest;
            if holes.len() > HOLES_MAX {
                return holes;
            }
        }
        for (block, ranges) in of_ranges {
            let start = rows.partition_point(|row| block_of(row) < block);
            let (_, from_here) = rows.split_at_checked(start).unwrap_or_default();
            let end = from_here.partition_point(|row| block_of(row) == block);
            let (of_block, _) = from_here.split_at_checked(end).unwrap_or_default();
            self.look_at(block, of_block, Some(ranges), &mut holes);
            if holes.len() > HOLES_MAX {
                break;
            }
        }
        holes
    }

    /// What ranges list of the blocks they begin and end in: of those between, all.
    fn parts_of_ranges(&self) -> BTreeMap<Block, Listed> {
        let mut parts: BTreeMap<Block, Listed> = BTreeMap::new();
        for row in self.assigning().filter(|row| row.is_range()) {
            let Some(Pattern::Range(first, last)) = row.pattern() else {
                continue;
            };
            let ends = [&first, &last].map(|n| place_in_block(n.packed(), row.symbols()));
            let [Some((begin, low)), Some((end, high))] = ends else {
                continue;
            };
            // From a bit upwards, and up to a bit.
            let upwards = !(low - 1) & ((1 << HUNDRED) - 1);
            let downwards = (high - 1) | high;
            let mut list = |block, bits| {
                let listed = parts.entry(block).or_insert(Listed { bits: 0, by: *row });
                listed.bits |= bits;
            };
            if begin == end {
                list(begin, upwards & downwards);
            } else {
                list(begin, upwards);
                list(end, downwards);
            }
        }
        parts
    }

    fn look_at(
        &self,
        block: Block,
        rows: &[DidRow],
        ranges: Option<Listed>,
        holes: &mut Vec<(Number, DidRow)>,
    ) {
        let assigns = |row: &&DidRow| self.list(row.list).is_some_and(super::List::assigns);
        let mut listed = ranges;
        for row in rows.iter().filter(|row| row.size == 1).filter(assigns) {
            if let Some((_, bit)) = place_in_block(row.first, row.symbols()) {
                listed.get_or_insert(Listed { bits: 0, by: *row }).bits |= bit;
            }
        }
        let Some(Listed { bits, by }) = listed else {
            return;
        };
        if bits.count_ones() != HUNDRED - 1 {
            return;
        }
        if let Some(missing) = number_of(block, bits.trailing_ones())
            && !self.is_listed_otherwise(&missing)
        {
            holes.push((missing, by));
        }
    }

    /// Whether a range that passes over its block, or a prefix, holds the number.
    fn is_listed_otherwise(&self, number: &Number) -> bool {
        self.assigning()
            .filter(|row| row.size != 1)
            .any(|row| match row.pattern() {
                Some(Pattern::Prefix(prefix)) => number.starts_with(prefix.as_bytes()),
                Some(Pattern::Range(first, last)) => {
                    first.len() == number.len() && (first..=last).contains(number)
                }
                _ => false,
            })
    }
}

/// Rows are sorted by it. Of numbers too short to have one it is 0.
const fn block_of(row: &DidRow) -> Block {
    let symbols = row.symbols();
    match u128::BITS.checked_sub(4 * symbols) {
        Some(behind) if symbols > 2 => (symbols, row.first >> (behind + 8)),
        _ => (symbols, 0),
    }
}

/// The block of a packed number and the bit of its last two digits; `None` where they are
/// none, and for numbers too short to have blocks.
fn place_in_block(packed: u128, symbols: u32) -> Option<(Block, u128)> {
    let behind = u128::BITS.checked_sub(4 * symbols)?;
    let digit = |at: u32| {
        let symbol = code_symbol((packed >> at & 0xf) as u8)?;
        symbol.is_ascii_digit().then(|| u32::from(symbol - b'0'))
    };
    let units = digit(behind)?;
    let tens = digit(behind.checked_add(4).filter(|at| *at < u128::BITS)?)?;
    let head = packed.checked_shr(behind + 8).filter(|head| *head > 0)?;
    Some(((symbols, head), 1 << (tens * 10 + units)))
}

fn number_of((symbols, head): Block, last_two: u32) -> Option<Number> {
    let behind = u128::BITS.checked_sub(4 * symbols)?;
    let front = Number::unpack(head << (behind + 8))?;
    let digits = [last_two / 10, last_two % 10].map(|digit| b'0' + digit as u8);
    Number::collect(front.as_bytes().iter().copied().chain(digits))
}
