//! The branch of our Vias: who owns the transaction, which one it is, and a mark by which
//! a loop is known. RFC 3261 §8.1.1.7, §16.6 step 8, RFC 5393 §4.2.

use std::hash::Hasher;

use super::hex;
use super::secret::{Purpose, Secret};
use crate::sip::{HeaderName, Message, RequestHead, Via};

/// What a branch of ours says.
///
/// On the wire it is `z9hG4bKtl` and 42 hexadecimal digits. Nobody can foresee `unique`,
/// so a response that carries it is an answer to what we sent (RFC 3261 §16.11 wants
/// branches unique in space and time; forged responses are why it is keyed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Branch {
    /// The worker that owns the transaction.
    pub(super) worker: u8,
    /// Its context; [`Branch::STATELESS`] when nothing is kept.
    pub(super) context: u32,
    /// Tells apart all transactions that ever had this context's place.
    pub(super) unique: u64,
    /// RFC 5393 §4.2.1: the same for requests that would be routed alike.
    pub(super) loop_mark: u64,
}

const MARK: &[u8] = b"z9hG4bKtl";

impl Branch {
    /// Bytes of a branch.
    pub(super) const BYTES: usize = MARK.len() + 2 + 8 + 16 + 16;
    /// The context of what is forwarded without a transaction.
    pub(super) const STATELESS: u32 = u32::MAX;

    /// Reads a branch; `None` when it is not one of ours.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let digits = text.strip_prefix(MARK)?;
        let (worker, rest) = hex::read(digits, 2)?;
        let (context, rest) = hex::read(rest, 8)?;
        let (unique, rest) = hex::read(rest, 16)?;
        let (loop_mark, rest) = hex::read(rest, 16)?;
        rest.is_empty().then_some(Self {
            worker: u8::try_from(worker).ok()?,
            context: u32::try_from(context).ok()?,
            unique,
            loop_mark,
        })
    }

    /// The branch of the top Via of a message, if it is one of ours.
    pub(super) fn of(message: &Message<'_>) -> Option<Self> {
        Self::parse(message.top_via().ok()?.branch()?)
    }

    /// Finds the first branch of ours in the beginning of a message that may have been cut
    /// off, as it comes back with an ICMP error.
    pub(super) fn find(beginning: &[u8]) -> Option<Self> {
        let at = memchr::memmem::find(beginning, MARK)?;
        Self::parse(beginning.get(at..at + Self::BYTES)?)
    }

    /// Appends the branch.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(MARK);
        hex::push(u64::from(self.worker), 2, out);
        hex::push(u64::from(self.context), 8, out);
        hex::push(self.unique, 16, out);
        hex::push(self.loop_mark, 16, out);
    }
}

/// The worker that owns the transaction a response belongs to, or `None` when its top Via
/// is not ours. The kernel spreads datagrams over the workers' sockets by address, so a
/// response can reach another worker than the one that sent the request: hand it over.
///
/// Looks at the first branch in the bytes, parses nothing else, and never believes it:
/// the owner checks.
#[must_use]
pub fn response_owner(datagram: &[u8]) -> Option<u8> {
    datagram
        .get(..4)
        .filter(|start| start.eq_ignore_ascii_case(b"SIP/"))
        .and_then(|_| Branch::find(datagram))
        .map(|branch| branch.worker)
}

/// The worker that sent a message, by its beginning; `None` when its branch is not ours. An
/// ICMP error can reach another worker than the one whose datagram it is about, as
/// responses can: the kernel picks the socket by the same addresses.
#[must_use]
pub fn request_owner(beginning: &[u8]) -> Option<u8> {
    Some(beginning)
        .filter(|bytes| !bytes.starts_with(b"SIP/"))
        .and_then(Branch::find)
        .map(|branch| branch.worker)
}

/// The worker that knows the call of the dialog a request belongs to, by our Record-Route
/// in its first Route; `None` when it matters to none: nothing is counted, and the call came
/// over UDP. Its ACK and BYE may reach another worker.
///
/// As little is believed as by [`response_owner`]: who forges it has another worker look at
/// the request, which treats it as any would.
#[must_use]
pub fn dialog_owner(datagram: &[u8]) -> Option<u8> {
    let at = memchr::memmem::find(datagram, b"\nRoute:")?;
    let line = datagram
        .get(at + 1..)?
        .split(|byte| *byte == b'\r')
        .next()?;
    let at = memchr::memmem::find(line, b";lr;tl=")? + b";lr;tl=".len();
    let (_, rest) = hex::read(line.get(at..)?, 16)?;
    let (worker, rest) = hex::read(rest, 2)?;
    let worker = u8::try_from(worker).ok()?;
    rest.starts_with(b">").then_some(worker)
}

/// Whether a message may belong to the transaction of an INVITE that came another way: a
/// CANCEL, and an ACK that does not follow our own Record-Route, as that of a 2xx does.
#[must_use]
pub fn speaks_of_an_invite(datagram: &[u8]) -> bool {
    let is_routed = || {
        let at = memchr::memmem::find(datagram, b"\nRoute:");
        at.and_then(|at| memchr::memmem::find(datagram.get(at..)?, b";lr;tl="))
            .is_some()
    };
    datagram.starts_with(b"CANCEL ") || (datagram.starts_with(b"ACK ") && !is_routed())
}

/// RFC 5393 §4.2.1: varies with all that routing reads of a request and with nothing that
/// changes on the way around a loop. `arrived` is what classification knows besides.
pub(super) fn loop_mark(
    secret: &Secret,
    request: &Message<'_>,
    head: &RequestHead<'_>,
    arrived: &[u8],
) -> u64 {
    let first = |name| request.first(name).unwrap_or_default();
    let fields: [&[u8]; 8] = [
        arrived,
        head.uri.raw,
        head.call_id,
        first(HeaderName::From),
        first(HeaderName::To),
        first(HeaderName::PAssertedIdentity),
        first(HeaderName::ProxyRequire),
        request.values(HeaderName::Route).next().unwrap_or_default(),
    ];
    // The lengths keep `("ab", "c")` and `("a", "bc")` apart; no message is longer.
    let length = |field: &[u8]| u16::try_from(field.len()).unwrap_or(u16::MAX);
    let lengths = fields.map(|field| length(field).to_le_bytes());
    let mut hasher = secret.hasher(Purpose::Loop);
    hasher.write(lengths.as_flattened());
    fields.iter().for_each(|field| hasher.write(field));
    hasher.write_u32(head.cseq_number);
    hasher.finish()
}

/// RFC 3261 §16.3 step 4: whether the request was here before and would go the same way
/// again. Linear in its Vias, of which a message has at most `HEADERS_MAX` lines; the top one
/// has been read.
pub(super) fn is_looped(request: &Message<'_>, head: &RequestHead<'_>, mark: u64) -> bool {
    let is_ours = |via: &Via<'_>| {
        let branch = via.branch().and_then(Branch::parse);
        branch.is_some_and(|branch| branch.loop_mark == mark)
    };
    let below = request.values(HeaderName::Via).skip(1);
    is_ours(&head.top_via)
        || below
            .filter_map(|via| Via::parse(via).ok())
            .any(|via| is_ours(&via))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_branch_is_read_as_it_was_written(worker: u8, context: u32, unique: u64, loop_mark: u64) {
            let branch = Branch { worker, context, unique, loop_mark };
            let mut text = Vec::new();
            branch.write(&mut text);
            prop_assert_eq!(text.len(), Branch::BYTES);
            prop_assert_eq!(Branch::parse(&text), Some(branch));
            let mut response = b"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP h;branch=".to_vec();
            response.extend_from_slice(&text);
            prop_assert_eq!(response_owner(&response), Some(worker));
            prop_assert_eq!(request_owner(&response), None);
            let request = [b"INVITE sip:h SIP/2.0\r\nVia: SIP/2.0/UDP h;branch=", &text[..]].concat();
            prop_assert_eq!(request_owner(&request), Some(worker));
            prop_assert_eq!(request_owner(&request[..request.len() - 1]), None);
            response.pop();
            prop_assert_eq!(response_owner(&response), None);
        }

        #[test]
        fn the_owner_of_a_counted_dialog_is_read_as_it_was_written(mark: u64, worker: u8, counted: bool) {
            let mut route = b"BYE sip:h SIP/2.0\r\nMax-Forwards: 7\r\nRoute: <sip:10.0.0.1:5060;lr;tl=".to_vec();
            hex::push(mark, 16, &mut route);
            if counted {
                hex::push(worker.into(), 2, &mut route);
            }
            route.extend_from_slice(b">, <sip:other;lr;tl=000000000000000099>\r\n\r\n");
            prop_assert_eq!(dialog_owner(&route), counted.then_some(worker));
            let recorded = [b"INVITE sip:h SIP/2.0\r\nRecord-", &route[b"BYE sip:h SIP/2.0\r\nMax-Forwards: 7\r\n".len()..]].concat();
            prop_assert_eq!(dialog_owner(&recorded), None);
        }

        #[test]
        fn other_branches_are_not_ours(text in prop::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(Branch::parse(&text), None);
            let _ = response_owner(&text);
            let _ = dialog_owner(&text);
            prop_assert_eq!(request_owner(&text), None);
        }
    }
}
