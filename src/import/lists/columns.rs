//! Which column of a list says what, and the number in a row.

use super::Listed;
use crate::import::Finding;
use crate::import::cover::value;
use crate::routing::Number;

/// Said of a list without one of them.
pub(super) const NONE: &str = "no column with numbers: TelephoneNumber, number, \
                               startPhoneNumber and endPhoneNumber, first and last, or Prefix";

// Names of columns without what is no letter, in lower case; the first that there is counts.
const NUMBER: &[&str] = &[
    "telephonenumber",
    "number",
    "phonenumber",
    "didnumber",
    "did",
    "lineuri",
    "didnumberrange",
    "numberrange",
];
const FIRST: &[&str] = &[
    "startphonenumber",
    "first",
    "start",
    "from",
    "rangestart",
    "firstnumber",
    "startnumber",
    "didstart",
    "startofrange",
    "rangefrom",
];
const LAST: &[&str] = &[
    "endphonenumber",
    "last",
    "end",
    "to",
    "rangeend",
    "lastnumber",
    "endnumber",
    "didend",
    "endofrange",
    "rangeto",
];
const PATTERN: &[&str] = &["prefix"];
const GROUP: &[&str] = &["trunkgroup"];
// Teams has a Tag too, which has nothing to do with trunk groups.
const TAG: &[&str] = &["tag", "trunkgroup"];
const STATE: &[&str] = &["state"];
const NAME: &[&str] = &[
    "name",
    "comment",
    "comments",
    "displayname",
    "assignedpstntargetid",
    "ownername",
    "description",
];

/// Which column says what.
pub(super) struct Columns {
    number: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    pub(super) pattern: Option<usize>,
    pub(super) tag: Option<usize>,
    pub(super) name: Option<usize>,
    state: Option<usize>,
}

impl Columns {
    pub(super) fn of(header: &csv::StringRecord) -> Self {
        let letters = |name: &str| {
            let letters = name.chars().filter(char::is_ascii_alphabetic);
            letters.collect::<String>().to_ascii_lowercase()
        };
        let names: Vec<String> = header.iter().map(letters).collect();
        let find = |known: &[&str]| {
            let mut known = known.iter();
            known.find_map(|known| names.iter().position(|name| name == known))
        };
        let mut columns = Self {
            number: find(NUMBER),
            first: find(FIRST),
            last: find(LAST),
            pattern: find(PATTERN),
            tag: find(GROUP),
            name: find(NAME),
            state: find(STATE),
        };
        if columns.is_plan() {
            columns.tag = find(TAG);
        }
        columns
    }

    pub(super) const fn can_be_read(&self) -> bool {
        self.number.is_some()
            || self.pattern.is_some()
            || (self.first.is_some() && self.last.is_some())
    }

    pub(super) const fn is_plan(&self) -> bool {
        self.pattern.is_some() && self.number.is_none() && self.first.is_none()
    }

    pub(super) fn cell<'r>(&self, record: &'r csv::StringRecord, at: Option<usize>) -> &'r str {
        at.and_then(|at| record.get(at)).unwrap_or_default().trim()
    }

    /// The numbers of a row.
    ///
    /// # Errors
    /// Why there are none.
    pub(super) fn row(
        &self,
        record: &csv::StringRecord,
        line: u32,
        findings: &mut Vec<Finding>,
    ) -> Result<Listed, String> {
        let cell = |at: Option<usize>| self.cell(record, at);
        let state = cell(self.state);
        if ["deleted", "inactive"]
            .iter()
            .any(|gone| state.eq_ignore_ascii_case(gone))
        {
            return Err(format!("the row is left out: it is {state}"));
        }
        let (first, last) = match (cell(self.first), cell(self.last)) {
            ("", _) => ends(cell(self.number)),
            // A single number has no other end.
            (first, "") => (first, None),
            (first, last) => (first, Some(last)),
        };
        if first.is_empty() {
            return Err(String::from("the row has no number"));
        }
        let first = global(first, line, findings)?;
        let last = match last {
            None => first,
            Some(last) => global(last, line, findings)?,
        };
        if first.len() != last.len() || first > last {
            return Err(format!("{first} to {last} is not a range"));
        }
        Ok(Listed {
            line,
            first,
            last: Some(last),
            tag: cell(self.tag).to_owned(),
            name: cell(self.name).to_owned(),
        })
    }
}

/// The ends of a cell that holds a range.
fn ends(text: &str) -> (&str, Option<&str>) {
    let mut between = [" to ", " - ", " – ", ".."].iter();
    match between.find_map(|word| text.split_once(word)) {
        Some((first, last)) => (first, Some(last)),
        None => (text, None),
    }
}

/// An international number, also as a `tel:` URI, or as spreadsheets keep one from becoming a
/// sum.
fn global(text: &str, line: u32, findings: &mut Vec<Finding>) -> Result<Number, String> {
    // Marks of writing direction come along when a number is copied from a page.
    let seen =
        |c: &char| !matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{feff}');
    let shown: String = text.chars().filter(seen).collect();
    let bare = shown.trim();
    let formula = bare
        .strip_prefix("=\"")
        .and_then(|rest| rest.strip_suffix('"'));
    let bare = formula.unwrap_or_else(|| bare.trim_start_matches('\''));
    let scheme = bare
        .split_at_checked(4)
        .filter(|(head, _)| head.eq_ignore_ascii_case("tel:"));
    let bare = scheme.map_or(bare, |(_, rest)| rest);
    let (bare, parameters) = bare.split_once(';').unwrap_or((bare, ""));
    let number = Number::parse_visual(bare.as_bytes());
    let number = number
        .filter(|number| value(number).is_some())
        .ok_or_else(|| format!("{text:?} is not an international number with +"))?;
    if !parameters.is_empty() {
        let message = format!("{text:?} is read as {number}: calls are routed by that");
        findings.push(Finding::new(line, message));
    }
    Ok(number)
}
