//! The non-INVITE client transaction: RFC 3261 §17.1.2.

use std::time::Instant;

use bytes::Bytes;

use super::timers::{Repeat, first_of};
use super::{Action, Actions, Event, StateName, TimerName, Timers, Transport};

/// One client transaction of a request other than INVITE and ACK.
///
/// A response that comes after its end finds no transaction: RFC 4320 §4.2 has a proxy
/// drop it.
#[derive(Debug, Clone)]
pub struct ClientNonInvite {
    state: State,
    /// The request; empty once it is not repeated any more.
    request: Bytes,
    timers: Timers,
    transport: Transport,
}

/// The states of RFC 3261 figure 6, each with its timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Trying { e: Option<Repeat>, f: Instant },
    Proceeding { e: Option<Repeat>, f: Instant },
    Completed { k: Instant },
    Terminated,
}

impl ClientNonInvite {
    /// A transaction for this request, which the caller sends at `now`.
    #[must_use]
    pub fn new(now: Instant, request: Bytes, transport: Transport, timers: &Timers) -> Self {
        Self {
            state: State::Trying {
                e: Repeat::over(transport, now, timers.t1_ms.min(timers.t2_ms)),
                f: now + timers.f(),
            },
            request,
            timers: *timers,
            transport,
        }
    }

    /// Takes one event at `now` and says what to do.
    pub fn step(&mut self, now: Instant, event: Event<'_>) -> Actions {
        let mut actions = Actions::new();
        match (self.state, event) {
            (State::Trying { f, .. } | State::Proceeding { f, .. }, Event::TimerDue)
                if now >= f =>
            {
                actions.push(Action::Timeout);
                self.end(&mut actions);
            }
            (State::Trying { e: Some(e), f }, Event::TimerDue) if now >= e.at => {
                let e = Some(e.doubled(now, self.timers.t2_ms));
                self.state = State::Trying { e, f };
                actions.push(Action::SendRequest(self.request.clone()));
            }
            (State::Proceeding { e: Some(e), f }, Event::TimerDue) if now >= e.at => {
                let e = Some(Repeat::new(now, self.timers.t2_ms));
                self.state = State::Proceeding { e, f };
                actions.push(Action::SendRequest(self.request.clone()));
            }
            (State::Trying { e, f } | State::Proceeding { e, f }, Event::Response(response)) => {
                match response.status() {
                    // E runs on and is reset to T2 when it fires: RFC 3261 §17.1.2.2.
                    Some(status) if status.is_provisional() => {
                        self.state = State::Proceeding { e, f };
                        actions.push(Action::Deliver);
                    }
                    Some(_) => self.completed(now, &mut actions),
                    None => {}
                }
            }
            (State::Trying { .. } | State::Proceeding { .. }, Event::SendFailed) => {
                actions.push(Action::TransportFailed);
                self.end(&mut actions);
            }
            (State::Completed { k }, Event::TimerDue) if now >= k => self.end(&mut actions),
            (State::Terminated, _) => {}
            (_, Event::Abandon) => self.end(&mut actions),
            _ => {}
        }
        actions
    }

    /// When [`Event::TimerDue`] is wanted next, and for which timer.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, TimerName)> {
        match self.state {
            State::Trying { e, f } | State::Proceeding { e, f } => {
                Some(first_of(e, TimerName::E, (f, TimerName::F)))
            }
            State::Completed { k } => Some((k, TimerName::K)),
            State::Terminated => None,
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self.state {
            State::Trying { .. } => StateName::Trying,
            State::Proceeding { .. } => StateName::Proceeding,
            State::Completed { .. } => StateName::Completed,
            State::Terminated => StateName::Terminated,
        }
    }

    /// Whether the transaction is over and can be forgotten.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    fn completed(&mut self, now: Instant, actions: &mut Actions) {
        actions.push(Action::Deliver);
        match self.transport {
            Transport::Unreliable => {
                self.request = Bytes::new();
                self.state = State::Completed {
                    k: now + self.timers.k(self.transport),
                };
            }
            Transport::Reliable => self.end(actions),
        }
    }

    fn end(&mut self, actions: &mut Actions) {
        self.state = State::Terminated;
        self.request = Bytes::new();
        actions.push(Action::Terminate);
    }
}
