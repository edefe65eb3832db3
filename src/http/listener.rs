//! The socket: connections with bounds, and an end that loses no answer.

use std::fmt;
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
use crate::control::{LocalDoor, peer_of};
use crate::limits::{
    HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_IDLE_MS_MAX, TLS_HANDSHAKE_MS_MAX,
};
use crate::transport::TlsListener;

/// A listener that is bound, and what it answers.
#[derive(Debug)]
pub struct HttpListener {
    door: Door,
    tls: Option<Arc<TlsListener>>,
    questions: Router,
    turned_away: TurnedAway,
}

/// What is done for each connection that had no room.
#[derive(Clone)]
pub struct TurnedAway(Arc<dyn Fn() + Send + Sync>);

impl TurnedAway {
    /// Counts it, for one.
    pub fn new(count: impl Fn() + Send + Sync + 'static) -> Self {
        Self(Arc::new(count))
    }
}

impl fmt::Debug for TurnedAway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TurnedAway")
    }
}

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
        turned_away: TurnedAway,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            door: Door::Network(listener),
            tls,
            questions,
            turned_away,
        })
    }

    /// Answers at a local socket. Requests have the [`control::Peer`](crate::control::Peer)
    /// among their extensions.
    #[must_use]
    pub const fn local(door: LocalDoor, questions: Router, turned_away: TurnedAway) -> Self {
        Self {
            door: Door::Local(door),
            tls: None,
            questions,
            turned_away,
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
                (self.turned_away.0)();
                continue;
            };
            let conversation = Conversation {
                questions: self.questions.clone(),
                watcher: graceful.watcher(),
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
                let patience = Duration::from_millis(TLS_HANDSHAKE_MS_MAX);
                let shaken = timeout(patience, tls.acceptor().accept(stream)).await;
                if let Ok(Ok(stream)) = shaken {
                    self.hold(stream, peer).await;
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
            _place,
        } = self;
        let answer = service_fn(move |mut request: Request<Incoming>| {
            note(request.extensions_mut(), &peer);
            questions.clone().call(request)
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(HTTP_IDLE_MS_MAX))
            .max_buf_size(HTTP_HEAD_BYTES_MAX)
            .serve_connection(TokioIo::new(Patient::new(stream)), answer);
        // A peer that breaks off mid-sentence is its own business.
        let _ = watcher.watch(connection).await;
    }
}

fn note<P: Clone + Send + Sync + 'static>(extensions: &mut Extensions, peer: &P) {
    extensions.insert(peer.clone());
}
