//! `trunkline import`: configurations of other machines as tables.

use super::scratch::Scratch;
use crate::export;
use crate::import::{self, File, Finding, Names, Original, drouting, lists, proof};
use crate::limits::TABLE_FILE_BYTES_MAX;
use crate::tables::{self, Loaded};
use anyhow::{Context as _, bail};
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const WITH_ERRORS: &str = "the table that was made has errors; it was not written";

/// Make a table of the configuration of another machine, and compare the two.
#[derive(Debug, clap::Args)]
pub(super) struct Import {
    #[command(subcommand)]
    from: From,
}

#[derive(Debug, clap::Subcommand)]
enum From {
    /// The ini file of an AudioCodes SBC (7.0, 7.2, 7.4)
    Audiocodes(Audiocodes),
    /// A number list of Teams, Genesys, a carrier or a dial plan, as a DID list
    Numbers(Numbers),
    /// The rules and gateways of drouting (Kamailio, OpenSIPS)
    Drouting(Drouting),
    /// The sets of a dispatcher.list (Kamailio, OpenSIPS), as trunk groups
    Dispatcher(OneFile),
    /// A rate deck (prefix, carrier, rate), as a DID list by least cost
    Rates(OneFile),
    /// The lists of `trunkline export csv`, as DID lists
    Csv(Exported),
    /// The table of `trunkline export json`
    Json(Exported),
}

/// Make a table of dr_rules and dr_gateways, printed by the database with their column names.
///
/// Rules become rows, for both look for the longest prefix; lists of gateways become trunk
/// groups. Exits with 1 when something was left out.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  mysql -B -e 'select * from dr_rules' opensips > rules.tsv
  trunkline import drouting rules.tsv --gateways gateways.tsv --group 0 --to table")]
struct Drouting {
    /// The rules: prefix, gwlist, priority, groupid, timerec
    #[arg(value_name = "RULES")]
    rules: PathBuf,
    /// The gateways: gwid or id, address, strip, pri_prefix
    #[arg(long, value_name = "FILE")]
    gateways: PathBuf,
    /// Only rules of this groupid
    #[arg(long, value_name = "ID")]
    group: Option<String>,
    /// New folder for the table
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl Drouting {
    fn import(&self) -> anyhow::Result<ExitCode> {
        if self.to.exists() {
            bail!("{} is there already; name a new folder", self.to.display());
        }
        let (rules, mut of_rules) = read(&self.rules)?;
        let (gateways, mut of_gateways) = read(&self.gateways)?;
        let files = drouting::drouting(
            &rules,
            &gateways,
            self.group.as_deref(),
            &mut of_rules,
            &mut of_gateways,
        );
        let is_whole = of_rules.is_empty() && of_gateways.is_empty();
        print_findings(&self.rules, of_rules);
        print_findings(&self.gateways, of_gateways);
        if files.is_empty() {
            bail!("there is nothing that could be imported");
        }
        refuse_errors(&files)?;
        write_files(&self.to, &files)?;
        Ok(ExitCode::from(u8::from(!is_whole)))
    }
}

/// Read one file, and write what becomes of it on standard output. Exits with 1 when a line could
/// not be read.
#[derive(Debug, clap::Args)]
struct OneFile {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
}

impl OneFile {
    fn import(&self, of: fn(&str, &mut Vec<Finding>) -> String) -> anyhow::Result<ExitCode> {
        let (text, mut findings) = read(&self.file)?;
        let written = of(&text, &mut findings);
        let is_whole = findings.is_empty();
        print_findings(&self.file, findings);
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(written.as_bytes());
        Ok(ExitCode::from(u8::from(!is_whole)))
    }
}

/// Read again what `trunkline export` has written. Nothing is written when it has a mistake.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline export csv > numbers.csv; trunkline import csv numbers.csv --to lists
  trunkline export json > table.json; trunkline import json table.json --to table")]
struct Exported {
    /// The file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// New folder for what is in it
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

impl Exported {
    fn import(&self, is_json: bool) -> anyhow::Result<ExitCode> {
        if self.to.exists() {
            bail!("{} is there already; name a new folder", self.to.display());
        }
        let (text, findings) = read(&self.file)?;
        if !findings.is_empty() {
            print_findings(&self.file, findings);
            return Ok(ExitCode::from(1));
        }
        let files = match is_json {
            true => export::from_json(&text),
            false => export::from_csv(&text)
                .map_err(|wrong| format!("line {}: {}", wrong.line, wrong.message)),
        };
        match files {
            Ok(files) => {
                if is_json {
                    refuse_errors(&files)?;
                }
                write_files(&self.to, &files)?;
            }
            Err(why) => {
                eprintln!("trunkline: {}: {why}", self.file.display());
                return Ok(ExitCode::from(1));
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Make a DID list of a number list, on standard output.
///
/// Columns are known by their names: TelephoneNumber (Get-CsPhoneNumberAssignment | Export-Csv),
/// phoneNumber or startPhoneNumber and endPhoneNumber (Genesys), first and last (carriers),
/// Prefix and Tag (AudioCodes dial plan). JSON is read too: the pages of didpools and dids of the
/// Genesys Cloud API, or ConvertTo-Json. Exits with 1 when a row could not be read.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline import numbers teams-export.csv --group teams > table/dids/teams.csv
  trunkline import numbers dialplan.csv > table/dids/all.csv          # tags are trunk groups")]
struct Numbers {
    /// The list
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Trunk group of all rows; without it, that of the column Tag
    #[arg(long, value_name = "GROUP")]
    group: Option<String>,
}

impl Numbers {
    fn import(&self) -> anyhow::Result<ExitCode> {
        let (text, mut findings) = read(&self.file)?;
        let listed = lists::read(&text, &mut findings);
        let listed = lists::without_repeats(listed, &mut findings);
        let is_whole = findings.is_empty();
        print_findings(&self.file, findings);
        let written = lists::did_csv(&listed, self.group.as_deref());
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(written.as_bytes());
        Ok(ExitCode::from(u8::from(!is_whole)))
    }
}

/// Make a table of the ini file of an AudioCodes SBC.
///
/// IP groups, proxy sets, IP-to-IP routing rows, manipulations and release causes become
/// routing.toml; what a table cannot say is left out and listed with its line. The table is
/// then compared with the original over every number. Exits with 1 when something was left out
/// or does something else.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline import audiocodes sbc.ini --dry-run
  trunkline import audiocodes sbc.ini --to table")]
struct Audiocodes {
    /// The ini file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// New folder for the table
    #[arg(long, value_name = "DIR", required_unless_present = "dry_run")]
    to: Option<PathBuf>,
    /// Show the table, write nothing
    #[arg(long)]
    dry_run: bool,
}

impl Import {
    pub(super) fn execute(&self) -> ExitCode {
        let imported = match &self.from {
            From::Audiocodes(audiocodes) => audiocodes.import(),
            From::Numbers(numbers) => numbers.import(),
            From::Drouting(drouting) => drouting.import(),
            From::Dispatcher(file) => file.import(drouting::dispatcher),
            From::Rates(file) => file.import(drouting::rates),
            From::Csv(exported) => exported.import(false),
            From::Json(exported) => exported.import(true),
        };
        super::told(imported)
    }
}

impl Audiocodes {
    fn import(&self) -> anyhow::Result<ExitCode> {
        if let Some(to) = self.to.as_ref().filter(|to| to.exists()) {
            bail!("{} is there already; name a new folder", to.display());
        }
        let (text, mut findings) = read(&self.file)?;
        let (mut original, found) = import::import(&text);
        findings.extend(found);
        if original.size().0 == 0 {
            print_findings(&self.file, findings);
            bail!("there is no routing row that could be imported");
        }
        let (files, names, loaded) = settled(&mut original, &mut findings)?;
        let mut out = String::new();
        for (name, text) in files.iter().filter(|_| self.dry_run) {
            let _ = match files.len() {
                1 => writeln!(out, "{text}"),
                _ => writeln!(out, "──── {name} ────\n{text}"),
            };
        }
        let Some(table) = &loaded.table else {
            let _ = write!(out, "{}", loaded.report.text(false));
            let _ = std::io::stdout().write_all(out.as_bytes());
            bail!("{WITH_ERRORS}");
        };
        let proof = proof::compare(&original, &names, table);
        let is_whole = findings.is_empty() && proof.differences.is_empty() && proof.is_complete;
        let (rows, changes) = original.size();
        print_findings(&self.file, findings);
        for difference in &proof.differences {
            let _ = writeln!(out, "differs: {difference}");
        }
        let _ = writeln!(
            out,
            "{rows} routing rows, {changes} manipulations; {} kinds of numbers, {} calls compared: {}",
            proof.numbers,
            proof.compared,
            match (proof.differences.len(), proof.is_complete) {
                (_, false) => String::from("too many to compare all"),
                (0, true) => String::from("the same answers"),
                (count, true) => format!("{count} differences"),
            }
        );
        if !original.not_read().is_empty() {
            let tables = original.not_read().join(", ");
            let _ = writeln!(
                out,
                "tables of the file that have nothing to do with it: {tables}"
            );
        }
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(out.as_bytes());
        if let Some(to) = self.to.as_ref().filter(|_| !self.dry_run) {
            write_files(to, &files)?;
        }
        Ok(ExitCode::from(u8::from(!is_whole)))
    }
}

/// The text of a file of bounded size. Lines that are no UTF-8 are read as Latin-1, and said;
/// UTF-16 with a byte order mark is what spreadsheets and PowerShell write.
pub(super) fn read(file: &Path) -> anyhow::Result<(String, Vec<Finding>)> {
    let size = std::fs::metadata(file)
        .with_context(|| file.display().to_string())?
        .len();
    if size > TABLE_FILE_BYTES_MAX {
        bail!(
            "{} is larger than {TABLE_FILE_BYTES_MAX} bytes",
            file.display()
        );
    }
    let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
    Ok(import::text_of(&bytes))
}

/// The table, loaded, without rows that can never decide.
fn settled(
    original: &mut Original,
    findings: &mut Vec<Finding>,
) -> anyhow::Result<(Vec<File>, Names, Loaded)> {
    let mut last = None;
    let (files, names) = import::settled(original, findings, |files| {
        let loaded = last.insert(loaded(files)?);
        anyhow::Ok(loaded.report.dead_rules())
    })?;
    let loaded = last.context("the table was not loaded")?;
    Ok((files, names, loaded))
}

/// A table with errors is of no use to anybody: it is shown what they are, and not written.
fn refuse_errors(files: &[File]) -> anyhow::Result<()> {
    let loaded = loaded(files)?;
    if loaded.table.is_none() {
        let report = loaded.report.text(false);
        let _ = std::io::stderr().write_all(report.as_bytes());
        bail!("{WITH_ERRORS}");
    }
    Ok(())
}

fn loaded(files: &[File]) -> anyhow::Result<Loaded> {
    let scratch = Scratch::new().context("no room for a copy of the table")?;
    write_files(scratch.path(), files)?;
    Ok(tables::load(scratch.path()))
}

fn write_files(folder: &Path, files: &[File]) -> anyhow::Result<()> {
    for (name, text) in files {
        let path = folder.join(name);
        let parent = path.parent().unwrap_or(folder);
        std::fs::create_dir_all(parent).with_context(|| parent.display().to_string())?;
        std::fs::write(&path, text).with_context(|| path.display().to_string())?;
    }
    Ok(())
}

pub(super) fn print_findings(file: &Path, mut findings: Vec<Finding>) {
    findings.sort();
    findings.dedup();
    let mut err = String::new();
    for finding in &findings {
        let _ = writeln!(
            err,
            "{}:{}: {}",
            file.display(),
            finding.line,
            finding.message
        );
    }
    let _ = std::io::stderr().write_all(err.as_bytes());
}
