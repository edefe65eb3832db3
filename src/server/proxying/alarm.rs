//! When a worker wakes though nothing came.

use std::pin::Pin;
use std::time::{Duration, Instant};

use tokio::time::{Sleep, sleep};

/// With nothing due the alarm is set for later than anybody waits.
const LONG: Duration = Duration::from_secs(3_600);

/// One sleep for all timers. Most of them are moved before they are due, so it is set anew
/// only for an earlier one, and now and then rings for nothing.
#[derive(Debug)]
pub(super) struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    pub(super) fn new() -> Self {
        Self(Box::pin(sleep(LONG)))
    }

    pub(super) fn set(&mut self, due: Option<Instant>) {
        let set_for = self.0.deadline().into_std();
        match due {
            Some(due) if due < set_for || self.0.is_elapsed() => {
                self.0.as_mut().reset(due.into());
            }
            None if self.0.is_elapsed() => {
                self.0.as_mut().reset((Instant::now() + LONG).into());
            }
            _ => {}
        }
    }

    pub(super) async fn ring(&mut self) {
        self.0.as_mut().await;
    }
}
