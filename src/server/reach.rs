//! Trunks the proxy listeners of a configuration cannot reach: told at the start, when
//! somebody looks.

use super::{Config, Mode};
use crate::limits::TRUNKS_TOLD_MAX;
use crate::proxy::{FlowTransport, way_to};
use crate::routing::RoutingTable;

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
    table.trunks().iter().filter_map(|trunk| {
        let (transport, address) = way_to(trunk)?;
        let reaches = config.listeners.iter().any(|listener| {
            listener.mode == Mode::Proxy
                && listener.transport == transport
                && listener.address.is_ipv4() == address.is_ipv4()
        });
        let is_met = transport != FlowTransport::Tls
            || config.tls_peers.iter().any(|peer| {
                peer.ip == address.ip() && peer.port.is_none_or(|port| port == address.port())
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
    })
}
