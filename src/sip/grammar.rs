//! Pieces the header values share (RFC 3261 §25.1).

use memchr::memchr2;
use nom::bytes::complete::{tag, take_while, take_while1};
use nom::combinator::map_opt;
use nom::sequence::delimited;
use nom::{IResult, Parser};

use super::{ParseError, ParseErrorKind, scan};

/// What a piece of grammar answers: the rest and a value, or where it stopped.
pub(super) type Grammar<'a, T> = IResult<&'a [u8], T>;

/// `SWS`: white space or none, folds included.
pub(super) fn lws(input: &[u8]) -> Grammar<'_, &[u8]> {
    take_while(scan::is_lws).parse(input)
}

/// `token`.
pub(super) fn token(input: &[u8]) -> Grammar<'_, &[u8]> {
    take_while1(|byte| scan::is(byte, scan::TOKEN)).parse(input)
}

/// `1*DIGIT` as a number up to `u32::MAX`.
pub(super) fn decimal_digits(input: &[u8]) -> Grammar<'_, u32> {
    map_opt(take_while1(|byte: u8| byte.is_ascii_digit()), scan::decimal).parse(input)
}

/// A separator with white space around it: `SEMI`, `EQUAL`, `SLASH`, `COLON`.
pub(super) fn separator(byte: &'static [u8]) -> impl for<'a> Fn(&'a [u8]) -> Grammar<'a, &'a [u8]> {
    move |input| delimited(lws, tag(byte), lws).parse(input)
}

/// `quoted-string`: the bytes between the quotes, escapes left in place.
pub(super) fn quoted_string(input: &[u8]) -> Grammar<'_, &[u8]> {
    let (rest, _) = tag(&b"\""[..]).parse(input)?;
    let stopped = || {
        nom::Err::Error(nom::error::Error::new(
            input,
            nom::error::ErrorKind::Escaped,
        ))
    };
    let mut at = 0;
    loop {
        at += rest
            .get(at..)
            .and_then(|tail| memchr2(b'"', b'\\', tail))
            .ok_or_else(stopped)?;
        if rest.get(at) == Some(&b'"') {
            let (text, rest) = rest.split_at_checked(at).ok_or_else(stopped)?;
            return Ok((rest.get(1..).unwrap_or_default(), text));
        }
        at += 2;
    }
}

/// A nom error as ours: where `whole` stopped following its grammar.
pub(super) fn stopped_in(
    whole: &[u8],
    kind: ParseErrorKind,
) -> impl Fn(nom::Err<nom::error::Error<&[u8]>>) -> ParseError {
    move |error| {
        let offset = match error {
            nom::Err::Error(error) | nom::Err::Failure(error) => {
                whole.len().saturating_sub(error.input.len())
            }
            nom::Err::Incomplete(_) => whole.len(),
        };
        ParseError::new(kind, offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(
            quoted_string(b"\"a \\\" b\\\\\" c"),
            Ok((&b" c"[..], &b"a \\\" b\\\\"[..]))
        );
        assert!(quoted_string(b"\"open").is_err());
        assert!(quoted_string(b"\"open\\\"").is_err());
        assert!(quoted_string(b"\"open\\").is_err());
        assert!(quoted_string(b"none").is_err());
    }

    #[test]
    fn separators_take_the_white_space_around_them() {
        assert_eq!(separator(b";")(b" \r\n ; x"), Ok((&b"x"[..], &b";"[..])));
    }
}
