//! Callers that mean well, as long as the others last.

use std::fmt;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Barrier};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::server::Process;
use crate::wire::Wire;
use crate::words::in_dialog;

/// One caller for each way: datagrams, a connection that stays, a new one for each call, and
/// both under TLS. A call that does not complete panics, and so fails its test.
pub(crate) struct Callers {
    is_over: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Told>>,
}

/// What came of the calls of one way.
pub(crate) struct Told {
    way: &'static str,
    calls: usize,
    longest: Duration,
}

/// What came of all calls.
pub(crate) struct AllTold(Vec<Told>);

impl fmt::Display for AllTold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("calls")?;
        for told in &self.0 {
            let longest = told.longest.as_millis();
            write!(f, " {}={} (longest {longest} ms)", told.way, told.calls)?;
        }
        Ok(())
    }
}

impl Callers {
    /// All have made a first call.
    pub(crate) fn of(server: &Process) -> Self {
        let is_over = Arc::new(AtomicBool::new(false));
        let begun = Arc::new(Barrier::new(6));
        let shared = (Arc::clone(&is_over), Arc::clone(&begun));
        let (udp, tcp, tls, client) = (server.udp, server.tcp, server.tls, server.client());
        let (mut steady, other) = (Wire::to(tcp), Arc::clone(&client));
        let mut steady_tls = over_tls(tls, &client);
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let callers = vec![
            each("udp", &shared, move |id| call_over_udp(&socket, udp, id)),
            each("tcp", &shared, move |id| call(&mut steady, "TCP", id)),
            each("tcp-new", &shared, move |id| {
                call(&mut Wire::to(tcp), "TCP", id);
            }),
            each("tls", &shared, move |id| call(&mut steady_tls, "TLS", id)),
            each("tls-new", &shared, move |id| {
                call(&mut over_tls(tls, &other), "TLS", id);
            }),
        ];
        begun.wait();
        Self { is_over, callers }
    }

    /// Ends them after the call each is in.
    pub(crate) fn finish(self) -> AllTold {
        self.is_over.store(true, Ordering::Relaxed);
        let told = self
            .callers
            .into_iter()
            .map(|caller| caller.join().unwrap());
        AllTold(told.collect())
    }
}

/// Calls, and calls again a moment later, until it is over; once more then.
fn each(
    way: &'static str,
    (is_over, begun): &(Arc<AtomicBool>, Arc<Barrier>),
    mut call: impl FnMut(&str) + Send + 'static,
) -> JoinHandle<Told> {
    let (is_over, all_begun) = (Arc::clone(is_over), Arc::clone(begun));
    thread::spawn(move || {
        let (mut calls, mut longest) = (0, Duration::ZERO);
        loop {
            let is_last = is_over.load(Ordering::Relaxed);
            let begun = Instant::now();
            call(&format!("{way}{calls}"));
            (calls, longest) = (calls + 1, longest.max(begun.elapsed()));
            if is_last {
                break;
            }
            if calls == 1 {
                all_begun.wait();
            }
            thread::sleep(Duration::from_millis(20));
        }
        Told {
            way,
            calls,
            longest,
        }
    })
}

fn over_tls(
    to: SocketAddr,
    client: &Arc<ClientConfig>,
) -> Wire<StreamOwned<ClientConnection, TcpStream>> {
    let stream = TcpStream::connect(to).unwrap();
    let own = crate::wire::prepared(&stream);
    let name = ServerName::try_from("trunkline.test").unwrap();
    let session = ClientConnection::new(Arc::clone(client), name).unwrap();
    Wire::over(StreamOwned::new(session, stream), own)
}

/// A whole call: answered, acknowledged, hung up.
fn call<S: Read + Write>(wire: &mut Wire<S>, transport: &str, id: &str) {
    let over = |text: String, was: &str| text.replace(was, &format!("SIP/2.0/{transport}"));
    wire.send(over(wire.invite("+442071838750", id), "SIP/2.0/TCP"));
    wire.expect("SIP/2.0 100 ");
    let answer = wire.expect("SIP/2.0 200 ");
    let me = wire.own();
    wire.send(over(in_dialog(&answer, "ACK", 1, me), "SIP/2.0/UDP"));
    wire.send(over(in_dialog(&answer, "BYE", 2, me), "SIP/2.0/UDP"));
    wire.expect("SIP/2.0 200 ");
}

/// The same over UDP; what is lost is sent again, as every user agent does.
fn call_over_udp(socket: &UdpSocket, server: SocketAddr, id: &str) {
    let me = socket.local_addr().unwrap();
    let invite = format!(
        "INVITE sip:+442071838750@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP {me};branch=z9hG4bK{id};rport\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@{me}>;tag=f{id}\r\nTo: <sip:+442071838750@127.0.0.1>\r\n\
         Call-ID: {id}\r\nCSeq: 1 INVITE\r\nContact: <sip:{me}>\r\nContent-Length: 0\r\n\r\n"
    );
    let answer = asked(socket, server, &invite, "1 INVITE");
    let ack = in_dialog(&answer, "ACK", 1, me);
    socket.send_to(ack.as_bytes(), server).unwrap();
    asked(socket, server, &in_dialog(&answer, "BYE", 2, me), "2 BYE");
}

/// The final answer to a request, which must be 200.
fn asked(socket: &UdpSocket, server: SocketAddr, request: &str, cseq: &str) -> String {
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let mut room = [0; 65_536];
    for _ in 0..20 {
        socket.send_to(request.as_bytes(), server).unwrap();
        while let Ok(length) = socket.recv(&mut room) {
            let answer = String::from_utf8(room[..length].to_vec()).unwrap();
            if answer.contains(&format!("CSeq: {cseq}\r\n")) && !answer.starts_with("SIP/2.0 1") {
                assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
                return answer;
            }
        }
    }
    panic!("never answered:\n{request}");
}
