//! Lists as JSON: what the Genesys Cloud API answers, and what PowerShell writes.
//!
//! Every object of an array is a row, or the object the document is; its keys are the columns,
//! and `owner.name` is the column `ownerName`. Documents may stand one behind the other, as
//! pages do.

use super::columns::{Columns, NONE};
use super::{Finding, Listed};
use crate::limits::DID_ROWS_MAX;
use serde_json::{Map, Value};

/// Reads the rows. What is no JSON is said with its line, as are pages that are missing.
pub(super) fn read(text: &str, findings: &mut Vec<Finding>) -> Vec<Listed> {
    let mut listed = Vec::new();
    let mut documents = serde_json::Deserializer::from_str(text).into_iter::<Value>();
    let mut lines = Lines::default();
    let (mut at, mut rows, mut total) = (0, 0_u64, None);
    while let Some(document) = documents.next() {
        let document = match document {
            Ok(document) => document,
            Err(error) => {
                findings.push(Finding::new(
                    error.line().max(1) as u32,
                    format!("not JSON: {error}"),
                ));
                break;
            }
        };
        let end = documents.byte_offset();
        let written = text.get(at..end).unwrap_or_default();
        total = total.max(document.get("total").and_then(Value::as_u64));
        let found = objects(written);
        if found.is_empty() && document.get("entities").is_none() {
            findings.push(Finding::new(lines.of(text, at), NONE));
        }
        for (offset, object) in found {
            let line = lines.of(text, at + offset);
            rows += 1;
            if listed.len() >= DID_ROWS_MAX {
                findings.push(Finding::new(line, format!("more than {DID_ROWS_MAX} rows")));
                return listed;
            }
            match row(object, line, findings) {
                Ok(row) => listed.push(row),
                Err(why) => findings.push(Finding::new(line, why)),
            }
        }
        at = end;
    }
    if let Some(total) = total.filter(|total| *total > rows) {
        let message = format!("{rows} of {total} rows are there: pages are missing");
        findings.push(Finding::new(1, message));
    }
    listed
}

fn row(object: &str, line: u32, findings: &mut Vec<Finding>) -> Result<Listed, String> {
    let object: Map<String, Value> = serde_json::from_str(object).map_err(|e| e.to_string())?;
    let mut header = csv::StringRecord::new();
    let mut cells = csv::StringRecord::new();
    for (key, value) in &object {
        match value {
            Value::String(text) => {
                header.push_field(key);
                cells.push_field(text);
            }
            Value::Number(number) => {
                header.push_field(key);
                cells.push_field(&number.to_string());
            }
            Value::Object(inner) => {
                let name = inner.get("name").and_then(Value::as_str);
                header.push_field(&format!("{key}Name"));
                cells.push_field(name.unwrap_or_default());
            }
            Value::Null | Value::Bool(_) | Value::Array(_) => {}
        }
    }
    let columns = Columns::of(&header);
    match columns.can_be_read() && !columns.is_plan() {
        true => columns.row(&cells, line, findings),
        false => Err(String::from("the row has no number")),
    }
}

/// The objects of a document that are elements of an array and inside no other such object, or
/// the one it is, with where they begin. What is no JSON gives any.
fn objects(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    // Where each bracket that is open stands, and whether it is that of an array.
    let mut open: Vec<(usize, bool)> = Vec::new();
    // How deep the row is that is being read.
    let mut row = None;
    let mut whole = None;
    let (mut quoted, mut escaped) = (false, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'[' | b'{' => {
                let is_row = byte == b'{' && open.last().is_some_and(|(_, is_array)| *is_array);
                if is_row && row.is_none() {
                    row = Some(open.len());
                }
                open.push((at, byte == b'['));
            }
            b']' | b'}' => {
                let Some((begin, is_array)) = open.pop() else {
                    continue;
                };
                let object = text.get(begin..=at).unwrap_or_default();
                if row == Some(open.len()) {
                    row = None;
                    found.push((begin, object));
                } else if open.is_empty() && !is_array {
                    whole = Some((begin, object));
                }
            }
            _ => {}
        }
    }
    // An answer with no rows is none itself.
    if let Some(whole) =
        whole.filter(|(_, text)| found.is_empty() && !text.contains("\"entities\""))
    {
        found.push(whole);
    }
    found
}

/// The lines of places further and further down.
#[derive(Default)]
struct Lines {
    at: usize,
    line_feeds: u32,
}

impl Lines {
    fn of(&mut self, text: &str, at: usize) -> u32 {
        let between = text.as_bytes().get(self.at..at).unwrap_or_default();
        self.line_feeds += between.iter().filter(|byte| **byte == b'\n').count() as u32;
        self.at = self.at.max(at);
        self.line_feeds + 1
    }
}
