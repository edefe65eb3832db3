//! The side that is asked: who may connect, for how long, and what they may send.

use super::access::{Peer, Who};
use super::files;
use super::local_door::{LocalDoor, NoSocket, peer_of};
use super::protocol::{Answer, Change, Refused, Reply, Request};
use crate::ledger::Generation;
use crate::limits::{
    CONTROL_CONNECTIONS_MAX, CONTROL_LINE_BYTES_MAX, CONTROL_LINE_MS_MAX, CONTROL_LINES_QUEUED,
};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::UnixStream;
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

/// Whoever knows the answers.
pub trait Desk: Send + Sync + 'static {
    /// Who is at the other end of a local connection.
    fn who(&self, peer: &Peer) -> Who;

    /// Takes a request; never waits.
    fn take(&self, request: Request, who: &Who) -> Answering;

    /// Has a draft serve; never waits.
    fn take_draft(&self, draft: Draft, how: Change, who: &Who) -> Answering;
}

/// A table that was made beside the operator's folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Where its files are.
    pub folder: PathBuf,
    /// SHA-256 of the table it was made of, which has to serve.
    pub base_sha256: String,
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

/// A control socket. Its file goes with it.
#[derive(Debug)]
pub struct Socket(LocalDoor);

impl Socket {
    /// Makes the socket, as [`LocalDoor::bind`] does.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind(path: &Path) -> Result<Self, NoSocket> {
        LocalDoor::bind(path).map(Self)
    }

    /// Answers until the future is dropped.
    pub async fn serve(self, desk: Arc<dyn Desk>) {
        let listener = match self.0.listener() {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!("the control socket cannot be used: {error}");
                return;
            }
        };
        let room = Arc::new(Semaphore::new(CONTROL_CONNECTIONS_MAX));
        loop {
            let Ok((stream, _)) = listener.accept().await else {
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

async fn converse(stream: UnixStream, desk: &dyn Desk) -> io::Result<()> {
    let peer = peer_of(&stream)?;
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
        Ok(request) => desk.take(request, &desk.who(&peer)),
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
