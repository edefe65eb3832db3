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
    let name_end = colon(&words)?;
    let name = HeaderName::from_words(&words, name_end);
    if name == HeaderName::Other && !scan::all(rest.get(..name_end)?, scan::TOKEN) {
        return None;
    }
    let tail = rest.get(name_end + 1..)?;
    let length = line_length(tail)?;
    let [b'\r', b'\n', next, ..] = tail.get(length..)? else {
        return None;
    };
    let blank = usize::from(tail.first() == Some(&b' '));
    let value = tail.get(blank..length)?;
    let plain = |byte: Option<&u8>| byte.is_some_and(|byte| *byte > b' ');
    if scan::is_wsp(*next) || name_end == 0 || !plain(value.first()) || !plain(value.last()) {
        return None;
    }
    Some(PlainLine {
        name,
        name_end,
        value_at: name_end + 1 + blank,
        value_end: name_end + 1 + length,
    })
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

/// Where the first colon of the window stands.
#[inline]
fn colon(words: &Words) -> Option<usize> {
    let mut at = 0;
    for word in words {
        if let Some(found) = scan::first_below(*word ^ scan::repeat(b':'), 1) {
            return Some(at + found);
        }
        at += 8;
    }
    None
}

/// Bytes before the first control byte, if it is not among the last of `text`.
#[inline]
fn line_length(text: &[u8]) -> Option<usize> {
    let (blocks, _) = text.as_chunks::<16>();
    let mut at = 0;
    for block in blocks {
        if scan::any_of_16(block, |byte| byte < CONTROL_END) {
            let (halves, _) = block.as_chunks::<8>();
            for half in halves {
                if let Some(found) = scan::first_below(u64::from_le_bytes(*half), CONTROL_END) {
                    return Some(at + found);
                }
                at += 8;
            }
        }
        at += 16;
    }
    None
}
