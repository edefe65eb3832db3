//! One number: what its rows say, where its calls go, and where they went.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::heavy::table_of;
use super::pages::{Page, Pages};
use super::problem::Problem;
use super::reading::{Asked, Value};
use crate::generations::Generations;
use crate::http::{Answer, Question, decided};
use crate::ledger;
use crate::limits::API_HISTORY_TABLES_MAX;
use crate::routing::number::Number;
use crate::routing::{RoutingTable, Snapshot};

pub(super) fn pages(pages: Pages) -> Pages {
    let number = json!({"type": "string", "minLength": 1, "pattern": "^[+]?[0-9]{1,15}$"});
    pages
        .add(
            Page::get("/dids/{number}", "did", "What is known of a number")
                .value("number", "The number", &number)
                .gives::<DidAnswer>(200),
            one,
        )
        .add(
            Page::get(
                "/dids/{number}/history",
                "did_history",
                "Where its calls went",
            )
            .value("number", "The number", &number)
            .query::<HistoryQuery>()
            .gives::<History>(200)
            .problems(&[404, 409]),
            history,
        )
}

/// What is known of a number.
#[derive(Debug, Serialize, JsonSchema)]
struct DidAnswer {
    /// The number.
    number: String,
    /// The generation of the table.
    generation: u64,
    /// The rows it is in, the one that counts first; none where no list has it.
    rows: Vec<Row>,
    /// Where an anonymous call to it goes, by the trunk group it arrives on.
    calls: Vec<CallOutcome>,
}

/// A row of a DID list.
#[derive(Debug, Serialize, JsonSchema)]
struct Row {
    /// The DID list.
    list: String,
    /// The trunk group it assigns.
    trunk_group: Option<String>,
    /// `dids/users.csv:14`.
    place: String,
}

/// What becomes of a call.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
struct CallOutcome {
    /// The trunk group it arrives on.
    from: String,
    /// `route`, `reject`, `no_route` or `unavailable`.
    outcome: String,
    /// Status of a reject, 404 without a route.
    status: Option<u16>,
    /// The rule that decided.
    rule: Option<String>,
    /// The trunk groups it is sent to, in order.
    trunk_groups: Vec<String>,
}

/// How far back.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct HistoryQuery {
    /// At most so many generations are looked at.
    #[schemars(range(min = 1, max = 50))]
    limit: Option<usize>,
}

/// Where calls to a number went.
#[derive(Debug, Serialize, JsonSchema)]
struct History {
    /// The number.
    number: String,
    /// Newest first.
    spans: Vec<Span>,
}

/// Generations one after the other that did the same.
#[derive(Debug, Serialize, JsonSchema)]
struct Span {
    /// The first of them.
    first: u64,
    /// The last of them.
    last: u64,
    /// When the first came to serve.
    since: String,
    /// When the last ended; absent while it serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Who had the first served.
    by: String,
    /// What they said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// What became of calls.
    calls: Vec<CallOutcome>,
}

async fn one(
    State(api): State<Arc<Api>>,
    Value(text): Value<String>,
) -> Result<Json<DidAnswer>, Problem> {
    let number = parsed(&text)?;
    let snapshot = api.generations.store().snapshot();
    let table = &snapshot.table;
    let mut rows = Vec::new();
    table.dids().all_matches(&number, |found, line| {
        let (did, list) = (found.value, found.value.list);
        rows.push(Row {
            list: table.list(list).map_or("", |list| &list.name).to_owned(),
            trunk_group: did.group.map(|group| table.group_name(group).to_owned()),
            place: table.did_place(did, line),
        });
    });
    rows.reverse();
    Ok(Json(DidAnswer {
        number: number.to_string(),
        generation: table.generation(),
        rows,
        calls: calls(&snapshot, &number),
    }))
}

async fn history(
    State(api): State<Arc<Api>>,
    Value(text): Value<String>,
    Asked(query): Asked<HistoryQuery>,
) -> Result<Json<History>, Problem> {
    let number = parsed(&text)?;
    let limit = query.limit.unwrap_or(API_HISTORY_TABLES_MAX);
    if !(1..=API_HISTORY_TABLES_MAX).contains(&limit) {
        let detail = format!("limit is 1 to {API_HISTORY_TABLES_MAX}");
        return Err(Problem::malformed(detail));
    }
    let generations = Arc::clone(&api.generations);
    let read = move || spans(&generations, &number, limit);
    let spans = api.heavy.run(read).await??;
    Ok(Json(History {
        number: number.to_string(),
        spans,
    }))
}

fn parsed(text: &str) -> Result<Number, Problem> {
    let number = Number::parse(text.as_bytes());
    let is_plain = |number: &Number| {
        let digits = number.as_str().trim_start_matches('+');
        (1..=15).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    number
        .filter(is_plain)
        .ok_or_else(|| Problem::malformed("that is no number of up to 15 digits"))
}

fn calls(snapshot: &Arc<Snapshot>, number: &Number) -> Vec<CallOutcome> {
    let question = Question {
        called: number.to_string(),
        ..Question::default()
    };
    let at = Timestamp::now();
    let groups = snapshot.table.arrival_groups();
    let call = |from| {
        let decided = decided(Arc::clone(snapshot), &question, from, at);
        let answer = Answer::of(&decided);
        let mut trunk_groups: Vec<String> = Vec::new();
        for route in answer.routes {
            if trunk_groups.last() != Some(&route.trunk_group) {
                trunk_groups.push(route.trunk_group);
            }
        }
        CallOutcome {
            from: answer.from,
            outcome: answer.outcome.to_owned(),
            status: answer.status,
            rule: answer.rule,
            trunk_groups,
        }
    };
    groups.into_iter().map(call).collect()
}

fn spans(generations: &Generations, number: &Number, limit: usize) -> Result<Vec<Span>, Problem> {
    let ledger = generations.ledger();
    let newest = ledger.generations().iter().rev().take(limit);
    let spans = ledger::spans(newest, None, |generation| {
        let table = table_of(generations, generation.number)?;
        Ok::<_, Problem>(calls_of(table, number))
    })?;
    let stamp = |at| format!("{at:.0}");
    let told = spans.into_iter().map(|span| Span {
        first: span.first.number,
        last: span.last.number,
        since: stamp(span.first.at),
        until: span.until.map(stamp),
        by: span.first.by.clone(),
        message: span.first.message.clone(),
        calls: span.done,
    });
    Ok(told.collect())
}

fn calls_of(table: RoutingTable, number: &Number) -> Vec<CallOutcome> {
    calls(&Arc::new(Snapshot::new(Arc::new(table))), number)
}
