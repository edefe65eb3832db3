//! Trunks that went out of service or came back, seen by looking.

use std::collections::BTreeMap;

use serde_json::json;

use super::{EventKind, Events};
use crate::generations::Generations;
use crate::routing::{Outage, TrunkId};

/// The state of each trunk, by name, as [`TrunkState`](crate::control::TrunkState) calls it.
pub(super) type States = BTreeMap<Box<str>, &'static str>;

/// How the trunks are now.
pub(super) fn states(generations: &Generations) -> States {
    let snapshot = generations.store().snapshot();
    let trunks = (0..=u16::MAX).map(TrunkId).zip(snapshot.table.trunks());
    let state = |id| match snapshot.availability.outage(id) {
        None => "up",
        Some(Outage::Draining) => "draining",
        Some(Outage::Maintenance) => "maintenance",
        Some(Outage::Probes | Outage::Calls { .. }) => "down",
    };
    trunks
        .map(|(id, trunk)| (trunk.name.clone(), state(id)))
        .collect()
}

/// Tells of the trunks whose state is another one by now. Those that a new table brought or
/// took away have not turned.
pub(super) fn told(events: &Events, was: &States, is: States) -> States {
    for (name, state) in &is {
        if let Some(before) = was.get(name)
            && before != state
        {
            let data = json!({"trunk": name, "state": state, "was": before});
            events.tell(EventKind::Trunk, data);
        }
    }
    is
}
