//! Before a resource is reached: who asks, whether they may, and the whole of what they say.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use tokio::time::timeout;

use super::audit::Entry;
use super::caller::{Caller, Origin};
use super::problem::{self, Problem};
use super::repeats::{self, Repeat};
use super::token::{Unproven, proven};
use super::{Api, Role, masking};
use crate::control::Peer;
use crate::limits::HTTP_BODY_MS_MAX;
use crate::observe::ApiOutcome;

/// What a resource asks of those who use it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Needs {
    /// What they have to be; `None` for everybody.
    pub(super) role: Option<Role>,
    /// Whether it changes anything.
    pub(super) changes: bool,
    pub(super) body_bytes_max: usize,
}

const BODY_TIME: Duration = Duration::from_millis(HTTP_BODY_MS_MAX);

/// Lets in whoever may, with the whole body of the request in hand; counts what came of it,
/// and writes down what was changed.
pub(super) async fn admit(
    State((api, needs)): State<(Arc<Api>, Needs)>,
    request: Request,
    next: Next,
) -> Response {
    let response = match admitted(&api, needs, request, next).await {
        Ok(response) => response,
        Err(problem) => problem.into_response(),
    };
    api.counters.count(outcome(needs, response.status()));
    response
}

async fn admitted(
    api: &Arc<Api>,
    needs: Needs,
    mut request: Request,
    next: Next,
) -> Result<Response, Problem> {
    let Some(wanted) = needs.role else {
        return Ok(next.run(request).await);
    };
    let caller = caller_of(api, &request)?;
    if caller.role < wanted {
        if needs.changes {
            let (method, path) = (request.method(), request.uri().path());
            let asked = Entry::of(&caller, method, path, &Bytes::new());
            (api.audit).write(&asked, StatusCode::FORBIDDEN, "not_allowed");
        }
        let detail = format!("this is for role {}", wanted.as_str());
        return Err(Problem::not_allowed(detail));
    }
    let body = read_body(&mut request, needs.body_bytes_max).await?;
    request.extensions_mut().insert(caller.clone());
    if !needs.changes {
        let (parts, _) = request.into_parts();
        let response = next.run(Request::from_parts(parts, body.into())).await;
        return Ok(masking::apply(api.mask, &caller, response).await);
    }
    let asked = Entry::of(&caller, request.method(), request.uri().path(), &body);
    let repeat = match repeats::key(request.headers())? {
        None => None,
        Some(key) => match api.repeats.begin(&caller.name, &key, &asked, &body)? {
            Repeat::Answered(response) => return Ok(response),
            Repeat::First(place) => Some(place),
        },
    };
    let (parts, _) = request.into_parts();
    // It goes on when whoever asked has gone, so that what was changed is written down.
    let log = Arc::clone(api);
    let made = tokio::spawn(async move {
        let response = next.run(Request::from_parts(parts, body.into())).await;
        let result = response.extensions().get::<problem::Result>();
        let result = result.map_or_else(String::new, |result| result.0.clone());
        log.audit.write(&asked, response.status(), &result);
        match repeat {
            Some(place) => place.keep(response).await,
            None => response,
        }
    });
    let response = made
        .await
        .map_err(|_| Problem::failed("the change was broken off"))?;
    Ok(masking::apply(api.mask, &caller, response).await)
}

async fn read_body(request: &mut Request, bytes_max: usize) -> Result<Bytes, Problem> {
    let body = std::mem::replace(request.body_mut(), Body::empty());
    let length = request.headers().get(header::CONTENT_LENGTH);
    let length = length.and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let too_large = || {
        let title = "The body is too large";
        let detail = format!("at most {bytes_max} bytes");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", title, detail)
    };
    if length.is_some_and(|length| length > bytes_max) {
        return Err(too_large());
    }
    match timeout(BODY_TIME, to_bytes(body, bytes_max)).await {
        Ok(Ok(bytes)) => Ok(bytes),
        Ok(Err(error)) => {
            let is_length = std::error::Error::source(&error)
                .is_some_and(|cause| cause.to_string().contains("length limit"));
            Err(if is_length {
                too_large()
            } else {
                Problem::malformed("the body broke off")
            })
        }
        Err(_) => {
            let title = "The body did not come in time";
            Err(Problem::new(
                StatusCode::REQUEST_TIMEOUT,
                "too_slow",
                title,
                "",
            ))
        }
    }
}

fn caller_of(api: &Api, request: &Request) -> Result<Caller, Problem> {
    if let Some(peer) = request.extensions().get::<Peer>() {
        let who = api.desk.who(peer);
        let role = if who.may_change {
            Role::Admin
        } else {
            Role::Viewer
        };
        return Ok(Caller {
            name: who.name,
            role,
            from: Origin::Local { uid: peer.uid },
        });
    }
    let source = request.extensions().get::<SocketAddr>().copied();
    let source = source.ok_or_else(Problem::unproven)?;
    let header = request.headers().get(header::AUTHORIZATION);
    let header = header.map(axum::http::HeaderValue::as_bytes);
    match proven(&api.tokens, header, source.ip(), Timestamp::now()) {
        Ok(token) => Ok(Caller {
            name: token.name.clone(),
            role: token.role,
            from: Origin::Network(source),
        }),
        Err(Unproven::Missing) => Err(Problem::unproven()),
        Err(why) => {
            if !api.wrong_tokens().admit(source.ip(), Instant::now()) {
                return Err(Problem::guessing());
            }
            let second = u64::try_from(Timestamp::now().as_second()).unwrap_or(0);
            if let Some(untold) = api.wrong_token_lines.admit(0, second) {
                let why = why.as_str();
                tracing::warn!("admin API: wrong token from {source}: {why}, {untold} not told");
            }
            Err(Problem::unproven())
        }
    }
}

const fn outcome(needs: Needs, status: StatusCode) -> ApiOutcome {
    match (status.as_u16(), needs.changes) {
        (401, _) => ApiOutcome::Unproven,
        (403, _) => ApiOutcome::NotAllowed,
        (429, _) => ApiOutcome::Guessing,
        (503, _) => ApiOutcome::Busy,
        (500..=599, _) => ApiOutcome::Failed,
        (409 | 412 | 422, true) => ApiOutcome::NotChanged,
        (400..=499, _) => ApiOutcome::Malformed,
        (_, true) => ApiOutcome::Changed,
        (_, false) => ApiOutcome::Read,
    }
}
