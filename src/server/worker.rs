//! One listener on one worker: receive, handle, answer, sleep until the next timer.

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::watch;
use tokio::time::{sleep_until, timeout};

use super::capturing;
use crate::hep::Capture;
use crate::limits::{DATAGRAM_BATCH_MAX, DRAIN_BATCHES_MAX};
use crate::observe::{
    AnsweredBy, CallLine, CallLog, Counters, DecidedCall, Feed, FeedEvent, PeerErrors,
};
use crate::proxy::{
    Answer, CallEvent, Datagram, DropReason, Fate, Flow, FlowTransport, MethodKind, Now,
    RedirectServer,
};
use crate::routing::{RoutingTable, Snapshot};
use crate::sip::StatusCode;
use crate::system::ReceiveRoom;
use crate::tables::TableStore;
use crate::transport::{Outbox, UdpListener};

/// What a worker is told to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// Serve.
    Serve,
    /// Answer what is queued, wait for ACKs, end.
    Drain,
    /// End.
    Stop,
}

/// What every task of one worker works with.
#[derive(Clone)]
pub(super) struct Worker {
    pub(super) store: Arc<TableStore>,
    pub(super) counters: Arc<Counters>,
    pub(super) errors: Arc<PeerErrors>,
    pub(super) calls: CallLog,
    /// Where calls are told of, if anybody wants to know.
    pub(super) feed: Option<Feed>,
    pub(super) orders: watch::Receiver<Order>,
    pub(super) drain_timeout: Duration,
    /// Where copies of messages and decisions go.
    pub(super) capture: Option<Capture>,
}

/// What a listener needs to serve.
pub(super) struct ListenerTask {
    pub(super) listener: UdpListener,
    pub(super) name: Arc<str>,
    /// Its address, as the socket has it.
    pub(super) local: SocketAddr,
    pub(super) engine: RedirectServer,
    pub(super) worker: Worker,
    /// What the counters were last told of transactions.
    pub(super) told: (usize, usize),
}

/// A queue is empty when nothing has come out of it for so long.
const QUIET: Duration = Duration::from_millis(10);

impl Worker {
    /// Whether anybody is told of a decided call: the log, who follows calls, or a capture
    /// server.
    pub(super) fn tells_calls(&self) -> bool {
        let capture = self.capture.as_ref();
        let is_captured = capture.is_some_and(Capture::takes_decisions);
        self.calls.enabled || self.feed.is_some() || is_captured
    }

    /// Tells of a call that a redirect server has answered; `invite` is what asked.
    pub(super) fn tell_redirect(
        &self,
        event: &CallEvent<'_>,
        (snapshot, flow, took): (&Snapshot, &Flow, Duration),
        invite: &[u8],
    ) {
        let line = CallLine {
            event,
            table: &snapshot.table,
            took,
            mask: self.calls.mask,
        };
        self.calls.line(&line);
        capturing::decided(self.capture.as_ref(), flow, &line);
        if let Some(feed) = &self.feed {
            let by = (AnsweredBy::Redirect, flow.transport.as_str());
            let call = DecidedCall::of(event, &snapshot.table, by, invite);
            feed.tell(FeedEvent::Decided(call));
        }
    }
}

impl ListenerTask {
    /// Serves until told to end.
    pub(super) async fn run(mut self) {
        let mut room = self.listener.room();
        let mut outbox = Outbox::new();
        while *self.worker.orders.borrow() == Order::Serve
            && self.worker.orders.has_changed().is_ok()
        {
            self.serve_once(&mut room, &mut outbox, None).await;
        }
        self.drain(&mut room, &mut outbox).await;
    }

    /// Waits for a datagram, a timer, an order or `until`, and does what is due.
    /// A closed channel of orders is an order to end: nobody could ever give one.
    async fn serve_once(
        &mut self,
        room: &mut ReceiveRoom,
        outbox: &mut Outbox,
        until: Option<Instant>,
    ) {
        let due = [self.engine.deadline(), until].into_iter().flatten().min();
        tokio::select! {
            biased;
            _ = self.worker.orders.changed() => return,
            ready = self.listener.readable() => match ready {
                Ok(()) => {
                    if self.batch(room, outbox).await == DATAGRAM_BATCH_MAX {
                        tokio::task::yield_now().await;
                    }
                }
                Err(_) => self.worker.counters.receive_error(),
            },
            () = at(due) => {}
        }
        self.run_timers(outbox).await;
        let awaiting = (self.engine.awaiting_ack(), 0);
        (self.worker.counters).in_progress(self.told, awaiting);
        self.told = awaiting;
    }

    /// Takes what is queued, at most one batch, with one snapshot of the table, and
    /// answers it. Returns how many datagrams there were.
    async fn batch(&mut self, room: &mut ReceiveRoom, outbox: &mut Outbox) -> usize {
        match self.listener.receive(room) {
            Ok(0) => return 0,
            Ok(_) => {}
            Err(_) => {
                self.worker.counters.receive_error();
                return 0;
            }
        }
        let now = Now {
            instant: Instant::now(),
            wall: Timestamp::now(),
        };
        let (snapshot, name) = (self.worker.store.snapshot(), Arc::clone(&self.name));
        let mut taken = 0;
        let datagrams: ArrayVec<_, DATAGRAM_BATCH_MAX> = room
            .iter()
            .map(|received| Datagram {
                bytes: received.bytes,
                source: received.source,
                asked: received.asked,
                listener: &name,
            })
            .collect();
        self.engine.foresee(&datagrams, &snapshot);
        let mut calls = ArrayVec::<_, DATAGRAM_BATCH_MAX>::new();
        // One a batch is timed: a look at the clock costs more than all other counting.
        let mut timed = Some(Instant::now());
        for datagram in &datagrams {
            taken += 1;
            let event = self.datagram(now, datagram, &snapshot, outbox);
            let began = timed.take();
            let Some(event) = event else { continue };
            if let Some(began) = began {
                let took = began.elapsed();
                self.worker.counters.tallies.decision_took(took);
            }
            if self.worker.tells_calls() {
                let _ = calls.try_push((event, datagram));
            }
        }
        self.send(outbox).await;
        let took = now.instant.elapsed();
        for (event, datagram) in &calls {
            let flow = flow(self.local, datagram.source, datagram.asked);
            (self.worker).tell_redirect(event, (&snapshot, &flow, took), datagram.bytes);
        }
        taken
    }

    /// Has one datagram handled and its answer put into the outbox. What it answers is
    /// the call, if it was one.
    fn datagram<'a>(
        &mut self,
        now: Now,
        datagram: &Datagram<'a>,
        snapshot: &Snapshot,
        outbox: &mut Outbox,
    ) -> Option<CallEvent<'a>> {
        let page = outbox.page()?;
        let flow = flow(self.local, datagram.source, datagram.asked);
        if let Some(capture) = &self.worker.capture {
            capture.received(now.wall, &flow, datagram.bytes);
        }
        // A defect met by one datagram must not end the calls of everybody else. The
        // engine empties its buffers at the start of each call, so none is left behind.
        let handle = || self.engine.handle(now, datagram, snapshot, page);
        let fate =
            catch_unwind(AssertUnwindSafe(handle)).unwrap_or(Fate::Dropped(DropReason::Defect));
        if let unkept @ 1.. = self.engine.take_unkept() {
            self.worker.counters.stateless(unkept);
        }
        let (errors, source) = (&self.worker.errors, datagram.source);
        match fate {
            Fate::Answer {
                to,
                status,
                method,
                answer,
            } => {
                copy_sent(&self.worker, now.wall, (&flow, to), page);
                outbox.post(to, datagram.asked);
                return note_answer(
                    &self.worker.counters,
                    errors,
                    (now, &snapshot.table),
                    (status, method),
                    answer,
                    source,
                );
            }
            Fate::Repeat(path) => {
                copy_sent(&self.worker, now.wall, (&flow, path.to), page);
                outbox.post(path.to, path.from);
                self.worker.counters.repeat();
            }
            Fate::Absorbed(method) => self.worker.counters.request(method),
            Fate::Dropped(reason) => {
                self.worker.counters.dropped(reason);
                errors.dropped(now.instant, reason, datagram.bytes.len(), source);
            }
        }
        None
    }

    /// Runs the timers that are due, at most a batch of them.
    async fn run_timers(&mut self, outbox: &mut Outbox) {
        let now = Instant::now();
        while let Some(page) = outbox.page() {
            let Some(path) = self.engine.poll_timer(now, page) else {
                break;
            };
            if self.worker.capture.is_some() {
                let flow = flow(self.local, path.to, path.from);
                copy_sent(&self.worker, Timestamp::now(), (&flow, path.to), page);
            }
            outbox.post(path.to, path.from);
            self.worker.counters.repeat();
        }
        self.send(outbox).await;
    }

    async fn send(&self, outbox: &mut Outbox) {
        for _ in 0..self.listener.send(outbox).await {
            self.worker.counters.send_error();
        }
    }

    /// Answers what is queued, then repeats answers until they are acknowledged, for as
    /// long as a stop may take.
    async fn drain(&mut self, room: &mut ReceiveRoom, outbox: &mut Outbox) {
        let until = Instant::now() + self.worker.drain_timeout;
        for _ in 0..DRAIN_BATCHES_MAX {
            let queued = timeout(QUIET, self.listener.readable()).await;
            if queued.is_err() || *self.worker.orders.borrow() == Order::Stop {
                break;
            }
            self.batch(room, outbox).await;
        }
        self.engine.drain();
        while self.engine.awaiting_ack() > 0
            && *self.worker.orders.borrow() == Order::Drain
            && self.worker.orders.has_changed().is_ok()
            && Instant::now() < until
        {
            self.serve_once(room, outbox, Some(until)).await;
        }
    }
}

/// The way of a datagram of this peer, which asked this address of ours.
fn flow(local: SocketAddr, peer: SocketAddr, asked: Option<IpAddr>) -> Flow {
    Flow {
        listener: 0,
        transport: FlowTransport::Udp,
        local: SocketAddr::new(asked.unwrap_or(local.ip()), local.port()),
        peer,
    }
}

/// An answer leaves the way its request came, to this address.
fn copy_sent(worker: &Worker, at: Timestamp, (flow, to): (&Flow, SocketAddr), answer: &[u8]) {
    if let Some(capture) = &worker.capture {
        let flow = Flow { peer: to, ..*flow };
        capture.sent(at, &flow, || Bytes::copy_from_slice(answer));
    }
}

/// Counts an answer and tells of a refusal. The call, if it answers one.
pub(super) fn note_answer<'a>(
    counters: &Counters,
    errors: &PeerErrors,
    (now, table): (Now, &RoutingTable),
    (status, method): (StatusCode, MethodKind),
    answer: Answer<'a>,
    source: SocketAddr,
) -> Option<CallEvent<'a>> {
    counters.request(method);
    counters.reply(method, status.code());
    match answer {
        Answer::Call(event) => {
            counters.tallies.call(&event, table);
            return Some(event);
        }
        Answer::Refused(refused) => {
            counters.refusal(refused.why);
            errors.refused(now.instant, refused, status.code(), method, source);
        }
        Answer::Served => {}
    }
    None
}

/// Sleeps until `due`; for ever without one.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}
