//! HTTP: an SBC, or another engine, asks where a call goes.
//!
//! Four ways of asking, one decision: the same [`routing::route`](crate::routing::route) with
//! the same facts that a redirect listener takes from an INVITE. A listener has its own
//! accounts and answers questions only; nothing is changed here.

mod account;
mod answer;
mod asker;
mod decision;
mod lcr;
mod listener;
mod metrics;
mod object;
mod patient;
mod problem;
mod question;
mod rtjson;
mod text;

pub use account::{Account, Secret};
pub use answer::{Answer, RouteAnswer};
pub use decision::{Decided, Desk, decided};
pub use listener::HttpListener;
pub use metrics::{OPEN_METRICS, Watched, metrics};
pub use object::Object;
pub(crate) use problem::Nowhere;
pub use question::Question;
pub use text::{Placeholder, Template};

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};

use crate::limits::HTTP_BODY_BYTES_MAX;

/// All that is answered, for whoever may ask it. The address of the peer is taken from the
/// request's extensions, as a [`std::net::SocketAddr`]; without one nobody is let in.
pub fn questions(desk: Arc<Desk>) -> Router {
    Router::new()
        .route("/v1/answer", get(text::answer))
        .route("/v1/route", get(answer::of_query).post(answer::of_json))
        .route("/v1/rtjson", get(rtjson::of_query))
        .route("/v1/lcr", post(lcr::of_json))
        .fallback(problem::no_such_resource)
        .method_not_allowed_fallback(problem::no_such_method)
        .layer(from_fn_with_state(Arc::clone(&desk), asker::admit))
        .layer(DefaultBodyLimit::max(HTTP_BODY_BYTES_MAX))
        .with_state(desk)
}
