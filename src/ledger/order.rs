//! What whoever operates the trunks wants of them.

use super::generation::rfc3339;
use crate::limits::TRUNK_ORDERS_MAX;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// What a trunk is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum OrderKind {
    /// Take calls while it is able to: the end of an order.
    Ready,
    /// No new call; those in progress go on, and it is probed.
    Drain,
    /// No new call, and it is not probed.
    Maint,
}

impl OrderKind {
    /// As it stands in logs and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Drain => "drain",
            Self::Maint => "maint",
        }
    }
}

/// An order that somebody gave about a trunk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct TrunkOrder {
    /// Name of the trunk.
    pub trunk: String,
    /// Its address then: a trunk that is somewhere else is another trunk.
    pub address: String,
    /// What it is to do.
    pub order: OrderKind,
    /// When the order was given.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "server", schemars(with = "String"))]
    pub at: Timestamp,
    /// Who gave it.
    pub by: String,
    /// What they said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// The orders that stand, at most one for a trunk, oldest first.
///
/// An order outlives a table without its trunk: the undo of a change must not send calls to
/// a trunk that somebody works on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Orders {
    orders: Vec<TrunkOrder>,
}

impl Orders {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &TrunkOrder> {
        self.orders.iter()
    }

    /// That of a trunk which is still where it was.
    #[must_use]
    pub fn of(&self, trunk: &str, address: &str) -> Option<&TrunkOrder> {
        let same = |order: &&TrunkOrder| order.trunk == trunk && order.address == address;
        self.iter().find(same)
    }

    /// These orders after one more, in the place of what was ordered of that trunk before.
    /// `None` where [`TRUNK_ORDERS_MAX`] stand that `is_there` says a trunk is there for;
    /// others make room.
    #[must_use]
    pub fn with(&self, order: TrunkOrder, is_there: impl Fn(&TrunkOrder) -> bool) -> Option<Self> {
        let others = self.iter().filter(|other| other.trunk != order.trunk);
        let mut orders: Vec<TrunkOrder> = others.cloned().collect();
        if order.order != OrderKind::Ready {
            orders.push(order);
        }
        if orders.len() > TRUNK_ORDERS_MAX {
            orders.retain(is_there);
        }
        (orders.len() <= TRUNK_ORDERS_MAX).then_some(Self { orders })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;
    use proptest::prelude::*;

    fn order(trunk: &str, order: OrderKind) -> TrunkOrder {
        TrunkOrder {
            trunk: trunk.to_owned(),
            address: String::from("sip:192.0.2.1"),
            order,
            at: Timestamp::UNIX_EPOCH,
            by: String::from("klein"),
            message: None,
        }
    }

    #[test]
    fn there_is_room_for_so_many_and_what_has_gone_makes_room() {
        let mut orders = Orders::default();
        for trunk in 0..TRUNK_ORDERS_MAX {
            let next = order(&format!("t{trunk}"), OrderKind::Drain);
            orders = orders.with(next, |_| true).unwrap();
        }
        let more = || order("more", OrderKind::Maint);
        assert_eq!(orders.with(more(), |_| true), None);
        let again = order("t3", OrderKind::Maint);
        assert!(orders.with(again, |_| true).is_some());
        let fewer = orders.with(more(), |order| order.trunk != "t7").unwrap();
        assert!(fewer.of("t7", "sip:192.0.2.1").is_none());
        assert!(fewer.of("more", "sip:192.0.2.1").is_some());
    }

    #[test]
    fn an_order_is_for_a_trunk_that_is_where_it_was() {
        let orders = Orders::default();
        let orders = orders.with(order("a", OrderKind::Maint), |_| true).unwrap();
        assert!(orders.of("a", "sip:192.0.2.1").is_some());
        assert_eq!(orders.of("a", "sip:192.0.2.2"), None);
        assert_eq!(orders.of("b", "sip:192.0.2.1"), None);
        let text = serde_json::to_string(&orders).unwrap();
        assert_eq!(serde_json::from_str::<Orders>(&text).unwrap(), orders);
    }

    proptest! {
        /// The last order of a trunk stands, and no other; "ready" leaves none.
        #[test]
        fn the_last_order_of_a_trunk_stands(
            given in prop::collection::vec((0..5_u8, 0..3_usize), 0..60)
        ) {
            let kinds = [OrderKind::Ready, OrderKind::Drain, OrderKind::Maint];
            let mut orders = Orders::default();
            for (trunk, kind) in &given {
                orders = orders.with(order(&trunk.to_string(), kinds[*kind]), |_| true).unwrap();
            }
            for trunk in 0..5_u8 {
                let last = given.iter().rev().find(|(of, _)| *of == trunk);
                let stands = last.map(|(_, kind)| kinds[*kind]).filter(|kind| *kind != OrderKind::Ready);
                let found = orders.of(&trunk.to_string(), "sip:192.0.2.1");
                prop_assert_eq!(found.map(|order| order.order), stands);
            }
        }
    }
}
