//! A caller made of one socket.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::time::Duration;

const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// A SIP caller on loopback. What it hears a second time it takes for what it is, sent again
/// because nothing came back in time, unless it has said something a second time itself.
pub(crate) struct Phone {
    pub(crate) socket: UdpSocket,
    server: SocketAddr,
    said: Mutex<HashSet<Vec<u8>>>,
    heard: Mutex<HashSet<String>>,
}

impl Phone {
    pub(crate) fn new(server: SocketAddr) -> Self {
        let any = if server.is_ipv6() {
            "[::1]:0"
        } else {
            "127.0.0.1:0"
        };
        Self::bound(any, server)
    }

    pub(crate) fn bound(address: &str, server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        socket.set_read_timeout(Some(ANSWER_WAIT)).unwrap();
        Self {
            socket,
            server,
            said: Mutex::default(),
            heard: Mutex::default(),
        }
    }

    pub(crate) fn send(&self, message: &[u8]) {
        if !self.said.lock().unwrap().insert(message.to_vec()) {
            self.heard.lock().unwrap().clear();
        }
        self.socket.send_to(message, self.server).unwrap();
    }

    /// The next message that is not one heard before.
    pub(crate) fn receive(&self) -> String {
        loop {
            let (message, _, is_new) = self.hear();
            if is_new {
                return message;
            }
        }
    }

    /// The next message, whether or not it was heard before, and where it came from.
    pub(crate) fn receive_from(&self) -> (String, SocketAddr) {
        let (message, from, _) = self.hear();
        (message, from)
    }

    fn hear(&self) -> (String, SocketAddr, bool) {
        let mut room = [0; 65_536];
        let (length, from) = self.socket.recv_from(&mut room).unwrap();
        let message = String::from_utf8(room[..length].to_vec()).unwrap();
        let is_new = self.heard.lock().unwrap().insert(message.clone());
        (message, from, is_new)
    }

    pub(crate) fn port(&self) -> u16 {
        self.socket.local_addr().unwrap().port()
    }

    pub(crate) fn ask(&self, message: &str) -> String {
        self.send(message.as_bytes());
        self.receive()
    }

    /// Nothing may come: proved by the next answer being the one to what is sent next.
    pub(crate) fn hears_only(&self, call_id: &str) {
        let answer = self.ask(&self.request("OPTIONS", "sip:trunkline", call_id));
        assert!(
            answer.contains(call_id) && answer.starts_with("SIP/2.0 200 "),
            "{answer}"
        );
    }

    pub(crate) fn request(&self, method: &str, uri: &str, call_id: &str) -> String {
        let me = self.socket.local_addr().unwrap();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{call_id};rport\r\nMax-Forwards: 70\r\n\
             From: <sip:+447700900123@{me}>;tag=f{call_id}\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:{me}>\r\nContent-Length: 0\r\n\r\n"
        )
    }

    pub(crate) fn invite(&self, number: &str, call_id: &str) -> String {
        self.request("INVITE", &format!("sip:{number}@{}", self.server), call_id)
    }
}

/// The Contacts of an answer, in order.
pub(crate) fn contacts(answer: &str) -> Vec<&str> {
    answer
        .lines()
        .filter_map(|line| line.strip_prefix("Contact: "))
        .collect()
}
