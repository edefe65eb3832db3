//! The timers of RFC 3261 table 4, RFC 6026 §7.1 and §8.4, by their letters.

use std::fmt;
use std::time::{Duration, Instant};

use super::Transport;

/// What the timers of a transaction are made of. Each transaction keeps the values it
/// was begun with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timers {
    /// T1: estimate of a round trip. RFC 3261 §17.1.1.1.
    pub t1_ms: u32,
    /// T2: longest interval between retransmissions of a non-INVITE request and of a
    /// response to INVITE.
    pub t2_ms: u32,
    /// T4: longest time a message stays in the network.
    pub t4_ms: u32,
    /// B: how long an INVITE waits for its first response.
    pub b_ms: u32,
    /// D: how long repeated final responses to an INVITE are acknowledged over an
    /// unreliable transport; 32 seconds at least, says the RFC.
    pub d_ms: u32,
    /// F: how long a non-INVITE request waits for its final response.
    pub f_ms: u32,
}

/// The letter of a timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimerName {
    /// Repeats an INVITE.
    A,
    /// Ends the wait for a response to INVITE.
    B,
    /// Ends the acknowledging of repeated final responses.
    D,
    /// Repeats a non-INVITE request.
    E,
    /// Ends the wait for the final response to a non-INVITE request; at the server:
    /// the client waits no longer.
    F,
    /// Repeats a final response to INVITE.
    G,
    /// Ends the wait for the ACK.
    H,
    /// Ends the absorbing of ACKs.
    I,
    /// Ends the absorbing of repeated non-INVITE requests.
    J,
    /// Ends the absorbing of repeated responses to a non-INVITE request.
    K,
    /// Ends the absorbing of INVITEs after a 2xx, at the server.
    L,
    /// Ends the taking of 2xx responses, at the client.
    M,
    /// RFC 4320 §4.1, which gives it no letter: a non-INVITE request without an answer
    /// gets its 100.
    Trying,
}

impl Timers {
    /// The values of RFC 3261 table 4.
    pub const RFC_3261: Self = Self::from_estimates(500, 4_000, 5_000);

    /// B, D and F as the RFC derives them: 64 × T1, but D never below 32 seconds.
    #[must_use]
    pub const fn from_estimates(t1_ms: u32, t2_ms: u32, t4_ms: u32) -> Self {
        let wait_ms = t1_ms.saturating_mul(64);
        Self {
            t1_ms,
            t2_ms,
            t4_ms,
            b_ms: wait_ms,
            d_ms: if wait_ms < 32_000 { 32_000 } else { wait_ms },
            f_ms: wait_ms,
        }
    }

    /// Timer B.
    #[must_use]
    pub const fn b(&self) -> Duration {
        ms(self.b_ms)
    }

    /// Timer D.
    #[must_use]
    pub const fn d(&self, transport: Transport) -> Duration {
        transport.or_zero(ms(self.d_ms))
    }

    /// Timer F.
    #[must_use]
    pub const fn f(&self) -> Duration {
        ms(self.f_ms)
    }

    /// Timer H: 64 × T1.
    #[must_use]
    pub const fn h(&self) -> Duration {
        ms(self.t1_ms).saturating_mul(64)
    }

    /// Timer I: T4.
    #[must_use]
    pub const fn i(&self, transport: Transport) -> Duration {
        transport.or_zero(ms(self.t4_ms))
    }

    /// Timer J: 64 × T1.
    #[must_use]
    pub const fn j(&self, transport: Transport) -> Duration {
        transport.or_zero(ms(self.t1_ms).saturating_mul(64))
    }

    /// Timer K: T4.
    #[must_use]
    pub const fn k(&self, transport: Transport) -> Duration {
        transport.or_zero(ms(self.t4_ms))
    }

    /// Timer L: 64 × T1 over every transport. RFC 6026 §8.7.
    #[must_use]
    pub const fn l(&self) -> Duration {
        ms(self.t1_ms).saturating_mul(64)
    }

    /// Timer M: 64 × T1 over every transport. RFC 6026 §8.4.
    #[must_use]
    pub const fn m(&self) -> Duration {
        ms(self.t1_ms).saturating_mul(64)
    }

    /// How long a client's timer E takes until it is reset to T2: 3.5 s with the RFC's
    /// values. Before it no 100 goes to a non-INVITE request over an unreliable
    /// transport, and then one must. RFC 4320 §4.1.
    #[must_use]
    pub fn trying(&self) -> Duration {
        let (mut after, mut interval) = (ms(self.t1_ms), ms(self.t1_ms).saturating_mul(2));
        // A 32-bit number of milliseconds is doubled 32 times at most.
        for _ in 0..u32::BITS {
            if interval >= ms(self.t2_ms) {
                break;
            }
            after = after.saturating_add(interval);
            interval = interval.saturating_mul(2);
        }
        after
    }
}

impl Default for Timers {
    fn default() -> Self {
        Self::RFC_3261
    }
}

impl fmt::Display for TimerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// A timer that repeats a message: A, E, G, or that of a 2xx (RFC 3261 §13.3.1.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Repeat {
    pub(crate) at: Instant,
    interval_ms: u32,
}

impl Repeat {
    /// First due one `interval_ms` after `now`. An interval of nothing counts as one
    /// millisecond: time has to pass between two retransmissions.
    pub(super) fn new(now: Instant, interval_ms: u32) -> Self {
        let interval_ms = interval_ms.max(1);
        Self {
            at: now + ms(interval_ms),
            interval_ms,
        }
    }

    /// The same timer over a transport that needs it; `None` over one that does not.
    pub(crate) fn over(transport: Transport, now: Instant, interval_ms: u32) -> Option<Self> {
        match transport {
            Transport::Unreliable => Some(Self::new(now, interval_ms)),
            Transport::Reliable => None,
        }
    }

    /// Twice the interval, at most `interval_ms_max`, from `now` on.
    pub(crate) fn doubled(self, now: Instant, interval_ms_max: u32) -> Self {
        Self::new(now, self.interval_ms.saturating_mul(2).min(interval_ms_max))
    }
}

/// Which of two is due first; the one that ends the wait when both are.
pub(super) fn first_of(
    repeat: Option<Repeat>,
    name: TimerName,
    end: (Instant, TimerName),
) -> (Instant, TimerName) {
    match repeat {
        Some(repeat) if repeat.at < end.0 => (repeat.at, name),
        _ => end,
    }
}

const fn ms(ms: u32) -> Duration {
    // Lossless; `From` is not const.
    Duration::from_millis(ms as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_4_of_the_rfc() {
        use Transport::{Reliable, Unreliable};
        let timers = Timers::default();
        let seconds = Duration::from_secs;
        assert_eq!((timers.b(), timers.f()), (seconds(32), seconds(32)));
        assert_eq!(
            (timers.h(), timers.l(), timers.m()),
            (seconds(32), seconds(32), seconds(32))
        );
        assert_eq!(
            (timers.d(Unreliable), timers.d(Reliable)),
            (seconds(32), seconds(0))
        );
        assert_eq!(
            (timers.i(Unreliable), timers.i(Reliable)),
            (seconds(5), seconds(0))
        );
        assert_eq!(
            (timers.j(Unreliable), timers.j(Reliable)),
            (seconds(32), seconds(0))
        );
        assert_eq!(
            (timers.k(Unreliable), timers.k(Reliable)),
            (seconds(5), seconds(0))
        );
    }

    #[test]
    fn timer_e_reaches_t2_after_three_and_a_half_seconds() {
        assert_eq!(Timers::RFC_3261.trying(), Duration::from_millis(3_500));
        assert_eq!(Timers::from_estimates(0, 4_000, 0).trying(), Duration::ZERO);
        assert_eq!(
            Timers::from_estimates(4_000, 4_000, 0).trying(),
            Duration::from_secs(4)
        );
    }

    #[test]
    fn d_stays_above_half_a_minute_however_fast_the_network() {
        let timers = Timers::from_estimates(100, 800, 1_000);
        assert_eq!((timers.b_ms, timers.d_ms), (6_400, 32_000));
    }

    #[test]
    fn a_repeating_timer_doubles_up_to_its_limit() {
        let now = Instant::now();
        let first = Repeat::new(now, 500);
        let intervals: Vec<u32> =
            std::iter::successors(Some(first), |r| Some(r.doubled(now, 4_000)))
                .take(5)
                .map(|repeat| repeat.interval_ms)
                .collect();
        assert_eq!(intervals, [500, 1_000, 2_000, 4_000, 4_000]);
        assert!(Repeat::new(now, 0).at > now);
    }
}
