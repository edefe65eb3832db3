//! One UDP socket on the runtime of its worker.

use std::io;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::Interest;
use tokio::time::timeout;

use super::Outbox;
use crate::limits::{
    DATAGRAM_BATCH_MAX, DATAGRAMS_IN_RUNS_MIN, RETURNED_BYTES_MAX, SEND_RETRIES_MAX,
    SEND_WAIT_MS_MAX,
};
use crate::system::{
    Letter, ReceiveRoom, SendError, Sending, send_batch, take_send_error, tell_send_errors,
};

/// A bound socket that receives and sends in batches. What the system says against one
/// datagram never ends it.
#[derive(Debug)]
pub struct UdpListener {
    socket: tokio::net::UdpSocket,
    tells_asked: bool,
    tells_errors: bool,
    /// Whether the system carries runs of datagrams as one piece, as far as is known.
    takes_runs: AtomicBool,
}

/// Why a datagram was not sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unsent {
    /// There was no room for it: as if the network had lost it.
    NoRoom,
    /// The system does not send this there.
    Refused,
}

const SEND_WAIT: Duration = Duration::from_millis(SEND_WAIT_MS_MAX);

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
            tells_errors: false,
            takes_runs: AtomicBool::new(true),
        })
    }

    /// Has it tell what the network says of what it sent ([`UdpListener::send_errors`]).
    ///
    /// # Errors
    /// What the system said.
    pub fn tell_send_errors(&mut self) -> io::Result<()> {
        let v6 = self.socket.local_addr()?.is_ipv6();
        tell_send_errors(self.socket.as_fd(), v6)?;
        self.tells_errors = true;
        Ok(())
    }

    /// Whether datagrams tell which of our addresses they were sent to.
    #[must_use]
    pub const fn tells_asked(&self) -> bool {
        self.tells_asked
    }

    /// Room for what this socket receives.
    #[must_use]
    pub fn room(&self) -> ReceiveRoom {
        ReceiveRoom::new(self.tells_asked)
    }

    /// Waits until there may be a datagram, or word of one that did not arrive.
    ///
    /// # Errors
    /// What the system said.
    pub async fn readable(&self) -> io::Result<()> {
        let either = Interest::READABLE.add(Interest::ERROR);
        self.socket.ready(either).await.map(|_| ())
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
    /// system would not send. Many at once leave in runs (docs/decisions/0021).
    pub async fn send(&self, outbox: &mut Outbox) -> usize {
        let (letters, mut refused) = (outbox.letters(), 0);
        // Who wants to know of each that does not arrive sends each for itself.
        let is_run = letters.len() >= DATAGRAMS_IN_RUNS_MIN && !self.tells_errors;
        let sent = if is_run && self.takes_runs.load(Ordering::Relaxed) {
            self.send_runs(&letters)
        } else {
            0
        };
        let rest = letters.get(sent..).unwrap_or_default();
        self.send_letters(rest, |_, _| refused += 1).await;
        drop(letters);
        outbox.clear();
        refused
    }

    /// Sends the letters in runs, as far as the system takes them so without waiting.
    /// Returns how many it took. Where it refuses a run of letters it takes one by one, the
    /// next batches are not tried so again.
    fn send_runs(&self, letters: &[Letter<'_>]) -> usize {
        let mut sent = 0;
        while let Some(rest) = letters.get(sent..).filter(|rest| !rest.is_empty()) {
            let attempt = |sending| {
                let send = || send_batch(self.socket.as_fd(), rest, sending);
                self.socket.try_io(Interest::WRITABLE, send)
            };
            match attempt(Sending::InRuns) {
                Ok(count) => sent += count,
                Err(error) => {
                    // A device without checksums, IPsec, a narrow link, an old kernel.
                    if matches!(error.raw_os_error(), Some(libc::EIO | libc::EINVAL))
                        && let Ok(count) = attempt(Sending::OneByOne)
                    {
                        self.takes_runs.store(false, Ordering::Relaxed);
                        sent += count;
                    }
                    break;
                }
            }
        }
        sent
    }

    /// Sends the letters in order. The place of each that was not sent is told to `unsent`:
    /// one the system refuses is left out, and when its buffer has had no room for
    /// `limits::SEND_WAIT_MS_MAX` so are all that are left.
    pub async fn send_letters(
        &self,
        letters: &[Letter<'_>],
        mut unsent: impl FnMut(usize, Unsent),
    ) {
        let (mut sent, mut tries, mut full_since) = (0, 0, None);
        while let Some(rest) = letters.get(sent..).filter(|rest| !rest.is_empty()) {
            let send = || send_batch(self.socket.as_fd(), rest, Sending::OneByOne);
            match self.socket.try_io(Interest::WRITABLE, send) {
                Ok(count) => (sent, tries, full_since) = (sent + count, 0, None),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    let since: Instant = *full_since.get_or_insert_with(Instant::now);
                    let left = SEND_WAIT.saturating_sub(since.elapsed());
                    let room = timeout(left, self.socket.writable()).await;
                    if left.is_zero() || !matches!(room, Ok(Ok(()))) {
                        (sent..letters.len()).for_each(|place| unsent(place, Unsent::NoRoom));
                        return;
                    }
                }
                // It may be about an earlier datagram, which then is not told again.
                Err(_) if self.tells_errors && tries < SEND_RETRIES_MAX => tries += 1,
                Err(error) => {
                    unsent(sent, Unsent::of(&error));
                    (sent, tries) = (sent + 1, 0);
                }
            }
        }
    }

    /// Takes what the network said of datagrams that did not arrive, at most a batch,
    /// without waiting.
    pub fn send_errors(&self, mut told: impl FnMut(&SendError<'_>)) {
        if !self.tells_errors {
            return;
        }
        let mut room = [0; RETURNED_BYTES_MAX];
        for _ in 0..DATAGRAM_BATCH_MAX {
            let beginning = &mut room[..];
            let told_now = self.socket.try_io(Interest::ERROR, move || {
                take_send_error(self.socket.as_fd(), beginning)
            });
            match told_now {
                Ok(Some(error)) => told(&error),
                Ok(None) => {}
                Err(_) => return,
            }
        }
    }
}

impl Unsent {
    fn of(error: &io::Error) -> Self {
        match error.raw_os_error() {
            Some(libc::ENOBUFS | libc::ENOMEM) => Self::NoRoom,
            _ => Self::Refused,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::system;
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

    /// A burst of answers to several peers, of several lengths, one peer refused by the
    /// system: each of the others hears its own, whether or not the system takes runs.
    #[test]
    fn a_burst_of_answers_arrives_whole() {
        inside(async {
            let (listener, _) = listener("127.0.0.1:0");
            let wait = Some(Duration::from_secs(20));
            let peers = [(); 3].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
            for (is_refused, takes_runs) in [(false, true), (true, false), (true, false)] {
                if is_refused {
                    system::leave_out_checksums(listener.socket.as_fd()).unwrap();
                }
                let mut outbox = Outbox::new();
                for n in 0..DATAGRAM_BATCH_MAX as u8 {
                    let to = match peers.get(usize::from(n % 4)) {
                        Some(peer) => peer.local_addr().unwrap(),
                        None => "[::1]:9".parse().unwrap(),
                    };
                    let page = outbox.page().unwrap();
                    page.clear();
                    page.resize(if n % 5 == 0 { 430 } else { 431 }, n);
                    outbox.post(to, None);
                }
                assert_eq!(listener.send(&mut outbox).await, DATAGRAM_BATCH_MAX / 4);
                for (own, peer) in (0..).zip(&peers) {
                    peer.set_read_timeout(wait).unwrap();
                    let mut heard = Vec::new();
                    for _ in 0..DATAGRAM_BATCH_MAX / 4 {
                        let mut room = [0; 600];
                        let length = peer.recv(&mut room).unwrap();
                        assert!(room[..length].iter().all(|byte| *byte == room[0]));
                        assert_eq!(length, if room[0] % 5 == 0 { 430 } else { 431 });
                        heard.push(room[0]);
                    }
                    heard.sort_unstable();
                    let expected = (0..DATAGRAM_BATCH_MAX as u8).filter(|n| n % 4 == own);
                    assert_eq!(heard, expected.collect::<Vec<_>>());
                }
                assert_eq!(listener.takes_runs.load(Ordering::Relaxed), takes_runs);
            }
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
