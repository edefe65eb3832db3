//! Values in their plain form: as nearly every peer writes them.
//!
//! One pass from left to right, no escapes, no folds, no blanks where they are not
//! usual. What is not plain answers `None` and is left to the grammars, which decide
//! what is right and what is wrong; a plain value reads as they read it (a law of the
//! tests). So nothing here refuses anything.
//!
//! Each function reads a value from the start of its input and answers it with what
//! stands behind it.

use std::net::Ipv4Addr;

use memchr::memchr2;

use super::cursor::Cursor;
use super::host::Host;
use super::param::{NameLengths, Params, Wanted, length_bit};
use super::via::steers;
use super::{CSeq, Method, NameAddr, Scheme, Transport, Uri, UserPart, Via, scan};

type Plain<'a, T> = Option<(T, &'a [u8])>;

/// A part of a value, and the place behind it.
type Part<'a, T> = Option<(T, Cursor<'a>)>;

/// `name-addr` with its parameters, up to the end or a comma (RFC 3261 §25.1).
#[inline(always)]
pub(super) fn name_addr(value: &[u8]) -> Plain<'_, NameAddr<'_>> {
    let (display, at) = display(Cursor::new(value))?;
    let (uri, at) = uri_at(at.behind(b'<')?)?;
    let (params, tag, _, rest) = header_params(at.behind(b'>')?, b"tag")?;
    Some((NameAddr::from_parts(display, uri, params, tag), rest))
}

/// A display name and the blank behind it, or neither.
#[inline(always)]
fn display(at: Cursor<'_>) -> Part<'_, Option<&[u8]>> {
    if at.rest().first() == Some(&b'<') {
        return Some((None, at));
    }
    if let Some(at) = at.behind(b'"') {
        let (name, at) = at.run(scan::QUOTED);
        let at = at.behind(b'"')?;
        return Some((Some(name), at.behind(b' ').unwrap_or(at)));
    }
    // A blank that nobody trimmed: where a value begins is the lists' to say.
    if scan::is_lws(*at.rest().first()?) {
        return None;
    }
    let (words, at) = run(at, scan::DISPLAY)?;
    Some((Some(scan::trim_lws(words)), at))
}

/// A sip, sips or tel URI without password, escapes and headers. Ends before a byte
/// that no such URI has; the caller knows which may follow.
#[inline(always)]
pub(super) fn uri(input: &[u8]) -> Plain<'_, Uri<'_>> {
    let (uri, at) = uri_at(Cursor::new(input))?;
    Some((uri, at.rest()))
}

#[inline(always)]
fn uri_at(start: Cursor<'_>) -> Part<'_, Uri<'_>> {
    let (scheme, at) = if let Some(at) = start.behind_text(b"sip:") {
        (Scheme::Sip, at)
    } else if let Some(at) = start.behind_text(b"tel:") {
        return tel(start, at);
    } else {
        (Scheme::Sips, start.behind_text(b"sips:")?)
    };
    let (user, at) = user(at)?;
    let (host, at) = host(at)?;
    let (port, at) = port(at)?;
    let (params, at) = uri_params(at)?;
    let uri = Uri {
        scheme,
        user,
        password: None,
        host,
        port,
        params,
        headers: None,
        raw: start.until(at)?,
    };
    Some((uri, at))
}

/// What stands behind `tel:` (RFC 3966 §3).
#[inline(always)]
fn tel<'a>(start: Cursor<'a>, number: Cursor<'a>) -> Part<'a, Uri<'a>> {
    let digits = scan::run(number.rest(), scan::PHONE);
    if digits == 0 {
        return None;
    }
    let (params, at) = uri_params(number.at(number.rest().get(digits..)?))?;
    let uri = Uri {
        scheme: Scheme::Tel,
        user: Some(UserPart::new(number.until(at)?)),
        password: None,
        host: Host::NONE,
        port: None,
        params,
        headers: None,
        raw: start.until(at)?,
    };
    Some((uri, at))
}

/// A user part and its `@`, or neither.
#[inline(always)]
fn user(start: Cursor<'_>) -> Part<'_, Option<UserPart<'_>>> {
    let (user, at) = run(start, scan::USER)?;
    if let Some(at) = at.behind(b'@') {
        return Some((Some(UserPart::new(user)), at));
    }
    match at.rest() {
        [] | [b'>', ..] => Some((None, start)),
        // A port, if it is no password.
        [b':', rest @ ..] => match memchr2(b'@', b'>', rest).and_then(|at| rest.get(at)) {
            Some(b'@') => None,
            _ => Some((None, start)),
        },
        _ => None,
    }
}

/// An IPv4 address or a host name.
#[inline(always)]
fn host(at: Cursor<'_>) -> Part<'_, Host<'_>> {
    if !digit(*at.rest().first()?) {
        return domain(at);
    }
    let (address, rest) = ipv4(at.rest())?;
    let ends = rest.first().is_none_or(|byte| !scan::is(*byte, scan::HOST));
    ends.then_some((Host::Ipv4(address), at.at(rest)))
}

#[inline(always)]
fn ipv4(input: &[u8]) -> Plain<'_, Ipv4Addr> {
    let (a, rest) = octet_and_dot(input)?;
    let (b, rest) = octet_and_dot(rest)?;
    let (c, rest) = octet_and_dot(rest)?;
    let (d, rest) = match rest {
        [a, b, c, rest @ ..] if digit(*b) && digit(*c) => (octet(&[*a, *b, *c])?, rest),
        [a, b, rest @ ..] if digit(*b) => (octet(&[*a, *b])?, rest),
        [a, rest @ ..] => (octet(&[*a])?, rest),
        [] => return None,
    };
    Some((Ipv4Addr::from_bits(a << 24 | b << 16 | c << 8 | d), rest))
}

/// The dot is looked for first: then every digit is looked at once.
#[inline(always)]
fn octet_and_dot(input: &[u8]) -> Plain<'_, u32> {
    match input {
        [a, b'.', rest @ ..] => Some((octet(&[*a])?, rest)),
        [a, b, b'.', rest @ ..] => Some((octet(&[*a, *b])?, rest)),
        [a, b, c, b'.', rest @ ..] => Some((octet(&[*a, *b, *c])?, rest)),
        _ => None,
    }
}

/// One to three digits.
#[inline(always)]
fn octet<const N: usize>(digits: &[u8; N]) -> Option<u32> {
    let octet = digits
        .iter()
        .fold(0, |octet, digit| octet * 10 + value(*digit));
    let is_octet = N < 3 || octet <= 255;
    (digits.iter().all(|byte| digit(*byte)) && is_octet).then_some(octet)
}

#[inline(always)]
const fn digit(byte: u8) -> bool {
    byte.is_ascii_digit()
}

/// The value of a digit; what is none is above 9.
#[inline(always)]
const fn value(digit: u8) -> u32 {
    digit.wrapping_sub(b'0') as u32
}

/// Labels, the last of which begins with a letter.
#[inline(always)]
fn domain(start: Cursor<'_>) -> Part<'_, Host<'_>> {
    let mut label = start;
    loop {
        let (text, at) = label.run(scan::LABEL);
        let first = *text.first()?;
        if first == b'-' {
            return None;
        }
        match at.behind(b'.') {
            Some(next) => label = next,
            None if digit(first) => return None,
            None => return Some((Host::Domain(start.until(at)?), at)),
        }
    }
}

/// A port and its colon, or neither.
#[inline(always)]
fn port(at: Cursor<'_>) -> Part<'_, Option<u16>> {
    let Some(digits) = at.rest().strip_prefix(b":") else {
        return Some((None, at));
    };
    let (port, rest) = number(digits)?;
    Some((Some(u16::try_from(port).ok()?), at.at(rest)))
}

/// One to nine digits.
#[inline(always)]
fn number(input: &[u8]) -> Plain<'_, u32> {
    const DIGITS_MAX: usize = 9;
    let four = input
        .split_first_chunk()
        .and_then(|(digits, rest)| Some((four_digits(digits)?, rest)));
    let (mut number, mut rest) = four.unwrap_or((0, input));
    while let [byte, behind @ ..] = rest
        && digit(*byte)
    {
        // Too many digits are refused below.
        number = number.wrapping_mul(10).wrapping_add(value(*byte));
        rest = behind;
    }
    let digits = input.len() - rest.len();
    (1..=DIGITS_MAX).contains(&digits).then_some((number, rest))
}

/// Four digits at once, as most ports have.
#[inline(always)]
const fn four_digits(digits: &[u8; 4]) -> Option<u32> {
    let values = u32::from_le_bytes(*digits) ^ 0x3030_3030;
    // Six more than a digit still fits in the lower half of its byte.
    if (values | values.wrapping_add(0x0606_0606)) & 0xf0f0_f0f0 != 0 {
        return None;
    }
    // Each first of two times ten, then the first two times a hundred.
    let pairs = (values * 10 + (values >> 8)) & 0x00ff_00ff;
    Some((pairs * 100 + (pairs >> 16)) & 0xffff)
}

/// `*( ";" name [ "=" value ] )` of a URI.
#[inline(always)]
fn uri_params(start: Cursor<'_>) -> Part<'_, Params<'_>> {
    let mut at = start;
    while let Some(name) = at.behind(b';') {
        (_, at) = run(name, scan::URI_PLAIN)?;
        if let Some(value) = at.behind(b'=') {
            (_, at) = run(value, scan::URI_PLAIN)?;
        }
    }
    Some((Params::new(start.until(at)?), at))
}

/// `*( ";" name [ "=" value ] )` of a header field, up to the end or a comma; with the
/// value of the one that is wanted and the lengths of all names.
#[inline(always)]
fn header_params<'a>(
    start: Cursor<'a>,
    wanted: &[u8],
) -> Option<(Params<'a>, Wanted<'a>, NameLengths, &'a [u8])> {
    let mut found = Wanted::default();
    let mut lengths = 0;
    let mut at = start;
    while let Some(behind) = at.behind(b';') {
        let name;
        let mut value = &[][..];
        (name, at) = run(behind, scan::TOKEN)?;
        if let Some(behind) = at.behind(b'=') {
            (value, at) = run(behind, scan::VALUE)?;
        }
        lengths |= length_bit(name.len());
        // Equal bytes are told sooner than equal letters.
        if name == wanted || name.eq_ignore_ascii_case(wanted) {
            found.add(value);
        }
    }
    if !matches!(at.rest(), [] | [b',', ..]) {
        return None;
    }
    Some((Params::new(start.until(at)?), found, lengths, at.rest()))
}

/// The first value of a Via list, up to the end or a comma (RFC 3261 §20.42).
#[inline(always)]
pub(super) fn via(value: &[u8]) -> Plain<'_, Via<'_>> {
    // Compared as words; in a pattern they would be compared byte by byte.
    const SIP: u64 = u64::from_le_bytes(*b"SIP/2.0/");
    const UDP: u32 = u32::from_le_bytes(*b"UDP ");
    const TCP: u32 = u32::from_le_bytes(*b"TCP ");
    const TLS: u32 = u32::from_le_bytes(*b"TLS ");
    let (protocol, rest) = value.split_first_chunk()?;
    let (transport, rest) = rest.split_first_chunk()?;
    let transport = match u32::from_le_bytes(*transport) {
        _ if u64::from_le_bytes(*protocol) != SIP => return None,
        UDP => Transport::Udp,
        TCP => Transport::Tcp,
        TLS => Transport::Tls,
        _ => return None,
    };
    let (host, at) = host(Cursor::new(rest))?;
    let (port, at) = port(at)?;
    let (params, branch, lengths, rest) = header_params(at, b"branch")?;
    let steers = steers(lengths);
    let via = Via::from_parts(transport, host, port, params, branch, steers);
    Some((via, rest))
}

/// A number, one space, a known method.
#[inline(always)]
pub(super) fn cseq(value: &[u8]) -> Option<CSeq<'_>> {
    let (number, rest) = number(value)?;
    match Method::from_bytes(rest.strip_prefix(b" ")?) {
        Method::Other(_) => None,
        method => Some(CSeq { number, method }),
    }
}

/// The bytes of that class, at least one.
#[inline(always)]
fn run(at: Cursor<'_>, class: u16) -> Part<'_, &[u8]> {
    let (run, behind) = at.run(class);
    (!run.is_empty()).then_some((run, behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::header::CommaList;
    use proptest::prelude::*;

    #[test]
    fn four_digits_are_read_at_once() {
        for number in 0..10_000 {
            let text = format!("{number:04}").into_bytes();
            let digits = <[u8; 4]>::try_from(text).unwrap_or_default();
            assert_eq!(four_digits(&digits), Some(number));
            for (at, other) in (0..4).flat_map(|at| (0..=u8::MAX).map(move |other| (at, other))) {
                let mut damaged = digits;
                damaged[at] = other;
                assert_eq!(four_digits(&damaged).is_some(), other.is_ascii_digit());
                if number > 20 {
                    break;
                }
            }
        }
    }

    /// What is read as plain is what the grammars make of the same bytes.
    fn reads_alike(text: &[u8]) {
        let shown = text.escape_ascii();
        if let Some((uri, [])) = uri(text) {
            assert_eq!(Uri::parse_grammar(text), Ok(uri), "{shown}");
        }
        if let Some((address, rest)) = name_addr(text) {
            let first = CommaList::new(text).next().unwrap_or_default();
            assert_eq!(NameAddr::parse_grammar(first), Ok(address), "{shown}");
            assert!(rest.is_empty() || rest.starts_with(b","), "{shown}");
            assert_eq!(text.len() - rest.len(), first.len(), "{shown}");
        }
        if let Some(plain) = via(text) {
            assert_eq!(Via::parse_grammar(text), Ok(plain), "{shown}");
        }
        if let Some(plain) = cseq(text) {
            assert_eq!(CSeq::parse_grammar(text), Ok(plain), "{shown}");
        }
    }

    const USUAL: [&str; 22] = [
        "<sip:+442071838750@10.20.30.40;user=phone>",
        "\"Jane Doe\"<sip:+4915112345678@sip.pstnhub.microsoft.com:5061;user=phone>;tag=7f3c",
        "\"Queue 12\" <sip:1@h.example>;tag=a;x;TAG=b,<tel:+1>",
        "Jane Doe <sip:a@b.example>;tag=1",
        "<sip:api-du-a-euwe.pstnhub.microsoft.com:443;x-i=2d6d;x-c=1/s/2>",
        "<tel:+4915112345678;phone-context=x>,<sip:jane.doe@contoso.example>",
        "<sips:10.20.30.40:5061;lr>",
        "sip:+442071838750@10.20.30.40;user=phone",
        "sip:10.20.30.40",
        "tel:+49-151;ext=1",
        "SIP/2.0/UDP 10.20.30.41:5060;branch=z9hG4bKac1188415642;rport",
        "SIP/2.0/TLS gw.example;branch=1;received=192.0.2.1,SIP/2.0/UDP h",
        "SIP/2.0/TCP h;Branch=1;branch=2",
        "1 INVITE",
        "2147483647 ACK",
        "sip:256.1.1.1",
        "sip:1.2.3.4.5",
        "sip:1.2.3",
        "sip:a@3cx.example",
        "sip:a@b-c.example.123",
        "sip:user:secret@h:5060",
        "sip:a@h@evil",
    ];

    #[test]
    fn the_usual_values_are_plain() {
        let plain = |text: &str| {
            let text = text.as_bytes();
            uri(text).is_some()
                || name_addr(text).is_some()
                || via(text).is_some()
                || cseq(text).is_some()
        };
        let (usual, others) = USUAL.split_at(14);
        for text in usual {
            assert!(plain(text), "{text}");
            reads_alike(text.as_bytes());
        }
        for text in others {
            reads_alike(text.as_bytes());
        }
    }

    #[test]
    fn blanks_before_a_value_are_not_plain() {
        for text in ["\n\tJane <sip:a@b.example>", " <sip:a@b.example>"] {
            assert_eq!(name_addr(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn a_wanted_parameter_is_found_in_any_case_and_told_when_repeated() {
        let value = b"<sip:a@b.example>;x=y;TAG=1;tag=2";
        let address = name_addr(value).map(|(address, _)| address);
        assert!(
            address.is_some_and(|address| address.tag() == Some(b"1") && address.tag_is_repeated())
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn damaged_values_read_alike(
            text in prop::sample::select(USUAL.to_vec()),
            at in 0_usize..90,
            gone in 0_usize..4,
            put in prop_oneof![
                "[@:;,=<>\"%?. \\[\\]0-9a-z-]{0,3}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..3),
            ],
        ) {
            let mut bytes = text.as_bytes().to_vec();
            let at = at.min(bytes.len());
            bytes.splice(at..(at + gone).min(bytes.len()), put);
            reads_alike(&bytes);
        }

        #[test]
        fn any_hosts_read_alike(host in "(-|\\.|[0-9]{1,4}|[a-z_]{1,3}){1,9}") {
            reads_alike(format!("sip:{host}").as_bytes());
            reads_alike(format!("sip:1@{host}:5060;a=b").as_bytes());
            reads_alike(format!("SIP/2.0/UDP {host};branch=1").as_bytes());
        }
    }
}
