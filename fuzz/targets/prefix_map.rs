//! The longest prefix is the one that looking at every entry finds.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkline::routing::fuzz_prefix_map(bytes));
