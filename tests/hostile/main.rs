//! Peers that mean no good, by the thousand and from many addresses, at a server of its own:
//! calls of everybody else complete meanwhile, and what the peers held is given back.
//!
//! Every source is one the tables know: the bound for strangers would make it easy. The short
//! form runs with all tests; `tests/storm/peers` runs the full one and its figures are those of
//! docs/performance.md.

#![allow(clippy::unwrap_used)] // a test may fail loudly

mod callers;
mod server;

#[expect(
    dead_code,
    reason = "shared with the loopback tests, which use all of it"
)]
#[path = "../loopback/ca.rs"]
mod ca;
#[expect(
    dead_code,
    reason = "shared with the loopback tests, which use all of it"
)]
#[path = "../loopback/wire.rs"]
mod wire;
#[path = "../loopback/words.rs"]
mod words;

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use callers::Callers;
use server::Process;
use socket2::{Domain, Socket, Type};
use tokio_rustls::rustls::{ClientConnection, StreamOwned};
use trunkline::limits::UNUSED_BYTES_KEPT;

type Tls = StreamOwned<ClientConnection, TcpStream>;

/// So many in the short form, and in the full one.
fn size(short: usize, full: usize) -> usize {
    match std::env::var("TRUNKLINE_STORM") {
        Ok(form) if form == "full" => full,
        _ => short,
    }
}

/// A connection from the `n`th hostile address.
fn from(n: usize, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    let n = u8::try_from(n % 200).unwrap();
    let source = SocketAddr::from(([127, 1, n, 1], 0));
    socket.bind(&source.into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

const HEAD: &[u8] = b"INVITE sip:+442071838750@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TCP 127.1.1.1\r\n";

/// Storm 1: silent ones, ones with half a head, ones that send a byte a second, on TCP and,
/// after their handshake, on TLS.
#[test]
fn a20_slow_peers_by_the_thousand() {
    let server = Process::start(None);
    let callers = Callers::of(&server);
    let before = server.usage();
    let (plain, secret) = (size(400, 5_000), size(100, 5_000));
    let mut slow: Vec<TcpStream> = Vec::new();
    let mut slow_tls: Vec<Tls> = Vec::new();
    for n in 0..plain {
        let mut stream = from(n, server.tcp);
        if n % 3 == 1 {
            stream.write_all(HEAD).unwrap();
        }
        slow.push(stream);
    }
    for n in 0..secret {
        let mut stream = server.over_tls(from(n, server.tls));
        if n % 3 == 1 {
            // Those of a full house have been sent away by now.
            let _ = stream.write_all(HEAD);
        } else {
            let _ = stream.conn.complete_io(&mut stream.sock);
        }
        slow_tls.push(stream);
    }
    let most = server.usage();
    let begun = Instant::now();
    while server.usage().descriptors > before.descriptors + 8 {
        assert!(
            begun.elapsed() < Duration::from_secs(40),
            "never given back"
        );
        for stream in slow.iter_mut().skip(2).step_by(3) {
            let _ = stream.write_all(b"I");
        }
        for stream in slow_tls.iter_mut().skip(2).step_by(3) {
            let _ = stream.write_all(b"I").and_then(|()| stream.flush());
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    let told = callers.finish();
    println!(
        "slow peers: {plain} on TCP and {secret} on TLS; {told}; {before} before, {most} with all, \
         {} after, given back within {} s",
        server.usage(),
        begun.elapsed().as_secs()
    );
    println!("their memory: {}", memory_given_back(&server, &before));
    server.end_soundly(plain + secret);
}

/// Storm 2: more half handshakes than may be in progress.
#[test]
fn a22_half_handshakes_by_the_thousand() {
    let server = Process::start(None);
    let callers = Callers::of(&server);
    let before = server.usage();
    let count = size(700, 4_000);
    let half: Vec<TcpStream> = (0..count)
        .map(|n| {
            let mut stream = from(n, server.tls);
            let _ = stream.write_all(&[0x16, 3, 1, 2, 0, 1, 0][..n % 8]);
            stream
        })
        .collect();
    let took = given_back(&server, &before);
    let told = callers.finish();
    println!("half handshakes: {count}; {told}; given back within {took:.1?}");
    drop(half);
    server.end_soundly(count);
}

/// Storm 3: SIP as it is, to the TLS listener.
#[test]
fn a22_plain_text_by_the_thousand() {
    let server = Process::start(None);
    let callers = Callers::of(&server);
    let before = server.usage();
    let count = size(300, 4_000);
    for n in 0..count {
        let _ = from(n, server.tls).write_all(HEAD);
    }
    let took = given_back(&server, &before);
    println!(
        "plain text on TLS: {count}; {}; given back within {took:.1?}",
        callers.finish()
    );
    server.end_soundly(count);
}

/// Storm 4: connections that are reset in the middle of a message.
#[test]
fn a21_resets_by_the_thousand() {
    let server = Process::start(None);
    let callers = Callers::of(&server);
    let before = server.usage();
    let count = size(3_000, 50_000);
    let begun = Instant::now();
    for n in 0..count {
        let to = if n % 5 == 0 { server.tls } else { server.tcp };
        let mut stream = from(n, to);
        let _ = stream.write_all(HEAD);
        let socket = Socket::from(stream);
        socket.set_linger(Some(Duration::ZERO)).unwrap();
    }
    let rate = count as u128 * 1_000 / begun.elapsed().as_millis().max(1);
    let took = given_back(&server, &before);
    println!(
        "resets: {count}, {rate} a second; {}; given back within {took:.1?}; {before} before, {} after",
        callers.finish(),
        server.usage()
    );
    server.end_soundly(count);
}

/// Storm 5: more silent connections of known sources than the listener may have. Who comes
/// gets in, for the oldest of them makes room.
#[test]
fn a20_a_listener_full_of_silence_lets_callers_in() {
    let count = size(8_400, 9_500);
    let server = Process::start(None);
    let callers = Callers::of(&server);
    let before = server.usage();
    let silent: Vec<TcpStream> = (0..count).map(|n| from(n, server.tcp)).collect();
    std::thread::sleep(Duration::from_secs(2));
    let most = server.usage();
    let told = callers.finish();
    drop(silent);
    let took = given_back(&server, &before);
    println!(
        "full house: {count} silent on TCP; {told}; {most} with all; given back within {took:.1?}"
    );
    let log = server.end_soundly(count);
    assert!(log.contains("made-room-for-another="), "{log}");
}

/// Storm 6: no descriptors. What is there goes on, and who comes gets in as the silent are
/// sent away.
#[test]
fn a34_without_descriptors_calls_go_on() {
    const DESCRIPTORS: usize = 160;
    let server = Process::start(Some(DESCRIPTORS));
    let callers = Callers::of(&server);
    let silent: Vec<TcpStream> = (0..3 * DESCRIPTORS).map(|n| from(n, server.tcp)).collect();
    std::thread::sleep(Duration::from_secs(3));
    let most = server.usage();
    assert!(most.descriptors <= DESCRIPTORS, "{most}");
    let told = callers.finish();
    println!(
        "no descriptors: {DESCRIPTORS} allowed, {} silent; {told}; {most}",
        silent.len()
    );
    drop(silent);
    let log = server.end_soundly(3 * DESCRIPTORS);
    assert!(log.contains("no-descriptor-for-a-connection="), "{log}");
}

/// Waits until the server has about as much memory as before: what the allocator may keep of
/// what nobody uses, and what a busy minute needs.
fn memory_given_back(server: &Process, before: &server::Usage) -> server::Usage {
    let enough_kib = before.resident_kib + (UNUSED_BYTES_KEPT + (16 << 20)) / 1_024;
    let begun = Instant::now();
    loop {
        let usage = server.usage();
        if usage.resident_kib <= enough_kib {
            return usage;
        }
        let is_late = begun.elapsed() > Duration::from_secs(60);
        assert!(!is_late, "never given back: {usage}, {before} before");
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Waits until the server has as many descriptors as before, but for those of the callers.
fn given_back(server: &Process, before: &server::Usage) -> Duration {
    let begun = Instant::now();
    loop {
        let usage = server.usage();
        if usage.descriptors <= before.descriptors + 8 {
            return begun.elapsed();
        }
        let is_late = begun.elapsed() > Duration::from_secs(40);
        assert!(!is_late, "never given back: {usage}, {before} before");
        std::thread::sleep(Duration::from_millis(50));
    }
}
