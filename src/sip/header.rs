//! A header field, comma lists, and the small values: CSeq.

use memchr::{memchr, memchr2, memchr3};
use nom::Parser;
use nom::bytes::complete::take_while1;
use nom::combinator::{all_consuming, map_opt};
use nom::sequence::separated_pair;

use super::grammar::{Grammar, decimal_digits, lws, token};
use super::{HeaderName, Method, ParseError, ParseErrorKind, plain, scan};

/// One header field of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header<'a> {
    /// Which field it is; compact and long form are the same.
    pub name: HeaderName,
    /// The name as it stands in the message.
    pub name_bytes: &'a [u8],
    /// The value without white space at its ends. Folds inside it are still there.
    pub value: &'a [u8],
}

/// The value of a CSeq header field (RFC 3261 §20.16).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CSeq<'a> {
    /// The sequence number, below 2^31 (RFC 3261 §8.1.1.5).
    pub number: u32,
    /// The method.
    pub method: Method<'a>,
}

impl<'a> CSeq<'a> {
    /// Reads `1*DIGIT LWS Method`.
    ///
    /// # Errors
    /// [`ParseErrorKind::CSeq`] for anything else and for numbers from 2^31 on.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        if let Some(cseq) = plain::cseq(value) {
            return Ok(cseq);
        }
        Self::parse_grammar(value)
    }

    /// As [`CSeq::parse`], whatever form the value has.
    pub(super) fn parse_grammar(value: &'a [u8]) -> Result<Self, ParseError> {
        fn cseq(input: &[u8]) -> Grammar<'_, CSeq<'_>> {
            let number = map_opt(decimal_digits, |number| {
                (number < 1 << 31).then_some(number)
            });
            separated_pair(number, take_while1(scan::is_lws), token)
                .map(|(number, method)| CSeq {
                    number,
                    method: Method::from_bytes(method),
                })
                .parse(input)
        }
        let (_, cseq) = all_consuming(nom::sequence::terminated(cseq, lws))
            .parse(value)
            .map_err(|_| ParseError::new(ParseErrorKind::CSeq, 0))?;
        Ok(cseq)
    }
}

/// The elements of a comma list, in order, without white space at their ends and
/// without empty ones. Commas in quoted strings, `<>` and comments do not split.
///
/// Linear in the length of the value. A quote or bracket that never closes makes
/// the rest one element, for its own grammar to refuse.
#[derive(Debug, Clone)]
pub(super) struct CommaList<'a> {
    rest: &'a [u8],
    comments: bool,
}

impl<'a> CommaList<'a> {
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self {
            rest: value,
            comments: true,
        }
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next element as `read` has it, if `read` takes all of it from the front of
    /// the rest. It must stop where an element ends: at a comma or the end.
    pub(super) fn next_plain<T>(
        &mut self,
        read: impl FnOnce(&'a [u8]) -> Option<(T, &'a [u8])>,
    ) -> Option<T> {
        let (read, rest) = read(self.rest.strip_prefix(b" ").unwrap_or(self.rest))?;
        self.rest = rest.split_first().map_or(&[], |(_, rest)| rest);
        Some(read)
    }

    /// Length of the first element of the rest.
    fn element_length(&mut self) -> usize {
        // Almost every value is alone, or nothing in it hides a comma.
        let Some(comma) = memchr(b',', self.rest) else {
            return self.rest.len();
        };
        let before = self.rest.get(..comma).unwrap_or_default();
        if memchr3(b'"', b'<', b'(', before).is_none() {
            return comma;
        }
        let mut at = 0;
        let mut after_lws = true;
        while let Some(byte) = self.rest.get(at) {
            let tail = self.rest.get(at + 1..).unwrap_or_default();
            let skipped = match byte {
                b',' => return at,
                b'"' => quoted_length(tail).unwrap_or(tail.len()),
                b'<' => memchr(b'>', tail).map_or(tail.len(), |end| end + 1),
                // Only after white space: a user part may hold parentheses.
                b'(' if after_lws && self.comments => match comment_length(tail) {
                    Some(length) => length,
                    None => {
                        self.comments = false;
                        0
                    }
                },
                _ => 0,
            };
            after_lws = scan::is_lws(*byte);
            at += 1 + skipped;
        }
        self.rest.len()
    }
}

impl<'a> Iterator for CommaList<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        while !self.rest.is_empty() {
            let length = self.element_length();
            let (element, rest) = self
                .rest
                .split_at_checked(length)
                .unwrap_or((self.rest, &[]));
            self.rest = rest.split_first().map_or(&[], |(_, rest)| rest);
            let element = scan::trim_lws(element);
            if !element.is_empty() {
                return Some(element);
            }
        }
        None
    }
}

/// Bytes up to and with the closing quote, from behind the opening one.
pub(super) fn quoted_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += memchr2(b'"', b'\\', text.get(at..)?)?;
        if text.get(at) == Some(&b'"') {
            return Some(at + 1);
        }
        at += 2;
    }
}

/// Bytes up to and with the closing parenthesis, from behind the opening one.
fn comment_length(text: &[u8]) -> Option<usize> {
    let mut at = 0;
    let mut depth = 1_usize;
    while depth > 0 {
        at += memchr3(b'(', b')', b'\\', text.get(at..)?)?;
        match text.get(at) {
            Some(b'(') => depth += 1,
            Some(b')') => depth -= 1,
            _ => at += 1,
        }
        at += 1;
    }
    Some(at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn cseq_is_a_number_and_a_method() {
        let cseq = |text: &'static str| CSeq::parse(text.as_bytes()).ok();
        assert_eq!(
            cseq("0009\r\n INVITE"),
            Some(CSeq {
                number: 9,
                method: Method::Invite
            })
        );
        assert_eq!(
            cseq("2147483647 ACK").map(|c| c.number),
            Some(2_147_483_647)
        );
        for wrong in [
            "",
            "1",
            "INVITE",
            "1INVITE",
            "2147483648 ACK",
            "-1 ACK",
            "1 ACK x",
            "1 IN<VITE",
        ] {
            assert_eq!(cseq(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn commas_split_only_between_elements() {
        let split = |text: &'static str| {
            CommaList::new(text.as_bytes())
                .map(|e| e.escape_ascii().to_string())
                .collect::<Vec<_>>()
        };
        assert_eq!(split("a, b ,c"), ["a", "b", "c"]);
        assert_eq!(
            split("\"a, \\\" b\" <sip:x@y>, <sip:a,b@c>;x=\",\""),
            ["\\\"a, \\\\\\\" b\\\" <sip:x@y>", "<sip:a,b@c>;x=\\\",\\\""]
        );
        assert_eq!(
            split("a (one, (two), \\) three), b"),
            ["a (one, (two), \\\\) three)", "b"]
        );
        assert_eq!(split("sip:a(b@h, sip:c@h"), ["sip:a(b@h", "sip:c@h"]);
        assert_eq!(split("a (never, closed"), ["a (never", "closed"]);
        assert_eq!(split(",, ,"), [""; 0]);
        assert_eq!(split("\"never, closed"), ["\\\"never, closed"]);
    }

    proptest! {
        #[test]
        fn plain_lists_split_like_the_standard_library(text in "[a-z ,;=]{0,60}") {
            let naive: Vec<&str> = text.split(',').map(str::trim).filter(|e| !e.is_empty()).collect();
            let ours: Vec<&[u8]> = CommaList::new(text.as_bytes()).collect();
            prop_assert_eq!(ours, naive.iter().map(|e| e.as_bytes()).collect::<Vec<_>>());
        }

        #[test]
        fn no_list_is_too_strange(bytes in proptest::collection::vec(prop_oneof![Just(b'"'), Just(b'<'), Just(b'>'), Just(b'('), Just(b')'), Just(b'\\'), Just(b','), any::<u8>()], 0..80)) {
            for element in CommaList::new(&bytes) {
                prop_assert!(!element.is_empty());
            }
        }
    }
}
