//! Memory for the calls to come, asked of the kernel in one piece.

/// Keeps some memory ahead of the requests in progress.
///
/// glibc serves every thread but the first from a heap that it grows by single pages, with an
/// mprotect(2) for each: while calls become more, that is one for every call. A block that is
/// asked for and given back leaves its pages at the end of that heap, for what comes next.
/// With another C library it does nothing that matters.
#[derive(Debug, Default)]
pub(super) struct Provision {
    /// So many requests have been provided for.
    requests: usize,
}

/// What is asked for, in bytes: less than what glibc maps by itself, and than what it gives
/// back at once (both 128 KiB: `system::give_freed_tables_back`).
const AHEAD_BYTES: usize = 96 * 1024;
/// Requests that find room in it.
const AHEAD: usize = 32;
/// So many fewer in progress, and what they had may be the kernel's again.
const FALL: usize = 32 * AHEAD;

impl Provision {
    /// Sees to some more than are in progress.
    pub(super) fn look_after(&mut self, in_progress: usize) {
        if self.is_short(in_progress) {
            // Nothing is written there, and nobody may find that it could be left out.
            drop(std::hint::black_box(Vec::<u8>::with_capacity(AHEAD_BYTES)));
        }
    }

    /// Whether these have used up what was asked for; then it counts as asked for again.
    fn is_short(&mut self, in_progress: usize) -> bool {
        let is_short = in_progress >= self.requests;
        // Of many fewer: what those before had may have gone back to the kernel.
        if is_short || in_progress + FALL < self.requests {
            self.requests = in_progress + AHEAD;
        }
        is_short
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_asked_for_once_in_so_many_requests_and_anew_after_a_fall() {
        let mut provision = Provision::default();
        let mut asked = |in_progress| provision.is_short(in_progress);
        let rising = (0..10 * AHEAD).filter(|n| asked(*n)).count();
        assert_eq!(rising, 10);
        // Calls that come and go on a level ask for nothing.
        assert!((0..1_000).all(|n| !asked(9 * AHEAD + n % AHEAD)));
        // Up again after they had all ended, it is asked for as before.
        assert!(asked(FALL + AHEAD));
        assert!(!asked(0));
        assert_eq!((0..3 * AHEAD).filter(|n| asked(*n)).count(), 2);
    }
}
