//! What we accept, rsip reads to the same fields, or for a reason that is written down.
#![no_main]

#[path = "../../tests/second_opinion/law.rs"]
mod law;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| law::fuzz_second_opinion(bytes));
