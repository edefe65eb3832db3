//! The side that is asked: who may connect, for how long, and what they may send.

use super::access::Peer;
use super::files;
use super::protocol::{Answer, Refused, Reply, Request};
use crate::ledger::Generation;
use crate::limits::{
    CONTROL_CONNECTIONS_MAX, CONTROL_LINE_BYTES_MAX, CONTROL_LINE_MS_MAX, CONTROL_LINES_QUEUED,
};
use crate::system;
use std::fmt;
use std::fs::{self, Permissions};
use std::io;
use std::os::fd::AsFd as _;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Whoever knows the answers.
pub trait Desk: Send + Sync + 'static {
    /// Takes a request; never waits.
    fn take(&self, request: Request, peer: &Peer) -> Answering;
}

/// How an answer comes.
#[derive(Debug)]
pub enum Answering {
    /// Here it is.
    Now(Answer),
    /// When the work is done.
    Later(oneshot::Receiver<Answer>),
    /// The files in a folder, of this generation.
    Files(Box<Generation>, PathBuf),
}

/// Why there is no socket.
#[derive(Debug)]
pub struct NoSocket {
    path: PathBuf,
    cause: io::Error,
}

impl fmt::Display for NoSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hint = match self.cause.kind() {
            io::ErrorKind::NotFound => "; its folder is not there",
            io::ErrorKind::AddrInUse => "; another server answers there, or it is no socket",
            _ => "",
        };
        let path = self.path.display();
        write!(
            f,
            "cannot make the control socket {path}: {}{hint}",
            self.cause
        )
    }
}

impl std::error::Error for NoSocket {}

/// A control socket. Its file goes with it.
#[derive(Debug)]
pub struct Socket {
    listener: UnixListener,
    path: PathBuf,
}

impl Socket {
    /// Makes the socket, readable and writable for its user and group only. One that a dead
    /// process left is replaced; one that is answered is not. Call it inside a runtime.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind(path: &Path) -> Result<Self, NoSocket> {
        let failed = |cause| NoSocket {
            path: path.to_owned(),
            cause,
        };
        let listener = bind(path).map_err(failed)?;
        Ok(Self {
            listener: UnixListener::from_std(listener).map_err(failed)?,
            path: path.to_owned(),
        })
    }

    /// Answers until the future is dropped.
    pub async fn serve(self, desk: Arc<dyn Desk>) {
        let room = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
        loop {
            let Ok((stream, _)) = self.listener.accept().await else {
                // No descriptors left: it passes, and the loop must not spin meanwhile.
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let desk = Arc::clone(&desk);
            // Beyond the bound the connection is closed without a word.
            if let Ok(place) = Arc::clone(&room).try_acquire_owned() {
                tokio::spawn(async move {
                    // Who goes away before the answer has no use for it.
                    let _ = converse(stream, &*desk).await;
                    drop(place);
                });
            }
        }
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

fn bind(path: &Path) -> io::Result<std::os::unix::net::UnixListener> {
    remove_dead(path)?;
    let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM, None)?;
    socket.bind(&socket2::SockAddr::unix(path)?)?;
    // Before anybody can connect.
    fs::set_permissions(path, Permissions::from_mode(0o660))?;
    socket.listen(16)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// A process that was killed leaves its socket behind.
fn remove_dead(path: &Path) -> io::Result<()> {
    let kind = match fs::symlink_metadata(path) {
        Ok(found) => found.file_type(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let refused = |error: io::Error| error.kind() == io::ErrorKind::ConnectionRefused;
    let dead =
        kind.is_socket() && std::os::unix::net::UnixStream::connect(path).is_err_and(refused);
    if dead {
        fs::remove_file(path)
    } else {
        Err(io::Error::from(io::ErrorKind::AddrInUse))
    }
}

async fn converse(stream: UnixStream, desk: &dyn Desk) -> io::Result<()> {
    let peer = peer(&stream)?;
    let (receiving, mut sending) = stream.into_split();
    let patience = Duration::from_millis(CONTROL_LINE_MS_MAX);
    let mut line = Vec::new();
    // One byte more than allowed tells a line that is too long.
    let mut limited = BufReader::new(receiving.take(CONTROL_LINE_BYTES_MAX as u64 + 1));
    let read = timeout(patience, limited.read_until(b'\n', &mut line)).await;
    let request = match read {
        Err(_) => Err(String::from("no request came in time")),
        Ok(Err(error)) => return Err(error),
        Ok(Ok(_)) if line.len() > CONTROL_LINE_BYTES_MAX => Err(format!(
            "a request is at most {CONTROL_LINE_BYTES_MAX} bytes"
        )),
        Ok(Ok(_)) => Request::read(&line),
    };
    let answering = match request {
        Ok(request) => desk.take(request, &peer),
        Err(why) => Answering::Now(Answer::Refused(Refused::new("request", why, 0))),
    };
    let answer = match answering {
        Answering::Now(answer) => answer,
        Answering::Later(answer) => answer.await.unwrap_or_else(|_| {
            Answer::Refused(Refused::new("stopping", "the server is stopping", 0))
        }),
        Answering::Files(generation, folder) => {
            return tell_files(*generation, folder, &mut sending).await;
        }
    };
    let line = Reply::from(answer).line();
    timeout(patience, sending.write_all(line.as_bytes())).await?
}

/// Reads the files on a thread for such work, a few lines ahead of the peer.
async fn tell_files(
    generation: Generation,
    folder: PathBuf,
    sending: &mut (impl tokio::io::AsyncWrite + Unpin),
) -> io::Result<()> {
    let (lines, mut waiting) = mpsc::channel::<String>(CONTROL_LINES_QUEUED);
    let reading = tokio::task::spawn_blocking(move || {
        files::tell(&generation, &folder, |line| {
            lines.blocking_send(line).is_ok()
        })
    });
    let patience = Duration::from_millis(CONTROL_LINE_MS_MAX);
    while let Some(line) = waiting.recv().await {
        timeout(patience, sending.write_all(line.as_bytes())).await??;
    }
    let Ok(Err(error)) = reading.await else {
        return Ok(());
    };
    let why = format!("the kept files cannot be read: {error}");
    let line = Reply::from(Answer::Refused(Refused::new("damaged", why, 0))).line();
    timeout(patience, sending.write_all(line.as_bytes())).await?
}

fn peer(stream: &UnixStream) -> io::Result<Peer> {
    let known = stream.peer_cred()?;
    let mut gids = vec![known.gid()];
    // A kernel that does not tell them leaves the primary one.
    gids.extend(system::peer_groups(stream.as_fd()).unwrap_or_default());
    Ok(Peer {
        uid: known.uid(),
        gids,
    })
}
