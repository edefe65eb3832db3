//! Where calls go: the same decision that SIP is answered with.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Api;
use super::pages::{Page, Pages};
use super::problem::Problem;
use super::reading::{Body, given, objects, whole};
use crate::http::{Answer, Question, decided};
use crate::limits::{API_BATCH_MAX, HTTP_FACT_BYTES_MAX};
use crate::routing::Snapshot;
use crate::routing::explanation::Report;
use crate::tables::diagnostic::nearest;

pub(super) fn pages(pages: Pages) -> Pages {
    pages
        .add(
            Page::ask("/route", "route", "Where a call goes, and why")
                .takes::<Call>()
                .gives::<Routed>(200)
                .problems(&[404, 409, 422]),
            one,
        )
        .add(
            Page::ask("/route:batch", "route_batch", "Where many calls go")
                .takes::<Batch>()
                .gives::<BatchRouted>(200)
                .problems(&[404, 409, 422]),
            batch,
        )
}

/// The facts of a call.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Call {
    /// The number as it is dialled.
    #[schemars(length(min = 1, max = 1024))]
    called: String,
    /// The trunk group the call arrives on.
    #[schemars(length(max = 1024))]
    from: String,
    /// The caller's number; left out, empty or `anonymous` when none is shown.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String", length(max = 1024))]
    calling: Option<String>,
    /// Host of the Request-URI.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String", length(max = 1024))]
    host: Option<String>,
    /// Trunk group label of the Request-URI.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String", length(max = 1024))]
    tgrp: Option<String>,
    /// Context of a local number.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String", length(max = 1024))]
    phone_context: Option<String>,
    /// Call-ID: what weighted and least-loaded groups draw their order from.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String", length(max = 1024))]
    call_id: Option<String>,
    /// When: RFC 3339; now without it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "String", extend("format" = "date-time"))]
    at: Option<String>,
    /// By which table; the one that serves, with its trunks as they are, without it.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(with = "u64", range(max = 9_007_199_254_740_991_u64))]
    generation: Option<u64>,
}

/// Many calls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Batch {
    /// The calls; without a generation of their own.
    #[serde(deserialize_with = "objects")]
    #[schemars(length(max = 10_000), with = "Vec<Call>")]
    calls: Vec<Call>,
    /// By which table; the one that serves, with its trunks as they are, without it.
    #[serde(default, deserialize_with = "whole")]
    #[schemars(with = "u64", range(max = 9_007_199_254_740_991_u64))]
    generation: Option<u64>,
}

/// Where a call goes, and why.
#[derive(Debug, Serialize, JsonSchema)]
struct Routed {
    /// The decision.
    #[serde(flatten)]
    answer: Answer,
    /// Every step of it.
    explanation: Report,
}

/// Where many calls go.
#[derive(Debug, Serialize, JsonSchema)]
struct BatchRouted {
    /// The generation that decided.
    generation: u64,
    /// In the order of the calls.
    answers: Vec<Entry>,
}

/// What became of one call of many.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
enum Entry {
    /// It was decided.
    Decided(Box<Answer>),
    /// Its facts cannot be right.
    Wrong(Problem),
}

async fn one(State(api): State<Arc<Api>>, Body(call): Body<Call>) -> Result<Json<Routed>, Problem> {
    let generation = call.generation;
    let question = call.question(true).map_err(Problem::malformed)?;
    let snapshot = api.heavy.table(&api.generations, generation).await?;
    let (answer, report) = question.ask(&snapshot)?;
    match report {
        Some(explanation) => Ok(Json(Routed {
            answer,
            explanation,
        })),
        None => Err(Problem::failed("there is no explanation")),
    }
}

async fn batch(
    State(api): State<Arc<Api>>,
    Body(batch): Body<Batch>,
) -> Result<Json<BatchRouted>, Problem> {
    if batch.calls.len() > API_BATCH_MAX {
        let detail = format!("{} calls: at most {API_BATCH_MAX}", batch.calls.len());
        return Err(Problem::malformed(detail));
    }
    let mut questions = Vec::with_capacity(batch.calls.len());
    for (at, call) in batch.calls.into_iter().enumerate() {
        let has_own = call.generation.is_some();
        let question = call.question(false);
        let question =
            question.map_err(|wrong| Problem::malformed(format!("calls[{at}]: {wrong}")))?;
        questions.push((question, has_own));
    }
    let snapshot = api.heavy.table(&api.generations, batch.generation).await?;
    let generation = snapshot.table.generation();
    let decide = move || {
        let ask = |(question, has_own): (Asked, bool)| match (question.ask(&snapshot), has_own) {
            (_, true) => {
                let detail = "the generation is that of the whole batch";
                Entry::Wrong(Problem::malformed(detail))
            }
            (Ok((answer, _)), false) => Entry::Decided(Box::new(answer)),
            (Err(problem), false) => Entry::Wrong(problem),
        };
        questions.into_iter().map(ask).collect()
    };
    Ok(Json(BatchRouted {
        generation,
        answers: api.heavy.run(decide).await?,
    }))
}

/// A call that can be asked about.
struct Asked {
    question: Question,
    from: String,
    at: Timestamp,
}

impl Call {
    /// # Errors
    /// A sentence about the fact that is wrong.
    fn question(self, explain: bool) -> Result<Asked, String> {
        let at = match &self.at {
            None => Timestamp::now(),
            Some(text) => text
                .parse()
                .map_err(|_| String::from("at is no time such as 2026-12-25T10:00:00Z"))?,
        };
        let question = Question {
            called: self.called,
            calling: self.calling,
            from: Some(self.from.clone()),
            host: self.host,
            tgrp: self.tgrp,
            phone_context: self.phone_context,
            call_id: self.call_id,
            explain,
        };
        question.check()?;
        Ok(Asked {
            question,
            from: self.from,
            at,
        })
    }
}

impl Asked {
    fn ask(&self, snapshot: &Arc<Snapshot>) -> Result<(Answer, Option<Report>), Problem> {
        let table = &snapshot.table;
        let Some(from) = table.group_named(&self.from) else {
            let names = table.groups().iter().map(|group| &*group.name);
            let meant = nearest(&self.from, names);
            let meant = meant.map(|name| format!("; did you mean \"{name}\"?"));
            let detail = format!(
                "the table has no trunk group of that name{}",
                meant.unwrap_or_default()
            );
            return Err(Problem::not_found("unknown_trunk_group", detail));
        };
        let decided = decided(Arc::clone(snapshot), &self.question, from, self.at);
        let answer = Answer::of(&decided);
        Ok((answer, decided.report))
    }
}

const _: () = assert!(HTTP_FACT_BYTES_MAX == 1_024 && API_BATCH_MAX == 10_000);
