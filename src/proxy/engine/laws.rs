//! What must hold whatever reaches the proxy, and in whatever order it comes.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;

use super::{Engine, Input, Output, ProxySettings};
use crate::limits::{MESSAGE_BYTES_MAX, RINGING_MS_MAX, UNKNOWN_SOURCE_GAIN_BYTES_MAX};
use crate::proxy::facts::is_answerable;
use crate::proxy::flow::{Flow, FlowTransport};
use crate::proxy::redirect::Now;
use crate::routing::{Snapshot, is_known_source};
use crate::sip::{HeaderName, Message, Reply, StatusCode};

/// Steps of a play that are played; the rest is not.
const STEPS_MAX: usize = 64;
/// Messages of either direction that later steps may come back to.
const REMEMBERED_MAX: usize = 64;
/// Kinds of steps.
const KINDS: u8 = 7;
/// Requests inside a dialog.
const METHODS: [&str; 6] = ["BYE", "ACK", "INVITE", "PRACK", "CANCEL", "REFER"];
/// Timers that run after the last step; each request has a dozen at most.
const ROUNDS_MAX: usize = 100_000;

/// Plays what the bytes say to a new engine: any datagrams from any of `sources`, answers of
/// any status to what was sent, requests inside the dialogs that come of it, repetitions
/// with damage, bounces, and time that passes. Whatever it is: nothing panics; what is sent
/// can be read, goes to one host and is no amplifier; and when time has passed, no request
/// is in progress.
///
/// A step is a byte for what is done and by which of our listeners, a byte for to what, and
/// what it needs.
///
/// # Panics
/// When a law is broken.
pub fn fuzz_proxy(
    settings: ProxySettings,
    sources: &[SocketAddr],
    snapshot: &Snapshot,
    now: Now,
    play: &[u8],
) {
    let listeners = settings.listeners.iter();
    let doors = listeners.map(|listener| (listener.transport, listener.local));
    let doors = doors.collect();
    let mut stage = Stage {
        engine: Engine::new(settings, snapshot),
        snapshot,
        now,
        doors,
        sources,
        came: Vec::new(),
        went: Vec::new(),
        asked: 0,
    };
    let mut play = Play(play);
    for _ in 0..STEPS_MAX {
        let (Some(what), Some(which)) = (play.byte(), play.byte()) else {
            break;
        };
        stage.step(what, which, &mut play);
    }
    stage.everything_ends();
}

/// What is left of a play.
struct Play<'p>(&'p [u8]);

impl<'p> Play<'p> {
    fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// So many bytes as the next two say, or all there are.
    fn bytes(&mut self) -> &'p [u8] {
        let low = self.byte().unwrap_or_default();
        let high = self.byte().unwrap_or_default();
        let length = usize::from(u16::from_le_bytes([low, high])).min(self.0.len());
        let (bytes, rest) = self.0.split_at_checked(length).unwrap_or_default();
        self.0 = rest;
        bytes
    }
}

struct Stage<'s> {
    engine: Engine,
    snapshot: &'s Snapshot,
    now: Now,
    /// Our listeners.
    doors: Vec<(FlowTransport, SocketAddr)>,
    sources: &'s [SocketAddr],
    /// What came, and how.
    came: Vec<(Flow, Vec<u8>)>,
    /// What we sent, and where.
    went: Vec<(Flow, Bytes)>,
    asked: u32,
}

impl Stage<'_> {
    fn step(&mut self, what: u8, which: u8, play: &mut Play<'_>) {
        let variant = what / KINDS;
        match what % KINDS {
            0 => self.anything_comes(variant, which, play.bytes()),
            1 => self.an_answer_comes(which, play.byte().unwrap_or_default(), play.bytes()),
            2 => self.it_comes_again(which, play.bytes()),
            3 => self.passes(Duration::from_millis(u64::from(which) * 250)),
            4 => self.it_bounces(which),
            5 => {
                let method = play.byte().unwrap_or_default();
                self.a_dialog_goes_on(variant, which, method, play.bytes());
            }
            _ => self.it_is_cancelled(which),
        }
    }

    fn anything_comes(&mut self, door: u8, source: u8, bytes: &[u8]) {
        if let Some(flow) = self.flow(door, source) {
            self.comes(flow, bytes);
        }
    }

    /// To a request we sent.
    fn an_answer_comes(&mut self, which: u8, status: u8, damage: &[u8]) {
        let status = StatusCode::new(100 + u16::from(status) * 3);
        let answer =
            nth(&self.requests(b""), which)
                .zip(status)
                .and_then(|((flow, bytes), status)| {
                    Some((*flow, answer_to(bytes, flow.peer, status)?))
                });
        if let Some((flow, bytes)) = answer {
            self.comes(flow, &damaged(bytes, damage));
        }
    }

    fn it_comes_again(&mut self, which: u8, damage: &[u8]) {
        if let Some((flow, bytes)) = nth(&self.came, which).cloned() {
            self.comes(flow, &damaged(bytes, damage));
        }
    }

    fn it_bounces(&mut self, which: u8) {
        if let Some((flow, bytes)) = nth(&self.went, which).cloned() {
            let (to, bytes) = (flow.peer, &bytes);
            self.input(Input::SendFailed { to, bytes }, None);
        }
    }

    /// By a request inside it; mostly of who called, for others are refused.
    fn a_dialog_goes_on(&mut self, caller: u8, which: u8, method: u8, damage: &[u8]) {
        self.asked += 1;
        let request = nth(&self.requests(b"INVITE "), which)
            .zip(nth(&METHODS, method))
            .and_then(|((to, invite), method)| inside(invite, to.peer, method, self.asked));
        let flow = match caller % 4 {
            3 => self.flow(which, which),
            _ => self.came.first().map(|(flow, _)| *flow),
        };
        if let Some((bytes, flow)) = request.zip(flow) {
            self.comes(flow, &damaged(bytes, damage));
        }
    }

    fn it_is_cancelled(&mut self, which: u8) {
        let cancel = nth(&self.came, which).map(|(flow, bytes)| {
            let text = String::from_utf8_lossy(bytes).replace("INVITE", "CANCEL");
            (*flow, text.into_bytes())
        });
        if let Some((flow, bytes)) = cancel {
            self.comes(flow, &bytes);
        }
    }

    /// Requests we sent that begin so.
    fn requests(&self, begin: &[u8]) -> Vec<(Flow, Bytes)> {
        let asks = |bytes: &Bytes| bytes.starts_with(begin) && !bytes.starts_with(b"SIP/");
        let requests = self.went.iter().filter(|(_, bytes)| asks(bytes));
        requests.cloned().collect()
    }

    /// From one of the sources to one of the listeners.
    fn flow(&self, door: u8, source: u8) -> Option<Flow> {
        let listener = door.checked_rem(u8::try_from(self.doors.len()).ok()?)?;
        let (transport, local) = *self.doors.get(usize::from(listener))?;
        Some(Flow {
            listener: u16::from(listener),
            transport,
            local,
            peer: *nth(self.sources, source)?,
        })
    }

    fn comes(&mut self, flow: Flow, bytes: &[u8]) {
        let bytes = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
        if self.came.len() < REMEMBERED_MAX {
            self.came.push((flow, bytes.to_vec()));
        }
        // Who has a connection has shown that its address is its own.
        let may_be_forged = !flow.transport.is_reliable();
        let came = may_be_forged.then_some((flow.peer, bytes.len()));
        self.input(Input::Received { flow, bytes }, came);
    }

    fn input(&mut self, input: Input<'_>, came: Option<(SocketAddr, usize)>) {
        self.engine.handle(self.now, input, self.snapshot);
        let mut told_bytes = 0;
        while let Some(output) = self.engine.poll_output() {
            let Output::Transmit { flow, bytes } = output else {
                continue;
            };
            assert!(is_answerable(flow.peer), "{}", flow.peer);
            is_a_message(&bytes);
            if came.is_some_and(|(source, _)| source.ip() == flow.peer.ip()) {
                told_bytes += bytes.len();
            }
            if self.went.len() < REMEMBERED_MAX {
                self.went.push((flow, bytes));
            }
        }
        if let Some((source, length)) = came
            && !is_known_source(&self.snapshot.table, source.ip())
        {
            let gain = told_bytes.saturating_sub(length);
            assert!(gain <= UNKNOWN_SOURCE_GAIN_BYTES_MAX, "{gain} bytes more");
        }
    }

    /// Every timer runs at its time.
    fn passes(&mut self, time: Duration) {
        let until = self.now.instant + time;
        for _ in 0..ROUNDS_MAX {
            match self.engine.poll_timeout() {
                Some(due) if due <= until => self.runs(due),
                _ => break,
            }
        }
        self.now.instant = until;
    }

    fn runs(&mut self, due: std::time::Instant) {
        self.now.instant = due.max(self.now.instant);
        self.input(Input::TimerDue, None);
    }

    fn everything_ends(&mut self) {
        let latest = self.now.instant + Duration::from_millis(2 * RINGING_MS_MAX);
        for _ in 0..ROUNDS_MAX {
            if self.engine.in_progress() == 0 {
                return;
            }
            let due = self.engine.poll_timeout();
            match due.filter(|due| *due <= latest) {
                Some(due) => self.runs(due),
                None => break,
            }
        }
        let left = self.engine.in_progress();
        assert_eq!(left, 0, "requests in progress that no timer ends");
    }
}

/// The one of them that a byte chooses.
fn nth<T>(all: &[T], which: u8) -> Option<&T> {
    all.get(usize::from(which).checked_rem(all.len())?)
}

/// The answer of who got this request; with what makes a dialog.
fn answer_to(request: &[u8], far: SocketAddr, status: StatusCode) -> Option<Vec<u8>> {
    let request = Message::parse_datagram(request).ok()?;
    request.method()?;
    let routes = request.all(HeaderName::RecordRoute);
    let routes = routes.map(|route| (&b"Record-Route"[..], route));
    let contact = format!("<sip:far@{far}>");
    let contact = (&b"Contact"[..], contact.as_bytes());
    let mut out = Vec::new();
    Reply::new(&request, status)
        .to_tag(b"far")
        .write_with(routes.chain([contact]), &mut out);
    Some(out)
}

/// A request of the caller inside the dialog of an INVITE we sent, along our Record-Route.
fn inside(invite: &[u8], far: SocketAddr, method: &str, number: u32) -> Option<Vec<u8>> {
    let invite = Message::parse_datagram(invite).ok()?;
    let field = |name| invite.first(name).map(String::from_utf8_lossy);
    let text = format!(
        "{method} sip:far@{far} SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKin{number}\r\n\
         Route: {}\r\nFrom: {}\r\nTo: {};tag=far\r\nCall-ID: {}\r\nCSeq: {number} {method}\r\n\
         Contact: <sip:near@192.0.2.9>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        field(HeaderName::RecordRoute)?,
        field(HeaderName::From)?,
        field(HeaderName::To)?,
        field(HeaderName::CallId)?,
    );
    Some(text.into_bytes())
}

/// The message with the first of these bytes as place, and the others put there instead.
fn damaged(mut bytes: Vec<u8>, damage: &[u8]) -> Vec<u8> {
    let [low, high, put @ ..] = damage else {
        return bytes;
    };
    let at = usize::from(u16::from_le_bytes([*low, *high])).checked_rem(bytes.len());
    let at = at.unwrap_or_default();
    let end = (at + put.len()).min(bytes.len());
    bytes.splice(at..end, put.iter().copied());
    bytes
}

/// What leaves can be read. Only the refusal of a damaged request has damaged fields.
fn is_a_message(bytes: &[u8]) {
    assert!(bytes.len() <= 2 * MESSAGE_BYTES_MAX);
    let text = || bytes.escape_ascii().to_string();
    match Message::parse_datagram(bytes) {
        Ok(message) => {
            if message.method().is_some() {
                let via = message.top_via();
                assert!(via.is_ok_and(|via| via.branch().is_some()), "{}", text());
            }
        }
        Err(error) => {
            let is_refusal = [&b"SIP/2.0 4"[..], b"SIP/2.0 5"]
                .iter()
                .any(|start| bytes.starts_with(start));
            assert!(is_refusal, "{error}: {}", text());
            assert_eq!(memchr::memmem::find_iter(bytes, b"\r\n\r\n").count(), 1);
        }
    }
}
