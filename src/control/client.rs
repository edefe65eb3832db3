//! The side that asks.

use super::files;
use super::protocol::{Answer, Reply, Request, SCHEMA};
use crate::ledger::Generation;
use crate::limits::{CONTROL_ANSWER_MS_MAX, CONTROL_REPLY_BYTES_MAX};
use std::fmt;
use std::io::{self, BufRead, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why there is no answer.
#[derive(Debug)]
pub enum NoAnswer {
    /// Nobody can be asked at this socket.
    Unreachable {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// The connection ended, or what came is no answer.
    Broken(String),
}

impl fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable { socket, cause } => {
                let hint = match cause.kind() {
                    io::ErrorKind::NotFound => {
                        "no such socket: is the server running, and is [control] socket this one?"
                    }
                    io::ErrorKind::ConnectionRefused => {
                        "nobody listens: the server has ended; start it again"
                    }
                    io::ErrorKind::PermissionDenied => {
                        "permission denied: ask as root, or be in the server's group"
                    }
                    _ => "",
                };
                match hint {
                    "" => write!(f, "no server answers at {}: {cause}", socket.display()),
                    hint => write!(f, "no server answers at {}: {hint}", socket.display()),
                }
            }
            Self::Broken(why) => write!(f, "the server gave no answer: {why}"),
        }
    }
}

impl std::error::Error for NoAnswer {}

/// Asks the server behind a socket. Waits for as long as a change of a large table takes.
///
/// # Errors
/// Nobody is there, or the connection ended before the answer.
pub fn ask(socket: &Path, request: &Request) -> Result<Answer, NoAnswer> {
    read_reply(&mut sent(socket, request)?)
}

/// Asks for the files of a generation, the serving one if none is named, and writes them
/// into `folder`, which is empty. The inner error is another answer: a refusal.
///
/// # Errors
/// Nobody is there, the connection ended before all of them came, or `folder` cannot be
/// written to.
pub fn ask_for_files(
    socket: &Path,
    generation: Option<u64>,
    folder: &Path,
) -> Result<Result<Generation, Answer>, NoAnswer> {
    let mut lines = sent(socket, &Request::Files { generation })?;
    let generation = match read_reply(&mut lines)? {
        Answer::Files { generation } => generation,
        other => return Ok(Err(other)),
    };
    loop {
        match read_reply(&mut lines)? {
            Answer::File { name, text } => files::put(folder, &name, &text)
                .map_err(|error| NoAnswer::Broken(format!("cannot write {name:?}: {error}")))?,
            Answer::End => return Ok(Ok(generation)),
            other => return Ok(Err(other)),
        }
    }
}

fn sent(socket: &Path, request: &Request) -> Result<BufReader<UnixStream>, NoAnswer> {
    let unreachable = |cause| NoAnswer::Unreachable {
        socket: socket.to_owned(),
        cause,
    };
    let mut stream = UnixStream::connect(socket).map_err(unreachable)?;
    let wait = Some(Duration::from_millis(CONTROL_ANSWER_MS_MAX));
    let mut line = serde_json::to_vec(request).map_err(|error| broken(&error))?;
    line.push(b'\n');
    stream
        .set_read_timeout(wait)
        .and_then(|()| stream.set_write_timeout(wait))
        .and_then(|()| stream.write_all(&line))
        .map_err(|error| broken(&error))?;
    Ok(BufReader::new(stream))
}

fn read_reply(lines: &mut impl BufRead) -> Result<Answer, NoAnswer> {
    let mut line = Vec::new();
    lines
        .take(CONTROL_REPLY_BYTES_MAX)
        .read_until(b'\n', &mut line)
        .map_err(|error| broken(&error))?;
    if line.is_empty() {
        return Err(broken(&"the connection ended; did the server stop?"));
    }
    let reply: Reply = serde_json::from_slice(&line).map_err(|error| broken(&error))?;
    if reply.schema != SCHEMA {
        return Err(broken(&format!("it speaks {}, not {SCHEMA}", reply.schema)));
    }
    Ok(reply.answer)
}

fn broken(why: &impl fmt::Display) -> NoAnswer {
    NoAnswer::Broken(why.to_string())
}
