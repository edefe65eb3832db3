//! Reading, checking, compiling and swapping a table, the old one freed:
//! `cargo bench --bench reload`.

mod numbers;
mod sites;

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use trunkline::tables::{Reload, TableStore};

const SIZES: [usize; 3] = [10_000, 1_000_000, 10_000_000];

criterion_group!(benches, reload);
criterion_main!(benches);

fn reload(c: &mut Criterion) {
    let mut group = c.benchmark_group("reload");
    group.sample_size(10);
    for size in SIZES {
        let folder = sites::folder(size, 10);
        let (store, ..) = match TableStore::open(folder.path()) {
            Ok(opened) => opened,
            Err(report) => panic!("{}", report.short()),
        };
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::new("swapped", size), |b| {
            b.iter_custom(|times| (0..times).map(|_| one(&store, folder.path())).sum());
        });
    }
}

/// Changes a file, so that the table is another one, and reloads.
fn one(store: &TableStore, folder: &Path) -> Duration {
    let path = folder.join("routing.toml");
    let text = fs::read_to_string(&path).expect("read");
    fs::write(&path, format!("#\n{text}")).expect("written");
    let begun = Instant::now();
    let outcome = store.reload();
    let took = begun.elapsed();
    assert!(matches!(outcome, Reload::Swapped { .. }), "{outcome:?}");
    took
}
