//! How often which question over HTTP had which end.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::proxy::counted;

counted! {
    /// How a question over HTTP ended.
    HttpOutcome {
        /// With a route.
        Routed = "routed",
        /// With a rule that rejects the call.
        Rejected = "rejected",
        /// Without a route.
        NoOpinion = "no-opinion",
        /// With no trunk in service.
        Unavailable = "unavailable",
        /// Whoever asked may not, or for no trunk group of the table.
        Refused = "refused",
        /// The question could not be read.
        Malformed = "malformed",
        /// Its body did not come in time.
        TooSlow = "too-slow",
    }
}

/// Counters of the HTTP listener.
#[derive(Debug)]
pub struct HttpCounters([AtomicU64; HttpOutcome::ALL.len()]);

impl HttpCounters {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self(std::array::from_fn(|_| AtomicU64::new(0)))
    }

    /// Counts one.
    pub fn count(&self, outcome: HttpOutcome) {
        if let Some(counter) = self.0.get(outcome.index()) {
            counter.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Those that are not zero, by name.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        let all = HttpOutcome::ALL.iter().zip(&self.0);
        all.map(|(outcome, counter)| (outcome.as_str(), counter.load(Ordering::Relaxed)))
            .filter(|(_, count)| *count > 0)
            .collect()
    }
}

impl Default for HttpCounters {
    fn default() -> Self {
        Self::new()
    }
}
