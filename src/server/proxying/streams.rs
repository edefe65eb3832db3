//! The proxy's messages on connections: what came, what leaves, and what follows from a
//! connection that ends.

use std::net::SocketAddr;

use bytes::Bytes;

use super::super::streams::sent_by;
use super::{Handed, ProxyTask, Whose, Work};
use crate::limits::DATAGRAM_BATCH_MAX;
use crate::proxy::{Flow, Now};
use crate::routing::Snapshot;
use crate::sip::Message;
use crate::transport::{Ended, Heard, NotTaken};

impl ProxyTask {
    /// Takes what came of connections, at most a batch. Returns how much there was.
    pub(super) fn heard(&mut self, now: Now, snapshot: &Snapshot, work: &mut Work) -> usize {
        for taken in 0..DATAGRAM_BATCH_MAX {
            let Some(heard) = self.connections.take() else {
                return taken;
            };
            match heard {
                Heard::Message {
                    flow,
                    bytes,
                    is_last,
                    ..
                } => {
                    self.message(now, flow, bytes, snapshot, work);
                    if is_last {
                        work.hang_ups.push(flow);
                    }
                }
                Heard::Closed {
                    flow,
                    why,
                    detail,
                    unsent,
                    ..
                } => {
                    self.connection_ended(now, (why, detail.as_deref()), flow.peer, snapshot);
                    for bytes in unsent {
                        self.given_back(now, flow, bytes, snapshot, work);
                    }
                }
                Heard::Refused { peer, why, detail } => {
                    self.connection_ended(now, (why, detail.as_deref()), peer, snapshot);
                }
                Heard::Opened(_) => {}
            }
        }
        DATAGRAM_BATCH_MAX
    }

    /// Counts and tells that a connection is over, or never was.
    fn connection_ended(
        &self,
        now: Now,
        what: (Ended, Option<&str>),
        peer: SocketAddr,
        snapshot: &Snapshot,
    ) {
        self.worker.counters.connection(what.0);
        let locations = self.locations.load();
        let trunks = || locations.trunks_at(&snapshot.table, peer);
        (self.worker.errors).connection(now.instant, what, peer, trunks);
    }

    fn message(
        &mut self,
        now: Now,
        flow: Flow,
        bytes: Bytes,
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        if !is_answer(&bytes)
            && self.connections.may_ask_for_reuse(&flow)
            && self.engine.is_known(flow.peer.ip())
            && let Some(port) = wanted_alias(&flow, &bytes)
        {
            self.connections.reuse_for(&flow, port);
        }
        match self.whose(&flow, &bytes) {
            Whose::Own => self.received(now, flow, &bytes, snapshot, work),
            Whose::Of(owner) => self.hand(owner, Handed::Received { flow, bytes }),
            Whose::Perhaps(next) => self.ask(next, (flow, bytes, 1), now, snapshot, work),
        }
    }

    /// A connection ended before its peer had this: a call tries its next route, an answer
    /// another way.
    fn given_back(
        &mut self,
        now: Now,
        flow: Flow,
        bytes: Bytes,
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        if is_answer(&bytes) {
            self.answer_elsewhere(&flow, bytes);
        } else {
            self.not_arrived(now, flow.peer, bytes, snapshot, work);
        }
    }

    /// Sends one message on its connection, and a request on a new one if need be. A request
    /// that cannot be sent is put to the refused.
    pub(super) fn send_on_stream(&mut self, flow: &Flow, bytes: &Bytes, work: &mut Work) {
        if is_answer(bytes) {
            match self.connections.send(flow, bytes.clone()) {
                Ok(()) => {}
                Err(NotTaken::Gone(bytes)) => self.answer_gone(flow, bytes),
                Err(_) => self.worker.counters.send_error(),
            }
            return;
        }
        let elsewhere = self.connections.elsewhere(flow);
        if let Some((owner, flow)) = elsewhere.filter(|(owner, _)| self.post.is_elsewhere(*owner)) {
            let handed = Handed::Send {
                flow,
                bytes: bytes.clone(),
            };
            let arrived = self.post.hand(owner, handed);
            self.worker.counters.handed_over(arrived);
            if !arrived {
                // On a stream nobody repeats it.
                work.refused.push((flow.peer, bytes.clone()));
            }
            return;
        }
        if self.connections.send_or_dial(flow, bytes.clone()).is_err() {
            self.worker.counters.send_error();
            work.refused.push((flow.peer, bytes.clone()));
        }
    }

    /// An answer whose connection is another worker's, or is gone.
    fn answer_gone(&mut self, flow: &Flow, bytes: Bytes) {
        let elsewhere = self.connections.elsewhere(flow);
        match elsewhere.filter(|(owner, _)| self.post.is_elsewhere(*owner)) {
            Some((owner, flow)) => self.hand(owner, Handed::Send { flow, bytes }),
            None => self.answer_elsewhere(flow, bytes),
        }
    }

    /// Sends what another worker has for a connection of this one. Was it closed meanwhile,
    /// a request goes back as one that did not arrive, and an answer another way.
    pub(super) fn send_for_another(
        &mut self,
        now: Now,
        flow: &Flow,
        bytes: Bytes,
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        if self.connections.send(flow, bytes.clone()).is_err() {
            self.given_back(now, *flow, bytes, snapshot, work);
        }
    }

    /// RFC 3261 §18.2.2: the connection a request came by is closed, so its answer goes to
    /// the address the request came from, at the port of its sent-by. To nobody whom the
    /// table does not know: we open no connection for a stranger.
    fn answer_elsewhere(&mut self, flow: &Flow, bytes: Bytes) {
        let to =
            sent_by(flow, &bytes).filter(|to| to != flow && self.engine.is_known(to.peer.ip()));
        let sent = to.map(|to| self.connections.send_or_dial(&to, bytes));
        if !matches!(sent, Some(Ok(()))) {
            self.worker.counters.send_error();
        }
    }
}

fn is_answer(bytes: &[u8]) -> bool {
    bytes.starts_with(b"SIP/")
}

/// The port a request wants its connection reused for: `alias` in the top Via, with a sent-by
/// that is where it came from. RFC 5923 §5.
fn wanted_alias(flow: &Flow, bytes: &[u8]) -> Option<u16> {
    let message = Message::parse_frame(bytes).ok()?;
    let via = message.top_via().ok()?;
    via.param(b"alias")?;
    let is_there = via
        .host
        .ip()
        .is_none_or(|ip| ip.to_canonical() == flow.peer.ip());
    let port = via.port.unwrap_or(flow.transport.default_port());
    Some(port).filter(|port| is_there && *port != 0)
}
