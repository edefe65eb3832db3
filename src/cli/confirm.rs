//! `trunkline confirm`: keep the table that is on trial.

use super::server::{self, Server};
use crate::control::{Answer, Request};
use std::process::ExitCode;

/// Keep the table that a reload or rollback with --confirm put on trial.
///
/// Exits with 1 when no change awaits a confirmation: it may have been taken back already.
#[derive(Debug, clap::Args)]
pub(super) struct Confirm {
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Confirm {
    pub(super) fn execute(&self) -> ExitCode {
        match self.server.ask(&Request::Confirm {}) {
            Ok(answer) => server::print(answer, self.json, |answer| match answer {
                Answer::Confirmed { generation } => {
                    format!("gen {} is confirmed, and stays\n", generation.number)
                }
                other => server::unexpected(other),
            }),
            Err(code) => code,
        }
    }
}
