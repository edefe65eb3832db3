//! Every diagnostic: a table that calls for it, and the exact text it is answered with.
//!
//! A folder of `diagnostics/bad` is named after the code it is about. Its `expected.txt` is
//! what `check` says, long and short; `BLESS=1` writes it anew, to be read before it is
//! committed. The folders of `diagnostics/good` look like mistakes and are none. Those of
//! `diagnostics/changes` hold two sound tables, of which the second may not follow the first.
#![allow(clippy::unwrap_used)] // a test says so by failing

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use trunkline::tables::diagnostic::{Code, Diagnostic, Report};
use trunkline::tables::{Reload, TableStore, load};

/// Relative to the package, where cargo runs tests: diagnostics show the path as given.
const BAD: &str = "tests/diagnostics/bad";
const GOOD: &str = "tests/diagnostics/good";
const CHANGES: &str = "tests/diagnostics/changes";

/// Between the long and the short form.
const RULER: &str = "──── short ────\n";

fn folders(of: &str) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(of)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    folders.sort();
    folders
}

fn code_of(folder: &Path) -> &str {
    let name = folder.file_name().unwrap().to_str().unwrap();
    name.split('-').next().unwrap()
}

fn answer(report: &Report) -> String {
    let mut answer = format!("{}{RULER}{}", report.text(false), report.short());
    // Of a table without mistakes infos are all there is to say; elsewhere they are noise.
    for info in report.infos.iter().filter(|_| report.is_empty()) {
        answer.push_str(&format!("{}\n{}\n", info.text(false), info.short()));
    }
    answer
}

fn findings(report: &Report) -> impl Iterator<Item = &Diagnostic> {
    report.diagnostics.iter().chain(&report.infos)
}

#[test]
fn every_bad_table_is_answered_as_expected() {
    let mut wrong = Vec::new();
    for folder in folders(BAD) {
        let answer = answer(&load(&folder).report);
        let expected = folder.join("expected.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &answer).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        if answer != expected {
            wrong.push(format!(
                "{}\n--- expected\n{expected}\n--- came\n{answer}",
                folder.display()
            ));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n\n"));
}

/// What a folder is named after is found in it, and an error keeps the table from serving.
#[test]
fn every_bad_table_shows_its_code() {
    for folder in folders(BAD) {
        let loaded = load(&folder);
        let codes: BTreeSet<&str> = findings(&loaded.report)
            .map(|found| found.code.as_str())
            .collect();
        assert!(
            codes.contains(code_of(&folder)),
            "{}: {codes:?}",
            folder.display()
        );
        assert_eq!(
            loaded.table.is_none(),
            loaded.report.has_errors(),
            "{}",
            folder.display()
        );
    }
}

#[test]
fn every_code_has_a_bad_table() {
    let folders = [folders(BAD), folders(CHANGES)].concat();
    let shown: BTreeSet<&str> = folders.iter().map(|folder| code_of(folder)).collect();
    let all: BTreeSet<&str> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(shown, all);
}

#[test]
fn every_code_has_its_section_in_the_documentation() {
    let page = std::fs::read_to_string("docs/diagnostics.md").unwrap();
    let sections: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("## "))
        .collect();
    let all: Vec<String> = Code::ALL
        .iter()
        .map(|code| format!("{} {}", code.as_str(), code.title()))
        .collect();
    assert_eq!(sections, all);
}

/// Whoever reads a finding must find the place: a file that is there, a line that it has,
/// and the caret on that line.
#[test]
fn every_place_is_in_its_file() {
    for folder in folders(BAD) {
        for found in findings(&load(&folder).report) {
            assert!(!found.places.is_empty(), "{}", found.message);
            for place in found.places.iter().filter(|place| !place.is_whole_file()) {
                let bytes = std::fs::read(folder.join(&place.file)).unwrap();
                let text = String::from_utf8_lossy(&bytes);
                let lines = text.split('\n').count() as u32;
                assert!(place.line <= lines, "{}", found.short());
                let width = place.text_column + place.line_text.chars().count() as u32;
                assert!(place.column <= width, "{}", found.short());
            }
        }
    }
}

#[test]
fn a_sound_table_is_answered_with_nothing() {
    for folder in folders(GOOD) {
        let loaded = load(&folder);
        assert!(
            loaded.report.is_empty() && loaded.table.is_some(),
            "{}\n{}",
            folder.display(),
            loaded.report.text(false)
        );
    }
}

/// What the marks of a file say: a line, and the code of a fault in it.
fn marks(folder: &Path, name: &str) -> Vec<(String, u32, String)> {
    let text = std::fs::read_to_string(folder.join(name)).unwrap();
    let mut marks = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        let codes = line.split("! ").skip(1).map(str::trim);
        let codes = codes.filter(|code| code.len() == 4 && code.starts_with('T'));
        marks.extend(codes.map(|code| (name.to_owned(), number, code.to_owned())));
    }
    marks
}

/// A table with many faults: each is found at its line, and nothing else is.
#[test]
fn every_planted_fault_is_found_and_nothing_else() {
    let folder = Path::new("tests/diagnostics/planted");
    let files = [
        "trunks.toml",
        "routes.toml",
        "dids/users.csv",
        "dids/branches.csv",
        "dids/old.csv",
    ];
    let mut planted: Vec<_> = files.iter().flat_map(|name| marks(folder, name)).collect();
    let report = load(folder).report;
    assert_eq!(report.errors, 0, "{}", report.text(false));
    let mut found: Vec<_> = findings(&report)
        .map(|found| {
            let place = found.place().unwrap();
            (
                place.file.clone(),
                place.line,
                found.code.as_str().to_owned(),
            )
        })
        .collect();
    planted.sort();
    found.sort();
    let only = |these: &[(String, u32, String)], those: &[(String, u32, String)]| {
        let only: Vec<String> = these
            .iter()
            .filter(|one| !those.contains(one))
            .map(|(file, line, code)| format!("{file}:{line} {code}"))
            .collect();
        only.join("\n")
    };
    let (missed, invented) = (only(&planted, &found), only(&found, &planted));
    assert_eq!(found, planted, "missed:\n{missed}\nmore:\n{invented}");
    assert!(planted.len() >= 40, "{}", planted.len());
}

/// A large table of a site that is as it should be: blocks, people in them, and prefixes of
/// branches, in two lists. Nothing is said of it, not even what is no mistake.
#[test]
fn a_clean_table_of_a_million_rows_is_answered_with_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let mut users = String::from("number,trunk_group,comment\n");
    let mut blocks = String::from("number,trunk_group,comment\n");
    for block in 0..1_000_u32 {
        let group = if block % 2 == 0 { "teams" } else { "pbx" };
        blocks.push_str(&format!(
            "+4930{block:03}0000 to +4930{block:03}9999,{group},\n"
        ));
        // Every number of a hundred, or every other one: neither has a hole.
        for row in 0..1_000_u32 {
            let line = if block % 4 < 2 { row } else { 2 * row };
            let group = if row % 3 == 0 { "pbx" } else { "teams" };
            users.push_str(&format!("+4930{block:03}{line:04},{group},\n"));
        }
    }
    std::fs::write(folder.path().join("users.csv"), users).unwrap();
    std::fs::write(folder.path().join("blocks.csv"), blocks).unwrap();
    std::fs::copy(
        "tests/diagnostics/million/routing.toml",
        folder.path().join("routing.toml"),
    )
    .unwrap();
    let loaded = load(folder.path());
    assert_eq!(loaded.summary.dids, 1_001_000);
    assert!(loaded.table.is_some());
    let said = answer(&loaded.report);
    assert_eq!(said, RULER, "{said}");
}

/// A table folder that is changed while it serves.
fn copied(from: &Path, to: &Path) {
    for file in std::fs::read_dir(from).unwrap() {
        let file = file.unwrap().path();
        std::fs::copy(&file, to.join(file.file_name().unwrap())).unwrap();
    }
}

#[test]
fn every_change_over_a_gate_is_refused_and_can_be_accepted() {
    for folder in folders(CHANGES) {
        let serving = tempfile::tempdir().unwrap();
        copied(&folder.join("before"), serving.path());
        let (store, _, report) = TableStore::open(serving.path()).unwrap();
        assert!(report.is_empty(), "{}", report.text(false));
        copied(&folder.join("after"), serving.path());
        let Reload::Refused { generation, report } = store.reload() else {
            panic!("{} is let pass", folder.display());
        };
        assert_eq!((generation, store.current().generation()), (1, 1));
        let help = report.diagnostics[0].help.as_ref().unwrap();
        let name = help
            .split("accept = ")
            .nth(1)
            .unwrap()
            .split('"')
            .nth(1)
            .unwrap();
        // Another version of the program may name it otherwise.
        let answer = answer(&report).replace(name, "NAME");
        let expected = folder.join("expected.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&expected, &answer).unwrap();
        }
        let expected = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(answer, expected, "{}", folder.display());
        let codes = report.diagnostics.iter().map(|found| found.code.as_str());
        assert!(codes.into_iter().all(|code| code == code_of(&folder)));

        // Who has read what the change does lets it pass by its name.
        let file = serving.path().join("routing.toml");
        let text = std::fs::read_to_string(&file).unwrap();
        let accept = |name: &str| {
            let text = text.replace("[policy]", &format!("[policy]\naccept = \"{name}\""));
            std::fs::write(&file, text).unwrap();
            store.reload()
        };
        assert!(matches!(accept("0123456789abcdef"), Reload::Refused { .. }));
        let Reload::Swapped {
            generation, report, ..
        } = accept(name)
        else {
            panic!("{} is not let pass", folder.display());
        };
        assert_eq!((generation, report.errors), (2, 0));
        assert!(report.warnings > 0, "the log says that a gate was passed");
    }
}
