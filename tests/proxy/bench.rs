//! One engine, a clock that only tests move, and user agents made of text.

use std::collections::VecDeque;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use trunkline::proxy::{
    Engine, Flow, FlowTransport, Input, Now, Output, ProxiedCall, ProxyEvent, ProxyListener,
    ProxySettings,
};
use trunkline::routing::Snapshot;
use trunkline::sip::{HeaderName, Message};
use trunkline::tables;
use trunkline::transaction::Timers;

/// Us.
pub(crate) const PROXY: &str = "10.0.0.1:5060";
/// Our other listener, in another network.
pub(crate) const PROXY_V6: &str = "[2001:db8::1]:5060";
/// The SBC that calls come from.
pub(crate) const CALLER: &str = "10.0.0.10:5060";
/// The trunks of the group that numbers in +44 go to, in order.
pub(crate) const LON: &str = "10.0.1.1:5060";
pub(crate) const MAN: &str = "10.0.1.2:5060";
/// The trunk of the group for +49.
pub(crate) const BER: &str = "[2001:db8::49]:5060";

/// The table of these tests.
pub(crate) const TABLE: &str = r#"
[trunk_group.sbc]
accept_from = ["10.0.0.10", "10.0.0.11"]

[trunk_group.uk]
trunks      = ["lon", "man"]
accept_from = ["10.0.1.0/28"]

[trunk_group.careful]
trunks = ["lon", "man"]
alternative_routing = "careful"

[trunk_group.de]
trunks = ["ber"]
outbound = ["national"]

[trunk_group.named]
trunks = ["somewhere", "man"]

[trunk.lon]
address = "sip:10.0.1.1:5060"

[trunk.man]
address = "sip:10.0.1.2;user=phone"

[trunk.ber]
address = "sip:[2001:db8::49]"

[trunk.somewhere]
address = "sip:trunk.example.net"

[alternative_routing.careful]
next_route_on = ["trunk-timeout", "486", "q850:34", "6xx"]
give_up_on    = ["603"]
trunk_timeout = "2s"

[manipulation.national]
called  = [{ prefix = "+49", strip = 3, prepend = "0" }]
calling = [{ prefix = "+44", strip = 3, prepend = "0" }]

[[rule]]
name     = "Emergency"
called   = ["emergency"]
route_to = ["uk"]

[[rule]]
name     = "Barred"
called   = ["+449*"]
reject   = { status = 603, reason = "Not from here" }

[[rule]]
name     = "Careful"
called   = ["+4420*"]
route_to = ["careful"]

[[rule]]
name     = "UK"
called   = ["+44*"]
route_to = ["uk"]

[[rule]]
name     = "Germany"
called   = ["+49*"]
route_to = ["de"]

[[rule]]
name     = "By name"
called   = ["+33*"]
route_to = ["named"]
"#;

/// A message that was sent.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) to: String,
    pub(crate) listener: u16,
    pub(crate) text: String,
}

/// An engine with a clock and a memory of what it sent.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) snapshot: Snapshot,
    pub(crate) now: Now,
    sent: VecDeque<Sent>,
    pub(crate) events: Vec<ProxyEvent>,
}

/// The table of this text.
pub(crate) fn table(text: &str) -> Snapshot {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("routing.toml"), text).unwrap();
    load(folder.path())
}

fn load(folder: &Path) -> Snapshot {
    let loaded = tables::load(folder);
    let table = loaded
        .table
        .unwrap_or_else(|| panic!("{:?}", loaded.report));
    Snapshot::new(Arc::new(table))
}

pub(crate) fn settings(now: Instant) -> ProxySettings {
    let listener = |name: &str, address: &str| ProxyListener {
        name: name.into(),
        transport: FlowTransport::Udp,
        local: address.parse().unwrap(),
        advertised: address.parse().unwrap(),
    };
    ProxySettings {
        worker: 3,
        secret: *b"known to us only",
        key: RandomState::new(),
        epoch: now,
        timers: Timers::default(),
        listeners: vec![listener("inside", PROXY), listener("v6", PROXY_V6)],
        server_header: None,
        calls_max: 1_000,
    }
}

impl Bench {
    pub(crate) fn new() -> Self {
        let now = Instant::now();
        Self::with(table(TABLE), settings(now), now)
    }

    pub(crate) fn with(snapshot: Snapshot, settings: ProxySettings, instant: Instant) -> Self {
        let wall = "2026-03-02T10:00:00Z".parse().unwrap();
        Self {
            engine: Engine::new(settings, &snapshot),
            snapshot,
            now: Now { instant, wall },
            sent: VecDeque::new(),
            events: Vec::new(),
        }
    }

    /// A message arrives; the listener is the one with the sender's address family.
    pub(crate) fn receive(&mut self, from: &str, text: &str) {
        self.receive_bytes(from, text.as_bytes());
    }

    pub(crate) fn receive_bytes(&mut self, from: &str, bytes: &[u8]) {
        let peer: SocketAddr = from.parse().unwrap();
        let listener = u16::from(peer.is_ipv6());
        let local = if peer.is_ipv6() { PROXY_V6 } else { PROXY };
        let flow = Flow {
            listener,
            transport: FlowTransport::Udp,
            local: local.parse().unwrap(),
            peer,
        };
        self.input(Input::Received { flow, bytes });
    }

    /// What was sent comes back from the network: nobody is there.
    pub(crate) fn bounce(&mut self, sent: &Sent) {
        let bytes = sent.text.as_bytes();
        self.input(Input::SendFailed {
            to: sent.to.parse().unwrap(),
            bytes: bytes.get(..300).unwrap_or(bytes),
        });
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.engine.handle(self.now, input, &self.snapshot);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    assert!(
                        Message::parse_datagram(&bytes).is_ok(),
                        "what is sent can be read"
                    );
                    self.sent.push_back(Sent {
                        to: flow.peer.to_string(),
                        listener: flow.listener,
                        text: String::from_utf8_lossy(&bytes).into_owned(),
                    });
                }
                Output::Event(event) => self.events.push(event),
            }
        }
    }

    /// Lets time pass; every timer runs at its time.
    pub(crate) fn wait_ms(&mut self, ms: u64) {
        let end = self.now.instant + Duration::from_millis(ms);
        while let Some(due) = self.engine.poll_timeout().filter(|due| *due <= end) {
            self.now.instant = due.max(self.now.instant);
            self.input(Input::TimerDue);
        }
        self.now.instant = end;
    }

    /// The first message sent to `to` that nobody has taken yet; it must begin so.
    pub(crate) fn take(&mut self, to: &str, begins: &str) -> Sent {
        let place = self.sent.iter().position(|sent| sent.to == to);
        let Some(sent) = place.and_then(|place| self.sent.remove(place)) else {
            panic!("nothing for {to}, but {:#?}", self.sent);
        };
        assert!(
            sent.text.starts_with(begins),
            "{begins:?} was expected at {to}:\n{}",
            sent.text
        );
        sent
    }

    /// The first message sent to `to` that begins so, if there is one.
    pub(crate) fn take_if(&mut self, to: &str, begins: &str) -> Option<Sent> {
        let fits = |sent: &Sent| sent.to == to && sent.text.starts_with(begins);
        let place = self.sent.iter().position(fits)?;
        self.sent.remove(place)
    }

    /// Drops what was sent to `to` that begins so: retransmissions the test does not mind.
    pub(crate) fn ignore(&mut self, to: &str, begins: &str) -> usize {
        let before = self.sent.len();
        self.sent
            .retain(|sent| sent.to != to || !sent.text.starts_with(begins));
        before - self.sent.len()
    }

    /// Nothing was sent that nobody has taken.
    #[track_caller]
    pub(crate) fn quiet(&self) {
        assert!(self.sent.is_empty(), "{:#?}", self.sent);
    }

    /// The one call that was told of.
    #[track_caller]
    pub(crate) fn call(&self) -> &ProxiedCall {
        let mut calls = self.events.iter().filter_map(|event| match event {
            ProxyEvent::Call(call) => Some(&**call),
            _ => None,
        });
        let call = calls.next().expect("a call was told of");
        assert!(calls.next().is_none(), "once");
        call
    }

    /// After long enough, nothing is left.
    #[track_caller]
    pub(crate) fn rest(mut self) {
        self.wait_ms(3_700_000);
        assert_eq!(self.engine.in_progress(), 0);
        assert_eq!(self.engine.poll_timeout(), None);
    }

    /// An INVITE from the caller, up to the 100.
    pub(crate) fn call_to(&mut self, number: &str) -> String {
        let invite = invite(number, "1");
        self.receive(CALLER, &invite);
        self.take(CALLER, "SIP/2.0 100 ");
        invite
    }

    /// The trunk answers a request it got.
    pub(crate) fn answer(&mut self, request: &Sent, status: u16, lines: &str) -> String {
        let response = respond(&request.text, status, lines);
        self.receive(&request.to, &response);
        response
    }
}

/// The INVITE of call number `id`, with fields nobody knows and a body.
pub(crate) fn invite(number: &str, id: &str) -> String {
    format!(
        "INVITE sip:{number}@10.0.0.1;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.0.0.10:5060;branch=z9hG4bKcaller{id};rport\r\n\
         Max-Forwards: 70\r\n\
         X-Odd :  kept  as it is \r\n\
         From: \"Alice\" <sip:+441632960001@10.0.0.10>;tag=alice{id}\r\n\
         To: <sip:{number}@10.0.0.1>\r\n\
         Call-ID: call{id}@10.0.0.10\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:alice@10.0.0.10:5060>\r\n\
         P-Asserted-Identity: <sip:+441632960001@10.0.0.10>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: 10\r\n\r\nv=0\r\no=- \0"
    )
}

/// The ACK of a final response that is no 2xx: in the transaction of its INVITE.
pub(crate) fn ack_of(invite: &str, response: &str) -> String {
    let (old, new) = (value(invite, "To"), value(response, "To"));
    invite
        .replacen("INVITE", "ACK", 1)
        .replacen(" INVITE\r\n", " ACK\r\n", 1)
        .replacen(&format!("To: {old}"), &format!("To: {new}"), 1)
}

/// The CANCEL of an INVITE.
pub(crate) fn cancel_of(invite: &str) -> String {
    let keep = ["Via", "Max-Forwards", "From", "To", "Call-ID"];
    let lines: String = keep
        .iter()
        .map(|name| format!("{name}: {}\r\n", value(invite, name)))
        .collect();
    let uri = invite.split(' ').nth(1).unwrap();
    format!("CANCEL {uri} SIP/2.0\r\n{lines}CSeq: 1 CANCEL\r\nContent-Length: 0\r\n\r\n")
}

/// The response of a user agent to a request; every provisional and 2xx has a Contact, and
/// the tag of the one who answers is its address.
pub(crate) fn respond(request: &str, status: u16, lines: &str) -> String {
    let message = Message::parse_datagram(request.as_bytes()).unwrap();
    let mut text = format!("SIP/2.0 {status} Whatever\r\n");
    for header in message.headers() {
        let (name, line) = (header.name, text_of(header.value));
        match name {
            HeaderName::Via | HeaderName::From | HeaderName::CallId | HeaderName::CSeq => {
                text += &format!("{name}: {line}\r\n");
            }
            HeaderName::RecordRoute => text += &format!("Record-Route: {line}\r\n"),
            HeaderName::To if status == 100 || line.contains(";tag=") => {
                text += &format!("To: {line}\r\n");
            }
            HeaderName::To => text += &format!("To: {line};tag=bob\r\n"),
            _ => {}
        }
    }
    if status < 300 && status > 100 && !lines.contains("Contact:") {
        text += "Contact: <sip:bob@10.0.1.9:5070>\r\n";
    }
    format!("{text}{lines}Content-Length: 0\r\n\r\n")
}

/// Both ends of a dialog, as they know it.
#[derive(Debug, Clone)]
pub(crate) struct Dialog {
    call_id: String,
    caller: String,
    callee: String,
    /// As the callee has it; the caller's is the other way around.
    routes: Vec<String>,
    caller_contact: String,
    callee_contact: String,
}

impl Dialog {
    /// The dialog of an INVITE as the caller sent it and a response as the caller got it.
    pub(crate) fn of(invite: &str, response: &str) -> Self {
        let contact = |text: &str| {
            let contact = value(text, "Contact");
            contact.trim_matches(['<', '>']).to_owned()
        };
        Self {
            call_id: value(response, "Call-ID"),
            caller: value(response, "From"),
            callee: value(response, "To"),
            routes: values(response, "Record-Route"),
            caller_contact: contact(invite),
            callee_contact: contact(response),
        }
    }

    /// A request of the caller to the callee.
    pub(crate) fn by_caller(&self, method: &str, number: u32) -> String {
        let routes: Vec<String> = self.routes.iter().rev().cloned().collect();
        let (from, to) = (&self.caller, &self.callee);
        self.request(
            method,
            number,
            (from, to),
            &routes,
            &self.callee_contact,
            "10.0.0.10:5060",
        )
    }

    /// A request of the callee to the caller.
    pub(crate) fn by_callee(&self, method: &str, number: u32) -> String {
        let (from, to) = (&self.callee, &self.caller);
        self.request(
            method,
            number,
            (from, to),
            &self.routes,
            &self.caller_contact,
            "10.0.1.9:5070",
        )
    }

    fn request(
        &self,
        method: &str,
        number: u32,
        (from, to): (&str, &str),
        routes: &[String],
        uri: &str,
        sent_by: &str,
    ) -> String {
        let routes: String = routes.iter().map(|r| format!("Route: {r}\r\n")).collect();
        let cseq = if method == "ACK" { 1 } else { number };
        let side = from.len();
        format!(
            "{method} {uri} SIP/2.0\r\n\
             Via: SIP/2.0/UDP {sent_by};branch=z9hG4bK{method}{number}x{side};rport\r\n\
             Max-Forwards: 70\r\n{routes}From: {from}\r\nTo: {to}\r\nCall-ID: {}\r\n\
             CSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n",
            self.call_id
        )
    }
}

/// The first value of a field.
#[track_caller]
pub(crate) fn value(text: &str, name: &str) -> String {
    values(text, name)
        .into_iter()
        .next()
        .unwrap_or_else(|| panic!("no {name} in\n{text}"))
}

/// The values of a field, lists split.
pub(crate) fn values(text: &str, name: &str) -> Vec<String> {
    let message = Message::parse_datagram(text.as_bytes()).unwrap();
    let known = HeaderName::from_bytes(name.as_bytes());
    match known {
        HeaderName::Via | HeaderName::Route | HeaderName::RecordRoute => {
            message.values(known).map(text_of).collect()
        }
        _ => message.by_name(name.as_bytes()).map(text_of).collect(),
    }
}

fn text_of(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
