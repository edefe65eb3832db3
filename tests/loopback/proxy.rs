//! Proxied calls with real sockets: a phone, the server, trunks.

use std::collections::HashSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use trunkline::server::{Config, ListenerConfig, Mode};

use crate::phone::Phone;
pub(crate) use crate::words::{in_dialog, lines, response};
use crate::{Rig, write};

/// A trunk: a socket that answers by hand. A request that is sent again because the answer
/// takes its time (RFC 3261 §17.1.1.2) is heard once.
pub(crate) struct Trunk {
    socket: UdpSocket,
    heard: Mutex<HashSet<String>>,
}

impl Trunk {
    pub(crate) fn new() -> Self {
        Self::bound("127.0.0.1:0")
    }

    pub(crate) fn bound(address: &str) -> Self {
        Self::try_bound(address.parse().unwrap()).unwrap()
    }

    pub(crate) fn try_bound(address: SocketAddr) -> std::io::Result<Self> {
        let socket = UdpSocket::bind(address)?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        Ok(Self {
            socket,
            heard: Mutex::default(),
        })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// The next request, which must begin so, and who sent it.
    pub(crate) fn expect(&self, begins: &str) -> (String, SocketAddr) {
        let (text, from) = self.next().unwrap();
        assert!(text.starts_with(begins), "{begins:?} was expected:\n{text}");
        (text, from)
    }

    /// What arrives within this time, if anything.
    pub(crate) fn heard_within(&self, wait: Duration) -> Option<String> {
        self.hears(wait).map(|(text, _)| text)
    }

    fn hears(&self, wait: Duration) -> Option<(String, SocketAddr)> {
        self.socket.set_read_timeout(Some(wait)).unwrap();
        let heard = self.next();
        let long = Duration::from_secs(20);
        self.socket.set_read_timeout(Some(long)).unwrap();
        heard.ok()
    }

    fn next(&self) -> std::io::Result<(String, SocketAddr)> {
        let mut room = [0; 65_536];
        loop {
            let (length, from) = self.socket.recv_from(&mut room)?;
            let text = String::from_utf8_lossy(&room[..length]).into_owned();
            let is_new = self.heard.lock().unwrap().insert(text.clone());
            // An ACK comes again for an answer that was given again.
            if is_new || text.starts_with("ACK ") {
                return Ok((text, from));
            }
        }
    }

    /// Takes every call and answers whatever comes, until the end.
    pub(crate) fn answer_all(&self, ends: &AtomicBool) {
        while !ends.load(Ordering::Relaxed) {
            let Some((request, from)) = self.hears(Duration::from_millis(100)) else {
                continue;
            };
            if !request.starts_with("ACK ") {
                self.answer(&(request, from), 200);
            }
        }
    }

    /// Answers a request as a user agent does.
    pub(crate) fn answer(&self, request: &(String, SocketAddr), status: u16) {
        self.answer_as(request, status, self.address());
    }

    /// Answers for somebody who is reached elsewhere.
    pub(crate) fn answer_as(&self, request: &(String, SocketAddr), status: u16, at: SocketAddr) {
        let response = response(&request.0, status, at);
        self.socket.send_to(response.as_bytes(), request.1).unwrap();
    }
}

/// A proxy in front of these trunks, tried in this order.
pub(crate) fn proxy(
    trunks: &[SocketAddr],
    workers: usize,
    change: impl FnOnce(&mut Config),
) -> Rig {
    Rig::with_tables(
        |folder| write(folder, "trunks.toml", &trunks_toml(trunks)),
        &["127.0.0.1:0"],
        workers,
        |config| {
            config.listeners[0].mode = Mode::Proxy;
            change(config);
        },
    )
}

/// The trunks of the group that calls to London go to.
pub(crate) fn trunks_toml<A: std::fmt::Display>(trunks: &[A]) -> String {
    let names: Vec<String> = (0..trunks.len()).map(|n| format!("\"t{n}\"")).collect();
    let own: String = trunks
        .iter()
        .enumerate()
        .map(|(n, address)| format!("[trunk.t{n}]\naddress = \"sip:{address}\"\n"))
        .collect();
    format!(
        "{own}[trunk_group.pstn]\naccept_from = [\"127.0.0.1\"]\n\
         [trunk_group.teams]\ntrunks = [{}]\n[trunk_group.reception]\ntrunks = [\"t0\"]\n",
        names.join(", ")
    )
}

/// A port where nobody listens, and nobody will: datagrams come back by ICMP, connections are
/// refused.
pub(crate) fn dead() -> SocketAddr {
    let kept = (0..100).find_map(|_| {
        let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = udp.local_addr().unwrap();
        // It hears itself alone.
        udp.connect(address).unwrap();
        let tcp = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        tcp.bind(&address.into()).ok()?;
        Some((address, udp, tcp))
    });
    let (address, udp, tcp) = kept.expect("a port free of both");
    // Else the next who asks for any port may get this one.
    std::mem::forget((udp, tcp));
    address
}

/// A port that nobody has just now.
pub(crate) fn free() -> SocketAddr {
    let any = UdpSocket::bind("127.0.0.1:0").unwrap();
    any.local_addr().unwrap()
}

/// Sends an INVITE and takes the 100.
pub(crate) fn call(phone: &Phone, call_id: &str) -> String {
    let invite = phone.invite("+442071838750", call_id);
    let trying = phone.ask(&invite);
    assert!(trying.starts_with("SIP/2.0 100 "), "{trying}");
    invite
}

/// Calls; the first trunk has no room, and the second one answers.
pub(crate) fn moves_on(rig: &Rig, full: &Trunk, free: &Trunk) {
    let phone = Phone::new(rig.address());
    call(&phone, "c1");
    let invite = full.expect("INVITE ");
    full.answer(&invite, 503);
    full.expect("ACK ");
    let invite = free.expect("INVITE ");
    free.answer(&invite, 200);
    assert!(phone.receive().starts_with("SIP/2.0 200 "));
}

#[test]
fn a_call_is_carried_to_its_trunk_and_hung_up() {
    let trunk = Trunk::new();
    let rig = proxy(&[trunk.address()], 1, |_| {});
    let phone = Phone::new(rig.address());
    let me = phone.socket.local_addr().unwrap();
    call(&phone, "c1");
    let invite = trunk.expect("INVITE sip:+442071838750@");
    assert_eq!(invite.1, rig.address());
    assert!(
        lines(&invite.0, "Record-Route")[0].starts_with(&format!("<sip:{};lr;tl=", rig.address())),
        "{}",
        invite.0
    );
    trunk.answer(&invite, 180);
    assert!(phone.receive().starts_with("SIP/2.0 180 "));
    trunk.answer(&invite, 200);
    let answer = phone.receive();
    assert!(answer.starts_with("SIP/2.0 200 "), "{answer}");
    phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
    trunk.expect("ACK ");
    phone.send(in_dialog(&answer, "BYE", 2, me).as_bytes());
    let bye = trunk.expect("BYE ");
    assert!(lines(&bye.0, "Route").is_empty(), "{}", bye.0);
    trunk.answer(&bye, 200);
    let ended = phone.receive();
    assert!(ended.starts_with("SIP/2.0 200 ") && ended.contains("2 BYE"));
    let totals = rig.handle.shutdown();
    assert_eq!(
        (totals.requests["INVITE"], totals.requests["BYE"]),
        (1, 1),
        "{totals}"
    );
    assert_eq!(totals.replies[&200], 2);
    assert_eq!((totals.proxied.calls, totals.proxied.attempts), (1, 1));
}

/// The network says at once that nobody is there, and the call is at the next trunk before
/// the caller would notice.
#[test]
fn a_refused_trunk_moves_the_call_on_at_once() {
    for workers in [1, 2] {
        let alive = Trunk::new();
        let rig = proxy(&[dead(), dead(), alive.address()], workers, |_| {});
        for n in 0..8 {
            let phone = Phone::new(rig.address());
            call(&phone, &format!("c{n}"));
            let invite = alive.expect("INVITE ");
            alive.answer(&invite, 200);
            assert!(phone.receive().starts_with("SIP/2.0 200 "));
        }
        let totals = rig.handle.shutdown();
        assert_eq!(totals.proxied.calls, 8, "{totals}");
        assert_eq!(totals.proxied.trunk_errors, totals.proxied.failovers);
        assert!(totals.proxied.trunk_errors >= 2, "{totals}");
        assert_eq!(totals.proxied.trunk_timeouts, 0, "{totals}");
    }
}

#[test]
fn a_trunk_that_is_full_moves_the_call_on() {
    let (full, free) = (Trunk::new(), Trunk::new());
    let rig = proxy(&[full.address(), free.address()], 1, |_| {});
    moves_on(&rig, &full, &free);
    let totals = rig.handle.shutdown();
    assert_eq!(
        (totals.proxied.attempts, totals.proxied.failovers),
        (2, 1),
        "{totals}"
    );
}

#[test]
fn a_caller_who_gives_up_is_obeyed() {
    let trunk = Trunk::new();
    let rig = proxy(&[trunk.address()], 1, |_| {});
    let phone = Phone::new(rig.address());
    let invite_sent = call(&phone, "c1");
    let invite = trunk.expect("INVITE ");
    trunk.answer(&invite, 180);
    assert!(phone.receive().starts_with("SIP/2.0 180 "));
    phone.send(cancel(&invite_sent).as_bytes());
    let answers = phone.receive();
    assert!(
        answers.starts_with("SIP/2.0 200 ") && answers.contains("CANCEL"),
        "{answers}"
    );
    let cancelled = trunk.expect("CANCEL ");
    trunk.answer(&cancelled, 200);
    trunk.answer(&invite, 487);
    trunk.expect("ACK ");
    assert!(phone.receive().starts_with("SIP/2.0 487 "));
}

fn cancel(invite: &str) -> String {
    invite
        .replace("INVITE sip:", "CANCEL sip:")
        .replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL")
}

/// The kernel picks the worker by the sender's address: with enough trunks and callers
/// some answers reach the worker that did not ask.
#[test]
fn an_answer_that_reaches_the_other_worker_finds_its_call() {
    let trunks: Vec<Trunk> = (0..8).map(|_| Trunk::new()).collect();
    let mut handed_over = 0;
    for trunk in &trunks {
        let rig = proxy(&[trunk.address()], 2, |_| {});
        for n in 0..8 {
            let phone = Phone::new(rig.address());
            call(&phone, &format!("c{n}"));
            let invite = trunk.expect("INVITE ");
            trunk.answer(&invite, 200);
            assert!(phone.receive().starts_with("SIP/2.0 200 "));
        }
        let totals = rig.handle.shutdown();
        assert_eq!(
            (totals.proxied.calls, totals.proxied.hand_overs_lost),
            (8, 0)
        );
        handed_over += totals.proxied.handed_over;
    }
    assert!(handed_over > 0, "64 pairs of ports, all on one worker");
}

#[test]
fn a_proxy_and_a_redirect_server_live_in_one_process() {
    let trunk = Trunk::new();
    let rig = proxy(&[trunk.address()], 2, |config| {
        let address = "127.0.0.1:0".parse().unwrap();
        config.listeners.push(ListenerConfig::new(address));
        config.listeners.push(ListenerConfig::proxy(address));
    });
    let redirected = Phone::new(rig.handle.local_addrs()[1]);
    let answer = redirected.ask(&redirected.invite("+442071838750", "r1"));
    assert!(answer.starts_with("SIP/2.0 302 "), "{answer}");
    for place in [0, 2] {
        let address = rig.handle.local_addrs()[place];
        let phone = Phone::new(address);
        call(&phone, &format!("p{place}"));
        let invite = trunk.expect("INVITE ");
        assert_eq!(invite.1, address, "it leaves where it came in");
        trunk.answer(&invite, 404);
        trunk.expect("ACK ");
        assert!(phone.receive().starts_with("SIP/2.0 404 "));
    }
}

/// A trunk hangs up by whichever worker its address meets, and all count alike: what one of
/// them has taken, the BYE gives back.
#[test]
fn a_call_is_counted_once_whichever_worker_hears_its_end() {
    let trunk = Trunk::new();
    let toml =
        trunks_toml(&[trunk.address()]).replace("[trunk.t0]\n", "[trunk.t0]\nmax_calls = 1\n");
    let rig = Rig::with_tables(
        |folder| write(folder, "trunks.toml", &toml),
        &["127.0.0.1:0"],
        4,
        |config| config.listeners[0].mode = Mode::Proxy,
    );
    for id in 0..16 {
        let (phone, busy) = (Phone::new(rig.address()), Phone::new(rig.address()));
        let me = phone.socket.local_addr().unwrap();
        call(&phone, &format!("c{id}"));
        let invite = trunk.expect("INVITE ");
        trunk.answer(&invite, 200);
        let answer = phone.receive();
        phone.send(in_dialog(&answer, "ACK", 1, me).as_bytes());
        trunk.expect("ACK ");
        let refused = busy.ask(&busy.invite("+442071838750", &format!("b{id}")));
        assert!(refused.starts_with("SIP/2.0 503 "), "{refused}");
        let line = |name: &str| lines(&invite.0, name)[0].to_owned();
        let as_callee = format!(
            "Contact: <sip:{me}>\r\nRecord-Route: {}\r\nFrom: {};tag=callee\r\nTo: {}\r\nCall-ID: {}\r\n\r\n",
            line("Record-Route"),
            line("To"),
            line("From"),
            line("Call-ID")
        );
        let bye = in_dialog(&as_callee, "BYE", 1, trunk.address());
        trunk.socket.send_to(bye.as_bytes(), rig.address()).unwrap();
        let hung_up = phone.receive();
        assert!(hung_up.starts_with("BYE "), "{hung_up}");
        phone.send(response(&hung_up, 200, me).as_bytes());
        trunk.expect("SIP/2.0 200 ");
    }
    let totals = rig.handle.shutdown();
    assert_eq!(totals.proxied.attempts, 16, "{totals}");
    assert!(totals.proxied.handed_over > 0, "{totals}");
}
