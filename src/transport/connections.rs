//! All connections of one worker: those it accepted and those it opened.

use std::collections::HashMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{sleep, timeout};
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::CertificateDer;

use super::connection::{Ends, Unread, post, serve};
use super::door::{Door, IsKnown};
use super::{Directory, Ended, Gate, TlsListener, TlsPeers, tls};
use crate::limits::{
    CONNECT_MS_MAX, CONNECTION_UNREAD_MESSAGES_MAX, CONNECTIONS_DIALLED_MAX, LINGER_MS_MAX,
    MESSAGES_READ_AHEAD_MAX,
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

impl Opened {
    pub(super) fn new(flow: Flow, line: Line, shown: Option<CertificateDer<'static>>) -> Self {
        let line = Line { shown, ..line };
        Self { flow, line }
    }
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

/// The connections of one worker, for all its listeners. Lives on the worker's runtime.
pub struct Connections {
    worker: u8,
    lines: HashMap<(u16, SocketAddr), Line>,
    /// Addresses that are reached on a connection from another port of theirs: RFC 5923.
    aliases: HashMap<(u16, SocketAddr), SocketAddr>,
    dialled: usize,
    /// The listeners that take connections.
    places: Vec<(u16, FlowTransport)>,
    /// Those whose connections may be reused for requests to their peers.
    reusing: Vec<u16>,
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
pub(super) struct Line {
    number: u64,
    letters: Sender<Bytes>,
    unread: Arc<Unread>,
    is_dialled: bool,
    /// What its peer has shown under TLS.
    shown: Option<CertificateDer<'static>>,
    /// Whether it may still ask to be reused.
    may_ask: bool,
    /// The address it is reused for.
    alias: Option<SocketAddr>,
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
            reusing: Vec::new(),
            aliases: HashMap::new(),
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
    /// listener at this place, which has this gate of all there are; under TLS where there is
    /// `tls`. For a call inside the runtime.
    ///
    /// # Errors
    /// What the system said.
    pub fn listen(
        &mut self,
        place: u16,
        socket: std::net::TcpListener,
        (gate, all_gates): (Arc<Gate>, Arc<[Arc<Gate>]>),
        tls: Option<Arc<TlsListener>>,
        is_known: IsKnown,
    ) -> io::Result<()> {
        let transport = transport(tls.is_some());
        let door = Door {
            place,
            gate,
            all_gates,
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

    /// From now on connections of the listener at this place may be reused for requests to
    /// their peers, where these ask for it.
    pub fn reuse(&mut self, place: u16) {
        self.reusing.push(place);
    }

    /// Whether a request that came on this connection may ask for it to be reused: the first
    /// one, on a connection that was accepted by a listener that allows it.
    pub fn may_ask_for_reuse(&mut self, flow: &Flow) -> bool {
        if !self.reusing.contains(&flow.listener) {
            return false;
        }
        let line = self.lines.get_mut(&(flow.listener, flow.peer));
        line.is_some_and(|line| std::mem::take(&mut line.may_ask))
    }

    /// Requests to this port of the peer go on its connection from now on: RFC 5923. Under
    /// TLS only if what it has shown is for the name that is to be met there (§8.1): it must
    /// be believed no more than if the connection had been opened by us.
    pub fn reuse_for(&mut self, flow: &Flow, port: u16) {
        let alias = SocketAddr::new(flow.peer.ip(), port);
        let Some(line) = self.lines.get_mut(&(flow.listener, flow.peer)) else {
            return;
        };
        let is_believed = flow.transport == FlowTransport::Tcp
            || (line.shown.as_ref()).is_some_and(|shown| self.peers.is_named(alias, shown));
        if !is_believed || alias == flow.peer {
            return;
        }
        line.alias = Some(alias);
        let key = (flow.listener, alias);
        self.aliases.insert(key, flow.peer);
        self.directory.enter(key, self.worker);
    }

    /// The flow of the connection that stands for this one.
    fn on_connection(&self, flow: &Flow) -> Flow {
        let key = (flow.listener, flow.peer);
        let peer = match self.lines.contains_key(&key) {
            true => flow.peer,
            false => self.aliases.get(&key).copied().unwrap_or(flow.peer),
        };
        Flow { peer, ..*flow }
    }

    fn has(&self, key: &(u16, SocketAddr)) -> bool {
        self.lines.contains_key(key) || self.aliases.contains_key(key)
    }

    /// Sends a message on the connection of its flow.
    ///
    /// # Errors
    /// Why not.
    pub fn send(&mut self, flow: &Flow, bytes: Bytes) -> Result<(), Unsent> {
        let flow = &self.on_connection(flow);
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
        let has = keys.find(|key| self.has(key));
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
            Some(line) => {
                self.directory.strike(key, self.worker);
                let alias = line.alias.map(|alias| (flow.listener, alias));
                if let Some(alias) = alias.filter(|key| self.aliases.get(key) == Some(&flow.peer)) {
                    self.aliases.remove(&alias);
                    self.directory.strike(alias, self.worker);
                }
            }
            None => {}
        }
    }

    /// The other worker that has a connection with the peer of this flow, where this one has
    /// none, and the flow there.
    #[must_use]
    pub fn elsewhere(&self, flow: &Flow) -> Option<(u8, Flow)> {
        if self.keys(flow).any(|key| self.has(&key)) {
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
pub(super) fn line(number: u64, flow: Flow, tell: Sender<Heard>, is_dialled: bool) -> (Line, Ends) {
    let (sender, letters) = channel(CONNECTION_UNREAD_MESSAGES_MAX);
    let unread = Arc::new(Unread::default());
    let line = Line {
        number,
        letters: sender,
        unread: Arc::clone(&unread),
        is_dialled,
        shown: None,
        may_ask: !is_dialled,
        alias: None,
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

pub(super) const fn transport(is_tls: bool) -> FlowTransport {
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
            Ok(Ok(stream)) => return serve(stream, ends, None).await,
            Ok(Err(failure)) => failure,
            Err(_) => (Ended::NotTaken, None),
        }
    } else {
        match timeout(wait, connect(&flow)).await {
            Ok(Ok(stream)) => return serve(stream, ends, None).await,
            Ok(Err(error)) => refused(&error),
            Err(_) => (Ended::NotTaken, None),
        }
    };
    ends.closed(why, detail, Vec::new()).await;
}

pub(super) type Failure = (Ended, Option<Box<str>>);

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
