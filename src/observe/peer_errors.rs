//! What peers do wrong, told at a bounded rate.

use std::fmt;
use std::net::SocketAddr;
use std::time::Instant;

use super::LineBudget;
use crate::proxy::{
    DropReason, MethodKind, ProxyDrop, ProxyRefusal, ProxyRefused, Refusal, Refused,
};
use crate::transport::Ended;

/// Causes in the order of their places: refusals and drops of a redirect server, then of a
/// proxy, then ends of connections.
const DROPS: usize = Refusal::ALL.len();
const PROXY_REFUSALS: usize = DROPS + DropReason::ALL.len();
const PROXY_DROPS: usize = PROXY_REFUSALS + ProxyRefusal::ALL.len();
const CONNECTIONS: usize = PROXY_DROPS + ProxyDrop::ALL.len();
const CAUSES: usize = CONNECTIONS + Ended::ALL.len();

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
        let why = refused.why.as_str();
        tell_refusal(status, why, refused.error, method, source);
        told_of(why, held_back);
    }

    /// A proxy refused a request.
    pub fn proxy_refused(&self, now: Instant, refused: &ProxyRefused) {
        let Some(held_back) = self.admit(PROXY_REFUSALS + refused.why.index(), now) else {
            return;
        };
        let (status, why) = (refused.status.code(), refused.why.as_str());
        tell_refusal(status, why, refused.error, refused.method, refused.source);
        told_of(why, held_back);
    }

    /// A proxy dropped a message. Keep-alives are nothing to tell of.
    pub fn proxy_dropped(&self, now: Instant, why: ProxyDrop, source: SocketAddr) {
        if why == ProxyDrop::KeepAlive {
            return;
        }
        let Some(held_back) = self.admit(PROXY_DROPS + why.index(), now) else {
            return;
        };
        tracing::warn!("dropped {} src={source}", why.as_str());
        told_of(why.as_str(), held_back);
    }

    /// A datagram of `length` bytes was dropped. Keep-alives are nothing to tell of.
    pub fn dropped(&self, now: Instant, reason: DropReason, length: usize, source: SocketAddr) {
        if reason == DropReason::KeepAlive {
            return;
        }
        let Some(held_back) = self.admit(DROPS + reason.index(), now) else {
            return;
        };
        tracing::warn!("dropped {} bytes={length} src={source}", reason.as_str());
        told_of(reason.as_str(), held_back);
    }

    /// A connection ended, or was not let in; the ordinary ends are nothing to tell of. `trunks`
    /// are the names of those that are there, and are asked for only where a line is written.
    pub fn connection<'t>(
        &self,
        now: Instant,
        (why, detail): (Ended, Option<&str>),
        peer: SocketAddr,
        trunks: impl FnOnce() -> Vec<&'t str>,
    ) {
        if why.is_ordinary() {
            return;
        }
        let Some(held_back) = self.admit(CONNECTIONS + why.index(), now) else {
            return;
        };
        let (why_text, trunks) = (why.as_str(), Listed(trunks()));
        match detail {
            Some(detail) => tracing::warn!("{why_text} peer={peer}{trunks}: {detail}"),
            None => tracing::warn!("{why_text} peer={peer}{trunks}"),
        }
        told_of(why.as_str(), held_back);
    }

    /// Tells of everything held back and not yet told of.
    pub fn flush(&self) {
        let names = Refusal::ALL
            .iter()
            .map(|r| r.as_str())
            .chain(DropReason::ALL.iter().map(|r| r.as_str()))
            .chain(ProxyRefusal::ALL.iter().map(|r| r.as_str()))
            .chain(ProxyDrop::ALL.iter().map(|r| r.as_str()))
            .chain(Ended::ALL.iter().map(|r| r.as_str()));
        for (name, held_back) in names.zip(self.budget.take_suppressed()) {
            told_of(name, held_back);
        }
    }

    fn admit(&self, cause: usize, now: Instant) -> Option<u64> {
        self.budget
            .admit(cause, now.saturating_duration_since(self.started).as_secs())
    }
}

/// ` trunk=lon,man`; nothing where there are none.
struct Listed<'t>(Vec<&'t str>);

impl fmt::Display for Listed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, name) in self.0.iter().enumerate() {
            let lead = if place == 0 { " trunk=" } else { "," };
            write!(f, "{lead}{name}")?;
        }
        Ok(())
    }
}

fn tell_refusal(
    status: u16,
    why: &str,
    error: Option<impl fmt::Display>,
    method: MethodKind,
    source: SocketAddr,
) {
    let method = method.as_str();
    match error {
        Some(error) => {
            tracing::warn!("refused {status} {why}: {error} method={method} src={source}");
        }
        None => tracing::warn!("refused {status} {why} method={method} src={source}"),
    }
}

fn told_of(name: &str, held_back: u64) {
    if held_back > 0 {
        tracing::warn!("{name} repeated {held_back} times");
    }
}
