//! The non-INVITE server transaction: RFC 3261 §17.2.2 within the limits of RFC 4320.

use std::time::Instant;

use bytes::Bytes;

use super::{Action, Actions, Event, StateName, TimerName, Timers, Transport};
use crate::sip::StatusCode;

/// One server transaction of a request other than INVITE and ACK.
///
/// RFC 4320 §4 holds whatever the transaction user asks for: no provisional response
/// but 100, that not before its time, and no 408. When nobody answers within the
/// client's timer F the transaction ends by itself: an answer would be too late.
#[derive(Debug, Clone)]
pub struct ServerNonInvite {
    state: State,
    /// The last response, as long as it may be repeated.
    response: Option<Bytes>,
    timers: Timers,
    transport: Transport,
}

/// The states of RFC 3261 figure 8, each with its timers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Trying {
        /// When a 100 may go over an unreliable transport.
        trying: Instant,
        /// Whether the transaction user was asked for it.
        asked: bool,
        f: Instant,
    },
    Proceeding {
        f: Instant,
    },
    Completed {
        j: Instant,
    },
    Terminated,
}

impl ServerNonInvite {
    /// A transaction for a request that has arrived at `now`: the transaction user
    /// already has it and will answer with [`Event::Respond`].
    #[must_use]
    pub fn new(now: Instant, transport: Transport, timers: &Timers) -> Self {
        Self {
            state: State::Trying {
                trying: now + timers.trying(),
                asked: false,
                f: now + timers.f(),
            },
            response: None,
            timers: *timers,
            transport,
        }
    }

    /// Takes one event at `now` and says what to do.
    pub fn step(&mut self, now: Instant, event: Event<'_>) -> Actions {
        let mut actions = Actions::new();
        match (self.state, event) {
            (State::Trying { f, .. } | State::Proceeding { f }, Event::TimerDue) if now >= f => {
                actions.push(Action::Timeout);
                self.end(&mut actions);
            }
            (
                State::Trying {
                    trying,
                    asked: false,
                    f,
                },
                Event::TimerDue,
            ) if now >= trying => {
                self.state = State::Trying {
                    trying,
                    asked: true,
                    f,
                };
                actions.push(Action::SendTrying);
            }
            (State::Trying { .. } | State::Proceeding { .. }, Event::Respond(status, response)) => {
                if status.is_final() {
                    self.complete(now, status, response, &mut actions);
                } else {
                    self.proceed(now, status, response, &mut actions);
                }
            }
            (State::Proceeding { .. } | State::Completed { .. }, Event::Request) => {
                actions.extend(self.response.clone().map(Action::SendResponse));
            }
            (State::Proceeding { .. } | State::Completed { .. }, Event::SendFailed) => {
                actions.push(Action::TransportFailed);
                self.end(&mut actions);
            }
            (State::Completed { j }, Event::TimerDue) if now >= j => self.end(&mut actions),
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
            State::Trying {
                trying,
                asked: false,
                f,
            } if trying < f => Some((trying, TimerName::Trying)),
            State::Trying { f, .. } | State::Proceeding { f } => Some((f, TimerName::F)),
            State::Completed { j } => Some((j, TimerName::J)),
            State::Terminated => None,
        }
    }

    /// Whether the request has no final response yet.
    #[must_use]
    pub const fn is_pending(&self) -> bool {
        matches!(self.state, State::Trying { .. } | State::Proceeding { .. })
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

    /// RFC 4320 §4.1.
    fn proceed(
        &mut self,
        now: Instant,
        status: StatusCode,
        response: Bytes,
        actions: &mut Actions,
    ) {
        let f = match self.state {
            State::Trying { trying, f, .. }
                if now >= trying || self.transport == Transport::Reliable =>
            {
                f
            }
            State::Proceeding { f } => f,
            _ => return,
        };
        if status == StatusCode::TRYING {
            self.response = Some(response.clone());
            self.state = State::Proceeding { f };
            actions.push(Action::SendResponse(response));
        }
    }

    /// RFC 4320 §4.2: a 408 ends the wait and says nothing.
    fn complete(
        &mut self,
        now: Instant,
        status: StatusCode,
        response: Bytes,
        actions: &mut Actions,
    ) {
        self.response = None;
        if status != StatusCode::REQUEST_TIMEOUT {
            self.response = Some(response.clone());
            actions.push(Action::SendResponse(response));
        }
        match self.transport {
            Transport::Unreliable => {
                self.state = State::Completed {
                    j: now + self.timers.j(self.transport),
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
