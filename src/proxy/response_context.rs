//! The response context of RFC 3261 §16.2: one request, its attempts, and which of their
//! answers the caller gets (§16.7).

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use bytes::Bytes;
use jiff::Timestamp;

use super::acceptance::Acceptance;
use super::event::MethodKind;
use super::flow::Flow;
use super::proxy_event::{AttemptReport, CallEnd, LargeBy};
use super::table_view::TableView;
use crate::limits::{CHALLENGES_BYTES_MAX, RINGING_MS_MAX, ROUTES_MAX, TIMER_C_MS};
use crate::routing::table::AlternativeRouting;
use crate::routing::{
    Availability, CallHold, Caller, Ending, GroupId, Next, Number, Outcome, Route, RuleId, Search,
    next_route,
};
use crate::sip::{Message, StatusCode};
use crate::transaction::{Transaction, TransactionKey};

/// One request that is being forwarded, until its last echo has died away.
///
/// Its end is certain: the server transaction ends by its own timers once it has answered;
/// a client transaction by timer B, D, M, F or K, or, while its callee rings, by timer C,
/// which becomes a CANCEL and [`Attempt::ends_by`].
#[derive(Debug)]
pub(super) struct ResponseContext {
    /// Where it is kept.
    pub(super) place: u32,
    /// Tells it from earlier ones in the same place.
    pub(super) serial: u64,
    pub(super) key: Option<TransactionKey>,
    pub(super) method: MethodKind,
    /// The request as received; emptied when the final answer was given.
    pub(super) request: Bytes,
    /// Who sent the request.
    pub(super) source: SocketAddr,
    /// Where answers go.
    pub(super) upstream: Flow,
    pub(super) server: Transaction,
    pub(super) loop_mark: u64,
    /// For an INVITE: how its ACKs are known.
    pub(super) mark: Option<InviteMark>,
    pub(super) begun: Instant,
    /// For an INVITE that was routed by the table.
    pub(super) call: Option<Box<Call>>,
    pub(super) attempts: Vec<Attempt>,
    /// The 2xx that were relayed to an INVITE that is indexed by its mark.
    pub(super) acceptances: Vec<Acceptance>,
    best: Option<Candidate>,
    /// The first final answer that was given; a 2xx may still follow.
    pub(super) answered: Option<StatusCode>,
    /// When the first provisional response but 100 was relayed.
    pub(super) progressed: Option<Instant>,
    /// The caller sent a CANCEL in time.
    pub(super) cancelled: bool,
    /// The Reason of that CANCEL.
    pub(super) cancel_reason: Option<Bytes>,
    /// For a request in the dialog of a counted call: the mark of the call.
    pub(super) held: Option<HeldDialog>,
}

/// By what the ACK of a 2xx is known to belong to its INVITE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct InviteMark {
    /// Of the Call-ID and the tag of who sent the INVITE.
    pub(super) dialog: u64,
    /// The number of the CSeq.
    pub(super) cseq: u32,
}

/// The dialog of a counted call that a request belongs to.
#[derive(Debug, Clone, Copy)]
pub(super) struct HeldDialog {
    /// Of the call.
    pub(super) mark: u64,
    /// Of To and From: one of them is the callee's.
    pub(super) tags: [u64; 2],
    /// Whether a 2xx to it says anew how long the call lasts.
    pub(super) refreshes: bool,
    /// Whether it is a BYE.
    pub(super) ends: bool,
    /// Whose BYE it is.
    pub(super) by: CallEnd,
}

/// What was decided for a call, and with what it goes on deciding: one call, one table.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) number: u64,
    /// Its end will be told.
    pub(super) is_followed: bool,
    pub(super) view: Arc<TableView>,
    pub(super) availability: Arc<Availability>,
    pub(super) at: Timestamp,
    pub(super) from: GroupId,
    pub(super) rule: Option<RuleId>,
    pub(super) called: Option<Number>,
    pub(super) calling: Caller,
    pub(super) emergency: bool,
    pub(super) outcome: Outcome,
    /// The group whose alternative routing holds.
    pub(super) policy_of: Option<GroupId>,
    pub(super) tried: usize,
    /// Places of the trunk's name that were tried, if it has one.
    pub(super) places_tried: Vec<SocketAddr>,
    pub(super) reports: ArrayVec<AttemptReport, ROUTES_MAX>,
}

/// One branch of a request.
#[derive(Debug)]
pub(super) struct Attempt {
    /// By it its responses are known.
    pub(super) unique: u64,
    pub(super) flow: Flow,
    pub(super) client: Transaction,
    /// Its place among the reports of the call.
    pub(super) report: Option<u8>,
    pub(super) stage: Stage,
    /// Until when it may stay silent.
    pub(super) silent_until: Option<Instant>,
    /// Timer C.
    pub(super) timer_c: Option<Instant>,
    /// It shall be cancelled, as soon as it says something (RFC 3261 §9.1).
    pub(super) to_cancel: bool,
    pub(super) cancel: Option<Box<Transaction>>,
    /// After a CANCEL: when it counts as ended, whatever was said. RFC 3261 §9.1.
    pub(super) ends_by: Option<Instant>,
    /// Its places on its trunk and group; a 2xx hands them to the call.
    pub(super) hold: Option<CallHold>,
    /// It went over TCP for its size only: RFC 3261 §18.1.1.
    pub(super) for_its_size: bool,
}

/// Where an attempt stands in its call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// The call waits for it.
    Active,
    /// The call went on without it; only a 2xx of it still counts.
    Abandoned,
    /// It has its final answer, or will never have one.
    Ended,
}

/// An answer the caller may get.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    pub(super) status: StatusCode,
    /// The response without our Via; `None` when nobody answered and we say so.
    pub(super) response: Option<Bytes>,
}

impl ResponseContext {
    /// A context for a request that came at `now`.
    #[expect(clippy::too_many_arguments, reason = "each is what it is, once")]
    pub(super) fn new(
        (place, serial): (u32, u64),
        key: Option<TransactionKey>,
        method: MethodKind,
        request: Bytes,
        source: SocketAddr,
        upstream: Flow,
        server: Transaction,
        loop_mark: u64,
        begun: Instant,
    ) -> Self {
        Self {
            place,
            serial,
            key,
            method,
            request,
            source,
            upstream,
            server,
            loop_mark,
            mark: None,
            begun,
            call: None,
            attempts: Vec::new(),
            acceptances: Vec::new(),
            best: None,
            answered: None,
            progressed: None,
            cancelled: false,
            cancel_reason: None,
            held: None,
        }
    }

    /// When some timer of it is due next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let server = self.server.deadline().map(|(at, _)| at);
        let attempts = self.attempts.iter().filter_map(Attempt::deadline);
        let acceptances = self.acceptances.iter().filter_map(Acceptance::deadline);
        server.into_iter().chain(attempts).chain(acceptances).min()
    }

    /// Whether nothing of it can be asked for any more.
    pub(super) fn is_over(&self) -> bool {
        self.server.is_terminated() && self.attempts.iter().all(Attempt::is_over)
    }

    /// The attempt with that mark in its branch.
    pub(super) fn attempt_of(&self, unique: u64) -> Option<usize> {
        self.attempts.iter().position(|a| a.unique == unique)
    }

    /// RFC 3261 §16.7 step 6: keeps the better of what there is and the candidate.
    ///
    /// 6xx before all, then the lowest class; in 4xx those that tell the caller how to ask
    /// again; what somebody said before what we say for somebody silent; the later of
    /// equals. Step 7: challenges of the one that is not chosen are added to the other.
    pub(super) fn consider(&mut self, mut candidate: Candidate) {
        match self.best.take() {
            Some(best) if rank(&best) < rank(&candidate) => {
                self.best = Some(best.with_challenges_of(&candidate));
            }
            Some(best) => {
                candidate = candidate.with_challenges_of(&best);
                self.best = Some(candidate);
            }
            None => self.best = Some(candidate),
        }
    }

    /// What [`ResponseContext::consider`] has kept.
    pub(super) fn take_best(&mut self) -> Option<Candidate> {
        self.best.take()
    }

    /// Whether the ACK of a 2xx to its INVITE is still to come.
    pub(super) fn awaits_ack(&self) -> bool {
        self.acceptances.iter().any(Acceptance::is_open)
    }

    /// Forgets what only the search for a route needs, once that is over.
    pub(super) fn shrink(&mut self) {
        let is_over = |attempt: &Attempt| attempt.stage == Stage::Ended;
        if self.answered.is_some() && self.attempts.iter().all(is_over) {
            self.call = None;
        }
    }

    /// Whether an attempt may still decide the call.
    pub(super) fn is_waiting(&self) -> bool {
        self.attempts.iter().any(|a| a.stage == Stage::Active)
    }

    /// When timer C of an attempt is due that was heard of at `now`: RFC 3261 §16.6 step
    /// 11, §16.7 step 2. However often the callee rings, not beyond [`RINGING_MS_MAX`].
    pub(super) fn timer_c(&self, now: Instant) -> Instant {
        let end = self.begun + Duration::from_millis(RINGING_MS_MAX);
        (now + Duration::from_millis(TIMER_C_MS)).min(end)
    }

    /// What comes after an attempt that ended so; only a call routed by the table has more
    /// than one.
    pub(super) fn next(&self, ending: Ending) -> Option<Next> {
        let call = self.call.as_ref()?;
        let search = Search {
            routes: call.routes(),
            tried: call.tried,
            progressed: self.progressed.is_some(),
            emergency: call.emergency,
        };
        Some(next_route(
            call.policy(),
            ending,
            search,
            &call.availability,
        ))
    }

    /// Milliseconds from its beginning.
    pub(super) fn elapsed_ms(&self, at: Instant) -> u32 {
        let elapsed = at.saturating_duration_since(self.begun).as_millis();
        u32::try_from(elapsed).unwrap_or(u32::MAX)
    }
}

impl Call {
    pub(super) fn routes(&self) -> &[Route] {
        match &self.outcome {
            Outcome::Route(routes) => routes,
            _ => &[],
        }
    }

    pub(super) fn policy(&self) -> Option<&AlternativeRouting> {
        let table = &self.view.table;
        table.alternative_routing(table.group(self.policy_of?)?)
    }

    /// Notes how an attempt ended, unless it was noted before.
    pub(super) fn note_ending(&mut self, report: Option<u8>, ending: Ending, at_ms: u32) {
        let report = report.and_then(|place| self.reports.get_mut(usize::from(place)));
        if let Some(report) = report
            && report.ending.is_none()
        {
            (report.ending, report.ended_ms) = (Some(ending), Some(at_ms));
        }
    }

    /// Notes how a large request left.
    pub(super) fn note_large(&mut self, report: Option<u8>, by: LargeBy) {
        let report = report.and_then(|place| self.reports.get_mut(usize::from(place)));
        if let Some(report) = report {
            report.large = Some(by);
        }
    }

    /// The trunk of an attempt.
    pub(super) fn route_of(&self, report: Option<u8>) -> Option<Route> {
        Some(self.reports.get(usize::from(report?))?.route)
    }
}

impl Attempt {
    fn deadline(&self) -> Option<Instant> {
        let client = self.client.deadline().map(|(at, _)| at);
        let cancel = self.cancel.as_ref().and_then(|c| Some(c.deadline()?.0));
        [
            client,
            cancel,
            self.silent_until,
            self.timer_c,
            self.ends_by,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    fn is_over(&self) -> bool {
        self.client.is_terminated() && self.cancel.as_ref().is_none_or(|c| c.is_terminated())
    }

    /// The call needs it no more, or it has said its last word.
    pub(super) fn leave(&mut self, stage: Stage) {
        self.stage = stage;
        self.silent_until = None;
        self.timer_c = None;
        if stage == Stage::Ended {
            self.to_cancel = false;
            self.ends_by = None;
            self.hold = None;
        }
    }
}

impl Candidate {
    pub(super) const fn silent(status: StatusCode) -> Self {
        Self {
            status,
            response: None,
        }
    }

    /// RFC 3261 §16.7 step 7: if this is a 401 or 407, it carries the challenges of every
    /// other one too.
    fn with_challenges_of(mut self, other: &Self) -> Self {
        let asks = |c: &Self| {
            [
                StatusCode::UNAUTHORIZED,
                StatusCode::PROXY_AUTHENTICATION_REQUIRED,
            ]
            .contains(&c.status)
        };
        if let (true, true, Some(mine), Some(theirs)) =
            (asks(&self), asks(other), &self.response, &other.response)
        {
            self.response = Some(joined(mine, theirs).unwrap_or_else(|| mine.clone()));
        }
        self
    }
}

/// Lower is better.
fn rank(candidate: &Candidate) -> (bool, u8, bool, bool) {
    let status = candidate.status;
    let tells_how = matches!(status.code(), 401 | 407 | 415 | 420 | 484);
    (
        status.class() != 6,
        status.class(),
        !tells_how,
        candidate.response.is_none(),
    )
}

/// `mine` with the challenge lines of `theirs` at the end of its header, as they stand.
fn joined(mine: &Bytes, theirs: &Bytes) -> Option<Bytes> {
    let (message, other) = (
        Message::parse_datagram(mine).ok()?,
        Message::parse_datagram(theirs).ok()?,
    );
    let body_bytes = message.body().len() + b"\r\n".len();
    let head_bytes = message.bytes().len().checked_sub(body_bytes)?;
    let (head, rest) = message.bytes().split_at_checked(head_bytes)?;
    let mut lines = Vec::new();
    for name in [&b"WWW-Authenticate"[..], b"Proxy-Authenticate"] {
        for challenge in other.by_name(name) {
            if lines.len() + challenge.len() < CHALLENGES_BYTES_MAX {
                lines.extend_from_slice(name);
                lines.extend_from_slice(b": ");
                lines.extend_from_slice(challenge);
                lines.extend_from_slice(b"\r\n");
            }
        }
    }
    Some([head, &lines, rest].concat().into())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::proxy::flow::FlowTransport;
    use crate::transaction::{ServerInvite, Timers, Transport};

    fn context() -> ResponseContext {
        let address = "10.0.0.1:5060".parse().unwrap();
        let flow = Flow {
            listener: 0,
            transport: FlowTransport::Udp,
            local: address,
            peer: address,
        };
        ResponseContext::new(
            (0, 0),
            None,
            MethodKind::Invite,
            Bytes::new(),
            address,
            flow,
            ServerInvite::new(Transport::Unreliable, &Timers::default()).into(),
            0,
            Instant::now(),
        )
    }

    fn response(status: u16, lines: &str) -> Candidate {
        let text = format!("SIP/2.0 {status} X\r\n{lines}Content-Length: 2\r\n\r\nab");
        Candidate {
            status: StatusCode::new(status).unwrap(),
            response: Some(text.into()),
        }
    }

    /// With an INVITE of 1,000 bytes as received and as sent, and a response of 600.
    #[test]
    fn a_call_in_progress_costs_at_most_4_kib() {
        let fixed = size_of::<ResponseContext>() + size_of::<Attempt>() + size_of::<Call>();
        assert!(fixed <= 1_400, "{fixed}");
        assert!(fixed + 1_000 + 1_000 + 600 <= 4_096);
    }

    #[test]
    fn the_best_response_is_chosen() {
        let silent = |status| Candidate::silent(StatusCode::new(status).unwrap());
        let heard = |status| response(status, "");
        let cases: [(&[Candidate], u16, bool); 9] = [
            (&[heard(503), heard(486)], 486, true),
            (&[heard(486), heard(503)], 486, true),
            (&[heard(404), heard(603), heard(302)], 603, true),
            (&[heard(302), heard(404)], 302, true),
            (&[heard(404), heard(484), heard(486)], 484, true),
            (&[silent(408), heard(480)], 480, true),
            (&[heard(480), silent(408)], 480, true),
            (&[silent(408), silent(500)], 408, false),
            (&[heard(404), heard(480)], 480, true),
        ];
        for (candidates, status, is_heard) in cases {
            let mut context = context();
            candidates.iter().for_each(|c| context.consider(c.clone()));
            let best = context.take_best().unwrap();
            assert_eq!(
                (best.status.code(), best.response.is_some()),
                (status, is_heard)
            );
        }
    }

    #[test]
    fn challenges_are_collected() {
        let mut context = context();
        context.consider(response(401, "WWW-Authenticate: Digest realm=\"a\"\r\n"));
        context.consider(response(404, ""));
        context.consider(response(407, "Proxy-Authenticate: Digest realm=\"b\"\r\n"));
        let best = context.take_best().unwrap();
        let text = String::from_utf8(best.response.unwrap().to_vec()).unwrap();
        assert_eq!(best.status.code(), 407);
        assert_eq!(
            text,
            "SIP/2.0 407 X\r\nProxy-Authenticate: Digest realm=\"b\"\r\nContent-Length: 2\r\n\
             WWW-Authenticate: Digest realm=\"a\"\r\n\r\nab"
        );
    }
}
