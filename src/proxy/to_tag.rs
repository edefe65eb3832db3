//! The To tag of an answer that nobody remembers giving.

use std::hash::{BuildHasher, Hasher, RandomState};

use crate::sip::{Message, RequestHead};

/// RFC 3261 §8.2.7: a stateless server gives every retransmission the same To tag,
/// so it is drawn from the request. Keyed, so that nobody can foresee it (§19.3).
pub(super) fn to_tag(key: &RandomState, message: &Message<'_>) -> [u8; 16] {
    let from = message.from().ok();
    drawn(
        key,
        [
            message.call_id().unwrap_or_default(),
            from.and_then(|from| from.tag()).unwrap_or_default(),
            message
                .top_via()
                .ok()
                .and_then(|via| via.branch())
                .unwrap_or_default(),
            message.request_uri().unwrap_or_default(),
        ],
    )
}

/// [`to_tag`] of a request that has been read.
pub(super) fn to_tag_of(key: &RandomState, head: &RequestHead<'_>) -> [u8; 16] {
    drawn(
        key,
        [
            head.call_id,
            head.from.tag().unwrap_or_default(),
            head.top_via.branch().unwrap_or_default(),
            head.uri.raw,
        ],
    )
}

/// The lengths of the parts keep `("ab", "c")` and `("a", "bc")` apart; each is below
/// 65,536, as a message is.
fn drawn(key: &RandomState, parts: [&[u8]; 4]) -> [u8; 16] {
    let mut hasher = key.build_hasher();
    hasher.write_u64(
        parts
            .iter()
            .fold(0, |lengths, part| lengths << 16 | part.len() as u64),
    );
    parts.iter().for_each(|part| hasher.write(part));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    #[test]
    fn reading_first_changes_no_tag_and_every_part_counts() {
        let key = RandomState::new();
        let request = "INVITE sip:1@a SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=z9hG4bK1\r\n\
            From: <sip:2@b>;tag=f\r\nTo: <sip:1@a>\r\nCall-ID: c\r\nCSeq: 1 INVITE\r\n\r\n";
        let tag = |text: &str| {
            let message = Message::parse_datagram(text.as_bytes()).unwrap();
            let tag = to_tag(&key, &message);
            assert_eq!(tag, to_tag_of(&key, &message.read_request().unwrap()));
            tag
        };
        let first = tag(request);
        assert_eq!(first, tag(request));
        for (part, other) in [
            ("sip:1@a SIP", "sip:3@a SIP"),
            ("bK1", "bK2"),
            ("tag=f", "tag=g"),
            ("Call-ID: c", "Call-ID: d"),
        ] {
            assert_ne!(first, tag(&request.replace(part, other)), "{part}");
        }
    }
}
