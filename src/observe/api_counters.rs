//! How often which request to the admin API had which end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::proxy::counted;

counted! {
    /// How a request to the admin API ended.
    ApiOutcome {
        /// It was answered; nothing was changed.
        Read = "read",
        /// A change was made.
        Changed = "changed",
        /// A change was not made.
        NotChanged = "not-changed",
        /// No token, or a wrong one.
        Unproven = "unproven",
        /// Too many wrong tokens of one source.
        Guessing = "guessing",
        /// Whoever asked may not.
        NotAllowed = "not-allowed",
        /// It could not be understood, or what it names is not there.
        Malformed = "malformed",
        /// There was too much to do.
        Busy = "busy",
        /// Something of ours went wrong.
        Failed = "failed",
        /// Whoever listened to events did not keep up.
        SlowListener = "slow-listener",
    }
}

/// Counters of the admin API.
#[derive(Debug)]
pub struct ApiCounters([AtomicU64; ApiOutcome::ALL.len()]);

impl ApiCounters {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Counts one.
    pub fn count(&self, outcome: ApiOutcome) {
        if let Some(counter) = self.0.get(outcome.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that are not zero, by name.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        let all = ApiOutcome::ALL.iter().zip(&self.0);
        all.map(|(outcome, counter)| (outcome.as_str(), counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

impl Default for ApiCounters {
    fn default() -> Self {
        Self::new()
    }
}
