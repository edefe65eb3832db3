//! Sections to table: names to ids, ranges to prefixes, and every mistake on the way.

mod change_policy;
mod dids;
pub(super) mod emergency;
mod numbers;
mod probing;
mod rules;
mod schedules;
mod trunks;

pub(super) use dids::did_rows;
pub(super) use schedules::time_zone;

use super::analysis::analyse;
use super::diagnostic::{Code, Diagnostic, Diagnostics, Place};
use super::names::{Context, Names};
use super::schema::Schema;
use super::source::Sources;
use crate::routing::RoutingTable;
use crate::routing::table::TableParts;

/// A table while it is being put together.
#[derive(Default)]
pub(super) struct Compiled {
    parts: TableParts,
    /// Groups that calls can arrive on by their source.
    arrival_groups: Vec<u16>,
}

/// The names of everything that can be referred to.
pub(super) struct AllNames<'s> {
    trunks: Names<'s>,
    groups: Names<'s>,
    dial_plans: Names<'s>,
    dids: Names<'s>,
    manipulations: Names<'s>,
    schedules: Names<'s>,
    policies: Names<'s>,
    something_is_assigned: bool,
}

/// Compiles a schema. The table is only of use when no error was reported, but is always
/// made: cases are run on what could be understood.
pub(super) fn compile(
    schema: &Schema,
    sources: &mut Sources,
    diagnostics: &Diagnostics,
    is_damaged: bool,
) -> RoutingTable {
    let lists = dids::read(schema, sources, diagnostics);
    let context = Context {
        sources,
        diagnostics,
        is_damaged,
    };
    let mut names = AllNames::collect(&context, schema);
    names.something_is_assigned = lists.assign_something();
    let mut compiled = Compiled::default();
    trunks::compile(&context, &names, schema, &mut compiled);
    numbers::compile(&context, schema, &mut compiled);
    schedules::compile(&context, &names, schema, &mut compiled);
    lists.compile(&context, &names.groups, schema, &mut compiled);
    rules::compile(&context, &names, schema, &mut compiled);
    change_policy::compile(&context, &names, schema, &mut compiled);
    check_not_empty(&context, schema);
    names.report_unused(&context, &compiled);
    compiled.parts.files = sources.iter().map(|file| file.name().into()).collect();
    compiled.parts.hash = sources.content_hash().0;
    let table = RoutingTable::new(compiled.parts);
    let context = Context {
        sources,
        diagnostics,
        is_damaged,
    };
    if !diagnostics.has_errors() {
        // These read the rules as a whole: of half a table they would say what is not so.
        emergency::check(&context, &table, schema);
        analyse(&context, &table, schema);
    }
    table
}

impl<'s> AllNames<'s> {
    fn collect(context: &Context<'_>, schema: &'s Schema) -> Self {
        let groups: Names<'_> = Names::collect(
            context,
            "trunk group",
            schema.groups.iter().map(|s| &s.name),
        );
        if let Some(section) = schema.groups.iter().find(|s| s.name.as_str() == "assigned") {
            let message = "a trunk group cannot be named \"assigned\"";
            let label = "in route_to this is the group of the DID row";
            context.error(Code::NotAllowed, section.name.spot, label, message);
        }
        Self {
            trunks: Names::collect(context, "trunk", schema.trunks.iter().map(|s| &s.name)),
            groups,
            dial_plans: Names::collect(
                context,
                "dial plan",
                schema.dial_plans.iter().map(|s| &s.name),
            ),
            dids: Names::collect(context, "DID list", schema.dids.iter().map(|s| &s.name)),
            manipulations: Names::collect(
                context,
                "manipulation",
                schema.manipulations.iter().map(|s| &s.name),
            ),
            schedules: Names::collect(
                context,
                "schedule",
                schema.schedules.iter().map(|s| &s.name),
            ),
            policies: Names::collect(
                context,
                "alternative routing",
                schema.policies.iter().map(|s| &s.name),
            ),
            something_is_assigned: false,
        }
    }

    /// A DID list that assigns is used by being there; a group by calls arriving on it.
    fn report_unused(&self, context: &Context<'_>, compiled: &Compiled) {
        // What was not understood may be what uses it.
        if context.diagnostics.has_errors() {
            return;
        }
        for group in &compiled.arrival_groups {
            self.groups.mark_used(*group);
        }
        let assigning = compiled
            .parts
            .lists
            .iter()
            .zip(0u16..)
            .filter(|(l, _)| l.marks.is_none());
        for (_, id) in assigning {
            self.dids.mark_used(id);
        }
        for names in [
            &self.trunks,
            &self.groups,
            &self.dial_plans,
            &self.dids,
            &self.manipulations,
            &self.schedules,
            &self.policies,
        ] {
            names.report_unused(context);
        }
    }
}

fn check_not_empty(context: &Context<'_>, schema: &Schema) {
    // With an error elsewhere its rules may only have been lost.
    if !schema.rules.is_empty() || context.diagnostics.has_errors() {
        return;
    }
    let (message, place) = match schema.toml_files.first() {
        None => ("there is no .toml file in the folder", None),
        Some(file) => (
            "the table has no rule: every call would be answered 404",
            Some(file),
        ),
    };
    let file = place
        .and_then(|file| context.sources.get(*file))
        .map_or(".", |file| file.name());
    let diagnostic = Diagnostic::error(Code::EmptyTable, message).at(Place::whole_file(file));
    context
        .diagnostics
        .push(diagnostic.help("begin with the smallest example table"));
}
