//! UDP sockets: one per worker and listener, on one shared port.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;

use socket2::{Protocol, Socket, Type};

use super::shared_port::{bind_all, open};
use crate::limits::{UDP_RECEIVE_BUFFER_BYTES, UDP_SEND_BUFFER_BYTES};
use crate::system;

/// Binds `count` sockets (at least one) to `address`; the kernel spreads the peers
/// over them by address and port, so that all datagrams of one flow meet the same
/// worker.
///
/// Port 0 draws one free port for all of them. IPv6 sockets are v6-only: IPv4 peers
/// never show up as mapped addresses. The sockets are non-blocking, let their datagrams
/// be fragmented, and on a wildcard address tell which address each datagram was sent to.
///
/// # Errors
/// What the system said; also `AddrInUse` when any other process holds the port,
/// even one that would share it: two routing engines on one port by accident would
/// each get half of the calls.
pub fn bind(address: SocketAddr, count: usize) -> io::Result<Vec<UdpSocket>> {
    let address = match address.port() {
        0 => address,
        _ => probe(address)?,
    };
    let sockets = bind_all(address, count, bind_shared)?;
    Ok(sockets.into_iter().map(Into::into).collect())
}

/// Binds exclusively and lets go again.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    socket.bind(&address.into())?;
    Ok(address)
}

fn bind_shared(address: SocketAddr) -> io::Result<Socket> {
    let socket = open(address, Type::DGRAM, Protocol::UDP)?;
    socket.set_reuse_port(true)?;
    // The kernel grants what net.core.rmem_max allows; less is no reason not to start.
    let _ = socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES);
    let _ = socket.set_send_buffer_size(UDP_SEND_BUFFER_BYTES);
    system::allow_fragments(socket.as_fd(), address.is_ipv6())?;
    if address.ip().is_unspecified() {
        system::tell_asked_address(socket.as_fd(), address.is_ipv6())?;
    }
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
