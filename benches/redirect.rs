//! Datagram in, datagram out, through the pure engine: `cargo bench --bench redirect`.

mod numbers;
mod sites;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use numbers::{drawn, scattered};
use sites::Site;

/// DIDs and rules.
const TABLES: [(usize, usize); 3] = [(1_000, 10), (1_000_000, 1_000), (1_000_000, 10_000)];
const MESSAGES: usize = 1 << 16;

criterion_group!(benches, redirect);
criterion_main!(benches);

fn redirect(c: &mut Criterion) {
    let mut group = c.benchmark_group("redirect");
    for (dids, rules) in TABLES {
        let folder = sites::folder(dids, rules);
        let mut site = Site::new(sites::snapshot(folder.path()));
        let numbers = drawn(&scattered(dids), MESSAGES);
        let messages: Vec<Vec<u8>> = numbers.iter().map(sites::invite).collect();
        group.throughput(Throughput::ElementsAndBytes {
            elements: 1,
            bytes: messages[0].len() as u64,
        });
        for (name, messages) in [("warm", &messages[..1]), ("random", &messages[..])] {
            group.bench_function(
                BenchmarkId::new(name, format!("{dids} DIDs, {rules} rules")),
                |b| {
                    let mut messages = messages.iter().cycle();
                    b.iter(|| messages.next().map(|bytes| site.answer(black_box(bytes))));
                },
            );
        }
    }
}
