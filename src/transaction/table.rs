//! A bounded set of INVITE server transactions with their timers.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use bytes::Bytes;

use super::{
    Action, Actions, Event, ServerInvite, Timers, Transaction, TransactionId, TransactionKey,
    TransactionStore, Transport,
};
use crate::sip::StatusCode;

/// The INVITE server transactions of one listener and worker, each with the
/// response it repeats and where that goes.
///
/// It never holds more than the bound it was made with; above it
/// [`TransactionTable::insert`] refuses and the caller answers statelessly.
#[derive(Debug)]
pub struct TransactionTable {
    transactions: TransactionStore<AnswerPath>,
    awaiting_ack: usize,
}

/// The way of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerPath {
    /// Where it goes.
    pub to: SocketAddr,
    /// Which of our addresses it leaves from: the one that was asked, where the socket
    /// has several.
    pub from: Option<IpAddr>,
}

impl TransactionTable {
    /// An empty table that holds at most `bound` transactions.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self {
            transactions: TransactionStore::new(bound),
            awaiting_ack: 0,
        }
    }

    /// Keeps a transaction that was answered with the final `response` (status 300
    /// and above) at `now`, over UDP. The caller has sent the response.
    ///
    /// Returns whether it was kept: not above the bound, nor when the key is known.
    pub fn insert(
        &mut self,
        now: Instant,
        key: TransactionKey,
        status: StatusCode,
        response: &[u8],
        path: AnswerPath,
    ) -> bool {
        let mut machine = ServerInvite::new(Transport::Unreliable, &Timers::RFC_3261);
        let response = Bytes::copy_from_slice(response);
        machine.step(now, Event::Respond(status, response));
        if machine.deadline().is_none() {
            return false;
        }
        let awaits_ack = machine.awaits_ack();
        let kept = self.transactions.insert(key, machine, path).is_ok();
        self.awaiting_ack += usize::from(kept && awaits_ack);
        kept
    }

    /// Whether this transaction is known.
    #[must_use]
    pub fn contains(&self, key: TransactionKey) -> bool {
        self.transactions.find(&key).is_some()
    }

    /// The INVITE arrived again: appends the response to repeat to `out` and says
    /// where it goes. `None` for an unknown transaction; `Some(None)` when it is
    /// known and there is nothing to repeat.
    pub fn request(
        &mut self,
        now: Instant,
        key: TransactionKey,
        out: &mut Vec<u8>,
    ) -> Option<Option<AnswerPath>> {
        let id = self.transactions.find(&key)?;
        let (to, actions) = self.transactions.step(id, now, Event::Request)?;
        Some(append_response(&actions, out).then_some(to))
    }

    /// The ACK arrived. Returns whether its transaction is known.
    pub fn ack(&mut self, now: Instant, key: TransactionKey) -> bool {
        let Some(id) = self.transactions.find(&key) else {
            return false;
        };
        let waited = self.waits(id);
        self.transactions.step(id, now, Event::Ack);
        self.awaiting_ack -= usize::from(waited && !self.waits(id));
        true
    }

    /// Runs timers due at `now` until one of them repeats a response: appends it to
    /// `out` and says where it goes. Call until it answers `None`.
    pub fn poll_timer(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<AnswerPath> {
        while let Some((_, to, actions)) = self.transactions.poll_timer(now) {
            // Timer H: the wait for the ACK is over.
            self.awaiting_ack -= usize::from(actions.contains(&Action::Timeout));
            if append_response(&actions, out) {
                return Some(to);
            }
        }
        None
    }

    /// When [`TransactionTable::poll_timer`] is wanted next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.transactions.deadline()
    }

    /// Transactions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.transactions.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.transactions.is_empty()
    }

    /// Transactions whose final response still waits for its ACK.
    #[must_use]
    pub const fn awaiting_ack(&self) -> usize {
        self.awaiting_ack
    }

    fn waits(&self, id: TransactionId) -> bool {
        matches!(
            self.transactions.get(id),
            Some((Transaction::ServerInvite(machine), _)) if machine.awaits_ack()
        )
    }
}

/// Appends the response that is to be sent, if one is.
fn append_response(actions: &Actions, out: &mut Vec<u8>) -> bool {
    let response = actions.iter().find_map(|action| match action {
        Action::SendResponse(response) => Some(response),
        _ => None,
    });
    out.extend_from_slice(response.map_or(&[], |response| response));
    response.is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::sip::Message;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::hash::RandomState;
    use std::time::Duration;

    fn key(number: u8, seed: &RandomState) -> TransactionKey {
        let text = format!(
            "INVITE sip:1@a SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{number}\r\n\r\n"
        );
        let message = Message::parse_datagram(text.as_bytes()).unwrap();
        TransactionKey::of_invite(&message, seed).unwrap()
    }

    fn to(number: u8) -> AnswerPath {
        AnswerPath {
            to: SocketAddr::from(([10, 0, 0, 1], 5000 + u16::from(number))),
            from: number.is_multiple_of(2).then(|| [10, 0, 1, number].into()),
        }
    }

    #[test]
    fn above_the_bound_nothing_is_kept() {
        let (seed, now) = (RandomState::new(), Instant::now());
        let mut table = TransactionTable::new(2);
        let kept: Vec<bool> = [1, 1, 2, 3]
            .map(|n| {
                table.insert(
                    now,
                    key(n, &seed),
                    StatusCode::MOVED_TEMPORARILY,
                    b"x",
                    to(n),
                )
            })
            .into();
        assert_eq!(kept, [true, false, true, false]);
        assert_eq!((table.len(), table.awaiting_ack()), (2, 2));
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8),
        Request(u8),
        Ack(u8),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            (0..12_u8).prop_map(Step::Insert),
            (0..12_u8).prop_map(Step::Request),
            (0..12_u8).prop_map(Step::Ack),
            (0..9000_u64).prop_map(Step::Wait),
        ]
    }

    proptest! {
        /// Against a list of what is known: bounded, every repeat is the right answer to
        /// the right place, ACKs are counted exactly, and at rest nothing is left.
        #[test]
        fn keeps_what_it_was_given_and_forgets_it_in_time(steps in prop::collection::vec(step(), 0..80)) {
            let seed = RandomState::new();
            let mut table = TransactionTable::new(8);
            let mut unacknowledged: BTreeMap<u8, Instant> = BTreeMap::new();
            let mut now = Instant::now();
            let mut out = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(n) => {
                        let known = table.contains(key(n, &seed));
                        let room = table.len() < 8;
                        let kept = table.insert(now, key(n, &seed), StatusCode::NOT_FOUND, &[n], to(n));
                        prop_assert_eq!(kept, room && !known);
                        if kept {
                            unacknowledged.insert(n, now);
                        }
                    }
                    Step::Request(n) => {
                        out.clear();
                        let known = table.contains(key(n, &seed));
                        let repeated = table.request(now, key(n, &seed), &mut out);
                        prop_assert_eq!(repeated.is_some(), known);
                        let repeats = unacknowledged.contains_key(&n);
                        prop_assert_eq!(repeated.flatten(), repeats.then(|| to(n)));
                        prop_assert_eq!(out.as_slice(), if repeats { &[n][..] } else { &[] });
                    }
                    Step::Ack(n) => {
                        let known = table.contains(key(n, &seed));
                        prop_assert_eq!(table.ack(now, key(n, &seed)), known);
                        unacknowledged.remove(&n);
                    }
                    Step::Wait(ms) => {
                        now += Duration::from_millis(ms);
                        out.clear();
                        while let Some(target) = table.poll_timer(now, &mut out) {
                            let n = out.pop().unwrap();
                            prop_assert_eq!(target, to(n));
                            prop_assert!(unacknowledged.contains_key(&n));
                        }
                        let alive = |begun: &Instant| now < *begun + Timers::RFC_3261.h();
                        unacknowledged.retain(|_, begun| alive(begun));
                    }
                }
                prop_assert!(table.len() <= 8);
                prop_assert_eq!(table.awaiting_ack(), unacknowledged.len());
            }
            while let Some(due) = table.deadline() {
                out.clear();
                table.poll_timer(due.max(now), &mut out);
                now = due.max(now);
            }
            prop_assert!(table.is_empty() && table.awaiting_ack() == 0);
        }
    }
}
