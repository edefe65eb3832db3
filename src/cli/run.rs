//! `trunkline run`: serve calls.

use std::path::PathBuf;
use std::process::ExitCode;

use crate::server::{self, Config, EXIT_CONFIG};

/// Serves calls as the configuration says.
///
/// Signals: HUP reads the routing tables again and keeps the old ones when the new have
/// errors; TERM and INT end after what is queued and outstanding; a second INT ends
/// now; USR1 opens the log file anew; USR2 logs the counters.
#[derive(Debug, clap::Args)]
pub(super) struct Run {
    /// The configuration file
    #[arg(long, short, value_name = "FILE", default_value = "trunkline.toml")]
    config: PathBuf,
}

impl Run {
    pub(super) fn execute(self) -> ExitCode {
        match Config::read(&self.config) {
            Ok(config) => server::run(&config),
            Err(report) => {
                anstream::eprint!("{}", report.text(true));
                ExitCode::from(EXIT_CONFIG)
            }
        }
    }
}
