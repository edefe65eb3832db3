//! Asking the trunks whether they are alive: OPTIONS (RFC 3261 §11), each a non-INVITE
//! client transaction of its own, and what their answers do to [`Availability`].

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::branch::Branch;
use super::engine::{Output, repeats, retry_after_s};
use super::flow::{Flow, Listeners, Target};
use super::hex;
use super::locations::{Ordered, ordered};
use super::proxy_event::{ProbeMiss, ProbeReport, ProxyEvent};
use super::secret::{Purpose, Secret};
use super::table_view::{Place, TableView};
use crate::limits::{
    PROBE_LOOK_MS, PROBES_AT_ONCE_MAX, PROXY_CONTEXTS_MAX, TRUNK_RETRY_AFTER_S_MAX,
};
use crate::routing::{Availability, Order, ProbeRecord, Probing, Trunk, TrunkId};
use crate::sip::{Message, Method, OptionsProbe, StatusCode};
use crate::transaction::{Action, Actions, ClientNonInvite, Event, Timers};

/// Probes every trunk whose table says so and which is somewhere that a transport of ours
/// reaches. Of a name all places are asked in turn: one that answers is enough, and none is a
/// miss. One in the whole process: all workers share what it finds out.
///
/// Only a probe that turns its trunk changes [`Availability`], and a 503 that asks for quiet.
/// A trunk in maintenance ([`Order::Maint`]) is not asked; what is known of it stays.
#[derive(Debug)]
pub(super) struct Prober {
    voice: Voice,
    /// The table the probes are for, and where its trunks are.
    view: Option<Arc<TableView>>,
    /// By a number that is never used again: branches carry it.
    probes: BTreeMap<u32, ProbedTrunk>,
    drawn: u32,
    /// When each of them wants to be looked at.
    due: BTreeSet<(Instant, u32)>,
    /// When to look for another table at the latest.
    looks_at: Instant,
}

/// Who asks.
#[derive(Debug)]
struct Voice {
    worker: u8,
    /// Branches are drawn from it.
    key: RandomState,
    /// Waits are drawn from it: a run that is repeated, repeats.
    secret: Secret,
    timers: Timers,
    user_agent: Option<Box<str>>,
}

/// One trunk, and the probe that was sent last.
#[derive(Debug)]
struct ProbedTrunk {
    number: u32,
    id: TrunkId,
    name: Arc<str>,
    uri: Box<[u8]>,
    probing: Probing,
    /// Where it is, at least one; the first of them is asked next.
    ways: VecDeque<Way>,
    /// Places in a row that were no hit.
    missed_places: usize,
    record: ProbeRecord,
    /// CSeq of the last one, and how many there were.
    sequence: u32,
    begun: Instant,
    next: Instant,
    /// Until when it wants no requests at all.
    quiet_until: Instant,
    sent: Option<Sent>,
    queued: Option<Instant>,
}

/// How a probe leaves.
#[derive(Debug)]
struct Way {
    flow: Flow,
    /// Up to its branch.
    via: Box<[u8]>,
    from: Box<[u8]>,
    /// Where we are, by the name the trunk's administrators know us by.
    contact: Box<[u8]>,
}

/// A probe on its way, or answered a moment ago: repeated answers are absorbed.
#[derive(Debug)]
struct Sent {
    unique: u64,
    flow: Flow,
    client: ClientNonInvite,
    /// When it is missed; `None` once it was noted.
    missed_at: Option<Instant>,
}

/// Whom a [`Prober`] tells what it does.
pub(super) struct Told<'e> {
    pub(super) availability: &'e Availability,
    pub(super) outputs: &'e mut VecDeque<Output>,
}

// A context never has the place of a probe.
const _: () = assert!(PROXY_CONTEXTS_MAX < Branch::PROBES as usize);

impl Branch {
    /// The places of probes begin here: far above those of contexts.
    const PROBES: u32 = 1 << 31;

    /// The number of the probed trunk whose OPTIONS this branch is of.
    const fn probe(&self) -> Option<u32> {
        if self.context >= Self::PROBES && self.context != Self::STATELESS {
            Some(self.context - Self::PROBES)
        } else {
            None
        }
    }
}

impl Prober {
    /// One that has not looked at any table yet, and wants to now.
    pub(super) fn new(
        now: Instant,
        worker: u8,
        (key, secret): (RandomState, Secret),
        timers: Timers,
        user_agent: Option<Box<str>>,
    ) -> Self {
        Self {
            voice: Voice {
                worker,
                key,
                secret,
                timers,
                user_agent,
            },
            view: None,
            probes: BTreeMap::new(),
            drawn: 0,
            due: BTreeSet::new(),
            looks_at: now,
        }
    }

    /// Takes notice of a table that may have changed. A trunk of the same name and address
    /// keeps its record, and its probe that is on its way.
    pub(super) fn notice(
        &mut self,
        now: Instant,
        view: &Arc<TableView>,
        listeners: &Listeners,
        availability: &Availability,
    ) {
        if (self.view.as_ref()).is_some_and(|known| Arc::ptr_eq(known, view)) {
            return;
        }
        self.view = Some(Arc::clone(view));
        let before = std::mem::take(&mut self.probes);
        let mut known: BTreeMap<Arc<str>, ProbedTrunk> = before
            .into_values()
            .map(|probed| (Arc::clone(&probed.name), probed))
            .collect();
        self.due.clear();
        for (id, trunk) in (0..=u16::MAX).map(TrunkId).zip(view.table.trunks()) {
            let probed = self.probed(now, id, trunk, view, listeners, &mut known);
            let is_out = (probed.as_ref()).is_some_and(|probed| probed.record.is_out());
            availability.set_out_by_probes(id, is_out);
            if let Some(probed) = probed {
                self.put(probed);
            }
        }
    }

    /// The trunk as it was, or anew; `None` when it cannot or shall not be probed.
    fn probed(
        &mut self,
        now: Instant,
        id: TrunkId,
        trunk: &Trunk,
        view: &TableView,
        listeners: &Listeners,
        known: &mut BTreeMap<Arc<str>, ProbedTrunk>,
    ) -> Option<ProbedTrunk> {
        let probing = trunk.probing.clone()?;
        let ways = Way::all(id, view, listeners);
        let way = ways.front()?.flow;
        let target = &trunk.target;
        let uri: Box<[u8]> = [&*target.scheme, &*target.host_and_parameters]
            .concat()
            .into_bytes()
            .into();
        let was = known.remove(&*trunk.name).filter(|probed| {
            let is_there = probed.ways.iter().any(|was| was.flow == way);
            probed.uri == uri && (is_there || view.is_named(id))
        });
        if let Some(mut probed) = was {
            if probed.probing != probing {
                let interval = Duration::from_millis(u64::from(probing.interval_ms));
                probed.next = probed.next.min(now + interval).max(probed.quiet_until);
            }
            (probed.id, probed.probing, probed.queued) = (id, probing, None);
            probed.ways = ways;
            return Some(probed);
        }
        self.drawn = (self.drawn + 1) % (Branch::STATELESS - Branch::PROBES);
        let name: Arc<str> = (&*trunk.name).into();
        // All begin within one interval, none with the others.
        let spread_ms = self.voice.hash(&name, 0) % u64::from(probing.interval_ms.max(1));
        Some(ProbedTrunk {
            number: self.drawn,
            id,
            name,
            uri,
            probing,
            ways,
            missed_places: 0,
            record: ProbeRecord::default(),
            sequence: 0,
            begun: now,
            next: now + Duration::from_millis(spread_ms),
            quiet_until: now,
            sent: None,
            queued: None,
        })
    }

    /// When [`Prober::due`] is wanted.
    pub(super) fn poll_timeout(&self) -> Instant {
        let first = self.due.first().map_or(self.looks_at, |(at, _)| *at);
        first.min(self.looks_at)
    }

    /// Does what is due, for so many trunks; the others are still due then.
    pub(super) fn due(&mut self, now: Instant, told: &mut Told<'_>) {
        self.looks_at = now + Duration::from_millis(PROBE_LOOK_MS);
        for _ in 0..PROBES_AT_ONCE_MAX {
            if self.due.first().is_none_or(|(at, _)| *at > now) {
                return;
            }
            let Some((_, number)) = self.due.pop_first() else {
                return;
            };
            if let Some(probed) = self.probes.get_mut(&number) {
                probed.queued = None;
                probed.look_after(now, &self.voice, told);
            }
            self.queue(number);
        }
    }

    /// Whether a response to this branch was one to a probe of ours.
    pub(super) fn answered(
        &mut self,
        now: Instant,
        branch: Branch,
        message: &Message<'_>,
        told: &mut Told<'_>,
    ) -> bool {
        let is_options = (message.cseq()).is_ok_and(|cseq| cseq.method == Method::Options);
        is_options
            && self.with(branch, |voice, probed| {
                probed.answered(now, voice, message, told)
            })
    }

    /// Whether what did not arrive was a probe of ours.
    pub(super) fn unreachable(
        &mut self,
        now: Instant,
        branch: Branch,
        told: &mut Told<'_>,
    ) -> bool {
        self.with(branch, |voice, probed| probed.unreachable(now, voice, told))
    }

    /// Lets `act` work on the probe of this branch, if it is the last one of its trunk.
    fn with(
        &mut self,
        branch: Branch,
        act: impl FnOnce(&Voice, &mut ProbedTrunk) -> Option<()>,
    ) -> bool {
        let Some(number) = branch.probe() else {
            return false;
        };
        let last = (self.probes.get_mut(&number)).filter(|probed| {
            (probed.sent.as_ref()).is_some_and(|sent| sent.unique == branch.unique)
        });
        let Some(probed) = last else { return false };
        act(&self.voice, probed);
        self.queue(number);
        true
    }

    fn put(&mut self, probed: ProbedTrunk) {
        let number = probed.number;
        self.probes.insert(number, probed);
        self.queue(number);
    }

    /// Sees to it that the trunk is looked at in time.
    fn queue(&mut self, number: u32) {
        if let Some(probed) = self.probes.get_mut(&number) {
            let at = probed.deadline();
            if let Some(queued) = probed.queued.replace(at) {
                self.due.remove(&(queued, number));
            }
            self.due.insert((at, number));
        }
    }
}

impl Voice {
    /// An OPTIONS outside any dialog: RFC 3261 §11.1.
    fn request(&self, probed: &ProbedTrunk, way: &Way, branch: &Branch) -> Bytes {
        let mut via = way.via.to_vec();
        branch.write(&mut via);
        let word = |what: &str| {
            let mut word = Vec::new();
            hex::push(self.key.hash_one((branch.unique, what)), 16, &mut word);
            word
        };
        let mut request = Vec::new();
        OptionsProbe {
            uri: &probed.uri,
            via: &via,
            from: &way.from,
            contact: Some(&way.contact),
            from_tag: &word("tag"),
            call_id: &word("Call-ID"),
            sequence: probed.sequence,
            // A proxy before the trunk may stand at its address.
            max_forwards: 70,
            user_agent: self.user_agent.as_deref().map(str::as_bytes),
        }
        .write(&mut request);
        request.into()
    }

    fn hash(&self, name: &str, sequence: u32) -> u64 {
        let mut hasher = self.secret.hasher(Purpose::Probe);
        hasher.write_u32(sequence);
        hasher.write(name.as_bytes());
        hasher.finish()
    }

    fn delay(&self, probed: &ProbedTrunk) -> Duration {
        let hash = self.hash(&probed.name, probed.sequence);
        Duration::from_millis(probed.record.delay_ms(&probed.probing, hash))
    }
}

impl ProbedTrunk {
    /// Does what is due: repeats the probe, gives it up, begins the next.
    fn look_after(&mut self, now: Instant, voice: &Voice, told: &mut Told<'_>) {
        if told.availability.ordered(self.id) == Order::Maint {
            return self.rest(now);
        }
        if let Some(sent) = &mut self.sent {
            if sent.client.deadline().is_some_and(|(at, _)| at <= now) {
                let actions = sent.client.step(now, Event::TimerDue);
                perform(sent.flow, actions, told);
            }
            if sent.missed_at.is_some_and(|at| at <= now) {
                self.sent = None;
                self.note(now, voice, Some(ProbeMiss::Unanswered), told);
            }
        }
        let waits = (self.sent.as_ref()).is_some_and(|sent| sent.missed_at.is_some());
        if !waits && self.next <= now {
            self.begin(now, voice, told);
        }
    }

    /// Asks nobody for a while. A probe on its way is not repeated, and counts for nothing.
    fn rest(&mut self, now: Instant) {
        if let Some(sent) = &mut self.sent {
            sent.missed_at = None;
            sent.client.step(now, Event::SendFailed);
        }
        self.missed_places = 0;
        let look = now + Duration::from_millis(PROBE_LOOK_MS);
        self.next = look.max(self.quiet_until);
    }

    /// Sends a probe. It is missed when it has no final answer by the time of the next one,
    /// or of timer F.
    fn begin(&mut self, now: Instant, voice: &Voice, told: &mut Told<'_>) {
        // RFC 3261 §8.1.1.5: below 2^31.
        self.sequence = self.sequence % (i32::MAX as u32) + 1;
        let branch = Branch {
            worker: voice.worker,
            context: Branch::PROBES + self.number,
            unique: (voice.key).hash_one((voice.worker, self.number, self.sequence, "probe")),
            loop_mark: 0,
        };
        let Some(way) = self.ways.front() else { return };
        let (request, flow) = (voice.request(self, way, &branch), way.flow);
        self.begun = now;
        self.next = now + voice.delay(self);
        let transport = repeats(flow.transport);
        self.sent = Some(Sent {
            unique: branch.unique,
            flow,
            client: ClientNonInvite::new(now, request.clone(), transport, &voice.timers),
            missed_at: Some(self.next.min(now + voice.timers.f())),
        });
        told.transmit(flow, request);
    }

    /// A response to the last probe came.
    fn answered(
        &mut self,
        now: Instant,
        voice: &Voice,
        message: &Message<'_>,
        told: &mut Told<'_>,
    ) -> Option<()> {
        let sent = self.sent.as_mut()?;
        let actions = sent.client.step(now, Event::Response(message));
        perform(sent.flow, actions, told);
        let status = message.status().filter(|status| !status.is_provisional())?;
        // One that is repeated says nothing new.
        sent.missed_at.take()?;
        let is_hit = self.probing.alive.hold(status.code());
        let miss = (!is_hit).then_some(ProbeMiss::Answered(status));
        self.note(now, voice, miss, told);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = retry_after_s(message)?;
            told.availability.retry_after(self.id, seconds);
            let seconds = seconds.min(TRUNK_RETRY_AFTER_S_MAX);
            self.quiet_until = now + Duration::from_secs(u64::from(seconds));
            self.next = self.next.max(self.quiet_until);
        }
        Some(())
    }

    /// The last probe did not arrive.
    fn unreachable(&mut self, now: Instant, voice: &Voice, told: &mut Told<'_>) -> Option<()> {
        let sent = self.sent.as_mut()?;
        sent.missed_at.take()?;
        sent.client.step(now, Event::SendFailed);
        self.note(now, voice, Some(ProbeMiss::Unreachable), told);
        Some(())
    }

    /// Notes how the last probe ended, and tells whoever has to know.
    fn note(&mut self, now: Instant, voice: &Voice, miss: Option<ProbeMiss>, told: &mut Told<'_>) {
        if told.availability.ordered(self.id) == Order::Maint {
            return self.rest(now);
        }
        if miss.is_some() {
            // Another place of its name may answer: it is asked at once, and all of them make
            // one miss.
            self.ways.rotate_left(1);
            self.missed_places += 1;
            if self.missed_places < self.ways.len() {
                self.next = now.max(self.quiet_until);
                return;
            }
        }
        self.missed_places = 0;
        let turn = self.record.note(&self.probing, miss.is_none());
        if turn.is_some() {
            (told.availability).set_out_by_probes(self.id, self.record.is_out());
        }
        self.next = now.max(self.begun + voice.delay(self));
        let report = ProbeReport {
            trunk: Arc::clone(&self.name),
            took: matches!(miss, None | Some(ProbeMiss::Answered(_)))
                .then(|| now.saturating_duration_since(self.begun)),
            miss,
            turn,
        };
        (told.outputs).push_back(Output::Event(ProxyEvent::Probe(report)));
    }

    /// When it wants to be looked at.
    fn deadline(&self) -> Instant {
        let Some(sent) = &self.sent else {
            return self.next;
        };
        // While one waits, the next begins when it has ended.
        let ends = sent.missed_at.unwrap_or(self.next);
        (sent.client.deadline()).map_or(ends, |(at, _)| at.min(ends))
    }
}

impl Way {
    /// The ways to a trunk, best first; none where no listener of ours reaches it.
    fn all(id: TrunkId, view: &TableView, listeners: &Listeners) -> VecDeque<Self> {
        let name = view.table.trunk(id);
        let name = name.and_then(|trunk| trunk.options_contact.as_deref());
        let targets = match view.place(id) {
            Place::At(target) => Ordered::from_iter([*target]),
            Place::Named(found) => ordered(found, 0),
            Place::Nowhere => Ordered::new(),
        };
        let ways = targets.into_iter();
        ways.filter_map(|target| Self::to(target, name, listeners))
            .collect()
    }

    fn to(target: Target, name: Option<&str>, listeners: &Listeners) -> Option<Self> {
        let flow = listeners.flow_to(target, 0)?;
        let own = listeners.get(flow.listener)?;
        let advertised = own.listener.advertised;
        let from = match name {
            Some(name) => format!("sip:{name}:{}", advertised.port()),
            None => format!("sip:{advertised}"),
        };
        let transport = own.listener.transport.uri_parameter();
        let contact = format!("{from}{transport}");
        Some(Self {
            flow,
            via: own.via.clone(),
            from: from.into_bytes().into(),
            contact: contact.into_bytes().into(),
        })
    }
}

impl Told<'_> {
    fn transmit(&mut self, flow: Flow, bytes: Bytes) {
        self.outputs.push_back(Output::Transmit { flow, bytes });
    }
}

/// Sends what a transaction wants sent. What else it says is known: timer F comes no sooner
/// than the end of the wait for an answer.
fn perform(flow: Flow, actions: Actions, told: &mut Told<'_>) {
    for action in actions {
        if let Action::SendRequest(bytes) = action {
            told.transmit(flow, bytes);
        }
    }
}
