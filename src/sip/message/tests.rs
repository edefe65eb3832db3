#![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

use super::*;

const INVITE: &[u8] =
    b"INVITE sip:+442071838750@192.0.2.1 SIP/2.0\r\nv: SIP/2.0/UDP a;branch=1 , SIP/2.0/UDP b\r\n\
    X-One : 1\r\nVIA\t:\r\n SIP/2.0/UDP\r\n\tc  \r\nx-one:2\r\nSubject:\r\nl: 4\r\n\r\nbody";

fn kind(bytes: &[u8]) -> ParseErrorKind {
    Message::parse_datagram(bytes).unwrap_err().kind
}

fn with_headers(count: usize) -> Vec<u8> {
    let mut bytes = b"OPTIONS sip:h SIP/2.0\r\n".to_vec();
    (0..count).for_each(|_| bytes.extend_from_slice(b"a: b\r\n"));
    bytes.extend_from_slice(b"\r\n");
    bytes
}

#[test]
fn lines_become_fields_in_order() {
    let message = Message::parse_datagram(INVITE).unwrap();
    assert_eq!(message.method(), Some(Method::Invite));
    assert_eq!(
        message.request_uri(),
        Some(&b"sip:+442071838750@192.0.2.1"[..])
    );
    let names: Vec<&[u8]> = message.headers().map(|header| header.name_bytes).collect();
    assert_eq!(
        names,
        [&b"v"[..], b"X-One", b"VIA", b"x-one", b"Subject", b"l"]
    );
    assert_eq!(message.first(HeaderName::Subject), Some(&b""[..]));
    assert_eq!(message.first(HeaderName::Route), None);
    assert_eq!(message.all(HeaderName::Via).count(), 2);
    let vias: Vec<&[u8]> = message.values(HeaderName::Via).collect();
    assert_eq!(
        vias,
        [
            &b"SIP/2.0/UDP a;branch=1"[..],
            b"SIP/2.0/UDP b",
            b"SIP/2.0/UDP\r\n\tc"
        ]
    );
    assert_eq!(message.body(), b"body");
    assert_eq!(message.bytes(), INVITE);
}

#[test]
fn by_name_knows_every_spelling() {
    let message = Message::parse_datagram(INVITE).unwrap();
    assert_eq!(message.by_name(b"x-ONE ").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!(message.by_name(b"Via").count(), 2);
    assert_eq!(message.by_name(b"V").count(), 2);
    assert_eq!(
        message.by_name(b"Content-Length").collect::<Vec<_>>(),
        [b"4"]
    );
    assert_eq!(message.by_name(b"X-Two").count(), 0);
}

#[test]
fn a_datagram_is_cut_at_content_length() {
    let mut bytes = b"\r\n\r\n".to_vec();
    bytes.extend_from_slice(INVITE);
    bytes.extend_from_slice(b"noise");
    let message = Message::parse_datagram(&bytes).unwrap();
    assert_eq!(message.bytes(), INVITE);
    assert_eq!(
        kind(&INVITE[..INVITE.len() - 1]),
        ParseErrorKind::BodyTooShort
    );
    let without = Message::parse_datagram(b"OPTIONS sip:h SIP/2.0\r\n\r\nall of it").unwrap();
    assert_eq!(without.body(), b"all of it");
}

#[test]
fn a_response_has_a_status() {
    let message = Message::parse_datagram(b"sip/2.0 183 Session  Progress\r\n\r\n").unwrap();
    let status = StatusCode::SESSION_PROGRESS;
    assert_eq!(
        message.start_line(),
        StartLine::Response {
            status,
            reason: b"Session  Progress"
        }
    );
    assert_eq!(message.method(), None);
    assert_eq!(
        Message::parse_datagram(b"SIP/2.0 200\r\n\r\n")
            .unwrap()
            .status(),
        Some(StatusCode::OK)
    );
}

#[test]
fn what_is_wrong_with_a_datagram_has_a_name() {
    use ParseErrorKind as Kind;
    for (text, expected) in [
        ("", Kind::Empty),
        ("\r\n\r\n", Kind::Empty),
        ("\0\0\0\0", Kind::NotSip),
        ("hello", Kind::NotSip),
        ("GET / HTTP/1.1\r\n\r\n", Kind::NotSip),
        ("\x16\x03\x01\x02\r\n", Kind::NotSip),
        ("OPTIONS sip:h\r\n\r\n", Kind::RequestLine),
        ("OPTIONS  sip:h SIP/2.0\r\n\r\n", Kind::RequestLine),
        ("OPTIONS sip:h  SIP/2.0\r\n\r\n", Kind::RequestLine),
        ("OPTIONS sip:h SIP/2.0 \r\n\r\n", Kind::RequestLine),
        ("OPTIONS sip:h;a= b SIP/2.0\r\n\r\n", Kind::RequestLine),
        ("OPT<>IONS sip:h SIP/2.0\r\n\r\n", Kind::RequestLine),
        ("OPTIONS sip:h SIP/2\r\n\r\n", Kind::RequestLine),
        ("OPTIONS sip:h SIP/2.0\n\n", Kind::BareLf),
        ("OPTIONS sip:h SIP/2.0\r\r\n", Kind::BareCr),
        ("OPTIONS sip:h\0 SIP/2.0\r\n\r\n", Kind::Nul),
        ("OPTIONS sip:h SIP/2.0\r\n a: b\r\n\r\n", Kind::HeaderLine),
        ("OPTIONS sip:h SIP/2.0\r\na b: c\r\n\r\n", Kind::HeaderLine),
        ("OPTIONS sip:h SIP/2.0\r\n: c\r\n\r\n", Kind::HeaderLine),
        ("OPTIONS sip:h SIP/2.0\r\nabc\r\n\r\n", Kind::HeaderLine),
        ("OPTIONS sip:h SIP/2.0\r\na: b\nc: d\r\n\r\n", Kind::BareLf),
        ("OPTIONS sip:h SIP/2.0\r\na: b\rc: d\r\n\r\n", Kind::BareCr),
        ("OPTIONS sip:h SIP/2.0\r\na: b\0c\r\n\r\n", Kind::Nul),
        ("OPTIONS sip:h SIP/2.0\r\na: \\\\\0c\r\n\r\n", Kind::Nul),
        (
            "OPTIONS sip:h SIP/2.0\r\na: b\r\n",
            Kind::HeadersUnterminated,
        ),
        ("OPTIONS sip:h SIP/2.0\r\na: b", Kind::HeadersUnterminated),
        (
            "OPTIONS sip:h SIP/2.0\r\nl: -1\r\n\r\n",
            Kind::ContentLength,
        ),
        (
            "OPTIONS sip:h SIP/2.0\r\nl: 4294967296\r\n\r\n",
            Kind::ContentLength,
        ),
        (
            "OPTIONS sip:h SIP/2.0\r\nl: 0, 0\r\n\r\n",
            Kind::ContentLength,
        ),
        (
            "OPTIONS sip:h SIP/2.0\r\nl: 0\r\nContent-Length : 1\r\n\r\nx",
            Kind::ContentLengthConflict,
        ),
        ("SIP/3.0 200 OK\r\n\r\n", Kind::StatusLine),
        ("SIP/2.0 4294967301 OK\r\n\r\n", Kind::StatusLine),
        ("SIP/2.0 099 OK\r\n\r\n", Kind::StatusLine),
    ] {
        assert_eq!(kind(text.as_bytes()), expected, "{}", text.escape_debug());
    }
    assert!(Message::parse_datagram(b"OPTIONS sip:h SIP/2.0\r\na: \"\\\0\"\r\n\r\n").is_ok());
}

#[test]
fn responses_and_acks_are_never_answered() {
    let status = |bytes: &[u8]| Message::parse_datagram(bytes).unwrap_err().status();
    assert_eq!(
        status(b"OPTIONS sip:h SIP/2.0\r\nl: x\r\n\r\n"),
        Some(StatusCode::BAD_REQUEST)
    );
    assert_eq!(status(b"ACK sip:h SIP/2.0\r\nl: x\r\n\r\n"), None);
    assert_eq!(status(b"SIP/2.0 200 OK\r\nl: x\r\n\r\n"), None);
    assert_eq!(status(b"SIP/2.0 200 OK\r\na: \0\r\n\r\n"), None);
    assert_eq!(status(b"SIP/2.0 200 OK\n\n"), None);
}

#[test]
fn the_table_of_headers_has_an_end() {
    assert_eq!(
        Message::parse_datagram(&with_headers(HEADERS_MAX))
            .unwrap()
            .headers()
            .count(),
        HEADERS_MAX
    );
    let error = Message::parse_datagram(&with_headers(HEADERS_MAX + 1)).unwrap_err();
    assert_eq!(
        (error.kind, error.status()),
        (
            ParseErrorKind::TooManyHeaders,
            Some(StatusCode::MESSAGE_TOO_LARGE)
        )
    );
}

#[test]
fn a_message_of_the_largest_size_is_read_and_no_larger_one() {
    let head = b"OPTIONS sip:h SIP/2.0\r\nSubject: ";
    let sized = |length: usize| {
        let mut bytes = head.to_vec();
        bytes.resize(length - 4, b'x');
        bytes.extend_from_slice(b"\r\n\r\n");
        bytes
    };
    let largest = sized(MESSAGE_BYTES_MAX);
    let message = Message::parse_datagram(&largest).unwrap();
    assert_eq!(
        message.first(HeaderName::Subject).map(<[u8]>::len),
        Some(MESSAGE_BYTES_MAX - head.len() - 4)
    );
    assert_eq!(
        kind(&sized(MESSAGE_BYTES_MAX + 1)),
        ParseErrorKind::MessageTooLarge
    );
    let mut long_body = INVITE.to_vec();
    long_body.resize(MESSAGE_BYTES_MAX + 100, b' ');
    assert_eq!(Message::parse_datagram(&long_body).unwrap().bytes(), INVITE);
}

#[test]
fn a_stream_needs_more_or_is_complete() {
    for end in 0..INVITE.len() {
        assert!(
            matches!(Message::parse_stream(&INVITE[..end]), Ok(Parsed::Partial)),
            "{end} bytes"
        );
    }
    let two = [INVITE, INVITE].concat();
    let first = Message::parse_stream(&two).unwrap().complete().unwrap();
    assert_eq!(first.bytes(), INVITE);
    let missing = Message::parse_stream(b"OPTIONS sip:h SIP/2.0\r\n\r\n").unwrap_err();
    assert_eq!(missing.kind, ParseErrorKind::ContentLengthMissing);
    let huge = Message::parse_stream(b"OPTIONS sip:h SIP/2.0\r\nl: 65535\r\n\r\n").unwrap_err();
    assert_eq!(huge.status(), Some(StatusCode::MESSAGE_TOO_LARGE));
}
