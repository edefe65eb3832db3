//! Where the names of trunks are: which questions RFC 3263 asks of DNS, and in what order
//! RFC 2782 has their answers tried. Nobody asks here: whoever resolves names brings what
//! was found ([`Engine::locate`](super::Engine::locate)).

use std::collections::BTreeMap;
use std::net::SocketAddr;

use arrayvec::ArrayVec;

use super::facts::is_answerable;
use super::flow::{FlowTransport, NoTarget, Target, asked_transport};
use super::table_view::way_to;
use crate::limits::{LOCATIONS_PER_NAME_MAX, TRUNKS_TOLD_MAX};
use crate::routing::RoutingTable;
use crate::routing::trunk::{TargetUri, Trunk};
use crate::sip::{Host, Scheme, Uri};

/// What a URI asks of DNS whose host is a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct NameQuery {
    /// The name in lower case, without a dot at its end.
    pub host: Box<str>,
    /// Whether TLS is asked for by the scheme.
    pub is_sips: bool,
    /// The transport, where the URI names one.
    pub transport: Option<FlowTransport>,
    /// The port, where the URI names one.
    pub port: Option<u16>,
}

/// A question to ask of DNS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// NAPTR of the name: RFC 3263 §4.1.
    Services {
        /// The name.
        name: String,
    },
    /// SRV of the name: RFC 3263 §4.2.
    Servers {
        /// The name with its service and protocol, `_sip._udp.example.net`.
        name: String,
        /// What its servers speak.
        transport: FlowTransport,
    },
    /// A and AAAA of the name.
    Addresses {
        /// The name.
        name: String,
        /// What it speaks.
        transport: FlowTransport,
        /// Where.
        port: u16,
    },
}

/// A NAPTR record, as far as SIP reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Lower ones first, and no other order where one can be used.
    pub order: u16,
    /// Lower ones first.
    pub preference: u16,
    /// `SIP+D2U` and its kin.
    pub service: String,
    /// The name to ask for SRV.
    pub replacement: String,
}

/// One place where a name was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Location {
    /// What is spoken there.
    pub transport: FlowTransport,
    /// Where it is.
    pub address: SocketAddr,
    /// Lower ones are tried first: the order of the questions and the priority of SRV.
    pub rank: u32,
    /// Its share among those of the same rank.
    pub weight: u16,
}

impl Location {
    /// It as a target.
    pub(super) const fn target(&self) -> Target {
        Target {
            transport: self.transport,
            address: self.address,
        }
    }
}

/// What is known of names at the moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Locations(BTreeMap<NameQuery, Box<[Location]>>);

/// The places of one name, in the order in which one call tries them.
pub(super) type Ordered = ArrayVec<Target, LOCATIONS_PER_NAME_MAX>;

impl NameQuery {
    /// What this URI asks.
    ///
    /// # Errors
    /// Why it asks nothing: no scheme or transport we send over.
    pub(super) fn of(uri: &Uri<'_>) -> Result<Self, NoTarget> {
        let transport = asked_transport(uri)?;
        let is_sips = uri.scheme == Scheme::Sips;
        if !is_sips && uri.scheme != Scheme::Sip {
            return Err(NoTarget::Scheme);
        }
        let host = uri.param(b"maddr").and_then(Host::parse);
        let Host::Domain(host) = host.unwrap_or(uri.host) else {
            return Err(NoTarget::Name);
        };
        let host = std::str::from_utf8(host).map_err(|_| NoTarget::Name)?;
        Ok(Self {
            host: host.trim_end_matches('.').to_ascii_lowercase().into(),
            is_sips,
            transport,
            port: uri.port,
        })
    }

    /// Whether it is to be met over TLS, wherever it is.
    #[must_use]
    pub fn is_over_tls(&self) -> bool {
        self.is_sips || self.transport == Some(FlowTransport::Tls)
    }

    /// What to ask first, of servers that speak one of `spoken`: RFC 3263 §4.1 and §4.2.
    #[must_use]
    pub fn first(&self, spoken: &[FlowTransport]) -> Vec<Question> {
        match (self.port, self.transport) {
            (Some(_), _) => self.last(),
            (None, Some(transport)) => vec![self.servers(transport)],
            (None, None) => {
                let name = self.host.to_string();
                [Question::Services { name }]
                    .into_iter()
                    .filter(|_| !spoken.is_empty())
                    .collect()
            }
        }
    }

    /// What to ask where the first question has no answer: RFC 3263 §4.1, the SRV of every
    /// transport spoken.
    #[must_use]
    pub fn second(&self, spoken: &[FlowTransport]) -> Vec<Question> {
        if self.port.is_some() || self.transport.is_some() {
            return Vec::new();
        }
        let mut transports = spoken.to_vec();
        transports.sort_unstable();
        transports.dedup();
        transports.retain(|transport| !self.is_sips || *transport == FlowTransport::Tls);
        let questions = transports.into_iter();
        questions.map(|transport| self.servers(transport)).collect()
    }

    /// What to ask where nothing else has an answer: the address of the name itself.
    #[must_use]
    pub fn last(&self) -> Vec<Question> {
        let transport = if self.is_sips {
            FlowTransport::Tls
        } else {
            self.transport.unwrap_or(FlowTransport::Udp)
        };
        vec![Question::Addresses {
            name: self.host.to_string(),
            transport,
            port: self.port.unwrap_or(transport.default_port()),
        }]
    }

    /// The SRV questions that follow from NAPTR records, best first: RFC 3263 §4.1. Services
    /// we do not speak are none; of the others only those of the lowest order count.
    #[must_use]
    pub fn from_services(
        &self,
        mut services: Vec<Service>,
        spoken: &[FlowTransport],
    ) -> Vec<Question> {
        let usable = |service: &Service| {
            service_transport(&service.service)
                .filter(|transport| spoken.contains(transport))
                .filter(|transport| !self.is_sips || *transport == FlowTransport::Tls)
        };
        services.retain(|service| usable(service).is_some() && !service.replacement.is_empty());
        services.sort_by_key(|service| (service.order, service.preference));
        let order = services.first().map(|service| service.order);
        let best = services
            .iter()
            .take_while(|service| Some(service.order) == order);
        best.filter_map(|service| {
            Some(Question::Servers {
                name: service.replacement.clone(),
                transport: usable(service)?,
            })
        })
        .collect()
    }

    fn servers(&self, transport: FlowTransport) -> Question {
        let service = match transport {
            FlowTransport::Udp => "_sip._udp",
            FlowTransport::Tcp if self.is_sips => "_sips._tcp",
            FlowTransport::Tcp => "_sip._tcp",
            FlowTransport::Tls => "_sips._tcp",
        };
        Question::Servers {
            name: format!("{service}.{}", self.host),
            transport,
        }
    }
}

/// RFC 3263 §4.1: what a service field stands for; letters in either case (RFC 3403 §4.1).
fn service_transport(service: &str) -> Option<FlowTransport> {
    let is = |name: &str| service.eq_ignore_ascii_case(name);
    if is("SIP+D2U") {
        Some(FlowTransport::Udp)
    } else if is("SIP+D2T") {
        Some(FlowTransport::Tcp)
    } else if is("SIPS+D2T") {
        Some(FlowTransport::Tls)
    } else {
        None
    }
}

impl Locations {
    /// The names the trunks of a table have, each once.
    #[must_use]
    pub fn names_of(table: &RoutingTable) -> Vec<NameQuery> {
        let mut names: Vec<NameQuery> = table
            .trunks()
            .iter()
            .filter_map(|trunk| trunk_query(&trunk.target))
            .collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Keeps what was found for a name, at most [`LOCATIONS_PER_NAME_MAX`] of it: nowhere
    /// that cannot be sent to, nothing twice.
    pub fn set(&mut self, name: NameQuery, found: &[Location]) {
        let mut kept: Vec<Location> = Vec::new();
        for location in found {
            let known = |kept: &Location| {
                (kept.transport, kept.address) == (location.transport, location.address)
            };
            if is_answerable(location.address) && !kept.iter().any(known) {
                kept.push(*location);
            }
        }
        kept.sort_by_key(|location| location.rank);
        kept.truncate(LOCATIONS_PER_NAME_MAX);
        self.0.insert(name, kept.into());
    }

    /// Forgets every name that is not among `names`, which are sorted.
    pub fn retain(&mut self, names: &[NameQuery]) {
        self.0.retain(|name, _| names.binary_search(name).is_ok());
    }

    /// Where a host is, by all that was asked about it.
    pub fn of_host(&self, host: &str) -> impl Iterator<Item = SocketAddr> {
        let queries = self.0.iter().filter(move |(query, _)| *query.host == *host);
        queries.flat_map(|(_, found)| found.iter().map(|location| location.address))
    }

    /// The names of the trunks at an address, as far as is known; without any, of those that
    /// have another port of it, for whoever connects to us does so from any. At most
    /// [`TRUNKS_TOLD_MAX`].
    #[must_use]
    pub fn trunks_at<'t>(&self, table: &'t RoutingTable, peer: SocketAddr) -> Vec<&'t str> {
        let is_at = |trunk: &Trunk, same: &dyn Fn(SocketAddr) -> bool| match way_to(trunk) {
            Some((_, address)) => same(address),
            None => trunk_query(&trunk.target)
                .is_some_and(|query| self.get(&query).iter().any(|place| same(place.address))),
        };
        let names = |same: &dyn Fn(SocketAddr) -> bool| {
            let trunks = table.trunks().iter().filter(|trunk| is_at(trunk, same));
            let trunks = trunks.take(TRUNKS_TOLD_MAX);
            trunks.map(|trunk| &*trunk.name).collect()
        };
        let there: Vec<_> = names(&|address| address == peer);
        if there.is_empty() {
            return names(&|address| address.ip() == peer.ip());
        }
        there
    }

    /// Where the name is; nowhere, as far as is known, when empty.
    #[must_use]
    pub fn get(&self, name: &NameQuery) -> &[Location] {
        self.0.get(name).map_or(&[], |found| found)
    }
}

/// The name in a trunk's address, if it has one.
fn trunk_query(target: &TargetUri) -> Option<NameQuery> {
    let text = [&*target.scheme, &*target.host_and_parameters].concat();
    let uri = Uri::parse(text.as_bytes()).ok()?;
    match Target::of(&uri) {
        Err(NoTarget::Name) => NameQuery::of(&uri).ok(),
        _ => None,
    }
}

/// RFC 2782: by rank; among those of one rank each place is drawn by weight, those of
/// weight 0 seldom but now and then. `draw` decides, so that one call has one order.
pub(super) fn ordered(locations: &[Location], mut draw: u64) -> Ordered {
    let mut left: ArrayVec<Location, LOCATIONS_PER_NAME_MAX> = locations
        .iter()
        .copied()
        .take(LOCATIONS_PER_NAME_MAX)
        .collect();
    let mut ordered = Ordered::new();
    while let Some(rank) = left.iter().map(|location| location.rank).min() {
        // Times 64 and one: weight 0 has a small chance beside others, and an equal one alone.
        let share = |location: &Location| u64::from(location.weight) * 64 + 1;
        let of_rank = |location: &&Location| location.rank == rank;
        let total: u64 = left.iter().filter(of_rank).map(share).sum();
        draw = next_draw(draw);
        let mut drawn = draw % total.max(1);
        let place = left.iter().position(|location| {
            if location.rank != rank {
                return false;
            }
            let hit = drawn < share(location);
            drawn = drawn.saturating_sub(share(location));
            hit
        });
        let Some(place) = place else { break };
        ordered.push(left.remove(place).target());
    }
    ordered
}

/// The next of a row of numbers that follow from the first: SplitMix64.
const fn next_draw(draw: u64) -> u64 {
    let mixed = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use FlowTransport::{Tcp, Tls, Udp};
    use proptest::prelude::*;

    fn query(uri: &str) -> NameQuery {
        NameQuery::of(&Uri::parse(uri.as_bytes()).unwrap()).unwrap()
    }

    fn shown(questions: &[Question]) -> String {
        let one = |question: &Question| match question {
            Question::Services { name } => format!("NAPTR {name}"),
            Question::Servers { name, transport } => format!("SRV {name} {}", transport.as_str()),
            Question::Addresses {
                name,
                transport,
                port,
            } => format!("A {name}:{port} {}", transport.as_str()),
        };
        questions.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_questions_are_those_of_rfc_3263() {
        for (uri, spoken, first, second, last) in [
            (
                "sip:Example.NET.",
                &[Udp, Tcp][..],
                "NAPTR example.net",
                "SRV _sip._udp.example.net udp, SRV _sip._tcp.example.net tcp",
                "A example.net:5060 udp",
            ),
            (
                "sip:example.net:5070",
                &[Udp],
                "A example.net:5070 udp",
                "",
                "A example.net:5070 udp",
            ),
            (
                "sip:example.net;transport=tcp",
                &[Udp, Tcp],
                "SRV _sip._tcp.example.net tcp",
                "",
                "A example.net:5060 tcp",
            ),
            (
                "sips:example.net",
                &[Udp, Tcp, Tls],
                "NAPTR example.net",
                "SRV _sips._tcp.example.net tls",
                "A example.net:5061 tls",
            ),
            (
                "sip:a@h.example;transport=tls",
                &[Tls],
                "SRV _sips._tcp.h.example tls",
                "",
                "A h.example:5061 tls",
            ),
        ] {
            let query = query(uri);
            assert_eq!(shown(&query.first(spoken)), first, "{uri}");
            assert_eq!(shown(&query.second(spoken)), second, "{uri}");
            assert_eq!(shown(&query.last()), last, "{uri}");
        }
    }

    #[test]
    fn services_are_taken_in_order_and_only_those_spoken() {
        let service = |order, preference, service: &str| Service {
            order,
            preference,
            service: service.to_owned(),
            replacement: format!("{}.example.net", service.to_ascii_lowercase()),
        };
        let services = vec![
            service(90, 1, "SIPS+D2T"),
            service(100, 50, "SIP+D2U"),
            service(100, 10, "sip+d2t"),
            service(110, 1, "SIP+D2U"),
            service(1, 1, "E2U+email"),
        ];
        let asked = |uri: &str, spoken: &[FlowTransport]| {
            shown(&query(uri).from_services(services.clone(), spoken))
        };
        assert_eq!(
            asked("sip:example.net", &[Udp, Tcp]),
            "SRV sip+d2t.example.net tcp, SRV sip+d2u.example.net udp"
        );
        assert_eq!(
            asked("sip:example.net", &[Tls, Udp]),
            "SRV sips+d2t.example.net tls"
        );
        assert_eq!(asked("sips:example.net", &[Udp, Tcp]), "");
    }

    fn location(last: u8, rank: u32, weight: u16) -> Location {
        Location {
            transport: Udp,
            address: SocketAddr::from(([10, 0, 0, last], 5060)),
            rank,
            weight,
        }
    }

    #[test]
    fn shares_are_as_weights_say() {
        let locations = [location(1, 5, 60), location(2, 5, 20), location(3, 5, 20)];
        let mut firsts = [0_u32; 4];
        for call in 0..10_000 {
            let order = ordered(&locations, call);
            let std::net::IpAddr::V4(first) = order.first().unwrap().address.ip() else {
                panic!("an IPv4 address")
            };
            *firsts.get_mut(usize::from(first.octets()[3])).unwrap() += 1;
        }
        let [_, one, two, three] = firsts;
        assert!((5_700..6_300).contains(&one), "{one}");
        assert!((1_800..2_200).contains(&two) && (1_800..2_200).contains(&three));
    }

    #[test]
    fn what_cannot_be_sent_to_and_what_comes_twice_is_not_kept() {
        let mut locations = Locations::default();
        let name = query("sip:example.net");
        let nowhere = Location {
            address: SocketAddr::from(([0, 0, 0, 0], 5060)),
            ..location(1, 0, 0)
        };
        locations.set(
            name.clone(),
            &[
                location(2, 9, 0),
                nowhere,
                location(1, 3, 0),
                location(2, 1, 0),
            ],
        );
        let kept: Vec<_> = locations.get(&name).iter().map(|l| l.rank).collect();
        assert_eq!(kept, [3, 9]);
        locations.retain(&[]);
        assert!(locations.get(&name).is_empty());
    }

    proptest! {
        /// Each place comes once, no rank before a lower one, and one draw gives one order.
        #[test]
        fn an_order_is_complete_and_by_rank(
            weights in proptest::collection::vec((0_u32..4, any::<u16>()), 0..LOCATIONS_PER_NAME_MAX),
            draw: u64,
        ) {
            let locations: Vec<_> = weights
                .iter()
                .zip(1..)
                .map(|((rank, weight), last)| location(last, *rank, *weight))
                .collect();
            let order = ordered(&locations, draw);
            prop_assert_eq!(&order, &ordered(&locations, draw));
            let rank_of = |target: &Target| {
                locations.iter().find(|l| l.address == target.address).unwrap().rank
            };
            prop_assert!(order.iter().map(rank_of).is_sorted());
            let mut addresses: Vec<_> = order.iter().map(|target| target.address).collect();
            addresses.sort_unstable();
            prop_assert!(addresses.into_iter().eq(locations.iter().map(|l| l.address)));
        }
    }
}
