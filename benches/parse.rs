//! Time to parse a message: `cargo bench --profile dist --bench parse`.
//!
//! Ours beside httparse and rsip, on the same bytes. Times depend on the machine and on
//! what else it does; `benches/callgrind` counts instructions.

#[allow(dead_code)] // Shared by the benches; each uses what it measures.
mod subjects;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use subjects::SAMPLES;

/// A name, what is done, and with what.
type Work<'w> = (&'w str, fn(&[u8]), &'w [u8]);

fn parse(criterion: &mut Criterion) {
    for sample in SAMPLES {
        let http = sample.as_http();
        let mut works: Vec<Work<'_>> = vec![
            ("httparse", subjects::httparse_split, &http),
            ("split", subjects::split, sample.bytes),
            ("routing fields", subjects::routing, sample.bytes),
        ];
        if subjects::rsip_reads(sample) {
            works.push(("rsip message", subjects::rsip_message, sample.bytes));
            works.push(("rsip typed", subjects::rsip_typed, sample.bytes));
        }
        let mut group = criterion.benchmark_group(sample.name);
        for (name, work, bytes) in works {
            group.throughput(Throughput::Bytes(bytes.len() as u64));
            group.bench_with_input(
                BenchmarkId::from_parameter(name),
                bytes,
                |bencher, bytes| {
                    bencher.iter(|| work(bytes));
                },
            );
        }
        group.finish();
    }
}

criterion_group!(benches, parse);
criterion_main!(benches);
