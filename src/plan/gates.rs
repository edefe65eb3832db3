//! The gates of a table: what a change to it may do without being let through by hand.

use sha2::{Digest, Sha256};

use super::arrivals::ArrivalKind;
use super::changes::{Change, Line};
use super::{Kind, Plan};
use crate::routing::{Number, Origin, RoutingTable};

/// What a gate says of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The gate as it is written: `max_moved_numbers = 500`.
    pub gate: String,
    /// Where it is written, in the table before.
    pub origin: Origin,
    /// Whether the change may pass.
    pub holds: bool,
    /// What was found.
    pub found: String,
}

/// What every gate of the table before says, in the order of its kinds.
#[must_use]
pub fn verdicts(plan: &Plan, before: &RoutingTable) -> Vec<Verdict> {
    let policy = before.change_policy();
    let mut verdicts = Vec::new();
    let mut add = |gate: String, origin, broken: Option<String>, fine: String| {
        verdicts.push(Verdict {
            gate,
            origin,
            holds: broken.is_none(),
            found: broken.unwrap_or(fine),
        });
    };
    if let Some((max, origin)) = policy.max_moved_numbers {
        let moved = plan.summary.moved;
        let broken = match uncounted(plan) {
            Some(uncounted) => Some(format!("{}; {uncounted}", said_of_moved(plan))),
            None => (moved > max).then(|| said_of_moved(plan)),
        };
        let gate = format!("max_moved_numbers = {max}");
        add(gate, origin, broken, numbers_move(moved));
    }
    for (prefix, origin) in &policy.frozen_prefixes {
        let broken = before_rules(plan).or_else(|| {
            let changed = plan
                .changes
                .iter()
                .filter(|change| change.changes_outcome());
            changed.filter_map(|change| change.under(prefix)).next()
        });
        let gate = format!("frozen_prefixes: \"{prefix}\"");
        add(gate, *origin, broken, "nothing under it changes".to_owned());
    }
    for (group, origin) in &policy.require_alternative {
        let name = before.group_name(*group);
        let lines = plan.changes.iter().flat_map(|change| {
            let lines = change.lines.iter().filter(|line| line.leaves_alone(name));
            lines.map(move |line| (change, line))
        });
        let broken = lines
            .map(|(change, line)| {
                let example = change.example();
                format!(
                    "{example} would have {} and nothing else",
                    line.after.in_full()
                )
            })
            .next();
        let gate = format!("require_alternative: \"{name}\"");
        let fine = "no call to it is left without an alternative".to_owned();
        add(gate, *origin, broken, fine);
    }
    verdicts
}

/// The name of a change: of what it does to calls to a table with these files, whatever
/// the words of its own files are. 16 hexadecimal digits.
#[must_use]
pub fn change_id(plan: Option<&Plan>, before: &RoutingTable) -> String {
    let mut hash = Sha256::new();
    hash.update(before.hash().0);
    match plan {
        None => hash.update(b"unknown"),
        Some(plan) => {
            for change in &plan.changes {
                hash.update(said(change));
            }
            for arrival in &plan.arrivals {
                let (kind, what) = (arrival.kind.as_str(), &arrival.what);
                // A place in a file says nothing of what is done there.
                let what = match arrival.kind {
                    ArrivalKind::Classification => "",
                    _ => what,
                };
                let (before, after) = (&arrival.before, &arrival.after);
                hash.update(format!("{kind}\n{what}\n{before}\n{after}\n"));
            }
        }
    }
    let digest = hash.finalize();
    let digits = digest.iter().take(8).map(|byte| format!("{byte:02x}"));
    digits.collect()
}

fn said(change: &Change) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    for range in &change.ranges {
        let _ = writeln!(text, "{} {}", range.first, range.last);
    }
    for prefix in &change.open {
        let _ = writeln!(text, "{prefix:?}");
    }
    for line in &change.lines {
        let (from, before, after) = (&line.from, &line.before, &line.after);
        let rules = [&line.rule_before, &line.rule_after];
        let rules = rules.map(|rule| rule.as_ref().map(|(name, _)| name));
        let classes = &line.cell.classes;
        let _ = writeln!(text, "{from:?} {classes:?} {before:?} {after:?} {rules:?}");
    }
    let _ = writeln!(text, "{}", change.not_a_number);
    text
}

fn numbers_move(moved: u64) -> String {
    match moved {
        0 => "no number moves".to_owned(),
        1 => "1 number moves".to_owned(),
        moved => format!("{moved} numbers move"),
    }
}

/// How many numbers move, and the ways that most of them go.
fn said_of_moved(plan: &Plan) -> String {
    let moves = plan.summary.flows.iter();
    let moves: Vec<_> = moves
        .filter(|flow| flow.kind.is_move() && flow.numbers > 0)
        .collect();
    let mut ways: Vec<String> = moves
        .iter()
        .take(FLOWS_SAID)
        .map(|flow| format!("{} -> {}: {}", flow.before, flow.after, flow.numbers))
        .collect();
    let hidden = moves.len().saturating_sub(FLOWS_SAID);
    if hidden > 0 {
        ways.push(format!("{hidden} more ways"));
    }
    let moved = numbers_move(plan.summary.moved);
    match ways.is_empty() {
        true => moved,
        false => format!("{moved} ({})", ways.join(", ")),
    }
}

/// A line of a log holds so many.
const FLOWS_SAID: usize = 3;

/// What moves and cannot be counted: no bound on numbers lets it pass.
fn uncounted(plan: &Plan) -> Option<String> {
    let moves = |change: &&Change| {
        change.open_prefixes() > 0 && change.lines.iter().any(|line| line.kind.is_move())
    };
    let open = plan.changes.iter().find(moves);
    open.map(|change| {
        let what = match change.prefixes.first() {
            Some(open) => open.to_string(),
            None => "what is no number".to_owned(),
        };
        format!("{what} moves, which cannot be counted")
    })
    .or_else(|| before_rules(plan))
}

/// A change before rules are read, which may concern any number.
fn before_rules(plan: &Plan) -> Option<String> {
    let mut arrivals = plan.arrivals.iter();
    let found = arrivals.find(|found| found.kind != ArrivalKind::SourceAdmitted)?;
    Some(format!(
        "calls arrive or are read otherwise: {}",
        found.what
    ))
}

impl Line {
    /// Whether calls that go to this group first are left without another route, and had
    /// one or went elsewhere.
    fn leaves_alone(&self, group: &str) -> bool {
        let alone =
            |outcome: &super::Outcome| outcome.main() == Some(group) && outcome.routes() == 1;
        alone(&self.after) && !alone(&self.before)
    }
}

impl Change {
    fn changes_outcome(&self) -> bool {
        self.lines.iter().any(|line| line.kind != Kind::RuleOnly)
    }

    /// The first of its numbers that begins so, in words.
    fn under(&self, prefix: &Number) -> Option<String> {
        let range = self.ranges.iter().find(|range| {
            let head = |number: &Number| number.first(prefix.len());
            prefix.len() <= range.first.len()
                && head(&range.first).as_ref() <= Some(prefix)
                && head(&range.last).as_ref() >= Some(prefix)
        });
        let open = || {
            let mut open = self.open.iter().flatten();
            open.find(|open| open.starts_with(prefix.as_bytes()))
        };
        match range {
            Some(range) => Some(format!("{range} would change")),
            None => open().map(|open| format!("{open}* would change")),
        }
    }

    /// One of its numbers, in words.
    fn example(&self) -> String {
        match (self.ranges.first(), self.prefixes.first()) {
            (Some(range), _) => range.first.to_string(),
            (None, Some(open)) => open.to_string(),
            (None, None) => "what is no number".to_owned(),
        }
    }
}
