//! Who asks, settled before the question is read.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use tokio::time::timeout;

use super::account::proven;
use super::decision::Desk;
use super::problem::Problem;
use crate::limits::HTTP_BODY_MS_MAX;
use crate::observe::HttpOutcome;
use crate::routing::is_known_source;

/// Whoever was let in.
#[derive(Debug, Clone)]
pub(super) struct Asker {
    pub(super) source: SocketAddr,
    /// The trunk group of its account.
    pub(super) trunk_group: Option<String>,
}

/// The answer waits for nothing but the body.
const BODY_TIME: Duration = Duration::from_millis(HTTP_BODY_MS_MAX);

/// How long a wrong secret waits for its answer: few can be tried.
const WRONG_SECRET_DELAY: Duration = Duration::from_secs(1);

/// Lets in whoever proves an account; where there are no accounts, whoever the table lets
/// send calls.
pub(super) async fn admit(
    State(desk): State<Arc<Desk>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(source) = request.extensions().get::<SocketAddr>().copied() else {
        return Problem::unknown_source("").into_response();
    };
    let accounts = desk.accounts();
    let trunk_group = if accounts.is_empty() {
        if !is_known_source(&desk.snapshot().table, source.ip()) {
            desk.count(HttpOutcome::Refused);
            let detail = format!("no accept_from and no classification has {}", source.ip());
            return Problem::unknown_source(detail).into_response();
        }
        None
    } else {
        let header = request.headers().get(header::AUTHORIZATION);
        let account = header.and_then(|value| proven(accounts, value.as_bytes()));
        let Some(account) = account else {
            desk.count(HttpOutcome::Refused);
            return refuse(&desk, header.is_some()).await.into_response();
        };
        account.trunk_group.clone()
    };
    let asker = Asker {
        source,
        trunk_group,
    };
    request.extensions_mut().insert(asker);
    match timeout(BODY_TIME, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            desk.count(HttpOutcome::TooSlow);
            Problem::too_slow().into_response()
        }
    }
}

/// Who sends no secret is told at once that one is wanted: that is how Basic begins.
async fn refuse(desk: &Desk, was_wrong: bool) -> Problem {
    if !was_wrong {
        return Problem::not_proven();
    }
    match desk.wrong_secrets().try_acquire() {
        Ok(_waiting) => {
            tokio::time::sleep(WRONG_SECRET_DELAY).await;
            Problem::not_proven()
        }
        Err(_) => Problem::too_many(),
    }
}
