//! The world: a clock, a network, faults, and the promises that hold in it.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::hash::RandomState;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use trunkline::proxy::{
    Engine, Flow, FlowTransport, Input, Location, Locations, Now, Output, ProxyDrop, ProxyEvent,
    ProxyListener, ProxySettings,
};
use trunkline::routing::{GroupId, Outage, Route, RoutingTable, Snapshot, TrunkId};
use trunkline::sip::{HeaderName, Message, Method, Reply, StatusCode};
use trunkline::tables;
use trunkline::transaction::Timers;

use crate::caller::{Caller, State};
use crate::chance::Chance;
use crate::trunk::Trunk;

pub(crate) const CALLER: &str = "10.0.0.10:5060";
/// Timer G sends a refusal that nobody acknowledges after 0, 0.5, 1.5 and 3.5 s, then every
/// 4 s until timer H ends it after 32 s.
const REFUSALS: u32 = 11;
/// At the same times does a caller get a 2xx whose ACK does not come.
const SUCCESSES_AFTER_MS: [u64; 11] = [
    0, 500, 1_500, 3_500, 7_500, 11_500, 15_500, 19_500, 23_500, 27_500, 31_500,
];

const US: [&str; 2] = ["10.0.0.1:5060", "[2001:db8::1]:5060"];
const TRUNKS: [&str; 4] = [
    "10.0.1.1:5060",
    "10.0.1.2:5060",
    "10.0.1.3:5060",
    "[2001:db8::49]:5060",
];

/// Two tables that serve in turns: the second has the first trunks the other way around.
static TABLES: LazyLock<[Arc<RoutingTable>; 2]> = LazyLock::new(|| {
    [["a", "b"], ["b", "a"]].map(|[first, second]| {
        let text = format!(
            r#"
            [trunk_group.sbc]
            accept_from = ["10.0.0.10"]
            [trunk_group.carrier]
            trunks = ["{first}", "{second}", "c"]
            max_calls = 20
            [trunk_group.far]
            trunks = ["six", "c"]
            alternative_routing = "eager"
            [trunk.a]
            address = "sip:10.0.1.1"
            max_calls = 2
            options = "2s"
            [trunk.b]
            address = "sip:10.0.1.2"
            options = "5s"
            options_misses = 2
            [trunk.c]
            address = "sip:c.example"
            max_cps = 2
            [trunk.six]
            address = "sip:[2001:db8::49]"
            options = "2s"
            options_hits = 1
            [alternative_routing.eager]
            next_route_on = ["trunk-timeout", "transport-error", "4xx", "5xx"]
            trunk_timeout = "2s"
            [[rule]]
            name = "Emergency"
            called = ["emergency"]
            route_to = ["carrier"]
            [[rule]]
            name = "Far"
            called = ["+49*"]
            route_to = ["far"]
            [[rule]]
            name = "All"
            called = ["+*"]
            route_to = ["carrier"]
            "#
        );
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routing.toml"), text).unwrap();
        let loaded = tables::load(folder.path());
        Arc::new(
            loaded
                .table
                .unwrap_or_else(|| panic!("{:?}", loaded.report)),
        )
    })
});

/// What happens next.
#[derive(Debug)]
pub(crate) enum Timer {
    Begin(usize),
    Invite(usize, u64),
    B(usize),
    WantsCancel(usize),
    Cancel(usize, u64, u64),
    HangUp(usize, String),
    Bye(usize, String, u64, u64),
    Ring(usize, (String, String)),
    Decide(usize, (String, String)),
    NoAnswer(usize, (String, String)),
    Final(usize, (String, String), u64, u64),
    CalleeHangsUp(usize, (String, String)),
    CalleeBye(usize, (String, String), u64, u64),
    Arrives {
        to: String,
        from: String,
        bytes: Vec<u8>,
    },
    Bounces {
        to: String,
        bytes: Vec<u8>,
    },
    EngineDue,
    Dies(usize),
    Revives(usize),
    Reload,
    ClockJumps(i64),
    Stops,
    Parted(&'static str, bool),
    /// DNS has answered where the trunk is that is known by name.
    Located,
}

/// What an agent wants done; the world does it afterwards.
#[derive(Debug, Default)]
pub(crate) struct Todo {
    pub(crate) now_ms: u64,
    /// 2xx that nobody acknowledged.
    pub(crate) unacknowledged: u64,
    sends: Vec<(&'static str, &'static str, Vec<u8>)>,
    wakes: Vec<(u64, Timer)>,
}

/// What came of it.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    pub(crate) answered: u64,
    pub(crate) refused: u64,
    pub(crate) cancelled: u64,
    pub(crate) next_routes: u64,
    pub(crate) lost: u64,
    pub(crate) late_2xx: u64,
    pub(crate) unacknowledged: u64,
    pub(crate) unheard: u64,
    /// Trunks that probes took out of service or brought back.
    pub(crate) turns: u64,
}

impl Tally {
    pub(crate) fn add(&mut self, other: &Self) {
        self.calls += other.calls;
        self.answered += other.answered;
        self.refused += other.refused;
        self.cancelled += other.cancelled;
        self.next_routes += other.next_routes;
        self.lost += other.lost;
        self.late_2xx += other.late_2xx;
        self.unacknowledged += other.unacknowledged;
        self.unheard += other.unheard;
        self.turns += other.turns;
    }
}

pub(crate) struct World {
    chance: Chance,
    base: Instant,
    wall_shift_ms: i64,
    now_ms: u64,
    order: u64,
    coming: BinaryHeap<Reverse<(u64, u64)>>,
    timers: BTreeMap<u64, Timer>,
    engine: Engine,
    engine_due_ms: Option<u64>,
    snapshot: Snapshot,
    callers: Vec<Caller>,
    trunks: Vec<Trunk>,
    loss_permille: u64,
    twice_permille: u64,
    delay_ms_max: u64,
    parted: Vec<&'static str>,
    /// Branches of INVITEs to trunks.
    attempts: BTreeSet<String>,
    /// Calls that were told of, by Call-ID.
    told: BTreeMap<String, u16>,
    /// How often the engine sent a caller the refusal of its call.
    refusals: BTreeMap<String, u32>,
    /// What the engine sent callers of the 2xx of their calls.
    successes: BTreeMap<String, Successes>,
    /// ACKs of 2xx that reached the engine: Call-ID and To tag.
    acks: BTreeSet<(String, String)>,
    /// What the engine sent in this step: to whom, and the first line.
    step: Vec<(String, String)>,
    /// Some trunk died, and with it its calls.
    died: bool,
    strays: u64,
    tally: Tally,
    speaks: bool,
}

impl World {
    pub(crate) fn new(seed: u64, calls: u64, speaks: bool) -> Self {
        let mut chance = Chance::new(seed);
        let base = Instant::now();
        let snapshot = Snapshot::new(Arc::clone(&TABLES[0]));
        let listener = |address: &str| ProxyListener {
            name: "".into(),
            transport: FlowTransport::Udp,
            local: address.parse().unwrap(),
            advertised: address.parse().unwrap(),
        };
        let settings = ProxySettings {
            worker: 0,
            secret: u128::from(seed).to_le_bytes(),
            key: RandomState::new(),
            epoch: base,
            timers: Timers::default(),
            listeners: US.map(listener).to_vec(),
            server_header: None,
            calls_max: 100_000,
        };
        let trunk = |(place, address): (usize, &&'static str)| (place, *address);
        let trunks = TRUNKS
            .iter()
            .enumerate()
            .map(trunk)
            .map(|(place, address)| Trunk::new(place, address, &mut chance))
            .collect();
        let mut world = Self {
            // A third of all worlds lose nothing, the worst lose a third of all packets.
            loss_permille: chance.one_of(&[0, 0, 20, 100, 200, 330]),
            twice_permille: chance.one_of(&[0, 10, 100]),
            delay_ms_max: chance.one_of(&[2, 20, 100, 700]),
            engine: Engine::new(settings, &snapshot),
            engine_due_ms: None,
            base,
            wall_shift_ms: 0,
            now_ms: 0,
            order: 0,
            coming: BinaryHeap::new(),
            timers: BTreeMap::new(),
            snapshot,
            callers: Vec::new(),
            trunks,
            parted: Vec::new(),
            attempts: BTreeSet::new(),
            told: BTreeMap::new(),
            refusals: BTreeMap::new(),
            successes: BTreeMap::new(),
            acks: BTreeSet::new(),
            step: Vec::new(),
            died: false,
            strays: 0,
            tally: Tally::default(),
            speaks,
            chance,
        };
        world.plan_calls(calls);
        world.plan_faults(calls);
        // DNS answers before the first call, or when half of them are over; and once more, as
        // when a name has lived its time.
        let slow_ms = world.chance.within(0, calls * 750);
        let at_ms = world.chance.one_of(&[0, 0, slow_ms]);
        world.wake(at_ms, Timer::Located);
        world.wake(at_ms + 5_000, Timer::Located);
        // In some worlds the trunks are probed, until all faults are long over: many more
        // packets than calls have.
        if seed.is_multiple_of(16) {
            world.engine.probe_trunks(base);
            world.wake(0, Timer::EngineDue);
            world.engine_due_ms = Some(0);
            world.wake(calls * 1_500 + 400_000, Timer::Stops);
        }
        world
    }

    fn plan_calls(&mut self, calls: u64) {
        for id in 0..usize::try_from(calls).unwrap() {
            let number = self.chance.one_of(&["+4420", "+4420", "+4930", "112"]);
            self.callers.push(Caller::new(id, number, &mut self.chance));
            let at_ms = self.chance.within(0, calls * 1_500);
            self.wake(at_ms, Timer::Begin(id));
            if self.chance.permille(300) {
                let after_ms = self.chance.within(1, 30_000);
                self.wake(at_ms + after_ms, Timer::WantsCancel(id));
            }
        }
    }

    /// Faults end, so that the world comes to rest; no partition outlasts what a final
    /// response is repeated for.
    fn plan_faults(&mut self, calls: u64) {
        let end_ms = calls * 1_500 + 10_000;
        for _ in 0..self.chance.within(0, 4) {
            let (at_ms, trunk) = (self.chance.within(0, end_ms), self.chance.within(0, 3));
            let lasts_ms = self.chance.within(100, 60_000);
            let trunk = usize::try_from(trunk).unwrap();
            self.wake(at_ms, Timer::Dies(trunk));
            self.wake(at_ms + lasts_ms, Timer::Revives(trunk));
        }
        for _ in 0..self.chance.within(0, 3) {
            let at_ms = self.chance.within(0, end_ms);
            let who = self
                .chance
                .one_of(&[CALLER, TRUNKS[0], TRUNKS[1], TRUNKS[3]]);
            let lasts_ms = self.chance.within(100, 8_000);
            self.wake(at_ms, Timer::Parted(who, true));
            self.wake(at_ms + lasts_ms, Timer::Parted(who, false));
        }
        for _ in 0..self.chance.within(0, 5) {
            let at_ms = self.chance.within(0, end_ms);
            self.wake(at_ms, Timer::Reload);
            let jump_ms = i64::try_from(self.chance.within(0, 7_200_000)).unwrap() - 3_600_000;
            self.wake(at_ms, Timer::ClockJumps(jump_ms));
        }
    }

    /// From now on the third trunk is where it is.
    fn locate(&mut self) {
        let mut locations = Locations::default();
        let place = Location {
            transport: FlowTransport::Udp,
            address: TRUNKS[2].parse().unwrap(),
            rank: 0,
            weight: 0,
        };
        for name in Locations::names_of(&self.snapshot.table) {
            locations.set(name, &[place]);
        }
        self.engine.locate(&Arc::new(locations));
    }

    /// Lets everything happen until nothing more does; then everything promised must hold.
    pub(crate) fn run(mut self) -> Tally {
        while let Some(Reverse((at_ms, order))) = self.coming.pop() {
            self.now_ms = at_ms;
            let timer = self.timers.remove(&order).unwrap();
            self.happen(timer);
            assert!(self.now_ms < 7_200_000, "the world does not come to rest");
        }
        self.check();
        self.tally
    }

    fn happen(&mut self, timer: Timer) {
        if self.speaks && !matches!(timer, Timer::EngineDue | Timer::Arrives { .. }) {
            println!("{:>8} {timer:?}", self.now_ms);
        }
        let mut todo = Todo {
            now_ms: self.now_ms,
            ..Todo::default()
        };
        match timer {
            Timer::Begin(id) => self.callers[id].begin(&mut todo),
            Timer::Invite(id, ..)
            | Timer::B(id)
            | Timer::WantsCancel(id)
            | Timer::Cancel(id, ..)
            | Timer::HangUp(id, _)
            | Timer::Bye(id, ..) => self.callers[id].wake(&timer, &mut todo),
            Timer::NoAnswer(trunk, ref key) => {
                self.check_ringing(trunk, key);
                self.trunks[trunk].wake(&timer, &mut todo);
            }
            Timer::Ring(trunk, _)
            | Timer::Decide(trunk, _)
            | Timer::Final(trunk, ..)
            | Timer::CalleeHangsUp(trunk, _)
            | Timer::CalleeBye(trunk, ..) => self.trunks[trunk].wake(&timer, &mut todo),
            Timer::Arrives { to, from, bytes } => self.arrives(&to, &from, &bytes, &mut todo),
            Timer::Bounces { to, bytes } => {
                let (to, bytes) = (to.parse().unwrap(), bytes.get(..300).unwrap_or(&bytes));
                self.engine(Input::SendFailed { to, bytes });
            }
            Timer::EngineDue => {
                if self.engine_due_ms == Some(self.now_ms) {
                    self.engine_due_ms = None;
                    self.engine(Input::TimerDue);
                }
            }
            Timer::Dies(trunk) => {
                self.died = true;
                self.trunks[trunk].alive = false;
                self.trunks[trunk].calls.clear();
            }
            Timer::Revives(trunk) => self.trunks[trunk].alive = true,
            Timer::Reload => self.reload(),
            Timer::Stops => self.stop(),
            Timer::ClockJumps(ms) => self.wall_shift_ms += ms,
            Timer::Located => self.locate(),
            Timer::Parted(who, true) => self.parted.push(who),
            Timer::Parted(who, false) => self.parted.retain(|parted| *parted != who),
        }
        self.tally.unacknowledged += todo.unacknowledged;
        for (after_ms, timer) in std::mem::take(&mut todo.wakes) {
            self.wake(self.now_ms + after_ms, timer);
        }
        for (from, to, bytes) in std::mem::take(&mut todo.sends) {
            self.carry(from, to, &bytes);
        }
    }

    fn arrives(&mut self, to: &str, from: &str, bytes: &[u8], todo: &mut Todo) {
        if self.speaks {
            let text = String::from_utf8_lossy(bytes);
            let line = text.lines().next().unwrap_or_default();
            let call = text.lines().find(|line| line.starts_with("Call-ID"));
            let call = call.unwrap_or_default();
            println!("{:>8} {from} -> {to} {line} ({call})", self.now_ms);
        }
        if let Some(listener) = US.iter().position(|us| *us == to) {
            let address: SocketAddr = to.parse().unwrap();
            let flow = Flow {
                listener: u16::try_from(listener).unwrap(),
                transport: FlowTransport::Udp,
                local: address,
                peer: from.parse().unwrap(),
            };
            self.note_ack(from, bytes);
            let strays = self.strays;
            self.engine(Input::Received { flow, bytes });
            if strays == self.strays {
                self.note_heard(from, bytes);
                self.check_repeated(from, bytes);
            }
            return;
        }
        let message = Message::parse_datagram(bytes).unwrap();
        let us = if to.starts_with('[') { US[1] } else { US[0] };
        if to == CALLER {
            let id = message.call_id().unwrap();
            let id: usize = text(id).split('@').next().unwrap().parse().unwrap();
            let caller = &mut self.callers[id];
            if message.status().is_some() {
                let before = caller.dialogs.len();
                let was = caller.answered;
                caller.response(&message, todo);
                let new_dialog = caller.dialogs.len() > before;
                self.tally.late_2xx += u64::from(new_dialog && was.is_some());
            } else {
                caller.request(&message, todo);
            }
            return;
        }
        let place = TRUNKS.iter().position(|trunk| *trunk == to);
        // Promise: nothing is sent to anybody the table does not know.
        let place = place.unwrap_or_else(|| panic!("something was sent to {to}"));
        let trunk = &mut self.trunks[place];
        if !trunk.alive {
            if trunk.bounces {
                let (to, bytes) = (to.to_owned(), bytes.to_vec());
                self.wake(self.now_ms + 1, Timer::Bounces { to, bytes });
            }
        } else if message.status().is_some() {
            trunk.response(&message);
        } else {
            trunk.request(us, &message, &mut self.chance, todo);
        }
    }

    /// Which callees the engine has heard of: one whose word came after its transaction
    /// was given up (timer B) is none of them.
    fn note_heard(&mut self, from: &str, bytes: &[u8]) {
        let Some(trunk) = self.trunks.iter_mut().find(|trunk| trunk.address == from) else {
            return;
        };
        let message = Message::parse_datagram(bytes).unwrap();
        let (Some(_), Ok(via)) = (message.status(), message.top_via()) else {
            return;
        };
        let key = (
            text(message.call_id().unwrap()),
            text(via.branch().unwrap()),
        );
        if let Some(callee) = trunk.calls.get_mut(&key) {
            callee.heard = true;
        }
    }

    fn engine(&mut self, input: Input<'_>) {
        let wall = "2026-03-02T10:00:00Z".parse::<jiff::Timestamp>().unwrap();
        let shift_ms = i64::try_from(self.now_ms).unwrap() + self.wall_shift_ms;
        let now = Now {
            instant: self.base + Duration::from_millis(self.now_ms),
            wall: wall + jiff::SignedDuration::from_millis(shift_ms),
        };
        let out = self.out_by_probes();
        self.step.clear();
        self.engine.handle(now, input, &self.snapshot);
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::Transmit { flow, bytes } => {
                    let to = flow.peer.to_string();
                    self.check_attempt(&to, &bytes, &out);
                    self.note_sent(&to, &bytes);
                    self.note_refusal(&to, &bytes);
                    self.carry(US[usize::from(flow.listener)], &to, &bytes);
                }
                Output::Event(event) => self.told(event),
            }
        }
        self.check_limits();
        if let Some(due) = self.engine.poll_timeout() {
            let due_ms = due.saturating_duration_since(self.base).as_micros();
            let due_ms = u64::try_from(due_ms.div_ceil(1_000))
                .unwrap()
                .max(self.now_ms);
            if self.engine_due_ms.is_none_or(|at_ms| due_ms < at_ms) {
                self.engine_due_ms = Some(due_ms);
                self.wake(due_ms, Timer::EngineDue);
            }
        }
    }

    fn told(&mut self, event: ProxyEvent) {
        if self.speaks && !matches!(event, ProxyEvent::Call(_)) {
            println!("{:>8} {event:?}", self.now_ms);
        }
        if let ProxyEvent::Dropped {
            why: ProxyDrop::Stray,
            ..
        } = event
        {
            self.strays += 1;
        }
        if let ProxyEvent::Probe(report) = &event {
            self.tally.turns += u64::from(report.turn.is_some());
        }
        if let ProxyEvent::Call(call) = event {
            if self.speaks {
                println!(
                    "{:>8} told: {} {:?} {:?}",
                    self.now_ms, call.status, call.ended_by, call.attempts
                );
            }
            self.tally.next_routes += u64::from(call.attempts.len() > 1);
            let before = self
                .told
                .insert(text(call.decision("").call_id), call.status.code());
            assert_eq!(before, None, "a call was told of twice");
        }
    }

    fn note_sent(&mut self, to: &str, bytes: &[u8]) {
        let message = Message::parse_datagram(bytes).unwrap();
        let line = text(bytes.split(|byte| *byte == b'\r').next().unwrap());
        self.step.push((to.to_owned(), line));
        let is_invite = message.cseq().unwrap().method == Method::Invite;
        let is_success = message.status().is_some_and(StatusCode::is_success);
        if to == CALLER && is_invite && is_success {
            let id = text(message.call_id().unwrap());
            let first = Successes {
                first_ms: self.now_ms,
                ..Successes::default()
            };
            self.successes.entry(id).or_insert(first).count += 1;
        }
        if to == CALLER && message.method() == Some(Method::Bye) {
            let id = text(message.call_id().unwrap());
            if let Some(successes) = self.successes.get_mut(&id) {
                successes.hung_up_ms.get_or_insert(self.now_ms);
            }
        }
        if message.method() == Some(Method::Ack) {
            self.check_ack(&message);
        }
    }

    /// Promise: no callee that answered gets an ACK its caller did not send.
    fn check_ack(&self, message: &Message<'_>) {
        let dialog = dialog_of(message);
        let callees = self.trunks.iter().flat_map(|trunk| &trunk.calls);
        let mut callees =
            callees.filter(|(key, callee)| key.0 == dialog.0 && callee.tag == dialog.1);
        let has_answered = callees.any(|(_, callee)| callee.has_answered());
        assert!(
            !has_answered || self.acks.contains(&dialog),
            "an ACK that nobody sent: {dialog:?}"
        );
    }

    /// Notes the ACK before the engine has forwarded it.
    fn note_ack(&mut self, from: &str, bytes: &[u8]) {
        let message = Message::parse_datagram(bytes).unwrap();
        if from == CALLER && message.method() == Some(Method::Ack) {
            self.acks.insert(dialog_of(&message));
        }
    }

    /// Promise: a 2xx that comes again after its ACK is answered with it at once.
    fn check_repeated(&self, from: &str, bytes: &[u8]) {
        let message = Message::parse_datagram(bytes).unwrap();
        let is_success = message.status().is_some_and(StatusCode::is_success);
        let is_invite = message.cseq().unwrap().method == Method::Invite;
        if from == CALLER || !is_success || !is_invite || !self.acks.contains(&dialog_of(&message))
        {
            return;
        }
        let [(_, line)] = &self.step[..] else {
            panic!("a repeated 2xx had {:?} sent", self.step);
        };
        assert!(line.starts_with("ACK "), "a repeated 2xx had {line} sent");
    }

    /// Counts how often each caller is refused: what goes unanswered is to be repeated.
    fn note_refusal(&mut self, to: &str, bytes: &[u8]) {
        let message = Message::parse_datagram(bytes).unwrap();
        let refused = message.status().is_some_and(|status| status.code() >= 300);
        if to == CALLER && refused && message.cseq().unwrap().method == Method::Invite {
            let id = text(message.call_id().unwrap());
            *self.refusals.entry(id).or_default() += 1;
        }
    }

    /// A packet on its way: lost, late, twice.
    fn carry(&mut self, from: &str, to: &str, bytes: &[u8]) {
        let parted = self.parted.iter().any(|who| *who == from || *who == to);
        let copies = 1 + u64::from(self.chance.permille(self.twice_permille));
        for _ in 0..copies {
            let after_ms = self.chance.within(1, self.delay_ms_max);
            let lost = self.chance.permille(self.loss_permille);
            if lost || parted {
                self.tally.lost += 1;
                continue;
            }
            let (to, from, bytes) = (to.to_owned(), from.to_owned(), bytes.to_vec());
            self.wake(self.now_ms + after_ms, Timer::Arrives { to, from, bytes });
        }
    }

    fn reload(&mut self) {
        let other = usize::from(Arc::ptr_eq(&self.snapshot.table, &TABLES[0]));
        let table = Arc::clone(&TABLES[other]);
        let availability = self
            .snapshot
            .availability
            .carried_over(&self.snapshot.table, &table);
        self.snapshot = Snapshot {
            table,
            availability: Arc::new(availability),
        };
    }

    fn wake(&mut self, at_ms: u64, timer: Timer) {
        self.order += 1;
        self.timers.insert(self.order, timer);
        self.coming.push(Reverse((at_ms, self.order)));
    }

    /// Addresses of the trunks that probes keep out of service.
    fn out_by_probes(&self) -> Vec<&'static str> {
        let Snapshot {
            table,
            availability,
        } = &self.snapshot;
        let trunks = (0..).map(TrunkId).zip(table.trunks());
        let out = trunks.filter(|(id, _)| availability.outage(*id) == Some(Outage::Probes));
        let address = |(_, trunk): (_, &trunkline::routing::Trunk)| {
            let place = ["a", "b", "c", "six"]
                .iter()
                .position(|n| **n == *trunk.name);
            TRUNKS[place.unwrap()]
        };
        out.map(address).collect()
    }

    /// Places taken on all trunks and groups.
    fn calls_held(&self) -> u32 {
        let Snapshot {
            table,
            availability,
        } = &self.snapshot;
        let trunks = (0..).map(TrunkId).zip(table.trunks());
        let groups = (0..).map(GroupId).zip(table.groups());
        trunks
            .map(|(id, _)| availability.calls_in_progress(id))
            .chain(groups.map(|(id, _)| availability.group_calls_in_progress(id)))
            .sum()
    }

    /// Promise: no trunk carries more calls than it may but for those that lives hang on.
    fn check_limits(&self) {
        let emergencies = self
            .callers
            .iter()
            .filter(|c| c.invite.starts_with("INVITE sip:112@"));
        let emergencies = u32::try_from(emergencies.count()).unwrap();
        for (id, trunk) in (0..).map(TrunkId).zip(self.snapshot.table.trunks()) {
            let calls = self.snapshot.availability.calls_in_progress(id);
            let limit = trunk.max_calls.unwrap_or(0);
            assert!(
                calls <= limit + emergencies,
                "{calls} calls on {}",
                trunk.name
            );
        }
    }

    /// Promise: no attempt begins on a trunk that probes keep out, unless lives hang on it or
    /// there is no other: a trunk without probes is never kept out by them.
    fn check_attempt(&mut self, to: &str, bytes: &[u8], out: &[&str]) {
        if !bytes.starts_with(b"INVITE ") || !TRUNKS.contains(&to) {
            return;
        }
        let message = Message::parse_datagram(bytes).unwrap();
        let branch = text(message.top_via().unwrap().branch().unwrap());
        let is_new = self.attempts.insert(branch);
        let is_emergency = bytes.starts_with(b"INVITE sip:112@");
        assert!(
            !is_new || is_emergency || !out.contains(&to) || !self.is_any_better(to),
            "a call to {to}, which is out"
        );
    }

    /// Whether a call that went to `to` had a trunk that was in service and had room.
    fn is_any_better(&self, to: &str) -> bool {
        let Snapshot {
            table,
            availability,
        } = &self.snapshot;
        let group = if to == TRUNKS[3] { "far" } else { "carrier" };
        let group = table.group_named(group).unwrap();
        let mut trunks = table.group(group).unwrap().trunks.iter();
        trunks.any(|trunk| {
            let route = Route {
                group,
                trunk: *trunk,
            };
            availability.in_service(*trunk) && !availability.is_full(table, route)
        })
    }

    /// Promise: long after the last fault, probes keep nobody out who is alive. Where a
    /// third of all packets is lost, several in a row may still be missed.
    fn stop(&mut self) {
        if self.loss_permille == 0 && self.delay_ms_max < 500 {
            assert_eq!(self.out_by_probes(), Vec::<&str>::new());
        }
        self.engine.drain();
    }

    /// Promise: every CANCEL ends the ringing. A phone that gives up by itself must not be
    /// one whose caller hung up long before, if the engine ever heard of it.
    fn check_ringing(&self, trunk: usize, key: &(String, String)) {
        let Some(callee) = self.trunks[trunk].calls.get(key) else {
            return;
        };
        let caller = &self.callers[callee.call];
        let hung_up = caller.answered.is_some() && caller.cancelled_at_ms.is_some();
        assert!(
            !(callee.is_ringing() && callee.heard && hung_up),
            "call {} rings on after its CANCEL",
            callee.call
        );
    }

    /// What must hold when everything has come to rest.
    fn check(&mut self) {
        // No state lives for ever, counts return to zero.
        assert_eq!(self.engine.in_progress(), 0, "contexts are left");
        assert_eq!(self.engine.poll_timeout(), None);
        assert_eq!(self.calls_held(), 0, "places on trunks are left");
        for caller in &self.callers {
            self.tally.calls += 1;
            self.tally.cancelled += u64::from(caller.cancelled_at_ms.is_some());
            let told = self.told.get(&format!("{}@sim", caller.id)).copied();
            match (caller.state, caller.answered) {
                // Exactly one final response, and it is the one that was told of.
                (State::Done, Some(status)) => {
                    self.tally.answered += u64::from(status < 300);
                    self.tally.refused += u64::from(status >= 300);
                    let told = told.unwrap_or_else(|| panic!("call {} was not told", caller.id));
                    let fits = told == status || caller.dialogs.len() > 1;
                    assert!(
                        fits || status < 300,
                        "call {}: told {told}, got {status}",
                        caller.id
                    );
                }
                (State::Unheard, _) => self.tally.unheard += 1,
                // Every repetition of a 2xx was lost: what is owed is to repeat it for 64*T1
                // (RFC 3261 §13.3.1.4), also when its callee has died, but not when it has
                // hung up: the BYE has passed, and nobody is left to talk to.
                (State::Proceeding, None)
                    if told.is_some_and(|told| told < 300)
                        && (self.successes.get(&format!("{}@sim", caller.id)))
                            .is_some_and(Successes::are_all) =>
                {
                    self.tally.unheard += 1;
                }
                // Every repetition of the refusal was lost: what is owed is to repeat it until
                // timer H (RFC 3261 §17.2.1).
                (State::Proceeding, None)
                    if self.refusals.get(&format!("{}@sim", caller.id)) >= Some(&REFUSALS) =>
                {
                    self.tally.unheard += 1;
                }
                (state, answered) => {
                    panic!("call {}: {state:?} {answered:?}, told {told:?}", caller.id)
                }
            }
            let open = |dialog: &&crate::caller::CallerDialog| !dialog.ended;
            let open = caller.dialogs.values().filter(open).count();
            let excused = self.died || self.tally.lost > 0;
            assert!(open == 0 || excused, "call {} goes on for ever", caller.id);
        }
        // Each 2xx is acknowledged or ended.
        for callee in self.trunks.iter().flat_map(|trunk| trunk.calls.values()) {
            assert!(
                !callee.has_answered() || callee.ended,
                "call {}: an answer that nobody ends",
                callee.call
            );
        }
    }
}

/// How often the engine sent a caller the 2xx of its call.
#[derive(Debug, Default)]
struct Successes {
    count: usize,
    first_ms: u64,
    /// When it first sent the caller the BYE of its callee.
    hung_up_ms: Option<u64>,
}

impl Successes {
    /// Whether they were as many as are owed until the callee hung up.
    fn are_all(&self) -> bool {
        let owed = SUCCESSES_AFTER_MS.iter().filter(|after_ms| {
            let due_ms = self.first_ms + *after_ms;
            self.hung_up_ms.is_none_or(|hung_up_ms| due_ms < hung_up_ms)
        });
        self.count >= owed.count()
    }
}

impl Todo {
    /// To the engine, by its first listener.
    pub(crate) fn send(&mut self, from: &'static str, text: &str) {
        self.send_to(from, US[0], text);
    }

    pub(crate) fn send_to(&mut self, from: &'static str, to: &'static str, text: &str) {
        self.sends.push((from, to, text.as_bytes().to_vec()));
    }

    pub(crate) fn wake(&mut self, after_ms: u64, timer: Timer) {
        self.wakes.push((after_ms, timer));
    }

    /// Answers a request with nothing in it; `us` is where it came from, or the default.
    pub(crate) fn reply(
        &mut self,
        from: &'static str,
        request: &Message<'_>,
        status: u16,
        us: &'static str,
    ) {
        let response = self.response(request, status, None, "");
        let us = if us.is_empty() { US[0] } else { us };
        self.send_to(from, us, &response);
    }

    pub(crate) fn response(
        &self,
        request: &Message<'_>,
        status: u16,
        tag: Option<&str>,
        lines: &str,
    ) -> String {
        let mut out = Vec::new();
        let mut reply = Reply::new(request, StatusCode::new(status).unwrap());
        if let Some(tag) = tag {
            reply = reply.to_tag(tag.as_bytes());
        }
        reply.write(&mut out);
        let response = text(&out);
        response.replacen("Content-Length", &format!("{lines}Content-Length"), 1)
    }
}

/// Timers E and G: twice as long, at most T2.
pub(crate) fn next_repeat_ms(after_ms: u64) -> u64 {
    (after_ms * 2).min(4_000)
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Call-ID and To tag.
fn dialog_of(message: &Message<'_>) -> (String, String) {
    let tag = message.to().unwrap().tag().unwrap_or_default();
    (text(message.call_id().unwrap()), text(tag))
}

pub(crate) fn values(message: &Message<'_>, name: HeaderName) -> Vec<String> {
    message.values(name).map(text).collect()
}
