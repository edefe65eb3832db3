//! The proxy engine in a world that goes wrong: callers, trunks and a network that loses,
//! repeats, delays and reorders; trunks that die and come back, reloads in the middle of
//! calls, clocks that jump. Time is virtual, chance is a seed: a run that fails, fails again.
//!
//! `SEED=8123 cargo test --test simulation` runs one seed and says what happens in it;
//! `SEEDS=10000 CALLS=100 cargo test --release --test simulation -- --nocapture` runs many.
#![allow(clippy::unwrap_used)] // A simulation may fail loudly.

mod caller;
mod chance;
mod trunk;
mod world;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use world::{Tally, World};

fn number(name: &str, default: u64) -> u64 {
    let given = std::env::var(name).ok();
    given.map_or(default, |text| text.parse().unwrap())
}

/// Every seed is another world; in none of them is an invariant broken. What they are
/// stands in `world::World::check`.
#[test]
fn no_world_breaks_a_promise() {
    let calls = number("CALLS", 6);
    if let Ok(seed) = std::env::var("SEED") {
        let tally = World::new(seed.parse().unwrap(), calls, true).run();
        println!("{tally:?}");
        return;
    }
    let seeds = number("SEEDS", 1_000);
    let (next, begun) = (AtomicU64::new(1), Instant::now());
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let work = || {
        let mut tally = Tally::default();
        loop {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if seed > seeds {
                return tally;
            }
            let run = || World::new(seed, calls, false).run();
            let Ok(one) = std::panic::catch_unwind(run) else {
                panic!("SEED={seed} CALLS={calls} cargo test --test simulation");
            };
            tally.add(&one);
        }
    };
    let mut total = Tally::default();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..workers).map(|_| scope.spawn(work)).collect();
        for thread in threads {
            total.add(&thread.join().expect("a seed failed; it is named above"));
        }
    });
    let seconds = begun.elapsed().as_secs_f64();
    println!(
        "{seeds} seeds, {} calls in {seconds:.1} s: {:.0} calls/s\n{total:?}",
        total.calls,
        total.calls as f64 / seconds
    );
    assert_eq!(total.calls, seeds * calls);
    // A world in which nothing happens proves nothing.
    assert!(total.answered > total.calls / 4, "{total:?}");
    assert!(total.next_routes > total.calls / 20, "{total:?}");
    assert!(total.cancelled > total.calls / 20, "{total:?}");
    assert!(total.lost > total.calls && total.late_2xx > 0, "{total:?}");
    assert!(total.turns > seeds / 16, "{total:?}");
    // In the worst worlds a third of all packets is lost on each of two hops.
    assert!(total.unheard < total.calls / 100, "{total:?}");
}
