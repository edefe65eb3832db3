//! A whole table as JSON, and back.

use super::{File, head, is_name, line};
use crate::tables::written::WrittenList;
use serde_json::{Map, Value};

const SCHEMA: &str = "trunkline.table/1";

/// The table as JSON: its definitions as the TOML files say them, and the rows of its lists.
/// `toml` are the texts of the TOML files, which have no mistake.
#[must_use]
pub fn json(toml: &[&str], lists: &[WrittenList]) -> String {
    let mut table = Map::new();
    for text in toml {
        let read = text.parse::<toml::Table>().ok();
        if let Some(Value::Object(read)) = read.and_then(|read| serde_json::to_value(read).ok()) {
            add(&mut table, read);
        }
    }
    for list in lists.iter().filter(|list| list.is_csv) {
        let section = table.get_mut("did").and_then(|did| did.get_mut(&list.name));
        let Some(Value::Object(section)) = section else {
            continue;
        };
        section.remove("file");
        section.insert(String::from("assigns"), Value::Bool(list.assigns));
        let rows = list.rows.iter().map(|row| {
            let mut written = Map::new();
            let mut add = |key: &str, value: &str| {
                written.insert(key.to_owned(), Value::String(value.to_owned()));
            };
            add("number", &row.pattern.to_string());
            if list.assigns {
                add("trunk_group", &row.group);
            }
            if !row.comment.is_empty() {
                add("comment", &row.comment);
            }
            Value::Object(written)
        });
        section.insert(String::from("rows"), rows.collect());
    }
    let mut all = Map::new();
    all.insert(String::from("schema"), Value::String(SCHEMA.to_owned()));
    all.insert(String::from("table"), Value::Object(table));
    serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
}

/// Puts the definitions of one file to those of the others. Names are defined once.
fn add(table: &mut Map<String, Value>, more: Map<String, Value>) {
    for (key, value) in more {
        match (table.get_mut(&key), value) {
            (Some(Value::Object(known)), Value::Object(more)) => add(known, more),
            (Some(Value::Array(known)), Value::Array(more)) => known.extend(more),
            (_, value) => {
                table.insert(key, value);
            }
        }
    }
}

/// The files of the table in an export: `routing.toml` and a CSV list for each with rows.
///
/// # Errors
/// A sentence: it is not what [`json`] writes.
pub fn from_json(text: &str) -> Result<Vec<File>, String> {
    let all: Value = serde_json::from_str(text).map_err(|error| error.to_string())?;
    if all.get("schema").and_then(Value::as_str) != Some(SCHEMA) {
        return Err(format!("its schema is not {SCHEMA}"));
    }
    let Some(Value::Object(mut table)) = all.get("table").cloned() else {
        return Err(String::from("it has no table"));
    };
    let mut files = Vec::new();
    if let Some(Value::Object(lists)) = table.get_mut("did") {
        for (name, list) in lists {
            let Value::Object(list) = list else {
                return Err(format!("DID list {name:?} is no object"));
            };
            let assigns = list
                .remove("assigns")
                .is_none_or(|assigns| assigns != false);
            let Some(rows) = list.remove("rows") else {
                continue;
            };
            if !is_name(name) {
                return Err(format!("{name:?} is not the name of a list"));
            }
            let file = format!("dids/{name}.csv");
            list.insert(String::from("file"), Value::String(file.clone()));
            files.push((file, csv_of(&rows, assigns)));
        }
    }
    let table = toml::Table::try_from(table).map_err(|error| error.to_string())?;
    let toml = toml::to_string_pretty(&table).map_err(|error| error.to_string())?;
    files.insert(0, (String::from("routing.toml"), toml));
    Ok(files)
}

fn csv_of(rows: &Value, assigns: bool) -> String {
    let mut text = head(assigns).to_owned();
    for row in rows.as_array().into_iter().flatten() {
        let value = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let (number, comment) = (value("number"), value("comment"));
        match assigns {
            true => text.push_str(&line([number, value("trunk_group"), comment])),
            false => text.push_str(&line([number, comment])),
        }
    }
    text
}
