//! The `trunkline` command: parse the command line, run it, turn the result into an exit code.

use clap::Parser;
use trunkline::cli::Cli;

fn main() -> std::process::ExitCode {
    Cli::parse().execute()
}
