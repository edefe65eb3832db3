//! Time: which context is due next, and what becomes of it then.

use std::time::Instant;

use super::Engine;
use crate::proxy::proxy_event::{ProxyEvent, ProxyRepeat};
use crate::proxy::response_context::{Candidate, ResponseContext, Stage};
use crate::routing::Ending;
use crate::routing::table::Cause;
use crate::sip::StatusCode;
use crate::transaction::{DueQueue, Event};

/// When which context wants to be looked at.
///
/// Each has one valid element in the queue, never later than it wants. Most timers are moved
/// on before they are due: such an element is put back in for the later time without a look
/// at its context, which nobody may have touched for half a minute.
#[derive(Debug, Default)]
pub(super) struct TimerQueue {
    /// Places and serials.
    elements: DueQueue<(u32, u64)>,
    /// By place. What stands for a context that is gone is found out by its serial.
    wanted: Vec<Option<Wanted>>,
}

/// What a context wants, and for when its valid element stands in the queue.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    serial: u64,
    at: Instant,
    queued: Instant,
}

/// Places without an element that are not worth giving back.
const KEPT_MAX: usize = 4_096;

impl TimerQueue {
    /// From now on the context with this serial wants to be looked at then.
    pub(super) fn set(&mut self, at: Instant, place: u32, serial: u64) {
        let index = usize::try_from(place).unwrap_or(usize::MAX);
        if self.wanted.len() <= index {
            self.wanted.resize(index.saturating_add(1), None);
        }
        let Some(wanted) = self.wanted.get_mut(index) else {
            return;
        };
        match wanted.as_mut().filter(|wanted| wanted.serial == serial) {
            Some(wanted) if wanted.queued <= at => wanted.at = at,
            _ => {
                *wanted = Some(Wanted {
                    serial,
                    at,
                    queued: at,
                });
                self.elements.push(at, (place, serial));
            }
        }
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.elements.first()
    }

    /// The place and serial of the next context that is due at `now`; it has no element any
    /// more.
    fn pop_due(&mut self, now: Instant) -> Option<(u32, u64)> {
        while let Some((at, (place, serial))) = self.elements.pop_due(now) {
            let index = usize::try_from(place).unwrap_or(usize::MAX);
            let Some(kept) = self.wanted.get_mut(index) else {
                continue;
            };
            match kept.as_mut() {
                Some(wanted) if (wanted.serial, wanted.queued) != (serial, at) => {}
                Some(wanted) if wanted.at > now => {
                    wanted.queued = wanted.at;
                    self.elements.push(wanted.at, (place, serial));
                }
                Some(_) => {
                    *kept = None;
                    return Some((place, serial));
                }
                None => {}
            }
        }
        if self.elements.is_empty() && self.wanted.len() > KEPT_MAX {
            // Who has no element wants nothing: give back what a burst took.
            self.wanted = Vec::new();
        }
        None
    }

    fn len(&self) -> usize {
        self.elements.len()
    }
}

impl Engine {
    /// Runs what is due. What becomes due by that is for the next time.
    pub(super) fn timer_due(&mut self, now: Instant) {
        for _ in 0..self.queue.len() {
            let Some((place, serial)) = self.queue.pop_due(now) else {
                return;
            };
            let Some(mut context) = self.contexts.take(place) else {
                continue;
            };
            if context.serial == serial {
                self.context_due(now, &mut context);
                self.settle(now, context);
            } else {
                self.contexts.put(place, context);
            }
        }
    }

    fn context_due(&mut self, now: Instant, context: &mut ResponseContext) {
        if context.server.deadline().is_some_and(|(at, _)| at <= now) {
            self.step_server(now, context, Event::TimerDue);
        }
        self.accepted_due(now, context);
        // An attempt that begins meanwhile has nothing due.
        for place in 0..context.attempts.len() {
            self.attempt_due(now, context, place);
        }
    }

    fn attempt_due(&mut self, now: Instant, context: &mut ResponseContext, place: usize) {
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        let is_due = |at: Option<Instant>| at.is_some_and(|at| at <= now);
        let flow = attempt.flow;
        if let Some(cancel) = &mut attempt.cancel
            && is_due(cancel.deadline().map(|(at, _)| at))
        {
            let actions = cancel.step(now, Event::TimerDue);
            if self.perform(flow, actions).sent {
                self.event(ProxyEvent::Repeated(ProxyRepeat::Attempt));
            }
        }
        if is_due(attempt.client.deadline().map(|(at, _)| at)) {
            let actions = attempt.client.step(now, Event::TimerDue);
            let told = self.perform(flow, actions);
            if told.sent {
                self.event(ProxyEvent::Repeated(ProxyRepeat::Attempt));
            }
            if told.timed_out {
                return self.attempt_silent(now, context, place, Stage::Ended);
            }
        }
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        if is_due(attempt.ends_by) {
            // RFC 3261 §9.1: no final response 64*T1 after the CANCEL.
            let actions = attempt.client.step(now, Event::Abandon);
            self.perform(flow, actions);
            self.attempt_silent(now, context, place, Stage::Ended);
        } else if is_due(attempt.silent_until) {
            attempt.silent_until = None;
            self.attempt_silent(now, context, place, Stage::Abandoned);
        } else if is_due(attempt.timer_c) {
            // RFC 3261 §16.8.
            attempt.timer_c = None;
            self.cancel_attempt(now, context, place);
        }
    }

    /// An attempt got no final response in time. RFC 3261 §16.7: as if it had been 408.
    fn attempt_silent(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        place: usize,
        stage: Stage,
    ) {
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        let (was, report, peer) = (attempt.stage, attempt.report, attempt.flow.peer);
        let rang = attempt.ends_by.is_some();
        attempt.leave(stage);
        if was != Stage::Active {
            return;
        }
        if stage == Stage::Abandoned {
            // It may have the INVITE and we may have lost its word of it.
            attempt.to_cancel = true;
        }
        let ending = if rang {
            Ending::status(StatusCode::REQUEST_TIMEOUT.code(), None)
        } else {
            Ending::without_response(Cause::TrunkTimeout)
        };
        let at_ms = context.elapsed_ms(now);
        if let Some(call) = &mut context.call {
            call.note_ending(report, ending, at_ms);
            if let Some(route) = call.route_of(report).filter(|_| !rang)
                && self.place_failed(now, call, route, peer, None)
            {
                call.availability.stayed_silent(route.trunk);
            }
        }
        context.consider(Candidate::silent(StatusCode::REQUEST_TIMEOUT));
        self.go_on(now, context, ending);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::time::Duration;

    proptest! {
        /// Whatever is wanted and moved: who is due is told, once, and nobody else; and the
        /// queue wants to be asked no later than the first of them.
        #[test]
        fn it_tells_what_a_map_of_times_would_tell(
            steps in prop::collection::vec((0_u32..4, 0_u64..3, 0_u64..40, prop::bool::ANY), 1..200),
        ) {
            let begun = Instant::now();
            let mut now = begun;
            let mut queue = TimerQueue::default();
            // By place: the newest serial, and when it wants to be looked at.
            let mut model: BTreeMap<u32, (u64, Instant)> = BTreeMap::new();
            for (place, renewed, wait_ms, passes) in steps {
                let newest = model.get(&place).map_or(0, |(serial, _)| *serial);
                let serial = newest + u64::from(renewed == 0 || newest == 0);
                let at = now + Duration::from_millis(wait_ms);
                queue.set(at, place, serial);
                model.insert(place, (serial, at));
                if passes {
                    now += Duration::from_millis(wait_ms / 2);
                    let mut told = Vec::new();
                    while let Some((place, serial)) = queue.pop_due(now) {
                        told.push((place, serial));
                    }
                    told.sort_unstable();
                    let due = model.iter().filter(|(_, (_, at))| *at <= now);
                    let due: Vec<_> = due.map(|(place, (serial, _))| (*place, *serial)).collect();
                    prop_assert_eq!(&told, &due);
                    model.retain(|_, (_, at)| *at > now);
                }
                let first = model.values().map(|(_, at)| *at).min();
                prop_assert!(first.is_none() || queue.first() <= first);
                prop_assert!(first.is_none() || queue.first().is_some());
            }
        }
    }
}
