//! What is answered when something is wrong: RFC 9457.

use axum::Extension;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use crate::control::{Finding, Refused};
use crate::generations::{Denied, Generations};
use crate::http::Nowhere;
use crate::tables::{Diagnostic, Report};

/// A refusal, as `application/problem+json`.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub(super) struct Problem {
    /// In words, the same for each refusal of a kind.
    title: String,
    /// The status of the answer.
    #[schemars(range(min = 400, max = 599))]
    status: u16,
    /// Which kind it is, in a word that does not change.
    code: &'static str,
    /// What is wrong with this request.
    #[serde(skip_serializing_if = "String::is_empty")]
    detail: String,
    /// The generation that serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    serving: Option<u64>,
    /// What is wrong with the table.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    findings: Vec<Finding>,
    /// Seconds after which asking again makes sense.
    #[serde(skip)]
    retry_after_s: Option<u32>,
}

/// What came of a request, for the audit log.
#[derive(Debug, Clone)]
pub(super) struct Result(pub(super) String);

impl Problem {
    pub(super) fn new(
        status: StatusCode,
        code: &'static str,
        title: &str,
        detail: impl Into<String>,
    ) -> Self {
        Self {
            title: title.to_owned(),
            status: status.as_u16(),
            code,
            detail: detail.into(),
            serving: None,
            findings: Vec::new(),
            retry_after_s: None,
        }
    }

    /// 400: a path, a query, a header or a body that cannot be read.
    pub(super) fn malformed(detail: impl Into<String>) -> Self {
        let title = "The request cannot be read";
        Self::new(StatusCode::BAD_REQUEST, "malformed", title, detail)
    }

    /// 404.
    pub(super) fn not_found(code: &'static str, detail: impl Into<String>) -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            code,
            "There is no such thing",
            detail,
        )
    }

    /// 401.
    pub(super) fn unproven() -> Self {
        let title = "No token proves who you are";
        Self::new(StatusCode::UNAUTHORIZED, "unproven", title, "")
    }

    /// 429.
    pub(super) fn guessing() -> Self {
        let title = "Too many wrong tokens from here";
        let problem = Self::new(StatusCode::TOO_MANY_REQUESTS, "guessing", title, "");
        problem.again_in(1)
    }

    /// 403.
    pub(super) fn not_allowed(detail: impl Into<String>) -> Self {
        let title = "You may not";
        Self::new(StatusCode::FORBIDDEN, "not_allowed", title, detail)
    }

    /// 503.
    pub(super) fn busy(detail: impl Into<String>) -> Self {
        let title = "There is too much to do";
        let problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", title, detail);
        problem.again_in(2)
    }

    /// 500.
    pub(super) fn failed(detail: impl Into<String>) -> Self {
        let title = "Something of ours went wrong";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", title, detail)
    }

    /// 422: a table with errors.
    pub(super) fn of_report(report: &Report) -> Self {
        let (status, code, title) = kind("table");
        let mut problem = Self::new(status, code, title, format!("{} errors", report.errors));
        problem.findings = report.diagnostics.iter().map(finding).collect();
        problem
    }

    pub(super) const fn again_in(mut self, seconds: u32) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// What the generations do not do.
    pub(super) fn denied(denied: Denied, generations: &Generations) -> Self {
        let serving = generations.store().current().generation();
        Refused::new(denied.as_str(), denied.to_string(), serving).into()
    }
}

impl From<Refused> for Problem {
    /// What the desk of the control socket refuses.
    fn from(refused: Refused) -> Self {
        let (status, code, title) = kind(&refused.reason);
        let mut problem = Self::new(status, code, title, refused.message);
        problem.findings = refused.details;
        problem.serving = (refused.serving > 0).then_some(refused.serving);
        if status == StatusCode::SERVICE_UNAVAILABLE {
            problem.retry_after_s = Some(2);
        }
        problem
    }
}

/// Words of the control socket, as they are answered over HTTP.
#[rustfmt::skip]
fn kind(reason: &str) -> (StatusCode, &'static str, &'static str) {
    use StatusCode as S;
    match reason {
        "table" => (S::UNPROCESSABLE_ENTITY, "table", "The table has errors"),
        "gates" => (S::CONFLICT, "gates", "A gate does not let the change pass"),
        "unconfirmed" => (S::CONFLICT, "unconfirmed", "Another change awaits its confirmation"),
        "nothing_on_trial" => (S::CONFLICT, "nothing_on_trial", "Nothing awaits a confirmation"),
        "nothing_before" => (S::CONFLICT, "nothing_before", "Nothing served before this"),
        "unknown_generation" => (S::NOT_FOUND, "unknown_generation", "It is not kept, or no longer"),
        "no_state" => (S::CONFLICT, "no_state", "Nothing is kept"),
        "not_kept" => (S::INSUFFICIENT_STORAGE, "not_kept", "It cannot be kept"),
        "unknown_trunk" => (S::NOT_FOUND, "unknown_trunk", "There is no such trunk"),
        "too_many" => (S::CONFLICT, "too_many", "Too many trunks are under orders"),
        "stale" => (S::PRECONDITION_FAILED, "stale", "Another table serves by now"),
        "draft_serves" => (S::CONFLICT, "draft_serves", "A draft serves that the folder does not have"),
        "not_followed" => (S::CONFLICT, "not_followed", "Calls are not followed"),
        "not_allowed" => (S::FORBIDDEN, "not_allowed", "You may not"),
        "busy" => (S::SERVICE_UNAVAILABLE, "busy", "There is too much to do"),
        "starting" => (S::SERVICE_UNAVAILABLE, "starting", "Nothing serves yet"),
        "stopping" => (S::SERVICE_UNAVAILABLE, "stopping", "The server is stopping"),
        _ => (S::INTERNAL_SERVER_ERROR, "failed", "Something of ours went wrong"),
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let (code, retry_after_s) = (self.code, self.retry_after_s);
        let mut response = (status, axum::Json(self)).into_response();
        response.extensions_mut().insert(Result(code.to_owned()));
        let headers = response.headers_mut();
        let json = HeaderValue::from_static("application/problem+json");
        headers.insert(header::CONTENT_TYPE, json);
        if status == StatusCode::UNAUTHORIZED {
            let bearer = HeaderValue::from_static("Bearer realm=\"trunkline\"");
            headers.insert(header::WWW_AUTHENTICATE, bearer);
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

pub(super) async fn no_such_resource() -> (Extension<Nowhere>, Problem) {
    let detail = "GET /api/v1/openapi.json says what there is";
    (
        Extension(Nowhere),
        Problem::not_found("no_resource", detail),
    )
}

pub(super) async fn no_such_method() -> (Extension<Nowhere>, Problem) {
    let title = "The resource has no such method";
    let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "no_method", title, "");
    (Extension(Nowhere), problem)
}

/// A finding of `check`, as it is told.
#[must_use]
pub fn finding(found: &Diagnostic) -> Finding {
    let place = found.place();
    let within = place.filter(|place| !place.is_whole_file());
    Finding {
        code: found.code.as_str().to_owned(),
        severity: found.severity.as_str().to_owned(),
        message: found.message.clone(),
        file: place.map(|place| place.file.clone()),
        line: within.map(|place| place.line),
        column: within.map(|place| place.column),
        help: found.help.clone(),
    }
}
