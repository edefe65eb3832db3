//! The queue before a capture server, and the thread behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use std::{fmt, io};

use bytes::Bytes;
use jiff::Timestamp;

use super::packet::{Agent, Kind, Packet};
use crate::limits::{HEP_QUEUED_BYTES_MAX, HEP_QUEUED_MAX, OUTLET_REST_MS};
use crate::proxy::{Flow, counted};
use crate::sip::Message;
use crate::transport::{Outlet, OutletTo};

/// Whom copies go to, of what, and as whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HepSettings {
    /// The capture server.
    pub to: OutletTo,
    /// Who captures.
    pub agent: Agent,
    /// Of what there are copies.
    pub taken: Taken,
}

/// Of what there are copies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// SIP messages, in and out.
    pub sip: bool,
    /// The lines of decisions.
    pub decisions: bool,
    /// The records of calls.
    pub records: bool,
}

counted! {
    /// What became of a copy.
    HepResult {
        /// It was sent.
        Sent = "sent",
        /// There was no room for it: the capture server is slower than the calls, or away.
        Dropped = "dropped",
        /// It is too long for a packet, or the system refused to send it.
        Failed = "failed",
    }
}

/// Where workers put copies. None of its methods waits.
#[derive(Clone)]
pub struct Capture {
    queue: SyncSender<Captured>,
    shared: Arc<Shared>,
    taken: Taken,
}

/// The end of a capture: what is queued is sent, unless nobody takes it.
#[derive(Debug)]
pub struct CaptureEnd {
    shared: Arc<Shared>,
    thread: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct Shared {
    results: [AtomicU64; HepResult::ALL.len()],
    waiting_bytes: AtomicUsize,
    ends: AtomicBool,
}

/// What will be a packet.
struct Captured {
    at: Timestamp,
    from: SocketAddr,
    to: SocketAddr,
    is_stream: bool,
    what: What,
}

enum What {
    Sip(Bytes),
    Told {
        kind: Kind,
        call_id: Box<[u8]>,
        trunk_group: Box<str>,
        text: Box<str>,
    },
}

/// The record of a call, for [`Capture::record`].
#[derive(Debug, Clone)]
pub struct RecordCopy<'r> {
    /// When it was over.
    pub at: Timestamp,
    /// Who called.
    pub from: SocketAddr,
    /// Where it went.
    pub to: SocketAddr,
    /// Whether it came on a connection; else as a datagram.
    pub is_stream: bool,
    /// Its Call-ID.
    pub call_id: &'r str,
    /// The trunk group it arrived on; empty where that is not known.
    pub trunk_group: &'r str,
    /// The record, as JSON.
    pub json: String,
}

impl Capture {
    /// Starts the thread. The capture server need not be there.
    ///
    /// # Errors
    /// A file of CAs cannot be used, or the system gives no thread.
    pub fn start(settings: &HepSettings) -> io::Result<(Self, CaptureEnd)> {
        let outlet = Outlet::open(&settings.to).map_err(io::Error::other)?;
        let (queue, copies) = sync_channel(HEP_QUEUED_MAX);
        let shared = Arc::<Shared>::default();
        let sender = Sender {
            outlet,
            address: settings.to.address,
            agent: settings.agent.clone(),
            shared: Arc::clone(&shared),
            page: Vec::new(),
            is_away: false,
        };
        let thread = std::thread::Builder::new()
            .name(String::from("hep"))
            .spawn(move || sender.run(&copies))?;
        let capture = Self {
            queue,
            shared: Arc::clone(&shared),
            taken: settings.taken,
        };
        Ok((capture, CaptureEnd { shared, thread }))
    }

    /// Whether lines of decisions are wanted: they cost something to write.
    #[must_use]
    pub const fn takes_decisions(&self) -> bool {
        self.taken.decisions
    }

    /// A SIP message came by `flow`.
    pub fn received(&self, at: Timestamp, flow: &Flow, message: &[u8]) {
        if self.taken.sip {
            self.sip(at, flow, (flow.peer, flow.local), || {
                Bytes::copy_from_slice(message)
            });
        }
    }

    /// A SIP message leaves by `flow`.
    pub fn sent(&self, at: Timestamp, flow: &Flow, message: impl FnOnce() -> Bytes) {
        if self.taken.sip {
            self.sip(at, flow, (flow.local, flow.peer), message);
        }
    }

    /// A call that came by `flow`, on a trunk group, was decided: this is the line of it.
    pub fn decision(&self, at: Timestamp, flow: &Flow, call_id: &[u8], group: &str, line: String) {
        self.put(Captured {
            at,
            from: flow.peer,
            to: flow.local,
            is_stream: flow.transport.is_reliable(),
            what: What::Told {
                kind: Kind::Log,
                call_id: call_id.into(),
                trunk_group: group.into(),
                text: line.into(),
            },
        });
    }

    /// Whether records of calls are wanted.
    #[must_use]
    pub const fn takes_records(&self) -> bool {
        self.taken.records
    }

    /// A call is over: this is its record.
    pub fn record(&self, record: RecordCopy<'_>) {
        self.put(Captured {
            at: record.at,
            from: record.from,
            to: record.to,
            is_stream: record.is_stream,
            what: What::Told {
                kind: Kind::CallRecord,
                call_id: record.call_id.as_bytes().into(),
                trunk_group: record.trunk_group.into(),
                text: record.json.into(),
            },
        });
    }

    /// So many more were lost before they came here.
    pub fn lost(&self, more: u64) {
        self.shared.add(HepResult::Dropped, more);
    }

    /// What is counted of it.
    #[must_use]
    pub fn counters(&self) -> HepCounters {
        HepCounters(Arc::clone(&self.shared))
    }

    fn sip(
        &self,
        at: Timestamp,
        flow: &Flow,
        (from, to): (SocketAddr, SocketAddr),
        message: impl FnOnce() -> Bytes,
    ) {
        let message = message();
        // Pings that keep a connection open are no messages.
        if message.iter().all(u8::is_ascii_whitespace) {
            return;
        }
        self.put(Captured {
            at,
            from,
            to,
            is_stream: flow.transport.is_reliable(),
            what: What::Sip(message),
        });
    }

    fn put(&self, copy: Captured) {
        let bytes = copy.bytes();
        let waiting = self
            .shared
            .waiting_bytes
            .fetch_add(bytes, Ordering::Relaxed);
        let has_room = waiting.saturating_add(bytes) <= HEP_QUEUED_BYTES_MAX;
        if !has_room || self.queue.try_send(copy).is_err() {
            self.shared
                .waiting_bytes
                .fetch_sub(bytes, Ordering::Relaxed);
            self.shared.count(HepResult::Dropped);
        }
    }
}

impl fmt::Debug for Capture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Capture")
    }
}

/// What is counted of a capture.
#[derive(Debug, Clone)]
pub struct HepCounters(Arc<Shared>);

impl HepCounters {
    /// How many copies ended how, those that never were with 0.
    #[must_use]
    pub fn totals(&self) -> BTreeMap<&'static str, u64> {
        let results = HepResult::ALL.iter().zip(&self.0.results);
        results
            .map(|(result, count)| (result.as_str(), count.load(Ordering::Relaxed)))
            .collect()
    }
}

impl CaptureEnd {
    /// Waits until what is queued was sent, or could not be.
    pub fn join(self) {
        self.shared.ends.store(true, Ordering::Relaxed);
        // One that panicked has said so.
        let _ = self.thread.join();
    }
}

impl Shared {
    fn count(&self, result: HepResult) {
        self.add(result, 1);
    }

    fn add(&self, result: HepResult, more: u64) {
        if let Some(count) = self.results.get(result.index()) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }
}

impl Captured {
    fn bytes(&self) -> usize {
        match &self.what {
            What::Sip(message) => message.len(),
            What::Told { call_id, text, .. } => call_id.len() + text.len(),
        }
    }
}

/// How often an idle thread looks whether it should end.
const LOOK: Duration = Duration::from_millis(200);

/// What the thread works with.
struct Sender {
    outlet: Outlet,
    address: SocketAddr,
    agent: Agent,
    shared: Arc<Shared>,
    page: Vec<u8>,
    /// Whether the capture server could not be reached when it was tried last.
    is_away: bool,
}

impl Sender {
    fn run(mut self, copies: &Receiver<Captured>) {
        loop {
            let copy = match copies.recv_timeout(LOOK) {
                Ok(copy) => copy,
                Err(RecvTimeoutError::Timeout) if !self.shared.ends.load(Ordering::Relaxed) => {
                    continue;
                }
                Err(_) => return,
            };
            self.shared
                .waiting_bytes
                .fetch_sub(copy.bytes(), Ordering::Relaxed);
            let written = self.write(&copy);
            let result = if written && self.send() {
                HepResult::Sent
            } else {
                HepResult::Failed
            };
            self.shared.count(result);
        }
    }

    fn write(&mut self, copy: &Captured) -> bool {
        let (kind, payload, group) = match &copy.what {
            What::Sip(message) => (Kind::Sip, &message[..], None),
            What::Told {
                kind,
                trunk_group,
                text,
                ..
            } => (*kind, text.as_bytes(), Some(&**trunk_group)),
        };
        let read = matches!(kind, Kind::Sip).then(|| Message::parse_datagram(payload));
        let read = read.and_then(Result::ok);
        let call_id = match &copy.what {
            What::Sip(_) => read.as_ref().and_then(|message| message.call_id().ok()),
            What::Told { call_id, .. } => Some(&**call_id),
        };
        let packet = Packet {
            at: copy.at,
            from: copy.from,
            to: copy.to,
            is_stream: copy.is_stream,
            kind,
            correlation: call_id.unwrap_or_default(),
            trunk_group: group.filter(|group| !group.is_empty()),
            payload,
        };
        packet.write(&self.agent, &mut self.page).is_ok()
    }

    /// Sends the page. On a connection it is tried until it goes: meanwhile the queue fills.
    fn send(&mut self) -> bool {
        loop {
            match self.outlet.send(&self.page) {
                Ok(()) => {
                    if std::mem::take(&mut self.is_away) {
                        tracing::info!("capture server {} is reached again", self.address);
                    }
                    return true;
                }
                Err(cause) => {
                    if !std::mem::replace(&mut self.is_away, true) {
                        let address = self.address;
                        tracing::warn!("capture server {address} is not reached: {cause}");
                    }
                    if !self.outlet.is_stream() || self.shared.ends.load(Ordering::Relaxed) {
                        return false;
                    }
                    std::thread::sleep(Duration::from_millis(OUTLET_REST_MS));
                }
            }
        }
    }
}
