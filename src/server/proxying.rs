//! The proxy listeners of one worker around one engine: receive, handle, send, sleep until
//! the next timer.

mod pace;
mod provision;
mod streams;

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::{Sleep, sleep};

use self::pace::{GATHER, Pace};
use self::provision::Provision;
use super::locating::Published;
use super::post::{Handed, Post};
use super::worker::{Order, Worker};
use crate::limits::{DATAGRAM_BATCH_MAX, DRAIN_BATCHES_MAX, ROUTES_MAX};
use crate::observe::{self, Counters, ProxiedCallLine};
use crate::proxy::{
    DropReason, Engine, Flow, FlowTransport, Input, Now, Output, ProxyEvent, dialog_owner,
    request_owner, response_owner, speaks_of_an_invite,
};
use crate::routing::Snapshot;
use crate::system::{Letter, ReceiveRoom};
use crate::transport::{Connections, UdpListener, Unsent};

/// What the proxy listeners of a worker need to serve.
pub(super) struct ProxyTask {
    pub(super) doors: Vec<Door>,
    pub(super) connections: Connections,
    pub(super) engine: Engine,
    pub(super) post: Post,
    pub(super) unanswered: Unanswered,
    pub(super) locations: Published,
    pub(super) worker: Worker,
}

/// One listener of a proxy: a [`Flow`] names it by its place.
pub(super) struct Door {
    /// None where it takes connections.
    listener: Option<UdpListener>,
    name: Box<str>,
    local: SocketAddr,
    /// Away while its datagrams are read.
    room: Option<ReceiveRoom>,
}

/// How many requests without a final answer each worker has: who stops waits for all, for
/// the kernel spreads datagrams over the sockets there are, and calls would lose theirs.
#[derive(Debug, Clone)]
pub(super) struct Unanswered(Arc<[AtomicUsize]>);

/// Which worker a message belongs to.
enum Whose {
    /// This one.
    Own,
    /// That one.
    Of(u8),
    /// Not this one, perhaps the next.
    Perhaps(u8),
}

/// A queue is empty when nothing has come out of it for so long.
const QUIET: Duration = Duration::from_millis(10);
/// How late a timer may be: under load a datagram comes meanwhile, and its round runs the
/// timers too, so that none costs a wake-up of its own. SIP's shortest is 500 ms.
const TIMER_SLACK: Duration = Duration::from_millis(20);
/// With nothing due the alarm is set for later than anybody waits.
const LONG: Duration = Duration::from_secs(3_600);

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
}

impl Unanswered {
    pub(super) fn new(workers: usize) -> Self {
        Self(
            // Until it has told, a worker may have some.
            std::iter::repeat_with(|| AtomicUsize::new(1))
                .take(workers)
                .collect(),
        )
    }

    fn tell(&self, worker: u8, count: usize) {
        if let Some(place) = self.0.get(usize::from(worker)) {
            place.store(count, Ordering::Relaxed);
        }
    }

    fn is_any(&self) -> bool {
        self.0.iter().any(|count| count.load(Ordering::Relaxed) > 0)
    }
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
            } else if work.pace.is_busy() {
                // Asleep as a whole: a timer of the runtime would have every datagram wake
                // this thread, which is what gathering spares.
                std::thread::sleep(GATHER);
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
            () = any_ready(&self.doors) => {}
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
        work.provision.look_after(self.engine.in_progress());
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

    fn not_arrived(
        &mut self,
        now: Now,
        to: SocketAddr,
        bytes: Bytes,
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        match request_owner(&bytes).filter(|owner| self.post.is_elsewhere(*owner)) {
            Some(owner) => self.hand(owner, Handed::SendFailed { to, bytes }),
            None => {
                let bytes = &bytes;
                self.handle(now, Input::SendFailed { to, bytes }, snapshot, work);
            }
        }
    }

    /// Whose message this is. The kernel spreads datagrams and connections over the workers
    /// by address; what belongs to a transaction or a dialog does not depend on them. The
    /// branch of an answer and the Route of a dialog name a worker. A CANCEL, and the ACK of a
    /// refusal, know their INVITE by its branch and sent-by only (RFC 3261 §9.2, §17.2.3):
    /// the workers ask each other for it.
    fn whose(&self, flow: &Flow, bytes: &[u8]) -> Whose {
        if self.post.is_alone() {
            return Whose::Own;
        }
        let named = response_owner(bytes).or_else(|| dialog_owner(bytes));
        if let Some(owner) = named.filter(|owner| self.post.is_elsewhere(*owner)) {
            return Whose::Of(owner);
        }
        match self.post.next() {
            Some(next)
                if speaks_of_an_invite(bytes)
                    && self.engine.is_known(flow.peer.ip())
                    && !self.engine.has_invite_of(bytes) =>
            {
                Whose::Perhaps(next)
            }
            _ => Whose::Own,
        }
    }

    fn received(
        &mut self,
        now: Now,
        flow: Flow,
        bytes: &[u8],
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        self.handle(now, Input::Received { flow, bytes }, snapshot, work);
    }

    /// Asks the next worker whether it has the INVITE of this, which so many have not. One
    /// that has no room for the question is not waited for: then nobody has it.
    fn ask(
        &mut self,
        next: u8,
        (flow, bytes, asked): (Flow, Bytes, u8),
        now: Now,
        snapshot: &Snapshot,
        work: &mut Work,
    ) {
        let question = Handed::Asked {
            flow,
            bytes: bytes.clone(),
            asked,
        };
        let arrived = self.post.hand(next, question);
        self.worker.counters.handed_over(arrived);
        if !arrived {
            self.received(now, flow, &bytes, snapshot, work);
        }
    }

    fn hand(&self, owner: u8, handed: Handed) {
        let arrived = self.post.hand(owner, handed);
        self.worker.counters.handed_over(arrived);
    }

    /// Takes what other workers handed over.
    fn handed_over(&mut self, now: Now, snapshot: &Snapshot, work: &mut Work) -> usize {
        for taken in 0..DATAGRAM_BATCH_MAX {
            match self.post.take() {
                None => return taken,
                Some(Handed::Received { flow, bytes }) => {
                    self.received(now, flow, &bytes, snapshot, work);
                }
                Some(Handed::Asked { flow, bytes, asked }) => {
                    let next = self.post.next().filter(|_| asked < self.post.count());
                    match next.filter(|_| !self.engine.has_invite_of(&bytes)) {
                        Some(next) => {
                            self.ask(next, (flow, bytes, asked + 1), now, snapshot, work);
                        }
                        None => self.received(now, flow, &bytes, snapshot, work),
                    }
                }
                Some(Handed::Send { flow, bytes }) => {
                    self.send_for_another(now, &flow, bytes, snapshot, work);
                }
                Some(Handed::SendFailed { to, bytes }) => {
                    let bytes = &bytes;
                    self.handle(now, Input::SendFailed { to, bytes }, snapshot, work);
                }
            }
        }
        DATAGRAM_BATCH_MAX
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

    /// Counts and logs what happened.
    fn tell(&self, now: Now, event: ProxyEvent) {
        self.worker.counters.proxied(&event);
        match event {
            ProxyEvent::Call(call) if self.worker.calls.enabled => {
                let door = self.doors.get(usize::from(call.listener));
                ProxiedCallLine {
                    call: &call,
                    listener: door.map_or("", |door| &door.name),
                    mask: self.worker.calls.mask,
                }
                .log(self.worker.calls.format);
            }
            ProxyEvent::Refused(refused) => self.worker.errors.proxy_refused(now.instant, &refused),
            ProxyEvent::Dropped { why, source } => {
                self.worker.errors.proxy_dropped(now.instant, why, source);
            }
            ProxyEvent::Probe(report) => observe::tell_turn(&report),
            ProxyEvent::Call(_)
            | ProxyEvent::Served { .. }
            | ProxyEvent::InDialog { .. }
            | ProxyEvent::Repeated(_) => {}
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

impl Door {
    pub(super) fn new(
        mut listener: UdpListener,
        name: &str,
        local: SocketAddr,
    ) -> io::Result<Self> {
        listener.tell_send_errors()?;
        Ok(Self {
            room: Some(listener.room()),
            listener: Some(listener),
            name: name.into(),
            local,
        })
    }

    /// One that takes connections.
    pub(super) fn of_streams(name: &str, local: SocketAddr) -> Self {
        Self {
            room: None,
            listener: None,
            name: name.into(),
            local,
        }
    }

    /// What could not reach its peer.
    fn send_errors(&self) -> ArrayVec<(SocketAddr, Bytes), DATAGRAM_BATCH_MAX> {
        let mut errors = ArrayVec::new();
        let Some(listener) = &self.listener else {
            return errors;
        };
        listener.send_errors(|error| {
            if error.is_unreachable {
                let _ = errors.try_push((error.to, Bytes::copy_from_slice(error.bytes)));
            }
        });
        errors
    }

    /// Sends those of the letters that leave by this listener, the `place`th.
    async fn send(
        &self,
        place: usize,
        letters: &[(Flow, Bytes)],
        counters: &Counters,
        refused: &mut Vec<(SocketAddr, Bytes)>,
    ) {
        let Some(listener) = &self.listener else {
            return;
        };
        let mut own = letters
            .iter()
            .filter(|(flow, _)| usize::from(flow.listener) == place);
        loop {
            let bag: ArrayVec<_, DATAGRAM_BATCH_MAX> =
                own.by_ref().take(DATAGRAM_BATCH_MAX).collect();
            if bag.is_empty() {
                return;
            }
            let batch: ArrayVec<_, DATAGRAM_BATCH_MAX> = bag
                .iter()
                .map(|letter| self::letter(listener, letter))
                .collect();
            let unsent = |at: usize, why| {
                counters.send_error();
                if let (Unsent::Refused, Some((flow, bytes))) = (why, bag.get(at)) {
                    refused.push((flow.peer, bytes.clone()));
                }
            };
            listener.send_letters(&batch, unsent).await;
        }
    }
}

fn letter<'l>(listener: &UdpListener, (flow, bytes): &'l (Flow, Bytes)) -> Letter<'l> {
    let asked = flow.local.ip();
    Letter {
        bytes,
        to: flow.peer,
        // An answer leaves from the address that was asked; elsewhere there is but one.
        from: Some(asked).filter(|ip| listener.tells_asked() && !ip.is_unspecified()),
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

/// One sleep for all timers. Most of them are moved before they are due, so it is set anew
/// only for an earlier one, and now and then rings for nothing.
#[derive(Debug)]
struct Alarm(Pin<Box<Sleep>>);

impl Alarm {
    fn new() -> Self {
        Self(Box::pin(sleep(LONG)))
    }

    fn set(&mut self, due: Option<Instant>) {
        let set_for = self.0.deadline().into_std();
        match due {
            Some(due) if due < set_for || self.0.is_elapsed() => {
                self.0.as_mut().reset(due.into());
            }
            None if self.0.is_elapsed() => {
                self.0.as_mut().reset((Instant::now() + LONG).into());
            }
            _ => {}
        }
    }

    async fn ring(&mut self) {
        self.0.as_mut().await;
    }
}

/// Waits until one of the listeners may have something.
async fn any_ready(doors: &[Door]) {
    if let [
        Door {
            listener: Some(listener),
            ..
        },
    ] = doors
    {
        let _ = listener.readable().await;
        return;
    }
    let mut waits: Vec<_> = doors
        .iter()
        .filter_map(|door| Some(Box::pin(door.listener.as_ref()?.readable())))
        .collect();
    poll_fn(|context| {
        let mut ready = waits.iter_mut().map(|wait| wait.as_mut().poll(context));
        if ready.any(|ready| ready.is_ready()) {
            Poll::Ready(())
        } else {
            Poll::Pending
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::proxy::{ProxyListener, ProxySettings};
    use crate::transaction::Timers;
    use std::hash::RandomState;

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
