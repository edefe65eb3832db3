//! The socket: connections with bounds, and an end that loses no answer.

use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::TcpStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tower_service::Service as _;

use crate::limits::{HTTP_CONNECTIONS_MAX, HTTP_HEAD_BYTES_MAX, HTTP_IDLE_MS_MAX};
use crate::observe::{HttpCounters, HttpOutcome};

/// A listener that is bound, and what it answers.
#[derive(Debug)]
pub struct HttpListener {
    listener: TcpListener,
    questions: Router,
    counters: Arc<HttpCounters>,
}

/// After a failure to accept: descriptors that are used up come back when others hang up.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What is being answered when the end comes is finished within this time.
const FAREWELL: Duration = Duration::from_secs(2);

impl HttpListener {
    /// Binds the address; port 0 draws a free one.
    ///
    /// # Errors
    /// What the system said.
    pub fn bind(
        address: SocketAddr,
        questions: Router,
        counters: Arc<HttpCounters>,
    ) -> io::Result<Self> {
        let listener = TcpListener::bind(address)?;
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            questions,
            counters,
        })
    }

    /// Where it listens.
    ///
    /// # Errors
    /// What the system said.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers until `end` comes; then finishes what it has begun to answer.
    ///
    /// # Errors
    /// The socket cannot be used.
    pub async fn serve(self, end: impl Future<Output = ()>) -> io::Result<()> {
        let listener = tokio::net::TcpListener::from_std(self.listener)?;
        let room = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
        let graceful = GracefulShutdown::new();
        tokio::pin!(end);
        loop {
            let (stream, peer) = tokio::select! {
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
                self.counters.count(HttpOutcome::NoRoom);
                continue;
            };
            let questions = self.questions.clone();
            converse(stream, peer, questions, place, &graceful);
        }
        // Whoever is still not done by then asks again, and of somebody else.
        let _ = timeout(FAREWELL, graceful.shutdown()).await;
        Ok(())
    }
}

/// Answers a connection until its peer hangs up or is silent for too long.
fn converse(
    stream: TcpStream,
    peer: SocketAddr,
    questions: Router,
    place: OwnedSemaphorePermit,
    graceful: &GracefulShutdown,
) {
    let _ = stream.set_nodelay(true);
    let answer = service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        questions.clone().call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(HTTP_IDLE_MS_MAX))
        .max_buf_size(HTTP_HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), answer);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        // A peer that breaks off mid-sentence is its own business.
        let _ = connection.await;
        drop(place);
    });
}
