//! Whose turn it is on the processors: calls go before changes of the table.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

use crate::system;

/// How long a change waits for idle time, where calls keep all processors busy: a change
/// late by that much is better than a call that is not answered.
const IDLE_TIME_MAX: Duration = Duration::from_secs(10);

/// When changes are made that calls do not wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turns {
    /// When no call wants the processor; after [`IDLE_TIME_MAX`] also besides them.
    Idle,
    /// Besides the calls, with less of the processor: the system would not let a thread
    /// leave the idle policy.
    Nice,
}

impl Turns {
    /// What the system allows.
    pub(super) fn allowed() -> Self {
        // In a thread of its own, which may not get out of it again.
        let asked = std::thread::spawn(system::may_idle_and_return).join();
        if asked.unwrap_or(false) {
            Self::Idle
        } else {
            Self::Nice
        }
    }

    /// Does the work and answers what it answers.
    pub(super) fn give_way<T: Send>(self, work: impl FnOnce() -> T + Send) -> T {
        if self == Self::Nice {
            return work();
        }
        std::thread::scope(|scope| {
            let (done, waiting) = sync_channel::<()>(0);
            let worker = scope.spawn(move || {
                let _dropped_at_the_end = done;
                system::idle();
                work()
            });
            if waiting.recv_timeout(IDLE_TIME_MAX) == Err(RecvTimeoutError::Timeout) {
                system::idle_no_longer();
            }
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn work_is_done_and_its_end_is_told() {
        for turns in [Turns::Idle, Turns::Nice, Turns::allowed()] {
            assert_eq!(turns.give_way(|| 7), 7);
            assert!(catch_unwind(|| turns.give_way(|| panic!("a defect"))).is_err());
        }
    }
}
