//! Instructions and allocations per message: `cargo bench --profile dist --bench callgrind`.
//!
//! Runs itself under valgrind, once without work and once with much of it, and prints
//! the difference per message. Counts do not depend on what else the machine does.

#[path = "../subjects/mod.rs"]
mod subjects;

use std::env;
use std::process::{Command, ExitCode};

use subjects::{SAMPLES, Sample};

type Work = fn(&[u8]);

struct Subject {
    name: &'static str,
    work: Work,
    http: bool,
}

const SUBJECTS: &[Subject] = &[
    Subject {
        name: "httparse",
        work: subjects::httparse_split,
        http: true,
    },
    Subject {
        name: "httparse, table not zeroed",
        work: subjects::httparse_bare,
        http: true,
    },
    Subject {
        name: "split",
        work: subjects::split,
        http: false,
    },
    Subject {
        name: "routing fields",
        work: subjects::routing,
        http: false,
    },
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
    count: fn(&[String]) -> Result<u64, String>,
) -> Result<f64, String> {
    let run = |rounds: u64| {
        count(&[
            "work".into(),
            subject.to_string(),
            sample.to_string(),
            rounds.to_string(),
        ])
    };
    Ok((run(ROUNDS)?.saturating_sub(run(0)?)) as f64 / ROUNDS as f64)
}

fn instructions(arguments: &[String]) -> Result<u64, String> {
    valgrind(
        &["--tool=callgrind", "--callgrind-out-file=/dev/null"],
        arguments,
        "Collected :",
    )
}

fn allocations(arguments: &[String]) -> Result<u64, String> {
    valgrind(&["--tool=memcheck"], arguments, "total heap usage:")
}

/// The number behind `label` in what valgrind says about a run of ours.
fn valgrind(options: &[&str], arguments: &[String], label: &str) -> Result<u64, String> {
    let program = env::current_exe().map_err(|error| error.to_string())?;
    let run = Command::new("valgrind")
        .args(options)
        .arg(program)
        .args(arguments)
        .output();
    let run = run.map_err(|error| format!("valgrind: {error}"))?;
    let said = String::from_utf8_lossy(&run.stderr);
    let found = said.lines().find_map(|line| line.split_once(label));
    let number = found.map(|(_, number)| {
        number
            .trim()
            .chars()
            .take_while(|c| !c.is_whitespace())
            .filter(char::is_ascii_digit)
            .collect::<String>()
    });
    number
        .and_then(|number| number.parse().ok())
        .ok_or_else(|| format!("valgrind said:\n{said}"))
}
