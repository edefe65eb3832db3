//! Which trunk group a call arrives on.

use super::text_pattern::TextPattern;
use super::{GroupId, Origin, RoutingTable};
use ipnet::IpNet;
use std::net::IpAddr;

/// What is known of a request before it is routed.
#[derive(Clone, Copy, Debug)]
pub struct Arrival<'a> {
    /// Address the packet came from.
    pub source: IpAddr,
    /// Name of the listener it came in on; empty if it has none.
    pub listener: &'a str,
    /// Host of the Contact; empty if absent.
    pub contact_host: &'a [u8],
    /// Host of the From; empty if absent.
    pub from_host: &'a [u8],
    /// Host of the Request-URI.
    pub request_host: &'a [u8],
    /// Trunk group labels of the Contact, the From and the Request-URI, in this order.
    pub labels: [Label<'a>; 3],
}

impl<'a> Arrival<'a> {
    /// All that is asked where [`is_by_source_only`] holds.
    #[must_use]
    pub const fn of_source(source: IpAddr, listener: &'a str) -> Self {
        const NONE: Label<'static> = Label {
            tgrp: None,
            trunk_context: None,
        };
        Self {
            source,
            listener,
            contact_host: b"",
            from_host: b"",
            request_host: b"",
            labels: [NONE; 3],
        }
    }
}

/// A trunk group label (RFC 4904): both halves, or it does not count (§5.3).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Label<'a> {
    /// `tgrp`.
    pub tgrp: Option<&'a [u8]>,
    /// `trunk-context`.
    pub trunk_context: Option<&'a [u8]>,
}

impl Label<'_> {
    fn is_whole(&self) -> bool {
        self.tgrp.is_some() && self.trunk_context.is_some()
    }
}

/// One `[[classification]]`: all its conditions hold, and the call arrives on `group`.
#[derive(Debug)]
pub struct Classification {
    /// Who may be believed: the source address must be in one of these first.
    pub source: Box<[IpNet]>,
    /// Listener names; empty is any.
    pub listener: Box<[TextPattern]>,
    /// A header the SBC adds, and its values.
    pub header: Option<(Box<str>, Box<[TextPattern]>)>,
    /// Trunk group labels; empty is any.
    pub tgrp: Box<[TextPattern]>,
    /// Trunk contexts; empty is any.
    pub trunk_context: Box<[TextPattern]>,
    /// Hosts of the Contact; empty is any.
    pub contact_host: Box<[TextPattern]>,
    /// Hosts of the From; empty is any.
    pub from_host: Box<[TextPattern]>,
    /// Hosts of the Request-URI; empty is any.
    pub request_host: Box<[TextPattern]>,
    /// The group the call arrives on.
    pub group: GroupId,
    /// Where it was defined.
    pub origin: Origin,
}

/// Whether the address may send us requests at all: some classification or `accept_from`
/// covers it. Cheap; asked before anything of the message is believed.
#[must_use]
pub fn is_known_source(table: &RoutingTable, source: IpAddr) -> bool {
    let source = source.to_canonical();
    table
        .classifications()
        .iter()
        .any(|c| c.source.iter().any(|net| contains(net, source)))
        || accept_from(table, source).is_some()
}

/// Whether [`classify`] looks at the source address and the listener only: there is no
/// classification that asks for anything of the message.
#[must_use]
pub fn is_by_source_only(table: &RoutingTable) -> bool {
    let asks_message = Classification::asks_message;
    !table.classifications().iter().any(asks_message)
}

impl Classification {
    fn asks_message(&self) -> bool {
        let patterns = [
            &self.tgrp,
            &self.trunk_context,
            &self.contact_host,
            &self.from_host,
            &self.request_host,
        ];
        self.header.is_some() || patterns.iter().any(|list| !list.is_empty())
    }
}

/// The trunk group a request arrives on, or `None`: refuse it. Classifications are read top
/// to bottom, then the longest `accept_from` network decides. `header` gives the first
/// value of a header field by name.
#[must_use]
pub fn classify<'a>(
    table: &RoutingTable,
    arrival: &Arrival<'a>,
    header: impl Fn(&str) -> Option<&'a [u8]>,
) -> Option<GroupId> {
    let source = arrival.source.to_canonical();
    table
        .classifications()
        .iter()
        .find(|c| c.source.iter().any(|net| contains(net, source)) && c.holds(arrival, &header))
        .map(|c| c.group)
        .or_else(|| accept_from(table, source))
}

/// Longest network first, so the first that contains the address decides.
fn accept_from(table: &RoutingTable, source: IpAddr) -> Option<GroupId> {
    table
        .networks()
        .iter()
        .find(|(net, _)| contains(net, source))
        .map(|(_, group)| *group)
}

/// Whether the address lies in the network: asked of every datagram, and of IPv4 mostly.
fn contains(net: &IpNet, address: IpAddr) -> bool {
    match (net, address) {
        (IpNet::V4(net), IpAddr::V4(address)) => {
            let differ = net.addr().to_bits() ^ address.to_bits();
            let free_bits = u32::BITS - u32::from(net.prefix_len());
            differ.checked_shr(free_bits).unwrap_or(0) == 0
        }
        _ => net.contains(&address),
    }
}

impl Classification {
    fn holds<'a>(&self, arrival: &Arrival<'a>, header: &impl Fn(&str) -> Option<&'a [u8]>) -> bool {
        let fits = |patterns: &[TextPattern], value: &[u8]| {
            patterns.is_empty() || patterns.iter().any(|p| p.matches(value))
        };
        fits(&self.listener, arrival.listener.as_bytes())
            && fits(&self.contact_host, arrival.contact_host)
            && fits(&self.from_host, arrival.from_host)
            && fits(&self.request_host, arrival.request_host)
            && self.label_holds(arrival)
            && self.header.as_ref().is_none_or(|(name, values)| {
                header(name).is_some_and(|value| values.iter().any(|p| p.matches(value)))
            })
    }

    /// RFC 4904 §5: the originating trunk group stands in the Contact, and some peers put it
    /// into From or Request-URI; whichever of them is whole and fits will do.
    fn label_holds(&self, arrival: &Arrival<'_>) -> bool {
        if self.tgrp.is_empty() && self.trunk_context.is_empty() {
            return true;
        }
        let fits = |patterns: &[TextPattern], value: Option<&[u8]>| {
            patterns.is_empty() || value.is_some_and(|v| patterns.iter().any(|p| p.matches(v)))
        };
        arrival
            .labels
            .iter()
            .filter(|label| label.is_whole())
            .any(|label| {
                fits(&self.tgrp, label.tgrp) && fits(&self.trunk_context, label.trunk_context)
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn networks_contain_what_the_library_says(
            bits: u32,
            length in 0_u8..=32,
            flipped in 0_u32..40,
        ) {
            let net = IpNet::new(Ipv4Addr::from_bits(bits).into(), length).expect("a network");
            let near = bits ^ 1_u32.checked_shl(flipped).unwrap_or(0);
            for address in [near, !bits].map(Ipv4Addr::from_bits) {
                prop_assert_eq!(contains(&net, address.into()), net.contains(&IpAddr::from(address)));
            }
        }
    }
}
