//! UDP sockets: one per worker and listener, on one shared port.

use std::io;
use std::net::{Ipv6Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use crate::limits::UDP_RECEIVE_BUFFER_BYTES;

/// Binds `count` sockets (at least one) to `address`; the kernel spreads the peers
/// over them by address and port, so that all datagrams of one flow meet the same
/// worker.
///
/// Port 0 draws one free port for all of them. IPv6 sockets are v6-only: IPv4 peers
/// never show up as mapped addresses. The sockets are non-blocking.
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
    let first = bind_shared(address)?;
    let address = first.local_addr()?;
    let mut sockets = vec![first];
    for _ in 1..count.max(1) {
        sockets.push(bind_shared(address)?);
    }
    Ok(sockets)
}

/// Whether an answer may be sent there: one host, and a port. Never multicast,
/// broadcast or unspecified addresses, whatever a Via or a packet claims.
#[must_use]
pub fn is_answerable(to: SocketAddr) -> bool {
    let ip = to.ip();
    let broadcast = matches!(to, SocketAddr::V4(v4) if v4.ip().is_broadcast());
    let mapped = matches!(to, SocketAddr::V6(v6) if is_mapped(*v6.ip()));
    to.port() != 0 && !ip.is_multicast() && !ip.is_unspecified() && !broadcast && !mapped
}

const fn is_mapped(ip: Ipv6Addr) -> bool {
    ip.to_ipv4_mapped().is_some()
}

/// Binds exclusively and lets go again.
fn probe(address: SocketAddr) -> io::Result<SocketAddr> {
    let socket = open(address)?;
    socket.bind(&address.into())?;
    Ok(address)
}

fn bind_shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(address)?;
    socket.set_reuse_port(true)?;
    // The kernel grants what net.core.rmem_max allows; less is no reason not to start.
    let _ = socket.set_recv_buffer_size(UDP_RECEIVE_BUFFER_BYTES);
    socket.bind(&address.into())?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

fn open(address: SocketAddr) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
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
        assert_eq!(bind(address, 1).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(sockets);
        assert_eq!(bind(address, 2).unwrap().len(), 2);
    }

    #[test]
    fn nothing_is_sent_to_crowds_or_nowhere() {
        for bad in ["255.255.255.255:5060", "224.0.0.1:5060", "0.0.0.0:5060", "10.0.0.1:0", "[ff02::1]:5060", "[::]:5060", "[::ffff:10.0.0.1]:5060"] {
            assert!(!is_answerable(bad.parse().unwrap()), "{bad}");
        }
        for good in ["10.0.0.1:5060", "[2001:db8::1]:5060", "127.0.0.1:1"] {
            assert!(is_answerable(good.parse().unwrap()), "{good}");
        }
    }
}
