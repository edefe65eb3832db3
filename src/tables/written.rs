//! The DID lists of a table as they are written: every row, what it assigns, what is said of it.

use super::diagnostic::Diagnostics;
use super::pattern::Pattern;
use super::read_schema;
use super::sheet::Sheet;
use super::source::read_folder;
use std::path::Path;

/// One DID list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenList {
    /// Its name.
    pub name: String,
    /// The file its rows stand in, relative to the folder.
    pub file: String,
    /// Whether that is a CSV file: else the rows are items in TOML.
    pub is_csv: bool,
    /// Whether its rows assign trunk groups.
    pub assigns: bool,
    /// In the order they stand in.
    pub rows: Vec<WrittenRow>,
}

/// One row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenRow {
    /// Line of its file, counted from 1.
    pub line: u32,
    /// What it matches.
    pub pattern: Pattern,
    /// The trunk group it is assigned to; empty for none.
    pub group: String,
    /// What is said of it; may be empty.
    pub comment: String,
}

/// Reads the DID lists of a table folder. Rows that cannot be read are left out: `load` says
/// which.
#[must_use]
pub fn written_lists(folder: &Path) -> Vec<WrittenList> {
    let diagnostics = Diagnostics::new();
    let mut sources = read_folder(folder, &diagnostics);
    let (schema, _) = read_schema(&sources, &diagnostics);
    let mut lists = Vec::new();
    for section in &schema.dids {
        let name = section.name.as_str().to_owned();
        if let Some(file) = &section.file {
            let id = sources.read_list(file.as_str(), file.spot, &diagnostics);
            let Some(source) = id.and_then(|id| sources.get(id)) else {
                continue;
            };
            lists.push(of_csv(name, file.as_str(), source.text()));
        } else if let (Some(numbers), Some(source)) =
            (&section.numbers, sources.get(section.spot.file))
        {
            let group = section.trunk_group.as_ref();
            let rows = numbers.iter().filter_map(|text| {
                Some(WrittenRow {
                    line: source.line_of(text.spot.range().start),
                    pattern: Pattern::parse(text.as_str()).ok()?,
                    group: group.map_or_else(String::new, |group| group.as_str().to_owned()),
                    comment: String::new(),
                })
            });
            lists.push(WrittenList {
                name,
                file: source.name().to_owned(),
                is_csv: false,
                assigns: group.is_some(),
                rows: rows.collect(),
            });
        }
    }
    lists
}

fn of_csv(name: String, file: &str, text: &str) -> WrittenList {
    let sheet = Sheet::read(text);
    let [number, group, comment] =
        ["number", "trunk_group", "comment"].map(|name| sheet.column(name));
    let rows = sheet.rows().iter().filter_map(|row| {
        Some(WrittenRow {
            line: row.line,
            pattern: Pattern::parse(&sheet.value(row, number)).ok()?,
            group: sheet.value(row, group).into_owned(),
            comment: sheet.value(row, comment).into_owned(),
        })
    });
    WrittenList {
        name,
        file: file.to_owned(),
        is_csv: true,
        assigns: group.is_some(),
        rows: rows.collect(),
    }
}
