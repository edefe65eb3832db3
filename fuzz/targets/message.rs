//! Any datagram is read, refused or dropped; unedited it is written as it came.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| trunkline::sip::fuzz_datagram(bytes));
