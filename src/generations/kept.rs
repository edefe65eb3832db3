//! The ledger and the archive, in step.

use super::archive::Archive;
use super::{Asked, clocks, lock};
use crate::ledger::{Cause, Counts, Deadline, Generation, Ledger};
use crate::tables::Accepted;
use std::io;
use std::sync::{Arc, Mutex};

/// What is remembered, in memory and, with a state folder, on disk.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) archive: Option<Archive>,
    /// How many generations are kept.
    pub(super) keep: usize,
    ledger: Mutex<Arc<Ledger>>,
}

/// How a table comes to serve, and the generation it is called back from.
pub(super) type How = (Cause, Option<u64>);

impl Kept {
    /// With what was read from the archive.
    pub(super) fn new(archive: Option<Archive>, keep: usize, ledger: Ledger) -> Self {
        Self {
            archive,
            keep,
            ledger: Mutex::new(Arc::new(ledger)),
        }
    }

    /// The ledger as it was last written.
    pub(super) fn ledger(&self) -> Arc<Ledger> {
        Arc::clone(&lock(&self.ledger))
    }

    /// Keeps a table that is about to serve, then says so in the ledger. Gives its number,
    /// or a sentence why it cannot be kept.
    pub(super) fn keep(
        &self,
        ledger: &Ledger,
        accepted: &Accepted<'_>,
        how: How,
        asked: &Asked,
    ) -> Result<u64, String> {
        let (next, sha256) = entered(ledger, accepted, how, asked);
        if let Some(archive) = &self.archive {
            archive
                .put_table(&sha256, accepted.files)
                .map_err(|error| not_kept("the table", &error))?;
        }
        self.write(&next)?;
        Ok(ledger.next_number())
    }

    /// As [`Self::keep`]; what cannot be kept is remembered until the process ends.
    pub(super) fn keep_or_remember(
        &self,
        ledger: &Ledger,
        accepted: &Accepted<'_>,
        how: How,
        asked: &Asked,
    ) -> Result<u64, (u64, String)> {
        self.keep(ledger, accepted, how, asked).map_err(|cause| {
            let (next, _) = entered(ledger, accepted, how, asked);
            *lock(&self.ledger) = Arc::new(next.pruned(self.keep));
            (ledger.next_number(), cause)
        })
    }

    /// Writes a ledger, without what is too old; then what nobody needs any more goes.
    pub(super) fn write(&self, ledger: &Ledger) -> Result<(), String> {
        let ledger = ledger.pruned(self.keep);
        if let Some(archive) = &self.archive {
            archive
                .write_ledger(&ledger)
                .map_err(|error| not_kept("the table", &error))?;
            archive.sweep(&ledger);
        }
        *lock(&self.ledger) = Arc::new(ledger);
        Ok(())
    }
}

/// The ledger with the table entered, and the name of the table.
fn entered(
    ledger: &Ledger,
    accepted: &Accepted<'_>,
    (cause, table_of): How,
    asked: &Asked,
) -> (Ledger, String) {
    let clocks = clocks();
    let sha256 = accepted.table.hash().to_string();
    let generation = Generation {
        number: ledger.next_number(),
        sha256: sha256.clone(),
        at: clocks.now,
        by: asked.by.clone(),
        cause,
        table_of,
        message: asked.message.clone(),
        counts: counts(accepted),
    };
    let deadline = asked.confirm_s.map(|s| Deadline::after(s, &clocks));
    (ledger.with(generation, deadline), sha256)
}

fn counts(accepted: &Accepted<'_>) -> Counts {
    let read = &accepted.summary;
    Counts {
        dids: read.dids,
        rules: read.rules as u64,
        files: (read.toml_files + read.csv_files) as u64,
    }
}

/// A sentence about what has no place in the state folder.
pub(super) fn not_kept(what: &str, error: &io::Error) -> String {
    format!("{what} cannot be kept in the state folder: {error}")
}
