//! Tables of an ini file: a name, a `FORMAT` line with the columns, rows of values.
//!
//! Columns differ from release to release, so a value is only ever found by the name of its
//! column. `FORMAT IP2IPRouting_Index = IP2IPRouting_RouteName, …` (7.0, 7.2) and
//! `FORMAT Index = RouteName, …` (7.4) are the same.

use super::Finding;
use crate::limits::IMPORT_ROWS_MAX;

/// One table.
pub(super) struct Table {
    pub(super) name: String,
    /// Columns without the table's name in front.
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Row>,
    pub(super) format_line: u32,
}

/// One row.
pub(super) struct Row {
    pub(super) line: u32,
    pub(super) index: u32,
    values: Vec<String>,
}

impl Table {
    /// The value of a column, without its quotes; empty where the table has no such column.
    pub(super) fn value<'r>(&self, row: &'r Row, column: &str) -> &'r str {
        let at = self
            .columns
            .iter()
            .position(|c| c.eq_ignore_ascii_case(column));
        at.and_then(|at| row.values.get(at))
            .map_or("", |value| value)
    }

    /// The same as a number; -1 and what is no number are none.
    pub(super) fn number(&self, row: &Row, column: &str) -> Option<u32> {
        self.value(row, column).parse().ok()
    }
}

/// Reads all tables. What is not understood is said, with its line, and left out.
pub(super) fn read(text: &str, findings: &mut Vec<Finding>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    let mut open: Option<Table> = None;
    let mut rows = 0;
    for (text, line) in text.lines().zip(1..) {
        let text = text.trim_matches(|c: char| c.is_whitespace() || c == '\u{feff}');
        if text.is_empty() || text.starts_with(';') {
            continue;
        }
        if let Some(name) = text
            .strip_prefix('[')
            .and_then(|rest| rest.strip_suffix(']'))
        {
            let name = name.trim();
            tables.extend(open.take());
            if !name.starts_with('\\') {
                open = Some(Table {
                    name: name.to_owned(),
                    columns: Vec::new(),
                    rows: Vec::new(),
                    format_line: 0,
                });
            }
            continue;
        }
        let Some(table) = &mut open else {
            continue;
        };
        if let Some(format) = format_of(text) {
            table.columns = columns(&table.name, format);
            table.format_line = line;
            if table.columns.is_empty() {
                let message = format!("{} names no columns: its rows were left out", table.name);
                findings.push(Finding::new(line, message));
            }
        } else if !table.columns.is_empty() {
            rows += 1;
            if rows > IMPORT_ROWS_MAX {
                let message = format!("more than {IMPORT_ROWS_MAX} rows: the rest was not read");
                findings.push(Finding::new(line, message));
                break;
            }
            match row(table, text, line) {
                Ok(row) => table.rows.push(row),
                Err(message) => findings.push(Finding::new(line, message)),
            }
        }
    }
    tables.extend(open);
    for table in &mut tables {
        // That is the order the SBC reads them in.
        table.rows.sort_by_key(|row| row.index);
    }
    tables
}

/// What stands behind `FORMAT`.
fn format_of(text: &str) -> Option<&str> {
    let (word, rest) = text.split_once(char::is_whitespace)?;
    word.eq_ignore_ascii_case("FORMAT").then_some(rest)
}

fn columns(table: &str, format: &str) -> Vec<String> {
    let (_, list) = format.split_once('=').unwrap_or(("", ""));
    let names = list.trim().trim_end_matches(';').split(',');
    let bare = |name: &str| {
        let name = name.trim();
        let rest = name.split_at_checked(table.len());
        let rest = rest.filter(|(head, _)| head.eq_ignore_ascii_case(table));
        let rest = rest.and_then(|(_, rest)| rest.strip_prefix('_'));
        rest.unwrap_or(name).to_owned()
    };
    names.map(bare).filter(|name| !name.is_empty()).collect()
}

fn row(table: &Table, text: &str, line: u32) -> Result<Row, String> {
    let (head, list) = text
        .split_once('=')
        .ok_or_else(|| format!("not a row of {}: it has no =", table.name))?;
    let index = head.split_whitespace().next_back().unwrap_or_default();
    let index = index
        .parse()
        .map_err(|_| format!("not a row of {}: it has no index", table.name))?;
    let values = values(list)?;
    if values.len() != table.columns.len() {
        return Err(format!(
            "row {index} of {} has {} values for {} columns and was left out",
            table.name,
            values.len(),
            table.columns.len()
        ));
    }
    Ok(Row {
        line,
        index,
        values,
    })
}

/// `"a, b", 0, "";` and whatever stands behind the semicolon.
fn values(list: &str) -> Result<Vec<String>, String> {
    let mut values = Vec::new();
    let mut value = String::new();
    let mut quoted = false;
    for symbol in list.chars() {
        match symbol {
            '"' => quoted = !quoted,
            ',' if !quoted => values.push(std::mem::take(&mut value).trim().to_owned()),
            ';' if !quoted => {
                values.push(value.trim().to_owned());
                return Ok(values);
            }
            symbol => value.push(symbol),
        }
    }
    Err(String::from("the row does not end in a semicolon"))
}
