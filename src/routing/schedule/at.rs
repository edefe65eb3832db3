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
pub fn ordinary_day<'a>(
    schedules: impl Iterator<Item = &'a Schedule> + Clone,
    weekday: Weekday,
) -> Date {
    let days_on = i64::from(weekday.to_monday_zero_offset());
    let day_of = |week: i64| {
        let days = jiff::Span::new().try_days(7 * week + days_on);
        days.and_then(|days| FIRST_MONDAY.checked_add(days)).ok()
    };
    (0..ORDINARY_WEEKS_MAX)
        .filter_map(day_of)
        .find(|day| !schedules.clone().any(|schedule| schedule.is_dated(*day)))
        .or_else(|| day_of(0))
        .unwrap_or(FIRST_MONDAY)
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
        let zone = TimeZone::get(name).map_err(|_| AtError::UnknownTimeZone)?;
        return match wall_clock(local) {
            Some(local) => in_zone(local, Some(&zone)),
            // With an offset as well, which must agree with the zone.
            None => text
                .parse()
                .map(|zoned: Zoned| zoned.timestamp())
                .map_err(|_| AtError::UnknownForm),
        };
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
