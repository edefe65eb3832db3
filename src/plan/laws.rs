//! What must hold of any two tables.

use std::sync::Arc;

use jiff::Timestamp;

use super::changes::{Comparison, Line};
use super::facts::{Fact, Facts};
use super::numbers::Named;
use super::{Change, Kind, Outcome, Side, TooComplex};
use crate::routing::conditions::holds_for_caller;
use crate::routing::dial_plan::normalise;
use crate::routing::prefix_map::Remaining;
use crate::routing::{
    Caller, Dialled, GroupId, Number, RequestFacts, RoutingTable, Rule, Snapshot, User, route,
};

/// One call, by name of its arrival group. Its numbers are as they are after
/// normalisation.
#[derive(Clone, Debug)]
pub struct Call {
    /// The arrival group.
    pub from: String,
    /// What is called: a number, or anything else.
    pub called: String,
    /// The caller; `None` is anonymous.
    pub calling: Option<String>,
    /// Host of the Request-URI.
    pub host: String,
    /// Trunk group label.
    pub tgrp: Option<String>,
    /// When.
    pub at: Timestamp,
}

/// What a plan says of a call is what routing it by both tables says: nothing when the same
/// rule decides with the same routes, and else the line with both rules and both routes.
/// Numbers must not be rewritten on arrival, and no trunk group shares its calls.
///
/// # Errors
/// When the tables cannot be compared.
///
/// # Panics
/// When the law is broken.
pub fn law_compare(
    tables: [&Arc<RoutingTable>; 2],
    since: Timestamp,
    calls: impl Iterator<Item = Call>,
) -> Result<usize, TooComplex> {
    let plain = tables.map(|table| &**table);
    let facts = Facts::new(plain, since)?;
    let changes = Comparison::new(plain, &facts)?.changes();
    let snapshots = tables.map(|table| Snapshot::new(Arc::clone(table)));
    let named = super::changes::named(plain);
    let mut changed = 0;
    for call in calls {
        let asked = Asked {
            plain,
            facts: &facts,
            call: &call,
            named: &named,
        };
        let said = asked.said(&changes);
        let routed = snapshots.each_ref().map(|snapshot| routed(snapshot, &call));
        let [before, after] = &routed;
        match said {
            None => assert_eq!(before, after, "{call:?}: the plan says nothing"),
            Some(line) => {
                changed += 1;
                let rule = |rule: &Option<(Box<str>, String)>| {
                    rule.as_ref().map(|(name, _)| name.to_string())
                };
                assert_eq!(before.0, rule(&line.rule_before), "{call:?} {line:?}");
                assert_eq!(after.0, rule(&line.rule_after), "{call:?} {line:?}");
                assert_eq!(before.1, trunks(&line.before), "{call:?} {line:?}");
                assert_eq!(after.1, trunks(&line.after), "{call:?} {line:?}");
                // How calls are sent is nothing that routing shows.
                let kept = [Kind::RuleOnly, Kind::Manner].contains(&line.kind);
                assert_eq!(before.1 == after.1, kept, "{call:?} {line:?}");
                let silent = before == after && line.kind != Kind::Manner;
                assert!(!silent, "{call:?}: the plan says {line:?}");
            }
        }
    }
    Ok(changed)
}

/// The rule that decides and what becomes of a call.
fn routed(snapshot: &Snapshot, call: &Call) -> (Option<String>, Vec<String>) {
    let dialled = |text: &'_ String| text.clone().into_bytes();
    let (called, calling) = (dialled(&call.called), call.calling.as_ref().map(dialled));
    let spoken = |bytes| Dialled {
        number: bytes,
        raw: bytes,
        phone_context: None,
    };
    let table = &snapshot.table;
    let facts = RequestFacts {
        from: table.group_named(&call.from).unwrap_or(GroupId(u16::MAX)),
        called: spoken(&called),
        calling: calling.as_deref().map(spoken),
        host: call.host.as_bytes(),
        tgrp: call.tgrp.as_ref().map(String::as_bytes),
        at: call.at,
        call_hash: 0,
    };
    let decision = route(snapshot, &facts, &mut ());
    if let User::Number(number) = decision.called {
        assert_eq!(number.as_str(), call.called, "rewritten on arrival");
    }
    let rule = decision.rule.and_then(|id| table.rule(id));
    use crate::routing::Outcome as Routed;
    let words = match &decision.outcome {
        Routed::Route(routes) => routes
            .iter()
            .map(|r| {
                format!(
                    "{}/{}",
                    table.group_name(r.group),
                    table.trunk_name(r.trunk)
                )
            })
            .collect(),
        Routed::Reject { status } => vec![format!("reject {status}")],
        Routed::NoRoute | Routed::Unavailable => Vec::new(),
    };
    (rule.map(|rule: &Rule| rule.name.to_string()), words)
}

/// The same of an outcome; what is shared has no order to compare.
fn trunks(outcome: &Outcome) -> Vec<String> {
    match outcome {
        Outcome::Route(stages) => stages
            .iter()
            .flat_map(|stage| {
                let trunks = stage.trunks.iter().take(stage.tries);
                trunks.map(|(trunk, _)| format!("{}/{trunk}", stage.group))
            })
            .collect(),
        Outcome::Reject { status, .. } => vec![format!("reject {status}")],
        Outcome::NoRoute => Vec::new(),
    }
}

/// The number of a text that nothing rewrites, if it is one.
fn read(text: &str) -> Option<Number> {
    normalise(None, text.as_bytes(), None).number
}

/// A call of which a plan is asked.
struct Asked<'a> {
    plain: [&'a RoutingTable; 2],
    facts: &'a Facts,
    call: &'a Call,
    named: &'a [Named],
}

impl Asked<'_> {
    /// What the plan says of the call.
    fn said<'c>(&self, changes: &'c [Change]) -> Option<&'c Line> {
        let number = read(&self.call.called);
        let mut of_number = changes.iter().filter(|change| match &number {
            Some(number) => match self.is_listed(number) {
                true => change.lists(number),
                false => change.holds_open(number),
            },
            None => change.not_a_number,
        });
        let change = of_number.next()?;
        assert!(of_number.next().is_none(), "a number is in two changes");
        let mut lines = change.lines.iter().filter(|line| self.is_meant(line));
        let line = lines.next()?;
        assert!(lines.next().is_none(), "a call is in two lines");
        Some(line)
    }

    /// Whether a row, a range or a rule names the number itself.
    fn is_listed(&self, number: &Number) -> bool {
        let mut listed = self.named.iter().any(|(prefix, remaining, _)| {
            let rest = number.as_bytes().strip_prefix(prefix.as_bytes());
            *remaining != Remaining::Any && rest.is_some_and(|rest| remaining.allows(rest))
        });
        for table in self.plain {
            table
                .dids()
                .all_matches(number, |row, _| listed |= row.remaining != Remaining::Any);
        }
        listed
    }

    fn is_meant(&self, line: &Line) -> bool {
        line.from.iter().any(|from| **from == *self.call.from)
            && Fact::ALL
                .into_iter()
                .zip(&line.cell.classes)
                .all(|(fact, set)| {
                    set.as_ref()
                        .is_none_or(|set| set.contains(&self.class(fact)))
                })
    }

    /// The class of the call: the one whose example every condition answers alike.
    fn class(&self, fact: Fact) -> u32 {
        let own = self.answers(fact, None);
        let classes = 0..self.facts.classes(fact);
        let mut same = classes.filter(|class| self.answers(fact, Some(*class)) == own);
        let class = same.next();
        class.map_or(u32::MAX, |class| class as u32)
    }

    /// What every rule's condition says of the call, or of a class's example.
    fn answers(&self, fact: Fact, class: Option<usize>) -> Vec<bool> {
        let caller = match &self.call.calling {
            None => Caller::Anonymous,
            Some(text) => Caller::Shown(read(text)),
        };
        let of_class = |class: usize| self.facts.callers.get(class).copied();
        let caller = class.map_or(Some(caller), of_class);
        let text = |own: &str, texts: &[Vec<u8>]| match class {
            None => own.as_bytes().to_vec(),
            Some(class) => texts.get(class).cloned().unwrap_or_default(),
        };
        let host = text(&self.call.host, &self.facts.hosts);
        let label = self.call.tgrp.as_deref().unwrap_or_default();
        let label = text(label, &self.facts.labels);
        let at = class.map_or(Some(self.call.at), |c| self.facts.hours.get(c).copied());
        let mut answers = Vec::new();
        for side in Side::BOTH {
            let table = side.of(&self.plain);
            answers.extend(table.rules().iter().map(|rule| match fact {
                Fact::Calling => {
                    caller.is_some_and(|caller| holds_for_caller(table, &rule.calling, caller))
                }
                Fact::Host => rule.host.holds(&host),
                Fact::Tgrp => rule.tgrp.holds(&label),
                Fact::Hour => at.is_some_and(|at| rule.holds_during(|id| table.is_open(id, at))),
            }));
        }
        answers
    }
}

impl Change {
    fn lists(&self, number: &Number) -> bool {
        self.ranges.iter().any(|range| {
            let inside = range.first <= *number && *number <= range.last;
            inside && range.first.len() == number.len()
        })
    }

    fn holds_open(&self, number: &Number) -> bool {
        self.prefixes.iter().any(|open| {
            let begins = |prefix: &Number| number.starts_with(prefix.as_bytes());
            open.prefix.as_ref().is_none_or(begins) && !open.except.iter().any(begins)
        })
    }
}
