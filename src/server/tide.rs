//! When memory that nobody uses any more goes back to the kernel.

use crate::limits::UNUSED_BYTES_KEPT;
use crate::system;

/// Watches what is unused: after ten thousand connections or a hundred thousand calls at once
/// the allocator keeps the room they had. Between two busy minutes it should; it is given back
/// when it was more than [`UNUSED_BYTES_KEPT`] at two looks in a row.
#[derive(Debug, Default)]
pub(super) struct Tide {
    /// The least that was unused since the last time. What has been given back still counts
    /// as unused: only what is more than this was in use since.
    low_bytes: Option<usize>,
    was_high: bool,
}

impl Tide {
    /// One look, some seconds after the last one.
    pub(super) fn look(&mut self) {
        if self.is_over(system::unused_bytes()) {
            // Not on the thread that waits for signals: it takes its time.
            std::thread::spawn(system::give_unused_back);
        }
    }

    fn is_over(&mut self, unused_bytes: usize) -> bool {
        let low = self.low_bytes.unwrap_or(0).min(unused_bytes);
        let is_high = unused_bytes - low >= UNUSED_BYTES_KEPT;
        let is_over = is_high && self.was_high;
        self.was_high = is_high && !is_over;
        self.low_bytes = Some(if is_over { unused_bytes } else { low });
        is_over
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: usize = 1024 * 1024;

    fn looks(unused_mib: &[usize]) -> Vec<bool> {
        let mut tide = Tide::default();
        let look = |unused: &usize| tide.is_over(unused * MIB);
        unused_mib.iter().map(look).collect()
    }

    #[test]
    fn memory_goes_back_when_it_stays_unused() {
        assert_eq!(looks(&[1, 100, 100]), [false, false, true]);
        // A storm that is still there, and one that comes again at once.
        assert_eq!(looks(&[1, 5, 100, 20, 100, 20]), [false; 6]);
    }

    #[test]
    fn what_was_given_back_is_not_given_back_again() {
        let calm = [1, 100, 100, 100, 101, 100];
        assert_eq!(looks(&calm), [false, false, true, false, false, false]);
        // The next storm takes it again.
        let twice = [100, 100, 2, 90, 90, 90];
        assert_eq!(looks(&twice), [false, true, false, false, true, false]);
    }
}
