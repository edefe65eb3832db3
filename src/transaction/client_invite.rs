//! The INVITE client transaction: RFC 3261 §17.1.1 with the Accepted state of
//! RFC 6026 §7.2.

use std::time::Instant;

use bytes::Bytes;

use super::timers::{Repeat, first_of};
use super::{Action, Actions, Event, StateName, TimerName, Timers, Transport};
use crate::sip::{Message, write_ack};

/// One INVITE client transaction.
#[derive(Debug, Clone)]
pub struct ClientInvite {
    state: State,
    /// The INVITE, then its ACK; empty when neither is wanted any more.
    message: Bytes,
    timers: Timers,
    transport: Transport,
}

/// The states of RFC 3261 figure 5 and RFC 6026 §8.4, each with its timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Calling { a: Option<Repeat>, b: Instant },
    Proceeding,
    Accepted { m: Instant },
    Completed { d: Instant },
    Terminated,
}

impl ClientInvite {
    /// A transaction for this INVITE, which the caller sends at `now`.
    #[must_use]
    pub fn new(now: Instant, invite: Bytes, transport: Transport, timers: &Timers) -> Self {
        Self {
            state: State::Calling {
                a: Repeat::over(transport, now, timers.t1_ms),
                b: now + timers.b(),
            },
            message: invite,
            timers: *timers,
            transport,
        }
    }

    /// Takes one event at `now` and says what to do.
    pub fn step(&mut self, now: Instant, event: Event<'_>) -> Actions {
        let mut actions = Actions::new();
        match (self.state, event) {
            (State::Calling { .. } | State::Proceeding, Event::Response(response)) => {
                self.responded(now, response, &mut actions);
            }
            (State::Calling { b, .. }, Event::TimerDue) if now >= b => {
                actions.push(Action::Timeout);
                self.end(&mut actions);
            }
            (State::Calling { a: Some(a), b }, Event::TimerDue) if now >= a.at => {
                // RFC 3261 §17.1.1.2: A doubles without the limit of T2.
                let a = Some(a.doubled(now, u32::MAX));
                self.state = State::Calling { a, b };
                actions.push(Action::SendRequest(self.message.clone()));
            }
            (State::Accepted { .. }, Event::Response(response)) if class(response) == 2 => {
                actions.push(Action::Deliver);
            }
            (State::Accepted { m: end } | State::Completed { d: end }, Event::TimerDue)
                if now >= end =>
            {
                self.end(&mut actions);
            }
            (State::Completed { .. }, Event::Response(response)) if class(response) > 2 => {
                self.send_ack(&mut actions);
            }
            (State::Calling { .. } | State::Completed { .. }, Event::SendFailed) => {
                actions.push(Action::TransportFailed);
                self.end(&mut actions);
            }
            (State::Terminated, _) => {}
            (_, Event::Abandon) => self.end(&mut actions),
            _ => {}
        }
        actions
    }

    /// When [`Event::TimerDue`] is wanted next, and for which timer. None runs while
    /// the call proceeds: timer C is the proxy's (RFC 3261 §16.6 step 11).
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, TimerName)> {
        match self.state {
            State::Calling { a, b } => Some(first_of(a, TimerName::A, (b, TimerName::B))),
            State::Proceeding | State::Terminated => None,
            State::Accepted { m } => Some((m, TimerName::M)),
            State::Completed { d } => Some((d, TimerName::D)),
        }
    }

    /// The INVITE, while it waits for its final response: what a CANCEL is made of.
    #[must_use]
    pub const fn pending_invite(&self) -> Option<&Bytes> {
        match self.state {
            State::Calling { .. } | State::Proceeding => Some(&self.message),
            _ => None,
        }
    }

    /// Whether a provisional response has come and no final one: only now a CANCEL may
    /// be sent (RFC 3261 §9.1).
    #[must_use]
    pub const fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self.state {
            State::Calling { .. } => StateName::Calling,
            State::Proceeding => StateName::Proceeding,
            State::Accepted { .. } => StateName::Accepted,
            State::Completed { .. } => StateName::Completed,
            State::Terminated => StateName::Terminated,
        }
    }

    /// Whether the transaction is over and can be forgotten.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    fn responded(&mut self, now: Instant, response: &Message<'_>, actions: &mut Actions) {
        match class(response) {
            0 => {}
            1 => {
                self.state = State::Proceeding;
                actions.push(Action::Deliver);
            }
            2 => {
                self.message = Bytes::new();
                self.state = State::Accepted {
                    m: now + self.timers.m(),
                };
                actions.push(Action::Deliver);
            }
            _ => {
                self.message = self.ack(response);
                self.send_ack(actions);
                actions.push(Action::Deliver);
                match self.transport {
                    Transport::Unreliable => {
                        self.state = State::Completed {
                            d: now + self.timers.d(self.transport),
                        };
                    }
                    Transport::Reliable => self.end(actions),
                }
            }
        }
    }

    /// RFC 3261 §17.1.1.3. Empty when the INVITE is no request with the fields an ACK
    /// needs: then there was nothing to acknowledge.
    fn ack(&self, response: &Message<'_>) -> Bytes {
        let mut ack = Vec::with_capacity(self.message.len().min(1_024));
        let invite = Message::parse_datagram(&self.message);
        match invite.and_then(|invite| write_ack(&invite, response, &mut ack)) {
            // Kept for half a minute: without the room it did not need.
            Ok(()) => Bytes::from(ack.into_boxed_slice()),
            Err(_) => Bytes::new(),
        }
    }

    fn send_ack(&self, actions: &mut Actions) {
        if !self.message.is_empty() {
            actions.push(Action::SendRequest(self.message.clone()));
        }
    }

    fn end(&mut self, actions: &mut Actions) {
        self.state = State::Terminated;
        self.message = Bytes::new();
        actions.push(Action::Terminate);
    }
}

/// The class of a response, 1 to 6; 0 for a request.
fn class(response: &Message<'_>) -> u8 {
    response.status().map_or(0, |status| status.class())
}
