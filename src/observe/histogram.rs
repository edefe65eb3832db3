//! Durations counted by how long they were.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A histogram that is written with two additions and read at any time. A reader may see a
/// duration in one of both sums and not yet in the other.
#[derive(Debug)]
pub struct Histogram {
    bounds: &'static [Duration],
    /// One more than there are bounds: the last is of what is longer than all of them.
    counts: Box<[AtomicU64]>,
    sum_ns: AtomicU64,
}

/// What a [`Histogram`] holds at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Durations {
    /// The longest duration of each count but the last.
    pub bounds: &'static [Duration],
    /// How many there were of each length.
    pub counts: Vec<u64>,
    /// All of them together.
    pub sum_ns: u64,
}

impl Histogram {
    /// An empty one. `bounds` ascend.
    #[must_use]
    pub fn new(bounds: &'static [Duration]) -> Self {
        let counts = std::iter::repeat_with(AtomicU64::default);
        Self {
            bounds,
            counts: counts.take(bounds.len() + 1).collect(),
            sum_ns: AtomicU64::new(0),
        }
    }

    /// Counts one.
    pub fn note(&self, took: Duration) {
        let place = self.bounds.partition_point(|bound| *bound < took);
        if let Some(count) = self.counts.get(place) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        let took_ns = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX);
        self.sum_ns.fetch_add(took_ns, Ordering::Relaxed);
    }

    /// What it holds now.
    #[must_use]
    pub fn durations(&self) -> Durations {
        let counts = self.counts.iter();
        Durations {
            bounds: self.bounds,
            counts: counts.map(|count| count.load(Ordering::Relaxed)).collect(),
            sum_ns: self.sum_ns.load(Ordering::Relaxed),
        }
    }
}

impl Durations {
    /// None.
    #[must_use]
    pub fn none(bounds: &'static [Duration]) -> Self {
        Self {
            bounds,
            counts: vec![0; bounds.len() + 1],
            sum_ns: 0,
        }
    }

    /// Adds those of another histogram with the same bounds.
    pub fn add(&mut self, other: &Self) {
        for (sum, count) in self.counts.iter_mut().zip(&other.counts) {
            *sum += count;
        }
        self.sum_ns = self.sum_ns.wrapping_add(other.sum_ns);
    }

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BOUNDS: &[Duration] = &[
        Duration::from_nanos(500),
        Duration::from_micros(1),
        Duration::from_micros(10),
    ];

    #[test]
    fn a_bound_belongs_to_its_own_count() {
        let histogram = Histogram::new(BOUNDS);
        for ns in [0, 500, 501, 1_000, 10_000, 10_001] {
            histogram.note(Duration::from_nanos(ns));
        }
        let durations = histogram.durations();
        assert_eq!(durations.counts, [2, 2, 1, 1]);
        assert_eq!((durations.sum_ns, durations.count()), (22_002, 6));
    }

    proptest! {
        /// Every count is what a look at each duration says.
        #[test]
        fn equals_the_naive_count(all in prop::collection::vec(0_u64..20_000, 0..100)) {
            let histogram = Histogram::new(BOUNDS);
            for ns in &all {
                histogram.note(Duration::from_nanos(*ns));
            }
            let mut below = 0;
            for (bound, count) in BOUNDS.iter().zip(histogram.durations().counts) {
                below += count;
                let naive = all.iter().filter(|ns| Duration::from_nanos(**ns) <= *bound);
                prop_assert_eq!(below, naive.count() as u64);
            }
            let mut sum = Durations::none(BOUNDS);
            sum.add(&histogram.durations());
            sum.add(&Durations::none(BOUNDS));
            prop_assert_eq!(sum, histogram.durations());
        }
    }
}
