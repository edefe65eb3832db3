//! A stream frames alike however it is cut. The last bytes are the lengths of the pieces.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let cuts = bytes.get(bytes.len().saturating_sub(4)..).unwrap_or_default();
    trunkline::sip::fuzz_stream(bytes, cuts);
    trunkline::sip::fuzz_stream(bytes, &[1]);
});
