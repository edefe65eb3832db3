//! One UDP socket on the runtime of its worker.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::time::Duration;

use tokio::io::Interest;
use tokio::time::timeout;

use super::Outbox;
use crate::limits::{DATAGRAM_BATCH_MAX, SEND_WAIT_MS_MAX};
use crate::system::{ReceiveRoom, send_batch};

/// A bound socket that receives and sends in batches. What the system says against one
/// datagram never ends it.
#[derive(Debug)]
pub struct UdpListener {
    socket: tokio::net::UdpSocket,
    tells_asked: bool,
}

impl UdpListener {
    /// Takes a socket of [`super::udp::bind`] onto the runtime this is called in.
    ///
    /// # Errors
    /// What the system said.
    pub fn new(socket: UdpSocket) -> io::Result<Self> {
        let tells_asked = socket.local_addr()?.ip().is_unspecified();
        Ok(Self {
            socket: tokio::net::UdpSocket::from_std(socket)?,
            tells_asked,
        })
    }

    /// Room for what this socket receives.
    #[must_use]
    pub fn room(&self) -> ReceiveRoom {
        ReceiveRoom::new(self.tells_asked)
    }

    /// Waits until there may be a datagram.
    ///
    /// # Errors
    /// What the system said.
    pub async fn readable(&self) -> io::Result<()> {
        self.socket.readable().await
    }

    /// Takes what is queued, at most a batch, without waiting. Returns how many.
    ///
    /// # Errors
    /// What the system said; the socket can be used as before.
    pub fn receive(&self, room: &mut ReceiveRoom) -> io::Result<usize> {
        let mut count = 0;
        let told = self.socket.try_io(Interest::READABLE, || {
            count = room.receive(self.socket.as_fd())?;
            // A batch that is not full has emptied the queue. Saying so spares the call
            // that would find out: what arrives from now on is a new event.
            if count < DATAGRAM_BATCH_MAX {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Ok(())
        });
        match told {
            Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
            _ => Ok(count),
        }
    }

    /// Sends everything in the outbox and empties it. Returns how many answers the
    /// system would not send: one it refuses is left out, and when its buffer has had no
    /// room for `limits::SEND_WAIT_MS_MAX` so are all that are left.
    pub async fn send(&self, outbox: &mut Outbox) -> usize {
        let (mut sent, mut refused) = (0, 0);
        while sent < outbox.len() {
            match self.send_now(outbox, sent) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let wait = Duration::from_millis(SEND_WAIT_MS_MAX);
                    if !matches!(timeout(wait, self.socket.writable()).await, Ok(Ok(()))) {
                        refused += outbox.len() - sent;
                        break;
                    }
                }
                Err(_) => {
                    refused += 1;
                    sent += 1;
                }
            }
        }
        outbox.clear();
        refused
    }

    fn send_now(&self, outbox: &Outbox, sent: usize) -> io::Result<usize> {
        let letters = outbox.letters(sent);
        let send = || send_batch(self.socket.as_fd(), &letters);
        self.socket.try_io(Interest::WRITABLE, send)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::transport::udp;
    use std::net::SocketAddr;

    fn inside(test: impl Future<Output = ()>) {
        tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap()
            .block_on(test);
    }

    fn listener(address: &str) -> (UdpListener, SocketAddr) {
        let socket = udp::bind(address.parse().unwrap(), 1).unwrap().remove(0);
        let address = socket.local_addr().unwrap();
        (UdpListener::new(socket).unwrap(), address)
    }

    async fn receive(listener: &UdpListener, room: &mut ReceiveRoom) -> usize {
        let wait = Duration::from_secs(5);
        timeout(wait, listener.readable()).await.unwrap().unwrap();
        listener.receive(room).unwrap()
    }

    /// Whatever the size of the bursts, none is left lying after a batch that was not
    /// full, and none after one that was.
    #[test]
    fn every_burst_is_taken_whole() {
        inside(async {
            let (listener, address) = listener("127.0.0.1:0");
            let mut room = listener.room();
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            for burst in [1, 31, 32, 33, 64, 2, 100, 1] {
                for n in 0..burst {
                    peer.send_to(&[n], address).unwrap();
                }
                let mut taken = Vec::new();
                while taken.len() < usize::from(burst) {
                    receive(&listener, &mut room).await;
                    taken.extend(room.iter().map(|received| received.bytes[0]));
                }
                assert_eq!(taken, (0..burst).collect::<Vec<_>>());
            }
        });
    }

    #[test]
    fn an_answer_that_is_refused_holds_up_no_other() {
        inside(async {
            let (listener, _) = listener("127.0.0.1:0");
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            peer.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            let good = peer.local_addr().unwrap();
            let wrong_family: SocketAddr = "[::1]:9".parse().unwrap();
            let mut outbox = Outbox::new();
            for (n, to) in [wrong_family, good, wrong_family, wrong_family, good, good]
                .into_iter()
                .enumerate()
            {
                let page = outbox.page().unwrap();
                page.clear();
                page.push(n as u8);
                outbox.post(to, None);
            }
            assert_eq!(listener.send(&mut outbox).await, 3);
            assert!(outbox.is_empty());
            let mut heard = [0; 3];
            for byte in &mut heard {
                peer.recv_from(std::slice::from_mut(byte)).unwrap();
            }
            assert_eq!(heard, [1, 4, 5]);
        });
    }

    #[test]
    fn a_batch_has_as_many_pages_as_datagrams() {
        let mut outbox = Outbox::new();
        let to = "127.0.0.1:9".parse().unwrap();
        let mut pages = 0;
        while outbox.page().is_some() {
            outbox.post(to, None);
            pages += 1;
        }
        assert_eq!((pages, outbox.len()), (DATAGRAM_BATCH_MAX, pages));
        outbox.clear();
        assert!(outbox.page().is_some());
    }

    /// An answer to a port nobody has brings an ICMP error: nothing of ours ends.
    #[test]
    fn peers_that_are_gone_end_nothing() {
        inside(async {
            let (listener, address) = listener("127.0.0.1:0");
            let mut room = listener.room();
            let gone = {
                let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
                peer.local_addr().unwrap()
            };
            let mut outbox = Outbox::new();
            for _ in 0..3 {
                outbox.page().unwrap().push(b'x');
                outbox.post(gone, None);
                assert_eq!(listener.send(&mut outbox).await, 0);
            }
            let peer = UdpSocket::bind("127.0.0.1:0").unwrap();
            peer.send_to(b"hello", address).unwrap();
            assert_eq!(receive(&listener, &mut room).await, 1);
        });
    }
}
