//! What a table that can be served still gets wrong: rules and items that never decide,
//! numbers out of every rule's reach, hours that never come, steps that leave no number,
//! calls that go back or abroad.
//!
//! Each check walks all there is (the tree of prefixes, the hours of 28 years, the groups)
//! and reports only what is surely so; what is merely unusual is no finding.

mod abroad;
mod back;
mod hours;
mod premium;
mod profiles;
mod reach;
mod rules;
mod single;
mod steps;
mod two_forms;
mod walk;

use super::diagnostic::{Place, quoted};
use super::names::Context;
use super::schema::{RuleSection, Schema};
use super::source::Spot;
use crate::routing::{Origin, RoutingTable, RuleId};
use jiff::Timestamp;

/// A table without errors, and the sections it was compiled from: rule by rule and group by
/// group the same.
#[derive(Clone, Copy)]
struct Analysis<'a> {
    context: &'a Context<'a>,
    table: &'a RoutingTable,
    schema: &'a Schema,
}

/// Reports what is wrong with a table as a whole. Errors first: of a table that has one, the
/// rest would say what is not so.
pub(super) fn analyse(context: &Context<'_>, table: &RoutingTable, schema: &Schema) {
    let analysis = Analysis {
        context,
        table,
        schema,
    };
    rules::report(analysis);
    if context.diagnostics.has_errors() {
        return;
    }
    hours::report(analysis, Timestamp::now());
    reach::report(analysis);
    two_forms::report(analysis);
    steps::report(analysis);
    back::report(analysis);
    abroad::report(analysis);
    profiles::report(analysis);
    single::report(analysis);
    premium::report(analysis);
}

impl<'a> Analysis<'a> {
    fn rule(self, id: RuleId) -> Option<&'a RuleSection> {
        self.schema.rules.get(id.index())
    }

    /// Where the name of a rule stands, or the rule if it has none.
    fn rule_spot(self, id: RuleId) -> Option<Spot> {
        let section = self.rule(id)?;
        Some(section.name.as_ref().map_or(section.spot, |name| name.spot))
    }

    fn rule_name(self, id: RuleId) -> String {
        quoted(self.table.rule_name(id))
    }

    fn place(self, spot: Spot, label: impl Into<String>) -> Place {
        self.context.sources.place(spot, label.into())
    }

    /// A line of a file, as the compiled table knows places.
    fn line(self, origin: Origin, label: impl Into<String>) -> Place {
        let file = self.context.sources.iter().nth(usize::from(origin.file));
        match file {
            Some(file) => file.place(file.line_range(origin.line), label.into()),
            None => Place::whole_file(self.table.file_name(origin.file)),
        }
    }
}
