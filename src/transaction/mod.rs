//! RFC 3261 §17 transactions as machines: `step(now, event) -> actions`.
//!
//! One machine, one file. Each holds state and deadlines only; whoever owns it
//! keeps the bytes, sends them and brings the time. Present: the INVITE server
//! transaction ([`ServerInvite`]), found by its [`TransactionKey`] in a bounded
//! [`TransactionTable`].

mod key;
mod server_invite;
mod table;
pub mod timers;

pub use key::TransactionKey;
pub use server_invite::ServerInvite;
pub use table::{AnswerPath, TransactionTable};

use arrayvec::ArrayVec;

/// What can happen to a server transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// The request arrived again.
    Request,
    /// The ACK for its final response arrived.
    Ack,
    /// The transaction user answers with this status, 100 to 699.
    Respond(u16),
    /// The time of [`ServerInvite::deadline`] has come.
    TimerDue,
    /// The transport could not send the response.
    SendFailed,
}

/// What the owner of a transaction must do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Send the most recent response.
    Send,
    /// Hand the ACK to the transaction user (only after a 2xx).
    Deliver,
    /// Tell the transaction user: no ACK came, or the transport failed.
    Fail,
    /// Forget the transaction.
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
