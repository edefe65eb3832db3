//! When a busy worker lets datagrams gather, as a network card does with its interrupts:
//! docs/decisions/0016.

use std::time::{Duration, Instant};

use crate::limits::{GATHER_US, GATHERED_MIN};

/// How fast datagrams come.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when they are counted, and how many there were.
    since: Option<Instant>,
    taken: u32,
    is_busy: bool,
}

/// So many are counted before the pace is judged anew.
const SAMPLE: u32 = 64;
/// How long a worker lets datagrams gather.
pub(super) const GATHER: Duration = Duration::from_micros(GATHER_US);
/// So many would take longer where the worker is not busy.
const SAMPLE_TIME: Duration = Duration::from_micros(GATHER_US * SAMPLE as u64 / GATHERED_MIN);

impl Pace {
    /// A round at `now` took so many datagrams.
    pub(super) fn note(&mut self, now: Instant, taken: usize) {
        self.taken = (self.taken).saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        let since = *self.since.get_or_insert(now);
        let is_late = now.saturating_duration_since(since) > SAMPLE_TIME;
        if is_late || self.taken >= SAMPLE {
            (self.since, self.taken, self.is_busy) = (Some(now), 0, !is_late);
        }
    }

    /// Whether to let some gather before the next round. The one after a quiet time is never
    /// waited for: it is taken when it comes, and only what comes closely behind it waits.
    pub(super) const fn is_busy(&self) -> bool {
        self.is_busy
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The state after two seconds of one datagram every so many microseconds.
    fn busy_at(every_us: u64) -> (Pace, Instant) {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..2_000_000 / every_us {
            now += Duration::from_micros(every_us);
            pace.note(now, 1);
        }
        (pace, now)
    }

    #[test]
    fn busy_is_who_would_find_some_together() {
        let least_us = GATHER_US / GATHERED_MIN;
        assert!(busy_at(least_us - 50).0.is_busy());
        assert!(!busy_at(least_us + 50).0.is_busy());
        assert!(!busy_at(100_000).0.is_busy());
    }

    #[test]
    fn the_first_round_after_a_quiet_time_ends_it() {
        let (mut pace, now) = busy_at(GATHER_US / GATHERED_MIN / 2);
        assert!(pace.is_busy());
        pace.note(now + Duration::from_millis(100), 1);
        assert!(!pace.is_busy());
    }

    #[test]
    fn rounds_that_gather_keep_it_busy() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..1_000 {
            now += GATHER;
            pace.note(now, 6);
        }
        assert!(pace.is_busy());
    }
}
