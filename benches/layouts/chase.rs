//! The physical limit: one load that depends on the load before it.

use std::hint::black_box;
use std::time::Instant;

use crate::SLICE;
use crate::numbers::Draw;

/// A walk through all lines of so many bytes in an order nobody guesses.
pub(crate) struct Chase {
    next: Vec<Line>,
    at: u32,
}

/// A cache line of which one word says where to go next.
#[repr(align(64))]
#[derive(Clone)]
struct Line([u32; 16]);

impl Chase {
    pub(crate) fn over(bytes: usize) -> Self {
        let lines = (bytes / 64).max(2);
        let mut next: Vec<Line> = (0..lines).map(|at| Line([at as u32; 16])).collect();
        let mut draw = Draw(5);
        // Sattolo: one circle through everything.
        for last in (1..lines).rev() {
            let other = draw.below(last as u64) as usize;
            let (a, b) = (next[last].0[0], next[other].0[0]);
            (next[last].0[0], next[other].0[0]) = (b, a);
        }
        Self { next, at: 0 }
    }

    /// Nanoseconds of one step.
    pub(crate) fn step_ns(&mut self) -> f64 {
        let begun = Instant::now();
        for _ in 0..SLICE {
            self.at = self.next[self.at as usize].0[0];
        }
        black_box(self.at);
        begun.elapsed().as_nanos() as f64 / SLICE as f64
    }
}
