//! What is answered when something is wrong: RFC 9457.

use axum::Extension;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// A refusal, as `application/problem+json`.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Problem {
    /// In words, the same for each refusal of a kind.
    title: &'static str,
    status: u16,
    /// What is wrong with this question.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// The SIP status that a redirect listener would have answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    sip_status: Option<u16>,
}

impl Problem {
    fn new(status: StatusCode, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            title,
            status: status.as_u16(),
            detail: detail.into(),
            sip_status: None,
        }
    }

    /// 400: the question cannot be read.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::BAD_REQUEST,
            "The question cannot be read",
            detail,
        )
    }

    /// 408: the body did not come.
    pub(super) fn too_slow() -> Self {
        let title = "The question did not come in time";
        Self::new(StatusCode::REQUEST_TIMEOUT, title, "")
    }

    /// 401.
    pub(super) fn not_proven() -> Self {
        let title = "No account has this name and secret";
        Self::new(StatusCode::UNAUTHORIZED, title, "")
    }

    /// 429: too many wrong secrets at a time.
    pub(super) fn too_many() -> Self {
        let title = "Too many wrong secrets at a time";
        Self::new(StatusCode::TOO_MANY_REQUESTS, title, "")
    }

    /// 403: nobody the table knows.
    pub(super) fn unknown_source(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "No call can come from here", detail)
    }

    /// 404: no rule has an opinion. Whoever asked goes by his own table.
    pub(super) fn no_opinion() -> Self {
        let mut problem = Self::new(
            StatusCode::NOT_FOUND,
            "No route: the table has no opinion",
            "",
        );
        problem.sip_status = Some(404);
        problem
    }

    /// 403: a rule rejects the call.
    pub(super) fn rejected(sip_status: u16, reason: &str) -> Self {
        let mut problem = Self::new(StatusCode::FORBIDDEN, "A rule rejects the call", reason);
        problem.sip_status = Some(sip_status);
        problem
    }

    /// 503: there are trunks, but none may be tried now.
    pub(super) fn unavailable() -> Self {
        let title = "No trunk of the call's routes is in service";
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, title, "");
        problem.sip_status = Some(503);
        problem
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if status == StatusCode::UNAUTHORIZED {
            let basic = HeaderValue::from_static("Basic realm=\"trunkline\", charset=\"UTF-8\"");
            headers.insert(header::WWW_AUTHENTICATE, basic);
        }
        response
    }
}

/// Among the extensions of an answer: what was asked for leads nowhere, which the listener
/// counts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Nowhere;

pub(super) async fn no_such_resource() -> (Extension<Nowhere>, Problem) {
    let detail = "there are /v1/answer, /v1/route, /v1/rtjson and /v1/lcr";
    let problem = Problem::new(StatusCode::NOT_FOUND, "No such resource", detail);
    (Extension(Nowhere), problem)
}

pub(super) async fn no_such_page() -> (Extension<Nowhere>, Problem) {
    let detail = "there are /metrics, /healthz and /readyz";
    let problem = Problem::new(StatusCode::NOT_FOUND, "No such resource", detail);
    (Extension(Nowhere), problem)
}

pub(super) async fn no_such_method() -> (Extension<Nowhere>, Problem) {
    let title = "The resource has no such method";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, title, "");
    (Extension(Nowhere), problem)
}
