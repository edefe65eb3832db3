//! The pages about records name the columns there are.

use std::fs;
use std::path::Path;

use trunkline::records::{COLUMNS, PIPE_COLUMNS};

fn page(name: &str) -> String {
    fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("docs")
            .join(name),
    )
    .unwrap()
}

#[test]
fn the_table_of_the_page_has_every_column_in_order() {
    let page = page("records.md");
    let section = page.split("## Columns").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| `"));
    let written: Vec<_> = rows.map(|row| row.split('`').next().unwrap()).collect();
    assert_eq!(written, COLUMNS);
}

#[test]
fn the_schema_has_every_column_in_order() {
    let schema = page("records.sql");
    let rows = schema.lines().filter_map(|line| line.strip_prefix("    "));
    let written: Vec<_> = rows.map(|row| row.split(' ').next().unwrap()).collect();
    assert_eq!(written, COLUMNS);
}

#[test]
fn the_columns_of_an_sbc_are_named_and_which_are_empty() {
    let page = page("records.md");
    let section = page.split("**`pipe`**").nth(1).unwrap();
    let (all, empty) = section.split_once("Always empty:").unwrap();
    let empty = empty.split(". ").next().unwrap();
    let mut rest = all;
    for column in PIPE_COLUMNS {
        let (name, is_empty) = match column.strip_suffix(" -") {
            Some(name) => (name, true),
            None => (*column, false),
        };
        let quoted = format!("`{name}`");
        rest = rest
            .split_once(&quoted)
            .unwrap_or_else(|| panic!("{name} is not named in its place"))
            .1;
        let constant = name == "RedirectReason";
        assert_eq!(empty.contains(&quoted), is_empty && !constant, "{name}");
    }
}
