//! What all workers have in common.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use super::StartError;
use super::certificates::Certificates;
use super::config::{Config, Mode};
use super::locating::Published;
use super::proxying::Unanswered;
use super::secret::{self, Secret};
use crate::hep::Capture;
use crate::observe::{CallLog, Feed, ListenerName};
use crate::proxy::{Engine, ProxyListener, ProxySettings};
use crate::routing::Snapshot;
use crate::transaction::Timers;
use crate::transport::{Directory, Gate};

/// What all workers have in common.
pub(super) struct Shared<'c> {
    pub(super) config: &'c Config,
    /// Keys To tags, branches and hash tables.
    pub(super) key: RandomState,
    pub(super) secret: Secret,
    pub(super) epoch: Instant,
    pub(super) proxy_listeners: Vec<ProxyListener>,
    pub(super) unanswered: Unanswered,
    /// One for each listener.
    pub(super) gates: Arc<[Arc<Gate>]>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) directory: Arc<Directory>,
    /// Where the trunks' names are.
    pub(super) locations: Published,
    /// Where calls are told of.
    pub(super) feed: Option<Feed>,
    /// Where copies go.
    pub(super) capture: Option<Capture>,
}

impl Shared<'_> {
    pub(super) fn engine(&self, worker: u8, snapshot: &Snapshot) -> Engine {
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

    pub(super) fn settings(&self, worker: u8) -> ProxySettings {
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

pub(super) fn call_log(config: &Config) -> CallLog {
    CallLog {
        enabled: config.log_decisions,
        format: config.log.format,
        mask: config.mask_numbers,
    }
}

pub(super) fn listener_name(listener: &ProxyListener) -> ListenerName {
    ListenerName {
        name: (*listener.name).into(),
        transport: listener.transport.as_str(),
    }
}

pub(super) fn is_proxy(config: &Config) -> bool {
    let mut listeners = config.listeners.iter();
    listeners.any(|listener| listener.mode == Mode::Proxy)
}

/// The secret of the proxy listeners; where there are none it is never used.
pub(super) fn secret_of(config: &Config) -> Result<Secret, StartError> {
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
pub(super) fn proxy_listeners(config: &Config, addresses: &[SocketAddr]) -> Vec<ProxyListener> {
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
