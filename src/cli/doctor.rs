//! `trunkline doctor`: what is in the way of a server that should answer calls.

use crate::doctor::{self, Asked};
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Look at everything a server needs, and say what is wrong and what to do about it.
///
/// Configuration, table, certificates, ports, the state folder, limits, the clock, the way to
/// those that send calls, names in DNS, trunks. Nothing is changed. Ask as the server's user to
/// see what it may read. Exits with 1 when something is broken.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline doctor
  trunkline doctor --connect                        # speaks to trunks: TLS, OPTIONS
  runuser -u trunkline -- trunkline doctor --json")]
pub(super) struct Doctor {
    /// The configuration; without it, ./trunkline.toml or that of /etc/trunkline
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Speak to trunks: a TLS handshake, and OPTIONS where no server runs that sends them
    #[arg(long)]
    connect: bool,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl Doctor {
    pub(super) fn execute(self) -> ExitCode {
        let found = || super::configs().next().map(PathBuf::from);
        let Some(config) = self.config.or_else(found) else {
            eprintln!("trunkline: which configuration? say --config FILE");
            return ExitCode::from(2);
        };
        let report = doctor::examine(&Asked {
            config,
            connect: self.connect,
        });
        let text = if self.json {
            let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
            text.push('\n');
            text
        } else {
            report.text()
        };
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(text.as_bytes());
        if report.ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        }
    }
}
