//! What is measured: messages, and what is done with one.

use std::hint::black_box;

use trunkline::sip::Message;

/// A message and its name.
pub(crate) struct Sample {
    pub(crate) name: &'static str,
    pub(crate) bytes: &'static [u8],
}

macro_rules! samples {
    ($($name:literal $file:literal;)*) => {
        /// Every message shape.
        pub(crate) const SAMPLES: &[Sample] = &[$(Sample {
            name: $name,
            bytes: include_bytes!(concat!("../messages/", $file, ".sip")),
        }),*];
    };
}

samples! {
    "AudioCodes INVITE" "audiocodes-invite";
    "Teams INVITE" "teams-invite";
    "Genesys INVITE" "genesys-invite";
    "OPTIONS" "options";
    "200 OK" "ok";
    "60 headers" "sixty-headers-invite";
}

impl Sample {
    /// The same bytes for a reader of HTTP: the version is all that differs.
    pub(crate) fn as_http(&self) -> Vec<u8> {
        let text = String::from_utf8_lossy(self.bytes);
        text.replacen("SIP/2.0", "HTTP/1.1", 1).into_bytes()
    }
}

/// Lines and names only: what httparse does.
#[inline(never)]
pub(crate) fn split(bytes: &[u8]) {
    let mut message = Message::new();
    black_box(&message.read_datagram(black_box(bytes)));
    black_box(&message);
}

/// Every field routing needs, as values: Request-URI, From, To, top Via, Call-ID, CSeq,
/// Max-Forwards and Content-Length, all of them checked, then the first Contact and the
/// first P-Asserted-Identity.
#[inline(never)]
pub(crate) fn routing(bytes: &[u8]) {
    let mut message = Message::new();
    black_box(&message.read_datagram(black_box(bytes)));
    // A response has no Request-URI: its fields are read one by one.
    if message.status().is_none() {
        black_box(&message.read_request());
    } else {
        black_box(&message.from());
        black_box(&message.to());
        black_box(&message.top_via());
        black_box(&message.cseq());
        black_box(&message.call_id());
        black_box(&message.max_forwards());
        black_box(&message.content_length());
    }
    black_box(&message.contact());
    black_box(&message.p_asserted_identity().next());
}

/// httparse, as its documentation shows it.
#[inline(never)]
pub(crate) fn httparse_split(bytes: &[u8]) {
    let mut headers = [httparse::EMPTY_HEADER; 64];
    if bytes.starts_with(b"HTTP/") {
        let mut response = httparse::Response::new(&mut headers);
        let status = response.parse(black_box(bytes)).expect("a good response");
        black_box((&status, &response));
    } else {
        let mut request = httparse::Request::new(&mut headers);
        let status = request.parse(black_box(bytes)).expect("a good request");
        black_box((&status, &request));
    }
}

/// httparse without the cost of an empty table.
#[inline(never)]
pub(crate) fn httparse_bare(bytes: &[u8]) {
    let mut headers = [const { std::mem::MaybeUninit::uninit() }; 64];
    if bytes.starts_with(b"HTTP/") {
        let mut response = httparse::Response::new(&mut []);
        let status = httparse::ParserConfig::default()
            .parse_response_with_uninit_headers(&mut response, black_box(bytes), &mut headers)
            .expect("a good response");
        black_box((&status, &response));
    } else {
        let mut request = httparse::Request::new(&mut []);
        let status = request
            .parse_with_uninit_headers(black_box(bytes), &mut headers)
            .expect("a good request");
        black_box((&status, &request));
    }
}

/// rsip's message: every header a `String`.
#[inline(never)]
pub(crate) fn rsip_message(bytes: &[u8]) {
    black_box(&rsip::SipMessage::try_from(black_box(bytes)));
}

/// rsip's message and the values a router needs, each as its documentation shows it:
/// `typed()` where rsip has a type, numbers as numbers. The Request-URI is read with the
/// message. rsip has no P-Asserted-Identity: it is read as a From, the same grammar, and
/// of a list whatever From takes.
#[inline(never)]
pub(crate) fn rsip_typed(bytes: &[u8]) {
    use rsip::prelude::{HasHeaders, HeadersExt, ToTypedHeader, UntypedHeader};
    let parsed = rsip::SipMessage::try_from(black_box(bytes));
    let Ok(message) = &parsed else {
        return;
    };
    black_box(&message.from_header().map(|from| from.typed()));
    black_box(&message.to_header().map(|to| to.typed()));
    black_box(&message.via_header().map(|via| via.typed()));
    black_box(&message.cseq_header().map(|cseq| cseq.typed()));
    black_box(&message.contact_header().map(|contact| contact.typed()));
    black_box(&message.call_id_header().map(|id| id.value()));
    black_box(&message.max_forwards_header().map(|hops| hops.num()));
    for header in message.headers().iter() {
        match header {
            rsip::Header::ContentLength(length) => {
                black_box(&length.length());
            }
            rsip::Header::Other(name, value)
                if name.eq_ignore_ascii_case("P-Asserted-Identity") =>
            {
                black_box(&rsip::headers::From::new(value.as_str()).typed());
            }
            _ => {}
        }
    }
}

/// Whether rsip reads the message at all; what it refuses is not compared.
pub(crate) fn rsip_reads(sample: &Sample) -> bool {
    rsip::SipMessage::try_from(sample.bytes).is_ok()
}
