//! Requests too large for UDP: RFC 3261 §18.1.1.

use trunkline::limits::UDP_REQUEST_BYTES_MAX;

use crate::Rig;
use crate::phone::Phone;
use crate::proxy::{Trunk, lines, trunks_toml};
use crate::tcp_proxy::{TcpTrunk, bridge_with, udp_of};

/// An INVITE with a body that no datagram should carry.
fn large(phone: &Phone, call_id: &str) -> String {
    let body = "a=x\r\n".repeat(UDP_REQUEST_BYTES_MAX / 5);
    let length = format!("Content-Length: {}\r\n", body.len());
    let invite = phone.invite("+442071838750", call_id);
    invite.replace("Content-Length: 0\r\n", &length) + &body
}

/// A proxy over UDP and TCP whose first trunk wants large requests by TCP.
fn before(first: &Trunk, second: &Trunk) -> Rig {
    const WANTS: &str = "large_requests = \"tcp\"\n[trunk.t1]";
    let toml = trunks_toml(&[first.address(), second.address()]);
    bridge_with(&toml.replace("[trunk.t1]", WANTS), 1)
}

fn begins(phone: &Phone, invite: &str) {
    let trying = phone.ask(invite);
    assert!(trying.starts_with("SIP/2.0 100 "), "{trying}");
}

#[test]
fn a_large_invite_goes_by_tcp() {
    let ((udp, tcp), unwanted) = (TcpTrunk::beside_udp(), Trunk::new());
    let rig = before(&udp, &unwanted);
    let phone = Phone::new(udp_of(&rig));
    begins(&phone, &large(&phone, "l1"));
    let invite = tcp.expect("INVITE ");
    let text = &invite.text;
    assert!(lines(text, "Via")[0].starts_with("SIP/2.0/TCP "), "{text}");
    assert!(lines(text, "Record-Route")[0].contains(";transport=tcp"));
    tcp.answer(&invite, 486);
    let ack = tcp.expect("ACK ");
    assert!(lines(&ack.text, "Via")[0].starts_with("SIP/2.0/TCP "));
    assert!(phone.receive().starts_with("SIP/2.0 486 "));
    // What fits goes on over UDP.
    begins(&phone, &phone.invite("+442071838750", "l2"));
    let invite = udp.expect("INVITE ");
    udp.answer(&invite, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
    let totals = rig.handle.shutdown().proxied;
    assert_eq!((totals.large_by_tcp, totals.large_by_udp), (1, 0));
}

/// The first call asks for a connection and is refused; the second one does not ask.
#[test]
fn a_trunk_without_tcp_gets_its_large_invites_over_udp() {
    let (udp, unwanted) = (Trunk::new(), Trunk::new());
    let rig = before(&udp, &unwanted);
    for n in 0..2 {
        let phone = Phone::new(udp_of(&rig));
        begins(&phone, &large(&phone, &format!("r{n}")));
        let invite = udp.expect("INVITE ");
        assert!(lines(&invite.0, "Via")[0].starts_with("SIP/2.0/UDP "));
        assert!(invite.0.len() > UDP_REQUEST_BYTES_MAX);
        udp.answer(&invite, 200);
        assert!(phone.receive().starts_with("SIP/2.0 200 "));
    }
    let totals = rig.handle.shutdown();
    let proxied = &totals.proxied;
    assert_eq!((proxied.large_by_tcp, proxied.large_by_udp), (0, 2));
    assert_eq!((proxied.attempts, proxied.trunk_errors), (2, 0), "{totals}");
    assert_eq!(totals.connections["connection refused"], 1, "{totals}");
}

/// A trunk of which nothing is said gets everything over UDP, whatever its size.
#[test]
fn nobody_is_asked_for_tcp_who_was_not_said_to_have_it() {
    let (udp, tcp) = TcpTrunk::beside_udp();
    let rig = bridge_with(&trunks_toml(&[udp.address()]), 1);
    let phone = Phone::new(udp_of(&rig));
    begins(&phone, &large(&phone, "n1"));
    let invite = udp.expect("INVITE ");
    udp.answer(&invite, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
    assert!(rig.handle.shutdown().connections.is_empty());
    drop(tcp);
}
