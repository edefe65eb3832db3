//! Rules and items of `called` that can never decide: T023, T036.

use super::Analysis;
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::unreachable::{Unreachable, unreachable_rules};

/// Of the rules that together cover one: nobody reads more carets than these.
const COVERING_RULES_SHOWN: usize = 4;

pub(super) fn report(analysis: Analysis<'_>) {
    for found in unreachable_rules(analysis.table) {
        let diagnostic = match found.item {
            None => whole_rule(analysis, &found),
            Some(item) => one_item(analysis, &found, item),
        };
        if let Some(diagnostic) = diagnostic {
            analysis.context.diagnostics.push(diagnostic);
        }
    }
}

fn whole_rule(analysis: Analysis<'_>, found: &Unreachable) -> Option<Diagnostic> {
    let spot = analysis.rule_spot(found.rule)?;
    let message = format!("rule {} can never decide", analysis.rule_name(found.rule));
    let diagnostic = Diagnostic::error(Code::NeverDecides, message);
    if found.covered_by.is_empty() {
        let label = "what it asks for is what it excludes with !";
        return Some(diagnostic.at(analysis.place(spot, label)));
    }
    let diagnostic = diagnostic
        .at(analysis.place(spot, "every call it matches is taken above"))
        .help("move it up, narrow the rule above, or delete it");
    Some(with_covering(analysis, found, diagnostic))
}

fn one_item(analysis: Analysis<'_>, found: &Unreachable, item: usize) -> Option<Diagnostic> {
    let text = analysis.rule(found.rule)?.called.as_ref()?.get(item)?;
    let rule = analysis.rule_name(found.rule);
    let message = format!("{} of rule {rule} can never decide", quoted(text.as_str()));
    let bars = analysis.rule(found.rule).is_some_and(|r| r.has_reject);
    let note = match bars {
        true => "what this item is to bar is not barred",
        false => "the other items of the rule are not affected",
    };
    let diagnostic = Diagnostic::warning(Code::ItemNeverDecides, message)
        .at(analysis.place(text.spot, "every call it matches is taken above"))
        .help("move the rule up, narrow the rule above, or delete the item")
        .note(note);
    Some(with_covering(analysis, found, diagnostic))
}

fn with_covering(
    analysis: Analysis<'_>,
    found: &Unreachable,
    mut diagnostic: Diagnostic,
) -> Diagnostic {
    let takes = match found.covered_by.len() {
        1 => "takes its calls",
        _ => "takes some of its calls",
    };
    for id in found.covered_by.iter().take(COVERING_RULES_SHOWN) {
        if let Some(by) = analysis.rule_spot(*id) {
            let label = format!("{} {takes}", analysis.rule_name(*id));
            diagnostic = diagnostic.at(analysis.place(by, label));
        }
    }
    diagnostic
}
