//! Trunks the proxy listeners of a configuration cannot reach: told at the start, when
//! somebody looks.

use super::{Config, Mode, is_proxy};
use crate::limits::TRUNKS_TOLD_MAX;
use crate::proxy::{FlowTransport, Locations, way_to};
use crate::routing::RoutingTable;
use crate::transport::PeerAt;

/// Warns of trunks that are not reached.
pub(super) fn warn(config: &Config, table: &RoutingTable) {
    for warning in unreached(config, table).take(TRUNKS_TOLD_MAX) {
        tracing::warn!("{warning}");
    }
}

/// A sentence about each trunk that no proxy listener reaches, and about those over TLS of which
/// nobody has said what to believe. Calls to them move on to the next route.
pub(super) fn unreached<'c>(
    config: &'c Config,
    table: &'c RoutingTable,
) -> impl Iterator<Item = String> + 'c {
    let of_addresses = table.trunks().iter().filter_map(|trunk| {
        let (transport, address) = way_to(trunk)?;
        let reaches = config.listeners.iter().any(|listener| {
            listener.mode == Mode::Proxy
                && listener.transport == transport
                && listener.address.is_ipv4() == address.is_ipv4()
        });
        let is_met = transport != FlowTransport::Tls
            || config.tls_peers.iter().any(|peer| match peer.at {
                PeerAt::Address(ip, port) => {
                    ip == address.ip() && port.is_none_or(|port| port == address.port())
                }
                PeerAt::Host(_) => false,
            });
        let (over, name) = (transport.as_str(), &trunk.name);
        match (reaches, is_met) {
            (true, true) => None,
            (false, _) => Some(format!(
                "trunk {name} cannot be reached: no proxy listener has its transport, {over}, \
                 and its kind of address, {address}"
            )),
            (true, false) => Some(format!(
                "trunk {name} cannot be reached: no [[tls_peer]] has its address, {address}"
            )),
        }
    });
    of_addresses.chain(unmet_hosts(config, table))
}

/// Hosts that are met over TLS, of which nothing is said. Addresses they may have are known to
/// whoever lists addresses.
fn unmet_hosts(config: &Config, table: &RoutingTable) -> Vec<String> {
    let is_said = |host: &str| {
        config.tls_peers.iter().any(|peer| match &peer.at {
            PeerAt::Address(..) => true,
            PeerAt::Host(said) => **said == *host,
        })
    };
    let queries = Locations::names_of(table).into_iter();
    let over_tls = queries.filter(|query| query.is_over_tls());
    let unmet = over_tls.filter(|query| is_proxy(config) && !is_said(&query.host));
    unmet
        .map(|query| {
            let host = &query.host;
            format!("trunks at {host} cannot be reached: no [[tls_peer]] has their address, {host}")
        })
        .collect()
}
