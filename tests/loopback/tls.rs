//! Listeners for TLS: who is let in, and what becomes of the others.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned, crypto::ring};
use trunkline::proxy::FlowTransport;
use trunkline::server::Config;
use trunkline::transport::{Clients, ListenerTls};

pub(crate) use crate::ca::{Ca, Identity, expired, parsed, self_signed, sip_uri};
use crate::wire::{Wire, prepared};
use crate::{Rig, write};

type TlsWire = Wire<StreamOwned<ClientConnection, TcpStream>>;

/// Opens a TLS connection; the handshake happens with the first bytes.
pub(crate) fn call(server: SocketAddr, ca: &Ca, own: Option<&Identity>) -> TlsWire {
    let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(ca.roots());
    let config = match own.map(parsed) {
        None => builder.with_no_client_auth(),
        Some((chain, key)) => builder.with_client_auth_cert(chain, key).unwrap(),
    };
    let name = ServerName::try_from("trunkline.test").unwrap();
    let session = ClientConnection::new(Arc::new(config), name).unwrap();
    let stream = TcpStream::connect(server).unwrap();
    let own = prepared(&stream);
    Wire::over(StreamOwned::new(session, stream), own)
}

/// A redirect server for TLS connections with a certificate of `ca`.
fn tls(ca: &Ca, change: impl FnOnce(&mut Config, &Path)) -> Rig {
    let identity = ca.issue("trunkline.test");
    Rig::with_tables(
        |folder| ca.write(folder, "own", &identity),
        &["127.0.0.1:0"],
        2,
        |config| {
            let folder = config.tables.clone();
            config.listeners[0].transport = FlowTransport::Tls;
            config.listeners[0].tls = Some(own_files(&folder));
            change(config, &folder);
        },
    )
}

pub(crate) fn own_files(folder: &Path) -> ListenerTls {
    ListenerTls {
        certificate: folder.join("own.pem"),
        key: folder.join("own.key"),
        clients: Clients::Unasked,
    }
}

fn asked(config: &mut Config, folder: &Path, is_optional: bool, names: &[&str]) {
    let names = names.iter().map(|name| (*name).to_owned());
    config.listeners[0].tls.as_mut().unwrap().clients = Clients::Asked {
        authorities: folder.join("ca.pem"),
        is_optional,
        names: names.map(|name| name.try_into().unwrap()).collect(),
    };
}

/// Waits until so many connections ended for that reason.
pub(crate) fn ended(rig: &Rig, why: &str, count: u64) {
    let until = Instant::now() + Duration::from_secs(60);
    loop {
        let totals = rig.handle.totals();
        let found = totals.connections.get(why).copied().unwrap_or(0);
        if found == count {
            return;
        }
        assert!(Instant::now() < until, "{count} of {why:?}: {totals}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn is_refused(mut wire: TlsWire) {
    let options = wire.request("OPTIONS", "sip:trunkline", "refused");
    // In TLS 1.3 the client is done before the server has looked at its certificate.
    let _ = std::io::Write::write_all(&mut wire.stream, options.as_bytes());
    assert_eq!(wire.receive_rest(), "");
}

#[test]
fn calls_under_tls_are_answered() {
    let ca = Ca::new();
    let rig = tls(&ca, |_, _| {});
    let mut wire = call(rig.address(), &ca, None);
    for n in 0..3 {
        let answer = wire.ask(wire.invite("+442071838750", &format!("s{n}")));
        assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
    }
    wire.send("\r\n\r\n");
    assert_eq!(wire.receive_bytes(2), b"\r\n");
}

/// Security case 22: plain text on a TLS port.
#[test]
fn a22_plain_text_on_a_tls_listener_is_closed_and_counted() {
    let ca = Ca::new();
    let rig = tls(&ca, |_, _| {});
    let mut plain = Wire::to(rig.address());
    plain.send(plain.invite("+442071838750", "plain"));
    let rest = plain.receive_rest();
    assert!(!rest.contains("SIP/2.0"), "{rest:?}");
    ended(&rig, "no TLS", 1);
    call(rig.address(), &ca, None).is_served("after");
}

/// Security case 23: the right address is not enough.
#[test]
fn a23_clients_without_a_good_certificate_are_refused() {
    let (ca, other) = (Ca::new(), Ca::new());
    let rig = tls(&ca, |config, folder| {
        asked(config, folder, false, &["sbc.carrier.test"]);
    });
    let bad = [
        None,
        Some(self_signed("sbc.carrier.test")),
        Some(other.issue("sbc.carrier.test")),
        Some(ca.issue_with(&["sbc.carrier.test"], expired)),
        Some(ca.issue("else.test")),
        Some(ca.issue("*.carrier.test")),
        Some(ca.issue_with(&["sbc.carrier.test"], |params| {
            sip_uri(params, "sip:else.test");
        })),
    ];
    for (n, identity) in bad.iter().enumerate() {
        is_refused(call(rig.address(), &ca, identity.as_ref()));
        ended(&rig, "certificate refused", n as u64 + 1);
    }
    let by_uri = ca.issue_with(&[], |params| sip_uri(params, "sip:SBC.carrier.test"));
    for good in [ca.issue("sbc.carrier.test"), by_uri] {
        call(rig.address(), &ca, Some(&good)).is_served("good");
    }
    assert!(!rig.handle.shutdown().replies.contains_key(&302));
}

#[test]
fn a_certificate_may_be_optional_and_still_has_to_be_good() {
    let (ca, other) = (Ca::new(), Ca::new());
    let rig = tls(&ca, |config, folder| asked(config, folder, true, &[]));
    call(rig.address(), &ca, None).is_served("none");
    call(rig.address(), &ca, Some(&ca.issue("any.test"))).is_served("good");
    is_refused(call(rig.address(), &ca, Some(&other.issue("any.test"))));
    ended(&rig, "certificate refused", 1);
}

/// Security case 22: half handshakes are given five seconds, and nobody waits for them.
#[test]
fn a22_half_handshakes_hold_up_nobody_and_are_ended() {
    let ca = Ca::new();
    let rig = tls(&ca, |_, _| {});
    let mut hello = vec![0x16, 3, 1, 2, 0];
    hello.extend([1; 100]);
    let half: Vec<TcpStream> = (0..100)
        .map(|n| {
            let mut stream = TcpStream::connect(rig.address()).unwrap();
            if n % 2 == 0 {
                std::io::Write::write_all(&mut stream, &hello[..5 + n / 2]).unwrap();
            }
            stream
        })
        .collect();
    let begun = Instant::now();
    for n in 0..10 {
        call(rig.address(), &ca, None).is_served(&format!("h{n}"));
    }
    // One that was waited for would take five seconds of each call.
    assert!(begun.elapsed() < Duration::from_secs(20));
    ended(&rig, "TLS handshake too slow", 100);
    drop(half);
    call(rig.address(), &ca, None).is_served("after");
}

#[test]
fn certificates_are_read_again_while_connections_stay() {
    let (ca, new_ca) = (Ca::new(), Ca::new());
    let rig = tls(&ca, |_, _| {});
    let folder = rig.folder.path().to_owned();
    let mut kept = call(rig.address(), &ca, None);
    kept.is_served("k1");
    // One file is new and the other is not: nothing changes.
    let renewed = new_ca.issue("trunkline.test");
    write(&folder, "own.pem", &renewed.chain);
    rig.handle.reload();
    call(rig.address(), &ca, None).is_served("old-still");
    write(&folder, "own.pem", "no certificate");
    rig.handle.reload();
    call(rig.address(), &ca, None).is_served("old-again");
    new_ca.write(&folder, "own", &renewed);
    rig.handle.reload();
    call(rig.address(), &new_ca, None).is_served("new");
    is_refused(call(rig.address(), &ca, None));
    kept.is_served("k2");
}

#[test]
fn a_server_without_usable_certificates_does_not_start() {
    let ca = Ca::new();
    let folder = crate::tables();
    let identity = ca.issue("trunkline.test");
    ca.write(folder.path(), "own", &identity);
    let mut listener = trunkline::server::ListenerConfig::new("127.0.0.1:0".parse().unwrap());
    listener.transport = FlowTransport::Tls;
    let mut says = |tls: Option<ListenerTls>, expected: &str| {
        listener.tls = tls;
        let config = Config::new(folder.path(), vec![listener.clone()]);
        let error = trunkline::server::Server::start(&config).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    says(None, "no certificate is named");
    let files = own_files(folder.path());
    write(folder.path(), "own.key", &ca.issue("other.test").key);
    says(
        Some(files.clone()),
        "the key belongs to another certificate",
    );
    write(folder.path(), "own.key", "nothing");
    says(Some(files.clone()), "own.key: holds no private key");
    std::fs::remove_file(folder.path().join("own.pem")).unwrap();
    says(Some(files), "own.pem: No such file");
}
