//! A plan as one JSON object. Fields are kept within a schema version.

use super::Gates;
use crate::plan::{Change, Kind, Line, Outcome, Plan};
use crate::routing::{Caller, RoutingTable};
use serde_json::{Value, json};

/// What lies between two tables, `[before, after]`, and what the gates of the first say of it.
#[must_use]
pub fn plan_json([before, after]: [&RoutingTable; 2], plan: &Plan, gates: &Gates) -> Value {
    let summary = &plan.summary;
    let counted =
        |(numbers, prefixes): (u64, usize)| json!({ "numbers": numbers, "prefixes": prefixes });
    let kinds: serde_json::Map<String, Value> = summary
        .kinds
        .iter()
        .map(|(kind, counts)| (kind.as_str().to_owned(), counted(*counts)))
        .collect();
    let flows = summary.flows.iter().map(|flow| {
        json!({
            "kind": flow.kind.as_str(),
            "before": flow.before,
            "after": flow.after,
            "numbers": flow.numbers,
            "prefixes": flow.prefixes,
        })
    });
    let arrivals = plan.arrivals.iter().map(|found| {
        json!({
            "kind": found.kind.as_str(),
            "what": found.what,
            "before": found.before,
            "after": found.after,
        })
    });
    let verdicts = gates.verdicts.iter().map(|verdict| {
        json!({
            "gate": verdict.gate,
            "place": before.place(verdict.origin),
            "holds": verdict.holds,
            "found": verdict.found,
        })
    });
    json!({
        "schema": "trunkline.plan/1",
        "changed": !plan.is_empty(),
        "before": { "sha256": before.hash().to_string() },
        "after": { "sha256": after.hash().to_string() },
        "summary": {
            "moved": counted((summary.moved, summary.moved_prefixes)),
            "lose_last_alternative": counted((
                summary.lose_last_alternative,
                summary.prefixes_lose_last_alternative,
            )),
            "kinds": kinds,
            "flows": flows.collect::<Vec<Value>>(),
        },
        "changes": plan.changes.iter().map(change).collect::<Vec<Value>>(),
        "arrivals": arrivals.collect::<Vec<Value>>(),
        "gates": {
            "change": gates.change,
            "hold": gates.hold(),
            "accepted": gates.accepted,
            "verdicts": verdicts.collect::<Vec<Value>>(),
        },
    })
}

fn change(change: &Change) -> Value {
    let ranges = change.ranges.iter().map(|range| {
        json!({
            "first": range.first.as_str(),
            "last": range.last.as_str(),
            "numbers": range.numbers,
            "row_before": range.row_before.as_ref().map(ToString::to_string),
            "row_after": range.row_after.as_ref().map(ToString::to_string),
        })
    });
    let prefixes = change.prefixes.iter().map(|open| {
        let except = open.except.iter().map(|prefix| prefix.as_str());
        json!({
            "prefix": open.prefix.as_ref().map_or("", |prefix| prefix.as_str()),
            "except": except.collect::<Vec<_>>(),
        })
    });
    json!({
        "numbers": change.numbers,
        "ranges": ranges.collect::<Vec<Value>>(),
        "prefixes": prefixes.collect::<Vec<Value>>(),
        "not_a_number": change.not_a_number,
        "calls": change.lines.iter().map(line).collect::<Vec<Value>>(),
    })
}

fn line(line: &Line) -> Value {
    let (caller, host, label, at) = &line.example;
    let calling = match caller {
        Caller::Anonymous => Value::Null,
        Caller::Shown(None) => json!("(no number)"),
        Caller::Shown(Some(number)) => json!(number.as_str()),
    };
    json!({
        "kind": line.kind.as_str(),
        "moves": line.kind.is_move(),
        "from": line.from,
        "from_all": line.from_all,
        "when": line.when,
        "before": side(&line.before, &line.rule_before),
        "after": side(&line.after, &line.rule_after),
        "loses_last_alternative": line.loses_last_alternative,
        "same_routes": line.kind == Kind::RuleOnly,
        "example": {
            "calling": calling,
            "host": String::from_utf8_lossy(host),
            "tgrp": String::from_utf8_lossy(label),
            "at": at.to_string(),
        },
    })
}

fn side(outcome: &Outcome, rule: &Option<(Box<str>, String)>) -> Value {
    let (name, place) = match rule {
        Some((name, place)) => (Some(name), Some(place)),
        None => (None, None),
    };
    let (word, routes, status, reason) = match outcome {
        Outcome::Route(stages) => {
            let routes = stages.iter().map(|stage| {
                let trunks = stage.trunks.iter();
                let trunks =
                    trunks.map(|(name, address)| json!({ "trunk": name, "address": address }));
                json!({
                    "trunk_group": stage.group,
                    "shared": stage.shared,
                    "tries": stage.tries,
                    "trunks": trunks.collect::<Vec<Value>>(),
                })
            });
            ("route", routes.collect(), None, None)
        }
        Outcome::Reject { status, reason } => ("reject", Vec::new(), Some(*status), Some(reason)),
        Outcome::NoRoute => ("no_route", Vec::new(), Some(404), None),
    };
    json!({
        "outcome": word,
        "routes": routes,
        "status": status,
        "reason": reason,
        "rule": name,
        "place": place,
    })
}
