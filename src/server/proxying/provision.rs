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

impl Provision {
    /// Sees to some more than are in progress.
    pub(super) fn look_after(&mut self, in_progress: usize) {
        if in_progress >= self.requests {
            // Nothing is written there, and nobody may find that it could be left out.
            drop(std::hint::black_box(Vec::<u8>::with_capacity(AHEAD_BYTES)));
            self.requests = in_progress + AHEAD;
        } else if in_progress + 32 * AHEAD < self.requests {
            // What they had may have gone back to the kernel.
            self.requests = in_progress + AHEAD;
        }
    }
}
