//! The same messages and thousands of damaged ones against a server on loopback, which
//! answers an OPTIONS behind every one of them.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use tempfile::TempDir;
use trunkline::server::{Config, ListenerConfig, Server, ServerHandle};
use trunkline::sip::Message;

use super::rfc;

struct Rig {
    _folder: TempDir,
    handle: ServerHandle,
}

fn rig(address: &str, stateful: bool) -> Rig {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routing.toml"), rfc::TABLE).unwrap();
    let mut listener = ListenerConfig::new(address.parse().unwrap());
    listener.stateful = stateful;
    let mut config = Config::new(folder.path(), vec![listener]);
    config.workers = 1;
    config.drain_timeout = Duration::ZERO;
    config.log_decisions = false;
    let handle = Server::start(&config).unwrap();
    Rig {
        _folder: folder,
        handle,
    }
}

struct Phone {
    socket: UdpSocket,
    server: SocketAddr,
    asked: u32,
    heard: BTreeSet<Vec<u8>>,
}

impl Phone {
    fn of(rig: &Rig) -> Self {
        let server = rig.handle.local_addrs()[0];
        let socket = UdpSocket::bind((server.ip(), 0)).unwrap();
        socket
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        Self {
            socket,
            server,
            asked: 0,
            heard: BTreeSet::new(),
        }
    }

    fn send(&self, bytes: &[u8]) {
        self.socket.send_to(bytes, self.server).unwrap();
    }

    fn hear(&self) -> Vec<u8> {
        let mut room = vec![0; 65_536];
        let length = self.socket.recv(&mut room).unwrap();
        room.truncate(length);
        room
    }

    /// Everything that comes before the answer to an OPTIONS that is sent now, and was not
    /// heard before: where the machine is slow a final answer is repeated after T1.
    fn hear_until_healthy(&mut self) -> Vec<Vec<u8>> {
        self.asked += 1;
        let id = format!("health-{}", self.asked);
        let me = self.socket.local_addr().unwrap();
        self.send(
            format!(
                "OPTIONS sip:trunkline SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{id};rport\r\n\
                 From: <sip:{me}>;tag=1\r\nTo: <sip:trunkline>\r\nCall-ID: {id}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
            )
            .as_bytes(),
        );
        let mut heard = Vec::new();
        loop {
            let answer = self.hear();
            let call_id = Message::parse_datagram(&answer)
                .ok()
                .and_then(|answer| answer.call_id().ok());
            if call_id == Some(id.as_bytes()) {
                assert!(answer.starts_with(b"SIP/2.0 200 "));
                return heard;
            }
            if self.heard.insert(answer.clone()) {
                heard.push(answer);
            }
        }
    }
}

/// The message with its branch and Call-ID made its own, and answered to the port it
/// came from: the top Via gets an `rport`.
fn salted(bytes: &[u8], salt: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    if let Some(at) = field(&bytes, &[b"call-id", b"i"]) {
        bytes.splice(at..at, format!("salt{salt}").into_bytes());
    }
    let Some(via) = field(&bytes, &[b"via", b"v"]) else {
        return bytes;
    };
    let value = &bytes[via..];
    let ends = |at: &usize| {
        let line_end =
            value[*at..].starts_with(b"\r\n") && !matches!(value.get(at + 2), Some(b' ' | b'\t'));
        line_end || matches!(value[*at], b';' | b',')
    };
    let at = via + (0..value.len()).find(ends).unwrap();
    bytes.splice(at..at, *b";rport");
    let cookie = bytes[via..]
        .windows(8)
        .position(|part| part.starts_with(b"z9hG4bK") && part[7].is_ascii_graphic());
    if let Some(cookie) = cookie {
        let at = via + cookie + 7;
        bytes.splice(at..at, format!("{salt}").into_bytes());
    }
    bytes
}

/// Where the value of the first field of one of these names begins.
fn field(bytes: &[u8], names: &[&[u8]]) -> Option<usize> {
    let mut at = 0;
    loop {
        at += bytes[at..].windows(2).position(|pair| pair == b"\r\n")? + 2;
        let colon = at + bytes[at..].iter().position(|byte| *byte == b':')?;
        let name = bytes[at..colon].trim_ascii_end();
        if names.iter().any(|known| name.eq_ignore_ascii_case(known)) {
            let blanks = bytes[colon + 1..]
                .iter()
                .take_while(|byte| byte.is_ascii_whitespace());
            return Some(colon + 1 + blanks.count());
        }
    }
}

fn every_rfc_message(address: &str, stateful: bool) {
    let rig = rig(address, stateful);
    let mut phone = Phone::of(&rig);
    for (salt, (one, bytes)) in (0_u32..).zip(rfc::all()) {
        phone.send(&salted(&bytes, salt));
        let heard = phone.hear_until_healthy();
        let statuses: Vec<_> = heard
            .iter()
            .filter_map(|answer| Message::parse_datagram(answer).ok()?.status())
            .collect();
        let codes: Vec<_> = statuses.iter().map(|status| status.code()).collect();
        assert_eq!(
            codes,
            Vec::from_iter(one.answer),
            "{} {}",
            one.section,
            one.name
        );
    }
    let defects = rig.handle.shutdown().drops.get("defect").copied();
    assert_eq!(defects.unwrap_or_default(), 0);
}

#[test]
fn every_rfc_message_is_answered_over_ipv4() {
    every_rfc_message("127.0.0.1:0", false);
    every_rfc_message("127.0.0.1:0", true);
}

#[test]
fn every_rfc_message_is_answered_over_ipv6() {
    every_rfc_message("[::1]:0", false);
    every_rfc_message("[::1]:0", true);
}

#[test]
fn our_own_messages_get_their_verdicts_from_a_server() {
    use super::Verdict::{Accepted, Answered, Response, Silent};
    let rig = rig("127.0.0.1:0", true);
    let mut phone = Phone::of(&rig);
    for (salt, (name, bytes)) in (0_u32..).zip(super::messages()) {
        // What lives from its exact bytes is sent as it is: junk, and other protocols.
        let verdict = super::VERDICTS
            .iter()
            .find(|(listed, _)| *listed == name)
            .unwrap()
            .1;
        let sent = if verdict == Silent {
            bytes
        } else {
            salted(&bytes, 1_000 + salt)
        };
        if sent.len() > 65_507 {
            continue;
        }
        phone.send(&sent);
        let heard = phone.hear_until_healthy();
        let codes: Vec<u16> = heard.iter().map(|answer| code(answer)).collect();
        match verdict {
            Accepted => assert!(
                matches!(codes[..], [200 | 302 | 405 | 420 | 481 | 483]),
                "{name}: {codes:?}"
            ),
            Answered(status) => assert_eq!(codes, [status], "{name}"),
            Response | Silent => assert!(codes.is_empty(), "{name}: {codes:?}"),
        }
    }
}

fn code(answer: &[u8]) -> u16 {
    std::str::from_utf8(&answer[8..11])
        .unwrap()
        .parse()
        .unwrap()
}

/// A chain of numbers, the same in every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 11).unwrap() % end
    }

    /// One of the ways a message is damaged: bytes changed, cut out, doubled, turned, or
    /// taken from another.
    fn damage(&mut self, bytes: &mut Vec<u8>, other: &[u8]) {
        let at = self.below(bytes.len());
        let end = (at + 1 + self.below(40)).min(bytes.len());
        match self.below(7) {
            0 => bytes[at] = b"\0\r\n\t :;,<>\"@%\\\xff"[self.below(15)],
            1 => drop(bytes.drain(at..end)),
            2 => drop(bytes.splice(at..at, bytes[at..end].to_vec())),
            3 => bytes[at..end].reverse(),
            4 => bytes.truncate(at + 1),
            5 => {
                let from = self.below(other.len());
                let to = (from + 1 + self.below(60)).min(other.len());
                drop(bytes.splice(at..end, other[from..to].to_vec()));
            }
            _ => bytes[at] ^= 1 << self.below(8),
        }
    }
}

#[test]
fn thousands_of_damaged_messages_leave_the_server_healthy() {
    let originals: Vec<Vec<u8>> = (rfc::all().map(|(_, bytes)| bytes))
        .chain(
            super::messages()
                .into_values()
                .filter(|bytes| bytes.len() < 4_000),
        )
        .collect();
    let rig = rig("127.0.0.1:0", true);
    let mut phone = Phone::of(&rig);
    let mut chance = Chance(0x5eed_5eed_5eed_5eed);
    for round in 0..200_u32 {
        for one in 0..30 {
            let mut bytes = originals[chance.below(originals.len())].clone();
            for _ in 0..=chance.below(4) {
                let other = &originals[chance.below(originals.len())];
                chance.damage(&mut bytes, other);
                if bytes.is_empty() {
                    break;
                }
            }
            let bytes = if bytes.len() > 20 {
                salted_if_possible(&bytes, 30 * round + one)
            } else {
                bytes
            };
            phone.send(&bytes);
        }
        for answer in phone.hear_until_healthy() {
            assert!(
                answer.starts_with(b"SIP/2.0 ") && answer.ends_with(b"Content-Length: 0\r\n\r\n")
            );
            assert!((200..600).contains(&code(&answer)));
        }
    }
    let totals = rig.handle.shutdown();
    assert_eq!(totals.drops.get("defect").copied().unwrap_or_default(), 0);
}

/// Damaged messages may have no Via that ends, and are sent as they are then.
fn salted_if_possible(bytes: &[u8], salt: u32) -> Vec<u8> {
    let whole = field(bytes, &[b"via", b"v"]).is_some_and(|via| {
        bytes[via..]
            .windows(3)
            .any(|part| part.starts_with(b"\r\n"))
    });
    if whole {
        salted(bytes, salt)
    } else {
        bytes.to_vec()
    }
}
