//! Every state that the schedules of two tables can be in together, and an hour of each.
//!
//! Between two boundaries nothing changes, and days that are alike for every schedule in
//! every time zone have the same boundaries. So the days of 28 years are looked at, in
//! which every weekday falls on every date, and one of each kind is gone through.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

use jiff::civil::Date;
use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Span, Timestamp};

use super::TooComplex;
use crate::limits::{PLAN_CLASSES_MAX, PLAN_DAYS_AHEAD};
use crate::routing::schedule::Schedule;
use crate::routing::{RoutingTable, ScheduleId};

/// An instant for every combination of open and closed schedules from `since` on; the
/// earliest of the first day of its kind. In an order that does not depend on `since`.
pub(super) fn hours(
    tables: [&RoutingTable; 2],
    since: Timestamp,
) -> Result<Vec<Timestamp>, TooComplex> {
    let mut found = BTreeMap::new();
    each_hour(&tables, since, |at| {
        let earliest = found.entry(states(tables, at)).or_insert(at);
        *earliest = at.min(*earliest);
        match found.len() > PLAN_CLASSES_MAX {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    match found.len() > PLAN_CLASSES_MAX {
        true => Err(TooComplex::Hours),
        false => Ok(found.into_values().collect()),
    }
}

/// Shows `since`, and instants after it such that every state in which the tables' schedules
/// ever are together from then on is the state at one of them, until told to stop.
pub fn each_hour(
    tables: &[&RoutingTable],
    since: Timestamp,
    mut visit: impl FnMut(Timestamp) -> ControlFlow<()>,
) {
    let mut zones = Zone::all(tables);
    let mut kinds = BTreeSet::new();
    let first = Day::of(TimeZone::UTC.to_datetime(since).date());
    let mut next = first;
    let mut come = vec![since];
    for days in 0..=days_ahead(&zones) {
        for at in come.drain(..).filter(|at| *at >= since) {
            if visit(at).is_break() {
                return;
            }
        }
        let Some(day) = next else {
            return;
        };
        next = day.next();
        let kind: Vec<Kind> = zones
            .iter_mut()
            .filter_map(|zone| zone.kind(&day))
            .collect();
        // The first day is not seen whole: another of its kind is.
        if days == 0 || kinds.insert(kind) {
            come.extend(zones.iter().flat_map(|zone| zone.boundaries(&day)));
        }
    }
}

/// Which schedules are open.
fn states(tables: [&RoutingTable; 2], at: Timestamp) -> Vec<bool> {
    let mut open = Vec::new();
    for table in tables {
        let ids = (0..table.schedules().len() as u16).map(ScheduleId);
        open.extend(ids.map(|id| table.is_open(id, at)));
    }
    open
}

/// Without dates and clock changes one week is like the next; it takes a day before and
/// one behind to see it whole.
fn days_ahead(zones: &[Zone<'_>]) -> i64 {
    let same_every_week = zones.iter().all(|zone| {
        zone.time_zone.to_fixed_offset().is_ok() && !zone.schedules.iter().any(|s| s.has_dates())
    });
    match same_every_week {
        true if zones.is_empty() => 0,
        true => 9,
        false => PLAN_DAYS_AHEAD,
    }
}

fn days_after(day: Date, days: i64) -> Option<Date> {
    let span = Span::new().try_days(days).ok()?;
    day.checked_add(span).ok()
}

/// A day of UTC.
#[derive(Clone, Copy)]
struct Day {
    date: Date,
    tomorrow: Date,
    start: Timestamp,
    end: Timestamp,
}

const DAY: SignedDuration = SignedDuration::from_hours(24);

impl Day {
    fn of(date: Date) -> Option<Self> {
        let start = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        Some(Self {
            date,
            tomorrow: date.tomorrow().ok()?,
            start,
            end: start.checked_add(DAY).ok()?,
        })
    }

    /// Counted on: thousands of days are looked at.
    fn next(self) -> Option<Self> {
        Some(Self {
            date: self.tomorrow,
            tomorrow: self.tomorrow.tomorrow().ok()?,
            start: self.end,
            end: self.end.checked_add(DAY).ok()?,
        })
    }
}

/// The schedules of one time zone.
struct Zone<'t> {
    time_zone: &'t TimeZone,
    schedules: Vec<&'t Schedule>,
    minutes: BTreeSet<u16>,
    /// What lines with dates say of a day: each set once, by its number.
    named: BTreeMap<Vec<bool>, u32>,
    /// The same of the days around the one that was looked at, and the day after it.
    around: Option<(Date, Around)>,
    /// The clock at the end of that day.
    last_end: Option<(Timestamp, Offset)>,
}

/// Two days before (a line of the day before yesterday's local day may end today), the day
/// before, the day and the one behind.
type Around = [u32; 4];

/// What a day of UTC has to be like another in: the weekday, the clocks at its start and
/// end, and the dates that lines name around it.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kind {
    weekday: i8,
    offsets: (i32, i32),
    change: Option<i64>,
    around: Around,
}

impl<'t> Zone<'t> {
    fn all(tables: &[&'t RoutingTable]) -> Vec<Self> {
        let mut zones: Vec<Self> = Vec::new();
        let named = tables.iter().flat_map(|table| table.schedules());
        for schedule in named.map(|named| &named.schedule) {
            let known = zones
                .iter_mut()
                .find(|zone| *zone.time_zone == schedule.time_zone);
            match known {
                Some(zone) => zone.add(schedule),
                None => {
                    let mut zone = Self {
                        time_zone: &schedule.time_zone,
                        schedules: Vec::new(),
                        minutes: BTreeSet::new(),
                        named: BTreeMap::new(),
                        around: None,
                        last_end: None,
                    };
                    zone.add(schedule);
                    zones.push(zone);
                }
            }
        }
        zones
    }

    fn add(&mut self, schedule: &'t Schedule) {
        self.schedules.push(schedule);
        self.minutes.extend(schedule.boundary_minutes());
    }

    fn kind(&mut self, day: &Day) -> Option<Kind> {
        let start = match self.last_end {
            Some((end, offset)) if end == day.start => offset,
            _ => self.time_zone.to_offset(day.start),
        };
        let end = self.time_zone.to_offset(day.end);
        self.last_end = Some((day.end, end));
        // To look for the next change takes long.
        let change = (start != end).then(|| self.change(day)).flatten();
        Some(Kind {
            weekday: day.date.weekday().to_monday_zero_offset(),
            offsets: (start.seconds(), end.seconds()),
            change: change.map(|at| at.as_second() - day.start.as_second()),
            around: self.around(day)?,
        })
    }

    /// Asked day after day, so that each is looked up once.
    fn around(&mut self, day: &Day) -> Option<Around> {
        let around = match self.around {
            Some((expected, [_, b, c, d])) if expected == day.date => {
                [b, c, d, self.named_on(day.tomorrow)]
            }
            _ => {
                let mut around = Around::default();
                for (slot, days) in around.iter_mut().zip(-2..) {
                    *slot = self.named_on(days_after(day.date, days)?);
                }
                around
            }
        };
        self.around = Some((day.tomorrow, around));
        Some(around)
    }

    fn named_on(&mut self, day: Date) -> u32 {
        let mut named = Vec::new();
        for schedule in &self.schedules {
            schedule.dated_lines(day, &mut named);
        }
        let next = self.named.len() as u32;
        *self.named.entry(named).or_insert(next)
    }

    /// When the clocks change on this day, if they do.
    fn change(&self, day: &Day) -> Option<Timestamp> {
        let next = self.time_zone.following(day.start).next()?.timestamp();
        (next < day.end).then_some(next)
    }

    /// Instants of a day of UTC at which something can change, its start among them.
    fn boundaries(&self, day: &Day) -> Vec<Timestamp> {
        let mut instants = vec![day.start];
        instants.extend(self.change(day));
        for local in (-1..=1).filter_map(|days| days_after(day.date, days)) {
            for minute in self.minutes.iter().filter(|minute| **minute < 24 * 60) {
                let time = local.at((minute / 60) as i8, (minute % 60) as i8, 0, 0);
                // An hour that comes twice has two such instants.
                let both = self.time_zone.to_ambiguous_timestamp(time);
                instants.extend(both.earlier());
                instants.extend(both.later());
            }
        }
        instants.retain(|at| (day.start..day.end).contains(at));
        instants
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use crate::routing::schedule::{Closing, Opening};
    use crate::routing::table::{NamedSchedule, TableParts};

    fn table(schedules: &[(&str, &[&str], &[&str])]) -> RoutingTable {
        let schedule = |(zone, open, closed): &(&str, &[&str], &[&str])| NamedSchedule {
            name: "s".into(),
            schedule: Schedule {
                time_zone: TimeZone::get(zone).unwrap(),
                open: open.iter().map(|l| Opening::parse(l).unwrap()).collect(),
                closed: closed.iter().map(|l| Closing::parse(l).unwrap()).collect(),
            },
            open_with: Box::default(),
            closed_with: Box::default(),
        };
        RoutingTable::new(TableParts {
            schedules: schedules.iter().map(schedule).collect(),
            ..TableParts::default()
        })
    }

    /// Every five minutes of a year bring no state that was not found, and each that was
    /// found comes.
    #[test]
    fn no_hour_is_missed() {
        let before = table(&[
            (
                "Europe/London",
                &["Mon-Thu 08:00-18:00", "12-24 09:00-12:00"],
                &["12-24 to 12-26"],
            ),
            ("Europe/Berlin", &["Sat 22:00-03:00"], &["2026-03-28"]),
        ]);
        let after = table(&[
            (
                "America/New_York",
                &["Mon-Fri 09:00-17:00"],
                &["2026-10-25 to 2026-10-27"],
            ),
            ("Europe/Berlin", &["2026-10-25 02:30-02:45"], &[]),
        ]);
        let tables = [&before, &after];
        let since: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let found: BTreeSet<Vec<bool>> = hours(tables, since)
            .unwrap()
            .into_iter()
            .map(|at| states(tables, at))
            .collect();
        let mut came = BTreeSet::new();
        for five_minutes in 0..105_120 {
            let at = since + SignedDuration::from_secs(300 * five_minutes);
            came.insert(states(tables, at));
        }
        assert!(came.is_subset(&found), "{:?}", came.difference(&found));
        assert!(came.len() == found.len(), "{came:?}");
    }

    /// What comes only on the weekday that is today, earlier than now, comes again in a week.
    #[test]
    fn the_day_that_is_half_over_comes_again_whole() {
        for open in ["Mon 08:00-18:00", "12-28 08:00-18:00"] {
            let table = table(&[("UTC", &[open], &[])]);
            let monday_evening: Timestamp = "2026-12-28T20:00:00Z".parse().unwrap();
            let hours = hours([&table, &table], monday_evening).unwrap();
            assert_eq!(hours.len(), 2, "{open}: {hours:?}");
        }
    }

    #[test]
    fn without_schedules_all_hours_are_one() {
        let since = Timestamp::UNIX_EPOCH;
        let none = table(&[]);
        assert_eq!(hours([&none, &none], since).unwrap(), [since]);
    }
}
