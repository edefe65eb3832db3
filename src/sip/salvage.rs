//! Enough of a damaged request to answer it.

use memchr::memchr;

use super::start_line::{speaks_sip, split_method};
use super::{HeaderName, Message, Method, StartLine, scan};
use crate::limits::MESSAGE_BYTES_MAX;

/// The fields an answer is made of (RFC 3261 §8.2.6).
const REPEATED: [HeaderName; 6] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::Timestamp,
];

impl<'a> Message<'a> {
    /// Reads a request that [`Message::parse_datagram`] or [`Message::parse_stream`]
    /// refused, as far as an error answer needs: silence is no answer to a peer
    /// that wants its 400 (RFC 4475 §3.1.2).
    ///
    /// Only the fields of an answer are kept, those that are there, and their values
    /// are not checked. [`Reply`](super::Reply) writes them without the bytes that
    /// would break its lines. `None` for a response, for an ACK, and without a method
    /// and a top Via that names a host: a client finds its transaction by the Via,
    /// and a request without Call-ID, From or To still gets its 400 (RFC 4475 §3.3.1).
    ///
    /// Nothing of it is fit to act upon but to refuse it.
    pub fn salvage(bytes: &'a [u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| !scan::is_lws(*byte))?;
        let bytes = bytes.get(start..)?;
        let bytes = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
        let (line, mut at) = next_line(bytes, 0)?;
        let mut message = Self::begin(bytes, request_line(line)?, true);
        message.mark_salvaged();
        while let Some((line, next)) = next_line(bytes, at) {
            if line.is_empty() {
                break;
            }
            message.keep(line);
            at = next;
        }
        message.top_via().is_ok().then_some(message)
    }

    /// Keeps a line if it is one an answer repeats. A second From or To is none.
    fn keep(&mut self, line: &[u8]) {
        let Some(colon) = memchr(b':', line) else {
            return;
        };
        let name = scan::trim_lws(line.get(..colon).unwrap_or_default());
        let known = HeaderName::from_bytes(name);
        let wanted = REPEATED.contains(&known);
        if wanted && (known == HeaderName::Via || self.first(known).is_none()) {
            let name_at = scan::offset_in(self.bytes(), name);
            let line_at = scan::offset_in(self.bytes(), line);
            // A full table drops Vias beyond its bound: the top one is what is needed.
            let _kept = self.push(
                name_at,
                name_at + name.len(),
                line_at + colon + 1,
                line_at + line.len(),
            );
        }
    }
}

/// The line from `at` with its folds, and where the next one begins. Lines end at
/// LF, with or without CR, and the last one at the end of the bytes.
fn next_line(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let rest = bytes.get(at..).filter(|rest| !rest.is_empty())?;
    let mut end = 0;
    loop {
        let tail = rest.get(end..).unwrap_or_default();
        let Some(found) = memchr(b'\n', tail) else {
            return Some((scan::trim_lws(rest), bytes.len()));
        };
        // Only the first physical line can be the empty one: looking again at each
        // fold would cost the square of their number.
        let is_empty = end == 0 && scan::trim_lws(rest.get(..found).unwrap_or_default()).is_empty();
        end += found + 1;
        if is_empty || !rest.get(end).is_some_and(|byte| scan::is_wsp(*byte)) {
            return Some((
                scan::trim_lws(rest.get(..end).unwrap_or_default()),
                at + end,
            ));
        }
    }
}

/// A method and the rest: the URI is not looked at.
fn request_line(line: &[u8]) -> Option<StartLine<'_>> {
    let (method, rest) = split_method(line).filter(|_| speaks_sip(line))?;
    let method = Method::from_bytes(method);
    let uri = rest
        .split(|byte| *byte == b' ')
        .find(|part| !part.is_empty())
        .unwrap_or_default();
    (method != Method::Ack).then_some(StartLine::Request { method, uri })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

    use super::*;

    const FIELDS: &str = "Via: SIP/2.0/UDP 192.0.2.15;;,;,,\r\nFrom: <sip:a@b>;tag=1\r\nTo: \"open <sip:c@d>\r\n\
        To: second\r\njunk line\r\nCall-ID :  x y\r\n\tz\r\nCSeq: nonsense\r\n\r\nVia: in the body";

    #[test]
    fn a_damaged_request_keeps_what_an_answer_needs() {
        let text = format!("INVITE  <sip:a@b>  SIP/2.0 \r\n{FIELDS}");
        assert!(Message::parse_datagram(text.as_bytes()).is_err());
        let message = Message::salvage(text.as_bytes()).unwrap();
        assert_eq!(message.method(), Some(Method::Invite));
        assert_eq!(message.all(HeaderName::Via).count(), 1);
        assert_eq!(message.top_via().unwrap().host.to_string(), "192.0.2.15");
        assert_eq!(
            message.first(HeaderName::To),
            Some(&b"\"open <sip:c@d>"[..])
        );
        assert_eq!(message.all(HeaderName::To).count(), 1);
        assert_eq!(message.first(HeaderName::CallId), Some(&b"x y\r\n\tz"[..]));
    }

    #[test]
    fn line_ends_may_be_wrong() {
        let text = format!("OPTIONS sip:h SIP/2.0\r\n{FIELDS}").replace("\r\n", "\n");
        let message = Message::salvage(text.as_bytes()).unwrap();
        assert_eq!(message.first(HeaderName::CSeq), Some(&b"nonsense"[..]));
    }

    #[test]
    fn what_cannot_or_must_not_be_answered_is_left() {
        for start in [
            "SIP/2.0 200 OK",
            "ACK sip:h SIP/2.0",
            "GET / HTTP/1.1",
            "INVITE",
            "<> sip:h SIP/2.0",
        ] {
            assert!(
                Message::salvage(format!("{start}\r\n{FIELDS}").as_bytes()).is_none(),
                "{start}"
            );
        }
        let text = format!("INVITE sip:h SIP/2.0\r\n{FIELDS}").replace("Via: SIP", "X");
        assert!(
            Message::salvage(text.as_bytes()).is_none(),
            "nobody to answer to"
        );
    }

    #[test]
    fn a_request_without_its_fields_is_still_answered() {
        let message =
            Message::salvage(b"INVITE sip:h SIP/2.0\r\nv: SIP/2.0/UDP 192.0.2.95;branch=1\r\n\r\n")
                .unwrap();
        assert_eq!(message.headers().count(), 1);
    }

    #[test]
    fn a_version_in_mixed_case_is_answered_like_any_other() {
        let text = "REGIS x:y SIp/2.0\r\nVia: SIP/2.0/UDP 192.0.2.15\r\nVia: no\r\n\r\n";
        assert!(Message::parse_datagram(text.as_bytes()).is_ok());
        assert!(Message::salvage(text.as_bytes()).is_some());
    }

    #[test]
    fn too_many_headers_do_not_hide_the_needed_ones() {
        let fillers = "X: y\r\n".repeat(500);
        let vias = "Via: SIP/2.0/UDP h\r\n".repeat(10);
        let text = format!("INVITE sip:h SIP/2.0\r\n{fillers}{vias}{FIELDS}");
        assert!(Message::parse_datagram(text.as_bytes()).is_err());
        assert_eq!(
            Message::salvage(text.as_bytes())
                .unwrap()
                .all(HeaderName::Via)
                .count(),
            11
        );
    }
}
