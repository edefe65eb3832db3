//! Where messages come from and go to: flows, our own listeners, and targets.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use super::facts::is_answerable;
use crate::sip::{Host, Scheme, Transport as ViaTransport, Uri};

/// A transport as the engine tells them apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FlowTransport {
    /// Datagrams.
    Udp,
    /// A stream.
    Tcp,
    /// A stream under TLS.
    Tls,
}

/// The way of one message: which socket, and who is at the other end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Flow {
    /// Place of our listener among [`ProxySettings::listeners`](super::ProxySettings).
    pub listener: u16,
    /// The transport of both ends.
    pub transport: FlowTransport,
    /// Our address, as the socket has it.
    pub local: SocketAddr,
    /// The other end.
    pub peer: SocketAddr,
}

/// One of our own listeners.
#[derive(Debug, Clone)]
pub struct ProxyListener {
    /// Its name, which classifications may ask for; may be empty.
    pub name: Box<str>,
    /// Its transport.
    pub transport: FlowTransport,
    /// The address of its socket.
    pub local: SocketAddr,
    /// The address peers reach it by: what stands in Via and Record-Route. Usually the
    /// same; never unspecified.
    pub advertised: SocketAddr,
}

/// Where a request is to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) transport: FlowTransport,
    pub(super) address: SocketAddr,
}

/// Why a URI gives no target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoTarget {
    /// Its scheme or transport is none we send requests over.
    Scheme,
    /// A name: where it is, [`Locations`](super::Locations) may know.
    Name,
    /// A crowd, nowhere, or port 0.
    Unanswerable,
}

impl FlowTransport {
    /// Whether it repeats what the network loses.
    #[must_use]
    pub const fn is_reliable(self) -> bool {
        !matches!(self, Self::Udp)
    }

    /// Its name in configurations and logs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// As a Via spells it.
    const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// As a URI spells it behind its address; UDP is what is meant without.
    pub(super) const fn uri_parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }

    /// The port that is meant where none is written: RFC 3261 §19.1.2.
    #[must_use]
    pub const fn default_port(self) -> u16 {
        match self {
            Self::Tls => 5061,
            Self::Udp | Self::Tcp => 5060,
        }
    }
}

impl Target {
    /// Where a request to this URI goes: RFC 3261 §19.1.1 (maddr, port, transport),
    /// RFC 3263 as far as it needs no DNS.
    pub(super) fn of(uri: &Uri<'_>) -> Result<Self, NoTarget> {
        let transport = match (uri.scheme, asked_transport(uri)?) {
            (Scheme::Sip, asked) => asked.unwrap_or(FlowTransport::Udp),
            (Scheme::Sips, None | Some(FlowTransport::Tcp | FlowTransport::Tls)) => {
                FlowTransport::Tls
            }
            _ => return Err(NoTarget::Scheme),
        };
        let ip = match uri.param(b"maddr") {
            Some(maddr) => Host::parse(maddr).and_then(|host| host.ip()),
            None => uri.host.ip(),
        };
        let port = uri.port.unwrap_or(transport.default_port());
        let address = SocketAddr::new(ip.ok_or(NoTarget::Name)?.to_canonical(), port);
        if is_answerable(address) {
            Ok(Self { transport, address })
        } else {
            Err(NoTarget::Unanswerable)
        }
    }
}

/// The transport that the URI names: RFC 3261 §19.1.1.
pub(super) fn asked_transport(uri: &Uri<'_>) -> Result<Option<FlowTransport>, NoTarget> {
    let Some(name) = uri.param(b"transport") else {
        return Ok(None);
    };
    match ViaTransport::from_bytes(name) {
        ViaTransport::Udp => Ok(Some(FlowTransport::Udp)),
        ViaTransport::Tcp => Ok(Some(FlowTransport::Tcp)),
        ViaTransport::Tls => Ok(Some(FlowTransport::Tls)),
        _ => Err(NoTarget::Scheme),
    }
}

/// All our listeners, with the texts they are known by.
#[derive(Debug)]
pub(super) struct Listeners(Box<[Own]>);

#[derive(Debug)]
pub(super) struct Own {
    pub(super) listener: ProxyListener,
    /// `SIP/2.0/UDP 192.0.2.1:5060;rport;branch=`: a branch completes it. RFC 3581 §3.
    pub(super) via: Box<[u8]>,
    /// `<sip:192.0.2.1:5060;lr;tl=`: the mark of a dialog and `>` complete it.
    pub(super) record_route: Box<[u8]>,
}

/// The URI parameter of our Record-Route that carries the mark of its dialog.
pub(super) const DIALOG_PARAMETER: &[u8] = b"tl";

impl Listeners {
    pub(super) fn new(listeners: Vec<ProxyListener>) -> Self {
        Self(listeners.into_iter().map(Own::new).collect())
    }

    pub(super) fn get(&self, place: u16) -> Option<&Own> {
        self.0.get(usize::from(place))
    }

    pub(super) fn name(&self, place: u16) -> &str {
        self.get(place).map_or("", |own| &own.listener.name)
    }

    /// Whether a message sent there would come to us.
    pub(super) fn is_own_address(&self, address: SocketAddr) -> bool {
        self.0
            .iter()
            .any(|own| own.listener.advertised == address || own.listener.local == address)
    }

    /// Whether the URI names one of our listeners, whatever stands before the host.
    pub(super) fn is_own_uri(&self, uri: &Uri<'_>) -> bool {
        Target::of(uri).is_ok_and(|target| self.is_own_address(target.address))
    }

    /// What stands behind the beginning of a Record-Route of ours, if the value begins with
    /// one, byte for byte.
    pub(super) fn behind_record_route<'v>(&self, value: &'v [u8]) -> Option<&'v [u8]> {
        let mut owns = self.0.iter();
        owns.find_map(|own| value.strip_prefix(&*own.record_route))
    }

    /// The flow to a target: over the listener `preferred`, if it has the transport and
    /// the address family, else over the first that has.
    pub(super) fn flow_to(&self, target: Target, preferred: u16) -> Option<Flow> {
        let reaches = |own: &Own| {
            own.listener.transport == target.transport
                && own.listener.local.is_ipv4() == target.address.is_ipv4()
        };
        let listener = match self.get(preferred).filter(|own| reaches(own)) {
            Some(_) => preferred,
            None => u16::try_from(self.0.iter().position(reaches)?).ok()?,
        };
        let local = self.get(listener)?.listener.local;
        Some(Flow {
            listener,
            transport: target.transport,
            local,
            peer: target.address,
        })
    }
}

impl Own {
    fn new(listener: ProxyListener) -> Self {
        let (mut via, mut record_route) = (Vec::new(), Vec::new());
        let (transport, address) = (listener.transport, listener.advertised);
        // Writing to a Vec does not fail.
        let _ = write!(via, "SIP/2.0/{} {address};rport;branch=", transport.via());
        let parameter = transport.uri_parameter();
        let _ = write!(record_route, "<sip:{address}{parameter};lr;tl=");
        Self {
            listener,
            via: via.into(),
            record_route: record_route.into(),
        }
    }
}

/// One form of an address for every comparison: an IPv4 address that comes in IPv6
/// clothes is the IPv4 address.
pub(super) fn canonical(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    fn target(uri: &str) -> Result<(FlowTransport, String), NoTarget> {
        let target = Target::of(&Uri::parse(uri.as_bytes()).unwrap())?;
        Ok((target.transport, target.address.to_string()))
    }

    #[test]
    fn a_uri_says_where_its_request_goes() {
        use FlowTransport::{Tcp, Tls, Udp};
        let goes = |transport, address: &str| Ok((transport, address.to_owned()));
        for (uri, expected) in [
            ("sip:1@10.0.0.1", goes(Udp, "10.0.0.1:5060")),
            ("sip:10.0.0.1:5070;lr", goes(Udp, "10.0.0.1:5070")),
            ("sip:10.0.0.1;transport=TCP", goes(Tcp, "10.0.0.1:5060")),
            ("sips:10.0.0.1", goes(Tls, "10.0.0.1:5061")),
            ("sips:10.0.0.1;transport=udp", Err(NoTarget::Scheme)),
            ("sip:[2001:db8::1]", goes(Udp, "[2001:db8::1]:5060")),
            ("sip:h.example;maddr=10.0.0.2", goes(Udp, "10.0.0.2:5060")),
            ("sip:h.example", Err(NoTarget::Name)),
            ("sip:10.0.0.1;maddr=224.0.0.1", Err(NoTarget::Unanswerable)),
            ("sip:[::ffff:10.0.0.1]", goes(Udp, "10.0.0.1:5060")),
            ("sip:0.0.0.0", Err(NoTarget::Unanswerable)),
            ("sip:10.0.0.1:0", Err(NoTarget::Unanswerable)),
            ("sip:10.0.0.1;transport=sctp", Err(NoTarget::Scheme)),
            ("tel:+4420", Err(NoTarget::Scheme)),
        ] {
            assert_eq!(target(uri), expected, "{uri}");
        }
    }

    #[test]
    fn the_listener_fits_the_target() {
        let listener = |transport, address: &str| ProxyListener {
            name: "".into(),
            transport,
            local: address.parse().unwrap(),
            advertised: address.parse().unwrap(),
        };
        let listeners = Listeners::new(vec![
            listener(FlowTransport::Udp, "10.0.0.1:5060"),
            listener(FlowTransport::Udp, "[2001:db8::1]:5060"),
            listener(FlowTransport::Udp, "10.9.0.1:5060"),
        ]);
        let over = |uri: &str, preferred| {
            let target = Target::of(&Uri::parse(uri.as_bytes()).unwrap()).unwrap();
            listeners
                .flow_to(target, preferred)
                .map(|flow| flow.listener)
        };
        assert_eq!(over("sip:10.0.0.7", 2), Some(2));
        assert_eq!(over("sip:10.0.0.7", 1), Some(0));
        assert_eq!(over("sip:[2001:db8::7]", 0), Some(1));
        assert_eq!(over("sip:10.0.0.7;transport=tcp", 0), None);
        assert!(listeners.is_own_uri(&Uri::parse(b"sip:+44@10.9.0.1").unwrap()));
        assert!(!listeners.is_own_uri(&Uri::parse(b"sip:+44@10.9.0.1:5070").unwrap()));
    }
}
