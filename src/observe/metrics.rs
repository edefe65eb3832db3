//! What is counted and how things stand, in the text form that Prometheus reads.

mod records;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text::encode};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::{CallsStanding, Proxied, Totals};
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
}

impl Standing {
    /// As OpenMetrics text. No telephone number is in it.
    ///
    /// # Errors
    /// None of ours: a `String` takes whatever is written.
    pub fn exposition(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("trunkline");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        encode(&mut text, &registry)?;
        Ok(text)
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
        page.calls(&self.calls)
    }
}

/// The page as it is written.
struct Page<'p, 'e>(&'p mut DescriptorEncoder<'e>);

impl Page<'_, '_> {
    fn process(&mut self, standing: &Standing) -> fmt::Result {
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        self.gauges("build_info", "The program", [(version, 1)])?;
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
        self.gauges("trunk_group_calls", help, groups)
    }

    fn totals(&mut self, totals: &Totals) -> fmt::Result {
        self.counters("sip_requests", "SIP requests", "method", &totals.requests)?;
        self.counters(
            "sip_responses",
            "SIP responses sent",
            "code",
            &totals.replies,
        )?;
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

    fn counter(&mut self, name: &str, help: &str, value: u64) -> fmt::Result {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn gauge(&mut self, name: &str, help: &str, value: i64) -> fmt::Result {
        let encoder = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value).encode(encoder)
    }

    fn counters<K: ToString>(
        &mut self,
        name: &str,
        help: &str,
        label: &'static str,
        values: &BTreeMap<K, u64>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Counter)?;
        for (key, value) in values {
            let labels = [(label, key.to_string())];
            ConstCounter::new(*value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn gauges<'l, const N: usize>(
        &mut self,
        name: &str,
        help: &str,
        values: impl IntoIterator<Item = ([(&'static str, &'l str); N], i64)>,
    ) -> fmt::Result {
        let mut family = self
            .0
            .encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (labels, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&labels)?)?;
        }
        Ok(())
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

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
