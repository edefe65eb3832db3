//! `trunkline export`: a table for others.

use super::table_folder::table_folder;
use crate::export;
use crate::tables::{self, written::written_lists};
use anyhow::bail;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write a table, or its numbers, for other programs; on standard output.
///
/// What is written is read again by `trunkline import`, and is the same table then. Exits with 1
/// when something could not be written.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline export csv > numbers.csv            # import csv reads it
  trunkline export json | jq .table.trunk_group # import json reads it
  trunkline export dial-plan --name DIDs > dialplan.csv")]
pub(super) struct Export {
    /// What for
    #[arg(value_enum)]
    form: Form,
    /// Folder of the table; without it, that of ./trunkline.toml or /etc/trunkline
    #[arg(long, value_name = "DIR")]
    table: Option<PathBuf>,
    /// Name of the dial plan
    #[arg(long, value_name = "NAME", default_value = "trunkline")]
    name: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Form {
    /// All DID lists as one
    Csv,
    /// All of the table
    Json,
    /// What is assigned, as a dial plan of an AudioCodes SBC
    DialPlan,
}

impl Export {
    pub(super) fn execute(&self) -> ExitCode {
        super::told(self.write())
    }

    fn write(&self) -> anyhow::Result<ExitCode> {
        let folder = table_folder(self.table.as_deref(), None)?;
        let loaded = tables::load(&folder);
        if loaded.table.is_none() {
            bail!("the table has errors: trunkline check {}", folder.display());
        }
        let lists = written_lists(&folder);
        let (text, doubts) = match self.form {
            Form::Csv => (export::csv(&lists), Vec::new()),
            Form::Json => {
                let is_toml = |name: &str| name.to_ascii_lowercase().ends_with(".toml");
                let files = loaded.files.iter().filter(|file| is_toml(file.name()));
                let texts: Vec<&str> = files.map(|file| file.text()).collect();
                (export::json(&texts, &lists), Vec::new())
            }
            Form::DialPlan => export::dial_plan(&lists, &self.name),
        };
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(text.as_bytes());
        for doubt in &doubts {
            eprintln!("trunkline: {doubt}");
        }
        Ok(ExitCode::from(u8::from(!doubts.is_empty())))
    }
}
