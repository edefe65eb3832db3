//! TCP sockets that listen: one per worker and listener, on one shared port.

use std::io;
use std::net::{SocketAddr, TcpListener};

use socket2::{Domain, Protocol, Socket, Type};

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
        let probe = open(address)?;
        probe.bind(&address.into())?;
        probe.listen(1)?;
    }
    let first = bind_shared(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count.max(1) {
        sockets.push(bind_shared(address)?);
    }
    Ok(sockets)
}

fn bind_shared(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = open(address)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(ACCEPT_QUEUE_MAX)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.set_reuse_address(true)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    #[test]
    fn sockets_share_a_drawn_port_and_nobody_else_gets_it() {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = sockets[0].local_addr().unwrap();
        assert!(sockets.iter().all(|s| s.local_addr().unwrap() == address));
        assert_eq!(
            bind(address, 1).unwrap_err().kind(),
            io::ErrorKind::AddrInUse
        );
        drop(sockets);
        assert_eq!(bind(address, 2).unwrap().len(), 2);
    }
}
