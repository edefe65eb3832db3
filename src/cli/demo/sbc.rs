//! The user agent that plays the SBC: asks Trunkline, follows its redirect, shops around.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rsip::prelude::*;
use rsip::{Header, Method, Request, headers, typed};
use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::agent::Agent;
use super::message::{self, Heard, Leg, Target};
use crate::limits::MESSAGE_BYTES_MAX;

/// First interval of repeating a request. RFC 3261 §17.1.1.1 lets a network whose round
/// trips are known take less than half a second.
const T1: Duration = Duration::from_millis(100);
/// How long Trunkline may take for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(20);
/// How long a trunk may stay silent before the next one is tried: for patient people too
/// long, for a busy machine long enough not to take a slow agent for a dead one.
pub(super) const TRUNK_WAIT: Duration = Duration::from_millis(800);

/// Whom the SBC has a call from, and how it says so to Trunkline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// A header the SBC adds for the carrier's IP group.
    CarrierA,
    /// The Contact of Microsoft Teams.
    Teams,
    /// The trunk group label (RFC 4904) that Genesys puts into its Contact.
    GenesysLondon,
}

/// A call as it reaches the SBC.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call {
    pub(super) from: Side,
    pub(super) calling: &'static str,
    pub(super) dialled: &'static str,
}

/// A row of the SBC's routing: the host of a Contact, and where it leads.
#[derive(Debug, Clone)]
pub(super) struct Row {
    host: &'static str,
    name: &'static str,
    address: SocketAddr,
}

/// What came of a call.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) call_id: String,
    /// What Trunkline answered; `None` is no answer.
    pub(super) status: Option<u16>,
    pub(super) reason: String,
    /// The Contacts, best first.
    pub(super) targets: Vec<Target>,
    /// One for each Contact that was tried.
    pub(super) attempts: Vec<Came>,
    /// Who answered the call.
    pub(super) answered_by: Option<&'static str>,
    /// From the INVITE to the last answer.
    pub(super) took: Duration,
}

/// What came of a call through a proxy.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) call_id: String,
    /// The final answer; `None` is none.
    pub(super) status: Option<u16>,
    /// Its To, which tells who answered.
    pub(super) to: String,
    /// Whether the BYE was answered.
    pub(super) hung_up: bool,
    /// From the INVITE to the final answer.
    pub(super) took: Duration,
}

/// What came of one Contact.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Came {
    /// It was answered.
    Answered,
    /// A final response that is no 2xx.
    Status(u16),
    /// Nothing.
    Silence,
    /// The SBC has no row for the host.
    NoRow,
}

/// A caller with a loopback socket of its own.
#[derive(Debug)]
pub(super) struct Sbc {
    socket: UdpSocket,
    address: SocketAddr,
    trunkline: SocketAddr,
    rows: Arc<[Row]>,
    room: Vec<u8>,
}

impl Side {
    /// The trunk group of the table that such a call arrives on.
    pub(super) const fn trunk_group(self) -> &'static str {
        match self {
            Self::CarrierA => "carrier-a",
            Self::Teams => "teams",
            Self::GenesysLondon => "genesys-london",
        }
    }

    /// As it is said.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::CarrierA => "Carrier A",
            Self::Teams => "Teams",
            Self::GenesysLondon => "Genesys",
        }
    }

    fn mark(self, invite: &mut Request, calling: &str, sbc: SocketAddr) {
        let contact = match self {
            Self::CarrierA => {
                let group = self.trunk_group().to_owned();
                let header = Header::Other("X-Trunk-Group".to_owned(), group);
                invite.headers.push(header);
                return;
            }
            Self::Teams => message::at_host(calling, "sip.pstnhub.microsoft.com"),
            Self::GenesysLondon => {
                let label = format!("{calling};tgrp=genesys-04;trunk-context=byoc.example.net");
                message::at(&label, sbc)
            }
        };
        let contact = typed::Contact::from(contact);
        invite.headers.unique_push(contact.into());
    }
}

impl Row {
    /// The rows that lead to these agents.
    pub(super) fn to(agents: &[Agent]) -> Arc<[Self]> {
        let row = |agent: &Agent| Self {
            host: agent.host,
            name: agent.name,
            address: agent.address,
        };
        agents.iter().map(row).collect()
    }
}

impl Sbc {
    /// Opens a socket.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn start(trunkline: SocketAddr, rows: &Arc<[Row]>) -> io::Result<Self> {
        let socket = UdpSocket::bind("127.0.0.1:0").await?;
        Ok(Self {
            address: socket.local_addr()?,
            socket,
            trunkline,
            rows: Arc::clone(rows),
            room: vec![0; MESSAGE_BYTES_MAX],
        })
    }

    /// Places a call, follows the redirect in order of q, and hangs up when somebody has
    /// answered. RFC 3261 §8.1.3.4: the same Call-ID, From and To, a new CSeq.
    ///
    /// # Errors
    /// What the system said about our socket. Whatever peers do is part of the result.
    pub(super) async fn place(&mut self, call: &Call) -> io::Result<Placed> {
        let leg = Leg::new(call.calling, self.address);
        let uri = message::dialled(call.dialled, self.trunkline);
        let to: headers::To = typed::To::from(uri.clone()).into();
        let mut invite = leg.invite(uri, to.clone(), 1);
        call.from.mark(&mut invite, call.calling, self.address);
        let begun = Instant::now();
        let answer = self.ask(&invite, self.trunkline, ANSWER_WAIT).await?;
        let mut placed = Placed {
            call_id: leg.call_id.clone(),
            status: answer.as_ref().map(Heard::status),
            reason: answer
                .as_ref()
                .map(|heard| heard.reason.clone())
                .unwrap_or_default(),
            targets: Vec::new(),
            attempts: Vec::new(),
            answered_by: None,
            took: begun.elapsed(),
        };
        if let Some(heard) = answer {
            self.acknowledge(&invite, &heard, self.trunkline).await?;
            if heard.response.status_code.code() / 100 == 3 {
                placed.targets = heard.targets();
                self.shop_around(&leg, &to, begun, &mut placed).await?;
            }
        }
        Ok(placed)
    }

    /// Tries the Contacts one after the other until somebody answers or declines.
    async fn shop_around(
        &mut self,
        leg: &Leg,
        to: &headers::To,
        begun: Instant,
        placed: &mut Placed,
    ) -> io::Result<()> {
        let mut cseq = 1;
        for target in &placed.targets {
            let row = self.rows.iter().find(|row| row.host == target.host);
            let Some(row) = row.cloned() else {
                placed.attempts.push(Came::NoRow);
                continue;
            };
            cseq += 1;
            let invite = leg.invite(target.uri.clone(), to.clone(), cseq);
            let heard = self.ask(&invite, row.address, TRUNK_WAIT).await?;
            placed.took = begun.elapsed();
            let Some(heard) = heard else {
                placed.attempts.push(Came::Silence);
                continue;
            };
            let status = heard.status();
            if (200..300).contains(&status) {
                placed.attempts.push(Came::Answered);
                placed.answered_by = Some(row.name);
                // Whoever answered and does not hear a BYE: the call was placed all the same.
                let _ = self.hang_up(leg, &heard, cseq, row.address).await?;
                return Ok(());
            }
            self.acknowledge(&invite, &heard, row.address).await?;
            placed.attempts.push(Came::Status(status));
            // The callee has answered: somebody else's phone must not ring instead.
            if status != 408 && status / 100 != 5 {
                break;
            }
        }
        Ok(())
    }

    /// Places a call through a proxy, which carries it to whoever answers, and hangs up
    /// along the route set.
    ///
    /// # Errors
    /// What the system said about our socket. Whatever peers do is part of the result.
    pub(super) async fn place_through(
        &mut self,
        proxy: SocketAddr,
        calling: &str,
        dialled: &str,
    ) -> io::Result<Carried> {
        let leg = Leg::new(calling, self.address);
        let uri = message::dialled(dialled, proxy);
        let to: headers::To = typed::To::from(uri.clone()).into();
        let invite = leg.invite(uri, to, 1);
        let begun = Instant::now();
        let answer = self.ask(&invite, proxy, ANSWER_WAIT).await?;
        let mut carried = Carried {
            call_id: leg.call_id.clone(),
            status: answer.as_ref().map(Heard::status),
            to: String::new(),
            hung_up: false,
            took: begun.elapsed(),
        };
        let Some(heard) = answer else {
            return Ok(carried);
        };
        if (200..300).contains(&heard.status()) {
            let to = heard.response.to_header();
            carried.to = to.map(|to| to.value().to_owned()).unwrap_or_default();
            carried.hung_up = self.hang_up(&leg, &heard, 1, proxy).await?;
        } else {
            self.acknowledge(&invite, &heard, proxy).await?;
        }
        Ok(carried)
    }

    /// ACK, BYE, and whether that was answered. RFC 3261 §13.2.2.4, §15.1.1.
    async fn hang_up(
        &mut self,
        leg: &Leg,
        heard: &Heard,
        cseq: u32,
        peer: SocketAddr,
    ) -> io::Result<bool> {
        let Ok(to) = heard.response.to_header().cloned() else {
            return Ok(false);
        };
        let contact = heard.targets().into_iter().next();
        let uri = contact.map_or_else(|| peer.into(), |target| target.uri);
        let mut ack = leg.request(Method::Ack, uri.clone(), to.clone(), cseq);
        let mut bye = leg.request(Method::Bye, uri, to, cseq.saturating_add(1));
        for route in heard.routes() {
            ack.headers.push(route.clone());
            bye.headers.push(route);
        }
        self.send(&ack, peer).await?;
        let heard = self.ask(&bye, peer, ANSWER_WAIT).await?;
        Ok(heard.is_some_and(|heard| heard.status() == 200))
    }

    async fn acknowledge(
        &self,
        invite: &Request,
        heard: &Heard,
        peer: SocketAddr,
    ) -> io::Result<()> {
        match message::ack_of_refusal(invite, &heard.response) {
            Some(ack) => self.send(&ack, peer).await,
            None => Ok(()),
        }
    }

    /// Sends a request, repeats it until something comes (RFC 3261 §17.1), and waits for
    /// the final response: `patience` for the first sign, and as long again after each.
    async fn ask(
        &mut self,
        request: &Request,
        peer: SocketAddr,
        patience: Duration,
    ) -> io::Result<Option<Heard>> {
        let mut deadline = Instant::now() + patience;
        let (mut interval, mut ringing) = (T1, false);
        self.send(request, peer).await?;
        let mut repeat_at = Instant::now() + interval;
        while Instant::now() < deadline {
            let until = if ringing {
                deadline
            } else {
                repeat_at.min(deadline)
            };
            let Some(heard) = self.hear(request, until).await? else {
                if !ringing && repeat_at < deadline {
                    self.send(request, peer).await?;
                    interval *= 2;
                    repeat_at = Instant::now() + interval;
                }
                continue;
            };
            if heard.status() >= 200 {
                return Ok(Some(heard));
            }
            if !ringing {
                ringing = true;
                deadline = Instant::now() + ANSWER_WAIT;
            }
        }
        Ok(None)
    }

    /// The next response to this request, until a time.
    async fn hear(&mut self, request: &Request, until: Instant) -> io::Result<Option<Heard>> {
        while Instant::now() < until {
            let received = timeout_at(until, self.socket.recv_from(&mut self.room)).await;
            let Ok(received) = received else { break };
            let (length, _) = received?;
            let bytes = self.room.get(..length).unwrap_or_default();
            if let Some(heard) = Heard::read(bytes).filter(|heard| heard.answers(request)) {
                return Ok(Some(heard));
            }
        }
        Ok(None)
    }

    async fn send(&self, request: &Request, peer: SocketAddr) -> io::Result<()> {
        let bytes: Vec<u8> = request.clone().into();
        self.socket.send_to(&bytes, peer).await.map(drop)
    }
}
