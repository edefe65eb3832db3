//! Calls that keep flowing while the table changes.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::ensure;
use tokio::task::JoinHandle;

use super::sbc::{Call, Sbc};

/// Between the end of a call and the next.
const PAUSE: Duration = Duration::from_millis(2);
/// How long a handful of calls may take.
const FLOW_WAIT: Duration = Duration::from_secs(30);
/// Changes from one agent to another that are kept: one is to come.
const TURNS_MAX: usize = 16;

/// A caller in the background.
#[derive(Debug)]
pub(super) struct Traffic {
    stop: Arc<AtomicBool>,
    placed: Arc<AtomicU64>,
    task: JoinHandle<io::Result<Flow>>,
}

/// What became of the calls.
#[derive(Debug, Default)]
pub(super) struct Flow {
    /// Calls placed.
    pub(super) calls: u64,
    /// Calls that nobody answered.
    pub(super) unanswered: u64,
    /// Who answered, in turn, and how many in a row.
    pub(super) turns: Vec<(&'static str, u64)>,
}

impl Traffic {
    /// Places the call over and over.
    pub(super) fn start(mut sbc: Sbc, call: Call) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let calls = Arc::new(AtomicU64::new(0));
        let placed = Arc::clone(&calls);
        let task = tokio::spawn(async move {
            let mut flow = Flow::default();
            while !stopped.load(Ordering::Relaxed) {
                flow.count(sbc.place(&call).await?.answered_by);
                calls.store(flow.calls, Ordering::Relaxed);
                tokio::time::sleep(PAUSE).await;
            }
            Ok(flow)
        });
        Self { stop, placed, task }
    }

    /// Waits until so many more calls were placed.
    ///
    /// # Errors
    /// They were not, within a time that suffices for hundreds.
    pub(super) async fn flow(&self, calls: u64) -> anyhow::Result<()> {
        let enough = self.placed.load(Ordering::Relaxed) + calls;
        let deadline = Instant::now() + FLOW_WAIT;
        while self.placed.load(Ordering::Relaxed) < enough {
            ensure!(
                Instant::now() < deadline,
                "the calls in the background stand still"
            );
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Ends after the call in progress.
    ///
    /// # Errors
    /// What the system said about the caller's socket.
    pub(super) async fn end(self) -> anyhow::Result<Flow> {
        self.stop.store(true, Ordering::Relaxed);
        Ok(self.task.await??)
    }
}

impl Flow {
    fn count(&mut self, answered_by: Option<&'static str>) {
        self.calls += 1;
        let Some(name) = answered_by else {
            self.unanswered += 1;
            return;
        };
        let turns = self.turns.len();
        match self.turns.last_mut() {
            Some((last, calls)) if *last == name => *calls += 1,
            _ if turns < TURNS_MAX => self.turns.push((name, 1)),
            _ => {}
        }
    }

    /// `58 to Genesys, then 120 to Teams`.
    pub(super) fn words(&self) -> String {
        let turns = self.turns.iter();
        let turns: Vec<String> = turns
            .map(|(name, calls)| format!("{calls} to {name}"))
            .collect();
        turns.join(", then ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn turns_are_told_in_order() {
        let mut flow = Flow::default();
        for name in [Some("Genesys"), Some("Genesys"), None, Some("Teams")] {
            flow.count(name);
        }
        assert_eq!((flow.calls, flow.unanswered), (4, 1));
        assert_eq!(flow.words(), "2 to Genesys, then 1 to Teams");
    }
}
