//! Instructions of the call path: `cargo bench --bench call_path`.
//!
//! Runs itself under valgrind and counts only inside the measured function. Counts do not
//! depend on what else the machine does.

#[path = "../numbers/mod.rs"]
mod numbers;
#[path = "../sites/mod.rs"]
mod sites;
#[path = "../valgrind/mod.rs"]
mod valgrind;

use std::env;
use std::hint::black_box;
use std::process::ExitCode;

use numbers::{drawn, scattered};
use sites::Site;
use trunkline::routing::Snapshot;
use trunkline::routing::number::Number;
use valgrind::instructions;

const DIDS: usize = 1_000_000;
const ROUNDS: usize = 1_024;
const BATCH: usize = 16;

/// What is measured, ready to be done.
type Work = Box<dyn FnMut()>;

struct Subject {
    name: &'static str,
    rules: usize,
    prepare: fn(Snapshot, Vec<Number>) -> Work,
}

#[rustfmt::skip]
const SUBJECTS: &[Subject] = &[
    Subject { name: "lookup", rules: 10, prepare: lookup },
    Subject { name: "lookup, sixteen at once", rules: 10, prepare: lookup_batch },
    Subject { name: "decision, 10 rules", rules: 10, prepare: decision },
    Subject { name: "decision, 1,000 rules", rules: 1_000, prepare: decision },
    Subject { name: "decision, 10,000 rules", rules: 10_000, prepare: decision },
    Subject { name: "redirect, 1,000 rules", rules: 1_000, prepare: redirect },
];

fn main() -> ExitCode {
    let mut words = env::args().skip(1);
    if words.next().as_deref() == Some("work") {
        let text = words.next().unwrap_or_default();
        work(&SUBJECTS[text.parse::<usize>().expect("a subject")]);
        return ExitCode::SUCCESS;
    }
    println!("| 1,000,000 DIDs, random numbers | instructions |");
    println!("|---|---|");
    for (index, subject) in SUBJECTS.iter().enumerate() {
        match instructions(Some("*measured_work*"), &["work", &index.to_string()]) {
            Ok(counted) => {
                println!(
                    "| {} | {:.0} |",
                    subject.name,
                    counted as f64 / ROUNDS as f64
                );
            }
            Err(error) => {
                eprintln!("{}: {error}", subject.name);
                return ExitCode::FAILURE;
            }
        }
    }
    ExitCode::SUCCESS
}

fn work(subject: &Subject) {
    let folder = sites::folder(DIDS, subject.rules);
    let numbers = drawn(&scattered(DIDS), ROUNDS);
    let mut work = (subject.prepare)(sites::snapshot(folder.path()), numbers);
    measured_work(&mut *work);
}

/// The name by which valgrind knows what to count.
#[inline(never)]
fn measured_work(work: &mut dyn FnMut()) {
    work();
}

fn lookup(snapshot: Snapshot, numbers: Vec<Number>) -> Work {
    Box::new(move || {
        for number in &numbers {
            black_box(snapshot.table.dids().longest(number));
        }
    })
}

fn lookup_batch(snapshot: Snapshot, numbers: Vec<Number>) -> Work {
    Box::new(move || {
        for batch in numbers.chunks_exact(BATCH) {
            let batch: &[Number; BATCH] = batch.first_chunk().expect("sixteen");
            black_box(snapshot.table.dids().longest_batch(batch));
        }
    })
}

fn decision(snapshot: Snapshot, numbers: Vec<Number>) -> Work {
    Box::new(move || {
        for number in &numbers {
            black_box(sites::decide(&snapshot, number));
        }
    })
}

#[allow(clippy::needless_pass_by_value)] // One of several subjects with one signature.
fn redirect(snapshot: Snapshot, numbers: Vec<Number>) -> Work {
    let messages: Vec<Vec<u8>> = numbers.iter().map(sites::invite).collect();
    let mut site = Site::new(snapshot);
    Box::new(move || {
        for message in &messages {
            black_box(site.answer(message));
        }
    })
}
