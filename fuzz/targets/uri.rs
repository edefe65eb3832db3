//! A URI is the sum of its parts; equivalence is reflexive and symmetric. Two URIs, one a
//! line.
#![no_main]

use libfuzzer_sys::fuzz_target;
use trunkline::sip::{fuzz_uri, fuzz_value};

fuzz_target!(|bytes: &[u8]| {
    let mut lines = bytes.splitn(2, |byte| *byte == b'\n');
    let (one, other) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    fuzz_uri(one);
    fuzz_uri(other);
    fuzz_value(one, other);
});
