//! What one worker hands to another: the kernel picks a socket by the addresses of a
//! datagram, so the answer to a request can reach a worker that did not send it; and one
//! worker has the connection another one has something for.

use bytes::Bytes;
use std::net::SocketAddr;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::limits::HANDED_OVER_MAX;
use crate::proxy::Flow;

/// A message for the worker that knows what to do with it.
#[derive(Debug)]
pub(super) enum Handed {
    /// A message came.
    Received { flow: Flow, bytes: Bytes },
    /// A CANCEL or an ACK came, and so many workers have no INVITE of it.
    Asked { flow: Flow, bytes: Bytes, asked: u8 },
    /// A message is to be sent on a connection that this worker has.
    Send { flow: Flow, bytes: Bytes },
    /// The network says that a request did not arrive.
    SendFailed { to: SocketAddr, bytes: Bytes },
}

/// The post office of one worker: where its own mail comes in, and all the others.
#[derive(Debug)]
pub(super) struct Post {
    number: u8,
    incoming: Receiver<Handed>,
    /// What [`Post::wait`] met.
    first: Option<Handed>,
    workers: Vec<Sender<Handed>>,
}

impl Post {
    /// One for each of `count` workers, in order.
    pub(super) fn offices(count: usize) -> Vec<Self> {
        let (workers, incoming): (Vec<_>, Vec<_>) =
            (0..count).map(|_| channel(HANDED_OVER_MAX)).unzip();
        let office = |(number, incoming)| Self {
            number,
            incoming,
            first: None,
            workers: workers.clone(),
        };
        (0..=u8::MAX).zip(incoming).map(office).collect()
    }

    /// The number of this worker.
    pub(super) const fn number(&self) -> u8 {
        self.number
    }

    /// Whether there is no other worker.
    pub(super) fn is_alone(&self) -> bool {
        self.workers.len() <= 1
    }

    /// How many workers there are.
    pub(super) fn count(&self) -> u8 {
        u8::try_from(self.workers.len()).unwrap_or(u8::MAX)
    }

    /// The worker behind this one, if there is another one.
    pub(super) fn next(&self) -> Option<u8> {
        let next = self
            .number
            .checked_add(1)
            .filter(|next| *next < self.count());
        Some(next.unwrap_or(0)).filter(|next| *next != self.number)
    }

    /// Whether this is the number of another worker.
    pub(super) fn is_elsewhere(&self, worker: u8) -> bool {
        worker != self.number && usize::from(worker) < self.workers.len()
    }

    /// Hands something over. Whether there was room for it: nobody waits for a worker that
    /// does not keep up.
    pub(super) fn hand(&self, worker: u8, handed: Handed) -> bool {
        self.workers
            .get(usize::from(worker))
            .is_some_and(|office| office.try_send(handed).is_ok())
    }

    /// What was handed here, if anything waits.
    pub(super) fn take(&mut self) -> Option<Handed> {
        self.first.take().or_else(|| self.incoming.try_recv().ok())
    }

    /// Waits until there is something to take.
    pub(super) async fn wait(&mut self) {
        if self.first.is_none() {
            self.first = self.incoming.recv().await;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    fn mail(byte: u8) -> Handed {
        Handed::SendFailed {
            to: SocketAddr::from(([127, 0, 0, 1], 5060)),
            bytes: Bytes::copy_from_slice(&[byte]),
        }
    }

    #[test]
    fn what_is_handed_over_arrives_and_what_is_too_much_is_refused() {
        let mut offices = Post::offices(2);
        let numbers: Vec<u8> = offices.iter().map(Post::number).collect();
        assert_eq!(numbers, [0, 1]);
        assert!(offices[0].is_elsewhere(1));
        assert!(!offices[0].is_elsewhere(0) && !offices[0].is_elsewhere(2));
        for n in 0..HANDED_OVER_MAX {
            assert!(offices[0].hand(1, mail(n as u8)));
        }
        assert!(!offices[0].hand(1, mail(0)), "full");
        assert!(!offices[0].hand(7, mail(0)), "nobody");
        assert!(offices[0].take().is_none());
        for n in 0..HANDED_OVER_MAX {
            let Some(Handed::SendFailed { bytes, .. }) = offices[1].take() else {
                panic!("nothing came");
            };
            assert_eq!(bytes[..], [n as u8]);
        }
        assert!(offices[1].take().is_none());
    }
}
