//! Drafts: tables that are made beside the operator's folder, looked at, and applied.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Object, json};

mod store;

pub(super) use store::Drafts;

use super::caller::Caller;
use super::changes::{Made, ReloadBody, made};
use super::comparing::{DIFF, FileEntry, TEXT, compared, listed, text_of};
use super::pages::{Page, Pages};
use super::patch::patch;
use super::problem::{self, Problem};
use super::reading::{Body, Value, given};
use super::{Api, Role, answered};
use crate::control::{Answer, Draft};
use crate::limits::API_DRAFT_FILE_BYTES_MAX;
use crate::tables;
use store::Kept;

pub(super) fn pages(pages: Pages) -> Pages {
    let id = json!({"type": "string", "pattern": "^[0-9a-f]{16}$"});
    let name = json!({"type": "string", "minLength": 1, "maxLength": 255});
    // As `check_name` of the store has it.
    let part = r"[^./\\\x00-\x1f\x7f-\x9f][^/\\\x00-\x1f\x7f-\x9f]*";
    let written = json!({
        "type": "string",
        "maxLength": 255,
        "pattern": format!(r"^(({part}/){{0,3}}{part}\.csv|{part}\.toml)$"),
    });
    let tag = "The ETag of the draft as it was looked at";
    let any = json!({"type": "string"});
    pages
        .add(
            Page::get("/drafts", "drafts", "The drafts")
                .may(Role::Operator)
                .gives::<DraftList>(200),
            list,
        )
        .add(
            Page::change(
                Method::POST,
                "/drafts",
                "begin_draft",
                "Begin a draft of the table that serves",
            )
            .takes::<NewDraft>()
            .gives::<DraftAnswer>(201)
            .problems(&[507]),
            begin,
        )
        .add(
            Page::get("/drafts/{id}", "draft", "One of them, and its files")
                .may(Role::Operator)
                .value("id", "The draft", &id)
                .gives::<DraftAnswer>(200)
                .problems(&[404]),
            one,
        )
        .add(
            Page::change(
                Method::DELETE,
                "/drafts/{id}",
                "drop_draft",
                "Throw a draft away",
            )
            .value("id", "The draft", &id)
            .gives_other(204, "")
            .problems(&[404]),
            end,
        )
        .add(
            Page::get(
                "/drafts/{id}/files/{name}",
                "draft_file",
                "A file of a draft",
            )
            .routed_as("/drafts/{id}/files/{*name}")
            .may(Role::Operator)
            .value("id", "The draft", &id)
            .value("name", "The file", &name)
            .gives_other(200, TEXT)
            .problems(&[404, 413]),
            file,
        )
        .add(
            Page::change(
                Method::PUT,
                "/drafts/{id}/files/{name}",
                "put_draft_file",
                "Put a file into a draft, in place of one of that name",
            )
            .routed_as("/drafts/{id}/files/{*name}")
            .value("id", "The draft", &id)
            .value(
                "name",
                "The file: x.toml, or a .csv in any folder",
                &written,
            )
            .takes_text(API_DRAFT_FILE_BYTES_MAX)
            .gives::<DraftAnswer>(200)
            .problems(&[404, 507]),
            put_file,
        )
        .add(
            Page::change(
                Method::DELETE,
                "/drafts/{id}/files/{name}",
                "drop_draft_file",
                "Take a file out of a draft",
            )
            .routed_as("/drafts/{id}/files/{*name}")
            .value("id", "The draft", &id)
            .value("name", "The file", &written)
            .gives::<DraftAnswer>(200)
            .problems(&[404, 507]),
            drop_file,
        )
        .add(
            Page::get(
                "/drafts/{id}/plan",
                "draft_plan",
                "What a draft does to calls",
            )
            .may(Role::Operator)
            .value("id", "The draft", &id)
            .gives::<Object>(200)
            .problems(&[404, 409, 422]),
            plan,
        )
        .add(
            Page::get(
                "/drafts/{id}/patch",
                "draft_patch",
                "What a draft changes, for git",
            )
            .may(Role::Operator)
            .value("id", "The draft", &id)
            .gives_other(200, DIFF)
            .problems(&[404, 409]),
            patch_of,
        )
        .add(
            Page::change(
                Method::POST,
                "/drafts/{id}/apply",
                "apply_draft",
                "Have a draft serve",
            )
            .value("id", "The draft", &id)
            .header("If-Match", tag, true, &any)
            .takes::<ReloadBody>()
            .gives::<Made>(200)
            .problems(&[404, 412, 428, 507]),
            apply,
        )
}

/// How a draft begins.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct NewDraft {
    /// A word about it.
    #[serde(default, deserialize_with = "given")]
    #[schemars(
        with = "String",
        length(max = 500),
        regex(pattern = r"^[^\x00-\x1f\x7f-\x9f]*$")
    )]
    message: Option<String>,
}

/// The drafts.
#[derive(Debug, Serialize, JsonSchema)]
struct DraftList {
    /// Oldest first.
    drafts: Vec<DraftAnswer>,
}

/// A draft.
#[derive(Debug, Serialize, JsonSchema)]
struct DraftAnswer {
    /// Its name.
    id: String,
    /// What an apply says with If-Match; another one after each change of a file.
    etag: String,
    /// The generation it was made of.
    base: u64,
    /// SHA-256 of its table.
    base_sha256: String,
    /// Who began it.
    by: String,
    /// When, RFC 3339.
    at: String,
    /// When it will be thrown away if nobody touches it.
    until: String,
    /// What was said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// The files that were put or taken out.
    changed: Vec<String>,
    /// The generation it became; it can be read, not changed any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    applied: Option<u64>,
    /// All its files.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    files: Vec<FileEntry>,
}

impl DraftAnswer {
    fn of(kept: &Kept, files: Vec<FileEntry>) -> Self {
        Self {
            id: kept.id.clone(),
            etag: kept.etag(),
            base: kept.base,
            base_sha256: kept.base_sha256.clone(),
            by: kept.by.clone(),
            at: format!("{:.0}", kept.at),
            until: format!("{:.0}", kept.until()),
            message: kept.message.clone(),
            changed: kept.changed.keys().cloned().collect(),
            applied: kept.applied,
            files,
        }
    }
}

async fn list(State(api): State<Arc<Api>>) -> Json<DraftList> {
    let drafts = api.drafts.all();
    let drafts = drafts.iter().map(|kept| DraftAnswer::of(kept, Vec::new()));
    Json(DraftList {
        drafts: drafts.collect(),
    })
}

async fn begin(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Body(body): Body<NewDraft>,
) -> Result<Response, Problem> {
    let message = crate::control::Change {
        message: body.message,
        ..Default::default()
    };
    message.check().map_err(Problem::malformed)?;
    let work = Arc::clone(&api);
    let begin = move || {
        let begun = work
            .drafts
            .begin(&work.generations, &caller.name, message.message)?;
        let files = listed(&work.drafts.folder(&begun.id)?)?;
        Ok::<_, Problem>(DraftAnswer::of(&begun, files))
    };
    let answer = api.heavy.run(begin).await??;
    let (place, tag) = (format!("/api/v1/drafts/{}", answer.id), answer.etag.clone());
    let result = format!("draft {} of gen {}", answer.id, answer.base);
    let mut response = (StatusCode::CREATED, Json(answer)).into_response();
    if let Ok(place) = HeaderValue::from_str(&place) {
        response.headers_mut().insert(header::LOCATION, place);
    }
    Ok(noted(response, &tag, result))
}

async fn one(State(api): State<Arc<Api>>, Value(id): Value<String>) -> Result<Response, Problem> {
    let kept = api.drafts.get(&id)?;
    let folder = api.drafts.folder(&id)?;
    let files = api.heavy.run(move || listed(&folder)).await??;
    let tag = kept.etag();
    let response = Json(DraftAnswer::of(&kept, files)).into_response();
    Ok(noted(response, &tag, String::new()))
}

async fn end(State(api): State<Arc<Api>>, Value(id): Value<String>) -> Result<Response, Problem> {
    api.drafts.end(&id)?;
    let mut response = StatusCode::NO_CONTENT.into_response();
    let result = problem::Result(format!("draft {id} dropped"));
    response.extensions_mut().insert(result);
    Ok(response)
}

async fn file(
    State(api): State<Arc<Api>>,
    Value((id, name)): Value<(String, String)>,
) -> Result<Response, Problem> {
    let folder = api.drafts.folder(&id)?;
    let text = api.heavy.run(move || text_of(&folder, &name)).await??;
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}

async fn put_file(
    State(api): State<Arc<Api>>,
    Value((id, name)): Value<(String, String)>,
    body: Bytes,
) -> Result<Response, Problem> {
    if std::str::from_utf8(&body).is_err() {
        return Err(Problem::malformed("the file is not UTF-8"));
    }
    change_file(api, id, name, Some(body)).await
}

async fn drop_file(
    State(api): State<Arc<Api>>,
    Value((id, name)): Value<(String, String)>,
) -> Result<Response, Problem> {
    change_file(api, id, name, None).await
}

async fn change_file(
    api: Arc<Api>,
    id: String,
    name: String,
    text: Option<Bytes>,
) -> Result<Response, Problem> {
    let drafts = Arc::clone(&api);
    let result = format!("draft {id} {name}");
    let put = move || drafts.drafts.put(&id, &name, text.as_deref());
    let kept = api.heavy.run(put).await??;
    let tag = kept.etag();
    let response = Json(DraftAnswer::of(&kept, Vec::new())).into_response();
    Ok(noted(response, &tag, result))
}

async fn plan(State(api): State<Arc<Api>>, Value(id): Value<String>) -> Result<Response, Problem> {
    let at_work = api.drafts.work_on(&id)?;
    let folder = api.drafts.folder(&id)?;
    let before = api.generations.store().current();
    let tag = at_work.kept.etag();
    let compare = move || {
        let loaded = tables::load(&folder);
        drop(at_work);
        let after = loaded
            .table
            .ok_or_else(|| Problem::of_report(&loaded.report))?;
        compared(&before, &after)
    };
    let plan = api.heavy.run(compare).await??;
    Ok(noted(Json(plan).into_response(), &tag, String::new()))
}

async fn patch_of(
    State(api): State<Arc<Api>>,
    Value(id): Value<String>,
) -> Result<Response, Problem> {
    let kept = api.drafts.get(&id)?;
    let after = api.drafts.folder(&id)?;
    let base = api.generations.files_of(kept.base);
    let (_, before) = base.map_err(|denied| Problem::denied(denied, &api.generations))?;
    let made = api.heavy.run(move || patch(&before, &after)).await?;
    let text = made.map_err(|error| Problem::failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, DIFF)], text).into_response())
}

async fn apply(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    Value(id): Value<String>,
    headers: HeaderMap,
    Body(body): Body<ReloadBody>,
) -> Result<Response, Problem> {
    let mut how = body.checked(&caller)?;
    let kept = api.drafts.get(&id)?;
    let seen = headers.get(header::IF_MATCH).ok_or_else(|| {
        let title = "If-Match has to say which draft was looked at";
        Problem::new(StatusCode::PRECONDITION_REQUIRED, "no_if_match", title, "")
    })?;
    if seen.as_bytes() != kept.etag().as_bytes() {
        let title = "The draft is another one by now";
        let detail = format!("its ETag is {}", kept.etag());
        return Err(Problem::new(
            StatusCode::PRECONDITION_FAILED,
            "stale",
            title,
            detail,
        ));
    }
    how.message = how.message.or_else(|| kept.message.clone());
    let at_work = api.drafts.work_on(&id)?;
    let draft = Draft {
        folder: api.drafts.folder(&id)?,
        base_sha256: kept.base_sha256.clone(),
    };
    let answer = answered(api.desk.take_draft(draft, how, &caller.who())).await?;
    if let Answer::Changed(changed) = &answer {
        at_work.applied(changed.generation.number);
    }
    made(answer)
}

/// The response with its ETag and what the audit log says of it.
fn noted(mut response: Response, tag: &str, result: String) -> Response {
    if let Ok(tag) = HeaderValue::from_str(tag) {
        response.headers_mut().insert(header::ETAG, tag);
    }
    response.extensions_mut().insert(problem::Result(result));
    response
}
