//! HEPv3: what is written is what a reader finds who trusts nothing.

#![allow(clippy::unwrap_used)] // a test may fail loudly

mod decoder;

use std::net::SocketAddr;
use std::path::Path;

use decoder::{Decoded, decode};
use jiff::Timestamp;
use proptest::prelude::*;
use trunkline::hep::{Agent, Kind, Packet, TooLong};

fn agent(password: Option<&[u8]>) -> Agent {
    Agent {
        id: 2001,
        password: password.map(Into::into),
        name: "rt1".into(),
    }
}

fn packet<'p>(from: &str, to: &str, payload: &'p [u8]) -> Packet<'p> {
    Packet {
        at: Timestamp::new(1_790_000_000, 123_456_789).unwrap(),
        from: from.parse().unwrap(),
        to: to.parse().unwrap(),
        is_stream: false,
        kind: Kind::Sip,
        correlation: b"8f2a@10.20.0.11",
        trunk_group: None,
        payload,
    }
}

fn written(packet: &Packet<'_>, agent: &Agent) -> Vec<u8> {
    let mut bytes = b"left over".to_vec();
    packet.write(agent, &mut bytes).unwrap();
    bytes
}

/// The bytes as the specification has them, by hand.
#[test]
fn the_octets_are_those_of_the_specification() {
    let bytes = written(
        &packet("10.0.0.1:5060", "10.0.0.2:5061", b"SIP"),
        &agent(Some(b"pw")),
    );
    let mut by_hand = b"HEP3\x00\x8c".to_vec();
    for (kind, value) in [
        (0x01, &b"\x02"[..]),
        (0x02, b"\x11"),
        (0x03, b"\x0a\x00\x00\x01"),
        (0x04, b"\x0a\x00\x00\x02"),
        (0x07, b"\x13\xc4"),
        (0x08, b"\x13\xc5"),
        (0x09, &1_790_000_000_u32.to_be_bytes()),
        (0x0a, &123_456_u32.to_be_bytes()),
        (0x0b, b"\x01"),
        (0x0c, b"\x00\x00\x07\xd1"),
        (0x0e, b"pw"),
        (0x11, b"8f2a@10.20.0.11"),
        (0x13, b"rt1"),
        (0x0f, b"SIP"),
    ] {
        by_hand.extend_from_slice(&[0, 0, 0, kind, 0, 6 + value.len() as u8]);
        by_hand.extend_from_slice(value);
    }
    by_hand[5] = by_hand.len() as u8;
    assert_eq!(bytes, by_hand);
}

#[test]
fn what_has_no_room_in_a_packet_is_refused() {
    let payload = vec![b'x'; 65_535];
    let mut out = Vec::new();
    for (length, fits) in [(65_000, true), (65_400, false), (65_535, false)] {
        let packet = packet("10.0.0.1:1", "10.0.0.2:2", &payload[..length]);
        let written = packet.write(&agent(None), &mut out);
        assert_eq!(
            written,
            if fits { Ok(()) } else { Err(TooLong) },
            "{length}"
        );
    }
}

#[test]
fn addresses_of_both_families_make_one_packet() {
    let mixed = packet("10.0.0.1:1", "[2001:db8::2]:2", b"x");
    let read = decode(&written(&mixed, &agent(None))).unwrap();
    assert_eq!(read.from, "[::ffff:10.0.0.1]:1".parse().unwrap());
    let mapped = packet("[::ffff:10.0.0.1]:1", "10.0.0.2:2", b"x");
    let read = decode(&written(&mapped, &agent(None))).unwrap();
    assert_eq!((read.from, read.family), ("10.0.0.1:1".parse().unwrap(), 2));
}

fn address() -> impl Strategy<Value = SocketAddr> {
    let v4 = (any::<[u8; 4]>(), any::<u16>()).prop_map(SocketAddr::from);
    // None that is IPv4 in disguise: it would come out as what it is.
    let v6 = (any::<[u8; 15]>(), any::<u16>()).prop_map(|(rest, port)| {
        let mut octets = [0x20; 16];
        octets[1..].copy_from_slice(&rest);
        SocketAddr::from((octets, port))
    });
    prop_oneof![v4, v6]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// What a strict reader finds is what was put in.
    #[test]
    fn reads_as_it_was_written(
        (from, to) in (address(), address()).prop_filter("of one family", |(a, b)| a.is_ipv4() == b.is_ipv4()),
        second in 0..i64::from(u32::MAX),
        microsecond in 0..1_000_000_i32,
        is_stream in any::<bool>(),
        is_log in any::<bool>(),
        correlation in prop::collection::vec(any::<u8>(), 0..80),
        group in prop::option::of("[a-z-]{1,20}"),
        password in prop::option::of(prop::collection::vec(any::<u8>(), 1..40)),
        id in any::<u32>(),
        payload in prop::collection::vec(any::<u8>(), 0..3_000),
    ) {
        let kind = if is_log { Kind::Log } else { Kind::Sip };
        let agent = Agent { id, password: password.clone().map(Into::into), name: "rt1".into() };
        let packet = Packet {
            at: Timestamp::new(second, microsecond * 1_000).unwrap(),
            from, to, is_stream, kind,
            correlation: &correlation,
            trunk_group: group.as_deref(),
            payload: &payload,
        };
        let read = decode(&written(&packet, &agent)).unwrap();
        prop_assert_eq!(read, Decoded {
            family: if from.is_ipv4() { 2 } else { 10 },
            protocol: if is_stream { 6 } else { 17 },
            from, to,
            second: second as u32,
            microsecond: microsecond as u32,
            kind: if is_log { 100 } else { 1 },
            id,
            password,
            correlation: Some(correlation).filter(|bytes| !bytes.is_empty()),
            name: Some(b"rt1".to_vec()),
            transaction: group.as_ref().map(|_| b"call".to_vec()),
            tags: group.map(String::into_bytes),
            payload,
        });
    }

    /// The reader of these tests takes nothing that is cut, longer, or has chunks it should
    /// not have: else it would prove nothing.
    #[test]
    fn the_reader_is_strict(cut in 1_usize..100, place in 0_usize..140, bits in 1_u8..) {
        let packet = packet("10.0.0.1:5060", "10.0.0.2:5061", b"SIP");
        let bytes = written(&packet, &agent(Some(b"pw")));
        let read = decode(&bytes).unwrap();
        prop_assert!(decode(&bytes[..bytes.len() - cut]).is_err());
        prop_assert!(decode(&[&bytes[..], &[0]].concat()).is_err());
        let mut damaged = bytes.clone();
        if let Some(byte) = damaged.get_mut(place) {
            *byte ^= bits;
            prop_assert_ne!(decode(&damaged), Ok(read));
        }
    }
}

/// Packets for a decoder that others wrote, a file each, and what it should find, a line each:
/// `tests/hep-kamailio` compares.
#[test]
fn packets_for_another_decoder_are_written() {
    const INVITE: &str = "INVITE sip:+442071838750@10.20.0.5 SIP/2.0\r\n\
        Via: SIP/2.0/UDP 10.20.0.11:5060;branch=z9hG4bK1\r\nMax-Forwards: 70\r\n\
        From: <sip:+447700900123@10.20.0.11>;tag=1\r\nTo: <sip:+442071838750@10.20.0.5>\r\n\
        Call-ID: 8f2a@10.20.0.11\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
    let packets = [
        packet("10.20.0.11:5060", "10.20.0.5:5060", INVITE.as_bytes()),
        Packet {
            is_stream: true,
            ..packet(
                "[2001:db8::11]:40112",
                "[2001:db8::5]:5061",
                INVITE.as_bytes(),
            )
        },
        Packet {
            kind: Kind::Log,
            trunk_group: Some("sbc"),
            ..packet("10.20.0.11:5060", "10.20.0.5:5060", b"trunkline route +44")
        },
        Packet {
            kind: Kind::CallRecord,
            trunk_group: Some("sbc"),
            ..packet("10.20.0.11:5060", "10.20.0.9:5060", b"{\"event\": \"end\"}")
        },
    ];
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("hep");
    std::fs::create_dir_all(&folder).unwrap();
    let mut expected = String::new();
    for (place, packet) in packets.iter().enumerate() {
        let bytes = written(packet, &agent(Some(b"secret")));
        let read = decode(&bytes).unwrap();
        expected.push_str(&format!(
            "{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\t{}\n",
            read.protocol,
            read.from.ip(),
            read.to.ip(),
            read.from.port(),
            read.to.port(),
            read.kind,
            read.id,
            "secret",
            "8f2a@10.20.0.11",
        ));
        std::fs::write(folder.join(format!("{place}.hep")), bytes).unwrap();
    }
    std::fs::write(folder.join("expected.tsv"), expected).unwrap();
}
