//! How often what happened. One set per worker, added up when somebody asks.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Roster, Tallies};

use crate::proxy::{
    DropReason, LargeBy, MethodKind, ProbeReport, ProxiedCall, ProxyDrop, ProxyEvent, ProxyRefusal,
    ProxyRepeat, Refusal,
};
use crate::routing::Turn;
use crate::routing::table::Cause;
use crate::transport::Ended;

/// Status codes counted each on its own: 100 to 699.
const STATUSES: usize = 600;

/// Counters of one worker. Written by it, read by anybody at any time; a reader may
/// see one counter before and another after the same request.
#[derive(Debug)]
pub struct Counters {
    requests: [AtomicU64; MethodKind::ALL.len()],
    replies: Box<[AtomicU64]>,
    drops: [AtomicU64; DropReason::ALL.len()],
    refusals: [AtomicU64; Refusal::ALL.len()],
    repeats: AtomicU64,
    stateless: AtomicU64,
    send_errors: AtomicU64,
    receive_errors: AtomicU64,
    proxy_drops: [AtomicU64; ProxyDrop::ALL.len()],
    proxy_refusals: [AtomicU64; ProxyRefusal::ALL.len()],
    calls: AtomicU64,
    attempts: AtomicU64,
    failovers: AtomicU64,
    trunk_timeouts: AtomicU64,
    trunk_errors: AtomicU64,
    large_by_tcp: AtomicU64,
    large_by_udp: AtomicU64,
    handed_over: AtomicU64,
    hand_overs_lost: AtomicU64,
    requests_repeated: AtomicU64,
    successes_repeated: AtomicU64,
    successes_absorbed: AtomicU64,
    acks_repeated: AtomicU64,
    probes: AtomicU64,
    probe_misses: AtomicU64,
    trunks_out: AtomicU64,
    trunk_orders: AtomicU64,
    connections: [AtomicU64; Ended::ALL.len()],
    /// Requests in progress and their echoes, of all tasks of the worker.
    transactions: AtomicU64,
    /// Those of them without a final answer.
    unanswered: AtomicU64,
    /// What is counted of each trunk group and trunk.
    pub tallies: Tallies,
}

impl Counters {
    /// All zero; trunk groups have their places in `roster`.
    #[must_use]
    pub fn new(roster: Arc<Roster>) -> Self {
        Self {
            requests: std::array::from_fn(|_| AtomicU64::new(0)),
            replies: std::iter::repeat_with(AtomicU64::default)
                .take(STATUSES * MethodKind::ALL.len())
                .collect(),
            drops: std::array::from_fn(|_| AtomicU64::new(0)),
            refusals: std::array::from_fn(|_| AtomicU64::new(0)),
            repeats: AtomicU64::new(0),
            stateless: AtomicU64::new(0),
            send_errors: AtomicU64::new(0),
            receive_errors: AtomicU64::new(0),
            proxy_drops: std::array::from_fn(|_| AtomicU64::new(0)),
            proxy_refusals: std::array::from_fn(|_| AtomicU64::new(0)),
            calls: AtomicU64::new(0),
            attempts: AtomicU64::new(0),
            failovers: AtomicU64::new(0),
            trunk_timeouts: AtomicU64::new(0),
            trunk_errors: AtomicU64::new(0),
            large_by_tcp: AtomicU64::new(0),
            large_by_udp: AtomicU64::new(0),
            handed_over: AtomicU64::new(0),
            hand_overs_lost: AtomicU64::new(0),
            requests_repeated: AtomicU64::new(0),
            successes_repeated: AtomicU64::new(0),
            successes_absorbed: AtomicU64::new(0),
            acks_repeated: AtomicU64::new(0),
            probes: AtomicU64::new(0),
            probe_misses: AtomicU64::new(0),
            trunks_out: AtomicU64::new(0),
            trunk_orders: AtomicU64::new(0),
            connections: std::array::from_fn(|_| AtomicU64::new(0)),
            transactions: AtomicU64::new(0),
            unanswered: AtomicU64::new(0),
            tallies: Tallies::new(roster),
        }
    }

    /// A task of the worker has other numbers of transactions than before, and of them without
    /// a final answer.
    pub fn in_progress(&self, before: (usize, usize), now: (usize, usize)) {
        for (sum, before, now) in [
            (&self.transactions, before.0, now.0),
            (&self.unanswered, before.1, now.1),
        ] {
            if before != now {
                // Wraps: the sum of all tasks is right whatever the order.
                let change = (now as u64).wrapping_sub(before as u64);
                sum.fetch_add(change, Ordering::Relaxed);
            }
        }
    }

    /// A connection ended, or was not let in.
    pub fn connection(&self, why: Ended) {
        add(self.connections.get(why.index()));
    }

    /// Something happened in a proxy.
    pub fn proxied(&self, event: &ProxyEvent) {
        match event {
            ProxyEvent::Call(call) => {
                self.request(MethodKind::Invite);
                self.reply(MethodKind::Invite, call.status.code());
                self.call(call);
                self.tallies.proxied(call);
            }
            ProxyEvent::Refused(refused) => {
                self.request(refused.method);
                self.reply(refused.method, refused.status.code());
                add(self.proxy_refusals.get(refused.why.index()));
            }
            ProxyEvent::Served { method, status } => {
                self.request(*method);
                self.reply(*method, status.code());
            }
            ProxyEvent::InDialog { method, status } => {
                self.request(*method);
                if let Some(status) = status {
                    self.reply(*method, status.code());
                }
            }
            ProxyEvent::Dropped { why, .. } => add(self.proxy_drops.get(why.index())),
            ProxyEvent::Repeated(what) => self.repeated(*what),
            ProxyEvent::Probe(report) => self.probe(report),
            // Its BYE is counted as a request.
            ProxyEvent::Ended(_) => {}
        }
    }

    fn repeated(&self, what: ProxyRepeat) {
        match what {
            ProxyRepeat::Request | ProxyRepeat::Refusal => self.repeat(),
            ProxyRepeat::Attempt => add(Some(&self.requests_repeated)),
            ProxyRepeat::Success => add(Some(&self.successes_repeated)),
            ProxyRepeat::SuccessAbsorbed => add(Some(&self.successes_absorbed)),
            ProxyRepeat::Ack => add(Some(&self.acks_repeated)),
        }
    }

    fn probe(&self, report: &ProbeReport) {
        add(Some(&self.probes));
        self.tallies.probe(report);
        if report.miss.is_some() {
            add(Some(&self.probe_misses));
        }
        if let Some(Turn::Out(_)) = report.turn {
            add(Some(&self.trunks_out));
        }
    }

    fn call(&self, call: &ProxiedCall) {
        add(Some(&self.calls));
        for (place, attempt) in call.attempts.iter().enumerate() {
            add(Some(&self.attempts));
            if place > 0 {
                add(Some(&self.failovers));
            }
            match attempt.large {
                Some(LargeBy::Tcp) => add(Some(&self.large_by_tcp)),
                Some(LargeBy::Udp) => add(Some(&self.large_by_udp)),
                None => {}
            }
            match attempt.ending.map(|ending| ending.cause) {
                Some(Cause::TrunkTimeout) => add(Some(&self.trunk_timeouts)),
                Some(Cause::TransportError) => add(Some(&self.trunk_errors)),
                _ => {}
            }
        }
    }

    /// An order about a trunk was given.
    pub fn trunk_order(&self) {
        add(Some(&self.trunk_orders));
    }

    /// A datagram was for another worker, which had room for it or not.
    pub fn handed_over(&self, arrived: bool) {
        let counter = if arrived {
            &self.handed_over
        } else {
            &self.hand_overs_lost
        };
        add(Some(counter));
    }

    /// A request was understood well enough to be answered or absorbed.
    pub fn request(&self, method: MethodKind) {
        add(self.requests.get(method.index()));
    }

    /// An answer with this status was made to such a request.
    pub fn reply(&self, method: MethodKind, status: u16) {
        let place = usize::from(status).checked_sub(100);
        let place = place.filter(|place| *place < STATUSES);
        add(place.and_then(|place| self.replies.get(method.index() * STATUSES + place)));
    }

    /// A datagram was dropped.
    pub fn dropped(&self, reason: DropReason) {
        add(self.drops.get(reason.index()));
    }

    /// A request was refused before any decision.
    pub fn refusal(&self, refusal: Refusal) {
        add(self.refusals.get(refusal.index()));
    }

    /// A retransmission was absorbed, or a response sent again by timer G.
    pub fn repeat(&self) {
        add(Some(&self.repeats));
    }

    /// `n` calls were answered statelessly because the transaction table was full.
    pub fn stateless(&self, n: u64) {
        self.stateless.fetch_add(n, Ordering::Relaxed);
    }

    /// The system refused to send.
    pub fn send_error(&self) {
        add(Some(&self.send_errors));
    }

    /// The system failed to receive.
    pub fn receive_error(&self) {
        add(Some(&self.receive_errors));
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new(Arc::default())
    }
}

/// The sum of all workers' counters at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Requests by method.
    pub requests: BTreeMap<&'static str, u64>,
    /// Answers by status.
    pub replies: BTreeMap<u16, u64>,
    /// Answers by method and status.
    pub responses: BTreeMap<(&'static str, u16), u64>,
    /// Datagrams dropped, by reason.
    pub drops: BTreeMap<&'static str, u64>,
    /// Requests refused before any decision, by reason.
    pub refusals: BTreeMap<&'static str, u64>,
    /// Retransmissions absorbed, and responses sent again.
    pub repeats: u64,
    /// Calls answered statelessly because the transaction table was full.
    pub stateless: u64,
    /// Answers the system refused to send.
    pub send_errors: u64,
    /// Failures to receive.
    pub receive_errors: u64,
    /// Orders about trunks that were given.
    pub trunk_orders: u64,
    /// Requests in progress and their echoes.
    pub transactions: u64,
    /// Those of them without a final answer.
    pub unanswered: u64,
    /// What proxy listeners did besides.
    pub proxied: Proxied,
    /// Connections that ended or were not let in, by reason.
    pub connections: BTreeMap<&'static str, u64>,
    /// Questions over HTTP, by how they ended.
    pub http: BTreeMap<&'static str, u64>,
    /// Requests to the admin API by how they ended.
    pub api: BTreeMap<&'static str, u64>,
    /// What was refused over HTTP before anybody looked at it, by listener and reason.
    pub http_refusals: BTreeMap<(&'static str, &'static str), u64>,
}

/// What proxy listeners did, besides requests, replies, refusals and drops.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Proxied {
    /// Calls that were decided and got their final answer.
    pub calls: u64,
    /// Attempts on trunks they took.
    pub attempts: u64,
    /// Of these, attempts after the first of a call.
    pub failovers: u64,
    /// Of these, attempts whose trunk stayed silent.
    pub trunk_timeouts: u64,
    /// Of these, attempts whose trunk could not be reached.
    pub trunk_errors: u64,
    /// Attempts that went by TCP for their size.
    pub large_by_tcp: u64,
    /// Attempts that should have, and went by UDP all the same.
    pub large_by_udp: u64,
    /// Datagrams that reached another worker than the one they were for.
    pub handed_over: u64,
    /// Of such, those that worker had no room for.
    pub hand_overs_lost: u64,
    /// Requests sent again by timers A and E.
    pub requests_repeated: u64,
    /// 2xx sent to a caller again, because no ACK had passed.
    pub successes_repeated: u64,
    /// 2xx that came again and were not relayed: the caller got them from us.
    pub successes_absorbed: u64,
    /// 2xx that came again and were answered with the caller's ACK.
    pub acks_repeated: u64,
    /// OPTIONS sent to trunks that had an answer or were missed.
    pub probes: u64,
    /// Of these, the missed ones.
    pub probe_misses: u64,
    /// Times that probes took a trunk out of service.
    pub trunks_out: u64,
}

impl Totals {
    /// Adds the counters up. What is zero is left out of the maps.
    #[must_use]
    pub fn of<'c>(counters: impl IntoIterator<Item = &'c Counters>) -> Self {
        let mut totals = Self::default();
        for one in counters {
            named(
                &mut totals.requests,
                MethodKind::ALL.iter().map(|m| m.as_str()),
                &one.requests,
            );
            for (method, replies) in MethodKind::ALL.iter().zip(one.replies.chunks(STATUSES)) {
                named(&mut totals.replies, 100.., replies);
                let names = (100..).map(|status| (method.as_str(), status));
                named(&mut totals.responses, names, replies);
            }
            totals.transactions =
                (totals.transactions).wrapping_add(one.transactions.load(Ordering::Relaxed));
            totals.unanswered =
                (totals.unanswered).wrapping_add(one.unanswered.load(Ordering::Relaxed));
            named(
                &mut totals.drops,
                DropReason::ALL.iter().map(|r| r.as_str()),
                &one.drops,
            );
            named(
                &mut totals.refusals,
                Refusal::ALL.iter().map(|r| r.as_str()),
                &one.refusals,
            );
            named(
                &mut totals.drops,
                ProxyDrop::ALL.iter().map(|r| r.as_str()),
                &one.proxy_drops,
            );
            named(
                &mut totals.refusals,
                ProxyRefusal::ALL.iter().map(|r| r.as_str()),
                &one.proxy_refusals,
            );
            named(
                &mut totals.connections,
                Ended::ALL.iter().map(|why| why.as_str()),
                &one.connections,
            );
            totals.proxied.add(one);
            totals.repeats += one.repeats.load(Ordering::Relaxed);
            totals.stateless += one.stateless.load(Ordering::Relaxed);
            totals.trunk_orders += one.trunk_orders.load(Ordering::Relaxed);
            totals.send_errors += one.send_errors.load(Ordering::Relaxed);
            totals.receive_errors += one.receive_errors.load(Ordering::Relaxed);
        }
        totals
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("requests")?;
        list(f, &self.requests)?;
        f.write_str("; replies")?;
        list(f, &self.replies)?;
        f.write_str("; refused")?;
        list(f, &self.refusals)?;
        f.write_str("; dropped")?;
        list(f, &self.drops)?;
        write!(
            f,
            "; repeats={} stateless={} send-errors={} receive-errors={}",
            self.repeats, self.stateless, self.send_errors, self.receive_errors
        )?;
        if self.trunk_orders > 0 {
            write!(f, " trunk-orders={}", self.trunk_orders)?;
        }
        if !self.connections.is_empty() {
            f.write_str("; connections")?;
            list(f, &self.connections)?;
        }
        if !self.http.is_empty() {
            f.write_str("; http")?;
            list(f, &self.http)?;
        }
        if !self.api.is_empty() {
            f.write_str("; api")?;
            list(f, &self.api)?;
        }
        if !self.http_refusals.is_empty() {
            f.write_str("; turned away")?;
            for ((listener, reason), count) in &self.http_refusals {
                write!(f, " {listener}-{reason}={count}")?;
            }
        }
        if self.proxied == Proxied::default() {
            return Ok(());
        }
        write!(f, "; proxied {}", self.proxied)
    }
}

impl Proxied {
    fn add(&mut self, counters: &Counters) {
        for (sum, counter) in [
            (&mut self.calls, &counters.calls),
            (&mut self.attempts, &counters.attempts),
            (&mut self.failovers, &counters.failovers),
            (&mut self.trunk_timeouts, &counters.trunk_timeouts),
            (&mut self.trunk_errors, &counters.trunk_errors),
            (&mut self.large_by_tcp, &counters.large_by_tcp),
            (&mut self.large_by_udp, &counters.large_by_udp),
            (&mut self.handed_over, &counters.handed_over),
            (&mut self.hand_overs_lost, &counters.hand_overs_lost),
            (&mut self.requests_repeated, &counters.requests_repeated),
            (&mut self.successes_repeated, &counters.successes_repeated),
            (&mut self.successes_absorbed, &counters.successes_absorbed),
            (&mut self.acks_repeated, &counters.acks_repeated),
            (&mut self.probes, &counters.probes),
            (&mut self.probe_misses, &counters.probe_misses),
            (&mut self.trunks_out, &counters.trunks_out),
        ] {
            *sum += counter.load(Ordering::Relaxed);
        }
    }
}

impl fmt::Display for Proxied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "calls={} attempts={} failovers={} trunk-timeouts={} trunk-errors={} large-by-tcp={} large-by-udp={} handed-over={} hand-overs-lost={} requests-repeated={} 2xx-repeated={} 2xx-absorbed={} acks-repeated={} probes={} probe-misses={} trunks-out={}",
            self.calls,
            self.attempts,
            self.failovers,
            self.trunk_timeouts,
            self.trunk_errors,
            self.large_by_tcp,
            self.large_by_udp,
            self.handed_over,
            self.hand_overs_lost,
            self.requests_repeated,
            self.successes_repeated,
            self.successes_absorbed,
            self.acks_repeated,
            self.probes,
            self.probe_misses,
            self.trunks_out
        )
    }
}

fn list<K: fmt::Display>(f: &mut fmt::Formatter<'_>, counts: &BTreeMap<K, u64>) -> fmt::Result {
    if counts.is_empty() {
        return f.write_str(" none");
    }
    counts.iter().try_for_each(|(name, count)| {
        let name = name.to_string().replace(' ', "-");
        write!(f, " {name}={count}")
    })
}

fn named<K: Ord>(
    into: &mut BTreeMap<K, u64>,
    names: impl Iterator<Item = K>,
    counters: &[AtomicU64],
) {
    for (name, counter) in names.zip(counters) {
        let count = counter.load(Ordering::Relaxed);
        if count > 0 {
            *into.entry(name).or_default() += count;
        }
    }
}

fn add(counter: Option<&AtomicU64>) {
    if let Some(counter) = counter {
        counter.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_the_workers() {
        let (one, two) = (Counters::default(), Counters::default());
        one.request(MethodKind::Invite);
        two.request(MethodKind::Invite);
        two.reply(MethodKind::Invite, 302);
        two.reply(MethodKind::Invite, 699);
        two.reply(MethodKind::Invite, 99);
        two.dropped(DropReason::KeepAlive);
        one.refusal(Refusal::UnknownSource);
        one.repeat();
        let totals = Totals::of([&one, &two]);
        assert_eq!(
            totals.to_string(),
            "requests INVITE=2; replies 302=1 699=1; refused unknown-source=1; dropped keep-alive=1; \
             repeats=1 stateless=0 send-errors=0 receive-errors=0"
        );
    }
}
