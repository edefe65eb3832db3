//! An explanation: the walk of [`route`], written down.

use super::decision::{Caller, End, Outcome, Route, Trace};
use super::dial_plan::{NormaliseStep, Normalised};
use super::number::Number;
use super::prefix_map::{Match, Remaining};
use super::rule::{Action, Miss, Rule};
use super::trunk::{TrunkState, User};
use super::{Decision, Did, Outage, RequestFacts, RoutingTable, RuleId, Snapshot, route};
use serde::Serialize;

/// Everything [`route`] did for one call, by id. [`Explanation::of`] makes it.
#[derive(Clone, Debug, Default)]
pub struct Explanation {
    called: Option<(Option<Number>, Normalised)>,
    calling: Option<(Option<Number>, Normalised)>,
    rules: Vec<(RuleId, Result<(), Miss>)>,
    trunks: Vec<(Route, TrunkState)>,
}

impl Trace for Explanation {
    const EVERY_RULE: bool = true;

    fn number(&mut self, end: End, arrived: Option<Number>, normalised: &Normalised) {
        let slot = match end {
            End::Called => &mut self.called,
            End::Calling => &mut self.calling,
        };
        *slot = Some((arrived, *normalised));
    }

    fn rule(&mut self, rule: RuleId, verdict: Result<(), Miss>) {
        self.rules.push((rule, verdict));
        if verdict.is_err() {
            // Trunks reached for a rule that in the end did not decide.
            self.trunks.clear();
        }
    }

    fn trunk(&mut self, route: Route, state: TrunkState) {
        self.trunks.push((route, state));
    }
}

/// An explanation in words and numbers, for the command line, HTTP and logs alike.
/// Field names are stable within a schema version.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Report {
    /// `trunkline.route/1`.
    pub schema: &'static str,
    /// `route`, `reject`, `no_route` or `unavailable`.
    pub outcome: &'static str,
    /// Status of a reject, 404 without a route, 503 when no trunk may be tried.
    pub status: Option<u16>,
    /// Reason phrase of a reject.
    pub reason: Option<String>,
    /// Name of the rule that decided.
    pub rule: Option<String>,
    /// Trunk group the call arrived on.
    pub from: String,
    /// Time of the call, RFC 3339 in UTC.
    pub at: String,
    /// The called number.
    pub called: NumberReport,
    /// The calling number; absent when anonymous.
    pub calling: Option<NumberReport>,
    /// Whether it is an emergency call, which no rule can bar.
    pub emergency: bool,
    /// The DID row that decided, and the shorter ones that fit too, longest first.
    pub did: Vec<DidReport>,
    /// Every rule of the table in order.
    pub rules: Vec<RuleReport>,
    /// The routes in the order of trying, and the trunks left out on the way.
    pub routes: Vec<RouteReport>,
    /// The table that decided.
    pub table: TableReport,
}

/// What became of a number.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct NumberReport {
    /// As the peer wrote it.
    pub dialled: String,
    /// `phone-context`, if it had one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub phone_context: Option<String>,
    /// After the arrival group's inbound manipulations, if they changed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manipulated: Option<String>,
    /// After normalisation; absent if it is no number.
    pub normalised: Option<String>,
    /// What normalisation did, in a few words.
    pub step: String,
}

/// A DID row that fits the called number.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct DidReport {
    /// The part of the number that matched, with `*` for an open prefix and `x` for each
    /// further digit of a range.
    pub prefix: String,
    /// Symbols that matched.
    pub length: u8,
    /// The list.
    pub list: String,
    /// `dids/users.csv:14`.
    pub place: String,
    /// Trunk group it is assigned to.
    pub trunk_group: Option<String>,
    /// Whether this is the one that counts: the longest.
    pub decides: bool,
}

/// What became of one rule.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct RuleReport {
    /// Name.
    pub name: String,
    /// `routes.toml:18`.
    pub place: String,
    /// `applied`, `did_not_apply` or `not_reached`.
    pub result: &'static str,
    /// The condition that failed: `from`, `called`, `calling`, `host`, `tgrp`, `during`,
    /// `emergency`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub condition: Option<&'static str>,
    /// Why, in words.
    pub why: String,
}

/// One trunk on the way.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct RouteReport {
    /// 1 for the main route; absent for a trunk that may not be tried.
    pub position: Option<usize>,
    /// Trunk group.
    pub trunk_group: String,
    /// Trunk.
    pub trunk: String,
    /// The Request-URI it is sent.
    pub request_uri: String,
    /// The called number it is sent.
    pub called: String,
    /// The calling number it is sent in proxy mode.
    pub calling: Option<String>,
    /// `in service`, `out of service`, `draining`, `maintenance`,
    /// `full`, or `sent the call`.
    pub state: &'static str,
    /// `tcp` where requests too large for UDP go by TCP in proxy mode.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub large_requests: Option<&'static str>,
}

/// Which table decided.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct TableReport {
    /// Generation; 0 for a table that is only being looked at.
    pub generation: u64,
    /// SHA-256 over its files.
    pub sha256: String,
}

impl Explanation {
    /// Routes the call and writes down every step. The decision is the one [`route`] gives
    /// without a trace. `carried` are user parameters of the request that stay behind the
    /// number, with their `;`.
    #[must_use]
    pub fn of<'a>(
        snapshot: &Snapshot,
        facts: &RequestFacts<'a>,
        carried: &[u8],
    ) -> (Decision<'a>, Report) {
        let mut explanation = Self::default();
        let decision = route(snapshot, facts, &mut explanation);
        let report = explanation.report(&snapshot.table, facts, &decision, carried);
        (decision, report)
    }

    fn report(
        &self,
        table: &RoutingTable,
        facts: &RequestFacts<'_>,
        decision: &Decision<'_>,
        carried: &[u8],
    ) -> Report {
        let (outcome, status) = match decision.outcome {
            Outcome::Route(_) => ("route", None),
            Outcome::Reject { status } => ("reject", Some(status)),
            Outcome::NoRoute => ("no_route", Some(404)),
            Outcome::Unavailable => ("unavailable", Some(503)),
        };
        let rule = decision.rule.and_then(|id| table.rule(id));
        Report {
            schema: "trunkline.route/1",
            outcome,
            status,
            reason: rule.and_then(|rule| match &rule.action {
                Action::Reject { reason, .. } => Some(reason.to_string()),
                Action::RouteTo(_) => None,
            }),
            rule: rule.map(|rule| rule.name.to_string()),
            from: table.group_name(facts.from).to_owned(),
            at: facts.at.to_string(),
            called: number_report(table, facts, &facts.called, self.called.as_ref()),
            calling: facts
                .calling
                .map(|dialled| number_report(table, facts, &dialled, self.calling.as_ref())),
            emergency: decision.emergency,
            did: did_reports(table, decision),
            rules: self.rule_reports(table, facts, decision),
            routes: self.route_reports(table, decision, carried),
            table: TableReport {
                generation: table.generation(),
                sha256: table.hash().to_string(),
            },
        }
    }

    fn rule_reports(
        &self,
        table: &RoutingTable,
        facts: &RequestFacts<'_>,
        decision: &Decision<'_>,
    ) -> Vec<RuleReport> {
        let mut verdicts = self.rules.iter();
        let report = |rule: &Rule| {
            let verdict = verdicts.next().map(|(_, verdict)| *verdict);
            let (result, condition, why) = match verdict {
                Some(Ok(())) => ("applied", None, rule.holding()),
                Some(Err(miss)) => {
                    let why = why_not(table, rule, miss, facts, decision);
                    ("did_not_apply", Some(miss.condition()), why)
                }
                None if decision.rule.is_none() => (
                    "not_reached",
                    None,
                    "no rule is asked about a transfer".to_owned(),
                ),
                None => ("not_reached", None, "a rule above decided".to_owned()),
            };
            let (name, place) = (rule.name.to_string(), table.place(rule.origin));
            RuleReport {
                name,
                place,
                result,
                condition,
                why,
            }
        };
        table.rules().iter().map(report).collect()
    }

    fn route_reports(
        &self,
        table: &RoutingTable,
        decision: &Decision<'_>,
        carried: &[u8],
    ) -> Vec<RouteReport> {
        let chosen: &[Route] = match &decision.outcome {
            Outcome::Route(routes) => routes,
            _ => &[],
        };
        let report = |(route, state): &(Route, TrunkState)| {
            let mut request_uri = Vec::new();
            table.write_request_uri(route, decision, carried, &mut request_uri);
            let called = table.sent_user(route, decision.called);
            let called = String::from_utf8_lossy(called.as_bytes()).into_owned();
            RouteReport {
                position: chosen
                    .iter()
                    .position(|r| r == route)
                    .map(|index| index + 1),
                trunk_group: table.group_name(route.group).to_owned(),
                trunk: table.trunk_name(route.trunk).to_owned(),
                request_uri: String::from_utf8_lossy(&request_uri).into_owned(),
                called,
                calling: decision
                    .calling
                    .number()
                    .map(|number| table.outbound_calling(route.group, number).to_string()),
                state: state.words(),
                large_requests: table
                    .trunk(route.trunk)
                    .filter(|trunk| trunk.large_over_tcp)
                    .map(|_| "tcp"),
            }
        };
        self.trunks.iter().map(report).collect()
    }
}

impl TrunkState {
    /// In words.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::InService => "in service",
            Self::OutOfService(Outage::Draining) => "draining",
            Self::OutOfService(Outage::Maintenance) => "maintenance",
            Self::OutOfService(Outage::Probes | Outage::Calls { .. }) => "out of service",
            Self::SentIt => "sent the call",
            Self::Full => "full",
        }
    }
}

impl Miss {
    /// The key of the condition, as it stands in the table.
    #[must_use]
    pub fn condition(self) -> &'static str {
        match self {
            Self::From => "from",
            Self::Called => "called",
            Self::Calling => "calling",
            Self::Host => "host",
            Self::Tgrp => "tgrp",
            Self::During => "during",
            Self::EmergencyNotBarred | Self::EmergencyNotRouted => "emergency",
        }
    }
}

impl Rule {
    /// The conditions of the rule, as they stand in the table.
    fn holding(&self) -> String {
        let conditions = [
            ("from", &self.text.from),
            ("called", &self.text.called),
            ("calling", &self.text.calling),
            ("host", &self.text.host),
            ("tgrp", &self.text.tgrp),
            ("during", &self.text.during),
        ];
        let written: Vec<String> = conditions
            .iter()
            .filter(|(_, items)| !items.is_empty())
            .map(|(key, items)| format!("{key} is {}", items.join(", ")))
            .collect();
        if written.is_empty() {
            "no condition".to_owned()
        } else {
            written.join("; ")
        }
    }
}

fn why_not(
    table: &RoutingTable,
    rule: &Rule,
    miss: Miss,
    facts: &RequestFacts<'_>,
    decision: &Decision<'_>,
) -> String {
    let is_not = |key: &str, items: &[Box<str>]| format!("{key} is not {}", items.join(", "));
    match miss {
        Miss::From => is_not("from", &rule.text.from),
        Miss::Called => is_not("called", &rule.text.called),
        Miss::Calling if decision.calling == Caller::Anonymous => {
            format!("calling is anonymous, not {}", rule.text.calling.join(", "))
        }
        Miss::Calling => is_not("calling", &rule.text.calling),
        Miss::Host => is_not("host", &rule.text.host),
        Miss::Tgrp => is_not("tgrp", &rule.text.tgrp),
        Miss::During => {
            let hours: Vec<String> = rule
                .during
                .iter()
                .filter_map(|(id, _)| table.schedules().get(id.index()).map(|named| (id, named)))
                .map(|(id, named)| {
                    let state = if table.is_open(*id, facts.at) {
                        "open"
                    } else {
                        "closed"
                    };
                    let own = named.schedule.explain(facts.at);
                    format!("{} is {state} ({own})", named.name)
                })
                .collect();
            hours.join("; ")
        }
        Miss::EmergencyNotBarred => "an emergency call is never barred".to_owned(),
        Miss::EmergencyNotRouted => "it leads this emergency call to no trunk".to_owned(),
    }
}

fn number_report(
    table: &RoutingTable,
    facts: &RequestFacts<'_>,
    dialled: &super::Dialled<'_>,
    read: Option<&(Option<Number>, Normalised)>,
) -> NumberReport {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let plan = table
        .group(facts.from)
        .and_then(|group| table.dial_plan_name(group));
    let step = match (read.map(|(_, normalised)| normalised.step), plan) {
        (None, _) => String::new(),
        (Some(step @ (NormaliseStep::AlreadyGlobal | NormaliseStep::NotANumber)), _)
        | (Some(step), None) => step.to_string(),
        (Some(step), Some(plan)) => format!("{step}, dial plan {plan}"),
    };
    NumberReport {
        dialled: text(dialled.number),
        phone_context: dialled.phone_context.map(text),
        manipulated: read
            .and_then(|(arrived, _)| *arrived)
            .map(|number| number.to_string()),
        normalised: read
            .and_then(|(_, n)| n.number)
            .map(|number| number.to_string()),
        step,
    }
}

fn did_reports(table: &RoutingTable, decision: &Decision<'_>) -> Vec<DidReport> {
    let User::Number(number) = decision.called else {
        return Vec::new();
    };
    let mut reports = Vec::new();
    table.dids().all_matches(&number, |row: Match<Did>, line| {
        reports.push(DidReport {
            prefix: prefix_text(&number, row.length, row.remaining),
            length: row.length,
            list: table
                .list(row.value.list)
                .map_or_else(String::new, |l| l.name.to_string()),
            place: table.did_place(row.value, line),
            trunk_group: row
                .value
                .group
                .map(|group| table.group_name(group).to_owned()),
            decides: false,
        });
    });
    reports.reverse();
    if let Some(longest) = reports.first_mut() {
        longest.decides = true;
    }
    reports
}

/// `+4930123*`, `+442071839xxx`, `+442071838750`.
fn prefix_text(number: &Number, length: u8, remaining: Remaining) -> String {
    let matched = number
        .as_str()
        .get(..usize::from(length))
        .unwrap_or_default();
    match remaining {
        Remaining::Any => format!("{matched}*"),
        Remaining::Exactly(more) => format!("{matched}{}", "x".repeat(usize::from(more))),
    }
}
