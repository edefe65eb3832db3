//! `trunkline history`: which tables served, since when, and by whom.

use super::history_of::Numbered;
use super::server::{self, Server};
use crate::control::{Answer, Request};
use crate::ledger::Generation;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Show which tables have served: since when, who had them served, and why; or where calls to
/// one number went under each of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline history                     # newest first
  trunkline history --number +442079460123 --from carrier
  trunkline history --number +442079460123 --on '2026-05-03 10:00'
  trunkline diff 213 214                # what gen 214 changed
  trunkline route +442079460123 --gen 213")]
pub(super) struct History {
    /// At most so many, newest first
    #[arg(long, value_name = "N", conflicts_with = "number")]
    last: Option<usize>,
    #[command(flatten)]
    numbered: Numbered,
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl History {
    pub(super) fn execute(&self) -> ExitCode {
        if let Some(number) = &self.numbered.number {
            return self.numbered.execute(number, &self.server, self.json);
        }
        let request = Request::History { number: self.last };
        match self.server.ask(&request) {
            Ok(answer) => server::print(answer, self.json, |answer| match answer {
                Answer::History { generations } => {
                    generations.iter().map(|kept| line(kept) + "\n").collect()
                }
                other => server::unexpected(other),
            }),
            Err(code) => code,
        }
    }
}

/// `gen 215  2026-08-21T09:14:02Z  reload by klein  12480 DIDs, 41 rules  9f3c12ab34cd  "wave 3"`.
pub(super) fn line(generation: &Generation) -> String {
    let counts = generation.counts;
    let cause = generation.cause.as_str();
    let mut text = format!("gen {}  {:.0}  {cause}", generation.number, generation.at);
    // A start is by itself.
    if generation.by != cause {
        let _ = write!(text, " by {}", generation.by);
    }
    if let Some(of) = generation.table_of {
        let _ = write!(text, ", the table of gen {of}");
    }
    let _ = write!(
        text,
        "  {} DIDs, {} rules  {:.12}",
        counts.dids, counts.rules, generation.sha256
    );
    if let Some(message) = &generation.message {
        let _ = write!(text, "  {message:?}");
    }
    text
}
