//! A Via is read alike alone, in a list and out of a damaged request.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkline::sip::fuzz_via(bytes));
