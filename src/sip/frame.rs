//! Message boundaries on a stream (RFC 3261 §18.3) and the keep-alives between
//! messages (RFC 5626 §3.5.1).

use memchr::{memchr, memchr3, memmem};

use super::{HeaderName, Message, ParseError, ParseErrorKind, Parsed, scan};
use crate::limits::MESSAGE_BYTES_MAX;

/// What stands first on a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame {
    /// A message of that many bytes, body included.
    Message(usize),
    /// A double CRLF: answer it with a single one.
    Ping,
    /// A single CRLF: the answer to a ping, or nothing.
    Pong,
}

/// Finds the frames of one stream, whatever the pieces its bytes arrive in.
///
/// Keeps no bytes, only how far it has looked: each byte of a head is searched
/// once, so a peer that sends one byte at a time costs no more than another.
#[derive(Debug, Clone, Default)]
pub struct Framer {
    /// Bytes at the front in which no head ends.
    searched: usize,
    /// Length of the message at the front, once its head is there.
    length: Option<usize>,
}

impl Frame {
    /// Bytes to take off the stream.
    pub const fn length(self) -> usize {
        match self {
            Self::Message(length) => length,
            Self::Ping => 4,
            Self::Pong => 2,
        }
    }
}

impl Framer {
    /// A framer at the start of a stream.
    pub const fn new() -> Self {
        Self {
            searched: 0,
            length: None,
        }
    }

    /// The frame at the front of `buffered`: all bytes received and not yet taken.
    /// After a [`Parsed::Complete`] take [`Frame::length`] bytes off; after a
    /// [`Parsed::Partial`] only add bytes at the end.
    ///
    /// A message may be malformed and its end still be certain: then it is a frame, and
    /// [`Message::parse_stream`] says what is wrong with it. The stream goes on, with
    /// everybody else's calls.
    ///
    /// # Errors
    /// The head is no SIP, has no Content-Length that is certain, or promises more than
    /// `limits::MESSAGE_BYTES_MAX`. The stream has lost its frame: answer what
    /// [`Message::salvage`] finds in the bytes and close.
    pub fn next(&mut self, buffered: &[u8]) -> Result<Parsed<Frame>, ParseError> {
        if self.length.is_none() && self.searched == 0 && buffered.starts_with(b"\r") {
            return keep_alive(buffered);
        }
        let length = match self.length {
            Some(length) => length,
            None => match self.read_head(buffered)? {
                Parsed::Complete(length) => length,
                Parsed::Partial => return Ok(Parsed::Partial),
            },
        };
        if buffered.len() < length {
            self.length = Some(length);
            return Ok(Parsed::Partial);
        }
        *self = Self::new();
        Ok(Parsed::Complete(Frame::Message(length)))
    }

    /// The length of the message whose head is at the front.
    fn read_head(&mut self, buffered: &[u8]) -> Result<Parsed<usize>, ParseError> {
        const END: &[u8] = b"\r\n\r\n";
        let bounded = buffered.get(..MESSAGE_BYTES_MAX).unwrap_or(buffered);
        // The end may have begun in what was searched before.
        let from = self.searched.saturating_sub(END.len() - 1);
        let Some(found) = memmem::find(bounded.get(from..).unwrap_or_default(), END) else {
            self.searched = bounded.len();
            if bounded.len() < MESSAGE_BYTES_MAX {
                return Ok(Parsed::Partial);
            }
            return Err(ParseError::new(
                ParseErrorKind::MessageTooLarge,
                bounded.len(),
            ));
        };
        let head = bounded.get(..from + found + END.len()).unwrap_or(bounded);
        match Message::parse_head(head) {
            Ok(Parsed::Complete((message, body_at))) => message
                .stream_body_length(body_at)
                .map(|body| Parsed::Complete(body_at + body)),
            Ok(Parsed::Partial) => Err(ParseError::new(
                ParseErrorKind::HeadersUnterminated,
                head.len(),
            )),
            Err(error) if error.kind == ParseErrorKind::NotSip => Err(error),
            Err(error) => certain_body_length(head)
                .filter(|body| *body <= MESSAGE_BYTES_MAX - head.len())
                .map(|body| Parsed::Complete(head.len() + body))
                .ok_or(error),
        }
    }
}

/// The length of the body behind a malformed head, if nobody could read another one:
/// every line ends in CRLF, and one line only, not folded, could be a Content-Length.
fn certain_body_length(head: &[u8]) -> Option<usize> {
    let mut length = None;
    let mut rest = head;
    while let Some(at) = memchr3(b'\r', b'\n', 0, rest) {
        let (line, tail) = rest.split_at_checked(at)?;
        rest = tail.strip_prefix(b"\r\n")?;
        if !could_be_content_length(line) {
            continue;
        }
        let folded = |line: &[u8]| line.first().is_some_and(|byte| scan::is_wsp(*byte));
        let (name, value) = line.split_at_checked(memchr(b':', line)?)?;
        let named = HeaderName::from_bytes(scan::trim_lws(name)) == HeaderName::ContentLength;
        if !named || folded(line) || folded(rest) || length.is_some() {
            return None;
        }
        let value = scan::decimal(scan::trim_lws(value.get(1..)?))?;
        length = Some(usize::try_from(value).ok()?);
    }
    length
}

fn could_be_content_length(line: &[u8]) -> bool {
    const NAME: &[u8] = b"content-length";
    let name = line.get(..memchr(b':', line).unwrap_or(line.len()));
    let name = scan::trim_lws(name.unwrap_or_default());
    let compact = matches!(name, [b'l' | b'L', rest @ ..]
        if rest.first().is_none_or(|byte| !scan::is(*byte, scan::TOKEN)));
    let long = |part: &[u8]| part.eq_ignore_ascii_case(NAME);
    compact || name.windows(NAME.len()).any(long)
}

/// RFC 5626 §3.5.1. `CR` alone waits; what is no CRLF is no keep-alive and no message.
fn keep_alive(buffered: &[u8]) -> Result<Parsed<Frame>, ParseError> {
    match buffered {
        [b'\r', b'\n', b'\r', b'\n', ..] => Ok(Parsed::Complete(Frame::Ping)),
        [b'\r'] | [b'\r', b'\n'] | [b'\r', b'\n', b'\r'] => Ok(Parsed::Partial),
        [b'\r', b'\n', ..] => Ok(Parsed::Complete(Frame::Pong)),
        _ => Err(ParseError::new(ParseErrorKind::NotSip, 0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] = b"INVITE sip:h SIP/2.0\r\nSubject: a\r\n \r\nl: 8\r\n\r\nBYE\r\n\r\nx";

    fn frames(mut bytes: &[u8]) -> (Vec<Frame>, Option<ParseErrorKind>) {
        let mut framer = Framer::new();
        let mut found = Vec::new();
        loop {
            match framer.next(bytes) {
                Ok(Parsed::Complete(frame)) => {
                    found.push(frame);
                    bytes = bytes.get(frame.length()..).unwrap_or_default();
                }
                Ok(Parsed::Partial) => return (found, None),
                Err(error) => return (found, Some(error.kind)),
            }
        }
    }

    #[test]
    fn messages_and_keep_alives_follow_each_other() {
        let bytes = [
            INVITE,
            b"\r\n\r\n",
            INVITE,
            b"\r\n",
            INVITE,
            b"\r\n\r\n\r\n",
            b"INV",
        ]
        .concat();
        let message = Frame::Message(INVITE.len());
        assert_eq!(
            frames(&bytes),
            (
                vec![
                    message,
                    Frame::Ping,
                    message,
                    Frame::Pong,
                    message,
                    Frame::Ping,
                    Frame::Pong
                ],
                None
            )
        );
    }

    #[test]
    fn a_body_that_looks_like_a_request_is_a_body() {
        let smuggled = b"OPTIONS sip:h SIP/2.0\r\nl: 27\r\n\r\nINVITE sip:evil SIP/2.0\r\n\r\n";
        assert_eq!(
            frames(smuggled),
            (vec![Frame::Message(smuggled.len())], None)
        );
    }

    #[test]
    fn a_malformed_message_with_a_certain_end_is_a_frame() {
        for start in [
            "INVITE  sip:h  SIP/2.0\r\nl: 4\r\n",
            "INVITE sip:h SIP/2.0\r\nno colon\r\nContent-Length : 4\r\n",
            "INVITE sip:h SIP/2.0\r\nTo x: y\r\nCONTENT-LENGTH:\t4 \r\nl9: 7\r\n",
            "SIP/2.0 999999 no\r\nl: 4\r\n",
        ] {
            let bytes = [start.as_bytes(), b"\r\nbody", INVITE].concat();
            let bad = start.len() + 6;
            let expected = vec![Frame::Message(bad), Frame::Message(INVITE.len())];
            assert_eq!(frames(&bytes), (expected, None), "{start}");
            let error = Message::parse_stream(bytes.get(..bad).unwrap_or_default());
            assert!(error.is_err());
        }
    }

    #[test]
    fn a_malformed_message_whose_end_is_a_guess_ends_the_stream() {
        for fields in [
            "To x: y\r\n",
            "To x: y\r\nl: 4\r\nl: 4\r\n",
            "To x: y\r\nl: 4\r\nContent-Length x: 9\r\n",
            "To x: y\r\nl: 4\r\n Content-Length: 9\r\n",
            "To x: y\r\nl:\r\n 4\r\n",
            "To x: y\r\nl: +4\r\n",
            "To x: y\nl: 9\r\nl: 4\r\n",
            "To x: y\0\r\nl: 4\r\n",
            "To x: y\r\nl: 65530\r\n",
        ] {
            let bytes = format!("INVITE sip:h SIP/2.0\r\n{fields}\r\nbody");
            let (found, error) = frames(bytes.as_bytes());
            assert!(
                found.is_empty() && error.is_some(),
                "{}",
                fields.escape_debug()
            );
        }
    }

    #[test]
    fn a_stream_without_frames_ends() {
        use ParseErrorKind as Kind;
        let endless = [
            &b"OPTIONS sip:h SIP/2.0\r\nSubject: "[..],
            &vec![b'x'; MESSAGE_BYTES_MAX],
        ]
        .concat();
        for (bytes, kind) in [
            (
                &b"OPTIONS sip:h SIP/2.0\r\n\r\n"[..],
                Kind::ContentLengthMissing,
            ),
            (
                b"OPTIONS sip:h SIP/2.0\r\nl: 0\r\nl: 5\r\n\r\n",
                Kind::ContentLengthConflict,
            ),
            (
                b"OPTIONS sip:h SIP/2.0\r\nl: 99999\r\n\r\n",
                Kind::MessageTooLarge,
            ),
            (b"GET / HTTP/1.1\r\n\r\n", Kind::NotSip),
            (b"\rx", Kind::NotSip),
            (&endless, Kind::MessageTooLarge),
        ] {
            assert_eq!(frames(bytes), (vec![], Some(kind)));
        }
    }
}
