//! Parameters: `;name=value` lists of headers and URIs.

use memchr::{memchr, memchr2};
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::combinator::{opt, recognize};
use nom::multi::fold_many0;
use nom::sequence::preceded;

use super::grammar::{Grammar, quoted_string, separator, token};
use super::header::quoted_length;
use super::scan::{self, trim_lws};

/// A list of parameters as it stands in the message, from its first `;` on.
///
/// Only checked lists are made public, so iterating meets well-formed parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Params<'a>(&'a [u8]);

/// One parameter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Param<'a> {
    /// Its name as it came; compare it without case.
    pub name: &'a [u8],
    /// Its value as it came, quotes included; `None` for a mere `;name`.
    pub value: Option<&'a [u8]>,
}

/// What a list has of the one parameter that identifies something: `tag`, `branch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Wanted<'a> {
    /// The value of the first one; empty if it has none.
    pub(super) value: Option<&'a [u8]>,
    /// Whether there is another one.
    pub(super) repeated: bool,
}

/// One bit for each length that some name of a list has; names of 32 bytes and more have
/// none.
pub(super) type NameLengths = u32;

/// The bit of a length.
#[inline(always)]
pub(super) const fn length_bit(length: usize) -> NameLengths {
    if length < 32 { 1 << length } else { 0 }
}

impl<'a> Wanted<'a> {
    pub(super) fn find(params: Params<'a>, name: &[u8]) -> Self {
        let mut found = Self::default();
        for param in params
            .iter()
            .filter(|param| param.name.eq_ignore_ascii_case(name))
        {
            found.add(param.value.unwrap_or_default());
        }
        found
    }

    #[inline]
    pub(super) fn add(&mut self, value: &'a [u8]) {
        self.repeated = self.value.is_some();
        self.value = self.value.or(Some(value));
    }
}

impl<'a> Params<'a> {
    pub(super) const fn new(raw: &'a [u8]) -> Self {
        Self(raw)
    }

    /// The list as it stands in the message.
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The parameters in order.
    pub fn iter(&self) -> impl Iterator<Item = Param<'a>> + use<'a> {
        self.segments().map(Param::from_segment)
    }

    /// The value of the first parameter of that name, in any case; empty for a
    /// parameter without value.
    pub fn get(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.iter()
            .find(|param| param.name.eq_ignore_ascii_case(name))
            .map(|param| param.value.unwrap_or_default())
    }

    /// The lengths of all names.
    pub(super) fn name_lengths(&self) -> NameLengths {
        self.iter()
            .fold(0, |lengths, param| lengths | length_bit(param.name.len()))
    }

    /// The bytes between the semicolons, blanks included.
    pub(super) fn segments(&self) -> Segments<'a> {
        Segments { rest: self.0 }
    }
}

impl<'a> Param<'a> {
    pub(super) fn from_segment(segment: &'a [u8]) -> Self {
        match memchr(b'=', segment).and_then(|at| segment.split_at_checked(at)) {
            Some((name, value)) => {
                let value = value.split_first().map_or(&[][..], |(_, value)| value);
                Self {
                    name: trim_lws(name),
                    value: Some(trim_lws(value)),
                }
            }
            None => Self {
                name: trim_lws(segment),
                value: None,
            },
        }
    }
}

/// Iterator over the pieces of a parameter list; each as it stands between two
/// semicolons that are not inside quotes.
#[derive(Debug, Clone)]
pub(super) struct Segments<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Segments<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        // What stands before the first `;` is white space.
        let start = memchr(b';', self.rest)?;
        let tail = self.rest.get(start + 1..)?;
        let end = segment_length(tail);
        let (segment, rest) = tail.split_at_checked(end)?;
        self.rest = rest;
        Some(segment)
    }
}

fn segment_length(text: &[u8]) -> usize {
    let mut at = 0;
    while let Some(found) = text.get(at..).and_then(|tail| memchr2(b';', b'"', tail)) {
        at += found;
        if text.get(at) == Some(&b';') {
            return at;
        }
        let tail = text.get(at + 1..).unwrap_or_default();
        at += 1 + quoted_length(tail).unwrap_or(tail.len());
    }
    text.len()
}

/// The value of a parameter, behind its `=` and blanks.
fn header_value(input: &[u8]) -> Grammar<'_, &[u8]> {
    let unquoted = take_while1(|byte| scan::is(byte, scan::VALUE));
    alt((quoted_string, unquoted)).parse(input)
}

/// `=` with blanks around it. Behind a blank a parenthesis opens a comment, which is no value
/// and hides commas.
fn equal(input: &[u8]) -> Grammar<'_, &[u8]> {
    let (rest, equal) = recognize(separator(b"=")).parse(input)?;
    if rest.starts_with(b"(") && !equal.ends_with(b"=") {
        let error = nom::error::Error::new(rest, nom::error::ErrorKind::Verify);
        return Err(nom::Err::Error(error));
    }
    Ok((rest, equal))
}

/// `*( SEMI generic-param )` of a header value; stops before what is none.
pub(super) fn header_params(input: &[u8]) -> Grammar<'_, Params<'_>> {
    let param = (token, opt(preceded(equal, header_value)));
    recognize(fold_many0(
        preceded(separator(b";"), param),
        || (),
        |(), _| (),
    ))
    .map(Params)
    .parse(input)
}

/// `*( ";" uri-parameter )`, without white space (RFC 3261 §19.1.1); stops before
/// what is none.
pub(super) fn uri_params(input: &[u8]) -> Grammar<'_, Params<'_>> {
    let part = |input| uri_part(input, b"=");
    let value = |input| uri_part(input, b"");
    let param = (part, opt(preceded(tag(&b"="[..]), value)));
    recognize(fold_many0(
        preceded(tag(&b";"[..]), param),
        || (),
        |(), _| (),
    ))
    .map(Params)
    .parse(input)
}

/// One or more bytes of a URI parameter, up to a byte of `until`.
fn uri_part<'a>(input: &'a [u8], until: &[u8]) -> Grammar<'a, &'a [u8]> {
    let run = scan::escaped_run(input, scan::URI_PART);
    let run = input.get(..run).unwrap_or_default();
    let length = run
        .iter()
        .position(|byte| until.contains(byte) || *byte == b'?')
        .unwrap_or(run.len());
    match input.split_at_checked(length) {
        Some((part, rest)) if !part.is_empty() => Ok((rest, part)),
        _ => Err(nom::Err::Error(nom::error::Error::new(
            input,
            nom::error::ErrorKind::TakeWhile1,
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_parameters_have_blanks_quotes_and_flags() {
        let text = b" ;\r\n tag = 98asjd8 ;lr; q=\"a;b\\\";c\" ;+sip.instance=\"<urn:uuid:1>\"";
        let (rest, params) = header_params(text).expect("well formed");
        assert_eq!(rest, b"");
        assert_eq!(params.get(b"TAG"), Some(&b"98asjd8"[..]));
        assert_eq!(params.get(b"lr"), Some(&b""[..]));
        assert_eq!(params.get(b"q"), Some(&b"\"a;b\\\";c\""[..]));
        assert_eq!(params.get(b"+sip.instance"), Some(&b"\"<urn:uuid:1>\""[..]));
        assert_eq!(params.get(b"nothing"), None);
        assert_eq!(params.iter().count(), 4);
    }

    #[test]
    fn what_is_no_parameter_is_left_over() {
        for wrong in [
            &b";"[..],
            b";;a",
            b";a=",
            b";a=\"open",
            b";=b",
            b"x",
            b";a=b c",
        ] {
            let (rest, _) = header_params(wrong).expect("stops");
            assert!(!rest.is_empty(), "{}", wrong.escape_ascii());
        }
    }

    #[test]
    fn uri_parameters_keep_escapes_colons_and_plus() {
        let (rest, params) =
            uri_params(b";gr=urn:uuid:f81d;rn=+1201;x=%23;lr?h=v").expect("well formed");
        assert_eq!(rest, b"?h=v");
        assert_eq!(params.get(b"gr"), Some(&b"urn:uuid:f81d"[..]));
        assert_eq!(params.get(b"rn"), Some(&b"+1201"[..]));
        assert_eq!(params.get(b"x"), Some(&b"%23"[..]));
        for wrong in [&b";"[..], b";;", b";a=", b";a=%2", b"; a", b";a b"] {
            assert!(
                !uri_params(wrong).expect("stops").0.is_empty(),
                "{}",
                wrong.escape_ascii()
            );
        }
    }
}
