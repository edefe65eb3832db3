//! The clocks a deadline is measured by.

use crate::ledger::{Boot, Clocks};
use jiff::Timestamp;

/// What the clocks say now.
#[must_use]
pub fn clocks() -> Clocks {
    Clocks {
        now: Timestamp::now(),
        boot: boot(),
    }
}

/// Linux tells both; where it does not, the time of day is all there is.
fn boot() -> Option<Boot> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let seconds: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    Some(Boot {
        id: id.trim().to_owned(),
        // Hundredths of a second, for as long as machines run.
        up_ms: (seconds * 1_000.0) as u64,
    })
}
