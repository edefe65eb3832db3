//! `trunkline reload`: serve what the table folder says by now.

use super::server::{self, Server};
use crate::control::{Answer, Change, Request};
use crate::limits::CONFIRM_SECONDS_MAX;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Have the running server read its table folder again.
///
/// A table with an error, or a change over a gate of [policy], is refused, and the old table
/// serves on. Exits with 0 when the folder serves, with 1 when it was refused, with 69 when no
/// server answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline reload --message 'wave 3'
  trunkline reload --confirm 300        # comes back by itself unless you say: trunkline confirm
  trunkline reload --force              # in spite of the gates of [policy]")]
pub(super) struct Reload {
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

/// How a change is made.
#[derive(Debug, clap::Args)]
pub(super) struct How {
    /// Return to the former table after so many seconds, unless it is confirmed
    #[arg(long, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=i64::from(CONFIRM_SECONDS_MAX)))]
    confirm: Option<u32>,
    /// A word about the change, for the history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    /// Make the change even if a gate of [policy] does not hold
    #[arg(long)]
    force: bool,
}

impl How {
    pub(super) fn change(&self) -> Change {
        Change {
            confirm_s: self.confirm,
            message: self.message.clone(),
            force: self.force,
        }
    }
}

impl Reload {
    pub(super) fn execute(&self) -> ExitCode {
        match self.server.ask(&Request::Reload(self.how.change())) {
            Ok(answer) => server::print(answer, self.json, made),
            Err(code) => code,
        }
    }
}

/// What became of a change, in words.
pub(super) fn made(answer: &Answer) -> String {
    let mut text = String::new();
    match answer {
        Answer::Changed(made) => {
            for warning in &made.warnings {
                let _ = writeln!(text, "{warning}");
            }
            let counts = made.generation.counts;
            let of = match made.generation.table_of {
                Some(of) => format!(" the table of gen {of},"),
                None => String::new(),
            };
            let _ = writeln!(
                text,
                "gen {} serves:{of} {} DIDs, {} rules; gen {} did before ({} ms)",
                made.generation.number, counts.dids, counts.rules, made.former, made.took_ms
            );
            if let Some(trial) = &made.trial {
                let _ = writeln!(
                    text,
                    "It returns to gen {} at {} unless you say: trunkline confirm",
                    trial.return_to, trial.until
                );
            }
            if made.held {
                text.push_str(
                    "The table folder says something else: repair it, for the next reload reads it\n",
                );
            }
        }
        Answer::Unchanged { generation } => {
            let _ = writeln!(text, "gen {generation} serves on: nothing would change");
        }
        other => text = server::unexpected(other),
    }
    text
}
