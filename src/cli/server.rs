//! The running server, as commands ask it.

use super::scratch::Scratch;
use crate::control::{self, Answer, NoAnswer, Refused, Reply, Request, TrunkStatus};
use crate::ledger::Generation;
use crate::server::EXIT_CONFIG;
use crate::server::config::{CONTROL_SOCKET, Config};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// No server answers: trying again later may help.
const EXIT_UNREACHABLE: u8 = 69;

/// Which server is asked.
#[derive(Debug, clap::Args)]
pub(super) struct Server {
    /// Control socket of the server; without it, that of the configuration
    #[arg(long, value_name = "PATH")]
    socket: Option<PathBuf>,
    /// Configuration of the server; without it, ./trunkline.toml or that of /etc/trunkline
    #[arg(long, short, value_name = "FILE", conflicts_with = "socket")]
    config: Option<PathBuf>,
}

impl Server {
    /// Asks. What keeps an answer from coming is said on standard error.
    pub(super) fn ask(&self, request: &Request) -> Result<Answer, ExitCode> {
        control::ask(&self.socket()?, request).map_err(|error| unanswered(&error))
    }

    /// The files of a generation, the serving one if none is named.
    pub(super) fn table_of(&self, generation: Option<u64>) -> Result<KeptTable, ExitCode> {
        let folder = Scratch::new().map_err(|error| {
            eprintln!("trunkline: no room for a copy of the table: {error}");
            ExitCode::from(1)
        })?;
        let asked = control::ask_for_files(&self.socket()?, generation, folder.path());
        match asked.map_err(|error| unanswered(&error))? {
            Ok(generation) => Ok(KeptTable { generation, folder }),
            Err(other) => Err(refused(&other)),
        }
    }

    /// The trunks of the table that serves, as they are now.
    pub(super) fn trunks(&self) -> Result<Vec<TrunkStatus>, ExitCode> {
        match self.ask(&Request::Trunks {})? {
            Answer::Trunks { trunks } => Ok(trunks),
            other => Err(refused(&other)),
        }
    }

    /// The configuration that was named.
    pub(super) fn config(&self) -> Option<&Path> {
        self.config.as_deref()
    }

    fn socket(&self) -> Result<PathBuf, ExitCode> {
        if let Some(socket) = &self.socket {
            return Ok(socket.clone());
        }
        if let Some(file) = &self.config {
            let config = Config::read(file).map_err(|report| {
                anstream::eprint!("{}", report.text(true));
                ExitCode::from(EXIT_CONFIG)
            })?;
            return Ok(config.control.socket.unwrap_or_else(default_socket));
        }
        let found = super::configs().find_map(|file| Config::read(file).ok()?.control.socket);
        Ok(found.unwrap_or_else(default_socket))
    }
}

fn default_socket() -> PathBuf {
    PathBuf::from(CONTROL_SOCKET)
}

/// The table of a generation, in a folder that goes with it.
pub(super) struct KeptTable {
    pub(super) generation: Generation,
    folder: Scratch,
}

impl KeptTable {
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// As a plan names it.
    pub(super) fn title(&self) -> String {
        format!("gen {}", self.generation.number)
    }
}

fn unanswered(error: &NoAnswer) -> ExitCode {
    eprintln!("trunkline: {error}");
    match error {
        NoAnswer::Unreachable { .. } => ExitCode::from(EXIT_UNREACHABLE),
        NoAnswer::Broken(_) => ExitCode::from(1),
    }
}

/// Prints an answer: as JSON, or in words. Exits with 1 when it is a refusal.
pub(super) fn print(answer: Answer, json: bool, words: impl FnOnce(&Answer) -> String) -> ExitCode {
    let is_refusal = matches!(answer, Answer::Refused(_));
    if json {
        let text = serde_json::to_string_pretty(&Reply::from(answer)).unwrap_or_default();
        // A closed pipe is no reason to complain.
        let _ = writeln!(io::stdout(), "{text}");
    } else if is_refusal {
        return refused(&answer);
    } else {
        let _ = io::stdout().write_all(words(&answer).as_bytes());
    }
    if is_refusal {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    }
}

/// Says on standard error why not.
fn refused(answer: &Answer) -> ExitCode {
    match answer {
        Answer::Refused(Refused {
            reason,
            message,
            serving,
            findings,
            ..
        }) => {
            for finding in findings {
                eprintln!("{finding}");
            }
            let still = match serving {
                0 => String::new(),
                serving => format!(" (gen {serving} serves)"),
            };
            eprintln!("trunkline: nothing was changed{still}: {message}");
            if reason == "gates" {
                eprintln!(
                    "trunkline: `trunkline plan FOLDER` shows what would move; --force makes \
                     the change in spite of the gates"
                );
            }
        }
        other => eprintln!("trunkline: an answer to another question: {other:?}"),
    }
    ExitCode::from(1)
}

/// An answer nobody asked for: of a server of another version.
pub(super) fn unexpected(answer: &Answer) -> String {
    format!("{answer:?}\n")
}
