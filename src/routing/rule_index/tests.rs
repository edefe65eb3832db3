//! The index leaves nothing out and tries little else.

#![allow(clippy::unwrap_used)] // a test says so by failing

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;

use super::*;
use crate::routing::did_map::DidMapBuilder;
use crate::routing::rule::{
    Action, Destination, NumberCondition, NumberSet, RuleText, TextCondition,
};
use crate::routing::table::TableParts;
use crate::routing::trunk::{Hunt, TargetUri, Trunk, TrunkGroup};
use crate::routing::{
    Decision, Dialled, Did, Explanation, Miss, Origin, RequestFacts, RoutingTable, Snapshot, Trace,
    TrunkId, route,
};

const ORIGIN: Origin = Origin { file: 0, line: 1 };
const GROUPS: u16 = 5;

fn number(text: &str) -> Number {
    Number::parse(text.as_bytes()).unwrap()
}

fn group(id: u16) -> TrunkGroup {
    TrunkGroup {
        name: format!("group-{id}").into(),
        // The last one leads nowhere.
        trunks: (id + 1 < GROUPS)
            .then_some(TrunkId(id))
            .into_iter()
            .collect(),
        hunt: Hunt::TopDown,
        max_calls: None,
        dial_plan: None,
        inbound: Box::default(),
        outbound: Box::default(),
        search: Box::new([GroupId(id)]),
        alternative_routing: None,
        send_back: true,
        transfers_to: None,
        origin: ORIGIN,
    }
}

fn trunk(id: u16) -> Trunk {
    Trunk {
        name: format!("trunk-{id}").into(),
        target: TargetUri {
            scheme: "sip:".into(),
            fixed_user: None,
            user_parameters: "".into(),
            host_and_parameters: "192.0.2.1".into(),
        },
        weight: 1,
        max_calls: None,
        max_cps: None,
        large_over_tcp: false,
        probing: None,
        options_contact: None,
        origin: ORIGIN,
    }
}

fn rule(from: Option<Vec<u16>>, called: NumberCondition, action: Action) -> Rule {
    Rule {
        name: "".into(),
        from: from.map(|groups| groups.into_iter().map(GroupId).collect()),
        called,
        calling: NumberCondition::default(),
        host: TextCondition::default(),
        tgrp: TextCondition::default(),
        during: Box::default(),
        action,
        text: RuleText::default(),
        origin: ORIGIN,
    }
}

fn patterns(items: impl IntoIterator<Item = (String, Remaining)>) -> PrefixMap<()> {
    let mut builder = PrefixMapBuilder::with_capacity(0);
    let mut items: Vec<_> = items.into_iter().collect();
    items.sort();
    items.dedup();
    for (prefix, remaining) in items {
        builder.push(&number(&prefix), remaining, ());
    }
    builder.build(0).unwrap()
}

fn only(items: &[(&str, Remaining)]) -> NumberCondition {
    let items = items
        .iter()
        .map(|(prefix, remaining)| ((*prefix).to_owned(), *remaining));
    NumberCondition {
        any_of: Some(NumberSet {
            patterns: patterns(items),
            ..NumberSet::default()
        }),
        none_of: None,
    }
}

/// List 0 assigns groups, list 1 too, list 2 only marks.
fn table(rules: Vec<Rule>) -> Snapshot {
    let list = |name: &str, marks| DidList {
        name: name.into(),
        file: 0,
        rows: 0,
        marks,
    };
    let mut dids = DidMapBuilder::new();
    for (prefix, remaining, group, list) in [
        ("+41", Remaining::Any, Some(GroupId(0)), 0),
        ("+412", Remaining::Exactly(1), Some(GroupId(4)), 1),
        ("+4123", Remaining::Exactly(0), None, 0),
        ("112", Remaining::Exactly(0), Some(GroupId(2)), 1),
    ] {
        let did = Did {
            group,
            list: ListId(list),
        };
        dids.push(&number(prefix), remaining, did, 1);
    }
    let marked = [
        ("+42".to_owned(), Remaining::Any),
        ("112".to_owned(), Remaining::Exactly(0)),
    ];
    Snapshot::new(Arc::new(RoutingTable::new(TableParts {
        trunks: (0..GROUPS - 1).map(trunk).collect(),
        groups: (0..GROUPS).map(group).collect(),
        lists: vec![
            list("a", None),
            list("b", None),
            list("c", Some(patterns(marked))),
        ],
        rules,
        dids: dids.build(0).unwrap(),
        ..TableParts::default()
    })))
}

fn facts(from: u16, called: &str) -> RequestFacts<'_> {
    let called = Dialled {
        number: called.as_bytes(),
        raw: called.as_bytes(),
        phone_context: None,
    };
    RequestFacts {
        from: GroupId(from),
        called,
        calling: None,
        host: b"",
        tgrp: None,
        at: Timestamp::UNIX_EPOCH,
        call_hash: 0,
    }
}

/// Hears of rules as they are tried without an explanation.
#[derive(Default)]
struct Tried(usize);

impl Trace for Tried {
    const EVERY_RULE: bool = false;

    fn rule(&mut self, _: RuleId, _: Result<(), Miss>) {
        self.0 += 1;
    }
}

fn to(group: u16) -> Action {
    Action::RouteTo(Box::new([Destination::Group(GroupId(group))]))
}

#[test]
fn rules_for_other_numbers_and_groups_are_not_tried() {
    let mut rules: Vec<Rule> = (0..10_000_u32)
        .map(|serial| {
            let item = format!("+44{serial:04}");
            rule(None, only(&[(&item, Remaining::Any)]), to(0))
        })
        .collect();
    rules.extend((0..10_000).map(|_| rule(Some(vec![1]), NumberCondition::default(), to(1))));
    rules.push(rule(None, NumberCondition::default(), to(2)));
    let snapshot = table(rules);
    let tried = |from, called, decided| {
        let mut tried = Tried::default();
        let decision = route(&snapshot, &facts(from, called), &mut tried);
        assert_eq!(decision.rule, Some(RuleId(decided)));
        tried.0
    };
    assert_eq!(tried(0, "+4477775", 7_777), 1);
    assert_eq!(tried(0, "+4977775", 20_000), 1);
    assert_eq!(tried(1, "+4977775", 10_000), 1);
}

fn any_item() -> impl Strategy<Value = (String, Remaining)> {
    let remaining = prop_oneof![Just(Remaining::Any), (0..3_u8).prop_map(Remaining::Exactly),];
    ("\\+4[0-3]{0,3}|1{1,2}2?", remaining)
}

fn any_set() -> impl Strategy<Value = NumberSet> {
    let flags = prop::collection::vec(prop::bool::weighted(0.12), 3);
    let lists = prop::collection::vec(0..3_u16, 0..2);
    (prop::collection::vec(any_item(), 0..4), lists, flags).prop_map(|(items, lists, flags)| {
        let flag = |at: usize| flags.get(at).copied().unwrap();
        NumberSet {
            patterns: patterns(items),
            lists: lists.into_iter().map(ListId).collect(),
            any_assigned: flag(0),
            emergency: flag(1),
            anonymous: false,
            anything: flag(2),
        }
    })
}

fn any_rule() -> impl Strategy<Value = Rule> {
    let from = prop::option::of(prop::collection::btree_set(0..GROUPS, 1..5));
    let action = prop_oneof![
        4 => (0..GROUPS).prop_map(to),
        1 => Just(()).prop_map(|()| Action::RouteTo(Box::new([Destination::Assigned]))),
        1 => Just(()).prop_map(|()| Action::Reject { status: 403, reason: "".into() }),
    ];
    let called = (
        prop::option::weighted(0.9, any_set()),
        prop::option::weighted(0.2, any_set()),
    );
    (from, called, action).prop_map(|(from, (any_of, none_of), action)| {
        let from = from.map(|groups| groups.into_iter().collect());
        rule(from, NumberCondition { any_of, none_of }, action)
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    /// An explanation tries every rule from top to bottom.
    #[test]
    fn decides_as_trying_every_rule_does(
        rules in prop::collection::vec(any_rule(), 0..25),
        calls in prop::collection::vec((0..GROUPS, "\\+4[0-3]{0,4}|1{1,2}2?|alice"), 1..30),
    ) {
        let snapshot = table(rules);
        for (from, called) in &calls {
            let facts = facts(*from, called);
            let indexed: Decision<'_> = route(&snapshot, &facts, &mut ());
            let (every, _) = Explanation::of(&snapshot, &facts, b"");
            prop_assert_eq!(indexed, every);
        }
    }
}
