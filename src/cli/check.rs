//! `trunkline check`: every mistake of a table at once, then its cases.

use super::color::ColorChoice;
use crate::server::{self, Config};
use crate::tables::{self, Loaded, Summary, diagnostic::Diagnostic, profile::Applied};
use crate::transport::TlsFileError;
use serde::Serialize;
use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Report every mistake of a routing table at once, then run its cases.
///
/// Exits with 0 when the table can be served, with 1 when it has an error or a case fails.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline check routing-tables/example
  trunkline check --config /etc/trunkline/trunkline.toml   # as a start would
  trunkline check --format short routing-tables/example    # for editors
  trunkline check --format json routing-tables/example     # for pipelines")]
pub(super) struct Check {
    /// Folder of the table
    #[arg(value_name = "DIR", required_unless_present = "config")]
    folder: Option<PathBuf>,
    /// A configuration, the table it names and the certificates it names, as a start would
    /// read them
    #[arg(long, short, value_name = "FILE", conflicts_with = "folder")]
    config: Option<PathBuf>,
    /// How findings are written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// Show also what is no mistake but worth to know (T045, T046)
    #[arg(long)]
    info: bool,
    /// Say nothing but findings
    #[arg(short, long)]
    quiet: bool,
    /// When to use colours
    #[arg(long, value_enum, default_value_t)]
    color: ColorChoice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// With the line and a caret
    #[default]
    Text,
    /// One line each: file:line:column: severity code: message
    Short,
    /// One JSON object
    Json,
}

/// The JSON form; fields are kept within a schema version.
#[derive(Serialize)]
struct CheckReport<'a> {
    schema: &'static str,
    ok: bool,
    errors: u64,
    warnings: u64,
    sha256: Option<String>,
    read: Summary,
    diagnostics: &'a [Diagnostic],
    /// What profiles put where the table says nothing, by trunk group.
    profiles: &'a [Applied],
    /// What is no mistake.
    infos: &'a [Diagnostic],
    /// Findings beyond the number that is kept, by code.
    left_out: BTreeMap<&'static str, u64>,
}

impl Check {
    pub(super) fn execute(&self) -> ExitCode {
        let begun = std::time::Instant::now();
        let (loaded, certificates) = self.load();
        let took = begun.elapsed();
        let mut out = std::io::stdout().lock();
        let color = self.color.for_stream(&std::io::stdout());
        let mut written = match self.format {
            Format::Json => self.json(&loaded, certificates.is_none()),
            Format::Short => loaded.report.short(),
            Format::Text => loaded.report.text(color),
        };
        for found in loaded.report.infos.iter().filter(|_| self.info) {
            match self.format {
                Format::Json => {}
                Format::Short => written.push_str(&format!("{}\n", found.short())),
                Format::Text => written.push_str(&format!("{}\n\n", found.text(color))),
            }
        }
        if self.info && self.format == Format::Text {
            let profiles = loaded.profiles.iter();
            profiles.for_each(|applied| written.push_str(&applied.text()));
        }
        // A closed pipe is no reason to complain.
        let _ = out.write_all(written.as_bytes());
        // Of a configuration with errors no table was read.
        let was_read = self.config.is_none() || loaded.summary.toml_files > 0;
        if self.format != Format::Json && !self.quiet && was_read {
            let _ = writeln!(out, "{}", summary_line(&loaded, took));
        }
        if let Some(unusable) = &certificates {
            eprintln!("trunkline: {unusable}");
        }
        if loaded.report.has_errors() || certificates.is_some() {
            ExitCode::from(1)
        } else {
            ExitCode::SUCCESS
        }
    }

    /// What was read, and the certificate that cannot be used. Of a configuration with errors
    /// these are all that is told.
    fn load(&self) -> (Loaded, Option<TlsFileError>) {
        match (&self.config, &self.folder) {
            (Some(file), _) => match Config::read(file) {
                Ok(config) => (
                    tables::load(&config.tables),
                    server::check_certificates(&config).err(),
                ),
                Err(report) => (Loaded::refused(report), None),
            },
            (None, folder) => (
                tables::load(folder.as_deref().unwrap_or(Path::new("."))),
                None,
            ),
        }
    }

    fn json(&self, loaded: &Loaded, certificates_ok: bool) -> String {
        let report = CheckReport {
            schema: "trunkline.check/1",
            ok: !loaded.report.has_errors() && certificates_ok,
            errors: loaded.report.errors,
            warnings: loaded.report.warnings,
            sha256: loaded.table.as_ref().map(|table| table.hash().to_string()),
            read: loaded.summary,
            diagnostics: &loaded.report.diagnostics,
            profiles: &loaded.profiles,
            infos: &loaded.report.infos,
            left_out: loaded
                .report
                .left_out
                .iter()
                .map(|(c, n)| (c.as_str(), *n))
                .collect(),
        };
        let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// `3 TOML and 2 CSV files, 12480 DIDs, 41 rules, 37 cases passed: no errors, 1 warning (38 ms)`.
fn summary_line(loaded: &Loaded, took: Duration) -> String {
    let read = &loaded.summary;
    let count = |n: u64, what: &str| match n {
        0 => format!("no {what}s"),
        1 => format!("1 {what}"),
        n => format!("{n} {what}s"),
    };
    let cases = match (read.cases, read.cases_failed) {
        (0, _) => "no cases run".to_owned(),
        (run, 0) => format!("{} passed", count(run as u64, "case")),
        (run, failed) => format!("{failed} of {} failed", count(run as u64, "case")),
    };
    format!(
        "{} TOML and {}, {}, {}, {cases}: {}, {} ({} ms)",
        read.toml_files,
        count(read.csv_files as u64, "CSV file"),
        count(read.dids, "DID"),
        count(read.rules as u64, "rule"),
        count(loaded.report.errors, "error"),
        count(loaded.report.warnings, "warning"),
        took.as_millis(),
    )
}
