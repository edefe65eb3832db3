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
    if name == HeaderName::Other
        && (name_end == 0 || !scan::all(rest.get(..name_end)?, scan::TOKEN))
    {
        return None;
    }
    let tail = rest.get(name_end + 1..)?;
    let length = line_length(tail)?;
    let (line, end) = tail.split_at_checked(length)?;
    let [b'\r', b'\n', next, ..] = end else {
        return None;
    };
    let value = match line {
        [b' ', value @ ..] => value,
        value => value,
    };
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
    let found = scan::below(first ^ scan::repeat(b':'), 1);
    if found != 0 {
        // The bytes before the lowest of the found bits, each the highest of its byte.
        let before = ((found & found.wrapping_neg()) >> 7).wrapping_sub(1);
        let length = scan::lowest(found);
        let name = HeaderName::from_words(words, first & before, length);
        return Some((name, length));
    }
    let length = 8 + position([second, third], b':')?;
    Some((HeaderName::from_words(words, first, length), length))
}

/// `Method SP Request-URI SP "SIP/2.0" CRLF` of a known method, and where the next
/// line begins (RFC 3261 §7.1).
#[inline]
pub(super) fn plain_request_line(bytes: &[u8]) -> Option<(StartLine<'_>, usize)> {
    let space = position(words(bytes.first_chunk()?), b' ')?;
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

/// Where `byte` stands first.
#[inline(always)]
fn position<const N: usize>(words: [u64; N], byte: u8) -> Option<usize> {
    let mut at = 0;
    for word in words {
        let found = scan::below(word ^ scan::repeat(byte), 1);
        if found != 0 {
            return Some(at + scan::lowest(found));
        }
        at += 8;
    }
    None
}

/// Bytes before the first control byte, if it is not among the last of `text`.
#[inline(always)]
fn line_length(text: &[u8]) -> Option<usize> {
    let (blocks, _) = text.as_chunks::<16>();
    let mut at = 0;
    for block in blocks {
        if scan::any_of_16(block, |byte| byte < CONTROL_END) {
            let block = u128::from_le_bytes(*block);
            let halves = [block as u64, (block >> 64) as u64];
            return match halves.map(|half| scan::below(half, CONTROL_END)) {
                [0, high] => Some(at + 8 + scan::lowest(high)),
                [low, _] => Some(at + scan::lowest(low)),
            };
        }
        at += 16;
    }
    None
}
