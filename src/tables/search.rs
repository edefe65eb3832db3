//! Where in a table something stands: a number, a range, a name, a comment.

use std::collections::BTreeMap;
use std::path::Path;

use super::compile::did_rows;
use super::diagnostic::Diagnostics;
use super::pattern::Pattern;
use super::read_schema;
use super::schema::Schema;
use super::source::{SourceFile, Sources, Spot, read_folder};
use crate::limits::SEARCH_HITS_MAX;
use crate::routing::number::Number;

/// A line that has to do with what was looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hit {
    /// The file, relative to the folder.
    pub file: String,
    /// Line, counted from 1.
    pub line: u32,
    /// Column in characters, counted from 1.
    pub column: u32,
    /// The line; a huge one is cut.
    pub text: String,
}

/// What was found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Found {
    /// In order of file and line; at most [`SEARCH_HITS_MAX`].
    pub hits: Vec<Hit>,
    /// How many more there are.
    pub more: u64,
}

/// Looks for a text in all files of a table, mistakes or not. A line is found that contains
/// the text, case apart; where the text is a number, a prefix (`+4420*`) or a range, also every
/// DID row and every item of a rule that has a number in common with it.
#[must_use]
pub fn search(folder: &Path, text: &str) -> Found {
    // What is wrong with the table is what `check` says.
    let diagnostics = Diagnostics::new();
    let mut sources = read_folder(folder, &diagnostics);
    let (schema, _) = read_schema(&sources, &diagnostics);
    let rows = did_rows(&schema, &mut sources, &diagnostics);
    let mut search = Search::default();
    for source in sources.iter() {
        search.lines(source, text);
    }
    for wanted in numbers(&schema, text) {
        for row in rows.rows() {
            if row.pattern().is_some_and(|row| overlap(&row, &wanted)) {
                search.add(|| {
                    let place = rows.place(row, &sources, "");
                    (
                        place.file.clone(),
                        place.line,
                        place.column,
                        place.line_text,
                    )
                });
            }
        }
        for (spot, pattern) in items(&schema) {
            if overlap(&pattern, &wanted) {
                search.spot(&sources, spot);
            }
        }
    }
    Found {
        hits: search.hits.into_values().collect(),
        more: search.more,
    }
}

#[derive(Default)]
struct Search {
    hits: BTreeMap<(String, u32), Hit>,
    more: u64,
}

impl Search {
    fn add(&mut self, hit: impl FnOnce() -> (String, u32, u32, String)) {
        if self.hits.len() >= SEARCH_HITS_MAX {
            self.more += 1;
            return;
        }
        let (file, line, column, text) = hit();
        let key = (file.clone(), line);
        self.hits.entry(key).or_insert(Hit {
            file,
            line,
            column,
            text,
        });
    }

    fn spot(&mut self, sources: &Sources, spot: Spot) {
        self.add(|| {
            let place = sources.place(spot, "");
            (
                place.file.clone(),
                place.line,
                place.column,
                place.line_text,
            )
        });
    }

    fn lines(&mut self, source: &SourceFile, wanted: &str) {
        let wanted = wanted.to_lowercase();
        if wanted.is_empty() {
            return;
        }
        let mut start = 0;
        for line in source.text().split_inclusive('\n') {
            if line.to_lowercase().contains(&wanted) {
                // Where lower case has other bytes, the line is found but not the column.
                let at = line.to_lowercase().find(&wanted).unwrap_or(0);
                let range = start + at..start + at + wanted.len();
                self.add(|| {
                    let place = source.place(range, "");
                    (
                        place.file.clone(),
                        place.line,
                        place.column,
                        place.line_text,
                    )
                });
            }
            start += line.len();
        }
    }
}

/// What the text means as a number: as it is, and as each dial plan reads it.
fn numbers(schema: &Schema, text: &str) -> Vec<Pattern> {
    let Ok(pattern) = Pattern::parse(text) else {
        return Vec::new();
    };
    let mut patterns = vec![pattern];
    if let Pattern::Exact(number) = pattern {
        for plan in &schema.dial_plans {
            patterns.extend(nationally(plan, &number).map(Pattern::Exact));
        }
    }
    patterns.dedup();
    patterns
}

/// A number dialled with the national prefix of the plan.
fn nationally(plan: &super::schema::DialPlanSection, number: &Number) -> Option<Number> {
    let prefix = plan.national_prefix.as_ref()?.as_str();
    let national = number.without_prefix(prefix.as_bytes())?;
    let country = plan.country_code.as_ref()?.as_str();
    let international = plan.international_prefix.iter();
    let mut international = international.map(|text| text.as_str().as_bytes());
    if let Some(prefix) = international.find(|prefix| number.starts_with(prefix)) {
        let rest = number.without_prefix(prefix)?;
        return Number::collect([b'+'].into_iter().chain(rest.as_bytes().iter().copied()));
    }
    let symbols = [b"+", country.as_bytes(), national.as_bytes()].concat();
    Number::parse(&symbols)
}

/// Every number, prefix and range that rules name.
fn items(schema: &Schema) -> impl Iterator<Item = (Spot, Pattern)> {
    let lists = schema
        .rules
        .iter()
        .flat_map(|rule| [&rule.called, &rule.calling]);
    lists.flatten().flatten().filter_map(|text| {
        let written = text.as_str().trim_start_matches('!');
        Some((text.spot, Pattern::parse(written).ok()?))
    })
}

/// Whether the two have a number in common.
fn overlap(a: &Pattern, b: &Pattern) -> bool {
    let ends = |pattern: &Pattern| match *pattern {
        Pattern::Exact(number) => Some((number, number)),
        Pattern::Range(first, last) => Some((first, last)),
        Pattern::Prefix(_) => None,
    };
    let under = |prefix: &Number, (first, last): (Number, Number)| {
        let heads = first.first(prefix.len()).zip(last.first(prefix.len()));
        heads.is_some_and(|(first, last)| first <= *prefix && *prefix <= last)
    };
    match (a, b) {
        (Pattern::Prefix(a), Pattern::Prefix(b)) => {
            a.starts_with(b.as_bytes()) || b.starts_with(a.as_bytes())
        }
        (Pattern::Prefix(prefix), range) | (range, Pattern::Prefix(prefix)) => {
            ends(range).is_some_and(|ends| under(prefix, ends))
        }
        (a, b) => match (ends(a), ends(b)) {
            (Some((a, b)), Some((c, d))) => a.len() == c.len() && a <= d && c <= b,
            _ => false,
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use proptest::prelude::*;

    fn pattern() -> impl Strategy<Value = Pattern> {
        let range = ("[12]{3}", "[12]{3}").prop_map(|(a, b)| match a < b {
            true => format!("{a} to {b}"),
            false => format!("{b} to {a}"),
        });
        prop_oneof!["[12]{1,3}", "[12]{1,3}\\*", range]
            .prop_map(|text| Pattern::parse(&text).unwrap())
    }

    fn has(pattern: &Pattern, number: &Number) -> bool {
        match pattern {
            Pattern::Exact(exact) => exact == number,
            Pattern::Prefix(prefix) => number.starts_with(prefix.as_bytes()),
            Pattern::Range(a, b) => a.len() == number.len() && a <= number && number <= b,
        }
    }

    proptest! {
        /// Two patterns overlap when some number of up to five digits is in both.
        #[test]
        fn overlap_is_a_number_in_common(a in pattern(), b in pattern()) {
            let common = (1..=5_u32).any(|length| {
                (0..2_u32.pow(length)).any(|bits| {
                    let digit = |at: u32| if bits >> at & 1 == 1 { b'1' } else { b'2' };
                    let number = Number::collect((0..length).map(digit)).unwrap();
                    has(&a, &number) && has(&b, &number)
                })
            });
            prop_assert_eq!(overlap(&a, &b), common, "{} and {}", a, b);
        }
    }

    #[test]
    fn a_number_is_found_in_its_row_its_range_and_its_rule() {
        let found = search(Path::new("routing-tables/example"), "+442079460123");
        let at = |file: &str| found.hits.iter().filter(|hit| hit.file == file).count();
        assert_eq!(at("dids/teams.csv"), 1);
        assert_eq!(at("dids/genesys.csv"), 1, "its block");
        assert!(at("routes.toml") > 0, "+4* in a rule");
        let nationally = search(Path::new("routing-tables/example"), "020 7946 0123");
        assert!(
            nationally
                .hits
                .iter()
                .any(|hit| hit.file == "dids/teams.csv")
        );
    }

    #[test]
    fn a_comment_is_found_whatever_its_case() {
        let found = search(Path::new("routing-tables/example"), "alice EXAMPLE");
        assert_eq!(found.hits.len(), 1);
        assert_eq!((&*found.hits[0].file, found.more), ("dids/teams.csv", 0));
        assert!(
            search(Path::new("routing-tables/example"), "")
                .hits
                .is_empty()
        );
        assert!(search(Path::new("no-such-folder"), "x").hits.is_empty());
    }
}
