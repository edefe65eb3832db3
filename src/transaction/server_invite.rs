//! The INVITE server transaction: RFC 3261 §17.2.1 with the Accepted state of
//! RFC 6026 §7.1.

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;

use super::{Action, Actions, Event, Transport, timers};

/// One INVITE server transaction.
///
/// It holds no bytes and no socket: whoever owns it keeps the last response and
/// sends it at [`Action::Send`]. Time comes in with every step, so a test runs an
/// hour of timers in a millisecond.
#[derive(Debug, Clone)]
pub struct ServerInvite {
    state: State,
    transport: Transport,
}

/// The states of RFC 3261 figure 7 and RFC 6026 figure 5, each with the timers
/// that run in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Proceeding {
        responded: bool,
    },
    Accepted {
        l: Instant,
    },
    Completed {
        g: Option<(Instant, Duration)>,
        h: Instant,
    },
    Confirmed {
        i: Instant,
    },
    Terminated,
}

impl ServerInvite {
    /// A transaction for an INVITE that has just arrived: the transaction user
    /// already has the request and will answer with [`Event::Respond`].
    ///
    /// No 100 Trying is generated here: a user that needs more than 200 ms sends
    /// it as its first response (RFC 3261 §17.2.1).
    #[must_use]
    pub const fn new(transport: Transport) -> Self {
        Self {
            state: State::Proceeding { responded: false },
            transport,
        }
    }

    /// Takes one event at `now` and says what to do. An event the state does not
    /// know is ignored, as the RFC demands.
    pub fn step(&mut self, now: Instant, event: Event) -> Actions {
        let mut actions = ArrayVec::new();
        match (self.state, event) {
            (State::Proceeding { .. }, Event::Respond(status)) => {
                self.state = self.responded(now, status);
                actions.push(Action::Send);
            }
            (State::Proceeding { responded: true }, Event::Request) => actions.push(Action::Send),
            // RFC 6026 §8.7: a 2xx is repeated by the transaction user, not by us.
            (State::Accepted { .. }, Event::Respond(200..=299)) => actions.push(Action::Send),
            (State::Accepted { .. }, Event::Ack) => actions.push(Action::Deliver),
            (State::Accepted { l }, Event::TimerDue) if now >= l => self.end(&mut actions),
            (State::Completed { .. }, Event::Request) => actions.push(Action::Send),
            (State::Completed { .. }, Event::Ack) => self.confirm(now, &mut actions),
            (State::Completed { h, .. }, Event::TimerDue) if now >= h => {
                actions.push(Action::Fail);
                self.end(&mut actions);
            }
            (
                State::Completed {
                    g: Some((at, interval)),
                    h,
                },
                Event::TimerDue,
            ) if now >= at => {
                let interval = timers::next_g(interval);
                self.state = State::Completed {
                    g: Some((now + interval, interval)),
                    h,
                };
                actions.push(Action::Send);
            }
            (State::Confirmed { i }, Event::TimerDue) if now >= i => self.end(&mut actions),
            (State::Proceeding { .. } | State::Completed { .. }, Event::SendFailed) => {
                actions.push(Action::Fail);
                self.end(&mut actions);
            }
            _ => {}
        }
        actions
    }

    /// When [`Event::TimerDue`] is wanted next; `None` while no timer runs.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Proceeding { .. } | State::Terminated => None,
            State::Accepted { l } => Some(l),
            State::Completed { g, h } => Some(g.map_or(h, |(at, _)| at.min(h))),
            State::Confirmed { i } => Some(i),
        }
    }

    /// Whether a final response other than 2xx still waits for its ACK.
    #[must_use]
    pub const fn awaits_ack(&self) -> bool {
        matches!(self.state, State::Completed { .. })
    }

    /// Whether the transaction is over and can be forgotten.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        matches!(self.state, State::Terminated)
    }

    fn responded(&self, now: Instant, status: u16) -> State {
        match status {
            ..=199 => State::Proceeding { responded: true },
            200..=299 => State::Accepted { l: now + timers::L },
            _ => {
                let g = match self.transport {
                    Transport::Unreliable => Some((now + timers::G_FIRST, timers::G_FIRST)),
                    Transport::Reliable => None,
                };
                State::Completed {
                    g,
                    h: now + timers::H,
                }
            }
        }
    }

    fn confirm(&mut self, now: Instant, actions: &mut Actions) {
        match self.transport {
            Transport::Unreliable => self.state = State::Confirmed { i: now + timers::I },
            Transport::Reliable => self.end(actions),
        }
    }

    fn end(&mut self, actions: &mut Actions) {
        self.state = State::Terminated;
        actions.push(Action::Terminate);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(start: Instant, ms: u64) -> Instant {
        start + Duration::from_millis(ms)
    }

    fn completed(start: Instant, transport: Transport) -> ServerInvite {
        let mut machine = ServerInvite::new(transport);
        assert_eq!(
            machine.step(start, Event::Respond(302)).as_slice(),
            [Action::Send]
        );
        machine
    }

    #[test]
    fn a_final_response_is_repeated_by_g_until_h() {
        let start = Instant::now();
        let mut machine = completed(start, Transport::Unreliable);
        let mut sent_ms = Vec::new();
        while let Some(due) = machine.deadline() {
            for action in machine.step(due, Event::TimerDue) {
                match action {
                    Action::Send => sent_ms.push(due.duration_since(start).as_millis()),
                    Action::Fail => assert_eq!(due.duration_since(start), timers::H),
                    Action::Terminate => assert!(machine.is_terminated()),
                    Action::Deliver => unreachable!("nothing to deliver"),
                }
            }
        }
        assert_eq!(
            sent_ms,
            [
                500, 1500, 3500, 7500, 11500, 15500, 19500, 23500, 27500, 31500
            ]
        );
    }

    #[test]
    fn an_ack_ends_the_repeating_and_i_ends_the_transaction() {
        let start = Instant::now();
        let mut machine = completed(start, Transport::Unreliable);
        assert!(machine.step(at(start, 100), Event::Ack).is_empty());
        assert!(!machine.awaits_ack());
        assert!(
            machine.step(at(start, 200), Event::Ack).is_empty(),
            "later ACKs are absorbed"
        );
        assert!(machine.step(at(start, 300), Event::Request).is_empty());
        assert_eq!(machine.deadline(), Some(at(start, 5100)));
        let last = machine.step(at(start, 5100), Event::TimerDue);
        assert_eq!(last.as_slice(), [Action::Terminate]);
    }

    #[test]
    fn over_a_reliable_transport_nothing_is_repeated() {
        let start = Instant::now();
        let mut machine = completed(start, Transport::Reliable);
        assert_eq!(machine.deadline(), Some(start + timers::H));
        assert_eq!(
            machine.step(start, Event::Ack).as_slice(),
            [Action::Terminate]
        );
    }

    #[test]
    fn a_retransmitted_invite_gets_the_last_response_again() {
        let start = Instant::now();
        let mut machine = ServerInvite::new(Transport::Unreliable);
        assert!(
            machine.step(start, Event::Request).is_empty(),
            "nothing was answered yet"
        );
        machine.step(start, Event::Respond(100));
        assert_eq!(
            machine.step(start, Event::Request).as_slice(),
            [Action::Send]
        );
        machine.step(start, Event::Respond(404));
        assert_eq!(
            machine.step(start, Event::Request).as_slice(),
            [Action::Send]
        );
        assert!(
            machine.step(start, Event::Respond(500)).is_empty(),
            "one final response"
        );
    }

    #[test]
    fn a_2xx_is_absorbed_for_l_and_its_acks_are_delivered() {
        let start = Instant::now();
        let mut machine = ServerInvite::new(Transport::Unreliable);
        machine.step(start, Event::Respond(200));
        assert!(machine.step(start, Event::Request).is_empty());
        assert_eq!(
            machine.step(start, Event::Ack).as_slice(),
            [Action::Deliver]
        );
        assert_eq!(
            machine.step(start, Event::Respond(200)).as_slice(),
            [Action::Send]
        );
        assert_eq!(
            machine.step(start + timers::L, Event::TimerDue).as_slice(),
            [Action::Terminate]
        );
    }

    #[test]
    fn a_failed_send_ends_the_transaction() {
        let start = Instant::now();
        let mut machine = completed(start, Transport::Unreliable);
        let actions = machine.step(start, Event::SendFailed);
        assert_eq!(actions.as_slice(), [Action::Fail, Action::Terminate]);
        assert_eq!(machine.deadline(), None);
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            Just(Event::Request),
            Just(Event::Ack),
            (100..700_u16).prop_map(Event::Respond),
            Just(Event::TimerDue),
            Just(Event::SendFailed),
        ]
    }

    proptest! {
        /// Whatever arrives in whatever order: after a final response the
        /// transaction ends within the sum of its timers, and says so once.
        #[test]
        fn every_history_ends(history in prop::collection::vec((event(), 0..9000_u64), 0..60)) {
            let start = Instant::now();
            let mut machine = ServerInvite::new(Transport::Unreliable);
            let (mut now, mut ends, mut finals) = (start, 0, 0);
            for (event, wait_ms) in history {
                now = at(now, wait_ms);
                let sends_final = matches!(event, Event::Respond(300..)) ;
                let actions = machine.step(now, event);
                ends += actions.iter().filter(|a| **a == Action::Terminate).count();
                finals += usize::from(sends_final && actions.contains(&Action::Send));
            }
            prop_assert!(finals <= 1);
            machine.step(now, Event::Respond(302));
            let mut steps = 0;
            while let Some(due) = machine.deadline() {
                now = due.max(now);
                let actions = machine.step(now, Event::TimerDue);
                ends += actions.iter().filter(|a| **a == Action::Terminate).count();
                steps += 1;
                prop_assert!(steps < 32);
            }
            prop_assert_eq!(ends, 1);
        }
    }
}
