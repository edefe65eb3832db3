//! A table as the proxy sees it: where its trunks are.

use std::net::IpAddr;
use std::sync::Arc;

use super::flow::{NoTarget, Target, canonical};
use super::locations::{Location, Locations, NameQuery};
use crate::routing::trunk::TargetUri;
use crate::routing::{RoutingTable, TrunkId};
use crate::sip::Uri;

/// A table and the addresses of its trunks, read once when the table comes or when a name
/// moves.
#[derive(Debug)]
pub(super) struct TableView {
    pub(super) table: Arc<RoutingTable>,
    locations: Arc<Locations>,
    places: Box<[Place]>,
    /// Sorted.
    addresses: Box<[IpAddr]>,
}

/// Where a trunk is.
#[derive(Debug)]
pub(super) enum Place {
    /// It says so itself.
    At(Target),
    /// A name, and where that is as far as is known: perhaps nowhere.
    Named(Box<[Location]>),
    /// Nowhere we could send to.
    Nowhere,
}

impl TableView {
    pub(super) fn new(table: Arc<RoutingTable>, locations: Arc<Locations>) -> Self {
        let place = |target: &TargetUri| {
            let text = [&*target.scheme, &*target.host_and_parameters].concat();
            Uri::parse(text.as_bytes()).map_or(Place::Nowhere, |uri| Place::of(&uri, &locations))
        };
        let places: Box<[Place]> = (table.trunks().iter())
            .map(|trunk| place(&trunk.target))
            .collect();
        let mut addresses: Vec<IpAddr> = places.iter().flat_map(Place::addresses).collect();
        addresses.sort_unstable();
        addresses.dedup();
        Self {
            table,
            locations,
            places,
            addresses: addresses.into(),
        }
    }

    /// Whether it is a view of these.
    pub(super) fn is_of(&self, table: &Arc<RoutingTable>, locations: &Arc<Locations>) -> bool {
        Arc::ptr_eq(&self.table, table) && Arc::ptr_eq(&self.locations, locations)
    }

    /// Where the trunk is.
    pub(super) fn place(&self, trunk: TrunkId) -> &Place {
        self.places.get(trunk.index()).unwrap_or(&Place::Nowhere)
    }

    /// Whether the trunk is known by name.
    pub(super) fn is_named(&self, trunk: TrunkId) -> bool {
        matches!(self.place(trunk), Place::Named(_))
    }

    /// Where a request to this URI goes; a name only if a trunk of the table has it too.
    ///
    /// # Errors
    /// Why it goes nowhere.
    pub(super) fn target_of(&self, uri: &Uri<'_>) -> Result<Target, NoTarget> {
        match Target::of(uri) {
            Err(NoTarget::Name) => {
                let found = self.locations.get(&NameQuery::of(uri)?);
                found.first().map(Location::target).ok_or(NoTarget::Name)
            }
            told => told,
        }
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

impl Place {
    fn of(uri: &Uri<'_>, locations: &Locations) -> Self {
        match Target::of(uri) {
            Ok(target) => Self::At(target),
            Err(NoTarget::Name) => NameQuery::of(uri).map_or(Self::Nowhere, |query| {
                Self::Named(locations.get(&query).into())
            }),
            Err(_) => Self::Nowhere,
        }
    }

    fn addresses(&self) -> Vec<IpAddr> {
        match self {
            Self::At(target) => vec![canonical(target.address)],
            Self::Named(found) => {
                let found = found.iter();
                found.map(|location| canonical(location.address)).collect()
            }
            Self::Nowhere => Vec::new(),
        }
    }
}
