//! URIs: sip, sips (RFC 3261 §19.1) and tel (RFC 3966).

use std::fmt;

use memchr::memchr;
use nom::Parser;
use nom::bytes::complete::{tag, take_while1};
use nom::sequence::terminated;

use super::grammar::{Grammar, stopped_in};
use super::host::{Host, host};
use super::param::{Params, uri_params};
use super::{ParseError, ParseErrorKind, block, plain, scan};
use crate::limits::URI_BYTES_MAX;

/// A URI, read from bytes it still borrows. Nothing is unescaped.
///
/// `==` compares the parts byte for byte, as `raw` does; what RFC 3261 calls equal
/// is [`Uri::equivalent`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The scheme.
    pub scheme: Scheme<'a>,
    /// The user part. For a tel URI: the number with its parameters.
    pub user: Option<UserPart<'a>>,
    /// What stands between the user's `:` and the `@`.
    pub password: Option<&'a [u8]>,
    /// The host; the empty domain for tel and unknown schemes.
    pub host: Host<'a>,
    /// The port, if it is written.
    pub port: Option<u16>,
    /// The URI parameters; for a tel URI those of the number.
    pub params: Params<'a>,
    /// What follows the `?`, as it came.
    pub headers: Option<&'a [u8]>,
    /// The whole URI as it came.
    pub raw: &'a [u8],
}

/// The scheme of a URI, read without case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Scheme<'a> {
    /// `sip:`.
    Sip,
    /// `sips:`.
    Sips,
    /// `tel:`.
    Tel,
    /// Any other, as it came.
    Other(&'a [u8]),
}

/// The user part of a URI, as it came: a telephone number with its parameters
/// (RFC 3261 §19.1.6), a name, or whatever a peer makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UserPart<'a>(&'a [u8]);

impl<'a> Uri<'a> {
    /// Reads a whole value as a URI.
    ///
    /// More than the grammar is taken where the field sends more and nothing is
    /// ambiguous: `#` and non-ASCII bytes in the user part, `_` in host names.
    ///
    /// # Errors
    /// Which part is wrong, and at which byte of `raw`. An unknown scheme is no
    /// error here: a From may carry any URI (RFC 3261 §20.20).
    pub fn parse(raw: &'a [u8]) -> Result<Self, ParseError> {
        if let Some((uri, [])) = plain::uri(raw) {
            return Ok(uri);
        }
        Self::parse_grammar(raw)
    }

    /// As [`Uri::parse`], whatever form the URI has.
    pub(super) fn parse_grammar(raw: &'a [u8]) -> Result<Self, ParseError> {
        let (rest, scheme) = scheme(raw).map_err(stopped_in(raw, ParseErrorKind::Uri))?;
        match scheme {
            Scheme::Sip | Scheme::Sips => Self::parse_sip(raw, scheme, rest),
            Scheme::Tel => Self::parse_tel(raw, rest),
            Scheme::Other(_) => Self::parse_opaque(raw, scheme, rest),
        }
    }

    /// RFC 3261 §25.1: `[ userinfo ] hostport uri-parameters [ headers ]`.
    fn parse_sip(raw: &'a [u8], scheme: Scheme<'a>, rest: &'a [u8]) -> Result<Self, ParseError> {
        // No byte behind the user info may be an unescaped `@`.
        let (user, password, rest) =
            match memchr(b'@', rest).and_then(|at| rest.split_at_checked(at)) {
                Some((userinfo, rest)) => {
                    let (user, password) = user_info(raw, userinfo)?;
                    (Some(user), password, rest.get(1..).unwrap_or_default())
                }
                None => (None, None, rest),
            };
        let (rest, host) = host(rest).map_err(stopped_in(raw, ParseErrorKind::UriHost))?;
        let (rest, port) = port(raw, rest)?;
        if !matches!(rest.first(), None | Some(b';' | b'?')) {
            return Err(wrong(raw, rest, ParseErrorKind::UriHost));
        }
        let (rest, params) =
            uri_params(rest).map_err(stopped_in(raw, ParseErrorKind::UriParameter))?;
        let headers = headers(raw, rest)?;
        Ok(Self {
            scheme,
            user,
            password,
            host,
            port,
            params,
            headers,
            raw,
        })
    }

    /// RFC 3966 §3. A local number without `phone-context` is taken: whose number
    /// it is follows from the trunk it arrives on.
    fn parse_tel(raw: &'a [u8], rest: &'a [u8]) -> Result<Self, ParseError> {
        let number = rest
            .iter()
            .position(|byte| !scan::is(*byte, scan::PHONE))
            .unwrap_or(rest.len());
        let tail = rest.get(number..).unwrap_or_default();
        if number == 0 || !matches!(tail.first(), None | Some(b';')) {
            return Err(wrong(raw, tail, ParseErrorKind::UriUser));
        }
        let (left, params) =
            uri_params(tail).map_err(stopped_in(raw, ParseErrorKind::UriParameter))?;
        if !left.is_empty() {
            return Err(wrong(raw, left, ParseErrorKind::UriParameter));
        }
        let user = Some(UserPart(rest));
        Ok(Self {
            scheme: Scheme::Tel,
            user,
            password: None,
            host: Host::NONE,
            port: None,
            params,
            headers: None,
            raw,
        })
    }

    /// RFC 3261 §25.1 `absoluteURI`, as far as it matters: visible and undelimited.
    fn parse_opaque(raw: &'a [u8], scheme: Scheme<'a>, rest: &'a [u8]) -> Result<Self, ParseError> {
        let stop = |byte: &u8| *byte <= b' ' || matches!(byte, 0x7f | b'<' | b'>' | b'"');
        if let Some(at) = rest.iter().position(stop) {
            return Err(wrong(
                raw,
                rest.get(at..).unwrap_or_default(),
                ParseErrorKind::Uri,
            ));
        }
        if rest.is_empty() {
            return Err(wrong(raw, rest, ParseErrorKind::Uri));
        }
        let params = Params::default();
        Ok(Self {
            scheme,
            user: None,
            password: None,
            host: Host::NONE,
            port: None,
            params,
            headers: None,
            raw,
        })
    }

    /// The value of a URI parameter, its name in any case; empty for a parameter
    /// without value, such as `lr`.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params.get(name)
    }

    /// The host as it is written, without brackets; empty where there is none.
    pub fn host_text(&self) -> &'a [u8] {
        if let Some(name) = self.host.domain() {
            return name;
        }
        let before = match (self.user, self.password) {
            (_, Some(password)) => scan::offset_in(self.raw, password) + password.len(),
            (Some(user), None) => scan::offset_in(self.raw, user.0) + user.0.len(),
            (None, None) => memchr(b':', self.raw).unwrap_or_default(),
        };
        let written = self.raw.get(before + 1..).unwrap_or_default();
        let end = match written.strip_prefix(b"[") {
            Some(inner) => return inner.split(|byte| *byte == b']').next().unwrap_or_default(),
            None => scan::run(written, scan::HOST),
        };
        written.get(..end).unwrap_or_default()
    }

    /// Whether both name the same resource: RFC 3261 §19.1.4, and RFC 3966 §5 for
    /// tel. Unknown schemes compare byte for byte behind the scheme.
    ///
    /// Parameters and headers are compared each with each, so URIs longer than
    /// `limits::URI_BYTES_MAX` are equivalent only if they are equal bytes.
    pub fn equivalent(&self, other: &Uri<'_>) -> bool {
        if self.raw == other.raw {
            return true;
        }
        if self.raw.len().max(other.raw.len()) > URI_BYTES_MAX {
            return false;
        }
        match (self.scheme, other.scheme) {
            (Scheme::Sip, Scheme::Sip) | (Scheme::Sips, Scheme::Sips) => {
                same_user_info(self, other)
                    && self.host == other.host
                    && self.port == other.port
                    && same_sip_params(self.params, other.params)
                    && same_headers(
                        self.headers.unwrap_or_default(),
                        other.headers.unwrap_or_default(),
                    )
            }
            (Scheme::Tel, Scheme::Tel) => {
                same_phone(self.user, other.user)
                    && carries_all(self.params, other.params)
                    && carries_all(other.params, self.params)
            }
            (Scheme::Other(a), Scheme::Other(b)) => {
                a.eq_ignore_ascii_case(b) && self.raw.get(a.len()..) == other.raw.get(b.len()..)
            }
            _ => false,
        }
    }
}

impl fmt::Display for Uri<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.raw.escape_ascii().fmt(f)
    }
}

impl<'a> UserPart<'a> {
    /// A user part that stands outside a URI, unchecked.
    pub const fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// All of it, parameters included, as it came.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether it is all number: without parameters and without `%` escapes.
    pub fn is_bare(&self) -> bool {
        !block::any(self.0, |block| block.equal(b';') | block.equal(b'%'))
    }

    /// What stands before the first `;`: the number, not normalised.
    pub fn number(&self) -> &'a [u8] {
        // Short: the call of memchr costs more than it finds.
        let at = self.0.iter().position(|byte| *byte == b';');
        at.and_then(|at| self.0.get(..at)).unwrap_or(self.0)
    }

    /// The parameters behind the number: `phone-context`, `ext`, `isub`, `tgrp`,
    /// `trunk-context` (RFC 4904), `rn`, `npdi` (RFC 4694).
    pub fn params(&self) -> Params<'a> {
        Params::new(self.0.get(self.number().len()..).unwrap_or_default())
    }

    /// The value of such a parameter, its name in any case.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params().get(name)
    }

    /// All of it with `%` escapes resolved, once.
    ///
    /// `None` when `out` is too short, and when a control byte or NUL would come
    /// out: what is decoded must be safe to look at.
    pub fn decode<'o>(&self, out: &'o mut [u8]) -> Option<&'o [u8]> {
        unescape(self.0, out)
    }

    /// [`UserPart::number`] with `%` escapes resolved, as [`UserPart::decode`] does.
    pub fn decode_number<'o>(&self, out: &'o mut [u8]) -> Option<&'o [u8]> {
        unescape(self.number(), out)
    }
}

fn unescape<'o>(text: &[u8], out: &'o mut [u8]) -> Option<&'o [u8]> {
    let mut rest = text;
    let mut length = 0;
    while let [first, tail @ ..] = rest {
        let byte = if *first == b'%' {
            let [high, low, tail @ ..] = tail else {
                return None;
            };
            rest = tail;
            scan::unhex(*high, *low)?
        } else {
            rest = tail;
            *first
        };
        if byte.is_ascii_control() {
            return None;
        }
        *out.get_mut(length)? = byte;
        length += 1;
    }
    out.get(..length)
}

fn scheme(input: &[u8]) -> Grammar<'_, Scheme<'_>> {
    let name =
        take_while1(|byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    let (rest, name) = terminated(name, tag(&b":"[..])).parse(input)?;
    let scheme = match name.len() {
        3 if name.eq_ignore_ascii_case(b"sip") => Scheme::Sip,
        4 if name.eq_ignore_ascii_case(b"sips") => Scheme::Sips,
        3 if name.eq_ignore_ascii_case(b"tel") => Scheme::Tel,
        _ => Scheme::Other(name),
    };
    Ok((rest, scheme))
}

type UserInfo<'a> = (UserPart<'a>, Option<&'a [u8]>);

/// `user [ ":" password ]`.
fn user_info<'a>(raw: &[u8], text: &'a [u8]) -> Result<UserInfo<'a>, ParseError> {
    let (user, password) = match memchr(b':', text).and_then(|at| text.split_at_checked(at)) {
        Some((user, password)) => (user, password.get(1..)),
        None => (text, None),
    };
    let run = scan::escaped_run(user, scan::USER);
    if user.is_empty() || run < user.len() {
        return Err(wrong(
            raw,
            user.get(run..).unwrap_or_default(),
            ParseErrorKind::UriUser,
        ));
    }
    let run = password.map_or(0, |password| scan::escaped_run(password, scan::PASSWORD));
    match password.and_then(|password| password.get(run..)) {
        Some(left) if !left.is_empty() => Err(wrong(raw, left, ParseErrorKind::UriPassword)),
        _ => Ok((UserPart(user), password)),
    }
}

/// `[ ":" port ]`.
fn port<'a>(raw: &[u8], rest: &'a [u8]) -> Result<(&'a [u8], Option<u16>), ParseError> {
    let Some(digits) = rest.strip_prefix(b":") else {
        return Ok((rest, None));
    };
    let length = digits
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(digits.len());
    let number = digits.get(..length).and_then(scan::port);
    let number = number.ok_or_else(|| wrong(raw, digits, ParseErrorKind::UriPort))?;
    Ok((digits.get(length..).unwrap_or_default(), Some(number)))
}

/// `[ "?" headers ]`, and nothing behind it.
fn headers<'a>(raw: &[u8], rest: &'a [u8]) -> Result<Option<&'a [u8]>, ParseError> {
    let Some(text) = rest.strip_prefix(b"?") else {
        let nothing_left = rest.is_empty().then_some(None);
        return nothing_left.ok_or_else(|| wrong(raw, rest, ParseErrorKind::UriParameter));
    };
    // An unescaped `;` too: some write a Reason in History-Info so.
    let run = scan::escaped_run(text, scan::URI_PART | scan::USER);
    if text.is_empty() || run < text.len() {
        return Err(wrong(
            raw,
            text.get(run..).unwrap_or_default(),
            ParseErrorKind::UriHeaders,
        ));
    }
    Ok(Some(text))
}

fn wrong(raw: &[u8], at: &[u8], kind: ParseErrorKind) -> ParseError {
    ParseError::new(kind, scan::offset_in(raw, at))
}

/// A byte of a URI for comparison: an escape equals the byte it stands for unless
/// that byte is reserved (RFC 3261 §19.1.4). The flag says "reserved and escaped".
fn units(text: &[u8]) -> impl Iterator<Item = (u8, bool)> + '_ {
    let mut rest = text;
    std::iter::from_fn(move || match rest {
        [b'%', high, low, tail @ ..] if scan::unhex(*high, *low).is_some() => {
            rest = tail;
            let byte = scan::unhex(*high, *low)?;
            Some((byte, b";/?:@&=+$,".contains(&byte)))
        }
        [byte, tail @ ..] => {
            rest = tail;
            Some((*byte, false))
        }
        [] => None,
    })
}

fn same_text(a: &[u8], b: &[u8]) -> bool {
    units(a).eq(units(b))
}

fn same_text_any_case(a: &[u8], b: &[u8]) -> bool {
    let lower = |(byte, escaped): (u8, bool)| (byte.to_ascii_lowercase(), escaped);
    units(a).map(lower).eq(units(b).map(lower))
}

fn same_user_info(a: &Uri<'_>, b: &Uri<'_>) -> bool {
    let same = |a: Option<&[u8]>, b: Option<&[u8]>| match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same_text(a, b),
        _ => false,
    };
    same(a.user.map(|u| u.0), b.user.map(|u| u.0)) && same(a.password, b.password)
}

/// Parameters in both must match; those that say where or how a request goes must
/// be in both. `transport` is among them by the examples of §19.1.4.
fn same_sip_params(a: Params<'_>, b: Params<'_>) -> bool {
    const MUST_BE_IN_BOTH: [&[u8]; 5] = [b"user", b"ttl", b"method", b"maddr", b"transport"];
    let agrees = |mine: Params<'_>, theirs: Params<'_>| {
        mine.iter().all(|param| {
            let mut same_name = theirs
                .iter()
                .filter(|other| same_text_any_case(other.name, param.name))
                .peekable();
            if same_name.peek().is_none() {
                return !MUST_BE_IN_BOTH
                    .iter()
                    .any(|name| same_text_any_case(name, param.name));
            }
            same_name.any(|other| same_value(param.value, other.value))
        })
    };
    agrees(a, b) && agrees(b, a)
}

fn carries_all(a: Params<'_>, b: Params<'_>) -> bool {
    a.iter().all(|mine| {
        b.iter().any(|other| {
            same_text_any_case(mine.name, other.name) && same_value(mine.value, other.value)
        })
    })
}

fn same_value(a: Option<&[u8]>, b: Option<&[u8]>) -> bool {
    match (a, b) {
        (None, None) => true,
        (Some(a), Some(b)) => same_text_any_case(a, b),
        _ => false,
    }
}

/// Headers are never ignored; their order does not matter.
fn same_headers(a: &[u8], b: &[u8]) -> bool {
    fn fields(text: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
        text.split(|byte| *byte == b'&')
            .filter(|field| !field.is_empty())
            .map(|field| {
                let name = memchr(b'=', field).unwrap_or(field.len());
                (
                    field.get(..name).unwrap_or_default(),
                    field.get(name + 1..).unwrap_or_default(),
                )
            })
    }
    let within = |mine, theirs| {
        fields(mine).all(|(name, value)| {
            fields(theirs)
                .any(|(other, text)| same_text_any_case(name, other) && same_text(value, text))
        })
    };
    within(a, b) && within(b, a)
}

/// RFC 3966 §5: visual separators and case do not count.
fn same_phone(a: Option<UserPart<'_>>, b: Option<UserPart<'_>>) -> bool {
    fn digits<'a>(user: Option<UserPart<'a>>) -> impl Iterator<Item = u8> + use<'a> {
        let number = user.map(|user| user.number()).unwrap_or_default();
        number
            .iter()
            .filter(|byte| !matches!(byte, b'-' | b'.' | b'(' | b')'))
            .map(u8::to_ascii_lowercase)
    }
    digits(a).eq(digits(b))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own URI has failed.

    use super::*;

    fn uri(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn hosts_are_shown_as_written_without_brackets() {
        for (uri, written) in [
            ("sip:1@10.0.0.5:5060", "10.0.0.5"),
            ("sip:10.0.0.5;lr", "10.0.0.5"),
            ("sip:1@[2001:DB8::5]:5060", "2001:DB8::5"),
            ("sips:a@SBC.example.net?x=y", "SBC.example.net"),
            ("tel:+4420", ""),
            ("sip:a:b@10.0.0.5?x=y", "10.0.0.5"),
        ] {
            assert_eq!(
                Uri::parse(uri.as_bytes()).unwrap().host_text(),
                written.as_bytes(),
                "{uri}"
            );
        }
    }

    #[test]
    fn the_parts_of_a_sip_uri() {
        let uri = uri(
            "SIPS:jane.doe:pass@Gw.Example:5061;transport=TCP;lr;gr=urn:uuid:f8?Subject=a%20b&x=y",
        );
        assert_eq!(uri.scheme, Scheme::Sips);
        assert_eq!(uri.user.unwrap().as_bytes(), b"jane.doe");
        assert_eq!(uri.password, Some(&b"pass"[..]));
        assert_eq!(uri.host, Host::Domain(b"gw.example"));
        assert_eq!(uri.port, Some(5061));
        assert_eq!(uri.param(b"Transport"), Some(&b"TCP"[..]));
        assert_eq!(uri.param(b"lr"), Some(&b""[..]));
        assert_eq!(uri.param(b"gr"), Some(&b"urn:uuid:f8"[..]));
        assert_eq!(uri.param(b"maddr"), None);
        assert_eq!(uri.headers, Some(&b"Subject=a%20b&x=y"[..]));
    }

    #[test]
    fn the_user_part_is_a_number_with_parameters() {
        let user = uri("sip:+442071838750;npdi;rn=+12015550100;tgrp=lon;trunk-context=x.example@h")
            .user
            .unwrap();
        assert_eq!(user.number(), b"+442071838750");
        assert_eq!(user.param(b"npdi"), Some(&b""[..]));
        assert_eq!(user.param(b"RN"), Some(&b"+12015550100"[..]));
        assert_eq!(user.param(b"trunk-context"), Some(&b"x.example"[..]));
        let odd = uri("sip:a;par=u%40example.net@h").user.unwrap();
        assert_eq!(odd.as_bytes(), b"a;par=u%40example.net");
        let every = uri(
            "sip:1_unusual~(to-be!sure)&isn't+it$/crazy?,/;;*:&it+has=1,weird!*pas$wo~d@example.com",
        );
        assert_eq!(
            every.user.unwrap().as_bytes(),
            b"1_unusual~(to-be!sure)&isn't+it$/crazy?,/;;*"
        );
        assert_eq!(every.password, Some(&b"&it+has=1,weird!*pas$wo~d"[..]));
        assert_eq!(uri("sip:*21#0@h").user.unwrap().number(), b"*21#0");
    }

    #[test]
    fn a_tel_uri_is_a_number_with_parameters() {
        let local = uri("tel:7042;phone-context=example.com");
        assert_eq!(local.scheme, Scheme::Tel);
        assert_eq!(local.user.unwrap().number(), b"7042");
        assert_eq!(local.param(b"phone-context"), Some(&b"example.com"[..]));
        assert_eq!(local.host, Host::Domain(b""));
        assert_eq!(
            uri("TEL:+44-20-7183-8750").user.unwrap().as_bytes(),
            b"+44-20-7183-8750"
        );
    }

    #[test]
    fn decoding_happens_once_and_never_makes_control_bytes() {
        let mut out = [0; 32];
        let decode = |text: &str, out: &mut [u8; 32]| {
            uri(text).user.unwrap().decode(out).map(<[u8]>::to_vec)
        };
        assert_eq!(
            decode("sip:%2b44%2523@h", &mut out),
            Some(b"+44%23".to_vec())
        );
        assert_eq!(decode("sip:a%00b@h", &mut out), None);
        assert_eq!(decode("sip:a%0d%0ab@h", &mut out), None);
        assert_eq!(decode(&format!("sip:{}@h", "1".repeat(33)), &mut out), None);
        assert_eq!(
            uri("sip:%2b1;ext=%32@h")
                .user
                .unwrap()
                .decode_number(&mut out),
            Some(&b"+1"[..])
        );
    }

    #[test]
    fn a_wrong_part_is_named() {
        use ParseErrorKind as Kind;
        for (text, kind, offset) in [
            ("", Kind::Uri, 0),
            ("example.com", Kind::Uri, 11),
            ("<sip:a@b>", Kind::Uri, 0),
            ("sip:", Kind::UriHost, 4),
            ("sip:@h", Kind::UriUser, 4),
            ("sip:a b@h", Kind::UriUser, 5),
            ("sip:a%2@h", Kind::UriUser, 5),
            ("sip:a\"@h", Kind::UriUser, 5),
            ("sip:a:p q@h", Kind::UriPassword, 7),
            ("sip:a@h@evil", Kind::UriHost, 7),
            ("sip:2001:db8::10", Kind::UriHost, 4),
            ("sip:a@h:65536", Kind::UriPort, 8),
            ("sip:a@h:", Kind::UriPort, 8),
            ("sip:a@h;;lr", Kind::UriParameter, 7),
            ("sip:a@h; lr", Kind::UriParameter, 7),
            ("sip:a@h?", Kind::UriHeaders, 8),
            ("sip:a@h?a b", Kind::UriHeaders, 9),
            ("tel:", Kind::UriUser, 4),
            ("tel:alice", Kind::UriUser, 5),
            ("tel:1;", Kind::UriParameter, 5),
            ("http:", Kind::Uri, 5),
            ("urn:a b", Kind::Uri, 5),
        ] {
            let error = Uri::parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.kind, error.offset), (kind, offset), "{text}");
        }
    }

    #[test]
    fn equivalence_follows_the_rfc() {
        // The examples of RFC 3261 §19.1.4, and our own behind them.
        let same = [
            (
                "sip:%61lice@atlanta.com;transport=TCP",
                "sip:alice@AtLanTa.CoM;Transport=tcp",
            ),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
            ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
            (
                "sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com",
                "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com",
            ),
            (
                "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
                "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
            ),
            ("sip:a@[2001:db8::1]", "SIP:a@[2001:DB8:0::1]"),
            ("tel:+44-20-7183-8750", "tel:+442071838750"),
            (
                "tel:7042;phone-context=Example.com;ext=1",
                "tel:70-42;ext=1;phone-context=example.com",
            ),
            ("urn:service:sos", "URN:service:sos"),
        ];
        let different = [
            (
                "SIP:ALICE@AtLanTa.CoM;Transport=udp",
                "sip:alice@AtLanTa.CoM;Transport=UDP",
            ),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
            ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
            (
                "sip:bob@biloxi.com",
                "sip:bob@biloxi.com:6000;transport=tcp",
            ),
            (
                "sip:carol@chicago.com",
                "sip:carol@chicago.com?Subject=next%20meeting",
            ),
            ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
            ("sip:a@h", "sips:a@h"),
            ("sip:a@h", "sip:h"),
            ("sip:a@h", "sip:a:@h"),
            ("sip:a@h;user=phone", "sip:a@h"),
            ("sip:a@h;x=1", "sip:a@h;x=2"),
            ("sip:a%3Bb@h", "sip:a;b@h"),
            ("tel:+1", "tel:1"),
            ("tel:1;phone-context=a", "tel:1"),
            ("urn:a", "urn:A"),
        ];
        for (a, b) in same {
            assert!(
                uri(a).equivalent(&uri(b)) && uri(b).equivalent(&uri(a)),
                "{a} is {b}"
            );
        }
        for (a, b) in different {
            assert!(
                !uri(a).equivalent(&uri(b)) && !uri(b).equivalent(&uri(a)),
                "{a} is not {b}"
            );
        }
    }
}
