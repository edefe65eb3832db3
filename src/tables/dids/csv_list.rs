//! Reading one CSV list.

use std::ops::Range;

use csv::{ByteRecord, ReaderBuilder};

use super::{DidRows, GroupsOfList, ListId, LostPlusses, Origin, UNASSIGNED};
use crate::limits;
use crate::routing::number::Number;
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics, Place, Severity, nearest, quoted};
use crate::tables::pattern::{Pattern, PatternError};
use crate::tables::source::SourceFile;

/// Columns the language knows.
const NUMBER: &str = "number";
const TRUNK_GROUP: &str = "trunk_group";
const COMMENT: &str = "comment";

pub(super) fn read(
    rows: &mut DidRows,
    source: &SourceFile,
    diagnostics: &Diagnostics,
) -> Option<ListId> {
    let text = source.text();
    if let Some(start) = line_over_limit(text) {
        let message = format!(
            "a line of a list is longer than {} MiB",
            limits::CSV_LINE_BYTES_MAX >> 20
        );
        let place = source.place(start..start + 1, "");
        diagnostics.push(Diagnostic::error(Code::OverLimit, message).at(place));
        return None;
    }
    let delimiter = delimiter_of(text);
    let mut reader = ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes());
    let mut record = ByteRecord::new();
    let mut start = Start { byte: 0, line: 1 };
    // Reading from memory never fails, and flexible records never differ in length.
    let found = reader.read_byte_record(&mut record).unwrap_or(false);
    start.skip_to_record(text, &record);
    let header = Header {
        source,
        start: &start,
        delimiter,
        record: &record,
        diagnostics,
    };
    let columns = if found {
        header.columns()
    } else {
        header.empty()
    }?;
    let origin = Origin::Csv {
        delimiter,
        number_column: columns.number,
    };
    let list = rows.start_list(source.id(), columns.group.is_some(), origin)?;
    let mut csv = CsvList {
        rows,
        source,
        diagnostics,
        delimiter,
        columns,
        list,
        groups: GroupsOfList::default(),
        lost_plusses: LostPlusses::default(),
    };
    while reader.read_byte_record(&mut record).unwrap_or(false) {
        start.skip_to_record(text, &record);
        let end = usize::try_from(reader.position().byte()).unwrap_or(text.len());
        if !csv.add(&record, &start, end) {
            break;
        }
    }
    csv.lost_plusses
        .report(|line| csv.cell(line, csv.columns.number, ""), diagnostics);
    formula_errors(source, diagnostics);
    Some(list)
}

/// Where a line begins that is longer than any line of a list.
fn line_over_limit(text: &str) -> Option<usize> {
    let mut start = 0;
    // The last line feed of each window: lines in between are shorter than it.
    while let Some(window) = text
        .as_bytes()
        .get(start..=start + limits::CSV_LINE_BYTES_MAX)
    {
        match memchr::memrchr(b'\n', window) {
            Some(feed) => start += feed + 1,
            None => return Some(start),
        }
    }
    None
}

/// Comma, semicolon or tab: whichever the header line has most of.
fn delimiter_of(text: &str) -> u8 {
    let mut header = text
        .lines()
        .filter(|line| !line.trim_ascii().is_empty() && !line.starts_with('#'));
    let header = header.next().unwrap_or_default().as_bytes();
    let count = |delimiter: u8| memchr::memchr_iter(delimiter, header).count();
    let (semicolons, tabs) = (count(b';'), count(b'\t'));
    match count(b',') {
        commas if semicolons > commas && semicolons >= tabs => b';',
        commas if tabs > commas => b'\t',
        _ => b',',
    }
}

/// Where the record just read begins. The reader's own position is where the record
/// before it ended: comments, empty lines and half of a CRLF may lie between.
struct Start {
    byte: usize,
    line: u32,
}

impl Start {
    fn skip_to_record(&mut self, text: &str, record: &ByteRecord) {
        let read_from = record.position().map_or(0, |position| position.byte());
        let read_from = usize::try_from(read_from).unwrap_or(text.len());
        self.count_lines(text, read_from);
        let bytes = text.as_bytes();
        while let Some(byte) = bytes.get(self.byte) {
            let rest = bytes.get(self.byte..).unwrap_or_default();
            match byte {
                b'\r' | b'\n' => self.count_lines(text, self.byte + 1),
                // A comment ends with its line feed: the reader takes no other end.
                b'#' => {
                    let end = memchr::memchr(b'\n', rest).map_or(rest.len(), |feed| feed + 1);
                    self.count_lines(text, self.byte + end);
                }
                _ => break,
            }
        }
    }

    fn count_lines(&mut self, text: &str, until: usize) {
        let passed = text.as_bytes().get(self.byte..until).unwrap_or_default();
        let feeds = memchr::memchr_iter(b'\n', passed).count();
        self.line = self
            .line
            .saturating_add(u32::try_from(feeds).unwrap_or(u32::MAX));
        self.byte = self.byte.max(until);
    }
}

/// Which column holds what.
struct Columns {
    number: usize,
    group: Option<usize>,
    count: usize,
}

/// Of a header without what is looked for: the first are enough to recognise the file.
const HEADER_NAMES_SHOWN: usize = 8;

/// The first record, which names the columns.
struct Header<'h> {
    source: &'h SourceFile,
    start: &'h Start,
    delimiter: u8,
    record: &'h ByteRecord,
    diagnostics: &'h Diagnostics,
}

impl Header<'_> {
    /// The columns, or T015.
    fn columns(&self) -> Option<Columns> {
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
    fn empty(&self) -> Option<Columns> {
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

/// A list while its rows are read.
struct CsvList<'r> {
    rows: &'r mut DidRows,
    source: &'r SourceFile,
    diagnostics: &'r Diagnostics,
    delimiter: u8,
    columns: Columns,
    list: ListId,
    groups: GroupsOfList,
    lost_plusses: LostPlusses,
}

impl CsvList<'_> {
    /// Adds one record. False when there is no point in reading on.
    fn add(&mut self, record: &ByteRecord, start: &Start, end: usize) -> bool {
        // Spreadsheets end lists with rows of nothing but delimiters.
        if record.iter().all(|cell| cell.trim_ascii().is_empty()) {
            return true;
        }
        if let Some(swallowed) = self.swallowed_row(start, end) {
            self.row_error(
                start.line,
                0,
                String::from("a quote that opens in this row is not closed in it"),
                Some(format!("line {swallowed} looks like a row of its own")),
            );
            return true;
        }
        if !self.check_shape(record, start.line) {
            return true;
        }
        let cell = record.get(self.columns.number).unwrap_or_default();
        let Some(pattern) = self.pattern(cell, start.line) else {
            return true;
        };
        let Some(group) = self.group(record, start.line) else {
            return false;
        };
        self.rows.add_row(
            &pattern,
            start.line,
            self.list,
            group,
            self.source,
            self.diagnostics,
        )
    }

    /// The first further line of a record that begins as rows do: a quote that was
    /// never meant as one has swallowed it.
    fn swallowed_row(&self, start: &Start, end: usize) -> Option<u32> {
        let raw = self.source.text().get(start.byte..end)?.trim_end();
        memchr::memchr(b'\n', raw.as_bytes())?;
        let looks_like_row = |line: &str| {
            let cell = line
                .split(char::from(self.delimiter))
                .nth(self.columns.number)
                .unwrap_or_default();
            Pattern::parse(cell).is_ok()
        };
        let further = raw.lines().skip(1).position(looks_like_row)?;
        Some(
            start
                .line
                .saturating_add(u32::try_from(further).unwrap_or(u32::MAX))
                .saturating_add(1),
        )
    }

    /// T016 for a row with a column too few or too many to know what is what.
    fn check_shape(&self, record: &ByteRecord, line: u32) -> bool {
        let needed = self
            .columns
            .number
            .max(self.columns.group.unwrap_or_default());
        if record.len() <= needed {
            let message = format!(
                "the row has {}, its header has {}",
                columns(record.len()),
                self.columns.count
            );
            self.row_error(line, 0, message, None);
            return false;
        }
        // A comma in a comment that stands last shifts nothing that matters.
        let surplus = record
            .iter()
            .skip(self.columns.count)
            .any(|cell| !cell.trim_ascii().is_empty());
        if surplus && needed + 1 == self.columns.count {
            let message = format!(
                "the row has {}, its header has {}",
                columns(record.len()),
                self.columns.count
            );
            let help = "put quotes around a field with a delimiter in it";
            self.row_error(line, self.columns.count, message, Some(help.to_owned()));
            return false;
        }
        true
    }

    fn pattern(&mut self, cell: &[u8], line: u32) -> Option<Pattern> {
        // The ordinary cell: a plus and digits, nothing that could be damaged.
        let plain = cell
            .iter()
            .all(|byte| byte.is_ascii_digit() || *byte == b'+');
        let number = if plain {
            Number::parse(cell).filter(|number| number.as_bytes() != b"+")
        } else {
            None
        };
        let pattern = match number {
            Some(number) => Pattern::Exact(number),
            None => match str::from_utf8(cell).map(|cell| (cell, Pattern::parse(cell))) {
                Ok((_, Ok(pattern))) => pattern,
                Ok((cell, Err(error))) => {
                    self.pattern_error(&error, cell, line);
                    return None;
                }
                // Cells of a text are cut at ASCII bytes and stay text.
                Err(_) => return None,
            },
        };
        self.lost_plusses.look_at(line, &pattern);
        Some(pattern)
    }

    fn pattern_error(&self, error: &PatternError, cell: &str, line: u32) {
        self.diagnostics
            .push_with(error.code(), Severity::Error, || {
                let range = cell_range(self.source, line, self.delimiter, self.columns.number);
                let raw = self.source.text().get(range.clone()).unwrap_or_default();
                // Inside the cell only where nothing was taken off it: quotes, blanks.
                let range = match cell.find(raw) {
                    Some(skipped)
                        if error.range.start >= skipped
                            && error.range.end <= skipped + raw.len() =>
                    {
                        range.start + error.range.start - skipped
                            ..range.start + error.range.end - skipped
                    }
                    _ => range,
                };
                error.diagnostic(cell, self.source.place(range, ""))
            });
    }

    /// The group of a row, [`UNASSIGNED`] for an empty cell; `None` and T017 when there
    /// are too many different ones.
    fn group(&mut self, record: &ByteRecord, line: u32) -> Option<u16> {
        let name = self
            .columns
            .group
            .and_then(|column| record.get(column))
            .unwrap_or_default()
            .trim_ascii();
        if name.is_empty() {
            return Some(UNASSIGNED);
        }
        if let Some(group) = self.groups.known(name) {
            return Some(group);
        }
        let column = self.columns.group.unwrap_or_default();
        if self.rows.groups_full() {
            let message = format!(
                "more than {} different trunk groups in DID lists",
                limits::NAMES_MAX
            );
            let place = self.cell(line, column, "");
            self.diagnostics
                .push(Diagnostic::error(Code::OverLimit, message).at(place));
            return None;
        }
        let spot = self
            .source
            .spot(cell_range(self.source, line, self.delimiter, column));
        let group = self.rows.add_group(&String::from_utf8_lossy(name), spot);
        self.groups.add(name, group);
        Some(group)
    }

    fn row_error(&self, line: u32, column: usize, message: String, help: Option<String>) {
        self.diagnostics
            .push_with(Code::CsvRow, Severity::Error, || {
                Diagnostic::error(Code::CsvRow, message)
                    .at(self.cell(line, column, ""))
                    .maybe_help(help)
            });
    }

    fn cell(&self, line: u32, column: usize, label: &str) -> Place {
        cell_place(self.source, line, self.delimiter, column, label)
    }
}

fn columns(count: usize) -> String {
    match count {
        1 => String::from("1 column"),
        count => format!("{count} columns"),
    }
}

fn cell_place(source: &SourceFile, line: u32, delimiter: u8, column: usize, label: &str) -> Place {
    source.place(cell_range(source, line, delimiter, column), label)
}

/// Where a cell stands, without blanks and quotes around it; the end of its line if
/// the line has no such cell. Found again from the line: rows do not keep it.
pub(super) fn cell_range(
    source: &SourceFile,
    line: u32,
    delimiter: u8,
    column: usize,
) -> Range<usize> {
    let line = source.line_range(line);
    let raw = source.text().get(line.clone()).unwrap_or_default();
    let cell = cells(raw, delimiter)
        .nth(column)
        .unwrap_or(raw.len()..raw.len());
    let inner = raw.get(cell.clone()).unwrap_or_default();
    let trimmed = inner.trim_ascii().trim_matches('"').trim_ascii();
    let skipped = inner.find(trimmed).unwrap_or_default();
    let start = line.start + cell.start + skipped;
    start..start + trimmed.len()
}

/// The cells of one line. A quote counts where a cell begins with it, as for the reader.
fn cells(line: &str, delimiter: u8) -> impl Iterator<Item = Range<usize>> {
    let mut start = Some(0);
    std::iter::from_fn(move || {
        let from = start?;
        let rest = line.as_bytes().get(from..)?;
        let quoted = rest.first() == Some(&b'"');
        let mut in_quotes = false;
        let length = rest.iter().position(|byte| {
            in_quotes ^= quoted && *byte == b'"';
            *byte == delimiter && !in_quotes
        });
        start = length.map(|length| from + length + 1);
        Some(from..from + length.unwrap_or(rest.len()))
    })
}

/// A failed formula begins with `#` and would pass for a comment: rows would be lost
/// without a word.
fn formula_errors(source: &SourceFile, diagnostics: &Diagnostics) {
    let text = source.text();
    let after_feed = memchr::memmem::find_iter(text.as_bytes(), b"\n#").map(|at| at + 1);
    for at in after_feed {
        let line = text
            .get(at..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or_default();
        let cell = line.split([',', ';', '\t']).next().unwrap_or_default();
        if let Err(error) = Pattern::parse(cell)
            && error.code() == Code::DamagedNumber
            && cell.ends_with(['?', '!', 'A', '#'])
        {
            diagnostics.push_with(Code::DamagedNumber, Severity::Error, || {
                error.diagnostic(cell, source.place(at..at + cell.len(), ""))
            });
        }
    }
}
