//! Any value in any field: the first byte chooses the field.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    if let Some((which, value)) = bytes.split_first() {
        trunkline::sip::fuzz_header(*which, value);
    }
});
