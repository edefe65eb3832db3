//! Sockets. They carry bytes and decide nothing.

pub mod udp;
