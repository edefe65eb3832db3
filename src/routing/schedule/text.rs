//! The language of opening hours: `[days or dates] [times]`.
//!
//! ```text
//! opening = dated / [days] [times]        ; not both left out
//! closing = dated
//! days    = day ["-" day] *("," day ["-" day])     ; Sat-Mon runs over the week's end
//! dated   = date ["to" date] [times]               ; both with a year, or both without
//! date    = YYYY "-" MM "-" DD / MM "-" DD
//! times   = time "-" time *("," time "-" time)     ; 22:00-06:00 ends on the next day
//! time    = H[H] ":" MM                            ; the last one may be 24:00
//! ```
//! Days are English, short or whole, in any case. Spaces may stand around `-` and `,`.

use std::fmt;

use arrayvec::ArrayVec;
use jiff::civil::{Date, Weekday};

use super::{Closing, DAY_MINUTES, Dated, Dates, Opening, OpeningDays, Span, Times};
use super::{Weekdays, Weekly};
use crate::limits::OPENING_TIMES_MAX;

impl Opening {
    /// Reads one line of `open`.
    ///
    /// # Errors
    /// Where the text stops making sense and what was expected there.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut cursor = Cursor::new(text);
        let days = match cursor.next_kind() {
            Kind::Date => OpeningDays::Dated(cursor.dated()?),
            Kind::Word | Kind::Time => OpeningDays::Weekly(cursor.weekly()?),
            Kind::Other => return Err(cursor.error(EXPECTED_OPENING)),
        };
        cursor.end()?;
        Ok(Self(days))
    }
}

impl Closing {
    /// Reads one line of `closed`.
    ///
    /// # Errors
    /// Where the text stops making sense and what was expected there.
    pub fn parse(text: &str) -> Result<Self, TextError> {
        let mut cursor = Cursor::new(text);
        let Kind::Date = cursor.next_kind() else {
            return Err(cursor.error(EXPECTED_CLOSING));
        };
        let dated = cursor.dated()?;
        cursor.end()?;
        Ok(Self(dated))
    }
}

/// Text that is not in the language of opening hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TextError {
    /// Bytes before the place, within the text.
    pub offset: usize,
    /// Bytes of the wrong word; 0 at the end of the text.
    pub length: usize,
    /// What would have been right there, as a noun phrase.
    pub expected: &'static str,
}

impl fmt::Display for TextError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {}", self.expected)
    }
}

impl std::error::Error for TextError {}

/// Reads from left to right; every method either moves on or reports where it stands.
pub(super) struct Cursor<'a> {
    text: &'a str,
    offset: usize,
}

/// What the next word looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Time,
    Date,
    Other,
}

impl<'a> Cursor<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut cursor = Self { text, offset: 0 };
        cursor.skip_spaces();
        cursor
    }

    fn rest(&self) -> &'a str {
        self.text.get(self.offset..).unwrap_or_default()
    }

    fn skip_spaces(&mut self) {
        self.offset += self.rest().len() - self.rest().trim_start().len();
    }

    /// Takes the bytes at the front that fit, and spaces behind them if there were any.
    fn take(&mut self, fits: impl Fn(&u8) -> bool) -> &'a str {
        let rest = self.rest();
        // Only ASCII bytes are ever taken, so this is a character boundary.
        let length = rest.bytes().take_while(fits).count();
        self.offset += length;
        rest.get(..length).unwrap_or_default()
    }

    fn eat(&mut self, wanted: char) -> bool {
        let found = self.rest().starts_with(wanted);
        if found {
            self.offset += wanted.len_utf8();
            self.skip_spaces();
        }
        found
    }

    fn error(&self, expected: &'static str) -> TextError {
        let word = self.rest().split([' ', ',', '\t']).next();
        let length = word.map_or(0, str::len);
        TextError {
            offset: self.offset,
            length: length.max(usize::from(!self.rest().is_empty())),
            expected,
        }
    }

    /// An error about what stood at `offset` and has been read.
    fn error_since(&self, offset: usize, expected: &'static str) -> TextError {
        let read = self.text.get(offset..self.offset).unwrap_or_default();
        TextError {
            offset,
            length: read.trim_end().len(),
            expected,
        }
    }

    pub(super) fn end(&self) -> Result<(), TextError> {
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.error("the end of the line"))
        }
    }

    fn next_kind(&self) -> Kind {
        let rest = self.rest();
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        match (digits, rest.as_bytes().get(digits)) {
            (0, Some(byte)) if byte.is_ascii_alphabetic() => Kind::Word,
            (0, _) => Kind::Other,
            (1 | 2, Some(b':')) => Kind::Time,
            _ => Kind::Date,
        }
    }

    fn weekly(&mut self) -> Result<Weekly, TextError> {
        let days = if self.next_kind() == Kind::Word {
            self.weekdays()?
        } else {
            Weekdays::EVERY
        };
        let times = self.times_or_whole_day()?;
        Ok(Weekly { days, times })
    }

    fn weekdays(&mut self) -> Result<Weekdays, TextError> {
        let mut days = 0;
        loop {
            let first = self.weekday()?;
            let last = if self.eat('-') {
                self.weekday()?
            } else {
                first
            };
            let length = last.since(first) + 1;
            let run = first
                .cycle_forward()
                .take(usize::from(length.unsigned_abs()));
            days |= run.fold(0, |run, day| run | 1 << day.to_monday_zero_offset());
            if !self.eat(',') {
                return Ok(Weekdays(days));
            }
        }
    }

    /// A day of the week, and spaces behind it.
    pub(super) fn weekday(&mut self) -> Result<Weekday, TextError> {
        let offset = self.offset;
        let word = self.take(u8::is_ascii_alphabetic);
        let day = DAYS.iter().find(|(day, _)| {
            let is_short = day
                .get(..3)
                .is_some_and(|short| short.eq_ignore_ascii_case(word));
            is_short || day.eq_ignore_ascii_case(word)
        });
        let (_, day) = day.ok_or_else(|| {
            self.offset = offset;
            self.error(EXPECTED_DAY)
        })?;
        self.skip_spaces();
        Ok(*day)
    }

    fn times_or_whole_day(&mut self) -> Result<Times, TextError> {
        if self.rest().is_empty() {
            return Ok(Times::whole_day());
        }
        let mut times = ArrayVec::<Span, OPENING_TIMES_MAX>::new();
        loop {
            let offset = self.offset;
            let span = self.span()?;
            if times.try_push(span).is_err() {
                return Err(self.error_since(offset, "at most 8 times in a line"));
            }
            if !self.eat(',') {
                return Ok(Times(times));
            }
        }
    }

    fn span(&mut self) -> Result<Span, TextError> {
        let offset = self.offset;
        let from_minute = self.minute()?;
        if from_minute == DAY_MINUTES {
            return Err(self.error_since(offset, "00:00 to 23:59 to open at"));
        }
        if !self.eat('-') {
            return Err(self.error("\"-\" and the time it closes"));
        }
        let to_minute = self.minute()?;
        if from_minute == to_minute {
            let expected = "two different times; the whole day is 00:00-24:00";
            return Err(self.error_since(offset, expected));
        }
        Ok(Span {
            from_minute,
            to_minute,
        })
    }

    /// A time of day as minutes since midnight, 0 to 1440, and spaces behind it.
    pub(super) fn minute(&mut self) -> Result<u16, TextError> {
        let offset = self.offset;
        let minute = self.read_minute().ok_or_else(|| {
            self.offset = offset;
            self.error(EXPECTED_TIME)
        })?;
        self.skip_spaces();
        Ok(minute)
    }

    fn read_minute(&mut self) -> Option<u16> {
        let hour = self.take(u8::is_ascii_digit);
        let colon = self.take(|byte| *byte == b':');
        let minute = self.take(u8::is_ascii_digit);
        if !matches!(hour.len(), 1 | 2) || colon.len() != 1 || minute.len() != 2 {
            return None;
        }
        let (hour, minute): (u16, u16) = (hour.parse().ok()?, minute.parse().ok()?);
        (minute < 60)
            .then_some(hour * 60 + minute)
            .filter(|minute| *minute <= DAY_MINUTES)
    }

    fn dated(&mut self) -> Result<Dated, TextError> {
        let offset = self.offset;
        let first = self.day_mark()?;
        let days = if self.eat_to() {
            let expected = match first {
                DayMark::Once(_) => "a date with a year, such as 2026-12-28",
                DayMark::Yearly(_) => "a date without a year, such as 12-26",
            };
            let last_offset = self.offset;
            let last = self.day_mark()?;
            let days = first.to(last);
            let days = days.ok_or_else(|| self.error_since(last_offset, expected))?;
            if matches!(days, Dates::Once { first, last } if last < first) {
                return Err(self.error_since(offset, "the earlier date first"));
            }
            days
        } else {
            first.alone()
        };
        let times = self.times_or_whole_day()?;
        Ok(Dated { days, times })
    }

    /// The word `to` and spaces behind it.
    fn eat_to(&mut self) -> bool {
        let offset = self.offset;
        let found = self
            .take(u8::is_ascii_alphabetic)
            .eq_ignore_ascii_case("to");
        if found {
            self.skip_spaces();
        } else {
            self.offset = offset;
        }
        found
    }

    fn day_mark(&mut self) -> Result<DayMark, TextError> {
        let offset = self.offset;
        let word = self.take(|byte| byte.is_ascii_digit() || *byte == b'-');
        let mark = DayMark::read(word).ok_or_else(|| {
            self.offset = offset;
            self.error(EXPECTED_DATE)
        })?;
        self.skip_spaces();
        Ok(mark)
    }
}

/// One end of a range of dates.
#[derive(Clone, Copy)]
enum DayMark {
    Once(Date),
    Yearly((i8, i8)),
}

impl DayMark {
    /// `YYYY-MM-DD` or `MM-DD`, of a day that exists; `02-29` does in some years.
    fn read(word: &str) -> Option<Self> {
        let digits = |part: &str, length| {
            let fits = part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit());
            fits.then(|| part.parse::<i16>().ok()).flatten()
        };
        let month_day = |month: &str, day: &str| {
            let month = i8::try_from(digits(month, 2)?).ok()?;
            Some((month, i8::try_from(digits(day, 2)?).ok()?))
        };
        let mut parts = word.split('-');
        match (parts.next()?, parts.next()?, parts.next(), parts.next()) {
            (year, month, Some(day), None) => {
                let (month, day) = month_day(month, day)?;
                Date::new(digits(year, 4)?, month, day).ok().map(Self::Once)
            }
            (month, day, None, None) => {
                let (month, day) = month_day(month, day)?;
                let leap_day = Date::new(LEAP_YEAR, month, day);
                leap_day.ok().map(|_| Self::Yearly((month, day)))
            }
            _ => None,
        }
    }

    const fn alone(self) -> Dates {
        match self {
            Self::Once(day) => Dates::Once {
                first: day,
                last: day,
            },
            Self::Yearly(day) => Dates::Yearly {
                first: day,
                last: day,
            },
        }
    }

    /// `None` if only one end has a year.
    const fn to(self, last: Self) -> Option<Dates> {
        match (self, last) {
            (Self::Once(first), Self::Once(last)) => Some(Dates::Once { first, last }),
            (Self::Yearly(first), Self::Yearly(last)) => Some(Dates::Yearly { first, last }),
            _ => None,
        }
    }
}

impl fmt::Display for Opening {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            OpeningDays::Weekly(Weekly { days, times }) => write!(f, "{days}{times}"),
            OpeningDays::Dated(dated) => dated.fmt(f),
        }
    }
}

impl fmt::Display for Closing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for Dated {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.days {
            Dates::Once { first, last } if first == last => write!(f, "{first}")?,
            Dates::Once { first, last } => write!(f, "{first} to {last}")?,
            Dates::Yearly { first, last } => {
                write!(f, "{:02}-{:02}", first.0, first.1)?;
                if first != last {
                    write!(f, " to {:02}-{:02}", last.0, last.1)?;
                }
            }
        }
        self.times.fmt(f)
    }
}

/// Runs of days, beginning with one whose eve is not in the set: `Sat-Mon`.
impl fmt::Display for Weekdays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let begins_run = |day: &Weekday| self.contains(*day) && !self.contains(day.previous());
        let begin = Weekday::Monday.cycle_forward().take(7).find(begins_run);
        let mut days = begin
            .unwrap_or(Weekday::Monday)
            .cycle_forward()
            .take(7)
            .peekable();
        let mut separator = "";
        while let Some(first) = days.next() {
            if !self.contains(first) {
                continue;
            }
            let mut last = first;
            while let Some(day) = days.next_if(|day| self.contains(*day)) {
                last = day;
            }
            write!(f, "{separator}{}", short_name(first))?;
            if last != first {
                let joint = if last == first.next() { "," } else { "-" };
                write!(f, "{joint}{}", short_name(last))?;
            }
            separator = ",";
        }
        Ok(())
    }
}

/// The times with a space in front; nothing for the whole day.
impl fmt::Display for Times {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::whole_day() {
            return Ok(());
        }
        for (index, span) in self.0.iter().enumerate() {
            f.write_str(if index == 0 { " " } else { "," })?;
            let (from_hour, from_minute) = (span.from_minute / 60, span.from_minute % 60);
            let (to_hour, to_minute) = (span.to_minute / 60, span.to_minute % 60);
            write!(
                f,
                "{from_hour:02}:{from_minute:02}-{to_hour:02}:{to_minute:02}"
            )?;
        }
        Ok(())
    }
}

fn short_name(day: Weekday) -> &'static str {
    let name = DAYS.iter().find(|(_, named)| *named == day);
    name.and_then(|(name, _)| name.get(..3)).unwrap_or_default()
}

const DAYS: [(&str, Weekday); 7] = [
    ("Monday", Weekday::Monday),
    ("Tuesday", Weekday::Tuesday),
    ("Wednesday", Weekday::Wednesday),
    ("Thursday", Weekday::Thursday),
    ("Friday", Weekday::Friday),
    ("Saturday", Weekday::Saturday),
    ("Sunday", Weekday::Sunday),
];

/// Any leap year: it has all days a year can have.
const LEAP_YEAR: i16 = 2024;

const EXPECTED_OPENING: &str = "days, times or a date, such as \"Mon-Fri 08:00-18:00\"";
const EXPECTED_CLOSING: &str =
    "a date such as 2026-12-25 or 12-25; a weekday is closed by not listing it in open";
const EXPECTED_DAY: &str = "a day: Mon, Tue, Wed, Thu, Fri, Sat or Sun";
const EXPECTED_TIME: &str = "a time from 00:00 to 24:00";
const EXPECTED_DATE: &str = "a date that exists, such as 2026-12-25 or 12-25";
const _: () = assert!(OPENING_TIMES_MAX == 8, "the text of the error says 8");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_form_and_how_it_is_printed() {
        let cases = [
            ("Mon-Thu 08:00-18:00", "Mon-Thu 08:00-18:00"),
            ("mon - THU  8:00 - 18:00", "Mon-Thu 08:00-18:00"),
            ("Monday,wednesday,Fri", "Mon,Wed,Fri"),
            ("Sat-Mon", "Sat-Mon"),
            ("Fri-Thu", "Mon-Sun"),
            ("Mon,Tue,Thu-Sat", "Mon,Tue,Thu-Sat"),
            ("Sat, Sun 10:00-16:00", "Sat,Sun 10:00-16:00"),
            ("08:00-12:00,13:00-17:00", "Mon-Sun 08:00-12:00,13:00-17:00"),
            ("22:00-06:00", "Mon-Sun 22:00-06:00"),
            ("Mon 22:00-00:00", "Mon 22:00-00:00"),
            ("Mon 00:00-24:00", "Mon"),
            ("2026-12-24 09:00-12:00", "2026-12-24 09:00-12:00"),
            ("2026-12-25", "2026-12-25"),
            ("2026-12-25 to 2026-12-28", "2026-12-25 to 2026-12-28"),
            ("2026-12-25 TO 2026-12-25", "2026-12-25"),
            ("12-25", "12-25"),
            ("12-24 to 12-26 09:00-12:00", "12-24 to 12-26 09:00-12:00"),
            ("12-28 to 01-02", "12-28 to 01-02"),
            ("02-29", "02-29"),
        ];
        for (text, printed) in cases {
            let opening = Opening::parse(text).unwrap();
            assert_eq!(opening.to_string(), printed, "{text}");
            assert_eq!(Opening::parse(printed), Ok(opening), "{text}");
            let is_dated = text.starts_with(|first: char| first.is_ascii_digit())
                && !printed.starts_with("Mon");
            assert_eq!(Closing::parse(text).is_ok(), is_dated, "{text}");
        }
    }

    #[test]
    fn mistakes_are_found_where_they_are() {
        // Text, the wrong word as offset and length, the first words of what was expected.
        let cases = [
            ("", 0, 0, "days, times or a date"),
            ("!", 0, 1, "days, times or a date"),
            ("Mo-Fri", 0, 6, "a day"),
            ("Mon-Fry 08:00-18:00", 4, 3, "a day"),
            ("Mon-", 4, 0, "a day"),
            ("Mon,", 4, 0, "a day"),
            ("Mon–Fri", 3, 6, "a time"),
            ("Mon 08:00", 9, 0, "\"-\""),
            ("Mon 08.00-18.00", 4, 11, "a time"),
            ("Mon 08:00-25:00", 10, 5, "a time"),
            ("Mon 08:60-18:00", 4, 11, "a time"),
            ("Mon 24:00-06:00", 4, 5, "00:00 to 23:59"),
            ("Mon 24:01-06:00", 4, 11, "a time"),
            ("Mon 08:00-08:00", 4, 11, "two different times"),
            ("Mon 08:00-18:00 x", 16, 1, "the end"),
            ("Mon 08:00-18:00,", 16, 0, "a time"),
            ("Mon-Fri-Sun", 7, 4, "a time"),
            ("2026-13-01", 0, 10, "a date that exists"),
            ("2026-02-29", 0, 10, "a date that exists"),
            ("02-30", 0, 5, "a date that exists"),
            ("26-12-24", 0, 8, "a date that exists"),
            ("2026-12-28 to 2026-12-25", 0, 24, "the earlier date first"),
            ("2026-12-25 to 12-28", 14, 5, "a date with a year"),
            ("12-25 to 2026-12-28", 9, 10, "a date without a year"),
            ("2026-12-25 to", 13, 0, "a date"),
            ("2026-12-25 until 2026-12-28", 11, 5, "a time"),
        ];
        for (text, offset, length, expected) in cases {
            let error = Opening::parse(text).unwrap_err();
            assert_eq!(
                (error.offset, error.length),
                (offset, length),
                "{text}: {error}"
            );
            assert!(error.expected.starts_with(expected), "{text}: {error}");
        }
        let error = Closing::parse("Sat").unwrap_err();
        assert_eq!(error.to_string(), format!("expected {EXPECTED_CLOSING}"));
        let nine = ["08:00-09:00"; 9].join(",");
        assert_eq!(Opening::parse(&nine).unwrap_err().offset, 96);
    }

    proptest! {
        #[test]
        fn any_text_parses_or_points_into_itself(
            text in prop_oneof![
                "\\PC{0,20}",
                "(Mon|Tue|sun|2026-12-24|12-25|to|08:00|24:00|18:30|-|,| ){0,12}",
            ],
        ) {
            match Opening::parse(&text) {
                Ok(opening) => {
                    prop_assert_eq!(Opening::parse(&opening.to_string()), Ok(opening));
                }
                Err(error) => {
                    prop_assert!(text.get(error.offset..error.offset + error.length).is_some()
                        || !text.is_ascii() && error.length == 1);
                }
            }
        }
    }
}
