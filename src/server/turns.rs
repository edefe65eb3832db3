//! Whose turn it is on the processors: calls go before changes of the table.

use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use crate::system;

/// How long a change waits for idle time, where calls keep all processors busy: a change
/// late by that much is better than a call that is not answered. A million numbers take one
/// and a half to three seconds beside half of what the workers can answer.
const IDLE_TIME_MAX: Duration = Duration::from_secs(5);

/// How long a change waits at most that gets next to no idle time.
const NO_IDLE_TIME_MAX: Duration = Duration::from_secs(1);

/// What is next to none: less than one part in so many.
const IDLE_PARTS: u32 = 10;

/// How often the threads of a change are looked for, so that each of them rests while there are
/// calls.
const LOOK_EVERY: Duration = Duration::from_millis(2);

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
            let mut rests = system::Rests::default();
            let begun = Instant::now();
            while waiting.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                rests.look();
                if is_too_late(begun.elapsed(), || rests.worked()) {
                    system::idle_no_longer();
                    break;
                }
            }
            drop(rests);
            worker
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }
}

/// Whether a change has waited long enough for idle time, of which it has had some.
fn is_too_late(waited: Duration, had: impl FnOnce() -> Duration) -> bool {
    waited >= IDLE_TIME_MAX || waited >= NO_IDLE_TIME_MAX && had() < waited / IDLE_PARTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_change_that_gets_on_waits_for_longer() {
        for (waited_ms, had_ms, expected) in [
            (999, 0, false),
            (1_000, 99, true),
            (1_000, 100, false),
            (4_999, 499, true),
            (4_999, 600, false),
            (5_000, 5_000, true),
        ] {
            let [waited, had] = [waited_ms, had_ms].map(Duration::from_millis);
            assert_eq!(
                is_too_late(waited, || had),
                expected,
                "{waited_ms} {had_ms}"
            );
        }
    }

    #[test]
    fn work_is_done_and_its_end_is_told() {
        for turns in [Turns::Idle, Turns::Nice, Turns::allowed()] {
            assert_eq!(turns.give_way(|| 7), 7);
            assert!(catch_unwind(|| turns.give_way(|| panic!("a defect"))).is_err());
        }
    }
}
