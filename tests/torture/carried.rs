//! The messages of RFC 4475 and RFC 5118 at a proxy: what a redirect server refuses is
//! refused alike, and what it decides goes on.

use std::hash::RandomState;
use std::net::SocketAddr;
use std::time::Instant;

use proptest::prelude::*;
use trunkline::proxy::{
    Engine, Flow, FlowTransport, Input, Output, ProxyListener, ProxySettings, fuzz_proxy,
};
use trunkline::routing::Snapshot;
use trunkline::sip::Message;
use trunkline::transaction::Timers;

use super::{Verdict, rfc};

const PROXY: &str = "192.0.2.1:5060";
const TRUNK: &str = "192.0.2.200:5060";

fn snapshot() -> Snapshot {
    rfc::snapshot_of(&rfc::TABLE.replace("next.example.net", "192.0.2.200"))
}

fn settings(epoch: Instant) -> ProxySettings {
    let local = PROXY.parse().unwrap();
    ProxySettings {
        worker: 0,
        secret: *b"known to us only",
        key: RandomState::new(),
        epoch,
        timers: Timers::default(),
        listeners: vec![ProxyListener {
            name: "".into(),
            transport: FlowTransport::Udp,
            local,
            advertised: local,
        }],
        server_header: None,
        calls_max: 10,
    }
}

/// What a proxy sends when this datagram comes, and to whom. One each: some share their
/// branch, and would be retransmissions.
fn sent(bytes: &[u8], source: SocketAddr) -> Vec<(SocketAddr, Vec<u8>)> {
    let (snapshot, now) = (snapshot(), rfc::now());
    let settings = settings(now.instant);
    let local = settings.listeners[0].local;
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

/// A step of a play, as [`fuzz_proxy`] reads it.
fn step() -> impl Strategy<Value = Vec<u8>> {
    let files: Vec<_> = super::messages()
        .into_values()
        .chain(rfc::all().map(|(_, bytes)| bytes))
        .filter(|bytes| bytes.len() < 3_000)
        .collect();
    let lengthy = |bytes: Vec<u8>| {
        let length = u16::try_from(bytes.len()).unwrap().to_le_bytes();
        [&length[..], &bytes].concat()
    };
    let damage = || {
        let some = proptest::collection::vec(any::<u8>(), 0..6).prop_map(lengthy);
        prop_oneof![3 => Just(vec![0, 0]), 1 => some]
    };
    let came = (any::<u8>(), prop::sample::select(files).prop_map(lengthy));
    prop_oneof![
        4 => came.prop_map(|(from, bytes)| [&[0, from][..], &bytes].concat()),
        6 => (any::<[u8; 2]>(), damage())
            .prop_map(|([to, status], damage)| [&[1, to, status][..], &damage].concat()),
        2 => (any::<u8>(), damage()).prop_map(|(of, damage)| [&[2, of][..], &damage].concat()),
        3 => any::<u8>().prop_map(|time| vec![3, time]),
        1 => any::<u8>().prop_map(|of| vec![4, of]),
        3 => (any::<[u8; 2]>(), damage())
            .prop_map(|([of, method], damage)| [&[5, of, method][..], &damage].concat()),
        1 => any::<u8>().prop_map(|of| vec![6, of]),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn any_play_ends_and_breaks_no_law(steps in proptest::collection::vec(step(), 1..40)) {
        let sources = ["192.0.2.77:5066", "192.0.2.9:5060", "198.51.100.66:9"];
        let sources = sources.map(|source| source.parse().unwrap());
        let now = rfc::now();
        fuzz_proxy(settings(now.instant), &sources, &snapshot(), now, &steps.concat());
    }
}
