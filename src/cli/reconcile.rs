//! `trunkline reconcile`: number lists of the platforms and carriers against the table.

use super::import::{print_findings, read};
use super::table_folder::table_folder;
use crate::import::lists::{self, Listed};
use crate::import::reconcile::{Kind, Platform, Stretch, reconcile};
use crate::tables;
use anyhow::bail;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Compare number lists of Teams, Genesys and the carriers with a table.
///
/// Says which numbers are on both platforms, routed against their owner, owned by nobody,
/// missing in the table, in no block of a carrier, or free in one. Exits with 1 when anything
/// disagrees; free numbers do not.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline reconcile --teams teams.csv --genesys dids.csv --genesys-group genesys-london
  trunkline reconcile --teams teams.csv --blocks carrier.csv --csv > disagreements.csv")]
pub(super) struct Reconcile {
    /// Numbers of Teams, as Get-CsPhoneNumberAssignment | Export-Csv writes them
    #[arg(long, value_name = "FILE")]
    teams: Option<PathBuf>,
    /// Trunk group that leads to Teams; may be repeated
    #[arg(long, value_name = "GROUP", default_value = "teams")]
    teams_group: Vec<String>,
    /// Numbers of Genesys Cloud: phoneNumber, or startPhoneNumber and endPhoneNumber
    #[arg(long, value_name = "FILE")]
    genesys: Option<PathBuf>,
    /// Trunk group that leads to Genesys; may be repeated
    #[arg(long, value_name = "GROUP", default_value = "genesys")]
    genesys_group: Vec<String>,
    /// Blocks of the carriers: first and last, or number
    #[arg(long, value_name = "FILE")]
    blocks: Option<PathBuf>,
    /// Folder of the table; without it, that of ./trunkline.toml or /etc/trunkline
    #[arg(long, value_name = "DIR")]
    table: Option<PathBuf>,
    /// Write CSV
    #[arg(long)]
    csv: bool,
}

impl Reconcile {
    pub(super) fn execute(&self) -> ExitCode {
        super::told(self.compare())
    }

    fn compare(&self) -> anyhow::Result<ExitCode> {
        if self.teams.is_none() && self.genesys.is_none() && self.blocks.is_none() {
            bail!("nothing to compare: say --teams, --genesys or --blocks");
        }
        let folder = table_folder(self.table.as_deref(), None)?;
        let Some(table) = tables::load(&folder).table else {
            bail!("the table has errors: trunkline check {}", folder.display());
        };
        for group in self.teams_group.iter().filter(|_| self.teams.is_some()) {
            known(&table, group)?;
        }
        for group in self.genesys_group.iter().filter(|_| self.genesys.is_some()) {
            known(&table, group)?;
        }
        let mut unread = false;
        let mut list = |file: &Option<PathBuf>| -> anyhow::Result<Option<Vec<Listed>>> {
            let Some(file) = file else {
                return Ok(None);
            };
            let (listed, is_whole) = read_list(file)?;
            unread |= !is_whole;
            Ok(Some(listed))
        };
        let (teams, genesys, blocks) = (
            list(&self.teams)?,
            list(&self.genesys)?,
            list(&self.blocks)?,
        );
        let lists = [
            ("Teams", &teams, &self.teams_group),
            ("Genesys", &genesys, &self.genesys_group),
        ];
        let platforms: Vec<Platform<'_>> = lists
            .into_iter()
            .filter_map(|(name, listed, groups)| {
                Some(Platform {
                    name,
                    listed: listed.as_deref()?,
                    groups,
                })
            })
            .collect();
        let found = reconcile(&platforms, blocks.as_deref(), &table);
        let written = match self.csv {
            true => csv(&found),
            false => page(&found),
        };
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(written.as_bytes());
        let disagrees = found.iter().any(|stretch| stretch.kind != Kind::Free);
        Ok(ExitCode::from(u8::from(disagrees || unread)))
    }
}

fn known(table: &crate::routing::RoutingTable, group: &str) -> anyhow::Result<()> {
    if table.group_named(group).is_none() {
        bail!("the table has no trunk group {group:?}");
    }
    Ok(())
}

/// The rows of a list, and whether all of it could be read.
pub(super) fn read_list(file: &Path) -> anyhow::Result<(Vec<Listed>, bool)> {
    let (text, mut findings) = read(file)?;
    let listed = lists::read(&text, &mut findings);
    let is_whole = findings.is_empty();
    print_findings(file, findings);
    Ok((listed, is_whole))
}

fn shown(stretch: &Stretch) -> String {
    match stretch.first == stretch.last {
        true => stretch.first.to_string(),
        false => format!("{} to {}", stretch.first, stretch.last),
    }
}

fn page(found: &[Stretch]) -> String {
    let mut page = String::new();
    for same in found.chunk_by(|a, b| a.kind == b.kind) {
        let Some(kind) = same.first().map(|stretch| stretch.kind) else {
            continue;
        };
        let count: u64 = same.iter().map(|stretch| stretch.count).sum();
        let _ = writeln!(page, "{}: {count} numbers", kind.as_str());
        for stretch in same {
            let _ = write!(page, "  {}", shown(stretch));
            if !stretch.owners.is_empty() {
                let _ = write!(page, "  of {}", stretch.owners);
            }
            if !stretch.group.is_empty() {
                let _ = write!(page, "  assigned to {}", stretch.group);
            }
            page.push('\n');
        }
    }
    if found.is_empty() {
        page.push_str("all lists and the table agree\n");
    }
    page
}

fn csv(found: &[Stretch]) -> String {
    let mut csv = String::from("finding,first,last,count,owners,trunk_group\n");
    for stretch in found {
        let _ = writeln!(
            csv,
            "{},{},{},{},{},{}",
            stretch.kind.as_str(),
            stretch.first,
            stretch.last,
            stretch.count,
            stretch.owners,
            stretch.group
        );
    }
    csv
}
