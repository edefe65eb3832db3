//! The composition root: the only place that knows sockets, tables, engine and log.
//!
//! [`Server::start`] binds and serves; the [`ServerHandle`] it returns reloads, counts
//! and ends it. [`run`] is all of that as a daemon with signals.

pub mod config;
mod daemon;
mod locating;
mod post;
mod proxying;
mod reloading;
mod secret;
mod worker;

pub use config::{Advertised, Config, ListenerConfig, Mode, ProxyConfig};
pub use daemon::{EXIT_CONFIG, run};
pub use secret::NoSecret;

use std::fmt;
use std::hash::RandomState;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::thread::JoinHandle;
use std::time::Instant;

use tokio::runtime::Runtime;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;

use crate::observe::{Counters, PeerErrors, Totals};
use crate::proxy::{
    Engine, FlowTransport, ProxyListener, ProxySettings, RedirectServer, RedirectSettings,
};
use crate::routing::Snapshot;
use crate::tables::diagnostic::Report;
use crate::tables::{Reload, TableStore};
use crate::transaction::Timers;
use crate::transport::{UdpListener, udp};
use locating::Published;
use post::Post;
use proxying::{Door, ProxyTask, Unanswered};
use secret::Secret;
use worker::{CallLog, ListenerTask, Order};

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
        /// What the system said.
        cause: io::Error,
    },
    /// There is no secret for the proxy listeners.
    Secret(NoSecret),
    /// The system gave no thread, socket or event queue.
    System(io::Error),
}

impl fmt::Display for StartError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Table(report) => write!(f, "the routing table has {} errors", report.errors),
            Self::Bind { address, cause } => write!(
                f,
                "cannot listen on {address} (udp): {}{}",
                cause,
                hint(cause)
            ),
            Self::Secret(cause) => write!(f, "{cause}"),
            Self::System(cause) => write!(f, "cannot start: {cause}"),
        }
    }
}

impl std::error::Error for StartError {}

/// What to do about an address that cannot be used.
fn hint(cause: &io::Error) -> &'static str {
    match cause.kind() {
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
        let (store, _, report) = TableStore::open(&config.tables)
            .map_err(|report| StartError::Table(Box::new(report)))?;
        reloading::log_findings(&report);
        let secret = secret_of(config)?;
        let bound = bind_all(config)?;
        let addresses: Vec<_> = bound
            .iter()
            .filter_map(|sockets| sockets.first()?.local_addr().ok())
            .collect();
        let mut shared = Shared {
            proxy_listeners: proxy_listeners(config, &addresses),
            config,
            key: RandomState::new(),
            secret,
            epoch: Instant::now(),
            unanswered: Unanswered::new(config.workers),
            locations: Published::default(),
        };
        let (orders, watched) = watch::channel(Order::Serve);
        let mut handle = ServerHandle {
            store: Arc::new(store),
            orders,
            addresses,
            threads: Vec::new(),
            locating: None,
            counters: Vec::new(),
            errors: Arc::new(PeerErrors::new(Instant::now())),
            ended: Arc::new(Notify::new()),
            reload_soon: None,
            is_proxy: is_proxy(config),
        };
        if handle.is_proxy {
            handle.locate(&mut shared).map_err(StartError::System)?;
        }
        let offices = Post::offices(config.workers);
        for (post, sockets) in offices.into_iter().zip(by_worker(bound)) {
            handle
                .start_worker(post, sockets, &shared, &watched)
                .map_err(StartError::System)?;
        }
        handle.reload_soon =
            Some(reloading::start(Arc::clone(&handle.store)).map_err(StartError::System)?);
        Ok(handle)
    }
}

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub struct ServerHandle {
    store: Arc<TableStore>,
    orders: watch::Sender<Order>,
    addresses: Vec<SocketAddr>,
    threads: Vec<JoinHandle<()>>,
    /// Asks DNS.
    locating: Option<JoinHandle<()>>,
    counters: Vec<Arc<Counters>>,
    errors: Arc<PeerErrors>,
    ended: Arc<Notify>,
    reload_soon: Option<SyncSender<()>>,
    /// Whether any listener is a proxy.
    is_proxy: bool,
}

impl ServerHandle {
    /// Where it listens, in the order of the configuration, drawn ports filled in.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The tables it serves.
    #[must_use]
    pub fn tables(&self) -> &TableStore {
        &self.store
    }

    /// Reads the tables again now and logs how it went. Blocks while they are read.
    pub fn reload(&self) -> Reload {
        reloading::reload(&self.store)
    }

    /// Has the tables read again in the background. Requests that come while one waits
    /// are the same request: however many, the last state of the files is read after
    /// the last of them.
    pub fn reload_soon(&self) {
        if let Some(soon) = &self.reload_soon {
            // Full: the request that waits will read the files after now.
            let _ = soon.try_send(());
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        Totals::of(self.counters.iter().map(|counters| &**counters))
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
        if let Some(locating) = self.locating.take() {
            // The workers have drained: nobody needs a name any more.
            self.order(Order::Stop);
            let _ = locating.join();
        }
    }

    /// Has the names of trunks looked after from now on.
    fn locate(&mut self, shared: &mut Shared<'_>) -> io::Result<()> {
        let spoken = shared.proxy_listeners.iter();
        let spoken = spoken.map(|listener| listener.transport).collect();
        let (store, orders) = (Arc::clone(&self.store), self.orders.subscribe());
        let servers = &shared.config.dns_servers;
        let (locations, thread) = locating::start(store, servers, spoken, orders)?;
        shared.locations = locations;
        self.locating = Some(thread);
        Ok(())
    }

    fn start_worker(
        &mut self,
        post: Post,
        sockets: Vec<UdpSocket>,
        shared: &Shared<'_>,
        orders: &watch::Receiver<Order>,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let config = shared.config;
        let counters = Arc::new(Counters::new());
        let calls = CallLog {
            enabled: config.log_decisions,
            format: config.log.format,
            mask: config.mask_numbers,
        };
        let (mut tasks, mut doors) = (Vec::new(), Vec::new());
        for (socket, listener) in sockets.into_iter().zip(&config.listeners) {
            let _inside = runtime.enter();
            let local = socket.local_addr()?;
            let socket = UdpListener::new(socket)?;
            if listener.mode == Mode::Proxy {
                doors.push(Door::new(socket, &listener.name, local)?);
                continue;
            }
            tasks.push(ListenerTask {
                listener: socket,
                name: listener.name.as_str().into(),
                engine: RedirectServer::new(RedirectSettings {
                    tag_key: shared.key.clone(),
                    stateful: listener.stateful,
                    server_header: config.server_header.clone(),
                }),
                store: Arc::clone(&self.store),
                counters: Arc::clone(&counters),
                errors: Arc::clone(&self.errors),
                calls,
                orders: orders.clone(),
                drain_timeout: config.drain_timeout,
            });
        }
        let number = post.number();
        let proxy = (!doors.is_empty()).then(|| ProxyTask {
            doors,
            engine: shared.engine(number, &self.store.snapshot()),
            post,
            unanswered: shared.unanswered.clone(),
            locations: Arc::clone(&shared.locations),
            store: Arc::clone(&self.store),
            counters: Arc::clone(&counters),
            errors: Arc::clone(&self.errors),
            calls,
            orders: orders.clone(),
            drain_timeout: config.drain_timeout,
        });
        let ended = Arc::clone(&self.ended);
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        self.threads
            .push(thread.spawn(move || run_worker(&runtime, tasks, proxy, &ended))?);
        self.counters.push(counters);
        Ok(())
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
    /// Where the trunks' names are.
    locations: Published,
}

impl Shared<'_> {
    fn engine(&self, worker: u8, snapshot: &Snapshot) -> Engine {
        let mut engine = Engine::new(self.settings(worker), snapshot);
        if let Some(calls) = self.config.proxy.calls_per_source {
            engine.limit_sources(calls);
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
            transport: FlowTransport::Udp,
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

/// Serves all listeners of one worker until the last of them ends.
fn run_worker(
    runtime: &Runtime,
    tasks: Vec<ListenerTask>,
    proxy: Option<ProxyTask>,
    ended: &Notify,
) {
    runtime.block_on(async {
        let mut running = JoinSet::new();
        if let Some(proxy) = proxy {
            running.spawn(proxy.run());
        }
        for task in tasks {
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

/// One set of sockets per listener, one socket of each per worker.
fn bind_all(config: &Config) -> Result<Vec<Vec<UdpSocket>>, StartError> {
    let bind = |address| {
        udp::bind(address, config.workers).map_err(|cause| StartError::Bind { address, cause })
    };
    config
        .listeners
        .iter()
        .map(|listener| bind(listener.address))
        .collect()
}

/// Turns the sockets of each listener into the sockets of each worker.
fn by_worker(mut bound: Vec<Vec<UdpSocket>>) -> Vec<Vec<UdpSocket>> {
    let workers = bound.iter().map(Vec::len).min().unwrap_or(0);
    (0..workers)
        .map(|_| bound.iter_mut().filter_map(Vec::pop).collect())
        .collect()
}
