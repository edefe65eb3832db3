//! A bounded set of INVITE server transactions with their timers.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::hash::RandomState;
use std::net::SocketAddr;
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

#[derive(Debug)]
struct Entry {
    machine: ServerInvite,
    response: Box<[u8]>,
    to: SocketAddr,
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
        to: SocketAddr,
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
                to,
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
    ) -> Option<Option<SocketAddr>> {
        let entry = self.entries.get_mut(&key)?;
        let repeat = entry
            .machine
            .step(now, Event::Request)
            .contains(&Action::Send);
        Some(repeat.then(|| {
            out.extend_from_slice(&entry.response);
            entry.to
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
    pub fn poll_timer(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<SocketAddr> {
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
            let repeats = actions.contains(&Action::Send).then_some(entry.to);
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
