//! A plan, laid out to be read.

use super::plan::Planned;
use crate::plan::{ArrivalKind, Change, Kind, Line, Range, Summary};
use std::fmt::Write as _;

/// Ranges, prefixes and lines of one change that are shown without `--all`.
const SHOWN_OF_A_CHANGE: usize = 10;
/// Ways from one place to another that are shown without `--all`.
const FLOWS_SHOWN: usize = 30;
/// Changes that are shown without `--all`.
const CHANGES_SHOWN: usize = 20;
/// Trunk groups of one line that are named without `--all`.
const GROUPS_SHOWN: usize = 6;

/// The whole plan.
pub(super) fn page(planned: &Planned<'_>, all: bool, color: bool) -> String {
    let mut text = String::new();
    let (plan, gates) = (planned.plan, planned.gates);
    let [old, new] = planned.names;
    let (before, after) = (planned.before.hash(), planned.after.hash());
    let _ = writeln!(text, "table {before:.12} ({old}) -> {after:.12} ({new})");
    let page = Page { all, color };
    let shown = page.at_most(CHANGES_SHOWN);
    for change in plan.changes.iter().take(shown) {
        page.change(&mut text, change);
    }
    let hidden = plan.changes.len().saturating_sub(shown);
    if hidden > 0 {
        let _ = writeln!(text, "\n… and {hidden} more changes: --all shows them");
    }
    arrivals(&mut text, planned);
    effect(&mut text, &plan.summary, plan.is_empty(), all);
    if !gates.verdicts.is_empty() {
        text.push_str("\nGates of the old table:\n");
    }
    for verdict in &gates.verdicts {
        let word = if verdict.holds { "ok" } else { "BROKEN" };
        let place = planned.before.place(verdict.origin);
        let (gate, found) = (&verdict.gate, &verdict.found);
        let line = format!("  {word:<6} {gate}: {found}  ({place})");
        let _ = writeln!(
            text,
            "{}",
            if verdict.holds {
                line
            } else {
                page.bold(&line)
            }
        );
    }
    match (gates.hold(), gates.accepted) {
        (true, _) => {}
        (false, true) => {
            let _ = writeln!(text, "  accepted by name: {}", gates.change);
        }
        (false, false) => {
            let change = &gates.change;
            let _ = writeln!(
                text,
                "  To let it pass, write into the new table: [policy] accept = \"{change}\""
            );
        }
    }
    text
}

#[derive(Clone, Copy)]
struct Page {
    all: bool,
    color: bool,
}

impl Page {
    fn at_most(self, shown: usize) -> usize {
        if self.all { usize::MAX } else { shown }
    }

    fn bold(self, text: &str) -> String {
        if self.color {
            format!("\x1b[1m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn change(self, text: &mut String, change: &Change) {
        let mut kinds: Vec<Kind> = change.lines.iter().map(|line| line.kind).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let kinds: Vec<&str> = kinds.into_iter().map(words).collect();
        let head = format!("{}: {}", amount(change), kinds.join(", "));
        let _ = writeln!(text, "\n{}", self.bold(&head));
        self.numbers(text, change);
        let shown = self.at_most(SHOWN_OF_A_CHANGE);
        for line in change.lines.iter().take(shown) {
            self.line(text, line);
        }
        let hidden = change.lines.len().saturating_sub(shown);
        if hidden > 0 {
            let _ = writeln!(
                text,
                "  … and {hidden} more kinds of calls: --all shows them"
            );
        }
    }

    fn numbers(self, text: &mut String, change: &Change) {
        let shown = self.at_most(SHOWN_OF_A_CHANGE);
        let width = change.ranges.iter().take(shown);
        let width = width
            .map(|range| range.to_string().len())
            .max()
            .unwrap_or(0);
        for range in change.ranges.iter().take(shown) {
            let _ = writeln!(text, "  {:<width$}  {}", range.to_string(), rows(range));
        }
        let mut hidden = change.ranges.iter().skip(shown).map(|range| range.numbers);
        if let Some(first) = hidden.next() {
            let numbers = hidden.fold(first, u64::saturating_add);
            let _ = writeln!(
                text,
                "  … and {}: --all shows them",
                counted(numbers, "more number")
            );
        }
        for open in change.prefixes.iter().take(shown) {
            let except = match open.except.as_slice() {
                [] => String::new(),
                except => {
                    let names = except.iter().take(self.at_most(4));
                    let mut names: Vec<String> = names.map(|p| format!("{p}*")).collect();
                    let hidden = except.len() - names.len();
                    if hidden > 0 {
                        names.push(format!("{hidden} more"));
                    }
                    format!(", without {}", names.join(", "))
                }
            };
            let _ = writeln!(text, "  {open}{except}, as far as it is not listed");
        }
        let hidden = change.prefixes.len().saturating_sub(shown);
        if hidden > 0 {
            let _ = writeln!(text, "  … and {hidden} more prefixes: --all shows them");
        }
        if change.not_a_number {
            text.push_str("  what is no number\n");
        }
    }

    fn line(self, text: &mut String, line: &Line) {
        let mut calls = String::from("from ");
        if line.from_all {
            calls.push_str("any trunk group");
        } else {
            let names = line.from.iter().take(self.at_most(GROUPS_SHOWN));
            let mut names: Vec<String> = names.map(ToString::to_string).collect();
            let hidden = line.from.len() - names.len();
            if hidden > 0 {
                names.push(format!("{hidden} more"));
            }
            calls.push_str(&names.join(", "));
        }
        for when in &line.when {
            let _ = write!(calls, "; {when}");
        }
        let _ = writeln!(text, "  {calls}");
        let (before, after) = (&line.before, &line.after);
        let alone = if line.loses_last_alternative {
            "   loses its last alternative route"
        } else {
            ""
        };
        let _ = match line.kind {
            Kind::RuleOnly => writeln!(text, "    {after}, as before"),
            Kind::Manner => writeln!(text, "    {after}, sent otherwise"),
            Kind::Rerouted => {
                let (old, new) = (before.in_full(), after.in_full());
                for (trunk, old, new) in before.other_addresses(after) {
                    let _ = writeln!(text, "    {trunk}: {old} -> {new}");
                }
                if old == new {
                    writeln!(text, "    {new}{alone}")
                } else {
                    writeln!(text, "    {old} -> {new}{alone}")
                }
            }
            _ => writeln!(text, "    {before} -> {after}{alone}"),
        };
        let rule = |rule: &Option<(Box<str>, String)>| match rule {
            Some((name, place)) => format!("\"{name}\" ({place})"),
            None => "none".to_owned(),
        };
        let (before, after) = (rule(&line.rule_before), rule(&line.rule_after));
        let _ = if before == after {
            writeln!(text, "    rule {after}")
        } else {
            writeln!(text, "    rule {before} -> {after}")
        };
    }
}

/// `12 numbers and 1 prefix`.
fn amount(change: &Change) -> String {
    match (change.numbers, change.open_prefixes()) {
        (numbers, 0) => counted(numbers, "number"),
        (0, open) => open_count(change, open),
        (numbers, open) => format!(
            "{} and {}",
            counted(numbers, "number"),
            open_count(change, open)
        ),
    }
}

fn open_count(change: &Change, open: usize) -> String {
    match change.prefixes.as_slice() {
        [] => "what is no number".to_owned(),
        [one] if open == 1 => one.to_string(),
        _ => prefixes(open),
    }
}

fn prefixes(count: usize) -> String {
    match count {
        1 => "1 prefix".to_owned(),
        count => format!("{count} prefixes"),
    }
}

fn counted(count: u64, what: &str) -> String {
    match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    }
}

fn words(kind: Kind) -> &'static str {
    match kind {
        Kind::Unroutable => "no route any more",
        Kind::Rejected => "refused",
        Kind::Moved => "to another trunk group",
        Kind::Admitted => "no longer refused",
        Kind::NewlyRouted => "a route where there was none",
        Kind::RefusedOtherwise => "refused otherwise",
        Kind::Rerouted => "other trunks or alternatives",
        Kind::Manner => "the same trunks, sent otherwise",
        Kind::RuleOnly => "another rule, the same routes",
    }
}

/// The DID rows of the first number on each side.
fn rows(range: &Range) -> String {
    let count = match range.numbers {
        1 => String::new(),
        count => format!("{count} numbers  "),
    };
    let row = |row: &Option<crate::plan::RowPlace>| match row {
        Some(row) => row.to_string(),
        None => "no row".to_owned(),
    };
    let (before, after) = (row(&range.row_before), row(&range.row_after));
    if before == after {
        format!("{count}{after}")
    } else {
        format!("{count}{before} -> {after}")
    }
}

fn arrivals(text: &mut String, planned: &Planned<'_>) {
    let arrivals = &planned.plan.arrivals;
    if !arrivals.is_empty() {
        text.push_str("\nBefore any rule is read:\n");
    }
    for found in arrivals {
        let (what, before, after) = (&found.what, &found.before, &found.after);
        let _ = match found.kind {
            ArrivalKind::SourceRefused => {
                writeln!(text, "  calls from {what}: {before} -> refused with 403")
            }
            ArrivalKind::SourceAdmitted => {
                writeln!(text, "  calls from {what}: refused with 403 -> {after}")
            }
            ArrivalKind::SourceMoved => {
                writeln!(text, "  calls from {what}: arrive on {before} -> {after}")
            }
            ArrivalKind::Classification => match (before.is_empty(), after.is_empty()) {
                (false, true) => writeln!(text, "  {what}, to {before}: gone"),
                (true, false) => writeln!(text, "  {what}, to {after}: new"),
                _ => writeln!(text, "  {what}: another"),
            },
            ArrivalKind::Reading => {
                writeln!(
                    text,
                    "  numbers of calls on {what}: {before} -> {after}, read otherwise"
                )
            }
        };
    }
}

fn effect(text: &mut String, summary: &Summary, is_empty: bool, all: bool) {
    text.push_str("\nEffect:\n");
    if is_empty {
        text.push_str("  nothing changes\n");
        return;
    }
    let mut flows = summary.flows.iter();
    for flow in flows
        .by_ref()
        .take(if all { usize::MAX } else { FLOWS_SHOWN })
    {
        let amount = totals((flow.numbers, flow.prefixes));
        let (before, after) = (&flow.before, &flow.after);
        let _ = writeln!(text, "  {amount}: {before} -> {after}");
    }
    let hidden = flows.count();
    if hidden > 0 {
        let _ = writeln!(text, "  … and {hidden} more of these: --all shows them");
    }
    for kind in [Kind::Rerouted, Kind::Manner, Kind::RuleOnly] {
        if let Some(counts) = summary.kinds.get(&kind) {
            let _ = writeln!(text, "  {}: {}", totals(*counts), words(kind));
        }
    }
    let alone = (
        summary.lose_last_alternative,
        summary.prefixes_lose_last_alternative,
    );
    if alone != (0, 0) {
        let _ = writeln!(text, "  {}: no alternative route any more", totals(alone));
    }
    let moved = totals((summary.moved, summary.moved_prefixes));
    let _ = writeln!(text, "  moved in all: {moved}");
}

fn totals((numbers, open): (u64, usize)) -> String {
    match (numbers, open) {
        (numbers, 0) => counted(numbers, "number"),
        (0, open) => prefixes(open),
        (numbers, open) => format!("{} and {}", counted(numbers, "number"), prefixes(open)),
    }
}
