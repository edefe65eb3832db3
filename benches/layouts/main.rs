//! What number tables cost in several layouts, on the same numbers, in one run: the table of
//! the decision on number lookup. `cargo bench --bench layouts [-- NUMBERS…]`

#[path = "../numbers/mod.rs"]
mod numbers;

mod chase;
mod flat;
mod trie;

use std::hint::black_box;
use std::time::Instant;

use chase::Chase;
use flat::Flat;
use numbers::{assigned, assigned_by_chance, clustered, drawn, scattered};
use trie::Trie;
use trunkline::routing::Did;
use trunkline::routing::did_map::{DidMap, DidMapBuilder};
use trunkline::routing::number::Number;
use trunkline::routing::prefix_map::{Entry, PrefixMap, Remaining};

/// A batch of datagrams that came together.
const BATCH: usize = 16;

/// Lookups that are timed together, and how often: what counts is the median.
const SLICE: usize = 2_048;
const SLICES: usize = 512;

/// So many numbers are asked again and again when caches are warm.
const WARM: usize = 1_000;

fn main() {
    let sizes: Vec<usize> = std::env::args()
        .filter_map(|word| word.parse().ok())
        .collect();
    let sizes = if sizes.is_empty() {
        vec![1_000_000, 10_000_000]
    } else {
        sizes
    };
    println!(
        "| numbers | layout | bytes each | build ms | miss ns | cold ns | misses | of 16 ns | misses | warm ns |"
    );
    println!("|---|---|---|---|---|---|---|---|---|---|");
    for size in sizes {
        compare(
            &format!("{size} scattered"),
            &scattered(size),
            |number, _| assigned_by_chance(number),
        );
        compare(&format!("{size} clustered"), &clustered(size), assigned);
    }
}

fn compare(name: &str, list: &[u64], did: impl Fn(u64, usize) -> Did) {
    let queries = drawn(list, SLICE * SLICES);
    let rows: Vec<(u64, Did)> = list
        .iter()
        .enumerate()
        .map(|(at, number)| (*number, did(*number, at)))
        .collect();
    let words: Vec<(u64, u32)> = rows
        .iter()
        .map(|(number, did)| (*number, value(Some(*did))))
        .collect();
    let measure = |layout: &str, memory: usize, build_ms: f64, ways: &Ways<'_>| {
        let each = memory as f64 / list.len() as f64;
        let figures = ways.measure(&queries, Chase::over(memory));
        println!("| {name} | {layout} | {each:.1} | {build_ms:.0} | {figures} |");
    };

    let (build_ms, map) = timed(|| chained(&rows));
    let find = |number: &Number| {
        map.longest(number)
            .map_or(0, |found| u32::from(found.value.group))
    };
    let ways = Ways {
        one: &find,
        batch: None,
    };
    measure(
        "sorted keys, links to shorter prefixes",
        map.memory_bytes(),
        build_ms,
        &ways,
    );
    drop(map);

    let (build_ms, trie) = timed(|| Trie::build(&words));
    let find = |number: &Number| digits(number).and_then(|n| trie.find(n)).unwrap_or(0);
    let ways = Ways {
        one: &find,
        batch: None,
    };
    measure(
        "trie, bitmap nodes behind six digits",
        trie.memory_bytes(),
        build_ms,
        &ways,
    );
    drop(trie);

    let (build_ms, flat) = timed(|| Flat::build(&words));
    let find = |number: &Number| digits(number).and_then(|n| flat.find(n)).unwrap_or(0);
    let ways = Ways {
        one: &find,
        batch: None,
    };
    measure(
        "sorted runs behind six digits",
        flat.memory_bytes(),
        build_ms,
        &ways,
    );
    drop(flat);

    let (build_ms, map) = timed(|| did_map(&rows));
    let find = |number: &Number| value(map.longest(number).map(|found| found.value));
    let batch = |sixteen: &[Number; BATCH]| {
        map.longest_batch(sixteen)
            .iter()
            .flatten()
            .map(|found| value(Some(found.value)))
            .sum()
    };
    let ways = Ways {
        one: &find,
        batch: Some(&batch),
    };
    measure(
        "blocks of runs under a B-tree (served)",
        map.memory_bytes(),
        build_ms,
        &ways,
    );
}

/// Looks up a batch and sums what it finds, so that nothing is optimised away.
type BatchLookup<'l> = &'l dyn Fn(&[Number; BATCH]) -> u32;

/// How a layout is asked.
struct Ways<'l> {
    one: &'l dyn Fn(&Number) -> u32,
    batch: Option<BatchLookup<'l>>,
}

impl Ways<'_> {
    /// Medians over slices that are too short to be interrupted often. A slice of each
    /// kind takes its turn, so that whatever else the machine does hits all of them.
    fn measure(&self, queries: &[Number], mut chase: Chase) -> String {
        let warm = queries.get(..WARM).unwrap_or(queries);
        let (mut miss, mut cold, mut batch, mut near) = (vec![], vec![], vec![], vec![]);
        for (turn, slice) in queries.chunks_exact(SLICE).enumerate() {
            miss.push(chase.step_ns());
            // Numbers that have not been asked before.
            match self.batch {
                Some(ask) if turn % 2 == 1 => batch.push(batches_ns(slice, ask)),
                _ => cold.push(dependent_ns(slice, self.one)),
            }
            dependent_ns(warm, self.one);
            near.push(dependent_ns(warm, self.one));
        }
        let (miss, cold, near) = (median(miss), median(cold), median(near));
        let batch = if batch.is_empty() {
            String::from("– | –")
        } else {
            let batch = median(batch);
            format!("{batch:.0} | {:.2}", batch / miss)
        };
        format!(
            "{miss:.0} | {cold:.0} | {:.2} | {batch} | {near:.0}",
            cold / miss
        )
    }
}

/// Nanoseconds of one lookup whose number is not known before the last answer.
fn dependent_ns(queries: &[Number], find: &dyn Fn(&Number) -> u32) -> f64 {
    let nothing = black_box(0);
    let mut last = 0;
    let begun = Instant::now();
    for at in 0..queries.len() {
        // Always `at`, but only the answer before tells.
        last = find(&queries[at + (last & nothing) as usize]);
    }
    black_box(last);
    begun.elapsed().as_nanos() as f64 / queries.len() as f64
}

/// Nanoseconds of one lookup among sixteen; the next sixteen wait for the last answer.
fn batches_ns(queries: &[Number], find: &dyn Fn(&[Number; BATCH]) -> u32) -> f64 {
    let nothing = black_box(0);
    let mut last = 0;
    let begun = Instant::now();
    for at in (0..queries.len() - BATCH + 1).step_by(BATCH) {
        let from = at + (last & nothing) as usize;
        last = find(queries[from..].first_chunk().expect("sixteen"));
    }
    black_box(last);
    begun.elapsed().as_nanos() as f64 / queries.len() as f64
}

fn median(mut ns: Vec<f64>) -> f64 {
    ns.sort_by(f64::total_cmp);
    ns[ns.len() / 2]
}

fn timed<T>(build: impl FnOnce() -> T) -> (f64, T) {
    let begun = Instant::now();
    let built = build();
    (begun.elapsed().as_secs_f64() * 1e3, built)
}

fn digits(number: &Number) -> Option<u64> {
    let (_plus, digits) = number.as_bytes().split_first()?;
    Some(
        digits
            .iter()
            .fold(0, |value, digit| value * 10 + u64::from(digit & 0xF)),
    )
}

fn value(did: Option<Did>) -> u32 {
    did.and_then(|did| did.group)
        .map_or(0, |group| u32::from(group.0))
}

/// What a row was before runs: 8 bytes beside each key.
#[derive(Clone, Copy)]
struct Wide {
    group: u16,
    _list: u16,
    _line: u32,
}

fn chained(rows: &[(u64, Did)]) -> PrefixMap<Wide> {
    let entry = |(number, did): &(u64, Did)| Entry {
        prefix: numbers::global(*number),
        remaining: Remaining::Exactly(0),
        value: Wide {
            group: did.group.map_or(0, |group| group.0),
            _list: 0,
            _line: 0,
        },
    };
    PrefixMap::build(rows.iter().map(entry), 0).unwrap_or_default()
}

fn did_map(rows: &[(u64, Did)]) -> DidMap {
    let mut builder = DidMapBuilder::new();
    for ((number, did), line) in rows.iter().zip(2..) {
        builder.push(&numbers::global(*number), Remaining::Exactly(0), *did, line);
    }
    builder.build(0).unwrap_or_default()
}
