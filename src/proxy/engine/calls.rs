//! New calls: decided by the table, carried to one trunk after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use bytes::Bytes;

use super::requests::{Asked, overload};
use super::{Branch, Engine, Flow};
use crate::limits::{
    MESSAGE_BYTES_MAX, NO_TCP_MS, TRUNK_TIMEOUT_MS_DEFAULT, UDP_REQUEST_BYTES_MAX,
};
use crate::proxy::facts::CallFacts;
use crate::proxy::flow::{FlowTransport, Target};
use crate::proxy::forwarding::{self, Departure, DialogMark};
use crate::proxy::proxy_event::{AttemptReport, EndedBy, LargeBy, ProxiedCall, ProxyRefusal};
use crate::proxy::response_context::{
    Attempt, Call, Candidate, InviteMark, ResponseContext, Stage,
};
use crate::proxy::validation::Unfit;
use crate::routing::rule::{Action, Destination};
use crate::routing::table::Cause;
use crate::routing::{
    self, CallHold, Decision, Ending, GroupId, Next, Outcome, Route, RoutingTable, Snapshot, User,
};
use crate::sip::{Message, RequestHead, StatusCode};
use crate::transaction::TransactionKey;

/// Why an attempt could not even begin: its trunk is a name, or nothing of ours reaches it.
#[derive(Debug)]
pub(super) struct Unreachable;

/// Where one branch goes.
#[derive(Clone, Copy)]
struct Way {
    route: Route,
    target: Target,
    branch: Branch,
    is_counted: bool,
}

/// One branch as it leaves.
struct Left {
    to: Flow,
    bytes: Bytes,
    /// How, if it is too large for UDP and its trunk wants such by TCP.
    large: Option<LargeBy>,
}

impl Engine {
    /// An INVITE outside of a dialog: classified, decided, begun. What is wrong before the
    /// decision is refused; from then on the call has a transaction and one fate.
    pub(super) fn new_call<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        head: &RequestHead<'a>,
        key: Option<TransactionKey>,
        loop_mark: u64,
    ) -> Result<(), Unfit> {
        if self.draining {
            return Err(Unfit::new(
                ProxyRefusal::Draining,
                StatusCode::SERVICE_UNAVAILABLE,
            ));
        }
        let facts = CallFacts::of(asked.message, head);
        let mut call = self.decide(asked, head.call_id, &facts)?;
        call.number = self.number();
        let admitted = self.sources.admit(asked.flow.peer.ip(), asked.now.instant);
        if !admitted && !call.emergency {
            return Err(Unfit::new(
                ProxyRefusal::SourceFlood,
                StatusCode::SERVICE_UNAVAILABLE,
            ));
        }
        let room = if call.emergency {
            self.contexts_max
        } else {
            self.calls_max
        };
        if self.contexts.len() >= room {
            return Err(overload());
        }
        let Some(mut context) = self.open(asked, head, key, loop_mark) else {
            return Err(overload());
        };
        let now = asked.now.instant;
        let tag = head.from.tag().unwrap_or_default();
        context.mark = Some(InviteMark {
            dialog: self.secret.dialog(head.call_id, tag),
            cseq: head.cseq_number,
        });
        let refusal = match &call.outcome {
            Outcome::Route(_) => None,
            Outcome::Reject { status } => {
                Some(StatusCode::new(*status).unwrap_or(StatusCode::FORBIDDEN))
            }
            Outcome::NoRoute => Some(StatusCode::NOT_FOUND),
            Outcome::Unavailable => Some(StatusCode::SERVICE_UNAVAILABLE),
        };
        context.call = Some(Box::new(call));
        match refusal {
            Some(status) => self.give_own(now, &mut context, status, EndedBy::Table),
            None => {
                self.respond_trying(asked, head, &mut context);
                self.try_routes(now, &mut context, 0, Some((asked.message, &facts)));
            }
        }
        self.settle(now, context);
        Ok(())
    }

    /// Classification and routing: the same function as for a redirect.
    fn decide(
        &self,
        asked: &Asked<'_, '_>,
        call_id: &[u8],
        facts: &CallFacts<'_>,
    ) -> Result<Call, Unfit> {
        let (view, message) = (&self.view, asked.message);
        let listener = self.listeners.name(asked.flow.listener);
        let came = (asked.flow.peer, listener);
        let Some(from) = facts.classify(message, came, &view.table) else {
            return Err(Unfit::new(
                ProxyRefusal::UnknownSource,
                StatusCode::FORBIDDEN,
            ));
        };
        let snapshot = Snapshot {
            table: Arc::clone(&view.table),
            availability: Arc::clone(&self.availability),
        };
        let request = facts.request(from, call_id, asked.now.wall);
        let decision = routing::route(&snapshot, &request, &mut ());
        let policy_of = policy_of(&view.table, from, &decision);
        let called = match decision.called {
            User::Number(number) => Some(number),
            User::Raw(_) => None,
        };
        Ok(Call {
            number: 0,
            is_followed: false,
            view: Arc::clone(view),
            availability: snapshot.availability,
            at: asked.now.wall,
            from,
            rule: decision.rule,
            called,
            calling: decision.calling,
            emergency: decision.emergency,
            outcome: decision.outcome,
            policy_of,
            tried: 0,
            places_tried: Vec::new(),
            reports: ArrayVec::new(),
        })
    }

    /// Begins an attempt on the route at this place of the decision, or, when that cannot
    /// even begin, on one behind it; when none is left the caller gets its answer. At most
    /// `ROUTES_MAX` rounds: each takes a route that was not tried. `read` is the request where
    /// it is at hand.
    pub(super) fn try_routes(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        mut place: usize,
        read: Option<(&Message<'_>, &CallFacts<'_>)>,
    ) {
        loop {
            let begun_ms = context.elapsed_ms(now);
            let Some(call) = &mut context.call else {
                return;
            };
            let Some(route) = call.routes().get(place).copied() else {
                return self.conclude(now, context, EndedBy::Search(routing::Stop::NoneLeft));
            };
            if call.tried != place + 1 {
                call.places_tried.clear();
            }
            call.tried = place + 1;
            let Ok(hold) = (call.availability).hold(&call.view.table, route, call.emergency) else {
                if call.routes().get(call.tried).is_some() {
                    place = call.tried;
                    continue;
                }
                return self.all_full(now, context);
            };
            let report = u8::try_from(call.reports.len()).ok();
            let new = AttemptReport {
                route,
                ending: None,
                begun_ms,
                ended_ms: None,
                large: None,
            };
            if call.reports.try_push(new).is_err() {
                return self.conclude(now, context, EndedBy::Search(routing::Stop::NoneLeft));
            }
            if self
                .begin_attempt(now, context, (route, report, hold), read)
                .is_ok()
            {
                return;
            }
            let ending = Ending::without_response(Cause::TransportError);
            if let Some(call) = &mut context.call {
                call.note_ending(report, ending, begun_ms);
            }
            context.consider(Candidate::silent(StatusCode::SERVICE_UNAVAILABLE));
            let another = self.has_another_place(now, context, ending).map(Next::Try);
            match another.or_else(|| context.next(ending)) {
                Some(Next::Try(next)) => place = next,
                Some(Next::Stop(stop)) => {
                    return self.conclude(now, context, EndedBy::Search(stop));
                }
                None => return,
            }
        }
    }

    /// The routes that were left are full. Where nobody was asked the caller may come again
    /// in a moment; else it gets the best of what was answered.
    fn all_full(&mut self, now: Instant, context: &mut ResponseContext) {
        let by = EndedBy::Search(routing::Stop::Full);
        if context.attempts.is_empty() {
            return self.give_own(now, context, StatusCode::SERVICE_UNAVAILABLE, by);
        }
        self.conclude(now, context, by);
    }

    /// RFC 3261 §16.6: one branch.
    fn begin_attempt(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        (route, report, hold): (Route, Option<u8>, Option<CallHold>),
        read: Option<(&Message<'_>, &CallFacts<'_>)>,
    ) -> Result<(), Unreachable> {
        let target = self.target_for(now, context, route).ok_or(Unreachable)?;
        if let Some(call) = &mut context.call
            && call.view.is_named(route.trunk)
        {
            call.places_tried.push(target.address);
        }
        self.attempt(now, context, (route, report, hold), target, read)
    }

    /// One branch, to this place of its trunk.
    pub(super) fn attempt(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        (route, report, hold): (Route, Option<u8>, Option<CallHold>),
        target: Target,
        read: Option<(&Message<'_>, &CallFacts<'_>)>,
    ) -> Result<(), Unreachable> {
        let branch = self.branch(context.place, context.loop_mark);
        let way = Way {
            route,
            target,
            branch,
            is_counted: hold.is_some(),
        };
        let mut page = std::mem::take(&mut self.page);
        let left = self.departure_by_size(now, context, &way, read, &mut page);
        self.page = page;
        let Left { to, bytes, large } = left?;
        if let (Some(by), Some(call)) = (large, &mut context.call) {
            call.note_large(report, by);
        }
        let timeout_ms = context
            .call
            .as_ref()
            .and_then(|call| call.policy()?.trunk_timeout_ms)
            .unwrap_or(TRUNK_TIMEOUT_MS_DEFAULT);
        let client = self.client(now, true, &bytes, &to);
        let timer_c = Some(context.timer_c(now));
        // Most requests have one attempt: no room for more until it is needed.
        context.attempts.reserve_exact(1);
        context.attempts.push(Attempt {
            unique: branch.unique,
            flow: to,
            client,
            report,
            stage: Stage::Active,
            silent_until: Some(now + Duration::from_millis(timeout_ms.into())),
            timer_c,
            to_cancel: false,
            cancel: None,
            ends_by: None,
            hold,
            for_its_size: large == Some(LargeBy::Tcp),
        });
        self.transmit(to, bytes);
        Ok(())
    }

    /// The INVITE as it leaves: by TCP when it is too large for UDP, its trunk wants such by
    /// TCP, and nothing is known against that. RFC 3261 §18.1.1.
    fn departure_by_size(
        &self,
        now: Instant,
        context: &ResponseContext,
        way: &Way,
        read: Option<(&Message<'_>, &CallFacts<'_>)>,
        page: &mut Vec<u8>,
    ) -> Result<Left, Unreachable> {
        let Some(read) = read else {
            let message = Message::parse_datagram(&context.request).map_err(|_| Unreachable)?;
            let facts = CallFacts::read(&message).map_err(|_| Unreachable)?;
            return self.departure_by_size(now, context, way, Some((&message, &facts)), page);
        };
        let (to, bytes) = self.departure(context, way, read, page)?;
        let trunk = (context.call.as_ref()).and_then(|call| call.view.table.trunk(way.route.trunk));
        let is_large = way.target.transport == FlowTransport::Udp
            && bytes.len() > UDP_REQUEST_BYTES_MAX
            && trunk.is_some_and(|trunk| trunk.large_over_tcp);
        let target = Target {
            transport: FlowTransport::Tcp,
            ..way.target
        };
        if is_large
            && !self.no_tcp.is_out(now, target.address)
            && let Ok((to, bytes)) = self.departure(context, &Way { target, ..*way }, read, page)
        {
            let large = Some(LargeBy::Tcp);
            return Ok(Left { to, bytes, large });
        }
        let large = is_large.then_some(LargeBy::Udp);
        Ok(Left { to, bytes, large })
    }

    /// An attempt that went over TCP for its size has met nobody there: once more over UDP,
    /// to the same place. "If the attempt to establish the connection generates either an ICMP
    /// Protocol Not Supported, or results in a TCP reset, the element SHOULD retry the request,
    /// using UDP" (RFC 3261 §18.1.1). Whether it was such an attempt and is begun anew.
    pub(super) fn back_to_udp(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        place: usize,
    ) -> bool {
        if context.cancelled || context.answered.is_some() {
            return false;
        }
        let attempt = context.attempts.get_mut(place);
        let Some(attempt) = attempt.filter(|a| a.for_its_size && a.stage == Stage::Active) else {
            return false;
        };
        let (report, address) = (attempt.report, attempt.flow.peer);
        let hold = attempt.hold.take();
        let Some(route) = context.call.as_ref().and_then(|call| call.route_of(report)) else {
            return false;
        };
        let until = now + Duration::from_millis(NO_TCP_MS);
        self.no_tcp.leave(now, address, until);
        let target = Target {
            transport: FlowTransport::Udp,
            address,
        };
        let begun = self.attempt(now, context, (route, report, hold), target, None);
        if begun.is_ok()
            && let Some(attempt) = context.attempts.get_mut(place)
        {
            attempt.leave(Stage::Ended);
        }
        begun.is_ok()
    }

    /// The INVITE as it goes to that route's trunk, from the INVITE as it came: every
    /// attempt starts from the original.
    fn departure(
        &self,
        context: &ResponseContext,
        way: &Way,
        (request, facts): (&Message<'_>, &CallFacts<'_>),
        page: &mut Vec<u8>,
    ) -> Result<(Flow, Bytes), Unreachable> {
        let Way { route, target, .. } = *way;
        let call = context.call.as_ref().ok_or(Unreachable)?;
        if self.listeners.is_own_address(target.address) {
            return Err(Unreachable);
        }
        let to = self
            .listeners
            .flow_to(target, context.upstream.listener)
            .ok_or(Unreachable)?;
        let departure = Departure {
            listeners: &self.listeners,
            from: &context.upstream,
            source: context.source,
            to: &to,
            branch: way.branch,
        };
        let dialog = DialogMark {
            mark: context.mark.ok_or(Unreachable)?.dialog,
            // On connections any worker may hear the rest of the dialog.
            owner: (way.is_counted || self.follows || context.upstream.transport.is_reliable())
                .then_some(self.worker),
        };
        let bytes = forwarding::to_trunk(request, facts, call, route, &departure, dialog, page)
            .ok()
            .filter(|bytes| bytes.len() <= MESSAGE_BYTES_MAX)
            .ok_or(Unreachable)?;
        Ok((to, bytes))
    }

    /// What is told of a call when its caller has the final answer: its request goes along.
    pub(super) fn report(
        &self,
        now: Instant,
        context: &mut ResponseContext,
        status: StatusCode,
        by: EndedBy,
    ) -> Option<Box<ProxiedCall>> {
        let invite = std::mem::take(&mut context.request);
        let call = context.call.as_ref()?;
        let progressed = context.progressed.map(|at| context.elapsed_ms(at));
        let mut sent_to = ArrayVec::new();
        if self.follows {
            sent_to.extend(call.reports.iter().map(|_| None));
            for attempt in &context.attempts {
                let place = attempt.report.map(usize::from);
                if let Some(place) = place.and_then(|place| sent_to.get_mut(place)) {
                    *place = Some(attempt.flow.peer);
                }
            }
        }
        Some(Box::new(ProxiedCall {
            number: call.number,
            is_followed: call.is_followed,
            sent_to,
            at: call.at,
            source: context.source,
            listener: context.upstream.listener,
            invite,
            table: Arc::clone(&call.view.table),
            from: call.from,
            called: call.called,
            calling: call.calling,
            emergency: call.emergency,
            rule: call.rule,
            outcome: call.outcome.clone(),
            attempts: call.reports.clone(),
            status,
            ended_by: by,
            progress_ms: progressed,
            answer_ms: context.elapsed_ms(now),
        }))
    }
}

/// The group whose alternative routing holds for the call: the first one its rule names,
/// whether or not one of its trunks could be tried.
fn policy_of(table: &RoutingTable, from: GroupId, decision: &Decision<'_>) -> Option<GroupId> {
    let Some(rule) = decision.rule else {
        // Without a rule only a transfer has a route.
        return table.group(from)?.transfers_to;
    };
    let Action::RouteTo(destinations) = &table.rule(rule)?.action else {
        return None;
    };
    destinations
        .iter()
        .find_map(|destination| match destination {
            Destination::Group(group) => Some(*group),
            Destination::Assigned => decision.did.and_then(|row| row.value.group),
        })
}
