//! The one door through which the running table changes.

use super::diagnostic::Report;
use super::{Loaded, Summary, gates, load};
use crate::routing::{RoutingTable, Snapshot};
use arc_swap::ArcSwap;
use jiff::Timestamp;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Holds the running table and changes it as a whole or not at all.
#[derive(Debug)]
pub struct TableStore {
    folder: PathBuf,
    current: ArcSwap<Snapshot>,
    /// One reload at a time; readers never take it.
    reloading: Mutex<()>,
}

/// How a reload ended.
#[derive(Debug)]
pub enum Reload {
    /// The new table serves from now on.
    Swapped {
        /// Number of the new table.
        generation: u64,
        /// What was read.
        summary: Summary,
        /// Warnings.
        report: Report,
        /// Reading, checking and compiling.
        load_time: Duration,
    },
    /// The files say what the running table says: nothing was changed.
    Unchanged {
        /// Number of the running table.
        generation: u64,
    },
    /// The files have errors, or a gate of the running table does not let the change pass
    /// (T035): the running table was kept.
    Refused {
        /// Number of the running table.
        generation: u64,
        /// The errors and warnings.
        report: Report,
    },
}

impl TableStore {
    /// Loads the folder's table as generation 1.
    ///
    /// # Errors
    /// The report of a table that has errors.
    pub fn open(folder: &Path) -> Result<(Self, Summary, Report), Report> {
        let Loaded {
            table,
            summary,
            report,
        } = load(folder);
        let Some(table) = table else {
            return Err(report);
        };
        let snapshot = Snapshot::new(Arc::new(table.with_generation(1)));
        let store = Self {
            folder: folder.to_owned(),
            current: ArcSwap::from_pointee(snapshot),
            reloading: Mutex::new(()),
        };
        Ok((store, summary, report))
    }

    /// The folder the table is read from.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The table that serves now, with the state of its trunks. Lock-free.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.current.load_full()
    }

    /// The table that serves now.
    #[must_use]
    pub fn current(&self) -> Arc<RoutingTable> {
        Arc::clone(&self.current.load().table)
    }

    /// Reads the folder again. Swaps only when the new table has no error, differs, and the
    /// gates of the running one let the change pass or it was accepted by name;
    /// calls that began with the old table finish with it. Blocks for as long as loading
    /// takes: not for a call path.
    pub fn reload(&self) -> Reload {
        let _one_at_a_time = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let Loaded {
            table,
            summary,
            report,
        } = load(&self.folder);
        let running = self.current();
        let Some(table) = table else {
            return Reload::Refused {
                generation: running.generation(),
                report,
            };
        };
        if table.hash() == running.hash() {
            return Reload::Unchanged {
                generation: running.generation(),
            };
        }
        let report = gates::check(&running, &table, Timestamp::now(), report);
        if report.has_errors() {
            return Reload::Refused {
                generation: running.generation(),
                report,
            };
        }
        let generation = running.generation() + 1;
        let table = Arc::new(table.with_generation(generation));
        // What is known of a trunk stays known when the table leaves it as it was.
        let availability = self.snapshot().availability.carried_over(&running, &table);
        drop(running);
        let next = Snapshot {
            table,
            availability: Arc::new(availability),
        };
        let load_time = begun.elapsed();
        let old = self.current.swap(Arc::new(next));
        free_off_the_call_path(old);
        Reload::Swapped {
            generation,
            summary,
            report,
            load_time,
        }
    }
}

/// A worker reads the table for one batch of datagrams; whoever lets go last frees it, and
/// that should be us. Bounded: a call that keeps its table for hours frees it itself.
fn free_off_the_call_path(old: Arc<Snapshot>) {
    for _ in 0..100 {
        if Arc::strong_count(&old) == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    drop(old);
}
