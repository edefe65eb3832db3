//! What is known of the trunks at the moment of a decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};

use super::call_load::{CallHold, Full, Starts};
use super::trunk::Hunt;
use super::{GroupId, Route, RoutingTable, TrunkId};
use crate::limits::{
    TRUNK_OUTAGE_MS_FIRST, TRUNK_OUTAGE_MS_MAX, TRUNK_RETRY_AFTER_S_MAX, TRUNK_SILENCES_MAX,
};

/// Service state and calls in progress of every trunk of one table generation.
///
/// Read by decisions, written by whoever watches the trunks, from any worker. It never
/// asks the time but is told it ([`Availability::tell_time`]). Counts are exact: a call is
/// taken and given back by the dialog that holds it. In redirect mode only orders are written.
///
/// A trunk is out of service by order ([`Availability::order`]), because probes say
/// so ([`Availability::set_out_by_probes`]), because it asked for it
/// ([`Availability::retry_after`]), or because it stopped answering. The last two end by
/// themselves. Each holds for itself: what a probe hears does not end what a call has
/// learned, for there are trunks that answer OPTIONS and no INVITE; only the probe that
/// brings a trunk back does. What a trunk is known for outlives a reload that leaves it as
/// it was ([`Availability::carried_over`]).
#[derive(Debug, Default)]
pub struct Availability {
    trunks: Box<[Arc<TrunkHealth>]>,
    /// By trunk: when calls began, where the table bounds it.
    starts: Box<[Option<Arc<Starts>>]>,
    /// Calls in progress by group.
    groups: Box<[Arc<AtomicU32>]>,
    clock_ms: Arc<AtomicU64>,
}

/// Relaxed atomics throughout: each value stands for itself, and a decision that sees one
/// of them a moment late is a decision made a moment earlier.
#[derive(Debug)]
struct TrunkHealth {
    /// [`Order`], as a number.
    order: AtomicU8,
    is_out_by_probes: AtomicBool,
    calls_in_progress: Arc<AtomicU32>,
    /// Attempts in a row that nothing was heard of.
    silences: AtomicU8,
    /// Outages in a row without a word between them: the exponent of the next one.
    outages: AtomicU8,
    silent_until_ms: AtomicU64,
    asked_until_ms: AtomicU64,
}

impl Default for TrunkHealth {
    fn default() -> Self {
        Self {
            order: AtomicU8::new(Order::Ready as u8),
            is_out_by_probes: AtomicBool::new(false),
            calls_in_progress: Arc::default(),
            silences: AtomicU8::new(0),
            outages: AtomicU8::new(0),
            silent_until_ms: AtomicU64::new(0),
            asked_until_ms: AtomicU64::new(0),
        }
    }
}

impl Availability {
    /// All `trunks` in service and without calls.
    #[must_use]
    pub fn new(trunks: usize) -> Self {
        Self {
            trunks: std::iter::repeat_with(Arc::default).take(trunks).collect(),
            ..Self::default()
        }
    }

    /// All trunks of the table in service and without calls.
    #[must_use]
    pub fn of(table: &RoutingTable) -> Self {
        let starts = table.trunks().iter().map(|trunk| trunk.max_cps);
        Self {
            starts: starts
                .map(|cps| Some(Arc::new(Starts::new(cps?))))
                .collect(),
            groups: table.groups().iter().map(|_| Arc::default()).collect(),
            ..Self::new(table.trunks().len())
        }
    }

    /// The availability for the table that takes the place of `old`'s. A trunk of the same
    /// name and address is the same trunk: both tables then read and write one state, so
    /// that calls which began on the old table are given back to the right count; so is a
    /// group of the same name. All others begin anew.
    #[must_use]
    pub fn carried_over(&self, old: &RoutingTable, new: &RoutingTable) -> Self {
        let known: std::collections::BTreeMap<&str, _> = old
            .trunks()
            .iter()
            .zip(&self.trunks)
            .map(|(trunk, health)| (&*trunk.name, (&trunk.target, health)))
            .collect();
        let trunks = new
            .trunks()
            .iter()
            .map(|trunk| match known.get(&*trunk.name) {
                Some((target, health)) if **target == trunk.target => Arc::clone(health),
                _ => Arc::default(),
            })
            .collect();
        let fresh = Self::of(new);
        let known: std::collections::BTreeMap<&str, _> = (old.groups().iter())
            .map(|group| &*group.name)
            .zip(&self.groups)
            .collect();
        let groups = new.groups().iter().zip(&fresh.groups);
        let groups =
            groups.map(|(group, fresh)| Arc::clone(known.get(&*group.name).unwrap_or(&fresh)));
        Self {
            starts: self.starts_carried_over(old, new, fresh.starts),
            groups: groups.collect(),
            trunks,
            clock_ms: Arc::clone(&self.clock_ms),
        }
    }

    /// A trunk that may begin as many calls a second as before remembers those it began.
    fn starts_carried_over(
        &self,
        old: &RoutingTable,
        new: &RoutingTable,
        mut fresh: Box<[Option<Arc<Starts>>]>,
    ) -> Box<[Option<Arc<Starts>>]> {
        let known: std::collections::BTreeMap<&str, _> = (old.trunks().iter())
            .map(|trunk| &*trunk.name)
            .zip(&self.starts)
            .collect();
        for (starts, trunk) in fresh.iter_mut().zip(new.trunks()) {
            if let (Some(starts), Some(Some(before))) = (starts, known.get(&*trunk.name))
                && starts.per_second() == before.per_second()
            {
                *starts = Arc::clone(before);
            }
        }
        fresh
    }

    /// The time, in milliseconds since any moment that all who tell it agree on. Goes
    /// forward only; an earlier time than the latest one told changes nothing.
    pub fn tell_time(&self, now_ms: u64) {
        if self.now_ms() < now_ms {
            self.clock_ms.fetch_max(now_ms, Ordering::Relaxed);
        }
    }

    /// Whether calls may be sent to the trunk. An unknown trunk is out of service.
    #[must_use]
    pub fn in_service(&self, id: TrunkId) -> bool {
        self.health(id).is_some_and(|trunk| {
            trunk.order() == Order::Ready
                && !trunk.is_out_by_probes.load(Ordering::Relaxed)
                && trunk.out_until_ms() <= self.now_ms()
        })
    }

    /// Why the trunk is out of service, the reason that holds longest; `None` while it is
    /// in service.
    #[must_use]
    pub fn outage(&self, id: TrunkId) -> Option<Outage> {
        let trunk = self.health(id)?;
        match trunk.order() {
            Order::Ready => {}
            Order::Drain => return Some(Outage::Draining),
            Order::Maint => return Some(Outage::Maintenance),
        }
        if trunk.is_out_by_probes.load(Ordering::Relaxed) {
            return Some(Outage::Probes);
        }
        let left_ms = self.returns_in_ms(id);
        (left_ms > 0).then_some(Outage::Calls { left_ms })
    }

    /// Milliseconds until the trunk comes back by itself, as far as time alone decides:
    /// 0 when it is out by order or by its probes.
    #[must_use]
    pub fn returns_in_ms(&self, id: TrunkId) -> u64 {
        let until = self.health(id).map_or(0, TrunkHealth::out_until_ms);
        until.saturating_sub(self.now_ms())
    }

    /// Calls the trunk carries now.
    #[must_use]
    pub fn calls_in_progress(&self, id: TrunkId) -> u32 {
        self.health(id)
            .map_or(0, |trunk| trunk.calls_in_progress.load(Ordering::Relaxed))
    }

    /// Gives the trunk an order. What it did itself, and what probes found, stays known.
    pub fn order(&self, id: TrunkId, order: Order) {
        if let Some(trunk) = self.health(id) {
            trunk.order.store(order as u8, Ordering::Relaxed);
        }
    }

    /// The order the trunk is under. An unknown trunk is under none.
    #[must_use]
    pub fn ordered(&self, id: TrunkId) -> Order {
        self.health(id).map_or(Order::Ready, TrunkHealth::order)
    }

    /// Says what its probes have shown. A trunk they bring back is back: that it stopped
    /// answering earlier is forgotten; what it asked for itself still holds.
    pub fn set_out_by_probes(&self, id: TrunkId, is_out: bool) {
        let Some(trunk) = self.health(id) else { return };
        let was_out = trunk.is_out_by_probes.swap(is_out, Ordering::Relaxed);
        if was_out && !is_out {
            self.answered(id);
        }
    }

    /// Takes the places of one more call on this route, where the table bounds calls or asks
    /// for the least loaded trunk; `None` where nothing is counted. A call that is
    /// `unlimited` is counted, and never refused.
    ///
    /// # Errors
    /// The trunk or the group carries as many calls as it may (`max_calls`), or as many began
    /// on the trunk in the last second (`max_cps`).
    pub fn hold(
        &self,
        table: &RoutingTable,
        route: Route,
        unlimited: bool,
    ) -> Result<Option<CallHold>, Full> {
        let (Some(trunk), Some(group)) = (table.trunk(route.trunk), table.group(route.group))
        else {
            return Ok(None);
        };
        let at_most = |limit: Option<u32>| limit.filter(|_| !unlimited).unwrap_or(u32::MAX);
        let mut hold = CallHold::default();
        if (trunk.max_calls.is_some() || group.hunt == Hunt::LeastLoaded)
            && let Some(health) = self.health(route.trunk)
        {
            hold.take(&health.calls_in_progress, at_most(trunk.max_calls))?;
        }
        if group.max_calls.is_some()
            && let Some(calls) = self.groups.get(route.group.index())
        {
            hold.take(calls, at_most(group.max_calls))?;
        }
        if let Some(Some(starts)) = self.starts.get(route.trunk.index()) {
            let begun = starts.begin(self.now_ms());
            if !unlimited {
                begun?;
            }
        }
        Ok((!hold.is_empty()).then_some(hold))
    }

    /// Whether [`Availability::hold`] would refuse a call on this route now.
    #[must_use]
    pub fn is_full(&self, table: &RoutingTable, route: Route) -> bool {
        let reached = |limit: Option<u32>, calls: u32| limit.is_some_and(|limit| calls >= limit);
        let trunk = table.trunk(route.trunk).and_then(|trunk| trunk.max_calls);
        let group = table.group(route.group).and_then(|group| group.max_calls);
        let starts = self
            .starts
            .get(route.trunk.index())
            .and_then(Option::as_ref);
        reached(trunk, self.calls_in_progress(route.trunk))
            || reached(group, self.group_calls_in_progress(route.group))
            || starts.is_some_and(|starts| starts.is_full(self.now_ms()))
    }

    /// Calls the group's trunks carry now for it; 0 where the table does not bound them.
    #[must_use]
    pub fn group_calls_in_progress(&self, id: GroupId) -> u32 {
        let calls = self.groups.get(id.index());
        calls.map_or(0, |calls| calls.load(Ordering::Relaxed))
    }

    /// The trunk said something, whatever it was: it is alive. What it asked for itself
    /// ([`Availability::retry_after`]) still holds.
    pub fn answered(&self, id: TrunkId) {
        let Some(trunk) = self.health(id) else { return };
        // Almost always there is nothing to forget: no write, no shared cache line moves.
        if trunk.silences.load(Ordering::Relaxed) > 0 || trunk.outages.load(Ordering::Relaxed) > 0 {
            trunk.silences.store(0, Ordering::Relaxed);
            trunk.outages.store(0, Ordering::Relaxed);
            trunk.silent_until_ms.store(0, Ordering::Relaxed);
        }
    }

    /// An attempt went unanswered. After [`TRUNK_SILENCES_MAX`] of them in a row, and after
    /// each further one, the trunk is out for a while: one lost INVITE is no dead trunk.
    pub fn stayed_silent(&self, id: TrunkId) {
        let Some(trunk) = self.health(id) else { return };
        let silences = trunk.silences.load(Ordering::Relaxed).saturating_add(1);
        trunk.silences.store(silences, Ordering::Relaxed);
        if silences >= TRUNK_SILENCES_MAX {
            self.begin_outage(trunk);
        }
    }

    /// The network says the trunk cannot be reached: out for a while at once.
    pub fn unreachable(&self, id: TrunkId) {
        if let Some(trunk) = self.health(id) {
            self.begin_outage(trunk);
        }
    }

    /// The trunk asked for quiet with a 503 (RFC 3261 §21.5.4): out for that long, at most
    /// [`TRUNK_RETRY_AFTER_S_MAX`].
    pub fn retry_after(&self, id: TrunkId, seconds: u32) {
        if let Some(trunk) = self.health(id) {
            let ms = u64::from(seconds.min(TRUNK_RETRY_AFTER_S_MAX)) * 1_000;
            let until_ms = self.now_ms().saturating_add(ms);
            trunk.asked_until_ms.fetch_max(until_ms, Ordering::Relaxed);
        }
    }

    /// Each outage is twice as long as the one before, until the trunk speaks. Calls that
    /// end in silence during one outage do not lengthen it.
    fn begin_outage(&self, trunk: &TrunkHealth) {
        let now_ms = self.now_ms();
        if trunk.silent_until_ms.load(Ordering::Relaxed) > now_ms {
            return;
        }
        let before = trunk.outages.load(Ordering::Relaxed);
        let length_ms = TRUNK_OUTAGE_MS_FIRST
            .saturating_mul(1 << before.min(31))
            .min(TRUNK_OUTAGE_MS_MAX);
        trunk
            .outages
            .store(before.saturating_add(1), Ordering::Relaxed);
        let until_ms = now_ms.saturating_add(length_ms);
        trunk.silent_until_ms.store(until_ms, Ordering::Relaxed);
    }

    fn now_ms(&self) -> u64 {
        self.clock_ms.load(Ordering::Relaxed)
    }

    fn health(&self, id: TrunkId) -> Option<&TrunkHealth> {
        self.trunks.get(id.index()).map(|trunk| &**trunk)
    }
}

impl TrunkHealth {
    fn order(&self) -> Order {
        const DRAIN: u8 = Order::Drain as u8;
        const MAINT: u8 = Order::Maint as u8;
        match self.order.load(Ordering::Relaxed) {
            DRAIN => Order::Drain,
            MAINT => Order::Maint,
            _ => Order::Ready,
        }
    }

    fn out_until_ms(&self) -> u64 {
        let silent = self.silent_until_ms.load(Ordering::Relaxed);
        silent.max(self.asked_until_ms.load(Ordering::Relaxed))
    }
}

/// What whoever operates a trunk wants of it. Requests inside a dialog pass whatever it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(u8)]
pub enum Order {
    /// It takes calls while it is able to.
    #[default]
    Ready,
    /// No new call; those in progress go on, and it is probed.
    Drain,
    /// No new call, and it is not probed.
    Maint,
}

/// Why a trunk is out of service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// By order: [`Order::Drain`].
    Draining,
    /// By order: [`Order::Maint`].
    Maintenance,
    /// It missed as many OPTIONS as it may, and has not answered as many as it must.
    Probes,
    /// Because of what calls met: silence, an error of the network, or a Retry-After.
    Calls {
        /// Milliseconds until it is tried again.
        left_ms: u64,
    },
}

impl Outage {
    /// Whether somebody wants it so. No call is sent there then as a last resort, but for
    /// emergency calls.
    #[must_use]
    pub const fn is_by_order(self) -> bool {
        matches!(self, Self::Draining | Self::Maintenance)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::routing::table::TableParts;
    use crate::routing::trunk::{TargetUri, Trunk};
    use crate::routing::{Origin, Snapshot};
    use proptest::prelude::*;

    const ONE: TrunkId = TrunkId(0);

    #[test]
    fn three_silences_in_a_row_and_each_outage_is_longer() {
        let trunks = Availability::new(1);
        trunks.stayed_silent(ONE);
        trunks.stayed_silent(ONE);
        assert!(trunks.in_service(ONE));
        trunks.answered(ONE);
        trunks.stayed_silent(ONE);
        trunks.stayed_silent(ONE);
        assert!(trunks.in_service(ONE), "not in a row");
        let mut now_ms = 0;
        for length_ms in [2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000] {
            trunks.stayed_silent(ONE);
            assert_eq!(trunks.returns_in_ms(ONE), length_ms);
            trunks.stayed_silent(ONE);
            trunks.unreachable(ONE);
            assert_eq!(
                trunks.returns_in_ms(ONE),
                length_ms,
                "one outage, one length"
            );
            now_ms += length_ms - 1;
            trunks.tell_time(now_ms);
            assert!(!trunks.in_service(ONE));
            now_ms += 1;
            trunks.tell_time(now_ms);
            trunks.tell_time(5);
            assert!(trunks.in_service(ONE));
        }
        trunks.unreachable(ONE);
        trunks.answered(ONE);
        assert!(trunks.in_service(ONE), "it spoke");
        trunks.unreachable(ONE);
        assert_eq!(trunks.returns_in_ms(ONE), 2_000);
    }

    #[test]
    fn quiet_that_was_asked_for_is_kept_whatever_else_is_said() {
        let trunks = Availability::new(1);
        trunks.retry_after(ONE, 30);
        trunks.retry_after(ONE, 10);
        trunks.answered(ONE);
        assert_eq!(trunks.returns_in_ms(ONE), 30_000);
        trunks.retry_after(ONE, u32::MAX);
        assert_eq!(trunks.returns_in_ms(ONE), 3_600_000);
        trunks.order(ONE, Order::Ready);
        assert!(!trunks.in_service(ONE));
    }

    #[test]
    fn probes_and_calls_each_know_for_themselves() {
        let trunks = Availability::new(1);
        assert_eq!(trunks.outage(ONE), None);
        trunks.unreachable(ONE);
        trunks.set_out_by_probes(ONE, false);
        assert_eq!(trunks.outage(ONE), Some(Outage::Calls { left_ms: 2_000 }));
        trunks.set_out_by_probes(ONE, true);
        trunks.answered(ONE);
        assert_eq!(
            trunks.outage(ONE),
            Some(Outage::Probes),
            "one answer of many"
        );
        trunks.unreachable(ONE);
        trunks.retry_after(ONE, 1);
        trunks.set_out_by_probes(ONE, false);
        assert_eq!(
            trunks.outage(ONE),
            Some(Outage::Calls { left_ms: 1_000 }),
            "what it asked for is left"
        );
        trunks.tell_time(1_000);
        assert!(trunks.in_service(ONE));
        for (order, outage) in [
            (Order::Drain, Some(Outage::Draining)),
            (Order::Maint, Some(Outage::Maintenance)),
            (Order::Ready, None),
        ] {
            trunks.order(ONE, order);
            let seen = (trunks.outage(ONE), trunks.ordered(ONE));
            assert_eq!(seen, (outage, order));
            assert_eq!(trunks.in_service(ONE), outage.is_none());
            assert_eq!(outage.is_some_and(Outage::is_by_order), outage.is_some());
        }
    }

    fn table(trunks: &[(&str, &str)]) -> Arc<RoutingTable> {
        let trunk = |(name, host): &(&str, &str)| Trunk {
            name: (*name).into(),
            target: TargetUri {
                scheme: "sip:".into(),
                fixed_user: None,
                user_parameters: "".into(),
                host_and_parameters: (*host).into(),
            },
            weight: 1,
            max_calls: Some(9),
            max_cps: None,
            large_over_tcp: false,
            probing: None,
            options_contact: None,
            origin: Origin { file: 0, line: 1 },
        };
        Arc::new(RoutingTable::new(TableParts {
            trunks: trunks.iter().map(trunk).collect(),
            groups: vec![crate::routing::trunk::TrunkGroup::bare("all")],
            ..TableParts::default()
        }))
    }

    #[test]
    fn a_reload_keeps_what_is_known_of_trunks_that_stay() {
        let old = table(&[("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.3")]);
        let new = table(&[("c", "10.0.0.3"), ("b", "10.0.0.9"), ("d", "10.0.0.1")]);
        let before = Snapshot::new(Arc::clone(&old)).availability;
        before.tell_time(1_000);
        let route = |id| Route {
            group: GroupId(0),
            trunk: TrunkId(id),
        };
        let hold = |id| before.hold(&old, route(id), false).unwrap();
        let held: Vec<_> = (0..3).map(hold).collect();
        for id in 0..3 {
            before.retry_after(TrunkId(id), 60);
        }
        before.set_out_by_probes(TrunkId(2), true);
        let after = before.carried_over(&old, &new);
        let state = |id| {
            let id = TrunkId(id);
            (after.in_service(id), after.calls_in_progress(id))
        };
        assert_eq!(
            [state(0), state(1), state(2)],
            [(false, 1), (true, 0), (true, 0)]
        );
        // The call that began on the old table ends on it, and the new one knows.
        drop(held);
        assert_eq!(after.calls_in_progress(TrunkId(0)), 0);
        before.tell_time(61_000);
        assert_eq!(after.outage(TrunkId(0)), Some(Outage::Probes));
        before.set_out_by_probes(TrunkId(2), false);
        assert!(after.in_service(TrunkId(0)));
    }

    proptest! {
        /// Whatever happens to a trunk, it is back after the longest outage.
        #[test]
        fn no_outage_is_for_ever(happenings in prop::collection::vec((0..5_u8, 0..100_000_u64), 0..100)) {
            let trunks = Availability::new(1);
            let mut now_ms = 0;
            for (what, wait_ms) in happenings {
                now_ms += wait_ms;
                trunks.tell_time(now_ms);
                match what {
                    0 => trunks.stayed_silent(ONE),
                    1 => trunks.unreachable(ONE),
                    2 => trunks.answered(ONE),
                    3 => trunks.retry_after(ONE, 7),
                    _ => trunks.set_out_by_probes(ONE, false),
                }
                prop_assert!(trunks.returns_in_ms(ONE) <= TRUNK_OUTAGE_MS_MAX);
                prop_assert_eq!(trunks.in_service(ONE), trunks.returns_in_ms(ONE) == 0);
            }
        }
    }
}
