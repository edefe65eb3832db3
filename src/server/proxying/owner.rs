//! Which worker a message belongs to, and how it gets there.

use std::net::SocketAddr;

use bytes::Bytes;

use super::{ProxyTask, Work};
use crate::limits::DATAGRAM_BATCH_MAX;
use crate::proxy::{
    Flow, Input, Now, dialog_owner, request_owner, response_owner, speaks_of_an_invite,
};
use crate::routing::Snapshot;
use crate::server::post::Handed;

/// Which worker a message belongs to.
pub(super) enum Whose {
    /// This one.
    Own,
    /// That one.
    Of(u8),
    /// Not this one, perhaps the next.
    Perhaps(u8),
}

impl ProxyTask {
    pub(super) fn not_arrived(
        &mut self,
        now: Now,
        to: SocketAddr,
        bytes: Bytes,
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        match request_owner(&bytes).filter(|owner| self.post.is_elsewhere(*owner)) {
            Some(owner) => self.hand(owner, Handed::SendFailed { to, bytes }),
            None => {
                let bytes = &bytes;
                self.handle(now, Input::SendFailed { to, bytes }, snapshot, work);
            }
        }
    }

    /// Whose message this is. The kernel spreads datagrams and connections over the workers
    /// by address; what belongs to a transaction or a dialog does not depend on them. The
    /// branch of an answer and the Route of a dialog name a worker. A CANCEL, and the ACK of a
    /// refusal, know their INVITE by its branch and sent-by only (RFC 3261 §9.2, §17.2.3):
    /// the workers ask each other for it.
    pub(super) fn whose(&self, flow: &Flow, bytes: &[u8]) -> Whose {
        if self.post.is_alone() {
            return Whose::Own;
        }
        let named = response_owner(bytes).or_else(|| dialog_owner(bytes));
        if let Some(owner) = named.filter(|owner| self.post.is_elsewhere(*owner)) {
            return Whose::Of(owner);
        }
        match self.post.next() {
            Some(next)
                if speaks_of_an_invite(bytes)
                    && self.engine.is_known(flow.peer.ip())
                    && !self.engine.has_invite_of(bytes) =>
            {
                Whose::Perhaps(next)
            }
            _ => Whose::Own,
        }
    }

    /// Asks the next worker whether it has the INVITE of this, which so many have not. One
    /// that has no room for the question is not waited for: then nobody has it.
    pub(super) fn ask(
        &mut self,
        next: u8,
        (flow, bytes, asked): (Flow, Bytes, u8),
        now: Now,
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        let question = Handed::Asked {
            flow,
            bytes: bytes.clone(),
            asked,
        };
        let arrived = self.post.hand(next, question);
        self.worker.counters.handed_over(arrived);
        if !arrived {
            self.received(now, flow, &bytes, snapshot, work);
        }
    }

    pub(super) fn hand(&self, owner: u8, handed: Handed) {
        let arrived = self.post.hand(owner, handed);
        self.worker.counters.handed_over(arrived);
    }

    /// Takes what other workers handed over.
    pub(super) fn handed_over(&mut self, now: Now, snapshot: &Snapshot, work: &mut Work) -> usize {
        for taken in 0..DATAGRAM_BATCH_MAX {
            match self.post.take() {
                None => return taken,
                Some(Handed::Received { flow, bytes }) => {
                    self.received(now, flow, &bytes, snapshot, work);
                }
                Some(Handed::Asked { flow, bytes, asked }) => {
                    let next = self.post.next().filter(|_| asked < self.post.count());
                    match next.filter(|_| !self.engine.has_invite_of(&bytes)) {
                        Some(next) => {
                            self.ask(next, (flow, bytes, asked + 1), now, snapshot, work);
                        }
                        None => self.received(now, flow, &bytes, snapshot, work),
                    }
                }
                Some(Handed::Send { flow, bytes }) => {
                    self.send_for_another(now, &flow, bytes, snapshot, work);
                }
                Some(Handed::SendFailed { to, bytes }) => {
                    let bytes = &bytes;
                    self.handle(now, Input::SendFailed { to, bytes }, snapshot, work);
                }
            }
        }
        DATAGRAM_BATCH_MAX
    }
}
