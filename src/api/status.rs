//! What runs: `/status`, `/version`, and what watches it.

use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::Serialize;

use super::Api;
use super::caller::Caller;
use super::pages::{Page, Pages};
use super::problem::Problem;
use crate::control::{Answer, Request, Status};
use crate::http::OPEN_METRICS;
use crate::observe::COMMIT;

pub(super) fn pages(pages: Pages) -> Pages {
    pages
        .add(
            Page::get(
                "/status",
                "status",
                "What runs, what serves, and what waits",
            )
            .gives::<Status>(200),
            status,
        )
        .add(
            Page::get("/version", "version", "Which program this is").gives::<Version>(200),
            version,
        )
        .add(
            Page::get(
                "/metrics",
                "metrics",
                "What was counted, as OpenMetrics text",
            )
            .gives_other(200, OPEN_METRICS),
            metrics,
        )
        .add(
            Page::get("/healthz", "healthz", "The process answers")
                .for_all()
                .gives_other(200, "text/plain; charset=utf-8"),
            || async { "ok\n" },
        )
        .add(
            Page::get(
                "/readyz",
                "readyz",
                "A table is loaded, and calls are taken",
            )
            .for_all()
            .gives_other(200, "text/plain; charset=utf-8"),
            ready,
        )
        .add(
            Page::get("/openapi.json", "openapi", "This description")
                .for_all()
                .gives::<serde_json::Value>(200),
            openapi,
        )
}

/// Which program this is.
#[derive(Debug, Serialize, JsonSchema)]
struct Version {
    /// `trunkline`.
    name: &'static str,
    /// Its version.
    version: &'static str,
    /// The commit it was built from, where the build was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    commit: Option<&'static str>,
    /// Version of this interface.
    api: &'static str,
}

async fn status(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
) -> Result<Json<Status>, Problem> {
    match api.ask(Request::Status {}, &caller).await? {
        Answer::Status(status) => Ok(Json(*status)),
        other => Err(super::unexpected(&other)),
    }
}

async fn version() -> Json<Version> {
    Json(Version {
        name: env!("CARGO_PKG_NAME"),
        version: env!("CARGO_PKG_VERSION"),
        commit: COMMIT,
        api: "v1",
    })
}

async fn metrics(State(api): State<Arc<Api>>) -> Result<Response, Problem> {
    match api.watched.standing().exposition() {
        Ok(text) => Ok(([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response()),
        Err(error) => Err(Problem::failed(error.to_string())),
    }
}

async fn ready(State(api): State<Arc<Api>>) -> Result<&'static str, Problem> {
    if api.watched.standing().takes_calls {
        return Ok("ready\n");
    }
    Err(Problem::busy("not taking calls"))
}

async fn openapi(State(api): State<Arc<Api>>) -> Response {
    let text = api.document.get().cloned().unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}
