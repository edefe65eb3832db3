//! Who changed what, from where, and what came of it: a line of JSON for each change that
//! was asked for.

use std::fs::{File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use axum::body::Bytes;
use axum::http::{Method, StatusCode};
use jiff::Timestamp;
use serde_json::{Value, json};

use super::caller::Caller;

/// Where the lines go: a file of their own, or the log.
#[derive(Debug, Default)]
pub struct Audit {
    file: Option<(PathBuf, Mutex<File>)>,
}

/// A change as it was asked for.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    by: String,
    role: &'static str,
    from: String,
    pub(super) method: String,
    pub(super) path: String,
    what: Value,
}

/// Bodies above this are told by their size: files of drafts are in the history.
const BODY_BYTES_SHOWN: usize = 2_048;

impl Audit {
    /// Lines are appended to `file`, which only its owner can read; without one they go to
    /// the log.
    ///
    /// # Errors
    /// What the system said.
    pub fn open(file: Option<&Path>) -> io::Result<Self> {
        let Some(path) = file else {
            return Ok(Self::default());
        };
        let opened = append(path)?;
        Ok(Self {
            file: Some((path.to_owned(), Mutex::new(opened))),
        })
    }

    /// Opens the file anew by its name, after somebody moved it away.
    ///
    /// # Errors
    /// What the system said; lines go to the old one then.
    pub fn reopen(&self) -> io::Result<()> {
        if let Some((path, file)) = &self.file {
            let fresh = append(path)?;
            *file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        }
        Ok(())
    }

    /// Writes down what came of a change.
    pub(super) fn write(&self, entry: &Entry, status: StatusCode, result: &str) {
        let line = json!({
            "at": format!("{:.3}", Timestamp::now()),
            "by": entry.by,
            "role": entry.role,
            "from": entry.from,
            "method": entry.method,
            "path": entry.path,
            "what": entry.what,
            "status": status.as_u16(),
            "result": result,
        });
        let Some((path, file)) = &self.file else {
            tracing::info!("audit {line}");
            return;
        };
        let written = {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(format!("{line}\n").as_bytes())
        };
        if let Err(error) = written {
            // It has been changed: the log is the next best place.
            tracing::error!("cannot write to {}: {error}; audit {line}", path.display());
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).append(true).mode(0o600).open(path)
}

impl Entry {
    pub(super) fn of(caller: &Caller, method: &Method, path: &str, body: &Bytes) -> Self {
        let what = match body.len() {
            0 => Value::Null,
            1..=BODY_BYTES_SHOWN => serde_json::from_slice(body)
                .unwrap_or_else(|_| json!(format!("{} bytes", body.len()))),
            more => json!(format!("{more} bytes")),
        };
        Self {
            by: caller.name.clone(),
            role: caller.role.as_str(),
            from: caller.from.to_string(),
            method: method.as_str().to_owned(),
            path: path.to_owned(),
            what,
        }
    }
}
