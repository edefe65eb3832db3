//! A user agent on a connection, played by hand.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const ANSWER_WAIT: Duration = Duration::from_secs(20);

/// One connection, and what was received on it and not yet taken.
pub(crate) struct Wire<S = TcpStream> {
    pub(crate) stream: S,
    own: SocketAddr,
    received: Vec<u8>,
}

impl Wire {
    pub(crate) fn to(server: SocketAddr) -> Self {
        Self::of(TcpStream::connect(server).unwrap())
    }

    pub(crate) fn of(stream: TcpStream) -> Self {
        let own = prepared(&stream);
        Self::over(stream, own)
    }

    /// The next connection somebody opens to us.
    pub(crate) fn accepted_by(listener: &TcpListener) -> Self {
        Self::of(listener.accept().unwrap().0)
    }
}

/// Makes a connection one that does not wait for ever; tells its own address.
pub(crate) fn prepared(stream: &TcpStream) -> SocketAddr {
    stream.set_read_timeout(Some(ANSWER_WAIT)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.local_addr().unwrap()
}

impl<S: Read + Write> Wire<S> {
    pub(crate) fn over(stream: S, own: SocketAddr) -> Self {
        Self {
            stream,
            own,
            received: Vec::new(),
        }
    }

    pub(crate) fn own(&self) -> SocketAddr {
        self.own
    }

    pub(crate) fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).unwrap();
    }

    /// The next message, by its Content-Length.
    pub(crate) fn receive(&mut self) -> String {
        let next = self.next_message();
        next.unwrap_or_else(|| panic!("closed: {:?}", self.received))
    }

    /// The next message, unless the connection ends before.
    pub(crate) fn next_message(&mut self) -> Option<String> {
        loop {
            if let Some(length) = length_of_first(&self.received) {
                let message = self.received.drain(..length).collect();
                return Some(String::from_utf8(message).unwrap());
            }
            if self.read_more() == 0 {
                return None;
            }
        }
    }

    /// The next message, which must begin so.
    pub(crate) fn expect(&mut self, begins: &str) -> String {
        let message = self.receive();
        assert!(
            message.starts_with(begins),
            "{begins:?} was expected:\n{message}"
        );
        message
    }

    pub(crate) fn ask(&mut self, message: impl AsRef<[u8]>) -> String {
        self.send(message);
        self.receive()
    }

    /// The next bytes, so many.
    pub(crate) fn receive_bytes(&mut self, count: usize) -> Vec<u8> {
        while self.received.len() < count {
            assert!(self.read_more() > 0, "closed: {:?}", self.received);
        }
        self.received.drain(..count).collect()
    }

    /// Everything until the other end closes. Resets and alerts are ends like another.
    pub(crate) fn receive_rest(&mut self) -> String {
        while self.read_more() > 0 {}
        String::from_utf8_lossy(&std::mem::take(&mut self.received)).into_owned()
    }

    fn read_more(&mut self) -> usize {
        let mut room = [0; 4_096];
        match self.stream.read(&mut room) {
            Ok(count) => {
                self.received.extend_from_slice(&room[..count]);
                count
            }
            Err(error) if [ErrorKind::TimedOut, ErrorKind::WouldBlock].contains(&error.kind()) => {
                panic!("{error}")
            }
            Err(_) => 0,
        }
    }

    /// A request of ours, outside of any dialog.
    pub(crate) fn request(&self, method: &str, uri: &str, call_id: &str) -> String {
        let me = self.own();
        format!(
            "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/TCP {me};branch=z9hG4bK{call_id}\r\nMax-Forwards: 70\r\n\
             From: <sip:+447700900123@{me}>;tag=f{call_id}\r\nTo: <{uri}>\r\nCall-ID: {call_id}\r\nCSeq: 1 {method}\r\n\
             Contact: <sip:{me};transport=tcp>\r\nContent-Length: 0\r\n\r\n"
        )
    }

    pub(crate) fn invite(&self, number: &str, call_id: &str) -> String {
        self.request("INVITE", &format!("sip:{number}@127.0.0.1"), call_id)
    }

    /// Sends an OPTIONS, whose answer must be what comes next.
    pub(crate) fn is_served(&mut self, call_id: &str) {
        let options = self.request("OPTIONS", "sip:trunkline", call_id);
        let answer = self.ask(options);
        assert!(
            answer.starts_with("SIP/2.0 200 ") && answer.contains(call_id),
            "{answer}"
        );
    }
}

fn length_of_first(bytes: &[u8]) -> Option<usize> {
    let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&bytes[..head]).unwrap();
    let body: usize = text
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.trim().parse().unwrap());
    (bytes.len() >= head + body).then_some(head + body)
}
