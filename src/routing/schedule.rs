//! Schedules: when a rule is open, written as on a shop door.
//!
//! A schedule is judged by the wall clock of its time zone. An instant has exactly one
//! wall-clock time, so the nights when clocks change need no rule of their own: the hour
//! that comes twice is open twice, the hour that is skipped never comes.

mod at;
mod text;

pub use at::{AtError, ordinary_day, parse_at};
pub use text::TextError;

use std::fmt;

use arrayvec::ArrayVec;
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Weekday};
use jiff::tz::TimeZone;

use crate::limits::OPENING_TIMES_MAX;

/// Opening hours in one time zone.
///
/// An opening with a date says all about its days: on them no weekly opening counts.
/// Elsewhere a closing beats a weekly opening. A schedule that lists only closings is
/// open at all other times.
#[derive(Clone, Debug)]
pub struct Schedule {
    /// Whose wall clock counts.
    pub time_zone: TimeZone,
    /// When it is open.
    pub open: Vec<Opening>,
    /// When it is closed although a weekly opening says otherwise.
    pub closed: Vec<Closing>,
}

impl Schedule {
    /// Whether it is open at this instant. Does not allocate.
    #[must_use]
    pub fn is_open(&self, at: Timestamp) -> bool {
        self.explain(at).is_open()
    }

    /// What decides at this instant. Does not allocate.
    #[must_use]
    pub fn explain(&self, at: Timestamp) -> OpenReason<'_> {
        let local = self.time_zone.to_datetime(at);
        OpenReason {
            schedule: self,
            verdict: self.judge(&Moment::of(local)),
            local,
        }
    }

    fn judge(&self, moment: &Moment) -> Verdict {
        let by_date = |opening: &Opening| opening.dated().is_some_and(|d| d.covers(moment));
        if let Some(index) = self.open.iter().position(by_date) {
            return Verdict::DatedOpening(index);
        }
        if let Some(index) = self.closed.iter().position(|c| c.0.covers(moment)) {
            return Verdict::DatedClosing(index);
        }
        if self.open.is_empty() {
            return Verdict::NoHours;
        }
        let today = self.dated_opening_on(moment.today);
        let yesterday = moment.yesterday.and_then(|day| self.dated_opening_on(day));
        let weekly = Moment {
            today_counts: today.is_none(),
            yesterday: moment.yesterday.filter(|_| yesterday.is_none()),
            ..*moment
        };
        let by_week = |opening: &Opening| opening.weekly().is_some_and(|w| w.covers(&weekly));
        match (self.open.iter().position(by_week), today) {
            (Some(index), _) => Verdict::WeeklyOpening(index),
            (None, Some(index)) => Verdict::OutsideDatedOpening(index),
            (None, None) => Verdict::OutsideWeeklyOpenings,
        }
    }

    /// The first opening that names this day by date.
    fn dated_opening_on(&self, day: Date) -> Option<usize> {
        let names = |opening: &Opening| opening.dated().is_some_and(|d| d.days.contains(day));
        self.open.iter().position(names)
    }

    /// Whether a line with a date has to do with this day: it names the day, or the day
    /// before and runs past midnight.
    #[must_use]
    pub fn is_dated(&self, day: Date) -> bool {
        let openings = self.open.iter().filter_map(Opening::dated);
        let mut lines = openings.chain(self.closed.iter().map(|closing| &closing.0));
        lines.any(|line| {
            let runs_into = |day| line.days.contains(day) && line.times.pass_midnight();
            line.days.contains(day) || day.yesterday().is_ok_and(runs_into)
        })
    }
}

/// When it is open: `Mon-Thu 08:00-18:00`, `2026-12-24 09:00-12:00`. Made by
/// [`Opening::parse`]; printed in the same language.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening(OpeningDays);

#[derive(Clone, Debug, PartialEq, Eq)]
enum OpeningDays {
    Weekly(Weekly),
    Dated(Dated),
}

impl Opening {
    /// Whether it names dates rather than days of the week.
    #[must_use]
    pub const fn is_dated(&self) -> bool {
        matches!(self.0, OpeningDays::Dated(_))
    }

    const fn dated(&self) -> Option<&Dated> {
        match &self.0 {
            OpeningDays::Dated(dated) => Some(dated),
            OpeningDays::Weekly(_) => None,
        }
    }

    const fn weekly(&self) -> Option<&Weekly> {
        match &self.0 {
            OpeningDays::Weekly(weekly) => Some(weekly),
            OpeningDays::Dated(_) => None,
        }
    }
}

/// When it is closed, by date: `12-25 to 12-26`. Made by [`Closing::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Closing(Dated);

/// Days of the week with times.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Weekly {
    days: Weekdays,
    times: Times,
}

impl Weekly {
    fn covers(&self, moment: &Moment) -> bool {
        let on = |day: Date| self.days.contains(day.weekday());
        self.times.cover(moment, on)
    }
}

/// Dates with times.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Dated {
    days: Dates,
    times: Times,
}

impl Dated {
    fn covers(&self, moment: &Moment) -> bool {
        self.times.cover(moment, |day| self.days.contains(day))
    }
}

/// A set of weekdays: bit 0 is Monday.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Weekdays(u8);

impl Weekdays {
    const EVERY: Self = Self(0b111_1111);

    const fn contains(self, day: Weekday) -> bool {
        self.0 & 1 << day.to_monday_zero_offset() != 0
    }
}

/// From a first to a last day, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dates {
    /// In one year each.
    Once { first: Date, last: Date },
    /// Month and day of every year; `last` before `first` runs over New Year.
    Yearly { first: (i8, i8), last: (i8, i8) },
}

impl Dates {
    fn contains(self, day: Date) -> bool {
        match self {
            Self::Once { first, last } => (first..=last).contains(&day),
            Self::Yearly { first, last } => {
                let day = (day.month(), day.day());
                if first <= last {
                    first <= day && day <= last
                } else {
                    first <= day || day <= last
                }
            }
        }
    }
}

/// The times of a day, at least one.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Times(ArrayVec<Span, OPENING_TIMES_MAX>);

/// From one minute of the day to another, which is not included. An end that is not
/// after the start is on the next day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Span {
    from_minute: u16,
    to_minute: u16,
}

impl Span {
    const WHOLE_DAY: Self = Self {
        from_minute: 0,
        to_minute: DAY_MINUTES,
    };

    const fn passes_midnight(self) -> bool {
        self.to_minute < self.from_minute
    }
}

impl Times {
    fn whole_day() -> Self {
        Self(std::iter::once(Span::WHOLE_DAY).collect())
    }

    fn pass_midnight(&self) -> bool {
        self.0.iter().any(|span| span.passes_midnight())
    }

    /// Whether the moment is in one of the times of a day that is `on`: today, or
    /// yesterday and past midnight.
    fn cover(&self, moment: &Moment, on: impl Fn(Date) -> bool) -> bool {
        let today = moment.today_counts && on(moment.today);
        let yesterday = moment.yesterday.is_some_and(on);
        self.0.iter().any(|span| {
            let started = moment.minute >= span.from_minute;
            let before_end = moment.minute < span.to_minute;
            if span.passes_midnight() {
                today && started || yesterday && before_end
            } else {
                today && started && before_end
            }
        })
    }
}

/// A wall-clock minute, and the days whose times may cover it.
#[derive(Clone, Copy, Debug)]
struct Moment {
    today: Date,
    today_counts: bool,
    yesterday: Option<Date>,
    minute: u16,
}

impl Moment {
    fn of(local: DateTime) -> Self {
        Self {
            today: local.date(),
            today_counts: true,
            yesterday: local.date().yesterday().ok(),
            minute: u16::from(local.hour().unsigned_abs()) * 60
                + u16::from(local.minute().unsigned_abs()),
        }
    }
}

/// Why a schedule is open or closed at one instant. `Display` is a sentence such as
/// `Sun 10:00 is outside Mon-Thu 08:00-18:00`.
#[derive(Clone, Copy, Debug)]
pub struct OpenReason<'a> {
    schedule: &'a Schedule,
    verdict: Verdict,
    local: DateTime,
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

const DAY_MINUTES: u16 = 24 * 60;

/// More openings than this make an explanation unreadable.
const OPENINGS_PRINTED: usize = 4;
