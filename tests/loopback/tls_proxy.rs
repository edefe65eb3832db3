//! Proxied calls to trunks that speak TLS, and to those that only claim to be who they are.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use rcgen::{BasicConstraints, IsCa};
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::WebPkiClientVerifier;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use trunkline::proxy::FlowTransport;
use trunkline::server::{ListenerConfig, Mode};
use trunkline::transport::{Authority, Clients, ListenerTls, PeerAt, PeerTls};

use crate::phone::Phone;
use crate::proxy::{Trunk, in_dialog, lines, response, trunks_toml};
use crate::tls::{Ca, Identity, call, ended, expired, own_files, parsed, self_signed, sip_uri};
use crate::wire::{Wire, prepared};
use crate::{Rig, write};

type TlsWire = Wire<StreamOwned<ServerConnection, TcpStream>>;

/// A trunk that shows this certificate; with `asks` it wants one of that CA.
pub(crate) struct TlsTrunk {
    listener: TcpListener,
    config: Arc<ServerConfig>,
}

impl TlsTrunk {
    pub(crate) fn new(shown: &Identity, asks: Option<&Ca>) -> Self {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .unwrap();
        let builder = match asks {
            None => builder.with_no_client_auth(),
            Some(ca) => {
                let roots = Arc::new(ca.roots());
                let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let (chain, key) = parsed(shown);
        Self {
            listener: TcpListener::bind("127.0.0.1:0").unwrap(),
            config: Arc::new(builder.with_single_cert(chain, key).unwrap()),
        }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    pub(crate) fn accept(&self) -> TlsWire {
        let stream = self.listener.accept().unwrap().0;
        let own = prepared(&stream);
        let session = ServerConnection::new(Arc::clone(&self.config)).unwrap();
        Wire::over(StreamOwned::new(session, stream), own)
    }

    /// Takes one connection and nothing from it, in a thread: what it hears of plain text.
    pub(crate) fn overhear(self) -> JoinHandle<String> {
        std::thread::spawn(move || self.accept().receive_rest())
    }
}

/// A proxy over UDP and TLS, before a TLS trunk and then a UDP trunk, which is the way out.
fn before(tls: SocketAddr, udp: &Trunk, ca: &Ca, change: impl FnOnce(&mut PeerTls, &Path)) -> Rig {
    let own = ca.issue("trunkline.test");
    let trunks = [format!("{tls};transport=tls"), udp.address().to_string()];
    Rig::with_tables(
        |folder| {
            ca.write(folder, "own", &own);
            write(folder, "trunks.toml", &trunks_toml(&trunks));
        },
        &["127.0.0.1:0"],
        2,
        |config| {
            let folder = config.tables.clone();
            config.listeners[0].mode = Mode::Proxy;
            let mut streams = ListenerConfig::proxy("127.0.0.1:0".parse().unwrap());
            streams.transport = FlowTransport::Tls;
            streams.tls = Some(own_files(&folder));
            config.listeners.push(streams);
            let mut peer = PeerTls {
                at: PeerAt::Address(tls.ip(), None),
                name: "trunk.carrier.test".try_into().unwrap(),
                authority: Authority::File(folder.join("ca.pem")),
                own: None,
                wildcards: false,
            };
            change(&mut peer, &folder);
            config.tls_peers.push(peer);
        },
    )
}

#[test]
fn a_call_crosses_from_udp_to_tls_and_is_hung_up() {
    let ca = Ca::new();
    let trunk = TlsTrunk::new(&ca.issue("trunk.carrier.test"), Some(&ca));
    let rig = before(trunk.address(), &Trunk::new(), &ca, |peer, folder| {
        peer.own = Some((folder.join("own.pem"), folder.join("own.key")));
    });
    let at = format!("{};transport=tls", trunk.address());
    let phone = Phone::new(rig.address());
    let me = phone.socket.local_addr().unwrap();
    phone.ask(&phone.invite("+442071838750", "s1"));
    let mut wire = trunk.accept();
    let invite = wire.expect("INVITE ");
    assert!(
        lines(&invite, "Via")[0].starts_with("SIP/2.0/TLS "),
        "{invite}"
    );
    assert!(lines(&invite, "Record-Route")[0].contains(";transport=tls;lr"));
    wire.send(response(&invite, 200, &at));
    let answer = phone.receive();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
    wire.expect("ACK ");
    phone.send(in_dialog(&answer, "BYE", 2, me).as_bytes());
    let bye = wire.expect("BYE ");
    wire.send(response(&bye, 200, &at));
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
}

/// The call is carried, by the next trunk; the one that is not to be believed hears nothing
/// of it.
fn moves_on(ca: &Ca, trunk: TlsTrunk, why: &str, change: impl FnOnce(&mut PeerTls, &Path)) {
    let way_out = Trunk::new();
    let rig = before(trunk.address(), &way_out, ca, change);
    let overheard = trunk.overhear();
    let phone = Phone::new(rig.address());
    phone.ask(&phone.invite("+442071838750", "m1"));
    let invite = way_out.expect("INVITE ");
    way_out.answer(&invite, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
    ended(&rig, why, 1);
    let totals = rig.handle.shutdown();
    assert_eq!(totals.proxied.trunk_errors, 1, "{why}: {totals}");
    assert_eq!(overheard.join().unwrap(), "", "{why}");
}

/// Security case 23: the right address with a wrong certificate.
#[test]
fn a23_a_trunk_with_a_bad_certificate_gets_no_call() {
    let (ca, other) = (Ca::new(), Ca::new());
    for shown in [
        ca.issue_with(&["trunk.carrier.test"], expired),
        ca.issue("else.test"),
        ca.issue("*.carrier.test"),
        ca.issue_with(&["trunk.carrier.test"], |params| {
            sip_uri(params, "sip:else.test");
        }),
        other.issue("trunk.carrier.test"),
        self_signed("trunk.carrier.test"),
        ca.issue_with(&["trunk.carrier.test"], |params| {
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        }),
    ] {
        let trunk = TlsTrunk::new(&shown, None);
        moves_on(&ca, trunk, "certificate refused", |_, _| {});
    }
}

#[test]
fn a_trunk_nobody_has_said_what_to_believe_of_gets_no_call() {
    let ca = Ca::new();
    let way_out = Trunk::new();
    let trunk = TlsTrunk::new(&ca.issue("trunk.carrier.test"), None);
    let rig = before(trunk.address(), &way_out, &ca, |peer, _| {
        peer.at = PeerAt::Address(trunk.address().ip(), Some(1));
    });
    let phone = Phone::new(rig.address());
    phone.ask(&phone.invite("+442071838750", "m1"));
    way_out.expect("INVITE ");
    ended(&rig, "no tls_peer for it", 1);
}

#[test]
fn a_trunk_that_speaks_plain_text_gets_no_call() {
    let ca = Ca::new();
    let (plain, way_out) = (TcpListener::bind("127.0.0.1:0").unwrap(), Trunk::new());
    let rig = before(plain.local_addr().unwrap(), &way_out, &ca, |_, _| {});
    let phone = Phone::new(rig.address());
    phone.ask(&phone.invite("+442071838750", "m1"));
    let mut wire = Wire::accepted_by(&plain);
    wire.send("SIP/2.0 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    way_out.expect("INVITE ");
    ended(&rig, "no TLS", 1);
}

/// RFC 5922 §7.2 has wildcards match nothing; some carriers know only them.
#[test]
fn a_wildcard_is_believed_where_the_configuration_says_so() {
    let ca = Ca::new();
    let trunk = TlsTrunk::new(&ca.issue("*.carrier.test"), None);
    let rig = before(trunk.address(), &Trunk::new(), &ca, |peer, _| {
        peer.wildcards = true;
    });
    let phone = Phone::new(rig.address());
    phone.ask(&phone.invite("+442071838750", "w1"));
    trunk.accept().expect("INVITE ");
}

/// RFC 5923 §8.1: under TLS a connection is reused for requests to its peer when what the peer
/// has shown is for the name we would have met there; else one is opened, and looked at.
#[test]
fn a_tls_connection_is_reused_only_for_whom_its_certificate_names() {
    let ca = Ca::new();
    for (shown, is_reused) in [("trunk.carrier.test", true), ("else.test", false)] {
        let trunk = TlsTrunk::new(&ca.issue("trunk.carrier.test"), None);
        let rig = reusing(trunk.address(), &ca);
        let mut peer = call(rig.handle.local_addrs()[1], &ca, Some(&ca.issue(shown)));
        let own = format!("SIP/2.0/TCP {}", peer.own());
        let options = peer.request("OPTIONS", "sip:trunkline", "alias");
        let via = format!("SIP/2.0/TLS {};alias", trunk.address());
        let answer = peer.ask(options.replace(&own, &via));
        assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
        let phone = Phone::new(rig.address());
        phone.ask(&phone.invite("+442071838750", "r1"));
        if is_reused {
            peer.expect("INVITE ");
        } else {
            trunk.accept().expect("INVITE ");
        }
    }
}

/// A proxy whose TLS listener wants certificates and reuses connections.
fn reusing(trunk: SocketAddr, ca: &Ca) -> Rig {
    let own = ca.issue("trunkline.test");
    let trunks = trunks_toml(&[format!("{trunk};transport=tls")]);
    Rig::with_tables(
        |folder| {
            ca.write(folder, "own", &own);
            write(folder, "trunks.toml", &trunks);
        },
        &["127.0.0.1:0"],
        2,
        |config| {
            let folder = config.tables.clone();
            let authorities = folder.join("ca.pem");
            config.listeners[0].mode = Mode::Proxy;
            let mut streams = ListenerConfig::proxy("127.0.0.1:0".parse().unwrap());
            (streams.transport, streams.alias) = (FlowTransport::Tls, true);
            let clients = Clients::Asked {
                authorities: authorities.clone(),
                is_optional: false,
                names: Vec::new(),
            };
            streams.tls = Some(ListenerTls {
                clients,
                ..own_files(&folder)
            });
            config.listeners.push(streams);
            config.tls_peers.push(PeerTls {
                at: PeerAt::Address(trunk.ip(), None),
                name: "trunk.carrier.test".try_into().unwrap(),
                authority: Authority::File(authorities),
                own: None,
                wildcards: false,
            });
        },
    )
}
