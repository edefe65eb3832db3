//! Why a schedule is open or closed, in words.

use std::fmt;

use jiff::civil::DateTime;

use super::Schedule;

/// Why a schedule is open or closed at one instant. `Display` is a sentence such as
/// `Sun 10:00 is outside Mon-Thu 08:00-18:00`.
#[derive(Clone, Copy, Debug)]
pub struct OpenReason<'a> {
    pub(super) schedule: &'a Schedule,
    pub(super) verdict: Verdict,
    pub(super) local: DateTime,
}

impl OpenReason<'_> {
    /// Whether the schedule is open.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        self.verdict.is_open()
    }

    /// Which line decided.
    #[must_use]
    pub const fn verdict(&self) -> Verdict {
        self.verdict
    }

    /// The wall clock in the schedule's time zone.
    #[must_use]
    pub const fn local(&self) -> DateTime {
        self.local
    }
}

/// Which line of a schedule decided, by its index in [`Schedule::open`] or
/// [`Schedule::closed`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Open by this opening, which names the date.
    DatedOpening(usize),
    /// Closed by this closing.
    DatedClosing(usize),
    /// Open by this weekly opening.
    WeeklyOpening(usize),
    /// Open: only closings are listed, and none covers the instant.
    NoHours,
    /// Closed: this opening names the date, with other times.
    OutsideDatedOpening(usize),
    /// Closed: no opening covers the instant.
    OutsideWeeklyOpenings,
}

impl Verdict {
    /// Whether the schedule is open.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(
            self,
            Self::DatedOpening(_) | Self::WeeklyOpening(_) | Self::NoHours
        )
    }
}

impl fmt::Display for OpenReason<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = self.local.strftime("%a");
        let date = self.local.date();
        let time = self.local.strftime("%H:%M");
        let opening = |index: usize| Line(self.schedule.open.get(index));
        match self.verdict {
            Verdict::DatedOpening(index) => {
                write!(f, "{day} {date} {time} is within {}", opening(index))
            }
            Verdict::DatedClosing(index) => {
                let closing = Line(self.schedule.closed.get(index));
                write!(f, "{day} {date} {time} is closed by {closing}")
            }
            Verdict::WeeklyOpening(index) => write!(f, "{day} {time} is within {}", opening(index)),
            Verdict::NoHours => write!(f, "{day} {date} {time} is in no closed time"),
            Verdict::OutsideDatedOpening(index) => {
                write!(f, "{day} {date} {time} is outside {}", opening(index))
            }
            Verdict::OutsideWeeklyOpenings => {
                write!(f, "{day} {time} is outside ")?;
                self.write_openings(f)
            }
        }
    }
}

impl OpenReason<'_> {
    /// The weekly openings, the first few of them; all openings if none is weekly.
    fn write_openings(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let has_weekly = self.schedule.open.iter().any(|line| !line.is_dated());
        let openings = self.schedule.open.iter();
        let listed = openings.filter(|line| !(has_weekly && line.is_dated()));
        for (index, opening) in listed.enumerate() {
            match index {
                0 => write!(f, "{opening}")?,
                OPENINGS_PRINTED => return f.write_str(", ..."),
                _ => write!(f, ", {opening}")?,
            }
        }
        Ok(())
    }
}

/// A line that the verdict's index leads to.
struct Line<'a, T>(Option<&'a T>);

impl<T: fmt::Display> fmt::Display for Line<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |line| line.fmt(f))
    }
}

/// More openings than this make an explanation unreadable.
const OPENINGS_PRINTED: usize = 4;
