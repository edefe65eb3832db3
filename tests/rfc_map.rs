//! The map of RFCs is true as far as a machine can tell: every function and every test it
//! names exists.
#![allow(clippy::unwrap_used)] // A test that cannot read the source tree has failed.

use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn every_function_and_test_in_the_map_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let map = std::fs::read_to_string(root.join("docs/rfc-map.md")).unwrap();
    let (mut product, mut tests) = (BTreeSet::new(), BTreeSet::new());
    collect(&root.join("src"), &mut product, &mut tests);
    let mut ignored = BTreeSet::new();
    collect(&root.join("tests"), &mut tests, &mut ignored);
    tests.extend(ignored);
    let (mut rows, mut missing) = (0, Vec::new());
    for line in map.lines().filter(|line| {
        line.starts_with("| §") || line.starts_with("| RFC") || line.starts_with("| table")
    }) {
        rows += 1;
        let mut cells = line.trim_matches('|').split(" | ").skip(1);
        let (functions, named) = (cells.next().unwrap(), cells.next().unwrap());
        let absent = functions.trim() == "—";
        assert!(absent || functions.contains('`'), "no function in {line}");
        missing.extend(names(functions).filter(|name| !product.contains(*name)));
        missing.extend(names(named).filter(|name| !tests.contains(*name)));
    }
    assert!(rows > 60, "only {rows} rows were read");
    assert_eq!(missing, Vec::<&str>::new());
}

/// The words in backquotes.
fn names(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

/// The names of functions in a folder: of the code, and behind its `mod tests`.
fn collect(folder: &Path, code: &mut BTreeSet<String>, tests: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, code, tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let is_test = path.file_name().is_some_and(|name| name == "tests.rs");
            let (front, back) = match text.find("mod tests {") {
                Some(at) => text.split_at(at),
                None if is_test => ("", &*text),
                None => (&*text, ""),
            };
            code.extend(functions(front));
            tests.extend(functions(back));
        }
    }
}

fn functions(text: &str) -> impl Iterator<Item = String> + '_ {
    text.split("fn ").skip(1).filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
        rest.get(..end).map(str::to_owned)
    })
}
