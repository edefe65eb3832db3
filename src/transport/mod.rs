//! Sockets. They carry bytes and decide nothing.

mod listener;
mod outbox;
pub mod udp;

pub use listener::UdpListener;
pub use outbox::Outbox;
