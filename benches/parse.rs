//! Time to parse a message: `cargo bench --profile dist --bench parse`.
//!
//! Ours beside httparse and rsip, on the same bytes. Times depend on the machine and on
//! what else it does; `benches/callgrind` counts instructions.

#[allow(dead_code)] // The other benches use the rest.
mod subjects;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use subjects::SAMPLES;

type Work = fn(&[u8]);

fn parse(criterion: &mut Criterion) {
    for sample in SAMPLES {
        let http = sample.as_http();
        let mut works: Vec<(&str, Work, &[u8])> = vec![
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
