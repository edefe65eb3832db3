//! Every table that came to serve is kept, and can be called back.
//!
//! [`Generations`] joins the [`TableStore`], which checks and swaps, with a [`Ledger`], which
//! remembers, and an archive on disk. All changes of a running server's table come through
//! here, one at a time: what is kept is written before it serves, so that no table serves
//! that a restart would not know.

mod archive;
mod clocks;
mod drafts;
mod kept;
mod opening;
mod orders;
#[cfg(test)]
mod tests;

pub use crate::system::files_below;
pub use archive::NoArchive;
pub use clocks::clocks;
pub use opening::{OpenError, Opened};
pub use orders::NotOrdered;

use crate::ledger::{Cause, Generation, Ledger, Orders};
use crate::limits::GENERATIONS_KEPT;
use crate::tables::{Accepted, GateRule, Reload, TableStore};
use archive::Archive;
use kept::Kept;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Where generations are kept, and how many.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keeping {
    /// The state folder. Without one nothing outlives the process, and no table can be
    /// called back.
    pub folder: Option<PathBuf>,
    /// How many generations, at least 2.
    pub keep: usize,
}

impl Default for Keeping {
    fn default() -> Self {
        Self {
            folder: None,
            keep: GENERATIONS_KEPT,
        }
    }
}

/// Who wants a change, and how.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Who: a user, `signal`, `start` or `deadline`.
    pub by: String,
    /// What they say of it.
    pub message: Option<String>,
    /// Take it back after so many seconds, unless it is confirmed.
    pub confirm_s: Option<u32>,
    /// Make it even if a gate does not hold.
    pub force: bool,
}

impl Asked {
    /// A plain change.
    #[must_use]
    pub fn by(who: &str) -> Self {
        Self {
            by: who.to_owned(),
            ..Self::default()
        }
    }

    const fn gates(&self) -> GateRule {
        if self.force {
            GateRule::Force
        } else {
            GateRule::Ask
        }
    }
}

/// Why nothing was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// Another change awaits its confirmation.
    Unconfirmed {
        /// The generation on trial.
        generation: u64,
    },
    /// There is no state folder.
    NoState,
    /// Another table serves than the one a draft was made of.
    Stale {
        /// The generation that serves.
        generation: u64,
    },
    /// A draft serves, and the operator's folder does not have it.
    DraftServes {
        /// Its generation.
        generation: u64,
    },
    /// No change awaits a confirmation.
    NothingOnTrial {
        /// The generation that serves.
        generation: u64,
    },
    /// No generation served before this one.
    NothingBefore,
    /// No such generation is kept.
    Unknown {
        /// What was asked for.
        generation: u64,
        /// The oldest and the newest that are kept.
        kept: (u64, u64),
    },
}

impl Denied {
    /// As it stands in JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unconfirmed { .. } => "unconfirmed",
            Self::NoState => "no_state",
            Self::Stale { .. } => "stale",
            Self::DraftServes { .. } => "draft_serves",
            Self::NothingOnTrial { .. } => "nothing_on_trial",
            Self::NothingBefore => "nothing_before",
            Self::Unknown { .. } => "unknown_generation",
        }
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unconfirmed { generation } => write!(
                f,
                "gen {generation} awaits its confirmation: `trunkline confirm` or `trunkline \
                 undo` first, or try the next change with --confirm too"
            ),
            Self::NoState => f.write_str(
                "no tables are kept, so none can come back: set dir in [state] of the \
                 configuration, and start again",
            ),
            Self::Stale { generation } => write!(
                f,
                "gen {generation} serves by now, and the draft was made of another table: make \
                 a new one"
            ),
            Self::DraftServes { generation } => write!(
                f,
                "gen {generation} is a draft that the folder does not have, and a reload would \
                 lose it: bring its changes into the folder, `trunkline undo` it, or give it up \
                 with `trunkline reload --force`"
            ),
            Self::NothingOnTrial { generation } => write!(
                f,
                "no change awaits a confirmation; gen {generation} serves"
            ),
            Self::NothingBefore => f.write_str("no generation served before this one"),
            Self::Unknown {
                generation,
                kept: (oldest, newest),
            } => write!(
                f,
                "gen {generation} is not kept; `trunkline history` shows what is, from gen \
                 {oldest} to gen {newest}"
            ),
        }
    }
}

/// The table that serves, those that served before it, and the way from one to the other.
#[derive(Debug)]
pub struct Generations {
    store: Arc<TableStore>,
    kept: Kept,
    /// What was ordered of trunks.
    orders: Mutex<Arc<Orders>>,
    /// One change at a time; who only looks never takes it.
    changing: Mutex<()>,
}

impl Generations {
    /// The table that serves.
    #[must_use]
    pub const fn store(&self) -> &Arc<TableStore> {
        &self.store
    }

    /// What is known of all generations.
    #[must_use]
    pub fn ledger(&self) -> Arc<Ledger> {
        self.kept.ledger()
    }

    /// Whether tables are kept on disk.
    #[must_use]
    pub const fn keeps_tables(&self) -> bool {
        self.kept.archive.is_some()
    }

    /// How long until the trial that runs is over. `None` without one.
    #[must_use]
    pub fn trial_left(&self) -> Option<Duration> {
        let ledger = self.ledger();
        Some(ledger.trial()?.deadline.left(&clocks()))
    }

    /// Reads the operator's folder again, and serves what it says if it may.
    ///
    /// # Errors
    /// While another change awaits its confirmation; a trial without a state folder; where
    /// a draft serves that the folder does not have, unless it is forced.
    pub fn reload(&self, asked: &Asked) -> Result<Reload, Denied> {
        let _one_at_a_time = lock(&self.changing);
        let ledger = self.admitted(asked)?;
        let mut loses_draft = false;
        let keep = |accepted: &Accepted<'_>| {
            if !asked.force
                && let Some(file) = self.lost_of_draft(&ledger, accepted.files)
            {
                loses_draft = true;
                return Err(file);
            }
            self.kept
                .keep(&ledger, accepted, (Cause::Reload, None), asked)
        };
        let folder = self.store.folder();
        let outcome = (self.store).change(folder, asked.gates(), keep, self.prepared());
        if loses_draft {
            let generation = self.store.current().generation();
            return Err(Denied::DraftServes { generation });
        }
        if let (Reload::Unchanged { generation }, Some(agreed)) = (&outcome, ledger.agreed())
            && let Err(cause) = self.kept.write(&agreed)
        {
            let generation = *generation;
            return Ok(Reload::NotMade { generation, cause });
        }
        Ok(outcome)
    }

    /// Ends the trial that runs: its table stays.
    ///
    /// # Errors
    /// None runs. The inner one: it could not be written down, and the trial goes on.
    pub fn confirm(&self) -> Result<Result<Generation, String>, Denied> {
        let _one_at_a_time = lock(&self.changing);
        let ledger = self.ledger();
        let generation = ledger.serving().cloned();
        match (ledger.confirmed(), generation) {
            (Some(confirmed), Some(generation)) => {
                Ok(self.kept.write(&confirmed).map(|()| generation))
            }
            (_, generation) => Err(Denied::NothingOnTrial {
                generation: generation.map_or(0, |serving| serving.number),
            }),
        }
    }

    /// Serves again what served before: the table a trial returns to, or that of the
    /// generation before. No gate is asked. Undoing an undo brings back what was undone.
    ///
    /// # Errors
    /// Nothing served before, or nothing is kept.
    pub fn undo(&self, asked: &Asked) -> Result<Reload, Denied> {
        let _one_at_a_time = lock(&self.changing);
        let ledger = self.ledger();
        let archive = self.kept.archive.as_ref().ok_or(Denied::NoState)?;
        let target = ledger.before().ok_or(Denied::NothingBefore)?;
        Ok(self.call_back(archive, target, Cause::Undo, asked))
    }

    /// Serves the table of an older generation again.
    ///
    /// # Errors
    /// It is not kept, or another change awaits its confirmation.
    pub fn rollback(&self, generation: u64, asked: &Asked) -> Result<Reload, Denied> {
        let _one_at_a_time = lock(&self.changing);
        let archive = self.kept.archive.as_ref().ok_or(Denied::NoState)?;
        let ledger = self.admitted(asked)?;
        let target = self.known(&ledger, generation)?;
        Ok(self.call_back(archive, target, Cause::Rollback, asked))
    }

    /// Takes a change back that was not confirmed in time. `None` when there is none. Where
    /// the former table cannot come back, the trial ends all the same, and its table stays.
    pub fn return_if_due(&self) -> Option<Reload> {
        let _one_at_a_time = lock(&self.changing);
        let ledger = self.ledger();
        let trial = ledger.trial()?;
        if !trial.deadline.left(&clocks()).is_zero() {
            return None;
        }
        let archive = self.kept.archive.as_ref()?;
        let target = ledger.get(trial.return_to)?;
        let outcome = self.call_back(archive, target, Cause::Return, &Asked::by("deadline"));
        let failed = matches!(outcome, Reload::Refused { .. } | Reload::NotMade { .. });
        if let (true, Some(ended)) = (failed, ledger.confirmed()) {
            // Not on disk, perhaps: then the next start tries again.
            let _ = self.kept.write(&ended);
        }
        Some(outcome)
    }

    /// The folder with the files of a generation, as they were read.
    ///
    /// # Errors
    /// It is not kept.
    pub fn files_of(&self, generation: u64) -> Result<(Generation, PathBuf), Denied> {
        let archive = self.kept.archive.as_ref().ok_or(Denied::NoState)?;
        let ledger = self.ledger();
        let found = self.known(&ledger, generation)?;
        Ok((found.clone(), archive.table_folder(&found.sha256)))
    }

    fn known<'l>(&self, ledger: &'l Ledger, generation: u64) -> Result<&'l Generation, Denied> {
        let number = |found: Option<&Generation>| found.map_or(0, |found| found.number);
        ledger.get(generation).ok_or_else(|| Denied::Unknown {
            generation,
            kept: (
                number(ledger.generations().first()),
                number(ledger.serving()),
            ),
        })
    }

    fn admitted(&self, asked: &Asked) -> Result<Arc<Ledger>, Denied> {
        let ledger = self.ledger();
        if asked.confirm_s.is_some() && self.kept.archive.is_none() {
            return Err(Denied::NoState);
        }
        match ledger.admits(asked.confirm_s.is_some()) {
            Ok(()) => Ok(ledger),
            Err(unconfirmed) => Err(Denied::Unconfirmed {
                generation: unconfirmed.generation,
            }),
        }
    }

    fn call_back(
        &self,
        archive: &Archive,
        target: &Generation,
        cause: Cause,
        asked: &Asked,
    ) -> Reload {
        let ledger = self.ledger();
        let gates = match cause {
            Cause::Rollback => asked.gates(),
            _ => GateRule::Skip,
        };
        let keep = |accepted: &Accepted<'_>| {
            if accepted.table.hash().to_string() != target.sha256 {
                return Err(format!(
                    "the files kept of gen {} are damaged",
                    target.number
                ));
            }
            let how = (cause, Some(target.number));
            self.kept.keep(&ledger, accepted, how, asked)
        };
        let folder = archive.table_folder(&target.sha256);
        let outcome = (self.store).change(&folder, gates, keep, self.prepared());
        // The table on trial is the one to return to: nothing is left to be confirmed.
        if let (Reload::Unchanged { generation }, Some(ended)) = (&outcome, ledger.confirmed())
            && let Err(cause) = self.kept.write(&ended)
        {
            let generation = *generation;
            return Reload::NotMade { generation, cause };
        }
        outcome
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
