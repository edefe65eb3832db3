//! What peers do wrong, told at a bounded rate.

use std::net::SocketAddr;
use std::time::Instant;

use super::LineBudget;
use crate::proxy::{DropReason, MethodKind, Refusal, Refused};

const CAUSES: usize = Refusal::ALL.len() + DropReason::ALL.len();

/// The log's view of refused and dropped datagrams: so many lines a second for each
/// cause over all workers, the rest as "repeated N times".
#[derive(Debug)]
pub struct PeerErrors {
    budget: LineBudget<CAUSES>,
    started: Instant,
}

impl PeerErrors {
    /// Counts seconds from `started`.
    #[must_use]
    pub fn new(started: Instant) -> Self {
        Self {
            budget: LineBudget::new(),
            started,
        }
    }

    /// A request was refused with `status`.
    pub fn refused(
        &self,
        now: Instant,
        refused: Refused,
        status: u16,
        method: MethodKind,
        source: SocketAddr,
    ) {
        let cause = refused.why.index();
        let Some(held_back) = self.admit(cause, now) else {
            return;
        };
        let (why, method) = (refused.why.as_str(), method.as_str());
        match refused.error {
            Some(error) => {
                tracing::warn!("refused {status} {why}: {error} method={method} src={source}");
            }
            None => tracing::warn!("refused {status} {why} method={method} src={source}"),
        }
        told_of(why, held_back);
    }

    /// A datagram of `length` bytes was dropped. Keep-alives are nothing to tell of.
    pub fn dropped(&self, now: Instant, reason: DropReason, length: usize, source: SocketAddr) {
        if reason == DropReason::KeepAlive {
            return;
        }
        let Some(held_back) = self.admit(Refusal::ALL.len() + reason.index(), now) else {
            return;
        };
        tracing::warn!("dropped {} bytes={length} src={source}", reason.as_str());
        told_of(reason.as_str(), held_back);
    }

    /// Tells of everything held back and not yet told of.
    pub fn flush(&self) {
        let names = Refusal::ALL
            .iter()
            .map(|r| r.as_str())
            .chain(DropReason::ALL.iter().map(|r| r.as_str()));
        for (name, held_back) in names.zip(self.budget.take_suppressed()) {
            told_of(name, held_back);
        }
    }

    fn admit(&self, cause: usize, now: Instant) -> Option<u64> {
        self.budget
            .admit(cause, now.saturating_duration_since(self.started).as_secs())
    }
}

fn told_of(name: &str, held_back: u64) {
    if held_back > 0 {
        tracing::warn!("{name} repeated {held_back} times");
    }
}
