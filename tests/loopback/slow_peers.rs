//! Peers that mean no good, in numbers: calls of everybody else go on, and what they held is
//! given back.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};
use trunkline::limits::{CONNECTIONS_PER_SOURCE_MAX, STRANGER_CONNECTIONS_MAX};
use trunkline::proxy::FlowTransport;

use crate::Rig;
use crate::tls::ended;
use crate::wire::Wire;

fn tcp() -> Rig {
    Rig::start(&["127.0.0.1:0"], 2, |config| {
        config.listeners[0].transport = FlowTransport::Tcp;
    })
}

/// A connection from this address of ours.
fn from(source: &str, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let source: SocketAddr = format!("{source}:0").parse().unwrap();
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

fn is_answered(wire: &mut Wire, call_id: &str) {
    let answer = wire.ask(wire.invite("+442071838750", call_id));
    assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
}

/// Security case of the slow loris: silent ones, ones with half a head, ones that send a byte
/// a second, ones that promise a body and never send it.
#[test]
fn a20_six_hundred_slow_peers_hold_up_no_call_and_are_gone_soon() {
    let rig = tcp();
    let mut steady = Wire::to(rig.address());
    is_answered(&mut steady, "before");
    let mut slow: Vec<TcpStream> = (0..600)
        .map(|_| TcpStream::connect(rig.address()).unwrap())
        .collect();
    let head = steady.invite("+442071838750", "slow");
    let body = head.replace("Content-Length: 0", "Content-Length: 60000");
    for (n, stream) in slow.iter_mut().enumerate() {
        match n % 4 {
            0 => {}
            1 => stream.write_all(&head.as_bytes()[..=n % 300]).unwrap(),
            2 => stream.write_all(b"I").unwrap(),
            _ => stream.write_all(body.as_bytes()).unwrap(),
        }
    }
    let begun = Instant::now();
    let mut turn = 0;
    while begun.elapsed() < Duration::from_secs(11) {
        turn += 1;
        let asked = Instant::now();
        is_answered(&mut steady, &format!("steady{turn}"));
        is_answered(&mut Wire::to(rig.address()), &format!("fresh{turn}"));
        let took = asked.elapsed();
        assert!(took < Duration::from_secs(2), "a call took {took:?}");
        for stream in slow.iter_mut().skip(2).step_by(4) {
            // In time it is closed, and then nobody reads this.
            let _ = stream.write_all(b"N");
        }
        std::thread::sleep(Duration::from_millis(500));
    }
    ended(&rig, "connection silent", 150);
    ended(&rig, "message too slow", 450);
    is_answered(&mut steady, "after");
}

#[test]
fn one_source_has_its_share_and_gets_it_back() {
    let rig = tcp();
    let own: Vec<TcpStream> = (0..CONNECTIONS_PER_SOURCE_MAX)
        .map(|_| TcpStream::connect(rig.address()).unwrap())
        .collect();
    // Accepted in the order they came by each worker: one more may be anywhere, so several.
    let more: Vec<TcpStream> = (0..8)
        .map(|_| TcpStream::connect(rig.address()).unwrap())
        .collect();
    ended(&rig, "too many connections of one source", 8);
    // 127.0.0.2 is another source, which the table does not know: it is answered all the same.
    let mut other = Wire::of(from("127.0.0.2", rig.address()));
    let answer = other.ask(other.request("OPTIONS", "sip:trunkline", "other"));
    assert!(answer.starts_with("SIP/2.0 403 "), "{answer}");
    drop((own, more));
    ended(
        &rig,
        "closed by peer",
        u64::from(CONNECTIONS_PER_SOURCE_MAX),
    );
    is_answered(&mut Wire::to(rig.address()), "after");
}

#[test]
fn strangers_together_have_a_share_and_no_more() {
    let rig = tcp();
    let held: Vec<TcpStream> = (0..STRANGER_CONNECTIONS_MAX + 4)
        .map(|n| from(&format!("127.0.1.{}", n % 200 + 1), rig.address()))
        .collect();
    ended(&rig, "too many connections of unknown sources", 4);
    is_answered(&mut Wire::to(rig.address()), "known");
    drop(held);
}

/// Security case 21: connect and reset, before a message, inside one, and behind one.
#[test]
fn a21_a_storm_of_resets_leaves_nothing_behind() {
    let rig = tcp();
    let mut steady = Wire::to(rig.address());
    is_answered(&mut steady, "before");
    let whole = steady.invite("+442071838750", "reset");
    let rounds: u64 = 500;
    for n in 0..rounds as usize {
        let mut stream = TcpStream::connect(rig.address()).unwrap();
        let end = [0, 10, whole.len(), whole.len() - 1][n % 4];
        stream.write_all(&whole.as_bytes()[..end]).unwrap();
        // Closed so, the system sends a reset instead of an end.
        SockRef::from(&stream)
            .set_linger(Some(Duration::ZERO))
            .unwrap();
    }
    is_answered(&mut steady, "after");
    let until = Instant::now() + Duration::from_secs(10);
    // Each has ended, for whatever reason; `tests/hostile` counts descriptors, in a process
    // where nobody else opens any.
    while rig.handle.totals().connections.values().sum::<u64>() < rounds {
        let totals = rig.handle.totals();
        assert!(Instant::now() < until, "{totals}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let totals = rig.handle.shutdown();
    assert!(!totals.drops.contains_key("defect"), "{totals}");
}

/// It asks and asks, and reads nothing of the answers: its connection ends, and the worker
/// never waits for it.
#[test]
fn who_does_not_read_its_answers_loses_the_connection() {
    let rig = tcp();
    let mut deaf = TcpStream::connect(rig.address()).unwrap();
    let mut steady = Wire::to(rig.address());
    // With a Via of its own: answers that find its connection gone go where that says.
    let ask = Wire::of(deaf.try_clone().unwrap()).request("OPTIONS", "sip:trunkline", "deaf");
    let batch = ask.repeat(200);
    deaf.set_write_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let deadline = Instant::now() + Duration::from_secs(60);
    let (mut turn, mut at) = (0, 0);
    // Until the buffers of both systems are full of answers nobody reads. A server that is
    // slow to read is no end: it may have other things to do.
    while !rig
        .handle
        .totals()
        .connections
        .contains_key("messages not read")
    {
        match deaf.write(&batch.as_bytes()[at..]) {
            Ok(written) => at = (at + written) % batch.len(),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => break,
        }
        turn += 1;
        if turn % 20 == 0 {
            is_answered(&mut steady, &format!("steady{turn}"));
        }
        assert!(Instant::now() < deadline, "it is still answered");
    }
    ended(&rig, "messages not read", 1);
    is_answered(&mut steady, "after");
}
