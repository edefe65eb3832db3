//! When a busy worker lets datagrams gather, as a network card does with its interrupts:
//! docs/decisions/0016.

use std::time::{Duration, Instant};

use crate::limits::{BUSY_DATAGRAMS_PER_S, GATHER_US_MAX, GATHERED_WANTED};

/// How fast datagrams come.
#[derive(Debug, Default)]
pub(super) struct Pace {
    /// Since when they are counted, and how many there were.
    since: Option<Instant>,
    taken: u32,
    pause: Option<Duration>,
}

/// So many are counted before the pace is judged anew.
const SAMPLE: u32 = 64;
/// So many would take longer where the worker is not busy.
const SAMPLE_TIME: Duration =
    Duration::from_micros(SAMPLE as u64 * 1_000_000 / BUSY_DATAGRAMS_PER_S);
const PAUSE_MAX: Duration = Duration::from_micros(GATHER_US_MAX);

impl Pace {
    /// A round at `now` took so many datagrams.
    pub(super) fn note(&mut self, now: Instant, taken: usize) {
        self.taken = (self.taken).saturating_add(u32::try_from(taken).unwrap_or(u32::MAX));
        let since = *self.since.get_or_insert(now);
        let took = now.saturating_duration_since(since);
        let is_late = took > SAMPLE_TIME;
        if is_late || self.taken >= SAMPLE {
            self.pause = (!is_late).then(|| pause(took, self.taken));
            (self.since, self.taken) = (Some(now), 0);
        }
    }

    /// How long to let some gather before the next round; `None` where each is taken when it
    /// comes. The one after a quiet time is never waited for: only what comes closely behind
    /// it waits.
    pub(super) const fn pause(&self) -> Option<Duration> {
        self.pause
    }
}

/// How long it takes for enough to gather where so many come in such a time.
fn pause(took: Duration, taken: u32) -> Duration {
    let wanted = took.as_micros() * u128::from(GATHERED_WANTED) / u128::from(taken.max(1));
    PAUSE_MAX.min(Duration::from_micros(wanted.try_into().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    /// The state after two seconds of one datagram every so many microseconds.
    fn after(every_us: u64) -> (Pace, Instant) {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..2_000_000 / every_us {
            now += Duration::from_micros(every_us);
            pace.note(now, 1);
        }
        (pace, now)
    }

    #[test]
    fn busy_is_who_would_find_some_together() {
        let least_us = 1_000_000 / BUSY_DATAGRAMS_PER_S;
        assert!(after(least_us - 50).0.pause().is_some());
        assert!(after(least_us + 50).0.pause().is_none());
        assert!(after(100_000).0.pause().is_none());
    }

    #[test]
    fn who_is_busier_waits_shorter() {
        assert_eq!(after(400).0.pause(), Some(PAUSE_MAX));
        // 24 of them, one every 50 µs.
        let pause = after(50).0.pause().unwrap();
        assert!(pause <= Duration::from_micros(1_200), "{pause:?}");
        assert!(pause >= Duration::from_micros(1_100), "{pause:?}");
        assert!(after(1).0.pause().unwrap() <= Duration::from_micros(24));
    }

    #[test]
    fn the_first_round_after_a_quiet_time_ends_it() {
        let (mut pace, now) = after(200);
        assert!(pace.pause().is_some());
        pace.note(now + Duration::from_millis(100), 1);
        assert!(pace.pause().is_none());
    }

    #[test]
    fn rounds_that_gather_keep_it_busy() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..1_000 {
            now += pace.pause().unwrap_or(Duration::from_millis(1));
            pace.note(now, 24);
        }
        assert!(pace.pause().is_some());
    }
}
