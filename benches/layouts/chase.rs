//! The physical limit: one load that depends on the load before it.

use std::hint::black_box;
use std::time::Instant;

use crate::numbers::Draw;
use crate::{SLICE, SLICES};

/// A cache line of which one word says where to go next.
#[repr(align(64))]
#[derive(Clone)]
struct Line([u32; 16]);

/// Nanoseconds of one step through all lines of so many bytes in an order nobody guesses.
pub(crate) fn step_ns(bytes: usize) -> f64 {
    let lines = (bytes / 64).max(2);
    let mut next: Vec<Line> = (0..lines).map(|at| Line([at as u32; 16])).collect();
    let mut draw = Draw(5);
    // Sattolo: one circle through everything.
    for last in (1..lines).rev() {
        let other = draw.below(last as u64) as usize;
        let (a, b) = (next[last].0[0], next[other].0[0]);
        (next[last].0[0], next[other].0[0]) = (b, a);
    }
    let mut at = 0;
    let mut ns: Vec<f64> = (0..SLICES)
        .map(|_| {
            let begun = Instant::now();
            for _ in 0..SLICE {
                at = next[at as usize].0[0];
            }
            black_box(at);
            begun.elapsed().as_nanos() as f64 / SLICE as f64
        })
        .collect();
    ns.sort_by(f64::total_cmp);
    ns[SLICES / 2]
}
