//! The control socket: a local door to a running server.
//!
//! One connection, one request, one line of JSON each way (docs/control.md). [`Socket`]
//! takes connections and knows who is at the other end; what is answered is for the
//! [`Desk`] behind it. [`ask`] is the other side.

mod access;
pub mod accounts;
mod calls;
mod client;
mod files;
mod local_door;
mod protocol;
mod socket;

pub use access::{Access, Peer, Who};
pub use calls::{LiveCall, SinkStatus};
pub use client::{NoAnswer, ask, ask_for_files};
pub use local_door::{LocalDoor, NoSocket, peer_of};
pub use protocol::{
    Answer, Change, Changed, Finding, LastRefused, Ordered, Refused, Reply, Request, SCHEMA,
    Status, TrialStatus, TrunkState, TrunkStatus,
};
pub use socket::{Answering, Desk, Draft, Socket};
