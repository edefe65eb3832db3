//! Trunks over TLS whose address is a name, and what the log says of those that are refused.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use trunkline::proxy::FlowTransport;
use trunkline::server::{ListenerConfig, Mode};
use trunkline::transport::{Authority, PeerAt, PeerTls};

use crate::ca::{Ca, expired, self_signed};
use crate::daemon::Daemon;
use crate::names::{Mood, NameServer, host, srv};
use crate::phone::Phone;
use crate::proxy::{Trunk, call, trunks_toml};
use crate::tls::{ended, own_files};
use crate::tls_proxy::TlsTrunk;
use crate::{Rig, tables, write};

const SRV_NAME: &str = "_sips._tcp.example.test.";

/// A proxy whose first trunk is `example.test` over TLS, and whose second one is the way out.
fn rig(server: &NameServer, ca: &Ca, way_out: &Trunk) -> Rig {
    let own = ca.issue("trunkline.test");
    let trunks = [
        "example.test;transport=tls".to_owned(),
        way_out.address().to_string(),
    ];
    Rig::with_tables(
        |folder| {
            ca.write(folder, "own", &own);
            write(folder, "trunks.toml", &trunks_toml(&trunks));
        },
        &["127.0.0.1:0"],
        1,
        |config| {
            let folder = config.tables.clone();
            config.listeners[0].mode = Mode::Proxy;
            let mut streams = ListenerConfig::proxy("127.0.0.1:0".parse().unwrap());
            streams.transport = FlowTransport::Tls;
            streams.tls = Some(own_files(&folder));
            config.listeners.push(streams);
            config.dns_servers = vec![server.address];
            config.tls_peers.push(PeerTls {
                at: PeerAt::Host("example.test".into()),
                name: "example.test".try_into().unwrap(),
                authority: Authority::File(folder.join("ca.pem")),
                own: None,
                wildcards: false,
            });
        },
    )
}

/// RFC 5922 §4: the certificate has to be for the host that was asked for, wherever DNS says it
/// is now. Platforms move their servers and keep their names.
#[test]
fn a_host_is_met_by_its_name_wherever_dns_says_it_is() {
    let ca = Ca::new();
    let own = ca.issue("example.test");
    let (one, other) = (TlsTrunk::new(&own, None), TlsTrunk::new(&own, None));
    let zone = |at| vec![srv(SRV_NAME, 1, at), host()];
    let server = NameServer::start(Mood::Answers, zone(one.address()));
    let rig = rig(&server, &ca, &Trunk::new());
    let phone = Phone::new(rig.address());
    call(&phone, "h1");
    one.accept().expect("INVITE ");
    server.is_now(Mood::Answers, zone(other.address()));
    // Five seconds are the shortest life a name has here, whatever its own says.
    thread::sleep(Duration::from_secs(6));
    let phone = Phone::new(rig.address());
    call(&phone, "h2");
    other.accept().expect("INVITE ");
}

#[test]
fn the_name_of_the_server_that_dns_names_is_not_believed() {
    let ca = Ca::new();
    let trunk = TlsTrunk::new(&ca.issue("host.example.test"), None);
    let zone = vec![srv(SRV_NAME, 1, trunk.address()), host()];
    let server = NameServer::start(Mood::Answers, zone);
    let way_out = Trunk::new();
    let rig = rig(&server, &ca, &way_out);
    let overheard = trunk.overhear();
    let phone = Phone::new(rig.address());
    call(&phone, "w1");
    way_out.expect("INVITE ");
    ended(&rig, "certificate refused", 1);
    assert_eq!(overheard.join().unwrap(), "");
}

/// One that answers as TLS 1.1 does.
fn of_tls_1_1() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        let mut stream = listener.accept().unwrap().0;
        let _ = stream.read(&mut [0; 4_096]).unwrap();
        // A ServerHello of 38 bytes: version, random, no session, a cipher, no compression.
        let mut hello = vec![0x16, 3, 2, 0, 42, 2, 0, 0, 38, 3, 2];
        hello.extend([7; 32]);
        hello.extend([0, 0, 0x2f, 0]);
        stream.write_all(&hello).unwrap();
        let _ = stream.read(&mut [0; 4_096]);
    });
    address
}

/// Security case 23, seen by who has to mend it: which trunk, and what is wrong with it.
#[test]
fn a23_the_log_names_the_trunk_and_what_is_wrong_with_it() {
    let (ca, stranger) = (Ca::new(), Ca::new());
    let name = "trunk.carrier.test";
    let shown = [
        (
            "expired",
            "certificate refused",
            "its certificate has expired",
            ca.issue_with(&[name], expired),
        ),
        (
            "renamed",
            "certificate refused",
            "its certificate is for another name",
            ca.issue("else.test"),
        ),
        (
            "own-word",
            "certificate refused",
            "its certificate is of a CA that is not believed",
            self_signed(name),
        ),
        (
            "stranger",
            "certificate refused",
            "its certificate is of a CA that is not believed",
            stranger.issue(name),
        ),
    ];
    let mut trunks: Vec<_> = shown
        .iter()
        .map(|(trunk, why, detail, identity)| {
            let there = TlsTrunk::new(identity, None);
            let address = there.address();
            drop(there.overhear());
            (*trunk, *why, *detail, address)
        })
        .collect();
    let old = "it speaks neither TLS 1.2 nor 1.3";
    trunks.push(("old", "TLS handshake failed", old, of_tls_1_1()));
    let folder = tables();
    ca.write(folder.path(), "own", &ca.issue("trunkline.test"));
    let names: Vec<_> = trunks
        .iter()
        .map(|trunk| format!("\"{}\"", trunk.0))
        .collect();
    let mut toml = format!(
        "[trunk_group.pstn]\naccept_from = [\"127.0.0.1\"]\n\
         [trunk_group.teams]\ntrunks = [{0}]\n[trunk_group.reception]\ntrunks = [\"old\"]\n",
        names.join(", ")
    );
    let mut config = "tables = \"..\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
         transport = \"udp\"\nmode = \"proxy\"\n[[listen]]\naddress = \"127.0.0.1:0\"\n\
         transport = \"tls\"\nmode = \"proxy\"\ncertificate = \"../own.pem\"\nkey = \"../own.key\"\n"
        .to_owned();
    for (trunk, _, _, address) in &trunks {
        toml += &format!("[trunk.{trunk}]\naddress = \"sip:{address};transport=tls\"\n");
        config += &format!(
            "[[tls_peer]]\naddress = \"{address}\"\nname = \"{name}\"\nca = \"../ca.pem\"\n"
        );
    }
    write(folder.path(), "trunks.toml", &toml);
    let daemon = Daemon::run(folder, &config);
    let phone = Phone::new(daemon.address);
    call(&phone, "m1");
    for (trunk, why, detail, address) in trunks {
        let line = daemon.line_with(&format!("{why} peer={address}"));
        assert!(line.contains(&format!("trunk={trunk}: ")), "{line}");
        assert!(line.ends_with(detail), "{line}");
    }
}

/// A client of TLS 1.1 hears that this is not spoken.
#[test]
fn a23_a_client_of_tls_1_1_is_refused() {
    let ca = Ca::new();
    let server = NameServer::start(Mood::Answers, Vec::new());
    let rig = rig(&server, &ca, &Trunk::new());
    // With signature_algorithms, as nobody sends it, and without: RFC 5246 §7.4.1.4.1.
    let extended: &[u8] = &[0, 8, 0, 13, 0, 4, 0, 2, 4, 1];
    for (count, extensions) in [(1, extended), (2, &[])] {
        let mut stream = TcpStream::connect(rig.handle.local_addrs()[1]).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        // A ClientHello: version, random, no session, a cipher, no compression.
        let length = 41 + extensions.len() as u8;
        let mut hello = vec![0x16, 3, 1, 0, length + 4, 1, 0, 0, length, 3, 2];
        hello.extend([7; 32]);
        hello.extend([0, 0, 2, 0, 0x2f, 1, 0]);
        hello.extend(extensions);
        stream.write_all(&hello).unwrap();
        let mut alert = Vec::new();
        stream.read_to_end(&mut alert).unwrap();
        // Fatal: protocol_version or handshake_failure, RFC 5246 §7.2.
        let why = if extensions.is_empty() { 40 } else { 70 };
        assert_eq!(alert.get(5..7), Some(&[2, why][..]), "{alert:?}");
        ended(&rig, "TLS handshake failed", count);
    }
}
