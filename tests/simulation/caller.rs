//! The callers: user agents behind one SBC, each with one call and a mind of its own.

use std::collections::BTreeMap;

use trunkline::sip::{HeaderName, Message};

use crate::chance::Chance;
use crate::world::{CALLER, Timer, Todo, next_repeat_ms, text, values};

/// One call as its caller sees it.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) id: usize,
    pub(crate) invite: String,
    pub(crate) state: State,
    /// The first final answer.
    pub(crate) answered: Option<u16>,
    /// The final answer that is no 2xx, with its To tag: there is one, however often it comes.
    refused: Option<(u16, String)>,
    pub(crate) wants_cancel: bool,
    pub(crate) cancelled_at_ms: Option<u64>,
    cancel_done: bool,
    pub(crate) dialogs: BTreeMap<String, CallerDialog>,
    holds_ms: u64,
    hangs_up: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Calling,
    Proceeding,
    Done,
    /// Timer B: nobody said anything.
    Unheard,
}

#[derive(Debug)]
pub(crate) struct CallerDialog {
    routes: Vec<String>,
    target: String,
    to: String,
    ack: String,
    bye: Option<String>,
    bye_done: bool,
    pub(crate) ended: bool,
}

impl Caller {
    pub(crate) fn new(id: usize, number: &str, chance: &mut Chance) -> Self {
        let body = "v=0\r\n";
        let invite = format!(
            "INVITE sip:{number}@10.0.0.1 SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKc{id};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:+441632960001@10.0.0.10>;tag=a{id}\r\n\
             To: <sip:{number}@10.0.0.1>\r\nCall-ID: {id}@sim\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:alice@10.0.0.10:5060>\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        );
        Self {
            id,
            invite,
            state: State::Calling,
            answered: None,
            refused: None,
            wants_cancel: false,
            cancelled_at_ms: None,
            cancel_done: false,
            dialogs: BTreeMap::new(),
            holds_ms: chance.within(100, 60_000),
            hangs_up: chance.permille(600),
        }
    }

    pub(crate) fn begin(&self, todo: &mut Todo) {
        todo.send(CALLER, &self.invite);
        todo.wake(500, Timer::Invite(self.id, 500));
        todo.wake(32_000, Timer::B(self.id));
    }

    pub(crate) fn wake(&mut self, timer: &Timer, todo: &mut Todo) {
        match timer {
            Timer::Invite(id, after_ms) if self.state == State::Calling => {
                todo.send(CALLER, &self.invite);
                todo.wake(after_ms * 2, Timer::Invite(*id, after_ms * 2));
            }
            Timer::B(_) if self.state == State::Calling => self.state = State::Unheard,
            Timer::WantsCancel(_) if self.answered.is_none() => {
                self.wants_cancel = true;
                if self.state == State::Proceeding {
                    self.cancel(todo);
                }
            }
            Timer::Cancel(id, spent_ms, after_ms) if !self.cancel_done => {
                self.repeat(
                    (*spent_ms, *after_ms),
                    &self.cancel_text(),
                    |spent, after| Timer::Cancel(*id, spent, after),
                    todo,
                );
            }
            Timer::Bye(id, tag, spent_ms, after_ms) => {
                let Some(dialog) = self.dialogs.get(tag).filter(|d| !d.bye_done) else {
                    return;
                };
                let bye = dialog.bye.clone().unwrap_or_default();
                let again = |spent, after| Timer::Bye(*id, tag.clone(), spent, after);
                self.repeat((*spent_ms, *after_ms), &bye, again, todo);
            }
            Timer::HangUp(_, tag) => self.hang_up(tag, todo),
            _ => {}
        }
    }

    /// Timers E and F.
    fn repeat(
        &self,
        (spent_ms, after_ms): (u64, u64),
        text: &str,
        timer: impl Fn(u64, u64) -> Timer,
        todo: &mut Todo,
    ) {
        if spent_ms + after_ms >= 32_000 {
            return;
        }
        todo.send(CALLER, text);
        let next_ms = next_repeat_ms(after_ms);
        todo.wake(next_ms, timer(spent_ms + after_ms, next_ms));
    }

    pub(crate) fn response(&mut self, message: &Message<'_>, todo: &mut Todo) {
        let (status, cseq) = (message.status().unwrap().code(), message.cseq().unwrap());
        match cseq.method.as_bytes() {
            b"INVITE" => self.invite_response(status, message, todo),
            b"CANCEL" if status >= 200 => {
                self.cancel_done = true;
                assert!(
                    status == 200 || status == 481,
                    "a CANCEL was answered {status}"
                );
            }
            b"BYE" if status >= 200 => {
                let tag = tag_of(message);
                if let Some(dialog) = self.dialogs.get_mut(&tag) {
                    dialog.bye_done = true;
                }
            }
            _ => {}
        }
    }

    fn invite_response(&mut self, status: u16, message: &Message<'_>, todo: &mut Todo) {
        if status < 200 {
            if self.state == State::Calling {
                self.state = State::Proceeding;
                if self.wants_cancel {
                    self.cancel(todo);
                }
            }
            return;
        }
        let first = self.answered.is_none();
        self.answered.get_or_insert(status);
        if self.state != State::Unheard {
            self.state = State::Done;
        }
        if status >= 300 {
            let this = (status, tag_of(message));
            let before = self.refused.get_or_insert_with(|| this.clone());
            assert_eq!(*before, this, "call {}: two final responses", self.id);
            todo.send(CALLER, &self.ack_of_refusal(message));
        } else {
            self.accept(message, first, todo);
        }
    }

    /// A 2xx: acknowledged each time it comes; one nobody waited for is ended at once.
    fn accept(&mut self, message: &Message<'_>, first: bool, todo: &mut Todo) {
        let tag = tag_of(message);
        if let Some(dialog) = self.dialogs.get(&tag) {
            return todo.send(CALLER, &dialog.ack);
        }
        let mut routes = values(message, HeaderName::RecordRoute);
        routes.reverse();
        let contact = text(message.first(HeaderName::Contact).unwrap());
        let mut dialog = CallerDialog {
            routes,
            target: contact.trim_matches(['<', '>']).to_owned(),
            to: text(message.first(HeaderName::To).unwrap()),
            ack: String::new(),
            bye: None,
            bye_done: false,
            ended: false,
        };
        dialog.ack = self.in_dialog(&dialog, "ACK", 1);
        todo.send(CALLER, &dialog.ack);
        self.dialogs.insert(tag.clone(), dialog);
        let wanted = first && self.state == State::Done && self.cancelled_at_ms.is_none();
        if !wanted {
            self.hang_up(&tag, todo);
        } else if self.hangs_up {
            todo.wake(self.holds_ms, Timer::HangUp(self.id, tag));
        }
    }

    fn hang_up(&mut self, tag: &str, todo: &mut Todo) {
        let Some(dialog) = self
            .dialogs
            .get(tag)
            .filter(|d| !d.ended && d.bye.is_none())
        else {
            return;
        };
        let bye = self.in_dialog(dialog, "BYE", 2);
        todo.send(CALLER, &bye);
        todo.wake(500, Timer::Bye(self.id, tag.to_owned(), 0, 500));
        let dialog = self.dialogs.get_mut(tag).unwrap();
        dialog.bye = Some(bye);
        dialog.ended = true;
    }

    /// A request inside the dialog: answered, known or not.
    pub(crate) fn request(&mut self, message: &Message<'_>, todo: &mut Todo) {
        let tag = text(message.from().unwrap().tag().unwrap_or_default());
        if message.method().unwrap().as_bytes() == b"BYE"
            && let Some(dialog) = self.dialogs.get_mut(&tag)
        {
            dialog.ended = true;
        }
        todo.reply(CALLER, message, 200, "");
    }

    fn cancel(&mut self, todo: &mut Todo) {
        if self.answered.is_none() && self.cancelled_at_ms.is_none() {
            self.cancelled_at_ms = Some(todo.now_ms);
            todo.send(CALLER, &self.cancel_text());
            todo.wake(500, Timer::Cancel(self.id, 0, 500));
        }
    }

    fn cancel_text(&self) -> String {
        let body = self.invite.find("Contact:").unwrap();
        let head = self.invite.split_at(body).0.replace("INVITE", "CANCEL");
        format!("{head}Content-Length: 0\r\n\r\n")
    }

    fn ack_of_refusal(&self, response: &Message<'_>) -> String {
        let to = text(response.first(HeaderName::To).unwrap());
        let body = self.invite.find("Contact:").unwrap();
        let head = self.invite.split_at(body).0.replace("INVITE", "ACK");
        let (before, rest) = head.split_once("To: ").unwrap();
        let rest = rest.split_once("\r\n").unwrap().1;
        format!("{before}To: {to}\r\n{rest}Content-Length: 0\r\n\r\n")
    }

    fn in_dialog(&self, dialog: &CallerDialog, method: &str, number: u32) -> String {
        let routes: String = dialog
            .routes
            .iter()
            .map(|route| format!("Route: {route}\r\n"))
            .collect();
        let (id, to) = (self.id, &dialog.to);
        let tag = to.rsplit("tag=").next().unwrap();
        format!(
            "{method} {} SIP/2.0\r\n\
             Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bK{method}{id}{tag};rport\r\n\
             Max-Forwards: 70\r\n{routes}From: <sip:+441632960001@10.0.0.10>;tag=a{id}\r\n\
             To: {to}\r\nCall-ID: {id}@sim\r\nCSeq: {number} {method}\r\nContent-Length: 0\r\n\r\n",
            dialog.target
        )
    }
}

fn tag_of(message: &Message<'_>) -> String {
    text(message.to().unwrap().tag().unwrap_or_default())
}
