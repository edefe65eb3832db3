//! What every request must have before anybody acts on it, as values read once.

use super::{
    HeaderName, Message, Method, NameAddr, ParseError, ParseErrorKind, Scheme, Uri, Via, plain,
};
use crate::limits::URI_BYTES_MAX;

/// The fields every request has, checked. Borrows from the bytes of its [`Message`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHead<'a> {
    /// The method; CSeq has the same.
    pub method: Method<'a>,
    /// The Request-URI: sip, sips or tel.
    pub uri: Uri<'a>,
    /// The first value of Via: whom to answer.
    pub top_via: Via<'a>,
    /// From.
    pub from: NameAddr<'a>,
    /// To.
    pub to: NameAddr<'a>,
    /// Call-ID, not empty.
    pub call_id: &'a [u8],
    /// The sequence number of CSeq, below 2^31.
    pub cseq_number: u32,
    /// Max-Forwards. RFC 2543 did not know it.
    pub max_forwards: Option<u8>,
    /// Content-Length, in bytes. A datagram may have none.
    pub content_length: Option<usize>,
}

/// Fields that may be there once. Repeated, one reader could take the first and
/// another the last.
const SINGLE: [HeaderName; 6] = [
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
    HeaderName::MaxForwards,
    HeaderName::ContentLength,
];

/// Fields no request may lack (RFC 3261 §8.1.1). Max-Forwards is one too, but
/// RFC 2543 did not know it, and §16.3 lets a proxy add it.
const MANDATORY: [HeaderName; 5] = [
    HeaderName::Via,
    HeaderName::From,
    HeaderName::To,
    HeaderName::CallId,
    HeaderName::CSeq,
];

/// The bits of the names.
const fn set(names: &[HeaderName]) -> u64 {
    let mut set = 0;
    let mut rest = names;
    while let [name, others @ ..] = rest {
        set |= name.bit();
        rest = others;
    }
    set
}

impl<'a> Message<'a> {
    /// [`Message::read_request`] for those who want to know only whether it succeeds.
    ///
    /// # Errors
    /// The first demand that is not met.
    pub fn check_request(&self) -> Result<(), ParseError> {
        self.read_request().map(|_| ())
    }

    /// What RFC 3261 §8.1.1, §8.2 and §16.3 demand of every request before anybody
    /// acts on it: version, mandatory fields, no single field twice, CSeq of this
    /// method, Max-Forwards in range, a Request-URI we can route, a top Via we can
    /// answer to, From and To.
    ///
    /// # Errors
    /// The first demand that is not met. 414, 416 and 505 have kinds of their own;
    /// all others are 400. Offsets count in [`Message::bytes`].
    pub fn read_request(&self) -> Result<RequestHead<'a>, ParseError> {
        // Answered from two places, not through one variable: moving a head costs as
        // much as reading one of its addresses.
        if let Some(head) = self.plain_head() {
            return Ok(head);
        }
        self.read_head()
    }

    /// The head of a request with nothing wrong and all values in their plain form.
    /// Answers what [`Message::read_head`] answers, or `None`.
    #[inline(always)]
    pub(super) fn plain_head(&self) -> Option<RequestHead<'a>> {
        let method = self.method()?;
        let raw_uri = self.request_uri()?;
        let usual = self.version_is_ours() && !self.is_salvaged() && raw_uri.len() <= URI_BYTES_MAX;
        if !usual || self.repeated() & const { set(&SINGLE) } != 0 {
            return None;
        }
        let (uri, []) = plain::uri(raw_uri)? else {
            return None;
        };
        let (top_via, _) = plain::via(self.first(HeaderName::Via)?)?;
        let (from, []) = plain::name_addr(self.first(HeaderName::From)?)? else {
            return None;
        };
        let (to, []) = plain::name_addr(self.first(HeaderName::To)?)? else {
            return None;
        };
        let cseq = plain::cseq(self.first(HeaderName::CSeq)?)?;
        let repeated =
            top_via.branch_is_repeated() || from.tag_is_repeated() || to.tag_is_repeated();
        if repeated || cseq.method != method {
            return None;
        }
        Some(RequestHead {
            method,
            uri,
            top_via,
            from,
            to,
            call_id: self.call_id().ok()?,
            cseq_number: cseq.number,
            max_forwards: self.max_forwards().ok()?,
            content_length: self.content_length().ok()?,
        })
    }

    /// As [`Message::read_request`], whatever form the values have.
    #[cold]
    pub(super) fn read_head(&self) -> Result<RequestHead<'a>, ParseError> {
        let wrong = |kind| self.blame(ParseError::new(kind, 0));
        let method = self.method().ok_or(wrong(ParseErrorKind::NotARequest))?;
        if !self.version_is_ours() {
            return Err(wrong(ParseErrorKind::Version));
        }
        self.check_counts()?;
        let uri = self.routable_uri()?;
        let top_via = self.top_via()?;
        let from = self.address(HeaderName::From)?;
        let to = self.address(HeaderName::To)?;
        self.check_parameters(&top_via, &from, &to)?;
        let call_id = self.call_id()?;
        let max_forwards = self.max_forwards()?;
        let content_length = self.content_length()?;
        let cseq = self.cseq()?;
        if cseq.method != method {
            let value = self.first(HeaderName::CSeq).unwrap_or_default();
            return Err(self.wrong(value, ParseErrorKind::CSeqMethod));
        }
        Ok(RequestHead {
            method,
            uri,
            top_via,
            from,
            to,
            call_id,
            cseq_number: cseq.number,
            max_forwards,
            content_length,
        })
    }

    fn check_counts(&self) -> Result<(), ParseError> {
        if let Some(name) = SINGLE.into_iter().find(|name| self.is_repeated(*name)) {
            let again = self.all(name).nth(1).unwrap_or_default();
            return Err(self.wrong(again, ParseErrorKind::Repeated(name)));
        }
        let lacks = |name: &HeaderName| self.first(*name).is_none();
        let missing = MANDATORY.into_iter().find(lacks);
        missing.map_or(Ok(()), |name| Err(self.missing(name)))
    }

    fn routable_uri(&self) -> Result<Uri<'a>, ParseError> {
        let raw = self.request_uri().unwrap_or_default();
        if raw.len() > URI_BYTES_MAX {
            return Err(self.wrong(raw, ParseErrorKind::UriTooLong));
        }
        let uri = self.uri()?;
        match (uri.scheme, uri.headers) {
            (Scheme::Other(_), _) => Err(self.wrong(raw, ParseErrorKind::UriScheme)),
            // RFC 3261 §19.1.1: no headers in a Request-URI.
            (_, Some(headers)) => Err(self.wrong(headers, ParseErrorKind::UriHeaders)),
            _ => Ok(uri),
        }
    }

    /// RFC 3261 §7.3.1: no parameter name twice. The ones that matter are those that
    /// identify dialogs and transactions.
    fn check_parameters(
        &self,
        via: &Via<'_>,
        from: &NameAddr<'_>,
        to: &NameAddr<'_>,
    ) -> Result<(), ParseError> {
        let params = match () {
            () if via.branch_is_repeated() => via.params,
            () if from.tag_is_repeated() => from.params,
            () if to.tag_is_repeated() => to.params,
            () => return Ok(()),
        };
        Err(self.wrong(params.as_bytes(), ParseErrorKind::RepeatedParameter))
    }
}
