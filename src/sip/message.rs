//! A message: one pass over its bytes, one span per header field.

use std::fmt;

use arrayvec::ArrayVec;
use memchr::memchr3;

use super::header::CommaList;
use super::header_lines::write_line;
use super::line::plain_line;
use super::start_line::{StartLine, read_start_line};
use super::{Header, HeaderName, Method, ParseError, ParseErrorKind, Parsed, StatusCode, scan};
use crate::limits::{HEADERS_MAX, MESSAGE_BYTES_MAX};

/// A SIP request or response, borrowed from the bytes it was read from.
///
/// No heap: 128 spans of 10 bytes and an index stand on the stack. What parses is
/// framed right and every header line has a name; what the values mean is read on
/// demand, so a damaged value is an error of the accessor and not of the message.
#[derive(Clone)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start_line: StartLine<'a>,
    version_is_ours: bool,
    salvaged: bool,
    /// Whether `body` is what Content-Length says, if it is there.
    framed: bool,
    body: &'a [u8],
    spans: ArrayVec<Span, HEADERS_MAX>,
    /// Position in `spans` of the first field of each name.
    first: [u8; HeaderName::COUNT],
    /// One bit for each name that is there more than once.
    repeated: u64,
}

/// Where a header field lies. 16-bit offsets: `MESSAGE_BYTES_MAX` fits.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    name: HeaderName,
    name_at: u16,
    name_end: u16,
    value_at: u16,
    value_end: u16,
    /// Whether the line can be repeated as it is: no byte of it needs care, CRLF stands
    /// behind the value, and the name is long.
    is_whole: bool,
}

/// A header field as an answer repeats it.
pub(super) struct Line<'a> {
    /// The value without white space at its ends.
    pub(super) value: &'a [u8],
    /// The line with its CRLF, if it can be repeated as it is.
    pub(super) whole: Option<&'a [u8]>,
}

impl Line<'_> {
    /// Appends the line.
    #[inline]
    pub(super) fn write(&self, name: HeaderName, out: &mut Vec<u8>) {
        match self.whole {
            Some(line) => out.extend_from_slice(line),
            None => write_line(name.as_str().as_bytes(), self.value, out),
        }
    }

    /// Appends the line without its CRLF.
    #[inline]
    pub(super) fn write_open(&self, name: HeaderName, out: &mut Vec<u8>) {
        self.write(name, out);
        out.truncate(out.len().saturating_sub(2));
    }
}

/// No field of that name in the index.
const ABSENT: u8 = u8::MAX;

const _: () = assert!(HEADERS_MAX <= ABSENT as usize);

impl<'a> Message<'a> {
    /// A message with nothing in it, for [`Message::read_datagram`] to fill.
    #[inline]
    pub fn new() -> Self {
        let start_line = StartLine::Request {
            method: Method::Other(b""),
            uri: b"",
        };
        Self::begin(b"", start_line, true)
    }

    /// Reads a datagram (RFC 3261 §18.3): CRLFs before the start line are skipped,
    /// bytes behind Content-Length dropped.
    ///
    /// # Errors
    /// What is wrong, counted from the start line. [`ParseError::status`] says how
    /// to answer and [`Message::salvage`] gives something to answer to.
    pub fn parse_datagram(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let mut message = Self::new();
        message.read_datagram(bytes)?;
        Ok(message)
    }

    /// As [`Message::parse_datagram`], into a message that is already where it stays:
    /// moving one costs as much as reading three of its lines. What the message held
    /// before is gone.
    ///
    /// # Errors
    /// As [`Message::parse_datagram`]. The message is then fit for nothing.
    pub fn read_datagram(&mut self, bytes: &'a [u8]) -> Result<(), ParseError> {
        let bytes = skip_line_ends(bytes);
        if bytes.is_empty() {
            return Err(ParseError::new(ParseErrorKind::Empty, 0));
        }
        let bounded = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
        let Parsed::Complete((start_line, version_is_ours, at)) = read_start_line(bounded)? else {
            return Err(unterminated(bytes));
        };
        self.restart(bounded, start_line, version_is_ours);
        let body_at = match self.read_headers(at) {
            Ok(Parsed::Complete(body_at)) => body_at,
            Ok(Parsed::Partial) => return Err(unterminated(bytes)),
            Err(error) => return Err(self.blame(error)),
        };
        let there = bytes.len() - body_at;
        let length = self.content_length()?.unwrap_or(there);
        if length > there {
            return Err(self.blame(ParseError::new(ParseErrorKind::BodyTooShort, body_at)));
        }
        self.take_body(bytes, body_at, length)
    }

    /// Reads the first message of a stream (RFC 3261 §18.3): Content-Length is
    /// mandatory and says where the message ends, so [`Message::bytes`] is what to
    /// take off the stream, behind the CRLFs that stood before the start line.
    ///
    /// # Errors
    /// As [`Message::parse_datagram`]. A stream with an error in it has lost its
    /// frame: answer and close.
    pub fn parse_stream(bytes: &'a [u8]) -> Result<Parsed<Self>, ParseError> {
        let bytes = skip_line_ends(bytes);
        let bounded = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
        let Parsed::Complete((mut message, body_at)) = Self::parse_head(bounded)? else {
            return if bytes.len() < MESSAGE_BYTES_MAX {
                Ok(Parsed::Partial)
            } else {
                Err(unterminated(bytes))
            };
        };
        let length = message.stream_body_length(body_at)?;
        if bytes.len() - body_at < length {
            return Ok(Parsed::Partial);
        }
        message.take_body(bytes, body_at, length)?;
        Ok(Parsed::Complete(message))
    }

    /// As [`Message::parse_stream`], of bytes behind which no more will come: one
    /// [`Frame::Message`](super::Frame), or what stands at the front of a stream that has
    /// lost its frame.
    ///
    /// # Errors
    /// As [`Message::parse_stream`]; [`ParseErrorKind::BodyTooShort`] when more would be
    /// needed.
    pub fn parse_frame(bytes: &'a [u8]) -> Result<Self, ParseError> {
        let parsed = Self::parse_stream(bytes)?.complete();
        parsed.ok_or_else(|| ParseError::new(ParseErrorKind::BodyTooShort, bytes.len()))
    }

    /// The length of the body on a stream, of a message whose head ends at `body_at`.
    pub(super) fn stream_body_length(&self, body_at: usize) -> Result<usize, ParseError> {
        let length = self.content_length().map_err(|error| self.blame(error))?;
        let missing = || {
            self.blame(ParseError::new(
                ParseErrorKind::ContentLengthMissing,
                body_at,
            ))
        };
        let length = length.ok_or_else(missing)?;
        if length > MESSAGE_BYTES_MAX - body_at {
            return Err(self.blame(ParseError::new(ParseErrorKind::MessageTooLarge, body_at)));
        }
        Ok(length)
    }

    /// Start line and header fields; answers where the body begins.
    pub(super) fn parse_head(bytes: &'a [u8]) -> Result<Parsed<(Self, usize)>, ParseError> {
        let Parsed::Complete((start_line, version_is_ours, at)) = read_start_line(bytes)? else {
            return Ok(Parsed::Partial);
        };
        let mut message = Self::begin(bytes, start_line, version_is_ours);
        match message.read_headers(at) {
            Ok(Parsed::Complete(body_at)) => Ok(Parsed::Complete((message, body_at))),
            Ok(Parsed::Partial) => Ok(Parsed::Partial),
            Err(error) => Err(message.blame(error)),
        }
    }

    /// A message without header fields.
    #[inline]
    pub(super) fn begin(bytes: &'a [u8], start_line: StartLine<'a>, version_is_ours: bool) -> Self {
        Self {
            bytes,
            start_line,
            version_is_ours,
            salvaged: false,
            framed: false,
            body: &[],
            spans: ArrayVec::new(),
            first: [ABSENT; HeaderName::COUNT],
            repeated: 0,
        }
    }

    /// The same as a new one, without a move.
    #[inline]
    fn restart(&mut self, bytes: &'a [u8], start_line: StartLine<'a>, version_is_ours: bool) {
        self.bytes = bytes;
        self.start_line = start_line;
        self.version_is_ours = version_is_ours;
        self.salvaged = false;
        self.framed = false;
        self.body = &[];
        self.spans.clear();
        self.first.fill(ABSENT);
        self.repeated = 0;
    }

    /// The pass over the header lines; answers where the body begins.
    #[inline]
    fn read_headers(&mut self, at: usize) -> Result<Parsed<usize>, ParseError> {
        let bytes = self.bytes;
        let mut rest = bytes.get(at..).unwrap_or_default();
        loop {
            let at = bytes.len() - rest.len();
            if let Some((line, behind)) = plain_line(rest) {
                let span = Span {
                    name: line.name,
                    name_at: offset(at),
                    name_end: offset(at + line.name_end),
                    value_at: offset(at + line.value_at),
                    value_end: offset(at + line.value_end),
                    is_whole: line.name_end > 1,
                };
                if !self.push_span(span) {
                    return Err(ParseError::new(ParseErrorKind::TooManyHeaders, at));
                }
                rest = behind;
                continue;
            }
            if let [b'\r', b'\n', ..] = rest {
                return Ok(Parsed::Complete(at + 2));
            }
            let Parsed::Complete((name_end, value_at)) = read_name(bytes, at)? else {
                return Ok(Parsed::Partial);
            };
            let Parsed::Complete(line_end) = read_value(bytes, value_at)? else {
                return Ok(Parsed::Partial);
            };
            if !self.push(at, name_end, value_at, line_end) {
                return Err(ParseError::new(ParseErrorKind::TooManyHeaders, at));
            }
            rest = bytes.get(line_end + 2..).unwrap_or_default();
        }
    }

    /// Adds a header field, its value trimmed; `false` when the table is full.
    pub(super) fn push(
        &mut self,
        name_at: usize,
        name_end: usize,
        value_at: usize,
        value_end: usize,
    ) -> bool {
        let name = HeaderName::from_bytes(self.bytes.get(name_at..name_end).unwrap_or_default());
        let value = scan::trim_lws(self.bytes.get(value_at..value_end).unwrap_or_default());
        let value_at = scan::offset_in(self.bytes, value);
        let span = Span {
            name,
            name_at: offset(name_at),
            name_end: offset(name_end),
            value_at: offset(value_at),
            value_end: offset(value_at + value.len()),
            is_whole: false,
        };
        self.push_span(span)
    }

    #[inline]
    fn push_span(&mut self, span: Span) -> bool {
        let name = span.name;
        let position = u8::try_from(self.spans.len()).unwrap_or(ABSENT);
        if self.spans.try_push(span).is_err() {
            return false;
        }
        if let Some(first) = self.first.get_mut(name.index()) {
            if *first == ABSENT {
                *first = position;
            } else {
                self.repeated |= name.bit();
            }
        }
        true
    }

    fn take_body(
        &mut self,
        bytes: &'a [u8],
        body_at: usize,
        length: usize,
    ) -> Result<(), ParseError> {
        let whole = bytes
            .get(..body_at + length)
            .filter(|whole| whole.len() <= MESSAGE_BYTES_MAX);
        let Some(whole) = whole else {
            return Err(self.blame(ParseError::new(ParseErrorKind::MessageTooLarge, body_at)));
        };
        self.bytes = whole;
        self.body = whole.get(body_at..).unwrap_or_default();
        self.framed = true;
        Ok(())
    }

    pub(super) fn mark_salvaged(&mut self) {
        self.salvaged = true;
    }

    /// Whether values were taken as they are, for an error answer only.
    pub(super) const fn is_salvaged(&self) -> bool {
        self.salvaged
    }

    /// Whether Content-Length has been read: if it is there, it is the body's length.
    pub(super) const fn is_framed(&self) -> bool {
        self.framed
    }

    pub(super) const fn version_is_ours(&self) -> bool {
        self.version_is_ours
    }

    /// Whether a field of that name is there more than once.
    pub(super) const fn is_repeated(&self, name: HeaderName) -> bool {
        self.repeated & name.bit() != 0
    }

    /// One bit for each name that is there more than once, as [`HeaderName::bit`] has it.
    pub(super) const fn repeated(&self) -> u64 {
        self.repeated
    }

    /// The error as one of this message: answerable only for requests but ACK.
    pub(super) fn blame(&self, error: ParseError) -> ParseError {
        self.start_line.blame(error)
    }

    /// The message as it came, from the start line to the end of the body.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The first line.
    pub fn start_line(&self) -> StartLine<'a> {
        self.start_line
    }

    /// The method, if this is a request.
    pub fn method(&self) -> Option<Method<'a>> {
        match self.start_line {
            StartLine::Request { method, .. } => Some(method),
            StartLine::Response { .. } => None,
        }
    }

    /// The Request-URI as it came, if this is a request.
    pub fn request_uri(&self) -> Option<&'a [u8]> {
        match self.start_line {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Response { .. } => None,
        }
    }

    /// The status code, if this is a response.
    pub fn status(&self) -> Option<StatusCode> {
        match self.start_line {
            StartLine::Request { .. } => None,
            StartLine::Response { status, .. } => Some(status),
        }
    }

    /// The body, cut at Content-Length. Never read here: a router does not parse SDP.
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// The header fields in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> + '_ {
        self.spans.iter().map(|span| self.header(span))
    }

    /// The value of the first field of that name. Not for [`HeaderName::Other`]:
    /// it is many names.
    pub fn first(&self, name: HeaderName) -> Option<&'a [u8]> {
        let position = *self.first.get(name.index())?;
        let span = self.spans.get(usize::from(position))?;
        Some(self.part(span.value_at, span.value_end))
    }

    /// The values of all fields of that name, in order; lists not split.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.spans_from_first(name)
            .iter()
            .filter(move |span| span.name == name)
            .map(|span| self.part(span.value_at, span.value_end))
    }

    /// The first field of that name, for an answer.
    pub(super) fn line(&self, name: HeaderName) -> Option<Line<'a>> {
        let position = *self.first.get(name.index())?;
        let span = self.spans.get(usize::from(position))?;
        Some(self.line_of(span))
    }

    /// All fields of that name, for an answer.
    pub(super) fn lines(&self, name: HeaderName) -> impl Iterator<Item = Line<'a>> + '_ {
        self.spans_from_first(name)
            .iter()
            .filter(move |span| span.name == name)
            .map(|span| self.line_of(span))
    }

    #[inline]
    fn line_of(&self, span: &Span) -> Line<'a> {
        let value = self.part(span.value_at, span.value_end);
        let line = usize::from(span.name_at)..usize::from(span.value_end) + 2;
        let whole = span.is_whole.then(|| self.bytes.get(line)).flatten();
        Line { value, whole }
    }

    /// The spans among which all fields of that name are.
    #[inline]
    fn spans_from_first(&self, name: HeaderName) -> &[Span] {
        let first = self.first.get(name.index()).copied().unwrap_or(ABSENT);
        let spans = self.spans.get(usize::from(first)..).unwrap_or_default();
        if self.is_repeated(name) {
            return spans;
        }
        spans.get(..1).unwrap_or_default()
    }

    /// The values of all fields of any name, in any case, long or compact; white
    /// space around the name does not count.
    pub fn by_name<'m>(&'m self, name: &'m [u8]) -> impl Iterator<Item = &'a [u8]> + 'm {
        let name = scan::trim_lws(name);
        let known = HeaderName::from_bytes(name);
        self.headers()
            .filter(move |header| {
                header.name == known
                    && (known != HeaderName::Other || header.name_bytes.eq_ignore_ascii_case(name))
            })
            .map(|header| header.value)
    }

    /// The elements of the comma lists in all fields of that name, in order. For
    /// fields that are lists (RFC 3261 §7.3.1): Via, Route, Contact …; commas in
    /// quoted strings, `<>` and comments do not split.
    pub fn values(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> + '_ {
        self.all(name).flat_map(CommaList::new)
    }

    fn header(&self, span: &Span) -> Header<'a> {
        Header {
            name: span.name,
            name_bytes: self.part(span.name_at, span.name_end),
            value: self.part(span.value_at, span.value_end),
        }
    }

    #[inline]
    fn part(&self, from: u16, to: u16) -> &'a [u8] {
        self.bytes
            .get(usize::from(from)..usize::from(to))
            .unwrap_or_default()
    }
}

impl Default for Message<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Message")
            .field("start_line", &self.start_line)
            .field("headers", &self.spans.len())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

/// Bytes of a message are counted in 16 bits: `MESSAGE_BYTES_MAX` has seen to it.
#[inline]
fn offset(at: usize) -> u16 {
    debug_assert!(at <= MESSAGE_BYTES_MAX);
    at as u16
}

fn skip_line_ends(mut bytes: &[u8]) -> &[u8] {
    while let [b'\r', b'\n', rest @ ..] = bytes {
        bytes = rest;
    }
    bytes
}

fn unterminated(bytes: &[u8]) -> ParseError {
    let too_large = bytes.len() >= MESSAGE_BYTES_MAX;
    let kind = if too_large {
        ParseErrorKind::MessageTooLarge
    } else {
        ParseErrorKind::HeadersUnterminated
    };
    let error = ParseError::new(kind, bytes.len().min(MESSAGE_BYTES_MAX));
    match read_start_line(bytes) {
        Ok(Parsed::Complete((start_line, ..))) => start_line.blame(error),
        _ => ParseError::new(ParseErrorKind::NotSip, 0),
    }
}

/// `header-name HCOLON` from `at`: where the name ends and the value may begin.
pub(super) fn read_name(bytes: &[u8], at: usize) -> Result<Parsed<(usize, usize)>, ParseError> {
    let line = bytes.get(at..).unwrap_or_default();
    let name = line
        .iter()
        .position(|byte| !scan::is(*byte, scan::TOKEN))
        .unwrap_or(line.len());
    let tail = line.get(name..).unwrap_or_default();
    let blanks = tail
        .iter()
        .position(|byte| !scan::is_wsp(*byte))
        .unwrap_or(tail.len());
    let colon = at + name + blanks;
    match tail.get(blanks) {
        Some(b':') if name > 0 => Ok(Parsed::Complete((at + name, colon + 1))),
        None => Ok(Parsed::Partial),
        // The CR of what may become the empty line.
        Some(b'\r') if line.len() == 1 => Ok(Parsed::Partial),
        Some(b'\r') if name == 0 && blanks == 0 => {
            Err(ParseError::new(ParseErrorKind::BareCr, colon))
        }
        Some(b'\n') => Err(ParseError::new(ParseErrorKind::BareLf, colon)),
        Some(0) => Err(ParseError::new(ParseErrorKind::Nul, colon)),
        Some(_) => Err(ParseError::new(ParseErrorKind::HeaderLine, colon)),
    }
}

/// Where the value that begins at `from` ends: at the first CRLF that no white
/// space follows (RFC 3261 §7.3.1). CR, LF and NUL stand nowhere else in a value,
/// but for NUL as a quoted-pair (RFC 3261 §25.1).
pub(super) fn read_value(bytes: &[u8], from: usize) -> Result<Parsed<usize>, ParseError> {
    let mut at = from;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Some(found) = memchr3(b'\r', b'\n', 0, rest) else {
            return Ok(Parsed::Partial);
        };
        at += found;
        match rest.get(found..).unwrap_or_default() {
            [b'\r', b'\n', b' ' | b'\t', ..] => at += 3,
            [b'\r', b'\n', _, ..] => return Ok(Parsed::Complete(at)),
            [b'\r', b'\n'] | [b'\r'] => return Ok(Parsed::Partial),
            [b'\r', ..] => return Err(ParseError::new(ParseErrorKind::BareCr, at)),
            [b'\n', ..] => return Err(ParseError::new(ParseErrorKind::BareLf, at)),
            _ if scan::is_escaped(bytes.get(from..at).unwrap_or_default()) => at += 1,
            _ => return Err(ParseError::new(ParseErrorKind::Nul, at)),
        }
    }
}

#[cfg(test)]
mod tests;
