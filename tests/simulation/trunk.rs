//! The trunks: each answers calls as chance has it, and may be dead.

use std::collections::BTreeMap;

use trunkline::sip::{HeaderName, Message};

use crate::chance::Chance;
use crate::world::{Timer, Todo, next_repeat_ms, text, values};

#[derive(Debug)]
pub(crate) struct Trunk {
    pub(crate) place: usize,
    pub(crate) address: &'static str,
    pub(crate) alive: bool,
    /// Whether its machine says so when nobody listens.
    pub(crate) bounces: bool,
    /// By Call-ID and branch.
    pub(crate) calls: BTreeMap<(String, String), Callee>,
}

/// One INVITE as the callee sees it.
#[derive(Debug)]
pub(crate) struct Callee {
    pub(crate) call: usize,
    /// Where it came from: one of our listeners.
    us: &'static str,
    invite: String,
    pub(crate) tag: String,
    plan: Plan,
    last: Option<(u16, String)>,
    pub(crate) acked: bool,
    cancelled: bool,
    bye: Option<String>,
    bye_done: bool,
    pub(crate) ended: bool,
    /// A response of it reached the engine.
    pub(crate) heard: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Plan {
    Answer,
    Refuse(u16),
    /// Says 100 and then nothing.
    Stall,
    /// Says nothing at all.
    Silence,
    /// Rings until somebody ends it.
    Ring,
}

/// How long a phone rings before it gives up by itself.
const RINGS_MS: u64 = 250_000;

impl Trunk {
    pub(crate) fn new(place: usize, address: &'static str, chance: &mut Chance) -> Self {
        Self {
            place,
            address,
            alive: true,
            bounces: chance.permille(500),
            calls: BTreeMap::new(),
        }
    }

    pub(crate) fn request(
        &mut self,
        us: &'static str,
        message: &Message<'_>,
        chance: &mut Chance,
        todo: &mut Todo,
    ) {
        let call_id = text(message.call_id().unwrap());
        let branch = text(message.top_via().unwrap().branch().unwrap());
        let tag = message.to().unwrap().tag().map(text);
        match message.method().unwrap().as_bytes() {
            b"INVITE" => self.invite(us, (call_id, branch), message, chance, todo),
            b"CANCEL" => {
                todo.reply(self.address, message, 200, us);
                if let Some(callee) = self.calls.get_mut(&(call_id, branch)) {
                    callee.cancelled = true;
                    if callee.is_ringing() {
                        callee.finish((self.place, self.address), 487, todo);
                    }
                }
            }
            b"ACK" => {
                let of_this = |key: &(String, String), callee: &Callee| {
                    key.0 == call_id && tag.as_ref() == Some(&callee.tag)
                };
                for (key, callee) in &mut self.calls {
                    if of_this(key, callee) && callee.last.is_some() {
                        callee.acked = true;
                        callee.after_ack((self.place, self.address), key, todo);
                    }
                }
            }
            method => {
                todo.reply(self.address, message, 200, us);
                for callee in self.calls.values_mut() {
                    if method == b"BYE" && tag.as_ref() == Some(&callee.tag) {
                        callee.ended = true;
                    }
                }
            }
        }
    }

    fn invite(
        &mut self,
        us: &'static str,
        key: (String, String),
        message: &Message<'_>,
        chance: &mut Chance,
        todo: &mut Todo,
    ) {
        if let Some(callee) = self.calls.get(&key) {
            if let Some((_, last)) = callee
                .last
                .as_ref()
                .filter(|(s, _)| !(200..300).contains(s))
            {
                todo.send_to(self.address, us, last);
            }
            return;
        }
        let call: usize = key.0.split('@').next().unwrap().parse().unwrap();
        let plan = match chance.within(0, 99) {
            0..60 => Plan::Answer,
            60..68 => Plan::Refuse(486),
            68..80 => Plan::Refuse(503),
            80..83 => Plan::Refuse(chance.one_of(&[404, 408, 480, 500, 600, 603])),
            83..87 => Plan::Stall,
            87..92 => Plan::Silence,
            _ => Plan::Ring,
        };
        let mut callee = Callee {
            call,
            us,
            invite: text(message.bytes()),
            tag: format!("b{:x}", chance.next()),
            plan,
            last: None,
            acked: false,
            cancelled: false,
            bye: None,
            bye_done: false,
            ended: false,
            heard: false,
        };
        if plan != Plan::Silence {
            if plan == Plan::Stall || chance.permille(700) {
                callee.respond(self.address, 100, todo);
            }
            let place = self.place;
            if plan != Plan::Stall {
                todo.wake(chance.within(10, 3_000), Timer::Ring(place, key.clone()));
                let after_ms = chance.within(10, 20_000);
                todo.wake(after_ms, Timer::Decide(place, key.clone()));
            }
        }
        self.calls.insert(key, callee);
    }

    pub(crate) fn response(&mut self, message: &Message<'_>) {
        let tag = text(message.from().unwrap().tag().unwrap_or_default());
        if message.status().unwrap().is_final() {
            for callee in self.calls.values_mut().filter(|callee| callee.tag == tag) {
                callee.bye_done = true;
            }
        }
    }

    pub(crate) fn wake(&mut self, timer: &Timer, todo: &mut Todo) {
        let who = (self.place, self.address);
        let (Timer::Ring(_, key)
        | Timer::Decide(_, key)
        | Timer::NoAnswer(_, key)
        | Timer::Final(_, key, ..)
        | Timer::CalleeHangsUp(_, key)
        | Timer::CalleeBye(_, key, ..)) = timer
        else {
            return;
        };
        let Some(callee) = self.calls.get_mut(key) else {
            return;
        };
        match timer {
            Timer::Ring(..) if callee.is_ringing() && !matches!(callee.plan, Plan::Refuse(503)) => {
                callee.respond(self.address, 180, todo);
            }
            Timer::Decide(..) if callee.is_ringing() => match callee.plan {
                Plan::Answer => callee.finish(who, 200, todo),
                Plan::Refuse(status) => callee.finish(who, status, todo),
                _ => todo.wake(RINGS_MS, Timer::NoAnswer(self.place, key.clone())),
            },
            Timer::NoAnswer(..) if callee.is_ringing() => callee.finish(who, 480, todo),
            Timer::Final(_, _, spent_ms, after_ms) if !callee.acked => {
                callee.repeat_final(who, key, *spent_ms, *after_ms, todo);
            }
            Timer::CalleeHangsUp(..) => callee.hang_up(who, key, todo),
            Timer::CalleeBye(_, _, spent_ms, after_ms)
                if !callee.bye_done && spent_ms + after_ms < 32_000 =>
            {
                let bye = callee.bye.clone().unwrap_or_default();
                todo.send_to(self.address, callee.us, &bye);
                let next_ms = next_repeat_ms(*after_ms);
                let again = Timer::CalleeBye(self.place, key.clone(), spent_ms + after_ms, next_ms);
                todo.wake(next_ms, again);
            }
            _ => {}
        }
    }
}

impl Callee {
    pub(crate) fn is_ringing(&self) -> bool {
        self.last.as_ref().is_none_or(|(status, _)| *status < 200)
    }

    pub(crate) fn has_answered(&self) -> bool {
        self.last
            .as_ref()
            .is_some_and(|(status, _)| (200..300).contains(status))
    }

    fn respond(&mut self, address: &'static str, status: u16, todo: &mut Todo) {
        let message = Message::parse_datagram(self.invite.as_bytes()).unwrap();
        let mut lines = String::new();
        if status > 100 && status < 300 {
            for route in values(&message, HeaderName::RecordRoute) {
                lines += &format!("Record-Route: {route}\r\n");
            }
            lines += &format!("Contact: <sip:bob@{address}>\r\n");
            if status >= 200 {
                // Where a BYE is lost for good, the session ends all the same.
                lines += "Session-Expires: 1800;refresher=uas\r\n";
            }
        } else if status == 503 && self.tag.ends_with('0') {
            lines = "Retry-After: 3\r\n".to_owned();
        }
        let tag = (status > 100).then_some(&*self.tag);
        let response = todo.response(&message, status, tag, &lines);
        todo.send_to(address, self.us, &response);
        self.last = Some((status, response));
    }

    fn finish(&mut self, who: (usize, &'static str), status: u16, todo: &mut Todo) {
        self.respond(who.1, status, todo);
        let message = Message::parse_datagram(self.invite.as_bytes()).unwrap();
        let key = (
            text(message.call_id().unwrap()),
            text(message.top_via().unwrap().branch().unwrap()),
        );
        todo.wake(500, Timer::Final(who.0, key, 0, 500));
    }

    /// Timers G and H; for a 2xx RFC 3261 §13.3.1.4: without an ACK the call is ended.
    fn repeat_final(
        &mut self,
        who: (usize, &'static str),
        key: &(String, String),
        spent_ms: u64,
        after_ms: u64,
        todo: &mut Todo,
    ) {
        if spent_ms + after_ms >= 32_000 {
            if self.has_answered() {
                todo.unacknowledged += 1;
                self.hang_up(who, key, todo);
            }
            return;
        }
        let (_, last) = self.last.clone().unwrap();
        todo.send_to(who.1, self.us, &last);
        let next_ms = next_repeat_ms(after_ms);
        todo.wake(
            next_ms,
            Timer::Final(who.0, key.clone(), spent_ms + after_ms, next_ms),
        );
    }

    /// Whoever's turn it is to hang up: the callee does when it has held long enough.
    fn after_ack(&mut self, who: (usize, &'static str), key: &(String, String), todo: &mut Todo) {
        if self.has_answered() && !self.ended && self.bye.is_none() {
            todo.wake(70_000, Timer::CalleeHangsUp(who.0, key.clone()));
        }
    }

    fn hang_up(&mut self, who: (usize, &'static str), key: &(String, String), todo: &mut Todo) {
        if self.ended || self.bye.is_some() {
            return;
        }
        let message = Message::parse_datagram(self.invite.as_bytes()).unwrap();
        let routes: String = values(&message, HeaderName::RecordRoute)
            .iter()
            .map(|route| format!("Route: {route}\r\n"))
            .collect();
        let value = |name| text(message.first(name).unwrap());
        let contact = value(HeaderName::Contact);
        let bye = format!(
            "BYE {} SIP/2.0\r\nVia: SIP/2.0/UDP {};branch=z9hG4bKbye{};rport\r\n\
             Max-Forwards: 70\r\n{routes}From: {};tag={}\r\nTo: {}\r\nCall-ID: {}\r\n\
             CSeq: 1 BYE\r\nContent-Length: 0\r\n\r\n",
            contact.trim_matches(['<', '>']),
            who.1,
            self.tag,
            value(HeaderName::To),
            self.tag,
            value(HeaderName::From),
            value(HeaderName::CallId),
        );
        todo.send_to(who.1, self.us, &bye);
        todo.wake(500, Timer::CalleeBye(who.0, key.clone(), 0, 500));
        self.bye = Some(bye);
        self.ended = true;
    }
}
