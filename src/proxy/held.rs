//! The calls that are up and counted: what they hold of their trunks and groups, until they
//! end. RFC 3261 §15, RFC 4028.

use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use crate::limits::{ACCEPTANCES_MAX, HELD_CALL_S_MAX, SESSION_GRACE_S, SESSION_S_MIN};
use crate::routing::CallHold;
use crate::sip::Message;

/// Calls by the mark of their dialog (Call-ID and tag of the caller). Only those on trunks
/// whose calls are counted; about 200 bytes each.
///
/// A call ends with the BYE of its last dialog, when its session timer has run out, or after
/// [`HELD_CALL_S_MAX`]: whatever is lost, nothing is held for ever.
#[derive(Debug)]
pub(super) struct HeldCalls {
    calls: HashMap<u64, Held, RandomState>,
    ends: BTreeSet<(Instant, u64)>,
}

#[derive(Debug)]
struct Held {
    /// Of each pass, where a call comes by twice.
    holds: Vec<CallHold>,
    /// Tags of the callees whose dialogs are up.
    callees: ArrayVec<u64, ACCEPTANCES_MAX>,
    ends_at: Instant,
}

impl HeldCalls {
    pub(super) fn new(key: RandomState) -> Self {
        Self {
            calls: HashMap::with_hasher(key),
            ends: BTreeSet::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// A 2xx made a dialog with this callee: the call keeps what its attempt has held, for as
    /// long as `answer` says.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        (mark, callee): (u64, u64),
        hold: Option<CallHold>,
        answer: &Message<'_>,
    ) {
        if hold.is_none() && !self.calls.contains_key(&mark) {
            return;
        }
        let held = self.calls.entry(mark).or_insert_with(|| Held {
            holds: Vec::new(),
            callees: ArrayVec::new(),
            ends_at: now,
        });
        held.holds.extend(hold);
        if !held.callees.contains(&callee) {
            // Beyond the bound a fork is not waited for.
            let _ = held.callees.try_push(callee);
        }
        self.lasts(now, mark, answer);
    }

    /// Whether a call with this mark is up.
    pub(super) fn has(&self, mark: u64) -> bool {
        self.calls.contains_key(&mark)
    }

    /// A 2xx to an INVITE or UPDATE passed in a dialog of the call: it lasts as long as the
    /// answer says from now on (RFC 4028 §8.2, §8.3).
    pub(super) fn lasts(&mut self, now: Instant, mark: u64, answer: &Message<'_>) {
        let Some(held) = self.calls.get_mut(&mark) else {
            return;
        };
        self.ends.remove(&(held.ends_at, mark));
        held.ends_at = now + lifetime(answer);
        self.ends.insert((held.ends_at, mark));
    }

    /// The dialog with one of these as callee is over; with the last of them the call is.
    pub(super) fn end(&mut self, mark: u64, callees: [u64; 2]) {
        let Some(held) = self.calls.get_mut(&mark) else {
            return;
        };
        held.callees.retain(|callee| !callees.contains(callee));
        if held.callees.is_empty() {
            self.ends.remove(&(held.ends_at, mark));
            self.calls.remove(&mark);
        }
    }

    /// When [`HeldCalls::due`] is wanted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Gives back what is held for calls whose time is over.
    pub(super) fn due(&mut self, now: Instant) {
        while let Some((at, mark)) = self.ends.first().copied() {
            if at > now {
                return;
            }
            self.ends.remove(&(at, mark));
            self.calls.remove(&mark);
        }
    }
}

/// How long a call may last that was answered or refreshed so.
fn lifetime(answer: &Message<'_>) -> Duration {
    let mut values = [&b"Session-Expires"[..], b"x"]
        .into_iter()
        .filter_map(|name| answer.by_name(name).next());
    let seconds = values.next().and_then(|value| {
        let digits = value.split(|byte| !byte.is_ascii_digit()).next()?;
        std::str::from_utf8(digits).ok()?.parse::<u64>().ok()
    });
    let seconds = seconds.map_or(HELD_CALL_S_MAX, |seconds| {
        seconds.max(SESSION_S_MIN) + SESSION_GRACE_S
    });
    Duration::from_secs(seconds.min(HELD_CALL_S_MAX))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    #[test]
    fn a_session_timer_says_how_long_a_call_lasts() {
        for (line, seconds) in [
            ("Session-Expires: 1800;refresher=uac\r\n", 1_832),
            ("x: 90\r\n", 122),
            ("Session-Expires: 5\r\n", 122),
            ("", HELD_CALL_S_MAX),
            ("Session-Expires: soon\r\n", HELD_CALL_S_MAX),
            ("Session-Expires: 99999999\r\n", HELD_CALL_S_MAX),
        ] {
            let text = format!("SIP/2.0 200 OK\r\n{line}\r\n");
            let message = Message::parse_datagram(text.as_bytes()).unwrap();
            assert_eq!(lifetime(&message), Duration::from_secs(seconds), "{line}");
        }
    }
}
