//! `/v1/route`: the whole decision as JSON.

use std::sync::Arc;

use axum::Extension;
use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::asker::Asker;
use super::decision::{Decided, Desk};
use super::object::Object;
use super::problem::Problem;
use super::question::Question;
use crate::observe::HttpOutcome;
use crate::routing::{Outcome, User};

/// A decision in words. Field names are stable within a schema version.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Answer {
    /// `trunkline.decision/1`.
    pub schema: &'static str,
    /// `route`, `reject`, `no_route` or `unavailable`.
    pub outcome: &'static str,
    /// SIP status of a reject, 404 without a route, 503 when no trunk may be tried.
    pub status: Option<u16>,
    /// Reason phrase of a reject.
    pub reason: Option<String>,
    /// Name of the rule that decided.
    pub rule: Option<String>,
    /// Trunk group the call arrived on.
    pub from: String,
    /// The called number after normalisation; absent if it is no number.
    pub called: Option<String>,
    /// The calling number after normalisation; absent if none is shown.
    pub calling: Option<String>,
    /// Whether it is an emergency call.
    pub emergency: bool,
    /// Where to, in the order of trying; empty without a route.
    pub routes: Vec<RouteAnswer>,
    /// Generation of the table.
    pub generation: u64,
    /// SHA-256 over its files.
    pub table_sha256: String,
}

/// One trunk to try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct RouteAnswer {
    /// Trunk group.
    pub trunk_group: String,
    /// Trunk.
    pub trunk: String,
    /// The Request-URI it is to be sent.
    pub request_uri: String,
    /// The called number it is to be sent.
    pub called: String,
    /// The calling number it is to be sent; absent if none is shown.
    pub calling: Option<String>,
}

impl Answer {
    /// The decision in words.
    #[must_use]
    pub fn of(decided: &Decided<'_>) -> Self {
        let (table, decision) = (&decided.snapshot.table, &decided.decision);
        let (outcome, status) = match decision.outcome {
            Outcome::Route(_) => ("route", None),
            Outcome::Reject { status } => ("reject", Some(status)),
            Outcome::NoRoute => ("no_route", Some(404)),
            Outcome::Unavailable => ("unavailable", Some(503)),
        };
        let reason = decided.reason();
        Self {
            schema: "trunkline.decision/1",
            outcome,
            status,
            reason: (!reason.is_empty()).then(|| reason.to_owned()),
            rule: decision.rule.map(|rule| table.rule_name(rule).to_owned()),
            from: table.group_name(decided.from).to_owned(),
            called: match decision.called {
                User::Number(number) => Some(number.to_string()),
                User::Raw(_) => None,
            },
            calling: decision.calling.number().map(|number| number.to_string()),
            emergency: decision.emergency,
            routes: routes(decided),
            generation: table.generation(),
            table_sha256: table.hash().to_string(),
        }
    }
}

/// The routes of a decision in words, in the order of trying.
pub(super) fn routes(decided: &Decided<'_>) -> Vec<RouteAnswer> {
    let (table, decision) = (&decided.snapshot.table, &decided.decision);
    let Outcome::Route(routes) = &decision.outcome else {
        return Vec::new();
    };
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let mut uri = Vec::new();
    let mut answer = |route| {
        uri.clear();
        table.write_request_uri(route, decision, b"", &mut uri);
        let calling = decision.calling.number();
        RouteAnswer {
            trunk_group: table.group_name(route.group).to_owned(),
            trunk: table.trunk_name(route.trunk).to_owned(),
            request_uri: text(&uri),
            called: text(table.sent_user(route, decision.called).as_bytes()),
            calling: calling.map(|number| table.outbound_calling(route.group, number).to_string()),
        }
    };
    routes.iter().map(&mut answer).collect()
}

/// A question in the query string.
pub(super) async fn of_query(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Response, Problem> {
    answer(&desk, &asker, &queried(&desk, question)?)
}

/// A question as JSON.
pub(super) async fn of_json(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    question: Result<Json<Object<Question>>, JsonRejection>,
) -> Result<Response, Problem> {
    answer(&desk, &asker, &read(&desk, question)?.checked()?)
}

fn answer(desk: &Desk, asker: &Asker, question: &Question) -> Result<Response, Problem> {
    let decided = desk.decide(asker, question)?;
    let status = match decided.decision.outcome {
        Outcome::Route(_) | Outcome::Reject { .. } => StatusCode::OK,
        // An SBC that hears 404 goes by its own table.
        Outcome::NoRoute => StatusCode::NOT_FOUND,
        Outcome::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
    };
    Ok(match &decided.report {
        Some(report) => (status, Json(report)).into_response(),
        None => (status, Json(Answer::of(&decided))).into_response(),
    })
}

/// The question of a query string.
pub(super) fn queried(
    desk: &Desk,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Question, Problem> {
    let question = question.map_err(|rejection| {
        desk.count(HttpOutcome::Malformed);
        Problem::malformed(rejection.body_text())
    })?;
    question
        .0
        .checked()
        .inspect_err(|_| desk.count(HttpOutcome::Malformed))
}

/// The object of JSON that a body is.
pub(super) fn read<T>(
    desk: &Desk,
    body: Result<Json<Object<T>>, JsonRejection>,
) -> Result<T, Problem> {
    body.map(|Json(Object(read))| read).map_err(|rejection| {
        desk.count(HttpOutcome::Malformed);
        Problem::malformed(rejection.body_text())
    })
}
