//! The proxy listeners of one worker around one engine: receive, handle, send, sleep until
//! the next timer.

mod alarm;
mod door;
mod owner;
mod pace;
mod provision;
mod streams;
mod unanswered;

pub(super) use self::door::Door;
pub(super) use self::unanswered::Unanswered;

use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::{Duration, Instant};

use bytes::Bytes;
use jiff::Timestamp;

use self::alarm::Alarm;
use self::owner::Whose;
use self::pace::Pace;
use self::provision::Provision;
use super::capturing;
use super::locating::Published;
use super::post::{Handed, Post};
use super::worker::{Order, Worker};
use crate::limits::{DATAGRAM_BATCH_MAX, DRAIN_BATCHES_MAX, ROUTES_MAX};
use crate::observe::{self, FeedEvent, ProxiedCallLine};
use crate::proxy::{
    DropReason, Engine, Flow, FlowTransport, Input, Now, Output, ProxiedCall, ProxyEvent,
};
use crate::routing::Snapshot;
use crate::system::ReceiveRoom;
use crate::transport::Connections;

/// What the proxy listeners of a worker need to serve.
pub(super) struct ProxyTask {
    pub(super) doors: Vec<Door>,
    pub(super) connections: Connections,
    pub(super) engine: Engine,
    pub(super) post: Post,
    pub(super) unanswered: Unanswered,
    pub(super) locations: Published,
    pub(super) worker: Worker,
    /// What the counters were last told of transactions.
    pub(super) told: (usize, usize),
}

/// A queue is empty when nothing has come out of it for so long.
const QUIET: Duration = Duration::from_millis(10);
/// How late a timer may be: under load a datagram comes meanwhile, and its round runs the
/// timers too, so that none costs a wake-up of its own. SIP's shortest is 500 ms.
const TIMER_SLACK: Duration = Duration::from_millis(20);

/// What is to be sent and told after a batch.
#[derive(Default)]
struct Work {
    letters: Vec<(Flow, Bytes)>,
    refused: Vec<(SocketAddr, Bytes)>,
    events: Vec<ProxyEvent>,
    /// Connections to close behind what is to be sent.
    hang_ups: Vec<Flow>,
    pace: Pace,
    provision: Provision,
    /// Whether a call of this round was timed.
    is_timed: bool,
}

impl ProxyTask {
    /// Serves until told to end.
    pub(super) async fn run(mut self) {
        let (mut work, mut alarm) = (Work::default(), Alarm::new());
        while *self.worker.orders.borrow() == Order::Serve
            && self.worker.orders.has_changed().is_ok()
        {
            self.wait(&mut alarm, None).await;
            if self.round(&mut work).await >= DATAGRAM_BATCH_MAX {
                tokio::task::yield_now().await;
            } else if let Some(pause) = work.pace.pause() {
                // Asleep as a whole: a timer of the runtime would have every datagram wake
                // this thread, which is what gathering spares.
                std::thread::sleep(pause);
            }
        }
        self.drain(&mut work, &mut alarm).await;
    }

    /// Waits for a datagram, a timer, an order, or `until`.
    async fn wait(&mut self, alarm: &mut Alarm, until: Option<Instant>) {
        alarm.set(
            [
                self.engine.poll_timeout().map(|due| due + TIMER_SLACK),
                until,
            ]
            .into_iter()
            .flatten()
            .min(),
        );
        tokio::select! {
            biased;
            _ = self.worker.orders.changed() => {}
            () = door::any_ready(&self.doors) => {}
            () = self.post.wait() => {}
            () = self.connections.wait() => {}
            () = alarm.ring() => {}
        }
    }

    /// Does all that is due, at most a batch of each kind, with one snapshot of the table.
    /// Returns how many datagrams there were.
    async fn round(&mut self, work: &mut Work) -> usize {
        let now = Now {
            instant: Instant::now(),
            wall: Timestamp::now(),
        };
        let snapshot = self.worker.store.snapshot();
        self.engine.locate(&self.locations.load());
        let mut taken = 0;
        for place in 0..self.doors.len() {
            taken += self.batch(place, now, &snapshot, work);
        }
        taken += self.heard(now, &snapshot, work);
        taken += self.handed_over(now, &snapshot, work);
        if self
            .engine
            .poll_timeout()
            .is_some_and(|due| due <= now.instant)
        {
            self.handle(now, Input::TimerDue, &snapshot, work);
        }
        self.send(now, &snapshot, work).await;
        for flow in work.hang_ups.drain(..) {
            self.connections.hang_up(&flow);
        }
        for event in work.events.drain(..) {
            self.tell(now, event);
        }
        work.pace.note(now.instant, taken);
        let standing = (self.engine.in_progress(), self.engine.unanswered());
        self.worker.counters.in_progress(self.told, standing);
        self.told = standing;
        work.provision.look_after(standing.0);
        work.is_timed = false;
        taken
    }

    /// Takes what is queued at one listener, errors first: they are older.
    fn batch(&mut self, place: usize, now: Now, snapshot: &Snapshot, work: &mut Work) -> usize {
        // Taken out for as long as its datagrams are read.
        let Some(mut room) = self.doors.get_mut(place).and_then(|door| door.room.take()) else {
            return 0;
        };
        let mut taken = 0;
        if let (Some(door), Ok(listener)) = (self.doors.get(place), u16::try_from(place)) {
            let (local, errors) = (door.local, door.send_errors());
            for (to, bytes) in errors {
                self.not_arrived(now, to, bytes, snapshot, work);
            }
            taken = self.receive(place, &mut room);
            for received in room.iter().take(taken) {
                let flow = Flow {
                    listener,
                    transport: FlowTransport::Udp,
                    local: SocketAddr::new(received.asked.unwrap_or(local.ip()), local.port()),
                    peer: received.source,
                };
                let bytes = received.bytes;
                match self.whose(&flow, bytes) {
                    Whose::Own => self.received(now, flow, bytes, snapshot, work),
                    Whose::Of(owner) => {
                        let bytes = Bytes::copy_from_slice(bytes);
                        self.hand(owner, Handed::Received { flow, bytes });
                    }
                    Whose::Perhaps(next) => {
                        let bytes = Bytes::copy_from_slice(bytes);
                        self.ask(next, (flow, bytes, 1), now, snapshot, work);
                    }
                }
            }
        }
        if let Some(door) = self.doors.get_mut(place) {
            door.room = Some(room);
        }
        taken
    }

    fn receive(&self, place: usize, room: &mut ReceiveRoom) -> usize {
        let Some(listener) = self
            .doors
            .get(place)
            .and_then(|door| door.listener.as_ref())
        else {
            return 0;
        };
        // The first try may fail for what an earlier datagram met.
        for _ in 0..2 {
            if let Ok(count) = listener.receive(room) {
                return count;
            }
        }
        self.worker.counters.receive_error();
        0
    }

    fn received(
        &mut self,
        now: Now,
        flow: Flow,
        bytes: &[u8],
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        if let Some(capture) = &self.worker.capture {
            capture.received(now.wall, &flow, bytes);
        }
        let input = Input::Received { flow, bytes };
        if work.is_timed || !bytes.starts_with(b"INVITE ") {
            return self.handle(now, input, snapshot, work);
        }
        // One a round: a look at the clock costs more than all other counting.
        let (began, before) = (Instant::now(), self.engine.in_progress());
        self.handle(now, input, snapshot, work);
        // One that came again began nothing.
        work.is_timed = self.engine.in_progress() > before;
        if work.is_timed {
            let took = began.elapsed();
            self.worker.counters.tallies.decision_took(took);
        }
    }

    /// Has the engine take one input. A defect met by one datagram must not end the calls of
    /// everybody else: what it began is left undone, and the request it belonged to is lost.
    fn handle(&mut self, now: Now, input: Input<'_>, snapshot: &Snapshot, work: &mut Work) {
        if !step(&mut self.engine, now, input, snapshot, work) {
            self.worker.counters.dropped(DropReason::Defect);
            let (length, source) = match input {
                Input::Received { flow, bytes } => (bytes.len(), flow.peer),
                Input::SendFailed { to, bytes } => (bytes.len(), to),
                Input::TimerDue => return,
            };
            self.worker
                .errors
                .dropped(now.instant, DropReason::Defect, length, source);
        }
    }

    /// Sends what is to be sent, and what follows from what could not be: each round of it
    /// takes a route from a call.
    async fn send(&mut self, now: Now, snapshot: &Snapshot, work: &mut Work) {
        for _ in 0..=ROUTES_MAX {
            if work.letters.is_empty() {
                return;
            }
            let mut letters = std::mem::take(&mut work.letters);
            if let Some(capture) = &self.worker.capture {
                for (flow, bytes) in &letters {
                    capture.sent(now.wall, flow, || bytes.clone());
                }
            }
            for (place, door) in self.doors.iter().enumerate() {
                door.send(place, &letters, &self.worker.counters, &mut work.refused)
                    .await;
            }
            for (flow, bytes) in &letters {
                if flow.transport.is_reliable() {
                    self.send_on_stream(flow, bytes, work);
                }
            }
            letters.clear();
            work.letters = letters;
            for (to, bytes) in std::mem::take(&mut work.refused) {
                let bytes = &bytes;
                self.handle(now, Input::SendFailed { to, bytes }, snapshot, work);
            }
        }
        work.letters.clear();
    }

    /// Writes the line of a call, for the log and the capture server.
    fn tell_call(&self, call: &ProxiedCall) {
        let door = self.doors.get(usize::from(call.listener));
        let line = ProxiedCallLine {
            call,
            listener: door.map_or("", |door| &door.name),
            mask: self.worker.calls.mask,
        };
        self.worker.calls.proxied(&line);
        if let Some(door) = door {
            let flow = door.flow(call.listener, call.source);
            capturing::ended(self.worker.capture.as_ref(), &flow, &line);
        }
    }

    /// Counts and logs what happened.
    fn tell(&self, now: Now, event: ProxyEvent) {
        self.worker.counters.proxied(&event);
        match event {
            ProxyEvent::Call(call) => {
                if self.worker.tells_calls() {
                    self.tell_call(&call);
                }
                if let Some(feed) = &self.worker.feed {
                    feed.tell(FeedEvent::Proxied(call));
                }
            }
            ProxyEvent::Ended(ended) => {
                if let Some(feed) = &self.worker.feed {
                    feed.tell(FeedEvent::Ended(ended, now.wall));
                }
            }
            ProxyEvent::Refused(refused) => self.worker.errors.proxy_refused(now.instant, &refused),
            ProxyEvent::Dropped { why, source } => {
                self.worker.errors.proxy_dropped(now.instant, why, source);
            }
            ProxyEvent::Probe(report) => observe::tell_turn(&report),
            ProxyEvent::Served { .. } | ProxyEvent::InDialog { .. } | ProxyEvent::Repeated(_) => {}
        }
    }

    /// Takes no new calls, and waits until those in progress have their answers, for as long
    /// as a stop may take.
    async fn drain(&mut self, work: &mut Work, alarm: &mut Alarm) {
        let until = Instant::now() + self.worker.drain_timeout;
        self.engine.drain();
        for batch in 0.. {
            let stopped = *self.worker.orders.borrow() == Order::Stop
                || self.worker.orders.has_changed().is_err();
            let now = Instant::now();
            // What was queued when the stop came gets its answer even when nothing is
            // waited for.
            if stopped || (now >= until && batch > DRAIN_BATCHES_MAX) {
                return;
            }
            self.wait(alarm, Some(now + QUIET)).await;
            let taken = self.round(work).await;
            self.unanswered
                .tell(self.post.number(), self.engine.unanswered());
            if taken == 0 && (now >= until || !self.unanswered.is_any()) {
                return self.connections.quiet().await;
            }
        }
    }
}

/// One step of the engine. Whether it ended; a defect is caught, and nothing of what it
/// began is done.
fn step(
    engine: &mut Engine,
    now: Now,
    input: Input<'_>,
    snapshot: &Snapshot,
    work: &mut Work,
) -> bool {
    let act = || engine.handle(now, input, snapshot);
    if catch_unwind(AssertUnwindSafe(act)).is_err() {
        engine.recover();
        return false;
    }
    while let Some(output) = engine.poll_output() {
        match output {
            Output::Transmit { flow, bytes } => work.letters.push((flow, bytes)),
            Output::Event(event) => work.events.push(event),
        }
    }
    true
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::proxy::{ProxyListener, ProxySettings};
    use crate::transaction::Timers;
    use std::hash::RandomState;
    use std::sync::Arc;

    const TABLE: &str = "[trunk_group.sbc]\naccept_from = [\"10.0.0.0/8\"]\n\
        [trunk_group.uk]\ntrunks = [\"lon\"]\n\
        [trunk.lon]\naddress = \"sip:10.0.1.1\"\nmax_calls = 1\n\
        [[rule]]\nname = \"UK\"\ncalled = [\"+44*\"]\nroute_to = [\"uk\"]\n";

    fn snapshot() -> Snapshot {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routing.toml"), TABLE).unwrap();
        Snapshot::new(Arc::new(crate::tables::load(folder.path()).table.unwrap()))
    }

    fn engine(now: Now, snapshot: &Snapshot) -> Engine {
        let local = "10.0.0.1:5060".parse().unwrap();
        let settings = ProxySettings {
            worker: 0,
            secret: [7; 16],
            key: RandomState::new(),
            epoch: now.instant,
            timers: Timers::default(),
            listeners: vec![ProxyListener {
                name: "".into(),
                transport: FlowTransport::Udp,
                local,
                advertised: local,
            }],
            server_header: None,
            calls_max: 10,
        };
        Engine::new(settings, snapshot)
    }

    fn invite(id: u32) -> String {
        format!(
            "INVITE sip:+441@10.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK{id}\r\n\
             From: <sip:a@x>;tag=a{id}\r\nTo: <sip:+441@x>\r\nCall-ID: {id}\r\nCSeq: 1 INVITE\r\n\
             Contact: <sip:a@10.0.0.9>\r\nContent-Length: 0\r\n\r\n"
        )
    }

    /// A defect costs the call it meets, and nothing else: wherever it strikes, no context
    /// and no place on a trunk is lost with it.
    #[test]
    fn a_defect_loses_one_call_and_leaves_nothing_behind() {
        let mut now = Now {
            instant: Instant::now(),
            wall: Timestamp::UNIX_EPOCH,
        };
        let snapshot = snapshot();
        let mut engine = engine(now, &snapshot);
        let mut work = Work::default();
        let flow = Flow {
            listener: 0,
            transport: FlowTransport::Udp,
            local: "10.0.0.1:5060".parse().unwrap(),
            peer: "10.0.0.9:5060".parse().unwrap(),
        };
        let calls = |snapshot: &Snapshot| {
            let trunk = crate::routing::TrunkId(0);
            snapshot.availability.calls_in_progress(trunk)
        };
        let begins = |engine: &mut Engine, id: u32, work: &mut Work| {
            let text = invite(id);
            let bytes = text.as_bytes();
            step(
                engine,
                now,
                Input::Received { flow, bytes },
                &snapshot,
                work,
            )
        };
        // While its call begins.
        engine.plant_defect();
        assert!(!begins(&mut engine, 1, &mut work));
        assert!(work.letters.is_empty() && work.events.is_empty());
        assert_eq!((engine.in_progress(), calls(&snapshot)), (0, 0));
        // The same INVITE again is a new call, and a repetition of it is not.
        assert!(begins(&mut engine, 1, &mut work) && begins(&mut engine, 1, &mut work));
        assert_eq!((engine.in_progress(), calls(&snapshot)), (1, 1));
        // While a repetition is answered.
        engine.plant_defect();
        assert!(!begins(&mut engine, 1, &mut work));
        assert_eq!((engine.in_progress(), calls(&snapshot)), (0, 0));
        // While a timer runs.
        assert!(begins(&mut engine, 2, &mut work));
        engine.plant_defect();
        now.instant = engine.poll_timeout().unwrap();
        assert!(!step(
            &mut engine,
            now,
            Input::TimerDue,
            &snapshot,
            &mut work
        ));
        assert_eq!((engine.in_progress(), calls(&snapshot)), (0, 0));
        work.letters.clear();
        let bytes = invite(3);
        let input = Input::Received {
            flow,
            bytes: bytes.as_bytes(),
        };
        assert!(step(&mut engine, now, input, &snapshot, &mut work));
        assert_eq!(work.letters.len(), 2, "100 and the INVITE");
    }
}
