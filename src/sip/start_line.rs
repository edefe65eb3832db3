//! The first line of a message (RFC 3261 §7.1, §7.2).

use memchr::{memchr2_iter, memchr3, memrchr};

use super::line::plain_request_line;
use super::{Method, ParseError, ParseErrorKind, Parsed, StatusCode, scan};

/// The first line of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartLine<'a> {
    /// RFC 3261 §7.1.
    Request {
        /// The method.
        method: Method<'a>,
        /// The Request-URI as it came.
        uri: &'a [u8],
    },
    /// RFC 3261 §7.2.
    Response {
        /// The status code.
        status: StatusCode,
        /// The reason phrase as it came; may be empty.
        reason: &'a [u8],
    },
}

impl StartLine<'_> {
    /// The error as one of a message with this line: nobody answers a response or
    /// an ACK.
    pub(super) fn blame(&self, error: ParseError) -> ParseError {
        match self {
            Self::Request {
                method: Method::Ack,
                ..
            }
            | Self::Response { .. } => error.unanswerable(),
            Self::Request { .. } => error,
        }
    }
}

/// What an INVITE seems to be for: the number of its Request-URI, up to 31 bytes, if it is
/// written as nearly everybody does. Checks nothing, and is good for guesses only.
pub fn glimpse_number(datagram: &[u8]) -> Option<&[u8]> {
    const NUMBER_BYTES_MAX: usize = 31;
    let rest = datagram.strip_prefix(b"INVITE sip:")?;
    let rest = rest.get(..=NUMBER_BYTES_MAX)?;
    let end = rest.iter().position(|byte| matches!(byte, b'@' | b';'))?;
    rest.get(..end)
}

pub(super) type FirstLine<'a> = (StartLine<'a>, bool, usize);

/// The start line, whether its version is ours, and where the next line begins.
pub(super) fn read_start_line(bytes: &[u8]) -> Result<Parsed<FirstLine<'_>>, ParseError> {
    if let Some((start_line, next)) = plain_request_line(bytes) {
        return Ok(Parsed::Complete((start_line, true, next)));
    }
    let Some(at) = memchr3(b'\r', b'\n', 0, bytes) else {
        return Ok(Parsed::Partial);
    };
    let (line, rest) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    let kind = match rest {
        [b'\r', b'\n', ..] => {
            return parse_start_line(line)
                .map(|(start, ours)| Parsed::Complete((start, ours, at + 2)));
        }
        [b'\r'] => return Ok(Parsed::Partial),
        [b'\r', ..] => ParseErrorKind::BareCr,
        [b'\n', ..] => ParseErrorKind::BareLf,
        _ => ParseErrorKind::Nul,
    };
    let error = ParseError::new(kind, at);
    Err(match () {
        () if is_status_line(line) => error.unanswerable(),
        () if speaks_sip(line) => error,
        () => ParseError::new(ParseErrorKind::NotSip, 0),
    })
}

/// `Request-Line` or `Status-Line` (RFC 3261 §7.1, §7.2), single spaces only.
pub(super) fn parse_start_line(line: &[u8]) -> Result<(StartLine<'_>, bool), ParseError> {
    if is_status_line(line) {
        let response =
            parse_status_line(line).ok_or(ParseError::new(ParseErrorKind::StatusLine, 0));
        return response.map(|response| (response, true));
    }
    parse_request_line(line).ok_or_else(|| {
        let kind = if speaks_sip(line) {
            ParseErrorKind::RequestLine
        } else {
            ParseErrorKind::NotSip
        };
        ParseError::new(kind, 0)
    })
}

fn parse_request_line(line: &[u8]) -> Option<(StartLine<'_>, bool)> {
    let (method, rest) = split_method(line)?;
    let (uri, version) = rest.split_at_checked(memrchr(b' ', rest)?)?;
    let version = version.get(1..)?;
    let blank = uri.iter().any(|byte| *byte <= b' ' || *byte == 0x7f);
    if uri.is_empty() || blank || !is_version(version) {
        return None;
    }
    let ours = version.get(4..) == Some(b"2.0");
    Some((
        StartLine::Request {
            method: Method::from_bytes(method),
            uri,
        },
        ours,
    ))
}

/// The method and what stands behind the space after it.
pub(super) fn split_method(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = line.iter().position(|byte| !scan::is(*byte, scan::TOKEN))?;
    let (method, rest) = line.split_at_checked(end)?;
    let rest = rest.strip_prefix(b" ")?;
    (!method.is_empty()).then_some((method, rest))
}

fn parse_status_line(line: &[u8]) -> Option<StartLine<'_>> {
    let rest = line.get(4..)?.strip_prefix(b"2.0 ")?;
    let (code, rest) = rest.split_at_checked(3)?;
    let status = scan::port(code).and_then(StatusCode::new)?;
    // Some leave out the space when there is no phrase.
    let reason = if rest.is_empty() {
        rest
    } else {
        rest.strip_prefix(b" ")?
    };
    Some(StartLine::Response { status, reason })
}

fn is_status_line(line: &[u8]) -> bool {
    line.get(..4)
        .is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"))
}

/// `SIP "/" 1*DIGIT "." 1*DIGIT`.
fn is_version(text: &[u8]) -> bool {
    let digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let mut parts = text
        .get(4..)
        .unwrap_or_default()
        .splitn(2, |byte| *byte == b'.');
    is_status_line(text) && parts.next().is_some_and(digits) && parts.next().is_some_and(digits)
}

/// Whether the line is meant as SIP, right or wrong; letters in either case, as in
/// [`is_version`].
pub(super) fn speaks_sip(line: &[u8]) -> bool {
    const SIGNS: [&[u8]; 3] = [b"SIP/", b"sip:", b"sips:"];
    memchr2_iter(b's', b'S', line).any(|at| {
        let rest = line.get(at..).unwrap_or_default();
        let begins_with = |sign: &&[u8]| {
            rest.get(..sign.len())
                .is_some_and(|start| start.eq_ignore_ascii_case(sign))
        };
        SIGNS.iter().any(begins_with)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_glimpsed_where_it_usually_stands() {
        for (datagram, number) in [
            (
                "INVITE sip:+442079460123@10.20.0.50;user=phone SIP/2.0",
                Some("+442079460123"),
            ),
            (
                "INVITE sip:02079460123;phone-context=x@sbc.example SIP/2.0",
                Some("02079460123"),
            ),
            (
                "INVITE sip:sbc.example.of-a-very-long-name.example.net SIP/2.0",
                None,
            ),
            ("OPTIONS sip:+442079460123@10.20.0.50 SIP/2.0", None),
            ("INVITE sip:1@h", None),
            ("", None),
        ] {
            let number = number.map(str::as_bytes);
            assert_eq!(glimpse_number(datagram.as_bytes()), number, "{datagram}");
        }
    }
}
