//! How changes of the table went, and how long they took.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::histogram::{Durations, Histogram};
use crate::proxy::counted;

counted! {
    /// How a change of the table went.
    ChangeResult {
        /// Another table serves.
        Made = "made",
        /// The files say the same as before.
        Unchanged = "unchanged",
        /// The table has errors, or does not pass its gates.
        Refused = "refused",
        /// It could not be made, or not now.
        Failed = "failed",
    }
}

/// Bounds of the time a change takes, reading and all.
const CHANGE_BOUNDS: &[Duration] = &[
    Duration::from_millis(10),
    Duration::from_millis(50),
    Duration::from_millis(100),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(5),
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_secs(60),
];

/// What is counted of changes.
#[derive(Debug)]
pub struct Changes {
    results: [AtomicU64; ChangeResult::ALL.len()],
    took: Histogram,
    last_good_s: AtomicI64,
}

/// Changes so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChangesSeen {
    /// How many went how.
    pub results: BTreeMap<&'static str, u64>,
    /// How long they took.
    pub took: Durations,
    /// When the folder and what serves were last found, or made, the same, in seconds since
    /// 1970.
    pub last_good_s: i64,
}

impl Changes {
    /// None yet; the table that serves was read at `now_s`, in seconds since 1970.
    #[must_use]
    pub fn new(now_s: i64) -> Self {
        Self {
            results: [const { AtomicU64::new(0) }; ChangeResult::ALL.len()],
            took: Histogram::new(CHANGE_BOUNDS),
            last_good_s: AtomicI64::new(now_s),
        }
    }

    /// One went so at `now_s`.
    pub fn note(&self, result: ChangeResult, took: Duration, now_s: i64) {
        if let Some(count) = self.results.get(result.index()) {
            count.fetch_add(1, Ordering::Relaxed);
        }
        self.took.note(took);
        if matches!(result, ChangeResult::Made | ChangeResult::Unchanged) {
            self.last_good_s.store(now_s, Ordering::Relaxed);
        }
    }

    /// All so far; results that never were are there with 0, so that their increase is seen.
    #[must_use]
    pub fn seen(&self) -> ChangesSeen {
        let results = ChangeResult::ALL.iter().zip(&self.results);
        let results = results.map(|(r, count)| (r.as_str(), count.load(Ordering::Relaxed)));
        ChangesSeen {
            results: results.collect(),
            took: self.took.durations(),
            last_good_s: self.last_good_s.load(Ordering::Relaxed),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_change_is_no_success() {
        let changes = Changes::new(10);
        changes.note(ChangeResult::Refused, Duration::from_millis(20), 11);
        assert_eq!(changes.seen().last_good_s, 10);
        changes.note(ChangeResult::Unchanged, Duration::from_millis(20), 12);
        let seen = changes.seen();
        assert_eq!((seen.last_good_s, seen.took.count()), (12, 2));
        let results: Vec<_> = seen.results.into_iter().collect();
        let expected = [("failed", 0), ("made", 0), ("refused", 1), ("unchanged", 1)];
        assert_eq!(results, expected);
    }
}
