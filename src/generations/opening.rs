//! What serves when a process starts.

use super::archive::{Archive, NoArchive};
use super::kept::{How, Kept};
use super::{Asked, Generations, Keeping, clocks, orders};
use crate::ledger::{Cause, Generation, Ledger, Opening, Orders, Why};
use crate::routing::RoutingTable;
use crate::tables::source::Sources;
use crate::tables::{Accepted, Loaded, Report, Summary, TableStore, load};
use std::path::Path;
use std::sync::{Arc, Mutex};

/// What is to be said of a start.
#[derive(Debug, Default)]
pub struct Opened {
    /// Warnings about the table that serves.
    pub report: Report,
    /// What whoever operates the server must know, a sentence each.
    pub remarks: Vec<String>,
    /// What is wrong with the folder, when an older table serves because of it.
    pub refused: Option<Report>,
}

/// Why nothing can be served.
#[derive(Debug)]
pub enum OpenError {
    /// The folder's table has errors, and none is kept that could serve in its place.
    Table(Box<Report>),
    /// The state folder cannot be used.
    State(NoArchive),
}

impl Generations {
    /// Begins to serve: the table of `folder`, or what the ledger of the state folder puts
    /// in its place ([`Ledger::opening`]). Where the folder's table has errors, the one that
    /// served last serves on. No gate is asked.
    ///
    /// # Errors
    /// There is nothing to serve, or the state folder is of no use.
    pub fn open(folder: &Path, keeping: &Keeping) -> Result<(Self, Opened), OpenError> {
        let mut start = Start {
            folder,
            kept: Kept::new(None, keeping.keep, Ledger::default()),
            orders: Orders::default(),
            opened: Opened::default(),
        };
        let Some(state) = &keeping.folder else {
            return start.with_folder();
        };
        let (archive, ledger, damage) = Archive::open(state).map_err(OpenError::State)?;
        start.opened.remarks.extend(damage);
        let (orders, damage) = archive.read_orders();
        start.opened.remarks.extend(damage);
        start.orders = orders;
        start.kept = Kept::new(Some(archive), keeping.keep, ledger);
        match start.kept.ledger().opening(&clocks()) {
            Opening::Folder => start.with_folder(),
            Opening::Kept(why) => start.with_ledger(why),
            Opening::Return { to } => start.returned(to),
        }
    }
}

/// A start on its way.
struct Start<'a> {
    folder: &'a Path,
    kept: Kept,
    orders: Orders,
    opened: Opened,
}

type Ready = Result<(Generations, Opened), OpenError>;

impl Start<'_> {
    /// As without a state folder: what stands there serves.
    fn with_folder(mut self) -> Ready {
        let Loaded {
            table,
            files,
            summary,
            report,
            ..
        } = load(self.folder);
        let Some(table) = table else {
            return self.in_place_of_broken(report);
        };
        self.opened.report = report;
        let ledger = self.kept.ledger();
        if let Some(last) = ledger.serving().filter(|last| says(&table, last)) {
            let number = last.number;
            self.write(ledger.agreed());
            return Ok(self.serve(table, number));
        }
        let accepted = Accepted {
            table: &table,
            files: &files,
            summary,
        };
        let number = self.keep(&accepted, (Cause::Start, None), "start");
        Ok(self.serve(table, number))
    }

    /// The folder is broken: the table that served last serves on.
    fn in_place_of_broken(mut self, report: Report) -> Ready {
        let Some(last) = self.kept.ledger().serving().cloned() else {
            return Err(OpenError::Table(Box::new(report)));
        };
        let Some((table, ..)) = self.table_of(&last) else {
            return Err(OpenError::Table(Box::new(report)));
        };
        self.opened.remarks.push(format!(
            "the table folder has {} errors: gen {} serves, which served last",
            report.errors, last.number
        ));
        self.opened.refused = Some(report);
        Ok(self.serve(table, last.number))
    }

    /// What the ledger put in place of the folder serves on.
    fn with_ledger(mut self, why: Why) -> Ready {
        let ledger = self.kept.ledger();
        let Some(last) = ledger.serving() else {
            return self.with_folder();
        };
        let Some((table, ..)) = self.table_of(last) else {
            self.write(ledger.confirmed());
            return self.with_folder();
        };
        self.opened.remarks.push(match (why, ledger.trial()) {
            (Why::OnTrial, Some(trial)) => format!(
                "gen {} serves, and {}; the table folder was not read",
                last.number,
                trial.sentence()
            ),
            _ => last.in_place_of_folder(),
        });
        Ok(self.serve(table, last.number))
    }

    /// Nobody confirmed while nothing ran.
    fn returned(mut self, to: u64) -> Ready {
        let ledger = self.kept.ledger();
        let target = ledger.get(to);
        let Some((table, files, summary)) = target.and_then(|target| self.table_of(target)) else {
            self.write(ledger.confirmed());
            return self.with_folder();
        };
        let unconfirmed = ledger.serving().map_or(0, |last| last.number);
        self.opened.remarks.push(format!(
            "gen {unconfirmed} was not confirmed in time: the table of gen {to} serves again, \
             NOT the table folder; the next reload reads it"
        ));
        let accepted = Accepted {
            table: &table,
            files: &files,
            summary,
        };
        let number = self.keep(&accepted, (Cause::Return, Some(to)), "deadline");
        Ok(self.serve(table, number))
    }

    fn serve(self, table: RoutingTable, number: u64) -> (Generations, Opened) {
        let store = TableStore::serving(self.folder, table, number);
        let snapshot = store.snapshot();
        orders::apply(&self.orders, &snapshot);
        let mut opened = self.opened;
        let standing = orders::standing(&self.orders, &snapshot.table);
        opened.remarks.extend(standing.map(orders::sentence));
        let generations = Generations {
            store: Arc::new(store),
            kept: self.kept,
            orders: Mutex::new(Arc::new(self.orders)),
            changing: Mutex::new(()),
        };
        (generations, opened)
    }

    /// The table of a kept generation, if its files are what they were.
    fn table_of(&mut self, kept: &Generation) -> Option<(RoutingTable, Sources, Summary)> {
        let folder = self.kept.archive.as_ref()?.table_folder(&kept.sha256);
        let Loaded {
            table,
            files,
            summary,
            report,
            ..
        } = load(&folder);
        if let Some(table) = table.filter(|table| says(table, kept)) {
            self.opened.report = report;
            return Some((table, files, summary));
        }
        self.opened.remarks.push(format!(
            "gen {} should serve, but its files in {} are damaged",
            kept.number,
            folder.display()
        ));
        None
    }

    /// Enters a table that serves from now on. A full disk is no reason not to take calls.
    fn keep(&mut self, accepted: &Accepted<'_>, how: How, by: &str) -> u64 {
        let ledger = self.kept.ledger();
        let kept = self
            .kept
            .keep_or_remember(&ledger, accepted, how, &Asked::by(by));
        kept.unwrap_or_else(|(number, cause)| {
            self.opened.remarks.push(cause);
            number
        })
    }

    fn write(&mut self, ledger: Option<Ledger>) {
        let written = ledger.map_or(Ok(()), |ledger| self.kept.write(&ledger));
        self.opened.remarks.extend(written.err());
    }
}

fn says(table: &RoutingTable, generation: &Generation) -> bool {
    table.hash().to_string() == generation.sha256
}
