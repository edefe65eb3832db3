//! `trunkline status`: what runs, and what serves.

use super::server::{self, Server};
use super::{history, trunk};
use crate::control::{Answer, Request, Status as Told};
use std::fmt::Write as _;
use std::process::ExitCode;

/// Show what a running server serves, and whether anything waits for you.
///
/// Exits with 0 when the server answers, with 69 when none does.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Status {
    pub(super) fn execute(&self) -> ExitCode {
        match self.server.ask(&Request::Status {}) {
            Ok(answer) => server::print(answer, self.json, |answer| match answer {
                Answer::Status(status) => page(status),
                other => server::unexpected(other),
            }),
            Err(code) => code,
        }
    }
}

fn page(status: &Told) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}", history::line(&status.generation));
    if let Some(trial) = &status.trial {
        let _ = writeln!(
            text,
            "ON TRIAL: returns to gen {} in {} s (at {}) unless you say: trunkline confirm",
            trial.return_to, trial.left_s, trial.until
        );
    }
    if status.held {
        let _ = writeln!(
            text,
            "NOT THE FOLDER: {} says something else, and the next reload reads it",
            status.tables
        );
    }
    if let Some(refused) = &status.refused {
        let _ = writeln!(
            text,
            "LAST CHANGE REFUSED at {} (by {}): {}",
            refused.at, refused.by, refused.why
        );
    }
    for sink in status
        .records
        .iter()
        .filter(|sink| !sink.up || sink.waiting > 0)
    {
        let state = if sink.up { "BEHIND" } else { "DOWN" };
        let age = sink.oldest_s.unwrap_or(0);
        let _ = writeln!(
            text,
            "RECORDS {state}: {}, {} wait, the oldest for {age} s, {} dropped",
            sink.name, sink.waiting, sink.dropped
        );
    }
    for out in &status.trunks_out {
        let state = out.state.as_str().to_uppercase();
        let _ = writeln!(text, "TRUNK {state}: {}{}", out.name, trunk::remark(out));
    }
    let _ = writeln!(text, "folder   {}", status.tables);
    let kept = match (&status.state, status.before) {
        (None, _) => String::from("nothing is kept ([state] dir is not set)"),
        (Some(state), None) => format!("{state}; nothing to undo yet"),
        (Some(state), Some(before)) => format!("{state}; undo brings back gen {before}"),
    };
    let _ = writeln!(text, "history  {kept}");
    let _ = writeln!(
        text,
        "server   {} on {}, {} workers, pid {}, since {}",
        status.version,
        status.listening.join(", "),
        status.workers,
        status.pid,
        status.started
    );
    text
}
