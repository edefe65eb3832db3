//! A 2xx to INVITE between this hop and the next: repeated to the caller's side until its
//! ACK has passed, and answered with that ACK when the callee's side repeats it.
//!
//! RFC 3261 §13.3.1.4 has the ends do both. Whatever is done here they may also see on a
//! network that delivers a datagram twice, late, or not at all: no message is made up, none
//! is changed, and without an ACK of the caller the callee never gets one.

use std::time::Instant;

use bytes::Bytes;

use super::flow::Flow;
use crate::transaction::{Repeat, Timers, Transport};

/// One 2xx that was relayed, known by its attempt and its To tag (a forked INVITE has
/// several). Lives in the context of its INVITE, so at most 64*T1.
#[derive(Debug)]
pub(super) struct Acceptance {
    unique: u64,
    tag: u64,
    state: State,
}

#[derive(Debug)]
enum State {
    /// No ACK was seen. `None`: it is not repeated by us, or not any more.
    Open(Option<Repeated>),
    /// The ACK as it left, byte for byte.
    Acknowledged { to: Flow, ack: Bytes },
}

#[derive(Debug)]
struct Repeated {
    response: Bytes,
    next: Repeat,
    until: Instant,
}

/// What to do with a 2xx that came again.
#[derive(Debug)]
pub(super) enum Again {
    /// The callee has not heard the ACK: it gets it again.
    Acknowledge(Flow, Bytes),
    /// The caller gets it from us, at our times.
    Absorb,
    /// It goes on, as it would through a proxy that keeps nothing.
    Relay,
}

impl Acceptance {
    /// A 2xx that was relayed at `now`. Over a reliable `upstream` we do not repeat it: it
    /// arrives, and behind the next hop its repetitions are the callee's to send.
    pub(super) fn new(
        now: Instant,
        (unique, tag): (u64, u64),
        response: Bytes,
        upstream: Transport,
        timers: &Timers,
    ) -> Self {
        let first_ms = timers.t1_ms.min(timers.t2_ms);
        let repeated = Repeat::over(upstream, now, first_ms).map(|next| Repeated {
            response,
            next,
            until: now + timers.l(),
        });
        Self {
            unique,
            tag,
            state: State::Open(repeated),
        }
    }

    /// Whether it is that of this attempt and To tag.
    pub(super) fn is_of(&self, unique: u64, tag: u64) -> bool {
        self.unique == unique && self.tag == tag
    }

    /// Whether an ACK or BYE with this tag of the callee's side is about it.
    pub(super) fn has_tag(&self, tag: u64) -> bool {
        self.tag == tag
    }

    /// Whether its ACK is still to come.
    pub(super) fn is_open(&self) -> bool {
        matches!(self.state, State::Open(Some(_)))
    }

    /// When [`Acceptance::due`] is wanted.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Open(Some(repeated)) => Some(repeated.next.at),
            _ => None,
        }
    }

    /// What the caller gets again now: after T1, then twice as long each time up to T2, and
    /// not beyond 64*T1 (RFC 3261 §13.3.1.4).
    pub(super) fn due(&mut self, now: Instant, timers: &Timers) -> Option<Bytes> {
        let State::Open(open) = &mut self.state else {
            return None;
        };
        let repeated = open.as_mut().filter(|repeated| repeated.next.at <= now)?;
        if now >= repeated.until {
            *open = None;
            return None;
        }
        repeated.next = repeated.next.doubled(now, timers.t2_ms);
        Some(repeated.response.clone())
    }

    /// Its ACK has passed, with these bytes. A later one takes the place of an earlier.
    pub(super) fn acknowledge(&mut self, to: Flow, ack: &Bytes) {
        let same = matches!(&self.state, State::Acknowledged { ack: kept, .. } if kept == ack);
        if !same {
            let ack = ack.clone();
            self.state = State::Acknowledged { to, ack };
        }
    }

    /// Its dialog is over: it is not repeated any more.
    pub(super) fn end(&mut self) {
        if let State::Open(open) = &mut self.state {
            *open = None;
        }
    }

    /// The callee's side sent it again.
    pub(super) fn again(&self) -> Again {
        match &self.state {
            State::Acknowledged { to, ack } => Again::Acknowledge(*to, ack.clone()),
            State::Open(Some(_)) => Again::Absorb,
            State::Open(None) => Again::Relay,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proxy::flow::FlowTransport;
    use std::time::Duration;

    fn accepted(now: Instant, upstream: Transport) -> Acceptance {
        let response = Bytes::from_static(b"SIP/2.0 200 OK\r\n\r\n");
        Acceptance::new(now, (1, 2), response, upstream, &Timers::default())
    }

    #[test]
    fn repeated_like_a_callee_would_and_no_longer() {
        let begun = Instant::now();
        let mut accepted = accepted(begun, Transport::Unreliable);
        let mut times_ms = Vec::new();
        for _ in 0..100 {
            let Some(at) = accepted.deadline() else { break };
            if accepted.due(at, &Timers::default()).is_some() {
                times_ms.push((at - begun).as_millis());
            }
        }
        let expected = [
            500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
        ];
        assert_eq!(times_ms, expected);
        assert_eq!(accepted.deadline(), None);
        assert!(matches!(accepted.again(), Again::Relay));
    }

    #[test]
    fn acknowledged_it_is_quiet_and_answers_with_the_ack() {
        let now = Instant::now();
        let address = std::net::SocketAddr::from(([10, 0, 0, 1], 5060));
        let to = Flow {
            listener: 0,
            transport: FlowTransport::Udp,
            local: address,
            peer: address,
        };
        for upstream in [Transport::Unreliable, Transport::Reliable] {
            let mut accepted = accepted(now, upstream);
            assert_eq!(accepted.is_open(), upstream == Transport::Unreliable);
            accepted.acknowledge(to, &Bytes::from_static(b"ACK with an answer"));
            accepted.end();
            assert_eq!(accepted.deadline(), None);
            let Again::Acknowledge(there, ack) = accepted.again() else {
                panic!("{accepted:?}");
            };
            assert_eq!((there, &ack[..]), (to, &b"ACK with an answer"[..]));
            let late = now + Duration::from_secs(1);
            assert_eq!(accepted.due(late, &Timers::default()), None);
        }
    }
}
