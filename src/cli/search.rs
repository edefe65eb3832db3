//! `trunkline search`: where a number, a range, a rule or a comment stands.

use super::table_folder::table_folder;
use crate::tables;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Show where a number, a range, a rule or a comment stands in the files of a table.
///
/// Lines that contain the text are shown, case apart. A number, a prefix such as +4420* or a
/// range is also found in every row and rule that has a number in common with it. Exits with 1
/// when nothing was found.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline search +442079460123 --table routing-tables/example    # its row, its block, its rules
  trunkline search '+442079460500 to +442079460599'
  trunkline search Finance")]
pub(super) struct Search {
    /// A number, a prefix, a range, or any text
    #[arg(value_name = "TEXT", allow_hyphen_values = true)]
    text: String,
    /// Folder of the table; without it, that of ./trunkline.toml or /etc/trunkline
    #[arg(long, value_name = "DIR")]
    table: Option<PathBuf>,
}

impl Search {
    pub(super) fn execute(&self) -> ExitCode {
        let folder = match table_folder(self.table.as_deref(), None) {
            Ok(folder) => folder,
            Err(error) => {
                eprintln!("trunkline: {error:#}");
                return ExitCode::from(2);
            }
        };
        if !folder.is_dir() {
            eprintln!("trunkline: {} is no folder", folder.display());
            return ExitCode::from(2);
        }
        let found = tables::search::search(&folder, &self.text);
        let mut out = String::new();
        for hit in &found.hits {
            let (file, line, column) = (&hit.file, hit.line, hit.column);
            let _ = writeln!(out, "{file}:{line}:{column}: {}", hit.text.trim());
        }
        if found.more > 0 {
            let _ = writeln!(out, "… and {} more", found.more);
        }
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(out.as_bytes());
        ExitCode::from(u8::from(found.hits.is_empty()))
    }
}
