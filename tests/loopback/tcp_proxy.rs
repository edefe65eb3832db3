//! Proxied calls where one side or both speak TCP.

use std::fmt::Display;
use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use trunkline::observe::Totals;
use trunkline::proxy::FlowTransport;
use trunkline::server::{ListenerConfig, Mode};

use crate::phone::Phone;
use crate::proxy::{Trunk, dead, in_dialog, lines, response, trunks_toml};
use crate::wire::Wire;
use crate::{Rig, write};

/// A trunk over TCP: whatever comes on whichever connection, it answers by hand.
pub(crate) struct TcpTrunk {
    address: SocketAddr,
    arrived: Receiver<Arrived>,
}

/// A request, and the connection it came by.
pub(crate) struct Arrived {
    pub(crate) text: String,
    stream: TcpStream,
}

impl TcpTrunk {
    pub(crate) fn new() -> Self {
        Self::at(TcpListener::bind("127.0.0.1:0").unwrap())
    }

    /// One of each at the same port, which nobody else has.
    pub(crate) fn beside_udp() -> (Trunk, Self) {
        let both = (0..100).find_map(|_| {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            let udp = Trunk::try_bound(listener.local_addr().unwrap()).ok()?;
            Some((udp, Self::at(listener)))
        });
        both.expect("a port free of both")
    }

    fn at(listener: TcpListener) -> Self {
        let address = listener.local_addr().unwrap();
        let (tell, arrived) = channel();
        // Ends with the process; a connection's thread with its connection.
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (tell, stream) = (tell.clone(), stream.unwrap());
                std::thread::spawn(move || {
                    let mut wire = Wire::of(stream.try_clone().unwrap());
                    while let Some(text) = wire.next_message() {
                        let stream = stream.try_clone().unwrap();
                        if tell.send(Arrived { text, stream }).is_err() {
                            return;
                        }
                    }
                });
            }
        });
        Self { address, arrived }
    }

    pub(crate) fn address(&self) -> String {
        over_tcp(self.address)
    }

    pub(crate) fn expect(&self, begins: &str) -> Arrived {
        let wait = Duration::from_secs(20);
        let arrived = self.arrived.recv_timeout(wait).unwrap();
        let text = &arrived.text;
        assert!(text.starts_with(begins), "{begins:?} was expected:\n{text}");
        arrived
    }

    pub(crate) fn answer(&self, arrived: &Arrived, status: u16) {
        let response = response(&arrived.text, status, self.address());
        (&arrived.stream).write_all(response.as_bytes()).unwrap();
    }
}

pub(crate) fn over_tcp(address: impl Display) -> String {
    format!("{address};transport=tcp")
}

/// A request inside a dialog, as one who speaks TCP writes it.
pub(crate) fn tcp_in_dialog(answer: &str, method: &str, number: u32, me: impl Display) -> String {
    in_dialog(answer, method, number, me).replace("SIP/2.0/UDP", "SIP/2.0/TCP")
}

/// A proxy that listens over UDP and over TCP, before these trunks.
pub(crate) fn bridge(trunks: &[String], workers: usize) -> Rig {
    bridge_with(&trunks_toml(trunks), workers)
}

pub(crate) fn bridge_with(toml: &str, workers: usize) -> Rig {
    Rig::with_tables(
        |folder| write(folder, "trunks.toml", toml),
        &["127.0.0.1:0"],
        workers,
        |config| {
            config.listeners[0].mode = Mode::Proxy;
            let mut streams = ListenerConfig::proxy("127.0.0.1:0".parse().unwrap());
            streams.transport = FlowTransport::Tcp;
            config.listeners.push(streams);
        },
    )
}

pub(crate) fn udp_of(rig: &Rig) -> SocketAddr {
    rig.handle.local_addrs()[0]
}

pub(crate) fn tcp_of(rig: &Rig) -> SocketAddr {
    rig.handle.local_addrs()[1]
}

/// A request of the callee inside the dialog of its INVITE.
fn from_callee(invite: &str, method: &str, me: impl Display) -> String {
    let contact = lines(invite, "Contact")[0].trim_matches(['<', '>']);
    let routes: String = lines(invite, "Record-Route")
        .iter()
        .map(|route| format!("Route: {route}\r\n"))
        .collect();
    let (from, to) = (lines(invite, "From")[0], lines(invite, "To")[0]);
    let call_id = lines(invite, "Call-ID")[0];
    format!(
        "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/TCP {me};branch=z9hG4bKcallee{method}{call_id}\r\n\
         Max-Forwards: 70\r\n{routes}From: {to};tag=callee\r\nTo: {from}\r\nCall-ID: {call_id}\r\n\
         CSeq: 1 {method}\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Whichever workers have the two connections, and the requests on them: every message finds
/// its way, hang-ups of both sides included.
#[test]
fn a_call_between_connections_is_hung_up_from_either_side() {
    for workers in [1, 3] {
        let trunk = TcpTrunk::new();
        let rig = bridge(&[trunk.address()], workers);
        for n in 0..12 {
            let mut phone = Wire::to(tcp_of(&rig));
            phone.send(phone.invite("+442071838750", &format!("c{n}")));
            phone.expect("SIP/2.0 100 ");
            let invite = trunk.expect("INVITE ");
            let text = &invite.text;
            assert!(lines(text, "Via")[0].starts_with("SIP/2.0/TCP "), "{text}");
            let own = format!("<sip:{};lr;tl=", over_tcp(tcp_of(&rig)));
            assert!(lines(text, "Record-Route")[0].starts_with(&own), "{text}");
            trunk.answer(&invite, 180);
            phone.expect("SIP/2.0 180 ");
            trunk.answer(&invite, 200);
            let answer = phone.expect("SIP/2.0 200 ");
            phone.send(tcp_in_dialog(&answer, "ACK", 1, phone.own()));
            trunk.expect("ACK ");
            if n % 2 == 0 {
                phone.send(tcp_in_dialog(&answer, "BYE", 2, phone.own()));
                trunk.answer(&trunk.expect("BYE "), 200);
                phone.expect("SIP/2.0 200 ");
            } else {
                // On a connection of its own, which any worker may have got.
                let mut fresh = Wire::to(tcp_of(&rig));
                fresh.send(from_callee(text, "BYE", fresh.own()));
                let bye = phone.expect("BYE ");
                phone.send(response(&bye, 200, phone.own()));
                fresh.expect("SIP/2.0 200 ");
            }
        }
        let totals = rig.handle.shutdown();
        assert_eq!(totals.proxied.calls, 12, "{totals}");
        assert_eq!(totals.requests["BYE"], 12, "{totals}");
        let refused = totals.connections.get("connection refused");
        assert_eq!(refused, None, "{totals}");
    }
}

/// RFC 5658: each side finds the proxy over its own transport.
#[test]
fn a_call_crosses_from_udp_to_tcp_and_back() {
    let trunk = TcpTrunk::new();
    let rig = bridge(&[trunk.address()], 2);
    let phone = Phone::new(udp_of(&rig));
    let me = phone.socket.local_addr().unwrap();
    for (n, by_caller) in [(0, true), (1, false)] {
        let trying = phone.ask(&phone.invite("+442071838750", &format!("x{n}")));
        assert!(trying.starts_with("SIP/2.0 100 "), "{trying}");
        let invite = trunk.expect("INVITE ");
        let routes = lines(&invite.text, "Record-Route");
        assert!(
            routes[0].contains(";transport=tcp;lr") && !routes[1].contains("transport"),
            "{routes:?}"
        );
        trunk.answer(&invite, 200);
        let answer = phone.receive();
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
        trunk.expect("ACK ");
        if by_caller {
            phone.send(in_dialog(&answer, "BYE", 2, me).as_bytes());
            let bye = trunk.expect("BYE ");
            assert!(lines(&bye.text, "Via")[0].starts_with("SIP/2.0/TCP "));
            trunk.answer(&bye, 200);
            assert!(phone.receive().starts_with("SIP/2.0 200 "));
        } else {
            let bye = from_callee(&invite.text, "BYE", trunk.address);
            (&invite.stream).write_all(bye.as_bytes()).unwrap();
            let bye = phone.receive();
            assert!(lines(&bye, "Via")[0].starts_with("SIP/2.0/UDP "), "{bye}");
            phone.send(response(&bye, 200, me).as_bytes());
            trunk.expect("SIP/2.0 200 ");
        }
    }
    assert_eq!(rig.handle.shutdown().requests["BYE"], 2);
}

#[test]
fn a_call_crosses_from_tcp_to_udp() {
    let trunk = Trunk::new();
    let rig = bridge(&[trunk.address().to_string()], 1);
    let mut phone = Wire::to(tcp_of(&rig));
    phone.send(phone.invite("+442071838750", "t1"));
    phone.expect("SIP/2.0 100 ");
    let invite = trunk.expect("INVITE ");
    assert!(lines(&invite.0, "Via")[0].starts_with("SIP/2.0/UDP "));
    trunk.answer(&invite, 200);
    let answer = phone.expect("SIP/2.0 200 ");
    phone.send(tcp_in_dialog(&answer, "ACK", 1, phone.own()));
    trunk.expect("ACK ");
    phone.send(tcp_in_dialog(&answer, "BYE", 2, phone.own()));
    trunk.answer(&trunk.expect("BYE "), 200);
    phone.expect("SIP/2.0 200 ");
}

#[test]
fn a_trunk_that_refuses_connections_moves_the_call_on_at_once() {
    let alive = TcpTrunk::new();
    let nobody = over_tcp(dead());
    let rig = bridge(&[nobody.clone(), nobody, alive.address()], 2);
    for n in 0..4 {
        let phone = Phone::new(udp_of(&rig));
        phone.ask(&phone.invite("+442071838750", &format!("d{n}")));
        let invite = alive.expect("INVITE ");
        alive.answer(&invite, 200);
        assert!(phone.receive().starts_with("SIP/2.0 200 "));
    }
    let totals = rig.handle.shutdown();
    assert_eq!(totals.proxied.calls, 4, "{totals}");
    assert!(totals.proxied.trunk_errors >= 1, "{totals}");
    assert_eq!(totals.proxied.trunk_timeouts, 0, "{totals}");
    assert!(totals.connections["connection refused"] >= 1, "{totals}");
}

/// It took the connection and the INVITE, and was killed: nobody waits for its timeout.
#[test]
fn a_connection_that_breaks_gives_its_requests_back() {
    let (dying, alive) = (TcpTrunk::new(), TcpTrunk::new());
    let rig = bridge(&[dying.address(), alive.address()], 1);
    let phone = Phone::new(udp_of(&rig));
    phone.ask(&phone.invite("+442071838750", "k1"));
    let invite = dying.expect("INVITE ");
    invite.stream.shutdown(Shutdown::Both).unwrap();
    let invite = alive.expect("INVITE ");
    alive.answer(&invite, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
    let totals = rig.handle.shutdown();
    assert_eq!(totals.proxied.trunk_timeouts, 0, "{totals}");
}

/// RFC 3261 §18.2.2: the answer goes to the address the INVITE came from, at the port of its
/// Via.
#[test]
fn a_caller_whose_connection_is_gone_gets_its_answer_at_the_port_of_its_via() {
    let trunk = TcpTrunk::new();
    let rig = bridge(&[trunk.address()], 2);
    let home = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut phone = Wire::to(tcp_of(&rig));
    let invite = phone.invite("+442071838750", "g1");
    let sent_by = format!("Via: SIP/2.0/TCP {}", home.local_addr().unwrap());
    let own = format!("Via: SIP/2.0/TCP {}", phone.own());
    phone.send(invite.replace(&own, &sent_by));
    phone.expect("SIP/2.0 100 ");
    let invite = trunk.expect("INVITE ");
    drop(phone);
    std::thread::sleep(Duration::from_millis(100));
    trunk.answer(&invite, 200);
    let mut back = Wire::accepted_by(&home);
    back.expect("SIP/2.0 200 ");
}

#[test]
fn a_call_on_a_connection_is_cancelled() {
    let trunk = TcpTrunk::new();
    let rig = bridge(&[trunk.address()], 1);
    let mut phone = Wire::to(tcp_of(&rig));
    let invite_sent = phone.invite("+442071838750", "n1");
    phone.send(&invite_sent);
    phone.expect("SIP/2.0 100 ");
    let invite = trunk.expect("INVITE ");
    trunk.answer(&invite, 180);
    phone.expect("SIP/2.0 180 ");
    phone.send(
        invite_sent
            .replace("INVITE sip:", "CANCEL sip:")
            .replace("1 INVITE", "1 CANCEL"),
    );
    phone.expect("SIP/2.0 200 ");
    trunk.answer(&trunk.expect("CANCEL "), 200);
    trunk.answer(&invite, 487);
    trunk.expect("ACK ");
    phone.expect("SIP/2.0 487 ");
}

/// A TCP trunk is asked on the connection its calls go on; when it takes none any more it is
/// out after its misses, and back after its hits.
#[test]
fn a_tcp_trunk_is_out_while_nothing_answers_its_options() {
    let (home, other) = (TcpListener::bind("127.0.0.1:0").unwrap(), TcpTrunk::new());
    let address = home.local_addr().unwrap();
    const PROBES: &str = "options = \"1s\"\noptions_misses = 2\noptions_hits = 2\n[trunk.t1]";
    let toml = trunks_toml(&[over_tcp(address), other.address()]).replace("[trunk.t1]", PROBES);
    let rig = bridge_with(&toml, 1);
    let phone = Phone::new(udp_of(&rig));
    let mut wire = Wire::accepted_by(&home);
    let probe = wire.expect("OPTIONS sip:127.0.0.1:");
    assert!(
        lines(&probe, "Via")[0].starts_with("SIP/2.0/TCP "),
        "{probe}"
    );
    wire.send(response(&probe, 200, over_tcp(address)));
    drop((wire, home));
    await_totals(&rig, |totals| totals.proxied.trunks_out == 1);
    phone.ask(&phone.invite("+442071838750", "out"));
    let invite = other.expect("INVITE ");
    other.answer(&invite, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
    // Counted after it was sent.
    await_totals(&rig, |totals| totals.proxied.calls == 1);
    let attempts = rig.handle.totals().proxied.attempts;
    assert_eq!(attempts, 1, "nobody tried the one that is out");
    let home = TcpListener::bind(address).unwrap();
    let hits = |totals: &Totals| totals.proxied.probes - totals.proxied.probe_misses;
    let before = hits(&rig.handle.totals());
    let mut wire = Wire::accepted_by(&home);
    for _ in 0..2 {
        let probe = wire.expect("OPTIONS ");
        wire.send(response(&probe, 200, over_tcp(address)));
    }
    await_totals(&rig, |totals| hits(totals) >= before + 2);
    phone.send(phone.invite("+442071838750", "back").as_bytes());
    loop {
        let request = wire.receive();
        wire.send(response(&request, 200, over_tcp(address)));
        if request.starts_with("INVITE ") {
            break;
        }
    }
}

pub(crate) fn await_totals(rig: &Rig, come: impl Fn(&Totals) -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !come(&rig.handle.totals()) {
        assert!(Instant::now() < deadline, "{}", rig.handle.totals());
        std::thread::sleep(Duration::from_millis(5));
    }
}
