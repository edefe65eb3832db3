//! Everybody else: who sends calls, and where they are sent.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::certificates::{Shown, judged};
use super::running::Running;
use super::{Asked, Check, Finding};
use crate::control::TrunkState;
use crate::limits::{DOCTOR_ANSWER_MS_MAX, DOCTOR_PLACES_MAX, MESSAGE_BYTES_MAX};
use crate::proxy::{FlowTransport, Locations, way_to};
use crate::routing::RoutingTable;
use crate::server::{self, Config, Mode};
use crate::sip::{Message, OptionsProbe};
use crate::system;
use crate::transport::resolver::{NotFound, Resolver};
use crate::transport::{CertificateFacts, TlsPeers};

/// Whether there is a way back to those that send calls.
pub(super) fn sources(config: &Config, table: &RoutingTable) -> Vec<Finding> {
    let mut networks: Vec<_> = table.networks().iter().map(|(net, _)| *net).collect();
    for classification in table.classifications() {
        networks.extend(classification.source.iter().copied());
    }
    networks.sort_unstable();
    networks.dedup();
    if networks.is_empty() && !config.listeners.is_empty() {
        let says = "the table knows nobody who may send calls: everybody gets 403";
        return vec![
            Finding::failed(Check::Source, "", says)
                .fix("accept_from of a trunk group, with the address of the SBC"),
        ];
    }
    let finding = |network: &ipnet::IpNet| {
        let subject = network.to_string();
        let here = config
            .listeners
            .iter()
            .map(|listener| listener.address.ip());
        let mut here = here
            .filter(|ip| ip.is_ipv4() == network.addr().is_ipv4())
            .peekable();
        if here.peek().is_none() {
            let says = "no listener has its kind of address";
            return Finding::warning(Check::Source, subject, says)
                .fix("a [[listen]] for IPv4 and one for IPv6, where both are used");
        }
        match here.find_map(|ip| way_back(ip, network.addr()).err()) {
            None => Finding::ok(Check::Source, subject, "there is a way back to it"),
            Some(error) => Finding::failed(Check::Source, subject, error.to_string())
                .fix("ip route get ADDRESS: an interface, a route or an address is missing"),
        }
    };
    networks
        .iter()
        .take(DOCTOR_PLACES_MAX)
        .map(finding)
        .collect()
}

/// Has the system look for a way; nothing is sent.
fn way_back(from: IpAddr, to: IpAddr) -> std::io::Result<()> {
    UdpSocket::bind((from, 0))?.connect((to, 5060))
}

/// A place a trunk is at.
#[derive(Debug, Clone)]
struct Place {
    trunk: String,
    uri: String,
    transport: FlowTransport,
    address: SocketAddr,
}

/// Names, trunks, trunk groups, and with `--connect` the certificates of peers.
pub(super) fn trunks(
    config: &Config,
    table: &RoutingTable,
    asked: &Asked,
    running: Option<&Running>,
) -> Vec<Finding> {
    if !config
        .listeners
        .iter()
        .any(|listener| listener.mode == Mode::Proxy)
    {
        let says = "redirect: addresses are labels, which the SBC knows";
        let mut findings = vec![Finding::left_out(Check::Trunk, "all", says)];
        findings.extend(
            running
                .into_iter()
                .flat_map(|running| as_told(table, running)),
        );
        return findings;
    }
    let mut findings: Vec<_> = server::unreached(config, table)
        .take(DOCTOR_PLACES_MAX)
        .map(|says| {
            Finding::failed(Check::Trunk, "", says)
                .fix("a [[listen]] of its transport with mode = \"proxy\"; for TLS a [[tls_peer]]")
        })
        .collect();
    let runtime = match Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            findings.push(Finding::failed(Check::Trunk, "all", error.to_string()));
            return findings;
        }
    };
    let mut places = addresses(table);
    places.extend(names(&runtime, config, table, &mut findings));
    match running {
        Some(running) => findings.extend(as_told(table, running)),
        None if asked.connect => {}
        None => {
            let says = "no server runs, and nothing is sent without --connect";
            let finding = Finding::left_out(Check::Trunk, "all", says);
            findings.push(finding.fix("trunkline doctor --connect"));
        }
    }
    if asked.connect {
        places.truncate(DOCTOR_PLACES_MAX);
        let asks_options = running.is_none();
        findings.extend(meet_all(&runtime, config, places, asks_options));
    }
    findings
}

/// As the running server finds them.
fn as_told(table: &RoutingTable, running: &Running) -> Vec<Finding> {
    let mut findings = Vec::new();
    let states: BTreeMap<&str, TrunkState> = (running.trunks.iter())
        .map(|trunk| (&*trunk.name, trunk.state))
        .collect();
    for trunk in running
        .trunks
        .iter()
        .filter(|trunk| trunk.state != TrunkState::Up)
    {
        let says = match (&trunk.order, &trunk.found_by) {
            (Some(order), _) => format!("{}, by {}", trunk.state.as_str(), order.by),
            (None, Some(by)) => format!("{}, found by {by}", trunk.state.as_str()),
            (None, None) => trunk.state.as_str().to_owned(),
        };
        findings.push(match trunk.state {
            TrunkState::Down => Finding::failed(Check::Trunk, &trunk.name, says)
                .fix("is it on, and does it answer our address? `trunkline doctor --connect`"),
            _ => Finding::warning(Check::Trunk, &trunk.name, says)
                .fix(format!("trunkline trunk ready {}", trunk.name)),
        });
    }
    for group in table.groups() {
        let names = group.trunks.iter().map(|id| table.trunk_name(*id));
        let known: Vec<_> = names.filter_map(|name| states.get(name)).collect();
        let up = known
            .iter()
            .filter(|state| ***state == TrunkState::Up)
            .count();
        let says = format!("{up} of {} trunks take calls", known.len());
        findings.push(match (up, known.len()) {
            (_, 0) => continue,
            (0, _) => Finding::failed(Check::Group, &*group.name, says)
                .fix("its calls go to the next group of their rule, if there is one"),
            (up, all) if up < all => Finding::warning(Check::Group, &*group.name, says)
                .fix("trunkline trunk names those that do not"),
            _ => Finding::ok(Check::Group, &*group.name, says),
        });
    }
    findings
}

/// The places of trunks whose address is an IP address.
fn addresses(table: &RoutingTable) -> Vec<Place> {
    let place = |trunk: &crate::routing::Trunk| {
        let (transport, address) = way_to(trunk)?;
        Some(Place {
            trunk: trunk.name.to_string(),
            uri: trunk.target.address(),
            transport,
            address,
        })
    };
    table.trunks().iter().filter_map(place).collect()
}

/// Asks for the names, as the proxy does.
fn names(
    runtime: &Runtime,
    config: &Config,
    table: &RoutingTable,
    findings: &mut Vec<Finding>,
) -> Vec<Place> {
    let queries = Locations::names_of(table);
    if queries.is_empty() {
        return Vec::new();
    }
    let proxies = config.listeners.iter().filter(|l| l.mode == Mode::Proxy);
    let spoken = proxies.map(|listener| listener.transport).collect();
    let inside = runtime.enter();
    let resolver = match Resolver::new(&config.dns_servers, spoken) {
        Ok(resolver) => Arc::new(resolver),
        Err(error) => {
            let finding = Finding::failed(Check::Name, "/etc/resolv.conf", error.to_string());
            findings.push(finding.fix("[dns] servers names them in the configuration"));
            return Vec::new();
        }
    };
    drop(inside);
    let found = runtime.block_on(async {
        let mut asked = JoinSet::new();
        for query in queries.into_iter().take(DOCTOR_PLACES_MAX) {
            let resolver = Arc::clone(&resolver);
            asked.spawn(async move {
                let found = resolver.find(&query).await;
                (query, found)
            });
        }
        asked.join_all().await
    });
    let mut places = Vec::new();
    for (query, found) in found {
        findings.push(match &found {
            Ok(found) => {
                let shown: Vec<_> = (found.locations.iter())
                    .map(|place| format!("{} {}", place.transport.as_str(), place.address))
                    .collect();
                Finding::ok(Check::Name, &*query.host, shown.join(", "))
            }
            Err(why @ NotFound::None) => {
                Finding::failed(Check::Name, &*query.host, why.to_string())
                    .fix("correct the name in the table, or its records: NAPTR, SRV, A, AAAA")
            }
            Err(why @ NotFound::Unknown(_)) => {
                Finding::failed(Check::Name, &*query.host, why.to_string())
                    .fix("is the name server reachable? [dns] servers names others")
            }
        });
        let locations = found.map(|found| found.locations).unwrap_or_default();
        places.extend(locations.into_iter().map(|location| Place {
            trunk: query.host.to_string(),
            uri: format!("sip:{}", query.host),
            transport: location.transport,
            address: location.address,
        }));
    }
    places
}

/// Meets every place at once: TLS handshakes always, OPTIONS where wanted.
fn meet_all(
    runtime: &Runtime,
    config: &Config,
    places: Vec<Place>,
    asks_options: bool,
) -> Vec<Finding> {
    // Files that cannot be used have been told.
    let peers = Arc::new(TlsPeers::open(config.tls_peers.clone()).unwrap_or_default());
    let of_host = |host: &str| {
        let there = places.iter().filter(|place| place.trunk == host);
        there.map(|place| place.address).collect::<Vec<_>>()
    };
    peers.locate(of_host);
    runtime.block_on(async {
        let mut met = JoinSet::new();
        for place in places {
            met.spawn(meet(place, Arc::clone(&peers), asks_options));
        }
        met.join_all().await.into_iter().flatten().collect()
    })
}

async fn meet(place: Place, peers: Arc<TlsPeers>, asks_options: bool) -> Vec<Finding> {
    let patience = Duration::from_millis(DOCTOR_ANSWER_MS_MAX);
    let subject = format!("{} {}", place.trunk, place.address);
    let mut findings = Vec::new();
    let answered = match place.transport {
        FlowTransport::Udp if asks_options => timeout(patience, over_udp(&place)).await,
        FlowTransport::Tcp if asks_options => timeout(patience, over_tcp(&place)).await,
        FlowTransport::Udp | FlowTransport::Tcp => return findings,
        FlowTransport::Tls => match peers.meet(place.address).await {
            Err(why) => {
                findings.push(
                    Finding::failed(Check::PeerCertificate, subject, why)
                        .fix("name, ca and certificate of its [[tls_peer]]; its port"),
                );
                return findings;
            }
            Ok((stream, chain)) => {
                findings.push(of_peer(&subject, &chain));
                if !asks_options {
                    return findings;
                }
                let local = stream.get_ref().0.local_addr();
                timeout(patience, over_stream(&place, local, stream)).await
            }
        },
    };
    findings.push(match answered {
        Ok(Ok(status)) => Finding::ok(Check::Trunk, subject, format!("answers OPTIONS: {status}")),
        Ok(Err(error)) => Finding::failed(Check::Trunk, subject, error.to_string())
            .fix("is it on, and its port open for this machine?"),
        Err(_) => Finding::failed(Check::Trunk, subject, "does not answer OPTIONS")
            .fix("does it know our address? It was asked from another port than a listener's"),
    });
    findings
}

/// Its chain was believed by the rules of the proxy; how long it will be is told.
fn of_peer(subject: &str, chain: &[CertificateFacts]) -> Finding {
    let own = chain.get(..1).unwrap_or_default();
    let judged = judged(
        Check::PeerCertificate,
        subject.to_owned(),
        own,
        Shown::AsServer,
    );
    Finding {
        fix: judged
            .fix
            .is_some()
            .then(|| String::from("tell who runs it")),
        ..judged
    }
}

async fn over_udp(place: &Place) -> std::io::Result<u16> {
    let any: SocketAddr = match place.address {
        SocketAddr::V4(_) => ([0; 4], 0).into(),
        SocketAddr::V6(_) => ([0_u16; 8], 0).into(),
    };
    let socket = tokio::net::UdpSocket::bind(any).await?;
    socket.connect(place.address).await?;
    let request = options(place, socket.local_addr()?)?;
    let mut room = vec![0; MESSAGE_BYTES_MAX];
    let pause = Duration::from_millis(DOCTOR_ANSWER_MS_MAX / 3);
    loop {
        socket.send(&request).await?;
        // Once more for want of an answer, until whoever asks has no patience left.
        if let Ok(received) = timeout(pause, socket.recv(&mut room)).await {
            let length = received?;
            if let Some(status) = status(room.get(..length).unwrap_or_default()) {
                return Ok(status);
            }
        }
    }
}

async fn over_tcp(place: &Place) -> std::io::Result<u16> {
    let stream = TcpStream::connect(place.address).await?;
    let local = stream.local_addr();
    over_stream(place, local, stream).await
}

async fn over_stream(
    place: &Place,
    local: std::io::Result<SocketAddr>,
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
) -> std::io::Result<u16> {
    stream.write_all(&options(place, local?)?).await?;
    let mut received = Vec::new();
    while received.len() < MESSAGE_BYTES_MAX {
        if stream.read_buf(&mut received).await? == 0 {
            break;
        }
        if let Some(status) = status(&received) {
            return Ok(status);
        }
    }
    Err(std::io::Error::other(
        "the connection ended without an answer",
    ))
}

/// The status of the answer, when all of its head is there.
fn status(received: &[u8]) -> Option<u16> {
    Some(Message::parse_datagram(received).ok()?.status()?.code())
}

fn options(place: &Place, local: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut chance = [0; 8];
    system::fill_random(&mut chance)?;
    let drawn = u64::from_be_bytes(chance);
    let transport = place.transport.as_str().to_uppercase();
    let via = format!("SIP/2.0/{transport} {local};rport;branch=z9hG4bK{drawn:016x}");
    let mut request = Vec::new();
    OptionsProbe {
        uri: place.uri.as_bytes(),
        via: via.as_bytes(),
        from: format!("sip:{local}").as_bytes(),
        contact: None,
        from_tag: format!("{:08x}", drawn >> 32).as_bytes(),
        call_id: format!("{drawn:016x}@{}", local.ip()).as_bytes(),
        sequence: 1,
        max_forwards: 70,
        user_agent: None,
    }
    .write(&mut request);
    Ok(request)
}
