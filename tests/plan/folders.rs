//! Plans of tables as they are written.

use std::path::Path;

use trunkline::plan::compare;
use trunkline::tables::load;

fn since() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Every table of this repository is the same as itself.
#[test]
fn a_table_does_not_differ_from_itself() {
    for folder in std::fs::read_dir("routing-tables").unwrap() {
        let folder = folder.unwrap().path();
        let table = load(&folder).table.unwrap();
        let plan = compare(&table, &table, since()).unwrap();
        assert!(plan.is_empty(), "{}: {plan:?}", folder.display());
    }
}

/// The same rows and definitions in other files and another order are the same table.
#[test]
fn the_order_of_files_and_rows_does_not_matter() {
    let from = Path::new("routing-tables/example");
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join("dids")).unwrap();
    for list in std::fs::read_dir(from.join("dids")).unwrap() {
        let list = list.unwrap().path();
        let text = std::fs::read_to_string(&list).unwrap();
        let (head, rows) = text.split_once('\n').unwrap();
        let mut rows: Vec<&str> = rows.lines().collect();
        rows.reverse();
        let text = format!("{head}\n{}\n", rows.join("\n"));
        std::fs::write(to.path().join("dids").join(list.file_name().unwrap()), text).unwrap();
    }
    // Every part of the trunks in a file of its own, named in the reverse order.
    let trunks = std::fs::read_to_string(from.join("trunks.toml")).unwrap();
    let mut parts: Vec<String> = Vec::new();
    for line in trunks.lines() {
        if line.starts_with('[') && !line.starts_with("[[") || parts.is_empty() {
            parts.push(String::new());
        }
        let part = parts.last_mut().unwrap();
        part.push_str(line);
        part.push('\n');
    }
    let (ordered, free): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| part.contains("[[classification]]"));
    assert!(free.len() > 3, "{free:?}");
    for (at, part) in free.iter().enumerate() {
        std::fs::write(to.path().join(format!("a{:03}.toml", 999 - at)), part).unwrap();
    }
    std::fs::write(to.path().join("z.toml"), ordered.concat()).unwrap();
    std::fs::copy(from.join("routes.toml"), to.path().join("b.toml")).unwrap();
    let loaded = load(to.path());
    assert!(loaded.table.is_some(), "{}", loaded.report.text(false));
    let plan = compare(&load(from).table.unwrap(), &loaded.table.unwrap(), since()).unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}
