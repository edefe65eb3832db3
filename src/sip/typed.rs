//! Header fields as values, read when asked for.

use super::header::CommaList;
use super::{
    CSeq, Diversion, HeaderName, HistoryInfo, Message, NameAddr, ParseError, ParseErrorKind, Uri,
    Via, line, plain, scan,
};

/// All errors count their offset in [`Message::bytes`].
impl<'a> Message<'a> {
    /// The first value of Via: whom to answer.
    ///
    /// # Errors
    /// Missing, or not as RFC 3261 §20.42 has it.
    pub fn top_via(&self) -> Result<Via<'a>, ParseError> {
        let value = self.mandatory(HeaderName::Via)?;
        if self.is_salvaged() {
            return Via::salvage_first(value).ok_or_else(|| self.wrong(value, ParseErrorKind::Via));
        }
        match plain::via(value) {
            Some((via, _)) => Ok(via),
            None => Via::parse_grammar(value)
                .map(|(via, _)| via)
                .map_err(|error| self.placed(value, error)),
        }
    }

    /// From.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn from(&self) -> Result<NameAddr<'a>, ParseError> {
        self.address(HeaderName::From)
    }

    /// To.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn to(&self) -> Result<NameAddr<'a>, ParseError> {
        self.address(HeaderName::To)
    }

    /// Call-ID. Any visible bytes are taken.
    ///
    /// # Errors
    /// Missing, empty, or with blanks or control bytes in it.
    pub fn call_id(&self) -> Result<&'a [u8], ParseError> {
        let value = self.mandatory(HeaderName::CallId)?;
        if !value.is_empty() && !line::has_blank(value) {
            return Ok(value);
        }
        let at = value.iter().position(|byte| *byte <= b' ' || *byte == 0x7f);
        let error = ParseError::new(ParseErrorKind::CallId, at.unwrap_or(0));
        Err(self.placed(value, error))
    }

    /// CSeq.
    ///
    /// # Errors
    /// Missing or malformed.
    pub fn cseq(&self) -> Result<CSeq<'a>, ParseError> {
        let value = self.mandatory(HeaderName::CSeq)?;
        CSeq::parse(value).map_err(|error| self.placed(value, error))
    }

    /// Max-Forwards, if it is there.
    ///
    /// # Errors
    /// Not a number from 0 to 255 (RFC 3261 §20.22).
    #[inline]
    pub fn max_forwards(&self) -> Result<Option<u8>, ParseError> {
        let Some(value) = self.first(HeaderName::MaxForwards) else {
            return Ok(None);
        };
        let hops = scan::decimal(value).and_then(|hops| u8::try_from(hops).ok());
        hops.map(Some)
            .ok_or_else(|| self.wrong(value, ParseErrorKind::MaxForwards))
    }

    /// Content-Length, if it is there, in bytes.
    ///
    /// # Errors
    /// Not a decimal number, or several that differ.
    pub fn content_length(&self) -> Result<Option<usize>, ParseError> {
        if self.is_framed() {
            let there = self.first(HeaderName::ContentLength).is_some();
            return Ok(there.then(|| self.body().len()));
        }
        let read = |value| {
            let length = scan::decimal(value).and_then(|length| usize::try_from(length).ok());
            length.ok_or_else(|| self.wrong(value, ParseErrorKind::ContentLength))
        };
        if !self.is_repeated(HeaderName::ContentLength) {
            return self.first(HeaderName::ContentLength).map(read).transpose();
        }
        let mut length = None;
        for value in self.all(HeaderName::ContentLength) {
            let read = read(value)?;
            if length.is_some_and(|length| length != read) {
                return Err(self.wrong(value, ParseErrorKind::ContentLengthConflict));
            }
            length = Some(read);
        }
        Ok(length)
    }

    /// The Request-URI.
    ///
    /// # Errors
    /// This is a response, or the URI is malformed.
    pub fn uri(&self) -> Result<Uri<'a>, ParseError> {
        let raw = self
            .request_uri()
            .ok_or_else(|| self.blame(ParseError::new(ParseErrorKind::NotARequest, 0)))?;
        match plain::uri(raw) {
            Some((uri, [])) => Ok(uri),
            _ => Uri::parse_grammar(raw).map_err(|error| self.placed(raw, error)),
        }
    }

    /// The first Contact, if there is one that is an address: `*` is none.
    ///
    /// # Errors
    /// Malformed.
    pub fn contact(&self) -> Result<Option<NameAddr<'a>>, ParseError> {
        let first = self.first(HeaderName::Contact).and_then(plain::name_addr);
        match first {
            Some((address, _)) => Ok(Some(address)),
            None => self.contacts().next().transpose(),
        }
    }

    /// The Contacts; `*` is left out.
    pub fn contacts(&self) -> impl Iterator<Item = Result<NameAddr<'a>, ParseError>> + '_ {
        self.addresses(HeaderName::Contact)
    }

    /// P-Asserted-Identity (RFC 3325): the identities a trusted peer vouches for.
    /// Whether the peer is trusted is not known here.
    pub fn p_asserted_identity(
        &self,
    ) -> impl Iterator<Item = Result<NameAddr<'a>, ParseError>> + '_ {
        self.addresses(HeaderName::PAssertedIdentity)
    }

    /// The Route set, topmost first.
    pub fn routes(&self) -> impl Iterator<Item = Result<NameAddr<'a>, ParseError>> + '_ {
        self.addresses(HeaderName::Route)
    }

    /// The Record-Routes, topmost first.
    pub fn record_routes(&self) -> impl Iterator<Item = Result<NameAddr<'a>, ParseError>> + '_ {
        self.addresses(HeaderName::RecordRoute)
    }

    /// The Vias, topmost first.
    pub fn vias(&self) -> impl Iterator<Item = Result<Via<'a>, ParseError>> + '_ {
        self.read_all(HeaderName::Via, |value| Some(Via::parse(value)))
    }

    /// The Diversions, the last one first (RFC 5806 §4).
    pub fn diversions(&self) -> impl Iterator<Item = Result<Diversion<'a>, ParseError>> + '_ {
        self.read_all(HeaderName::Diversion, |value| Some(Diversion::parse(value)))
    }

    /// The entries of History-Info, the first target first.
    pub fn history_info(&self) -> impl Iterator<Item = Result<HistoryInfo<'a>, ParseError>> + '_ {
        self.read_all(HeaderName::HistoryInfo, |value| {
            Some(HistoryInfo::parse(value))
        })
    }

    /// The addresses in all fields of that name; a `*` is left out where it may stand.
    fn addresses(
        &self,
        name: HeaderName,
    ) -> impl Iterator<Item = Result<NameAddr<'a>, ParseError>> + '_ {
        let mut fields = self.all(name);
        let mut list = CommaList::new(&[]);
        std::iter::from_fn(move || {
            loop {
                if list.is_empty() {
                    list = CommaList::new(fields.next()?);
                }
                if let Some(address) = list.next_plain(plain::name_addr) {
                    return Some(Ok(address));
                }
                match list.next() {
                    Some(b"*") if name == HeaderName::Contact => {}
                    Some(value) => {
                        let address = NameAddr::parse(value);
                        return Some(address.map_err(|error| self.placed(value, error)));
                    }
                    None => {}
                }
            }
        })
    }

    /// The one address of a field that every request has. The plain form is tried here
    /// already so that it is written once, where the caller wants it.
    pub(super) fn address(&self, name: HeaderName) -> Result<NameAddr<'a>, ParseError> {
        let value = self.mandatory(name)?;
        match plain::name_addr(value) {
            Some((address, [])) => Ok(address),
            _ => NameAddr::parse_grammar(value).map_err(|error| self.placed(value, error)),
        }
    }

    #[inline]
    fn mandatory(&self, name: HeaderName) -> Result<&'a [u8], ParseError> {
        self.first(name).ok_or_else(|| self.missing(name))
    }

    pub(super) fn missing(&self, name: HeaderName) -> ParseError {
        self.blame(ParseError::new(ParseErrorKind::Missing(name), 0))
    }

    fn read_all<'m, T: 'm>(
        &'m self,
        name: HeaderName,
        read: impl Fn(&'a [u8]) -> Option<Result<T, ParseError>> + 'm,
    ) -> impl Iterator<Item = Result<T, ParseError>> + 'm {
        self.values(name)
            .filter_map(move |value| Some(read(value)?.map_err(|error| self.placed(value, error))))
    }

    /// An error in a value, as one of the whole message.
    pub(super) fn placed(&self, value: &[u8], error: ParseError) -> ParseError {
        self.blame(error.shifted(scan::offset_in(self.bytes(), value)))
    }

    pub(super) fn wrong(&self, value: &[u8], kind: ParseErrorKind) -> ParseError {
        self.placed(value, ParseError::new(kind, 0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

    use super::*;
    use crate::limits::URI_BYTES_MAX;
    use crate::sip::{Method, StatusCode};

    const START: &str = "INVITE sip:+442071838750@192.0.2.1 SIP/2.0";
    const FIELDS: [&str; 6] = [
        "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1",
        "From: <sip:+441632960001@192.0.2.9>;tag=1",
        "To: <sip:+442071838750@192.0.2.1>",
        "Call-ID: 1@192.0.2.9",
        "CSeq: 1 INVITE",
        "Max-Forwards: 70",
    ];

    fn request(start: &str, fields: &[&str]) -> String {
        format!("{start}\r\n{}\r\n\r\n", fields.join("\r\n"))
    }

    fn check(text: &str) -> Result<(), ParseError> {
        Message::parse_datagram(text.as_bytes()).and_then(|message| message.check_request())
    }

    #[test]
    fn a_request_with_everything_passes_and_each_lack_is_named() {
        assert_eq!(check(&request(START, &FIELDS)), Ok(()));
        for (gone, name) in [
            (0, HeaderName::Via),
            (1, HeaderName::From),
            (2, HeaderName::To),
            (3, HeaderName::CallId),
            (4, HeaderName::CSeq),
        ] {
            let mut fields = FIELDS.to_vec();
            fields.remove(gone);
            let error = check(&request(START, &fields)).unwrap_err();
            assert_eq!(
                (error.kind, error.status()),
                (ParseErrorKind::Missing(name), Some(StatusCode::BAD_REQUEST))
            );
        }
        assert_eq!(
            check(&request(START, &FIELDS[..5])),
            Ok(()),
            "RFC 2543 had no Max-Forwards"
        );
    }

    #[test]
    fn single_fields_are_single_in_every_spelling() {
        for (again, name) in [
            ("f : <sip:x@y>", HeaderName::From),
            ("T: <sip:x@y>", HeaderName::To),
            ("i\t: 2", HeaderName::CallId),
            ("cseq: 1 INVITE", HeaderName::CSeq),
            ("MAX-FORWARDS: 70", HeaderName::MaxForwards),
        ] {
            let mut fields = FIELDS.to_vec();
            fields.push(again);
            let text = request(START, &fields);
            let error = check(&text).unwrap_err();
            assert_eq!(error.kind, ParseErrorKind::Repeated(name));
            assert!(
                again.ends_with(text[error.offset..].lines().next().unwrap()),
                "the second one is underlined"
            );
        }
        let mut fields = FIELDS.to_vec();
        fields.extend(["l: 0", "Content-Length: 0"]);
        assert_eq!(
            check(&request(START, &fields)).unwrap_err().kind,
            ParseErrorKind::Repeated(HeaderName::ContentLength)
        );
    }

    #[test]
    fn each_wrong_value_has_its_answer() {
        use ParseErrorKind as Kind;
        for (at, field, kind, status) in [
            (0, "Via: SIP/2.0/UDP", Kind::Via, 400),
            (
                0,
                "Via: SIP/2.0/UDP h;branch=1;Branch=2",
                Kind::RepeatedParameter,
                400,
            ),
            (1, "From: \"open <sip:a@b>;tag=1", Kind::Address, 400),
            (
                1,
                "From: <sip:a@b>;tag=1;tag=2",
                Kind::RepeatedParameter,
                400,
            ),
            (2, "To: <sip:a@b>;;", Kind::Parameter, 400),
            (3, "Call-ID: ", Kind::CallId, 400),
            (3, "Call-ID: a b", Kind::CallId, 400),
            (4, "CSeq: 1 ACK", Kind::CSeqMethod, 400),
            (4, "CSeq: 1 invite", Kind::CSeqMethod, 400),
            (4, "CSeq: 36893488147419103232 INVITE", Kind::CSeq, 400),
            (5, "Max-Forwards: 256", Kind::MaxForwards, 400),
            (5, "Max-Forwards: many", Kind::MaxForwards, 400),
        ] {
            let mut fields = FIELDS.to_vec();
            fields[at] = field;
            let error = check(&request(START, &fields)).unwrap_err();
            assert_eq!(
                (error.kind, error.status().map(StatusCode::code)),
                (kind, Some(status)),
                "{field}"
            );
        }
        let long = format!("INVITE sip:{}@h SIP/2.0", "1".repeat(URI_BYTES_MAX));
        for (start, kind, status) in [
            (
                "INVITE sip:+442071838750@192.0.2.1 SIP/7.0",
                Kind::Version,
                505,
            ),
            ("INVITE nobody:knows SIP/2.0", Kind::UriScheme, 416),
            ("INVITE <sip:h> SIP/2.0", Kind::Uri, 400),
            ("INVITE sip:a@2001:db8::10 SIP/2.0", Kind::UriHost, 400),
            (long.as_str(), Kind::UriTooLong, 414),
        ] {
            let error = check(&request(start, &FIELDS)).unwrap_err();
            assert_eq!(
                (error.kind, error.status().map(StatusCode::code)),
                (kind, Some(status)),
                "{start}"
            );
        }
        assert_eq!(
            check("SIP/2.0 200 OK\r\n\r\n").unwrap_err().kind,
            Kind::NotARequest
        );
    }

    #[test]
    fn an_error_points_into_the_message() {
        let mut fields = FIELDS.to_vec();
        fields[2] = "To:\r\n   <sip:a@b:port>";
        let text = request(START, &fields);
        let error = check(&text).unwrap_err();
        assert_eq!(error.kind, ParseErrorKind::UriPort);
        assert!(text[error.offset..].starts_with("port>"));
    }

    #[test]
    fn values_are_read_when_asked_for() {
        let mut fields = FIELDS.to_vec();
        fields.extend([
            "m: \"Doe, J\" <sip:a@b>;expires=60, *",
            "Contact: sip:c@d;q=0.5",
            "P-Asserted-Identity: \"J\" <sip:+441632960001@x>, <tel:+441632960001>",
            "Route: <sip:p1.example;lr>,<sip:p2.example;lr>",
            "Record-Route: <sip:r.example>",
            "Diversion: <sip:1@x>;reason=unconditional, nonsense",
            "History-Info: <sip:1@x>;index=1,<sip:2@x>;index=1.1",
        ]);
        let text = request("INVITE tel:+442071838750;ext=4 SIP/2.0", &fields);
        let message = Message::parse_datagram(text.as_bytes()).unwrap();
        assert_eq!(message.check_request(), Ok(()));
        assert_eq!(
            message.uri().unwrap().user.unwrap().number(),
            b"+442071838750"
        );
        assert_eq!(message.from().unwrap().tag(), Some(&b"1"[..]));
        assert_eq!(
            message.cseq(),
            Ok(CSeq {
                number: 1,
                method: Method::Invite
            })
        );
        assert_eq!(
            (message.max_forwards(), message.content_length()),
            (Ok(Some(70)), Ok(None))
        );
        assert_eq!(
            message.contact().unwrap().unwrap().display,
            Some(&b"Doe, J"[..])
        );
        assert_eq!(message.contacts().count(), 2);
        assert_eq!(
            message.p_asserted_identity().filter(Result::is_ok).count(),
            2
        );
        assert_eq!(message.routes().filter(Result::is_ok).count(), 2);
        assert_eq!(message.record_routes().count(), 1);
        assert_eq!(
            message
                .diversions()
                .map(|value| value.is_ok())
                .collect::<Vec<_>>(),
            [true, false]
        );
        assert_eq!(
            message
                .history_info()
                .filter_map(|value| value.ok()?.index())
                .collect::<Vec<_>>(),
            [&b"1"[..], b"1.1"]
        );
        assert_eq!(message.vias().count(), 1);
    }
}
