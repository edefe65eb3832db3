//! Where connections come in: one listener's socket on one worker.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::Sender;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::connection::serve;
use super::connections::{Failure, Heard, Opened, line, transport};
use super::{Ended, Gate, Pass, TlsListener, tls};
use crate::limits::{ACCEPT_FREES, ACCEPT_REST_MS, TLS_HANDSHAKE_MS_MAX};
use crate::proxy::Flow;

/// Whether a table knows this source.
pub type IsKnown = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// One listener's socket on one worker.
pub(super) struct Door {
    pub(super) place: u16,
    pub(super) gate: Arc<Gate>,
    /// Of all listeners, its own too: descriptors are of the process.
    pub(super) all_gates: Arc<[Arc<Gate>]>,
    pub(super) tls: Option<Arc<TlsListener>>,
    pub(super) is_known: IsKnown,
    pub(super) numbers: Arc<AtomicU64>,
    pub(super) tell: Sender<Heard>,
}

impl Door {
    /// Takes connections as long as the worker lives.
    pub(super) async fn accept(self, socket: TcpListener) {
        while !self.tell.is_closed() {
            match socket.accept().await {
                Ok((stream, peer)) => self.came(stream, peer).await,
                Err(error) if is_of_the_peer(&error) => {}
                Err(_) => {
                    let now = Instant::now();
                    for gate in &*self.all_gates {
                        gate.free(ACCEPT_FREES, now);
                    }
                    // Without a rest this would be a loop: who waits, waits on.
                    let peer = SocketAddr::from(([0; 4], 0));
                    refuse(&self.tell, peer, (Ended::NoDescriptor, None)).await;
                    sleep(Duration::from_millis(ACCEPT_REST_MS)).await;
                }
            }
        }
    }

    async fn came(&self, stream: TcpStream, peer: SocketAddr) {
        let peer = SocketAddr::new(peer.ip().to_canonical(), peer.port());
        let pass = match self.gate.admit(peer.ip(), (self.is_known)(peer.ip())) {
            Ok(pass) => pass,
            Err(why) => return refuse(&self.tell, peer, (why, None)).await,
        };
        // Messages are written whole: nothing is won by waiting for more.
        let (Ok(()), Ok(local)) = (stream.set_nodelay(true), stream.local_addr()) else {
            return;
        };
        let flow = Flow {
            listener: self.place,
            transport: transport(self.tls.is_some()),
            local,
            peer,
        };
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let tell = self.tell.clone();
        let Some(tls) = &self.tls else {
            tokio::spawn(accepted(stream, number, flow, tell, pass, None));
            return;
        };
        let (acceptor, gate) = (tls.acceptor(), Arc::clone(&self.gate));
        tokio::spawn(async move {
            match shake_hands(stream, &acceptor, &gate).await {
                Ok(stream) => {
                    let shown = stream.get_ref().1.peer_certificates();
                    let shown = shown.and_then(|chain| chain.first());
                    let shown = shown.map(|own| own.clone().into_owned());
                    accepted(stream, number, flow, tell, pass, shown).await;
                }
                Err(failure) => refuse(&tell, peer, failure).await,
            }
        });
    }
}

/// Serves a connection that was accepted, after its worker has heard of it.
async fn accepted<S>(
    stream: S,
    number: u64,
    flow: Flow,
    tell: Sender<Heard>,
    pass: Pass,
    shown: Option<CertificateDer<'static>>,
) where
    S: AsyncRead + AsyncWrite,
{
    let (line, ends) = line(number, flow, tell.clone(), false);
    let opened = Heard::Opened(Opened::new(flow, line, shown));
    if tell.send(opened).await.is_ok() {
        serve(stream, ends, Some(pass)).await;
    }
}

async fn shake_hands(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    gate: &Gate,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, Failure> {
    let room = gate.handshake();
    let wait = Duration::from_millis(TLS_HANDSHAKE_MS_MAX);
    let shaken = tokio::select! {
        biased;
        () = room.asked_to_leave() => return Err((Ended::HandshakesFull, None)),
        shaken = timeout(wait, acceptor.accept(stream)) => shaken,
    };
    match shaken {
        Ok(Ok(stream)) => Ok(stream),
        Ok(Err(error)) => Err(tls::failure(&error)),
        Err(_) => Err((Ended::HandshakeSlow, None)),
    }
}

async fn refuse(tell: &Sender<Heard>, peer: SocketAddr, (why, detail): Failure) {
    let _ = tell.send(Heard::Refused { peer, why, detail }).await;
}

/// Whether it was only this one connection that went away while it waited.
fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::PermissionDenied
    )
}
