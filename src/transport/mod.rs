//! Sockets. They carry bytes and decide nothing.
//!
//! Datagrams: [`udp`] binds, [`UdpListener`] receives and sends batches. Streams: [`tcp`]
//! binds, [`Connections`] are all connections of one worker, [`Gate`] bounds them over all
//! workers. [`TlsListener`] and [`TlsPeers`] hold what TLS needs around them.

mod connection;
mod connections;
mod directory;
mod door;
mod ended;
mod gate;
mod listener;
mod outbox;
mod outlet;
pub mod resolver;
mod shared_port;
pub mod tcp;
mod tls;
pub mod udp;

pub use connections::{Connections, Heard, Opened, Unsent as NotTaken};
pub use directory::Directory;
pub use door::IsKnown;
pub use ended::Ended;
pub use gate::{Gate, Pass};
pub use listener::{UdpListener, Unsent};
pub use outbox::Outbox;
pub use outlet::{Outlet, OutletOver, OutletTo};
pub use tls::{
    Authority, CertificateFacts, Clients, ListenerTls, PeerAt, PeerTls, TlsFileError, TlsListener,
    TlsPeers,
};
