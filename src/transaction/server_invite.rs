//! The INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of
//! RFC 6026 §7.1.

use std::time::Instant;

use bytes::Bytes;

use super::timers::{Repeat, first_of};
use super::{Action, Actions, Event, StateName, TimerName, Timers, Transport};
use crate::sip::StatusCode;

/// One INVITE server transaction.
#[derive(Debug, Clone)]
pub struct ServerInvite {
    state: State,
    /// The last response, as long as it may be repeated.
    response: Option<Bytes>,
    timers: Timers,
    transport: Transport,
}

/// The states of RFC 3261 figure 7 and RFC 6026 §8.7, each with its timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Proceeding,
    Accepted { l: Instant },
    Completed { g: Option<Repeat>, h: Instant },
    Confirmed { i: Instant },
    Terminated,
}

impl ServerInvite {
    /// A transaction for an INVITE that has just arrived: the transaction user
    /// already has the request and will answer with [`Event::Respond`].
    ///
    /// No 100 Trying is generated here: a user that needs more than 200 ms sends
    /// it as its first response (RFC 3261 §17.2.1).
    #[must_use]
    pub const fn new(transport: Transport, timers: &Timers) -> Self {
        Self {
            state: State::Proceeding,
            response: None,
            timers: *timers,
            transport,
        }
    }

    /// Takes one event at `now` and says what to do.
    pub fn step(&mut self, now: Instant, event: Event<'_>) -> Actions {
        let mut actions = Actions::new();
        match (self.state, event) {
            (State::Proceeding, Event::Respond(status, response)) => {
                self.respond(now, status, response, &mut actions);
            }
            (State::Proceeding | State::Completed { .. }, Event::Request) => {
                self.repeat(&mut actions);
            }
            // RFC 6026 §8.7: a 2xx is repeated by the transaction user, not by us.
            (State::Accepted { .. }, Event::Respond(status, response)) if status.is_success() => {
                actions.push(Action::SendResponse(response));
            }
            (State::Accepted { .. }, Event::Ack) => actions.push(Action::Deliver),
            (State::Accepted { l: end } | State::Confirmed { i: end }, Event::TimerDue)
                if now >= end =>
            {
                self.end(&mut actions);
            }
            (State::Completed { .. }, Event::Ack) => self.confirm(now, &mut actions),
            (State::Completed { h, .. }, Event::TimerDue) if now >= h => {
                actions.push(Action::Timeout);
                self.end(&mut actions);
            }
            (State::Completed { g: Some(g), h }, Event::TimerDue) if now >= g.at => {
                let g = Some(g.doubled(now, self.timers.t2_ms));
                self.state = State::Completed { g, h };
                self.repeat(&mut actions);
            }
            // RFC 6026 §8.7: it stays; the next retransmission may get through.
            (
                State::Proceeding | State::Accepted { .. } | State::Completed { .. },
                Event::SendFailed,
            ) => actions.push(Action::TransportFailed),
            (State::Terminated, _) => {}
            (_, Event::Abandon) => self.end(&mut actions),
            _ => {}
        }
        actions
    }

    /// When [`Event::TimerDue`] is wanted next, and for which timer; `None` while none
    /// runs: an INVITE may ring as long as its user lets it.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, TimerName)> {
        match self.state {
            State::Proceeding | State::Terminated => None,
            State::Accepted { l } => Some((l, TimerName::L)),
            State::Completed { g, h } => Some(first_of(g, TimerName::G, (h, TimerName::H))),
            State::Confirmed { i } => Some((i, TimerName::I)),
        }
    }

    /// Whether the INVITE has no final response yet: what a CANCEL can still end.
    #[must_use]
    pub const fn is_proceeding(&self) -> bool {
        matches!(self.state, State::Proceeding)
    }

    /// Whether a final response other than 2xx still waits for its ACK.
    #[must_use]
    pub const fn awaits_ack(&self) -> bool {
        matches!(self.state, State::Completed { .. })
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self.state {
            State::Proceeding => StateName::Proceeding,
            State::Accepted { .. } => StateName::Accepted,
            State::Completed { .. } => StateName::Completed,
            State::Confirmed { .. } => StateName::Confirmed,
            State::Terminated => StateName::Terminated,
        }
    }

    /// Whether the transaction is over and can be forgotten.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    fn respond(
        &mut self,
        now: Instant,
        status: StatusCode,
        response: Bytes,
        actions: &mut Actions,
    ) {
        actions.push(Action::SendResponse(response.clone()));
        self.response = (!status.is_success()).then_some(response);
        if status.is_success() {
            self.state = State::Accepted {
                l: now + self.timers.l(),
            };
        } else if status.is_final() {
            let first_ms = self.timers.t1_ms.min(self.timers.t2_ms);
            self.state = State::Completed {
                g: Repeat::over(self.transport, now, first_ms),
                h: now + self.timers.h(),
            };
        }
    }

    fn repeat(&self, actions: &mut Actions) {
        actions.extend(self.response.clone().map(Action::SendResponse));
    }

    fn confirm(&mut self, now: Instant, actions: &mut Actions) {
        match self.transport {
            Transport::Unreliable => {
                self.response = None;
                self.state = State::Confirmed {
                    i: now + self.timers.i(self.transport),
                };
            }
            Transport::Reliable => self.end(actions),
        }
    }

    fn end(&mut self, actions: &mut Actions) {
        self.state = State::Terminated;
        self.response = None;
        actions.push(Action::Terminate);
    }
}
