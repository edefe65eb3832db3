//! How many calls a trunk or trunk group carries, and how many began in the last second:
//! exact over all workers, without a lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use arrayvec::ArrayVec;

/// A call's places on its trunk and its trunk group. They are given back when it is
/// dropped, whatever becomes of the call: a count can neither drift nor fall below zero.
#[derive(Debug, Default)]
pub struct CallHold(ArrayVec<Arc<AtomicU32>, 2>);

/// The trunk or its group carries as many calls as it may, or as many began in this second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Full;

impl CallHold {
    /// Takes a place if there is one.
    pub(super) fn take(&mut self, calls: &Arc<AtomicU32>, limit: u32) -> Result<(), Full> {
        let one_more = |count: u32| (count < limit).then(|| count.saturating_add(1));
        let (set, read) = (Ordering::Relaxed, Ordering::Relaxed);
        calls
            .fetch_update(set, read, one_more)
            .map_err(|_| Full)
            .map(|_| self.0.push(Arc::clone(calls)))
    }

    /// Whether nothing is counted for the call.
    pub(super) const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for CallHold {
    fn drop(&mut self) {
        for calls in &self.0 {
            calls.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

/// When the last so many calls began: at most so many begin in any second.
///
/// A ring with a place for each. The one in turn holds when its last call began, and how
/// often the ring has gone around, so that two workers never take the same turn: who finds
/// it taken helps to pass it on.
#[derive(Debug)]
pub(super) struct Starts {
    places: Box<[AtomicU64]>,
    turn: AtomicU64,
}

const WINDOW_MS: u32 = 1_000;

impl Starts {
    /// For at most `per_second` calls in any second.
    pub(super) fn new(per_second: u16) -> Self {
        let long_ago = pack(1, 0_u32.wrapping_sub(WINDOW_MS));
        let count = u64::from(per_second.max(1));
        Self {
            places: (0..count).map(|_| AtomicU64::new(long_ago)).collect(),
            turn: AtomicU64::new(count),
        }
    }

    /// How many.
    pub(super) const fn per_second(&self) -> usize {
        self.places.len()
    }

    /// Whether no call may begin now.
    pub(super) fn is_full(&self, now_ms: u64) -> bool {
        let turn = self.turn.load(Ordering::Acquire);
        let place = self.place(turn).map(|place| place.load(Ordering::Acquire));
        place.is_some_and(|place| is_recent(place, now_ms))
    }

    /// Begins a call, if one may begin now.
    pub(super) fn begin(&self, now_ms: u64) -> Result<(), Full> {
        // Each round that fails is another worker's call that began.
        for _ in 0..=self.places.len() {
            let turn = self.turn.load(Ordering::Acquire);
            let lap = self.lap(turn);
            let Some(place) = self.place(turn) else {
                return Err(Full);
            };
            let was = place.load(Ordering::Acquire);
            if lap_of(was) != lap {
                self.pass_on(turn);
                continue;
            }
            if is_recent(was, now_ms) {
                return Err(Full);
            }
            let is = pack(lap.wrapping_add(1), low_ms(now_ms));
            let (set, read) = (Ordering::AcqRel, Ordering::Acquire);
            if place.compare_exchange(was, is, set, read).is_ok() {
                self.pass_on(turn);
                return Ok(());
            }
        }
        Err(Full)
    }

    fn pass_on(&self, turn: u64) {
        let (set, read) = (Ordering::AcqRel, Ordering::Acquire);
        // Somebody else may have done it.
        let _ = self.turn.compare_exchange(turn, turn + 1, set, read);
    }

    fn place(&self, turn: u64) -> Option<&AtomicU64> {
        let count = u64::try_from(self.places.len()).ok()?;
        let at = turn.checked_rem(count)?;
        self.places.get(usize::try_from(at).ok()?)
    }

    fn lap(&self, turn: u64) -> u32 {
        let count = u64::try_from(self.places.len()).unwrap_or(u64::MAX);
        low_ms(turn.checked_div(count).unwrap_or_default())
    }
}

/// The lap above, the time below, both modulo 2^32: times that are 50 days apart look alike,
/// and one call is then refused that need not be.
fn pack(lap: u32, ms: u32) -> u64 {
    u64::from(lap) << 32 | u64::from(ms)
}

fn lap_of(place: u64) -> u32 {
    low_ms(place >> 32)
}

fn is_recent(place: u64, now_ms: u64) -> bool {
    low_ms(now_ms).wrapping_sub(low_ms(place)) < WINDOW_MS
}

fn low_ms(number: u64) -> u32 {
    u32::try_from(number & u64::from(u32::MAX)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_held_is_given_back_once() {
        let calls = Arc::new(AtomicU32::new(0));
        let take = |limit| {
            let mut hold = CallHold::default();
            hold.take(&calls, limit).map(|()| hold)
        };
        let (first, second) = (take(2).unwrap(), take(2).unwrap());
        assert_eq!(take(2).unwrap_err(), Full);
        let over = take(u32::MAX).unwrap();
        drop(first);
        assert_eq!(take(2).unwrap_err(), Full, "an emergency call counts too");
        drop(over);
        assert_eq!(calls.load(Ordering::Relaxed), 1);
        drop((second, take(2).unwrap()));
        assert_eq!(calls.load(Ordering::Relaxed), 0);
    }

    proptest! {
        /// Against the list of all beginnings.
        #[test]
        fn never_more_than_so_many_in_any_second(
            per_second in 1..20_u16,
            waits_ms in prop::collection::vec(0..400_u64, 1..200),
        ) {
            let starts = Starts::new(per_second);
            let (mut now_ms, mut begun) = (0_u64, Vec::new());
            for wait_ms in waits_ms {
                now_ms += wait_ms;
                let recent = begun.iter().filter(|at| now_ms - *at < 1_000).count();
                let may = recent < usize::from(per_second);
                prop_assert_eq!(starts.is_full(now_ms), !may);
                prop_assert_eq!(starts.begin(now_ms).is_ok(), may);
                if may {
                    begun.push(now_ms);
                }
            }
        }
    }

    #[test]
    fn many_workers_begin_no_more_than_one() {
        for per_second in [1, 7, 100] {
            let starts = Starts::new(per_second);
            let begun = AtomicU32::new(0);
            std::thread::scope(|scope| {
                for _ in 0..4 {
                    scope.spawn(|| {
                        for _ in 0..500 {
                            if starts.begin(5_000).is_ok() {
                                begun.fetch_add(1, Ordering::Relaxed);
                            }
                        }
                    });
                }
            });
            assert_eq!(begun.into_inner(), u32::from(per_second));
            assert!(starts.begin(5_999).is_err() && starts.begin(6_000).is_ok());
        }
    }
}
