//! How often what happened. One set per worker, added up when somebody asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::proxy::{DropReason, MethodKind, Refusal};

/// Status codes counted each on its own: 100 to 699.
const STATUSES: usize = 600;

/// Counters of one worker. Written by it, read by anybody at any time; a reader may
/// see one counter before and another after the same request.
#[derive(Debug)]
pub struct Counters {
    requests: [AtomicU64; MethodKind::ALL.len()],
    replies: Box<[AtomicU64]>,
    drops: [AtomicU64; DropReason::ALL.len()],
    refusals: [AtomicU64; Refusal::ALL.len()],
    repeats: AtomicU64,
    stateless: AtomicU64,
    send_errors: AtomicU64,
    receive_errors: AtomicU64,
}

impl Counters {
    /// All zero.
    #[must_use]
    pub fn new() -> Self {
        Self {
            requests: std::array::from_fn(|_| AtomicU64::new(0)),
            replies: std::iter::repeat_with(AtomicU64::default)
                .take(STATUSES)
                .collect(),
            drops: std::array::from_fn(|_| AtomicU64::new(0)),
            refusals: std::array::from_fn(|_| AtomicU64::new(0)),
            repeats: AtomicU64::new(0),
            stateless: AtomicU64::new(0),
            send_errors: AtomicU64::new(0),
            receive_errors: AtomicU64::new(0),
        }
    }

    /// A request was understood well enough to be answered or absorbed.
    pub fn request(&self, method: MethodKind) {
        add(self.requests.get(method.index()));
    }

    /// An answer with this status was made.
    pub fn reply(&self, status: u16) {
        add(usize::from(status)
            .checked_sub(100)
            .and_then(|i| self.replies.get(i)));
    }

    /// A datagram was dropped.
    pub fn dropped(&self, reason: DropReason) {
        add(self.drops.get(reason.index()));
    }

    /// A request was refused before any decision.
    pub fn refusal(&self, refusal: Refusal) {
        add(self.refusals.get(refusal.index()));
    }

    /// A response was sent again, asked for by a retransmission or by timer G.
    pub fn repeat(&self) {
        add(Some(&self.repeats));
    }

    /// `n` calls were answered statelessly because the transaction table was full.
    pub fn stateless(&self, n: u64) {
        self.stateless.fetch_add(n, Ordering::Relaxed);
    }

    /// The system refused to send.
    pub fn send_error(&self) {
        add(Some(&self.send_errors));
    }

    /// The system failed to receive.
    pub fn receive_error(&self) {
        add(Some(&self.receive_errors));
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

/// The sum of all workers' counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests by method.
    pub requests: BTreeMap<&'static str, u64>,
    /// Answers by status.
    pub replies: BTreeMap<u16, u64>,
    /// Datagrams dropped, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// Requests refused before any decision, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Responses sent again.
    pub repeats: u64,
    /// Calls answered statelessly because the transaction table was full.
    pub stateless: u64,
    /// Answers the system refused to send.
    pub send_errors: u64,
    /// Failures to receive.
    pub receive_errors: u64,
}

impl Totals {
    /// Adds the counters up. What is zero is left out of the maps.
    #[must_use]
    pub fn of<'c>(counters: impl IntoIterator<Item = &'c Counters>) -> Self {
        let mut totals = Self::default();
        for one in counters {
            named(
                &mut totals.requests,
                MethodKind::ALL.iter().map(|m| m.as_str()),
                &one.requests,
            );
            named(&mut totals.replies, 100.., &one.replies);
            named(
                &mut totals.drops,
                DropReason::ALL.iter().map(|r| r.as_str()),
                &one.drops,
            );
            named(
                &mut totals.refusals,
                Refusal::ALL.iter().map(|r| r.as_str()),
                &one.refusals,
            );
            totals.repeats += one.repeats.load(Ordering::Relaxed);
            totals.stateless += one.stateless.load(Ordering::Relaxed);
            totals.send_errors += one.send_errors.load(Ordering::Relaxed);
            totals.receive_errors += one.receive_errors.load(Ordering::Relaxed);
        }
        totals
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("requests")?;
        list(f, &self.requests)?;
        f.write_str("; replies")?;
        list(f, &self.replies)?;
        f.write_str("; refused")?;
        list(f, &self.refusals)?;
        f.write_str("; dropped")?;
        list(f, &self.drops)?;
        write!(
            f,
            "; repeats={} stateless={} send-errors={} receive-errors={}",
            self.repeats, self.stateless, self.send_errors, self.receive_errors
        )
    }
}

fn list<K: fmt::Display>(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<K, u64>) -> fmt::Result {
    if counts.is_empty() {
        return f.write_str(" none");
    }
    counts.iter().try_for_each(|(name, count)| {
        let name = name.to_string().replace(' ', "-");
        write!(f, " {name}={count}")
    })
}

fn named<K: Ord>(
    into: &mut BTreeMap<K, u64>,
    names: impl Iterator<Item = K>,
    counters: &[AtomicU64],
) {
    for (name, counter) in names.zip(counters) {
        let count = counter.load(Ordering::Relaxed);
        if count > 0 {
            *into.entry(name).or_default() += count;
        }
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_the_workers() {
        let (one, two) = (Counters::new(), Counters::new());
        one.request(MethodKind::Invite);
        two.request(MethodKind::Invite);
        two.reply(302);
        two.reply(699);
        two.reply(99);
        two.dropped(DropReason::KeepAlive);
        one.refusal(Refusal::UnknownSource);
        one.repeat();
        let totals = Totals::of([&one, &two]);
        assert_eq!(
            totals.to_string(),
            "requests INVITE=2; replies 302=1 699=1; refused unknown-source=1; dropped keep-alive=1; \
             repeats=1 stateless=0 send-errors=0 receive-errors=0"
        );
    }
}
