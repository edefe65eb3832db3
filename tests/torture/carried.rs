//! The messages of RFC 4475 and RFC 5118 at a proxy: what a redirect server refuses is
//! refused alike, and what it decides goes on.

use std::hash::RandomState;
use std::net::SocketAddr;

use trunkline::proxy::{Engine, Flow, FlowTransport, Input, Output, ProxyListener, ProxySettings};
use trunkline::sip::Message;
use trunkline::transaction::Timers;

use super::{Verdict, rfc};

const PROXY: &str = "192.0.2.1:5060";
const TRUNK: &str = "192.0.2.200:5060";

/// What a proxy sends when this datagram comes, and to whom. One each: some share their
/// branch, and would be retransmissions.
fn sent(bytes: &[u8], source: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
    let table = rfc::TABLE.replace("next.example.net", "192.0.2.200");
    let snapshot = rfc::snapshot_of(&table);
    let now = rfc::now();
    let local = PROXY.parse().unwrap();
    let settings = ProxySettings {
        worker: 0,
        secret: *b"known to us only",
        key: RandomState::new(),
        epoch: now.instant,
        timers: Timers::default(),
        listeners: vec![ProxyListener {
            name: "".into(),
            transport: FlowTransport::Udp,
            local,
            advertised: local,
        }],
        server_header: None,
        calls_max: 10,
    };
    let mut engine = Engine::new(settings, &snapshot);
    let flow = Flow {
        listener: 0,
        transport: FlowTransport::Udp,
        local,
        peer: source,
    };
    engine.handle(now, Input::Received { flow, bytes }, &snapshot);
    let mut sent = Vec::new();
    while let Some(output) = engine.poll_output() {
        if let Output::Transmit { flow, bytes } = output {
            sent.push((flow.peer, bytes.to_vec()));
        }
    }
    sent
}

#[test]
fn a_proxy_refuses_what_a_redirect_server_refuses_and_carries_the_rest() {
    let source: SocketAddr = "192.0.2.77:5066".parse().unwrap();
    for (one, bytes) in rfc::all() {
        let what = format!("{} {}", one.section, one.name);
        let sent = sent(&bytes, source);
        let read = |bytes: &'static [u8]| Message::parse_datagram(bytes).unwrap();
        let said: Vec<_> = (sent.into_iter())
            .map(|(to, bytes)| (to, read(bytes.leak())))
            .collect();
        // A method that no redirect server has: of a dialog, and none that went through us.
        let is_in_dialog = Message::parse_datagram(&bytes)
            .is_ok_and(|came| came.to().is_ok_and(|to| to.tag().is_some()));
        let expected = match one.answer {
            Some(405) if is_in_dialog => Some(481),
            other => other,
        };
        match (expected, &said[..]) {
            (None, []) => {}
            (Some(302), [(back, trying), (on, invite)]) => {
                assert_eq!(back.ip(), source.ip(), "{what}");
                assert_eq!(
                    trying.status().map(|status| status.code()),
                    Some(100),
                    "{what}"
                );
                assert_eq!(*on, TRUNK.parse().unwrap(), "{what}");
                let came = Message::parse_datagram(&bytes).unwrap();
                assert_eq!(invite.method(), came.method(), "{what}");
                assert_eq!(invite.body(), came.body(), "{what}");
            }
            (Some(status), [(back, answer)]) if status != 302 => {
                assert_eq!(back.ip(), source.ip(), "{what}");
                assert_eq!(
                    answer.status().map(|status| status.code()),
                    Some(status),
                    "{what}"
                );
            }
            (expected, said) => {
                panic!("{what}: {said:?}, where a redirect server says {expected:?}")
            }
        }
    }
}

#[test]
fn a_proxy_gives_every_message_of_ours_its_verdict() {
    let source: SocketAddr = "192.0.2.77:5066".parse().unwrap();
    let messages = super::messages();
    for (name, verdict) in super::VERDICTS {
        let sent = sent(&messages[*name], source);
        let first = sent.first().map(|(_, bytes)| {
            let answer = Message::parse_datagram(bytes).unwrap();
            answer.status().map(|status| status.code())
        });
        match verdict {
            Verdict::Answered(status) => assert_eq!(first, Some(Some(*status)), "{name}"),
            Verdict::Response | Verdict::Silent => assert_eq!(first, None, "{name}"),
            // It goes on, or is no request that a proxy takes: its own answer, but no 400.
            Verdict::Accepted => assert!(
                matches!(first, Some(Some(100 | 200 | 404 | 405 | 420 | 481 | 483))),
                "{name}: {first:?}"
            ),
        }
    }
}
