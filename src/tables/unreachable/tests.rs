//! What is reported never decides: random small tables, many calls each.
#![allow(clippy::unwrap_used)] // a test says so by failing

use super::*;
use crate::routing::{Dialled, RequestFacts, Snapshot, route};
use crate::tables::diagnostic::Diagnostics;
use crate::tables::schema::Schema;
use crate::tables::source::{SourceFile, Sources};
use crate::tables::{cases, compile, read_schema};
use jiff::Timestamp;
use proptest::prelude::*;
use std::fmt::Write as _;
use std::path::Path;

const FIXED: &str = r#"
[trunk_group.a]
trunks    = ["t"]
dial_plan = "home"

[trunk_group.b]
trunks      = ["t"]
accept_from = ["192.0.2.2"]

[trunk.t]
address = "sip:192.0.2.1"

[dial_plan.home]
country_code = "1"
emergency    = ["112", "12"]

[schedule.day]
timezone = "UTC"
open     = ["08:00-18:00"]

[did.people]
numbers     = ["+12", "+13*", "+200 to +249", "112"]
trunk_group = "b"

[did.others]
numbers     = ["+131", "+3*"]
trunk_group = "a"

[did.marked]
numbers = ["+12", "+3*", "999"]
"#;

const CALLED: [&str; 16] = [
    "+1*",
    "+12",
    "+12*",
    "+13*",
    "+2*",
    "+20*",
    "+200 to +299",
    "+200 to +249",
    "+3*",
    "did:*",
    "did:people",
    "did:others",
    "did:marked",
    "emergency",
    "112",
    "*",
];

fn list(items: &'static [&'static str], most: usize) -> impl Strategy<Value = Vec<String>> {
    let item = (prop::sample::select(items), prop::bool::weighted(0.15));
    let item = item.prop_map(|(text, not)| format!("{}{text}", if not { "!" } else { "" }));
    prop::collection::btree_set(item, 0..=most).prop_map(|items| items.into_iter().collect())
}

fn rule() -> impl Strategy<Value = String> {
    let action = prop::sample::select(vec![
        "route_to = [\"a\"]",
        "route_to = [\"assigned\"]",
        "route_to = [\"assigned\", \"b\"]",
        "reject = { status = 403, reason = \"No\" }",
    ]);
    let conditions = (
        list(&["a", "b"], 1),
        list(&CALLED, 3),
        prop_oneof![3 => Just(Vec::new()), 1 => list(&["+1*", "+12", "anonymous", "did:people"], 2)],
        prop_oneof![4 => Just(Vec::new()), 1 => list(&["day"], 1)],
    );
    (conditions, action).prop_map(|((from, called, calling, during), action)| {
        let mut text = String::new();
        for (key, items) in [
            ("from", from),
            ("called", called),
            ("calling", calling),
            ("during", during),
        ] {
            if !items.is_empty() {
                writeln!(text, "{key} = {items:?}").unwrap();
            }
        }
        text + action + "\n"
    })
}

/// The table of these rules, also when rules in it can never decide; `None` when it has
/// another error.
fn compiled(rules: &[String]) -> Option<RoutingTable> {
    let mut toml = FIXED.to_owned();
    for (index, rule) in rules.iter().enumerate() {
        writeln!(toml, "[[rule]]\nname = \"{index}\"\n{rule}").unwrap();
    }
    let diagnostics = Diagnostics::new();
    let mut sources = Sources::new(Path::new(""));
    sources.add(
        SourceFile::from_text("routing.toml", toml).unwrap(),
        &diagnostics,
    );
    let (schema, damaged): (Schema, bool) = read_schema(&sources, &diagnostics);
    let table = compile::compile(&schema, &mut sources, &diagnostics, damaged);
    (table.rules().len() == rules.len()).then_some(table)
}

/// Called or calling numbers around every edge of what the rules name.
const NUMBERS: [&str; 24] = [
    "+1", "+11", "+12", "+121", "+13", "+131", "+1311", "+132", "+2", "+20", "+199", "+200",
    "+249", "+250", "+299", "+300", "+3", "+31", "112", "12", "911", "999", "+4", "alice",
];

fn decides(snapshot: &Snapshot, rule: RuleId) -> Option<String> {
    let dialled = |number: &'static str| Dialled {
        number: number.as_bytes(),
        raw: number.as_bytes(),
        phone_context: None,
    };
    for from in [0, 1] {
        for called in NUMBERS {
            for calling in [None, Some("+12"), Some("+13"), Some("+4"), Some("alice")] {
                for hour in [3, 12] {
                    let facts = RequestFacts {
                        from: GroupId(from),
                        called: dialled(called),
                        calling: calling.map(dialled),
                        host: b"",
                        tgrp: None,
                        at: Timestamp::from_second(hour * 3_600).unwrap(),
                        call_hash: 0,
                    };
                    if route(snapshot, &facts, &mut ()).rule == Some(rule) {
                        return Some(format!("{called} by {calling:?} from {from} at {hour}"));
                    }
                }
            }
        }
    }
    None
}

fn routes_for_certain(rule: &str) -> bool {
    !rule.contains('!') && !rule.contains("assigned\"]") && !rule.contains("reject")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn what_is_reported_never_decides(rules in prop::collection::vec(rule(), 1..7)) {
        let Some(table) = compiled(&rules) else { return Ok(()) };
        let found = unreachable_rules(&table);
        let snapshot = cases::looked_at(table);
        for found in found.into_iter().filter(|found| found.item.is_none()) {
            let call = decides(&snapshot, found.rule);
            prop_assert!(call.is_none(), "{:?} decides {}", found, call.unwrap_or_default());
        }
    }

    /// A rule that asks for nothing but a reported item never decides.
    #[test]
    fn an_item_that_is_reported_never_decides(rules in prop::collection::vec(rule(), 1..7)) {
        let Some(table) = compiled(&rules) else { return Ok(()) };
        for found in unreachable_rules(&table) {
            let Some(item) = found.item else { continue };
            let called = &table.rules()[found.rule.index()].text.called;
            let kept = called.iter().enumerate();
            let kept = kept.filter(|(at, text)| *at == item || text.starts_with('!'));
            let kept: Vec<&str> = kept.map(|(_, text)| &**text).collect();
            let mut alone = rules.clone();
            let lines = alone[found.rule.index()].lines().map(|line| {
                match line.starts_with("called") {
                    true => format!("called = {kept:?}\n"),
                    false => format!("{line}\n"),
                }
            });
            alone[found.rule.index()] = lines.collect();
            let Some(table) = compiled(&alone) else { continue };
            let call = decides(&cases::looked_at(table), found.rule);
            prop_assert!(call.is_none(), "{:?} decides {}", found, call.unwrap_or_default());
        }
    }

    /// A rule below the very same rule is always found, if both route for certain.
    #[test]
    fn a_rule_twice_is_found(
        rules in prop::collection::vec(rule(), 0..4),
        twice in rule().prop_filter("routes for certain", |rule| routes_for_certain(rule)),
    ) {
        let rules = [rules, vec![twice.clone(), twice]].concat();
        let Some(table) = compiled(&rules) else { return Ok(()) };
        let last = RuleId(rules.len() as u16 - 1);
        prop_assert!(unreachable_rules(&table).iter().any(|found| found.rule == last && found.item.is_none()));
    }
}
