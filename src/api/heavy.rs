//! Work that takes seconds for large tables: few pieces of it at a time, and beside the
//! thread that answers.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Semaphore;

use super::problem::Problem;
use crate::generations::Generations;
use crate::limits::{API_HEAVY_MAX, API_HEAVY_WAITING_MAX};
use crate::routing::{RoutingTable, Snapshot};
use crate::tables;

/// Who works, and who waits.
#[derive(Debug)]
pub(super) struct Heavy {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// The table that was read last.
    shelf: Arc<Mutex<Option<Arc<Snapshot>>>>,
}

impl Heavy {
    pub(super) fn new() -> Self {
        Self {
            turns: Arc::new(Semaphore::new(API_HEAVY_MAX)),
            waiting: AtomicUsize::new(0),
            shelf: Arc::default(),
        }
    }

    /// Does it when its turn has come.
    ///
    /// # Errors
    /// Too much waits already.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Problem> {
        let waiting = Waiting::begin(&self.waiting)?;
        let turn = Arc::clone(&self.turns).acquire_owned().await;
        let turn = turn.map_err(|_| Problem::busy("the server is stopping"))?;
        drop(waiting);
        let done = tokio::task::spawn_blocking(move || {
            // Held until it is done, also when nobody waits for it any more.
            let _turn = turn;
            work()
        });
        done.await
            .map_err(|_| Problem::failed("the work was broken off"))
    }

    /// The table of a generation; the one that serves, with its trunks as they are, where
    /// none is named.
    ///
    /// # Errors
    /// It is not kept, or cannot be read any more.
    pub(super) async fn table(
        &self,
        generations: &Arc<Generations>,
        wanted: Option<u64>,
    ) -> Result<Arc<Snapshot>, Problem> {
        let serving = generations.store().snapshot();
        let Some(number) = wanted.filter(|number| *number != serving.table.generation()) else {
            return Ok(serving);
        };
        let (generations, shelf) = (Arc::clone(generations), Arc::clone(&self.shelf));
        self.run(move || read(&generations, &shelf, number)).await?
    }
}

fn read(
    generations: &Generations,
    shelf: &Mutex<Option<Arc<Snapshot>>>,
    number: u64,
) -> Result<Arc<Snapshot>, Problem> {
    let mut shelf = shelf.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = shelf.as_ref()
        && known.table.generation() == number
    {
        return Ok(Arc::clone(known));
    }
    let table = table_of(generations, number)?.with_generation(number);
    let snapshot = Arc::new(Snapshot::new(Arc::new(table)));
    *shelf = Some(Arc::clone(&snapshot));
    Ok(snapshot)
}

/// Reads the table of a generation. Takes as long as a reload.
pub(super) fn table_of(generations: &Generations, number: u64) -> Result<RoutingTable, Problem> {
    let (_, folder) = generations
        .files_of(number)
        .map_err(|denied| Problem::denied(denied, generations))?;
    let table = tables::load(&folder).table;
    table.ok_or_else(|| Problem::failed(format!("the files kept of gen {number} have errors")))
}

/// One more that waits.
struct Waiting<'h>(&'h AtomicUsize);

impl<'h> Waiting<'h> {
    fn begin(waiting: &'h AtomicUsize) -> Result<Self, Problem> {
        let place = Self(waiting);
        if waiting.fetch_add(1, Ordering::AcqRel) >= API_HEAVY_WAITING_MAX {
            return Err(Problem::busy("tables are being read and compared"));
        }
        Ok(place)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::AcqRel);
    }
}
