//! `trunkline undo`: serve again what served before.

use super::reload;
use super::server::{self, Server};
use crate::control::{Change, Request};
use std::process::ExitCode;

/// Serve the table again that served before, whatever the table folder says.
///
/// A change on trial is taken back at once. No gate of [policy] is asked. It serves, over
/// restarts too, until the next reload reads the folder: repair that first. Another undo
/// brings back what was undone.
#[derive(Debug, clap::Args)]
pub(super) struct Undo {
    /// A word about it, for the history
    #[arg(long, short, value_name = "TEXT")]
    message: Option<String>,
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Undo {
    pub(super) fn execute(&self) -> ExitCode {
        let how = Change {
            message: self.message.clone(),
            ..Change::default()
        };
        match self.server.ask(&Request::Undo(how)) {
            Ok(answer) => server::print(answer, self.json, reload::made),
            Err(code) => code,
        }
    }
}
