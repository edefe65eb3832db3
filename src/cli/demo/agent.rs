//! A user agent that answers: Teams, Genesys, a carrier's data centre.

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use rsip::prelude::*;
use rsip::{Method, Request, StatusCode};
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;

use super::message::{self, Asked};
use crate::limits::MESSAGE_BYTES_MAX;

/// Calls an agent keeps; whoever calls beyond it hears 503.
const CALLS_MAX: usize = 1_024;

/// How often a 200 is repeated until its ACK, and how many times before the call is
/// given up. RFC 3261 §13.3.1.4 with a T1 for loopback.
const REPEAT: Duration = Duration::from_millis(100);
const REPEATS_MAX: u32 = 20;

/// How an agent meets its next calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mood {
    /// Rings and answers.
    Answers,
    /// Answers every INVITE with 503.
    Unavailable,
    /// Hears nothing, as a machine that is switched off.
    Silent,
}

/// An agent on a loopback socket of its own. Dropping it ends it.
#[derive(Debug)]
pub(super) struct Agent {
    /// What people call it.
    pub(super) name: &'static str,
    /// The host in a Contact that means it.
    pub(super) host: &'static str,
    /// Where it listens.
    pub(super) address: SocketAddr,
    mood: Arc<AtomicU8>,
    task: JoinHandle<()>,
}

impl Agent {
    /// Opens a socket and answers on it. `by_label`: it takes no call without a trunk group
    /// label, as Genesys does.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn start(
        name: &'static str,
        host: &'static str,
        by_label: bool,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        let address = socket.local_addr()?;
        let mood = Arc::new(AtomicU8::new(Mood::Answers as u8));
        let desk = Desk {
            socket,
            address,
            mood: Arc::clone(&mood),
            by_label,
            calls: HashMap::new(),
        };
        Ok(Self {
            name,
            host,
            address,
            mood,
            task: tokio::spawn(desk.serve()),
        })
    }

    /// Whether it is who answered with this To.
    pub(super) fn is_in(&self, to: &str) -> bool {
        to.ends_with(&format!(";tag={}", tag(self.address)))
    }

    pub(super) fn set_mood(&self, mood: Mood) {
        self.mood.store(mood as u8, Ordering::Relaxed);
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The tag in the To of everything an agent answers.
fn tag(address: SocketAddr) -> String {
    format!("a{}", address.port())
}

struct Desk {
    socket: UdpSocket,
    address: SocketAddr,
    mood: Arc<AtomicU8>,
    by_label: bool,
    calls: HashMap<String, Answered>,
}

/// A call that was answered.
struct Answered {
    cseq: String,
    ok: Vec<u8>,
    peer: SocketAddr,
    acknowledged: bool,
    repeats: u32,
}

impl Desk {
    async fn serve(mut self) {
        let mut room = vec![0; MESSAGE_BYTES_MAX];
        let mut repeat = tokio::time::interval(REPEAT);
        loop {
            tokio::select! {
                received = self.socket.recv_from(&mut room) => {
                    // Another's error on our socket is not ours.
                    let Ok((length, peer)) = received else { continue };
                    let bytes = room.get(..length).unwrap_or_default();
                    if let Some(asked) = Asked::read(bytes) {
                        self.request(&asked, peer).await;
                    }
                }
                _ = repeat.tick() => self.repeat().await,
            }
        }
    }

    async fn request(&mut self, asked: &Asked, peer: SocketAddr) {
        let request = &asked.request;
        let mood = self.mood.load(Ordering::Relaxed);
        if mood == Mood::Silent as u8 {
            return;
        }
        let Ok(call_id) = request.call_id_header() else {
            return;
        };
        let call_id = call_id.value();
        match request.method {
            Method::Invite if mood == Mood::Unavailable as u8 => {
                self.reply(request, StatusCode::ServiceUnavailable, peer)
                    .await;
            }
            Method::Invite if self.by_label && !asked.is_labelled => {
                self.reply(request, StatusCode::NotFound, peer).await;
            }
            Method::Invite => self.invite(request, call_id, peer).await,
            Method::Ack => {
                if let Some(call) = self.calls.get_mut(call_id) {
                    call.acknowledged = true;
                }
            }
            Method::Bye => {
                let status = match self.calls.remove(call_id) {
                    Some(_) => StatusCode::OK,
                    None => StatusCode::CallTransactionDoesNotExist,
                };
                self.reply(request, status, peer).await;
            }
            _ => self.reply(request, StatusCode::NotImplemented, peer).await,
        }
    }

    async fn invite(&mut self, invite: &Request, call_id: &str, peer: SocketAddr) {
        let Ok(cseq) = invite.cseq_header() else {
            return;
        };
        let cseq = cseq.value();
        if let Some(call) = self.calls.get(call_id).filter(|call| call.cseq == cseq) {
            self.send(&call.ok, peer).await;
            return;
        }
        if self.calls.len() >= CALLS_MAX {
            self.reply(invite, StatusCode::ServiceUnavailable, peer)
                .await;
            return;
        }
        self.reply(invite, StatusCode::Ringing, peer).await;
        let Some(ok) = message::accept(invite, &self.tag(), self.address) else {
            return;
        };
        let ok: Vec<u8> = ok.into();
        self.send(&ok, peer).await;
        let call = Answered {
            cseq: cseq.to_owned(),
            ok,
            peer,
            acknowledged: false,
            repeats: 0,
        };
        self.calls.insert(call_id.to_owned(), call);
    }

    /// Repeats each 200 that nobody has acknowledged, and forgets calls without an ACK.
    async fn repeat(&mut self) {
        self.calls
            .retain(|_, call| call.acknowledged || call.repeats < REPEATS_MAX);
        let mut due = Vec::new();
        for call in self.calls.values_mut().filter(|call| !call.acknowledged) {
            call.repeats += 1;
            // The first tick may come right after the answer.
            if call.repeats > 1 {
                due.push((call.ok.clone(), call.peer));
            }
        }
        for (ok, peer) in due {
            self.send(&ok, peer).await;
        }
    }

    async fn reply(&self, request: &Request, status: StatusCode, peer: SocketAddr) {
        if let Some(reply) = message::reply(request, status, &self.tag()) {
            self.send(&Vec::from(reply), peer).await;
        }
    }

    /// One agent is one party: its port tells it from the others of a call.
    fn tag(&self) -> String {
        tag(self.address)
    }

    async fn send(&self, bytes: &[u8], peer: SocketAddr) {
        // Lost is lost: the caller repeats.
        let _ = self.socket.send_to(bytes, peer).await;
    }
}
