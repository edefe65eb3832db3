//! A server that runs: what it is asked, how it stands, and its end.

use std::net::SocketAddr;
use std::sync::Arc;
use std::thread::JoinHandle;

use tokio::sync::{Notify, watch};

use super::admin::Admin;
use super::calls::CallDesk;
use super::desk::ServerDesk;
use super::observing::Observing;
use super::questions::HttpThread;
use super::reloading::{Bench, Changes};
use super::worker::Order;
use crate::generations::Asked;
use crate::hep::{CaptureEnd, HepCounters};
use crate::http::Watched;
use crate::observe::{
    self, ApiCounters, Counters, HttpCounters, HttpRefusals, Observer, PeerErrors, Process, Roster,
    Standing, Tallied, Totals,
};
use crate::proxy::FlowTransport;
use crate::tables::{Reload, TableStore};

/// A running server. Dropping it stops it at once.
#[derive(Debug)]
pub struct ServerHandle {
    pub(super) store: Arc<TableStore>,
    pub(super) bench: Bench,
    pub(super) orders: watch::Sender<Order>,
    pub(super) addresses: Vec<SocketAddr>,
    pub(super) transports: Vec<FlowTransport>,
    pub(super) threads: Vec<JoinHandle<()>>,
    /// Asks DNS.
    pub(super) locating: Option<JoinHandle<()>>,
    /// Where all workers count trunk groups.
    pub(super) roster: Arc<Roster>,
    pub(super) captured: Option<HepCounters>,
    pub(super) capture_end: Option<CaptureEnd>,
    pub(super) counters: Vec<Arc<Counters>>,
    pub(super) errors: Arc<PeerErrors>,
    pub(super) ended: Arc<Notify>,
    pub(super) changes: Option<Changes>,
    /// Whether any listener is a proxy.
    pub(super) is_proxy: bool,
    pub(super) questions: Option<HttpThread>,
    pub(super) http_counters: Option<Arc<HttpCounters>>,
    pub(super) metrics: Option<HttpThread>,
    pub(super) api_counters: Arc<ApiCounters>,
    pub(super) refusals: Arc<HttpRefusals>,
    /// What the control socket and the admin API are answered with.
    pub(super) desk: Option<Arc<ServerDesk>>,
    pub(super) admin: Option<Admin>,
    pub(super) observing: Option<Observing>,
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
    pub(super) fn listening_on(&self) -> String {
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
    pub(super) fn watched(&self) -> Watched {
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
            last_change_made: bench.last.get(store.current().generation()).is_none(),
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

    pub(super) fn order(&self, order: Order) {
        self.orders.send_replace(order);
    }

    pub(super) fn join(&mut self) {
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

    /// Who knows which calls are up, and can be asked to tell of calls; `None` where nobody
    /// wants to know ([`Config::tells_calls`]).
    #[must_use]
    pub fn observer(&self) -> Option<&Observer> {
        self.observing.as_ref().map(|observing| &observing.observer)
    }

    /// Where calls are asked about; `None` where nobody follows them.
    pub(super) fn call_desk(&self) -> Option<CallDesk> {
        self.observing
            .as_ref()
            .map(|observing| observing.desk.clone())
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

impl Drop for ServerHandle {
    fn drop(&mut self) {
        self.order(Order::Stop);
        self.join();
    }
}
