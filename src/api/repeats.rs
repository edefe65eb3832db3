//! A change that is asked for twice with one key is made once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, to_bytes};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use sha2::{Digest as _, Sha256};

use super::audit::Entry;
use super::problem::Problem;
use crate::limits::{API_BODY_BYTES_MAX, API_KEY_BYTES_MAX, API_REPEAT_S_MAX, API_REPEATS_MAX};

/// What was answered lately, by who asked and their key.
#[derive(Debug, Clone, Default)]
pub(super) struct Repeats(Arc<Mutex<BTreeMap<Key, Kept>>>);

type Key = (String, String);

#[derive(Debug)]
struct Kept {
    /// Hash of what was asked for.
    asked: [u8; 32],
    at: Instant,
    /// `None` while it is being done.
    answer: Option<(StatusCode, HeaderMap, Bytes)>,
}

/// Whether a change is to be made.
pub(super) enum Repeat {
    /// It has been: this was the answer.
    Answered(Response),
    /// It is the first time.
    First(Place),
}

/// Where the answer of a change will be kept; given back when nothing came of it.
pub(super) struct Place {
    repeats: Repeats,
    key: Key,
    is_kept: bool,
}

const KEY: HeaderName = HeaderName::from_static("idempotency-key");
/// Tells an answer that was kept.
const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The key of a request.
pub(super) fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let mut all = headers.get_all(KEY).iter();
    let Some(first) = all.next() else {
        return Ok(None);
    };
    let text = first.to_str().unwrap_or_default();
    let is_plain = text.bytes().all(|byte| byte.is_ascii_graphic());
    if all.next().is_some() || text.is_empty() || text.len() > API_KEY_BYTES_MAX || !is_plain {
        let detail =
            format!("Idempotency-Key is one word of 1 to {API_KEY_BYTES_MAX} visible characters");
        return Err(Problem::malformed(detail));
    }
    Ok(Some(text.to_owned()))
}

impl Repeats {
    /// Begins a change.
    ///
    /// # Errors
    /// The key was used for another one, or the same is being made.
    pub(super) fn begin(
        &self,
        caller: &str,
        key: &str,
        entry: &Entry,
        body: &Bytes,
    ) -> Result<Repeat, Problem> {
        let now = Instant::now();
        let asked = hash(entry, body);
        let key = (caller.to_owned(), key.to_owned());
        let mut kept = self.lock();
        let lifetime = Duration::from_secs(API_REPEAT_S_MAX);
        kept.retain(|_, kept| now.duration_since(kept.at) < lifetime);
        match kept.get(&key) {
            Some(known) if known.asked != asked => {
                let title = "The key was used for another request";
                let status = StatusCode::UNPROCESSABLE_ENTITY;
                return Err(Problem::new(status, "key_used", title, ""));
            }
            Some(Kept { answer: None, .. }) => {
                let title = "The same request is being answered";
                return Err(Problem::new(StatusCode::CONFLICT, "key_in_use", title, ""));
            }
            Some(Kept {
                answer: Some(answer),
                ..
            }) => return Ok(Repeat::Answered(replayed(answer))),
            None => {}
        }
        if kept.len() >= API_REPEATS_MAX {
            let done = kept.iter().filter(|(_, kept)| kept.answer.is_some());
            let oldest = done.min_by_key(|(_, kept)| kept.at);
            let oldest = oldest.map(|(key, _)| key.clone());
            let Some(oldest) = oldest else {
                return Err(Problem::busy("too many changes are being made"));
            };
            kept.remove(&oldest);
        }
        let new = Kept {
            asked,
            at: now,
            answer: None,
        };
        kept.insert(key.clone(), new);
        Ok(Repeat::First(Place {
            repeats: self.clone(),
            key,
            is_kept: false,
        }))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<Key, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Keeps the answer. One that says "later" is not kept: asking again is right then.
    pub(super) async fn keep(mut self, response: Response) -> Response {
        if response.status().is_server_error() {
            return response;
        }
        let (parts, body) = response.into_parts();
        let Ok(bytes) = to_bytes(body, API_BODY_BYTES_MAX).await else {
            return Response::from_parts(parts, Body::empty());
        };
        let answer = (parts.status, parts.headers.clone(), bytes.clone());
        if let Some(kept) = self.repeats.lock().get_mut(&self.key) {
            kept.answer = Some(answer);
            self.is_kept = true;
        }
        Response::from_parts(parts, bytes.into())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if !self.is_kept {
            self.repeats.lock().remove(&self.key);
        }
    }
}

fn hash(entry: &Entry, body: &Bytes) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(entry.method.as_bytes());
    hash.update([0]);
    hash.update(entry.path.as_bytes());
    hash.update([0]);
    hash.update(body);
    hash.finalize().into()
}

fn replayed((status, headers, body): &(StatusCode, HeaderMap, Bytes)) -> Response {
    let mut response = Response::new(Body::from(body.clone()));
    *response.status_mut() = *status;
    *response.headers_mut() = headers.clone();
    let headers = response.headers_mut();
    headers.insert(REPLAYED, HeaderValue::from_static("true"));
    headers.remove(header::CONTENT_LENGTH);
    response
}
