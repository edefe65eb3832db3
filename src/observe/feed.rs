//! The feed: what workers tell of calls, on its way to who wants to know.
//!
//! A worker hands over what the engine told it and goes on: a bounded queue, and what does not
//! fit is dropped and counted. One thread, the observer, makes a [`CallDetail`] of it, keeps the
//! list of the calls that are up, and tells everybody who has subscribed.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use tokio::sync::mpsc;

use super::{CallDetail, LoneEnd};
use crate::limits::{FEED_QUEUE_MAX, FEED_SUBSCRIBERS_MAX};
use crate::proxy::{CallEnded, CallEvent, DialledText, ProxiedCall};
use crate::routing::{Caller, GroupId, Number, Outcome, RoutingTable, RuleId};

/// Where workers tell of calls. A clone is another end of the same queue.
#[derive(Debug, Clone)]
pub struct Feed {
    queue: SyncSender<FeedEvent>,
    counts: Arc<FeedCounts>,
}

/// What a worker tells.
#[derive(Debug)]
pub enum FeedEvent {
    /// A proxied call has its final answer.
    Proxied(Box<ProxiedCall>),
    /// A call was decided, and is no more of ours: by a redirect or over HTTP.
    Decided(Box<DecidedCall>),
    /// A proxied call that was answered has ended, at this time of day.
    Ended(Box<CallEnded>, Timestamp),
}

/// A call that was answered by a redirect server or over HTTP.
#[derive(Debug)]
pub struct DecidedCall {
    /// Who answered.
    pub by: AnsweredBy,
    /// When it was asked.
    pub at: Timestamp,
    /// Who asked.
    pub source: SocketAddr,
    /// The listener it came in on; empty if it has no name.
    pub listener: Box<str>,
    /// Over what it came: `udp`, `tcp`, `tls` or `http`.
    pub transport: &'static str,
    /// The INVITE as received; empty where there was none.
    pub invite: Bytes,
    /// The Call-ID, as received or asked.
    pub call_id: Bytes,
    /// The table that decided.
    pub table: Arc<RoutingTable>,
    /// The trunk group it arrived on.
    pub from: GroupId,
    /// The number as dialled.
    pub dialled: DialledText,
    /// The caller as shown.
    pub shown: Option<DialledText>,
    /// The called number after normalisation.
    pub called: Option<Number>,
    /// The caller after normalisation.
    pub calling: Caller,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// What was decided.
    pub outcome: Outcome,
    /// The status of the answer.
    pub status: u16,
}

/// Who gave a call its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AnsweredBy {
    /// The proxy, which carried it on.
    Proxy,
    /// The redirect server.
    Redirect,
    /// The listener for questions over HTTP.
    Http,
}

/// What subscribers are told. A value is shared by all of them.
#[derive(Debug, Clone)]
pub enum Told {
    /// A call was answered and is up. It is told of again when it is over.
    Up(Arc<CallDetail>),
    /// A call is over: with its answer, or, where [`CallDetail::end`] is there, later.
    Over(Arc<CallDetail>),
    /// A call is over whose beginning nobody has seen.
    LoneEnd(Arc<LoneEnd>),
}

/// One who is told. Dropped, it is told no more.
///
/// `recv().await` (or `blocking_recv()`) gives the next; `None` when the server has stopped.
#[derive(Debug)]
pub struct Subscription {
    queue: mpsc::Receiver<Told>,
    dropped: Arc<AtomicU64>,
}

/// What was counted of a feed.
#[derive(Debug, Default)]
pub struct FeedCounts {
    told: AtomicU64,
    dropped: AtomicU64,
    unfollowed: AtomicU64,
}

/// The other end of the queue, and who is told.
#[derive(Debug)]
pub(super) struct FeedEnd {
    pub(super) queue: Receiver<FeedEvent>,
    pub(super) counts: Arc<FeedCounts>,
}

/// Everybody who is told.
#[derive(Debug, Clone, Default)]
pub(super) struct Subscribers(Arc<Mutex<Vec<Subscriber>>>);

#[derive(Debug)]
struct Subscriber {
    queue: mpsc::Sender<Told>,
    dropped: Arc<AtomicU64>,
}

impl Feed {
    /// A queue of [`FEED_QUEUE_MAX`] events.
    pub(super) fn new() -> (Self, FeedEnd) {
        let (sender, queue) = sync_channel(FEED_QUEUE_MAX);
        let counts = Arc::<FeedCounts>::default();
        let feed = Self {
            queue: sender,
            counts: Arc::clone(&counts),
        };
        (feed, FeedEnd { queue, counts })
    }

    /// Tells, or counts what there is no room for. Never waits.
    pub fn tell(&self, event: FeedEvent) {
        let counter = match self.queue.try_send(event) {
            Ok(()) => &self.counts.told,
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => &self.counts.dropped,
        };
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

impl DecidedCall {
    /// The call of an event, which it copies. `invite` is what asked, where that was SIP.
    #[must_use]
    pub fn of(
        event: &CallEvent<'_>,
        table: &Arc<RoutingTable>,
        (by, transport): (AnsweredBy, &'static str),
        invite: &[u8],
    ) -> Box<Self> {
        Box::new(Self {
            by,
            at: event.at,
            source: event.source,
            listener: event.listener.into(),
            transport,
            invite: Bytes::copy_from_slice(invite),
            call_id: Bytes::copy_from_slice(event.call_id),
            table: Arc::clone(table),
            from: event.from,
            dialled: event.dialled.clone(),
            shown: event.shown.clone(),
            called: event.called,
            calling: event.calling,
            rule: event.rule,
            outcome: event.outcome.clone(),
            status: event.status,
        })
    }
}

impl AnsweredBy {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Proxy => "proxy",
            Self::Redirect => "redirect",
            Self::Http => "http",
        }
    }
}

impl FeedCounts {
    /// Events that were handed over.
    #[must_use]
    pub fn told(&self) -> u64 {
        self.told.load(Ordering::Relaxed)
    }

    /// Events that there was no room for.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Answered calls that could not be kept in the list of those that are up.
    #[must_use]
    pub fn unfollowed(&self) -> u64 {
        self.unfollowed.load(Ordering::Relaxed)
    }

    pub(super) fn count_unfollowed(&self) {
        self.unfollowed.fetch_add(1, Ordering::Relaxed);
    }
}

impl Subscription {
    /// What is told next; `None` when nothing more will be.
    pub async fn recv(&mut self) -> Option<Told> {
        self.queue.recv().await
    }

    /// The same for a thread that has nothing else to do.
    pub fn blocking_recv(&mut self) -> Option<Told> {
        self.queue.blocking_recv()
    }

    /// What waits already.
    pub fn try_recv(&mut self) -> Option<Told> {
        self.queue.try_recv().ok()
    }

    /// How many it was not told of, because its queue was full. Each is one [`Told`].
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// The same count, for who outlives the subscription.
    #[must_use]
    pub fn dropped_count(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }
}

impl Subscribers {
    /// One more, with room for so many; `None` beyond [`FEED_SUBSCRIBERS_MAX`].
    pub(super) fn add(&self, room: usize) -> Option<Subscription> {
        let (sender, queue) = mpsc::channel(room.max(1));
        let dropped = Arc::<AtomicU64>::default();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|subscriber| !subscriber.queue.is_closed());
        if all.len() >= FEED_SUBSCRIBERS_MAX {
            return None;
        }
        all.push(Subscriber {
            queue: sender,
            dropped: Arc::clone(&dropped),
        });
        Some(Subscription { queue, dropped })
    }

    /// Tells everybody. Who has no room is told less; who has gone is forgotten.
    pub(super) fn tell(&self, told: &Told) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        all.retain(|subscriber| match subscriber.queue.try_send(told.clone()) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                subscriber.dropped.fetch_add(1, Ordering::Relaxed);
                true
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        });
    }

    /// Everybody hears the end.
    pub(super) fn close(&self) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clear();
    }
}
