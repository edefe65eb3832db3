//! Every key of trunkline.toml is documented, and every documented key is read: the code is the
//! list. The same of every exit code.
#![allow(clippy::unwrap_used)] // a test says so by failing

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Methods of the reader of TOML by which a key is read.
const READERS: &[&str] = &[
    "string",
    "required_string",
    "strings",
    "required_strings",
    "integer",
    "integers",
    "boolean",
    "duration_ms",
    "duration_ms_or_off",
    "one_of",
];
const TABLES: &[&str] = &["table", "tables", "named_tables"];

#[test]
fn every_key_is_documented_and_every_documented_key_is_read() {
    let (mut keys, mut tables) = (BTreeSet::new(), BTreeSet::new());
    for file in sources() {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        for reader in READERS {
            keys.extend(named(text, reader));
        }
        for table in TABLES {
            tables.extend(named(text, table));
        }
        // Two keys of one kind, read in a loop over their names.
        for line in text.lines().filter(|line| line.contains("for (key, ")) {
            keys.extend(line.split("(\"").skip(1).filter_map(word));
        }
    }
    assert!(keys.len() > 35 && tables.len() > 8, "{keys:?} {tables:?}");
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, section) = page.split_once("\n## Configuration\n").unwrap();
    let section = section.split("\n### ").next().unwrap();
    let mut documented = BTreeSet::new();
    for row in section.lines().filter(|line| line.starts_with("| `")) {
        let cell = row.split(" | ").next().unwrap();
        documented.extend(quoted(cell).filter(|word| !word.starts_with('[')));
    }
    assert_eq!(documented, keys, "left: documented, right: read");
    for table in &tables {
        let forms = [
            format!("`[{table}]`"),
            format!("`[[{table}]]`"),
            format!(".{table}."),
        ];
        let is_told = forms.iter().any(|form| section.contains(form));
        assert!(is_told, "[{table}] is not told of");
    }
}

/// What `trunkline config` shows has every key that can have a value.
#[test]
fn every_key_is_shown() {
    let shown = fs::read_to_string(root().join("src/server/config/in_force.rs")).unwrap();
    let shown = shown.split("#[cfg(test)]").next().unwrap();
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, section) = page.split_once("\n## Configuration\n").unwrap();
    let section = section.split("\n### ").next().unwrap();
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    for row in rows {
        let cell = row.split(" | ").next().unwrap();
        for key in quoted(cell).filter(|word| !word.starts_with('[')) {
            assert!(shown.contains(&format!("\"{key}\"")), "{key} is not shown");
        }
    }
}

/// Every number that ends a process is in the table of exit codes, and no other is.
#[test]
fn every_exit_code_is_documented() {
    let mut codes = BTreeSet::from([0]);
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let said = text.split("ExitCode::from(").skip(1).chain(
            text.split(": u8 = ")
                .skip(1)
                .filter(|_| text.contains("const EXIT_")),
        );
        codes.extend(said.filter_map(|rest| {
            let end = rest.find(|c: char| !c.is_ascii_digit())?;
            rest.get(..end)?.parse::<u8>().ok()
        }));
    }
    let page = fs::read_to_string(root().join("docs/cli.md")).unwrap();
    let table = page.split("\n## ").next().unwrap();
    let rows = table
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(' ').next());
    let documented: BTreeSet<u8> = rows.filter_map(|code| code.parse().ok()).collect();
    assert_eq!(documented, codes, "left: documented, right: in the code");
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Those that read the configuration.
fn sources() -> Vec<PathBuf> {
    let mut files = vec![root().join("src/server/config.rs")];
    collect(&root().join("src/server/config"), &mut files);
    files.retain(|file| !file.ends_with("tests.rs") && !file.ends_with("in_force.rs"));
    files
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, files);
        } else {
            files.push(path);
        }
    }
}

/// The words a method is called with first: `.string("word"`, also on the next line.
fn named(text: &str, method: &str) -> Vec<String> {
    let calls = text.split(&format!(".{method}(")).skip(1);
    calls
        .filter_map(|rest| word(rest.trim_start().strip_prefix('"')?))
        .collect()
}

fn word(text: &str) -> Option<String> {
    Some(text.split_once('"')?.0.to_owned())
}

/// Words in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = String> + '_ {
    cell.split('`').skip(1).step_by(2).map(str::to_owned)
}
