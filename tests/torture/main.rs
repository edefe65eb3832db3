//! Messages that break parsers, one file each in `tests/messages`, and what becomes of
//! each: our own, and those of RFC 4475 and RFC 5118 ([`rfc`]), also through the proxy
//! ([`carried`]) and against a server ([`live`]).
#![allow(clippy::unwrap_used)] // A message that cannot be read back has failed its test.

mod carried;
mod live;
mod rfc;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use trunkline::sip::{
    Framer, HeaderName, Host, Message, Method, Parsed, Reply, Scheme, StatusCode, Transport,
    fuzz_datagram, fuzz_stream,
};

/// What becomes of a datagram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// A request to act upon.
    Accepted,
    /// A request refused with that status.
    Answered(u16),
    /// A response.
    Response,
    /// Dropped: no SIP, or nothing that may or can be answered.
    Silent,
}

use Verdict::{Accepted, Answered, Response, Silent};

const VERDICTS: &[(&str, Verdict)] = &[
    // Valid, if strange: RFC 4475 §3.1.1, §3.2 to §3.4.
    ("anonymous", Accepted),
    ("bad-date", Accepted),
    ("branch-without-id", Accepted),
    ("compact-names", Accepted),
    ("diverted", Accepted),
    ("escaped-method", Accepted),
    ("escaped-nul-user", Accepted),
    ("escaped-user", Accepted),
    ("every-token-byte", Accepted),
    ("folded-everywhere", Accepted),
    ("gruu-contact", Accepted),
    ("hash-kept-escaped", Accepted),
    ("latin1-display", Accepted),
    ("leading-line-ends", Accepted),
    ("long-values", Accepted),
    ("lower-case-version", Accepted),
    ("max-forwards-zero", Accepted),
    ("no-blank-before-bracket", Accepted),
    ("quoted-display", Accepted),
    ("required-extensions", Accepted),
    ("rfc2543", Accepted),
    ("tel-global", Accepted),
    ("tel-local", Accepted),
    ("two-in-one-datagram", Accepted),
    ("unknown-body", Accepted),
    ("unknown-schemes-in-fields", Accepted),
    ("unknown-transports", Accepted),
    ("user-with-dots", Accepted),
    ("user-with-parameters", Accepted),
    ("user-with-semicolon", Accepted),
    // RFC 5118.
    ("ipv6-ambiguous-port", Accepted),
    ("ipv6-everywhere", Accepted),
    ("ipv6-mapped", Accepted),
    ("ipv6-received-bare", Accepted),
    ("ipv6-third-colon", Accepted),
    ("ipv6-without-brackets", Answered(400)),
    // Refused: RFC 4475 §3.1.2, §3.3.
    ("blank-after-version", Answered(400)),
    ("blank-in-header-name", Answered(400)),
    ("blank-in-request-uri", Answered(400)),
    ("blanks-in-brackets", Answered(400)),
    ("bracketless-headers", Answered(400)),
    ("brackets-around-request-uri", Answered(400)),
    ("call-id-with-blank", Answered(400)),
    ("content-length-conflict", Answered(400)),
    ("content-length-hex", Answered(400)),
    ("content-length-huge", Answered(400)),
    ("content-length-negative", Answered(400)),
    ("content-length-too-large", Answered(400)),
    ("content-length-twice", Answered(400)),
    ("cseq-other-case", Answered(400)),
    ("cseq-other-method", Answered(400)),
    ("cseq-too-large", Answered(400)),
    ("cseq-two-to-the-31", Answered(400)),
    ("end-missing", Answered(400)),
    ("fields-missing", Answered(400)),
    ("fields-twice", Answered(400)),
    ("headers-in-request-uri", Answered(400)),
    ("known-foreign-scheme", Answered(416)),
    ("line-without-colon", Answered(400)),
    ("max-forwards-300", Answered(400)),
    ("no-version", Answered(400)),
    ("port-out-of-range", Answered(400)),
    ("request-uri-too-long", Answered(414)),
    ("tag-twice", Answered(400)),
    ("too-many-headers", Answered(513)),
    ("two-at-signs", Answered(400)),
    ("two-blanks-in-request-line", Answered(400)),
    ("unbalanced-quote", Answered(400)),
    ("unknown-scheme", Answered(416)),
    ("unknown-version", Answered(505)),
    ("unquoted-comma", Answered(400)),
    ("via-extra-separators", Answered(400)),
    // Attacks on the line structure.
    ("bare-carriage-return", Answered(400)),
    ("bare-line-feed", Answered(400)),
    ("nul-in-value", Answered(400)),
    ("to-smuggled-by-blank", Answered(400)),
    // Responses.
    ("response-in-utf8", Response),
    ("response-to-broadcast", Response),
    ("response-without-reason", Response),
    ("response-code-too-large", Silent),
    ("response-of-other-version", Silent),
    // No answer.
    ("ack-malformed", Silent),
    ("http", Silent),
    ("keep-alive", Silent),
    ("nul-keep-alive", Silent),
    ("tls-client-hello", Silent),
    ("via-unreadable", Silent),
];

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/messages")
}

/// Our own messages; those of the RFCs stand in folders of theirs.
fn messages() -> BTreeMap<String, Vec<u8>> {
    let files = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path());
    files
        .filter(|path| path.is_file())
        .map(|path| {
            (
                path.file_stem().unwrap().to_str().unwrap().to_owned(),
                std::fs::read(&path).unwrap(),
            )
        })
        .collect()
}

fn message(name: &str) -> Vec<u8> {
    messages().remove(name).unwrap()
}

/// What a server does with a datagram.
fn verdict(bytes: &[u8]) -> Verdict {
    let checked = Message::parse_datagram(bytes).and_then(|message| match message.method() {
        Some(_) => message.check_request().map(|()| Accepted),
        None => Ok(Response),
    });
    let error = match checked {
        Ok(verdict) => return verdict,
        Err(error) => error,
    };
    match (error.status(), Message::salvage(bytes)) {
        (Some(status), Some(request)) => answered(&request, status),
        _ => Silent,
    }
}

/// The refusal of a request, and whether it is one a client can use.
fn answered(request: &Message<'_>, status: StatusCode) -> Verdict {
    let source: SocketAddr = "192.0.2.9:5080".parse().unwrap();
    let mut out = Vec::new();
    Reply::new(request, status)
        .source(source)
        .to_tag(b"t")
        .write(&mut out);
    let response = Message::parse_datagram(&out).unwrap();
    assert_eq!(response.status(), Some(status));
    assert_eq!(
        response.all(HeaderName::Via).count(),
        request.all(HeaderName::Via).count()
    );
    assert!(!out.contains(&0));
    Answered(status.code())
}

#[test]
fn every_message_has_its_verdict() {
    let messages = messages();
    let listed: BTreeMap<&str, Verdict> = VERDICTS.iter().copied().collect();
    assert!(
        listed.keys().eq(messages.keys()),
        "the table and the folder name the same messages"
    );
    let wrong: Vec<_> = messages
        .iter()
        .map(|(name, bytes)| (name, verdict(bytes), listed[name.as_str()]))
        .filter(|(_, found, expected)| found != expected)
        .collect();
    assert!(wrong.is_empty(), "name, found, expected: {wrong:#?}");
}

#[test]
fn every_message_cut_anywhere_keeps_the_laws() {
    for bytes in messages().values() {
        // Long ones at every 61st byte: the cost is the square of their length.
        let step = if bytes.len() < 1_500 { 1 } else { 61 };
        for end in (0..bytes.len()).step_by(step) {
            fuzz_datagram(&bytes[..end]);
        }
        fuzz_datagram(bytes);
        fuzz_stream(bytes, &[1]);
        fuzz_stream(bytes, &[3, 50]);
    }
}

#[test]
fn every_accepted_message_with_any_byte_replaced_keeps_the_laws() {
    for (name, _) in VERDICTS.iter().filter(|(_, verdict)| *verdict == Accepted) {
        let original = message(name);
        if original.len() > 1_500 {
            continue;
        }
        for at in 0..original.len() {
            let mut bytes = original.clone();
            bytes[at] = b"\0\r\n;,\"<@%"[at % 9];
            fuzz_datagram(&bytes);
        }
    }
}

#[test]
fn folded_everywhere_means_what_it_says() {
    let bytes = message("folded-everywhere");
    let message = Message::parse_datagram(&bytes).unwrap();
    assert_eq!(message.uri().unwrap().param(b"extra"), Some(&b""[..]));
    assert_eq!(message.to().unwrap().tag(), Some(&b"fold-to"[..]));
    let from = message.from().unwrap();
    assert_eq!(
        (from.display, from.tag()),
        (
            Some(&b"Mary \\\"O\\\" Shea\\\\"[..]),
            Some(&b"fold-from"[..])
        )
    );
    assert_eq!(
        (message.max_forwards(), message.cseq().unwrap().number),
        (Ok(Some(42)), 7)
    );
    let vias: Vec<_> = message.vias().map(|via| via.unwrap()).collect();
    assert_eq!(
        vias.iter().map(|via| via.transport).collect::<Vec<_>>(),
        [Transport::Udp, Transport::Tcp, Transport::Udp]
    );
    let branches: Vec<_> = vias.iter().filter_map(|via| via.branch()).collect();
    assert_eq!(branches, [&b"no-cookie"[..], b"z9hG4bKone", b"z9hG4bKtwo"]);
    assert_eq!(message.first(HeaderName::Subject), Some(&b""[..]));
    assert_eq!(message.by_name(b"X-ODD").next(), Some(&b";;,,;;,;"[..]));
    assert_eq!(
        message.by_name(b"x-new").next(),
        Some(&b"first line\r\n second line"[..])
    );
    assert_eq!(
        message.routes().next().unwrap().unwrap().uri.param(b"lr"),
        Some(&b""[..])
    );
    let contact = message.contact().unwrap().unwrap();
    assert_eq!(
        (contact.param(b"new"), contact.param(b"q")),
        (Some(&b"value"[..]), Some(&b"0.5"[..]))
    );
    assert!(
        message.body().starts_with(b"v=0\r\n")
            && message.content_length() == Ok(Some(message.body().len()))
    );
}

#[test]
fn every_token_byte_is_kept() {
    let bytes = message("every-token-byte");
    let message = Message::parse_datagram(&bytes).unwrap();
    assert!(
        matches!(message.method(), Some(Method::Other(name)) if name.starts_with(b"!odd-Method"))
    );
    let uri = message.uri().unwrap();
    assert_eq!(
        uri.user.unwrap().as_bytes(),
        b"0_odd.User~(is-it!ok)&don't+it$/mad?,/;;*"
    );
    assert_eq!(uri.password, Some(&b"&pw+is=1,odd!*pa$wo~d_.(it's-it)"[..]));
    assert_eq!(
        message.to().unwrap().display,
        Some(&b"bell:\\\x07 nul:\\\x00 del:\\\x7f"[..])
    );
    let mut out = Vec::new();
    Reply::new(&message, StatusCode::NOT_FOUND).write(&mut out);
    let response = Message::parse_datagram(&out).unwrap();
    assert_eq!(
        response.first(HeaderName::To),
        message.first(HeaderName::To)
    );
    assert_eq!(
        response.first(HeaderName::From),
        message.first(HeaderName::From)
    );
    assert_eq!(response.call_id(), message.call_id());
}

#[test]
fn numbers_arrive_as_they_were_dialled() {
    for (name, scheme, number) in [
        ("hash-kept-escaped", Scheme::Sip, "*21%23"),
        ("user-with-dots", Scheme::Sip, "jane.van.doe"),
        ("user-with-parameters", Scheme::Sip, "+12015550100"),
        ("user-with-semicolon", Scheme::Sip, "clerk"),
        ("tel-global", Scheme::Tel, "+44-20-7183-8750"),
        ("tel-local", Scheme::Tel, "7042"),
        ("compact-names", Scheme::Sip, "+442071838751"),
        ("escaped-user", Scheme::Sip, "sips%3Aclerk%40inner.example"),
    ] {
        let bytes = message(name);
        let uri = Message::parse_datagram(&bytes).unwrap().uri().unwrap();
        assert_eq!(
            (uri.scheme, uri.user.unwrap().number()),
            (scheme, number.as_bytes()),
            "{name}"
        );
    }
    let bytes = message("user-with-parameters");
    let user = Message::parse_datagram(&bytes)
        .unwrap()
        .uri()
        .unwrap()
        .user
        .unwrap();
    assert_eq!(
        (user.param(b"rn"), user.param(b"tgrp")),
        (Some(&b"+12015550199"[..]), Some(&b"lon-1"[..]))
    );
}

#[test]
fn ipv6_is_read_in_every_place() {
    let bytes = message("ipv6-everywhere");
    let message = Message::parse_datagram(&bytes).unwrap();
    let uri = message.uri().unwrap();
    assert_eq!(
        (uri.host, uri.port),
        (Host::Ipv6("2001:db8::10".parse().unwrap()), Some(5070))
    );
    let via = message.top_via().unwrap();
    assert_eq!(
        (via.port, via.received()),
        (Some(5080), Some("2001:db8::9:255".parse().unwrap()))
    );
}

#[test]
fn a_second_message_in_a_datagram_is_noise_and_on_a_stream_is_next() {
    let bytes = message("two-in-one-datagram");
    let first = Message::parse_datagram(&bytes).unwrap();
    assert_eq!(
        (first.method(), first.body()),
        (Some(Method::Register), &b""[..])
    );
    let mut framer = Framer::new();
    let frame = framer.next(&bytes).unwrap().complete().unwrap();
    assert_eq!(frame.length(), first.bytes().len());
    let rest = &bytes[frame.length()..];
    assert!(matches!(framer.next(rest), Ok(Parsed::Partial)) && rest.starts_with(b"INVITE"));
}

#[test]
fn nothing_a_peer_repeats_costs_more_than_its_length() {
    let head = "INVITE sip:+442071838750@h SIP/2.0\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n";
    let attacks = [
        format!("Via: SIP/2.0/UDP h{}\r\n", ";p=v".repeat(12_000)),
        format!("Via: SIP/2.0/UDP h{}\r\n", ",SIP/2.0/UDP h".repeat(4_000)),
        format!("Via: SIP/2.0/UDP h\r\nContact: {}\r\n", "(".repeat(60_000)),
        format!(
            "Via: SIP/2.0/UDP h\r\nContact: \"{}\r\n",
            "\\".repeat(60_000)
        ),
        format!("Via: SIP/2.0/UDP h\r\nContact: {}\r\n", "<".repeat(60_000)),
        format!(
            "Via: SIP/2.0/UDP h\r\nSubject: x{}\r\n",
            "\r\n ".repeat(20_000)
        ),
        format!(
            "Via: SIP/2.0/UDP h\r\nSubject: \"{}\"\r\n",
            "\\\0".repeat(30_000)
        ),
        format!("Via: SIP/2.0/UDP h\r\nRoute: {}\r\n", ",".repeat(60_000)),
    ];
    for attack in attacks {
        let bytes = format!("{head}{attack}\r\n").into_bytes();
        // 60 kB at the square would take minutes; this takes milliseconds.
        fuzz_datagram(&bytes);
    }
}
