//! What a request says of the call it belongs to, for who tells of calls.

use crate::sip::{HeaderName, Message};

/// Call-ID, Session-ID and the reason a request gives; as received, nothing decoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CallWords<'a> {
    /// The Call-ID.
    pub call_id: &'a [u8],
    /// The Session-ID (RFC 7989), parameters included.
    pub session_id: Option<&'a [u8]>,
    /// The cause of the first Q.850 value of Reason (RFC 3326).
    pub q850: Option<u8>,
    /// The cause of its first SIP value.
    pub sip: Option<u16>,
    /// The text of the first value that has one, without its quotes.
    pub text: Option<&'a [u8]>,
}

impl<'a> CallWords<'a> {
    /// Reads a message as received; what cannot be read says nothing.
    #[must_use]
    pub fn of(bytes: &'a [u8]) -> Self {
        let Ok(message) = Message::parse_datagram(bytes) else {
            return Self::default();
        };
        let mut reasons = message.values(HeaderName::Reason);
        Self {
            call_id: message.call_id().unwrap_or_default(),
            session_id: message.by_name(b"Session-ID").next(),
            q850: q850(&message),
            sip: cause(&message, b"SIP"),
            text: reasons.find_map(|value| parameter(value, b"text")),
        }
    }
}

/// The Q.850 cause of a message: RFC 3326. The first one counts.
pub(super) fn q850(message: &Message<'_>) -> Option<u8> {
    cause(message, b"Q.850").and_then(|cause| u8::try_from(cause).ok())
}

/// The cause of the first value of Reason with this protocol.
fn cause(message: &Message<'_>, protocol: &[u8]) -> Option<u16> {
    message.values(HeaderName::Reason).find_map(|value| {
        let first = value.split(|byte| *byte == b';').next()?;
        if !first.trim_ascii().eq_ignore_ascii_case(protocol) {
            return None;
        }
        let digits = parameter(value, b"cause")?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    })
}

/// A parameter of one value, without its quotes. A quoted text may have semicolons in it.
fn parameter<'v>(value: &'v [u8], name: &[u8]) -> Option<&'v [u8]> {
    let mut quoted = false;
    let parts = value.split(move |byte| {
        quoted ^= *byte == b'"';
        *byte == b';' && !quoted
    });
    parts.skip(1).find_map(|part| {
        let (found, rest) = part.trim_ascii().split_at_checked(name.len())?;
        let text = rest.trim_ascii_start().strip_prefix(b"=")?.trim_ascii();
        let bare = text.strip_prefix(b"\"").and_then(|t| t.strip_suffix(b"\""));
        found
            .eq_ignore_ascii_case(name)
            .then_some(bare.unwrap_or(text))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_bye_says() {
        let bye = b"BYE sip:a@b SIP/2.0\r\nCall-ID: one@x\r\n\
            Session-ID: ab30317f1a784dc48ff824d0d3715d86;remote=00000000000000000000000000000000\r\n\
            Reason: SIP;cause=200;text=\"picked up; elsewhere\"\r\n\
            Reason: Q.850 ; Cause = 16\r\n\r\n";
        let words = CallWords::of(bye);
        assert_eq!(words.call_id, b"one@x");
        assert_eq!((words.q850, words.sip), (Some(16), Some(200)));
        assert_eq!(words.text, Some(&b"picked up; elsewhere"[..]));
        assert!(words.session_id.is_some_and(|id| id.starts_with(b"ab30")));
        assert_eq!(CallWords::of(b"no SIP"), CallWords::default());
    }
}
