//! One redirect listener for connections on one worker: messages come, answers go back by
//! the connection they came by.

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Instant, timeout};

use super::worker::{Order, Worker, note_answer};
use crate::limits::{DATAGRAM_BATCH_MAX, DRAIN_BATCHES_MAX};
use crate::proxy::{Datagram, DropReason, Fate, Flow, Now, RedirectServer, is_answerable};
use crate::routing::Snapshot;
use crate::sip::Message;
use crate::transport::{Connections, Heard, IsKnown, NotTaken};

/// What a redirect listener for connections needs to serve.
pub(super) struct StreamTask {
    pub(super) connections: Connections,
    pub(super) is_known: IsKnown,
    pub(super) name: Arc<str>,
    pub(super) engine: RedirectServer,
    pub(super) worker: Worker,
}

/// Nothing more comes when nothing has come for so long.
const QUIET: Duration = Duration::from_millis(10);

impl StreamTask {
    /// Serves until told to end; then answers what has come, and ends. Nobody repeats an
    /// answer on a stream, so no ACK is waited for.
    pub(super) async fn run(mut self) {
        let mut page = Vec::new();
        while *self.worker.orders.borrow() == Order::Serve
            && self.worker.orders.has_changed().is_ok()
        {
            tokio::select! {
                biased;
                _ = self.worker.orders.changed() => {}
                () = self.connections.wait() => self.batch(&mut page),
            }
            tokio::task::yield_now().await;
        }
        let until = Instant::now() + self.worker.drain_timeout;
        for _ in 0..DRAIN_BATCHES_MAX {
            let came = timeout(QUIET, self.connections.wait()).await;
            if came.is_err()
                || *self.worker.orders.borrow() == Order::Stop
                || Instant::now() > until
            {
                break;
            }
            self.batch(&mut page);
            tokio::task::yield_now().await;
        }
        self.connections.quiet().await;
    }

    /// Takes what came, at most a batch, with one snapshot of the table, and answers it.
    fn batch(&mut self, page: &mut Vec<u8>) {
        let snapshot = self.worker.store.snapshot();
        for _ in 0..DATAGRAM_BATCH_MAX {
            match self.connections.take() {
                None => return,
                Some(Heard::Message {
                    flow,
                    bytes,
                    is_last,
                    ..
                }) => {
                    self.message(&flow, &bytes, &snapshot, page);
                    if is_last {
                        self.connections.hang_up(&flow);
                    }
                }
                Some(Heard::Closed {
                    flow,
                    why,
                    detail,
                    unsent,
                    ..
                }) => {
                    for answer in unsent {
                        self.answer_elsewhere(&flow, answer);
                    }
                    self.worker.counters.connection(why);
                    let now = Instant::now().into_std();
                    let what = (why, detail.as_deref());
                    (self.worker.errors).connection(now, what, flow.peer, Vec::new);
                }
                Some(Heard::Refused { peer, why, detail }) => {
                    self.worker.counters.connection(why);
                    let now = Instant::now().into_std();
                    let what = (why, detail.as_deref());
                    (self.worker.errors).connection(now, what, peer, Vec::new);
                }
                Some(Heard::Opened(_)) => {}
            }
        }
    }

    fn message(&mut self, flow: &Flow, bytes: &Bytes, snapshot: &Snapshot, page: &mut Vec<u8>) {
        let now = Now {
            instant: Instant::now().into_std(),
            wall: Timestamp::now(),
        };
        let name = Arc::clone(&self.name);
        let datagram = Datagram {
            bytes,
            source: flow.peer,
            asked: Some(flow.local.ip()),
            listener: &name,
        };
        if let Some(capture) = &self.worker.capture {
            capture.received(now.wall, flow, bytes);
        }
        // A defect met by one message must not end the calls of everybody else. The engine
        // empties its buffers at the start of each call, so none is left behind.
        let handle = || self.engine.handle_frame(now, &datagram, snapshot, page);
        let fate =
            catch_unwind(AssertUnwindSafe(handle)).unwrap_or(Fate::Dropped(DropReason::Defect));
        let took = now.instant.elapsed();
        match fate {
            Fate::Answer {
                status,
                method,
                answer,
                ..
            } => {
                let answer_bytes = Bytes::copy_from_slice(page);
                if let Some(capture) = &self.worker.capture {
                    capture.sent(now.wall, flow, || answer_bytes.clone());
                }
                match self.connections.send(flow, answer_bytes) {
                    Ok(()) => {}
                    Err(NotTaken::Gone(answer)) => self.answer_elsewhere(flow, answer),
                    Err(_) => self.worker.counters.send_error(),
                }
                let (counters, errors) = (&self.worker.counters, &self.worker.errors);
                let (decided, answered) = ((now, &*snapshot.table), (status, method));
                let call = note_answer(counters, errors, decided, answered, answer, flow.peer);
                if let Some(event) = call {
                    counters.tallies.decision_took(took);
                    let how = (snapshot, flow, now.instant.elapsed());
                    self.worker.tell_redirect(&event, how, bytes);
                }
            }
            Fate::Absorbed(method) => self.worker.counters.request(method),
            Fate::Dropped(reason) => {
                self.worker.counters.dropped(reason);
                (self.worker.errors).dropped(now.instant, reason, bytes.len(), flow.peer);
            }
            // Nothing is kept, so nothing is repeated.
            Fate::Repeat(_) => {}
        }
    }

    /// RFC 3261 §18.2.2: its connection is closed, so the answer goes to the address the
    /// request came from, at the port of its sent-by; for nobody whom the table does not know.
    fn answer_elsewhere(&mut self, flow: &Flow, answer: Bytes) {
        let to = sent_by(flow, &answer).filter(|to| to != flow && (self.is_known)(to.peer.ip()));
        let sent = to.map(|to| self.connections.send_or_dial(&to, answer));
        if !matches!(sent, Some(Ok(()))) {
            self.worker.counters.send_error();
        }
    }
}

/// The flow to who sent the request of this answer, by the top Via.
pub(super) fn sent_by(flow: &Flow, answer: &[u8]) -> Option<Flow> {
    let port = Message::parse_datagram(answer).ok()?.top_via().ok()?.port;
    let port = port.unwrap_or(flow.transport.default_port());
    let peer = SocketAddr::new(flow.peer.ip(), port);
    is_answerable(peer).then_some(Flow { peer, ..*flow })
}
