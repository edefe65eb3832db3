//! Responses on their way back, and what they decide: RFC 3261 §16.7 to §16.10.

use std::time::Instant;

use bytes::Bytes;

use super::{Engine, Told, repeats};
use crate::proxy::branch::Branch;
use crate::proxy::event::MethodKind;
use crate::proxy::flow::Flow;
use crate::proxy::forwarding;
use crate::proxy::proxy_event::{EndedBy, ProxyDrop, ProxyEvent, ProxyRepeat};
use crate::proxy::response_context::{Candidate, ResponseContext, Stage};
use crate::proxy::words::q850;
use crate::routing::table::Cause;
use crate::routing::{Ending, Next};
use crate::sip::{HeaderName, Message, Method, StatusCode, write_cancel};
use crate::transaction::{ClientNonInvite, Event};

impl Engine {
    /// RFC 3261 §16.7 step 1, §18.1.2: a response belongs to what we sent, or it is
    /// dropped. Never is one sent on that belongs to nothing: who forges one would aim it.
    pub(super) fn response(&mut self, now: Instant, flow: Flow, message: &Message<'_>) {
        let Some(branch) = Branch::of(message) else {
            return self.dropped(ProxyDrop::Stray, flow.peer);
        };
        if branch.worker != self.worker {
            return self.dropped(ProxyDrop::Elsewhere, flow.peer);
        }
        let mut known = self.probing(|prober, told| prober.answered(now, branch, message, told));
        self.with(branch.context, now, |engine, context| {
            known |= engine.attempt_answered(now, context, branch.unique, message);
        });
        if !known {
            self.dropped(ProxyDrop::Stray, flow.peer);
        }
    }

    /// Whether the response belongs to an attempt of the context.
    fn attempt_answered(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        unique: u64,
        message: &Message<'_>,
    ) -> bool {
        let Some(place) = context.attempt_of(unique) else {
            return false;
        };
        let (Ok(cseq), Some(status), Some(attempt)) = (
            message.cseq(),
            message.status(),
            context.attempts.get_mut(place),
        ) else {
            return false;
        };
        let flow = attempt.flow;
        if cseq.method == Method::Cancel {
            let Some(cancel) = &mut attempt.cancel else {
                return false;
            };
            let actions = cancel.step(now, Event::Response(message));
            self.perform(flow, actions);
            return true;
        }
        // Whoever answers leaves the Vias of those who asked us.
        let is_whole = message.values(HeaderName::Via).nth(1).is_some();
        let is_late = attempt.client.is_terminated();
        if MethodKind::of(cseq.method) != context.method || !is_whole || is_late {
            return false;
        }
        let actions = attempt.client.step(now, Event::Response(message));
        let report = attempt.report;
        if let Some(call) = &context.call
            && let Some(route) = call.route_of(report)
        {
            call.availability.answered(route.trunk);
            self.place_answered(flow.peer);
        }
        if self.perform(flow, actions).delivered {
            match status.class() {
                1 => self.progress(now, context, place, status, message),
                2 => self.success(now, context, place, status, message),
                _ => self.failure(now, context, place, status, message),
            }
        }
        true
    }

    /// RFC 3261 §16.7 steps 2, 5 and 10: a provisional response.
    fn progress(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        place: usize,
        status: StatusCode,
        message: &Message<'_>,
    ) {
        // RFC 4320 §4.1: nothing but 100, and that is a matter of each hop.
        if context.method != MethodKind::Invite {
            return;
        }
        let timer_c = context.timer_c(now);
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        attempt.silent_until = None;
        if attempt.to_cancel {
            return self.cancel_attempt(now, context, place);
        }
        if attempt.stage != Stage::Active || context.answered.is_some() {
            return;
        }
        if status == StatusCode::TRYING {
            return;
        }
        if attempt.timer_c.is_some() {
            attempt.timer_c = Some(timer_c);
        }
        if let Some(response) = forwarding::without_own_via(message, &mut self.page) {
            context.progressed.get_or_insert(now);
            self.respond(now, context, status, response);
        }
    }

    /// RFC 3261 §16.7 step 5: a 2xx goes back at once, each of them, however late; and step
    /// 10: everything else is cancelled. One that comes again is `Engine::accepted_again`'s.
    fn success(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        place: usize,
        status: StatusCode,
        message: &Message<'_>,
    ) {
        let tag = self.callee_tag(message.to().ok().and_then(|to| to.tag()));
        let mut id = (0, tag);
        let is_invite = context.method == MethodKind::Invite;
        if let Some(dialog) = context.held {
            self.held_answered(now, context, dialog, status, Some(message));
        }
        if let Some(attempt) = context.attempts.get_mut(place) {
            id.0 = attempt.unique;
            if self.accepted_again(now, context, id, message, status) {
                return;
            }
        }
        if let Some(attempt) = context.attempts.get_mut(place) {
            let hold = attempt.hold.take();
            attempt.leave(Stage::Ended);
            if is_invite {
                self.hold_call(now, context, (hold, tag), message);
            }
        }
        if let Some(attempt) = context.attempts.get_mut(place) {
            let (report, ending) = (attempt.report, Ending::status(status.code(), None));
            let at_ms = context.elapsed_ms(now);
            if let Some(call) = &mut context.call {
                call.note_ending(report, ending, at_ms);
            }
        }
        if let Some(response) = forwarding::without_own_via(message, &mut self.page) {
            self.give(now, context, status, response.clone(), EndedBy::Answer);
            self.accepted(now, context, id, response);
        }
        self.cancel_rest(now, context);
    }

    /// RFC 3261 §16.7 steps 4 to 6: a final response that is no 2xx.
    fn failure(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        place: usize,
        status: StatusCode,
        message: &Message<'_>,
    ) {
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        let was = attempt.stage;
        // What we cancelled for our own reasons ends with 487: that is no answer.
        let is_ours = attempt.cancel.is_some() && !context.cancelled && was != Stage::Active;
        let (report, peer) = (attempt.report, attempt.flow.peer);
        attempt.leave(Stage::Ended);
        let ending = Ending::status(status.code(), q850(message));
        let at_ms = context.elapsed_ms(now);
        if let Some(call) = &mut context.call {
            call.note_ending(report, ending, at_ms);
            if status == StatusCode::SERVICE_UNAVAILABLE
                && let (Some(route), Some(seconds)) =
                    (call.route_of(report), retry_after_s(message))
                && self.place_failed(now, call, route, peer, Some(seconds))
            {
                call.availability.retry_after(route.trunk, seconds);
            }
        }
        if context.answered.is_some() {
            return;
        }
        if !(is_ours && status == StatusCode::REQUEST_TERMINATED) {
            let response = forwarding::without_own_via(message, &mut self.page);
            context.consider(Candidate { status, response });
        }
        if was == Stage::Active {
            self.go_on(now, context, ending);
        }
    }

    /// The network says that what an attempt sent did not arrive. RFC 3261 §16.9.
    pub(super) fn attempt_unreachable(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        unique: u64,
        is_cancel: bool,
    ) {
        let Some(place) = context.attempt_of(unique) else {
            return;
        };
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        let flow = attempt.flow;
        let actions = if is_cancel {
            let Some(cancel) = &mut attempt.cancel else {
                return;
            };
            let actions = cancel.step(now, Event::SendFailed);
            // Who cannot be reached by a CANCEL will not answer the INVITE either.
            attempt.client.step(now, Event::Abandon);
            actions
        } else {
            attempt.client.step(now, Event::SendFailed)
        };
        let failed = self.perform(flow, actions).failed;
        if failed && !self.back_to_udp(now, context, place) {
            self.attempt_failed(now, context, place);
        }
    }

    fn attempt_failed(&mut self, now: Instant, context: &mut ResponseContext, place: usize) {
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        let (was, report, peer) = (attempt.stage, attempt.report, attempt.flow.peer);
        attempt.leave(Stage::Ended);
        let ending = Ending::without_response(Cause::TransportError);
        let at_ms = context.elapsed_ms(now);
        if let Some(call) = &mut context.call {
            call.note_ending(report, ending, at_ms);
            if let Some(route) = call.route_of(report)
                && self.place_failed(now, call, route, peer, None)
            {
                call.availability.unreachable(route.trunk);
            }
        }
        if was == Stage::Active {
            // RFC 3261 §16.9: as if it had been 503, which leaves as 500.
            context.consider(Candidate::silent(StatusCode::SERVICE_UNAVAILABLE));
            self.go_on(now, context, ending);
        }
    }

    /// The attempt the call waited for has ended: another one, or the best there is.
    pub(super) fn go_on(&mut self, now: Instant, context: &mut ResponseContext, ending: Ending) {
        if context.answered.is_some() || context.is_waiting() {
            return;
        }
        if context.cancelled {
            return self.conclude(now, context, EndedBy::Caller);
        }
        let another = self.has_another_place(now, context, ending).map(Next::Try);
        match another.or_else(|| context.next(ending)) {
            Some(Next::Try(place)) => self.try_routes(now, context, place, None),
            Some(Next::Stop(stop)) => self.conclude(now, context, EndedBy::Search(stop)),
            None => self.conclude(now, context, EndedBy::Answer),
        }
    }

    /// RFC 3261 §16.7 step 6: the best response goes back, as the final one.
    pub(super) fn conclude(&mut self, now: Instant, context: &mut ResponseContext, by: EndedBy) {
        let best = context.take_best();
        let silent = best.as_ref().is_none_or(|best| best.response.is_none());
        if context.cancelled && silent {
            return self.give_own(now, context, StatusCode::REQUEST_TERMINATED, by);
        }
        let Some(Candidate { status, response }) = best else {
            return self.give_own(now, context, StatusCode::SERVER_INTERNAL_ERROR, by);
        };
        // "A proxy which receives a 503 SHOULD NOT forward it": the caller would leave us
        // alone for the fault of one trunk.
        let given = match status {
            StatusCode::SERVICE_UNAVAILABLE => StatusCode::SERVER_INTERNAL_ERROR,
            status => status,
        };
        match response {
            None => self.give_own(now, context, given, by),
            Some(response) if given == status => self.give(now, context, given, response, by),
            Some(response) => {
                let response = forwarding::with_status(&response, given);
                self.give(now, context, given, response, by);
            }
        }
    }

    /// Gives the caller a final answer of our own.
    pub(super) fn give_own(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        status: StatusCode,
        by: EndedBy,
    ) {
        let response = self.own_answer(context, status);
        self.give(now, context, status, response, by);
    }

    /// Gives the caller a final answer. The first one is told of; a 2xx that follows it is
    /// sent all the same.
    pub(super) fn give(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        status: StatusCode,
        response: Bytes,
        by: EndedBy,
    ) {
        if context.answered.is_none() {
            context.answered = Some(status);
            if let Some(dialog) = context.held {
                self.held_answered(now, context, dialog, status, None);
            }
            self.tell(now, context, status, by);
            context.request = Bytes::new();
            self.respond(now, context, status, response);
        } else if status.is_success() {
            self.respond_late(now, context, status, response);
        }
    }

    fn tell(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        status: StatusCode,
        by: EndedBy,
    ) {
        let event = match self.report(now, context, status, by) {
            Some(call) => ProxyEvent::Call(call),
            None => ProxyEvent::InDialog {
                method: context.method,
                status: Some(status),
            },
        };
        self.event(event);
    }

    fn respond(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        status: StatusCode,
        response: Bytes,
    ) {
        self.step_server(now, context, Event::Respond(status, response));
    }

    /// A 2xx after the first final response: the transaction sends it if that was a 2xx
    /// too (RFC 6026 §8.7), else it goes past the transaction (RFC 3261 §16.7 step 5), and
    /// the caller ends the call it did not expect.
    fn respond_late(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        status: StatusCode,
        response: Bytes,
    ) {
        let flow = context.upstream;
        let actions = context
            .server
            .step(now, Event::Respond(status, response.clone()));
        if actions.is_empty() {
            self.transmit(flow, response);
        } else {
            self.perform(flow, actions);
        }
    }

    /// One step of the server transaction.
    pub(super) fn step_server(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        event: Event<'_>,
    ) -> Told {
        let is_due = matches!(event, Event::TimerDue);
        let actions = context.server.step(now, event);
        let told = self.perform(context.upstream, actions);
        if is_due && told.sent {
            self.event(ProxyEvent::Repeated(ProxyRepeat::Refusal));
        }
        if told.wants_trying && context.answered.is_none() {
            let trying = self.own_answer(context, StatusCode::TRYING);
            let actions = context
                .server
                .step(now, Event::Respond(StatusCode::TRYING, trying));
            self.perform(context.upstream, actions);
        }
        if told.timed_out && context.answered.is_none() {
            // RFC 4320 §4.2: too late for any answer to a non-INVITE request.
            context.answered = Some(StatusCode::REQUEST_TIMEOUT);
            if let Some(dialog) = context.held {
                self.held_answered(now, context, dialog, StatusCode::REQUEST_TIMEOUT, None);
            }
            self.event(ProxyEvent::InDialog {
                method: context.method,
                status: None,
            });
        }
        told
    }

    /// RFC 3261 §16.7 step 10, §16.10: all attempts that still may ring are cancelled.
    pub(super) fn cancel_rest(&mut self, now: Instant, context: &mut ResponseContext) {
        for place in 0..context.attempts.len() {
            self.cancel_attempt(now, context, place);
        }
    }

    /// RFC 3261 §9.1: a CANCEL, now if the attempt has said something, else when it does.
    pub(super) fn cancel_attempt(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        place: usize,
    ) {
        let timers = self.timers;
        let reason = context.cancel_reason.clone();
        let Some(attempt) = context.attempts.get_mut(place) else {
            return;
        };
        let crate::transaction::Transaction::ClientInvite(client) = &attempt.client else {
            return;
        };
        let Some(invite) = client.pending_invite() else {
            return;
        };
        if attempt.cancel.is_some() {
            return;
        }
        if !client.is_proceeding() {
            attempt.to_cancel = true;
            return;
        }
        let mut bytes = Vec::with_capacity(512);
        let written = Message::parse_datagram(invite)
            .and_then(|invite| write_cancel(&invite, reason.as_deref(), &mut bytes));
        attempt.to_cancel = false;
        attempt.timer_c = None;
        attempt.silent_until = None;
        attempt.ends_by = Some(now + timers.b());
        if written.is_err() {
            return;
        }
        let (bytes, flow) = (Bytes::from(bytes), attempt.flow);
        let transaction =
            ClientNonInvite::new(now, bytes.clone(), repeats(flow.transport), &timers);
        attempt.cancel = Some(Box::new(transaction.into()));
        self.transmit(flow, bytes);
    }
}

/// RFC 3261 §20.33: the seconds; comment and parameters do not matter.
pub(in crate::proxy) fn retry_after_s(message: &Message<'_>) -> Option<u32> {
    let value = message.first(HeaderName::RetryAfter)?;
    let digits = value
        .iter()
        .position(|byte| !byte.is_ascii_digit())
        .unwrap_or(value.len());
    std::str::from_utf8(value.get(..digits)?).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    #[test]
    fn causes_and_waits_are_read() {
        let read = |lines: &str| {
            let text = format!("SIP/2.0 503 X\r\n{lines}\r\n\r\n");
            let message = Message::parse_datagram(text.as_bytes()).unwrap();
            (q850(&message), retry_after_s(&message))
        };
        for (lines, cause, seconds) in [
            ("Reason: Q.850;cause=34", Some(34), None),
            ("Reason: q.850 ; text=\"a\" ; Cause = 17", Some(17), None),
            (
                "Reason: SIP;cause=200, Q.850;cause=16\r\nRetry-After: 120 (busy);duration=3",
                Some(16),
                Some(120),
            ),
            ("Reason: SIP;cause=34\r\nRetry-After: soon", None, None),
            (
                "Reason: Q.850;cause=999\r\nRetry-After: 99999999999",
                None,
                None,
            ),
        ] {
            assert_eq!(read(lines), (cause, seconds), "{lines}");
        }
    }
}
