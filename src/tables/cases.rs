//! Cases: expected routes that travel with the table.

use super::compile::time_zone;
use super::diagnostic::{Code, Diagnostic, nearest, quoted};
use super::names::Context;
use super::schema::{CaseSection, Schema};
use super::source::Spot;
use super::toml_reader::Text;
use crate::routing::schedule::{ordinary_day, parse_at};
use crate::routing::{
    Decision, Dialled, Explanation, GroupId, Outcome, RequestFacts, RoutingTable, Snapshot, User,
};
use jiff::Timestamp;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use std::sync::Arc;

/// How the cases of a table came out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Outcomes {
    pub(super) run: usize,
    pub(super) failed: usize,
}

/// Runs every case on the table and reports those that cannot be run or fail.
pub(super) fn run(context: &Context<'_>, snapshot: &Snapshot, schema: &Schema) -> Outcomes {
    let mut outcomes = Outcomes::default();
    for case in &schema.cases {
        if let Some(passed) = run_one(context, snapshot, case) {
            outcomes.run += 1;
            outcomes.failed += usize::from(!passed);
        }
    }
    outcomes
}

fn run_one(context: &Context<'_>, snapshot: &Snapshot, case: &CaseSection) -> Option<bool> {
    let table = &snapshot.table;
    let from = known_group(context, table, case.from.as_ref()?);
    let at = time_of(context, table, case);
    let called = case.called.as_ref()?;
    let expectation = one_expectation(context, case);
    let expected = case.expect.iter().flatten();
    // All of them: each misspelt name is shown.
    let unknown = expected
        .filter(|name| known_group(context, table, name).is_none())
        .count();
    let (from, at, ()) = (from?, at?, expectation?);
    if unknown > 0 {
        return None;
    }
    let facts = RequestFacts {
        from,
        called: dialled(called),
        calling: case.calling.as_ref().map(dialled),
        host: case
            .host
            .as_ref()
            .map_or(b"", |text| text.as_str().as_bytes()),
        tgrp: case.tgrp.as_ref().map(|text| text.as_str().as_bytes()),
        at,
        call_hash: 0,
    };
    let (decision, report) = Explanation::of(snapshot, &facts, b"");
    let Some((spot, expected, got)) = difference(table, case, &decision) else {
        return Some(true);
    };
    let name = case.name.as_ref().map_or("", Text::as_str);
    let mut note = match &report.rule {
        Some(rule) => format!("rule {} decided", quoted(rule)),
        None => "no rule applied".to_owned(),
    };
    if let Some(rule) = decision.rule.and_then(|id| table.rule(id)) {
        note.push_str(&format!(" ({})", table.place(rule.origin)));
    }
    if let Some(row) = report.did.first() {
        note.push_str(&format!("; the number is {} of {}", row.prefix, row.place));
    }
    let message = format!(
        "case {} failed: expected {expected}, got {got}",
        quoted(name)
    );
    let diagnostic = Diagnostic::error(Code::CaseFailed, message).note(note);
    context.push(diagnostic, spot, &format!("got {got}"));
    Some(false)
}

fn dialled(text: &Text) -> Dialled<'_> {
    let bytes = text.as_str().as_bytes();
    Dialled {
        number: bytes,
        raw: bytes,
        phone_context: None,
    }
}

fn known_group(context: &Context<'_>, table: &RoutingTable, name: &Text) -> Option<GroupId> {
    let found = table.group_named(name.as_str());
    if found.is_none() && !context.is_damaged {
        let names = table.groups().iter().map(|group| &*group.name);
        let help = nearest(name.as_str(), names).map(|n| format!("did you mean {}?", quoted(n)));
        let message = format!("unknown trunk group {}", quoted(name.as_str()));
        let diagnostic = Diagnostic::error(Code::UnknownName, message).maybe_help(help);
        context.push(diagnostic, name.spot, "no such trunk group");
    }
    found
}

/// The time of a case; noon UTC on an ordinary Wednesday when it says none.
fn time_of(context: &Context<'_>, table: &RoutingTable, case: &CaseSection) -> Option<Timestamp> {
    let zone = match &case.timezone {
        Some(text) => Some(time_zone(context, text)?),
        None => common_zone(table),
    };
    let Some(text) = &case.at else {
        return ordinary_noon(table);
    };
    match parse_time(table, text.as_str(), zone.as_ref()) {
        Ok(at) => Some(at),
        Err(message) => {
            context.error(Code::CaseNotRun, text.spot, "", message);
            None
        }
    }
}

/// Reads a time as `--at` and cases write it, on the clock of the table's schedules.
///
/// # Errors
/// A sentence that names the forms.
pub(super) fn parse_time(
    table: &RoutingTable,
    text: &str,
    zone: Option<&TimeZone>,
) -> Result<Timestamp, String> {
    parse_at(text, zone, |weekday| ordinary(table, weekday))
        .map_err(|error| format!("{} is {error}", quoted(text)))
}

/// The time zone of the table's schedules, if they have one in common.
pub(super) fn common_zone(table: &RoutingTable) -> Option<TimeZone> {
    let mut zones = table
        .schedules()
        .iter()
        .map(|named| &named.schedule.time_zone);
    let first = zones.next()?;
    zones.all(|zone| zone == first).then(|| first.clone())
}

fn ordinary(table: &RoutingTable, weekday: Weekday) -> Date {
    let schedules = table.schedules().iter().map(|named| &named.schedule);
    ordinary_day(schedules, weekday)
}

fn ordinary_noon(table: &RoutingTable) -> Option<Timestamp> {
    let noon = ordinary(table, Weekday::Wednesday).at(12, 0, 0, 0);
    noon.to_zoned(TimeZone::UTC)
        .ok()
        .map(|zoned| zoned.timestamp())
}

/// A case expects routes or a reject, not both and not nothing.
fn one_expectation(context: &Context<'_>, case: &CaseSection) -> Option<()> {
    let has = (case.expect.is_some(), case.expect_reject.is_some());
    let more = case.expect_rule.is_some() || case.expect_called.is_some();
    let message = match has {
        (true, true) => "a case expects routes or a reject, not both",
        (false, false) if !more && case.expect_spot.is_none() => {
            "the case expects nothing, so it could never fail"
        }
        _ => return Some(()),
    };
    let diagnostic = Diagnostic::error(Code::CaseNotRun, message)
        .help("write expect = [\"trunk group\", …] or expect_reject = 403");
    context.push(diagnostic, case.spot, "");
    None
}

/// The first expectation that is not met: where it stands, what it is, and what came.
fn difference(
    table: &RoutingTable,
    case: &CaseSection,
    decision: &Decision<'_>,
) -> Option<(Spot, String, String)> {
    let came = outcome_text(table, decision);
    if let Some(expected) = &case.expect {
        let names: Vec<&str> = expected.iter().map(Text::as_str).collect();
        let got = groups_in_order(table, decision);
        let rejected = matches!(
            decision.outcome,
            Outcome::Reject { .. } | Outcome::Unavailable
        );
        if rejected || names != got {
            let wanted = if names.is_empty() {
                "no route".to_owned()
            } else {
                names.join(", ")
            };
            return Some((case.expect_spot.unwrap_or(case.spot), wanted, came));
        }
    }
    if let Some((status, spot)) = case.expect_reject
        && decision.outcome != (Outcome::Reject { status })
    {
        return Some((spot, format!("reject {status}"), came));
    }
    if let Some(rule) = &case.expect_rule {
        let name = decision.rule.map_or("", |id| table.rule_name(id));
        if name != rule.as_str() {
            return Some((
                rule.spot,
                format!("rule {}", quoted(rule.as_str())),
                quoted(name),
            ));
        }
    }
    let expected = case.expect_called.as_ref()?;
    let sent = first_called(table, decision);
    (sent != expected.as_str()).then(|| {
        (
            expected.spot,
            format!("called {}", quoted(expected.as_str())),
            quoted(&sent),
        )
    })
}

/// Trunk groups of the routes, each once, in the order of trying.
fn groups_in_order<'t>(table: &'t RoutingTable, decision: &Decision<'_>) -> Vec<&'t str> {
    let mut names: Vec<&str> = Vec::new();
    if let Outcome::Route(routes) = &decision.outcome {
        for route in routes {
            let name = table.group_name(route.group);
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    names
}

fn outcome_text(table: &RoutingTable, decision: &Decision<'_>) -> String {
    match decision.outcome {
        Outcome::Route(_) => groups_in_order(table, decision).join(", "),
        Outcome::Reject { status } => format!("reject {status}"),
        Outcome::NoRoute => "no route".to_owned(),
        Outcome::Unavailable => "no trunk available".to_owned(),
    }
}

/// The called number the first trunk is sent.
fn first_called(table: &RoutingTable, decision: &Decision<'_>) -> String {
    let Outcome::Route(routes) = &decision.outcome else {
        return String::new();
    };
    let sent = routes
        .first()
        .map(|route| table.sent_user(route, decision.called));
    String::from_utf8_lossy(sent.as_ref().map_or(b"", User::as_bytes)).into_owned()
}

/// A snapshot of a table that is only being looked at.
pub(super) fn looked_at(table: RoutingTable) -> Snapshot {
    Snapshot::new(Arc::new(table))
}
