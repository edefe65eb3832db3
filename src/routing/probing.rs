//! When OPTIONS probes take a trunk out of service and bring it back: counting, and
//! nothing else. Who sends them is the proxy's matter.

use crate::limits::PROBE_RETRY_MS_MAX;

/// How a trunk is probed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probing {
    /// From one probe to the next, in milliseconds.
    pub interval_ms: u32,
    /// Probes missed in a row that take the trunk out, at least 1.
    pub misses: u8,
    /// Probes answered well in a row that bring it back, at least 1.
    pub hits: u8,
    /// Which final answers show that it is alive.
    pub alive: AliveAnswers,
}

/// Which final answers to a probe show that a trunk is alive: one that `any_of` holds and
/// `none_of` does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AliveAnswers {
    /// Empty is none at all.
    pub any_of: Box<[Answers]>,
    /// Wins over `any_of`.
    pub none_of: Box<[Answers]>,
}

/// Some of the final answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answers {
    /// All of them.
    All,
    /// Those of a class: 2 is every 2xx.
    Class(u8),
    /// One.
    Status(u16),
}

impl Default for AliveAnswers {
    /// All but 408 and 503. Whoever answers is there, also with 405 or 481; but a 408 is
    /// said by an element before it that waited in vain, and a 503 (RFC 3261 §21.5.4) asks
    /// for no requests.
    fn default() -> Self {
        Self {
            any_of: Box::new([Answers::All]),
            none_of: Box::new([Answers::Status(408), Answers::Status(503)]),
        }
    }
}

impl AliveAnswers {
    /// Whether this final status is one of them.
    #[must_use]
    pub fn hold(&self, status: u16) -> bool {
        let listed = |answers: &[Answers]| answers.iter().any(|one| one.hold(status));
        listed(&self.any_of) && !listed(&self.none_of)
    }
}

impl Answers {
    fn hold(self, status: u16) -> bool {
        match self {
            Self::All => true,
            Self::Class(class) => u16::from(class) == status / 100,
            Self::Status(one) => one == status,
        }
    }
}

/// What the probes of one trunk have shown so far. Begins in service: a trunk is believed
/// in until it has missed as many probes as it may.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ProbeRecord {
    is_out: bool,
    /// In a row: misses while in service, hits while out.
    in_a_row: u8,
    /// Misses in a row since it went out: the exponent of the next wait.
    missed_since: u8,
}

/// A probe that changed the state of its trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// Out of service, after this many misses in a row.
    Out(u8),
    /// Back in service, after this many hits in a row.
    Back(u8),
}

impl ProbeRecord {
    /// Whether the probes keep the trunk out of service.
    #[must_use]
    pub const fn is_out(&self) -> bool {
        self.is_out
    }

    /// Notes how one probe ended: a hit is an answer of [`Probing::alive`]. It turns with
    /// exactly the last of [`Probing::misses`] or [`Probing::hits`] in a row.
    pub fn note(&mut self, probing: &Probing, is_hit: bool) -> Option<Turn> {
        if is_hit {
            self.missed_since = 0;
        } else if self.is_out {
            self.missed_since = self.missed_since.saturating_add(1);
        }
        if is_hit != self.is_out {
            self.in_a_row = 0;
            return None;
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        let needed = if is_hit { probing.hits } else { probing.misses };
        if self.in_a_row < needed {
            return None;
        }
        let counted = std::mem::take(&mut self.in_a_row);
        self.is_out = !self.is_out;
        self.missed_since = 0;
        Some(if is_hit {
            Turn::Back(counted)
        } else {
            Turn::Out(counted)
        })
    }

    /// Milliseconds from the beginning of one probe to that of the next. While the trunk is
    /// out each miss doubles them, up to [`PROBE_RETRY_MS_MAX`] or its own interval, which
    /// may be longer; the first hit makes them the interval again. `hash` takes away up to
    /// an eighth, so that trunks and installations do not probe in step.
    #[must_use]
    pub fn delay_ms(&self, probing: &Probing, hash: u64) -> u64 {
        let interval_ms = u64::from(probing.interval_ms);
        let doubled_ms = interval_ms.saturating_mul(1 << self.missed_since.min(31));
        let delay_ms = doubled_ms.min(PROBE_RETRY_MS_MAX.max(interval_ms));
        delay_ms - hash % (delay_ms / 8 + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn probing(misses: u8, hits: u8) -> Probing {
        Probing {
            interval_ms: 5_000,
            misses,
            hits,
            alive: AliveAnswers::default(),
        }
    }

    #[test]
    fn any_answer_is_a_sign_of_life_but_those_that_say_otherwise() {
        let alive = AliveAnswers::default();
        let dead: Vec<u16> = (200..700).filter(|status| !alive.hold(*status)).collect();
        assert_eq!(dead, [408, 503]);
        let some = AliveAnswers {
            any_of: Box::new([Answers::Class(2), Answers::Status(404)]),
            none_of: Box::new([Answers::Status(202)]),
        };
        let held: Vec<u16> = (200..700).filter(|status| some.hold(*status)).collect();
        assert!(!held.contains(&202) && held.contains(&299) && held.contains(&404));
        assert_eq!(held.len(), 100);
    }

    #[test]
    fn a_dead_trunk_is_asked_ever_less_often_until_it_answers() {
        let (probing, mut record) = (probing(2, 2), ProbeRecord::default());
        let mut delays = Vec::new();
        for _ in 0..8 {
            record.note(&probing, false);
            delays.push(record.delay_ms(&probing, 0));
        }
        assert_eq!(
            delays,
            [5_000, 5_000, 10_000, 20_000, 40_000, 60_000, 60_000, 60_000]
        );
        assert_eq!(record.note(&probing, true), None);
        assert_eq!(record.delay_ms(&probing, 0), 5_000);
        assert_eq!(record.note(&probing, true), Some(Turn::Back(2)));
        let rare = Probing {
            interval_ms: 600_000,
            ..probing
        };
        record.note(&rare, false);
        record.note(&rare, false);
        record.note(&rare, false);
        assert_eq!(record.delay_ms(&rare, 0), 600_000);
    }

    /// How many at the end of `ends` are equal to its last.
    fn run(ends: &[bool]) -> usize {
        let last = ends.last();
        ends.iter()
            .rev()
            .take_while(|end| Some(*end) == last)
            .count()
    }

    proptest! {
        /// It turns with the last of N in a row and with none before, whatever came earlier.
        #[test]
        fn it_turns_after_as_many_in_a_row_and_never_before(
            misses in 1..6_u8,
            hits in 1..6_u8,
            ends in prop::collection::vec(any::<bool>(), 0..200),
        ) {
            let (probing, mut record) = (probing(misses, hits), ProbeRecord::default());
            let mut since = 0;
            for (at, hit) in ends.iter().copied().enumerate() {
                let was_out = record.is_out();
                let turn = record.note(&probing, hit);
                let run = run(ends.get(since..=at).unwrap_or_default());
                let needed = usize::from(if was_out { hits } else { misses });
                let turns = hit == was_out && run >= needed;
                prop_assert_eq!(turn.is_some(), turns);
                prop_assert_eq!(record.is_out(), was_out != turns);
                if let Some(turn) = turn {
                    prop_assert_eq!(turn, if hit { Turn::Back(hits) } else { Turn::Out(misses) });
                    since = at + 1;
                }
            }
        }

        /// The next probe is never late, never in a hurry, and never further than the bound.
        #[test]
        fn the_next_probe_comes_in_time(
            interval_ms in 1_000..3_600_000_u32,
            ends in prop::collection::vec(any::<bool>(), 0..100),
            hash: u64,
        ) {
            let probing = Probing { interval_ms, ..probing(3, 2) };
            let mut record = ProbeRecord::default();
            for hit in ends {
                record.note(&probing, hit);
                let (delay_ms, interval_ms) = (record.delay_ms(&probing, hash), u64::from(interval_ms));
                prop_assert!(delay_ms >= interval_ms - interval_ms / 8);
                prop_assert!(delay_ms <= interval_ms.max(PROBE_RETRY_MS_MAX));
                if hit || !record.is_out() {
                    prop_assert!(delay_ms <= interval_ms);
                }
            }
        }
    }
}
