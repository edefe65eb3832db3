//! The calls that are up.

use std::sync::Arc;

use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::caller::Caller;
use super::events::{STREAM, wants_stream};
use super::generations::rows;
use super::pages::{Page, Pages};
use super::problem::Problem;
use super::reading::{Asked, short};
use super::{Api, Role, call_stream};
use crate::control::{Answer, LiveCall, Request};
use crate::observe::MaskNumbers;

pub(super) fn pages(pages: Pages) -> Pages {
    pages.add(
        Page::get(
            "/calls",
            "calls",
            "The calls that are up, the oldest first; or those answered and over, as it happens",
        )
        .query::<CallsQuery>()
        .header(
            "Accept",
            "text/event-stream for the stream, which has all calls",
            false,
            &json!({"type": "string"}),
        )
        .gives::<Calls>(200)
        .gives_too(200, STREAM)
        .problems(&[409]),
        calls,
    )
}

/// Which calls.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct CallsQuery {
    /// Those that arrived on this trunk group or went to it.
    #[schemars(length(min = 1, max = 64))]
    group: Option<String>,
    /// At most so many.
    #[schemars(range(min = 1, max = 1000))]
    limit: Option<usize>,
}

/// The calls that are up.
#[derive(Debug, Serialize, JsonSchema)]
struct Calls {
    /// How many there are.
    count: u64,
    /// The oldest of them.
    calls: Vec<LiveCall>,
}

async fn calls(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    Asked(query): Asked<CallsQuery>,
) -> Result<Response, Problem> {
    short("group", query.group.as_ref())?;
    if wants_stream(&headers)
        && let Some(stream) = call_stream::listen(&api)?
    {
        return Ok(stream);
    }
    let is_masked = caller.role == Role::Viewer && api.mask != MaskNumbers::None;
    let request = Request::Calls {
        group: query.group,
        number: Some(rows(query.limit)?),
        mask: is_masked,
    };
    match api.ask(request, &caller).await? {
        Answer::Calls { count, calls } => Ok(Json(Calls {
            count: count as u64,
            calls,
        })
        .into_response()),
        other => Err(super::unexpected(&other)),
    }
}
