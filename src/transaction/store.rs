//! A bounded set of transactions with their timers.

use std::collections::HashMap;
use std::time::Instant;

use super::due::DueQueue;
use super::key::ByKey;
use super::{Actions, Event, Transaction, TransactionKey};

/// The transactions of one worker, each with a note of its owner's: which call it
/// serves, where its messages go.
///
/// Found by key in constant time; so is the next timer, where their spans are few.
/// It never holds more than the bound it was made with: above it
/// [`TransactionStore::insert`] refuses, and the caller answers statelessly or not.
#[derive(Debug)]
pub struct TransactionStore<N> {
    slots: Vec<Slot<N>>,
    /// Slots without a transaction.
    free: Vec<u32>,
    by_key: HashMap<TransactionKey, u32, ByKey>,
    /// At most one live element per transaction, never later than its deadline. What
    /// has died stays until it is due or outnumbers the living.
    due: DueQueue<TransactionId>,
    bound: usize,
}

/// Names a transaction of one store, before and after its end: an id is not given
/// twice until its slot has been used 2^32 times.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TransactionId {
    index: u32,
    generation: u32,
}

/// Why a transaction was not kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotKept {
    /// The store is full.
    Full,
    /// There is one with this key.
    Known,
}

#[derive(Debug)]
struct Slot<N> {
    generation: u32,
    kept: Option<Kept<N>>,
}

#[derive(Debug)]
struct Kept<N> {
    transaction: Transaction,
    key: TransactionKey,
    /// Its live element in `due`.
    queued: Option<Instant>,
    note: N,
}

impl TransactionId {
    /// The id as a number, to be written into a branch.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        // Lossless; `From` is not const.
        (self.index as u64) << 32 | self.generation as u64
    }

    /// What [`TransactionId::to_bits`] was called on. Any number is an id; most of
    /// them name nothing.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        // The halves of the number, so nothing is cut off.
        Self {
            index: (bits >> 32) as u32,
            generation: bits as u32,
        }
    }
}

impl<N: Copy> TransactionStore<N> {
    /// An empty store for at most `bound` transactions. It takes memory as it fills.
    #[must_use]
    pub fn new(bound: usize) -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            by_key: HashMap::with_hasher(ByKey::default()),
            due: DueQueue::default(),
            // Indices are 32-bit.
            bound: bound.min(u32::MAX as usize),
        }
    }

    /// Keeps a transaction with its owner's note.
    ///
    /// # Errors
    /// Above the bound, and when the key is known.
    pub fn insert(
        &mut self,
        key: TransactionKey,
        transaction: impl Into<Transaction>,
        note: N,
    ) -> Result<TransactionId, NotKept> {
        if self.by_key.contains_key(&key) {
            return Err(NotKept::Known);
        }
        let id = self.next_id().ok_or(NotKept::Full)?;
        let kept = Kept {
            transaction: transaction.into(),
            key,
            queued: None,
            note,
        };
        self.free.pop();
        match self.slots.get_mut(id.at()) {
            Some(slot) => slot.kept = Some(kept),
            None => self.slots.push(Slot {
                generation: id.generation,
                kept: Some(kept),
            }),
        }
        self.by_key.insert(key, id.index);
        self.queue(id);
        Ok(id)
    }

    /// The id the next transaction will get, for who must write it into the request
    /// before there is a transaction; `None` at the bound.
    #[must_use]
    pub fn next_id(&self) -> Option<TransactionId> {
        if self.by_key.len() >= self.bound {
            return None;
        }
        match self.free.last() {
            Some(&index) => Some(TransactionId {
                index,
                generation: self.slots.get(index as usize)?.generation,
            }),
            None => Some(TransactionId {
                index: u32::try_from(self.slots.len()).ok()?,
                generation: 0,
            }),
        }
    }

    /// The transaction with this key.
    #[must_use]
    pub fn find(&self, key: &TransactionKey) -> Option<TransactionId> {
        let index = *self.by_key.get(key)?;
        let generation = self.slots.get(index as usize)?.generation;
        Some(TransactionId { index, generation })
    }

    /// A transaction and its owner's note.
    #[must_use]
    pub fn get(&self, id: TransactionId) -> Option<(&Transaction, N)> {
        let kept = self.kept(id)?;
        Some((&kept.transaction, kept.note))
    }

    /// Another note. Returns whether the transaction is there.
    pub fn set_note(&mut self, id: TransactionId, note: N) -> bool {
        self.kept_mut(id).map(|kept| kept.note = note).is_some()
    }

    /// Takes one event at `now`: what to do, and the owner's note. A transaction that
    /// ends is forgotten here and now. `None` for an unknown one.
    pub fn step(
        &mut self,
        id: TransactionId,
        now: Instant,
        event: Event<'_>,
    ) -> Option<(N, Actions)> {
        let kept = self.kept_mut(id)?;
        let actions = kept.transaction.step(now, event);
        let note = kept.note;
        if kept.transaction.is_terminated() {
            self.remove(id);
        } else {
            self.queue(id);
        }
        Some((note, actions))
    }

    /// Runs timers due at `now` until one of them has something to do. Call until it
    /// answers `None`.
    pub fn poll_timer(&mut self, now: Instant) -> Option<(TransactionId, N, Actions)> {
        while let Some((at, id)) = self.due.pop_due(now) {
            let Some(kept) = self.kept_mut(id).filter(|kept| kept.queued == Some(at)) else {
                continue;
            };
            kept.queued = None;
            if let Some((note, actions)) = self.step(id, now, Event::TimerDue)
                && !actions.is_empty()
            {
                return Some((id, note, actions));
            }
        }
        None
    }

    /// When [`TransactionStore::poll_timer`] is wanted next. Never too late; too early
    /// when the transaction that wanted it has got further since.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.due.first()
    }

    /// Forgets a transaction and returns its note.
    pub fn remove(&mut self, id: TransactionId) -> Option<N> {
        self.kept(id)?;
        let slot = self.slots.get_mut(id.at())?;
        let kept = slot.kept.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.by_key.remove(&kept.key);
        self.free.push(id.index);
        self.sweep();
        Some(kept.note)
    }

    /// Transactions held.
    #[must_use]
    pub fn len(&self) -> usize {
        self.by_key.len()
    }

    /// Whether none is held.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_key.is_empty()
    }

    /// Makes sure that `due` has an element no later than the transaction's deadline.
    fn queue(&mut self, id: TransactionId) {
        let Some(kept) = self.kept_mut(id) else {
            return;
        };
        let Some((deadline, _)) = kept.transaction.deadline() else {
            return;
        };
        if kept.queued.is_none_or(|queued| deadline < queued) {
            kept.queued = Some(deadline);
            self.due.push(deadline, id);
            self.sweep();
        }
    }

    /// Drops dead elements of `due` once they are more than the transactions: each is
    /// looked at once per time the store doubles, so it costs a constant each.
    fn sweep(&mut self) {
        const NOT_WORTH_IT: usize = 64;
        if self.due.len() <= 2 * self.by_key.len() + NOT_WORTH_IT {
            return;
        }
        let Self { slots, due, .. } = self;
        due.retain(|at, id| {
            let slot = slots.get(id.at());
            slot.filter(|slot| slot.generation == id.generation)
                .and_then(|slot| slot.kept.as_ref())
                .is_some_and(|kept| kept.queued == Some(at))
        });
    }

    fn kept(&self, id: TransactionId) -> Option<&Kept<N>> {
        let slot = self.slots.get(id.at())?;
        slot.kept
            .as_ref()
            .filter(|_| slot.generation == id.generation)
    }

    fn kept_mut(&mut self, id: TransactionId) -> Option<&mut Kept<N>> {
        let slot = self.slots.get_mut(id.at())?;
        slot.kept
            .as_mut()
            .filter(|_| slot.generation == id.generation)
    }
}

impl TransactionId {
    const fn at(self) -> usize {
        // A 32-bit number fits.
        self.index as usize
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::sip::{Message, Method, StatusCode};
    use crate::transaction::{
        Action, ClientInvite, ClientNonInvite, ServerInvite, ServerNonInvite, Timers, Transport,
    };
    use bytes::Bytes;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::hash::RandomState;
    use std::time::Duration;

    const BOUND: usize = 10;

    fn machine(number: u8, now: Instant) -> Transaction {
        // With the small T4 some timers come before those they replace.
        let small = &Timers::from_estimates(500, 8_000, 100);
        let timers = if number < 15 {
            &Timers::RFC_3261
        } else {
            small
        };
        let request = Bytes::from(vec![number]);
        match number % 5 {
            0 => ClientInvite::new(now, request, Transport::Unreliable, timers).into(),
            1 => ClientNonInvite::new(now, request, Transport::Unreliable, timers).into(),
            2 => ServerInvite::new(Transport::Unreliable, timers).into(),
            3 => ServerNonInvite::new(now, Transport::Unreliable, timers).into(),
            _ => ClientNonInvite::new(now, request, Transport::Reliable, timers).into(),
        }
    }

    fn key(number: u8, seed: &RandomState) -> TransactionKey {
        TransactionKey::of_branch(&[number], Method::Invite, seed)
    }

    #[test]
    fn an_id_is_a_number_that_names_one_transaction_only() {
        let (seed, now) = (RandomState::new(), Instant::now());
        let mut store = TransactionStore::new(1);
        let foreseen = store.next_id();
        let first = store.insert(key(1, &seed), machine(1, now), 'a').unwrap();
        assert_eq!(foreseen, Some(first));
        assert_eq!(store.next_id(), None);
        assert_eq!(TransactionId::from_bits(first.to_bits()), first);
        assert_eq!(
            store.insert(key(1, &seed), machine(1, now), 'b'),
            Err(NotKept::Known)
        );
        assert_eq!(
            store.insert(key(2, &seed), machine(2, now), 'b'),
            Err(NotKept::Full)
        );
        assert_eq!(store.remove(first), Some('a'));
        let second = store.insert(key(2, &seed), machine(2, now), 'b').unwrap();
        assert_ne!(first, second);
        assert!(store.get(first).is_none() && store.remove(first).is_none());
        assert!(store.step(first, now, Event::Abandon).is_none() && !store.set_note(first, 'c'));
        assert!(store.set_note(second, 'c'));
        assert_eq!(store.get(second).map(|(_, note)| note), Some('c'));
        assert_eq!(store.find(&key(2, &seed)), Some(second));
        assert_eq!(store.find(&key(1, &seed)), None);
    }

    #[test]
    fn the_queue_of_timers_stays_as_small_as_the_store() {
        let (seed, now) = (RandomState::new(), Instant::now());
        let mut store = TransactionStore::new(BOUND);
        for number in 0..=u8::MAX {
            for _ in 0..20 {
                let id = store
                    .insert(key(number, &seed), machine(0, now), ())
                    .unwrap();
                store.step(id, now, Event::Abandon);
                assert!(
                    store.due.len() <= 2 * store.len() + 64,
                    "{}",
                    store.due.len()
                );
            }
        }
        assert_eq!((store.len(), store.slots.len()), (0, 1));
    }

    /// A call in progress is an INVITE at each side; what both cost is here, and the
    /// bytes they keep.
    #[test]
    fn a_transaction_is_small() {
        let slot = size_of::<Slot<[u64; 2]>>();
        assert!(slot <= 208, "{slot} bytes");
    }

    #[derive(Debug, Clone)]
    enum Step {
        Insert(u8),
        Answer(u8, u16),
        Ack(u8),
        Remove(u8),
        Wait(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        let number = 0..30_u8;
        prop_oneof![
            3 => number.clone().prop_map(Step::Insert),
            2 => (number.clone(), 100..700_u16).prop_map(|(number, code)| Step::Answer(number, code)),
            1 => number.clone().prop_map(Step::Ack),
            1 => number.prop_map(Step::Remove),
            3 => (0..9_000_u64).prop_map(Step::Wait),
        ]
    }

    /// The transactions as a plain list, each looked at every time.
    #[derive(Default)]
    struct Naive(BTreeMap<u8, Transaction>);

    impl Naive {
        fn step(&mut self, number: u8, now: Instant, event: Event<'_>) -> Option<(u8, Actions)> {
            let machine = self.0.get_mut(&number)?;
            let actions = machine.step(now, event);
            if machine.is_terminated() {
                self.0.remove(&number);
            }
            Some((number, actions))
        }

        fn deadline(&self) -> Option<Instant> {
            let deadlines = self.0.values().filter_map(Transaction::deadline);
            deadlines.map(|(at, _)| at).min()
        }

        fn run_due(&mut self, now: Instant) -> BTreeMap<u8, Vec<Action>> {
            let mut done: BTreeMap<u8, Vec<Action>> = BTreeMap::new();
            let numbers: Vec<u8> = self.0.keys().copied().collect();
            for number in numbers {
                while self
                    .0
                    .get(&number)
                    .and_then(Transaction::deadline)
                    .is_some_and(|(at, _)| at <= now)
                {
                    let (_, actions) = self.step(number, now, Event::TimerDue).unwrap();
                    done.entry(number).or_default().extend(actions);
                }
            }
            done
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        /// Against a list in which every transaction is looked at every time.
        #[test]
        fn equals_the_naive_list(steps in prop::collection::vec(step(), 0..120)) {
            let seed = RandomState::new();
            let mut store = TransactionStore::new(BOUND);
            let mut naive = Naive::default();
            let mut now = Instant::now();
            let event = |number: u8, code| Event::Respond(StatusCode::new(code).unwrap(), vec![number].into());
            for step in steps {
                match step {
                    Step::Insert(number) => {
                        let kept = store.insert(key(number, &seed), machine(number, now), number);
                        let expected = match naive.0.len() {
                            _ if naive.0.contains_key(&number) => Some(NotKept::Known),
                            BOUND.. => Some(NotKept::Full),
                            _ => None,
                        };
                        prop_assert_eq!(kept.err(), expected);
                        naive.0.entry(number).or_insert_with(|| machine(number, now));
                        if expected == Some(NotKept::Full) {
                            naive.0.remove(&number);
                        }
                    }
                    Step::Answer(number, code) => {
                        let id = store.find(&key(number, &seed));
                        let response = format!("SIP/2.0 {code} X\r\n\r\n");
                        let response = Message::parse_datagram(response.as_bytes()).unwrap();
                        // The servers answer, the clients are answered.
                        let event = || match number % 5 {
                            2 | 3 => event(number, code),
                            _ => Event::Response(&response),
                        };
                        let done = id.and_then(|id| store.step(id, now, event()));
                        prop_assert_eq!(done, naive.step(number, now, event()));
                    }
                    Step::Ack(number) => {
                        let id = store.find(&key(number, &seed));
                        let done = id.and_then(|id| store.step(id, now, Event::Ack));
                        prop_assert_eq!(done, naive.step(number, now, Event::Ack));
                    }
                    Step::Remove(number) => {
                        let id = store.find(&key(number, &seed));
                        let removed = id.and_then(|id| store.remove(id));
                        prop_assert_eq!(removed, naive.0.remove(&number).map(|_| number));
                    }
                    Step::Wait(ms) => {
                        now += Duration::from_millis(ms);
                        let mut done: BTreeMap<u8, Vec<Action>> = BTreeMap::new();
                        while let Some((_, number, actions)) = store.poll_timer(now) {
                            done.entry(number).or_default().extend(actions);
                        }
                        prop_assert_eq!(done, naive.run_due(now));
                    }
                }
                prop_assert_eq!(store.len(), naive.0.len());
                let wanted = naive.deadline();
                prop_assert!(wanted.is_none_or(|wanted| store.deadline().is_some_and(|at| at <= wanted)));
                prop_assert!(store.due.len() <= 2 * store.len() + 64);
                let mut live = 0;
                let TransactionStore { slots, due, .. } = &mut store;
                due.retain(|at, id| {
                    let slot = slots.get(id.at()).filter(|slot| slot.generation == id.generation);
                    let kept = slot.and_then(|slot| slot.kept.as_ref());
                    live += usize::from(kept.is_some_and(|kept| kept.queued == Some(at)));
                    true
                });
                prop_assert!(live <= store.len(), "{live} elements for {}", store.len());
            }
        }
    }
}
