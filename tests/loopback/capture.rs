//! What a capture server gets: every message that passed, decisions, and nothing that would
//! make a call wait.

#[path = "../hep/decoder.rs"]
mod decoder;

use std::io::Read;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use decoder::{Decoded, decode};
use serde_json::{Value, json};
use trunkline::hep::{Agent, Capture, HepSettings, RecordCopy, Taken};
use trunkline::limits::{HEP_QUEUED_BYTES_MAX, HEP_QUEUED_MAX};
use trunkline::proxy::FlowTransport;
use trunkline::server::{Config, HepConfig, ListenerConfig};
use trunkline::transport::{OutletOver, OutletTo};

use crate::Rig;
use crate::ca::Ca;
use crate::phone::Phone;
use crate::proxy::{Trunk, call, in_dialog, moves_on, proxy};
use crate::tls::{call as over_tls, own_files};

const ANY: &str = "127.0.0.1:0";

fn hep(address: SocketAddr, over: OutletOver) -> HepConfig {
    HepConfig {
        to: OutletTo { address, over },
        capture_id: 7,
        password_file: None,
        taken: Taken {
            sip: true,
            decisions: true,
            records: false,
        },
    }
}

/// A capture server for datagrams.
struct Homer(UdpSocket);

impl Homer {
    fn new() -> Self {
        let socket = UdpSocket::bind(ANY).unwrap();
        let wait = Some(Duration::from_secs(20));
        socket.set_read_timeout(wait).unwrap();
        Self(socket)
    }

    fn taken(&self, config: &mut Config) {
        config.hep = Some(hep(self.0.local_addr().unwrap(), OutletOver::Udp));
    }

    /// So many packets.
    fn next(&self, count: usize) -> Vec<Decoded> {
        let mut room = [0; 65_536];
        let mut packets = Vec::new();
        while packets.len() < count {
            let length = self.0.recv(&mut room).unwrap();
            packets.push(decode(&room[..length]).unwrap());
        }
        packets
    }
}

/// The first line of each, with the ports of who said it and to whom.
fn told(packets: &[Decoded]) -> Vec<(u16, u16, String)> {
    let first = |packet: &Decoded| {
        let text = String::from_utf8_lossy(&packet.payload);
        let mut words = text.split([' ', '\r']);
        let (one, two) = (words.next().unwrap(), words.next().unwrap());
        let what = if one == "SIP/2.0" { two } else { one };
        (packet.from.port(), packet.to.port(), what.to_owned())
    };
    packets.iter().map(first).collect()
}

#[test]
fn every_message_of_a_proxied_call_is_copied_both_ways() {
    let (homer, full, free) = (Homer::new(), Trunk::new(), Trunk::new());
    let trunks = [full.address(), free.address()];
    let rig = proxy(&trunks, 1, |config| {
        homer.taken(config);
        config.mask_numbers = trunkline::observe::MaskNumbers::Last4;
    });
    moves_on(&rig, &full, &free);
    let packets = homer.next(9);
    let (us, one, two) = (
        rig.address().port(),
        full.address().port(),
        free.address().port(),
    );
    let caller = packets[0].from.port();
    let mut lines = told(&packets);
    let decision = lines.iter().position(|line| line.2 == "trunkline").unwrap();
    lines.remove(decision);
    let expected = [
        (caller, us, "INVITE"),
        (us, caller, "100"),
        (us, one, "INVITE"),
        (one, us, "503"),
        (us, one, "ACK"),
        (us, two, "INVITE"),
        (two, us, "200"),
        (us, caller, "200"),
    ];
    assert_eq!(
        lines,
        expected.map(|(from, to, what)| (from, to, what.to_owned()))
    );
    for packet in &packets {
        assert_eq!(packet.correlation.as_deref(), Some(&b"c1"[..]));
        assert_eq!(
            (packet.protocol, packet.id, &packet.password),
            (17, 7, &None)
        );
        let now_s = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(now_s.abs_diff(packet.second.into()) < 60);
    }
    let decision = &packets[decision];
    assert_eq!(
        (decision.kind, decision.from.port(), decision.to.port()),
        (100, caller, us)
    );
    assert_eq!(decision.tags.as_deref(), Some(&b"pstn"[..]));
    let line = String::from_utf8_lossy(&decision.payload);
    assert!(
        line.starts_with("trunkline route '*********8750' --from pstn "),
        "{line}"
    );
}

/// Under TLS this is the only way to see it.
#[test]
fn a_message_under_tls_is_copied_as_it_is_read() {
    let (homer, ca, folder) = (Homer::new(), Ca::new(), tempfile::tempdir().unwrap());
    ca.write(folder.path(), "own", &ca.issue("trunkline.test"));
    std::fs::write(folder.path().join("password"), "s3cret\n").unwrap();
    let rig = Rig::start(&[ANY], 1, |config| {
        homer.taken(config);
        let hep = config.hep.as_mut().unwrap();
        hep.password_file = Some(folder.path().join("password"));
        hep.taken.decisions = false;
        config.listeners[0] = ListenerConfig {
            transport: FlowTransport::Tls,
            tls: Some(own_files(folder.path())),
            ..ListenerConfig::new(ANY.parse().unwrap())
        };
    });
    let mut wire = over_tls(rig.address(), &ca, None);
    let invite = wire.invite("+442071838750", "t1");
    let answer = wire.ask(&invite);
    wire.send("\r\n\r\n");
    wire.receive_bytes(2);
    wire.ask(wire.request("OPTIONS", "sip:trunkline", "t2"));
    let packets = homer.next(4);
    assert_eq!(packets[0].payload, invite.as_bytes());
    assert_eq!(packets[1].payload, answer.as_bytes());
    assert_eq!(packets[0].to, rig.address());
    assert_eq!(packets[1].from, rig.address());
    assert_eq!((packets[0].protocol, packets[0].kind), (6, 1));
    assert_eq!(packets[0].password.as_deref(), Some(&b"s3cret"[..]));
    assert!(
        packets[2].payload.starts_with(b"OPTIONS"),
        "a ping is no message"
    );
}

#[test]
fn a_redirected_call_and_its_decision_are_copied() {
    let homer = Homer::new();
    let rig = Rig::start(&[ANY], 2, |config| {
        homer.taken(config);
        config.log_decisions = false;
        config.listeners[0].stateful = true;
    });
    let phone = Phone::new(rig.address());
    let answer = phone.ask(&phone.invite("+442071838750", "r1"));
    // Not acknowledged: it comes again after half a second.
    assert_eq!(phone.receive_from().0, answer);
    let packets = homer.next(4);
    let (us, caller) = (rig.address().port(), phone.port());
    let expected = [
        (caller, us, "INVITE"),
        (us, caller, "302"),
        (caller, us, "trunkline"),
        (us, caller, "302"),
    ];
    assert_eq!(
        told(&packets),
        expected.map(|(from, to, what)| (from, to, what.to_owned()))
    );
    assert_eq!(packets[1].payload, packets[3].payload);
}

/// A call that is carried and hung up, one that is sent elsewhere, and an end whose beginning
/// nobody saw: a record of each.
#[test]
fn the_record_of_every_call_is_copied() {
    let (homer, trunk) = (Homer::new(), Trunk::new());
    let rig = proxy(&[trunk.address()], 2, |config| {
        homer.taken(config);
        let taken = &mut config.hep.as_mut().unwrap().taken;
        (taken.sip, taken.decisions, taken.records) = (false, false, true);
        config.mask_numbers = trunkline::observe::MaskNumbers::Last4;
        config
            .listeners
            .push(ListenerConfig::new(ANY.parse().unwrap()));
    });
    let [carried, asked] = rig.handle.local_addrs() else {
        panic!("two listeners")
    };
    let phone = Phone::new(*carried);
    let me = phone.socket.local_addr().unwrap();
    call(&phone, "h1");
    let invite = trunk.expect("INVITE ");
    trunk.answer(&invite, 200);
    let answer = phone.receive();
    phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
    trunk.expect("ACK ");
    phone.send(in_dialog(&answer, "BYE", 2, me).as_bytes());
    let bye = trunk.expect("BYE ");
    trunk.answer(&bye, 200);
    phone.receive();
    let packets = homer.next(1);
    let [carried] = &packets[..] else {
        panic!("one packet")
    };
    let record = record_of(carried);
    assert_eq!(
        (carried.kind, carried.protocol, carried.from, carried.to),
        (0x3c, 17, me, trunk.address())
    );
    assert_eq!(carried.correlation.as_deref(), Some(&b"h1"[..]));
    assert_eq!(carried.tags.as_deref(), Some(&b"pstn"[..]));
    assert_eq!(
        (&record["event"], &record["call_id"]),
        (&json!("end"), &json!("h1"))
    );
    assert_eq!(record["called"], "*********8750");
    assert_eq!(
        (&record["trunk"], &record["end_by"]),
        (&json!("t0"), &json!("caller"))
    );
    let ended: jiff::Timestamp = record["t_end"].as_str().unwrap().parse().unwrap();
    assert!(ended.as_second().abs_diff(carried.second.into()) <= 1);
    let phone = Phone::new(*asked);
    phone.ask(&phone.invite("+442071838750", "h2"));
    let packets = homer.next(1);
    let record = record_of(&packets[0]);
    assert_eq!(
        (packets[0].kind, packets[0].to),
        (0x3c, "0.0.0.0:0".parse().unwrap())
    );
    assert_eq!(packets[0].from, phone.socket.local_addr().unwrap());
    assert_eq!(
        (&record["event"], &record["sip_code"]),
        (&json!("decided"), &json!(302))
    );
    let begun = Instant::now();
    let _ = rig.handle.shutdown();
    assert!(begun.elapsed() < Duration::from_secs(60));
}

fn record_of(packet: &Decoded) -> Value {
    let text = std::str::from_utf8(&packet.payload).unwrap();
    assert!(text.starts_with('{') && text.ends_with('}'), "{text}");
    serde_json::from_str(text).unwrap()
}

/// One that takes a connection and reads nothing, then goes, then comes back.
#[test]
fn a_capture_server_that_reads_nothing_or_is_gone_makes_no_call_wait() {
    let listener = TcpListener::bind(ANY).unwrap();
    let address = listener.local_addr().unwrap();
    let rig = Rig::start(&[ANY], 1, |config| {
        config.hep = Some(hep(address, OutletOver::Tcp));
        config.metrics = Some(ANY.parse().unwrap());
    });
    let phone = Phone::new(rig.address());
    let answers = |id: &str| {
        let began = Instant::now();
        for call in 0..300 {
            let invite = phone.invite("+442071838750", &format!("{id}{call}"));
            assert!(phone.ask(&invite).starts_with("SIP/2.0 302"));
        }
        // Far more than it takes, far less than one wait for a capture server each.
        assert!(began.elapsed() < Duration::from_secs(60));
    };
    answers("reads-nothing-");
    let (first, _) = listener.accept().unwrap();
    drop((first, listener));
    answers("gone-");
    let listener = TcpListener::bind(address).unwrap();
    let (mut stream, _) = listener.accept().unwrap();
    answers("back-");
    let mut head = [0; 6];
    stream.read_exact(&mut head).unwrap();
    let mut packet = vec![0; usize::from(u16::from_be_bytes([head[4], head[5]])) - 6];
    stream.read_exact(&mut packet).unwrap();
    decode(&[&head[..], &packet].concat()).unwrap();
    let url = format!("http://{}/metrics", rig.handle.metrics_addr().unwrap());
    let page = ureq::get(&url)
        .call()
        .unwrap()
        .into_body()
        .read_to_string()
        .unwrap();
    let sent = page
        .lines()
        .find_map(|line| line.strip_prefix("trunkline_hep_packets_total{result=\"sent\"} "));
    assert!(sent.unwrap().parse::<u64>().unwrap() > 0, "{page}");
}

/// What has no room is dropped and counted, and the server ends all the same.
#[test]
fn what_has_no_room_before_a_capture_server_is_dropped_and_counted() {
    let address = TcpListener::bind(ANY).unwrap().local_addr().unwrap();
    let settings = HepSettings {
        to: OutletTo {
            address,
            over: OutletOver::Tcp,
        },
        agent: Agent {
            id: 1,
            password: None,
            name: "a".into(),
        },
        taken: Taken {
            sip: true,
            decisions: true,
            records: false,
        },
    };
    let flow = trunkline::proxy::Flow {
        listener: 0,
        transport: FlowTransport::Udp,
        local: "127.0.0.1:5060".parse().unwrap(),
        peer: "127.0.0.1:5070".parse().unwrap(),
    };
    const MORE: usize = 500;
    let (long, short) = (vec![b'x'; 65_000], b"OPTIONS sip:a SIP/2.0\r\n");
    let record = |json: &[u8]| RecordCopy {
        at: jiff::Timestamp::UNIX_EPOCH,
        from: flow.peer,
        to: flow.local,
        is_stream: false,
        call_id: "",
        trunk_group: "",
        json: String::from_utf8(json.to_vec()).unwrap(),
    };
    let room = [
        (&long[..], HEP_QUEUED_BYTES_MAX / long.len()),
        (&short[..], HEP_QUEUED_MAX),
    ];
    for (message, fit) in room {
        let (capture, end) = Capture::start(&settings).unwrap();
        let began = Instant::now();
        for n in 0..fit + MORE {
            if n % 2 == 0 {
                capture.received(jiff::Timestamp::UNIX_EPOCH, &flow, message);
            } else {
                capture.record(record(message));
            }
        }
        capture.lost(7);
        assert!(began.elapsed() < Duration::from_secs(60));
        let dropped = capture.counters().totals()["dropped"] - 7;
        // One may be in the hands of the thread.
        assert!(
            (MORE as u64 - 1..=MORE as u64).contains(&dropped),
            "{dropped}"
        );
        drop(capture);
        end.join();
        assert!(began.elapsed() < Duration::from_secs(60));
    }
}
