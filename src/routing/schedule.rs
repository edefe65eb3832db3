//! Schedules: when a rule is open, written as on a shop door.
//!
//! A schedule is judged by the wall clock of its time zone. An instant has exactly one
//! wall-clock time, so the nights when clocks change need no rule of their own: the hour
//! that comes twice is open twice, the hour that is skipped never comes.

mod at;
mod boundaries;
mod reason;
mod text;

pub use at::{AtError, ordinary_day, parse_at};
pub use reason::{OpenReason, Verdict};
pub use text::TextError;

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

const DAY_MINUTES: u16 = 24 * 60;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;

    fn schedule(zone: &str, open: &[&str], closed: &[&str]) -> Schedule {
        Schedule {
            time_zone: TimeZone::get(zone).unwrap(),
            open: open
                .iter()
                .map(|line| Opening::parse(line).unwrap())
                .collect(),
            closed: closed
                .iter()
                .map(|line| Closing::parse(line).unwrap())
                .collect(),
        }
    }

    /// Cases are a wall-clock time and the whole reason.
    fn check(schedule: &Schedule, cases: &[(&str, bool, &str)]) {
        for (local, is_open, reason) in cases {
            let local: DateTime = local.parse().unwrap();
            let at = schedule.time_zone.to_timestamp(local).unwrap();
            assert_eq!(schedule.explain(at).to_string(), *reason, "{local}");
            assert_eq!(schedule.is_open(at), *is_open, "{local}");
        }
    }

    #[test]
    fn a_week() {
        let office = schedule(
            "Europe/London",
            &["Mon-Thu 08:00-18:00", "Fri 08:00-12:00,13:00-16:00"],
            &[],
        );
        let outside = "is outside Mon-Thu 08:00-18:00, Fri 08:00-12:00,13:00-16:00";
        check(
            &office,
            &[
                (
                    "2026-06-01 07:59:59",
                    false,
                    &format!("Mon 07:59 {outside}"),
                ),
                (
                    "2026-06-01 08:00",
                    true,
                    "Mon 08:00 is within Mon-Thu 08:00-18:00",
                ),
                (
                    "2026-06-01 17:59:59.9",
                    true,
                    "Mon 17:59 is within Mon-Thu 08:00-18:00",
                ),
                ("2026-06-01 18:00", false, &format!("Mon 18:00 {outside}")),
                ("2026-06-05 12:30", false, &format!("Fri 12:30 {outside}")),
                (
                    "2026-06-05 13:00",
                    true,
                    "Fri 13:00 is within Fri 08:00-12:00,13:00-16:00",
                ),
                ("2026-06-07 10:00", false, &format!("Sun 10:00 {outside}")),
            ],
        );
    }

    #[test]
    fn nights_belong_to_the_day_they_start() {
        let night = schedule(
            "Europe/Berlin",
            &["Fri,Sat 22:00-06:00"],
            &["2026-06-13 23:00-01:00"],
        );
        let open = |day| format!("{day} is within Fri,Sat 22:00-06:00");
        let outside = |day| format!("{day} is outside Fri,Sat 22:00-06:00");
        let closed = |day| format!("{day} is closed by 2026-06-13 23:00-01:00");
        check(
            &night,
            &[
                ("2026-06-05 05:00", false, &outside("Fri 05:00")),
                ("2026-06-05 22:00", true, &open("Fri 22:00")),
                ("2026-06-06 05:59", true, &open("Sat 05:59")),
                ("2026-06-06 06:00", false, &outside("Sat 06:00")),
                ("2026-06-07 00:00", true, &open("Sun 00:00")),
                ("2026-06-08 00:00", false, &outside("Mon 00:00")),
                ("2026-06-13 22:59", true, &open("Sat 22:59")),
                ("2026-06-13 23:00", false, &closed("Sat 2026-06-13 23:00")),
                ("2026-06-14 00:59", false, &closed("Sun 2026-06-14 00:59")),
                ("2026-06-14 01:00", true, &open("Sun 01:00")),
            ],
        );
    }

    #[test]
    fn dates_come_before_weekdays() {
        let shop = schedule(
            "Europe/London",
            &[
                "Mon-Fri 08:00-18:00",
                "12-24 09:00-12:00",
                "2026-12-31 22:00-02:00",
            ],
            &["12-24 to 12-26", "2026-12-28", "12-31 to 01-01"],
        );
        check(
            &shop,
            &[
                (
                    "2026-12-23 10:00",
                    true,
                    "Wed 10:00 is within Mon-Fri 08:00-18:00",
                ),
                (
                    "2026-12-24 11:59",
                    true,
                    "Thu 2026-12-24 11:59 is within 12-24 09:00-12:00",
                ),
                (
                    "2026-12-24 12:00",
                    false,
                    "Thu 2026-12-24 12:00 is closed by 12-24 to 12-26",
                ),
                (
                    "2027-12-25 10:00",
                    false,
                    "Sat 2027-12-25 10:00 is closed by 12-24 to 12-26",
                ),
                (
                    "2026-12-28 10:00",
                    false,
                    "Mon 2026-12-28 10:00 is closed by 2026-12-28",
                ),
                (
                    "2027-12-28 10:00",
                    true,
                    "Tue 10:00 is within Mon-Fri 08:00-18:00",
                ),
                (
                    "2026-12-31 10:00",
                    false,
                    "Thu 2026-12-31 10:00 is closed by 12-31 to 01-01",
                ),
                (
                    "2027-01-01 01:59",
                    true,
                    "Fri 2027-01-01 01:59 is within 2026-12-31 22:00-02:00",
                ),
                (
                    "2027-01-01 10:00",
                    false,
                    "Fri 2027-01-01 10:00 is closed by 12-31 to 01-01",
                ),
                (
                    "2027-01-02 10:00",
                    false,
                    "Sat 10:00 is outside Mon-Fri 08:00-18:00",
                ),
            ],
        );
    }

    /// As on a shop door: "24 December 09:00-12:00" does not mean 08:00-18:00 as well.
    #[test]
    fn a_dated_opening_replaces_the_hours_of_its_day() {
        let shop = schedule(
            "Europe/London",
            &[
                "Mon-Fri 08:00-18:00",
                "Wed 20:00-04:00",
                "2026-12-24 09:00-12:00",
            ],
            &[],
        );
        check(
            &shop,
            &[
                (
                    "2026-12-24 03:00",
                    true,
                    "Thu 03:00 is within Wed 20:00-04:00",
                ),
                (
                    "2026-12-24 08:30",
                    false,
                    "Thu 2026-12-24 08:30 is outside 2026-12-24 09:00-12:00",
                ),
                (
                    "2026-12-24 09:00",
                    true,
                    "Thu 2026-12-24 09:00 is within 2026-12-24 09:00-12:00",
                ),
                (
                    "2026-12-24 15:00",
                    false,
                    "Thu 2026-12-24 15:00 is outside 2026-12-24 09:00-12:00",
                ),
                (
                    "2026-12-25 15:00",
                    true,
                    "Fri 15:00 is within Mon-Fri 08:00-18:00",
                ),
            ],
        );
        let replaced_night = schedule("Europe/London", &["22:00-06:00", "12-24 09:00-12:00"], &[]);
        check(
            &replaced_night,
            &[
                (
                    "2026-12-25 05:00",
                    false,
                    "Fri 05:00 is outside Mon-Sun 22:00-06:00",
                ),
                (
                    "2026-12-26 05:00",
                    true,
                    "Sat 05:00 is within Mon-Sun 22:00-06:00",
                ),
            ],
        );
    }

    #[test]
    fn years_wrap() {
        let winter = schedule("Europe/Berlin", &["12-28 to 01-02"], &[]);
        let outside = "is outside 12-28 to 01-02";
        check(
            &winter,
            &[
                ("2026-12-27 23:59", false, &format!("Sun 23:59 {outside}")),
                (
                    "2026-12-28 00:00",
                    true,
                    "Mon 2026-12-28 00:00 is within 12-28 to 01-02",
                ),
                (
                    "2027-01-02 23:59",
                    true,
                    "Sat 2027-01-02 23:59 is within 12-28 to 01-02",
                ),
                ("2027-01-03 00:00", false, &format!("Sun 00:00 {outside}")),
            ],
        );
    }

    #[test]
    fn only_closings_mean_open_otherwise() {
        let closings = schedule("Europe/London", &[], &["12-25"]);
        check(
            &closings,
            &[
                (
                    "2026-12-24 23:59",
                    true,
                    "Thu 2026-12-24 23:59 is in no closed time",
                ),
                (
                    "2026-12-25 00:00",
                    false,
                    "Fri 2026-12-25 00:00 is closed by 12-25",
                ),
            ],
        );
    }

    /// Minutes of a day, in UTC instants, at which the schedule is open.
    fn open_minutes(schedule: &Schedule, from: &str, hours: i64) -> i64 {
        let from: Timestamp = from.parse().unwrap();
        let minutes = (0..hours * 60).map(|minute| from + jiff::SignedDuration::from_mins(minute));
        minutes.filter(|at| schedule.is_open(*at)).count() as i64
    }

    #[test]
    fn nights_when_clocks_change() {
        // Zone, the nights' starts in UTC (23:00 and 22:00 before each change).
        for (zone, spring, autumn) in [
            (
                "Europe/London",
                "2026-03-28T22:00:00Z",
                "2026-10-24T21:00:00Z",
            ),
            (
                "Europe/Berlin",
                "2026-03-28T21:00:00Z",
                "2026-10-24T20:00:00Z",
            ),
        ] {
            let night = schedule(zone, &["Sat 22:00-06:00"], &[]);
            assert_eq!(open_minutes(&night, spring, 24), 7 * 60, "{zone}");
            assert_eq!(open_minutes(&night, autumn, 24), 9 * 60, "{zone}");
            // It opens with the first of these minutes.
            for start in [spring, autumn] {
                let start: Timestamp = start.parse().unwrap();
                assert!(night.is_open(start), "{zone}");
                assert!(
                    !night.is_open(start - jiff::SignedDuration::from_secs(1)),
                    "{zone}"
                );
            }
        }
        // London skips 01:00-02:00 in March and has it twice in October; Berlin 02:00-03:00.
        for (zone, hour) in [
            ("Europe/London", "01:00-02:00"),
            ("Europe/Berlin", "02:00-03:00"),
        ] {
            let hour = schedule(zone, &[hour], &[]);
            assert_eq!(open_minutes(&hour, "2026-03-28T23:00:00Z", 12), 0, "{zone}");
            assert_eq!(
                open_minutes(&hour, "2026-10-24T22:00:00Z", 12),
                120,
                "{zone}"
            );
        }
    }

    #[test]
    fn the_ends_of_time_do_not_matter() {
        let night = schedule(
            "Europe/Berlin",
            &["Mon-Sun 22:00-06:00"],
            &["12-31 to 01-01 22:00-06:00"],
        );
        for at in [Timestamp::MIN, Timestamp::MAX] {
            assert!(!night.explain(at).to_string().is_empty());
        }
    }
}
