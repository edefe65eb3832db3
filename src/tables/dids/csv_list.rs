//! Reading one CSV list.

use std::ops::Range;

use csv::{ByteRecord, ReaderBuilder};

use super::csv_header::{Columns, Header};
use super::csv_pieces::{self, Piece};
use super::{DidRow, DidRows, GroupsOfList, ListId, LostPlusses, Origin, UNASSIGNED};
use crate::limits;
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics, Place, Severity};
use crate::tables::pattern::{Pattern, PatternError};
use crate::tables::source::SourceFile;

/// Reads a list in so many pieces at once, if it is sound; else from top to bottom.
pub(super) fn read(
    rows: &mut DidRows,
    source: &SourceFile,
    diagnostics: &Diagnostics,
    pieces: usize,
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
    let mut reader = reader(text, delimiter);
    let mut record = ByteRecord::new();
    let mut start = Start::default();
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
        columns,
        list,
        groups: GroupsOfList::default(),
        lost_plusses: LostPlusses::default(),
    };
    let behind_header = usize::try_from(reader.position().byte()).unwrap_or(text.len());
    if pieces < 2 || !csv.add_pieces(behind_header, pieces) {
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            start.skip_to_record(text, &record);
            let end = usize::try_from(reader.position().byte()).unwrap_or(text.len());
            if !csv.add(&record, &start, end) {
                break;
            }
        }
    }
    csv.lost_plusses
        .report(|line| csv.cell(line, csv.columns.number, ""), diagnostics);
    formula_errors(source, diagnostics);
    Some(list)
}

/// The records of a text, whatever their number of fields.
pub(in crate::tables) fn reader(text: &str, delimiter: u8) -> csv::Reader<&[u8]> {
    ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .comment(Some(b'#'))
        .from_reader(text.as_bytes())
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
pub(in crate::tables) fn delimiter_of(text: &str) -> u8 {
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
#[derive(Default)]
pub(in crate::tables) struct Start {
    byte: usize,
    pub(in crate::tables) line: u32,
}

impl Start {
    /// Where that is.
    pub(in crate::tables) const fn byte(&self) -> usize {
        self.byte
    }

    pub(in crate::tables) fn skip_to_record(&mut self, text: &str, record: &ByteRecord) {
        let (byte, line) = record
            .position()
            .map_or((0, 1), |position| (position.byte(), position.line()));
        self.byte = usize::try_from(byte).unwrap_or(text.len());
        self.line = u32::try_from(line).unwrap_or(u32::MAX);
        let bytes = text.as_bytes();
        while let Some(byte) = bytes.get(self.byte) {
            match byte {
                b'\r' => self.byte += 1,
                b'\n' => self.pass_line_end(self.byte),
                // A comment ends with its line feed: the reader takes no other end.
                b'#' => {
                    let rest = bytes.get(self.byte..).unwrap_or_default();
                    match memchr::memchr(b'\n', rest) {
                        Some(feed) => self.pass_line_end(self.byte + feed),
                        None => self.byte = bytes.len(),
                    }
                }
                _ => break,
            }
        }
    }

    fn pass_line_end(&mut self, at: usize) {
        self.byte = at + 1;
        self.line = self.line.saturating_add(1);
    }
}

/// A list while its rows are read.
struct CsvList<'r> {
    rows: &'r mut DidRows,
    source: &'r SourceFile,
    diagnostics: &'r Diagnostics,
    columns: Columns,
    list: ListId,
    groups: GroupsOfList,
    lost_plusses: LostPlusses,
}

impl CsvList<'_> {
    /// Adds all rows behind the header, if there is nothing to say about any of them.
    /// False when there is, or when there are too many: nothing has been added then.
    fn add_pieces(&mut self, behind_header: usize, pieces: usize) -> bool {
        let text = self.source.text();
        let Some((header, rows)) = text.split_at_checked(behind_header) else {
            return false;
        };
        let pieces = csv_pieces::read(self.source, rows, &self.columns, self.list, pieces);
        let Some(pieces) = pieces else { return false };
        let more: usize = pieces.iter().map(|piece| piece.rows.len()).sum();
        let groups: usize = pieces.iter().map(|piece| piece.groups.len()).sum();
        let is_room = self.rows.rows.len() + more <= limits::DID_ROWS_MAX
            && self.rows.groups.len() + groups <= limits::NAMES_MAX;
        if !is_room {
            return false;
        }
        self.rows.rows.reserve_exact(more);
        let ends = memchr::memchr_iter(b'\n', header.as_bytes()).count();
        let mut line_before = u32::try_from(ends).unwrap_or(u32::MAX);
        for piece in pieces {
            line_before = line_before.saturating_add(self.add_piece(piece, line_before));
        }
        true
    }

    /// Adds the rows of a piece and answers how many lines it had.
    fn add_piece(&mut self, piece: Piece, line_before: u32) -> u32 {
        let groups: Vec<u16> = piece
            .groups
            .iter()
            .map(|group| {
                self.group(&group.name, group.line + line_before)
                    .unwrap_or(UNASSIGNED)
            })
            .collect();
        self.lost_plusses.add(&piece.lost_plusses, line_before);
        for row in piece.rows {
            let group = groups.get(usize::from(row.group)).copied();
            self.rows.push(DidRow {
                position: row.position.saturating_add(line_before),
                group: group.unwrap_or(UNASSIGNED),
                ..row
            });
        }
        piece.line_ends
    }

    /// Adds one record. False when there is no point in reading on.
    fn add(&mut self, record: &ByteRecord, start: &Start, end: usize) -> bool {
        if self.columns.is_blank(record) {
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
        let columns = &self.columns;
        let row = match columns.row(record, start.line, self.list, &mut self.lost_plusses) {
            Ok(row) => row,
            Err(wrong) => {
                if let Some((error, cell)) = wrong {
                    self.pattern_error(&error, cell, start.line);
                }
                return true;
            }
        };
        let Some(group) = self.group(self.columns.group_name(record), start.line) else {
            return false;
        };
        let row = DidRow { group, ..row };
        self.rows.add_row(row, self.source, self.diagnostics)
    }

    /// The first further line of a record that begins as rows do: a quote that was
    /// never meant as one has swallowed it.
    fn swallowed_row(&self, start: &Start, end: usize) -> Option<u32> {
        let raw = self.source.text().get(start.byte..end)?.trim_end();
        memchr::memchr(b'\n', raw.as_bytes())?;
        let looks_like_row = |line: &str| {
            let cell = line
                .split(char::from(self.columns.delimiter))
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
        if self.columns.fit(record) {
            return true;
        }
        let count = self.columns.count;
        let message = format!(
            "the row has {}, its header has {count}",
            columns(record.len())
        );
        if record.len() <= self.columns.needed() {
            self.row_error(line, 0, message, None);
        } else {
            let help = "put quotes around a field with a delimiter in it";
            self.row_error(line, count, message, Some(help.to_owned()));
        }
        false
    }

    fn pattern_error(&self, error: &PatternError, cell: &str, line: u32) {
        self.diagnostics
            .push_with(error.code(), Severity::Error, || {
                let range = cell_range(
                    self.source,
                    line,
                    self.columns.delimiter,
                    self.columns.number,
                );
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

    /// The group of that name, [`UNASSIGNED`] for an empty one; `None` and T017 when there
    /// are too many different ones.
    fn group(&mut self, name: &[u8], line: u32) -> Option<u16> {
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
        let spot = self.source.spot(cell_range(
            self.source,
            line,
            self.columns.delimiter,
            column,
        ));
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
        cell_place(self.source, line, self.columns.delimiter, column, label)
    }
}

fn columns(count: usize) -> String {
    match count {
        1 => String::from("1 column"),
        count => format!("{count} columns"),
    }
}

pub(super) fn cell_place(
    source: &SourceFile,
    line: u32,
    delimiter: u8,
    column: usize,
    label: &str,
) -> Place {
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
pub(in crate::tables) fn cells(line: &str, delimiter: u8) -> impl Iterator<Item = Range<usize>> {
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
