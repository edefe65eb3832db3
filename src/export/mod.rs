//! A table for others: its number lists as CSV, all of it as JSON, its assignments as the dial
//! plan of an AudioCodes SBC. What is written is read again by [`from_csv`], [`from_json`] and
//! `import::lists`, and is the same table then: a plan from one to the other is empty.

mod json;
pub mod neat;

pub use json::{from_json, json};

use crate::limits::TAG_SYMBOLS_MAX;
use crate::routing::Number;
use crate::routing::prefix_map::{Remaining, range_to_prefixes};
use crate::tables::pattern::Pattern;
use crate::tables::sheet::{Sheet, quoted};
use crate::tables::written::{WrittenList, WrittenRow};
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// A file: its name, with `/` between its parts, and its text.
pub type File = (String, String);

/// All DID lists as one CSV list. `assigns` says whether the list assigns trunk groups.
#[must_use]
pub fn csv(lists: &[WrittenList]) -> String {
    let mut text = String::from("number,trunk_group,comment,list,assigns\n");
    for list in lists {
        for row in &list.rows {
            let assigns = if list.assigns { "yes" } else { "no" };
            let number = row.pattern.to_string();
            let cells = [&*number, &*row.group, &*row.comment, &*list.name, assigns];
            text.push_str(&line(cells));
        }
    }
    text
}

fn line<const N: usize>(cells: [&str; N]) -> String {
    cells.map(|cell| quoted(cell, b',')).join(",") + "\n"
}

/// What is wrong with a file that was to be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Line, counted from 1.
    pub line: u32,
    /// One sentence.
    pub message: String,
}

/// The lists of an export as CSV lists of their own, `NAME.csv` each.
///
/// # Errors
/// A column is missing, or a row names no list.
pub fn from_csv(text: &str) -> Result<Vec<File>, Wrong> {
    let sheet = Sheet::read(text);
    let wrong = |line, message: String| Err(Wrong { line, message });
    let names = ["number", "trunk_group", "comment", "list", "assigns"];
    let columns = names.map(|name| sheet.column(name));
    if let Some((name, _)) = names.iter().zip(columns).find(|(_, at)| at.is_none()) {
        return wrong(1, format!("there is no column {name}"));
    }
    let mut lists: Vec<(String, bool, String)> = Vec::new();
    for row in sheet.rows() {
        let [number, group, comment, name, assigns] = columns.map(|at| sheet.value(row, at));
        if !is_name(&name) {
            return wrong(row.line, format!("{name:?} is not the name of a list"));
        }
        let assigns = assigns != "no";
        let list = match lists.iter().position(|(known, ..)| *known == name) {
            Some(at) => at,
            None => {
                lists.push((name.into_owned(), assigns, head(assigns).to_owned()));
                lists.len() - 1
            }
        };
        let Some((_, of_list, text)) = lists.get_mut(list) else {
            continue;
        };
        if *of_list != assigns {
            return wrong(
                row.line,
                String::from("its list assigns in other rows, or does not"),
            );
        }
        match assigns {
            true => text.push_str(&line([&*number, &*group, &*comment])),
            false => text.push_str(&line([&*number, &*comment])),
        }
    }
    let files = lists.into_iter();
    Ok(files
        .map(|(name, _, text)| (format!("{name}.csv"), text))
        .collect())
}

const fn head(assigns: bool) -> &'static str {
    match assigns {
        true => "number,trunk_group,comment\n",
        false => "number,comment\n",
    }
}

/// Whether a text is a name of the language, which can be a file's name as well.
fn is_name(text: &str) -> bool {
    let is_symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.chars().all(is_symbol)
}

/// What is assigned, as a dial plan of an AudioCodes SBC: `DialPlanName,Name,Prefix,Tag`, the
/// tags being trunk groups. Ranges are written with `x`, so that the best match of the SBC is
/// the longest prefix of the table. Also what the SBC may not take.
#[must_use]
pub fn dial_plan(lists: &[WrittenList], name: &str) -> (String, Vec<String>) {
    let mut doubts = Vec::new();
    let mut long_tags: Vec<&str> = Vec::new();
    let rows = lists.iter().filter(|list| list.assigns);
    let rows = rows.flat_map(|list| list.rows.iter().map(move |row| (list, row)));
    let mut rows: Vec<(&WrittenList, &WrittenRow)> = rows.collect();
    // Two ranges, one inside the other, may have a block in common: it is the inner one's.
    rows.sort_by_key(|(_, row)| width(&row.pattern));
    let mut known = BTreeSet::new();
    let mut written = Vec::new();
    for (list, row) in rows {
        if row.group.chars().count() > TAG_SYMBOLS_MAX && !long_tags.contains(&&*row.group) {
            long_tags.push(&row.group);
        }
        let Some(prefixes) = prefixes(row) else {
            doubts.push(format!(
                "{}:{}: {} cannot be written as a dial plan rule",
                list.file, row.line, row.pattern
            ));
            continue;
        };
        let new = prefixes
            .into_iter()
            .filter(|prefix| known.insert(prefix.clone()));
        written.extend(new.map(|prefix| (&*list.name, row.line, prefix, row)));
    }
    written.sort_by(|a, b| (a.0, a.1, &a.2).cmp(&(b.0, b.1, &b.2)));
    let mut text = String::from("DialPlanName,Name,Prefix,Tag\n");
    for (_, _, prefix, row) in &written {
        let cells = [name, &row.comment, prefix, &row.group];
        let cells = cells.map(|cell| cell.replace(['"', '\n', '\r'], " "));
        let [name, comment, prefix, tag] = cells;
        let _ = writeln!(text, "\"{name}\",\"{comment}\",\"{prefix}\",\"{tag}\"");
    }
    doubts.extend(long_tags.iter().map(|tag| {
        format!("tag {tag:?} is longer than {TAG_SYMBOLS_MAX} characters, which 7.2 does not take")
    }));
    (text, doubts)
}

/// How many numbers a range has more than one; what is open is wider than any.
fn width(pattern: &Pattern) -> u128 {
    let value = |number: &Number| {
        let digits = number.as_bytes().iter().filter(|s| s.is_ascii_digit());
        digits.fold(0_u128, |value, digit| {
            value
                .saturating_mul(10)
                .saturating_add(u128::from(digit - b'0'))
        })
    };
    match pattern {
        Pattern::Exact(_) => 0,
        Pattern::Range(first, last) => value(last).saturating_sub(value(first)),
        Pattern::Prefix(_) => u128::MAX,
    }
}

/// The row as prefixes of the SBC's notation.
fn prefixes(row: &WrittenRow) -> Option<Vec<String>> {
    let literal = |number: &Number| {
        let text = number.as_str();
        // At the end it would be the end of the number.
        (!text.contains('#')).then(|| text.replace('*', "\\*"))
    };
    Some(match &row.pattern {
        Pattern::Exact(number) => vec![literal(number)? + "#"],
        Pattern::Prefix(prefix) => vec![literal(prefix)?],
        Pattern::Range(first, last) => {
            let mut written = Vec::new();
            let mut all = true;
            let shown = range_to_prefixes(first, last, |prefix, remaining| {
                let wild = match remaining {
                    Remaining::Exactly(more) => "x".repeat(usize::from(more)) + "#",
                    Remaining::Any => String::new(),
                };
                match literal(&prefix) {
                    Some(prefix) => written.push(prefix + &wild),
                    None => all = false,
                }
            });
            shown.ok().filter(|()| all)?;
            written
        }
    })
}
