//! What number tables cost in several layouts, on the same numbers, in one run: the table of
//! the decision on number lookup. `cargo bench --bench layouts [-- NUMBERS…]`

#[path = "../numbers/mod.rs"]
mod numbers;

mod chase;
mod flat;
mod trie;

use std::hint::black_box;
use std::time::Instant;

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
const SLICE: usize = 4_096;
const SLICES: usize = 256;

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
        "| numbers | layout | bytes each | build ms | cold ns | misses | of 16 ns | misses | warm ns |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    for size in sizes {
        let list = scattered(size);
        compare(&format!("{size} scattered"), &list, |number, _| {
            assigned_by_chance(number)
        });
        compare(&format!("{size} clustered"), &clustered(size), assigned);
    }
}

fn compare(name: &str, list: &[u64], did: impl Fn(u64, usize) -> Did) {
    let cold = drawn(list, SLICE * SLICES);
    let warm: Vec<Number> = cold.iter().copied().cycle().take(WARM).collect();
    let rows: Vec<(u64, Did)> = list
        .iter()
        .enumerate()
        .map(|(at, number)| (*number, did(*number, at)))
        .collect();
    let words: Vec<(u64, u32)> = rows
        .iter()
        .map(|(number, did)| (*number, did.group.map_or(0, |group| u32::from(group.0))))
        .collect();
    let line = |layout: &str,
                memory: usize,
                build_ms: f64,
                one: f64,
                batch: Option<f64>,
                warm: f64| {
        let miss = chase::step_ns(memory);
        let each = memory as f64 / list.len() as f64;
        let batch = batch.map_or(String::from("– | –"), |ns| {
            format!("{ns:.0} | {:.2}", ns / miss)
        });
        println!(
            "| {name} | {layout} | {each:.1} | {build_ms:.0} | {one:.0} | {:.2} | {batch} | {warm:.0} |",
            one / miss
        );
    };

    let (build_ms, map) = timed(|| chained(&rows));
    let find = |number: &Number| {
        map.longest(number)
            .map_or(0, |found| u32::from(found.value.group))
    };
    line(
        "sorted keys, links to shorter prefixes",
        map.memory_bytes(),
        build_ms,
        dependent(&cold, find),
        None,
        dependent(&warm, find),
    );
    drop(map);

    let (build_ms, trie) = timed(|| Trie::build(&words));
    let find = |number: &Number| digits(number).and_then(|n| trie.find(n)).unwrap_or(0);
    line(
        "trie, bitmap nodes behind six digits",
        trie.memory_bytes(),
        build_ms,
        dependent(&cold, find),
        None,
        dependent(&warm, find),
    );
    drop(trie);

    let (build_ms, flat) = timed(|| Flat::build(&words));
    let find = |number: &Number| digits(number).and_then(|n| flat.find(n)).unwrap_or(0);
    line(
        "sorted runs behind six digits",
        flat.memory_bytes(),
        build_ms,
        dependent(&cold, find),
        None,
        dependent(&warm, find),
    );
    drop(flat);

    let (build_ms, map) = timed(|| did_map(&rows));
    let find = |number: &Number| value(map.longest(number).map(|found| found.value));
    let batch = batches(&cold, |sixteen| {
        map.longest_batch(sixteen)
            .iter()
            .flatten()
            .map(|found| value(Some(found.value)))
            .sum()
    });
    line(
        "blocks of runs under a B-tree (served)",
        map.memory_bytes(),
        build_ms,
        dependent(&cold, find),
        Some(batch),
        dependent(&warm, find),
    );
}

/// Nanoseconds of one lookup whose number is not known before the last answer.
fn dependent(queries: &[Number], find: impl Fn(&Number) -> u32) -> f64 {
    let nothing = black_box(0);
    let mut last = 0;
    let slices = queries.chunks_exact(SLICE.min(queries.len()));
    median(slices.cycle().take(SLICES), |slice| {
        for at in 0..slice.len() {
            // Always `at`, but only the answer before tells.
            last = find(&slice[at + (last & nothing) as usize]);
        }
        black_box(last);
    })
}

/// Nanoseconds of one lookup among sixteen; the next sixteen wait for the last answer.
fn batches(queries: &[Number], find: impl Fn(&[Number; BATCH]) -> u32) -> f64 {
    let nothing = black_box(0);
    let mut last = 0;
    median(queries.chunks_exact(SLICE).take(SLICES), |slice| {
        for at in (0..SLICE - BATCH + 1).step_by(BATCH) {
            let from = at + (last & nothing) as usize;
            last = find(slice[from..].first_chunk().expect("sixteen"));
        }
        black_box(last);
    })
}

/// The median over slices, each too short to be interrupted often: nanoseconds a lookup.
fn median<'q>(
    slices: impl Iterator<Item = &'q [Number]>,
    mut ask: impl FnMut(&'q [Number]),
) -> f64 {
    let mut ns: Vec<f64> = slices
        .map(|slice| {
            let begun = Instant::now();
            ask(slice);
            begun.elapsed().as_nanos() as f64 / slice.len() as f64
        })
        .collect();
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
