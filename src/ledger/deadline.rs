//! A moment that stays where it is when a process dies, a machine restarts or a clock jumps.

use super::generation::rfc3339;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// What the clocks say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Clocks {
    /// The time of day: it may be set, forward and back.
    pub now: Timestamp,
    /// The time since the machine started, where it can be read: nobody can set it.
    pub boot: Option<Boot>,
}

/// A moment in the life of a machine, from one start of it to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Boot {
    /// Which start: no two have the same.
    pub id: String,
    /// Milliseconds since then, those asleep included.
    pub up_ms: u64,
}

/// A moment to come, by both clocks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deadline {
    /// By the time of day, as it was when the deadline was made.
    #[serde(with = "rfc3339")]
    pub until: Timestamp,
    /// How long it was from the beginning, in seconds.
    pub seconds: u32,
    /// By the time since the machine started.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<Boot>,
}

impl Deadline {
    /// `seconds` from now.
    #[must_use]
    pub fn after(seconds: u32, clocks: &Clocks) -> Self {
        let length = SignedDuration::from_secs(i64::from(seconds));
        Self {
            // Beyond the last moment there is, the last moment.
            until: clocks.now.checked_add(length).unwrap_or(Timestamp::MAX),
            seconds,
            boot: clocks.boot.as_ref().map(|boot| Boot {
                id: boot.id.clone(),
                up_ms: boot.up_ms.saturating_add(u64::from(seconds) * 1_000),
            }),
        }
    }

    /// How long it is until then; zero when it has passed. Never longer than it was from the
    /// beginning.
    ///
    /// While the machine runs, the clock that cannot be set decides. After a restart of the
    /// machine only the time of day is left: was it set forward, the deadline passes early,
    /// which is the safe side; was it set back, all of the time begins again.
    #[must_use]
    pub fn left(&self, clocks: &Clocks) -> Duration {
        let left = match (&self.boot, &clocks.boot) {
            (Some(then), Some(now)) if then.id == now.id => {
                Duration::from_millis(then.up_ms.saturating_sub(now.up_ms))
            }
            _ => Duration::try_from(self.until.duration_since(clocks.now)).unwrap_or_default(),
        };
        left.min(Duration::from_secs(u64::from(self.seconds)))
    }
}
