//! What the proxy tells of its calls: the only thing observers ever see.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arrayvec::ArrayVec;
use bytes::Bytes;
use jiff::Timestamp;

use super::event::{CallEvent, MethodKind, counted};
use super::facts::CallFacts;
use crate::limits::ROUTES_MAX;
use crate::routing::{
    Caller, Ending, GroupId, Number, Outcome, Route, RoutingTable, RuleId, Stop, Turn,
};
use crate::sip::{Message, ParseError, StatusCode};

/// What happened.
#[derive(Debug)]
pub enum ProxyEvent {
    /// A call that was decided got its final answer. Once per call.
    Call(Box<ProxiedCall>),
    /// A call that was answered is over. For each call of which [`ProxiedCall::is_followed`] was
    /// told, once; only where calls are followed ([`Engine::follow_calls`](super::Engine)).
    Ended(Box<CallEnded>),
    /// A request was refused before any decision.
    Refused(ProxyRefused),
    /// A request was answered by ourselves: OPTIONS, CANCEL.
    Served {
        /// What was asked.
        method: MethodKind,
        /// The answer.
        status: StatusCode,
    },
    /// A request inside a dialog got its final answer, or its wait ended without one
    /// (RFC 4320 §4.2), which is no status.
    InDialog {
        /// What was asked.
        method: MethodKind,
        /// The answer.
        status: Option<StatusCode>,
    },
    /// A message was dropped.
    Dropped {
        /// Why.
        why: ProxyDrop,
        /// Who sent it.
        source: SocketAddr,
    },
    /// A message came again, or was sent again because its answer had not come.
    Repeated(ProxyRepeat),
    /// An OPTIONS we sent to a trunk was answered, or missed.
    Probe(ProbeReport),
}

/// A call and what became of it. Ids are valid for its table.
#[derive(Debug)]
pub struct ProxiedCall {
    /// Its number: no other call of this process has it.
    pub number: u64,
    /// Whether its end will be told as well ([`ProxyEvent::Ended`]): it was answered, and there
    /// was room to follow it.
    pub is_followed: bool,
    /// When its INVITE came.
    pub at: Timestamp,
    /// Who sent it.
    pub source: SocketAddr,
    /// Place of the listener it came in on.
    pub listener: u16,
    /// The INVITE, as received.
    pub invite: Bytes,
    /// The table that decided, which the call keeps to its end.
    pub table: Arc<RoutingTable>,
    /// The trunk group it arrived on.
    pub from: GroupId,
    /// The called number after normalisation; `None` when it is no number.
    pub called: Option<Number>,
    /// The caller after normalisation.
    pub calling: Caller,
    /// Whether it is an emergency call.
    pub emergency: bool,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// What was decided.
    pub outcome: Outcome,
    /// The attempts in order: the chain of causes that led to the end.
    pub attempts: ArrayVec<AttemptReport, ROUTES_MAX>,
    /// Where each of them was sent, the last place of it; empty where calls are not followed.
    pub sent_to: ArrayVec<Option<SocketAddr>, ROUTES_MAX>,
    /// What the caller got in the end.
    pub status: StatusCode,
    /// Why it ended so.
    pub ended_by: EndedBy,
    /// Milliseconds until the caller heard of progress (a provisional response but 100).
    pub progress_ms: Option<u32>,
    /// Milliseconds until the caller had its final answer.
    pub answer_ms: u32,
}

impl ProxiedCall {
    /// The call as a redirect server would tell of it: what its INVITE said, read when it is
    /// asked for, and what was decided. `listener` is the name of the one it came in on.
    #[must_use]
    pub fn decision<'c>(&'c self, listener: &'c str) -> CallEvent<'c> {
        let read = Message::parse_datagram(&self.invite).ok();
        let facts = (read.as_ref()).and_then(|invite| CallFacts::read(invite).ok());
        let facts = facts.as_ref();
        let dialled = facts.map(|facts| facts.called.text());
        CallEvent {
            at: self.at,
            source: self.source,
            listener,
            call_id: (read.as_ref())
                .and_then(|invite| invite.call_id().ok())
                .unwrap_or_default(),
            generation: self.table.generation(),
            from: self.from,
            dialled: dialled.unwrap_or_default(),
            phone_context: facts.and_then(|facts| facts.called.phone_context()),
            shown: facts.and_then(|facts| Some(facts.calling.as_ref()?.text())),
            host: facts.map_or(&[][..], |facts| facts.host),
            tgrp: facts.and_then(CallFacts::tgrp),
            called: self.called,
            calling: self.calling,
            rule: self.rule,
            outcome: self.outcome.clone(),
            status: self.status.code(),
        }
    }
}

/// The end of a call that was answered: RFC 3261 §15, RFC 4028 §10.
#[derive(Debug)]
pub struct CallEnded {
    /// [`ProxiedCall::number`]. `None`: this engine has not seen it begin, because the process
    /// was started since, or because more calls were up than are followed.
    pub call: Option<u64>,
    /// What ended it.
    pub by: CallEnd,
    /// Milliseconds from its final answer to its end; `None` where `call` is.
    pub up_ms: Option<u64>,
    /// The BYE, as received; empty where none came.
    pub bye: Bytes,
    /// Who sent it.
    pub source: Option<SocketAddr>,
}

/// What ends a call that was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CallEnd {
    /// A BYE of the caller.
    Caller,
    /// A BYE of the callee.
    Callee,
    /// A BYE, and with the secret of now nobody can tell whose.
    Somebody,
    /// Its session was not refreshed in time (RFC 4028): a BYE was lost, or an end died.
    SessionExpired,
    /// Nothing was heard of it for [`HELD_CALL_S_MAX`](crate::limits::HELD_CALL_S_MAX).
    NothingHeard,
}

/// How one probe of a trunk ended.
#[derive(Debug, Clone)]
pub struct ProbeReport {
    /// The trunk, as its table calls it.
    pub trunk: Arc<str>,
    /// From the OPTIONS to its final answer; `None` where none came.
    pub took: Option<Duration>,
    /// Why it was missed; `None` for an answer that shows the trunk alive.
    pub miss: Option<ProbeMiss>,
    /// Whether it took the trunk out of service or brought it back.
    pub turn: Option<Turn>,
}

/// Why a probe was missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ProbeMiss {
    /// No final answer came in time.
    Unanswered,
    /// The network says that the trunk cannot be reached.
    Unreachable,
    /// The answer is none of those that show a trunk alive.
    Answered(StatusCode),
}

/// One attempt on a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttemptReport {
    /// The route.
    pub route: Route,
    /// How it ended; `None` while it had not.
    pub ending: Option<Ending>,
    /// When it began, in milliseconds from the beginning of the call.
    pub begun_ms: u32,
    /// When it ended, in milliseconds from the beginning of the call; `None` while it had not.
    pub ended_ms: Option<u32>,
    /// How it left, where it was too large for UDP and its trunk wants such by TCP.
    pub large: Option<LargeBy>,
}

/// How a request left that is too large for UDP: RFC 3261 §18.1.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LargeBy {
    /// By TCP, as it should.
    Tcp,
    /// By UDP all the same: its trunk takes no TCP, or no listener of ours speaks it.
    Udp,
}

/// Whose doing the end of a call was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndedBy {
    /// The callee answered.
    Answer,
    /// The table refused it, or had no route.
    Table,
    /// The caller gave up.
    Caller,
    /// An attempt failed and the search for another route ended.
    Search(Stop),
}

/// A request that was refused before any decision.
#[derive(Debug, Clone, Copy)]
pub struct ProxyRefused {
    /// Why.
    pub why: ProxyRefusal,
    /// What is wrong, when it is [`ProxyRefusal::Malformed`].
    pub error: Option<ParseError>,
    /// The answer.
    pub status: StatusCode,
    /// What was asked.
    pub method: MethodKind,
    /// Who asked.
    pub source: SocketAddr,
    /// Place of the listener it came in on.
    pub listener: u16,
}

impl EndedBy {
    /// In one word, as logs and records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answer => "answer",
            Self::Table => "table",
            Self::Caller => "caller",
            Self::Search(Stop::GivenUp) => "given-up",
            Self::Search(Stop::NotListed) => "not-listed",
            Self::Search(Stop::Progressed) => "progressed",
            Self::Search(Stop::NoneLeft) => "none-left",
            Self::Search(Stop::OutOfService) => "out-of-service",
            Self::Search(Stop::Full) => "full",
        }
    }
}

impl CallEnd {
    /// In one word, as records have it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Caller => "caller",
            Self::Callee => "callee",
            Self::Somebody => "somebody",
            Self::SessionExpired => "session-expired",
            Self::NothingHeard => "nothing-heard",
        }
    }
}

impl fmt::Display for ProbeMiss {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unanswered => f.write_str("unanswered"),
            Self::Unreachable => f.write_str("unreachable"),
            Self::Answered(status) => write!(f, "answered {}", status.code()),
        }
    }
}

counted! {
    /// Why the proxy dropped a message.
    ProxyDrop {
        /// Not SIP, or too little of it to answer.
        Junk = "junk",
        /// A keep-alive of line ends (RFC 5626 §4.4.1) or an empty datagram.
        KeepAlive = "keep-alive",
        /// A response to nothing we sent, or one too late (RFC 3261 §16.7 step 1,
        /// RFC 6026 §7.3).
        Stray = "stray response",
        /// A response to what another worker sent.
        Elsewhere = "response of another worker",
        /// It would go to a crowd, to nowhere, or to port 0.
        Unanswerable = "unanswerable",
        /// The answer to an unknown source would be much longer than its request.
        Amplification = "amplification",
        /// As many unknown sources were answered in this second as are answered in one.
        Flood = "flood",
        /// An ACK of a stranger, or of a dialog that does not go through here.
        StrayAck = "stray ACK",
        /// An ACK that may not be sent where its Route wants it.
        NoWay = "ACK without a way",
    }
}

counted! {
    /// Why the proxy refused a request before any decision.
    ProxyRefusal {
        /// Nothing in the table covers the sender: 403.
        UnknownSource = "unknown source",
        /// Not what RFC 3261 allows: 400, 413, 414, 416, 505, 513.
        Malformed = "malformed",
        /// A method that is served in dialogs only: 405.
        Method = "method not served",
        /// An extension that is required of proxies and not known: 420.
        Extension = "extension",
        /// Max-Forwards is spent: 483.
        Hops = "too many hops",
        /// The request was here before: 482.
        Loop = "loop",
        /// A dialog that does not go through here, or a CANCEL of nothing: 481.
        NoDialog = "no dialog",
        /// The next hop is no place the table knows, or a name: 403, 500.
        NextHop = "next hop",
        /// As many requests as allowed are in progress: 503.
        Overload = "overload",
        /// One source brings more new calls than it may: 503.
        SourceFlood = "too many calls of one source",
        /// The listener is being shut down: 503.
        Draining = "draining",
    }
}

counted! {
    /// What came again or was sent again.
    ProxyRepeat {
        /// A request came again; it was not forwarded again.
        Request = "request absorbed",
        /// A final response that is no 2xx was sent again: timer G.
        Refusal = "refusal repeated",
        /// A request was sent again: timers A and E.
        Attempt = "attempt repeated",
        /// A 2xx was sent to the caller again, whose ACK had not passed.
        Success = "2xx repeated",
        /// A 2xx came again and was not relayed: the caller gets it from us.
        SuccessAbsorbed = "2xx absorbed",
        /// A 2xx came again and was answered with the ACK of the caller.
        Ack = "ACK repeated",
    }
}
