//! Every key of trunkline.toml is documented, and every documented key is read: the code is the
//! list. The same of exit codes, of why messages are refused and dropped and connections end, and
//! of what the log warns of.
#![allow(clippy::unwrap_used)] // a test says so by failing

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use trunkline::proxy::{DropReason, ProxyDrop, ProxyRefusal, Refusal};
use trunkline::transport::Ended;

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
    let section = configuration();
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
            format!(".{table}]]`"),
            format!(".{table}]`"),
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
    let section = configuration();
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

/// What the pages say under "Configuration", up to the next heading.
fn configuration() -> String {
    let mut files = Vec::new();
    collect(&root().join("docs"), &mut files);
    let pages = files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "md"));
    let sections = pages.filter_map(|file| {
        let page = fs::read_to_string(file).unwrap();
        let (_, section) = page.split_once("\n## Configuration\n")?;
        let end = section.find("\n##").unwrap_or(section.len());
        Some(section[..end].to_owned())
    });
    sections.collect::<Vec<_>>().join("\n")
}

fn symptoms() -> String {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let (_, section) = page.split_once("\n## When something is wrong\n").unwrap();
    section.split("\n## ").next().unwrap().to_owned()
}

/// Whatever is counted as refused, dropped or ended has its row among the symptoms.
#[test]
fn every_reason_is_a_symptom() {
    let refused = Refusal::ALL.iter().map(|reason| reason.as_str());
    let refused = refused.chain(ProxyRefusal::ALL.iter().map(|reason| reason.as_str()));
    let dropped = DropReason::ALL.iter().map(|reason| reason.as_str());
    let dropped = dropped.chain(ProxyDrop::ALL.iter().map(|reason| reason.as_str()));
    let ended = Ended::ALL.iter().filter(|ended| !ended.is_ordinary());
    let ended = ended.map(|ended| ended.as_str());
    let section = symptoms();
    let missing: Vec<&str> = (refused.chain(dropped).chain(ended))
        .filter(|reason| !section.contains(&format!("`{reason}`")))
        .collect();
    assert_eq!(missing, [""; 0]);
}

/// What the log warns of can be found in the manual by the longest of its fixed words.
#[test]
fn every_warning_is_in_the_manual() {
    let page = fs::read_to_string(root().join("docs/operations.md")).unwrap();
    let mut files = Vec::new();
    collect(&root().join("src"), &mut files);
    let (mut found, mut missing) = (0, Vec::new());
    for file in files {
        let text = fs::read_to_string(&file).unwrap();
        let text = text.split("#[cfg(test)]").next().unwrap();
        let told = text.split("tracing::warn!(").skip(1);
        for rest in told.chain(text.split("tracing::error!(").skip(1)) {
            let Some(literal) = literal(rest) else {
                continue;
            };
            let pieces = literal.split(['{', '}']).step_by(2);
            // The last word may be what a value goes on with.
            let fixed = pieces.max_by_key(|piece| piece.len()).unwrap().trim();
            if fixed.len() < 10 {
                continue;
            }
            found += 1;
            let words = fixed.split('`').map(str::trim);
            if !words.clone().all(|words| page.contains(words)) {
                missing.push(format!("{}: {fixed}", file.display()));
            }
        }
    }
    assert!(found > 8, "only {found} were read");
    assert_eq!(missing, Vec::<String>::new());
}

/// Every case of the threat model has a test that bears its number, or names the file of one; and
/// every such test is a case of it.
#[test]
fn every_case_of_the_threat_model_is_tried() {
    let page = fs::read_to_string(root().join("docs/threat-model.md")).unwrap();
    let mut files = Vec::new();
    for folder in ["src", "tests"] {
        collect(&root().join(folder), &mut files);
    }
    let mut tried = BTreeSet::new();
    for file in files
        .iter()
        .filter(|file| file.extension().is_some_and(|e| e == "rs"))
    {
        let text = fs::read_to_string(file).unwrap();
        let names = text.split("fn a").skip(1).filter_map(|rest| rest.get(..3));
        let numbers = names.filter_map(|name| name.strip_suffix('_')?.parse::<u8>().ok());
        tried.extend(numbers);
    }
    let mut told = BTreeSet::new();
    for row in page.lines().filter(|line| line.starts_with("| a")) {
        let Some(number) = row.get(3..5).and_then(|text| text.parse::<u8>().ok()) else {
            continue;
        };
        let named = quoted(row).any(|word| word.ends_with(".rs") && root().join(word).is_file());
        assert!(tried.contains(&number) || named, "{row}");
        told.insert(number);
    }
    assert_eq!(told, (1..=34).collect());
    assert!(tried.is_subset(&told), "{tried:?}");
}

/// The first text between quotes, a line that goes on joined to the next; `None` where it is
/// beyond the end of the statement.
fn literal(rest: &str) -> Option<String> {
    let statement = rest.split(");").next()?;
    let (_, text) = statement.split_once('"')?;
    let text = text.split_once('"')?.0;
    let lines = text.split("\\\n").map(str::trim_start);
    Some(lines.collect())
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
    let call = format!(".{method}(");
    text.split(&call)
        .skip(1)
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
