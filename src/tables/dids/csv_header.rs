//! The header of a CSV list, and what its columns say of a row.

use csv::ByteRecord;

use super::csv_list::{Start, cell_place};
use super::{DidRow, ListId, LostPlusses};
use crate::routing::number::symbol_code;
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics, nearest, quoted};
use crate::tables::pattern::{Pattern, PatternError};
use crate::tables::source::SourceFile;

/// Columns the language knows.
const NUMBER: &str = "number";
const TRUNK_GROUP: &str = "trunk_group";
const COMMENT: &str = "comment";

/// Of a header without what is looked for: the first are enough to recognise the file.
const HEADER_NAMES_SHOWN: usize = 8;

/// The first record, which names the columns.
pub(super) struct Header<'h> {
    pub(super) source: &'h SourceFile,
    pub(super) start: &'h Start,
    pub(super) delimiter: u8,
    pub(super) record: &'h ByteRecord,
    pub(super) diagnostics: &'h Diagnostics,
}

impl Header<'_> {
    /// The columns, or T015.
    pub(super) fn columns(&self) -> Option<Columns> {
        let names: Vec<String> = self.record.iter().map(column_name).collect();
        if names.iter().all(String::is_empty) {
            return self.empty();
        }
        if !self.source.text().contains('\n') && self.source.text().trim_ascii().contains('\r') {
            let help = "save the list with LF or CRLF line ends";
            self.wrong(
                0,
                String::from("the lines of the list end in CR alone"),
                Some(help.to_owned()),
            );
            return None;
        }
        let mut sound = true;
        for (index, name) in names.iter().enumerate() {
            sound &= self.check_name(index, name, &names);
        }
        let at = |wanted: &str| names.iter().position(|name| name == wanted);
        let number = at(NUMBER);
        if number.is_none() && sound {
            self.no_number(&names);
        }
        sound.then_some(Columns {
            delimiter: self.delimiter,
            number: number?,
            group: at(TRUNK_GROUP),
            count: names.len(),
        })
    }

    fn check_name(&self, index: usize, name: &str, names: &[String]) -> bool {
        const KNOWN: [&str; 3] = [NUMBER, TRUNK_GROUP, COMMENT];
        if KNOWN.contains(&name) {
            let twice = names.iter().take(index).any(|other| other == name);
            if twice {
                self.wrong(
                    index,
                    format!("column {} stands twice in the header", quoted(name)),
                    None,
                );
            }
            return !twice;
        }
        let meant = nearest(name, KNOWN).filter(|known| !names.iter().any(|name| name == known));
        if let Some(meant) = meant {
            let help = format!("did you mean {}?", quoted(meant));
            self.wrong(
                index,
                format!("unknown column {}", quoted(name)),
                Some(help),
            );
        }
        meant.is_none()
    }

    fn no_number(&self, names: &[String]) {
        let first = names.first().map(String::as_str).unwrap_or_default();
        if Pattern::parse(first).is_ok() {
            let help = "put a line above it that names the columns: number,trunk_group,comment";
            self.wrong(
                0,
                String::from("the first line is a number, not a header"),
                Some(help.to_owned()),
            );
        } else {
            let found = names.iter().take(HEADER_NAMES_SHOWN);
            let found: Vec<String> = found.map(|name| quoted(name)).collect();
            let help = format!("found: {}", found.join(", "));
            self.wrong(
                0,
                String::from("the header has no column \"number\""),
                Some(help),
            );
        }
    }

    /// T015 for a list without a header line.
    pub(super) fn empty(&self) -> Option<Columns> {
        let help = "the first line names the columns: number,trunk_group,comment";
        self.wrong(0, String::from("the list is empty"), Some(help.to_owned()));
        None
    }

    fn wrong(&self, column: usize, message: String, help: Option<String>) {
        let place = cell_place(self.source, self.start.line, self.delimiter, column, "");
        self.diagnostics.push(
            Diagnostic::error(Code::CsvHeader, message)
                .at(place)
                .maybe_help(help),
        );
    }
}

/// A column name regardless of case, of blanks around it and of `-` or blanks for `_`.
fn column_name(cell: &[u8]) -> String {
    let name = String::from_utf8_lossy(cell);
    name.trim().to_ascii_lowercase().replace([' ', '-'], "_")
}

/// Which column holds what.
pub(super) struct Columns {
    pub(super) delimiter: u8,
    pub(super) number: usize,
    pub(super) group: Option<usize>,
    pub(super) count: usize,
}

impl Columns {
    /// Spreadsheets end lists with rows of nothing but delimiters.
    pub(super) fn is_blank(&self, record: &ByteRecord) -> bool {
        record.iter().all(|cell| cell.trim_ascii().is_empty())
    }

    /// The last column that means something.
    pub(super) fn needed(&self) -> usize {
        self.number.max(self.group.unwrap_or_default())
    }

    /// Whether it can be known what is what in a row.
    pub(super) fn fit(&self, record: &ByteRecord) -> bool {
        record.len() > self.needed() && !self.has_surplus(record)
    }

    /// A comma in a comment that stands last shifts nothing that matters.
    fn has_surplus(&self, record: &ByteRecord) -> bool {
        let surplus = record.iter().skip(self.count);
        self.needed() + 1 == self.count
            && surplus
                .into_iter()
                .any(|cell| !cell.trim_ascii().is_empty())
    }

    pub(super) fn group_name<'r>(&self, record: &'r ByteRecord) -> &'r [u8] {
        self.group
            .and_then(|column| record.get(column))
            .unwrap_or_default()
            .trim_ascii()
    }

    /// The row of a record, its group still missing; or what is wrong with its number, and
    /// `None` for a cell that is no text, which cells of a text are not.
    pub(super) fn row<'r>(
        &self,
        record: &'r ByteRecord,
        line: u32,
        list: ListId,
        lost_plusses: &mut LostPlusses,
    ) -> Result<DidRow, Option<(PatternError, &'r str)>> {
        let cell = record.get(self.number).unwrap_or_default();
        if let Some(packed) = plain_number(cell) {
            return Ok(DidRow::new(packed, 1, line, list));
        }
        let cell = str::from_utf8(cell).map_err(|_| None)?;
        let pattern = Pattern::parse(cell).map_err(|error| Some((error, cell)))?;
        lost_plusses.look_at(line, &pattern);
        Ok(DidRow::of(&pattern, line, list))
    }
}

/// The ordinary cell, packed: a plus and at most fifteen digits, nothing that could be
/// damaged or have lost its plus.
fn plain_number(cell: &[u8]) -> Option<u128> {
    let (b'+', digits) = cell.split_first()? else {
        return None;
    };
    if !(1..=15).contains(&digits.len()) {
        return None;
    }
    let mut packed = u64::from(symbol_code(b'+')?);
    for digit in digits {
        // Every digit's code is its value and that of 0.
        packed = (packed << 4) | (u64::from(digit.wrapping_sub(b'0')) + u64::from(ZERO_CODE));
        if !digit.is_ascii_digit() {
            return None;
        }
    }
    Some(u128::from(packed << (4 * (15 - digits.len()))) << 64)
}

/// The code of the digit 0; the others follow.
const ZERO_CODE: u8 = match symbol_code(b'0') {
    Some(code) => code,
    None => 0,
};
