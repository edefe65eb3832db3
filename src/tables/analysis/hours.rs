//! Schedules that never open, and rules whose hours never come: T041.
//!
//! A warning, never an error: a table that was good must not be refused because time went on.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::Analysis;
use crate::plan::each_hour;
use crate::routing::{RuleId, ScheduleId};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use jiff::Timestamp;

pub(super) fn report(analysis: Analysis<'_>, since: Timestamp) {
    let table = analysis.table;
    let mut closed: BTreeSet<ScheduleId> = (0..table.schedules().len() as u16)
        .map(ScheduleId)
        .collect();
    let rules = table.rules().iter().zip((0u16..).map(RuleId));
    let mut waiting: Vec<RuleId> = rules
        .filter(|(rule, _)| !rule.during.is_empty())
        .map(|(_, id)| id)
        .collect();
    each_hour(&[table], since, |at| {
        closed.retain(|id| !table.is_open(*id, at));
        waiting.retain(|id| {
            let rule = table.rule(*id);
            !rule.is_some_and(|rule| rule.holds_during(|id| table.is_open(id, at)))
        });
        match closed.is_empty() && waiting.is_empty() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        }
    });
    for id in &closed {
        never_open(analysis, *id);
    }
    for id in waiting {
        never_come(analysis, id, &closed);
    }
}

fn never_open(analysis: Analysis<'_>, id: ScheduleId) {
    let Some(section) = analysis.schema.schedules.get(id.index()) else {
        return;
    };
    let message = format!("schedule {} never opens", quoted(section.name.as_str()));
    let diagnostic = Diagnostic::warning(Code::NeverOpen, message)
        .at(analysis.place(section.name.spot, "closed from now on"))
        .help("its dates are past, or what it opens is closed again: write hours that come");
    analysis.context.diagnostics.push(diagnostic);
}

/// A rule that only waits for schedules that never open is their fault and said there.
fn never_come(analysis: Analysis<'_>, id: RuleId, closed: &BTreeSet<ScheduleId>) {
    let wanted = analysis.table.rule(id).map_or(&[][..], |rule| &rule.during);
    let mut wanted = wanted.iter().filter(|(_, open)| *open).peekable();
    if wanted.peek().is_some() && wanted.all(|(schedule, _)| closed.contains(schedule)) {
        return;
    }
    let during = analysis
        .rule(id)
        .and_then(|rule| rule.during.as_ref()?.first());
    let Some(first) = during else {
        return;
    };
    let message = format!("the hours of rule {} never come", analysis.rule_name(id));
    let diagnostic = Diagnostic::warning(Code::NeverOpen, message)
        .at(analysis.place(first.spot, "at no time do these hold together"))
        .help("of the schedules without ! one must be open while those with ! are closed");
    analysis.context.diagnostics.push(diagnostic);
}
