//! What a change of the table does to calls: two tables compared over every number.
//!
//! [`compare`] cuts the called numbers into regions, and callers, hosts, labels and hours
//! into classes, such that on each both tables decide alike, and compares what becomes of
//! one call of each. Nothing is sampled: what it does not report does not change. It reads
//! two tables and nothing else; who wants to know the hour says it.
//!
//! Numbers are compared as rules see them, after normalisation. How callers write numbers
//! and which group a call arrives on come before that: [`Plan::arrivals`] tells of these.

mod arrivals;
mod changes;
mod decide;
mod facts;
mod gates;
mod hours;
mod laws;
mod numbers;
mod outcome;
mod summary;
mod texts;

pub use arrivals::{ArrivalChange, ArrivalKind};
pub use changes::{Change, Line, OpenPrefix, Range, RowPlace};
pub use gates::{Verdict, change_id, verdicts};
pub use hours::each_hour;
#[doc(hidden)]
pub use laws::{Call, law_compare};
pub use outcome::{Kind, Outcome, Stage};
pub use summary::{Flow, Summary};

use crate::limits;
use crate::routing::RoutingTable;
use changes::Comparison;
use jiff::Timestamp;
use std::fmt;

/// What a change does. Empty exactly when every call is decided by a rule of the same name
/// with the same outcome, arrives on the same group and is read alike.
#[derive(Debug, Default)]
pub struct Plan {
    /// Called numbers for which something changes, those together for which the same does:
    /// the gravest first, then in order of number.
    pub changes: Vec<Change>,
    /// What changes before rules are read.
    pub arrivals: Vec<ArrivalChange>,
    /// Totals.
    pub summary: Summary,
}

impl Plan {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.arrivals.is_empty()
    }
}

/// Compares two tables for calls from `since` on. The order of files, of rows and of
/// definitions other than rules and classifications does not matter; nor do places.
///
/// Takes time in proportion to the rows of both tables, and seconds for millions.
///
/// # Errors
/// When the rules tell more kinds of calls apart than can be compared; nothing is known
/// of the change then.
pub fn compare(
    before: &RoutingTable,
    after: &RoutingTable,
    since: Timestamp,
) -> Result<Plan, TooComplex> {
    let tables = [before, after];
    let facts = facts::Facts::new(tables, since)?;
    let comparison = Comparison::new(tables, &facts)?;
    let changes = comparison.changes();
    let arrivals = arrivals::compare(tables);
    let summary = Summary::of(&changes);
    Ok(Plan {
        changes,
        arrivals,
        summary,
    })
}

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Side {
    Before,
    After,
}

impl Side {
    const BOTH: [Self; 2] = [Self::Before, Self::After];

    const fn of<T>(self, [before, after]: &[T; 2]) -> &T {
        match self {
            Self::Before => before,
            Self::After => after,
        }
    }
}

/// Why two tables cannot be compared: their rules tell too much apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooComplex {
    /// Kinds of callers.
    Callers,
    /// Sets of host and label patterns that one text may fit.
    Texts,
    /// Combinations of open and closed schedules.
    Hours,
    /// Combinations of all of these for one number.
    Combinations,
}

impl fmt::Display for TooComplex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (max, what) = match self {
            Self::Callers => (limits::PLAN_CLASSES_MAX, "kinds of calling numbers"),
            Self::Texts => (limits::PLAN_TEXT_STATES_MAX, "kinds of hosts and labels"),
            Self::Hours => (limits::PLAN_CLASSES_MAX, "combinations of open schedules"),
            Self::Combinations => (limits::PLAN_CELLS_MAX, "kinds of calls to one number"),
        };
        write!(f, "the rules tell more than {max} {what} apart")
    }
}

impl std::error::Error for TooComplex {}
