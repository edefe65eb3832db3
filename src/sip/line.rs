//! The lines of a message in their plain form: as nearly every peer writes them.
//!
//! What is read here is read as `message` and `start_line` read it, only faster: no
//! byte is looked at twice, most are looked at sixteen at a time. What is not plain
//! (folds, tabs, blanks before the colon, the last bytes of a datagram) answers
//! `None` and is left to them. So nothing here refuses anything.

use super::name::{WINDOW_BYTES, Words, words};
use super::{HeaderName, Method, StartLine, scan};

/// A header line; offsets count from its first byte.
pub(super) struct PlainLine {
    pub(super) name: HeaderName,
    pub(super) name_end: usize,
    pub(super) value_at: usize,
    pub(super) value_end: usize,
}

/// Every control byte that may not or need not stand in a plain line is below this.
const CONTROL_END: u8 = 0x0e;

/// `name ":" SP value CRLF` at the start of `rest`.
#[inline]
pub(super) fn plain_line(rest: &[u8]) -> Option<PlainLine> {
    let words = words(rest.first_chunk::<WINDOW_BYTES>()?);
    let (name, name_end) = name(&words)?;
    if name == HeaderName::Other && (name_end == 0 || !scan::all(rest.get(..name_end)?, scan::TOKEN)) {
        return None;
    }
    let tail = rest.get(name_end + 1..)?;
    let length = line_length(tail)?;
    let (line, end) = tail.split_at_checked(length)?;
    let [b'\r', b'\n', next, ..] = end else {
        return None;
    };
    let value = line.strip_prefix(b" ").unwrap_or(line);
    let (first, last) = (*value.first()?, *value.last()?);
    if scan::is_wsp(*next) || first <= b' ' || last <= b' ' {
        return None;
    }
    Some(PlainLine {
        name,
        name_end,
        value_at: name_end + 1 + line.len() - value.len(),
        value_end: name_end + 1 + length,
    })
}

/// The name before the first colon of the window, and its length.
#[inline]
fn name(words: &Words) -> Option<(HeaderName, usize)> {
    let [first, second, third] = *words;
    let colon = |word: u64| scan::below(word ^ scan::repeat(b':'), 1);
    let position = |found: u64| found.trailing_zeros() as usize / 8;
    let found = colon(first);
    if found != 0 {
        // The bytes before the lowest of the found bits, each the highest of its byte.
        let before = ((found & found.wrapping_neg()) >> 7).wrapping_sub(1);
        let length = position(found);
        return Some((HeaderName::from_words(words, first & before, length), length));
    }
    let length = match (colon(second), colon(third)) {
        (0, 0) => return None,
        (0, found) => 16 + position(found),
        (found, _) => 8 + position(found),
    };
    Some((HeaderName::from_words(words, first, length), length))
}

/// `Method SP Request-URI SP "SIP/2.0" CRLF` of a known method, and where the next
/// line begins (RFC 3261 §7.1).
#[inline]
pub(super) fn plain_request_line(bytes: &[u8]) -> Option<(StartLine<'_>, usize)> {
    const METHOD_BYTES_MAX: usize = 9;
    let space = bytes.iter().take(METHOD_BYTES_MAX + 1).position(|byte| *byte == b' ')?;
    let (method, rest) = bytes.split_at_checked(space)?;
    let method = match Method::from_bytes(method) {
        Method::Other(_) => return None,
        known => known,
    };
    let length = line_length(rest)?;
    let (line, after) = rest.split_at_checked(length)?;
    let uri = line.strip_suffix(b" SIP/2.0")?.get(1..)?;
    let blank = scan::any(uri, |byte| (byte <= b' ') | (byte == 0x7f));
    if !after.starts_with(b"\r\n") || uri.is_empty() || blank {
        return None;
    }
    Some((StartLine::Request { method, uri }, space + length + 2))
}

/// Bytes before the first control byte, if it is not among the last of `text`.
#[inline]
fn line_length(text: &[u8]) -> Option<usize> {
    let (blocks, _) = text.as_chunks::<16>();
    let mut at = 0;
    for block in blocks {
        if scan::any_of_16(block, |byte| byte < CONTROL_END) {
            let block = u128::from_le_bytes(*block);
            let found = scan::below(block as u64, CONTROL_END);
            return Some(if found != 0 {
                at + found.trailing_zeros() as usize / 8
            } else {
                let found = scan::below((block >> 64) as u64, CONTROL_END);
                at + 8 + found.trailing_zeros() as usize / 8
            });
        }
        at += 16;
    }
    None
}
