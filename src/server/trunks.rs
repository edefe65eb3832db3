//! The trunks as an operator sees them, and the orders given about them.

use serde_json::json;

use super::reloading::Bench;
use crate::api::EventKind;
use crate::control::{Answer, Ordered, Refused, TrunkState, TrunkStatus};
use crate::generations::{Asked, Generations};
use crate::ledger::{OrderKind, Orders};
use crate::observe::ShellWord;
use crate::routing::trunk::Hunt;
use crate::routing::{Outage, Snapshot, Trunk, TrunkId};

/// All trunks of the table that serves.
pub(super) fn all(generations: &Generations) -> Vec<TrunkStatus> {
    statuses(generations, |_| true)
}

/// Those that calls are not sent to.
pub(super) fn out(generations: &Generations) -> Vec<TrunkStatus> {
    statuses(generations, |status| status.state != TrunkState::Up)
}

/// Gives an order, and tells the log and whoever gave it.
pub(super) fn order(bench: &Bench, name: &str, order: OrderKind, asked: &Asked) -> Answer {
    let generations = &bench.generations;
    let given = match generations.order(name, order, asked) {
        Ok(given) => given,
        Err(cause) => {
            tracing::info!("trunk order refused: {cause}");
            let serving = generations.store().current().generation();
            let refused = Refused::new(cause.as_str(), cause.to_string(), serving);
            return Answer::Refused(refused);
        }
    };
    bench.counters.trunk_order();
    let mut named = statuses(generations, |status| status.name == name);
    let Some(trunk) = named.pop() else {
        // Changes are made by one thread: no other table has come between.
        let refused = Refused::new("unknown_trunk", "the trunk has gone", 0);
        return Answer::Refused(refused);
    };
    let data = json!({
        "trunk": name,
        "order": order.as_str(),
        "by": given.by,
        "message": given.message,
        "state": trunk.state.as_str(),
    });
    bench.events.tell(EventKind::Ordered, data);
    let by = ShellWord(given.by.as_bytes());
    let message = given.message.as_ref();
    let message = message.map(|text| format!(" msg={}", ShellWord(text.as_bytes())));
    tracing::info!(
        "trunk {name} {} by={by}{} state={}",
        order.as_str(),
        message.unwrap_or_default(),
        trunk.state.as_str()
    );
    Answer::Ordered(Box::new(Ordered {
        order: given,
        trunk,
    }))
}

fn statuses(generations: &Generations, wanted: impl Fn(&TrunkStatus) -> bool) -> Vec<TrunkStatus> {
    let (snapshot, orders) = (generations.store().snapshot(), generations.orders());
    let counted = counted(&snapshot);
    let trunks = (0..=u16::MAX).map(TrunkId).zip(snapshot.table.trunks());
    trunks
        .zip(counted)
        .map(|((id, trunk), counted)| status(&snapshot, (id, trunk), counted, &orders))
        .filter(wanted)
        .collect()
}

fn status(
    snapshot: &Snapshot,
    (id, trunk): (TrunkId, &Trunk),
    is_counted: bool,
    orders: &Orders,
) -> TrunkStatus {
    let availability = &snapshot.availability;
    let (state, found_by, back_in_s) = match availability.outage(id) {
        None => (TrunkState::Up, None, None),
        Some(Outage::Draining) => (TrunkState::Draining, None, None),
        Some(Outage::Maintenance) => (TrunkState::Maintenance, None, None),
        Some(Outage::Probes) => (TrunkState::Down, Some("probes"), None),
        Some(Outage::Calls { left_ms }) => {
            let left_s = left_ms.div_ceil(1_000);
            (TrunkState::Down, Some("calls"), Some(left_s))
        }
    };
    let address = trunk.target.address();
    TrunkStatus {
        name: trunk.name.to_string(),
        state,
        found_by: found_by.map(str::to_owned),
        back_in_s,
        calls: is_counted.then(|| availability.calls_in_progress(id)),
        order: orders.of(&trunk.name, &address).cloned(),
        address,
    }
}

/// By trunk: whether its calls are counted.
fn counted(snapshot: &Snapshot) -> Vec<bool> {
    let table = &snapshot.table;
    let limits = table.trunks().iter().map(|trunk| trunk.max_calls.is_some());
    let mut counted: Vec<bool> = limits.collect();
    let groups = table.groups().iter();
    for group in groups.filter(|group| group.hunt == Hunt::LeastLoaded) {
        for id in &group.trunks {
            if let Some(counted) = counted.get_mut(id.index()) {
                *counted = true;
            }
        }
    }
    counted
}
