//! Instructions and allocations per message: `cargo bench --profile dist --bench callgrind`.
//!
//! Runs itself under valgrind, once without work and once with much of it, and prints
//! the difference per message. Counts do not depend on what else the machine does.

#[path = "../subjects/mod.rs"]
mod subjects;
#[path = "../valgrind/mod.rs"]
mod valgrind;

use std::env;
use std::process::ExitCode;

use subjects::{SAMPLES, Sample};

type Work = fn(&[u8]);

struct Subject {
    name: &'static str,
    work: Work,
    http: bool,
}

#[rustfmt::skip]
const SUBJECTS: &[Subject] = &[
    Subject { name: "httparse", work: subjects::httparse_split, http: true },
    Subject { name: "httparse, table not zeroed", work: subjects::httparse_bare, http: true },
    Subject { name: "ours, split", work: subjects::split, http: false },
    Subject { name: "ours, routing fields", work: subjects::routing, http: false },
    Subject { name: "rsip, message", work: subjects::rsip_message, http: false },
    Subject { name: "rsip, typed headers", work: subjects::rsip_typed, http: false },
];

/// Messages of the long run. Enough that start-up noise is far below one instruction.
const ROUNDS: u64 = 2_000;

fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    if arguments.next().as_deref() == Some("work") {
        let number =
            |text: Option<String>| text.and_then(|text| text.parse().ok()).unwrap_or(0_usize);
        work(
            number(arguments.next()),
            number(arguments.next()),
            number(arguments.next()),
        );
        return ExitCode::SUCCESS;
    }
    match table() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

/// What valgrind watches.
fn work(subject: usize, sample: usize, rounds: usize) {
    let (subject, sample) = (&SUBJECTS[subject], &SAMPLES[sample]);
    let bytes = bytes(subject, sample);
    for _ in 0..rounds {
        (subject.work)(&bytes);
    }
}

fn bytes(subject: &Subject, sample: &Sample) -> Vec<u8> {
    if subject.http {
        sample.as_http()
    } else {
        sample.bytes.to_vec()
    }
}

fn table() -> Result<(), String> {
    println!("| message | bytes | subject | instructions | × httparse | allocations |");
    println!("|---|---|---|---|---|---|");
    for (at, sample) in SAMPLES.iter().enumerate() {
        let mut reference = None;
        for (index, subject) in SUBJECTS.iter().enumerate() {
            if subject.name.starts_with("rsip") && !subjects::rsip_reads(sample) {
                continue;
            }
            let instructions = per_message(index, at, instructions)?;
            let allocations = per_message(index, at, allocations)?;
            let reference = *reference.get_or_insert(instructions);
            println!(
                "| {} | {} | {} | {instructions:.0} | {:.2} | {allocations:.0} |",
                sample.name,
                bytes(subject, sample).len(),
                subject.name,
                instructions / reference
            );
        }
    }
    Ok(())
}

fn per_message(
    subject: usize,
    sample: usize,
    count: fn(&[&str]) -> Result<u64, String>,
) -> Result<f64, String> {
    let (subject, sample) = (subject.to_string(), sample.to_string());
    let run = |rounds: u64| count(&["work", &subject, &sample, &rounds.to_string()]);
    Ok((run(ROUNDS)?.saturating_sub(run(0)?)) as f64 / ROUNDS as f64)
}

fn instructions(arguments: &[&str]) -> Result<u64, String> {
    valgrind::instructions(None, arguments)
}

fn allocations(arguments: &[&str]) -> Result<u64, String> {
    valgrind::told(&["--tool=memcheck"], arguments, "total heap usage:")
}
