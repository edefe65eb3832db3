//! Sockets. They carry bytes and decide nothing.

mod listener;
mod outbox;
pub mod resolver;
pub mod udp;

pub use listener::{UdpListener, Unsent};
pub use outbox::Outbox;
