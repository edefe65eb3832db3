//! RFC 3261 §17 transactions as machines: `step(now, event) -> actions`.
//!
//! One machine, one file, with the Accepted states of RFC 6026 and the limits of
//! RFC 4320:
//!
//! | machine | figure | timers |
//! |---|---|---|
//! | [`ClientInvite`] | RFC 3261 figure 5, RFC 6026 §8.4 | A B D M |
//! | [`ClientNonInvite`] | RFC 3261 figure 6 | E F K |
//! | [`ServerInvite`] | RFC 3261 figure 7, RFC 6026 §8.7 | G H I L |
//! | [`ServerNonInvite`] | RFC 3261 figure 8, RFC 4320 | J |
//!
//! Each keeps the bytes it may have to send again and nothing it may not: no socket,
//! no clock. [`Transaction`] is any of them; a [`TransactionStore`] holds a bounded
//! number, finds them by [`TransactionKey`] and knows which timer is due next.
//! [`TransactionTable`] is the store of the stateful redirect server.

mod client_invite;
mod client_non_invite;
mod due;
mod key;
mod server_invite;
mod server_non_invite;
mod store;
mod table;
mod timers;

pub use client_invite::ClientInvite;
pub use client_non_invite::ClientNonInvite;
pub(crate) use due::DueQueue;
pub(crate) use key::ByKey;
pub use key::TransactionKey;
pub use server_invite::ServerInvite;
pub use server_non_invite::ServerNonInvite;
pub use store::{NotKept, TransactionId, TransactionStore};
pub use table::{AnswerPath, TransactionTable};
pub(crate) use timers::Repeat;
pub use timers::{TimerName, Timers};

use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::sip::{Message, StatusCode};

/// What can happen to a transaction. An event that a machine or its state does not
/// know is ignored, as the RFC demands.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// To a server: the request arrived again.
    Request,
    /// To an INVITE server: an ACK with its key arrived.
    Ack,
    /// To a server: the transaction user answers, with these bytes.
    Respond(StatusCode, Bytes),
    /// To a client: a response with its key arrived.
    Response(&'a Message<'a>),
    /// The time of [`Transaction::deadline`] has come.
    TimerDue,
    /// The transport could not send the last message.
    SendFailed,
    /// The transaction user wants no more of it: a client whose CANCEL found no ear
    /// (RFC 3261 §9.1), a server that will never answer.
    Abandon,
}

/// What the owner of a transaction must do, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send these bytes where the request went: the request again, or its ACK.
    SendRequest(Bytes),
    /// Send these bytes where the responses go.
    SendResponse(Bytes),
    /// Answer 100 now with [`Event::Respond`]: a non-INVITE request has waited as long
    /// as it may (RFC 4320 §4.1).
    SendTrying,
    /// The transaction user gets the response or the ACK of this event.
    Deliver,
    /// Tell the transaction user: nobody answered (B, F) or acknowledged (H) in time.
    Timeout,
    /// Tell the transaction user: the transport failed.
    TransportFailed,
    /// Forget the transaction. Comes last, and once.
    Terminate,
}

/// The actions of one step, in order.
pub type Actions = ArrayVec<Action, 4>;

/// Whether the transport repeats what the network loses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// TCP, TLS.
    Reliable,
    /// UDP.
    Unreliable,
}

impl Transport {
    /// `wait` over an unreliable transport, no time at all over a reliable one.
    const fn or_zero(self, wait: Duration) -> Duration {
        match self {
            Self::Unreliable => wait,
            Self::Reliable => Duration::ZERO,
        }
    }
}

/// The states of RFC 3261 figures 5 to 8 and of RFC 6026.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum StateName {
    /// An INVITE was sent, nothing came back.
    Calling,
    /// Any other request was sent or has arrived, and nobody answered.
    Trying,
    /// A provisional response came or may still go.
    Proceeding,
    /// A 2xx to INVITE came or went.
    Accepted,
    /// The final response came or went.
    Completed,
    /// The ACK came.
    Confirmed,
    /// Over.
    Terminated,
}

/// A transaction of any kind.
#[derive(Debug, Clone)]
pub enum Transaction {
    /// We sent an INVITE.
    ClientInvite(ClientInvite),
    /// We sent any other request.
    ClientNonInvite(ClientNonInvite),
    /// We got an INVITE.
    ServerInvite(ServerInvite),
    /// We got any other request.
    ServerNonInvite(ServerNonInvite),
}

impl Transaction {
    /// Takes one event at `now` and says what to do.
    pub fn step(&mut self, now: Instant, event: Event<'_>) -> Actions {
        match self {
            Self::ClientInvite(machine) => machine.step(now, event),
            Self::ClientNonInvite(machine) => machine.step(now, event),
            Self::ServerInvite(machine) => machine.step(now, event),
            Self::ServerNonInvite(machine) => machine.step(now, event),
        }
    }

    /// When [`Event::TimerDue`] is wanted next and for which timer; `None` while no
    /// timer runs.
    #[must_use]
    pub fn deadline(&self) -> Option<(Instant, TimerName)> {
        match self {
            Self::ClientInvite(machine) => machine.deadline(),
            Self::ClientNonInvite(machine) => machine.deadline(),
            Self::ServerInvite(machine) => machine.deadline(),
            Self::ServerNonInvite(machine) => machine.deadline(),
        }
    }

    /// Where it stands.
    #[must_use]
    pub const fn state(&self) -> StateName {
        match self {
            Self::ClientInvite(machine) => machine.state(),
            Self::ClientNonInvite(machine) => machine.state(),
            Self::ServerInvite(machine) => machine.state(),
            Self::ServerNonInvite(machine) => machine.state(),
        }
    }

    /// Whether the transaction is over and can be forgotten.
    #[must_use]
    pub const fn is_terminated(&self) -> bool {
        matches!(self.state(), StateName::Terminated)
    }
}

impl From<ClientInvite> for Transaction {
    fn from(machine: ClientInvite) -> Self {
        Self::ClientInvite(machine)
    }
}

impl From<ClientNonInvite> for Transaction {
    fn from(machine: ClientNonInvite) -> Self {
        Self::ClientNonInvite(machine)
    }
}

impl From<ServerInvite> for Transaction {
    fn from(machine: ServerInvite) -> Self {
        Self::ServerInvite(machine)
    }
}

impl From<ServerNonInvite> for Transaction {
    fn from(machine: ServerNonInvite) -> Self {
        Self::ServerNonInvite(machine)
    }
}
