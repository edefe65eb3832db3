//! The messages of RFC 4475 and RFC 5118, by their names there, and what a redirect
//! server answers each: through the parser, and through the engine from IPv4 and IPv6.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use trunkline::proxy::{Answer, Datagram, DropReason, Fate, Now, RedirectServer, RedirectSettings};
use trunkline::routing::Snapshot;
use trunkline::sip::{Framer, Message, Parsed, StatusCode};
use trunkline::tables;

/// One message of an RFC.
pub(crate) struct Torture {
    pub(crate) section: &'static str,
    pub(crate) name: &'static str,
    /// The status of the answer; `None`: a response, which a redirect server drops.
    pub(crate) answer: Option<u16>,
    on_stream: OnStream,
}

/// What a stream makes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum OnStream {
    /// The same, and the stream goes on.
    Same,
    /// 400, and the stream ends: nobody knows where the next message begins.
    Ends,
    /// More bytes are awaited: Content-Length promises them.
    Waits,
}

use OnStream::{Ends, Same, Waits};

const fn torture(
    section: &'static str,
    name: &'static str,
    answer: u16,
    on_stream: OnStream,
) -> Torture {
    let answer = if answer == 0 { None } else { Some(answer) };
    Torture {
        section,
        name,
        answer,
        on_stream,
    }
}

/// 302 is a call that the table decides; 405 a method that no redirect server has, which
/// RFC 3261 §8.2.1 has it say before it looks any further.
#[rustfmt::skip]
pub(crate) const RFC_4475: [Torture; 49] = [
    // A To tag and no dialog: RFC 3261 §12.2.2.
    torture("3.1.1.1", "wsinv", 481, Same),
    torture("3.1.1.2", "intmeth", 405, Same),
    torture("3.1.1.3", "esc01", 302, Same),
    torture("3.1.1.4", "escnull", 405, Same),
    torture("3.1.1.5", "esc02", 405, Same),
    torture("3.1.1.6", "lwsdisp", 200, Same),
    torture("3.1.1.7", "longreq", 302, Same),
    torture("3.1.1.8", "dblreq", 405, Same),
    torture("3.1.1.9", "semiuri", 200, Same),
    torture("3.1.1.10", "transports", 200, Same),
    torture("3.1.1.11", "mpart01", 405, Same),
    torture("3.1.1.12", "unreason", 0, Same),
    torture("3.1.1.13", "noreason", 0, Same),
    torture("3.1.2.1", "badinv01", 400, Same),
    torture("3.1.2.2", "clerr", 400, Waits),
    torture("3.1.2.3", "ncl", 400, Ends),
    torture("3.1.2.4", "scalar02", 400, Same),
    torture("3.1.2.5", "scalarlg", 0, Same),
    torture("3.1.2.6", "quotbal", 400, Same),
    torture("3.1.2.7", "ltgtruri", 400, Same),
    torture("3.1.2.8", "lwsruri", 400, Same),
    torture("3.1.2.9", "lwsstart", 400, Same),
    torture("3.1.2.10", "trws", 400, Same),
    torture("3.1.2.11", "escruri", 400, Same),
    // Whoever does not care for the date may process it.
    torture("3.1.2.12", "baddate", 302, Same),
    torture("3.1.2.13", "regbadct", 405, Same),
    torture("3.1.2.14", "badaspec", 400, Same),
    torture("3.1.2.15", "baddn", 400, Same),
    torture("3.1.2.16", "badvers", 505, Same),
    torture("3.1.2.17", "mismatch01", 400, Same),
    torture("3.1.2.18", "mismatch02", 400, Same),
    torture("3.1.2.19", "bigcode", 0, Same),
    torture("3.2.1", "badbranch", 200, Same),
    torture("3.3.1", "insuf", 400, Same),
    torture("3.3.2", "unkscm", 416, Same),
    torture("3.3.3", "novelsc", 416, Same),
    torture("3.3.4", "unksm2", 405, Same),
    torture("3.3.5", "bext01", 420, Same),
    // The body is for whoever is called.
    torture("3.3.6", "invut", 302, Same),
    torture("3.3.7", "regaut01", 405, Same),
    torture("3.3.8", "multi01", 400, Same),
    torture("3.3.9", "mcl01", 400, Ends),
    torture("3.3.10", "bcast", 0, Same),
    // Max-Forwards keeps a request from going on, not from being answered here.
    torture("3.3.11", "zeromf", 200, Same),
    torture("3.3.12", "cparam01", 405, Same),
    torture("3.3.13", "cparam02", 405, Same),
    torture("3.3.14", "regescrt", 405, Same),
    // What answers will be accepted is for whoever answers with a body.
    torture("3.3.15", "sdp01", 302, Same),
    torture("3.4.1", "inv2543", 302, Ends),
];

#[rustfmt::skip]
pub(crate) const RFC_5118: [Torture; 12] = [
    torture("4.1", "ipv6-good", 405, Same),
    torture("4.2", "ipv6-bad", 400, Same),
    torture("4.3", "port-ambiguous", 405, Same),
    torture("4.4", "port-unambiguous", 405, Same),
    torture("4.5", "via-received-param-with-delim", 405, Same),
    torture("4.5", "via-received-param-no-delim", 405, Same),
    torture("4.6", "ipv6-in-sdp", 302, Same),
    torture("4.7", "mult-ip-in-header", 405, Same),
    torture("4.8", "mult-ip-in-sdp", 302, Same),
    torture("4.9", "ipv4-mapped-ipv6", 302, Same),
    torture("4.10", "ipv6-bug-abnf-3-colons", 200, Same),
    torture("4.10", "ipv6-correct-abnf-2-colons", 200, Same),
];

/// Every message of both, with the folder it is in.
pub(crate) fn all() -> impl Iterator<Item = (&'static Torture, Vec<u8>)> {
    let of = |folder, list: &'static [Torture]| list.iter().map(move |one| (folder, one));
    of("rfc4475", &RFC_4475)
        .chain(of("rfc5118", &RFC_5118))
        .map(|(folder, one)| {
            let path = super::folder()
                .join(folder)
                .join(one.name)
                .with_extension("sip");
            (
                one,
                std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display())),
            )
        })
}

#[test]
fn the_tables_and_the_folders_name_the_same_messages() {
    for (folder, list) in [("rfc4475", &RFC_4475[..]), ("rfc5118", &RFC_5118)] {
        let mut named: Vec<String> = list.iter().map(|one| format!("{}.sip", one.name)).collect();
        let files = std::fs::read_dir(super::folder().join(folder)).unwrap();
        let mut there: Vec<_> = files
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        named.sort();
        there.sort();
        assert_eq!(named, there);
    }
}

/// What the parser says before anybody looks at methods, extensions or dialogs.
fn refused(bytes: &[u8]) -> Option<u16> {
    let checked = Message::parse_datagram(bytes).and_then(|message| match message.method() {
        Some(_) => message.check_request(),
        None => Ok(()),
    });
    let status = checked.err()?.status()?;
    Message::salvage(bytes).map(|_| status.code())
}

#[test]
fn a_datagram_is_refused_by_the_parser_exactly_where_the_rfc_finds_it_malformed() {
    for (one, bytes) in all() {
        let malformed = one
            .answer
            .filter(|status| matches!(status, 400 | 416 | 505));
        assert_eq!(refused(&bytes), malformed, "{} {}", one.section, one.name);
    }
}

#[test]
fn on_a_stream_only_a_message_without_a_certain_end_ends_it() {
    const NEXT: &[u8] = b"OPTIONS sip:h SIP/2.0\r\nl: 0\r\n\r\n";
    for (one, bytes) in all() {
        let stream = [&bytes[..], NEXT].concat();
        let framed = Framer::new().next(&stream);
        let what = format!("{} {}: {framed:?}", one.section, one.name);
        match one.on_stream {
            Same => {
                let length = framed.unwrap().complete().unwrap().length();
                assert!(length <= bytes.len(), "{what}");
                let malformed = one
                    .answer
                    .filter(|status| matches!(status, 400 | 416 | 505));
                assert_eq!(refused(&stream[..length]), malformed, "{what}");
                // dblreq is two messages with line ends between them.
                assert!(length == bytes.len() || one.name == "dblreq", "{what}");
            }
            Ends => {
                let status = framed.unwrap_err().status().map(StatusCode::code);
                assert!(
                    status == Some(400) && Message::salvage(&bytes).is_some(),
                    "{what}"
                );
            }
            Waits => assert!(matches!(framed, Ok(Parsed::Partial)), "{what}"),
        }
    }
}

/// Whoever calls is known, and every call has a route.
pub(crate) const TABLE: &str = r#"
[trunk.next]
address = "sip:next.example.net"

[trunk_group.sbc]
accept_from = ["127.0.0.0/8", "::1", "192.0.2.0/24", "2001:db8::/32"]
trunks = ["next"]

[[rule]]
name     = "Everything"
route_to = ["sbc"]
"#;

fn snapshot() -> Snapshot {
    snapshot_of(TABLE)
}

pub(crate) fn snapshot_of(table: &str) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routing.toml"), table).unwrap();
    let loaded = tables::load(folder.path());
    Snapshot::new(Arc::new(
        loaded
            .table
            .unwrap_or_else(|| panic!("{}", loaded.report.text(false))),
    ))
}

pub(crate) fn server(stateful: bool) -> RedirectServer {
    RedirectServer::new(RedirectSettings {
        tag_key: RandomState::new(),
        stateful,
        server_header: None,
    })
}

pub(crate) fn now() -> Now {
    Now {
        instant: Instant::now(),
        wall: "2026-03-02T10:00:00Z".parse().unwrap(),
    }
}

#[test]
fn the_engine_answers_from_ipv4_and_ipv6_what_the_rfc_asks() {
    let snapshot = snapshot();
    for source in ["192.0.2.77:5066", "[2001:db8::77]:5066"] {
        let source: SocketAddr = source.parse().unwrap();
        for (one, bytes) in all() {
            let what = format!("{} {} from {source}", one.section, one.name);
            let mut out = Vec::new();
            let datagram = Datagram {
                bytes: &bytes,
                source,
                asked: None,
                listener: "",
            };
            // A server each: some share their branch, and would be retransmissions.
            let fate = server(true).handle(now(), &datagram, &snapshot, &mut out);
            match (fate, one.answer) {
                (
                    Fate::Answer {
                        to, status, answer, ..
                    },
                    Some(expected),
                ) => {
                    assert_eq!(status.code(), expected, "{what}: {answer:?}");
                    assert_eq!(matches!(answer, Answer::Call(_)), expected == 302, "{what}");
                    assert_eq!(to.ip(), source.ip(), "{what}");
                    let answer = Message::parse_datagram(&out);
                    let answered = answer.as_ref().ok().and_then(|answer| answer.status());
                    assert_eq!(answered, Some(status), "{what}: {}", out.escape_ascii());
                }
                (Fate::Dropped(DropReason::Response | DropReason::Junk), None) => {}
                (fate, _) => panic!("{what}: {fate:?}"),
            }
        }
    }
}

#[test]
fn unknown_extensions_are_named() {
    let (_, bytes) = all().find(|(one, _)| one.name == "bext01").unwrap();
    let mut out = Vec::new();
    let datagram = Datagram {
        bytes: &bytes,
        source: "192.0.2.77:5066".parse().unwrap(),
        asked: None,
        listener: "",
    };
    server(false).handle(now(), &datagram, &snapshot(), &mut out);
    let answer = String::from_utf8(out).unwrap();
    assert!(
        answer.contains("\r\nUnsupported: nothingSupportsThis, nothingSupportsThisEither\r\n"),
        "{answer}"
    );
}
