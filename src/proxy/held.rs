//! The calls that are up and counted or followed: what they hold of their trunks and groups,
//! until they end, and which they are. RFC 3261 §15, RFC 4028.

use std::collections::{BTreeSet, HashMap};
use std::hash::RandomState;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::proxy_event::CallEnd;
use crate::limits::{
    ACCEPTANCES_MAX, ENDED_CALL_S, FOLLOWED_CALLS_MAX, HELD_CALL_S_MAX, SESSION_GRACE_S,
    SESSION_S_MIN,
};
use crate::routing::CallHold;
use crate::sip::Message;

/// Calls by the mark of their dialog (Call-ID and tag of the caller). Those on trunks whose
/// calls are counted and, where calls are followed, all others; about 200 bytes each.
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
    followed: Vec<Followed>,
    /// It has ended, and its end was told: what else comes of it is no second one.
    is_over: bool,
    /// Whether a session timer says when it ends.
    is_timed: bool,
    /// Tags of the callees whose dialogs are up.
    callees: ArrayVec<u64, ACCEPTANCES_MAX>,
    ends_at: Instant,
}

/// A call whose end will be told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Followed {
    /// The number of the call.
    pub(super) call: u64,
    /// When it had its final answer.
    pub(super) answered: Instant,
}

/// What a call keeps from its answer to its end.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) hold: Option<CallHold>,
    pub(super) followed: Option<Followed>,
}

/// What the end of a dialog means.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DialogEnd {
    /// Its call goes on, or has ended before.
    NoEnd,
    /// So did its call, with these passes.
    Of(Vec<Followed>),
    /// Nothing is known of the call.
    Unknown,
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

    /// Whether one more may be followed.
    pub(super) fn has_room(&self) -> bool {
        self.calls.len() < FOLLOWED_CALLS_MAX
    }

    /// A 2xx made a dialog with this callee: the call keeps what its attempt has held, for as
    /// long as `answer` says.
    pub(super) fn begin(
        &mut self,
        now: Instant,
        (mark, callee): (u64, u64),
        Kept { hold, followed }: Kept,
        answer: &Message<'_>,
    ) {
        let is_new = hold.is_some() || followed.is_some();
        if !is_new && !self.calls.contains_key(&mark) {
            return;
        }
        let held = (self.calls.entry(mark)).or_insert_with(|| Held::new(now));
        held.is_over &= !is_new;
        held.holds.extend(hold);
        held.followed.extend(followed);
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
        if held.is_over {
            return;
        }
        self.ends.remove(&(held.ends_at, mark));
        let (lasts, is_timed) = lifetime(answer);
        (held.ends_at, held.is_timed) = (now + lasts, is_timed);
        self.ends.insert((held.ends_at, mark));
    }

    /// The dialog with one of these as callee is over; with the last of them the call is. One
    /// that was followed, or of which nothing is known, is remembered for [`ENDED_CALL_S`] where
    /// `remembers` says so.
    pub(super) fn end(
        &mut self,
        now: Instant,
        mark: u64,
        callees: [u64; 2],
        remembers: bool,
    ) -> DialogEnd {
        let Some(held) = self.calls.get_mut(&mark) else {
            if remembers && self.has_room() {
                self.remember(now, mark, Held::new(now));
            }
            return DialogEnd::Unknown;
        };
        if held.is_over {
            return DialogEnd::NoEnd;
        }
        held.callees.retain(|callee| !callees.contains(callee));
        if !held.callees.is_empty() {
            return DialogEnd::NoEnd;
        }
        self.ends.remove(&(held.ends_at, mark));
        let Some(mut held) = self.calls.remove(&mark) else {
            return DialogEnd::NoEnd;
        };
        let followed = std::mem::take(&mut held.followed);
        if remembers && !followed.is_empty() {
            self.remember(now, mark, held);
        }
        DialogEnd::Of(followed)
    }

    /// Keeps a call that is over, with nothing of what it held.
    fn remember(&mut self, now: Instant, mark: u64, held: Held) {
        let ends_at = now + Duration::from_secs(ENDED_CALL_S);
        let kept = Held {
            is_over: true,
            ends_at,
            holds: Vec::new(),
            callees: ArrayVec::new(),
            ..held
        };
        self.ends.insert((ends_at, mark));
        self.calls.insert(mark, kept);
    }

    /// When [`HeldCalls::due`] is wanted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.ends.first().map(|(at, _)| *at)
    }

    /// Gives back what is held for calls whose time is over, and tells of those followed.
    pub(super) fn due(&mut self, now: Instant, mut ended: impl FnMut(Followed, CallEnd)) {
        while let Some((at, mark)) = self.ends.first().copied() {
            if at > now {
                return;
            }
            self.ends.remove(&(at, mark));
            let Some(held) = self.calls.remove(&mark) else {
                continue;
            };
            let by = if held.is_timed {
                CallEnd::SessionExpired
            } else {
                CallEnd::NothingHeard
            };
            for followed in held.followed {
                ended(followed, by);
            }
        }
    }
}

impl Held {
    fn new(now: Instant) -> Self {
        Self {
            holds: Vec::new(),
            followed: Vec::new(),
            is_over: false,
            is_timed: false,
            callees: ArrayVec::new(),
            ends_at: now,
        }
    }
}

/// How long a call may last that was answered or refreshed so, and whether a session timer
/// says so.
fn lifetime(answer: &Message<'_>) -> (Duration, bool) {
    let mut values = [&b"Session-Expires"[..], b"x"]
        .into_iter()
        .filter_map(|name| answer.by_name(name).next());
    let seconds = values.next().and_then(|value| {
        let digits = value.split(|byte| !byte.is_ascii_digit()).next()?;
        std::str::from_utf8(digits).ok()?.parse::<u64>().ok()
    });
    let is_timed = seconds.is_some();
    let seconds = seconds.map_or(HELD_CALL_S_MAX, |seconds| {
        seconds.max(SESSION_S_MIN).saturating_add(SESSION_GRACE_S)
    });
    let lasts = Duration::from_secs(seconds.min(HELD_CALL_S_MAX));
    (lasts, is_timed)
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
            let (lasts, _) = lifetime(&message);
            assert_eq!(lasts, Duration::from_secs(seconds), "{line}");
        }
    }
}
