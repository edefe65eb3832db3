//! Points in time as people name them: `Mon 10:00`, `2026-12-25 10:00`.

use std::fmt;

use jiff::civil::{Date, DateTime, Weekday, date};
use jiff::tz::TimeZone;
use jiff::{Timestamp, Zoned};

use super::Schedule;
use super::text::Cursor;
use crate::limits::ORDINARY_WEEKS_MAX;

/// A day of this weekday on which no line with a date counts in any of the schedules:
/// the first from the week of 2026-01-05 on, so that the same tables always answer the
/// same. If every one of [`ORDINARY_WEEKS_MAX`] weeks has such a line, the first week's.
pub fn ordinary_day<'a>(schedules: impl Iterator<Item = &'a Schedule>, weekday: Weekday) -> Date {
    let days_on = i64::from(weekday.to_monday_zero_offset());
    let first = days_after(FIRST_MONDAY, days_on);
    let mut has_dated_line = [false; ORDINARY_WEEKS_MAX];
    for schedule in schedules {
        for (week, dated) in (0..).zip(&mut has_dated_line) {
            *dated |= schedule.is_dated(days_after(first, 7 * week));
        }
    }
    let ordinary = (0..).zip(has_dated_line).find(|(_, dated)| !dated);
    ordinary.map_or(first, |(week, _)| days_after(first, 7 * week))
}

/// A few years on at most; the same day where the calendar ends.
fn days_after(day: Date, days: i64) -> Date {
    let span = jiff::Span::new().try_days(days);
    span.and_then(|days| day.checked_add(days)).unwrap_or(day)
}

/// Reads a point in time: RFC 3339 with `Z` or an offset, `2026-12-25T10:00[Europe/Berlin]`,
/// or, with a `zone` to read them in, `2026-12-25 10:00` and `Mon 10:00`, which means the
/// day that `ordinary` answers (see [`ordinary_day`]).
///
/// A wall-clock time that clock changes skip is read as late as they skip; one that comes
/// twice is read as the first.
///
/// # Errors
/// [`AtError`], whose `Display` names the forms.
pub fn parse_at(
    text: &str,
    zone: Option<&TimeZone>,
    ordinary: impl Fn(Weekday) -> Date,
) -> Result<Timestamp, AtError> {
    let text = text.trim();
    if text.starts_with(|first: char| first.is_ascii_alphabetic()) {
        let local = weekday_and_time(text, ordinary).ok_or(AtError::UnknownForm)?;
        return in_zone(local, zone);
    }
    if let Some((local, name)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        TimeZone::get(name).map_err(|_| AtError::UnknownTimeZone)?;
        // An offset, where there is one as well, must agree with the zone.
        let zoned = text.parse().ok().filter(|_: &Zoned| local.contains(':'));
        return zoned.map_or(Err(AtError::UnknownForm), |zoned| Ok(zoned.timestamp()));
    }
    match text.parse() {
        Ok(timestamp) => Ok(timestamp),
        Err(_) => in_zone(wall_clock(text).ok_or(AtError::UnknownForm)?, zone),
    }
}

/// Date and time of day; a date alone is not a point in time.
fn wall_clock(text: &str) -> Option<DateTime> {
    text.contains(':').then(|| text.parse().ok()).flatten()
}

fn weekday_and_time(text: &str, ordinary: impl Fn(Weekday) -> Date) -> Option<DateTime> {
    let mut cursor = Cursor::new(text);
    let weekday = cursor.weekday().ok()?;
    let minute = cursor.minute().ok()?;
    cursor.end().ok()?;
    let (hour, minute) = (i8::try_from(minute / 60).ok()?, (minute % 60) as i8);
    let time = jiff::civil::Time::new(hour, minute, 0, 0).ok()?;
    Some(ordinary(weekday).to_datetime(time))
}

fn in_zone(local: DateTime, zone: Option<&TimeZone>) -> Result<Timestamp, AtError> {
    let zone = zone.ok_or(AtError::ZoneNeeded)?;
    zone.to_timestamp(local).map_err(|_| AtError::UnknownForm)
}

/// Why a text is not a point in time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtError {
    /// It has none of the forms, or names a day or time that does not exist.
    UnknownForm,
    /// It is a wall-clock time, and nothing says in which time zone.
    ZoneNeeded,
    /// There is no time zone of this name.
    UnknownTimeZone,
}

impl fmt::Display for AtError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownForm => f.write_str(
                "not a point in time; write \"Mon 10:00\", \"2026-12-25 10:00\", \
                 \"2026-12-25T10:00[Europe/Berlin]\" or \"2026-12-25T10:00:00Z\"",
            ),
            Self::ZoneNeeded => f.write_str(
                "a wall-clock time without a time zone; write \
                 \"2026-12-25T10:00[Europe/Berlin]\" or \"2026-12-25T10:00:00Z\"",
            ),
            Self::UnknownTimeZone => {
                f.write_str("no such time zone; names are like \"Europe/Berlin\"")
            }
        }
    }
}

impl std::error::Error for AtError {}

const FIRST_MONDAY: Date = date(2026, 1, 5);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::super::{Closing, Opening};
    use super::*;

    fn zone(name: &str) -> TimeZone {
        TimeZone::get(name).unwrap()
    }

    fn schedule(open: &[&str], closed: &[&str]) -> Schedule {
        Schedule {
            time_zone: zone("Europe/London"),
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

    #[test]
    fn every_form_of_a_point_in_time() {
        let berlin = zone("Europe/Berlin");
        let cases = [
            ("2026-12-25T10:00:00Z", "2026-12-25T10:00:00Z"),
            ("2026-12-25T10:00:00+01:00", "2026-12-25T09:00:00Z"),
            ("2026-12-25 10:00", "2026-12-25T09:00:00Z"),
            (" 2026-07-01T10:00 ", "2026-07-01T08:00:00Z"),
            ("2026-12-25T10:00[Europe/London]", "2026-12-25T10:00:00Z"),
            ("2026-07-01 10:00[Europe/London]", "2026-07-01T09:00:00Z"),
            (
                "2026-07-01T10:00+01:00[Europe/London]",
                "2026-07-01T09:00:00Z",
            ),
            ("Mon 10:00", "2026-01-05T09:00:00Z"),
            ("sunday 0:30", "2026-01-10T23:30:00Z"),
            // Skipped by the clocks: as late as they skip. Twice: the first one.
            ("2026-03-29 02:30", "2026-03-29T01:30:00Z"),
            ("2026-10-25 02:30", "2026-10-25T00:30:00Z"),
        ];
        let ordinary = |weekday| ordinary_day(std::iter::empty(), weekday);
        for (text, expected) in cases {
            let at = parse_at(text, Some(&berlin), ordinary).unwrap();
            assert_eq!(at.to_string(), expected, "{text}");
        }
    }

    #[test]
    fn what_is_no_point_in_time() {
        let berlin = zone("Europe/Berlin");
        let ordinary = |weekday| ordinary_day(std::iter::empty(), weekday);
        let cases = [
            ("", AtError::UnknownForm),
            ("now", AtError::UnknownForm),
            ("Mon", AtError::UnknownForm),
            ("Mon 24:00", AtError::UnknownForm),
            ("Mon 10:00 x", AtError::UnknownForm),
            ("2026-12-25", AtError::UnknownForm),
            ("2026-02-29 10:00", AtError::UnknownForm),
            (
                "2026-12-25T10:00+05:00[Europe/Berlin]",
                AtError::UnknownForm,
            ),
            ("2026-12-25T10:00[Europe/Bärlin]", AtError::UnknownTimeZone),
            ("[", AtError::UnknownForm),
            ("[]", AtError::UnknownTimeZone),
        ];
        for (text, expected) in cases {
            let error = parse_at(text, Some(&berlin), ordinary).unwrap_err();
            assert_eq!(error, expected, "{text}");
        }
        for text in ["Mon 10:00", "2026-12-25 10:00"] {
            let error = parse_at(text, None, ordinary).unwrap_err();
            assert_eq!(error, AtError::ZoneNeeded, "{text}");
            assert!(error.to_string().contains("[Europe/Berlin]"));
        }
        assert!(parse_at("2026-12-25T10:00:00Z", None, ordinary).is_ok());
    }

    #[test]
    fn an_ordinary_day_has_no_dated_line() {
        let none = schedule(&["Mon-Fri 08:00-18:00"], &[]);
        let epiphany = schedule(&["Mon-Fri"], &["01-06"]);
        let january = schedule(&["2026-01-13 10:00-12:00"], &["2026-01-19 22:00-06:00"]);
        let day = |schedules: &[&Schedule], weekday| {
            ordinary_day(schedules.iter().copied(), weekday).to_string()
        };
        assert_eq!(day(&[], Weekday::Monday), "2026-01-05");
        assert_eq!(day(&[&none], Weekday::Sunday), "2026-01-11");
        assert_eq!(day(&[&none, &epiphany], Weekday::Tuesday), "2026-01-13");
        // The 13th has its own hours, and a closing runs into the 20th.
        assert_eq!(day(&[&epiphany, &january], Weekday::Tuesday), "2026-01-27");
        let always = schedule(&["01-01 to 12-31"], &[]);
        assert_eq!(day(&[&always], Weekday::Wednesday), "2026-01-07");
    }
}
