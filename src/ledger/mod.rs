//! Which tables have served, which one serves, what serves next, and what was ordered of the
//! trunks: no file, no clock.
//!
//! A [`Ledger`] is a list of [`Generation`]s of which the last one serves, and at most one
//! [`Trial`]. Every step makes a new ledger from an old one; who keeps them on disk writes
//! the whole of it, so there is no half of a step.

mod deadline;
mod generation;
#[cfg(test)]
mod laws;
mod order;
mod spans;

pub use deadline::{Boot, Clocks, Deadline};
pub use generation::{Cause, Counts, Generation};
pub use order::{OrderKind, Orders, TrunkOrder};
pub use spans::{Span, spans};

use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The generations that are kept, oldest first. The last one serves.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written")]
pub struct Ledger {
    generations: Vec<Generation>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trial: Option<Trial>,
    #[serde(skip_serializing_if = "Option::is_none")]
    folder_sha256: Option<String>,
}

/// A change that is taken back unless it is confirmed. The serving generation is on trial.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trial {
    /// The generation whose table serves again when nobody confirms.
    pub return_to: u64,
    /// When.
    pub deadline: Deadline,
}

impl Trial {
    /// `returns to gen 214 at 2026-08-21T09:19:02Z unless it is confirmed`.
    #[must_use]
    pub fn sentence(&self) -> String {
        format!(
            "returns to gen {} at {:.0} unless it is confirmed",
            self.return_to, self.deadline.until
        )
    }
}

/// What a process serves when it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// The operator's folder.
    Folder,
    /// The generation that served last, whatever the folder says by now.
    Kept(Why),
    /// The table of this generation, as a new one: its successor was not confirmed in time.
    Return {
        /// The generation to return to.
        to: u64,
    },
}

/// Why the folder is not asked at a start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// The serving generation is on trial, and there is time left.
    OnTrial,
    /// It was put in place of what the folder says, by an undo, a rollback or a return.
    Held,
}

/// A change that may not be made now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unconfirmed {
    /// The generation on trial.
    pub generation: u64,
}

impl Ledger {
    /// The generations that are kept, oldest first.
    #[must_use]
    pub fn generations(&self) -> &[Generation] {
        &self.generations
    }

    /// The generation that serves. `None` before the first.
    #[must_use]
    pub fn serving(&self) -> Option<&Generation> {
        self.generations.last()
    }

    /// The generation of a number, if it is kept.
    #[must_use]
    pub fn get(&self, number: u64) -> Option<&Generation> {
        let mut all = self.generations.iter();
        all.find(|generation| generation.number == number)
    }

    /// The number of the next generation.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.serving()
            .map_or(1, |last| last.number.saturating_add(1))
    }

    /// The trial that runs.
    #[must_use]
    pub const fn trial(&self) -> Option<&Trial> {
        self.trial.as_ref()
    }

    /// Whether something else serves than the folder said when it was last read: after an
    /// undo, a rollback or a return, until the folder is read again.
    #[must_use]
    pub fn is_held(&self) -> bool {
        match (self.serving(), &self.folder_sha256) {
            (Some(serving), Some(folder)) => serving.sha256 != *folder,
            _ => false,
        }
    }

    /// SHA-256 of the table that the folder said when it was last read.
    #[must_use]
    pub fn folder_sha256(&self) -> Option<&str> {
        self.folder_sha256.as_deref()
    }

    /// Whether what serves came as a draft, by itself or called back again. Of a table called
    /// back from a generation that is no longer kept, nobody knows.
    #[must_use]
    pub fn is_drafted(&self) -> bool {
        let mut found = self.serving();
        // A generation calls back an older one: the numbers fall.
        while let Some(generation) = found {
            if generation.cause == Cause::Draft {
                return true;
            }
            let older = generation.table_of.filter(|of| *of < generation.number);
            found = older.and_then(|of| self.get(of));
        }
        false
    }

    /// The generation whose table an undo brings back: that to which a trial returns, or
    /// the one that served before.
    #[must_use]
    pub fn before(&self) -> Option<&Generation> {
        match &self.trial {
            Some(trial) => self.get(trial.return_to),
            None => self.generations.iter().rev().nth(1),
        }
    }

    /// What serves when a process starts with this ledger.
    #[must_use]
    pub fn opening(&self, clocks: &Clocks) -> Opening {
        match &self.trial {
            Some(trial) if trial.deadline.left(clocks).is_zero() => Opening::Return {
                to: trial.return_to,
            },
            Some(_) => Opening::Kept(Why::OnTrial),
            None if self.is_held() => Opening::Kept(Why::Held),
            None => Opening::Folder,
        }
    }

    /// Whether a table may take the place of the serving one. While a trial runs only
    /// another trial may, so that nothing confirms a change by the way; an undo and the
    /// return itself do not ask.
    ///
    /// # Errors
    /// The generation on trial.
    pub fn admits(&self, is_trial: bool) -> Result<(), Unconfirmed> {
        match (&self.trial, self.serving()) {
            (Some(_), Some(serving)) if !is_trial => Err(Unconfirmed {
                generation: serving.number,
            }),
            _ => Ok(()),
        }
    }

    /// This ledger after `generation` came to serve. With a deadline it is on trial; a trial
    /// of a trial returns to where the first would. A table read from the folder is what the
    /// folder says from now on.
    #[must_use]
    pub fn with(&self, generation: Generation, deadline: Option<Deadline>) -> Self {
        let return_to = match (&self.trial, self.serving()) {
            (Some(trial), _) => Some(trial.return_to),
            (None, Some(serving)) => Some(serving.number),
            (None, None) => None,
        };
        let trial = return_to.zip(deadline).map(|(return_to, deadline)| Trial {
            return_to,
            deadline,
        });
        let folder_sha256 = match generation.cause {
            Cause::Start | Cause::Reload => Some(generation.sha256.clone()),
            Cause::Undo | Cause::Rollback | Cause::Return | Cause::Draft => {
                self.folder_sha256.clone()
            }
        };
        let mut generations = self.generations.clone();
        generations.push(generation);
        Self {
            generations,
            trial,
            folder_sha256,
        }
    }

    /// This ledger after its trial was confirmed, or became needless. `None` without one.
    #[must_use]
    pub fn confirmed(&self) -> Option<Self> {
        self.trial.as_ref()?;
        Some(Self {
            trial: None,
            ..self.clone()
        })
    }

    /// This ledger after the folder was read and says what serves. `None` when that was
    /// known.
    #[must_use]
    pub fn agreed(&self) -> Option<Self> {
        let serving = &self.serving()?.sha256;
        (self.folder_sha256.as_ref() != Some(serving)).then(|| Self {
            folder_sha256: Some(serving.clone()),
            ..self.clone()
        })
    }

    /// This ledger without the oldest generations beyond `keep`. The serving one, the one
    /// before it and the one a trial returns to always stay.
    #[must_use]
    pub fn pruned(&self, keep: usize) -> Self {
        let too_many = self.generations.len().saturating_sub(keep.max(2));
        let return_to = self.trial.as_ref().map(|trial| trial.return_to);
        let stays = |(at, generation): &(usize, &Generation)| {
            *at >= too_many || Some(generation.number) == return_to
        };
        let kept = self.generations.iter().enumerate().filter(stays);
        Self {
            generations: kept.map(|(_, generation)| generation.clone()).collect(),
            ..self.clone()
        }
    }

    /// SHA-256 of every table that some kept generation serves, as hexadecimal digits.
    #[must_use]
    pub fn tables(&self) -> BTreeSet<&str> {
        let all = self.generations.iter();
        all.map(|generation| &*generation.sha256).collect()
    }
}

/// A ledger as it is read, before it is known to make sense. What a later version may have
/// added is passed over: a history is not lost because somebody goes back a version.
#[derive(Deserialize)]
struct Written {
    generations: Vec<Generation>,
    #[serde(default)]
    trial: Option<Trial>,
    #[serde(default)]
    folder_sha256: Option<String>,
}

impl TryFrom<Written> for Ledger {
    type Error = &'static str;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let ledger = Self {
            generations: written.generations,
            trial: written.trial,
            folder_sha256: written.folder_sha256,
        };
        let pairs = ledger
            .generations
            .iter()
            .zip(ledger.generations.iter().skip(1));
        if pairs.into_iter().any(|(a, b)| a.number >= b.number) {
            return Err("generations are not in order");
        }
        // A name of a folder is made of it.
        let is_digest = |text: &str| {
            text.len() == 64
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        if !ledger.tables().into_iter().all(is_digest) {
            return Err("a sha256 is not 64 hexadecimal digits");
        }
        match &ledger.trial {
            Some(trial) if ledger.get(trial.return_to).is_none() => {
                Err("a trial returns to a generation that is not kept")
            }
            Some(trial) if ledger.serving().map(|last| last.number) == Some(trial.return_to) => {
                Err("a trial returns to itself")
            }
            _ => Ok(ledger),
        }
    }
}
