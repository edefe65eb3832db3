//! The DID that decides is the one that looking at every row finds; so for sixteen at once.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkline::routing::fuzz_did_map(bytes));
