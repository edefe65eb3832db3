//! What is known of the trunks at the moment of a decision.

use super::TrunkId;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

/// Service state and calls in progress of every trunk of one table generation.
///
/// Read by decisions, written by whoever watches the trunks. Counts are exact: a call is
/// taken and given back by the dialog that holds it. In redirect mode nothing writes it.
#[derive(Debug, Default)]
pub struct Availability {
    trunks: Box<[TrunkCounters]>,
}

#[derive(Debug)]
struct TrunkCounters {
    in_service: AtomicBool,
    calls_in_progress: AtomicU32,
}

impl Availability {
    /// All `trunks` in service and without calls.
    #[must_use]
    pub fn new(trunks: usize) -> Self {
        let counters = || TrunkCounters {
            in_service: AtomicBool::new(true),
            calls_in_progress: AtomicU32::new(0),
        };
        Self {
            trunks: std::iter::repeat_with(counters).take(trunks).collect(),
        }
    }

    /// Whether calls may be sent to the trunk. An unknown trunk is out of service.
    #[must_use]
    pub fn in_service(&self, id: TrunkId) -> bool {
        self.trunks
            .get(id.index())
            .is_some_and(|t| t.in_service.load(Ordering::Relaxed))
    }

    /// Calls the trunk carries now.
    #[must_use]
    pub fn calls_in_progress(&self, id: TrunkId) -> u32 {
        self.trunks
            .get(id.index())
            .map_or(0, |t| t.calls_in_progress.load(Ordering::Relaxed))
    }

    /// Takes the trunk in or out of service.
    pub fn set_in_service(&self, id: TrunkId, in_service: bool) {
        if let Some(trunk) = self.trunks.get(id.index()) {
            trunk.in_service.store(in_service, Ordering::Relaxed);
        }
    }

    /// Counts one more call on the trunk.
    pub fn call_begins(&self, id: TrunkId) {
        if let Some(trunk) = self.trunks.get(id.index()) {
            trunk.calls_in_progress.fetch_add(1, Ordering::Relaxed);
        }
    }
}
