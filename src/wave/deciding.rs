//! Which row decides each of some numbers: asked of the table that serves them.

use crate::import::cover::{Cover, number, value};
use crate::routing::RoutingTable;
use crate::routing::prefix_map::Remaining;
use std::collections::{BTreeMap, BTreeSet};

/// Neighbouring numbers that one row decides.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Segment {
    pub(super) digits: u32,
    pub(super) first: u64,
    pub(super) last: u64,
    /// File and line of the row; `None` where no row has the numbers.
    pub(super) place: Option<(String, u32)>,
    /// The trunk group it assigns; empty for none.
    pub(super) group: String,
}

/// The numbers, cut where another row decides.
pub(super) fn segments(table: &RoutingTable, wanted: &Cover) -> Vec<Segment> {
    let mut segments: Vec<Segment> = Vec::new();
    for (digits, cuts) in cuts(table, wanted) {
        let ends = cuts.iter().skip(1).copied().chain([u64::MAX]);
        for (first, end) in cuts.iter().copied().zip(ends) {
            let Some((_, last)) = wanted.within(digits, first, end - 1).next() else {
                continue;
            };
            let segment = decided(table, digits, first, last);
            match segments.last_mut() {
                Some(before)
                    if before.digits == digits
                        && before.last + 1 == first
                        && before.place == segment.place =>
                {
                    before.last = last;
                }
                _ => segments.push(segment),
            }
        }
    }
    segments
}

/// Numbers at which another row may begin to decide, or which begin a stretch.
fn cuts(table: &RoutingTable, wanted: &Cover) -> BTreeMap<u32, BTreeSet<u64>> {
    let mut cuts: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    let mut add = |digits: u32, first: u64, last: u64| {
        for (first, last) in wanted.within(digits, first, last) {
            let of_length = cuts.entry(digits).or_default();
            of_length.insert(first);
            of_length.extend(wanted.has(digits, last + 1).then_some(last + 1));
        }
    };
    for (digits, first, last) in wanted.iter() {
        add(digits, first, last);
    }
    // Neighbours that say the same are shown together, but each may have a row of its own.
    table.dids().whole_numbers(|first, last| {
        if let (Some((digits, first)), Some((_, last))) = (value(&first), value(&last)) {
            for (first, last) in wanted.within(digits, first, last) {
                (first..=last).for_each(|one| add(digits, one, one));
            }
        }
    });
    let lengths: BTreeSet<u32> = wanted.iter().map(|(digits, ..)| digits).collect();
    for (prefix, remaining) in table.dids().prefixes() {
        // A `+` alone is the prefix of every one.
        let (digits, first) = value(&prefix).unwrap_or((0, 0));
        for length in lengths.range(digits..) {
            let more = length - digits;
            let is_asked = match remaining {
                Remaining::Any => true,
                Remaining::Exactly(exactly) => u32::from(exactly) == more,
            };
            if let (true, Some(size)) = (is_asked, 10_u64.checked_pow(more))
                && let Some(first) = first.checked_mul(size)
            {
                add(*length, first, first + (size - 1));
            }
        }
    }
    cuts
}

fn decided(table: &RoutingTable, digits: u32, first: u64, last: u64) -> Segment {
    let mut segment = Segment {
        digits,
        first,
        last,
        place: None,
        group: String::new(),
    };
    let Some(number) = number(first, digits) else {
        return segment;
    };
    // The last one shown is the one that decides.
    table.dids().all_matches(&number, |found, line| {
        let file = table.list(found.value.list).map(|list| list.file);
        let file = file.map_or("", |file| table.file_name(file));
        segment.place = Some((file.to_owned(), line));
        let group = found.value.group.map(|group| table.group_name(group));
        segment.group = group.unwrap_or_default().to_owned();
    });
    segment
}
