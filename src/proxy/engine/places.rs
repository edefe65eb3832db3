//! The places of a trunk that is known by name: which of them an attempt goes to, and which
//! are left alone for a while. RFC 3263 §4.3.

use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use super::Engine;
use crate::limits::{LOCATIONS_OUT_MAX, TRUNK_OUTAGE_MS_FIRST};
use crate::proxy::flow::Target;
use crate::proxy::locations::{Location, ordered};
use crate::proxy::response_context::{Call, ResponseContext};
use crate::proxy::table_view::Place;
use crate::routing::table::Cause;
use crate::routing::{Ending, Route};

/// Places that did not answer, and until when each is left alone. Every worker finds out for
/// itself: an attempt that is refused costs little.
#[derive(Debug, Default)]
pub(super) struct PlacesOut(Vec<(SocketAddr, Instant)>);

impl PlacesOut {
    pub(super) fn is_out(&self, now: Instant, address: SocketAddr) -> bool {
        self.0
            .iter()
            .any(|(out, until)| *out == address && *until > now)
    }

    pub(super) fn leave(&mut self, now: Instant, address: SocketAddr, until: Instant) {
        self.0
            .retain(|(out, until)| *out != address && *until > now);
        if self.0.len() >= LOCATIONS_OUT_MAX {
            let first = (self.0.iter().enumerate()).min_by_key(|(_, (_, until))| *until);
            if let Some((first, _)) = first {
                self.0.swap_remove(first);
            }
        }
        self.0.push((address, until));
    }

    fn is_back(&mut self, address: SocketAddr) {
        if !self.0.is_empty() {
            self.0.retain(|(out, _)| *out != address);
        }
    }
}

impl Engine {
    /// Where the next attempt on this route goes: the first place that the call has not tried
    /// and that is not out; the first of all when it has tried none.
    pub(super) fn target_for(
        &self,
        now: Instant,
        context: &ResponseContext,
        route: Route,
    ) -> Option<Target> {
        let call = context.call.as_ref()?;
        match call.view.place(route.trunk) {
            Place::At(target) => Some(*target),
            Place::Named(found) => {
                let draw = self.key.hash_one((context.place, context.serial));
                let order = ordered(found, draw);
                let mut good = order.iter();
                let good = good.find(|target| self.is_worth_trying(now, call, target.address));
                let first = order.first().filter(|_| call.places_tried.is_empty());
                good.or(first).copied()
            }
            Place::Nowhere => None,
        }
    }

    fn is_worth_trying(&self, now: Instant, call: &Call, address: SocketAddr) -> bool {
        !call.places_tried.contains(&address) && !self.places_out.is_out(now, address)
    }

    /// Whether the attempt that ended so leaves another place of the same trunk to try.
    pub(super) fn has_another_place(
        &self,
        now: Instant,
        context: &ResponseContext,
        ending: Ending,
    ) -> Option<usize> {
        let call = context.call.as_ref()?;
        let says_elsewhere = matches!(
            ending.cause,
            Cause::TransportError | Cause::TrunkTimeout | Cause::Status(503)
        );
        let place = call.tried.checked_sub(1)?;
        let route = call.routes().get(place)?;
        let Place::Named(found) = call.view.place(route.trunk) else {
            return None;
        };
        let mut found = found.iter();
        let is_left = found.any(|found| self.is_worth_trying(now, call, found.address));
        (says_elsewhere && context.progressed.is_none() && is_left).then_some(place)
    }

    /// Notes that the place of an attempt is out, for `out_s` seconds if it said so. Whether
    /// that puts the trunk out: it has no other place that is not out.
    pub(super) fn place_failed(
        &mut self,
        now: Instant,
        call: &Call,
        route: Route,
        address: SocketAddr,
        out_s: Option<u32>,
    ) -> bool {
        let Place::Named(found) = call.view.place(route.trunk) else {
            return true;
        };
        let out = out_s.map_or(Duration::from_millis(TRUNK_OUTAGE_MS_FIRST), |seconds| {
            Duration::from_secs(seconds.into())
        });
        self.places_out.leave(now, address, now + out);
        let is_out = |found: &Location| self.places_out.is_out(now, found.address);
        found.iter().all(is_out)
    }

    /// Somebody answered there.
    pub(super) fn place_answered(&mut self, address: SocketAddr) {
        self.places_out.is_back(address);
    }
}
