//! `/v1/rtjson`: the document that the rtjson module of Kamailio routes by.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Query, State};
use axum::{Extension, Json};
use serde::Serialize;

use super::answer::{queried, routes};
use super::asker::Asker;
use super::decision::Desk;
use super::problem::Problem;
use super::question::Question;

/// The document.
#[derive(Debug, Serialize)]
pub(super) struct Document {
    version: &'static str,
    /// One route after the other.
    routing: &'static str,
    routes: Vec<Branch>,
}

#[derive(Debug, Serialize)]
struct Branch {
    /// The Request-URI.
    uri: String,
}

/// The routes of a call. Kamailio sees by the status whether there is a document: 404 has
/// none, and so has a call that is rejected.
pub(super) async fn of_query(
    State(desk): State<Arc<Desk>>,
    Extension(asker): Extension<Asker>,
    question: Result<Query<Question>, QueryRejection>,
) -> Result<Json<Document>, Problem> {
    let question = queried(&desk, question)?;
    let decided = desk.decide(&asker, &question)?;
    if let Some(problem) = decided.problem() {
        return Err(problem);
    }
    let branch = |route: super::RouteAnswer| Branch {
        uri: route.request_uri,
    };
    Ok(Json(Document {
        version: "1.0",
        routing: "serial",
        routes: routes(&decided).into_iter().map(branch).collect(),
    }))
}
