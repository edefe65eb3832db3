//! The socket: connections with bounds, and an end that loses no answer.

use std::convert::Infallible;
use std::error::Error;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::Extensions;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower_service::Service as _;

use super::patient::Patient;
use super::problem::Nowhere;
use crate::control::{LocalDoor, peer_of};
use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_IDLE_MS_MAX, HTTP_UNREAD_MS_MAX,
    TLS_HANDSHAKE_MS_MAX,
};
use crate::observe::{FaceRefusals, HttpRefusal};
use crate::transport::TlsListener;

/// A listener that is bound, and what it answers.
#[derive(Debug)]
pub struct HttpListener {
    door: Door,
    tls: Option<Arc<TlsListener>>,
    questions: Router,
    refusals: FaceRefusals,
    patience: Patience,
}

/// How long a peer may let us wait.
#[derive(Debug, Clone, Copy)]
struct Patience {
    /// For its TLS handshake.
    handshake: Duration,
    /// For the head of its next request.
    silent: Duration,
    /// While there is something for it to read.
    unread: Duration,
}

const PATIENCE: Patience = Patience {
    handshake: Duration::from_millis(TLS_HANDSHAKE_MS_MAX),
    silent: Duration::from_millis(HTTP_IDLE_MS_MAX),
    unread: Duration::from_millis(HTTP_UNREAD_MS_MAX),
};

#[derive(Debug)]
enum Door {
    Network(TcpListener),
    Local(LocalDoor),
}

/// After a failure to accept: descriptors that are used up come back when others hang up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is being answered when the end comes is finished within this time.
const FAREWELL: Duration = Duration::from_secs(2);

impl HttpListener {
    /// Binds an address; port 0 draws a free one. Requests have the [`SocketAddr`] of their
    /// peer among their extensions. Over TLS where there are certificates.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind(
        address: SocketAddr,
        tls: Option<Arc<TlsListener>>,
        questions: Router,
        refusals: FaceRefusals,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            door: Door::Network(listener),
            tls,
            questions,
            refusals,
            patience: PATIENCE,
        })
    }

    /// Answers at a local socket. Requests have the [`control::Peer`](crate::control::Peer)
    /// among their extensions.
    #[must_use]
    pub const fn local(door: LocalDoor, questions: Router, refusals: FaceRefusals) -> Self {
        Self {
            door: Door::Local(door),
            tls: None,
            questions,
            refusals,
            patience: PATIENCE,
        }
    }

    /// Where it listens; `None` for a local socket.
    ///
    /// # Errors
    /// What the system said.
    pub fn local_addr(&self) -> io::Result<Option<SocketAddr>> {
        match &self.door {
            Door::Network(listener) => listener.local_addr().map(Some),
            Door::Local(_) => Ok(None),
        }
    }

    /// Answers until `end` comes; then finishes what it has begun to answer.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub async fn serve(self, end: impl Future<Output = ()>) -> io::Result<()> {
        let listener = match &self.door {
            Door::Network(listener) => {
                Listener::Network(tokio::net::TcpListener::from_std(listener.try_clone()?)?)
            }
            Door::Local(door) => Listener::Local(door.listener()?),
        };
        let room = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
        let graceful = GracefulShutdown::new();
        tokio::pin!(end);
        loop {
            let stream = tokio::select! {
                biased;
                () = &mut end => break,
                accepted = listener.accept() => match accepted {
                    Ok(accepted) => accepted,
                    Err(_) => {
                        sleep(ACCEPT_PAUSE).await;
                        continue;
                    }
                },
            };
            let Ok(place) = Arc::clone(&room).try_acquire_owned() else {
                // Hanging up tells a peer sooner than a silent queue.
                self.refusals.count(HttpRefusal::NoRoom);
                continue;
            };
            let conversation = Conversation {
                questions: self.questions.clone(),
                watcher: graceful.watcher(),
                refusals: self.refusals.clone(),
                patience: self.patience,
                _place: place,
            };
            tokio::spawn(conversation.open(stream, self.tls.clone()));
        }
        // Whoever is still not done by then asks again, and of somebody else.
        let _ = timeout(FAREWELL, graceful.shutdown()).await;
        Ok(())
    }
}

enum Listener {
    Network(tokio::net::TcpListener),
    Local(UnixListener),
}

enum Stream {
    Network(TcpStream, SocketAddr),
    Local(UnixStream),
}

impl Listener {
    async fn accept(&self) -> io::Result<Stream> {
        match self {
            Self::Network(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Stream::Network(stream, peer))
            }
            Self::Local(listener) => Ok(Stream::Local(listener.accept().await?.0)),
        }
    }
}

/// One connection, from its first byte to its last.
struct Conversation {
    questions: Router,
    watcher: Watcher,
    refusals: FaceRefusals,
    patience: Patience,
    _place: OwnedSemaphorePermit,
}

impl Conversation {
    async fn open(self, stream: Stream, tls: Option<Arc<TlsListener>>) {
        match (stream, tls) {
            (Stream::Local(stream), _) => {
                // Of whom nothing is known, nothing is told.
                if let Ok(peer) = peer_of(&stream) {
                    self.hold(stream, peer).await;
                }
            }
            (Stream::Network(stream, peer), None) => {
                let _ = stream.set_nodelay(true);
                self.hold(stream, peer).await;
            }
            (Stream::Network(stream, peer), Some(tls)) => {
                let _ = stream.set_nodelay(true);
                let shaking = tls.acceptor().accept(stream);
                match timeout(self.patience.handshake, shaking).await {
                    Ok(Ok(stream)) => self.hold(stream, peer).await,
                    _ => self.refusals.count(HttpRefusal::Handshake),
                }
            }
        }
    }

    /// Answers until the peer hangs up, is silent for too long or does not read.
    async fn hold<S, P>(self, stream: S, peer: P)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
        P: Clone + Send + Sync + 'static,
    {
        let Self {
            questions,
            watcher,
            refusals,
            patience,
            _place,
        } = self;
        let counter = refusals.clone();
        let answer = service_fn(move |mut request: Request<Incoming>| {
            note(request.extensions_mut(), &peer);
            let (answering, refusals) = (questions.clone().call(request), counter.clone());
            async move {
                let answer = answering.await?;
                if answer.extensions().get::<Nowhere>().is_some() {
                    refusals.count(HttpRefusal::Nowhere);
                }
                Ok::<_, Infallible>(answer)
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(patience.silent)
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Patient::new(stream, patience.unread)), answer);
        // A peer that breaks off mid-sentence is its own business.
        let ended = watcher.watch(connection).await;
        if let Some(refusal) = ended.err().and_then(|error| refusal(&error)) {
            refusals.count(refusal);
        }
    }
}

/// Whether a connection ended because we hung up, and why.
fn refusal(error: &hyper::Error) -> Option<HttpRefusal> {
    let cause = error.source().and_then(<dyn Error>::downcast_ref);
    let is_unread = |cause: &io::Error| cause.kind() == io::ErrorKind::TimedOut;
    if cause.is_some_and(is_unread) {
        return Some(HttpRefusal::Unread);
    }
    if error.is_timeout() {
        return Some(HttpRefusal::Silent);
    }
    error.is_parse().then_some(HttpRefusal::Unreadable)
}

fn note<P: Clone + Send + Sync + 'static>(extensions: &mut Extensions, peer: &P) {
    extensions.insert(peer.clone());
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use std::io::{Read as _, Write as _};
    use std::net::TcpStream;
    use std::time::Instant;

    use axum::routing::get;
    use tokio::sync::oneshot;

    use super::*;
    use crate::observe::{HttpFace, HttpRefusals};

    /// More than the system keeps of what nobody reads.
    const LONG: usize = 64 << 20;

    /// A listener without much patience, and what it counts.
    struct Impatient {
        refusals: Arc<HttpRefusals>,
        address: SocketAddr,
        end: Option<oneshot::Sender<()>>,
        thread: Option<std::thread::JoinHandle<()>>,
    }

    impl Impatient {
        fn open(patience: Patience) -> Self {
            let refusals = Arc::<HttpRefusals>::default();
            let router = Router::new()
                .route("/long", get(|| async { vec![b'x'; LONG] }))
                .route("/short", get(|| async { "short" }));
            let any = "127.0.0.1:0".parse().unwrap();
            let counter = refusals.of(HttpFace::Metrics);
            let mut listener = HttpListener::bind(any, None, router, counter).unwrap();
            listener.patience = patience;
            let address = listener.local_addr().unwrap().unwrap();
            let (end, ends) = oneshot::channel::<()>();
            let thread = std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build();
                let ends = async { drop(ends.await) };
                runtime.unwrap().block_on(listener.serve(ends)).unwrap();
            });
            Self {
                refusals,
                address,
                end: Some(end),
                thread: Some(thread),
            }
        }

        fn say(&self, text: &str) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).unwrap();
            let patience = Some(Duration::from_secs(20));
            stream.set_read_timeout(patience).unwrap();
            stream.write_all(text.as_bytes()).unwrap();
            stream
        }

        /// Waits until so many were refused for this.
        #[track_caller]
        fn refuses(&self, reason: &'static str, count: u64) {
            let begun = Instant::now();
            while self.refusals.totals().get(&("metrics", reason)) != Some(&count) {
                let counted = self.refusals.totals();
                assert!(begun.elapsed() < Duration::from_secs(20), "{counted:?}");
                std::thread::sleep(Duration::from_millis(5));
            }
        }
    }

    impl Drop for Impatient {
        fn drop(&mut self) {
            drop(self.end.take());
            let _ = self.thread.take().map(std::thread::JoinHandle::join);
        }
    }

    fn heard(mut stream: TcpStream) -> Vec<u8> {
        let mut all = Vec::new();
        let _ = stream.read_to_end(&mut all);
        all
    }

    #[test]
    fn who_never_reads_is_hung_up_on() {
        let server = Impatient::open(Patience {
            unread: Duration::from_millis(100),
            ..PATIENCE
        });
        let deaf = server.say("GET /long HTTP/1.1\r\nHost: h\r\n\r\n");
        server.refuses("unread", 1);
        let rest = heard(deaf);
        assert!(!rest.is_empty() && rest.len() < LONG, "{}", rest.len());
        // Who reads gets all of it.
        let request = "GET /long HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        assert!(heard(server.say(request)).len() > LONG);
        assert_eq!(server.refusals.totals().len(), 1);
    }

    #[test]
    fn who_does_not_finish_a_head_is_hung_up_on() {
        let server = Impatient::open(Patience {
            silent: Duration::from_millis(100),
            ..PATIENCE
        });
        let silent = server.say("");
        let mut halting = server.say("GET /short");
        // A byte now and then is no head.
        while server.refusals.totals().get(&("metrics", "silent")) != Some(&2) {
            if halting.write_all(b"x").is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        server.refuses("silent", 2);
        let heard = [silent, halting].map(heard);
        assert!(heard.iter().all(|text| !text.starts_with(b"HTTP/1.1 2")));
    }

    #[test]
    fn what_is_no_http_is_counted() {
        let server = Impatient::open(PATIENCE);
        let close = "HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        for garbage in ["\0\u{1}\r\n\r\n", "INVITE sip:a@b SIP/2.0\r\n\r\n"] {
            assert!(!heard(server.say(garbage)).starts_with(b"HTTP/1.1 2"));
        }
        let long = format!("GET /{} {close}", "x".repeat(HTTP_HEAD_BYTES_MAX));
        assert!(!heard(server.say(&long)).starts_with(b"HTTP/1.1 2"));
        server.refuses("unreadable", 3);
        assert!(heard(server.say(&format!("GET /short {close}"))).ends_with(b"short"));
        assert_eq!(server.refusals.totals().len(), 1);
    }
}
