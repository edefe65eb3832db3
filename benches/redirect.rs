//! Datagram in, datagram out, through the pure engine, beside httparse on the same
//! messages in one run: `cargo bench --bench redirect`.
//!
//! The contestants take turns; of each the fastest turn counts, for it was disturbed least.
//! `TURNS` may be set.

mod numbers;
mod sites;

use std::env;
use std::hint::black_box;
use std::time::Instant;

use numbers::{drawn, scattered};
use sites::Site;
use trunkline::routing::number::Number;
use trunkline::sip::Message;

/// DIDs and rules.
const TABLES: [(usize, usize); 3] = [(1_000, 10), (1_000_000, 1_000), (1_000_000, 10_000)];

/// Different numbers, each in a message of its own. Their bytes stay in the second cache,
/// as those of a batch from a socket do; what their numbers need of the table does not.
const MESSAGES: usize = 256;

/// Sets of so many messages, one for each turn: no number comes twice.
const SETS: usize = 400;

fn main() {
    let turns = env::var("TURNS").ok().and_then(|turns| turns.parse().ok());
    println!("| table | messages | what | ns | × httparse |");
    println!("|---|---|---|---|---|");
    for (dids, rules) in TABLES {
        let folder = sites::folder(dids, rules);
        let mut site = Site::new(sites::snapshot(folder.path()));
        let numbers = drawn(&scattered(dids), MESSAGES * SETS);
        let table = format!("{dids} DIDs, {rules} rules");
        let first = numbers.first().expect("a number");
        let same = vec![*first; MESSAGES];
        let turns = turns.unwrap_or(SETS / 2);
        measure(&table, "the same", turns, &mut site, &[&same]);
        let sets: Vec<&[Number]> = numbers.chunks(MESSAGES).collect();
        measure(&table, "random", turns, &mut site, &sets);
    }
}

fn measure(table: &str, which: &str, turns: usize, site: &mut Site, sets: &[&[Number]]) {
    let mut fastest = [f64::MAX; 4];
    for turn in 0..turns {
        let messages = fresh(sets, 2 * turn);
        let as_http: Vec<Vec<u8>> = messages.iter().map(|bytes| http(bytes)).collect();
        let took = [
            each(&as_http, split),
            each(&messages, read),
            each(&messages, |bytes| {
                black_box(site.answer(bytes));
            }),
            batches(site, &fresh(sets, 2 * turn + 1)),
        ];
        for (fastest, took) in fastest.iter_mut().zip(took) {
            *fastest = fastest.min(took);
        }
    }
    let [reference, ..] = fastest;
    for (what, ns) in WHATS.iter().zip(fastest) {
        println!(
            "| {table} | {which} | {what} | {ns:.0} | {:.2} |",
            ns / reference
        );
    }
}

/// What is measured, in this order.
const WHATS: [&str; 4] = [
    "httparse, split",
    "read",
    "redirect, one by one",
    "redirect, 32 at once",
];

/// Messages to numbers that were not asked for lately.
fn fresh(sets: &[&[Number]], turn: usize) -> Vec<Vec<u8>> {
    let numbers = sets.get(turn % sets.len()).copied().unwrap_or_default();
    numbers.iter().map(sites::invite).collect()
}

/// Nanoseconds for each of the messages, answered in batches.
fn batches(site: &mut Site, messages: &[Vec<u8>]) -> f64 {
    let begun = Instant::now();
    for batch in messages.chunks(sites::BATCH_MAX) {
        black_box(site.answer_batch(black_box(batch)));
    }
    begun.elapsed().as_nanos() as f64 / messages.len() as f64
}

/// Nanoseconds for each of the messages.
fn each(messages: &[Vec<u8>], mut work: impl FnMut(&[u8])) -> f64 {
    let begun = Instant::now();
    messages.iter().for_each(|bytes| work(black_box(bytes)));
    begun.elapsed().as_nanos() as f64 / messages.len() as f64
}

/// The same bytes for a reader of HTTP: the version is all that differs.
fn http(bytes: &[u8]) -> Vec<u8> {
    let text = String::from_utf8_lossy(bytes);
    text.replacen("SIP/2.0", "HTTP/1.1", 1).into_bytes()
}

#[inline(never)]
fn split(bytes: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    let mut request = httparse::Request::new(&mut headers);
    let status = request.parse(bytes).expect("a good request");
    black_box((&status, &request));
}

/// The lines and every field a request must have.
#[inline(never)]
fn read(bytes: &[u8]) {
    let mut message = Message::new();
    black_box(&message.read_datagram(bytes));
    black_box(&message.read_request());
}
