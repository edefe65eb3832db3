//! The To tag of an answer that nobody remembers giving.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::sip::Message;

/// RFC 3261 §8.2.7: a stateless server gives every retransmission the same To tag,
/// so it is drawn from the request. Keyed, so that nobody can foresee it (§19.3).
pub(super) fn to_tag(key: &RandomState, message: &Message<'_>) -> [u8; 16] {
    let mut hasher = key.build_hasher();
    let mut add = |bytes: &[u8]| {
        hasher.write_usize(bytes.len());
        hasher.write(bytes);
    };
    add(message.call_id().unwrap_or_default());
    add(message
        .from()
        .ok()
        .and_then(|from| from.tag())
        .unwrap_or_default());
    add(message
        .top_via()
        .ok()
        .and_then(|via| via.branch())
        .unwrap_or_default());
    add(message.request_uri().unwrap_or_default());
    hex(hasher.finish())
}

fn hex(number: u64) -> [u8; 16] {
    let bytes = number.to_be_bytes();
    std::array::from_fn(|i| {
        let byte = bytes.get(i / 2).copied().unwrap_or_default();
        let digit = if i % 2 == 0 { byte >> 4 } else { byte & 0xf };
        b"0123456789abcdef"
            .get(usize::from(digit))
            .copied()
            .unwrap_or(b'0')
    })
}
