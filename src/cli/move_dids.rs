//! `trunkline move`: a wave of numbers, written into the DID lists.

use super::plan::Comparing;
use super::reconcile::read_list;
use super::scratch::Scratch;
use super::table_folder::table_folder;
use crate::tables::written::written_lists;
use crate::tables::{self, Loaded};
use crate::wave::Wave;
use anyhow::{Context as _, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Move numbers to a trunk group: change the DID lists of a table, and show what that does.
///
/// A row all of whose numbers move gets the trunk group; where only some of them do, a row for
/// these is written below it. Comments and order stay. Nothing is written when a number has no
/// row or the table would have an error. Nothing is served by it: that is `trunkline reload`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline move --dids wave-3.csv --to teams --dry-run      # what it would do
  trunkline move --dids wave-3.csv --to teams
  trunkline reload --confirm 300 --message 'wave 3'")]
pub(super) struct Move {
    /// The numbers: a list with TelephoneNumber, number, or first and last; CSV or JSON
    #[arg(long, value_name = "FILE")]
    dids: PathBuf,
    /// Trunk group they go to
    #[arg(long, value_name = "GROUP")]
    to: String,
    /// Folder of the table; without it, that of ./trunkline.toml or /etc/trunkline
    #[arg(long, value_name = "DIR")]
    table: Option<PathBuf>,
    /// Show what would change, write nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    comparing: Comparing,
}

impl Move {
    pub(super) fn execute(&self) -> ExitCode {
        super::told(self.write())
    }

    fn write(&self) -> anyhow::Result<ExitCode> {
        let folder = table_folder(self.table.as_deref(), None)?;
        let Loaded {
            table: Some(table),
            files,
            ..
        } = tables::load(&folder)
        else {
            bail!("the table has errors: trunkline check {}", folder.display());
        };
        if table.group_named(&self.to).is_none() {
            bail!("the table has no trunk group {:?}", self.to);
        }
        let (numbers, is_whole) = read_list(&self.dids)?;
        if !is_whole {
            eprintln!("trunkline: nothing was moved: not all of the list could be read");
            return Ok(ExitCode::from(1));
        }
        let wave = match Wave::of(&table, &written_lists(&folder), &numbers, &self.to) {
            Ok(wave) => wave,
            Err(refused) => {
                eprintln!("trunkline: nothing was moved: {refused}");
                return Ok(ExitCode::from(1));
            }
        };
        // Tried on a copy first: what would be refused is never written.
        let copy = Scratch::new().context("no room for a copy of the table")?;
        for file in files.iter() {
            let place = copy.path().join(file.name());
            fs::create_dir_all(place.parent().unwrap_or(copy.path()))?;
            fs::copy(folder.join(file.name()), place)?;
        }
        let mut texts = Vec::new();
        for (file, ..) in wave.files() {
            let path = folder.join(file);
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            let text = wave.text(file, &text, &self.to);
            fs::write(copy.path().join(file), &text)?;
            texts.push((path, text));
        }
        let name = folder.display().to_string();
        let (code, is_sound) = self.comparing.between(
            [&name, &format!("{name}, moved")],
            [&folder, copy.path()],
            || self.summary(&wave),
        );
        if !is_sound {
            eprintln!("trunkline: nothing was moved");
        } else if !self.dry_run {
            for (path, text) in &texts {
                replace(path, text).with_context(|| path.display().to_string())?;
            }
        }
        Ok(code)
    }

    /// What is written, file by file.
    fn summary(&self, wave: &Wave) -> String {
        let mut text = String::new();
        for (file, changed, added) in wave.files() {
            let rows = |count: usize| match count {
                1 => String::from("1 row"),
                count => format!("{count} rows"),
            };
            let (changed, added) = (rows(changed), rows(added));
            text.push_str(&format!("{file}: {changed} changed, {added} added\n"));
        }
        let numbers = |count: u64| match count {
            1 => String::from("1 number"),
            count => format!("{count} numbers"),
        };
        if wave.already_there > 0 {
            let there = numbers(wave.already_there);
            text.push_str(&format!("{there} assigned to {} already\n", self.to));
        }
        if self.dry_run {
            text.push_str("nothing was written (--dry-run)\n");
        }
        text
    }
}

/// Puts a text in the place of a file at once, so that nobody ever reads half of it. A link
/// stays a link.
pub(super) fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let path = path.canonicalize()?;
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(format!(".{}.new", std::process::id()));
    let new = path.with_file_name(name);
    let written = fs::write(&new, text)
        .and_then(|()| fs::set_permissions(&new, fs::metadata(&path)?.permissions()))
        .and_then(|()| fs::rename(&new, &path));
    if written.is_err() {
        let _ = fs::remove_file(&new);
    }
    written
}
