//! Time: which context is due next, and what becomes of it then.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Instant;

use super::Engine;
use crate::proxy::proxy_event::{ProxyEvent, ProxyRepeat};
use crate::proxy::response_context::{Candidate, ResponseContext, Stage};
use crate::routing::Ending;
use crate::routing::table::Cause;
use crate::sip::StatusCode;
use crate::transaction::Event;

/// Contexts by the time of their next timer. One valid element for each context; one that
/// was overtaken by an earlier timer is found out by its time and dropped when it comes up.
#[derive(Debug, Default)]
pub(super) struct TimerQueue(BinaryHeap<Reverse<(Instant, u32, u64)>>);

impl TimerQueue {
    pub(super) fn push(&mut self, at: Instant, place: u32, serial: u64) {
        self.0.push(Reverse((at, place, serial)));
    }

    pub(super) fn first(&self) -> Option<Instant> {
        self.0.peek().map(|Reverse((at, ..))| *at)
    }

    fn pop_due(&mut self, now: Instant) -> Option<(Instant, u32, u64)> {
        self.first().filter(|at| *at <= now)?;
        self.0.pop().map(|Reverse(due)| due)
    }

    fn len(&self) -> usize {
        self.0.len()
    }
}

impl Engine {
    /// Runs what is due. What becomes due by that is for the next time.
    pub(super) fn timer_due(&mut self, now: Instant) {
        for _ in 0..self.queue.len() {
            let Some((at, place, serial)) = self.queue.pop_due(now) else {
                return;
            };
            let Some(mut context) = self.contexts.take(place) else {
                continue;
            };
            if context.serial == serial && context.queued == Some(at) {
                context.queued = None;
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
        if let Some(call) = &mut context.call {
            call.note_ending(report, ending);
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
