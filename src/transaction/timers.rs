//! The timers of RFC 3261 table 4 (and RFC 6026 §7.1), by their letters.

use std::time::Duration;

/// T1: round-trip time estimate. RFC 3261 §17.1.1.1.
pub const T1: Duration = Duration::from_millis(500);
/// T2: longest interval between retransmissions of an INVITE response.
pub const T2: Duration = Duration::from_secs(4);
/// T4: longest time a message stays in the network.
pub const T4: Duration = Duration::from_secs(5);

/// First interval of timer G: retransmission of a final response over an
/// unreliable transport. Doubles up to [`T2`]. RFC 3261 §17.2.1.
pub const G_FIRST: Duration = T1;
/// Timer H: how long we wait for the ACK. RFC 3261 §17.2.1.
pub const H: Duration = T1.saturating_mul(64);
/// Timer I over an unreliable transport: how long later ACKs are absorbed.
/// Over a reliable one it is zero. RFC 3261 §17.2.1.
pub const I: Duration = T4;
/// Timer L: how long retransmitted INVITEs are absorbed after a 2xx. RFC 6026 §8.7.
pub const L: Duration = T1.saturating_mul(64);

/// The interval of timer G that follows `interval`: MIN(2 × interval, T2).
/// RFC 3261 §17.2.1.
#[must_use]
pub fn next_g(interval: Duration) -> Duration {
    interval.saturating_mul(2).min(T2)
}
