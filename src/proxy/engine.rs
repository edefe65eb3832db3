//! The stateful proxy of RFC 3261 §16 as a function of time, input and table.

mod accepted;
mod answers;
mod calls;
mod contexts;
mod laws;
mod places;
mod requests;
mod timers;

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use super::Now;
use super::branch::Branch;
use super::facts::is_answerable;
use super::flow::{Flow, FlowTransport, Listeners, ProxyListener};
use super::held::HeldCalls;
use super::locations::Locations;
use super::prober::{self, Prober};
use super::proxy_event::{ProxyDrop, ProxyEvent};
use super::response_context::ResponseContext;
use super::secret::Secret;
use super::sources::Sources;
use super::strangers::Strangers;
use super::table_view::TableView;
#[cfg(doc)]
use crate::limits::PROBE_LOOK_MS;
use crate::limits::{PROXY_CALLS_MAX, PROXY_CONTEXTS_MAX};
use crate::routing::{Availability, Snapshot};
use crate::sip::{Message, StartLine};
use crate::transaction::{Action, Actions, ByKey, Timers, TransactionKey, Transport};

pub(super) use answers::retry_after_s;
use contexts::Contexts;
#[doc(hidden)]
pub use laws::fuzz_proxy;
use places::PlacesOut;
use timers::TimerQueue;

/// A stateful proxy: one per worker, pure. It is given what happened ([`Engine::handle`])
/// and asked what is to be done ([`Engine::poll_output`], until `None`) and when it wants
/// to be woken ([`Engine::poll_timeout`]).
///
/// The shell around it owns sockets and the clock. Its loop:
///
/// 1. Take a batch from the sockets. A response whose [`response_owner`] is another worker
///    goes to that worker. Everything else becomes [`Input::Received`].
/// 2. Call `handle` with one [`Now`] and the current [`Snapshot`]; after each, drain
///    `poll_output`: send every [`Output::Transmit`] by the socket of its flow's listener,
///    give every [`Output::Event`] to the observers.
/// 3. Sleep until `poll_timeout` at the latest, then `handle` [`Input::TimerDue`].
/// 4. What the socket's error queue holds becomes [`Input::SendFailed`] with the datagram
///    that came back (Linux: `IP_RECVERR`): this is how a refused trunk moves a call on at
///    once instead of after its timeout.
///
/// A snapshot with another table is for new calls: a call keeps the table it began with.
/// The shell makes the next snapshot's availability with [`Availability::carried_over`].
///
/// Every call costs about twice the size of its INVITE and 1 KiB until it is answered, its
/// ACK and little more until 32 seconds after, then nothing: an answered call keeps no state
/// here. Requests inside its dialog find their way by the Record-Route we put into its
/// INVITE.
///
/// [`response_owner`]: super::response_owner
#[derive(Debug)]
pub struct Engine {
    worker: u8,
    secret: Secret,
    key: RandomState,
    epoch: Instant,
    timers: Timers,
    listeners: Listeners,
    server_header: Option<Box<str>>,
    contexts: Contexts,
    by_key: HashMap<TransactionKey, u32, ByKey>,
    /// INVITEs that were answered 2xx, by the mark of their dialog.
    by_dialog: HashMap<u64, u32, RandomState>,
    held: HeldCalls,
    queue: TimerQueue,
    outputs: VecDeque<Output>,
    /// Where messages are written; then they get as much memory as they need, for they may
    /// be kept for a while.
    page: Vec<u8>,
    view: Arc<TableView>,
    locations: Arc<Locations>,
    /// Places of names that did not answer.
    places_out: PlacesOut,
    /// Addresses that took no TCP connection when a request was too large for UDP.
    no_tcp: PlacesOut,
    availability: Arc<Availability>,
    strangers: Strangers,
    sources: Sources,
    prober: Option<Prober>,
    drawn: u64,
    draining: bool,
    /// Whether the ends of answered calls are told.
    follows: bool,
    numbered: u64,
    calls_max: usize,
    contexts_max: usize,
    #[cfg(test)]
    defect: bool,
}

/// How an [`Engine`] works.
#[derive(Debug, Clone)]
pub struct ProxySettings {
    /// The number of this worker, by which the others know its branches.
    pub worker: u8,
    /// Secret of the installation: all workers share it. Marks of loops and dialogs are
    /// made with it, so it should outlive a restart; with another one a dialog that was
    /// made before reaches only addresses the table knows.
    pub secret: [u8; 16],
    /// Secret of the process, drawn once and shared by all workers: keys hash tables,
    /// branches and To tags.
    pub key: RandomState,
    /// Zero of the clock that [`Availability`] is told; all workers must agree on it.
    pub epoch: Instant,
    /// T1 and its kin.
    pub timers: Timers,
    /// Our listeners; a [`Flow`] names them by their place in this list.
    pub listeners: Vec<ProxyListener>,
    /// Value of the Server header of our own answers; none without one. No line ends.
    pub server_header: Option<String>,
    /// New calls that may be in progress at once; above it they get 503. At most
    /// [`PROXY_CALLS_MAX`].
    pub calls_max: usize,
}

/// What happened.
#[derive(Debug, Clone, Copy)]
pub enum Input<'a> {
    /// A datagram came, or a whole message on a stream.
    Received {
        /// Where from, and to which listener.
        flow: Flow,
        /// Its bytes.
        bytes: &'a [u8],
    },
    /// What was sent did not arrive: the network said so (ICMP), or the connection broke.
    SendFailed {
        /// Where it was sent to.
        to: SocketAddr,
        /// The beginning of it, as far as it came back; 300 bytes are enough. Nothing is
        /// done without a branch of ours in it: errors can be forged.
        bytes: &'a [u8],
    },
    /// The time of [`Engine::poll_timeout`] has come.
    TimerDue,
}

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Send these bytes.
    Transmit {
        /// By which listener, and where to.
        flow: Flow,
        /// What.
        bytes: Bytes,
    },
    /// Tell the observers.
    Event(ProxyEvent),
}

/// What came out of one step of a transaction, besides what was sent.
#[derive(Debug, Default, Clone, Copy)]
struct Told {
    sent: bool,
    delivered: bool,
    timed_out: bool,
    failed: bool,
    wants_trying: bool,
}

impl Engine {
    /// A proxy without a request in progress, for the table of `snapshot`.
    #[must_use]
    pub fn new(settings: ProxySettings, snapshot: &Snapshot) -> Self {
        let ProxySettings {
            worker,
            secret,
            key,
            epoch,
            timers,
            listeners,
            server_header,
            calls_max,
        } = settings;
        let calls_max = calls_max.min(PROXY_CALLS_MAX);
        let locations = Arc::<Locations>::default();
        Self {
            worker,
            secret: Secret::new(secret),
            by_key: HashMap::with_hasher(ByKey::default()),
            by_dialog: HashMap::with_hasher(key.clone()),
            sources: Sources::new(key.clone()),
            held: HeldCalls::new(key.clone()),
            key,
            epoch,
            timers,
            listeners: Listeners::new(listeners),
            server_header: server_header.map(Into::into),
            contexts: Contexts::default(),
            queue: TimerQueue::default(),
            outputs: VecDeque::new(),
            page: Vec::new(),
            view: Arc::new(TableView::new(
                Arc::clone(&snapshot.table),
                Arc::clone(&locations),
            )),
            locations,
            places_out: PlacesOut::default(),
            no_tcp: PlacesOut::default(),
            availability: Arc::clone(&snapshot.availability),
            strangers: Strangers::default(),
            prober: None,
            drawn: 0,
            draining: false,
            follows: false,
            numbered: 0,
            calls_max,
            // The reserve for dialogs and emergencies keeps its share of any bound.
            contexts_max: (2 * calls_max).min(PROXY_CONTEXTS_MAX),
            #[cfg(test)]
            defect: false,
        }
    }

    /// Takes one input. Afterwards [`Engine::poll_output`] says what is to be done.
    ///
    /// Total: no bytes make it panic or keep it longer than their length warrants.
    pub fn handle(&mut self, now: Now, input: Input<'_>, snapshot: &Snapshot) {
        self.look_at(now, snapshot);
        match input {
            Input::Received { flow, bytes } => self.received(now, flow, bytes),
            Input::SendFailed { bytes, .. } => self.send_failed(now.instant, bytes),
            Input::TimerDue => {
                self.timer_due(now.instant);
                self.held_due(now.instant);
                self.probing(|prober, told| {
                    prober.due(now.instant, told);
                    true
                });
            }
        }
    }

    /// What is to be done next; in the order in which it came about.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`Input::TimerDue`] is wanted at the latest; `None` while nothing is in
    /// progress and no trunk is to be probed. It may turn out that nothing was due.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let probe = self.prober.as_ref().map(Prober::poll_timeout);
        let held = self.held.deadline();
        [self.queue.first(), probe, held]
            .into_iter()
            .flatten()
            .min()
    }

    /// After [`Engine::handle`] has panicked, which only a defect makes it do: the request it
    /// was about is forgotten with all it held, and what was to be sent. All others go on.
    pub fn recover(&mut self) {
        self.outputs.clear();
        let Some(lost) = self.contexts.lost() else {
            return;
        };
        self.by_key.retain(|_, place| *place != lost);
        self.by_dialog.retain(|_, place| *place != lost);
        self.contexts.free(lost);
    }

    /// The next transaction that has something to do panics.
    #[cfg(test)]
    pub(crate) const fn plant_defect(&mut self) {
        self.defect = true;
    }

    /// From now on new calls are answered 503 and no trunk is probed; everything else goes
    /// on.
    pub fn drain(&mut self) {
        self.draining = true;
        self.prober = None;
    }

    /// From `now` on this engine asks the trunks of its tables whether they are alive, as
    /// each of them says (`options`). For one engine of the process: all share the
    /// [`Availability`] it writes. It then wants to be woken every [`PROBE_LOOK_MS`], to
    /// learn of another table.
    pub fn probe_trunks(&mut self, now: Instant) {
        self.prober = Some(Prober::new(
            now,
            self.worker,
            (self.key.clone(), self.secret.clone()),
            self.timers,
            self.server_header.clone(),
        ));
    }

    /// From now on a source (an IPv4 address, a /64 of IPv6) may bring so many new calls a
    /// second, and as many at once; more get 503. Emergency calls are counted and never
    /// refused. Without this there is no bound but `calls_max`.
    pub const fn limit_sources(&mut self, calls_per_second: u32) {
        self.sources.set(calls_per_second);
    }

    /// From now on the end of every answered call is told ([`ProxyEvent::Ended`]), of at most
    /// [`FOLLOWED_CALLS_MAX`] that are up at once. Some 200 bytes each; and whatever comes in
    /// the dialog of a call is asked of this worker, which its Record-Route then names.
    ///
    /// [`FOLLOWED_CALLS_MAX`]: crate::limits::FOLLOWED_CALLS_MAX
    pub const fn follow_calls(&mut self) {
        self.follows = true;
    }

    /// From the next input on the names of trunks are where `locations` says. A call in
    /// progress keeps the places it began with.
    pub fn locate(&mut self, locations: &Arc<Locations>) {
        if !Arc::ptr_eq(&self.locations, locations) {
            self.locations = Arc::clone(locations);
        }
    }

    /// Requests in progress and their echoes. After 0 nothing will be sent any more.
    #[must_use]
    pub fn in_progress(&self) -> usize {
        self.contexts.len()
    }

    /// Requests without a final answer yet: what a drain waits for.
    #[must_use]
    pub fn unanswered(&self) -> usize {
        self.contexts.unanswered()
    }

    /// Whether the table knows this address: as one calls come from, or as a trunk.
    #[must_use]
    pub fn is_known(&self, address: std::net::IpAddr) -> bool {
        self.view.is_known(address)
    }

    /// Whether the INVITE that this CANCEL or ACK belongs to is in progress here: by branch and
    /// sent-by, whichever way it came. RFC 3261 §9.2, §17.2.3.
    #[must_use]
    pub fn has_invite_of(&self, request: &[u8]) -> bool {
        let message = Message::parse_datagram(request).ok();
        let key = message.and_then(|message| TransactionKey::of_invite(&message, &self.key));
        key.is_some_and(|key| self.by_key.contains_key(&key))
    }

    /// Takes notice of the time and of a table that may have changed.
    fn look_at(&mut self, now: Now, snapshot: &Snapshot) {
        if !self.view.is_of(&snapshot.table, &self.locations) {
            let locations = Arc::clone(&self.locations);
            self.view = Arc::new(TableView::new(Arc::clone(&snapshot.table), locations));
        }
        if !Arc::ptr_eq(&self.availability, &snapshot.availability) {
            self.availability = Arc::clone(&snapshot.availability);
        }
        let since = now.instant.saturating_duration_since(self.epoch);
        let now_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        self.availability.tell_time(now_ms);
        if let Some(prober) = &mut self.prober {
            let (view, listeners) = (&self.view, &self.listeners);
            prober.notice(now.instant, view, listeners, &self.availability);
        }
    }

    /// Lets `act` work on the probes; whether there are any and it found its own.
    fn probing(&mut self, act: impl FnOnce(&mut Prober, &mut prober::Told<'_>) -> bool) -> bool {
        let mut told = prober::Told {
            availability: &self.availability,
            outputs: &mut self.outputs,
        };
        (self.prober.as_mut()).is_some_and(|prober| act(prober, &mut told))
    }

    fn received(&mut self, now: Now, flow: Flow, bytes: &[u8]) {
        let source = flow.peer;
        if bytes.iter().all(|byte| matches!(byte, b'\r' | b'\n' | 0)) {
            return self.dropped(ProxyDrop::KeepAlive, source);
        }
        if !is_answerable(source) {
            return self.dropped(ProxyDrop::Unanswerable, source);
        }
        // Read where it stays.
        let mut message = Message::new();
        let parsed = if flow.transport.is_reliable() {
            Message::parse_frame(bytes).map(|read| message = read)
        } else {
            message.read_datagram(bytes)
        };
        let broken = parsed.err();
        if broken.is_some() {
            match Message::salvage(bytes) {
                Some(salvaged) => message = salvaged,
                None => return self.dropped(ProxyDrop::Junk, source),
            }
        }
        match message.start_line() {
            StartLine::Request { method, .. } => {
                self.request(now, flow, &message, method, broken);
            }
            StartLine::Response { .. } => self.response(now.instant, flow, &message),
        }
    }

    /// A message of ours did not arrive. Which one, its branch says: nobody else can have
    /// it from anywhere but the datagram itself.
    fn send_failed(&mut self, now: Instant, bytes: &[u8]) {
        if bytes.starts_with(b"SIP/") {
            // The caller cannot be reached. Its answer is repeated until it gives up.
            return;
        }
        let Some(branch) = Branch::find(bytes).filter(|b| b.worker == self.worker) else {
            return;
        };
        if self.probing(|prober, told| prober.unreachable(now, branch, told)) {
            return;
        }
        self.with(branch.context, now, |engine, context| {
            let is_cancel = bytes.starts_with(b"CANCEL ");
            engine.attempt_unreachable(now, context, branch.unique, is_cancel);
        });
    }

    /// Lets `act` work on a context, then sees to its timers and its end.
    fn with(
        &mut self,
        place: u32,
        now: Instant,
        act: impl FnOnce(&mut Self, &mut ResponseContext),
    ) -> bool {
        let Some(mut context) = self.contexts.take(place) else {
            return false;
        };
        act(self, &mut context);
        self.settle(now, context);
        true
    }

    /// Puts a context back with its next timer in the queue, or forgets it.
    fn settle(&mut self, now: Instant, mut context: Box<ResponseContext>) {
        context.shrink();
        let place = context.place;
        let deadline = context.deadline();
        debug_assert!(
            context.answered.is_some() || deadline.is_some(),
            "a request without an answer waits for something"
        );
        if context.is_over() || deadline.is_none() {
            if let Some(key) = context.key {
                self.by_key.remove(&key);
            }
            self.forget_mark(&context);
            self.contexts.free(place);
            return;
        }
        if let Some(at) = deadline {
            self.queue.set(at.max(now), place, context.serial);
        }
        self.contexts.put(place, context);
    }

    /// Sends what the actions of a transaction want sent, and says what else they want.
    fn perform(&mut self, flow: Flow, actions: Actions) -> Told {
        #[cfg(test)]
        assert!(!std::mem::take(&mut self.defect), "planted");
        let mut told = Told::default();
        for action in actions {
            match action {
                Action::SendRequest(bytes) | Action::SendResponse(bytes) => {
                    told.sent = true;
                    self.transmit(flow, bytes);
                }
                Action::SendTrying => told.wants_trying = true,
                Action::Deliver => told.delivered = true,
                Action::Timeout => told.timed_out = true,
                Action::TransportFailed => told.failed = true,
                // Whoever holds it asks it: `ResponseContext::is_over`.
                Action::Terminate => {}
            }
        }
        told
    }

    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        if is_answerable(flow.peer) {
            self.outputs.push_back(Output::Transmit { flow, bytes });
        } else {
            self.dropped(ProxyDrop::Unanswerable, flow.peer);
        }
    }

    fn event(&mut self, event: ProxyEvent) {
        self.outputs.push_back(Output::Event(event));
    }

    fn dropped(&mut self, why: ProxyDrop, source: SocketAddr) {
        self.event(ProxyEvent::Dropped { why, source });
    }

    /// The number of a new call: the worker and the place in its order.
    fn number(&mut self) -> u64 {
        self.numbered += 1;
        u64::from(self.worker) << 48 | self.numbered
    }

    /// A number for a new branch that nobody can foresee. Keyed by the process: after a
    /// restart with the same secret no branch comes again.
    fn draw(&mut self) -> u64 {
        self.drawn += 1;
        self.key.hash_one((self.worker, self.drawn))
    }
}

/// Whether a transaction over this transport has to repeat.
pub(super) const fn repeats(transport: FlowTransport) -> Transport {
    if transport.is_reliable() {
        Transport::Reliable
    } else {
        Transport::Unreliable
    }
}
