//! Numbers that stand in a list more than once: a DID list has each in one row.

use super::Listed;
use crate::import::Finding;
use crate::import::cover::{number, value};
use crate::routing::Number;
use std::collections::{BTreeMap, BTreeSet};

/// The rows without the numbers that rows above them have, which are said.
#[must_use]
pub fn without_repeats(listed: Vec<Listed>, findings: &mut Vec<Finding>) -> Vec<Listed> {
    let mut rows = Vec::with_capacity(listed.len());
    let mut prefixes: BTreeSet<Number> = BTreeSet::new();
    let mut taken = Taken::default();
    for row in listed {
        let ends = row
            .last
            .as_ref()
            .map(|last| (value(&row.first), value(last)));
        let Some((Some((digits, first)), Some((_, last)))) = ends else {
            match row.last.is_some() || prefixes.insert(row.first) {
                true => rows.push(row),
                false => say(&row, None, findings),
            }
            continue;
        };
        let (free, line) = taken.take(digits, first, last, row.line);
        if let Some(line) = line {
            say(&row, Some(line), findings);
        }
        let pieces = free.into_iter().filter_map(|(first, last)| {
            Some(Listed {
                first: number(first, digits)?,
                last: Some(number(last, digits)?),
                ..row.clone()
            })
        });
        rows.extend(pieces);
    }
    rows
}

fn say(row: &Listed, line: Option<u32>, findings: &mut Vec<Finding>) {
    let shown = match row.last {
        Some(last) if last != row.first => format!("numbers of {} to {last}", row.first),
        _ => row.first.to_string(),
    };
    let message = match line {
        Some(line) => format!("{shown} stands in line {line} too, which counts"),
        None => format!("{shown} stands twice; the first counts"),
    };
    findings.push(Finding::new(row.line, message));
}

/// Stretches that do not touch, by how many digits they have: first, last, and a line.
#[derive(Default)]
struct Taken(BTreeMap<u32, BTreeMap<u64, (u64, u32)>>);

impl Taken {
    /// Takes a stretch: what of it was free, and a line that had some of it.
    fn take(
        &mut self,
        digits: u32,
        first: u64,
        last: u64,
        line: u32,
    ) -> (Vec<(u64, u64)>, Option<u32>) {
        let of_length = self.0.entry(digits).or_default();
        let before = of_length.range(..first).next_back();
        let before = before.filter(|(_, (end, _))| *end >= first);
        let inside = of_length.range(first..=last);
        let had: Vec<(u64, u64, u32)> = before
            .into_iter()
            .chain(inside)
            .map(|(begin, (end, line))| (*begin, *end, *line))
            .collect();
        let mut free = Vec::new();
        let mut from = Some(first);
        for (begin, end, _) in &had {
            if let Some(from) = from.filter(|from| from < begin) {
                free.push((from, begin - 1));
            }
            from = end.checked_add(1);
        }
        free.extend(from.filter(|from| *from <= last).map(|from| (from, last)));
        // One stretch for all of them: whatever comes later meets no more than it adds.
        let (mut begin, mut end) = (first, last);
        for (had_begin, had_end, _) in &had {
            of_length.remove(had_begin);
            (begin, end) = (begin.min(*had_begin), end.max(*had_end));
        }
        let known = had.first().map(|(.., line)| *line);
        of_length.insert(begin, (end, known.unwrap_or(line)));
        (free, known)
    }
}
