//! `trunkline config`: what a configuration comes to.

use crate::server::{Config, EXIT_CONFIG};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Show the configuration in force: every key that has a value, defaults included.
///
/// It can be read as a configuration again. Secrets are hidden. Exits with 78 when the
/// configuration has errors.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline config
  trunkline config --config /etc/trunkline/trunkline.toml --json | jq .listen")]
pub(super) struct ShowConfig {
    /// The configuration; without it, ./trunkline.toml or that of /etc/trunkline
    #[arg(long, short, value_name = "FILE")]
    config: Option<PathBuf>,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

impl ShowConfig {
    pub(super) fn execute(&self) -> ExitCode {
        let config = match read(self.config.as_deref()) {
            Ok(config) => config.in_force(),
            Err(code) => return code,
        };
        let text = if self.json {
            serde_json::to_string_pretty(&config).unwrap_or_default() + "\n"
        } else {
            config.to_string()
        };
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(text.as_bytes());
        ExitCode::SUCCESS
    }
}

/// The configuration that was named, or the first that is found; with the folders of the service
/// manager. What is wrong is said on standard error.
pub(super) fn read(named: Option<&Path>) -> Result<Config, ExitCode> {
    let Some(file) = named.or_else(|| super::configs().next()) else {
        eprintln!("trunkline: which configuration? say --config FILE");
        return Err(ExitCode::from(2));
    };
    let folder = |name| std::env::var_os(name);
    match Config::read(file) {
        Ok(config) => Ok(config.in_folders(folder("STATE_DIRECTORY"), folder("RUNTIME_DIRECTORY"))),
        Err(report) => {
            anstream::eprint!("{}", report.text(true));
            Err(ExitCode::from(EXIT_CONFIG))
        }
    }
}
