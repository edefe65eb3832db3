//! What was ordered of trunks, kept with the tables they stand in.

use super::kept::not_kept;
use super::{Asked, Generations, clocks, lock};
use crate::ledger::{OrderKind, Orders, TrunkOrder};
use crate::limits::TRUNK_ORDERS_MAX;
use crate::routing::{Order, RoutingTable, Snapshot, TrunkId};
use crate::tables::diagnostic::nearest;
use std::fmt;
use std::sync::Arc;

/// Why an order was not given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotOrdered {
    /// The table that serves has no such trunk.
    NoTrunk {
        /// What was asked for.
        name: String,
        /// The one that was meant, perhaps.
        nearest: Option<String>,
    },
    /// Too many trunks are under orders.
    TooMany,
    /// It cannot be written down, so it would end with the process.
    NotKept(String),
}

impl NotOrdered {
    /// As it stands in JSON.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::NoTrunk { .. } => "unknown_trunk",
            Self::TooMany => "too_many",
            Self::NotKept(_) => "not_kept",
        }
    }
}

impl fmt::Display for NotOrdered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTrunk { name, nearest } => {
                write!(f, "the table that serves has no trunk \"{name}\"")?;
                match nearest {
                    Some(nearest) => write!(f, "; did you mean \"{nearest}\"?"),
                    None => Ok(()),
                }
            }
            Self::TooMany => write!(
                f,
                "{TRUNK_ORDERS_MAX} trunks are draining or in maintenance already"
            ),
            Self::NotKept(cause) => f.write_str(cause),
        }
    }
}

impl Generations {
    /// What was ordered of trunks and stands, also of some that no table of now has.
    #[must_use]
    pub fn orders(&self) -> Arc<Orders> {
        Arc::clone(&lock(&self.orders))
    }

    /// The orders that stand about trunks the table of now has not, or has elsewhere.
    #[must_use]
    pub fn orders_waiting(&self) -> Vec<TrunkOrder> {
        let (orders, table) = (self.orders(), self.store.current());
        let all = orders.iter();
        all.filter(|order| of(order, &table).is_none())
            .cloned()
            .collect()
    }

    /// Gives an order about a trunk of the table that serves. It is written down first, then
    /// it holds: from the next call on, over reloads, and, with a state folder, restarts.
    ///
    /// # Errors
    /// There is no such trunk, there are too many orders, or it cannot be written down.
    pub fn order(
        &self,
        name: &str,
        order: OrderKind,
        asked: &Asked,
    ) -> Result<TrunkOrder, NotOrdered> {
        let _one_at_a_time = lock(&self.changing);
        let snapshot = self.store.snapshot();
        let table = &snapshot.table;
        let mut trunks = table.trunks().iter();
        let Some(trunk) = trunks.find(|trunk| &*trunk.name == name) else {
            let names = table.trunks().iter().map(|trunk| &*trunk.name);
            return Err(NotOrdered::NoTrunk {
                name: name.to_owned(),
                nearest: nearest(name, names).map(str::to_owned),
            });
        };
        let given = TrunkOrder {
            trunk: name.to_owned(),
            address: trunk.target.address(),
            order,
            at: clocks().now,
            by: asked.by.clone(),
            message: asked.message.clone(),
        };
        let is_there = |order: &TrunkOrder| of(order, table).is_some();
        let next = (self.orders()).with(given.clone(), is_there);
        let next = next.ok_or(NotOrdered::TooMany)?;
        if let Some(archive) = &self.kept.archive {
            let written = archive.write_orders(&next);
            written.map_err(|error| NotOrdered::NotKept(not_kept("the order", &error)))?;
        }
        *lock(&self.orders) = Arc::new(next);
        if let Some(id) = of(&given, table) {
            snapshot.availability.order(id, as_routed(order));
        }
        Ok(given)
    }

    /// Puts the trunks of a snapshot that is about to serve under the orders that stand.
    pub(super) fn prepared(&self) -> impl FnOnce(&Snapshot) {
        let orders = self.orders();
        move |snapshot| apply(&orders, snapshot)
    }
}

/// Puts the trunks of a snapshot under the orders that stand.
pub(super) fn apply(orders: &Orders, snapshot: &Snapshot) {
    for order in orders.iter() {
        if let Some(id) = of(order, &snapshot.table) {
            snapshot.availability.order(id, as_routed(order.order));
        }
    }
}

/// The orders about trunks that this table has.
pub(super) fn standing<'o>(
    orders: &'o Orders,
    table: &'o RoutingTable,
) -> impl Iterator<Item = &'o TrunkOrder> {
    orders.iter().filter(|order| of(order, table).is_some())
}

/// What must not be overlooked at a start.
pub(super) fn sentence(order: &TrunkOrder) -> String {
    let TrunkOrder {
        trunk,
        order,
        at,
        by,
        ..
    } = order;
    format!(
        "trunk {trunk} takes no calls: {} by {by} at {at:.0}; `trunkline trunk ready {trunk}` \
         ends it",
        order.as_str()
    )
}

/// The trunk an order is about, if it is where it was.
fn of(order: &TrunkOrder, table: &RoutingTable) -> Option<TrunkId> {
    let trunks = (0..=u16::MAX).map(TrunkId).zip(table.trunks());
    let mut named = trunks.filter(|(_, trunk)| *trunk.name == *order.trunk);
    let (id, trunk) = named.next()?;
    (trunk.target.address() == order.address).then_some(id)
}

const fn as_routed(order: OrderKind) -> Order {
    match order {
        OrderKind::Ready => Order::Ready,
        OrderKind::Drain => Order::Drain,
        OrderKind::Maint => Order::Maint,
    }
}
