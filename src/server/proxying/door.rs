//! One UDP listener of a proxy: what comes in by it, what leaves by it.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::task::Poll;

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::limits::DATAGRAM_BATCH_MAX;
use crate::observe::Counters;
use crate::proxy::{Flow, FlowTransport};
use crate::system::{Letter, ReceiveRoom};
use crate::transport::{UdpListener, Unsent};

/// One listener of a proxy: a [`Flow`] names it by its place.
pub(in crate::server) struct Door {
    /// None where it takes connections.
    pub(super) listener: Option<UdpListener>,
    pub(super) name: Box<str>,
    pub(super) local: SocketAddr,
    /// Away while its datagrams are read.
    pub(super) room: Option<ReceiveRoom>,
}

impl Door {
    pub(in crate::server) fn new(
        mut listener: UdpListener,
        name: &str,
        local: SocketAddr,
    ) -> io::Result<Self> {
        listener.tell_send_errors()?;
        Ok(Self {
            room: Some(listener.room()),
            listener: Some(listener),
            name: name.into(),
            local,
        })
    }

    /// One that takes connections.
    pub(in crate::server) fn of_streams(name: &str, local: SocketAddr) -> Self {
        Self {
            room: None,
            listener: None,
            name: name.into(),
            local,
        }
    }

    /// The way of a call that came from this peer, by this door, the `listener`th.
    pub(super) const fn flow(&self, listener: u16, peer: SocketAddr) -> Flow {
        let transport = if self.listener.is_some() {
            FlowTransport::Udp
        } else {
            FlowTransport::Tcp
        };
        Flow {
            listener,
            transport,
            local: self.local,
            peer,
        }
    }

    /// What could not reach its peer.
    pub(super) fn send_errors(&self) -> ArrayVec<(SocketAddr, Bytes), DATAGRAM_BATCH_MAX> {
        let mut errors = ArrayVec::new();
        let Some(listener) = &self.listener else {
            return errors;
        };
        listener.send_errors(|error| {
            if error.is_unreachable {
                let _ = errors.try_push((error.to, Bytes::copy_from_slice(error.bytes)));
            }
        });
        errors
    }

    /// Sends those of the letters that leave by this listener, the `place`th.
    pub(super) async fn send(
        &self,
        place: usize,
        letters: &[(Flow, Bytes)],
        counters: &Counters,
        refused: &mut Vec<(SocketAddr, Bytes)>,
    ) {
        let Some(listener) = &self.listener else {
            return;
        };
        let mut own = letters
            .iter()
            .filter(|(flow, _)| usize::from(flow.listener) == place);
        loop {
            let bag: ArrayVec<_, DATAGRAM_BATCH_MAX> =
                own.by_ref().take(DATAGRAM_BATCH_MAX).collect();
            if bag.is_empty() {
                return;
            }
            let batch: ArrayVec<_, DATAGRAM_BATCH_MAX> = bag
                .iter()
                .map(|letter| self::letter(listener, letter))
                .collect();
            let unsent = |at: usize, why| {
                counters.send_error();
                if let (Unsent::Refused, Some((flow, bytes))) = (why, bag.get(at)) {
                    refused.push((flow.peer, bytes.clone()));
                }
            };
            listener.send_letters(&batch, unsent).await;
        }
    }
}

fn letter<'l>(listener: &UdpListener, (flow, bytes): &'l (Flow, Bytes)) -> Letter<'l> {
    let asked = flow.local.ip();
    Letter {
        bytes,
        to: flow.peer,
        // An answer leaves from the address that was asked; elsewhere there is but one.
        from: Some(asked).filter(|ip| listener.tells_asked() && !ip.is_unspecified()),
    }
}

/// Waits until one of the listeners may have something.
pub(super) async fn any_ready(doors: &[Door]) {
    if let [
        Door {
            listener: Some(listener),
            ..
        },
    ] = doors
    {
        let _ = listener.readable().await;
        return;
    }
    let mut waits: Vec<_> = doors
        .iter()
        .filter_map(|door| Some(Box::pin(door.listener.as_ref()?.readable())))
        .collect();
    poll_fn(|context| {
        let mut ready = waits.iter_mut().map(|wait| wait.as_mut().poll(context));
        if ready.any(|ready| ready.is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}
