//! So many lines a second about one cause; the rest is counted.

use std::sync::Mutex;

use crate::limits::PEER_ERROR_LINES_PER_SECOND_MAX;

/// Admits at most [`PEER_ERROR_LINES_PER_SECOND_MAX`] lines in each second for each of
/// `N` causes, over all workers. Time is whole seconds of any clock that does not jump.
#[derive(Debug)]
pub struct LineBudget<const N: usize> {
    causes: [Mutex<Cause>; N],
}

#[derive(Debug, Default)]
struct Cause {
    second: u64,
    admitted: u32,
    suppressed: u64,
}

impl<const N: usize> LineBudget<N> {
    /// A budget nobody has drawn on.
    #[must_use]
    pub fn new() -> Self {
        Self {
            causes: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Asks for one line about `cause`. `Some(n)`: write it, and say that `n` lines were
    /// held back since the last one. `None`: it was counted instead. A cause beyond `N`
    /// is never written.
    pub fn admit(&self, cause: usize, second: u64) -> Option<u64> {
        let mut cause = lock(self.causes.get(cause)?);
        if cause.second != second {
            cause.second = second;
            cause.admitted = 0;
        }
        if cause.admitted >= PEER_ERROR_LINES_PER_SECOND_MAX {
            cause.suppressed += 1;
            return None;
        }
        cause.admitted += 1;
        Some(std::mem::take(&mut cause.suppressed))
    }

    /// Lines held back and not yet told of, by cause; they are told of now.
    pub fn take_suppressed(&self) -> [u64; N] {
        std::array::from_fn(|i| {
            self.causes
                .get(i)
                .map_or(0, |cause| std::mem::take(&mut lock(cause).suppressed))
        })
    }
}

impl<const N: usize> Default for LineBudget<N> {
    fn default() -> Self {
        Self::new()
    }
}

/// The counts stay true if some thread died while it held them.
fn lock(cause: &Mutex<Cause>) -> std::sync::MutexGuard<'_, Cause> {
    cause
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_back_what_is_too_much_and_tells_later() {
        let budget = LineBudget::<2>::new();
        let admitted = (0..1000).filter(|_| budget.admit(0, 7).is_some()).count();
        assert_eq!(admitted, 10);
        assert_eq!(budget.admit(1, 7), Some(0), "causes do not share");
        assert_eq!(budget.admit(0, 8), Some(990));
        assert_eq!(budget.admit(0, 8), Some(0));
        assert_eq!(budget.admit(2, 8), None);
        for _ in 0..20 {
            let _ = budget.admit(1, 9);
        }
        assert_eq!(budget.take_suppressed(), [0, 10]);
        assert_eq!(budget.take_suppressed(), [0, 0]);
    }
}
