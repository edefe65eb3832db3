//! TCP sockets that listen: one per worker and listener, on one shared port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Protocol, Socket, Type};

use super::shared_port::{bind_all, open};
use crate::limits::ACCEPT_QUEUE_MAX;

/// Binds `count` sockets (at least one) to `address`; the kernel spreads connections over
/// them, so that each worker accepts its own.
///
/// Port 0 draws one free port for all of them. IPv6 sockets are v6-only. The sockets are
/// non-blocking. A port that was left a moment ago, with connections of it still dying,
/// can be bound.
///
/// # Errors
/// What the system said; also `AddrInUse` when any other process listens there, even one
/// that would share the port.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<TcpListener>> {
    if address.port() != 0 {
        // Bound without sharing, it tells of anybody who listens; and lets go again.
        let probe = open_stream(address)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
    }
    let sockets = bind_all(address, count, bind_shared)?;
    Ok(sockets.into_iter().map(Into::into).collect())
}

fn bind_shared(address: SocketAddr) -> io::Result<Socket> {
    let socket = open_stream(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_QUEUE_MAX)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn open_stream(address: SocketAddr) -> io::Result<Socket> {
    let socket = open(address, Type::STREAM, Protocol::TCP)?;
    socket.set_reuse_address(true)?;
    Ok(socket)
}
