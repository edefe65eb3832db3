//! A CSV list as it is written: where each row and each cell stands in the text, so that
//! single cells can be changed and everything else stays as it is.

use super::dids::{Start, cells, csv_reader, delimiter_of};
use csv::ByteRecord;
use std::borrow::Cow;
use std::ops::Range;

/// The text of a list and what its columns are.
#[derive(Debug)]
pub struct Sheet<'t> {
    text: &'t str,
    delimiter: u8,
    columns: Vec<String>,
    rows: Vec<SheetRow>,
}

/// One row: comments and blank lines are none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SheetRow {
    /// Line it begins on, counted from 1.
    pub line: u32,
    /// Its bytes, without the line end.
    pub range: Range<usize>,
}

impl<'t> Sheet<'t> {
    /// Finds the rows. The first row names the columns; a byte order mark is passed over.
    #[must_use]
    pub fn read(text: &'t str) -> Self {
        let mark = text.len() - text.trim_start_matches('\u{feff}').len();
        let body = text.get(mark..).unwrap_or_default();
        let delimiter = delimiter_of(body);
        let mut reader = csv_reader(body, delimiter);
        let mut record = ByteRecord::new();
        let mut start = Start::default();
        let mut rows = Vec::new();
        // Reading from memory never fails, and flexible records never differ in length.
        while reader.read_byte_record(&mut record).unwrap_or(false) {
            start.skip_to_record(body, &record);
            let end = usize::try_from(reader.position().byte()).unwrap_or(body.len());
            let from = start.byte().min(end);
            let raw = body.get(from..end).unwrap_or_default();
            let length = raw.trim_end_matches(['\r', '\n']).len();
            rows.push(SheetRow {
                line: start.line,
                range: mark + from..mark + from + length,
            });
        }
        let mut sheet = Self {
            text,
            delimiter,
            columns: Vec::new(),
            rows,
        };
        let header = (!sheet.rows.is_empty()).then(|| sheet.rows.remove(0));
        if let Some(header) = header {
            let raw = sheet.raw(&header);
            let names = cells(raw, delimiter).map(|at| content(raw.get(at).unwrap_or_default()));
            let names = names.map(|name| name.to_ascii_lowercase().replace([' ', '-'], "_"));
            sheet.columns = names.collect();
        }
        sheet
    }

    /// Rows behind the header, in the order they stand in.
    #[must_use]
    pub fn rows(&self) -> &[SheetRow] {
        &self.rows
    }

    /// Names of the columns, in lower case.
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// Which column has that name.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column == name)
    }

    /// What stands in a cell, without blanks and quotes around it; empty where there is none.
    #[must_use]
    pub fn value(&self, row: &SheetRow, column: Option<usize>) -> Cow<'t, str> {
        let raw = self.raw(row);
        let cell = column.and_then(|column| cells(raw, self.delimiter).nth(column));
        content(cell.and_then(|at| raw.get(at)).unwrap_or_default())
    }

    /// Bytes of a cell, with what is around it; `None` where the row has no such cell.
    #[must_use]
    pub fn cell(&self, row: &SheetRow, column: usize) -> Option<Range<usize>> {
        let at = cells(self.raw(row), self.delimiter).nth(column)?;
        Some(row.range.start + at.start..row.range.start + at.end)
    }

    /// A row with these values in the named columns, and nothing in the others.
    #[must_use]
    pub fn new_row(&self, values: &[(&str, &str)]) -> String {
        let cells = self.columns.iter().map(|column| {
            let value = values.iter().find(|(name, _)| name == column);
            self.quoted(value.map_or("", |(_, value)| value))
        });
        let delimiter = char::from(self.delimiter).to_string();
        cells.collect::<Vec<String>>().join(&delimiter)
    }

    /// A value as a cell of this list: of one line, in quotes where it has to be.
    #[must_use]
    pub fn quoted(&self, value: &str) -> String {
        quoted(value, self.delimiter)
    }

    /// What stands between two cells.
    #[must_use]
    pub fn delimiter(&self) -> char {
        char::from(self.delimiter)
    }

    /// What stands between two lines of this text.
    #[must_use]
    pub fn line_end(&self) -> &'static str {
        match self.text.split_once('\n') {
            Some((first, _)) if first.ends_with('\r') => "\r\n",
            _ => "\n",
        }
    }

    fn raw(&self, row: &SheetRow) -> &'t str {
        self.text.get(row.range.clone()).unwrap_or_default()
    }
}

/// A value as a cell: of one line, in quotes where it has to be.
#[must_use]
pub fn quoted(value: &str, delimiter: u8) -> String {
    let line = value.replace(['\n', '\r'], " ");
    // A `#` in front would make the row a comment, blanks at the ends would be lost.
    let needs = line.contains(['"', char::from(delimiter)])
        || line.starts_with('#')
        || line.trim_ascii() != line;
    match needs {
        true => format!("\"{}\"", line.replace('"', "\"\"")),
        false => line,
    }
}

fn content(cell: &str) -> Cow<'_, str> {
    let cell = cell.trim_ascii();
    let inner = cell
        .strip_prefix('"')
        .and_then(|rest| rest.strip_suffix('"'));
    match inner {
        Some(inner) if inner.contains("\"\"") => Cow::Owned(inner.replace("\"\"", "\"")),
        Some(inner) => Cow::Borrowed(inner),
        None => Cow::Borrowed(cell),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use proptest::prelude::*;

    #[test]
    fn rows_and_cells_stand_where_they_stand() {
        let text = "\u{feff}# what\r\nNumber;trunk group;comment\r\n\r\n+441;teams;\"a; \"\"b\"\"\"\r\n# no\r\n+442; x ;\r\n";
        let sheet = Sheet::read(text);
        assert_eq!(sheet.columns(), ["number", "trunk_group", "comment"]);
        let lines: Vec<u32> = sheet.rows().iter().map(|row| row.line).collect();
        assert_eq!(lines, [4, 6]);
        let [first, second] = sheet.rows() else {
            panic!()
        };
        assert_eq!(sheet.value(first, sheet.column("comment")), "a; \"b\"");
        assert_eq!(sheet.value(second, Some(1)), "x");
        assert_eq!(&text[sheet.cell(second, 1).unwrap()], " x ");
        assert_eq!(sheet.value(second, Some(7)), "");
        assert_eq!(sheet.line_end(), "\r\n");
        let row = sheet.new_row(&[("comment", "c; d"), ("number", "+443")]);
        assert_eq!(row, "+443;;\"c; d\"");
        assert!(Sheet::read("").rows().is_empty());
    }

    proptest! {
        /// Every value of every row that is written is read again, and no text panics.
        #[test]
        fn what_is_quoted_is_read_again(cells in prop::collection::vec("[a#\" ,;é]{0,5}", 3)) {
            let row: Vec<String> = cells.iter().map(|cell| quoted(cell, b',')).collect();
            let text = format!("number,b,c,d\n1,{}\n", row.join(","));
            let sheet = Sheet::read(&text);
            for (cell, column) in cells.iter().zip(1..) {
                let row = sheet.rows().first().unwrap();
                prop_assert_eq!(&*sheet.value(row, Some(column)), &**cell);
            }
        }

        #[test]
        fn no_text_panics(text in "[,;\\t\"#\\r\\n1+a ]{0,40}") {
            let sheet = Sheet::read(&text);
            for row in sheet.rows() {
                let _ = (sheet.value(row, Some(1)), sheet.cell(row, 0));
                prop_assert!(text.get(row.range.clone()).is_some());
            }
        }
    }
}
