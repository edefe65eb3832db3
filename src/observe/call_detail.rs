//! Everything that is known of one call, in words: no id of a table is left in it, so that it
//! outlives the table.

use std::net::SocketAddr;

use jiff::Timestamp;

use super::call_line::Lossy;
use super::feed::{AnsweredBy, DecidedCall};
use crate::limits::{ATTEMPTS_TOLD_MAX, TOLD_VALUE_BYTES_MAX};
use crate::proxy::{AttemptReport, CallEnd, CallEvent, CallWords, LargeBy, ProxiedCall};
use crate::routing::table::Cause;
use crate::routing::{Outcome, Route, RoutingTable, User};

/// One call: how it came, what was decided, what was tried, and how it ended.
#[derive(Debug, Clone, PartialEq)]
pub struct CallDetail {
    /// Its name: no other call has it, also not of another process or machine that began in
    /// another microsecond.
    pub id: Box<str>,
    /// Who gave its answer.
    pub answered_by: AnsweredBy,
    /// When its INVITE came.
    pub at: Timestamp,
    /// The listener it came in on; empty if it has no name.
    pub listener: Box<str>,
    /// Over what: `udp`, `tcp`, `tls` or `http`.
    pub transport: &'static str,
    /// Who sent it.
    pub source: SocketAddr,
    /// The Call-ID.
    pub call_id: Box<str>,
    /// The Session-ID (RFC 7989), if it has one.
    pub session_id: Option<Box<str>>,
    /// The trunk group it arrived on.
    pub from: Box<str>,
    /// The number as dialled.
    pub dialled: Box<str>,
    /// The called number after normalisation, if it is one.
    pub called: Option<Box<str>>,
    /// The caller as shown.
    pub shown: Option<Box<str>>,
    /// The caller after normalisation.
    pub calling: Option<Box<str>>,
    /// Whether it is an emergency call.
    pub emergency: bool,
    /// `route`, `reject`, `no_route` or `unavailable`.
    pub decision: &'static str,
    /// The routes of the decision, best first.
    pub routes: Vec<RouteDetail>,
    /// The rule that decided.
    pub rule: Option<Box<str>>,
    /// The generation of the table that decided.
    pub generation: u64,
    /// What was tried, in order; of a proxy only.
    pub attempts: Vec<AttemptDetail>,
    /// What the caller got.
    pub status: u16,
    /// Whose doing its answer was: a word of the log's `ended`.
    pub ended_by: &'static str,
    /// Milliseconds until the caller heard of progress.
    pub progress_ms: Option<u32>,
    /// Milliseconds until it had its final answer.
    pub answer_ms: u32,
    /// How it ended, if it was answered and is over.
    pub end: Option<EndDetail>,
}

/// One trunk to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RouteDetail {
    /// Its trunk group.
    pub trunk_group: Box<str>,
    /// The trunk.
    pub trunk: Box<str>,
    /// The called number as the trunk gets it.
    pub called: Box<str>,
    /// The calling number as the trunk gets it.
    pub calling: Option<Box<str>>,
}

/// One attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AttemptDetail {
    /// Where to.
    pub route: RouteDetail,
    /// The address it was sent to.
    pub sent_to: Option<SocketAddr>,
    /// When it began, in milliseconds from the INVITE.
    pub begun_ms: u32,
    /// When it ended.
    pub ended_ms: Option<u32>,
    /// `status`, `timeout`, `unreachable`, or `open` where it had not ended.
    pub cause: &'static str,
    /// The status it ended with.
    pub status: Option<u16>,
    /// The Q.850 cause of that answer.
    pub q850: Option<u8>,
    /// How it left, where it was too large for UDP: `tcp` or `udp`.
    pub large: Option<&'static str>,
}

/// How an answered call ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndDetail {
    /// When.
    pub at: Timestamp,
    /// What ended it; `None` where nobody waited for its end.
    pub by: Option<CallEnd>,
    /// Milliseconds from its answer to its end.
    pub up_ms: Option<u64>,
    /// Who sent the BYE.
    pub source: Option<SocketAddr>,
    /// The Q.850 cause of its Reason.
    pub q850: Option<u8>,
    /// The SIP cause of its Reason.
    pub sip: Option<u16>,
    /// The text of its Reason.
    pub text: Option<Box<str>>,
}

/// The end of a call whose beginning was not seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoneEnd {
    /// Its name, as [`CallDetail::id`].
    pub id: Box<str>,
    /// Why there is no beginning.
    pub why: NoBeginning,
    /// The Call-ID of the BYE; empty without one.
    pub call_id: Box<str>,
    /// Its Session-ID.
    pub session_id: Option<Box<str>>,
    /// The end.
    pub end: EndDetail,
}

/// Why the beginning of a call is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NoBeginning {
    /// It began before this process did, or there were too many to follow it.
    Before,
    /// It was told of when there was no room.
    Missed,
}

impl CallDetail {
    pub(super) fn of_proxied(
        id: Box<str>,
        (listener, transport): (&str, &'static str),
        call: &ProxiedCall,
    ) -> Self {
        let (event, table) = (call.decision(listener), &*call.table);
        let words = CallWords::of(&call.invite);
        let mut detail = Self::of_event(id, &event, table, words);
        (detail.answered_by, detail.transport) = (AnsweredBy::Proxy, transport);
        detail.emergency = call.emergency;
        detail.ended_by = call.ended_by.as_str();
        detail.progress_ms = call.progress_ms;
        detail.answer_ms = call.answer_ms;
        let mut sent_to = call.sent_to.iter().copied();
        let attempt = |report: &AttemptReport| AttemptDetail {
            route: route_detail(table, &report.route, &event),
            sent_to: sent_to.next().flatten(),
            begun_ms: report.begun_ms,
            ended_ms: report.ended_ms,
            cause: cause_word(report),
            status: report.ending.and_then(|ending| match ending.cause {
                Cause::Status(status) => Some(status),
                _ => None,
            }),
            q850: report.ending.and_then(|ending| ending.q850),
            large: report.large.map(|by| match by {
                LargeBy::Tcp => "tcp",
                LargeBy::Udp => "udp",
            }),
        };
        detail.attempts = (call.attempts.iter().take(ATTEMPTS_TOLD_MAX))
            .map(attempt)
            .collect();
        detail
    }

    pub(super) fn of_decided(id: Box<str>, call: &DecidedCall) -> Self {
        let event = CallEvent {
            at: call.at,
            source: call.source,
            listener: &call.listener,
            call_id: &call.call_id,
            generation: call.table.generation(),
            from: call.from,
            dialled: call.dialled.clone(),
            phone_context: None,
            shown: call.shown.clone(),
            host: b"",
            tgrp: None,
            called: call.called,
            calling: call.calling,
            rule: call.rule,
            outcome: call.outcome.clone(),
            status: call.status,
        };
        let words = CallWords::of(&call.invite);
        let mut detail = Self::of_event(id, &event, &call.table, words);
        (detail.answered_by, detail.transport) = (call.by, call.transport);
        detail
    }

    fn of_event(
        id: Box<str>,
        event: &CallEvent<'_>,
        table: &RoutingTable,
        words: CallWords<'_>,
    ) -> Self {
        let (decision, routes) = match &event.outcome {
            Outcome::Route(routes) => ("route", &routes[..]),
            Outcome::Reject { .. } => ("reject", &[][..]),
            Outcome::NoRoute => ("no_route", &[][..]),
            Outcome::Unavailable => ("unavailable", &[][..]),
        };
        let routes = routes.iter();
        Self {
            id,
            answered_by: AnsweredBy::Redirect,
            at: event.at,
            listener: event.listener.into(),
            transport: "udp",
            source: event.source,
            call_id: text(event.call_id),
            session_id: words.session_id.map(text),
            from: table.group_name(event.from).into(),
            dialled: text(&event.dialled),
            called: event.called.map(|number| text(number.as_bytes())),
            shown: event.shown.as_ref().map(|shown| text(shown)),
            calling: event.calling.number().map(|n| text(n.as_bytes())),
            emergency: false,
            decision,
            routes: routes.map(|r| route_detail(table, r, event)).collect(),
            rule: event.rule.map(|rule| table.rule_name(rule).into()),
            generation: event.generation,
            attempts: Vec::new(),
            status: event.status,
            ended_by: "table",
            progress_ms: None,
            answer_ms: 0,
            end: None,
        }
    }

    /// Whether it has been up: answered by who was called, not only decided.
    #[must_use]
    pub fn was_up(&self) -> bool {
        self.answered_by == AnsweredBy::Proxy && (200..300).contains(&self.status)
    }

    /// Whether a trunk group has part in it: it arrived on it, or was tried or sent there.
    #[must_use]
    pub fn is_of_group(&self, group: &str) -> bool {
        let tried = self.attempts.iter().map(|attempt| &attempt.route);
        let mut routes = self.routes.iter().chain(tried);
        &*self.from == group || routes.any(|route| &*route.trunk_group == group)
    }

    /// The attempt that was answered, or the last one.
    #[must_use]
    pub fn last_attempt(&self) -> Option<&AttemptDetail> {
        let mut answered = self.attempts.iter();
        let answered = answered.find(|a| a.status.is_some_and(|s| (200..300).contains(&s)));
        answered.or(self.attempts.last())
    }
}

impl NoBeginning {
    /// Its name in records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::Missed => "missed",
        }
    }
}

fn route_detail(table: &RoutingTable, route: &Route, event: &CallEvent<'_>) -> RouteDetail {
    let called = match event.called {
        Some(number) => User::Number(number),
        None => User::Raw(&event.dialled),
    };
    let calling = event.calling.number();
    RouteDetail {
        trunk_group: table.group_name(route.group).into(),
        trunk: table.trunk_name(route.trunk).into(),
        called: text(table.sent_user(route, called).as_bytes()),
        calling: calling.map(|number| text(table.outbound_calling(route.group, number).as_bytes())),
    }
}

fn cause_word(report: &AttemptReport) -> &'static str {
    match report.ending.map(|ending| ending.cause) {
        None => "open",
        Some(Cause::TrunkTimeout) => "timeout",
        Some(Cause::TransportError) => "unreachable",
        Some(_) => "status",
    }
}

/// Bytes of a peer as text of bounded length. NUL, which no database keeps in a text, and what
/// is no UTF-8 are replaced.
pub(super) fn text(bytes: &[u8]) -> Box<str> {
    let bytes = bytes.get(..TOLD_VALUE_BYTES_MAX).unwrap_or(bytes);
    let text = Lossy(bytes).to_string();
    if text.contains('\0') {
        return text.replace('\0', "\u{FFFD}").into();
    }
    text.into()
}
