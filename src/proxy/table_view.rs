//! A table as the proxy sees it: where its trunks are.

use std::net::IpAddr;
use std::sync::Arc;

use super::flow::{NoTarget, Target, canonical};
use crate::routing::{RoutingTable, TrunkId};
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
        let mut text = Vec::new();
        let targets: Box<[_]> = table
            .trunks()
            .iter()
            .map(|trunk| {
                text.clear();
                text.extend_from_slice(trunk.target.scheme.as_bytes());
                text.extend_from_slice(trunk.target.host_and_parameters.as_bytes());
                Uri::parse(&text)
                    .map_err(|_| NoTarget::Scheme)
                    .and_then(|uri| Target::of(&uri))
            })
            .collect();
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
