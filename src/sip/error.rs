//! What can be wrong with a peer's bytes, and the answer each wrong deserves.

use std::fmt;

use super::{HeaderName, StatusCode};

/// Where a message is wrong, and how. The peer's fault: answer it and count it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ParseError {
    /// Bytes from the start of what was parsed. For a [`Message`](super::Message)
    /// that is the first byte of the start line: leading CRLFs do not count.
    pub offset: usize,
    /// What is wrong there.
    pub kind: ParseErrorKind,
    answerable: bool,
}

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParseErrorKind {
    /// Nothing but CRLFs: a keep-alive.
    Empty,
    /// The first line speaks no SIP.
    NotSip,
    /// The first line speaks SIP but is no Request-Line (RFC 3261 §7.1).
    RequestLine,
    /// The first line is no Status-Line (RFC 3261 §7.2).
    StatusLine,
    /// The request is of another version than SIP/2.0.
    Version,
    /// A request was asked for, and this is a response.
    NotARequest,
    /// The message is longer than `limits::MESSAGE_BYTES_MAX`.
    MessageTooLarge,
    /// The message has more header fields than `limits::HEADERS_MAX`.
    TooManyHeaders,
    /// The empty line after the header fields is missing.
    HeadersUnterminated,
    /// A CR without LF.
    BareCr,
    /// A LF without CR.
    BareLf,
    /// A NUL that is not escaped in a quoted string.
    Nul,
    /// A line that does not begin with a header name and a colon.
    HeaderLine,
    /// Content-Length is not a decimal number.
    ContentLength,
    /// Several Content-Lengths, not all the same.
    ContentLengthConflict,
    /// No Content-Length on a stream (RFC 3261 §18.3).
    ContentLengthMissing,
    /// The body is shorter than Content-Length says.
    BodyTooShort,
    /// A header field every request must have is missing.
    Missing(HeaderName),
    /// A header field that may be there once is there several times.
    Repeated(HeaderName),
    /// CSeq is not a number below 2^31 and a method.
    CSeq,
    /// The method in CSeq is not the method of the request.
    CSeqMethod,
    /// Max-Forwards is not a number from 0 to 255.
    MaxForwards,
    /// Call-ID is empty or has blanks in it.
    CallId,
    /// A Via value does not follow its grammar.
    Via,
    /// A value is neither a name-addr nor an addr-spec (RFC 3261 §25.1).
    Address,
    /// A header parameter does not follow its grammar.
    Parameter,
    /// A `tag` or `branch` is there twice.
    RepeatedParameter,
    /// The Request-URI is longer than `limits::URI_BYTES_MAX`.
    UriTooLong,
    /// The URI has no scheme.
    Uri,
    /// The scheme of the Request-URI is neither sip, sips nor tel.
    UriScheme,
    /// The user part of the URI.
    UriUser,
    /// The password of the URI.
    UriPassword,
    /// The host of the URI.
    UriHost,
    /// The port of the URI is not a number from 0 to 65535.
    UriPort,
    /// A parameter of the URI.
    UriParameter,
    /// The header part of the URI.
    UriHeaders,
}

impl ParseError {
    /// An error at an offset.
    pub const fn new(kind: ParseErrorKind, offset: usize) -> Self {
        Self {
            offset,
            kind,
            answerable: true,
        }
    }

    /// The status that answers it. `None`: do not answer. That is so for what is
    /// not SIP, for a response, and for an ACK (RFC 3261 §17: ACK has no response).
    ///
    /// An answer also needs something to answer to: see
    /// [`Message::salvage`](super::Message::salvage).
    pub const fn status(&self) -> Option<StatusCode> {
        if self.answerable {
            self.kind.status()
        } else {
            None
        }
    }

    /// The same error, counted from `by` bytes earlier.
    pub(super) const fn shifted(self, by: usize) -> Self {
        Self {
            offset: self.offset + by,
            ..self
        }
    }

    /// The same error in a message nobody may answer.
    pub(super) const fn unanswerable(self) -> Self {
        Self {
            answerable: false,
            ..self
        }
    }
}

impl ParseErrorKind {
    const fn status(self) -> Option<StatusCode> {
        match self {
            Self::Empty | Self::NotSip | Self::StatusLine | Self::NotARequest => None,
            Self::Version => Some(StatusCode::VERSION_NOT_SUPPORTED),
            Self::MessageTooLarge | Self::TooManyHeaders => Some(StatusCode::MESSAGE_TOO_LARGE),
            Self::UriTooLong => Some(StatusCode::REQUEST_URI_TOO_LONG),
            Self::UriScheme => Some(StatusCode::UNSUPPORTED_URI_SCHEME),
            _ => Some(StatusCode::BAD_REQUEST),
        }
    }

    /// A short name for counters: one word a kind, whatever header it is about.
    pub const fn label(self) -> &'static str {
        self.words().0
    }

    /// Label and sentence.
    const fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Empty => ("empty", "there is no message, only line ends"),
            Self::NotSip => ("not_sip", "the first line is not SIP"),
            Self::RequestLine => (
                "request_line",
                "the request line is not `METHOD URI SIP/2.0`",
            ),
            Self::StatusLine => (
                "status_line",
                "the status line is not `SIP/2.0 code reason`",
            ),
            Self::Version => ("version", "the version is not SIP/2.0"),
            Self::NotARequest => ("not_a_request", "this is a response and no request"),
            Self::MessageTooLarge => ("message_too_large", "the message is too large"),
            Self::TooManyHeaders => ("too_many_headers", "there are too many header fields"),
            Self::HeadersUnterminated => (
                "headers_unterminated",
                "no empty line ends the header fields",
            ),
            Self::BareCr => ("bare_cr", "a CR stands without LF"),
            Self::BareLf => ("bare_lf", "a LF stands without CR"),
            Self::Nul => ("nul", "a NUL stands outside a quoted string"),
            Self::HeaderLine => ("header_line", "the line has no header name and colon"),
            Self::ContentLength => ("content_length", "Content-Length is not a number"),
            Self::ContentLengthConflict => {
                ("content_length_conflict", "several Content-Lengths differ")
            }
            Self::ContentLengthMissing => (
                "content_length_missing",
                "Content-Length is missing on a stream",
            ),
            Self::BodyTooShort => ("body_too_short", "the body is shorter than Content-Length"),
            Self::Missing(_) => ("missing_header", "a mandatory header field is missing"),
            Self::Repeated(_) => ("repeated_header", "a header field is there more than once"),
            Self::CSeq => ("cseq", "CSeq is not a number below 2^31 and a method"),
            Self::CSeqMethod => (
                "cseq_method",
                "the method in CSeq is not that of the request",
            ),
            Self::MaxForwards => ("max_forwards", "Max-Forwards is not a number from 0 to 255"),
            Self::CallId => ("call_id", "Call-ID is empty or has blanks in it"),
            Self::Via => ("via", "the Via value is malformed"),
            Self::Address => ("address", "the address is malformed"),
            Self::Parameter => ("parameter", "a header parameter is malformed"),
            Self::RepeatedParameter => ("repeated_parameter", "a tag or branch is there twice"),
            Self::UriTooLong => ("uri_too_long", "the Request-URI is too long"),
            Self::Uri => ("uri", "the URI has no scheme"),
            Self::UriScheme => (
                "uri_scheme",
                "the scheme of the Request-URI is not sip, sips or tel",
            ),
            Self::UriUser => ("uri_user", "the user part of the URI is malformed"),
            Self::UriPassword => ("uri_password", "the password of the URI is malformed"),
            Self::UriHost => ("uri_host", "the host of the URI is malformed"),
            Self::UriPort => (
                "uri_port",
                "the port of the URI is not a number from 0 to 65535",
            ),
            Self::UriParameter => ("uri_parameter", "a parameter of the URI is malformed"),
            Self::UriHeaders => ("uri_headers", "the headers of the URI are malformed"),
        }
    }
}

impl fmt::Display for ParseErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(name) => write!(f, "{name} is missing"),
            Self::Repeated(name) => write!(f, "{name} is there more than once"),
            _ => f.write_str(self.words().1),
        }
    }
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (byte {})", self.kind, self.offset)
    }
}

impl std::error::Error for ParseError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_knows_its_answer() {
        let status = |kind| ParseError::new(kind, 0).status().map(StatusCode::code);
        assert_eq!(status(ParseErrorKind::Via), Some(400));
        assert_eq!(status(ParseErrorKind::UriTooLong), Some(414));
        assert_eq!(status(ParseErrorKind::UriScheme), Some(416));
        assert_eq!(status(ParseErrorKind::Version), Some(505));
        assert_eq!(status(ParseErrorKind::TooManyHeaders), Some(513));
        assert_eq!(status(ParseErrorKind::NotSip), None);
        assert_eq!(
            ParseError::new(ParseErrorKind::Via, 0)
                .unanswerable()
                .status(),
            None
        );
    }

    #[test]
    fn an_error_is_a_sentence_with_its_place() {
        let error = ParseError::new(ParseErrorKind::Repeated(HeaderName::CallId), 120);
        assert_eq!(
            error.to_string(),
            "Call-ID is there more than once (byte 120)"
        );
        assert_eq!(error.kind.label(), "repeated_header");
    }
}
