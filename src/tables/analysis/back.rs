//! Rules that send calls back to the group they came from: T040.

use super::Analysis;
use crate::routing::RuleId;
use crate::routing::rule::{Action, Destination};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};

/// Only a rule that names the group on both sides means it so. One without `from` may hold
/// for calls that never come.
pub(super) fn report(analysis: Analysis<'_>) {
    let rules = analysis.table.rules().iter().zip((0u16..).map(RuleId));
    for (rule, id) in rules {
        let Action::RouteTo(destinations) = &rule.action else {
            continue;
        };
        let Some(Destination::Group(group)) = destinations.first() else {
            continue;
        };
        let name = analysis.table.group_name(*group);
        // Every group must have a way for its emergency calls, also one that sends none.
        let emergency =
            rule.called.any_of.as_ref().is_some_and(|set| {
                set.emergency || set.patterns.iter().any(|e| !e.prefix.is_global())
            });
        if emergency {
            continue;
        }
        if rule.from.as_ref().is_some_and(|from| from.contains(group))
            && !leads_to_fixed_users(analysis, *group)
        {
            say(analysis, id, name);
        }
    }
}

/// A fixed user part is another number: an attendant, a mailbox.
fn leads_to_fixed_users(analysis: Analysis<'_>, group: crate::routing::GroupId) -> bool {
    let trunks = analysis.table.group(group).map_or(&[][..], |g| &g.trunks);
    trunks.iter().any(|id| {
        let trunk = analysis.table.trunk(*id);
        trunk.is_some_and(|trunk| trunk.target.fixed_user.is_some())
    })
}

fn say(analysis: Analysis<'_>, id: RuleId, group: &str) {
    let Some(section) = analysis.rule(id) else {
        return;
    };
    let mut from = section.from.iter().flatten();
    let written = from.find(|text| text.as_str() == group);
    let first = section.route_to.as_ref().and_then(|list| list.first());
    let (Some(from), Some(first)) = (written, first) else {
        return;
    };
    let message = format!(
        "rule {} sends calls from {} back to it",
        analysis.rule_name(id),
        quoted(group)
    );
    let diagnostic = Diagnostic::warning(Code::GoesBack, message)
        .at(analysis.place(first.spot, "tried first"))
        .at(analysis.place(from.spot, "and calls from it come here"))
        .help("who sent the call here would get it again: take the group out of one of the lists");
    analysis.context.diagnostics.push(diagnostic);
}
