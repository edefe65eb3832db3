//! The redirect server: RFC 3261 §8.3, as a stateless UAS (§8.2.7) or with INVITE
//! server transactions (§17.2.1) that repeat an answer until it is acknowledged.

use std::hash::RandomState;
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use jiff::Timestamp;

use super::contacts::Contacts;
use super::event::{Answer, CallEvent, DropReason, Fate, MethodKind, Refusal, Refused};
use super::facts::{CallFacts, is_answerable};
use super::strangers::Strangers;
use super::to_tag::{to_tag, to_tag_of};
use crate::limits::{REDIRECT_TRANSACTIONS_MAX, UNKNOWN_SOURCE_GAIN_BYTES_MAX};
use crate::routing::{
    self, Arrival, Decision, Foresight, GroupId, Outcome, RoutingTable, Snapshot, User,
    rule::Action,
};
use crate::sip::{
    HeaderLines, HeaderName, Message, Method, ParseError, Reply, RequestHead, StartLine,
    StatusCode, glimpse_number, reply_target,
};
use crate::transaction::{AnswerPath, TransactionKey, TransactionTable};

/// The methods a redirect server serves. RFC 3261 §20.5.
const ALLOW: &[u8] = b"INVITE, ACK, CANCEL, OPTIONS";

/// Answers requests with redirects. No socket, no clock: bytes and time come in, bytes
/// and what became of them go out. One per worker and listener.
#[derive(Debug)]
pub struct RedirectServer {
    tag_key: RandomState,
    server: HeaderLines,
    transactions: Option<TransactionTable>,
    contacts: Contacts,
    /// Lines of an answer that has no Contacts.
    more: HeaderLines,
    strangers: Strangers,
    draining: bool,
    unkept: u64,
}

/// How a [`RedirectServer`] answers.
#[derive(Debug, Clone)]
pub struct RedirectSettings {
    /// Secret of the process, drawn once: all workers must share it, so that a
    /// retransmission gets the same To tag from each of them.
    pub tag_key: RandomState,
    /// Whether final responses to INVITE are repeated until they are acknowledged.
    pub stateful: bool,
    /// Value of the Server header; none without one. No line ends.
    pub server_header: Option<String>,
}

/// One received datagram.
#[derive(Debug, Clone, Copy)]
pub struct Datagram<'a> {
    /// Its bytes.
    pub bytes: &'a [u8],
    /// Where the packet came from.
    pub source: SocketAddr,
    /// Which of our addresses it was sent to, where the listener has several.
    pub asked: Option<IpAddr>,
    /// Name of the listener it came in on; empty if it has none.
    pub listener: &'a str,
}

/// The time, brought in by whoever has a clock.
#[derive(Debug, Clone, Copy)]
pub struct Now {
    /// For timers.
    pub instant: Instant,
    /// For schedules and logs.
    pub wall: Timestamp,
}

impl RedirectServer {
    /// A server without transactions in progress.
    #[must_use]
    pub fn new(settings: RedirectSettings) -> Self {
        let RedirectSettings {
            tag_key,
            stateful,
            server_header,
        } = settings;
        let mut server = HeaderLines::default();
        if let Some(value) = server_header {
            server.push(b"Server", value.as_bytes());
        }
        Self {
            transactions: stateful.then(|| TransactionTable::new(REDIRECT_TRANSACTIONS_MAX)),
            tag_key,
            server,
            contacts: Contacts::default(),
            more: HeaderLines::default(),
            strangers: Strangers::default(),
            draining: false,
            unkept: 0,
        }
    }

    /// Looks at datagrams that will be handed to [`RedirectServer::handle`] one after the
    /// other, so that what all of them need of a large table comes together. Decides
    /// nothing, and may be left out.
    pub fn foresee(&self, datagrams: &[Datagram<'_>], snapshot: &Snapshot) {
        let table = &*snapshot.table;
        let Some(mut foresight) = Foresight::new(table).filter(|_| datagrams.len() > 1) else {
            return;
        };
        let by_source = routing::is_by_source_only(table);
        for datagram in datagrams {
            let Some(dialled) = glimpse_number(datagram.bytes) else {
                continue;
            };
            let arrival = || Arrival::of_source(datagram.source.ip(), datagram.listener);
            foresight.add(dialled, || {
                by_source.then(|| routing::classify(table, &arrival(), |_| None))?
            });
        }
        foresight.look();
    }

    /// Takes one datagram. `out` is emptied, and holds what to send when the fate is
    /// [`Fate::Answer`].
    pub fn handle<'a>(
        &mut self,
        now: Now,
        datagram: &Datagram<'a>,
        snapshot: &Snapshot,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        let mut read = Message::new();
        let parsed = read.read_datagram(datagram.bytes).map(|()| &read);
        self.take(now, datagram, parsed, snapshot, out)
    }

    /// As [`RedirectServer::handle`], of one frame of a stream, or of what stands at the
    /// front of one that has lost its frame: `datagram` has its bytes. The answer goes back
    /// on the connection, whatever the fate says.
    pub fn handle_frame<'a>(
        &mut self,
        now: Now,
        datagram: &Datagram<'a>,
        snapshot: &Snapshot,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        let parsed = Message::parse_frame(datagram.bytes);
        self.take(
            now,
            datagram,
            parsed.as_ref().map_err(|e| *e),
            snapshot,
            out,
        )
    }

    fn take<'a>(
        &mut self,
        now: Now,
        datagram: &Datagram<'a>,
        parsed: Result<&Message<'a>, ParseError>,
        snapshot: &Snapshot,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        out.clear();
        if datagram
            .bytes
            .iter()
            .all(|byte| matches!(byte, b'\r' | b'\n' | 0))
        {
            return Fate::Dropped(DropReason::KeepAlive);
        }
        if !is_answerable(datagram.source) {
            return Fate::Dropped(DropReason::Unanswerable);
        }
        let known = routing::is_known_source(&snapshot.table, datagram.source.ip());
        let salvaged;
        let (message, broken) = match parsed {
            Ok(message) => (message, None),
            Err(error) => {
                let Some(message) = Message::salvage(datagram.bytes) else {
                    return Fate::Dropped(DropReason::Junk);
                };
                salvaged = message;
                (&salvaged, Some(error))
            }
        };
        let StartLine::Request { method, .. } = message.start_line() else {
            return Fate::Dropped(DropReason::Response);
        };
        let asked = Asked {
            now,
            datagram,
            message,
            method,
            known,
        };
        if method == Method::Ack {
            self.ack(&asked);
            return Fate::Absorbed(MethodKind::Ack);
        }
        if !known && !self.strangers.admit(now.instant) {
            return Fate::Dropped(DropReason::Flood);
        }
        let was_parsed = broken.is_none();
        let error = match broken {
            Some(error) => Some(error),
            // A head stays where it is read: it is large.
            None => match &message.read_request() {
                Ok(head) if known => return self.request(&asked, head, snapshot, out),
                Ok(_) => None,
                Err(error) => Some(*error),
            },
        };
        // What is wrong may be the Via: salvaged, it still says whom to answer.
        let salvaged = (was_parsed && error.is_some())
            .then(|| Message::salvage(datagram.bytes))
            .flatten();
        let asked = Asked {
            message: salvaged.as_ref().unwrap_or(message),
            ..asked
        };
        match error {
            Some(error) if known => self.refuse_malformed(&asked, error, out),
            _ => self.refuse(
                &asked,
                Refusal::UnknownSource.into(),
                StatusCode::FORBIDDEN,
                out,
            ),
        }
    }

    /// Runs timers that are due: appends a response to repeat to the emptied `out` and
    /// says which way it goes. Call until it answers `None`.
    pub fn poll_timer(&mut self, now: Instant, out: &mut Vec<u8>) -> Option<AnswerPath> {
        out.clear();
        self.transactions.as_mut()?.poll_timer(now, out)
    }

    /// When [`RedirectServer::poll_timer`] is wanted next.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        self.transactions.as_ref()?.deadline()
    }

    /// From now on new calls are answered 503: the caller's next choice serves them.
    pub const fn drain(&mut self) {
        self.draining = true;
    }

    /// Answers that still wait for their ACK.
    #[must_use]
    pub fn awaiting_ack(&self) -> usize {
        self.transactions
            .as_ref()
            .map_or(0, TransactionTable::awaiting_ack)
    }

    /// Calls answered statelessly since the last time somebody asked, because as many
    /// transactions as allowed were in progress.
    pub const fn take_unkept(&mut self) -> u64 {
        std::mem::replace(&mut self.unkept, 0)
    }

    /// RFC 3261 §8.2.1: the method first.
    fn request<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        head: &RequestHead<'a>,
        snapshot: &Snapshot,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        match asked.method {
            Method::Invite => self.invite(asked, head, snapshot, out),
            Method::Cancel => self.cancel(asked, out),
            Method::Options => self.options(asked, out),
            _ => self.refuse(
                asked,
                Refusal::Method.into(),
                StatusCode::METHOD_NOT_ALLOWED,
                out,
            ),
        }
    }

    fn invite<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        head: &RequestHead<'a>,
        snapshot: &Snapshot,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        let key = self.transactions.as_ref().and_then(|_| {
            TransactionKey::of_invite_from(asked.message, &head.top_via, &self.tag_key)
        });
        if let Some((transactions, key)) = self.transactions.as_mut().zip(key)
            && let Some(repeated) = transactions.request(asked.now.instant, key, out)
        {
            return match repeated {
                Some(path) => Fate::Repeat(path),
                None => Fate::Absorbed(MethodKind::Invite),
            };
        }
        if let Some((refusal, status)) = self.unfit(asked.message, head) {
            return self.refuse(asked, refusal.into(), status, out);
        }
        if self.transactions.is_none() {
            return self.call(asked, head, snapshot, out);
        }
        let fate = self.call(asked, head, snapshot, out);
        if let (Fate::Answer { to, status, .. }, Some((transactions, key))) =
            (&fate, self.transactions.as_mut().zip(key))
            && !transactions.insert(asked.now.instant, key, *status, out, asked.path(*to))
        {
            self.unkept += 1;
        }
        fate
    }

    /// What keeps an INVITE from being decided: RFC 3261 §8.2.2.3 (extensions), §16.3
    /// step 3 (hops), §12.2.2 (no such dialog: none is ever made here).
    fn unfit(
        &self,
        message: &Message<'_>,
        head: &RequestHead<'_>,
    ) -> Option<(Refusal, StatusCode)> {
        if message
            .first(HeaderName::Require)
            .is_some_and(|value| !value.is_empty())
        {
            Some((Refusal::Extension, StatusCode::BAD_EXTENSION))
        } else if head.max_forwards == Some(0) {
            Some((Refusal::Hops, StatusCode::TOO_MANY_HOPS))
        } else if head.to.tag().is_some() {
            Some((Refusal::NoDialog, StatusCode::CALL_DOES_NOT_EXIST))
        } else if self.draining {
            Some((Refusal::Draining, StatusCode::SERVICE_UNAVAILABLE))
        } else {
            None
        }
    }

    /// Classifies, decides and answers one call.
    fn call<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        head: &RequestHead<'a>,
        snapshot: &Snapshot,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        let (table, datagram) = (&*snapshot.table, asked.datagram);
        let facts = &CallFacts::of(asked.message, head);
        let Some(from) = asked.classify(facts, table) else {
            return self.refuse(
                asked,
                Refusal::UnknownSource.into(),
                StatusCode::FORBIDDEN,
                out,
            );
        };
        let call_id = head.call_id;
        let request = facts.request(from, call_id, asked.now.wall);
        let decision = routing::route(snapshot, &request, &mut ());
        let status = self.contacts.collect(table, &decision, facts);
        let reason = reason(table, &decision, status);
        let lines = self.contacts.lines();
        let Some(to) = self.write(asked, Some(head), status, reason, lines, out) else {
            return Fate::Dropped(DropReason::Unanswerable);
        };
        // An event is written once, where it is wanted: it is large.
        Fate::Answer {
            to,
            status,
            method: MethodKind::of(asked.method),
            answer: Answer::Call(CallEvent {
                at: asked.now.wall,
                source: datagram.source,
                listener: datagram.listener,
                call_id,
                generation: table.generation(),
                from,
                dialled: facts.called.text(),
                phone_context: facts.called.phone_context(),
                shown: facts.calling.as_ref().map(super::facts::UserText::text),
                host: facts.host,
                tgrp: facts.tgrp(),
                called: match decision.called {
                    User::Number(number) => Some(number),
                    User::Raw(_) => None,
                },
                calling: decision.calling,
                rule: decision.rule,
                outcome: decision.outcome,
                status: status.code(),
            }),
        }
    }

    /// RFC 3261 §9.2. The INVITE has had its final answer already, so there is nothing
    /// to cancel; §8.3 has a redirect server answer 200. Only a server that keeps
    /// transactions can tell a CANCEL of nothing.
    fn cancel<'a>(&mut self, asked: &Asked<'_, 'a>, out: &mut Vec<u8>) -> Fate<'a> {
        let transaction = self.transactions.as_ref().zip(self.key(asked.message));
        let known = transaction.is_none_or(|(transactions, key)| transactions.contains(key));
        if known {
            self.serve(asked, &[], out)
        } else {
            self.refuse(
                asked,
                Refusal::NoDialog.into(),
                StatusCode::CALL_DOES_NOT_EXIST,
                out,
            )
        }
    }

    /// RFC 3261 §11.2.
    fn options<'a>(&mut self, asked: &Asked<'_, 'a>, out: &mut Vec<u8>) -> Fate<'a> {
        if asked
            .message
            .first(HeaderName::Require)
            .is_some_and(|value| !value.is_empty())
        {
            return self.refuse(
                asked,
                Refusal::Extension.into(),
                StatusCode::BAD_EXTENSION,
                out,
            );
        }
        self.serve(
            asked,
            &[(b"Allow", ALLOW), (b"Accept", b"application/sdp")],
            out,
        )
    }

    fn ack(&mut self, asked: &Asked<'_, '_>) {
        let key = self.key(asked.message);
        if let Some((transactions, key)) = self.transactions.as_mut().zip(key) {
            transactions.ack(asked.now.instant, key);
        }
    }

    fn key(&self, message: &Message<'_>) -> Option<TransactionKey> {
        self.transactions
            .as_ref()
            .and_then(|_| TransactionKey::of_invite(message, &self.tag_key))
    }

    fn serve<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        headers: &[(&[u8], &[u8])],
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        self.more.clear();
        for (name, value) in headers {
            self.more.push(name, value);
        }
        match self.write(asked, None, StatusCode::OK, b"", &self.more, out) {
            Some(to) => asked.fate(to, StatusCode::OK, Answer::Served),
            None => Fate::Dropped(DropReason::Unanswerable),
        }
    }

    fn refuse_malformed<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        error: ParseError,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        let Some(status) = error.status() else {
            return Fate::Dropped(DropReason::Junk);
        };
        self.refuse(
            asked,
            Refused {
                why: Refusal::Malformed,
                error: Some(error),
            },
            status,
            out,
        )
    }

    fn refuse<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        refused: Refused,
        status: StatusCode,
        out: &mut Vec<u8>,
    ) -> Fate<'a> {
        self.more.clear();
        match status {
            StatusCode::METHOD_NOT_ALLOWED => self.more.push(b"Allow", ALLOW),
            StatusCode::BAD_EXTENSION => {
                let required = asked.message.first(HeaderName::Require);
                self.more.push(b"Unsupported", required.unwrap_or_default());
            }
            _ => {}
        }
        let Some(to) = self.write(asked, None, status, b"", &self.more, out) else {
            return Fate::Dropped(DropReason::Unanswerable);
        };
        // Who forges a source address must not gain from our answer.
        if !asked.known && out.len() > asked.datagram.bytes.len() + UNKNOWN_SOURCE_GAIN_BYTES_MAX {
            return Fate::Dropped(DropReason::Amplification);
        }
        asked.fate(to, status, Answer::Refused(refused))
    }

    /// Writes the answer and says where it goes. RFC 3261 §8.2.6, §18.2.2, RFC 3581.
    /// `None` when the top Via gives no place an answer may be sent to. `head` is what has
    /// been read of the request already.
    fn write(
        &self,
        asked: &Asked<'_, '_>,
        head: Option<&RequestHead<'_>>,
        status: StatusCode,
        reason: &[u8],
        lines: &HeaderLines,
        out: &mut Vec<u8>,
    ) -> Option<SocketAddr> {
        let (message, source) = (asked.message, asked.datagram.source);
        let to = match head {
            Some(head) => reply_target(&head.top_via, source),
            None => reply_target(&message.top_via().ok()?, source),
        };
        if !is_answerable(to) {
            return None;
        }
        let tag = match head {
            Some(head) => to_tag_of(&self.tag_key, head),
            None => to_tag(&self.tag_key, message),
        };
        let mut reply = Reply::new(message, status).source(source).to_tag(&tag);
        if let Some(head) = head {
            reply = reply.head(head);
        }
        if !reason.is_empty() {
            reply = reply.reason(reason);
        }
        reply.write_with_lines([lines, &self.server], out);
        Some(to)
    }
}

/// One request and what came with it.
struct Asked<'m, 'a> {
    now: Now,
    datagram: &'m Datagram<'a>,
    message: &'m Message<'a>,
    method: Method<'a>,
    known: bool,
}

impl<'a> Asked<'_, 'a> {
    /// RFC 4904 §5 among others: the trunk group it arrives on. Where nothing is asked of
    /// the message, it is not read for it.
    fn classify(&self, facts: &CallFacts<'a>, table: &RoutingTable) -> Option<GroupId> {
        let came = (self.datagram.source, self.datagram.listener);
        facts.classify(self.message, came, table)
    }

    const fn path(&self, to: SocketAddr) -> AnswerPath {
        AnswerPath {
            to,
            from: self.datagram.asked,
        }
    }

    const fn fate(&self, to: SocketAddr, status: StatusCode, answer: Answer<'a>) -> Fate<'a> {
        Fate::Answer {
            to,
            status,
            method: MethodKind::of(self.method),
            answer,
        }
    }
}

/// The reason phrase of the rule that rejected; empty: the usual one.
fn reason<'t>(table: &'t RoutingTable, decision: &Decision<'_>, status: StatusCode) -> &'t [u8] {
    let rule = decision.rule.and_then(|rule| table.rule(rule));
    match (&decision.outcome, rule.map(|rule| &rule.action)) {
        (Outcome::Reject { status: decided }, Some(Action::Reject { reason, .. }))
            if *decided == status.code() =>
        {
            reason.as_bytes()
        }
        _ => b"",
    }
}
