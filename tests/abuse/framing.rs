//! Lengths and boundaries.

use trunkline::sip::{Frame, Framer, Message, ParseErrorKind, Parsed};

use super::{Rig, invite, request};

const WRONG_LENGTHS: [&str; 17] = [
    "4294967296",
    "4294967297",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211456",
    "-1",
    "-0",
    "+5",
    "0x10",
    "5 5",
    "5;5",
    "5,5",
    "\"5\"",
    "1e1",
    "",
    "５",
    "٣",
];

#[test]
fn a01_content_length_beyond_64_bits_or_no_number() {
    let mut rig = Rig::new(false);
    for length in WRONG_LENGTHS {
        for name in ["Content-Length", "l", "content-length ", "L\t"] {
            let bytes = invite("+442071838750", &[&format!("{name}: {length}")]);
            assert_eq!(rig.status_of(&bytes), Some(400), "{name}: {length}");
            let error = Framer::new().next(&bytes).unwrap_err();
            assert_eq!(
                error.status().map(|status| status.code() / 100),
                Some(if error.kind == ParseErrorKind::MessageTooLarge {
                    5
                } else {
                    4
                })
            );
        }
    }
    // More than is there waits on a stream for the rest, and is refused in a datagram.
    let short = invite("+442071838750", &["Content-Length: 10"]);
    assert_eq!(rig.status_of(&short), Some(400));
    assert!(matches!(Framer::new().next(&short), Ok(Parsed::Partial)));
    // Zeros in front are a number; less than is there cuts.
    for length in ["0", "0000000000000000000000000000000000000000"] {
        let bytes = [
            invite("+442071838750", &[&format!("l: {length}")]),
            b"noise".to_vec(),
        ]
        .concat();
        assert_eq!(rig.status_of(&bytes), Some(302), "{length}");
    }
    rig.is_healthy();
}

#[test]
fn a02_two_content_lengths_in_any_spelling() {
    let mut rig = Rig::new(false);
    for fields in [
        ["Content-Length: 0", "Content-Length: 5"],
        ["Content-Length: 5", "l: 0"],
        ["l : 0", "CONTENT-LENGTH\t: 5"],
        ["l:\r\n 0", "l: 1"],
        // Equal ones are two all the same: the next hop may keep another of them.
        ["l: 0", "Content-Length: 0"],
        ["Content-Length: 0, 0", "Subject: x"],
        ["Content-Length: 0,5", "Subject: x"],
    ] {
        let bytes = [invite("+442071838750", &fields), b"12345".to_vec()].concat();
        assert_eq!(rig.status_of(&bytes), Some(400), "{fields:?}");
        let equal = fields == ["l: 0", "Content-Length: 0"];
        assert_eq!(Framer::new().next(&bytes).is_err(), !equal, "{fields:?}");
    }
    rig.is_healthy();
}

#[test]
fn a03_a_body_that_is_a_request_is_a_body() {
    let smuggled = request("INVITE sip:+449060000000@192.0.2.1 SIP/2.0", &["l: 0"]);
    let length = format!("Content-Length: {}", smuggled.len());
    let outer = [invite("+442071838750", &[&length]), smuggled.clone()].concat();
    let mut rig = Rig::new(false);
    assert_eq!(rig.status_of(&outer), Some(302));
    let stream = [&outer[..], &outer, b"\r\n\r\n", &smuggled].concat();
    for step in [1, 7, stream.len()] {
        let mut framer = Framer::new();
        let (mut taken, mut frames) = (0, Vec::new());
        for pieces in 0..=stream.len().div_ceil(step) {
            let there = (pieces * step).min(stream.len());
            while let Ok(Parsed::Complete(frame)) = framer.next(&stream[taken..there]) {
                taken += frame.length();
                frames.push(frame);
            }
        }
        let message = Frame::Message(outer.len());
        assert_eq!(
            frames,
            [
                message,
                message,
                Frame::Ping,
                Frame::Message(smuggled.len())
            ]
        );
    }
}

#[test]
fn a03_a_second_message_in_a_datagram_is_no_message() {
    let mut rig = Rig::new(false);
    let second = invite("+449060000000", &["l: 0"]);
    let bytes = [invite("+442071838750", &["l: 0"]), second].concat();
    let answer = rig.hears(&bytes);
    assert_eq!(answer.status, Some(302));
    assert!(
        answer.text.contains("+442071838750@teams.route") && !answer.text.contains("9060000000")
    );
}

#[test]
fn a07_endless_heads_and_bodies_are_bounded() {
    let mut rig = Rig::new(false);
    let head = String::from_utf8(invite("+442071838750", &[])).unwrap();
    let head = head.trim_end();
    // As large as a datagram gets, and one that no datagram can be.
    let fitting = format!(
        "{head}\r\nSubject: {}\r\n\r\n",
        "x".repeat(65_000 - head.len())
    );
    assert_eq!(rig.status_of(fitting.as_bytes()), Some(302));
    let huge = format!("{head}\r\nSubject: {}\r\n\r\n", "x".repeat(66_000));
    assert_eq!(rig.status_of(huge.as_bytes()), Some(513));
    let full = format!(
        "{head}\r\nContent-Length: 64000\r\n\r\n{}",
        "\0".repeat(64_000)
    );
    assert_eq!(
        rig.status_of(full.as_bytes()),
        Some(302),
        "bodies are not read"
    );
    let mut framer = Framer::new();
    let mut stream = format!("{head}\r\nSubject: ").into_bytes();
    let error = loop {
        match framer.next(&stream) {
            Ok(_) => stream.extend_from_slice(&[b'x'; 1_000]),
            Err(error) => break error,
        }
    };
    assert!(error.kind == ParseErrorKind::MessageTooLarge && stream.len() < 67_000);
    assert!(
        Message::salvage(&stream).is_some(),
        "there is somebody to be told"
    );
    rig.is_healthy();
}
