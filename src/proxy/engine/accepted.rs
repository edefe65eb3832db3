//! A 2xx to INVITE and its ACK, hop by hop: what [`Acceptance`] keeps and who finds it.

use std::hash::BuildHasher;
use std::time::Instant;

use bytes::Bytes;

use super::{Engine, Output, repeats};
use crate::limits::ACCEPTANCES_MAX;
use crate::proxy::acceptance::{Acceptance, Again};
use crate::proxy::flow::Flow;
use crate::proxy::forwarding;
use crate::proxy::held::{DialogEnd, Followed, Kept};
use crate::proxy::proxy_event::{CallEnd, CallEnded, EndedBy, ProxyEvent, ProxyRepeat};
use crate::proxy::response_context::{HeldDialog, InviteMark, ResponseContext};
use crate::routing::CallHold;
use crate::sip::{Message, Method, RequestHead, StatusCode};

impl Engine {
    /// A 2xx to the INVITE of a new call makes a dialog with this callee: what the attempt
    /// has held is the call's from now on.
    pub(super) fn hold_call(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        (hold, callee): (Option<CallHold>, u64),
        answer: &Message<'_>,
    ) {
        if hold.is_none() && self.held.is_empty() && !self.follows {
            return;
        }
        let Some(mark) = context.mark.filter(|_| context.held.is_none()) else {
            return;
        };
        let follows = self.follows && context.answered.is_none() && self.held.has_room();
        let call = context.call.as_mut().filter(|_| follows);
        let followed = call.map(|call| {
            call.is_followed = true;
            Followed {
                call: call.number,
                answered: now,
            }
        });
        let kept = Kept { hold, followed };
        self.held.begin(now, (mark.dialog, callee), kept, answer);
    }

    /// Calls whose time is over.
    pub(super) fn held_due(&mut self, now: Instant) {
        let outputs = &mut self.outputs;
        self.held.due(now, |followed, by| {
            let ended = CallEnded {
                call: Some(followed.call),
                by,
                up_ms: Some(since_ms(followed.answered, now)),
                bye: Bytes::new(),
                source: None,
            };
            outputs.push_back(Output::Event(ProxyEvent::Ended(Box::new(ended))));
        });
    }

    /// The counted or followed call that a request inside a dialog belongs to, by our
    /// Record-Route. Where calls are followed, a BYE of a call nobody knows as well: `of_sender`
    /// is the mark of the dialog as who sent it has it.
    pub(super) fn held_dialog(
        &self,
        marks: &[u64],
        head: &RequestHead<'_>,
        of_sender: u64,
    ) -> Option<HeldDialog> {
        let ends = head.method == Method::Bye;
        if self.held.is_empty() && !(self.follows && ends) {
            return None;
        }
        let known = marks.iter().copied().find(|mark| self.held.has(*mark));
        let unknown = || marks.first().copied().filter(|_| self.follows && ends);
        let mark = known.or_else(unknown)?;
        let by = if !ends {
            CallEnd::Somebody
        } else if marks.contains(&of_sender) {
            CallEnd::Caller
        } else {
            let tag = head.to.tag().unwrap_or_default();
            match marks.contains(&self.secret.dialog(head.call_id, tag)) {
                true => CallEnd::Callee,
                false => CallEnd::Somebody,
            }
        };
        Some(HeldDialog {
            mark,
            tags: [&head.to, &head.from].map(|end| self.callee_tag(end.tag())),
            refreshes: matches!(head.method, Method::Invite | Method::Update),
            ends,
            by,
        })
    }

    /// A request in the dialog of a counted call has its final answer, or will never have
    /// one. Who sends a BYE is done with the call whatever the answer (RFC 3261 §15.1.1),
    /// unless it is asked to prove who it is and says it again.
    pub(super) fn held_answered(
        &mut self,
        now: Instant,
        context: &ResponseContext,
        dialog: HeldDialog,
        status: StatusCode,
        answer: Option<&Message<'_>>,
    ) {
        let is_challenge = matches!(status.code(), 401 | 407);
        if dialog.ends && !is_challenge {
            let remembers = self.follows;
            match self.held.end(now, dialog.mark, dialog.tags, remembers) {
                DialogEnd::Of(passes) => {
                    for followed in passes {
                        self.tell_end(context, dialog.by, Some(followed));
                    }
                }
                DialogEnd::Unknown if self.follows => self.tell_end(context, dialog.by, None),
                DialogEnd::Unknown | DialogEnd::NoEnd => {}
            }
        } else if dialog.refreshes
            && status.is_success()
            && let Some(answer) = answer
        {
            self.held.lasts(now, dialog.mark, answer);
        }
    }

    /// Tells of the end of a call: it was over when its BYE came.
    fn tell_end(&mut self, context: &ResponseContext, by: CallEnd, of: Option<Followed>) {
        self.event(ProxyEvent::Ended(Box::new(CallEnded {
            call: of.map(|followed| followed.call),
            by,
            up_ms: of.map(|followed| since_ms(followed.answered, context.begun)),
            bye: context.request.clone(),
            source: Some(context.source),
        })));
    }

    /// A 2xx that was relayed to the caller: until its ACK passes it is repeated.
    ///
    /// Not where its ACK would not be known: another INVITE of the same dialog still waits
    /// for one (a spiral), or more dialogs came of one INVITE than [`ACCEPTANCES_MAX`].
    pub(super) fn accepted(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        id: (u64, u64),
        response: Bytes,
    ) {
        let Some(mark) = context.mark.filter(|_| self.index(context)) else {
            return;
        };
        if context.acceptances.len() >= ACCEPTANCES_MAX {
            return;
        }
        self.by_dialog.insert(mark.dialog, context.place);
        let upstream = repeats(context.upstream.transport);
        // Most INVITEs are accepted once.
        context.acceptances.reserve_exact(1);
        let acceptance = Acceptance::new(now, id, response, upstream, &self.timers);
        context.acceptances.push(acceptance);
    }

    /// Whether ACKs of its dialog may be taken for those of this INVITE.
    fn index(&self, context: &ResponseContext) -> bool {
        let Some(mark) = context.mark else {
            return false;
        };
        let place = self.by_dialog.get(&mark.dialog).copied();
        place
            .filter(|place| *place != context.place)
            .is_none_or(|other| {
                let other = self.contexts.get(other);
                other.is_none_or(|other| !other.awaits_ack())
            })
    }

    /// A 2xx came again. Whether there is nothing more to do about it.
    pub(super) fn accepted_again(
        &mut self,
        now: Instant,
        context: &mut ResponseContext,
        (unique, tag): (u64, u64),
        message: &Message<'_>,
        status: StatusCode,
    ) -> bool {
        let mut known = context.acceptances.iter();
        let Some(known) = known.find(|known| known.is_of(unique, tag)) else {
            return false;
        };
        match known.again() {
            Again::Acknowledge(to, ack) => {
                self.transmit(to, ack);
                self.event(ProxyEvent::Repeated(ProxyRepeat::Ack));
            }
            Again::Absorb => self.event(ProxyEvent::Repeated(ProxyRepeat::SuccessAbsorbed)),
            Again::Relay => {
                if let Some(response) = forwarding::without_own_via(message, &mut self.page) {
                    self.give(now, context, status, response, EndedBy::Answer);
                }
            }
        }
        true
    }

    /// Sends again what is due of the 2xx without an ACK.
    pub(super) fn accepted_due(&mut self, now: Instant, context: &mut ResponseContext) {
        let flow = context.upstream;
        for acceptance in &mut context.acceptances {
            if let Some(response) = acceptance.due(now, &self.timers) {
                self.transmit(flow, response);
                self.event(ProxyEvent::Repeated(ProxyRepeat::Success));
            }
        }
    }

    /// An ACK of a 2xx has passed. It counts if it came from who sent the INVITE: in a spiral
    /// each of the two passes has its own.
    pub(super) fn acknowledged(
        &mut self,
        from: &Flow,
        (mark, tag): (InviteMark, Option<&[u8]>),
        (to, ack): (Flow, &Bytes),
    ) {
        let tag = self.callee_tag(tag);
        let place = self.by_dialog.get(&mark.dialog).copied();
        let Some(context) = place.and_then(|place| self.contexts.get_mut(place)) else {
            return;
        };
        if context.mark == Some(mark) && context.source.ip() == from.peer.ip() {
            let mut acceptances = context.acceptances.iter_mut();
            if let Some(acceptance) = acceptances.find(|known| known.has_tag(tag)) {
                acceptance.acknowledge(to, ack);
            }
        }
    }

    /// A BYE passes: who hangs up has no use for the 2xx of that dialog any more.
    pub(super) fn hung_up(&mut self, marks: &[u64], bye: &RequestHead<'_>) {
        for mark in marks {
            let place = self.by_dialog.get(mark).copied();
            let Some(context) = place.and_then(|place| self.contexts.get(place)) else {
                continue;
            };
            if !context.awaits_ack() {
                continue;
            }
            let tags = [&bye.to, &bye.from].map(|end| self.callee_tag(end.tag()));
            if let Some(context) = place.and_then(|place| self.contexts.get_mut(place)) {
                for acceptance in &mut context.acceptances {
                    if tags.into_iter().any(|tag| acceptance.has_tag(tag)) {
                        acceptance.end();
                    }
                }
            }
        }
    }

    /// What the tag of a callee's side is compared by.
    pub(super) fn callee_tag(&self, tag: Option<&[u8]>) -> u64 {
        self.key.hash_one(tag.unwrap_or_default())
    }

    /// A context ends: nobody shall be led to its place.
    pub(super) fn forget_mark(&mut self, context: &ResponseContext) {
        if let Some(mark) = context.mark.filter(|_| !context.acceptances.is_empty())
            && self.by_dialog.get(&mark.dialog) == Some(&context.place)
        {
            self.by_dialog.remove(&mark.dialog);
        }
    }
}

fn since_ms(begun: Instant, now: Instant) -> u64 {
    let since = now.saturating_duration_since(begun).as_millis();
    u64::try_from(since).unwrap_or(u64::MAX)
}
