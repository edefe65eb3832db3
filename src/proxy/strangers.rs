//! How often somebody unknown is answered.

use std::time::{Duration, Instant};

use crate::limits::STRANGER_ANSWERS_PER_SECOND_MAX;

/// How many unknown sources were answered in the second that began at `since`.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    since: Option<Instant>,
    answered: u32,
}

impl Strangers {
    /// Whether one more may be answered now.
    pub(super) fn admit(&mut self, now: Instant) -> bool {
        let lasts = |since: Instant| now.saturating_duration_since(since) < Duration::from_secs(1);
        if !self.since.is_some_and(lasts) {
            *self = Self {
                since: Some(now),
                answered: 0,
            };
        }
        self.answered = self.answered.saturating_add(1);
        self.answered <= STRANGER_ANSWERS_PER_SECOND_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_second_has_its_own_share() {
        let (start, mut strangers) = (Instant::now(), Strangers::default());
        for second in 0..3 {
            let now = start + Duration::from_secs(second);
            let admitted = (0..1000).filter(|_| strangers.admit(now)).count();
            assert_eq!(admitted, 100);
        }
    }
}
