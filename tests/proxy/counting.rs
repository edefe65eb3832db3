//! The limits of trunks and groups over many thousand random calls, beside a model that does
//! nothing but count: no call too many, none too few, and nothing left at the end. Of every
//! call that was answered the end is told, once.
//!
//! `COUNTED=100000 cargo test --release --test proxy counting -- --nocapture` makes so many.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Instant;

use trunkline::proxy::ProxyEvent;
use trunkline::routing::{Availability, Snapshot, TrunkId};

use crate::bench::{Bench, CALLER, Dialog, Sent, ack_of, cancel_of, invite, settings, table};

const BOB: &str = "10.0.1.9:5070";
const AT: [&str; 3] = ["10.0.1.1:5060", "10.0.1.2:5060", "10.0.1.3:5060"];
const TRUNKS: [&str; 3] = ["a", "b", "c"];
const CPS: [usize; 3] = [12, 8, 6];
const GROUPS: [&str; 2] = ["wide", "narrow"];
/// Of the trunks and groups, in the table that serves first and in the one after a reload.
const TRUNK_CALLS: [[u32; 3]; 2] = [[30, 14, 9], [22, 14, 12]];
const GROUP_CALLS: [[u32; 2]; 2] = [[40, 12], [44, 9]];
/// Trunks of the groups in order.
const MEMBERS: [&[usize]; 2] = [&[0, 1, 2], &[1, 2]];
/// RFC 4028: what the callee says, and when the call is over unless it is refreshed.
const SESSIONS_S: [u64; 3] = [90, 120, 600];
const GRACE_S: u64 = 32;
const LONGEST_MS: u64 = 12 * 3_600_000;
/// Timer F.
const BYE_MS: u64 = 32_000;

fn text(variant: usize) -> String {
    let trunk = |n: usize| {
        let (name, calls, cps) = (TRUNKS[n], TRUNK_CALLS[variant][n], CPS[n]);
        let address = AT[n];
        format!(
            "[trunk.{name}]\naddress = \"sip:{address}\"\nmax_calls = {calls}\nmax_cps = {cps}\n"
        )
    };
    // The ids of the trunks differ too.
    let mut order = [0, 1, 2];
    order.rotate_left(variant);
    let trunks: String = order.into_iter().map(trunk).collect();
    let [wide, narrow] = GROUP_CALLS[variant];
    format!(
        "{trunks}[trunk_group.sbc]\naccept_from = [\"10.0.0.10\", \"10.0.1.0/28\"]\n\
         [trunk_group.wide]\ntrunks = [\"a\", \"b\", \"c\"]\nmax_calls = {wide}\n\
         [trunk_group.narrow]\ntrunks = [\"b\", \"c\"]\nmax_calls = {narrow}\n\
         outbound = [\"marked\"]\n\
         [manipulation.marked]\ncalled = [{{ prefix = \"+49\", strip = 1, prepend = \"00\" }}]\n\
         [[rule]]\nname = \"Emergency\"\ncalled = [\"emergency\"]\nroute_to = [\"wide\"]\n\
         [[rule]]\nname = \"Narrow\"\ncalled = [\"+49*\"]\nroute_to = [\"narrow\"]\n\
         [[rule]]\nname = \"Wide\"\ncalled = [\"+44*\"]\nroute_to = [\"wide\"]\n"
    )
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % end
    }

    fn percent(&mut self, share: u64) -> bool {
        self.below(100) < share
    }
}

/// A place on a trunk, for a group.
type Place = (usize, usize);

/// A call as its ends know it.
struct Call {
    id: String,
    invite: String,
    stage: Stage,
}

enum Stage {
    Rings {
        sent: Sent,
        place: Place,
        since_ms: u64,
    },
    Up {
        dialog: Box<Dialog>,
        place: Option<Place>,
        ends_ms: u64,
        is_ending: bool,
    },
}

/// What came of it all.
#[derive(Debug, Default)]
struct Tally {
    calls: usize,
    answered: usize,
    full: usize,
    cancelled: usize,
    moved_on: usize,
    hung_up: usize,
    lost_byes: usize,
    crashed: usize,
    refreshed: usize,
    expired: usize,
    reloads: usize,
    restarts: usize,
    ends_told: usize,
    ends_without_beginning: usize,
    lost_with_a_process: usize,
}

struct World {
    bench: Bench,
    tables: [Snapshot; 2],
    variant: usize,
    chance: Chance,
    began: Instant,
    starts: [VecDeque<u64>; 3],
    calls: Vec<Call>,
    requests: u32,
    /// Numbers of calls whose end was not told yet.
    up: BTreeSet<u64>,
    tally: Tally,
}

impl World {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let tables = [0, 1].map(|variant| table(&text(variant)));
        Self {
            bench: Self::bench(&tables[0], now),
            tables,
            variant: 0,
            chance: Chance(seed),
            began: now,
            starts: Default::default(),
            calls: Vec::new(),
            requests: 1,
            up: BTreeSet::new(),
            tally: Tally::default(),
        }
    }

    fn bench(snapshot: &Snapshot, now: Instant) -> Bench {
        let mut settings = settings(now);
        settings.calls_max = 100_000;
        let fresh = Snapshot {
            table: Arc::clone(&snapshot.table),
            availability: Arc::new(Availability::of(&snapshot.table)),
        };
        let mut bench = Bench::with(fresh, settings, now);
        bench.engine.follow_calls();
        bench
    }

    fn now_ms(&self) -> u64 {
        let since = self.bench.now.instant - self.began;
        u64::try_from(since.as_millis()).unwrap()
    }

    fn held(&self) -> impl Iterator<Item = Place> {
        self.calls.iter().filter_map(|call| match &call.stage {
            Stage::Rings { place, .. } => Some(*place),
            Stage::Up { place, .. } => *place,
        })
    }

    fn on_trunk(&self, trunk: usize) -> u32 {
        u32::try_from(self.held().filter(|place| place.0 == trunk).count()).unwrap()
    }

    fn of_group(&self, group: usize) -> u32 {
        u32::try_from(self.held().filter(|place| place.1 == group).count()).unwrap()
    }

    fn began_lately(&self, trunk: usize) -> usize {
        let now_ms = self.now_ms();
        let is_recent = |at: &&u64| now_ms - **at < 1_000;
        self.starts[trunk].iter().filter(is_recent).count()
    }

    /// Whether the model has no room for a call there.
    fn is_full(&self, variant: usize, (trunk, group): Place) -> bool {
        self.on_trunk(trunk) >= TRUNK_CALLS[variant][trunk]
            || self.of_group(group) >= GROUP_CALLS[variant][group]
            || self.began_lately(trunk) >= CPS[trunk]
    }

    /// What the server counts is what the model does.
    fn check(&self) {
        let Snapshot {
            table,
            availability,
        } = &self.bench.snapshot;
        for (id, trunk) in (0..).map(TrunkId).zip(table.trunks()) {
            let place = TRUNKS.iter().position(|name| **name == *trunk.name);
            let counted = availability.calls_in_progress(id);
            assert_eq!(counted, self.on_trunk(place.unwrap()), "{}", trunk.name);
        }
        for (group, name) in GROUPS.iter().enumerate() {
            let id = table.group_named(name).unwrap();
            let counted = availability.group_calls_in_progress(id);
            assert_eq!(counted, self.of_group(group), "{name}");
        }
    }

    /// The INVITE that was sent, if there is one, and where.
    fn invited(&mut self) -> Option<(Sent, Place)> {
        let sent = (0..3).find_map(|n| Some((n, self.bench.take_if(AT[n], "INVITE ")?)));
        let (trunk, sent) = sent?;
        let group = usize::from(sent.text.starts_with("INVITE sip:0049"));
        Some((sent, (trunk, group)))
    }

    fn begin(&mut self) {
        let n = self.tally.calls;
        self.tally.calls += 1;
        let number = match self.chance.below(100) {
            0..=3 => "112",
            4..=39 => "+491",
            _ => "+441",
        };
        let id = format!("n{n}");
        let invite = invite(number, &id);
        let (variant, is_emergency) = (self.variant, number == "112");
        let group = usize::from(number == "+491");
        let free = MEMBERS[group]
            .iter()
            .map(|trunk| (*trunk, group))
            .find(|place| !self.is_full(variant, *place));
        self.bench.receive(CALLER, &invite);
        let Some((sent, place)) = self.invited() else {
            assert!(!is_emergency, "an emergency call was refused");
            assert_eq!(free, None, "there was room");
            let refused = self.bench.take_if(CALLER, "SIP/2.0 503 ").unwrap();
            self.bench.receive(CALLER, &ack_of(&invite, &refused.text));
            self.tally.full += 1;
            return;
        };
        if !is_emergency {
            assert_eq!(Some(place), free, "the first with room");
        }
        let call = Call {
            id,
            invite,
            stage: self.rings(sent, place),
        };
        self.calls.push(call);
    }

    /// An attempt has begun at that place.
    fn rings(&mut self, sent: Sent, place: Place) -> Stage {
        let now_ms = self.now_ms();
        // What is not limited begins without a turn where there is none.
        if self.began_lately(place.0) < CPS[place.0] {
            let starts = &mut self.starts[place.0];
            starts.push_back(now_ms);
            if starts.len() > CPS[place.0] {
                starts.pop_front();
            }
        }
        self.bench.answer(&sent, 180, "");
        Stage::Rings {
            sent,
            place,
            since_ms: now_ms,
        }
    }

    /// Something happens to a call that rings.
    fn decide(&mut self, at: usize) {
        let Stage::Rings { sent, place, .. } = &self.calls[at].stage else {
            return;
        };
        let (sent, place) = (sent.clone(), *place);
        match self.chance.below(100) {
            0..=59 => self.answer(at, &sent, place),
            60..=84 => {
                self.bench.answer(&sent, 486, "");
                self.refused(at);
            }
            _ => {
                let cancel = cancel_of(&self.calls[at].invite);
                self.bench.receive(CALLER, &cancel);
                self.check();
                self.bench.answer(&sent, 487, "");
                self.tally.cancelled += 1;
                self.refused(at);
            }
        }
    }

    fn refused(&mut self, at: usize) {
        let call = self.calls.swap_remove(at);
        self.check();
        if self.chance.percent(90)
            && let Some(end) = self.bench.take_if(CALLER, "SIP/2.0 48")
        {
            self.bench.receive(CALLER, &ack_of(&call.invite, &end.text));
        }
    }

    fn answer(&mut self, at: usize, sent: &Sent, place: Place) {
        let session = self.session();
        let line = session.map_or_else(String::new, |seconds| {
            format!("Session-Expires: {seconds}\r\n")
        });
        self.bench.ignore(CALLER, "SIP/2.0 1");
        self.bench.answer(sent, 200, &line);
        let ok = self.bench.take(CALLER, "SIP/2.0 200 ");
        let dialog = Dialog::of(&self.calls[at].invite, &ok.text);
        // One in ten has crashed before it could say anything more.
        let has_crashed = self.chance.percent(10);
        if has_crashed {
            self.tally.crashed += 1;
        } else {
            self.bench.receive(CALLER, &dialog.by_caller("ACK", 1));
        }
        self.tally.answered += 1;
        let ends_ms = self.ends_ms(session);
        self.calls[at].stage = Stage::Up {
            dialog: Box::new(dialog),
            place: Some(place),
            ends_ms,
            is_ending: has_crashed,
        };
    }

    fn session(&mut self) -> Option<u64> {
        let place = self.chance.below(4);
        SESSIONS_S.get(usize::try_from(place).unwrap()).copied()
    }

    fn ends_ms(&self, session: Option<u64>) -> u64 {
        let lasts = session.map_or(LONGEST_MS, |seconds| (seconds + GRACE_S) * 1_000);
        self.now_ms() + lasts
    }

    /// Something happens to a call that is up.
    fn go_on(&mut self, at: usize) {
        let by_caller = self.chance.percent(50);
        let what = self.chance.below(100);
        let session = self.session();
        let ends_ms = self.ends_ms(session);
        let now_ms = self.now_ms();
        let Stage::Up {
            dialog,
            place,
            ends_ms: ends,
            is_ending,
        } = &mut self.calls[at].stage
        else {
            return;
        };
        if *is_ending {
            return;
        }
        // Branches are made of it: no two requests have the same.
        self.requests += 1;
        let number = self.requests;
        let (from, to) = if by_caller {
            (CALLER, BOB)
        } else {
            (BOB, CALLER)
        };
        let request = |method: &str| match by_caller {
            true => dialog.by_caller(method, number),
            false => dialog.by_callee(method, number),
        };
        if what < 15 {
            self.bench.receive(from, &request("UPDATE"));
            let sent = self.bench.take(to, "UPDATE ");
            let line = session.map_or_else(String::new, |s| format!("Session-Expires: {s}\r\n"));
            self.bench.answer(&sent, 200, &line);
            *ends = ends_ms;
            self.tally.refreshed += 1;
            return;
        }
        self.bench.receive(from, &request("BYE"));
        let sent = self.bench.take(to, "BYE ");
        match what {
            15..=24 => {
                // Nobody answers it, and who sent it is gone.
                *is_ending = true;
                if place.is_some() {
                    *ends = (*ends).min(now_ms + BYE_MS);
                }
                self.tally.lost_byes += 1;
            }
            25..=29 => {
                self.bench.answer(&sent, 407, "");
            }
            _ => {
                let status = if what < 40 { 481 } else { 200 };
                self.bench.answer(&sent, status, "");
                self.calls.swap_remove(at);
                self.tally.hung_up += 1;
            }
        }
    }

    /// The trunk fails it, and another one is tried if there is room.
    fn move_on(&mut self, at: usize) {
        let call = &self.calls[at];
        let Stage::Rings { .. } = call.stage else {
            return;
        };
        // Only before anything was heard: here it is a new call that is failed at once.
        let id = format!("{}m", call.id);
        let invite = invite("+441", &id);
        self.bench.receive(CALLER, &invite);
        self.tally.calls += 1;
        let mut before = None;
        for _ in 0..3 {
            let Some((sent, place)) = self.invited() else {
                break;
            };
            assert!(!self.is_full(self.variant, place), "one too many");
            assert!(before < Some(place.0), "in order, each once");
            before = Some(place.0);
            let now_ms = self.now_ms();
            self.starts[place.0].push_back(now_ms);
            if self.starts[place.0].len() > CPS[place.0] {
                self.starts[place.0].pop_front();
            }
            self.bench.answer(&sent, 500, "");
            self.tally.moved_on += 1;
        }
    }

    /// Another table, or another process.
    fn change(&mut self) {
        if self.chance.percent(90) {
            let old = self.bench.snapshot.clone();
            self.variant = 1 - self.variant;
            let table = Arc::clone(&self.tables[self.variant].table);
            let availability = Arc::new(old.availability.carried_over(&old.table, &table));
            self.bench.snapshot = Snapshot {
                table,
                availability,
            };
            self.tally.reloads += 1;
            return;
        }
        self.hear();
        self.tally.lost_with_a_process += std::mem::take(&mut self.up).len();
        // Calls that ring are lost with it; those that are up go on, and are not counted.
        let now = self.bench.now.instant;
        self.bench = Self::bench(&self.tables[self.variant], now);
        self.began = now;
        self.starts = Default::default();
        self.calls
            .retain(|call| matches!(call.stage, Stage::Up { .. }));
        for call in &mut self.calls {
            if let Stage::Up { place, .. } = &mut call.stage {
                *place = None;
            }
        }
        self.tally.restarts += 1;
    }

    /// Lets time pass, and forgets what is over by then.
    fn wait(&mut self, ms: u64) {
        self.bench.wait_ms(ms);
        let now_ms = self.now_ms();
        let before = self.calls.len();
        self.calls.retain(|call| match &call.stage {
            Stage::Up { place, ends_ms, .. } => place.is_none() || *ends_ms > now_ms,
            Stage::Rings { .. } => true,
        });
        self.tally.expired += before - self.calls.len();
        for place in AT.iter().chain(&[BOB, CALLER]) {
            self.bench.ignore(place, "");
        }
        self.hear();
        self.check();
    }

    /// Listens to what was told: of each answered call the answer, then the end, once each.
    fn hear(&mut self) {
        for event in self.bench.events.drain(..) {
            match event {
                ProxyEvent::Call(call) => {
                    let was_answered = call.status.is_success();
                    assert_eq!(call.is_followed, was_answered, "{call:?}");
                    if was_answered {
                        assert!(self.up.insert(call.number), "answered twice: {call:?}");
                    }
                }
                ProxyEvent::Ended(ended) => match ended.call {
                    Some(call) => {
                        assert!(self.up.remove(&call), "{ended:?}");
                        self.tally.ends_told += 1;
                    }
                    None => self.tally.ends_without_beginning += 1,
                },
                _ => {}
            }
        }
    }

    fn step(&mut self) {
        match self.chance.below(1_000) {
            0 => self.change(),
            1..=250 => self.begin(),
            kind => {
                if let Some(last) = u64::try_from(self.calls.len()).unwrap().checked_sub(1) {
                    let at = usize::try_from(self.chance.below(last + 1)).unwrap();
                    match &self.calls[at].stage {
                        Stage::Rings { .. } if kind < 300 => self.move_on(at),
                        Stage::Rings { .. } => self.decide(at),
                        Stage::Up { .. } => self.go_on(at),
                    }
                }
            }
        }
        self.check();
        let ms = self.chance.below(60);
        self.wait(ms);
        // Nobody lets it ring until timer C.
        let old = self.calls.iter().position(|call| match &call.stage {
            Stage::Rings { since_ms, .. } => self.now_ms() - since_ms > 60_000,
            Stage::Up { .. } => false,
        });
        if let Some(at) = old {
            self.decide(at);
        }
        // Of calls that no process counts any more only some are remembered.
        if self.calls.len() > 400 {
            self.calls
                .retain(|call| !matches!(call.stage, Stage::Up { place: None, .. }));
        }
    }
}

#[test]
fn every_count_is_that_of_the_model_over_random_calls() {
    let wanted = std::env::var("COUNTED").map_or(2_000, |text| text.parse().unwrap());
    let mut world = World::new(4_028);
    while world.tally.calls < wanted {
        world.step();
    }
    while let Some(at) = (world.calls.iter()).position(|c| matches!(c.stage, Stage::Rings { .. })) {
        world.decide(at);
        world.wait(0);
    }
    world.wait(LONGEST_MS);
    assert_eq!(world.held().count(), 0, "all is given back");
    assert!(world.up.is_empty(), "never ended: {:?}", world.up);
    let tally = &world.tally;
    let ended = tally.ends_told + tally.lost_with_a_process;
    assert_eq!(ended, tally.answered, "{tally:?}");
    println!("{tally:?}");
    let kinds: BTreeMap<&str, usize> = [
        ("answered", tally.answered),
        ("full", tally.full),
        ("cancelled", tally.cancelled),
        ("moved on", tally.moved_on),
        ("hung up", tally.hung_up),
        ("lost BYEs", tally.lost_byes),
        ("crashed", tally.crashed),
        ("refreshed", tally.refreshed),
        ("expired", tally.expired),
        ("reloads", tally.reloads),
    ]
    .into();
    // A world in which nothing happens proves nothing.
    assert!(kinds.values().all(|count| *count > 0), "{kinds:?}");
}
