//! Trunk groups of one trunk that calls are routed to: T045, which is no mistake.

use std::collections::BTreeSet;

use super::Analysis;
use crate::routing::GroupId;
use crate::routing::rule::{Action, Destination};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};

pub(super) fn report(analysis: Analysis<'_>) {
    let mut used = BTreeSet::new();
    for rule in analysis.table.rules() {
        if let Action::RouteTo(destinations) = &rule.action {
            // A rule with a further destination has another way.
            if let [Destination::Group(group)] = &**destinations {
                used.insert(*group);
            }
        }
    }
    for id in used {
        single(analysis, id);
    }
}

fn single(analysis: Analysis<'_>, id: GroupId) {
    let Some(group) = analysis.table.group(id) else {
        return;
    };
    let found = group
        .search
        .iter()
        .filter_map(|id| analysis.table.group(*id));
    let trunks: BTreeSet<_> = found.flat_map(|group| group.trunks.iter()).collect();
    let section = analysis.schema.groups.get(id.index());
    let (1, Some(section)) = (trunks.len(), section) else {
        return;
    };
    let message = format!(
        "trunk group {} has one trunk, and rules name it alone",
        quoted(&group.name)
    );
    let diagnostic = Diagnostic::info(Code::SingleTrunk, message)
        .at(analysis.place(section.name.spot, "no other way when it fails"))
        .help("give it a second trunk or an overflow, or name another group behind it in route_to");
    analysis.context.diagnostics.push(diagnostic);
}
