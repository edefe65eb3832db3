//! The redirect server on connections: framing, keep-alives, and peers that misbehave.

use std::time::{Duration, Instant};

use trunkline::proxy::FlowTransport;
use trunkline::server::Config;

use crate::Rig;
use crate::phone::contacts;
use crate::wire::Wire;

/// A redirect server for connections.
fn tcp(workers: usize, change: impl FnOnce(&mut Config)) -> Rig {
    Rig::start(&["127.0.0.1:0"], workers, |config| {
        config.listeners[0].transport = FlowTransport::Tcp;
        change(config);
    })
}

#[test]
fn calls_on_connections_are_answered_on_them() {
    let rig = tcp(2, |_| {});
    let mut wires: Vec<Wire> = (0..8).map(|_| Wire::to(rig.address())).collect();
    for turn in 0..3 {
        for (n, wire) in wires.iter_mut().enumerate() {
            let answer = wire.ask(wire.invite("+442071838750", &format!("c{turn}-{n}")));
            assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
            assert!(contacts(&answer)[0].contains("teams.route"), "{answer}");
            wire.send(wire.request("ACK", "sip:trunkline", &format!("c{turn}-{n}")));
        }
    }
    drop(wires);
    let totals = rig.handle.shutdown();
    assert_eq!(totals.replies[&302], 24, "{totals}");
    assert_eq!(totals.requests["ACK"], 24, "{totals}");
}

/// Wherever a stream is cut into packets, the same messages come out of it.
#[test]
fn a_stream_may_be_cut_anywhere() {
    let rig = tcp(1, |_| {});
    let mut wire = Wire::to(rig.address());
    let two = |n: usize| {
        let (one, other) = (
            wire.request("OPTIONS", "sip:trunkline", &format!("a{n}")),
            wire.request("OPTIONS", "sip:trunkline", &format!("b{n}")),
        );
        format!("{one}\r\n{other}")
    };
    let texts: Vec<String> = (0..two(0).len()).map(two).collect();
    for (n, text) in texts.iter().enumerate() {
        let (front, back) = text.as_bytes().split_at(n);
        wire.send(front);
        if n % 16 == 0 {
            // Now and then surely in two reads of the server, else as it happens.
            std::thread::sleep(Duration::from_millis(2));
        }
        wire.send(back);
        for call in ["a", "b"] {
            let answer = wire.receive();
            let call_id = format!("\r\nCall-ID: {call}{n}\r\n");
            assert!(answer.contains(&call_id), "cut at {n}: {answer}");
        }
    }
}

/// RFC 5626 §4.4.1.
#[test]
fn a_ping_is_answered_with_a_pong() {
    let rig = tcp(1, |_| {});
    let mut wire = Wire::to(rig.address());
    wire.send("\r\n\r\n");
    assert_eq!(wire.receive_bytes(2), b"\r\n");
    wire.send("\r\n");
    wire.is_served("k1");
    wire.send("\r\n\r\n");
    assert_eq!(wire.receive_bytes(2), b"\r\n");
    wire.is_served("k2");
}

#[test]
fn a_bad_message_whose_end_is_certain_is_answered_and_the_connection_kept() {
    let rig = tcp(1, |_| {});
    let mut wire = Wire::to(rig.address());
    let bad = wire
        .request("OPTIONS", "sip:trunkline", "bad")
        .replace("CSeq: 1 OPTIONS", "CSeq: one OPTIONS");
    let answer = wire.ask(bad);
    assert!(answer.starts_with("SIP/2.0 400 "), "{answer}");
    wire.is_served("after");
}

/// RFC 3261 §18.3: without a Content-Length nobody knows where the next message begins.
#[test]
fn a_stream_out_of_frame_is_answered_400_and_closed() {
    let rig = tcp(1, |_| {});
    for line in [
        "",
        "Content-Length: 99999999999999999999\r\n",
        "Content-Length: -1\r\n",
        "Content-Length: 0x10\r\n",
        "Content-Length: 0\r\nContent-Length: 5\r\n",
        "Content-Length: 65536\r\n",
    ] {
        let mut wire = Wire::to(rig.address());
        let bad = wire
            .request("OPTIONS", "sip:trunkline", "bad")
            .replace("Content-Length: 0\r\n", line);
        // What follows is not read as a message, whatever it looks like.
        wire.send(bad + &wire.invite("+442071838750", "smuggled"));
        let rest = wire.receive_rest();
        let starts: Vec<&str> = rest
            .lines()
            .filter(|line| line.starts_with("SIP/2.0 "))
            .collect();
        assert!(
            matches!(starts[..], [one] if one.starts_with("SIP/2.0 400 ") || one.starts_with("SIP/2.0 513 ")),
            "{line:?}: {rest}"
        );
    }
    for junk in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\r\n\r\n"[..],
        b"GET / HTTP/1.1\r\n\r\n",
    ] {
        let mut wire = Wire::to(rig.address());
        wire.send(junk);
        assert_eq!(wire.receive_rest(), "");
    }
    Wire::to(rig.address()).is_served("after");
    let totals = rig.handle.shutdown();
    assert!(!totals.requests.contains_key("INVITE"), "{totals}");
}

#[test]
fn a_body_that_looks_like_a_request_is_none() {
    let rig = tcp(1, |_| {});
    let mut wire = Wire::to(rig.address());
    let inner = wire.invite("+442071838750", "inner");
    let outer = wire.request("OPTIONS", "sip:trunkline", "outer").replace(
        "Content-Length: 0",
        &format!("Content-Length: {}", inner.len()),
    );
    let answer = wire.ask(outer + &inner);
    assert!(answer.contains("\r\nCall-ID: outer\r\n"), "{answer}");
    wire.is_served("after");
    assert!(!rig.handle.shutdown().requests.contains_key("INVITE"));
}

#[test]
fn a_stopping_server_answers_what_came_on_connections() {
    let rig = tcp(1, |_| {});
    let mut wire = Wire::to(rig.address());
    wire.is_served("before");
    let calls: String = (0..100)
        .map(|n| wire.invite("+442071838750", &format!("q{n}")))
        .collect();
    wire.send(calls);
    // The system has them; the server may not have looked yet.
    let totals = rig.handle.shutdown();
    let rest = wire.receive_rest();
    let answers = rest.matches("SIP/2.0 302 ").count();
    assert_eq!(answers as u64, totals.replies[&302], "{totals}");
    assert_eq!(answers, 100);
}

/// One that says nothing and one that says a byte a second: both are given their time.
#[test]
fn who_is_silent_or_slow_loses_the_connection() {
    let rig = tcp(1, |_| {});
    let begun = Instant::now();
    let mut silent = Wire::to(rig.address());
    let mut slow = Wire::to(rig.address());
    let mut kept = Wire::to(rig.address());
    kept.is_served("kept");
    slow.send("INVITE sip:");
    let mut closed = false;
    while begun.elapsed() < Duration::from_secs(60) && !closed {
        std::thread::sleep(Duration::from_millis(500));
        use std::io::Write;
        closed = slow.stream.write_all(b"x").is_err();
        kept.is_served("kept");
    }
    assert!(closed, "the slow one is still there");
    assert_eq!(silent.receive_rest(), "");
    assert!(begun.elapsed() >= Duration::from_secs(9));
    kept.is_served("last");
    let totals = rig.handle.shutdown();
    assert_eq!(totals.connections["connection silent"], 1, "{totals}");
    assert_eq!(totals.connections["message too slow"], 1, "{totals}");
}
