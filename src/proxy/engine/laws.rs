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
/// Timers that run after the last step; each request has a dozen at most.
const ROUNDS_MAX: usize = 100_000;

/// Plays what the bytes say to a new engine: any datagrams from any of `sources`, answers of
/// any status to what was sent, requests inside the dialogs that come of it, repetitions
/// with damage, bounces, and time that passes. Whatever it is: nothing panics; what is sent
/// can be read, goes to one host and is no amplifier; and when time has passed, no request
/// is in progress.
///
/// A step is a byte for what is done, a byte for to what, and what it needs.
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
    let local = settings.listeners.first().map(|listener| listener.local);
    let Some(local) = local else { return };
    let mut stage = Stage {
        engine: Engine::new(settings, snapshot),
        snapshot,
        now,
        local,
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
    local: SocketAddr,
    sources: &'s [SocketAddr],
    /// What came, and from whom.
    came: Vec<(SocketAddr, Vec<u8>)>,
    /// What we sent, and to whom.
    went: Vec<(SocketAddr, Bytes)>,
    asked: u32,
}

impl Stage<'_> {
    fn step(&mut self, what: u8, which: u8, play: &mut Play<'_>) {
        match what % 7 {
            0 => {
                let bytes = play.bytes();
                if let Some(source) = nth(self.sources, which) {
                    self.comes(*source, bytes);
                }
            }
            1 => {
                let status = StatusCode::new(100 + u16::from(play.byte().unwrap_or_default()) * 3);
                let damage = play.bytes();
                let answer = (nth(&self.went, which))
                    .zip(status)
                    .and_then(|((to, bytes), status)| Some((*to, answer_to(bytes, status)?)));
                if let Some((from, bytes)) = answer {
                    self.comes(from, &damaged(bytes, damage));
                }
            }
            2 => {
                let damage = play.bytes();
                if let Some((source, bytes)) = nth(&self.came, which).cloned() {
                    self.comes(source, &damaged(bytes, damage));
                }
            }
            3 => self.passes(Duration::from_millis(u64::from(which) * 250)),
            4 => {
                if let Some((to, bytes)) = nth(&self.went, which).cloned() {
                    let bytes = &bytes;
                    self.input(Input::SendFailed { to, bytes }, None);
                }
            }
            5 => {
                let method = [
                    &b"BYE"[..],
                    b"ACK",
                    b"INVITE",
                    b"PRACK",
                    b"CANCEL",
                    b"REFER",
                ];
                let method = nth(&method, play.byte().unwrap_or_default()).copied();
                let damage = play.bytes();
                self.asked += 1;
                let asked = (nth(&self.went, which))
                    .zip(method)
                    .and_then(|((_, invite), method)| inside(invite, method, self.asked));
                if let (Some(bytes), Some(source)) = (asked, nth(self.sources, which)) {
                    self.comes(*source, &damaged(bytes, damage));
                }
            }
            _ => {
                let cancel = nth(&self.came, which).map(|(source, bytes)| {
                    let text = String::from_utf8_lossy(bytes).replace("INVITE", "CANCEL");
                    (*source, text.into_bytes())
                });
                if let Some((source, bytes)) = cancel {
                    self.comes(source, &bytes);
                }
            }
        }
    }

    fn comes(&mut self, source: SocketAddr, bytes: &[u8]) {
        let bytes = bytes.get(..MESSAGE_BYTES_MAX).unwrap_or(bytes);
        if self.came.len() < REMEMBERED_MAX {
            self.came.push((source, bytes.to_vec()));
        }
        let flow = Flow {
            listener: 0,
            transport: FlowTransport::Udp,
            local: self.local,
            peer: source,
        };
        self.input(Input::Received { flow, bytes }, Some((source, bytes.len())));
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
                self.went.push((flow.peer, bytes));
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
fn answer_to(request: &[u8], status: StatusCode) -> Option<Vec<u8>> {
    let request = Message::parse_datagram(request).ok()?;
    request.method()?;
    let routes = request.all(HeaderName::RecordRoute);
    let routes = routes.map(|route| (&b"Record-Route"[..], route));
    let contact = (&b"Contact"[..], &b"<sip:far@192.0.2.1>"[..]);
    let mut out = Vec::new();
    Reply::new(&request, status)
        .to_tag(b"far")
        .write_with(routes.chain([contact]), &mut out);
    Some(out)
}

/// A request of the caller inside the dialog of an INVITE we sent, along our Record-Route.
fn inside(invite: &[u8], method: &[u8], number: u32) -> Option<Vec<u8>> {
    let invite = Message::parse_datagram(invite).ok()?;
    let field = |name| invite.first(name).map(String::from_utf8_lossy);
    let method = String::from_utf8_lossy(method);
    let text = format!(
        "{method} sip:far@192.0.2.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKin{number}\r\n\
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
