//! `trunkline plan`: what a change does to calls, before it does it.

use super::color::ColorChoice;
use super::plan_text;
use super::server::Server;
use crate::plan::{self, Plan as Changes};
use crate::routing::RoutingTable;
use crate::tables::{self, Gates, Loaded, diagnostic::Severity};
use anyhow::bail;
use jiff::Timestamp;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show what a change of the table does to calls: which numbers, from where to where, and why.
///
/// Both tables are compared over every number, for every trunk group calls arrive on, every
/// caller, host, label and hour that a rule can tell apart. Exits with 0 when the gates of the
/// old table let the change pass, with 1 when one does not or a table has an error; with
/// --detailed-exitcode 2 says that something changes.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline plan /etc/trunkline/table           # against what the running server serves
  trunkline plan old-table new-table
  trunkline plan --all old new                  # every range
  trunkline plan --json old new                 # for pipelines
  trunkline plan --detailed-exitcode old new; echo $?")]
pub(super) struct Plan {
    /// Folder of the table as it is, if not what the running server serves; folder of the
    /// table as it is to be
    #[arg(value_names = ["OLD", "NEW"], num_args = 1..=2, required = true)]
    folders: Vec<PathBuf>,
    #[command(flatten)]
    comparing: Comparing,
    #[command(flatten)]
    server: Server,
}

/// How two tables are compared, and how that is written.
#[derive(Debug, clap::Args)]
pub(super) struct Comparing {
    /// One JSON object
    #[arg(long)]
    json: bool,
    /// Every range and every line, however many
    #[arg(long)]
    all: bool,
    /// Exit with 2 when something changes and every gate holds
    #[arg(long)]
    detailed_exitcode: bool,
    /// Calls from when on: 'Mon 10:00', '2026-12-25 10:00' or RFC 3339; without it, now
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    /// Time zone of a wall-clock --since, where the table's schedules differ: Europe/London
    #[arg(long, value_name = "ZONE", requires = "since")]
    timezone: Option<String>,
    /// When to use colours
    #[arg(long, value_enum, default_value_t)]
    color: ColorChoice,
}

/// Both tables and what lies between them.
pub(super) struct Planned<'a> {
    /// What each is called: a folder, or a generation.
    pub(super) names: [&'a str; 2],
    pub(super) before: &'a RoutingTable,
    pub(super) after: &'a RoutingTable,
    pub(super) plan: &'a Changes,
    pub(super) gates: &'a Gates,
}

impl Plan {
    pub(super) fn execute(&self) -> ExitCode {
        let name = |folder: &Path| folder.display().to_string();
        match &*self.folders {
            [old, new] => self.comparing.execute([&name(old), &name(new)], [old, new]),
            [new] => match self.server.table_of(None) {
                Ok(serving) => self.comparing.execute(
                    [&format!("{}, which serves", serving.title()), &name(new)],
                    [serving.path(), new],
                ),
                Err(code) => code,
            },
            _ => ExitCode::from(2),
        }
    }
}

impl Comparing {
    /// Compares the tables in two folders and prints what lies between them.
    pub(super) fn execute(&self, names: [&str; 2], folders: [&Path; 2]) -> ExitCode {
        self.between(names, folders, String::new).0
    }

    /// The same, with what is to be said before; and whether neither table has an error.
    pub(super) fn between(
        &self,
        names: [&str; 2],
        folders: [&Path; 2],
        before_all: impl FnOnce() -> String,
    ) -> (ExitCode, bool) {
        let loaded = [(names[0], folders[0]), (names[1], folders[1])]
            .map(|(name, folder)| self.load(name, folder));
        let [Some(before), Some(after)] = loaded else {
            eprintln!("trunkline: a table has errors; nothing was compared");
            return (ExitCode::from(1), false);
        };
        if !self.json {
            // A closed pipe is no reason to complain.
            let _ = std::io::stdout().write_all(before_all().as_bytes());
        }
        (super::told(self.compare(names, &before, &after)), true)
    }

    /// The table, or its errors on standard error.
    fn load(&self, name: &str, folder: &Path) -> Option<RoutingTable> {
        let Loaded {
            table, mut report, ..
        } = tables::load(folder);
        if table.is_none() {
            report
                .diagnostics
                .retain(|found| found.severity == Severity::Error);
            let color = self.color.for_stream(&std::io::stderr());
            eprintln!("{name}:");
            let _ = anstream::stderr().write_all(report.text(color).as_bytes());
        }
        table
    }

    fn compare(
        &self,
        names: [&str; 2],
        before: &RoutingTable,
        after: &RoutingTable,
    ) -> anyhow::Result<ExitCode> {
        let since = match &self.since {
            Some(text) => match tables::parse_time(after, text, self.timezone.as_deref()) {
                Ok(since) => since,
                Err(message) => bail!("--since: {message}"),
            },
            None => Timestamp::now(),
        };
        let compared = plan::compare(before, after, since);
        let gates = Gates::of(compared.as_ref().map_err(|error| *error), before, after);
        let plan = match &compared {
            Ok(plan) => plan,
            Err(error) => {
                eprintln!("trunkline: nothing was compared: {error}");
                eprintln!("trunkline: change {}", gates.change);
                return Ok(ExitCode::from(1));
            }
        };
        let planned = Planned {
            names,
            before,
            after,
            plan,
            gates: &gates,
        };
        let mut out = std::io::stdout().lock();
        let written = if self.json {
            let tables = [planned.before, planned.after];
            let object = tables::plan_json(tables, planned.plan, planned.gates);
            serde_json::to_string_pretty(&object).unwrap_or_default() + "\n"
        } else {
            let color = self.color.for_stream(&std::io::stdout());
            plan_text::page(&planned, self.all, color)
        };
        // A closed pipe is no reason to complain.
        let _ = out.write_all(written.as_bytes());
        Ok(match (gates.let_pass(), self.detailed_exitcode) {
            (false, _) => ExitCode::from(1),
            (true, true) if !plan.is_empty() => ExitCode::from(2),
            (true, _) => ExitCode::SUCCESS,
        })
    }
}
