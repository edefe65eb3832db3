//! How the records of calls stand, for metrics and for who asks.

/// One sink of records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SinkStanding {
    /// Its name.
    pub name: String,
    /// Whether the last that was to be written was.
    pub up: bool,
    /// Records that no end of the process loses: written, or in the spool. Since the start.
    pub acknowledged: u64,
    /// Records written since the start.
    pub written: u64,
    /// Records the sink had already.
    pub repeated: u64,
    /// Records the sink can never take.
    pub refused: u64,
    /// Records dropped for want of room; those of a spool since it was made.
    pub dropped: u64,
    /// Records dropped that the sink may have all the same.
    pub unsure: u64,
    /// Calls it was not told of, because its queue was full.
    pub missed: u64,
    /// Tries that failed.
    pub failures: u64,
    /// Bytes of its spool.
    pub spool_bytes: u64,
    /// Those it may have; 0 without one.
    pub spool_bytes_max: u64,
    /// Records that wait in it.
    pub waiting: u64,
    /// When the oldest of them came, in milliseconds since 1970.
    pub oldest_ms: Option<u64>,
}

/// How many calls are up, and how their records stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallsStanding {
    /// Calls that are up, of those followed.
    pub live: usize,
    /// Events workers have told.
    pub told: u64,
    /// Events there was no room for.
    pub dropped: u64,
    /// Answered calls that are not in the list of those that are up.
    pub unfollowed: u64,
    /// The sinks.
    pub sinks: Vec<SinkStanding>,
    /// The moment, in milliseconds since 1970.
    pub now_ms: u64,
}

impl SinkStanding {
    /// Age of the oldest record that waits, in seconds.
    #[must_use]
    pub fn oldest_s(&self, now_ms: u64) -> Option<u64> {
        self.oldest_ms
            .map(|oldest| now_ms.saturating_sub(oldest) / 1_000)
    }
}
