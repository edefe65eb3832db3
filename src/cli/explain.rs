//! `trunkline explain`: the section of the manual about a code.

use crate::tables::diagnostic::{Code, nearest};
use crate::tables::profile::Profile;
use std::io::Write as _;
use std::process::ExitCode;

/// Show what a code of `check` means and what to do about it, or what a profile sets.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline explain T012
  trunkline explain teams    # what profile = \"teams\" puts where a table says nothing
  trunkline explain          # all codes")]
pub(super) struct Explain {
    /// The code, or the name of a profile; without it, all codes are listed
    #[arg(value_name = "CODE")]
    code: Option<String>,
}

impl Explain {
    pub(super) fn execute(&self) -> ExitCode {
        let mut text = String::new();
        match &self.code {
            None => {
                for code in Code::ALL {
                    text.push_str(&format!("{}  {}\n", code.as_str(), code.title()));
                }
            }
            Some(wanted) => {
                if let Some(profile) = Profile::named(wanted) {
                    let _ = std::io::stdout().write_all(profile.text().as_bytes());
                    return ExitCode::SUCCESS;
                }
                let Some(code) = Code::named(wanted) else {
                    let codes = Code::ALL.iter().map(|code| code.as_str());
                    let meant = match nearest(wanted, codes) {
                        Some(meant) => format!("; did you mean {meant}?"),
                        None => String::new(),
                    };
                    eprintln!("trunkline: {wanted:?} is not a code{meant}");
                    return ExitCode::from(2);
                };
                text.push_str(code.manual());
                text.push('\n');
            }
        }
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(text.as_bytes());
        ExitCode::SUCCESS
    }
}
