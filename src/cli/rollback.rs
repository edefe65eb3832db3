//! `trunkline rollback`: serve an older table again.

use super::reload::{How, made};
use super::server::{self, Server};
use crate::control::Request;
use std::process::ExitCode;

/// Serve the table of an older generation again, whatever the table folder says.
///
/// It becomes a new generation, and serves, over restarts too, until the next reload reads the
/// folder. The gates of [policy] are asked; --force makes the change in spite of them.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline history
  trunkline diff 215 209                # what going back to gen 209 would do
  trunkline rollback 209 --confirm 300 --message 'before the carrier change'")]
pub(super) struct Rollback {
    /// The generation whose table is to serve
    #[arg(value_name = "GEN")]
    generation: u64,
    #[command(flatten)]
    how: How,
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Rollback {
    pub(super) fn execute(&self) -> ExitCode {
        let request = Request::Rollback {
            generation: self.generation,
            how: self.how.change(),
        };
        match self.server.ask(&request) {
            Ok(answer) => server::print(answer, self.json, made),
            Err(code) => code,
        }
    }
}
