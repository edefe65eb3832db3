//! A way to a machine that takes what we tell and says nothing: logs, captures. It waits where
//! it has to, so it is for a thread of its own.

use std::fmt;
use std::io::{self, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::tls::{self, Authority, TlsFileError};
use crate::limits::{OUTLET_CONNECT_MS_MAX, OUTLET_REST_MS, OUTLET_WRITE_MS_MAX};

/// Where, and over what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutletTo {
    /// Where.
    pub address: SocketAddr,
    /// Over what.
    pub over: OutletOver,
}

/// Over what something is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OutletOver {
    /// A datagram each.
    Udp,
    /// A connection.
    Tcp,
    /// A connection under TLS.
    Tls {
        /// For whom its certificate has to be.
        name: ServerName<'static>,
        /// Whose word is believed.
        authority: Authority,
    },
}

/// The way, opened when it is needed, and again when it is broken.
#[derive(Debug)]
pub struct Outlet {
    to: OutletTo,
    tls: Option<Arc<ClientConfig>>,
    wire: Option<Wire>,
}

enum Wire {
    Udp(UdpSocket),
    Tcp(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Outlet {
    /// One that is not connected yet.
    ///
    /// # Errors
    /// A file of CAs cannot be used.
    pub fn open(to: &OutletTo) -> Result<Self, TlsFileError> {
        let tls = match &to.over {
            OutletOver::Tls { authority, .. } => Some(tls::client(authority)?),
            OutletOver::Udp | OutletOver::Tcp => None,
        };
        Ok(Self {
            to: to.clone(),
            tls,
            wire: None,
        })
    }

    /// Whether what is sent is a stream, in which a record has no end of its own.
    #[must_use]
    pub const fn is_stream(&self) -> bool {
        !matches!(self.to.over, OutletOver::Udp)
    }

    /// Sends all of it, and connects before if need be. What was sent before a connection
    /// broke may be lost: nobody confirms anything.
    ///
    /// # Errors
    /// What the system said; the next record is tried on a new connection.
    pub fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.wire.as_mut().is_some_and(|wire| !wire.is_open()) {
            self.wire = None;
        }
        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => self.connect()?,
        };
        wire.send(bytes)?;
        self.wire = Some(wire);
        Ok(())
    }

    /// As [`Outlet::send`], tried again and again until it goes: whoever fills the queue before
    /// it drops what has no room.
    pub fn send_patiently(&mut self, bytes: &[u8]) {
        while self.send(bytes).is_err() {
            std::thread::sleep(Duration::from_millis(OUTLET_REST_MS));
        }
    }

    fn connect(&self) -> io::Result<Wire> {
        let address = self.to.address;
        if matches!(self.to.over, OutletOver::Udp) {
            let any: IpAddr = match address {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind((any, 0))?;
            socket.connect(address)?;
            return Ok(Wire::Udp(socket));
        }
        let most = Duration::from_millis(OUTLET_CONNECT_MS_MAX);
        let stream = TcpStream::connect_timeout(&address, most)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(Duration::from_millis(OUTLET_WRITE_MS_MAX)))?;
        stream.set_read_timeout(Some(most))?;
        let (OutletOver::Tls { name, .. }, Some(config)) = (&self.to.over, &self.tls) else {
            return Ok(Wire::Tcp(stream));
        };
        let connection = ClientConnection::new(Arc::clone(config), name.clone());
        let connection = connection.map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        while stream.conn.is_handshaking() {
            stream.conn.complete_io(&mut stream.sock)?;
        }
        Ok(Wire::Tls(Box::new(stream)))
    }
}

impl Wire {
    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(bytes).map(|_| ()),
            Self::Tcp(stream) => stream.write_all(bytes),
            Self::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Whether the other side has not ended it, as far as is known here.
    fn is_open(&mut self) -> bool {
        match self {
            Self::Udp(_) => true,
            Self::Tcp(stream) => without_waiting(stream, |stream| {
                let mut room = [0];
                nothing_came(stream.peek(&mut room)).is_some_and(|_| true)
            }),
            Self::Tls(stream) => {
                let StreamOwned { conn, sock } = &mut **stream;
                // Tickets of sessions may come; nothing else is expected.
                without_waiting(sock, |mut sock| {
                    loop {
                        match nothing_came(conn.read_tls(&mut sock)) {
                            None => return false,
                            Some(0) => return true,
                            Some(_) => match conn.process_new_packets() {
                                Ok(state) if !state.peer_has_closed() => {}
                                _ => return false,
                            },
                        }
                    }
                })
            }
        }
    }
}

/// How much came: `Some(0)` for nothing yet, `None` for the end.
fn nothing_came(read: io::Result<usize>) -> Option<usize> {
    match read {
        Ok(0) => None,
        Ok(count) => Some(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Some(0),
        Err(_) => None,
    }
}

fn without_waiting(stream: &TcpStream, look: impl FnOnce(&TcpStream) -> bool) -> bool {
    if stream.set_nonblocking(true).is_err() {
        return false;
    }
    let is_open = look(stream);
    is_open && stream.set_nonblocking(false).is_ok()
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use std::io::Read;
    use std::net::TcpListener;

    fn outlet(address: SocketAddr, over: OutletOver) -> Outlet {
        Outlet::open(&OutletTo { address, over }).unwrap()
    }

    #[test]
    fn a_connection_that_was_closed_is_opened_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut outlet = outlet(listener.local_addr().unwrap(), OutletOver::Tcp);
        let read = || {
            let mut room = [0; 3];
            let (mut stream, _) = listener.accept().unwrap();
            stream.read_exact(&mut room).unwrap();
            String::from_utf8(room.to_vec()).unwrap()
        };
        outlet.send(b"one").unwrap();
        assert_eq!(read(), "one");
        // Its end is on its way to us.
        std::thread::sleep(Duration::from_millis(50));
        outlet.send(b"two").unwrap();
        assert_eq!(read(), "two");
    }

    #[test]
    fn nobody_there_is_an_error_and_no_wait() {
        let address = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        let mut gone = outlet(address, OutletOver::Tcp);
        assert!(gone.is_stream() && gone.send(b"x").is_err());
        let listener = TcpListener::bind(address).unwrap();
        gone.send_patiently(b"y");
        drop(listener);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut datagrams = outlet(socket.local_addr().unwrap(), OutletOver::Udp);
        datagrams.send(b"z").unwrap();
        let mut room = [0; 8];
        assert_eq!(socket.recv(&mut room).unwrap(), 1);
    }
}
