//! `trunkline healthcheck`: whether a running server answers calls, as an exit code.

use super::server::Server;
use crate::control::{Answer, Request};
use std::process::ExitCode;

/// Exit with 0 when the running server answers with a table, else with 1.
///
/// For containers and scripts. Silent when all is well; why not is said on standard error.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline healthcheck
  HEALTHCHECK CMD [\"/usr/bin/trunkline\", \"healthcheck\"]    # in a Containerfile")]
pub(super) struct Healthcheck {
    #[command(flatten)]
    server: Server,
}

impl Healthcheck {
    pub(super) fn execute(&self) -> ExitCode {
        match self.server.ask(&Request::Status {}) {
            Ok(Answer::Status(_)) => ExitCode::SUCCESS,
            Ok(Answer::Refused(refused)) => {
                eprintln!("trunkline: {}", refused.message);
                ExitCode::from(1)
            }
            Ok(other) => {
                eprintln!("trunkline: an answer to another question: {other:?}");
                ExitCode::from(1)
            }
            // Why is said. Docker knows no other code than 1.
            Err(_) => ExitCode::from(1),
        }
    }
}
