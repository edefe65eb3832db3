//! Sets of whole international numbers, as stretches of neighbours.

use super::lists::Listed;
use crate::routing::Number;
use std::collections::BTreeMap;

/// The digits behind a `+`, how many and what they are worth. E.164 has 15.
#[must_use]
pub fn value(number: &Number) -> Option<(u32, u64)> {
    let digits = number
        .as_bytes()
        .strip_prefix(b"+")
        .filter(|digits| digits.len() <= 18)?;
    let text = std::str::from_utf8(digits).ok()?;
    let is_digits = !digits.is_empty() && digits.iter().all(u8::is_ascii_digit);
    Some((
        digits.len() as u32,
        text.parse().ok().filter(|_| is_digits)?,
    ))
}

/// A number of so many digits behind the `+`.
#[must_use]
pub fn number(value: u64, digits: u32) -> Option<Number> {
    let width = digits as usize;
    Number::parse(format!("+{value:0width$}").as_bytes())
}

/// The numbers of a list: stretches that do not touch, by how many digits they have.
#[derive(Clone, Debug, Default)]
pub struct Cover(BTreeMap<u32, BTreeMap<u64, u64>>);

impl Cover {
    /// The numbers of a list. What begins so and is of any length is left out: it has no end.
    #[must_use]
    pub fn of(listed: &[Listed]) -> Self {
        let mut ranges: BTreeMap<u32, Vec<(u64, u64)>> = BTreeMap::new();
        for row in listed {
            // What begins so and is of any length cannot be compared number by number.
            let Some(last) = row.last else { continue };
            if let (Some((digits, first)), Some((_, last))) = (value(&row.first), value(&last)) {
                ranges.entry(digits).or_default().push((first, last));
            }
        }
        let merged = ranges.into_iter().map(|(digits, mut ranges)| {
            ranges.sort_unstable();
            let mut merged: BTreeMap<u64, u64> = BTreeMap::new();
            for (first, last) in ranges {
                match merged.last_entry() {
                    Some(mut before) if first <= before.get().saturating_add(1) => {
                        let end = (*before.get()).max(last);
                        before.insert(end);
                    }
                    _ => {
                        merged.insert(first, last);
                    }
                }
            }
            (digits, merged)
        });
        Self(merged.collect())
    }

    /// Whether a number is among them.
    #[must_use]
    pub fn has(&self, digits: u32, value: u64) -> bool {
        let of_length = self.0.get(&digits);
        let before = of_length.and_then(|ranges| ranges.range(..=value).next_back());
        before.is_some_and(|(_, last)| value <= *last)
    }

    /// Whether all numbers of a stretch are among them.
    #[must_use]
    pub fn has_all(&self, digits: u32, first: u64, last: u64) -> bool {
        let of_length = self.0.get(&digits);
        let before = of_length.and_then(|ranges| ranges.range(..=first).next_back());
        before.is_some_and(|(_, end)| last <= *end)
    }

    /// The stretches: how many digits, the first and the last.
    pub fn iter(&self) -> impl Iterator<Item = (u32, u64, u64)> {
        let stretches = self.0.iter();
        stretches.flat_map(|(digits, ranges)| {
            let ranges = ranges.iter();
            ranges.map(move |(first, last)| (*digits, *first, *last))
        })
    }

    /// What a stretch and these numbers have in common.
    pub fn within(&self, digits: u32, first: u64, last: u64) -> impl Iterator<Item = (u64, u64)> {
        let of_length = self.0.get(&digits).into_iter();
        of_length.flat_map(move |ranges| {
            let before = ranges.range(..=first).next_back();
            let before = before.filter(|(begin, _)| **begin < first);
            let inside = ranges.range(first..=last);
            let touching = before.into_iter().chain(inside);
            touching
                .map(move |(begin, end)| ((*begin).max(first), (*end).min(last)))
                .filter(|(begin, end)| begin <= end)
        })
    }
}
