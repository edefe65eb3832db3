//! What lies between two tables, and the files they were made of.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value as Object, json};

use super::generations::number;
use super::heavy::table_of;
use super::pages::{Page, Pages};
use super::patch::patch;
use super::problem::Problem;
use super::reading::Value;
use super::{Api, Role};
use crate::generations::{Generations, files_below};
use crate::limits::{API_DRAFT_FILE_BYTES_MAX, API_PAGE_ROWS_MAX};
use crate::plan;
use crate::routing::RoutingTable;
use crate::tables::{Gates, plan_json};

pub(super) const TEXT: &str = "text/plain; charset=utf-8";
/// What a patch is told as.
pub(super) const DIFF: &str = "text/x-diff; charset=utf-8";

pub(super) fn pages(pages: Pages) -> Pages {
    let file = json!({"type": "string", "minLength": 1, "maxLength": 255});
    pages
        .add(
            Page::get(
                "/generations/{a}/diff/{b}",
                "diff",
                "What becomes of calls that one generation did otherwise",
            )
            .value("a", "The generation before", &number())
            .value("b", "The generation after", &number())
            .gives::<Object>(200)
            .problems(&[404, 409, 422]),
            diff,
        )
        .add(
            Page::get(
                "/generations/{a}/patch/{b}",
                "patch",
                "What makes the files of one generation of those of another, for git",
            )
            .may(Role::Operator)
            .value("a", "The generation before", &number())
            .value("b", "The generation after", &number())
            .gives_other(200, DIFF)
            .problems(&[404, 409]),
            patch_of,
        )
        .add(
            Page::get(
                "/generations/{number}/files",
                "files",
                "The files of a generation",
            )
            .may(Role::Operator)
            .value("number", "The generation", &number())
            .gives::<Files>(200)
            .problems(&[404, 409]),
            files,
        )
        .add(
            Page::get("/generations/{number}/files/{name}", "file", "One of them")
                .routed_as("/generations/{number}/files/{*name}")
                .may(Role::Operator)
                .value("number", "The generation", &number())
                .value("name", "The file", &file)
                .gives_other(200, TEXT)
                .problems(&[404, 409, 413]),
            file_of,
        )
}

/// The files of a table.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Files {
    /// In order of their names.
    pub(super) files: Vec<FileEntry>,
}

/// A file of a table.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct FileEntry {
    /// Relative to the table folder.
    pub(super) name: String,
    /// How large it is.
    pub(super) bytes: u64,
}

async fn diff(
    State(api): State<Arc<Api>>,
    Value((a, b)): Value<(u64, u64)>,
) -> Result<Json<Object>, Problem> {
    let generations = Arc::clone(&api.generations);
    let compare = move || {
        let (before, after) = (table_of(&generations, a)?, table_of(&generations, b)?);
        compared(&before, &after)
    };
    api.heavy.run(compare).await?.map(Json)
}

/// What a change does to calls, and what the gates say of it.
///
/// # Errors
/// The tables tell too much apart.
pub(super) fn compared(before: &RoutingTable, after: &RoutingTable) -> Result<Object, Problem> {
    let compared = plan::compare(before, after, Timestamp::now());
    let gates = Gates::of(compared.as_ref().map_err(|error| *error), before, after);
    let plan = compared.map_err(|error| {
        let status = axum::http::StatusCode::UNPROCESSABLE_ENTITY;
        let title = "Nobody can say what the change does";
        Problem::new(status, "too_complex", title, error.to_string())
    })?;
    let mut object = plan_json([before, after], &plan, &gates);
    let left_out = cut(&mut object["changes"])
        + object["changes"]
            .as_array_mut()
            .into_iter()
            .flatten()
            .map(|change| cut(&mut change["ranges"]))
            .sum::<usize>();
    object["left_out"] = json!(left_out);
    Ok(object)
}

/// Keeps the first of a long list; says how many were left out.
fn cut(list: &mut Object) -> usize {
    let Some(items) = list.as_array_mut() else {
        return 0;
    };
    let left_out = items.len().saturating_sub(API_PAGE_ROWS_MAX);
    items.truncate(API_PAGE_ROWS_MAX);
    left_out
}

async fn patch_of(
    State(api): State<Arc<Api>>,
    Value((a, b)): Value<(u64, u64)>,
) -> Result<Response, Problem> {
    let (before, after) = (folder(&api.generations, a)?, folder(&api.generations, b)?);
    let made = api.heavy.run(move || patch(&before, &after)).await?;
    let text = made.map_err(|error| Problem::failed(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, DIFF)], text).into_response())
}

fn folder(generations: &Generations, number: u64) -> Result<PathBuf, Problem> {
    let found = generations.files_of(number);
    found
        .map(|(_, folder)| folder)
        .map_err(|denied| Problem::denied(denied, generations))
}

async fn files(
    State(api): State<Arc<Api>>,
    Value(number): Value<u64>,
) -> Result<Json<Files>, Problem> {
    let folder = folder(&api.generations, number)?;
    let files = api.heavy.run(move || listed(&folder)).await??;
    Ok(Json(Files { files }))
}

/// The files below a folder.
pub(super) fn listed(folder: &Path) -> Result<Vec<FileEntry>, Problem> {
    let failed = |error: std::io::Error| Problem::failed(error.to_string());
    let names = files_below(folder).map_err(failed)?;
    let entry = |name: String| {
        let bytes = fs::metadata(folder.join(&name)).map_err(failed)?.len();
        Ok(FileEntry { name, bytes })
    };
    names.into_iter().map(entry).collect()
}

async fn file_of(
    State(api): State<Arc<Api>>,
    Value((number, name)): Value<(u64, String)>,
) -> Result<Response, Problem> {
    let folder = folder(&api.generations, number)?;
    let text = api.heavy.run(move || text_of(&folder, &name)).await??;
    Ok(([(header::CONTENT_TYPE, TEXT)], text).into_response())
}

/// The text of a file below a folder.
///
/// # Errors
/// It is none of those that stand there, or too large to be told.
pub(super) fn text_of(folder: &Path, name: &str) -> Result<String, Problem> {
    let failed = |error: std::io::Error| Problem::failed(error.to_string());
    // What is not listed is not opened, whatever dots are in it.
    if !files_below(folder).map_err(failed)?.contains(name) {
        return Err(Problem::not_found(
            "unknown_file",
            "the table has no such file",
        ));
    }
    let path = folder.join(name);
    if fs::metadata(&path).map_err(failed)?.len() > API_DRAFT_FILE_BYTES_MAX as u64 {
        let status = axum::http::StatusCode::PAYLOAD_TOO_LARGE;
        let title = "The file is too large to be told";
        let detail = format!("at most {API_DRAFT_FILE_BYTES_MAX} bytes are");
        return Err(Problem::new(status, "too_large", title, detail));
    }
    fs::read_to_string(path).map_err(failed)
}
