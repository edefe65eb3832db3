//! Several sockets on one port: one for each worker.

use std::io;
use std::net::SocketAddr;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// A socket that is not bound yet. IPv6 sockets are v6-only: IPv4 peers never show up as
/// mapped addresses.
pub(super) fn open(address: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    Ok(socket)
}

/// `count` sockets (at least one), each made by `bind` for one address: port 0 draws one free
/// port for all of them.
pub(super) fn bind_all(
    address: SocketAddr,
    count: usize,
    bind: impl Fn(SocketAddr) -> io::Result<Socket>,
) -> io::Result<Vec<Socket>> {
    let first = bind(address)?;
    let bound = first.local_addr()?;
    let address = SockAddr::as_socket(&bound).unwrap_or(address);
    let mut sockets = vec![first];
    for _ in 1..count.max(1) {
        sockets.push(bind(address)?);
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::super::{tcp, udp};
    use super::*;

    /// Draws a port for three sockets, tries to bind one more, lets go, and binds it again.
    fn shared<S>(
        bind: impl Fn(SocketAddr, usize) -> io::Result<Vec<S>>,
        local: impl Fn(&S) -> io::Result<SocketAddr>,
    ) {
        let sockets = bind("127.0.0.1:0".parse().unwrap(), 3).unwrap();
        let address = local(&sockets[0]).unwrap();
        assert!(sockets.iter().all(|s| local(s).unwrap() == address));
        let other = bind(address, 1).err().map(|error| error.kind());
        assert_eq!(other, Some(io::ErrorKind::AddrInUse));
        drop(sockets);
        assert_eq!(bind(address, 2).unwrap().len(), 2);
    }

    #[test]
    fn sockets_share_a_drawn_port_and_nobody_else_gets_it() {
        shared(udp::bind, std::net::UdpSocket::local_addr);
        shared(tcp::bind, std::net::TcpListener::local_addr);
    }
}
