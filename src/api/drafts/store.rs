//! The folders of drafts: few, not large, and not for ever.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use jiff::{SignedDuration, Timestamp};

use crate::api::problem::Problem;
use crate::generations::{Denied, Generations, files_below};
use crate::limits::{
    API_DRAFT_FILE_BYTES_MAX, API_DRAFT_S_MAX, API_DRAFTS_BYTES_MAX, API_DRAFTS_MAX,
    TABLE_FILES_MAX,
};

/// All drafts of a running server. They end with it.
#[derive(Debug)]
pub(in crate::api) struct Drafts {
    folder: Option<PathBuf>,
    all: Shared,
}

type Shared = Arc<Mutex<BTreeMap<String, Kept>>>;

/// A draft as it is known.
#[derive(Debug, Clone)]
pub(in crate::api) struct Kept {
    pub(super) id: String,
    pub(super) base: u64,
    pub(super) base_sha256: String,
    pub(super) by: String,
    pub(super) at: Timestamp,
    touched: Timestamp,
    pub(super) message: Option<String>,
    /// Files that were put, with their bytes, or taken out.
    pub(super) changed: BTreeMap<String, u64>,
    revision: u64,
    pub(super) applied: Option<u64>,
    /// Whether it is being read, to be compared or applied.
    is_read: bool,
}

/// A draft that nobody changes until this is dropped.
#[derive(Debug)]
pub(in crate::api) struct AtWork {
    all: Shared,
    pub(super) kept: Kept,
}

/// As many characters as any file system has for a name.
const NAME_CHARS_MAX: usize = 255;

/// Folders within folders: lists stand in one, rarely in two.
const DEPTH_MAX: usize = 4;

impl Kept {
    pub(super) fn etag(&self) -> String {
        format!("\"{}-{}\"", self.id, self.revision)
    }

    pub(super) fn until(&self) -> Timestamp {
        let life = SignedDuration::from_secs(i64::try_from(API_DRAFT_S_MAX).unwrap_or(i64::MAX));
        self.touched.checked_add(life).unwrap_or(Timestamp::MAX)
    }
}

impl Drafts {
    /// None yet. What another process left in the folder goes.
    pub(in crate::api) fn new(folder: Option<PathBuf>) -> Self {
        if let Some(folder) = &folder {
            let _ = fs::remove_dir_all(folder);
        }
        Self {
            folder,
            all: Arc::default(),
        }
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> Vec<Kept> {
        self.sweep();
        let mut all: Vec<Kept> = lock(&self.all).values().cloned().collect();
        all.sort_by_key(|kept| kept.at);
        all
    }

    /// # Errors
    /// There is none of this name, or no longer.
    pub(super) fn get(&self, id: &str) -> Result<Kept, Problem> {
        self.sweep();
        lock(&self.all).get(id).cloned().ok_or_else(unknown)
    }

    /// Where the files of a draft are.
    ///
    /// # Errors
    /// There is none of this name.
    pub(super) fn folder(&self, id: &str) -> Result<PathBuf, Problem> {
        let is_known = lock(&self.all).contains_key(id);
        let folder = self.folder.as_ref().filter(|_| is_known);
        folder.map(|folder| folder.join(id)).ok_or_else(unknown)
    }

    /// Makes one of the table that serves.
    ///
    /// # Errors
    /// There are too many, nothing is kept, or the disk is full.
    pub(super) fn begin(
        &self,
        generations: &Generations,
        by: &str,
        message: Option<String>,
    ) -> Result<Kept, Problem> {
        self.sweep();
        let no_state = || Problem::denied(Denied::NoState, generations);
        let parent = self.folder.as_ref().ok_or_else(no_state)?;
        let serving = generations.store().current().generation();
        let found = generations.files_of(serving);
        let (base, files) = found.map_err(|denied| Problem::denied(denied, generations))?;
        let now = Timestamp::now();
        let kept = Kept {
            id: format!("{:016x}", RandomState::new().build_hasher().finish()),
            base: base.number,
            base_sha256: base.sha256,
            by: by.to_owned(),
            at: now,
            touched: now,
            message,
            changed: BTreeMap::new(),
            revision: 0,
            applied: None,
            is_read: false,
        };
        {
            let mut all = lock(&self.all);
            if all.len() >= API_DRAFTS_MAX {
                let title = "There are too many drafts";
                let detail = format!("{API_DRAFTS_MAX} drafts are kept: throw one away");
                return Err(Problem::new(
                    StatusCode::CONFLICT,
                    "too_many",
                    title,
                    detail,
                ));
            }
            all.insert(kept.id.clone(), kept.clone());
        }
        let folder = parent.join(&kept.id);
        if let Err(error) = copied(&files, &folder) {
            lock(&self.all).remove(&kept.id);
            let _ = fs::remove_dir_all(&folder);
            return Err(not_kept(&error));
        }
        Ok(kept)
    }

    /// Throws one away.
    ///
    /// # Errors
    /// There is none of this name, or it is being read.
    pub(super) fn end(&self, id: &str) -> Result<(), Problem> {
        let folder = self.folder(id)?;
        {
            let mut all = lock(&self.all);
            if all.get(id).ok_or_else(unknown)?.is_read {
                return Err(in_use());
            }
            all.remove(id);
        }
        let _ = fs::remove_dir_all(folder);
        Ok(())
    }

    /// Puts a file into a draft, or takes it out.
    ///
    /// # Errors
    /// It has no name of a table's file, there is no room for it, or the draft is being read.
    pub(super) fn put(&self, id: &str, name: &str, text: Option<&[u8]>) -> Result<Kept, Problem> {
        check_name(name)?;
        let folder = self.folder(id)?;
        // Files are small: everybody waits while one is written.
        let mut all = lock(&self.all);
        let others: u64 = all
            .values()
            .flat_map(|kept| {
                let own = kept.id == id;
                kept.changed
                    .iter()
                    .filter(move |(file, _)| !own || *file != name)
            })
            .map(|(_, bytes)| *bytes)
            .sum();
        let kept = all.get_mut(id).ok_or_else(unknown)?;
        if kept.is_read {
            return Err(in_use());
        }
        if let Some(generation) = kept.applied {
            let title = "The draft has been applied";
            let detail = format!("it is gen {generation}: make a new one");
            return Err(Problem::new(StatusCode::CONFLICT, "applied", title, detail));
        }
        let bytes = text.map_or(0, |text| text.len() as u64);
        let is_too_much = others + bytes > API_DRAFTS_BYTES_MAX
            || bytes > API_DRAFT_FILE_BYTES_MAX as u64
            || kept.changed.len() >= TABLE_FILES_MAX;
        if is_too_much {
            let title = "There is no room for more in drafts";
            let status = StatusCode::INSUFFICIENT_STORAGE;
            return Err(Problem::new(status, "no_room", title, ""));
        }
        let place = folder.join(name);
        match text {
            Some(text) => write(&folder, &place, text).map_err(|error| not_kept(&error))?,
            None => fs::remove_file(&place).map_err(|error| match error.kind() {
                io::ErrorKind::NotFound => {
                    Problem::not_found("unknown_file", "the draft has no such file")
                }
                _ => not_kept(&error),
            })?,
        }
        kept.changed.insert(name.to_owned(), bytes);
        kept.revision += 1;
        kept.touched = Timestamp::now();
        Ok(kept.clone())
    }

    /// Takes a draft to be read.
    ///
    /// # Errors
    /// There is none of this name, or somebody else reads it.
    pub(super) fn work_on(&self, id: &str) -> Result<AtWork, Problem> {
        let mut all = lock(&self.all);
        let kept = all.get_mut(id).ok_or_else(unknown)?;
        if kept.is_read {
            return Err(in_use());
        }
        kept.is_read = true;
        kept.touched = Timestamp::now();
        Ok(AtWork {
            all: Arc::clone(&self.all),
            kept: kept.clone(),
        })
    }

    /// Throws away what nobody has touched for long.
    pub(in crate::api) fn sweep(&self) {
        let now = Timestamp::now();
        let mut old = Vec::new();
        lock(&self.all).retain(|id, kept| {
            let stays = kept.is_read || kept.until() > now;
            if !stays {
                old.push(id.clone());
            }
            stays
        });
        for (id, folder) in old.iter().zip(self.folder.iter().cycle()) {
            let _ = fs::remove_dir_all(folder.join(id));
        }
    }
}

impl AtWork {
    /// Notes that it serves as this generation.
    pub(super) fn applied(&self, generation: u64) {
        if let Some(kept) = lock(&self.all).get_mut(&self.kept.id) {
            kept.applied = Some(generation);
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        if let Some(kept) = lock(&self.all).get_mut(&self.kept.id) {
            kept.is_read = false;
        }
    }
}

fn lock(all: &Shared) -> MutexGuard<'_, BTreeMap<String, Kept>> {
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unknown() -> Problem {
    Problem::not_found("unknown_draft", "there is no such draft, or no longer")
}

fn in_use() -> Problem {
    let title = "The draft is being compared or applied";
    Problem::new(StatusCode::CONFLICT, "in_use", title, "")
}

fn not_kept(error: &io::Error) -> Problem {
    let title = "The draft cannot be kept";
    let status = StatusCode::INSUFFICIENT_STORAGE;
    Problem::new(status, "not_kept", title, error.to_string())
}

/// Whether a table may have a file of this name: it leads nowhere else, and is read.
fn check_name(name: &str) -> Result<(), Problem> {
    let parts: Vec<&str> = name.split('/').collect();
    let is_plain = |part: &&str| {
        !part.is_empty()
            && !part.starts_with('.')
            && !part.chars().any(|char| char.is_control() || char == '\\')
    };
    let is_table = parts.len() == 1 && name.ends_with(".toml");
    let is_list = parts.len() <= DEPTH_MAX && name.ends_with(".csv");
    let is_short = name.chars().count() <= NAME_CHARS_MAX;
    if is_short && parts.iter().all(is_plain) && (is_table || is_list) {
        return Ok(());
    }
    let detail = "a file is NAME.toml, or NAME.csv in folders of the table";
    Err(Problem::malformed(detail))
}

/// A folder with the same files. They are the same on disk until one is replaced.
fn copied(from: &Path, to: &Path) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    builder.recursive(true).mode(0o700);
    builder.create(to)?;
    for name in files_below(from)? {
        let (source, place) = (from.join(&name), to.join(&name));
        if let Some(parent) = place.parent() {
            builder.create(parent)?;
        }
        if fs::hard_link(&source, &place).is_err() {
            fs::copy(&source, &place)?;
        }
    }
    Ok(())
}

/// Replaces a file by renaming: the table it was copied of keeps its own.
fn write(folder: &Path, place: &Path, text: &[u8]) -> io::Result<()> {
    if let Some(parent) = place.parent() {
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(parent)?;
    }
    // No table has a file whose name begins with a dot.
    let beside = folder.join(".new");
    let mut options = fs::OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    let mut file = options.open(&beside)?;
    file.write_all(text)?;
    fs::rename(&beside, place)
}

#[cfg(test)]
mod tests {
    use super::check_name;

    #[test]
    fn no_name_leads_out_of_a_draft() {
        for name in ["routing.toml", "dids/users.csv", "a/b/c/d.csv", "users.csv"] {
            assert!(check_name(name).is_ok(), "{name}");
        }
        for name in [
            "",
            "/etc/x.toml",
            "../x.toml",
            "dids/../../x.csv",
            "dids//x.csv",
            "dids/.x.csv",
            ".x.toml",
            "dids/x.toml",
            "x.sh",
            "a/b/c/d/e.csv",
            "x\0.toml",
            "a\\b.toml",
            "x\n.csv",
            &format!("{}.csv", "x".repeat(255)),
        ] {
            assert!(check_name(name).is_err(), "{name:?}");
        }
    }
}
