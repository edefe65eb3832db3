//! The gates of the running table, as findings about the one that is to take its place.

use super::GateRule;
use super::diagnostic::{Code, Diagnostic, Diagnostics, Place, Report};
use crate::plan::{self, Plan, TooComplex, Verdict};
use crate::routing::RoutingTable;
use jiff::Timestamp;

/// What the gates of a table say of a change to it.
#[derive(Debug)]
pub struct Gates {
    /// Each gate and what it says; empty when the tables cannot be compared.
    pub verdicts: Vec<Verdict>,
    /// The name of the change: who writes it into `accept` of the new table's `[policy]`
    /// lets it through.
    pub change: String,
    /// Whether the new table says so.
    pub accepted: bool,
    /// Why the tables cannot be compared. No gate holds then.
    pub unknown: Option<TooComplex>,
}

impl Gates {
    /// Asks the gates of the table `before` of a change.
    #[must_use]
    pub fn of(
        plan: Result<&Plan, TooComplex>,
        before: &RoutingTable,
        after: &RoutingTable,
    ) -> Self {
        let change = plan::change_id(plan.ok(), before);
        Self {
            verdicts: plan.map_or_else(|_| Vec::new(), |plan| plan::verdicts(plan, before)),
            accepted: after.change_policy().accept.as_deref() == Some(&change),
            change,
            unknown: plan.err().filter(|_| before.change_policy().has_gates()),
        }
    }

    /// Whether every gate holds.
    #[must_use]
    pub fn hold(&self) -> bool {
        self.unknown.is_none() && self.verdicts.iter().all(|verdict| verdict.holds)
    }

    /// Whether the change may be made: every gate holds, or it was accepted by name.
    #[must_use]
    pub fn let_pass(&self) -> bool {
        self.hold() || self.accepted
    }
}

/// Compares a table with the one that serves, if that has gates, and adds T035 for each
/// that does not hold: an error, or, where the change was accepted by name or is forced, a
/// warning.
pub(super) fn check(
    before: &RoutingTable,
    after: &RoutingTable,
    since: Timestamp,
    rule: GateRule,
    report: Report,
) -> Report {
    if rule == GateRule::Skip || !before.change_policy().has_gates() {
        return report;
    }
    let compared = plan::compare(before, after, since);
    let gates = Gates::of(compared.as_ref().map_err(|error| *error), before, after);
    if gates.hold() {
        return report;
    }
    let found = Diagnostics::new();
    let finding = |message: &str| finding(&gates, rule, message);
    let broken = gates.verdicts.iter().filter(|verdict| !verdict.holds);
    for verdict in broken {
        // The file may say something else by now: the gate is that of the running table.
        let place = Place::whole_file(before.place(verdict.origin));
        let message = format!("{}: {}", verdict.gate, verdict.found);
        found.push(finding(&message).at(place));
    }
    if let Some(error) = gates.unknown {
        let message = format!("nobody can say what the change does: {error}");
        found.push(finding(&message).at(Place::whole_file(".")));
    }
    for old in report.diagnostics {
        found.push(old);
    }
    let mut all = found.into_report();
    // Those that were not kept before are not kept now.
    for (code, count) in report.left_out {
        match all.left_out.iter_mut().find(|(own, _)| *own == code) {
            Some((_, sum)) => *sum += count,
            None => all.left_out.push((code, count)),
        }
    }
    all.warnings = all.warnings.max(report.warnings);
    all
}

fn finding(gates: &Gates, rule: GateRule, found: &str) -> Diagnostic {
    let change = &gates.change;
    // A log shows the sentence only, and the old files may be gone.
    let message = format!("{found}; this is change {change}");
    let warning = |message| Diagnostic::warning(Code::OverGate, message);
    match (gates.accepted, rule) {
        (true, _) => warning(message).note("the new table accepts it"),
        (false, GateRule::Force) => warning(format!("{message}, forced")),
        (false, _) => Diagnostic::error(Code::OverGate, message).help(format!(
            "look at it with `trunkline plan`; to let it pass write accept = \"{change}\" \
             into [policy] of the new table, or say `trunkline reload --force`"
        )),
    }
}
