//! How many new calls one source may bring: a flood from one must not take the room of all.

use std::collections::HashMap;
use std::hash::RandomState;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Instant;

use crate::limits::SOURCES_MAX;

/// A token bucket for each source: so many new calls a second, and as many at once after a
/// quiet second. At most [`SOURCES_MAX`] sources have one of their own; what comes on top
/// shares one.
#[derive(Debug)]
pub struct Sources {
    /// Calls a second; `None` is without a bound, and nothing is kept.
    per_second: Option<u32>,
    buckets: HashMap<IpAddr, Bucket, RandomState>,
    others: Option<Bucket>,
    swept: Option<Instant>,
}

/// Thousandths of a call, as they were at a time.
#[derive(Debug, Clone, Copy)]
struct Bucket {
    tokens: u64,
    at: Instant,
}

const CALL: u64 = 1_000;

impl Sources {
    /// Without a bound.
    #[must_use]
    pub fn new(key: RandomState) -> Self {
        Self {
            per_second: None,
            buckets: HashMap::with_hasher(key),
            others: None,
            swept: None,
        }
    }

    /// From now on so many a second.
    pub const fn set(&mut self, per_second: u32) {
        self.per_second = Some(per_second);
    }

    /// Whether this source may begin one more call now.
    pub fn admit(&mut self, source: IpAddr, now: Instant) -> bool {
        let Some(per_second) = self.per_second else {
            return true;
        };
        let source = one_owner(source);
        if !self.buckets.contains_key(&source) && self.buckets.len() >= SOURCES_MAX {
            self.sweep(now, per_second);
        }
        let full = Bucket {
            tokens: u64::from(per_second) * CALL,
            at: now,
        };
        let bucket = if self.buckets.len() < SOURCES_MAX || self.buckets.contains_key(&source) {
            self.buckets.entry(source).or_insert(full)
        } else {
            self.others.get_or_insert(full)
        };
        bucket.fill(now, per_second);
        match bucket.tokens.checked_sub(CALL) {
            Some(left) => {
                bucket.tokens = left;
                true
            }
            None => false,
        }
    }

    /// Forgets sources that have been quiet, at most once a second: who cannot be told from
    /// a new one.
    fn sweep(&mut self, now: Instant, per_second: u32) {
        let since = |at: Instant| now.saturating_duration_since(at).as_secs();
        if self.swept.is_some_and(|at| since(at) == 0) {
            return;
        }
        self.swept = Some(now);
        self.buckets.retain(|_, bucket| {
            bucket.fill(now, per_second);
            bucket.tokens < u64::from(per_second) * CALL
        });
    }
}

impl Bucket {
    fn fill(&mut self, now: Instant, per_second: u32) {
        let waited = now.saturating_duration_since(self.at).as_millis();
        let gained = u64::try_from(waited)
            .unwrap_or(u64::MAX)
            .saturating_mul(per_second.into());
        if gained > 0 {
            let most = u64::from(per_second) * CALL;
            self.tokens = self.tokens.saturating_add(gained).min(most);
            self.at = now;
        }
    }
}

/// One form for each owner of addresses: a whole /64 is one customer's (RFC 6177).
#[must_use]
pub fn one_owner(source: IpAddr) -> IpAddr {
    match source.to_canonical() {
        IpAddr::V6(v6) => {
            let [a, b, c, d, ..] = v6.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn sources(per_second: u32) -> Sources {
        let mut sources = Sources::new(RandomState::new());
        sources.set(per_second);
        sources
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn without_a_bound_nothing_is_kept() {
        let mut sources = Sources::new(RandomState::new());
        let now = Instant::now();
        assert!((0..1_000).all(|_| sources.admit(ip("192.0.2.1"), now)));
        assert!(sources.buckets.is_empty());
    }

    #[test]
    fn a_network_of_one_owner_is_one_source() {
        let (mut sources, now) = (sources(2), Instant::now());
        assert!(sources.admit(ip("2001:db8::1"), now));
        assert!(sources.admit(ip("2001:db8::2"), now));
        assert!(!sources.admit(ip("2001:db8::3"), now));
        assert!(sources.admit(ip("2001:db8:0:1::1"), now));
        assert!(sources.admit(ip("192.0.2.1"), now));
        assert!(sources.admit(ip("::ffff:192.0.2.1"), now));
        assert!(!sources.admit(ip("192.0.2.1"), now));
    }

    #[test]
    fn more_sources_than_are_kept_share_what_is_left_and_quiet_ones_make_room() {
        let (mut sources, now) = (sources(1), Instant::now());
        let nth = |n: u32| IpAddr::from((0x0a00_0000 + n).to_be_bytes());
        let most = u32::try_from(SOURCES_MAX).unwrap();
        let admitted = (0..most * 2)
            .filter(|n| sources.admit(nth(*n), now))
            .count();
        assert_eq!(admitted, SOURCES_MAX + 1);
        assert_eq!(sources.buckets.len(), SOURCES_MAX);
        let later = now + Duration::from_secs(2);
        assert!(sources.admit(nth(most * 3), later));
        assert_eq!(sources.buckets.len(), 1);
    }

    proptest! {
        /// However a source spreads its calls, over any time it gets no more than the rate
        /// and one burst; and one that keeps to the rate gets all of them.
        #[test]
        fn the_rate_is_kept(
            per_second in 1_u32..50,
            gaps_ms in prop::collection::vec(0_u64..200, 1..300),
        ) {
            let start = Instant::now();
            let (mut sources, mut at_ms, mut admitted) = (sources(per_second), 0, 0_u64);
            for gap_ms in gaps_ms {
                at_ms += gap_ms;
                let now = start + Duration::from_millis(at_ms);
                admitted += u64::from(sources.admit(ip("192.0.2.1"), now));
                let most = u64::from(per_second) + at_ms * u64::from(per_second) / 1_000;
                prop_assert!(admitted <= most, "{admitted} of {most}");
            }
        }

        #[test]
        fn who_keeps_to_the_rate_is_never_refused(per_second in 1_u32..1_000, calls in 1_u64..500) {
            let start = Instant::now();
            let mut sources = sources(per_second);
            for n in 0..calls {
                let now = start + Duration::from_millis(n * 1_000_u64.div_ceil(per_second.into()));
                prop_assert!(sources.admit(ip("192.0.2.1"), now));
            }
        }
    }
}
