//! What belongs to a call comes on another connection than its INVITE, and to whichever worker
//! the system gives that one.

use std::net::TcpListener;

use trunkline::proxy::FlowTransport;
use trunkline::server::Mode;

use crate::phone::Phone;
use crate::proxy::{Trunk, in_dialog, lines, response, trunks_toml};
use crate::tcp_proxy::{
    TcpTrunk, await_totals, bridge, bridge_with, over_tcp, tcp_in_dialog, tcp_of, udp_of,
};
use crate::wire::Wire;
use crate::{Rig, write};

fn made_of(invite: &str, method: &str) -> String {
    invite
        .replace("INVITE sip:", &format!("{method} sip:"))
        .replace("1 INVITE", &format!("1 {method}"))
}

/// RFC 3261 §9.2, §17.2.3: the branch and the sent-by say which INVITE is meant.
#[test]
fn a_cancel_and_an_ack_find_their_invite_from_any_connection() {
    let trunk = TcpTrunk::new();
    let rig = bridge(&[trunk.address()], 4);
    for n in 0..12 {
        let mut phone = Wire::to(tcp_of(&rig));
        let sent = phone.invite("+442071838750", &format!("o{n}"));
        phone.send(&sent);
        phone.expect("SIP/2.0 100 ");
        let invite = trunk.expect("INVITE ");
        trunk.answer(&invite, 180);
        phone.expect("SIP/2.0 180 ");
        let mut other = Wire::to(tcp_of(&rig));
        other.send(made_of(&sent, "CANCEL"));
        other.expect("SIP/2.0 200 ");
        trunk.answer(&trunk.expect("CANCEL "), 200);
        trunk.answer(&invite, 487);
        trunk.expect("ACK ");
        let end = phone.expect("SIP/2.0 487 ");
        let mut third = Wire::to(tcp_of(&rig));
        let to = format!("To: {}\r\n", lines(&sent, "To")[0]);
        let tagged = format!("To: {}\r\n", lines(&end, "To")[0]);
        third.send(made_of(&sent, "ACK").replace(&to, &tagged));
        // Heard before what follows it on the same connection is answered.
        third.ask(third.request("OPTIONS", "sip:trunkline", &format!("after{n}")));
    }
    let totals = rig.handle.shutdown();
    assert_eq!(totals.requests["CANCEL"], 12, "{totals}");
    assert_eq!(totals.drops.get("stray ACK"), None, "{totals}");
    assert!(!totals.replies.contains_key(&481), "{totals}");
}

#[test]
fn a_cancel_of_nothing_is_481_from_any_connection() {
    let rig = bridge(&[over_tcp("127.0.0.1:9")], 3);
    for n in 0..6 {
        let mut phone = Wire::to(tcp_of(&rig));
        let cancel = made_of(&phone.invite("+442071838750", &format!("x{n}")), "CANCEL");
        let answer = phone.ask(cancel);
        assert!(answer.starts_with("SIP/2.0 481 "), "{answer}");
    }
}

/// Over UDP the socket is picked by the sender's port, and a CANCEL may have another one.
#[test]
fn a_cancel_finds_its_invite_from_another_port() {
    let trunk = Trunk::new();
    let rig = bridge(&[trunk.address().to_string()], 4);
    for n in 0..12 {
        let (phone, other) = (Phone::new(udp_of(&rig)), Phone::new(udp_of(&rig)));
        let sent = phone.invite("+442071838750", &format!("p{n}"));
        phone.ask(&sent);
        let invite = trunk.expect("INVITE ");
        trunk.answer(&invite, 180);
        assert!(phone.receive().starts_with("SIP/2.0 180 "));
        let answer = other.ask(&made_of(&sent, "CANCEL"));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let cancel = trunk.expect("CANCEL ");
        trunk.answer(&cancel, 200);
        trunk.answer(&invite, 487);
        trunk.expect("ACK ");
        assert!(phone.receive().starts_with("SIP/2.0 487 "));
    }
}

/// A trunk that takes one call at a time gets the next one after the BYE, whichever connection
/// and worker hear that.
#[test]
fn a_call_is_acknowledged_and_counted_to_its_end_from_any_connection() {
    let trunk = TcpTrunk::new();
    let toml = trunks_toml(&[trunk.address()]);
    let toml = toml.replace("address = ", "max_calls = 1\naddress = ");
    let rig = bridge_with(&toml, 4);
    for n in 1..=12 {
        let mut phone = Wire::to(tcp_of(&rig));
        phone.send(phone.invite("+442071838750", &format!("h{n}")));
        phone.expect("SIP/2.0 100 ");
        let invite = trunk.expect("INVITE ");
        trunk.answer(&invite, 200);
        let answer = phone.expect("SIP/2.0 200 ");
        let mut other = Wire::to(tcp_of(&rig));
        other.send(tcp_in_dialog(&answer, "ACK", 1, other.own()));
        trunk.expect("ACK ");
        let mut third = Wire::to(tcp_of(&rig));
        third.send(tcp_in_dialog(&answer, "BYE", 2, third.own()));
        trunk.answer(&trunk.expect("BYE "), 200);
        third.expect("SIP/2.0 200 ");
        await_totals(&rig, |totals| totals.proxied.calls == n);
    }
}

/// A 200 that comes again, for its ACK was lost behind us, is answered with the ACK that came
/// on another connection (decision 12).
#[test]
fn an_ack_on_another_connection_answers_the_200_that_comes_again() {
    let trunk = Trunk::new();
    let rig = bridge(&[trunk.address().to_string()], 4);
    for n in 0..8 {
        let mut phone = Wire::to(tcp_of(&rig));
        phone.send(phone.invite("+442071838750", &format!("a{n}")));
        phone.expect("SIP/2.0 100 ");
        let invite = trunk.expect("INVITE ");
        trunk.answer(&invite, 200);
        let answer = phone.expect("SIP/2.0 200 ");
        let mut other = Wire::to(tcp_of(&rig));
        let ack = in_dialog(&answer, "ACK", 1, other.own());
        other.send(ack.replace("SIP/2.0/UDP", "SIP/2.0/TCP"));
        trunk.expect("ACK ");
        trunk.answer(&invite, 200);
        trunk.expect("ACK ");
    }
    assert_eq!(rig.handle.shutdown().proxied.acks_repeated, 8);
}

/// A proxy before a trunk that also opens connections to it.
fn before(home: &TcpListener, reuses: bool) -> Rig {
    let address = over_tcp(home.local_addr().unwrap());
    Rig::with_tables(
        |folder| write(folder, "trunks.toml", &trunks_toml(&[address])),
        &["127.0.0.1:0"],
        3,
        |config| {
            config.listeners[0].mode = Mode::Proxy;
            config.listeners[0].transport = FlowTransport::Tcp;
            config.listeners[0].alias = reuses;
        },
    )
}

/// An OPTIONS of a peer that listens there and says so.
fn asks_for_reuse(wire: &mut Wire, home: &TcpListener, how: &str) {
    let own = format!("SIP/2.0/TCP {}", wire.own());
    let via = format!("SIP/2.0/TCP {}{how}", home.local_addr().unwrap());
    let options = wire.request("OPTIONS", "sip:trunkline", "alias");
    let answer = wire.ask(options.replace(&own, &via));
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
}

/// RFC 5923 §5: requests for a peer go on the connection it has opened, whichever worker has
/// that; when it is closed, on a new one.
#[test]
fn a_connection_is_reused_for_requests_to_a_peer_that_asks_for_it() {
    let home = TcpListener::bind("127.0.0.1:0").unwrap();
    let rig = before(&home, true);
    let mut phone = Wire::to(rig.address());
    for n in 0..4 {
        let mut peer = Wire::to(rig.address());
        asks_for_reuse(&mut peer, &home, ";alias");
        phone.send(phone.invite("+442071838750", &format!("r{n}")));
        phone.expect("SIP/2.0 100 ");
        let invite = peer.expect("INVITE ");
        peer.send(response(&invite, 486, over_tcp(peer.own())));
        peer.expect("ACK ");
        phone.expect("SIP/2.0 486 ");
        drop(peer);
        await_totals(&rig, |totals| {
            totals.connections.get("closed by peer") == Some(&(n + 1))
        });
    }
    phone.send(phone.invite("+442071838750", "gone"));
    Wire::accepted_by(&home).expect("INVITE ");
}

#[test]
fn a_connection_is_not_reused_where_nobody_asks_or_the_listener_does_not_allow_it() {
    for (reuses, how) in [(true, ""), (false, ";alias")] {
        let home = TcpListener::bind("127.0.0.1:0").unwrap();
        let rig = before(&home, reuses);
        let mut peer = Wire::to(rig.address());
        asks_for_reuse(&mut peer, &home, how);
        let mut phone = Wire::to(rig.address());
        phone.send(phone.invite("+442071838750", "n1"));
        Wire::accepted_by(&home).expect("INVITE ");
    }
}

/// RFC 3261 §18.2.2, for a redirect: who has closed its connection before all its calls were
/// decided is answered at the port of its Via.
#[test]
fn a_redirect_answers_a_caller_whose_connection_is_gone_at_the_port_of_its_via() {
    let rig = Rig::start(&["127.0.0.1:0"], 1, |config| {
        config.listeners[0].transport = FlowTransport::Tcp;
    });
    let home = TcpListener::bind("127.0.0.1:0").unwrap();
    let mut phone = Wire::to(rig.address());
    let own = format!("SIP/2.0/TCP {}", phone.own());
    let sent_by = format!("SIP/2.0/TCP {}", home.local_addr().unwrap());
    let calls = (0..400).map(|n| phone.invite("+442071838750", &format!("g{n}")));
    let calls: String = calls.map(|call| call.replace(&own, &sent_by)).collect();
    phone.send(calls);
    drop(phone);
    Wire::accepted_by(&home).expect("SIP/2.0 302 ");
}
