//! What must hold for any bytes at all. The tests and the fuzz targets call these.

use std::net::{Ipv4Addr, SocketAddr};

use memchr::{memchr, memmem};

use crate::limits::{HEADERS_MAX, ROUTES_MAX};

use super::header::CommaList;
use super::scan::{is_escaped, is_lws, offset_in};
use super::{
    CSeq, Diversion, Frame, Framer, HeaderName, HistoryInfo, Host, Message, NameAddr, ParseError,
    ParseErrorKind, Parsed, Reply, Scheme, StartLine, StatusCode, Uri, Via, reply_target,
};

/// Where the tests' requests come from.
const SOURCE: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)), 5066);

/// Any datagram is read, refused or dropped; whatever is answered, the answer is a
/// message; whatever is read, its accessors do not panic.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_datagram(bytes: &[u8]) {
    let parsed = Message::parse_datagram(bytes);
    if let Ok(message) = &parsed {
        read_everything(message);
        nothing_is_lost(message);
        assert!(bytes.len() >= message.bytes().len() && message.bytes().ends_with(message.body()));
        let again = Message::parse_datagram(message.bytes()).map(|again| again.bytes().len());
        assert_eq!(
            again,
            Ok(message.bytes().len()),
            "a message cut to its length is the same message"
        );
        if message.check_request().is_ok() {
            answer_is_a_message(message, StatusCode::MOVED_TEMPORARILY);
        }
    }
    if let Some(message) = Message::salvage(bytes) {
        read_everything(&message);
        answer_has_clean_lines(&message);
    }
}

/// A stream frames alike however its bytes are cut, and no frame is half a message.
/// `cuts` are lengths of the pieces, taken in turn; a zero counts as one.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_stream(bytes: &[u8], cuts: &[u8]) {
    let whole = frames(bytes, &[]);
    assert_eq!(whole, frames(bytes, cuts), "frames depend on the cuts");
    let mut rest = bytes;
    for frame in whole.0 {
        let (taken, tail) = rest.split_at_checked(frame.length()).unwrap_or((rest, &[]));
        if let Frame::Message(length) = frame {
            match Message::parse_stream(taken) {
                Ok(Parsed::Complete(message)) => assert_eq!(message.bytes().len(), length),
                Ok(Parsed::Partial) => panic!("a frame of half a message"),
                // Its end was certain, whatever is wrong with it.
                Err(_) => {}
            }
        }
        rest = tail;
    }
}

/// Any value is read or refused by each grammar; a URI is equivalent to itself and
/// in both directions to any other.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_value(one: &[u8], other: &[u8]) {
    let _ = (
        Diversion::parse(one),
        HistoryInfo::parse(one),
        CSeq::parse(one),
    );
    if let Ok(via) = Via::parse(one) {
        let target = reply_target(&via, SOURCE);
        assert!(target.port() != 0 && !target.ip().is_multicast() && !target.ip().is_unspecified());
    }
    if let Ok(address) = NameAddr::parse(one) {
        assert_eq!(Uri::parse(address.uri.raw), Ok(address.uri));
    }
    if let (Ok(one), Ok(other)) = (Uri::parse(one), Uri::parse(other)) {
        let mut decoded = [0; 64];
        let _ = one
            .user
            .and_then(|user| user.decode(&mut decoded).map(<[u8]>::len));
        assert!(one.equivalent(&one));
        assert_eq!(one.equivalent(&other), other.equivalent(&one));
    }
}

/// A URI that is read is the sum of its parts, and equivalent to itself with the case
/// of its host and scheme turned around.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_uri(raw: &[u8]) {
    let Ok(uri) = Uri::parse(raw) else { return };
    assert_eq!(uri.raw, raw);
    assert_eq!(Uri::parse(raw), Ok(uri));
    assert!(uri.equivalent(&uri));
    let colon = memchr(b':', raw).map_or(0, |at| at + 1);
    let mut written = raw.get(..colon).unwrap_or_default().to_vec();
    if let Some(user) = uri.user {
        written.extend_from_slice(user.as_bytes());
        let mut number = [0; 64];
        if let Some(number) = user.decode_number(&mut number) {
            assert!(!number.iter().any(u8::is_ascii_control));
        }
        let _ = user.params().iter().count();
    }
    let there = raw.get(written.len()..).unwrap_or_default();
    match uri.scheme {
        Scheme::Sip | Scheme::Sips => sip_uri_ends(&uri, written),
        Scheme::Tel => assert_eq!(there, b"", "a tel URI is its number"),
        Scheme::Other(_) => assert!(!there.is_empty()),
    }
    let turned: Vec<u8> = (raw.iter().take(colon))
        .map(|byte| byte.to_ascii_uppercase())
        .chain(raw.iter().skip(colon).copied())
        .collect();
    assert!(Uri::parse(&turned).is_ok_and(|turned| turned.equivalent(&uri)));
}

/// What is behind the user part, put behind what was `written`.
fn sip_uri_ends(uri: &Uri<'_>, mut written: Vec<u8>) {
    if let Some(password) = uri.password {
        written.push(b':');
        written.extend_from_slice(password);
    }
    if uri.user.is_some() {
        written.push(b'@');
    }
    let mut end = uri.params.as_bytes().to_vec();
    if let Some(headers) = uri.headers {
        end.push(b'?');
        end.extend_from_slice(headers);
    }
    let host = uri.raw.strip_prefix(&*written);
    let Some(mut host) = host.and_then(|rest| rest.strip_suffix(&*end)) else {
        panic!("{} is not the sum of its parts", uri.raw.escape_ascii());
    };
    if let Some(port) = uri.port {
        let colon = memchr::memrchr(b':', host).unwrap_or(host.len());
        let digits = host.get(colon + 1..).unwrap_or_default();
        let digits = std::str::from_utf8(digits).unwrap_or_default();
        assert_eq!(digits.parse(), Ok(port));
        host = host.get(..colon).unwrap_or_default();
    }
    assert_eq!(Host::parse(host), Some(uri.host));
}

/// A Via that is read is read the same at the head of a list and out of a damaged
/// message; an answer to a request with it goes to one host, and comes back with it.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_via(value: &[u8]) {
    fuzz_field(HeaderName::Via, value);
    let Ok(via) = Via::parse(value) else { return };
    let list = [value, b", SIP/2.0/UDP other.example"].concat();
    assert_eq!(
        CommaList::new(&list).next(),
        Some(super::scan::trim_lws(value))
    );
    match Via::parse_first(&list) {
        Ok((first, rest)) => assert!(first == via && rest.starts_with(b",")),
        Err(error) => panic!("{error} in a list, but not alone"),
    }
    let salvaged = Via::salvage_first(value).map(|via| (via.transport, via.host, via.port));
    assert_eq!(salvaged, Some((via.transport, via.host, via.port)));
    let target = reply_target(&via, SOURCE);
    let ip = target.ip();
    assert!(target.port() != 0 && !ip.is_multicast() && !ip.is_unspecified());
    assert_ne!(ip, Ipv4Addr::BROADCAST);
    assert!(ip.is_ipv4(), "the answer stays in the family of the packet");
}

/// A request with any value in one of its fields keeps the laws of datagrams.
/// `which` chooses the field.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_header(which: u8, value: &[u8]) {
    const FIELDS: [HeaderName; 16] = [
        HeaderName::Via,
        HeaderName::From,
        HeaderName::To,
        HeaderName::CallId,
        HeaderName::CSeq,
        HeaderName::MaxForwards,
        HeaderName::ContentLength,
        HeaderName::Contact,
        HeaderName::Route,
        HeaderName::RecordRoute,
        HeaderName::PAssertedIdentity,
        HeaderName::Diversion,
        HeaderName::HistoryInfo,
        HeaderName::Require,
        HeaderName::Subject,
        HeaderName::Timestamp,
    ];
    if let Some(name) = FIELDS.get(usize::from(which) % FIELDS.len()) {
        fuzz_field(*name, value);
    }
    fuzz_value(value, value);
}

/// A request in which one field has that value, alone and then before a sound one.
fn fuzz_field(name: HeaderName, value: &[u8]) {
    const SOUND: [(HeaderName, &str); 6] = [
        (
            HeaderName::Via,
            "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1;rport",
        ),
        (HeaderName::From, "<sip:+441632960001@192.0.2.9>;tag=1"),
        (HeaderName::To, "<sip:+442071838750@192.0.2.1>"),
        (HeaderName::CallId, "1@192.0.2.9"),
        (HeaderName::CSeq, "1 INVITE"),
        (HeaderName::MaxForwards, "70"),
    ];
    let mut bytes = b"INVITE sip:+442071838750@192.0.2.1 SIP/2.0\r\n".to_vec();
    let line =
        |name: HeaderName, value: &[u8]| [name.as_str().as_bytes(), b": ", value, b"\r\n"].concat();
    bytes.extend(line(name, value));
    for (sound, value) in SOUND {
        if sound != name {
            bytes.extend(line(sound, value.as_bytes()));
        }
    }
    fuzz_datagram(&[&*bytes, b"\r\n"].concat());
    if let Some((_, sound)) = SOUND.iter().find(|(sound, _)| *sound == name) {
        bytes.extend(line(name, sound.as_bytes()));
        fuzz_datagram(&[&*bytes, b"\r\n"].concat());
    }
}

/// A message that nobody edits is written as it came: start line, fields and body,
/// each at its place, with nothing between them but what separates them.
fn nothing_is_lost(message: &Message<'_>) {
    let bytes = message.bytes();
    let mut end = memmem::find(bytes, b"\r\n").map_or(bytes.len(), |line| line + 2);
    assert_eq!(
        start_line_of(message).as_slice(),
        bytes.get(..end).unwrap_or_default()
    );
    let mut value_end = None;
    for header in message.headers() {
        let name_at = offset_in(bytes, header.name_bytes);
        if let Some(value_end) =
            value_end.replace(offset_in(bytes, header.value) + header.value.len())
        {
            only_blanks(bytes, value_end, name_at);
            end = name_at;
        }
        assert_eq!(name_at, end, "something before a field");
        let colon = bytes.get(name_at + header.name_bytes.len()..offset_in(bytes, header.value));
        let colon = colon.unwrap_or_default();
        assert_eq!(memchr::memchr_iter(b':', colon).count(), 1);
        assert!(colon.iter().all(|byte| *byte == b':' || is_lws(*byte)));
    }
    let body_at = bytes.len() - message.body().len();
    let empty_line = body_at.saturating_sub(2);
    assert_eq!(bytes.get(empty_line..body_at), Some(&b"\r\n"[..]));
    match value_end {
        Some(value_end) => only_blanks(bytes, value_end, empty_line),
        None => assert_eq!(end, empty_line),
    }
}

fn only_blanks(bytes: &[u8], from: usize, to: usize) {
    let blanks = bytes.get(from..to).unwrap_or_default();
    assert!(blanks.ends_with(b"\r\n") && blanks.iter().all(|byte| is_lws(*byte)));
}

/// The start line as its parts make it; the version in the case it came in.
fn start_line_of(message: &Message<'_>) -> Vec<u8> {
    let bytes = message.bytes();
    let line = bytes.get(..memmem::find(bytes, b"\r\n").unwrap_or_default());
    let line = line.unwrap_or_default();
    match message.start_line() {
        StartLine::Request { method, uri } => {
            let version = memchr::memrchr(b' ', line).unwrap_or_default();
            let version = line.get(version..).unwrap_or_default();
            [method.as_bytes(), b" ", uri, version, b"\r\n"].concat()
        }
        StartLine::Response { status, reason } => {
            let code = status.code().to_string();
            let version = line.get(..7).unwrap_or_default();
            let blank: &[u8] = if line.len() > 11 { b" " } else { b"" };
            [version, b" ", code.as_bytes(), blank, reason, b"\r\n"].concat()
        }
    }
}

type Frames = (Vec<Frame>, Option<ParseError>);

fn frames(bytes: &[u8], cuts: &[u8]) -> Frames {
    let mut framer = Framer::new();
    let mut cuts = cuts.iter().map(|cut| usize::from(*cut).max(1)).cycle();
    let (mut found, mut taken, mut there) = (Vec::new(), 0, 0);
    loop {
        match framer.next(bytes.get(taken..there).unwrap_or_default()) {
            Ok(Parsed::Complete(frame)) => {
                found.push(frame);
                taken += frame.length();
            }
            Ok(Parsed::Partial) if there < bytes.len() => {
                there = there
                    .saturating_add(cuts.next().unwrap_or(bytes.len()))
                    .min(bytes.len());
            }
            Ok(Parsed::Partial) => return (found, None),
            Err(error) => return (found, Some(error)),
        }
    }
}

fn read_everything(message: &Message<'_>) {
    let _ = (
        message.check_request(),
        message.uri(),
        message.top_via(),
        message.from(),
        message.to(),
    );
    let _ = (
        message.call_id(),
        message.cseq(),
        message.max_forwards(),
        message.content_length(),
        message.contact(),
    );
    let _ = (
        message.contacts().count(),
        message.p_asserted_identity().count(),
        message.vias().count(),
    );
    let _ = (message.routes().count(), message.record_routes().count());
    let _ = (message.diversions().count(), message.history_info().count());
    for header in message.headers() {
        assert!(
            message
                .by_name(header.name_bytes)
                .any(|value| value == header.value)
        );
    }
    if let Some(head) = message.plain_head() {
        assert_eq!(
            Ok(head),
            message.read_head(),
            "the plain form reads differently"
        );
    }
    if let Ok(via) = message.top_via() {
        let _ = (
            reply_target(&via, SOURCE),
            via.received(),
            via.rport(),
            via.branch_is_unique(),
        );
    }
}

fn answer(message: &Message<'_>, status: StatusCode) -> Vec<u8> {
    let mut out = Vec::new();
    Reply::new(message, status)
        .source(SOURCE)
        .to_tag(b"answer")
        .write(&mut out);
    out
}

/// No line ends but CRLF, and no NUL that the request had not escaped itself.
fn answer_has_clean_lines(message: &Message<'_>) {
    let out = answer(message, StatusCode::BAD_REQUEST);
    assert!(out.ends_with(b"Content-Length: 0\r\n\r\n"));
    for line in out.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(
            !line.contains(&b'\r'),
            "a bare CR in {}",
            line.escape_ascii()
        );
        for (at, _) in line.iter().enumerate().filter(|(_, byte)| **byte == 0) {
            assert!(
                line.get(..at).is_some_and(is_escaped),
                "a bare NUL in {}",
                line.escape_ascii()
            );
        }
    }
    let line_ends = (
        memchr::memchr_iter(b'\n', &out).count(),
        memchr::memmem::find_iter(&out, b"\r\n").count(),
    );
    assert_eq!(line_ends.0, line_ends.1, "a bare LF");
}

fn answer_is_a_message(request: &Message<'_>, status: StatusCode) {
    answer_has_clean_lines(request);
    let out = answer(request, status);
    let response = match Message::parse_datagram(&out) {
        Ok(response) => response,
        // All its Vias come back, and more beside them.
        Err(error) if error.kind == ParseErrorKind::TooManyHeaders => {
            assert!(request.headers().count() + 2 * ROUTES_MAX >= HEADERS_MAX);
            return;
        }
        Err(error) => panic!("{error}: {}", out.escape_ascii()),
    };
    assert_eq!(response.status(), Some(status));
    assert_eq!(response.call_id(), request.call_id());
    assert_eq!(response.cseq().ok(), request.cseq().ok());
    assert_eq!(
        response.values(HeaderName::Via).count(),
        request.values(HeaderName::Via).count()
    );
    assert!(response.to().is_ok_and(|to| to.tag().is_some()));
    let tags = |message: &Message<'_>| {
        message
            .from()
            .ok()
            .and_then(|from| from.tag().map(<[u8]>::to_vec))
    };
    assert_eq!(tags(&response), tags(request));
    if let (Ok(answered), Ok(asked)) = (response.top_via(), request.top_via()) {
        assert_eq!(answered.branch(), asked.branch());
        assert_eq!(answered.rport().is_some(), asked.rport().is_some());
        let filled = answered
            .rport()
            .is_none_or(|port| port == Some(SOURCE.port()));
        assert!(filled && answered.received().is_none_or(|ip| ip == SOURCE.ip()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    /// Pieces a message is made of, right and wrong, so that random bytes get far.
    fn piece() -> impl Strategy<Value = Vec<u8>> {
        let known = prop::sample::select(vec![
            &b"INVITE sip:+442071838750@192.0.2.1 SIP/2.0\r\n"[..],
            b"SIP/2.0 200 OK\r\n",
            b"ACK tel:112 SIP/2.0\r\n",
            b"Via: SIP/2.0/UDP 192.0.2.9:5080;branch=z9hG4bK1;rport;received=1.2.3.4\r\n",
            b"v : SIP / 2.0 / TCP [2001:db8::9] ; branch = z9 , SIP/2.0/UDP h\r\n",
            b"From: \"A \\\" B\" <sip:a@b;x=y?h=v>;tag=1\r\n",
            b"f: sip:a@b;tag=2\r\n",
            b"To: <tel:+1;phone-context=+44>\r\n",
            b"T\t: Caller <sip:c@d>\r\n",
            b"Call-ID: x@y\r\n",
            b"i: z\r\n",
            b"CSeq: 1 INVITE\r\n",
            b"CSeq:\r\n 0002\r\n\tACK\r\n",
            b"Max-Forwards: 70\r\n",
            b"Content-Length: 0\r\n",
            b"l: 4\r\n",
            b"Contact: *, <sip:a@b>;q=0.5, \"x, y\" <sip:c@d>\r\n",
            b"Diversion: <sip:1@x>;reason=\"no-answer\";counter=2\r\n",
            b"History-Info: <sip:1@x?Reason=SIP%3Bcause%3D302>;index=1.1\r\n",
            b"Subject: a\r\n  b\r\n",
            b"\r\n",
            b"\r\n\r\n",
            b"body",
        ])
        .prop_map(<[u8]>::to_vec);
        prop_oneof![8 => known, 1 => vec(any::<u8>(), 0..12), 1 => vec(prop::sample::select(b"\r\n \t:;,\"<>\\()@\0%".to_vec()), 0..6)]
    }

    /// A whole request with one of its parts damaged.
    fn damaged() -> impl Strategy<Value = Vec<u8>> {
        const GOOD: &[u8] =
            b"INVITE sip:+442071838750;npdi;rn=+1@192.0.2.1:5060;user=phone SIP/2.0\r\n\
            Via: SIP/2.0/UDP 192.0.2.9:5080;branch=z9hG4bK1;rport;received=1.2.3.4, SIP/2.0/TLS gw.example\r\n\
            From: \"A \\\" B\" <sip:a@b>;tag=1\r\nTo: <sip:+442071838750@192.0.2.1>\r\n\
            Call-ID: x@y\r\nCSeq: 1 INVITE\r\nMax-Forwards: 70\r\nContact: <sip:a@192.0.2.9>\r\n\
            Content-Length: 4\r\n\r\nbody";
        let at = 0..GOOD.len();
        let wrong = prop_oneof![
            vec(any::<u8>(), 0..3),
            vec(
                prop::sample::select(b"\r\n \t:;,\"<>\\()@\0%=".to_vec()),
                1..4
            )
        ];
        (at, 0_usize..4, wrong).prop_map(|(at, gone, wrong)| {
            let mut bytes = GOOD.to_vec();
            bytes.splice(at..(at + gone).min(GOOD.len()), wrong);
            bytes
        })
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        let pieces = prop::sample::select(vec![
            &b"sip:"[..],
            b"sips:",
            b"tel:",
            b"SIP/2.0/UDP ",
            b"+44 20",
            b"alice",
            b"@",
            b"example.com",
            b"192.0.2.1",
            b"[2001:db8::1]",
            b":5060",
            b";",
            b"lr",
            b"maddr=239.0.0.1",
            b"rport",
            b"received=",
            b"=",
            b"?",
            b"&",
            b"%23",
            b"%",
            b"\"",
            b"\\",
            b"<",
            b">",
            b",",
            b" ",
            b"\r\n ",
            b"tag=1",
            b"index=1.2",
            b";transport=udp",
        ]);
        prop_oneof![
            4 => vec(pieces, 0..9).prop_map(|pieces| pieces.concat()),
            1 => vec(any::<u8>(), 0..40),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..300)) {
            fuzz_datagram(&bytes);
            fuzz_stream(&bytes, &[1, 7]);
        }

        #[test]
        fn any_pieces_are_read_or_refused(pieces in vec(piece(), 0..14), cuts in vec(any::<u8>(), 1..6)) {
            let bytes = pieces.concat();
            fuzz_datagram(&bytes);
            fuzz_stream(&bytes, &cuts);
        }

        #[test]
        fn any_damage_is_survived(bytes in damaged(), cuts in vec(any::<u8>(), 1..6)) {
            fuzz_datagram(&bytes);
            fuzz_stream(&bytes, &cuts);
        }

        #[test]
        fn any_value_is_read_or_refused(one in value(), other in value()) {
            fuzz_value(&one, &other);
        }

        #[test]
        fn any_value_in_any_field_is_read_or_refused(which in any::<u8>(), value in value()) {
            fuzz_header(which, &value);
            fuzz_uri(&value);
            fuzz_via(&value);
        }
    }
}
