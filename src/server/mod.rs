//! The composition root: the only place that knows sockets, tables, engine and log.
//!
//! [`Server::start`] binds and serves; the [`ServerHandle`] it returns reloads, counts
//! and ends it. [`run`] is all of that as a daemon with signals.

mod admin;
mod calls;
mod capturing;
mod certificates;
pub mod config;
mod crew;
mod daemon;
mod desk;
mod handle;
mod locating;
mod observing;
mod post;
mod proxying;
mod questions;
mod reach;
mod reloading;
mod secret;
mod shared;
mod sockets;
mod start_error;
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
pub use handle::ServerHandle;
pub use secret::NoSecret;
pub use start_error::StartError;

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use tokio::sync::{Notify, watch};

use crate::api::Events;
use crate::control::Access;
use crate::generations::{Generations, OpenError};
use crate::hep::Capture;
use crate::observe::{self, HttpFace, PeerErrors};
use crate::routing;
use crate::system;
use crate::transport::TlsFileError;
use admin::{Admin, Staff};
use certificates::Certificates;
use desk::{LastOutcome, ServerDesk};
use locating::Published;
use post::Post;
use proxying::Unanswered;
use reloading::{Bench, Changes};
use shared::{Shared, call_log, is_proxy, proxy_listeners, secret_of};
use sockets::{bind_all, by_worker};
use turns::Turns;
use worker::Order;

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
    let serving = bench.generations.store().current().generation();
    let refused = opened.refused.as_ref().map(reloading::summary);
    bench.last.note(serving, "start", refused);
    Ok(bench)
}
