//! What is edited reads back as meant, and everything else stands as it stood. The last
//! bytes are the changes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let choices = bytes.get(bytes.len().saturating_sub(6)..).unwrap_or_default();
    trunkline::sip::fuzz_edit(bytes, choices);
});
