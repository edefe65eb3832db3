//! All connections of one worker: those it accepted and those it opened.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::client::TlsStream;

use super::connection::{Ends, Unread, post, serve};
use super::{Directory, Ended, Gate, Pass, TlsListener, TlsPeers, tls};
use crate::limits::{
    ACCEPT_REST_MS, CONNECT_MS_MAX, CONNECTION_UNREAD_MESSAGES_MAX, CONNECTIONS_DIALLED_MAX,
    LINGER_MS_MAX, MESSAGES_READ_AHEAD_MAX, TLS_HANDSHAKE_MS_MAX,
};
use crate::proxy::{Flow, FlowTransport};

/// What came of connections.
#[derive(Debug)]
pub enum Heard {
    /// One was accepted: kept by [`Connections::take`] itself.
    Opened(Opened),
    /// A whole message came.
    Message {
        /// Its connection, among all that ever were.
        number: u64,
        /// How it came; an answer goes the same way.
        flow: Flow,
        /// Its bytes.
        bytes: Bytes,
        /// What followed has no certain end: answer what can be answered, then
        /// [`Connections::hang_up`]. The bytes are all there are.
        is_last: bool,
    },
    /// A connection ended, or could not be opened.
    Closed {
        /// Which one.
        number: u64,
        /// Its way.
        flow: Flow,
        /// Why.
        why: Ended,
        /// What the system or the other end said of it.
        detail: Option<Box<str>>,
        /// Messages that were not sent, or of which nobody knows whether they were heard.
        unsent: Vec<Bytes>,
    },
    /// A connection was not let in.
    Refused {
        /// Who asked; unspecified when there was not even a connection.
        peer: SocketAddr,
        /// Why.
        why: Ended,
        /// What is to be told of it besides.
        detail: Option<Box<str>>,
    },
}

/// A connection that was accepted.
#[derive(Debug)]
pub struct Opened {
    flow: Flow,
    line: Line,
}

/// Why a message was not taken; with the message.
#[derive(Debug, PartialEq, Eq)]
pub enum Unsent {
    /// There is no connection.
    Gone(Bytes),
    /// The peer does not read; its connection is closed.
    Unread(Bytes),
    /// As many connections as one worker may open are there.
    TooMany(Bytes),
}

/// Whether a table knows this source.
pub type IsKnown = Arc<dyn Fn(IpAddr) -> bool + Send + Sync>;

/// The connections of one worker, for all its listeners. Lives on the worker's runtime.
pub struct Connections {
    worker: u8,
    lines: HashMap<(u16, SocketAddr), Line>,
    dialled: usize,
    /// The listeners that take connections.
    places: Vec<(u16, FlowTransport)>,
    directory: Arc<Directory>,
    peers: Arc<TlsPeers>,
    numbers: Arc<AtomicU64>,
    tell: Sender<Heard>,
    hear: Receiver<Heard>,
    /// What [`Connections::wait`] met.
    first: Option<Heard>,
}

/// How a connection is reached.
#[derive(Debug)]
struct Line {
    number: u64,
    letters: Sender<Bytes>,
    unread: Arc<Unread>,
    is_dialled: bool,
}

impl Connections {
    /// None yet, of the worker with this number; all workers share the directory, and what
    /// is known of peers to be met over TLS.
    #[must_use]
    pub fn new(worker: u8, directory: Arc<Directory>, peers: Arc<TlsPeers>) -> Self {
        let (tell, hear) = channel(MESSAGES_READ_AHEAD_MAX);
        Self {
            worker,
            places: Vec::new(),
            directory,
            peers,
            lines: HashMap::new(),
            dialled: 0,
            numbers: Arc::default(),
            tell,
            hear,
            first: None,
        }
    }

    /// Accepts connections on a socket of [`super::tcp::bind`] from now on, for the
    /// listener at this place; under TLS where there is `tls`. For a call inside the
    /// runtime.
    ///
    /// # Errors
    /// What the system said.
    pub fn listen(
        &mut self,
        place: u16,
        socket: std::net::TcpListener,
        gate: Arc<Gate>,
        tls: Option<Arc<TlsListener>>,
        is_known: IsKnown,
    ) -> io::Result<()> {
        let transport = transport(tls.is_some());
        let door = Door {
            place,
            gate,
            tls,
            is_known,
            numbers: Arc::clone(&self.numbers),
            tell: self.tell.clone(),
        };
        let socket = TcpListener::from_std(socket)?;
        self.places.push((place, transport));
        tokio::spawn(door.accept(socket));
        Ok(())
    }

    /// Sends a message on the connection of its flow.
    ///
    /// # Errors
    /// Why not.
    pub fn send(&mut self, flow: &Flow, bytes: Bytes) -> Result<(), Unsent> {
        let Some(line) = self.lines.get(&(flow.listener, flow.peer)) else {
            return Err(Unsent::Gone(bytes));
        };
        let sent = post(&line.letters, &line.unread, bytes);
        if sent.is_err() {
            // Its task sees that nobody sends on it any more, and ends.
            self.hang_up(flow);
        }
        sent
    }

    /// Sends a request on a connection with its peer, whichever listener of its transport
    /// has one; opens one where there is none.
    ///
    /// # Errors
    /// Why not.
    pub fn send_or_dial(&mut self, flow: &Flow, bytes: Bytes) -> Result<(), Unsent> {
        let mut keys = self.keys(flow);
        let has = keys.find(|key| self.lines.contains_key(key));
        let listener = has.map_or(flow.listener, |(listener, _)| listener);
        drop(keys);
        let flow = &Flow { listener, ..*flow };
        match self.send(flow, bytes) {
            Err(Unsent::Gone(bytes)) if self.dialled < CONNECTIONS_DIALLED_MAX => {
                self.dial(flow);
                self.send(flow, bytes)
            }
            Err(Unsent::Gone(bytes)) => Err(Unsent::TooMany(bytes)),
            other => other,
        }
    }

    /// Closes the connection of this flow as soon as what waits for it was sent.
    pub fn hang_up(&mut self, flow: &Flow) {
        let key = (flow.listener, flow.peer);
        match self.lines.remove(&key) {
            Some(line) if line.is_dialled => self.dialled -= 1,
            Some(_) => self.directory.strike(key, self.worker),
            None => {}
        }
    }

    /// The other worker that has a connection with the peer of this flow, where this one has
    /// none, and the flow there.
    #[must_use]
    pub fn elsewhere(&self, flow: &Flow) -> Option<(u8, Flow)> {
        if self.keys(flow).any(|key| self.lines.contains_key(&key)) {
            return None;
        }
        let mut keys = self.keys(flow);
        let found = keys.find_map(|key| Some((self.directory.worker(key)?, key.0)));
        let (worker, listener) = found.filter(|(worker, _)| *worker != self.worker)?;
        Some((worker, Flow { listener, ..*flow }))
    }

    /// Where a connection with the peer may stand, its own listener first.
    fn keys(&self, flow: &Flow) -> impl Iterator<Item = (u16, SocketAddr)> {
        let (listener, transport, peer) = (flow.listener, flow.transport, flow.peer);
        let others = self
            .places
            .iter()
            .filter(move |(place, of)| *place != listener && *of == transport);
        std::iter::once(listener)
            .chain(others.map(|(place, _)| *place))
            .map(move |place| (place, peer))
    }

    /// What happened next, if anything has.
    pub fn take(&mut self) -> Option<Heard> {
        loop {
            match self.first.take().or_else(|| self.hear.try_recv().ok())? {
                Heard::Opened(Opened { flow, line }) => {
                    // A dead one of the same addresses would be in its place.
                    self.hang_up(&flow);
                    let key = (flow.listener, flow.peer);
                    self.lines.insert(key, line);
                    self.directory.enter(key, self.worker);
                }
                heard => {
                    if let Heard::Closed { number, flow, .. } = &heard {
                        self.forget(*number, flow);
                    }
                    return Some(heard);
                }
            }
        }
    }

    /// Waits until something has happened.
    pub async fn wait(&mut self) {
        if self.first.is_none() {
            self.first = self.hear.recv().await;
        }
    }

    /// Waits until everything that was to be sent has been given to the system, at most
    /// `limits::LINGER_MS_MAX`.
    pub async fn quiet(&self) {
        const LOOK: Duration = Duration::from_millis(5);
        let told = |line: &Line| line.unread.is_none();
        let all_told = async {
            while !self.lines.values().all(told) {
                sleep(LOOK).await;
            }
        };
        let _ = timeout(Duration::from_millis(LINGER_MS_MAX), all_told).await;
    }

    fn forget(&mut self, number: u64, flow: &Flow) {
        let line = self.lines.get(&(flow.listener, flow.peer));
        if line.is_some_and(|line| line.number == number) {
            self.hang_up(flow);
        }
    }

    fn dial(&mut self, flow: &Flow) {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (line, ends) = line(number, *flow, self.tell.clone(), true);
        self.lines.insert((flow.listener, flow.peer), line);
        self.dialled += 1;
        tokio::spawn(open(ends, Arc::clone(&self.peers)));
    }
}

impl fmt::Debug for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connections")
            .field("lines", &self.lines.len())
            .field("dialled", &self.dialled)
            .finish_non_exhaustive()
    }
}

/// The two ends of the queue between a worker and one connection.
fn line(number: u64, flow: Flow, tell: Sender<Heard>, is_dialled: bool) -> (Line, Ends) {
    let (sender, letters) = channel(CONNECTION_UNREAD_MESSAGES_MAX);
    let unread = Arc::new(Unread::default());
    let line = Line {
        number,
        letters: sender,
        unread: Arc::clone(&unread),
        is_dialled,
    };
    let ends = Ends {
        number,
        flow,
        letters,
        unread,
        tell,
    };
    (line, ends)
}

const fn transport(is_tls: bool) -> FlowTransport {
    if is_tls {
        FlowTransport::Tls
    } else {
        FlowTransport::Tcp
    }
}

/// Opens a connection and serves it.
async fn open(ends: Ends, peers: Arc<TlsPeers>) {
    let flow = ends.flow;
    let wait = Duration::from_millis(CONNECT_MS_MAX);
    let (why, detail) = if flow.transport == FlowTransport::Tls {
        match timeout(wait, connect_tls(&flow, &peers)).await {
            Ok(Ok(stream)) => return serve(stream, ends, true).await,
            Ok(Err(failure)) => failure,
            Err(_) => (Ended::NotTaken, None),
        }
    } else {
        match timeout(wait, connect(&flow)).await {
            Ok(Ok(stream)) => return serve(stream, ends, true).await,
            Ok(Err(error)) => refused(&error),
            Err(_) => (Ended::NotTaken, None),
        }
    };
    ends.closed(why, detail, Vec::new()).await;
}

type Failure = (Ended, Option<Box<str>>);

fn refused(error: &io::Error) -> Failure {
    (Ended::Refused, Some(error.to_string().into()))
}

async fn connect_tls(flow: &Flow, peers: &TlsPeers) -> Result<TlsStream<TcpStream>, Failure> {
    let Some((connector, name)) = peers.connector(flow.peer) else {
        return Err((Ended::NoTlsPeer, None));
    };
    let wanted = name.to_str().into_owned();
    let stream = connect(flow).await.map_err(|error| refused(&error))?;
    connector.connect(name, stream).await.map_err(|error| {
        let (why, detail) = tls::failure(&error);
        let detail = detail.unwrap_or_default();
        (why, Some(format!("as {wanted}: {detail}").into()))
    })
}

async fn connect(flow: &Flow) -> io::Result<TcpStream> {
    let socket = match flow.peer {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_nodelay(true)?;
    // From the address that stands in our Via, where there is but one.
    if !flow.local.ip().is_unspecified() {
        socket.bind(SocketAddr::new(flow.local.ip(), 0))?;
    }
    socket.connect(flow.peer).await
}

/// One listener's socket on one worker.
struct Door {
    place: u16,
    gate: Arc<Gate>,
    tls: Option<Arc<TlsListener>>,
    is_known: IsKnown,
    numbers: Arc<AtomicU64>,
    tell: Sender<Heard>,
}

impl Door {
    /// Takes connections as long as the worker lives.
    async fn accept(self, socket: TcpListener) {
        while !self.tell.is_closed() {
            match socket.accept().await {
                Ok((stream, peer)) => self.came(stream, peer).await,
                Err(error) if is_of_the_peer(&error) => {}
                Err(_) => {
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
            tokio::spawn(accepted(stream, number, flow, tell, pass));
            return;
        };
        let (acceptor, gate) = (tls.acceptor(), Arc::clone(&self.gate));
        tokio::spawn(async move {
            match shake_hands(stream, &acceptor, &gate).await {
                Ok(stream) => accepted(stream, number, flow, tell, pass).await,
                Err(failure) => refuse(&tell, peer, failure).await,
            }
        });
    }
}

/// Serves a connection that was accepted, after its worker has heard of it.
async fn accepted<S>(stream: S, number: u64, flow: Flow, tell: Sender<Heard>, _pass: Pass)
where
    S: AsyncRead + AsyncWrite,
{
    let (line, ends) = line(number, flow, tell.clone(), false);
    let opened = Heard::Opened(Opened { flow, line });
    if tell.send(opened).await.is_ok() {
        serve(stream, ends, false).await;
    }
}

async fn shake_hands(
    stream: TcpStream,
    acceptor: &TlsAcceptor,
    gate: &Gate,
) -> Result<tokio_rustls::server::TlsStream<TcpStream>, Failure> {
    let _room = gate.handshake().map_err(|why| (why, None))?;
    let wait = Duration::from_millis(TLS_HANDSHAKE_MS_MAX);
    match timeout(wait, acceptor.accept(stream)).await {
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
