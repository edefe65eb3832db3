//! The one door through which the running table changes.

use super::diagnostic::Report;
use super::source::Sources;
use super::{Loaded, Summary, gates, load};
use crate::routing::{RoutingTable, Snapshot};
use crate::system;
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
    /// Nothing is wrong with the files, but the change was not made: it could not be kept,
    /// or another one awaits its confirmation.
    NotMade {
        /// Number of the running table.
        generation: u64,
        /// Why, as a sentence.
        cause: String,
    },
}

/// What the gates of the running table have to say in a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GateRule {
    /// One that does not hold refuses the change, unless the new table accepts it by name.
    Ask,
    /// One that does not hold is a warning: somebody takes the change upon himself.
    Force,
    /// They are not asked: a table comes back that has served.
    Skip,
}

/// A table that is about to serve, and what it was made of.
#[derive(Clone, Copy, Debug)]
pub struct Accepted<'a> {
    /// The table.
    pub table: &'a RoutingTable,
    /// Its files, as they were read.
    pub files: &'a Sources,
    /// How much was read.
    pub summary: Summary,
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
            ..
        } = load(folder);
        match table {
            Some(table) => Ok((Self::serving(folder, table, 1), summary, report)),
            None => Err(report),
        }
    }

    /// Serves this table as this generation; reloads read `folder`.
    #[must_use]
    pub fn serving(folder: &Path, table: RoutingTable, generation: u64) -> Self {
        keep_in_large_pages(&table);
        let snapshot = Snapshot::new(Arc::new(table.with_generation(generation)));
        Self {
            folder: folder.to_owned(),
            current: ArcSwap::from_pointee(snapshot),
            reloading: Mutex::new(()),
        }
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

    /// Reads the folder again and swaps, as [`Self::change`] does. The new generation is
    /// the next number, and nothing is kept of it.
    pub fn reload(&self) -> Reload {
        let next = |_: &Accepted<'_>| Ok(self.current().generation() + 1);
        self.change(&self.folder, GateRule::Ask, next)
    }

    /// Reads a folder. Swaps only when its table has no error, differs, and the gates of the
    /// running one let the change pass or it was accepted by name; calls that began with the
    /// old table finish with it.
    ///
    /// `keep` is asked last, and gives the number of the new generation, or a sentence why
    /// it must not serve. Blocks for as long as all that takes: not for a call path.
    pub fn change(
        &self,
        from: &Path,
        gates: GateRule,
        keep: impl FnOnce(&Accepted<'_>) -> Result<u64, String>,
    ) -> Reload {
        let _one_at_a_time = self
            .reloading
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let begun = Instant::now();
        let Loaded {
            table,
            files,
            summary,
            report,
        } = load(from);
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
        let report = gates::check(&running, &table, Timestamp::now(), gates, report);
        if report.has_errors() {
            return Reload::Refused {
                generation: running.generation(),
                report,
            };
        }
        let accepted = Accepted {
            table: &table,
            files: &files,
            summary,
        };
        let generation = match keep(&accepted) {
            Ok(generation) => generation,
            Err(cause) => {
                return Reload::NotMade {
                    generation: running.generation(),
                    cause,
                };
            }
        };
        drop(files);
        keep_in_large_pages(&table);
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

/// A number is looked up anywhere in megabytes: in small pages each lookup also waits for the
/// processor to find out where its page is.
fn keep_in_large_pages(table: &RoutingTable) {
    table.places().for_each(system::keep_in_large_pages);
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
