//! What has served.

use std::sync::Arc;

use axum::extract::State;
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Api;
use super::caller::Caller;
use super::pages::{Page, Pages};
use super::problem::Problem;
use super::reading::{Asked, NUMBER_MAX, Value};
use crate::control::{Answer, Request};
use crate::ledger::Generation;
use crate::limits::API_PAGE_ROWS_MAX;

pub(super) fn pages(pages: Pages) -> Pages {
    pages
        .add(
            Page::get(
                "/generations",
                "generations",
                "What has served, newest first",
            )
            .query::<ListQuery>()
            .gives::<Generations>(200),
            list,
        )
        .add(
            Page::get("/generations/{number}", "generation", "One of them")
                .value("number", "The generation", &number())
                .gives::<Generation>(200)
                .problems(&[404]),
            one,
        )
}

/// The number of a generation, as a schema.
pub(super) fn number() -> serde_json::Value {
    json!({"type": "integer", "minimum": 0, "maximum": NUMBER_MAX})
}

/// Which generations.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct ListQuery {
    /// Those before this one.
    #[schemars(range(max = 9_007_199_254_740_991_u64))]
    cursor: Option<u64>,
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// A page of what has served.
#[derive(Debug, Serialize, JsonSchema)]
struct Generations {
    /// Newest first.
    generations: Vec<Generation>,
    /// What the next page is asked for with; absent where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

/// How many rows a page has.
///
/// # Errors
/// None, or more than a page may have.
pub(super) fn rows(limit: Option<usize>) -> Result<usize, Problem> {
    let rows = limit.unwrap_or(100);
    if !(1..=API_PAGE_ROWS_MAX).contains(&rows) {
        let detail = format!("limit is 1 to {API_PAGE_ROWS_MAX}");
        return Err(Problem::malformed(detail));
    }
    Ok(rows)
}

async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Asked(query): Asked<ListQuery>,
) -> Result<Json<Generations>, Problem> {
    let rows = rows(query.limit)?;
    if query.cursor.is_some_and(|before| before > NUMBER_MAX) {
        return Err(Problem::malformed("cursor is none that a page gave"));
    }
    let answer = api.ask(Request::History { number: None }, &caller).await?;
    let Answer::History { mut generations } = answer else {
        return Err(super::unexpected(&answer));
    };
    if let Some(before) = query.cursor {
        generations.retain(|generation| generation.number < before);
    }
    let has_more = generations.len() > rows;
    generations.truncate(rows);
    let last = generations.last().filter(|_| has_more);
    let next_cursor = last.map(|last| last.number.to_string());
    Ok(Json(Generations {
        generations,
        next_cursor,
    }))
}

async fn one(
    State(api): State<Arc<Api>>,
    Value(number): Value<u64>,
) -> Result<Json<Generation>, Problem> {
    let ledger = api.generations.ledger();
    let found = ledger.get(number).cloned();
    found.map(Json).ok_or_else(|| unknown(number))
}

pub(super) fn unknown(number: u64) -> Problem {
    Problem::not_found("unknown_generation", format!("gen {number} is not kept"))
}
