//! Byte classes of RFC 3261 §25, white space and decimal numbers.

/// `token`: names of methods, headers, parameters, transports.
pub(super) const TOKEN: u16 = 1;
/// `user` of a SIP URI without `%` escapes, and what the field sends besides:
/// `#` in technical prefixes and bytes above ASCII.
pub(super) const USER: u16 = 1 << 1;
/// `password` of a SIP URI without `%` escapes.
pub(super) const PASSWORD: u16 = 1 << 2;
/// Host names and IPv4 addresses; `_` is in no RFC but in many zones.
pub(super) const HOST: u16 = 1 << 3;
/// Names and values of URI parameters and URI headers without `%` escapes.
pub(super) const URI_PART: u16 = 1 << 4;
/// An unquoted parameter value in a header: token, host, and what the field
/// sends besides; ends at a separator of the header grammar.
pub(super) const VALUE: u16 = 1 << 5;
/// An unquoted display name with the blanks between its words. More than
/// `*(token LWS)`: a call is not refused for `(Work)` in a caller's name.
pub(super) const DISPLAY: u16 = 1 << 6;
/// Digits of a telephone number in a tel URI with its visual separators (RFC 3966 §3).
pub(super) const PHONE: u16 = 1 << 7;
/// [`HOST`] without the dot.
pub(super) const LABEL: u16 = 1 << 8;
/// [`URI_PART`] without `=` and `?`.
pub(super) const URI_PLAIN: u16 = 1 << 9;
/// What stands between quotes without an escape.
pub(super) const QUOTED: u16 = 1 << 10;

static CLASSES: [u16; 256] = classes();

const fn classes() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = classes_of(byte as u8);
        byte += 1;
    }
    table
}

const fn classes_of(byte: u8) -> u16 {
    let alphanumeric = byte.is_ascii_alphanumeric();
    let mark = matches!(
        byte,
        b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')'
    );
    let unreserved = alphanumeric || mark;
    let high = byte >= 0x80;
    let visible = byte > b' ' && byte != 0x7f;
    let mut bits = 0;
    if alphanumeric
        || matches!(
            byte,
            b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~'
        )
    {
        bits |= TOKEN;
    }
    if unreserved
        || high
        || matches!(
            byte,
            b'&' | b'=' | b'+' | b'$' | b',' | b';' | b'?' | b'/' | b'#'
        )
    {
        bits |= USER;
    }
    if unreserved || matches!(byte, b'&' | b'=' | b'+' | b'$' | b',') {
        bits |= PASSWORD;
    }
    if alphanumeric || matches!(byte, b'-' | b'.' | b'_') {
        bits |= HOST;
    }
    if bits & HOST != 0 && byte != b'.' {
        bits |= LABEL;
    }
    if unreserved
        || matches!(
            byte,
            b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$' | b'=' | b'?' | b',' | b'#'
        )
    {
        bits |= URI_PART;
        if !matches!(byte, b'=' | b'?') {
            bits |= URI_PLAIN;
        }
    }
    if visible && !matches!(byte, b';' | b',' | b'"' | b'<' | b'>') {
        bits |= VALUE;
    }
    if (visible || is_lws(byte)) && !matches!(byte, b';' | b',' | b'"' | b'<' | b'>') {
        bits |= DISPLAY;
    }
    if byte.is_ascii_hexdigit() || matches!(byte, b'+' | b'*' | b'#' | b'-' | b'.' | b'(' | b')') {
        bits |= PHONE;
    }
    if !matches!(byte, b'"' | b'\\') {
        bits |= QUOTED;
    }
    bits
}

/// Whether the byte is in one of the classes.
#[inline]
pub(super) fn is(byte: u8, class: u16) -> bool {
    classes_at(byte) & class != 0
}

#[inline]
fn classes_at(byte: u8) -> u16 {
    // 256 entries for a byte: always in bounds.
    CLASSES[usize::from(byte)]
}

/// Whether all bytes are in one of the classes.
#[inline]
pub(super) fn all(bytes: &[u8], class: u16) -> bool {
    bytes.iter().all(|byte| is(*byte, class))
}

/// Length of the prefix whose bytes are in one of the classes.
#[inline(always)]
pub(super) fn run(bytes: &[u8], class: u16) -> usize {
    let mut rest = bytes;
    // Eight at a time, so that the end is looked for once in eight bytes.
    while let Some((eight, behind)) = rest.split_first_chunk::<8>() {
        if let Some(at) = eight.iter().position(|byte| !is(*byte, class)) {
            return bytes.len() - rest.len() + at;
        }
        rest = behind;
    }
    while let [first, behind @ ..] = rest
        && is(*first, class)
    {
        rest = behind;
    }
    bytes.len() - rest.len()
}

/// SP or HTAB.
#[inline]
pub(super) const fn is_wsp(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// A byte of linear white space. Inside a header value CR and LF occur only in a
/// fold: the one pass has refused all others.
#[inline]
pub(super) const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// The value without linear white space at both ends.
#[inline]
pub(super) fn trim_lws(mut value: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = value
        && is_lws(*first)
    {
        value = rest;
    }
    while let [rest @ .., last] = value
        && is_lws(*last)
    {
        value = rest;
    }
    value
}

/// `1*DIGIT` and nothing else; leading zeros are allowed. `None` above `u32::MAX`.
pub(super) fn decimal(digits: &[u8]) -> Option<u32> {
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_u64;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        value = value * 10 + u64::from(digit);
        if digit > 9 || value > u64::from(u32::MAX) {
            return None;
        }
    }
    u32::try_from(value).ok()
}

/// [`decimal`], as a port.
pub(super) fn port(digits: &[u8]) -> Option<u16> {
    decimal(digits).and_then(|value| u16::try_from(value).ok())
}

/// The byte a `%` escape stands for, from its two hexadecimal digits.
pub(super) fn unhex(high: u8, low: u8) -> Option<u8> {
    let nibble = |digit: u8| {
        char::from(digit)
            .to_digit(16)
            .and_then(|value| u8::try_from(value).ok())
    };
    Some(nibble(high)? << 4 | nibble(low)?)
}

/// Length of the prefix whose bytes are in `class` or a valid `%` escape.
/// A `%` without two hexadecimal digits ends it.
pub(super) fn escaped_run(bytes: &[u8], class: u16) -> usize {
    let mut rest = bytes;
    loop {
        match rest {
            [b'%', high, low, tail @ ..] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                rest = tail;
            }
            [byte, tail @ ..] if *byte != b'%' && is(*byte, class) => rest = tail,
            _ => return bytes.len() - rest.len(),
        }
    }
}

/// Whether a byte that follows `before` is the second one of a quoted-pair: an odd
/// number of backslashes stands before it.
pub(super) fn is_escaped(before: &[u8]) -> bool {
    before
        .iter()
        .rev()
        .take_while(|byte| **byte == b'\\')
        .count()
        % 2
        == 1
}

/// Where `inner` begins in `outer`, of which it is a part; 0 when it is not.
pub(super) fn offset_in(outer: &[u8], inner: &[u8]) -> usize {
    let offset = (inner.as_ptr() as usize).wrapping_sub(outer.as_ptr() as usize);
    if offset <= outer.len() { offset } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn token_is_the_set_of_the_rfc() {
        let token: Vec<u8> = (0..=255).filter(|b| is(*b, TOKEN)).collect();
        assert_eq!(
            token,
            b"!%'*+-.0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_`abcdefghijklmnopqrstuvwxyz~"
        );
    }

    #[test]
    fn decimals_are_digits_only_and_bounded() {
        assert_eq!(decimal(b"0068"), Some(68));
        assert_eq!(decimal(b"4294967295"), Some(u32::MAX));
        for wrong in [
            &b""[..],
            b"4294967296",
            b"-1",
            b"+1",
            b"0x10",
            b"1 ",
            b"1,1",
            b"99999999999999999999",
        ] {
            assert_eq!(decimal(wrong), None, "{}", wrong.escape_ascii());
        }
        assert_eq!(port(b"65535"), Some(65_535));
        assert_eq!(port(b"65536"), None);
    }

    #[test]
    fn escapes_need_two_hexadecimal_digits() {
        assert_eq!(escaped_run(b"a%23b@", USER), 5);
        assert_eq!(escaped_run(b"a%2", USER), 1);
        assert_eq!(escaped_run(b"a%zz", USER), 1);
        assert_eq!(unhex(b'2', b'b'), Some(0x2b));
        assert_eq!(unhex(b'g', b'0'), None);
    }

    proptest! {
        #[test]
        fn decimal_reads_what_was_written(value: u32, zeros in 0_usize..5) {
            let text = format!("{}{value}", "0".repeat(zeros));
            prop_assert_eq!(decimal(text.as_bytes()), Some(value));
        }

        #[test]
        fn trimming_keeps_the_middle(left in "[ \t\r\n]{0,4}", middle in "[a-z]([a-z ]{0,8}[a-z])?", right in "[ \t\r\n]{0,4}") {
            let text = format!("{left}{middle}{right}");
            prop_assert_eq!(trim_lws(text.as_bytes()), middle.as_bytes());
        }
    }
}
