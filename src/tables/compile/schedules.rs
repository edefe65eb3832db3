//! Schedules and the schedules they include.

use super::{AllNames, Compiled};
use crate::routing::ScheduleId;
use crate::routing::schedule::{Closing, Opening, Schedule, TextError};
use crate::routing::table::NamedSchedule;
use crate::tables::diagnostic::{Code, Diagnostic, nearest, quoted};
use crate::tables::names::{Context, report_circles};
use crate::tables::schema::{ScheduleSection, Schema};
use crate::tables::source::Spot;
use crate::tables::toml_reader::Text;
use jiff::tz::TimeZone;

/// How an item of `open` or `closed` names another schedule.
const INCLUDE: &str = "schedule:";

pub(super) fn compile(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    compiled: &mut Compiled,
) {
    let mut next: Vec<Vec<(u16, Spot)>> = Vec::new();
    compiled.parts.schedules = schema
        .schedules
        .iter()
        .map(|section| {
            let mut edges = Vec::new();
            let schedule = schedule(context, names, section, &mut edges);
            next.push(edges);
            schedule
        })
        .collect();
    if report_circles(context, &names.schedules, &next) {
        // Refused anyway; cut, so that no case can walk in circles.
        for schedule in &mut compiled.parts.schedules {
            (schedule.open_with, schedule.closed_with) = (Box::default(), Box::default());
        }
    }
}

fn schedule(
    context: &Context<'_>,
    names: &AllNames<'_>,
    section: &ScheduleSection,
    edges: &mut Vec<(u16, Spot)>,
) -> NamedSchedule {
    let time_zone = section
        .timezone
        .as_ref()
        .and_then(|text| time_zone(context, text));
    let mut included = |list: &[Text]| -> Box<[ScheduleId]> {
        let ids = list.iter().filter_map(|text| {
            let (name, spot) = include(text)?;
            let id = names.schedules.find_at(context, name, spot)?;
            edges.push((id, spot));
            Some(ScheduleId(id))
        });
        ids.collect()
    };
    let (open_with, closed_with) = (included(&section.open), included(&section.closed));
    let own = |list: &'_ [Text]| -> Vec<Text> {
        list.iter()
            .filter(|text| include(text).is_none())
            .cloned()
            .collect()
    };
    let open = parsed(context, &own(&section.open), Opening::parse);
    let closed = parsed(context, &own(&section.closed), Closing::parse);
    if section.open.is_empty() && section.closed.is_empty() && !context.is_damaged {
        let message = format!("schedule {} has no times", quoted(section.name.as_str()));
        let diagnostic = Diagnostic::error(Code::KeyChoice, message)
            .help("write open = [\"Mon-Fri 08:00-18:00\"]");
        context.push(diagnostic, section.spot, "");
    }
    NamedSchedule {
        name: section.name.as_str().into(),
        schedule: Schedule {
            time_zone: time_zone.unwrap_or(TimeZone::UTC),
            open,
            closed,
        },
        open_with,
        closed_with,
    }
}

/// `schedule:NAME`, and where the name stands.
fn include(text: &Text) -> Option<(&str, Spot)> {
    let name = text.as_str().strip_prefix(INCLUDE)?;
    Some((name, text.sub(INCLUDE.len()..text.as_str().len())))
}

fn parsed<T>(
    context: &Context<'_>,
    list: &[Text],
    parse: impl Fn(&str) -> Result<T, TextError>,
) -> Vec<T> {
    list.iter()
        .filter_map(|text| match parse(text.as_str()) {
            Ok(value) => Some(value),
            Err(error) => {
                let message = format!("{} is not an opening time", quoted(text.as_str()));
                let range = error.offset..error.offset + error.length;
                let label = error.to_string();
                let diagnostic = Diagnostic::error(Code::NotAnOpeningTime, message).help(
                    "write \"Mon-Fri 08:00-18:00\", \"2026-12-24 09:00-12:00\", \
                     \"2026-12-25 to 2026-12-28\" or \"12-25\"",
                );
                context.push(diagnostic, text.sub(range), &label);
                None
            }
        })
        .collect()
}

pub(in crate::tables) fn time_zone(context: &Context<'_>, text: &Text) -> Option<TimeZone> {
    let zone = TimeZone::get(text.as_str());
    if zone.is_err() {
        let message = format!("{} is not a time zone", quoted(text.as_str()));
        let known: Vec<_> = jiff::tz::db().available().collect();
        // Not "GMT+0" for "GMT+1": a place was meant.
        let places = known.iter().map(|name| name.as_str());
        let places = places.filter(|name| name.contains('/'));
        let help = match nearest(text.as_str(), places) {
            Some(meant) => format!("did you mean {}?", quoted(meant)),
            None => "write a name of the IANA database such as \"Europe/London\"".to_owned(),
        };
        let diagnostic = Diagnostic::error(Code::UnknownTimeZone, message).help(help);
        context.push(diagnostic, text.spot, "");
    }
    zone.ok()
}
