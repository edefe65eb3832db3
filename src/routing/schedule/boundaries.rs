//! Where a schedule can change: what a comparison of all hours looks at.

use jiff::civil::Date;

use super::{Opening, Schedule, Times};

impl Schedule {
    /// Minutes of the day at which a line begins or ends to hold, midnight among them; in
    /// rising order. Between two of them nothing changes on any day.
    #[must_use]
    pub fn boundary_minutes(&self) -> Vec<u16> {
        let openings = self.open.iter().map(Opening::times);
        let closings = self.closed.iter().map(|closing| &closing.0.times);
        let mut minutes = vec![0];
        for span in openings.chain(closings).flat_map(|times| &times.0) {
            minutes.extend([span.from_minute, span.to_minute]);
        }
        minutes.sort_unstable();
        minutes.dedup();
        minutes
    }

    /// Adds for each line with dates whether it names this day. Two days of the same weekday
    /// with the same answers, after days with the same, have the same hours.
    pub fn dated_lines(&self, day: Date, named: &mut Vec<bool>) {
        let openings = self.open.iter().filter_map(Opening::dated);
        let lines = openings.chain(self.closed.iter().map(|closing| &closing.0));
        named.extend(lines.map(|line| line.days.contains(day)));
    }

    /// Whether any line names dates.
    #[must_use]
    pub fn has_dates(&self) -> bool {
        !self.closed.is_empty() || self.open.iter().any(Opening::is_dated)
    }
}

impl Opening {
    const fn times(&self) -> &Times {
        match &self.0 {
            super::OpeningDays::Weekly(weekly) => &weekly.times,
            super::OpeningDays::Dated(dated) => &dated.times,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::super::Closing;
    use super::*;
    use jiff::civil::date;
    use jiff::tz::TimeZone;

    #[test]
    fn minutes_and_dated_lines() {
        let schedule = Schedule {
            time_zone: TimeZone::UTC,
            open: vec![
                Opening::parse("Mon-Fri 08:00-12:00,13:00-18:00").unwrap(),
                Opening::parse("12-24 09:00-12:00").unwrap(),
            ],
            closed: vec![Closing::parse("2026-12-24 to 2026-12-26").unwrap()],
        };
        let minutes = schedule.boundary_minutes();
        assert_eq!(minutes, [0, 480, 540, 720, 780, 1080, 1440]);
        for (day, expected) in [
            (24, [true, true]),
            (25, [false, true]),
            (27, [false, false]),
        ] {
            let mut named = Vec::new();
            schedule.dated_lines(date(2026, 12, day), &mut named);
            assert_eq!(named, expected, "{day}");
        }
        assert!(schedule.has_dates());
    }
}
