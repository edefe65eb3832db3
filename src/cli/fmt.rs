//! `trunkline fmt`: the files of a table, written neatly.

use super::scratch::Scratch;
use super::table_folder::table_folder;
use crate::export::neat;
use crate::plan;
use crate::tables;
use anyhow::{Context as _, bail};
use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

/// Write the files of a table neatly: blanks, line ends, plain numbers. No word is changed.
///
/// Names the files that differ from what they should be. The table must not have an error, and
/// must be the same afterwards, or nothing is written. With --check nothing is written, and 1 is
/// the answer where a file differs.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline fmt routing-tables/example
  trunkline fmt --check table; echo $?")]
pub(super) struct Fmt {
    /// Folder of the table; without it, that of ./trunkline.toml or /etc/trunkline
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Write nothing
    #[arg(long)]
    check: bool,
}

impl Fmt {
    pub(super) fn execute(&self) -> ExitCode {
        super::told(self.write())
    }

    fn write(&self) -> anyhow::Result<ExitCode> {
        let folder = table_folder(self.folder.as_deref(), None)?;
        let loaded = tables::load(&folder);
        let Some(before) = loaded.table else {
            bail!("the table has errors: trunkline check {}", folder.display());
        };
        let copy = Scratch::new().context("no room for a copy of the table")?;
        let mut differing = Vec::new();
        for file in loaded.files.iter() {
            let path = folder.join(file.name());
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let is_toml = file.name().to_ascii_lowercase().ends_with(".toml");
            let neat = if is_toml {
                neat::toml(&text)
            } else {
                neat::csv(&text)
            };
            let place = copy.path().join(file.name());
            fs::create_dir_all(place.parent().unwrap_or(copy.path()))?;
            fs::write(place, &neat)?;
            if neat != text {
                differing.push((path, neat));
            }
        }
        let after = tables::load(copy.path()).table;
        let plan =
            after.and_then(|after| plan::compare(&before, &after, jiff::Timestamp::now()).ok());
        if !plan.is_some_and(|plan| plan.is_empty()) {
            eprintln!("trunkline: nothing was written: the table would not be the same");
            return Ok(ExitCode::from(1));
        }
        for (path, neat) in &differing {
            println!("{}", path.display());
            if !self.check {
                super::move_dids::replace(path, neat)
                    .with_context(|| path.display().to_string())?;
            }
        }
        Ok(ExitCode::from(u8::from(
            self.check && !differing.is_empty(),
        )))
    }
}
