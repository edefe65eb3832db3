//! Files in, routing table out: or every mistake, each with its place.
//!
//! [`load`] reads a folder of TOML and CSV files, checks it as a whole, compiles it and runs
//! its cases. A table with an error is never served. [`TableStore`] holds the running table
//! and is the one door through which it changes.

mod analysis;
mod cases;
mod compile;
mod damage;
pub mod diagnostic;
pub mod dids;
mod gates;
mod laws;
mod names;
pub mod pattern;
mod plan_json;
pub mod profile;
pub mod render;
mod schema;
pub mod search;
pub mod sheet;
pub mod source;
mod store;
pub mod toml_reader;
mod toml_syntax;
mod unreachable;
pub mod written;

pub use diagnostic::{Diagnostic, Diagnostics, Report};
pub use gates::Gates;
#[doc(hidden)]
pub use laws::fuzz_load;
pub use plan_json::plan_json;
pub use store::{Accepted, GateRule, Reload, TableStore};

use crate::routing::RoutingTable;
use jiff::Timestamp;
use jiff::tz::TimeZone;
use names::Context;
use schema::Schema;
use std::path::Path;
use std::sync::Arc;
use toml_reader::Document;

/// What became of a folder.
#[derive(Debug)]
pub struct Loaded {
    /// The table, if it has no error. Its generation is 0.
    pub table: Option<RoutingTable>,
    /// What the profiles of its trunk groups put where it says nothing.
    pub profiles: Vec<profile::Applied>,
    /// Its files.
    pub files: source::Sources,
    /// What was read.
    pub summary: Summary,
    /// Errors and warnings, in order of file and line.
    pub report: Report,
}

impl Loaded {
    /// Nothing was read, for these reasons.
    #[must_use]
    pub fn refused(report: Report) -> Self {
        Self {
            table: None,
            profiles: Vec::new(),
            files: source::Sources::new(Path::new("")),
            summary: Summary::default(),
            report,
        }
    }
}

/// How much was read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Summary {
    /// TOML files.
    pub toml_files: usize,
    /// CSV files.
    pub csv_files: usize,
    /// Rows of all DID lists.
    pub dids: u64,
    /// Rules.
    pub rules: usize,
    /// Trunk groups.
    pub trunk_groups: usize,
    /// Trunks.
    pub trunks: usize,
    /// Cases that were run.
    pub cases: usize,
    /// Cases that failed.
    pub cases_failed: usize,
}

/// Reads, checks and compiles the table in a folder, then runs its cases. All mistakes are
/// reported at once; the table is given only when there is no error.
#[must_use]
pub fn load(folder: &Path) -> Loaded {
    let diagnostics = Diagnostics::new();
    let mut sources = source::read_folder(folder, &diagnostics);
    let (mut schema, is_damaged) = read_schema(&sources, &diagnostics);
    profile::apply(&mut schema);
    let table = compile::compile(&schema, &mut sources, &diagnostics, is_damaged);
    let mut summary = Summary {
        toml_files: schema.toml_files.len(),
        csv_files: sources
            .iter()
            .count()
            .saturating_sub(schema.toml_files.len()),
        dids: table.did_rows(),
        rules: table.rules().len(),
        trunk_groups: table.groups().len(),
        trunks: table.trunks().len(),
        ..Summary::default()
    };
    let snapshot = cases::looked_at(table);
    // Cases of a broken table would fail for reasons that are not theirs.
    if !diagnostics.has_errors() {
        let context = Context {
            sources: &sources,
            diagnostics: &diagnostics,
            is_damaged,
        };
        let outcomes = cases::run(&context, &snapshot, &schema);
        (summary.cases, summary.cases_failed) = (outcomes.run, outcomes.failed);
    }
    let sound = !diagnostics.has_errors();
    let table = if sound {
        Arc::into_inner(snapshot.table)
    } else {
        None
    };
    Loaded {
        table,
        profiles: profile::applied(&schema, &sources),
        files: sources,
        summary,
        report: diagnostics.into_report(),
    }
}

fn read_schema(sources: &source::Sources, diagnostics: &Diagnostics) -> (Schema, bool) {
    let mut schema = Schema::default();
    let mut is_damaged = diagnostics.has_errors();
    for file in sources.iter() {
        let document = Document::parse(file, diagnostics);
        is_damaged |= document.is_damaged();
        schema.read(file.id(), document.root());
    }
    (schema, is_damaged)
}

/// Reads a time as `--at` takes it: a wall-clock time is read in `timezone` (a name of the
/// IANA database), or on the clock of the table's schedules where they have one in common.
///
/// # Errors
/// A sentence that names the forms.
pub fn parse_time(
    table: &RoutingTable,
    text: &str,
    timezone: Option<&str>,
) -> Result<Timestamp, String> {
    let zone = match timezone {
        Some(name) => Some(
            TimeZone::get(name)
                .map_err(|_| format!("{} is not a time zone", diagnostic::quoted(name)))?,
        ),
        None => cases::common_zone(table),
    };
    cases::parse_time(table, text, zone.as_ref())
}
