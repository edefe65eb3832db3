//! `/metrics`, `/healthz`, `/readyz`: for those who watch the server.

use std::fmt;
use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

use super::problem;
use crate::observe::Standing;

/// Where the answers are from.
#[derive(Clone)]
pub struct Watched(Arc<dyn Fn() -> Standing + Send + Sync>);

impl Watched {
    /// `standing` says how things stand.
    pub fn new(standing: impl Fn() -> Standing + Send + Sync + 'static) -> Self {
        Self(Arc::new(standing))
    }

    /// How things stand now.
    #[must_use]
    pub fn standing(&self) -> Standing {
        (self.0)()
    }
}

impl fmt::Debug for Watched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Watched")
    }
}

/// Answers for whoever watches; nothing can be changed here, and no number is told.
pub fn metrics(watched: Watched) -> Router {
    Router::new()
        .route("/metrics", get(exposition))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(problem::no_such_page)
        .method_not_allowed_fallback(problem::no_such_method)
        .with_state(watched)
}

/// The type of what is counted, as it is told.
pub const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

async fn exposition(State(watched): State<Watched>) -> Response {
    match watched.standing().exposition() {
        Ok(text) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// A table is loaded and the workers take calls.
async fn ready(State(watched): State<Watched>) -> (StatusCode, &'static str) {
    if watched.standing().takes_calls {
        (StatusCode::OK, "ready\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "not taking calls\n")
    }
}
