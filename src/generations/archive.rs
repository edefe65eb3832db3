//! The state folder: complete tables and one ledger, at whatever instant the power fails.
//!
//! ```text
//! ledger.json            the generations; replaced as a whole
//! orders.json            what was ordered of trunks; replaced as a whole
//! tables/<sha256>/…      the files of one table, as they were read
//! lock                   held by the process that serves
//! ```
//!
//! A table is written beside its place, flushed, and renamed; the ledger that speaks of it
//! follows, in the same way. A table of which no ledger speaks is rubbish, and is swept away
//! by renaming it first: what stands in `tables` under its own name is always complete.

use crate::ledger::{Ledger, Orders};
use crate::limits::LEDGER_BYTES_MAX;
use crate::tables::source::Sources;
use std::collections::BTreeSet;
use std::fmt;
use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The state folder of this process.
#[derive(Debug)]
pub(super) struct Archive {
    folder: PathBuf,
    /// Held until the process ends, however it ends.
    _lock: File,
}

/// Why a state folder cannot be used.
#[derive(Debug)]
pub enum NoArchive {
    /// The system said no.
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What it said.
        cause: io::Error,
    },
    /// Another process serves from it.
    InUse {
        /// The folder.
        folder: PathBuf,
    },
}

impl fmt::Display for NoArchive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unusable { folder, cause } => {
                write!(
                    f,
                    "cannot use the state folder {}: {cause}",
                    folder.display()
                )
            }
            Self::InUse { folder } => write!(
                f,
                "another process uses the state folder {}: give each its own [state] dir",
                folder.display()
            ),
        }
    }
}

impl std::error::Error for NoArchive {}

impl Archive {
    /// Opens the folder for this process alone; makes it if it is not there. A ledger that
    /// cannot be read is set aside, with a sentence about it.
    pub(super) fn open(folder: &Path) -> Result<(Self, Ledger, Option<String>), NoArchive> {
        let unusable = |cause| NoArchive::Unusable {
            folder: folder.to_owned(),
            cause,
        };
        let tables = folder.join("tables");
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        builder.create(&tables).map_err(unusable)?;
        let lock = private().open(folder.join("lock")).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let folder = folder.to_owned();
                return Err(NoArchive::InUse { folder });
            }
            Err(TryLockError::Error(cause)) => return Err(unusable(cause)),
        }
        let archive = Self {
            folder: folder.to_owned(),
            _lock: lock,
        };
        let (ledger, damage) = archive.read_ledger().map_err(unusable)?;
        archive.sweep(&ledger);
        Ok((archive, ledger, damage))
    }

    /// Where the files of a table stand, if they are kept.
    pub(super) fn table_folder(&self, sha256: &str) -> PathBuf {
        self.folder.join("tables").join(sha256)
    }

    /// Keeps the files of a table. Either all of them are there afterwards, or none.
    pub(super) fn put_table(&self, sha256: &str, files: &Sources) -> io::Result<()> {
        let place = self.table_folder(sha256);
        if place.is_dir() {
            return Ok(());
        }
        let beside = self.folder.join("tables").join(format!(".new-{sha256}"));
        if beside.exists() {
            fs::remove_dir_all(&beside)?;
        }
        let mut builder = DirBuilder::new();
        builder.recursive(true).mode(0o700);
        let mut folders = BTreeSet::from([beside.clone()]);
        builder.create(&beside)?;
        for file in files.iter() {
            let path = beside.join(file.name());
            let parents = path.ancestors().skip(1).take_while(|up| *up != beside);
            folders.extend(parents.map(Path::to_owned));
            if let Some(parent) = path.parent() {
                builder.create(parent)?;
            }
            write_through(&path, file.bytes())?;
        }
        // The deepest first: a folder is there when its entry is.
        for folder in folders.iter().rev() {
            flush_folder(folder)?;
        }
        fs::rename(&beside, &place)?;
        flush_folder(&self.folder.join("tables"))
    }

    /// Replaces the ledger. Afterwards the new one is on disk; after an error, or a power
    /// cut at whatever instant, it is the old one or the new one.
    pub(super) fn write_ledger(&self, ledger: &Ledger) -> io::Result<()> {
        self.replace(&self.ledger_file(), ledger)
    }

    /// Replaces the orders, as [`Self::write_ledger`] does the ledger.
    pub(super) fn write_orders(&self, orders: &Orders) -> io::Result<()> {
        self.replace(&self.orders_file(), orders)
    }

    /// The orders that stand. What cannot be read is set aside, with a sentence about it.
    pub(super) fn read_orders(&self) -> (Orders, Option<String>) {
        let read = match read_bounded(&self.orders_file()) {
            Ok(Some(bytes)) => serde_json::from_slice(&bytes).map_err(|error| error.to_string()),
            Ok(None) => Ok(Orders::default()),
            Err(error) => Err(error.to_string()),
        };
        let error = match read {
            Ok(orders) => return (orders, None),
            Err(error) => error,
        };
        let aside = self.folder.join("orders.damaged.json");
        let kept = match fs::rename(self.orders_file(), &aside) {
            Ok(()) => format!("they are now in {}", aside.display()),
            Err(error) => format!("they cannot be set aside: {error}"),
        };
        let sentence = format!(
            "the orders about trunks in {} cannot be read ({error}): {kept}, and no trunk is \
             draining or in maintenance",
            self.folder.display()
        );
        (Orders::default(), Some(sentence))
    }

    fn replace(&self, file: &Path, what: &impl serde::Serialize) -> io::Result<()> {
        let mut text = serde_json::to_vec_pretty(what)?;
        text.push(b'\n');
        let beside = file.with_extension("json.new");
        write_through(&beside, &text)?;
        fs::rename(&beside, file)?;
        flush_folder(&self.folder)
    }

    /// Removes tables of which the ledger does not speak, and what a power cut left. What
    /// cannot be removed now is tried again the next time.
    pub(super) fn sweep(&self, ledger: &Ledger) {
        let tables = self.folder.join("tables");
        let needed = ledger.tables();
        let Ok(entries) = fs::read_dir(&tables) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            if needed.contains(&*name) {
                continue;
            }
            let gone = tables.join(format!(".gone-{}", name.trim_start_matches('.')));
            let renamed = name.starts_with('.')
                || (fs::rename(entry.path(), &gone).is_ok() && flush_folder(&tables).is_ok());
            if renamed {
                let rest = if name.starts_with('.') {
                    entry.path()
                } else {
                    gone
                };
                let _ = fs::remove_dir_all(rest);
            }
        }
    }

    fn ledger_file(&self) -> PathBuf {
        self.folder.join("ledger.json")
    }

    fn orders_file(&self) -> PathBuf {
        self.folder.join("orders.json")
    }

    /// What a damaged ledger spoke of is for somebody to look at, not to be swept away.
    fn set_aside(&self) -> io::Result<()> {
        let (tables, aside) = (
            self.folder.join("tables"),
            self.folder.join("tables.damaged"),
        );
        // Empty: the power failed between the lines below, and they have been set aside.
        if fs::read_dir(&tables)?.next().is_some() {
            if aside.exists() {
                fs::remove_dir_all(&aside)?;
            }
            fs::rename(&tables, &aside)?;
            DirBuilder::new().mode(0o700).create(&tables)?;
        }
        fs::rename(self.ledger_file(), self.folder.join("ledger.damaged.json"))?;
        flush_folder(&self.folder)
    }

    fn read_ledger(&self) -> io::Result<(Ledger, Option<String>)> {
        let Some(bytes) = read_bounded(&self.ledger_file())? else {
            return Ok((Ledger::default(), None));
        };
        match serde_json::from_slice(&bytes) {
            Ok(ledger) => Ok((ledger, None)),
            Err(error) => {
                self.set_aside()?;
                let sentence = format!(
                    "the history in {} cannot be read ({error}): it is now ledger.damaged.json, \
                     its tables are in tables.damaged, and a new history begins",
                    self.folder.display()
                );
                Ok((Ledger::default(), Some(sentence)))
            }
        }
    }
}

fn private() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.create(true).truncate(true).write(true).mode(0o600);
    options
}

/// Writes a file that is on disk when this returns, but for its name.
fn write_through(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = private().open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The bytes of a file of ours, as many as it may have; `None` when it is not there.
fn read_bounded(path: &Path) -> io::Result<Option<Vec<u8>>> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut bytes = Vec::new();
    file.take(LEDGER_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(Some(bytes))
}

/// Has the names in a folder on disk.
fn flush_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}
