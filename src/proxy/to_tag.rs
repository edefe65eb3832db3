//! The To tag of an answer that nobody remembers giving.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::hex::sixteen_digits;
use crate::sip::{Message, RequestHead, Via};

/// RFC 3261 §8.2.7: a stateless server gives every retransmission the same To tag,
/// so it is drawn from the request. Keyed, so that nobody can foresee it (§19.3).
pub(super) fn to_tag(key: &RandomState, message: &Message<'_>) -> [u8; 16] {
    let call_id = message.call_id().unwrap_or_default();
    let via = message.top_via().ok();
    if let Some(branch) = via.as_ref().and_then(unique_branch) {
        return drawn(key, [call_id, branch]);
    }
    let branch = via.and_then(|via| via.branch()).unwrap_or_default();
    let from = message.from().ok().and_then(|from| from.tag());
    let uri = message.request_uri().unwrap_or_default();
    drawn(key, [call_id, branch, from.unwrap_or_default(), uri])
}

/// [`to_tag`] of a request that has been read.
pub(super) fn to_tag_of(key: &RandomState, head: &RequestHead<'_>) -> [u8; 16] {
    if let Some(branch) = unique_branch(&head.top_via) {
        return drawn(key, [head.call_id, branch]);
    }
    let branch = head.top_via.branch().unwrap_or_default();
    let from = head.from.tag().unwrap_or_default();
    drawn(key, [head.call_id, branch, from, head.uri.raw])
}

/// The branch, if it alone tells the transactions of a call apart (§8.1.1.7): then nothing
/// else needs to be asked. Before RFC 3261 it took all there is (§17.2.3).
fn unique_branch<'a>(via: &Via<'a>) -> Option<&'a [u8]> {
    via.branch().filter(|_| via.branch_is_unique())
}

/// The lengths of the parts keep `("ab", "c")` and `("a", "bc")` apart; each is below
/// 65,536, as a message is.
fn drawn<const N: usize>(key: &RandomState, parts: [&[u8]; N]) -> [u8; 16] {
    let mut hasher = key.build_hasher();
    hasher.write_u64(
        parts
            .iter()
            .fold(0, |lengths, part| lengths << 16 | part.len() as u64),
    );
    parts.iter().for_each(|part| hasher.write(part));
    sixteen_digits(hasher.finish())
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
        let both = [("bK1", "bK2"), ("Call-ID: c", "Call-ID: d")];
        let old = [("sip:1@a SIP", "sip:3@a SIP"), ("tag=f", "tag=g")];
        let of_rfc_2543 = request.replace("z9hG4bK1", "bK1");
        for (request, parts) in [
            (request, &both[..]),
            (&of_rfc_2543, &[both, old].concat()[..]),
        ] {
            let first = tag(request);
            assert_eq!(first, tag(request));
            for (part, other) in parts {
                assert_ne!(first, tag(&request.replace(part, other)), "{part}");
            }
        }
    }
}
