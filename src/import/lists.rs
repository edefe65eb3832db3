//! Number lists of other systems: Teams, Genesys Cloud, carriers, the dial plan of an SBC.

mod columns;
mod json;
mod repeats;

pub use repeats::without_repeats;

use super::Finding;
use super::dial_plan::{self, Prefix, TooMuch};
use super::notation::Item;
use super::rows::line_of;
use crate::limits::{DID_ROWS_MAX, IMPORT_ROWS_MAX};
use crate::routing::Number;
use columns::Columns;

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

/// Reads a list: text with a header, comma, semicolon or tab between columns, or JSON with an
/// object for each row. A Teams list (`TelephoneNumber`), Genesys DIDs (`startPhoneNumber`,
/// `endPhoneNumber` or `phoneNumber`), carrier blocks (`first`, `last`), a dial plan (`Prefix`,
/// `Tag`). Lines above the header are passed over. What cannot be read is said, with its line.
#[must_use]
pub fn read(text: &str, findings: &mut Vec<Finding>) -> Vec<Listed> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_start().starts_with(['{', '[']) {
        return json::read(text, findings);
    }
    let Some(head) = Head::of(text) else {
        findings.push(Finding::new(1, columns::NONE));
        return Vec::new();
    };
    let mut reader = csv::ReaderBuilder::new()
        .delimiter(head.delimiter)
        .flexible(true)
        .has_headers(true)
        .from_reader(head.rest.as_bytes());
    let mut listed = Vec::new();
    let mut plan = Plan::default();
    let mut last_line = head.before + 1;
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(1, csv::Position::line);
                findings.push(Finding::new(head.before + line as u32, error.to_string()));
                continue;
            }
        };
        let line = head.before + line_of(head.rest, &record);
        last_line = line;
        if record.iter().all(|cell| cell.trim().is_empty()) {
            continue;
        }
        if listed.len() >= DID_ROWS_MAX {
            findings.push(Finding::new(line, format!("more than {DID_ROWS_MAX} rows")));
            break;
        }
        if head.columns.is_plan() {
            plan.add(&head.columns, &record, line, findings);
            continue;
        }
        match head.columns.row(&record, line, findings) {
            Ok(row) => listed.push(row),
            Err(why) => findings.push(Finding::new(line, why)),
        }
    }
    if !text
        .bytes()
        .filter(|byte| *byte == b'"')
        .count()
        .is_multiple_of(2)
    {
        let message = "a quote in this row or above it is not closed: the lines up to the next \
                       quote were read as one cell";
        findings.push(Finding::new(last_line, message));
    }
    listed.extend(plan.written_out(findings));
    listed
}

/// Lines in which a header is looked for: above it stand a title, the type PowerShell writes,
/// or the delimiter Excel asks for (`sep=;`).
const HEAD_LINES: usize = 20;

/// The header of a list and what stands from it on.
struct Head<'t> {
    columns: Columns,
    delimiter: u8,
    rest: &'t str,
    /// How many lines stand above.
    before: u32,
}

impl<'t> Head<'t> {
    fn of(text: &'t str) -> Option<Self> {
        let mut rest = text;
        for (line, before) in text.split_inclusive('\n').zip(0..).take(HEAD_LINES) {
            let count = |delimiter: u8| line.bytes().filter(|byte| *byte == delimiter).count();
            let delimiters = [b',', b';', b'\t'].into_iter();
            let delimiter = delimiters.max_by_key(|d| (count(*d), *d == b','))?;
            let mut reader = csv::ReaderBuilder::new()
                .delimiter(delimiter)
                .has_headers(false)
                .from_reader(line.as_bytes());
            let header = reader.records().flatten().next();
            let columns = header.map(|header| Columns::of(&header));
            if let Some(columns) = columns.filter(Columns::can_be_read) {
                return Some(Self {
                    columns,
                    delimiter,
                    rest,
                    before,
                });
            }
            rest = rest.get(line.len()..).unwrap_or_default();
        }
        None
    }
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
        let listed = without_repeats(listed, &mut findings);
        (did_csv(&listed, group), findings)
    }

    fn said_of(text: &str) -> (String, Vec<u32>) {
        let (csv, findings) = csv_of(text, Some("g"));
        let lines = findings.iter().map(|finding| finding.line).collect();
        let rows = csv
            .strip_prefix("number,trunk_group,comment\n")
            .unwrap_or_default();
        (rows.to_owned(), lines)
    }

    /// What tools write above, around and beside the numbers.
    #[test]
    fn lists_as_tools_write_them() {
        for (text, rows, lines) in [
            (
                "#TYPE Selected.Microsoft.Teams\r\n\"TelephoneNumber\",\"NumberType\",\"Tag\"\r\n\
                 \"+442079460123\",\"DirectRouting\",\"London,HQ\"\r\n",
                "+442079460123,g,\n",
                &[][..],
            ),
            (
                "sep=;\nfirst;last;comment\n=\"+442079460000\";'+442079460009;a\n+442079461000;;b\n",
                "+442079460000 to +442079460009,g,a\n+442079461000,g,b\n",
                &[],
            ),
            (
                "Numbers of the carrier\n\nExported on a Monday\nNumber\tComment\n\
                 +44 20 7946 0000 - +44 20 7946 0009\tblock\n\u{202a}+442079460123\u{202c}\tone\n",
                "+442079460000 to +442079460009,g,block\n+442079460123,g,one\n",
                &[],
            ),
            (
                "TelephoneNumber\nTEL:+442079460123;ext=7\n+442079460123;ext=8\n",
                "+442079460123,g,\n",
                &[2, 3, 3],
            ),
            (
                "startPhoneNumber,endPhoneNumber,state\n+4410,+4419,active\n+4420,+4429,deleted\n+4418,+4421,active\n",
                "+4410 to +4419,g,\n+4420 to +4421,g,\n",
                &[3, 4],
            ),
            (
                "number,comment\n+4410,\"a\n+4411\n",
                "+4410,g,a +4411\n",
                &[2],
            ),
        ] {
            let (had, said) = said_of(text);
            assert_eq!((&*had, &*said), (rows, lines), "{text}");
        }
    }

    /// Empty lines and line ends of another system are lines too.
    #[test]
    fn the_lines_of_complaints_are_those_of_the_file() {
        for end in ["\n", "\r\n"] {
            let text = "title\n\nnumber\n\n\nbad\n+4410\n  \n\nworse\n";
            assert_eq!(said_of(&text.replace('\n', end)).1, [6, 10]);
        }
    }

    #[test]
    fn lists_as_json() {
        let page = r#"{"entities": [
  {"id": "1", "phoneNumber": "+442079460001", "owner": {"id": "x", "name": "Bob"}, "ownerType": "USER"},
  {"id": "2", "startPhoneNumber": "+442079460100", "endPhoneNumber": "+442079460199", "description": "pool {[\"",
   "state": "active", "divisions": [{"number": "+1"}]},
  {"id": "3", "state": "active"}
], "pageSize": 3, "pageNumber": 1, "total": 7}"#;
        let numbers = "+442079460001,g,Bob\n+442079460100 to +442079460199,g,\"pool {[\"\"\"\n";
        assert_eq!(said_of(page), (numbers.to_owned(), vec![5, 1]));
        let next = r#"{"entities": [{"number": "+442079460002", "assigned": false},
 {"number": "+442079460003"}, {"number": "+442079460004"}, {"number": "+442079460005"}], "total": 7}"#;
        let (rows, lines) = said_of(&format!("{page}\n{next}\n"));
        assert_eq!((rows.lines().count(), lines), (6, vec![5]));
        for (text, count, lines) in [
            (
                r#"[{"TelephoneNumber":"+4410","NumberType":{"value":1}}]"#,
                1,
                &[][..],
            ),
            (
                r#"{"startPhoneNumber":"+4410","endPhoneNumber":"+4419"}"#,
                1,
                &[],
            ),
            (r#"{"entities":[],"total":0}"#, 0, &[]),
            ("[{\"number\":\"+4410\"},\n{\"number\":", 0, &[2]),
            ("[1, 2]", 0, &[1]),
            (r#"[{"number":"+#41"}]"#, 0, &[1]),
        ] {
            let (rows, said) = said_of(text);
            assert_eq!((rows.lines().count(), &*said), (count, lines), "{text}");
        }
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
        let text = "number\n+442079460123\n4.42E+11\n02079460123\n+442079460124;ext=1\n+44 to +4\n";
        let (csv, findings) = csv_of(text, Some("g"));
        assert_eq!(csv.lines().count(), 3);
        let lines: Vec<u32> = findings.iter().map(|finding| finding.line).collect();
        assert_eq!(lines, [3, 4, 5, 6]);
        assert_eq!(csv_of("who,what\n1,2\n", None).1.len(), 1);
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "(TelephoneNumber|Prefix|first,last|\\{\"entities\":)\n\\PC{0,80}") {
            let _ = csv_of(&text, None);
        }
    }
}
