//! Laws of whole tables: files in, decisions out, compared with what the documentation says
//! in a few lines of arithmetic.
#![allow(clippy::unwrap_used)] // a test says so by failing

use jiff::Timestamp;
use proptest::prelude::*;
use std::cmp::Reverse;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use trunkline::routing::{
    Dialled, Explanation, GroupId, Outcome, RequestFacts, RoutingTable, Snapshot, route,
};
use trunkline::tables::diagnostic::Code;
use trunkline::tables::load;

/// A row of a list: numbers of `length` digits from `first` to `last`, or, where `is_open`,
/// all that begin with the digits of `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Row {
    length: usize,
    first: u32,
    last: u32,
    is_open: bool,
    group: Option<usize>,
    list: usize,
}

const GROUPS: [&str; 3] = ["amber", "birch", "cedar"];
const LISTS: [&str; 3] = ["one", "two", "three"];

impl Row {
    fn text(&self) -> String {
        let digits = |value: u32| format!("+{value:0length$}", length = self.length);
        if self.is_open {
            format!("{}*", digits(self.first))
        } else if self.first == self.last {
            digits(self.first)
        } else {
            format!("{} to {}", digits(self.first), digits(self.last))
        }
    }

    fn holds(&self, number: &str) -> bool {
        if self.is_open {
            return number.starts_with(&format!("{:0length$}", self.first, length = self.length));
        }
        let value: u32 = number.parse().unwrap();
        number.len() == self.length && (self.first..=self.last).contains(&value)
    }

    /// Symbols of the number that tell it belongs here: the shortest beginning of it of which
    /// the row holds every number.
    fn depth(&self, number: &str) -> usize {
        if self.is_open {
            return self.length;
        }
        let value: u32 = number.parse().unwrap();
        let whole = |depth: &usize| {
            let block = 10u32.pow((self.length - depth) as u32);
            let start = value / block * block;
            self.first <= start && start + block - 1 <= self.last
        };
        (0..=self.length).find(whole).unwrap()
    }

    fn size(&self) -> u32 {
        if self.is_open {
            u32::MAX
        } else {
            self.last - self.first + 1
        }
    }

    /// The same numbers twice, or ranges of which neither holds the other.
    fn collides(&self, other: &Self) -> bool {
        if (self.is_open, self.length) != (other.is_open, other.length) {
            return false;
        }
        let holds = |a: &Self, b: &Self| a.first <= b.first && b.last <= a.last;
        let apart = self.last < other.first || other.last < self.first;
        let same = (self.first, self.last) == (other.first, other.last);
        same || !(apart || holds(self, other) || holds(other, self))
    }
}

fn row() -> impl Strategy<Value = Row> {
    let ends = (1..=3usize, any::<u32>(), 0..40u32);
    (ends, 0..5u8, 0..4usize, 0..LISTS.len()).prop_map(
        |((length, first, more), kind, group, list)| {
            let numbers = 10u32.pow(length as u32);
            let first = first % numbers;
            let last = match kind {
                0 | 1 => first,
                _ => (first + more).min(numbers - 1),
            };
            Row {
                length,
                first,
                last: if kind == 4 { first } else { last },
                is_open: kind == 4,
                group: (group < GROUPS.len()).then_some(group),
                list,
            }
        },
    )
}

/// The rows as files: one TOML file for each list, named by `file_name`.
fn write_table(folder: &Path, rows: &[Row], file_name: impl Fn(usize) -> String) {
    let mut toml = String::new();
    for (index, group) in GROUPS.iter().enumerate() {
        writeln!(toml, "[trunk_group.{group}]\ntrunks = [\"{group}\"]").unwrap();
        writeln!(toml, "accept_from = [\"192.0.2.{index}\"]").unwrap();
        writeln!(toml, "[trunk.{group}]\naddress = \"sip:192.0.2.1\"").unwrap();
    }
    toml.push_str("[[rule]]\nname = \"DIDs\"\ncalled = [\"did:*\"]\nroute_to = [\"assigned\"]\n");
    fs::write(folder.join("routing.toml"), toml).unwrap();
    for (index, list) in LISTS.iter().enumerate() {
        let file = file_name(index);
        let section = format!("[did.{list}]\nfile = \"{file}.csv\"\n");
        fs::write(folder.join(format!("{file}.toml")), section).unwrap();
        let mut csv = "number,trunk_group\n".to_owned();
        for row in rows.iter().filter(|row| row.list == index) {
            writeln!(
                csv,
                "{},{}",
                row.text(),
                row.group.map_or("", |g| GROUPS[g])
            )
            .unwrap();
        }
        fs::write(folder.join(format!("{file}.csv")), csv).unwrap();
    }
}

fn facts<'a>(number: &'a [u8], calling: Option<&'a [u8]>) -> RequestFacts<'a> {
    let dialled = |number| Dialled {
        number,
        raw: number,
        phone_context: None,
    };
    RequestFacts {
        from: GroupId(0),
        called: dialled(number),
        calling: calling.map(dialled),
        host: b"sbc.example.net",
        tgrp: None,
        at: Timestamp::UNIX_EPOCH,
        call_hash: 7,
    }
}

/// Name of the trunk group a number leads to, and the row that says so.
fn decide(snapshot: &Snapshot, number: &str) -> (Option<String>, Option<String>) {
    let dialled = format!("+{number}");
    let decision = route(snapshot, &facts(dialled.as_bytes(), None), &mut ());
    let group = match &decision.outcome {
        Outcome::Route(routes) => Some(snapshot.table.group_name(routes[0].group).to_owned()),
        _ => None,
    };
    let list =
        |did: trunkline::routing::Did| snapshot.table.list(did.list).unwrap().name.to_string();
    (group, decision.did.map(|row| list(row.value)))
}

fn loaded(folder: &Path) -> Snapshot {
    let loaded = load(folder);
    let table: Option<RoutingTable> = loaded.table;
    Snapshot::new(Arc::new(
        table.unwrap_or_else(|| panic!("{}", loaded.report.text(false))),
    ))
}

/// Every number of up to four digits that differs from the others for rows of up to three.
fn numbers() -> impl Iterator<Item = String> {
    let all = |length: usize| (0..10u32.pow(length as u32)).map(move |n| format!("{n:0length$}"));
    let longer = (0..1_000u32).map(|n| format!("{n:03}5"));
    all(1).chain(all(2)).chain(all(3)).chain(longer)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// "The longest prefix that fits decides, and a range inside a range takes precedence":
    /// over all rows of all lists, one by one. The order of files and rows decides nothing.
    #[test]
    fn a_number_goes_where_a_scan_over_the_rows_says(rows in prop::collection::vec(row(), 0..24)) {
        let mut kept: Vec<Row> = Vec::new();
        let mut left_out = Vec::new();
        for row in rows {
            if kept.iter().any(|other| other.collides(&row)) {
                left_out.push(row);
            } else {
                kept.push(row);
            }
        }
        // A list without any trunk group in its rows still has the column.
        let folder = tempfile::tempdir().unwrap();
        write_table(folder.path(), &kept, |list| LISTS[list].to_owned());
        let table = loaded(folder.path());
        let turned_folder = tempfile::tempdir().unwrap();
        let turned_rows: Vec<Row> = kept.iter().rev().copied().collect();
        write_table(turned_folder.path(), &turned_rows, |list| format!("z{}", 9 - list));
        let turned = loaded(turned_folder.path());
        for number in numbers() {
            let fitting = kept.iter().filter(|row| row.holds(&number));
            let best = fitting.max_by_key(|row| (row.depth(&number), Reverse(row.size())));
            let group = best.and_then(|row| row.group).map(|group| GROUPS[group].to_owned());
            let list = best.map(|row| LISTS[row.list].to_owned());
            let came = decide(&table, &number);
            prop_assert_eq!(&came, &(group, list), "+{}", number);
            prop_assert_eq!(came, decide(&turned, &number), "+{}", number);
        }
        if let Some(row) = left_out.first() {
            kept.push(*row);
            write_table(folder.path(), &kept, |list| LISTS[list].to_owned());
            let refused = load(folder.path());
            prop_assert!(refused.table.is_none());
            let wanted = [Code::AssignedTwice, Code::RangesOverlap];
            for found in &refused.report.diagnostics {
                prop_assert!(wanted.contains(&found.code), "{}", found.short());
                prop_assert_eq!(found.places.len(), 2, "{}", found.short());
            }
        }
    }
}

const EXAMPLE: &str = "routing-tables/example";

/// Files of the example, relative to its folder.
static FILES: LazyLock<Vec<(String, Vec<u8>)>> = LazyLock::new(|| {
    let names = [
        "trunks.toml",
        "routes.toml",
        "cases.toml",
        "dids/genesys.csv",
        "dids/teams.csv",
        "dids/lobby-phones.csv",
    ];
    let read = |name: &str| {
        (
            name.to_owned(),
            fs::read(Path::new(EXAMPLE).join(name)).unwrap(),
        )
    };
    names.map(read).to_vec()
});

#[derive(Debug, Clone)]
enum Mutation {
    /// Other bytes in place of some.
    Replace(Vec<u8>, usize),
    /// Lines taken away.
    Drop(usize),
    /// A line once more, somewhere else.
    Repeat(usize),
}

fn mutation() -> impl Strategy<Value = Mutation> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..4),
        "[\\[\\]{}\"'=,.#*+!0-9a-z \n\r\t]{0,6}".prop_map(String::into_bytes),
    ];
    prop_oneof![
        3 => (bytes, 0..8usize).prop_map(|(new, old)| Mutation::Replace(new, old)),
        1 => (1..6usize).prop_map(Mutation::Drop),
        1 => any::<usize>().prop_map(Mutation::Repeat),
    ]
}

fn mutated(content: &[u8], at: usize, mutation: &Mutation) -> Vec<u8> {
    match mutation {
        Mutation::Replace(new, old) => {
            let at = at % (content.len() + 1);
            let end = (at + old).min(content.len());
            [&content[..at], new, &content[end..]].concat()
        }
        Mutation::Drop(count) => {
            let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
            let at = at % lines.len();
            lines.drain(at..(at + count).min(lines.len()));
            lines.concat()
        }
        Mutation::Repeat(which) => {
            let mut lines: Vec<&[u8]> = content.split_inclusive(|byte| *byte == b'\n').collect();
            let line = lines[which % lines.len()];
            lines.insert(at % (lines.len() + 1), line);
            lines.concat()
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    /// Whatever happens to the files of a sound table: it is served whole or not at all, and
    /// every finding stands in a file, on a line that it has.
    #[test]
    fn a_damaged_example_is_answered_with_places(
        changes in prop::collection::vec((0..6usize, any::<usize>(), mutation()), 1..4),
    ) {
        let mut files = FILES.clone();
        for (file, at, mutation) in &changes {
            let content = &mut files[*file].1;
            if !content.is_empty() {
                *content = mutated(content, *at, mutation);
            }
        }
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dids")).unwrap();
        for (name, content) in &files {
            fs::write(folder.path().join(name), content).unwrap();
        }
        let loaded = load(folder.path());
        let report = &loaded.report;
        prop_assert_eq!(loaded.table.is_none(), report.has_errors(), "{}", report.short());
        let left_out: u64 = report.left_out.iter().map(|(_, count)| count).sum();
        prop_assert_eq!(report.errors + report.warnings, report.diagnostics.len() as u64 + left_out);
        for found in &report.diagnostics {
            prop_assert!(!found.places.is_empty(), "{}", found.message);
            for place in &found.places {
                let known = files.iter().find(|(name, _)| *name == place.file);
                prop_assert!(known.is_some() || place.is_whole_file(), "{}", found.short());
                let lines = known.map_or(0, |(_, content)| content.split(|b| *b == b'\n').count());
                prop_assert!(place.line as usize <= lines, "{}", found.short());
            }
            let text = found.text(false);
            let escapes = text.contains('\u{1b}');
            prop_assert!(!text.is_empty() && !escapes);
        }
        prop_assert!(serde_json::to_string(report).is_ok());
    }
}

/// Numbers that mean something to the example, and some that mean nothing.
fn dialled() -> impl Strategy<Value = String> {
    prop_oneof![
        "\\+44207946[0-9]{4}",
        "\\+4930231[0-9]{2,6}",
        "0[0-9]{3}",
        "00?[1-9][0-9]{2,12}",
        "\\+[0-9]{0,16}",
        "(112|999|110|911|142|0123)",
        "\\PC{0,12}",
    ]
}

static TABLE: LazyLock<Snapshot> = LazyLock::new(|| loaded(Path::new(EXAMPLE)));

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Explaining a call changes nothing about it, and the words say what was decided.
    #[test]
    fn an_explained_decision_is_the_decision(
        called in dialled(),
        calling in prop::option::of(dialled()),
        group in any::<u16>(),
        host in "(sbc\\.example\\.net|10\\.0\\.0\\.1|)",
        tgrp in prop::option::of("(genesys-0[0-9]|lon-1)"),
        hour in 0..20_000i64,
        call_hash in any::<u64>(),
    ) {
        let groups = TABLE.table.groups().len() as u16;
        let facts = RequestFacts {
            from: GroupId(group % groups),
            host: host.as_bytes(),
            tgrp: tgrp.as_ref().map(String::as_bytes),
            at: Timestamp::from_second(1_767_225_600 + hour * 3_600).unwrap(),
            call_hash,
            ..facts(called.as_bytes(), calling.as_ref().map(String::as_bytes))
        };
        let silent = route(&TABLE, &facts, &mut ());
        let (told, report) = Explanation::of(&TABLE, &facts, b"");
        prop_assert_eq!(&silent, &told);
        let applied: Vec<&str> = report
            .rules
            .iter()
            .filter(|rule| rule.result == "applied")
            .map(|rule| &*rule.name)
            .collect();
        let decided = silent.rule.map(|id| TABLE.table.rule_name(id));
        prop_assert_eq!(applied, decided.into_iter().collect::<Vec<_>>());
        let shown = report.routes.iter().filter(|route| route.position.is_some()).count();
        let chosen = match &silent.outcome {
            Outcome::Route(routes) => routes.len(),
            _ => 0,
        };
        prop_assert_eq!(shown, chosen);
    }
}
