//! The composition root: the only place that knows sockets, tables, engine and log.
//!
//! [`Server::start`] binds and serves; the [`ServerHandle`] it returns reloads, counts
//! and ends it. [`run`] is all of that as a daemon with signals.

mod admin;
mod calls;
mod capturing;
mod certificates;
pub mod config;
mod daemon;
mod desk;
mod locating;
mod post;
mod proxying;
mod questions;
mod reach;
mod reloading;
mod secret;
mod sockets;
mod streams;
mod tide;
mod trunks;
mod turns;
mod worker;

pub use config::{
    Advertised, ApiConfig, CONTROL_SOCKET, Config, ControlConfig, HepConfig, HttpConfig,
    ListenerConfig, Mode, ProxyConfig, RecordsConfig,
};
pub use daemon::{EXIT_CONFIG, run};
pub use secret::NoSecret;

use std::fmt;
use std::hash::RandomState;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::api::Events;
use crate::control::{Access, NoSocket};
use crate::generations::{Asked, Generations, NoArchive, OpenError};
use crate::hep::{Capture, CaptureEnd, HepCounters};
use crate::http::Watched;
use crate::observe::{
    self, ApiCounters, CallLog, Counters, Feed, HttpCounters, HttpFace, HttpRefusals, ListenerName,
    Observer, ObserverThread, PeerErrors, Process, Roster, Standing, Tallied, Totals,
};
use crate::proxy::{
    Engine, FlowTransport, ProxyListener, ProxySettings, RedirectServer, RedirectSettings,
};
use crate::records::{NoSink, Records};
use crate::routing::{self, Snapshot};
use crate::system;
use crate::tables::diagnostic::Report;
use crate::tables::{Reload, TableStore};
use crate::transaction::Timers;
use crate::transport::{Connections, Directory, Gate, IsKnown, TlsFileError, UdpListener};
use admin::{Admin, Staff};
use calls::CallDesk;
use certificates::Certificates;
use desk::{LastOutcome, ServerDesk};
use locating::Published;
use post::Post;
use proxying::{Door, ProxyTask, Unanswered};
use questions::HttpThread;
use reloading::{Bench, Changes};
use secret::Secret;
use sockets::{Bound, bind_all, by_worker};
use streams::StreamTask;
use turns::Turns;
use worker::{ListenerTask, Order, Worker};

/// Reads every certificate and key the configuration names, as a start does.
///
/// # Errors
/// The first file that cannot be used.
pub fn check_certificates(config: &Config) -> Result<(), TlsFileError> {
    Certificates::open(config).map(|_| ())
}

/// Whether each address of a configuration can be had now: it, over what, and why not. All are
/// let go again.
#[must_use]
pub fn check_ports(config: &Config) -> Vec<(SocketAddr, &'static str, Result<(), StartError>)> {
    sockets::check(config)
}

/// Whether a file holds the secret of proxy listeners; `false` where it is not there yet.
///
/// # Errors
/// It cannot be used.
pub fn check_secret(file: &std::path::Path) -> Result<bool, NoSecret> {
    secret::check(file)
}

/// A sentence about each trunk that the proxy listeners of a configuration cannot reach.
pub fn unreached<'c>(
    config: &'c Config,
    table: &'c routing::RoutingTable,
) -> impl Iterator<Item = String> + 'c {
    reach::unreached(config, table)
}

/// A running server starts here.
#[derive(Debug)]
pub struct Server;

/// Why a server did not start. Nothing is left running.
#[derive(Debug)]
pub enum StartError {
    /// The routing table has errors.
    Table(Box<Report>),
    /// A listener's address cannot be used.
    Bind {
        /// The address.
        address: SocketAddr,
        /// Over what.
        transport: FlowTransport,
        /// What the system said.
        cause: io::Error,
    },
    /// The address for HTTP cannot be used.
    Http {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// A local socket cannot be made.
    Socket(NoSocket),
    /// The audit log cannot be written.
    Audit {
        /// The file.
        file: PathBuf,
        /// What the system said.
        cause: io::Error,
    },
    /// A certificate or a key cannot be used.
    Tls(TlsFileError),
    /// The state folder cannot be used.
    State(NoArchive),
    /// Copies for a capture server cannot be made.
    Hep(io::Error),
    /// There is no secret for the proxy listeners.
    Secret(NoSecret),
    /// A sink of call records cannot be used.
    Records(NoSink),
    /// The system gave no thread, socket or event queue.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(report) => write!(f, "the routing table has {} errors", report.errors),
            Self::Bind {
                address,
                transport,
                cause,
            } => write!(
                f,
                "cannot listen on {address} ({}): {cause}{}",
                transport.as_str(),
                hint(*transport, cause)
            ),
            Self::Http { address, cause } => write!(
                f,
                "cannot listen on {address} (http): {cause}{}",
                hint(FlowTransport::Tcp, cause)
            ),
            Self::Socket(cause) => write!(f, "{cause}"),
            Self::Audit { file, cause } => {
                let file = file.display();
                write!(f, "cannot open the audit log {file}: {cause}")
            }
            Self::Tls(cause) => write!(f, "{cause}"),
            Self::State(cause) => write!(f, "{cause}"),
            Self::Hep(cause) => write!(f, "cannot capture: {cause}"),
            Self::Secret(cause) => write!(f, "{cause}"),
            Self::Records(cause) => write!(f, "{cause}"),
            Self::System(cause) => write!(f, "cannot start: {cause}"),
        }
    }
}

impl std::error::Error for StartError {}

/// What to do about an address that cannot be used.
fn hint(transport: FlowTransport, cause: &io::Error) -> &'static str {
    match cause.kind() {
        io::ErrorKind::AddrInUse if transport.is_reliable() => {
            "; another process holds this port: `ss -ltnp` shows which"
        }
        io::ErrorKind::AddrInUse => "; another process holds this port: `ss -lunp` shows which",
        io::ErrorKind::AddrNotAvailable => "; no interface of this machine has this address",
        io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
        _ => "",
    }
}

impl Server {
    /// Loads the tables, binds every listener once per worker and serves.
    ///
    /// Blocks until the table is loaded. Warnings of the table go to the log.
    ///
    /// # Errors
    /// Tables with errors, addresses that cannot be used, a system without resources.
    pub fn start(config: &Config) -> Result<ServerHandle, StartError> {
        let certificates = Arc::new(Certificates::open(config).map_err(StartError::Tls)?);
        let bench = open_tables(config, Arc::clone(&certificates))?;
        let store = Arc::clone(bench.generations.store());
        if is_proxy(config) {
            reach::warn(config, &store.current());
        }
        let secret = secret_of(config)?;
        if config.listeners.iter().any(|l| l.transport.is_reliable()) {
            system::take_all_descriptors();
        }
        let bound = bind_all(config)?;
        let addresses: Vec<_> = bound
            .iter()
            .filter_map(|sockets| sockets.first()?.local_addr().ok())
            .collect();
        let capture = config.hep.as_ref().map(capturing::start);
        let (capture, capture_end) = capture.transpose().map_err(StartError::Hep)?.unzip();
        let gates = config.listeners.iter().map(|_| Arc::default()).collect();
        let mut shared = Shared {
            proxy_listeners: proxy_listeners(config, &addresses),
            config,
            key: RandomState::new(),
            secret,
            epoch: Instant::now(),
            unanswered: Unanswered::new(config.workers),
            gates,
            certificates: Arc::clone(&certificates),
            directory: Arc::default(),
            locations: Published::default(),
            feed: None,
            capture,
        };
        let (orders, watched) = watch::channel(Order::Serve);
        let mut handle = ServerHandle {
            store,
            bench: bench.clone(),
            orders,
            transports: config.listeners.iter().map(|l| l.transport).collect(),
            addresses,
            threads: Vec::new(),
            locating: None,
            roster: Arc::default(),
            captured: shared.capture.as_ref().map(Capture::counters),
            capture_end,
            counters: vec![Arc::clone(&bench.counters)],
            errors: Arc::new(PeerErrors::new(Instant::now())),
            ended: Arc::new(Notify::new()),
            changes: None,
            is_proxy: is_proxy(config),
            questions: None,
            http_counters: config.http.as_ref().map(|_| Arc::default()),
            api_counters: Arc::clone(bench.events.counters()),
            refusals: Arc::default(),
            metrics: None,
            desk: None,
            admin: None,
            observing: None,
        };
        handle.observe(&mut shared)?;
        if handle.is_proxy {
            handle.locate(&mut shared).map_err(StartError::System)?;
        }
        let offices = Post::offices(config.workers);
        for (post, sockets) in offices.into_iter().zip(by_worker(bound)) {
            handle
                .start_worker(post, sockets, &shared, &watched)
                .map_err(StartError::System)?;
        }
        if let (Some(http), Some(counters)) = (&config.http, handle.http_counters.clone()) {
            let (store, orders) = (Arc::clone(&handle.store), watched.clone());
            let tls = certificates.http.clone();
            let calls = (call_log(config), shared.feed.clone());
            let counted = (counters, handle.refusals.of(HttpFace::Questions));
            let thread = questions::answer_questions(http, tls, store, calls, counted, orders)?;
            handle.questions = Some(thread);
        }
        if let Some(address) = config.metrics {
            let (shown, orders) = (handle.watched(), watched.clone());
            let tls = certificates.metrics.clone();
            let refusals = handle.refusals.of(HttpFace::Metrics);
            let thread = questions::show_metrics(address, tls, shown, refusals, orders)?;
            handle.metrics = Some(thread);
        }
        let changes = Changes::start(bench).map_err(StartError::System)?;
        handle.changes = Some(changes.clone());
        let desk = Arc::new(desk(config, &handle, changes));
        handle.desk = Some(Arc::clone(&desk));
        let staff = Staff {
            desk,
            watched: handle.watched(),
            mask: config.mask_numbers,
            refusals: handle.refusals.of(HttpFace::Api),
            calls: handle.observer().map(calls::stream),
        };
        handle.admin = Some(Admin::start(&config.api, staff, &certificates, &watched)?);
        Ok(handle)
    }
}

fn desk(config: &Config, handle: &ServerHandle, changes: Changes) -> ServerDesk {
    let addresses = handle.local_addrs().iter();
    ServerDesk {
        bench: handle.bench.clone(),
        changes,
        access: Access {
            own_uid: system::own_uid(),
            users: config.control.users.clone(),
            groups: config.control.groups.clone(),
        },
        started: jiff::Timestamp::now(),
        listening: addresses.map(ToString::to_string).collect(),
        workers: handle.threads.len(),
        state: config.keeping.folder.clone(),
        calls: handle.call_desk(),
    }
}

/// The table that serves first, and what is to be said of it.
fn open_tables(config: &Config, certificates: Arc<Certificates>) -> Result<Bench, StartError> {
    let opened = Generations::open(&config.tables, &config.keeping);
    let (generations, opened) = opened.map_err(|error| match error {
        OpenError::Table(report) => StartError::Table(report),
        OpenError::State(cause) => StartError::State(cause),
    })?;
    for remark in &opened.remarks {
        tracing::warn!("{remark}");
    }
    reloading::log_findings(opened.refused.as_ref().unwrap_or(&opened.report));
    let bench = Bench {
        generations: Arc::new(generations),
        counters: Arc::default(),
        last: LastOutcome::default(),
        certificates,
        turns: Turns::allowed(),
        events: Events::new(Arc::default()),
        seen: Arc::new(observe::Changes::new(jiff::Timestamp::now().as_second())),
    };
    bench
        .last
        .note("start", opened.refused.as_ref().map(reloading::summary));
    Ok(bench)
}

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub struct ServerHandle {
    store: Arc<TableStore>,
    bench: Bench,
    orders: watch::Sender<Order>,
    addresses: Vec<SocketAddr>,
    transports: Vec<FlowTransport>,
    threads: Vec<JoinHandle<()>>,
    /// Asks DNS.
    locating: Option<JoinHandle<()>>,
    /// Where all workers count trunk groups.
    roster: Arc<Roster>,
    captured: Option<HepCounters>,
    capture_end: Option<CaptureEnd>,
    counters: Vec<Arc<Counters>>,
    errors: Arc<PeerErrors>,
    ended: Arc<Notify>,
    changes: Option<Changes>,
    /// Whether any listener is a proxy.
    is_proxy: bool,
    questions: Option<HttpThread>,
    http_counters: Option<Arc<HttpCounters>>,
    metrics: Option<HttpThread>,
    api_counters: Arc<ApiCounters>,
    refusals: Arc<HttpRefusals>,
    /// What the control socket and the admin API are answered with.
    desk: Option<Arc<ServerDesk>>,
    admin: Option<Admin>,
    observing: Option<Observing>,
}

/// Who hears of calls.
#[derive(Debug)]
struct Observing {
    observer: Observer,
    thread: ObserverThread,
    records: Records,
    /// Copies records for a capture server.
    copies: Option<JoinHandle<()>>,
    desk: CallDesk,
}

impl ServerHandle {
    /// Where it listens, in the order of the configuration, drawn ports filled in.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Where questions are asked over HTTP, a drawn port filled in.
    #[must_use]
    pub fn http_addr(&self) -> Option<SocketAddr> {
        self.questions.as_ref()?.address
    }

    /// Where metrics are asked for, a drawn port filled in.
    #[must_use]
    pub fn metrics_addr(&self) -> Option<SocketAddr> {
        self.metrics.as_ref()?.address
    }

    /// Where the admin API is answered over TCP, a drawn port filled in.
    #[must_use]
    pub fn api_addr(&self) -> Option<SocketAddr> {
        self.admin.as_ref()?.address()
    }

    /// Where it listens and over what, for a log.
    fn listening_on(&self) -> String {
        let both = self.addresses.iter().zip(&self.transports);
        let texts = both.map(|(address, over)| format!("{address} ({})", over.as_str()));
        let http = self.http_addr().map(|address| format!("{address} (http)"));
        let metrics = self.metrics_addr();
        let metrics = metrics.map(|address| format!("{address} (metrics)"));
        let api = self.api_addr().map(|address| format!("{address} (api)"));
        texts
            .chain(http)
            .chain(metrics)
            .chain(api)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The tables it serves.
    #[must_use]
    pub fn tables(&self) -> &TableStore {
        &self.store
    }

    /// Reads certificates and tables again now and logs how it went. Blocks while they are
    /// read.
    pub fn reload(&self) -> Reload {
        let changed = self.bench.reload(&Asked::by("caller"));
        changed.outcome.unwrap_or_else(|denied| Reload::NotMade {
            generation: self.store.current().generation(),
            cause: denied.to_string(),
        })
    }

    /// Has certificates and tables read again in the background. Requests that come while one
    /// waits are the same request: however many, the last state of the files is read after
    /// the last of them.
    pub fn reload_soon(&self) {
        if let Some(changes) = &self.changes {
            changes.reload_soon();
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        totals(
            &self.counters,
            self.http_counters.as_deref(),
            &self.api_counters,
            &self.refusals,
        )
    }

    /// How it stands, for whoever watches it.
    fn watched(&self) -> Watched {
        let (counters, store) = (self.counters.clone(), Arc::clone(&self.store));
        let (http, api) = (self.http_counters.clone(), Arc::clone(&self.api_counters));
        let refusals = Arc::clone(&self.refusals);
        let (bench, orders) = (self.bench.clone(), self.orders.subscribe());
        let started_s = jiff::Timestamp::now().as_second();
        let calls = self.call_desk();
        let captured = self.captured.clone();
        Watched::new(move || Standing {
            totals: totals(&counters, http.as_deref(), &api, &refusals),
            snapshot: store.snapshot(),
            calls: calls.as_ref().map(CallDesk::standing).unwrap_or_default(),
            takes_calls: *orders.borrow() == Order::Serve,
            last_change_made: bench.last.get().is_none(),
            on_trial: bench.generations.trial_left().is_some(),
            started_s,
            tallied: Tallied::of(counters.iter().map(|counters| &counters.tallies)),
            changes: bench.seen.seen(),
            certificates: bench.certificates.ends(),
            log_lines_dropped: observe::log_lines_dropped(),
            hep: captured
                .as_ref()
                .map(HepCounters::totals)
                .unwrap_or_default(),
            process: Process::current(),
        })
    }

    /// Tells the log of peers' errors that were held back.
    pub fn flush_peer_errors(&self) {
        self.errors.flush();
    }

    /// Answers what is queued, waits for outstanding ACKs as long as configured, ends.
    /// Blocks until then; returns what was counted.
    #[must_use = "the totals are gone with the server"]
    pub fn shutdown(mut self) -> Totals {
        self.order(Order::Drain);
        self.join();
        self.totals()
    }

    fn order(&self, order: Order) {
        self.orders.send_replace(order);
    }

    fn join(&mut self) {
        for thread in self.threads.drain(..) {
            // A worker that panicked has said so, and has been reported when it ended.
            let _ = thread.join();
        }
        // The workers have drained: nobody needs a name any more, or watches.
        self.order(Order::Stop);
        let admin = self.admin.iter_mut().flat_map(|admin| &mut admin.threads);
        let http = [&mut self.questions, &mut self.metrics]
            .into_iter()
            .flatten()
            .chain(admin);
        let http = http.filter_map(|http| http.thread.take());
        for thread in http.chain(self.locating.take()) {
            let _ = thread.join();
        }
        if let Some(observing) = &mut self.observing {
            observing.thread.join();
            observing.records.join();
            let _ = observing.copies.take().map(JoinHandle::join);
        }
        if let Some(end) = self.capture_end.take() {
            end.join();
        }
    }

    /// Has calls told of from now on, if anybody wants to know.
    fn observe(&mut self, shared: &mut Shared<'_>) -> Result<(), StartError> {
        if !shared.config.tells_calls() {
            return Ok(());
        }
        let listeners = shared.proxy_listeners.iter().map(listener_name);
        let (feed, observer, thread) =
            Observer::start(listeners.collect()).map_err(StartError::System)?;
        let config = shared.config;
        let records = Records::start(&config.records.sinks, &observer);
        let records = records.map_err(StartError::Records)?;
        let capture = shared.capture.clone().filter(Capture::takes_records);
        let copies = capture
            .map(|capture| capturing::copy_records(capture, &observer, config.mask_numbers))
            .transpose();
        shared.feed = Some(feed);
        self.observing = Some(Observing {
            desk: CallDesk::new(&observer, &records, config.mask_numbers),
            observer,
            thread,
            records,
            copies: copies.map_err(StartError::Hep)?,
        });
        Ok(())
    }

    /// Who knows which calls are up, and can be asked to tell of calls; `None` where nobody
    /// wants to know ([`Config::tells_calls`]).
    #[must_use]
    pub fn observer(&self) -> Option<&Observer> {
        self.observing.as_ref().map(|observing| &observing.observer)
    }

    /// Where calls are asked about; `None` where nobody follows them.
    fn call_desk(&self) -> Option<CallDesk> {
        self.observing
            .as_ref()
            .map(|observing| observing.desk.clone())
    }

    /// Has the names of trunks looked after from now on.
    fn locate(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let spoken = shared.proxy_listeners.iter();
        let spoken = spoken.map(|listener| listener.transport).collect();
        let (store, orders) = (Arc::clone(&self.store), self.orders.subscribe());
        let servers = &shared.config.dns_servers;
        let peers = Arc::clone(&shared.certificates.peers);
        let (locations, thread) = locating::start(store, servers, spoken, peers, orders)?;
        shared.locations = locations;
        self.locating = Some(thread);
        Ok(())
    }

    fn start_worker(
        &mut self,
        post: Post,
        sockets: Vec<Bound>,
        shared: &Shared<'_>,
        orders: &watch::Receiver<Order>,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let config = shared.config;
        let counters = Arc::new(Counters::new(Arc::clone(&self.roster)));
        let worker = Worker {
            store: Arc::clone(&self.store),
            counters: Arc::clone(&counters),
            errors: Arc::clone(&self.errors),
            calls: call_log(config),
            feed: shared.feed.clone(),
            orders: orders.clone(),
            drain_timeout: config.drain_timeout,
            capture: shared.capture.clone(),
        };
        let mut tasks = Tasks::default();
        let number = post.number();
        let (mut doors, mut connections) = (
            Vec::new(),
            Connections::new(
                number,
                Arc::clone(&shared.directory),
                Arc::clone(&shared.certificates.peers),
            ),
        );
        let _inside = runtime.enter();
        let redirect = |stateful| {
            RedirectServer::new(RedirectSettings {
                tag_key: shared.key.clone(),
                stateful,
                server_header: config.server_header.clone(),
            })
        };
        let rest = shared.gates.iter().zip(&shared.certificates.listeners);
        let all = config.listeners.iter().zip(rest);
        for (socket, (listener, (gate, tls))) in sockets.into_iter().zip(all) {
            let (gate, tls) = (Arc::clone(gate), tls.clone());
            let local = socket.local_addr()?;
            match (listener.mode, socket) {
                (Mode::Proxy, Bound::Datagrams(socket)) => {
                    doors.push(Door::new(UdpListener::new(socket)?, &listener.name, local)?);
                }
                (Mode::Proxy, Bound::Streams(socket)) => {
                    let place = u16::try_from(doors.len()).unwrap_or(u16::MAX);
                    connections.listen(place, socket, gate, tls, self.is_known())?;
                    if listener.alias {
                        connections.reuse(place);
                    }
                    doors.push(Door::of_streams(&listener.name, local));
                }
                (Mode::Redirect, Bound::Datagrams(socket)) => tasks.datagrams.push(ListenerTask {
                    listener: UdpListener::new(socket)?,
                    name: listener.name.as_str().into(),
                    local,
                    engine: redirect(listener.stateful),
                    worker: worker.clone(),
                    told: (0, 0),
                }),
                (Mode::Redirect, Bound::Streams(socket)) => {
                    // One listener, which answers only: nobody looks for its connections.
                    let peers = Arc::clone(&shared.certificates.peers);
                    let mut connections = Connections::new(number, Arc::default(), peers);
                    connections.listen(0, socket, gate, tls, self.is_known())?;
                    tasks.streams.push(StreamTask {
                        connections,
                        is_known: self.is_known(),
                        name: listener.name.as_str().into(),
                        engine: redirect(false),
                        worker: worker.clone(),
                    });
                }
            }
        }
        drop(_inside);
        tasks.proxy = (!doors.is_empty()).then(|| ProxyTask {
            doors,
            connections,
            engine: shared.engine(number, &self.store.snapshot()),
            post,
            unanswered: shared.unanswered.clone(),
            locations: Arc::clone(&shared.locations),
            worker,
            told: (0, 0),
        });
        let ended = Arc::clone(&self.ended);
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        self.threads
            .push(thread.spawn(move || tasks.run(&runtime, &ended))?);
        self.counters.push(counters);
        Ok(())
    }

    /// Whether the table of the moment knows a source.
    fn is_known(&self) -> IsKnown {
        let store = Arc::clone(&self.store);
        Arc::new(move |source| routing::is_known_source(&store.snapshot().table, source))
    }
}

fn totals(
    workers: &[Arc<Counters>],
    http: Option<&HttpCounters>,
    api: &ApiCounters,
    refusals: &HttpRefusals,
) -> Totals {
    let mut totals = Totals::of(workers.iter().map(|counters| &**counters));
    totals.api = api.totals();
    totals.http_refusals = refusals.totals();
    totals.http = http.map(HttpCounters::totals).unwrap_or_default();
    totals
}

fn call_log(config: &Config) -> CallLog {
    CallLog {
        enabled: config.log_decisions,
        format: config.log.format,
        mask: config.mask_numbers,
    }
}

/// What all workers have in common.
struct Shared<'c> {
    config: &'c Config,
    /// Keys To tags, branches and hash tables.
    key: RandomState,
    secret: Secret,
    epoch: Instant,
    proxy_listeners: Vec<ProxyListener>,
    unanswered: Unanswered,
    /// One for each listener.
    gates: Vec<Arc<Gate>>,
    certificates: Arc<Certificates>,
    directory: Arc<Directory>,
    /// Where the trunks' names are.
    locations: Published,
    /// Where calls are told of.
    feed: Option<Feed>,
    /// Where copies go.
    capture: Option<Capture>,
}

impl Shared<'_> {
    fn engine(&self, worker: u8, snapshot: &Snapshot) -> Engine {
        let mut engine = Engine::new(self.settings(worker), snapshot);
        if let Some(calls) = self.config.proxy.calls_per_source {
            engine.limit_sources(calls);
        }
        if self.feed.is_some() {
            engine.follow_calls();
        }
        if worker == 0 {
            engine.probe_trunks(self.epoch);
        }
        engine
    }

    fn settings(&self, worker: u8) -> ProxySettings {
        ProxySettings {
            worker,
            secret: self.secret,
            key: self.key.clone(),
            epoch: self.epoch,
            timers: Timers::default(),
            listeners: self.proxy_listeners.clone(),
            server_header: self.config.server_header.clone(),
            calls_max: self.config.proxy.calls_max,
        }
    }
}

fn listener_name(listener: &ProxyListener) -> ListenerName {
    ListenerName {
        name: (*listener.name).into(),
        transport: listener.transport.as_str(),
    }
}

fn is_proxy(config: &Config) -> bool {
    let mut listeners = config.listeners.iter();
    listeners.any(|listener| listener.mode == Mode::Proxy)
}

/// The secret of the proxy listeners; where there are none it is never used.
fn secret_of(config: &Config) -> Result<Secret, StartError> {
    if !is_proxy(config) {
        return Ok(Secret::default());
    }
    let file = config.proxy.secret_file.as_deref();
    if file.is_none() {
        tracing::warn!(
            "no secret_file in [proxy]: after a restart calls that are up can be ended only \
             from and to addresses of the tables"
        );
    }
    secret::secret(file).map_err(StartError::Secret)
}

/// The proxy listeners as the engine knows them, in the order of the configuration.
fn proxy_listeners(config: &Config, addresses: &[SocketAddr]) -> Vec<ProxyListener> {
    let both = config.listeners.iter().zip(addresses);
    both.filter(|(listener, _)| listener.mode == Mode::Proxy)
        .map(|(listener, local)| ProxyListener {
            name: listener.name.as_str().into(),
            transport: listener.transport,
            local: *local,
            advertised: listener.advertised(*local),
        })
        .collect()
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.order(Order::Stop);
        self.join();
    }
}

/// All that one worker runs.
#[derive(Default)]
struct Tasks {
    datagrams: Vec<ListenerTask>,
    streams: Vec<StreamTask>,
    proxy: Option<ProxyTask>,
}

impl Tasks {
    /// Serves until the last of them ends.
    fn run(self, runtime: &Runtime, ended: &Notify) {
        runtime.block_on(async {
            let mut running = JoinSet::new();
            if let Some(proxy) = self.proxy {
                running.spawn(proxy.run());
            }
            for task in self.datagrams {
                running.spawn(task.run());
            }
            for task in self.streams {
                running.spawn(task.run());
            }
            while let Some(result) = running.join_next().await {
                if let Err(error) = result {
                    tracing::error!("a listener ended: {error}");
                    ended.notify_one();
                }
            }
        });
    }
}
