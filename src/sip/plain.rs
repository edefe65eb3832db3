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

use super::host::Host;
use super::param::{Params, Wanted};
use super::{CSeq, Method, NameAddr, Scheme, Transport, Uri, UserPart, Via, scan};

type Plain<'a, T> = Option<(T, &'a [u8])>;

/// `name-addr` with its parameters, up to the end or a comma (RFC 3261 §25.1).
#[inline(always)]
pub(super) fn name_addr(value: &[u8]) -> Plain<'_, NameAddr<'_>> {
    let (display, rest) = display(value)?;
    let (uri, rest) = uri(rest.strip_prefix(b"<")?)?;
    let (params, tag, rest) = header_params(rest.strip_prefix(b">")?, b"tag")?;
    Some((NameAddr::from_parts(display, uri, params, tag), rest))
}

/// A display name and the blank behind it, or neither.
#[inline(always)]
fn display(value: &[u8]) -> Plain<'_, Option<&[u8]>> {
    match value {
        [b'<', ..] => Some((None, value)),
        [b'"', rest @ ..] => {
            let (name, rest) = rest.split_at_checked(memchr2(b'"', b'\\', rest)?)?;
            let rest = rest.strip_prefix(b"\"")?;
            Some((Some(name), rest.strip_prefix(b" ").unwrap_or(rest)))
        }
        // A blank that nobody trimmed: where a value begins is the lists' to say.
        [first, ..] if scan::is_lws(*first) => None,
        _ => {
            let (words, rest) = run(value, scan::DISPLAY)?;
            Some((Some(scan::trim_lws(words)), rest))
        }
    }
}

/// A sip, sips or tel URI without password, escapes and headers. Ends before a byte
/// that no such URI has; the caller knows which may follow.
#[inline(always)]
pub(super) fn uri(input: &[u8]) -> Plain<'_, Uri<'_>> {
    let (scheme, after_scheme) = match input {
        [b's', b'i', b'p', b':', rest @ ..] => (Scheme::Sip, rest),
        [b's', b'i', b'p', b's', b':', rest @ ..] => (Scheme::Sips, rest),
        [b't', b'e', b'l', b':', rest @ ..] => return tel(input, rest),
        _ => return None,
    };
    let (user, rest) = user(after_scheme)?;
    let (host, rest) = host(rest)?;
    let (port, rest) = port(rest)?;
    let (params, rest) = uri_params(rest)?;
    let (raw, rest) = input.split_at_checked(input.len() - rest.len())?;
    let uri = Uri {
        scheme,
        user,
        password: None,
        host,
        port,
        params,
        headers: None,
        raw,
    };
    Some((uri, rest))
}

/// RFC 3966 §3.
#[inline(always)]
fn tel<'a>(input: &'a [u8], number: &'a [u8]) -> Plain<'a, Uri<'a>> {
    let (_, rest) = run(number, scan::PHONE)?;
    let (params, rest) = uri_params(rest)?;
    let user = number.get(..number.len() - rest.len())?;
    let (raw, rest) = input.split_at_checked(input.len() - rest.len())?;
    let uri = Uri {
        scheme: Scheme::Tel,
        user: Some(UserPart::new(user)),
        password: None,
        host: Host::NONE,
        port: None,
        params,
        headers: None,
        raw,
    };
    Some((uri, rest))
}

/// A user part and its `@`, or neither.
#[inline(always)]
fn user(input: &[u8]) -> Plain<'_, Option<UserPart<'_>>> {
    let (user, rest) = run(input, scan::USER)?;
    match rest {
        [b'@', rest @ ..] => Some((Some(UserPart::new(user)), rest)),
        [] | [b'>', ..] => Some((None, input)),
        // A port, if it is no password.
        [b':', rest @ ..] => match memchr2(b'@', b'>', rest).and_then(|at| rest.get(at)) {
            Some(b'@') => None,
            _ => Some((None, input)),
        },
        _ => None,
    }
}

/// An IPv4 address or a host name.
#[inline(always)]
fn host(input: &[u8]) -> Plain<'_, Host<'_>> {
    match input.first()? {
        b'0'..=b'9' => ipv4(input),
        _ => domain(input),
    }
}

#[inline(always)]
fn ipv4(input: &[u8]) -> Plain<'_, Host<'_>> {
    let (a, rest) = octet(input)?;
    let (b, rest) = octet(rest.strip_prefix(b".")?)?;
    let (c, rest) = octet(rest.strip_prefix(b".")?)?;
    let (d, rest) = octet(rest.strip_prefix(b".")?)?;
    let ends = rest.first().is_none_or(|byte| !scan::is(*byte, scan::HOST));
    let address = Ipv4Addr::from_bits(a << 24 | b << 16 | c << 8 | d);
    ends.then_some((Host::Ipv4(address), rest))
}

/// One to three digits.
#[inline(always)]
fn octet(input: &[u8]) -> Plain<'_, u32> {
    let (octet, rest) = match input {
        [a, b, c, rest @ ..] if digit(*a) && digit(*b) && digit(*c) => {
            (value(*a) * 100 + value(*b) * 10 + value(*c), rest)
        }
        [a, b, rest @ ..] if digit(*a) && digit(*b) => (value(*a) * 10 + value(*b), rest),
        [a, rest @ ..] if digit(*a) => (value(*a), rest),
        _ => return None,
    };
    (octet <= 255).then_some((octet, rest))
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
fn domain(input: &[u8]) -> Plain<'_, Host<'_>> {
    let mut rest = input;
    loop {
        let (label, behind) = run(rest, scan::LABEL)?;
        let first = *label.first()?;
        match behind {
            _ if first == b'-' => return None,
            [b'.', behind @ ..] => rest = behind,
            _ if digit(first) => return None,
            _ => {
                let (name, rest) = input.split_at_checked(input.len() - behind.len())?;
                return Some((Host::Domain(name), rest));
            }
        }
    }
}

/// A port and its colon, or neither.
#[inline(always)]
fn port(input: &[u8]) -> Plain<'_, Option<u16>> {
    let Some(digits) = input.strip_prefix(b":") else {
        return Some((None, input));
    };
    let (port, rest) = number(digits)?;
    Some((Some(u16::try_from(port).ok()?), rest))
}

/// One to nine digits.
#[inline(always)]
fn number(input: &[u8]) -> Plain<'_, u32> {
    const DIGITS_MAX: usize = 9;
    let mut number = 0_u32;
    let mut rest = input;
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

/// `*( ";" name [ "=" value ] )` of a URI.
#[inline(always)]
fn uri_params(input: &[u8]) -> Plain<'_, Params<'_>> {
    let mut rest = input;
    while let [b';', behind @ ..] = rest {
        (_, rest) = run(behind, scan::URI_PLAIN)?;
        if let [b'=', behind @ ..] = rest {
            (_, rest) = run(behind, scan::URI_PLAIN)?;
        }
    }
    let (params, rest) = input.split_at_checked(input.len() - rest.len())?;
    Some((Params::new(params), rest))
}

/// `*( ";" name [ "=" value ] )` of a header field, up to the end or a comma.
#[inline(always)]
fn header_params<'a>(input: &'a [u8], wanted: &[u8]) -> Option<(Params<'a>, Wanted<'a>, &'a [u8])> {
    let mut found = Wanted::default();
    let mut rest = input;
    while let [b';', behind @ ..] = rest {
        let name;
        let mut value = &[][..];
        (name, rest) = run(behind, scan::TOKEN)?;
        if let [b'=', behind @ ..] = rest {
            (value, rest) = run(behind, scan::VALUE)?;
        }
        // Equal bytes are told sooner than equal letters.
        if name == wanted || name.eq_ignore_ascii_case(wanted) {
            found.add(value);
        }
    }
    if !matches!(rest, [] | [b',', ..]) {
        return None;
    }
    let (params, rest) = input.split_at_checked(input.len() - rest.len())?;
    Some((Params::new(params), found, rest))
}

/// The first value of a Via list, up to the end or a comma (RFC 3261 §20.42).
#[inline(always)]
pub(super) fn via(value: &[u8]) -> Plain<'_, Via<'_>> {
    let (transport, rest) = match value.strip_prefix(b"SIP/2.0/")? {
        [b'U', b'D', b'P', b' ', rest @ ..] => (Transport::Udp, rest),
        [b'T', b'C', b'P', b' ', rest @ ..] => (Transport::Tcp, rest),
        [b'T', b'L', b'S', b' ', rest @ ..] => (Transport::Tls, rest),
        _ => return None,
    };
    let (host, rest) = host(rest)?;
    let (port, rest) = port(rest)?;
    let (params, branch, rest) = header_params(rest, b"branch")?;
    Some((Via::from_parts(transport, host, port, params, branch), rest))
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
fn run(input: &[u8], class: u16) -> Plain<'_, &[u8]> {
    let length = scan::run(input, class);
    if length == 0 {
        return None;
    }
    input.split_at_checked(length)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sip::header::CommaList;
    use proptest::prelude::*;

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
