//! A table as the proxy sees it: where its trunks are.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use super::flow::{FlowTransport, NoTarget, Target, canonical};
use crate::routing::{RoutingTable, Trunk, TrunkId};
use crate::sip::Uri;

/// A table and the addresses of its trunks, read once when the table comes.
#[derive(Debug)]
pub(super) struct TableView {
    pub(super) table: Arc<RoutingTable>,
    targets: Box<[Result<Target, NoTarget>]>,
    /// Sorted.
    addresses: Box<[IpAddr]>,
}

impl TableView {
    pub(super) fn new(table: Arc<RoutingTable>) -> Self {
        let targets: Box<[_]> = table.trunks().iter().map(target_of).collect();
        let mut addresses: Vec<IpAddr> = targets
            .iter()
            .filter_map(|target| target.ok())
            .map(|target| canonical(target.address))
            .collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            table,
            targets,
            addresses: addresses.into(),
        }
    }

    /// Where the trunk is. A name gives none: resolving comes later, and until then such a
    /// trunk is one that cannot be reached.
    pub(super) fn target(&self, trunk: TrunkId) -> Option<Target> {
        self.targets.get(trunk.index())?.ok()
    }

    /// Whether a trunk of the table has that address.
    pub(super) fn is_trunk(&self, address: IpAddr) -> bool {
        self.addresses
            .binary_search(&address.to_canonical())
            .is_ok()
    }

    /// Whether the table knows the address at all: as one calls come from, or as a trunk.
    pub(super) fn is_known(&self, address: IpAddr) -> bool {
        self.is_trunk(address) || crate::routing::is_known_source(&self.table, address)
    }
}

/// Over what, and where to, requests for a trunk go; `None` for a name, and for an address
/// nothing is sent to.
#[must_use]
pub fn way_to(trunk: &Trunk) -> Option<(FlowTransport, SocketAddr)> {
    let target = target_of(trunk).ok()?;
    Some((target.transport, target.address))
}

fn target_of(trunk: &Trunk) -> Result<Target, NoTarget> {
    let target = &trunk.target;
    let text = [&*target.scheme, &*target.host_and_parameters].concat();
    let uri = Uri::parse(text.as_bytes()).map_err(|_| NoTarget::Scheme)?;
    Target::of(&uri)
}
