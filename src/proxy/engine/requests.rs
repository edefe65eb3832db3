//! Requests as they come: whom they belong to, whether they may go on, and where they go
//! inside a dialog. RFC 3261 §16.2 to §16.6, §9.2, §16.10, §16.11.

use std::time::Instant;

use bytes::Bytes;

use super::{Engine, repeats};
use crate::limits::{OVERLOAD_RETRY_AFTER_S, UNKNOWN_SOURCE_GAIN_BYTES_MAX};
use crate::proxy::Now;
use crate::proxy::branch::Branch;
use crate::proxy::event::MethodKind;
use crate::proxy::facts::is_answerable;
use crate::proxy::flow::{Flow, NoTarget};
use crate::proxy::forwarding::{self, Departure};
use crate::proxy::proxy_event::{ProxyDrop, ProxyEvent, ProxyRefusal, ProxyRefused, ProxyRepeat};
use crate::proxy::response_context::{Attempt, InviteMark, ResponseContext, Stage};
use crate::proxy::secret::Purpose;
use crate::proxy::to_tag::to_tag;
use crate::proxy::validation::{Unfit, Valid, check};
use crate::routing::rule::Action as RuleAction;
use crate::sip::{
    HeaderName, Message, Method, ParseError, Reply, RequestHead, StatusCode, Via, reply_target,
};
use crate::transaction::{
    ClientInvite, ClientNonInvite, Event, ServerInvite, ServerNonInvite, Transaction,
    TransactionKey,
};

/// What goes through here; outside of a dialog INVITE and OPTIONS only. RFC 3261 §20.5.
const ALLOW: &[u8] =
    b"INVITE, ACK, CANCEL, BYE, OPTIONS, PRACK, UPDATE, INFO, REFER, NOTIFY, SUBSCRIBE, MESSAGE";

/// A request and how it came.
#[derive(Clone, Copy)]
pub(super) struct Asked<'m, 'a> {
    pub(super) now: Now,
    pub(super) flow: Flow,
    pub(super) message: &'m Message<'a>,
    pub(super) method: Method<'a>,
    /// Whether the table knows its source.
    known: bool,
}

/// Where a request inside a dialog goes.
struct Onward {
    to: Flow,
    /// Of the dialog as who sent the request has it.
    mark: InviteMark,
}

impl Engine {
    /// The order of looking: who asks (nothing of a stranger is believed), whether it is
    /// well formed, whether it belongs to something in progress, whether it may go on.
    pub(super) fn request<'a>(
        &mut self,
        now: Now,
        flow: Flow,
        message: &Message<'a>,
        method: Method<'a>,
        broken: Option<ParseError>,
    ) {
        let asked = Asked {
            now,
            flow,
            message,
            method,
            known: self.view.is_known(flow.peer.ip()),
        };
        if method == Method::Ack {
            return self.ack(&asked);
        }
        if !asked.known {
            if !self.strangers.admit(now.instant) {
                return self.dropped(ProxyDrop::Flood, flow.peer);
            }
            let unfit = Unfit::new(ProxyRefusal::UnknownSource, StatusCode::FORBIDDEN);
            return self.refuse(&asked, unfit);
        }
        let head = match broken.map_or_else(|| message.read_request(), Err) {
            Ok(head) => head,
            Err(error) => return self.refuse_malformed(&asked, error, broken.is_some()),
        };
        if method == Method::Cancel {
            return self.cancel(&asked);
        }
        let key = TransactionKey::of_request_from(message, &head.top_via, &self.key);
        if let Some(place) = key.and_then(|key| self.by_key.get(&key).copied()) {
            self.event(ProxyEvent::Repeated(ProxyRepeat::Request));
            self.with(place, now.instant, |engine, context| {
                engine.step_server(now.instant, context, Event::Request);
            });
            return;
        }
        if let Err(unfit) = self.admit(&asked, &head, key) {
            self.refuse(&asked, unfit);
        }
    }

    /// A request that starts a transaction.
    fn admit<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        head: &RequestHead<'a>,
        key: Option<TransactionKey>,
    ) -> Result<(), Unfit> {
        let in_dialog = head.to.tag().is_some();
        if asked.method == Method::Options && !in_dialog {
            return self.options(asked);
        }
        let (message, flow) = (asked.message, &asked.flow);
        let valid = check(message, head, flow, &self.listeners, &self.secret)?;
        match (in_dialog, asked.method) {
            (true, _) => self.in_dialog(asked, head, key, &valid),
            (false, Method::Invite) => self.new_call(asked, head, key, valid.loop_mark),
            (false, _) => Err(Unfit::new(
                ProxyRefusal::Method,
                StatusCode::METHOD_NOT_ALLOWED,
            )),
        }
    }

    /// RFC 3261 §16.4 and §16.6 for a request inside a dialog: it goes along its Route set,
    /// and no table is asked where.
    fn in_dialog<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        head: &RequestHead<'a>,
        key: Option<TransactionKey>,
        valid: &Valid<'_>,
    ) -> Result<(), Unfit> {
        let Onward { to, mark } = self.next_hop(asked, head, valid)?;
        if self.contexts.len() >= self.contexts_max {
            return Err(overload());
        }
        let (message, now) = (asked.message, asked.now.instant);
        let is_invite = asked.method == Method::Invite;
        if asked.method == Method::Bye {
            self.hung_up(&valid.way.marks, head);
        }
        let held = self.held_dialog(&valid.way.marks, head, mark.dialog);
        let Some(mut context) = self.open(asked, head, key, valid.loop_mark) else {
            return Err(overload());
        };
        let branch = self.branch(context.place, valid.loop_mark);
        let departure = Departure {
            listeners: &self.listeners,
            from: &asked.flow,
            source: asked.flow.peer,
            to: &to,
            branch,
        };
        let Ok(bytes) = forwarding::along_route(message, &valid.way, &departure, &mut self.page)
        else {
            self.forget(context.place, key);
            return Err(Unfit::new(ProxyRefusal::Malformed, StatusCode::BAD_REQUEST));
        };
        if is_invite {
            context.mark = Some(mark);
            self.respond_trying(asked, head, &mut context);
        }
        let client = self.client(now, is_invite, &bytes, &to);
        let timer_c = is_invite.then(|| context.timer_c(now));
        // Most requests have one attempt: no room for more until it is needed.
        context.attempts.reserve_exact(1);
        context.attempts.push(Attempt {
            unique: branch.unique,
            flow: to,
            client,
            report: None,
            stage: Stage::Active,
            silent_until: None,
            timer_c,
            to_cancel: false,
            cancel: None,
            ends_by: None,
            hold: None,
            for_its_size: false,
        });
        context.held = held;
        self.transmit(to, bytes);
        self.settle(now, context);
        Ok(())
    }

    /// Where a request inside a dialog goes, if it may: it came here because of our own
    /// Record-Route, and the dialog was made through us or the place is one the table
    /// knows. So nobody uses us to reach somebody else.
    fn next_hop(
        &self,
        asked: &Asked<'_, '_>,
        head: &RequestHead<'_>,
        valid: &Valid<'_>,
    ) -> Result<Onward, Unfit> {
        let way = &valid.way;
        let no_dialog = Unfit::new(ProxyRefusal::NoDialog, StatusCode::CALL_DOES_NOT_EXIST);
        if !way.through_us {
            return Err(no_dialog);
        }
        let refused = |status| Unfit::new(ProxyRefusal::NextHop, status);
        let target = self.view.target_of(&way.next_hop).map_err(|no_target| {
            refused(match no_target {
                NoTarget::Scheme => StatusCode::UNSUPPORTED_URI_SCHEME,
                NoTarget::Name => StatusCode::SERVER_INTERNAL_ERROR,
                NoTarget::Unanswerable => StatusCode::FORBIDDEN,
            })
        })?;
        if self.listeners.is_own_address(target.address) {
            return Err(no_dialog);
        }
        let dialog_of =
            |tag: Option<&[u8]>| self.secret.dialog(head.call_id, tag.unwrap_or_default());
        let of_sender = dialog_of(head.from.tag());
        let of_peer = || dialog_of(head.to.tag());
        let made_through_us = way.marks.contains(&of_sender) || way.marks.contains(&of_peer());
        if !made_through_us && !self.view.is_known(target.address.ip()) {
            return Err(refused(StatusCode::FORBIDDEN));
        }
        let to = self
            .listeners
            .flow_to(target, asked.flow.listener)
            .ok_or_else(|| refused(StatusCode::SERVER_INTERNAL_ERROR))?;
        let mark = InviteMark {
            dialog: of_sender,
            cseq: head.cseq_number,
        };
        Ok(Onward { to, mark })
    }

    /// An ACK ends a final response that is no 2xx, or is on its way to who sent a 2xx:
    /// then it goes along its Route set, without a transaction (RFC 3261 §16.11). It is never
    /// answered.
    fn ack(&mut self, asked: &Asked<'_, '_>) {
        let (now, source) = (asked.now.instant, asked.flow.peer);
        let Some(head) = asked.message.read_request().ok().filter(|_| asked.known) else {
            return self.dropped(ProxyDrop::StrayAck, source);
        };
        let key = TransactionKey::of_request_from(asked.message, &head.top_via, &self.key);
        let mut ended = false;
        if let Some(place) = key.and_then(|key| self.by_key.get(&key).copied()) {
            self.with(place, now, |engine, context| {
                // After a 2xx it is delivered: the branch of its INVITE is a mistake of an
                // old caller, and the callee waits for it all the same.
                ended = !engine.step_server(now, context, Event::Ack).delivered;
            });
        }
        if ended {
            return;
        }
        let (message, flow) = (asked.message, &asked.flow);
        let Ok(valid) = check(message, &head, flow, &self.listeners, &self.secret) else {
            return self.dropped(ProxyDrop::NoWay, source);
        };
        if !valid.way.through_us {
            return self.dropped(ProxyDrop::StrayAck, source);
        }
        let Ok(Onward { to, mark }) = self.next_hop(asked, &head, &valid) else {
            return self.dropped(ProxyDrop::NoWay, source);
        };
        // The same for a repetition, another one than the INVITE's.
        let via = asked.message.values(HeaderName::Via).next();
        let branch = Branch {
            worker: self.worker,
            context: Branch::STATELESS,
            unique: self.secret.of(Purpose::Ack, via.unwrap_or_default()),
            loop_mark: valid.loop_mark,
        };
        let departure = Departure {
            listeners: &self.listeners,
            from: &asked.flow,
            source,
            to: &to,
            branch,
        };
        match forwarding::along_route(asked.message, &valid.way, &departure, &mut self.page) {
            Ok(bytes) => {
                self.acknowledged(&asked.flow, (mark, head.to.tag()), (to, &bytes));
                self.transmit(to, bytes);
            }
            Err(_) => self.dropped(ProxyDrop::NoWay, source),
        }
    }

    /// RFC 3261 §9.2, §16.10: a CANCEL is answered here, and every attempt of its INVITE
    /// that may still ring is cancelled. Answered without a transaction: it gets the same
    /// answer again as long as that of the INVITE lives.
    fn cancel(&mut self, asked: &Asked<'_, '_>) {
        let now = asked.now.instant;
        let key = TransactionKey::of_invite(asked.message, &self.key);
        let Some(place) = key.and_then(|key| self.by_key.get(&key).copied()) else {
            let unfit = Unfit::new(ProxyRefusal::NoDialog, StatusCode::CALL_DOES_NOT_EXIST);
            return self.refuse(asked, unfit);
        };
        if self.reply(asked, StatusCode::OK, &[]) {
            self.event(ProxyEvent::Served {
                method: MethodKind::Cancel,
                status: StatusCode::OK,
            });
        }
        self.with(place, now, |engine, context| {
            if context.answered.is_some() {
                return;
            }
            context.cancelled = true;
            context.cancel_reason = asked
                .message
                .first(HeaderName::Reason)
                .filter(|reason| !reason.contains(&b'\r'))
                .map(Bytes::copy_from_slice);
            engine.cancel_rest(now, context);
        });
    }

    /// RFC 3261 §11.2: whoever asks outside of a dialog asks us.
    fn options(&mut self, asked: &Asked<'_, '_>) -> Result<(), Unfit> {
        for name in [HeaderName::Require, HeaderName::ProxyRequire] {
            if asked.message.values(name).any(|value| !value.is_empty()) {
                return Err(Unfit::new(
                    ProxyRefusal::Extension,
                    StatusCode::BAD_EXTENSION,
                ));
            }
        }
        let headers: [(&[u8], &[u8]); 2] = [(b"Allow", ALLOW), (b"Accept", b"application/sdp")];
        if self.reply(asked, StatusCode::OK, &headers) {
            self.event(ProxyEvent::Served {
                method: MethodKind::Options,
                status: StatusCode::OK,
            });
        }
        Ok(())
    }

    /// RFC 3261 §16.3: what cannot be read is answered, if whom to answer can be.
    fn refuse_malformed(&mut self, asked: &Asked<'_, '_>, error: ParseError, is_salvaged: bool) {
        let Some(unfit) = Unfit::malformed(error) else {
            return self.dropped(ProxyDrop::Junk, asked.flow.peer);
        };
        // What is wrong may be the Via: salvaged, it still says whom to answer.
        let salvaged = (!is_salvaged)
            .then(|| Message::salvage(asked.message.bytes()))
            .flatten();
        let asked = Asked {
            message: salvaged.as_ref().unwrap_or(asked.message),
            ..*asked
        };
        self.refuse(&asked, unfit);
    }

    /// Refuses without keeping anything: a repetition gets the same answer again
    /// (RFC 3261 §8.2.7).
    fn refuse(&mut self, asked: &Asked<'_, '_>, unfit: Unfit) {
        let message = asked.message;
        let required = message
            .first(HeaderName::ProxyRequire)
            .or(message.first(HeaderName::Require))
            .unwrap_or_default();
        let wait = OVERLOAD_RETRY_AFTER_S.to_string();
        let header: Option<(&[u8], &[u8])> = match unfit.status {
            StatusCode::METHOD_NOT_ALLOWED => Some((b"Allow", ALLOW)),
            StatusCode::BAD_EXTENSION => Some((b"Unsupported", required)),
            StatusCode::SERVICE_UNAVAILABLE => Some((b"Retry-After", wait.as_bytes())),
            _ => None,
        };
        if self.reply(asked, unfit.status, header.as_slice()) {
            self.event(ProxyEvent::Refused(ProxyRefused {
                why: unfit.why,
                error: unfit.error,
                status: unfit.status,
                method: MethodKind::of(asked.method),
                source: asked.flow.peer,
                listener: asked.flow.listener,
            }));
        }
    }

    /// Answers without a transaction. Whether an answer could be given.
    fn reply(
        &mut self,
        asked: &Asked<'_, '_>,
        status: StatusCode,
        headers: &[(&[u8], &[u8])],
    ) -> bool {
        let source = asked.flow.peer;
        let via = asked.message.top_via().ok();
        let Some(upstream) = via.and_then(|via| upstream(asked, &via)) else {
            self.dropped(ProxyDrop::Unanswerable, source);
            return false;
        };
        let out = self.reply_bytes(asked, status, headers);
        // Who forges a source address must not gain from our answer.
        let room = asked.message.bytes().len() + UNKNOWN_SOURCE_GAIN_BYTES_MAX;
        if !asked.known && out.len() > room {
            self.dropped(ProxyDrop::Amplification, source);
            return false;
        }
        self.transmit(upstream, out.into());
        true
    }

    fn reply_bytes(
        &self,
        asked: &Asked<'_, '_>,
        status: StatusCode,
        headers: &[(&[u8], &[u8])],
    ) -> Vec<u8> {
        let tag = to_tag(&self.key, asked.message);
        let reply = Reply::new(asked.message, status)
            .source(asked.flow.peer)
            .to_tag(&tag);
        let mut out = Vec::with_capacity(512);
        reply.write_with(headers.iter().copied().chain(self.server_line()), &mut out);
        out
    }

    /// An answer of our own to the request of a context. RFC 3261 §8.2.6.
    pub(super) fn own_answer(&self, context: &ResponseContext, status: StatusCode) -> Bytes {
        let Ok(request) = Message::parse_datagram(&context.request) else {
            return Bytes::new();
        };
        let tag = to_tag(&self.key, &request);
        let wait = OVERLOAD_RETRY_AFTER_S.to_string();
        let mut reply = Reply::new(&request, status).source(context.source);
        let is_trying = status == StatusCode::TRYING;
        if !is_trying {
            reply = reply.to_tag(&tag);
        }
        let wait = (status == StatusCode::SERVICE_UNAVAILABLE)
            .then_some((&b"Retry-After"[..], wait.as_bytes()));
        let rule = context
            .call
            .as_ref()
            .and_then(|call| call.view.table.rule(call.rule?));
        if let Some(RuleAction::Reject {
            status: decided,
            reason,
        }) = rule.map(|rule| &rule.action)
            && *decided == status.code()
            && !reason.is_empty()
        {
            reply = reply.reason(reason.as_bytes());
        }
        let server = self.server_line().filter(|_| !is_trying);
        let mut out = Vec::with_capacity(512);
        reply.write_with(server.into_iter().chain(wait), &mut out);
        out.into()
    }

    /// The Server header of our own answers.
    fn server_line(&self) -> Option<(&[u8], &[u8])> {
        let server = self.server_header.as_ref()?;
        Some((b"Server", server.as_bytes()))
    }

    /// RFC 3261 §16.2: "100 (Trying) at once", for a next hop may take its time.
    pub(super) fn respond_trying<'a>(
        &mut self,
        asked: &Asked<'_, 'a>,
        head: &RequestHead<'a>,
        context: &mut ResponseContext,
    ) {
        let reply = Reply::new(asked.message, StatusCode::TRYING)
            .head(head)
            .source(context.source);
        self.page.clear();
        reply.write(&mut self.page);
        let trying = Bytes::copy_from_slice(&self.page);
        let respond = Event::Respond(StatusCode::TRYING, trying);
        self.step_server(asked.now.instant, context, respond);
    }

    /// A context for this request, in a place that is reserved for it.
    pub(super) fn open(
        &mut self,
        asked: &Asked<'_, '_>,
        head: &RequestHead<'_>,
        key: Option<TransactionKey>,
        loop_mark: u64,
    ) -> Option<Box<ResponseContext>> {
        let upstream = upstream(asked, &head.top_via)?;
        let (place, serial) = self.contexts.reserve()?;
        let (now, transport) = (asked.now.instant, repeats(asked.flow.transport));
        let server = if asked.method == Method::Invite {
            Transaction::from(ServerInvite::new(transport, &self.timers))
        } else {
            ServerNonInvite::new(now, transport, &self.timers).into()
        };
        if let Some(key) = key {
            self.by_key.insert(key, place);
        }
        let context = ResponseContext::new(
            (place, serial),
            key,
            MethodKind::of(asked.method),
            Bytes::copy_from_slice(asked.message.bytes()),
            asked.flow.peer,
            upstream,
            server,
            loop_mark,
            now,
        );
        Some(Box::new(context))
    }

    /// Gives back what [`Engine::open`] has reserved.
    fn forget(&mut self, place: u32, key: Option<TransactionKey>) {
        if let Some(key) = key {
            self.by_key.remove(&key);
        }
        self.contexts.free(place);
    }

    pub(super) fn branch(&mut self, place: u32, loop_mark: u64) -> Branch {
        Branch {
            worker: self.worker,
            context: place,
            unique: self.draw(),
            loop_mark,
        }
    }

    pub(super) fn client(
        &self,
        now: Instant,
        is_invite: bool,
        bytes: &Bytes,
        to: &Flow,
    ) -> Transaction {
        let (bytes, transport) = (bytes.clone(), repeats(to.transport));
        if is_invite {
            ClientInvite::new(now, bytes, transport, &self.timers).into()
        } else {
            ClientNonInvite::new(now, bytes, transport, &self.timers).into()
        }
    }
}

pub(super) const fn overload() -> Unfit {
    Unfit::new(ProxyRefusal::Overload, StatusCode::SERVICE_UNAVAILABLE)
}

/// Where the answers to a request go: RFC 3261 §18.2.2, RFC 3581 §4. On a stream back by
/// the same connection.
fn upstream(asked: &Asked<'_, '_>, via: &Via<'_>) -> Option<Flow> {
    let flow = asked.flow;
    let peer = if flow.transport.is_reliable() {
        flow.peer
    } else {
        reply_target(via, flow.peer)
    };
    is_answerable(peer).then_some(Flow { peer, ..flow })
}
