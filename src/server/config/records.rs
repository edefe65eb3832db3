//! `[records]`: where call records go.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::listen::not_allowed;
use crate::limits::{RECORD_FILES_MAX, RECORD_SINKS_MAX};
use crate::observe::MaskNumbers;
use crate::records::{
    FileSettings, Format, PostgresSettings, PostgresTls, SinkSettings, SpoolSettings, Target,
    WhenFull,
};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::toml_reader::{Reader, Text};

/// `[records]`.
#[derive(Debug, Clone, Default)]
pub struct RecordsConfig {
    /// Whether the calls that are up are listed, also without a sink.
    pub live_calls: bool,
    /// Where records go.
    pub sinks: Vec<SinkSettings>,
}

const MIB: u64 = 1 << 20;
/// Records of a day of a busy enterprise.
const ROTATE_MIB: u64 = 100;
const KEEP: u64 = 10;
/// A quarter of a million records: more than a night without a database brings.
const SPOOL_MIB: u64 = 256;
const SYNC_MS: u64 = 1_000;
const TABLE: &str = "trunkline_records";

pub(super) fn read_records(
    root: &mut Reader<'_>,
    folder: &Path,
    mask: MaskNumbers,
) -> RecordsConfig {
    let Some(mut table) = root.table("records") else {
        return RecordsConfig::default();
    };
    let live_calls = table.boolean("live_calls").is_some_and(|(yes, _)| yes);
    let sinks = table.tables("sink");
    if sinks.len() > RECORD_SINKS_MAX {
        let message = format!(
            "{} sinks, and at most {RECORD_SINKS_MAX} are served",
            sinks.len()
        );
        let diagnostic = Diagnostic::error(Code::OverLimit, message);
        table.report(diagnostic.at(table.place(table.spot(), "")));
        return RecordsConfig::default();
    }
    let mut known: Vec<SinkSettings> = Vec::new();
    for sink in sinks {
        known.extend(read_sink(sink, folder, mask, &known));
    }
    table.finish();
    RecordsConfig {
        live_calls,
        sinks: known,
    }
}

fn read_sink(
    mut table: Reader<'_>,
    folder: &Path,
    mask: MaskNumbers,
    known: &[SinkSettings],
) -> Option<SinkSettings> {
    let name = table
        .required_string("name")
        .and_then(|text| a_name(&table, text, known));
    let masks = [
        ("none", MaskNumbers::None),
        ("last4", MaskNumbers::Last4),
        ("all", MaskNumbers::All),
    ];
    let mask = table
        .one_of("mask_numbers", &masks)
        .map_or(mask, |(mask, _)| mask);
    let attempts = table.boolean("attempts").is_none_or(|(yes, _)| yes);
    let target = if table.has("postgres") {
        read_postgres(&mut table, folder, name.as_deref())
    } else {
        read_file(&mut table, folder)
    };
    let problem = match &target {
        Some(Target::File(file)) => known.iter().any(|other| match &other.target {
            Target::File(other) => other.path == file.path,
            Target::Postgres(..) => false,
        }),
        _ => false,
    };
    if problem && let Some(spot) = table.value_spot("file") {
        let message = String::from("another sink writes this file");
        not_allowed(&table, spot, message, "each has a file of its own");
        return None;
    }
    table.finish();
    Some(SinkSettings {
        name: name?,
        mask,
        attempts,
        target: target?,
    })
}

/// A name that can be a label and part of a folder's name.
fn a_name(table: &Reader<'_>, text: Text, known: &[SinkSettings]) -> Option<String> {
    let name = text.as_str();
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.is_empty() || name.len() > 40 || !name.chars().all(plain) {
        let message = format!("{} cannot be the name of a sink", quoted(name));
        let help = "letters, digits, - and _, at most 40";
        not_allowed(table, text.spot, message, help);
        return None;
    }
    if known.iter().any(|other| other.name == name) {
        let message = format!("two sinks are called {}", quoted(name));
        not_allowed(table, text.spot, message, "each has a name of its own");
        return None;
    }
    Some(text.value)
}

fn read_file(table: &mut Reader<'_>, folder: &Path) -> Option<Target> {
    let file = table.required_string("file");
    let words = [
        ("ndjson", Format::Ndjson),
        ("csv", Format::Csv),
        ("pipe", Format::Pipe),
    ];
    let format = table.one_of("format", &words);
    let megabytes = table.integer("rotate_mb", 1..=1_000_000);
    let age = table.duration_ms("rotate_after", 60_000..=366 * 86_400_000);
    let keep = table.integer("keep", 0..=RECORD_FILES_MAX.into());
    Some(Target::File(FileSettings {
        path: folder.join(file?.value),
        format: format.map_or(Format::Ndjson, |(format, _)| format),
        bytes_max: megabytes.map_or(ROTATE_MIB, |(mb, _)| mb) * MIB,
        age_max: age.map(|(ms, _)| Duration::from_millis(ms)),
        keep: keep
            .map_or(KEEP, |(keep, _)| keep)
            .try_into()
            .unwrap_or(RECORD_FILES_MAX),
    }))
}

fn read_postgres(table: &mut Reader<'_>, folder: &Path, name: Option<&str>) -> Option<Target> {
    let database = table.string("postgres");
    let database = database.and_then(|text| match text.as_str().parse() {
        Ok(database) => Some(database),
        Err(error) => {
            let message = format!("this is no way to a database: {error}");
            let help = "write \"host=/run/postgresql dbname=calls user=trunkline\"";
            not_allowed(table, text.spot, message, help);
            None
        }
    });
    let password = table.string("password_file");
    let password = password.map(|text| read_password(table, folder, &text));
    let table_name = table.string("table").map(|text| a_table(table, text));
    let tls = table.boolean("tls").is_some_and(|(yes, _)| yes);
    let ca = table.string("ca").map(|text| folder.join(text.value));
    let spool = table.string("spool").map(|text| folder.join(text.value));
    let megabytes = table.integer("spool_mb", 1..=1_000_000);
    let words = [
        ("oldest", WhenFull::DropOldest),
        ("newest", WhenFull::DropNewest),
    ];
    let when_full = table.one_of("spool_full_drops", &words);
    let sync = table.duration_ms("spool_sync", 0..=3_600_000);
    let mut database: tokio_postgres::Config = database?;
    if let Some(password) = password {
        database.password(password?);
    }
    let settings = PostgresSettings {
        database,
        table: table_name.unwrap_or(Some(TABLE.to_owned()))?,
        tls: if tls || ca.is_some() {
            PostgresTls::Required(ca)
        } else {
            PostgresTls::Off
        },
    };
    let spool = SpoolSettings {
        // Without a folder of its own it is in the state folder, which is known later.
        folder: spool.unwrap_or_else(|| PathBuf::from(format!("spool-{}", name.unwrap_or("")))),
        bytes_max: megabytes.map_or(SPOOL_MIB, |(mb, _)| mb) * MIB,
        when_full: when_full.map_or(WhenFull::DropOldest, |(end, _)| end),
        sync: Duration::from_millis(sync.map_or(SYNC_MS, |(ms, _)| ms)),
    };
    Some(Target::Postgres(Box::new(settings), spool))
}

fn read_password(table: &Reader<'_>, folder: &Path, text: &Text) -> Option<String> {
    match std::fs::read_to_string(folder.join(text.as_str())) {
        Ok(password) => Some(password.trim_end_matches(['\r', '\n']).to_owned()),
        Err(error) => {
            let message = format!("{} cannot be read: {error}", quoted(text.as_str()));
            not_allowed(
                table,
                text.spot,
                message,
                "a file with the password in one line",
            );
            None
        }
    }
}

/// A table's name that needs no quotes: it stands in the statement as it is.
fn a_table(table: &Reader<'_>, text: Text) -> Option<String> {
    let is_word = |word: &str| {
        let mut symbols = word.chars();
        symbols
            .next()
            .is_some_and(|c| c.is_ascii_lowercase() || c == '_')
            && symbols.all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
    };
    let name = text.as_str();
    if name.split('.').count() <= 2 && name.split('.').all(is_word) {
        return Some(text.value);
    }
    let message = format!("{} is no table's name that needs no quotes", quoted(name));
    let help = "small letters, digits and _, with a schema or without: \"calls.records\"";
    not_allowed(table, text.spot, message, help);
    None
}
