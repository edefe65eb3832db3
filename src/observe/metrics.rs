//! What is counted and how things stand, in the text form that Prometheus reads.

mod page;
mod records;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::registry::Registry;

use self::page::Page;
use super::{COMMIT, CallsStanding, ChangesSeen, Process, Proxied, Tallied, Totals};
use crate::routing::trunk::TrunkGroup;
use crate::routing::{GroupId, RoutingTable, Snapshot, TrunkId};

/// How things stand at one moment.
#[derive(Debug)]
pub struct Standing {
    /// What was counted so far.
    pub totals: Totals,
    /// The table that serves, and the state of its trunks.
    pub snapshot: Arc<Snapshot>,
    /// The calls that are up, and their records.
    pub calls: CallsStanding,
    /// Whether new calls are taken: not any more while the server drains.
    pub takes_calls: bool,
    /// Whether the last change of the table was made.
    pub last_change_made: bool,
    /// Whether a change waits for its confirmation.
    pub on_trial: bool,
    /// When the process began to serve, in seconds since 1970.
    pub started_s: i64,
    /// What was counted of each trunk group and trunk.
    pub tallied: Tallied,
    /// How changes of the table went.
    pub changes: ChangesSeen,
    /// Until when our certificates are valid.
    pub certificates: Vec<CertificateEnd>,
    /// Log lines that were lost, since the start of the process.
    pub log_lines_dropped: u64,
    /// Copies for a capture server, by what became of them; empty where there is none.
    pub hep: BTreeMap<&'static str, u64>,
    /// The process as the system sees it; `None` where it does not tell.
    pub process: Option<Process>,
}

/// Until when a certificate of ours, and all of its chain, is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateEnd {
    /// Its file, as the configuration names it.
    pub file: String,
    /// The first second, since 1970, in which one of the chain is not valid any more.
    pub not_after_s: i64,
}

impl Standing {
    /// As OpenMetrics text. No telephone number is in it.
    ///
    /// # Errors
    /// None of ours: a `String` takes whatever is written.
    pub fn exposition(self) -> Result<String, fmt::Error> {
        let mut process = Registry::default();
        if let Some(known) = self.process {
            process.register_collector(Box::new(known));
        }
        let mut registry = Registry::with_prefix("trunkline");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode_registry(&mut text, &registry)?;
        encode_registry(&mut text, &process)?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page(&mut encoder);
        let help = "Processor time used, in seconds";
        page.real_counter("process_cpu_seconds", help, self.cpu_s)?;
        let whole = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        page.gauge(
            "process_open_fds",
            "Open file descriptors",
            whole(self.open_fds),
        )?;
        if let Some(most) = self.max_fds {
            let help = "File descriptors that may be open";
            page.gauge("process_max_fds", help, whole(most))?;
        }
        let help = "Resident memory, in bytes";
        page.gauge(
            "process_resident_memory_bytes",
            help,
            whole(self.resident_bytes),
        )?;
        let help = "Address space, in bytes";
        page.gauge(
            "process_virtual_memory_bytes",
            help,
            whole(self.virtual_bytes),
        )?;
        page.gauge("process_threads", "Threads", self.threads)?;
        let help = "When the process was started, in seconds since 1970";
        page.real_gauge("process_start_time_seconds", help, self.started_s)
    }
}

impl Collector for Standing {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut page = Page(&mut encoder);
        page.process(self)?;
        page.table(self)?;
        page.trunks(&self.snapshot)?;
        page.totals(&self.totals)?;
        page.proxied(&self.totals.proxied)?;
        page.tallied(&self.tallied, &self.snapshot.table)?;
        page.changes(&self.changes)?;
        page.certificates(&self.certificates)?;
        let help = "Copies for the capture server, by what became of them";
        page.counters("hep_packets", help, "result", &self.hep)?;
        let help = "Log lines lost because they came faster than they were taken";
        page.counter("log_lines_dropped", help, self.log_lines_dropped)?;
        page.calls(&self.calls)
    }
}

impl Page<'_, '_> {
    fn process(&mut self, standing: &Standing) -> fmt::Result {
        let version = ("version", env!("CARGO_PKG_VERSION"));
        let (name, help) = ("build_info", "The program");
        match COMMIT {
            Some(commit) => self.gauges(name, help, [([version, ("commit", commit)], 1)])?,
            None => self.gauges(name, help, [([version], 1)])?,
        }
        let help = "Whether new calls are taken";
        self.gauge("takes_calls", help, i64::from(standing.takes_calls))?;
        let help = "When the process began to serve, in seconds since 1970";
        self.gauge("start_time_seconds", help, standing.started_s)
    }

    fn table(&mut self, standing: &Standing) -> fmt::Result {
        let table = &standing.snapshot.table;
        let (generation, hash) = (table.generation().to_string(), table.hash().to_string());
        let labels = [("generation", generation.as_str()), ("sha256", &hash)];
        self.gauges("table_info", "The table that serves", [(labels, 1)])?;
        self.gauge(
            "table_dids",
            "Rows of its DID lists",
            i64::try_from(table.did_rows()).unwrap_or(i64::MAX),
        )?;
        self.gauge("table_rules", "Its rules", signed(table.rules().len()))?;
        let help = "Whether the last change of the table was made: 0 when it was refused";
        let made = i64::from(standing.last_change_made);
        self.gauge("config_last_reload_successful", help, made)?;
        let help = "Whether a change of the table waits for its confirmation";
        self.gauge("confirm_pending", help, i64::from(standing.on_trial))
    }

    fn trunks(&mut self, snapshot: &Snapshot) -> fmt::Result {
        let (table, availability) = (&snapshot.table, &snapshot.availability);
        let up = |id| i64::from(availability.in_service(id));
        let help = "Whether the trunk takes new calls";
        self.gauges("trunk_up", help, by_trunk(table, up))?;
        let help = "Calls in progress on the trunk; counted by proxy listeners";
        let calls = |id| i64::from(availability.calls_in_progress(id));
        self.gauges("trunk_calls", help, by_trunk(table, calls))?;
        let groups = table.groups().iter().enumerate().filter_map(|(at, group)| {
            let id = u16::try_from(at).map(GroupId).ok()?;
            let calls = i64::from(availability.group_calls_in_progress(id));
            Some(([("trunk_group", &*group.name)], calls))
        });
        let help = "Calls in progress on the trunk group; counted by proxy listeners";
        self.gauges("trunk_group_calls", help, groups)?;
        let all = |group: &TrunkGroup| group.trunks.len();
        let help = "Trunks of the trunk group";
        self.gauges("trunk_group_trunks", help, by_group(table, all))?;
        let up = |group: &TrunkGroup| {
            let trunks = group.trunks.iter();
            trunks.filter(|id| availability.in_service(**id)).count()
        };
        let help = "Trunks of the trunk group that take new calls";
        self.gauges("trunk_group_trunks_up", help, by_group(table, up))
    }

    fn totals(&mut self, totals: &Totals) -> fmt::Result {
        self.counters("sip_requests", "SIP requests", "method", &totals.requests)?;
        let responses = totals.responses.iter();
        let codes: Vec<_> = responses
            .map(|((method, code), count)| (*method, code.to_string(), *count))
            .collect();
        let responses = codes
            .iter()
            .map(|(method, code, count)| ([("method", *method), ("code", code)], *count));
        self.counts("sip_responses", "SIP responses sent", responses)?;
        let help = "Requests in progress: those without a final answer, and echoes of the others";
        let echoes = totals.transactions.saturating_sub(totals.unanswered);
        let states = [("unanswered", totals.unanswered), ("answered", echoes)];
        let states = states
            .map(|(state, count)| ([("state", state)], i64::try_from(count).unwrap_or(i64::MAX)));
        self.gauges("transactions", help, states)?;
        let help = "Datagrams and messages dropped";
        self.counters("sip_drops", help, "reason", &totals.drops)?;
        let help = "SIP requests refused before any decision";
        self.counters("sip_refusals", help, "reason", &totals.refusals)?;
        let help = "Connections that ended or were not let in";
        self.counters("connections_ended", help, "reason", &totals.connections)?;
        let help = "Questions over HTTP, by how they ended";
        self.counters("http_questions", help, "outcome", &totals.http)?;
        let help = "Requests to the admin API";
        self.counters("api_requests", help, "outcome", &totals.api)?;
        let help = "Connections and requests over HTTP refused before anybody looked at them";
        let refusals = totals.http_refusals.iter();
        let refusals = refusals.map(|((listener, reason), count)| {
            ([("listener", *listener), ("reason", *reason)], *count)
        });
        self.counts("http_refusals", help, refusals)?;
        let help = "Retransmissions absorbed, and responses sent again";
        self.counter("sip_repeats", help, totals.repeats)?;
        let help = "Calls answered statelessly because the transaction table was full";
        self.counter("sip_stateless_answers", help, totals.stateless)?;
        let help = "Answers the system refused to send";
        self.counter("send_errors", help, totals.send_errors)?;
        self.counter(
            "receive_errors",
            "Failures to receive",
            totals.receive_errors,
        )
    }

    fn proxied(&mut self, proxied: &Proxied) -> fmt::Result {
        for (name, help, value) in [
            (
                "calls",
                "Calls that were decided and got their final answer",
                proxied.calls,
            ),
            ("attempts", "Attempts on trunks", proxied.attempts),
            (
                "failovers",
                "Attempts after the first of a call",
                proxied.failovers,
            ),
            (
                "trunk_timeouts",
                "Attempts whose trunk stayed silent",
                proxied.trunk_timeouts,
            ),
            (
                "trunk_errors",
                "Attempts whose trunk could not be reached",
                proxied.trunk_errors,
            ),
            (
                "handed_over",
                "Datagrams that reached another worker than theirs",
                proxied.handed_over,
            ),
            (
                "hand_overs_lost",
                "Of such, those without room",
                proxied.hand_overs_lost,
            ),
            (
                "requests_repeated",
                "Requests sent again by timers A and E",
                proxied.requests_repeated,
            ),
            ("probes", "OPTIONS sent to trunks", proxied.probes),
            (
                "probe_misses",
                "OPTIONS that had no good answer",
                proxied.probe_misses,
            ),
            (
                "trunks_out",
                "Times that probes took a trunk out of service",
                proxied.trunks_out,
            ),
        ] {
            self.counter(&format!("proxy_{name}"), help, value)?;
        }
        Ok(())
    }

    fn tallied(&mut self, tallied: &Tallied, table: &RoutingTable) -> fmt::Result {
        let help = "INVITEs from bytes to bytes, of which one a batch is timed";
        self.durations("decision_duration_seconds", help, &tallied.decisions)?;
        let groups = || tallied.groups.iter().map(|(name, group)| (&**name, group));
        let decided = groups().flat_map(|(name, group)| {
            let counts = group.decided.iter();
            counts.map(move |((outcome, reason), count)| {
                let labels = [
                    ("trunk_group", name),
                    ("outcome", outcome),
                    ("reason", reason),
                ];
                (labels, *count)
            })
        });
        let help = "Calls decided, by the trunk group they arrived on";
        self.counts("decisions", help, decided)?;
        let no_route = groups().map(|(name, group)| ([("trunk_group", name)], group.no_route));
        let help = "Calls without a route, by the trunk group they arrived on";
        self.counts("no_route", help, no_route)?;
        let chosen = groups().map(|(name, group)| ([("trunk_group", name)], group.chosen));
        let help = "Calls whose first route is on the trunk group";
        self.counts("first_routes", help, chosen)?;
        let failovers = groups().flat_map(|(name, group)| {
            let counts = group.failovers.iter();
            counts.map(move |(reason, count)| ([("trunk_group", name), ("reason", reason)], *count))
        });
        let help = "Calls that moved on from a route of the trunk group, by why";
        self.counts("failovers", help, failovers)?;
        let delays = groups()
            .filter_map(|(name, group)| Some(([("trunk_group", name)], group.delay.as_ref()?)));
        let help = "From an INVITE to the first sign that it rings (RFC 6076)";
        self.durations_of("session_request_delay_seconds", help, delays)?;
        let is_there = |name: &str| table.trunks().iter().any(|trunk| *trunk.name == *name);
        let probes = tallied.probes.iter().filter(|(name, _)| is_there(name));
        let probes = probes.map(|(name, durations)| ([("trunk", &**name)], durations));
        let help = "From OPTIONS to their answer";
        self.durations_of("probe_duration_seconds", help, probes)
    }

    fn changes(&mut self, changes: &ChangesSeen) -> fmt::Result {
        let help = "Changes of the table, by how they went";
        self.counters("config_reloads", help, "result", &changes.results)?;
        let help = "How long changes of the table took, reading and all";
        self.durations("config_reload_duration_seconds", help, &changes.took)?;
        let help = "When the table was last read without an error, in seconds since 1970";
        self.gauge(
            "config_last_reload_success_timestamp_seconds",
            help,
            changes.last_good_s,
        )
    }

    fn certificates(&mut self, certificates: &[CertificateEnd]) -> fmt::Result {
        let ends = certificates.iter();
        let ends = ends.map(|end| ([("file", &*end.file)], end.not_after_s));
        let help = "Until when a certificate of ours and its chain are valid, since 1970";
        self.gauges("tls_certificate_not_after_timestamp_seconds", help, ends)
    }
}

/// A value of each trunk.
fn by_trunk<'t>(
    table: &'t RoutingTable,
    value: impl Fn(TrunkId) -> i64 + 't,
) -> impl Iterator<Item = ([(&'static str, &'t str); 1], i64)> + 't {
    (0..table.trunks().len()).filter_map(move |at| {
        let id = u16::try_from(at).map(TrunkId).ok()?;
        Some(([("trunk", table.trunk_name(id))], value(id)))
    })
}

/// A number of each trunk group.
fn by_group<'t>(
    table: &'t RoutingTable,
    count: impl Fn(&TrunkGroup) -> usize + 't,
) -> impl Iterator<Item = ([(&'static str, &'t str); 1], i64)> + 't {
    let groups = table.groups().iter();
    groups.map(move |group| ([("trunk_group", &*group.name)], signed(count(group))))
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
