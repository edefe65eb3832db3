//! A bounded set of INVITE server transactions with their timers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use super::{Action, Event, ServerInvite, TransactionKey, Transport};

/// The INVITE server transactions of one listener and worker, each with the
/// response it repeats and where that goes.
///
/// It never holds more than the bound it was made with; above it
/// [`TransactionTable::insert`] refuses and the caller answers statelessly.
#[derive(Debug)]
pub struct TransactionTable {
    entries: HashMap<TransactionKey, Entry, RandomState>,
    // Exactly one element per entry, never later than the entry's own deadline: an
    // ACK replaces timer G (at most T2 ahead) by timer I (T4 ahead), which is later.
    due: BinaryHeap<Reverse<(Instant, TransactionKey)>>,
    awaiting_ack: usize,
    bound: usize,
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

#[derive(Debug)]
struct Entry {
    machine: ServerInvite,
    response: Box<[u8]>,
    path: AnswerPath,
}

impl TransactionTable {
    /// An empty table that holds at most `bound` transactions. `seed` keys its
    /// hashing, so that a peer cannot choose colliding branches.
    #[must_use]
    pub fn new(bound: usize, seed: RandomState) -> Self {
        Self {
            entries: HashMap::with_hasher(seed),
            due: BinaryHeap::new(),
            awaiting_ack: 0,
            bound,
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
        status: u16,
        response: &[u8],
        path: AnswerPath,
    ) -> bool {
        if self.entries.len() >= self.bound || self.entries.contains_key(&key) {
            return false;
        }
        let mut machine = ServerInvite::new(Transport::Unreliable);
        machine.step(now, Event::Respond(status));
        let Some(deadline) = machine.deadline() else {
            return false;
        };
        self.awaiting_ack += usize::from(machine.awaits_ack());
        self.due.push(Reverse((deadline, key)));
        self.entries.insert(
            key,
            Entry {
                machine,
                response: response.into(),
                path,
            },
        );
        true
    }

    /// Whether this transaction is known.
    #[must_use]
    pub fn contains(&self, key: TransactionKey) -> bool {
        self.entries.contains_key(&key)
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
        let entry = self.entries.get_mut(&key)?;
        let repeat = entry
            .machine
            .step(now, Event::Request)
            .contains(&Action::Send);
        Some(repeat.then(|| {
            out.extend_from_slice(&entry.response);
            entry.path
        }))
    }

    /// The ACK arrived. Returns whether its transaction is known.
    pub fn ack(&mut self, now: Instant, key: TransactionKey) -> bool {
        let Some(entry) = self.entries.get_mut(&key) else {
            return false;
        };
        let waited = entry.machine.awaits_ack();
        entry.machine.step(now, Event::Ack);
        self.awaiting_ack -= usize::from(waited && !entry.machine.awaits_ack());
        true
    }

    /// Runs timers due at `now` until one of them repeats a response: appends it to
    /// `out` and says where it goes. Call until it answers `None`.
    pub fn poll_timer(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<AnswerPath> {
        while let Some(Reverse((at, key))) = self.due.peek().copied() {
            if at > now {
                return None;
            }
            self.due.pop();
            let Some(entry) = self.entries.get_mut(&key) else {
                continue;
            };
            let waited = entry.machine.awaits_ack();
            let actions = entry.machine.step(now, Event::TimerDue);
            self.awaiting_ack -= usize::from(waited && !entry.machine.awaits_ack());
            let repeats = actions.contains(&Action::Send).then_some(entry.path);
            if repeats.is_some() {
                out.extend_from_slice(&entry.response);
            }
            match entry.machine.deadline() {
                Some(deadline) => self.due.push(Reverse((deadline, key))),
                None => drop(self.entries.remove(&key)),
            }
            if repeats.is_some() {
                return repeats;
            }
        }
        None
    }

    /// When [`TransactionTable::poll_timer`] is wanted next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.due.peek().map(|Reverse((at, _))| *at)
    }

    /// Transactions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Transactions whose final response still waits for its ACK.
    #[must_use]
    pub const fn awaiting_ack(&self) -> usize {
        self.awaiting_ack
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::sip::Message;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
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
        let mut table = TransactionTable::new(2, seed.clone());
        let kept: Vec<bool> = [1, 1, 2, 3]
            .map(|n| table.insert(now, key(n, &seed), 302, b"x", to(n)))
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
            let mut table = TransactionTable::new(8, seed.clone());
            let mut unacknowledged: BTreeMap<u8, Instant> = BTreeMap::new();
            let mut now = Instant::now();
            let mut out = Vec::new();
            for step in steps {
                match step {
                    Step::Insert(n) => {
                        let known = table.contains(key(n, &seed));
                        let room = table.len() < 8;
                        let kept = table.insert(now, key(n, &seed), 404, &[n], to(n));
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
                        let alive = |begun: &Instant| now < *begun + super::super::timers::H;
                        unacknowledged.retain(|_, begun| alive(begun));
                    }
                }
                prop_assert!(table.len() <= 8);
                prop_assert_eq!(table.due.len(), table.len());
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
