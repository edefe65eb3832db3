//! A migration wave: numbers that go to another trunk group, in the text of the DID lists.
//!
//! [`Wave::of`] says which rows change, [`Wave::texts`] writes the lists anew. A row all of
//! whose numbers move has its trunk group changed; where only some of them do, a row of their
//! own is written below it, which takes precedence. Comments, order, columns and line ends of
//! the lists stay as they are.

mod deciding;
#[cfg(test)]
mod tests;

use crate::import::cover::{Cover, number, value};
use crate::import::lists::Listed;
use crate::routing::{Number, RoutingTable};
use crate::tables::pattern::Pattern;
use crate::tables::sheet::Sheet;
use crate::tables::written::{WrittenList, WrittenRow};
use deciding::Segment;
use std::collections::BTreeMap;
use std::fmt;

/// What a wave changes in the lists.
#[derive(Debug, Default)]
pub struct Wave {
    /// Numbers that change their trunk group.
    pub moved: u64,
    /// Numbers that have it already.
    pub already_there: u64,
    /// By file, then by line.
    edits: BTreeMap<String, BTreeMap<u32, Edit>>,
}

/// What happens at one row.
#[derive(Debug, Default)]
struct Edit {
    /// Its trunk group is changed.
    assigned: bool,
    /// Rows that are written below it: number and comment.
    below: Vec<(String, String)>,
}

/// Numbers of one length, the first and the last.
pub type Stretch = (Number, Number);

/// Why a wave cannot be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// The list names what begins so and is of any length, which cannot be counted.
    Open {
        /// Line of the list.
        line: u32,
        /// What it names.
        prefix: Number,
    },
    /// No row of the table has these numbers.
    NotListed(Vec<Stretch>),
    /// The row stands in TOML, not in a CSV list.
    InToml {
        /// File and line.
        place: String,
        /// Numbers of it that were to move.
        numbers: Stretch,
    },
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { line, prefix } => write!(
                f,
                "line {line} of the list names a prefix, {prefix}*; a wave names numbers and ranges"
            ),
            Self::NotListed(stretches) => {
                let count: u64 = stretches.iter().map(|of| count(*of)).sum();
                let first = stretches.iter().take(3).map(|of| shown(*of));
                let first: Vec<String> = first.collect();
                let more = if stretches.len() > 3 { ", …" } else { "" };
                write!(
                    f,
                    "no row of the table has {count} of the numbers: {}{more}; add them to a list first",
                    first.join(", ")
                )
            }
            Self::InToml { place, numbers } => write!(
                f,
                "{} stands in {place}; only rows of CSV lists are moved",
                shown(*numbers)
            ),
        }
    }
}

impl std::error::Error for Refused {}

impl Wave {
    /// What has to be written for these numbers to be assigned to the group. `lists` are those
    /// of the table, as they are written.
    ///
    /// # Errors
    /// A number has no row, or one that is not in a CSV list; nothing is changed then.
    pub fn of(
        table: &RoutingTable,
        lists: &[WrittenList],
        numbers: &[Listed],
        group: &str,
    ) -> Result<Self, Refused> {
        if let Some(open) = numbers.iter().find(|row| row.last.is_none()) {
            let (line, prefix) = (open.line, open.first);
            return Err(Refused::Open { line, prefix });
        }
        let wanted = Cover::of(numbers);
        let segments = deciding::segments(table, &wanted);
        let unlisted = segments.iter().filter(|segment| segment.place.is_none());
        let unlisted: Vec<Stretch> = unlisted.filter_map(Segment::ends).collect();
        if !unlisted.is_empty() {
            return Err(Refused::NotListed(unlisted));
        }
        let mut wave = Self::default();
        let rows = rows_of(&segments, lists);
        let names = names(numbers);
        for segment in &segments {
            let Some((file, line)) = &segment.place else {
                continue;
            };
            let size = segment.last - segment.first + 1;
            if segment.group == group {
                wave.already_there += size;
                continue;
            }
            let row = rows.get(&(&**file, *line));
            let Some(row) = row else {
                let numbers = segment.ends().ok_or(Refused::NotListed(Vec::new()))?;
                let place = format!("{file}:{line}");
                return Err(Refused::InToml { place, numbers });
            };
            wave.moved += size;
            let edits = wave.edits.entry(file.clone()).or_default();
            let edit = edits.entry(*line).or_default();
            match ends_of(row) {
                Some((digits, first, last)) if wanted.has_all(digits, first, last) => {
                    edit.assigned = true;
                }
                _ => edit.below.extend(segment.rows(&names)),
            }
        }
        Ok(wave)
    }

    /// The files that change, with how many rows are changed and how many added in each.
    pub fn files(&self) -> impl Iterator<Item = (&str, usize, usize)> {
        self.edits.iter().map(|(file, edits)| {
            let changed = edits.values().filter(|edit| edit.assigned).count();
            let added = edits.values().map(|edit| edit.below.len()).sum();
            (&**file, changed, added)
        })
    }

    /// The text of one of the files as it is to be.
    #[must_use]
    pub fn text(&self, file: &str, text: &str, group: &str) -> String {
        let sheet = Sheet::read(text);
        let mut written = String::with_capacity(text.len());
        let mut done = 0;
        let column = sheet.column("trunk_group");
        for row in sheet.rows() {
            let edit = self.edits.get(file).and_then(|edits| edits.get(&row.line));
            let Some(edit) = edit else { continue };
            let cell = column.and_then(|column| sheet.cell(row, column));
            if let Some(cell) = cell.filter(|_| edit.assigned) {
                written.push_str(text.get(done..cell.start).unwrap_or_default());
                written.push_str(&sheet.quoted(group));
                done = cell.end;
            }
            written.push_str(text.get(done..row.range.end).unwrap_or_default());
            done = row.range.end;
            for (number, comment) in &edit.below {
                let new = [
                    ("number", &**number),
                    ("trunk_group", group),
                    ("comment", &**comment),
                ];
                written.push_str(sheet.line_end());
                written.push_str(&sheet.new_row(&new));
            }
        }
        written.push_str(text.get(done..).unwrap_or_default());
        written
    }
}

/// The rows of CSV lists that decide some of the numbers, by file and line.
fn rows_of<'l>(
    segments: &'l [Segment],
    lists: &'l [WrittenList],
) -> BTreeMap<(&'l str, u32), &'l WrittenRow> {
    let places = segments.iter().filter_map(|segment| segment.place.as_ref());
    let places: std::collections::BTreeSet<(&str, u32)> =
        places.map(|(file, line)| (&**file, *line)).collect();
    let lists = lists.iter().filter(|list| list.is_csv && list.assigns);
    let rows = lists.flat_map(|list| list.rows.iter().map(move |row| (list, row)));
    rows.map(|(list, row)| ((&*list.file, row.line), row))
        .filter(|(place, _)| places.contains(place))
        .collect()
}

/// Digits, first and last of a row that can be counted.
fn ends_of(row: &WrittenRow) -> Option<(u32, u64, u64)> {
    let (first, last) = match row.pattern {
        Pattern::Exact(number) => (number, number),
        Pattern::Range(first, last) => (first, last),
        Pattern::Prefix(_) => return None,
    };
    let ((digits, first), (_, last)) = value(&first).zip(value(&last))?;
    Some((digits, first, last))
}

/// What the list says of its numbers, where it says anything: by digits and first number, with
/// the last.
type NamesByNumber<'l> = BTreeMap<(u32, u64), (u64, &'l str)>;

fn names(numbers: &[Listed]) -> NamesByNumber<'_> {
    let named = numbers.iter().filter(|row| !row.name.is_empty());
    named
        .filter_map(|row| {
            let (digits, first) = value(&row.first)?;
            let (_, last) = value(&row.last?)?;
            Some(((digits, first), (last, &*row.name)))
        })
        .collect()
}

impl Segment {
    fn ends(&self) -> Option<Stretch> {
        number(self.first, self.digits).zip(number(self.last, self.digits))
    }

    /// The rows that say these numbers: those that the list has a name for by themselves.
    fn rows(&self, names: &NamesByNumber<'_>) -> Vec<(String, String)> {
        let mut rows = Vec::new();
        let mut from = self.first;
        while from <= self.last {
            let before = names.range(..=(self.digits, from)).next_back();
            let own =
                before.filter(|((digits, _), (end, _))| *digits == self.digits && *end >= from);
            let next = names
                .range((self.digits, from)..=(self.digits, self.last))
                .next();
            let (to, name) = match (own, next) {
                (Some((_, (end, name))), _) => ((*end).min(self.last), *name),
                (None, Some(((_, begin), _))) => (begin - 1, ""),
                (None, None) => (self.last, ""),
            };
            if let Some(ends) = number(from, self.digits).zip(number(to, self.digits)) {
                rows.push((shown(ends), name.to_owned()));
            }
            from = to + 1;
        }
        rows
    }
}

fn shown((first, last): Stretch) -> String {
    match first == last {
        true => first.to_string(),
        false => format!("{first} to {last}"),
    }
}

fn count((first, last): Stretch) -> u64 {
    let ends = value(&first).zip(value(&last));
    ends.map_or(0, |((_, first), (_, last))| last - first + 1)
}
