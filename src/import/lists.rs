//! Number lists of other systems: Teams, Genesys Cloud, carriers, the dial plan of an SBC.

use super::Finding;
use super::dial_plan::{self, Prefix, TooMuch};
use super::notation::Item;
use crate::limits::{DID_ROWS_MAX, IMPORT_ROWS_MAX};
use crate::routing::Number;

/// Numbers that stand in one row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Line of the file, counted from 1.
    pub line: u32,
    /// The first number, or what all begin with.
    pub first: Number,
    /// The last number, of the same length; `None` for all that begin with `first`.
    pub last: Option<Number>,
    /// What the row says of whose they are: a tag, a name; may be empty.
    pub tag: String,
    /// Who has the number; may be empty.
    pub name: String,
}

/// Names of columns without what is no letter, in lower case.
const NUMBER: &[&str] = &[
    "telephonenumber",
    "number",
    "phonenumber",
    "didnumber",
    "did",
    "lineuri",
];
const FIRST: &[&str] = &["startphonenumber", "first", "start", "from", "rangestart"];
const LAST: &[&str] = &["endphonenumber", "last", "end", "to", "rangeend"];
const PATTERN: &[&str] = &["prefix"];
const TAG: &[&str] = &["tag", "trunkgroup"];
const NAME: &[&str] = &[
    "name",
    "comment",
    "displayname",
    "assignedpstntargetid",
    "ownername",
];

/// Reads a list with a header, comma, semicolon or tab between columns. A Teams list
/// (`TelephoneNumber`), Genesys DIDs (`startPhoneNumber`, `endPhoneNumber` or `phoneNumber`),
/// carrier blocks (`first`, `last`), a dial plan (`Prefix`, `Tag`). What cannot be read is said,
/// with its line.
#[must_use]
pub fn read(text: &str, findings: &mut Vec<Finding>) -> Vec<Listed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    // The first line of what Windows PowerShell exports.
    let (text, before) = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#TYPE") => (rest, 1),
        _ => (text, 0),
    };
    let head = text.lines().next().unwrap_or_default();
    let count = |delimiter: u8| head.bytes().filter(|byte| *byte == delimiter).count();
    let delimiter = [b',', b';', b'\t']
        .into_iter()
        .max_by_key(|d| (count(*d), *d == b','));
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(delimiter.unwrap_or(b','))
        .flexible(true)
        .has_headers(true)
        .from_reader(text.as_bytes());
    let columns = match reader.headers() {
        Ok(header) => Columns::of(header),
        Err(error) => {
            findings.push(Finding::new(before + 1, error.to_string()));
            return Vec::new();
        }
    };
    if !columns.can_be_read() {
        let message = "no column with numbers: TelephoneNumber, number, startPhoneNumber and \
                       endPhoneNumber, first and last, or Prefix";
        findings.push(Finding::new(before + 1, message));
        return Vec::new();
    }
    let mut listed = Vec::new();
    let mut plan = Plan::default();
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                findings.push(Finding::new(before + line as u32, error.to_string()));
                continue;
            }
        };
        let line = before + record.position().map_or(0, csv::Position::line) as u32;
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if listed.len() >= DID_ROWS_MAX {
            findings.push(Finding::new(line, format!("more than {DID_ROWS_MAX} rows")));
            break;
        }
        if columns.is_plan() {
            plan.add(&columns, &record, line, findings);
            continue;
        }
        match columns.row(&record, line) {
            Ok(rows) => listed.extend(rows),
            Err(why) => findings.push(Finding::new(line, why)),
        }
    }
    listed.extend(plan.written_out(findings));
    listed
}

/// Rules of a dial plan, of which the one that fits best decides.
#[derive(Default)]
struct Plan {
    rules: Vec<Prefix>,
    /// For each rule its line, its tag and its name.
    said: Vec<(u32, String, String)>,
}

impl Plan {
    fn add(
        &mut self,
        columns: &Columns,
        record: &csv::StringRecord,
        line: u32,
        findings: &mut Vec<Finding>,
    ) {
        let text = columns.cell(record, columns.pattern);
        match Prefix::parse(text) {
            Ok(prefix) if self.rules.len() < IMPORT_ROWS_MAX => {
                self.rules.push(prefix);
                let [tag, name] = [columns.tag, columns.name];
                let [tag, name] = [tag, name].map(|at| columns.cell(record, at).to_owned());
                self.said.push((line, tag, name));
            }
            Ok(_) => findings.push(Finding::new(
                line,
                format!("more than {IMPORT_ROWS_MAX} rules"),
            )),
            Err(why) => findings.push(Finding::new(line, format!("{why} in {text:?}"))),
        }
    }

    /// The same as rows of which the longest prefix decides.
    fn written_out(mut self, findings: &mut Vec<Finding>) -> Vec<Listed> {
        let items = loop {
            match dial_plan::rows(&self.rules.iter().collect::<Vec<_>>()) {
                Ok(items) => break items,
                Err(TooMuch::Rule(at, why)) if at < self.rules.len() => {
                    self.rules.remove(at);
                    let (line, ..) = self.said.remove(at);
                    findings.push(Finding::new(line, why));
                }
                Err(_) => {
                    let message = "the rules are too intertwined to be written as a list";
                    findings.push(Finding::new(1, message));
                    return Vec::new();
                }
            }
        };
        let rules = self.said.iter().zip(&items);
        let rows = rules.flat_map(|((line, tag, name), items)| {
            items.iter().filter_map(|item| {
                let (first, last) = ends(item)?;
                Some(Listed {
                    line: *line,
                    first,
                    last,
                    tag: tag.clone(),
                    name: name.clone(),
                })
            })
        });
        rows.collect()
    }
}

/// Which column says what.
struct Columns {
    number: Option<usize>,
    first: Option<usize>,
    last: Option<usize>,
    pattern: Option<usize>,
    tag: Option<usize>,
    name: Option<usize>,
}

impl Columns {
    fn of(header: &csv::StringRecord) -> Self {
        let names: Vec<String> = header
            .iter()
            .map(|name| {
                name.chars()
                    .filter(|c| c.is_ascii_alphabetic())
                    .collect::<String>()
            })
            .map(|name| name.to_ascii_lowercase())
            .collect();
        // The first of the names, in their order, that there is.
        let find = |known: &[&str]| {
            known
                .iter()
                .find_map(|known| names.iter().position(|name| name == known))
        };
        Self {
            number: find(NUMBER),
            first: find(FIRST),
            last: find(LAST),
            pattern: find(PATTERN),
            tag: find(TAG),
            name: find(NAME),
        }
    }

    const fn can_be_read(&self) -> bool {
        self.number.is_some()
            || self.pattern.is_some()
            || (self.first.is_some() && self.last.is_some())
    }

    const fn is_plan(&self) -> bool {
        self.pattern.is_some() && self.number.is_none() && self.first.is_none()
    }

    fn cell<'r>(&self, record: &'r csv::StringRecord, at: Option<usize>) -> &'r str {
        at.and_then(|at| record.get(at)).unwrap_or_default().trim()
    }

    fn row(&self, record: &csv::StringRecord, line: u32) -> Result<Vec<Listed>, String> {
        let cell = |at: Option<usize>| self.cell(record, at);
        let listed = |first, last| Listed {
            line,
            first,
            last,
            tag: cell(self.tag).to_owned(),
            name: cell(self.name).to_owned(),
        };
        if let (Some(_), Some(_)) = (self.first, self.last) {
            let (first, last) = (global(cell(self.first))?, global(cell(self.last))?);
            return match first.len() == last.len() && first <= last {
                true => Ok(vec![listed(first, Some(last))]),
                false => Err(format!("{first} to {last} is not a range")),
            };
        }
        if self.number.is_some() {
            let text = cell(self.number);
            if let Some((first, last)) = text.split_once(" to ") {
                let (first, last) = (global(first)?, global(last)?);
                return match first.len() == last.len() && first <= last {
                    true => Ok(vec![listed(first, Some(last))]),
                    false => Err(format!("{first} to {last} is not a range")),
                };
            }
            let number = global(text)?;
            return Ok(vec![listed(number, Some(number))]);
        }
        Err(String::from("the row has no number"))
    }
}

/// An international number, also as a `tel:` URI.
fn global(text: &str) -> Result<Number, String> {
    let text = text.trim();
    let bare = text.strip_prefix("tel:").unwrap_or(text);
    if bare.contains(';') {
        return Err(format!("{text:?} has parameters; a number list has none"));
    }
    let number = Number::parse_visual(bare.as_bytes());
    number
        .filter(|number| number.is_global() && number.len() > 1)
        .ok_or_else(|| format!("{text:?} is not an international number with +"))
}

fn ends(item: &Item) -> Option<(Number, Option<Number>)> {
    match item {
        Item::Prefix(symbols) => Some((Number::parse(symbols)?, None)),
        Item::Run(..) => {
            let text = item.text();
            let (first, last) = text.split_once(" to ").unwrap_or((&text, &text));
            let last = Number::parse(last.as_bytes())?;
            Some((Number::parse(first.as_bytes())?, Some(last)))
        }
    }
}

/// The list as a DID list of ours, all of it assigned to one group, or to the groups its tags
/// name.
#[must_use]
pub fn did_csv(listed: &[Listed], group: Option<&str>) -> String {
    let mut text = String::from("number,trunk_group,comment\n");
    for row in listed {
        let number = match row.last {
            None => format!("{}*", row.first),
            Some(last) if last == row.first => row.first.to_string(),
            Some(last) => format!("{} to {last}", row.first),
        };
        let cells = [&*number, group.unwrap_or(&row.tag), &*row.name].map(cell);
        text.push_str(&cells.join(","));
        text.push('\n');
    }
    text
}

/// A cell of one line, in quotes where it has to be.
pub(super) fn cell(text: &str) -> String {
    let line = text.replace(['\n', '\r'], " ");
    // A `#` in front would make the row a comment.
    match line.contains([',', '"']) || line.starts_with('#') {
        true => format!("\"{}\"", line.replace('"', "\"\"")),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn csv_of(text: &str, group: Option<&str>) -> (String, Vec<Finding>) {
        let mut findings = Vec::new();
        let listed = read(text, &mut findings);
        (did_csv(&listed, group), findings)
    }

    #[test]
    fn the_lists_people_have() {
        for (text, group, expected) in [
            (
                "TelephoneNumber,NumberType,AssignedPstnTargetId\n+442079460123,DirectRouting,alice\ntel:+442079460124,DirectRouting,\n",
                Some("teams"),
                "+442079460123,teams,alice\n+442079460124,teams,\n",
            ),
            (
                "\u{feff}startPhoneNumber;endPhoneNumber;state\n+442079460000;+442079460099;active\n",
                Some("genesys"),
                "+442079460000 to +442079460099,genesys,\n",
            ),
            (
                "DialPlanName,Name,Prefix,Tag\n\"p\",\"Al, ice\",\"+15551234567#\",\"teams\"\n\"p\",\"\",\"+1555[20-21]x#\",\"gc\"\n\"p\",\"\",\"+1556\",\"gc\"\n",
                None,
                "+15551234567,teams,\"Al, ice\"\n+1555200 to +1555219,gc,\n+1556*,gc,\n",
            ),
        ] {
            let (csv, findings) = csv_of(text, group);
            assert_eq!(csv, format!("number,trunk_group,comment\n{expected}"));
            assert_eq!(findings, []);
        }
    }

    #[test]
    fn what_cannot_be_read_is_said_with_its_line() {
        let text = "number\n+442079460123\n4.42E+11\n02079460123\n+442079460123;ext=1\n+44 to +4\n";
        let (csv, findings) = csv_of(text, Some("g"));
        assert_eq!(csv.lines().count(), 2);
        let lines: Vec<u32> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3, 4, 5, 6]);
        assert_eq!(csv_of("who,what\n1,2\n", None).1.len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(TelephoneNumber|Prefix|first,last)\n\\PC{0,80}") {
            let _ = csv_of(&text, None);
        }
    }
}
