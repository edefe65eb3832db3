//! Number lookup and decision by table size: `cargo bench --bench route`.
//!
//! `warm` asks for a thousand numbers again and again, `random` for numbers drawn from the
//! whole table, sixteen of them together in `batch`.

mod numbers;
mod sites;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use numbers::{assigned_by_chance, drawn, global, scattered};
use trunkline::routing::did_map::{DidMap, DidMapBuilder};
use trunkline::routing::number::Number;
use trunkline::routing::prefix_map::Remaining;

const SIZES: [usize; 4] = [1_000, 100_000, 1_000_000, 10_000_000];
const RULES: [usize; 3] = [10, 1_000, 10_000];
const WARM: usize = 1_000;
const DRAWN: usize = 1 << 20;
const BATCH: usize = 16;

criterion_group!(benches, lookup, decision);
criterion_main!(benches);

fn lookup(c: &mut Criterion) {
    let mut group = c.benchmark_group("lookup");
    for size in SIZES {
        let list = scattered(size);
        let map = map(&list);
        let queries = drawn(&list, DRAWN);
        group.throughput(Throughput::Elements(1));
        for (name, queries) in [("warm", &queries[..WARM]), ("random", &queries[..])] {
            group.bench_function(BenchmarkId::new(name, size), |b| {
                let mut queries = queries.iter().cycle();
                b.iter(|| queries.next().map(|number| map.longest(black_box(number))));
            });
        }
        group.throughput(Throughput::Elements(BATCH as u64));
        group.bench_function(BenchmarkId::new("batch", size), |b| {
            let mut batches = queries.chunks_exact(BATCH).cycle();
            b.iter(|| {
                let batch: Option<&[Number; BATCH]> = batches.next().and_then(<[_]>::first_chunk);
                batch.map(|batch| map.longest_batch(black_box(batch)))
            });
        });
    }
}

fn map(list: &[u64]) -> DidMap {
    let mut builder = DidMapBuilder::new();
    for (number, line) in list.iter().zip(2..) {
        let did = assigned_by_chance(*number);
        builder.push(&global(*number), Remaining::Exactly(0), did, line);
    }
    builder.build(0).unwrap_or_default()
}

fn decision(c: &mut Criterion) {
    let mut group = c.benchmark_group("decision");
    group.throughput(Throughput::Elements(1));
    let dids = 1_000_000;
    let queries = drawn(&scattered(dids), DRAWN);
    for rules in RULES {
        let folder = sites::folder(dids, rules);
        let snapshot = sites::snapshot(folder.path());
        for (name, queries) in [("warm", &queries[..WARM]), ("random", &queries[..])] {
            group.bench_function(BenchmarkId::new(name, format!("{rules} rules")), |b| {
                let mut queries = queries.iter().cycle();
                b.iter(|| {
                    let number = queries.next().expect("without end");
                    sites::decide(&snapshot, black_box(number)).rule
                });
            });
        }
    }
}
