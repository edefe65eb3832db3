//! `trunkline completions` and `trunkline man`: made from the definition of the command line.

use super::Cli;
use clap::CommandFactory as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

/// Print what a shell needs to complete the command line.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline completions bash > /etc/bash_completion.d/trunkline
  trunkline completions zsh > /usr/local/share/zsh/site-functions/_trunkline")]
pub(super) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: clap_complete::Shell,
}

impl Completions {
    pub(super) fn execute(&self) -> ExitCode {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "trunkline", &mut script);
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(&script);
        ExitCode::SUCCESS
    }
}

/// Print the manual page, or write those of all verbs into a folder.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline man | man -l -
  trunkline man --dir /usr/local/share/man/man1")]
pub(super) struct Man {
    /// Folder for trunkline.1, trunkline-check.1 and the others
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

impl Man {
    pub(super) fn execute(&self) -> ExitCode {
        let written = match &self.dir {
            Some(dir) => clap_mangen::generate_to(Cli::command(), dir),
            None => {
                let mut page = Vec::new();
                let rendered = clap_mangen::Man::new(Cli::command()).render(&mut page);
                // A closed pipe is no reason to complain.
                let _ = std::io::stdout().write_all(&page);
                rendered
            }
        };
        match written {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("trunkline: cannot write the pages: {error}");
                ExitCode::from(1)
            }
        }
    }
}
