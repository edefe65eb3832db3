//! The lines of a message in their plain form: as nearly every peer writes them.
//!
//! What is read here is read as `message` and `start_line` read it, only faster: no
//! byte is looked at twice, most are looked at sixteen at a time. What is not plain
//! (folds, tabs, blanks before the colon, the last bytes of a datagram) answers
//! `None` and is left to them. So nothing here refuses anything.

use super::block::{BLOCK_BYTES, Block};
use super::name::{WINDOW_BYTES, words};
use super::{HeaderName, Method, StartLine, scan};

/// A header line; offsets count from its first byte.
pub(super) struct PlainLine {
    pub(super) name: HeaderName,
    pub(super) name_end: usize,
    pub(super) value_at: usize,
    pub(super) value_end: usize,
}

/// The last of the control bytes that may not or need not stand in a plain line.
const CONTROL_MAX: u8 = b'\r';

/// `name ":" SP value CRLF` at the start of `rest`, and the lines behind it.
#[inline(always)]
pub(super) fn plain_line(rest: &[u8]) -> Option<(PlainLine, &[u8])> {
    let window = rest.first_chunk::<WINDOW_BYTES>()?;
    let name_end = colon(window)?;
    let name = match HeaderName::known_from_words(&words(window), name_end) {
        Some(name) => name,
        None if name_end > 0 && scan::all(rest.get(..name_end)?, scan::TOKEN) => HeaderName::Other,
        None => return None,
    };
    let tail = rest.get(name_end + 1..)?;
    let controls = |block: Block| block.at_most(CONTROL_MAX);
    let (line, end) = tail.split_at_checked(length_before(tail, controls)?)?;
    let behind = end.strip_prefix(b"\r\n")?;
    let blank = usize::from(line.first() == Some(&b' '));
    let (first, last) = (*line.get(blank)?, *line.last()?);
    if first <= b' ' || last <= b' ' || scan::is_wsp(*behind.first()?) {
        return None;
    }
    let line = PlainLine {
        name,
        name_end,
        value_at: name_end + 1 + blank,
        value_end: name_end + 1 + line.len(),
    };
    Some((line, behind))
}

/// Where the first colon of the window is: behind the name.
#[inline(always)]
fn colon(window: &[u8; WINDOW_BYTES]) -> Option<usize> {
    let colons = Block::new(window.first_chunk()?).equal(b':');
    if colons != 0 {
        return Some(colons.trailing_zeros() as usize);
    }
    let colons = Block::new(window.last_chunk()?).equal(b':');
    let behind_first = WINDOW_BYTES - BLOCK_BYTES;
    (colons != 0).then(|| behind_first + colons.trailing_zeros() as usize)
}

/// `Method SP Request-URI SP "SIP/2.0" CRLF` of a known method, and where the next
/// line begins (RFC 3261 §7.1).
#[inline]
pub(super) fn plain_request_line(bytes: &[u8]) -> Option<(StartLine<'_>, usize)> {
    let space = Block::new(bytes.first_chunk()?)
        .equal(b' ')
        .trailing_zeros() as usize;
    let (method, rest) = bytes.split_at_checked(space)?;
    let method = match Method::from_bytes(method) {
        Method::Other(_) => return None,
        known => known,
    };
    let rest = rest.get(1..)?;
    let (uri, after) = rest.split_at_checked(length_before(rest, blanks)?)?;
    let (version, behind) = after.split_first_chunk()?;
    if uri.is_empty() || version != b" SIP/2.0\r\n" {
        return None;
    }
    let line = StartLine::Request { method, uri };
    Some((line, bytes.len() - behind.len()))
}

/// Whether a blank or control byte is among the bytes.
#[inline]
pub(super) fn has_blank(bytes: &[u8]) -> bool {
    let blank = |block| blanks(Block::new(block)) != 0;
    let (blocks, rest) = bytes.as_chunks();
    // The last block overlaps the one before, so that there is no remainder.
    match bytes.last_chunk() {
        Some(last) => blank(last) || blocks.iter().any(blank),
        None => rest.iter().any(|byte| *byte <= b' ' || *byte == 0x7f),
    }
}

/// Blanks and control bytes.
#[inline(always)]
fn blanks(block: Block) -> u32 {
    block.at_most(b' ') | block.equal(0x7f)
}

/// Bytes before the first that is found, if it is not among the last of `text`.
#[inline(always)]
fn length_before(text: &[u8], found: impl Fn(Block) -> u32) -> Option<usize> {
    let (blocks, _) = text.as_chunks();
    let mut at = 0;
    for block in blocks {
        let found = found(Block::new(block));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize);
        }
        at += BLOCK_BYTES;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::message::{read_name, read_value};
    use super::super::start_line::parse_start_line;
    use super::super::{ParseError, Parsed};
    use super::*;
    use proptest::prelude::*;

    /// What is read as plain is what the slow way makes of the same bytes.
    fn reads_alike(bytes: &[u8]) -> Result<(), ParseError> {
        if let Some((line, behind)) = plain_line(bytes) {
            assert_eq!(bytes.len() - behind.len(), line.value_end + 2);
            let name = bytes.get(..line.name_end).unwrap_or_default();
            assert_eq!(line.name, HeaderName::from_bytes(name));
            let after_colon = line.name_end + 1;
            assert_eq!(
                read_name(bytes, 0)?,
                Parsed::Complete((line.name_end, after_colon))
            );
            assert_eq!(
                read_value(bytes, after_colon)?,
                Parsed::Complete(line.value_end)
            );
            let value = bytes.get(after_colon..line.value_end).unwrap_or_default();
            let plain = bytes.get(line.value_at..line.value_end);
            assert_eq!(plain, Some(scan::trim_lws(value)));
        }
        if let Some((start_line, next)) = plain_request_line(bytes) {
            let line = bytes
                .get(..next)
                .and_then(|line| line.strip_suffix(b"\r\n"));
            assert_eq!(
                parse_start_line(line.unwrap_or_default())?,
                (start_line, true)
            );
        }
        Ok(())
    }

    const USUAL: [&str; 6] = [
        "INVITE sip:+442071838750@10.20.30.40;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP h\r\n",
        "Via: SIP/2.0/UDP 10.20.30.41:5060;branch=z9hG4bKac1188415642\r\nMax-Forwards: 70\r\n",
        "P-ASSERTED-IDENTITY:<tel:+4915112345678>\r\nPRIVACY: id\r\n\r\nv=0\r\no=- 0 0 IN IP4 h\r\n",
        "Expires: 5\r\n\r\nv=0\r\no=- 0 0 IN IP4 h\r\ns=-\r\n",
        "X-Some: thing\r\nX-Other: thing of some length\r\n",
        "l: 0\r\nUser-Agent: some device of 1.2.3\r\n",
    ];

    #[test]
    fn the_usual_lines_are_plain() {
        for text in USUAL {
            let bytes = text.as_bytes();
            assert!(
                plain_line(bytes).is_some() || plain_request_line(bytes).is_some(),
                "{text}"
            );
            assert_eq!(reads_alike(bytes), Ok(()));
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn damaged_lines_read_alike(
            text in prop::sample::select(USUAL.to_vec()),
            at in 0_usize..70,
            gone in 0_usize..4,
            put in prop_oneof![
                "[\r\n\t :A-z]{0,4}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..3),
            ],
        ) {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..(at + gone).min(bytes.len()), put);
            prop_assert_eq!(reads_alike(&bytes), Ok(()));
        }
    }
}
