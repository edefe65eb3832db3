//! Addresses in header fields: From, To, Contact, Route, P-Asserted-Identity,
//! Diversion, History-Info.

use memchr::memchr;
use nom::Parser;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::sequence::{delimited, preceded, terminated};

use super::grammar::{Grammar, lws, quoted_string, stopped_in};
use super::param::{Params, Wanted, header_params};
use super::{ParseError, ParseErrorKind, Uri, plain, scan};

/// `name-addr` or `addr-spec` with the header parameters behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NameAddr<'a> {
    /// The display name without its quotes; escapes in it are left in place.
    pub display: Option<&'a [u8]>,
    /// The URI.
    pub uri: Uri<'a>,
    /// The parameters of the header field, not those of the URI.
    pub params: Params<'a>,
    tag: Wanted<'a>,
}

impl<'a> NameAddr<'a> {
    /// Reads a whole value. Without `<>` a `;` begins the header's parameters, and
    /// `?` and `,` are not allowed (RFC 3261 §20.10).
    ///
    /// # Errors
    /// What is wrong, and at which byte of `value`.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        if let Some((address, [])) = plain::name_addr(value) {
            return Ok(address);
        }
        let (rest, (display, uri)) = preceded(lws, name_addr_or_spec)
            .parse(value)
            .map_err(stopped_in(value, ParseErrorKind::Address))?;
        let uri = Uri::parse(uri).map_err(|error| error.shifted(scan::offset_in(value, uri)))?;
        let (rest, params) = terminated(header_params, lws)
            .parse(rest)
            .map_err(stopped_in(value, ParseErrorKind::Parameter))?;
        if rest.is_empty() {
            let tag = Wanted::find(params, b"tag");
            return Ok(Self::from_parts(display, uri, params, tag));
        }
        let kind = if matches!(rest.first(), Some(b';' | b'=')) {
            ParseErrorKind::Parameter
        } else {
            ParseErrorKind::Address
        };
        Err(ParseError::new(kind, scan::offset_in(value, rest)))
    }

    #[inline]
    pub(super) const fn from_parts(
        display: Option<&'a [u8]>,
        uri: Uri<'a>,
        params: Params<'a>,
        tag: Wanted<'a>,
    ) -> Self {
        Self {
            display,
            uri,
            params,
            tag,
        }
    }

    /// The value of a header parameter, its name in any case.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params.get(name)
    }

    /// The `tag` of a From or To.
    pub const fn tag(&self) -> Option<&'a [u8]> {
        self.tag.value
    }

    /// Whether there are several tags.
    pub(super) const fn tag_is_repeated(&self) -> bool {
        self.tag.repeated
    }
}

type Parts<'a> = (Option<&'a [u8]>, &'a [u8]);

fn name_addr_or_spec(input: &[u8]) -> Grammar<'_, Parts<'_>> {
    if input.first() == Some(&b'"') {
        return (terminated(quoted_string, lws).map(Some), bracketed).parse(input);
    }
    let (rest, words) = take_while(|byte| scan::is(byte, scan::DISPLAY)).parse(input)?;
    if rest.first() == Some(&b'<') {
        let words = scan::trim_lws(words);
        return bracketed
            .map(|uri| ((!words.is_empty()).then_some(words), uri))
            .parse(rest);
    }
    take_while1(|byte| byte != b'?' && scan::is(byte, scan::VALUE))
        .map(|uri| (None, uri))
        .parse(input)
}

fn bracketed(input: &[u8]) -> Grammar<'_, &[u8]> {
    delimited(
        tag(&b"<"[..]),
        take_while(|byte| byte != b'>'),
        tag(&b">"[..]),
    )
    .parse(input)
}

/// One value of a Diversion header field (RFC 5806): who sent the call on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Diversion<'a> {
    /// The diverting user, with all parameters.
    pub address: NameAddr<'a>,
}

impl<'a> Diversion<'a> {
    /// Reads a whole value.
    ///
    /// # Errors
    /// As [`NameAddr::parse`].
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        NameAddr::parse(value).map(|address| Self { address })
    }

    /// Why: `user-busy`, `no-answer`, `unconditional` …, without quotes.
    pub fn reason(&self) -> Option<&'a [u8]> {
        self.address.param(b"reason").map(unquoted)
    }

    /// How many diversions this value stands for; 1 if it does not say.
    pub fn counter(&self) -> u32 {
        self.address
            .param(b"counter")
            .and_then(scan::decimal)
            .unwrap_or(1)
    }

    /// `full`, `name`, `uri` or `off`, without quotes.
    pub fn privacy(&self) -> Option<&'a [u8]> {
        self.address.param(b"privacy").map(unquoted)
    }
}

/// One value of a History-Info header field (RFC 7044, RFC 4244).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HistoryInfo<'a> {
    /// The target the request had, with all parameters. A Reason or Privacy of the
    /// entry is escaped in the headers of its URI.
    pub address: NameAddr<'a>,
}

impl<'a> HistoryInfo<'a> {
    /// Reads a whole value.
    ///
    /// # Errors
    /// As [`NameAddr::parse`].
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        NameAddr::parse(value).map(|address| Self { address })
    }

    /// The index as it came: `1.2.1`. `None` too when it is no index.
    pub fn index(&self) -> Option<&'a [u8]> {
        let index = self.address.param(b"index")?;
        let numbers = index
            .split(|byte| *byte == b'.')
            .all(|part| scan::decimal(part).is_some());
        numbers.then_some(index)
    }

    /// The numbers of the index, from the first retargeting on.
    pub fn index_numbers(&self) -> impl Iterator<Item = u32> + use<'a> {
        self.index()
            .unwrap_or_default()
            .split(|byte| *byte == b'.')
            .filter_map(scan::decimal)
    }

    /// The index of the entry this one was retargeted from by number mapping
    /// (`rc`, `mp` or `np`, RFC 7044 §5).
    pub fn retargeted_from(&self) -> Option<&'a [u8]> {
        [&b"rc"[..], b"mp", b"np"]
            .into_iter()
            .find_map(|name| self.address.param(name))
    }
}

fn unquoted(value: &[u8]) -> &[u8] {
    value
        .strip_prefix(b"\"")
        .and_then(|value| value.strip_suffix(b"\""))
        .unwrap_or(value)
}

/// The tag of a value that may be no address at all: what stands behind the last
/// `>` is searched for a parameter of that name.
pub(super) fn has_tag(value: &[u8]) -> bool {
    if let Ok(address) = NameAddr::parse(value) {
        return address.tag().is_some();
    }
    let tail = memchr::memrchr(b'>', value)
        .and_then(|at| value.get(at..))
        .unwrap_or(value);
    memchr(b';', tail)
        .and_then(|at| tail.get(at..))
        .is_some_and(|params| {
            Params::new(params)
                .iter()
                .any(|param| param.name.eq_ignore_ascii_case(b"tag"))
        })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own address has failed.

    use super::*;

    fn address(text: &str) -> NameAddr<'_> {
        NameAddr::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_quotes_and_brackets() {
        for (text, display, uri, tag) in [
            ("sip:a@b;tag=1", None, "sip:a@b", Some("1")),
            ("<sip:a@b;tag=no>", None, "sip:a@b;tag=no", None),
            (
                "caller<sip:a@b>;tag=2",
                Some("caller"),
                "sip:a@b",
                Some("2"),
            ),
            (
                "J.\r\n Doe  (Work) <sip:a@b>\r\n ; tag = 3 ",
                Some("J.\r\n Doe  (Work)"),
                "sip:a@b",
                Some("3"),
            ),
            (
                "\"A <x> \\\" B\" <sip:a,b@c?h=v>;TAG=4",
                Some("A <x> \\\" B"),
                "sip:a,b@c?h=v",
                Some("4"),
            ),
            (
                "\"\"<tel:+1;phone-context=+44>;x=\"a;tag=9\"",
                Some(""),
                "tel:+1;phone-context=+44",
                None,
            ),
            ("J\u{f6}rg <sip:a@b>", Some("J\u{f6}rg"), "sip:a@b", None),
            ("isbn:2983792873", None, "isbn:2983792873", None),
        ] {
            let address = address(text);
            assert_eq!(address.display, display.map(str::as_bytes), "{text}");
            assert_eq!(address.uri.raw, uri.as_bytes(), "{text}");
            assert_eq!(address.tag(), tag.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused_at_its_place() {
        use ParseErrorKind as Kind;
        for (text, kind, offset) in [
            ("", Kind::Address, 0),
            ("*", Kind::Uri, 0),
            ("\"open <sip:a@b>", Kind::Address, 0),
            ("\"A\" sip:a@b", Kind::Address, 4),
            ("Doe, Jane <sip:a@b>", Kind::Uri, 3),
            ("<sip:a@b", Kind::Address, 8),
            ("< sip:a@b >", Kind::Uri, 1),
            ("sip:a@b?h=v", Kind::Address, 7),
            ("sip:a@b, sip:c@d", Kind::Address, 7),
            ("<sip:a@b>;", Kind::Parameter, 9),
            ("<sip:a@b>;;tag=1", Kind::Parameter, 9),
            ("<sip:a@b>;tag=", Kind::Parameter, 13),
            ("<sip:a@b> x", Kind::Address, 10),
            ("<sip:a@b:x>", Kind::UriPort, 9),
        ] {
            let error = NameAddr::parse(text.as_bytes()).unwrap_err();
            assert_eq!((error.kind, error.offset), (kind, offset), "{text}");
        }
    }

    #[test]
    fn diversion_and_history() {
        let diversion = Diversion::parse(
            b"\"Desk\" <sip:+442071838751@x>;reason=\"no-answer\";counter=2;privacy=off",
        )
        .unwrap();
        assert_eq!(diversion.reason(), Some(&b"no-answer"[..]));
        assert_eq!(
            (diversion.counter(), diversion.privacy()),
            (2, Some(&b"off"[..]))
        );
        assert_eq!(Diversion::parse(b"<sip:a@b>").unwrap().counter(), 1);

        let entry = HistoryInfo::parse(b"<sip:+1@x;user=phone?Reason=SIP;cause=302;text=%22Moved%22&Privacy=id>;index=1.2.1;mp=1.1").unwrap();
        assert_eq!(entry.index(), Some(&b"1.2.1"[..]));
        assert_eq!(entry.index_numbers().collect::<Vec<_>>(), [1, 2, 1]);
        assert_eq!(entry.retargeted_from(), Some(&b"1.1"[..]));
        assert_eq!(
            entry.address.uri.headers,
            Some(&b"Reason=SIP;cause=302;text=%22Moved%22&Privacy=id"[..])
        );
        let without = HistoryInfo::parse(b"<sip:a@b>;index=1..2").unwrap();
        assert_eq!(
            (without.index(), without.index_numbers().count()),
            (None, 0)
        );
    }

    #[test]
    fn a_tag_is_found_in_damaged_values_too() {
        assert!(has_tag(b"<sip:a@b>;tag=1"));
        assert!(has_tag(b"\"open <sip:a@b> ; Tag = 1"));
        assert!(has_tag(b"nonsense;;tag=1"));
        assert!(!has_tag(b"\"open <sip:a@b;tag=1>"));
        assert!(!has_tag(b"sip:a@b"));
    }
}
