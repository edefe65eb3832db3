//! The composition root: the only place that knows sockets, tables, engine and log.
//!
//! [`Server::start`] binds and serves; the [`ServerHandle`] it returns reloads, counts
//! and ends it. [`run`] is all of that as a daemon with signals.

pub mod config;
mod daemon;
mod reloading;
mod worker;

pub use config::{Config, ListenerConfig};
pub use daemon::{EXIT_CONFIG, run};

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
use crate::proxy::{RedirectServer, RedirectSettings};
use crate::tables::diagnostic::Report;
use crate::tables::{Reload, TableStore};
use crate::transport::{UdpListener, udp};
use worker::{CallLog, ListenerTask, Order};

/// A running redirect server starts here.
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
        let bound = bind_all(config)?;
        let addresses = bound
            .iter()
            .filter_map(|sockets| sockets.first()?.local_addr().ok())
            .collect();
        let (orders, watched) = watch::channel(Order::Serve);
        let mut handle = ServerHandle {
            store: Arc::new(store),
            orders,
            addresses,
            threads: Vec::new(),
            counters: Vec::new(),
            errors: Arc::new(PeerErrors::new(Instant::now())),
            ended: Arc::new(Notify::new()),
            reload_soon: None,
        };
        let tag_key = RandomState::new();
        for (number, sockets) in by_worker(bound).into_iter().enumerate() {
            handle
                .start_worker(number, sockets, config, &tag_key, &watched)
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
    counters: Vec<Arc<Counters>>,
    errors: Arc<PeerErrors>,
    ended: Arc<Notify>,
    reload_soon: Option<SyncSender<()>>,
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
    }

    fn start_worker(
        &mut self,
        number: usize,
        sockets: Vec<UdpSocket>,
        config: &Config,
        tag_key: &RandomState,
        orders: &watch::Receiver<Order>,
    ) -> io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()?;
        let counters = Arc::new(Counters::new());
        let calls = CallLog {
            enabled: config.log_decisions,
            format: config.log.format,
            mask: config.mask_numbers,
        };
        let mut tasks = Vec::new();
        for (socket, listener) in sockets.into_iter().zip(&config.listeners) {
            let _inside = runtime.enter();
            tasks.push(ListenerTask {
                listener: UdpListener::new(socket)?,
                name: listener.name.as_str().into(),
                engine: RedirectServer::new(RedirectSettings {
                    tag_key: tag_key.clone(),
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
        let ended = Arc::clone(&self.ended);
        let thread = std::thread::Builder::new().name(format!("worker-{number}"));
        self.threads
            .push(thread.spawn(move || run_worker(&runtime, tasks, &ended))?);
        self.counters.push(counters);
        Ok(())
    }
}

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.order(Order::Stop);
        self.join();
    }
}

/// Serves all listeners of one worker until the last of them ends.
fn run_worker(runtime: &Runtime, tasks: Vec<ListenerTask>, ended: &Notify) {
    runtime.block_on(async {
        let mut running = JoinSet::new();
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
