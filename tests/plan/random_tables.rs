//! Small tables with a bit of everything that a rule can ask for.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;
use trunkline::routing::dial_plan::DialPlan;
use trunkline::routing::did_map::DidMapBuilder;
use trunkline::routing::prefix_map::{Entry, PrefixMap, Remaining};
use trunkline::routing::rule::{
    Action, Destination, NumberCondition, NumberSet, RuleText, TextCondition,
};
use trunkline::routing::schedule::{Closing, Opening, Schedule};
use trunkline::routing::table::{AlternativeRouting, DidList, NamedSchedule, TableParts};
use trunkline::routing::text_pattern::TextPattern;
use trunkline::routing::trunk::{Hunt, TargetUri, Trunk, TrunkGroup};
use trunkline::routing::{
    DialPlanId, Did, GroupId, ListId, Number, Origin, PolicyId, RoutingTable, Rule, ScheduleId,
    TrunkId,
};

const NOWHERE: Origin = Origin { file: 0, line: 1 };
const GROUPS: u16 = 4;
const TRUNKS: u16 = 5;

/// What two tables are made of: parts that they choose from.
#[derive(Clone, Debug)]
pub(crate) struct Parts {
    rules: Vec<RuleSpec>,
    rows: Vec<(String, u8)>,
    marks: Vec<(String, u8)>,
    schedules: Vec<usize>,
}

/// One table: which parts, and in which order.
#[derive(Clone, Debug)]
pub(crate) struct Choice {
    rules: Vec<usize>,
    /// For each row: left out, or what it says.
    rows: Vec<Option<u8>>,
    marks: Vec<bool>,
    trunks: Vec<Vec<u16>>,
    max_routes: u8,
    schedules: Vec<usize>,
}

#[derive(Clone, Debug)]
struct RuleSpec {
    from: Option<Vec<u16>>,
    called: [Option<SetSpec>; 2],
    calling: [Option<SetSpec>; 2],
    host: Vec<(bool, &'static str)>,
    tgrp: Vec<(bool, &'static str)>,
    during: Vec<(u16, bool)>,
    /// 0 assigned, else a group; none is a reject.
    route_to: Vec<u16>,
}

#[derive(Clone, Debug)]
struct SetSpec {
    patterns: Vec<(String, u8)>,
    lists: Vec<u16>,
    words: u8,
}

const SCHEDULES: [(&str, &[&str], &[&str]); 5] = [
    ("UTC", &["Mon-Fri 08:00-18:00"], &[]),
    ("UTC", &["Mon-Fri 18:00-08:00", "Sat,Sun"], &[]),
    ("Europe/London", &["Mon-Fri 08:00-18:00"], &["12-25"]),
    ("Europe/Berlin", &["2026-10-25 02:30-02:45"], &[]),
    ("UTC", &[], &["2026-06-01 to 2026-06-07", "02-29"]),
];

const HOSTS: [&str; 5] = ["a.net", "*.net", "a*", "*b*", "*"];
pub(crate) const HOSTS_CALLED: [&str; 5] = ["a.net", "b.net", "ab", "x", "A.NETb"];
pub(crate) const LABELS_CALLED: [Option<&str>; 3] = [None, Some("a.net"), Some("ab.net")];

fn pattern() -> impl Strategy<Value = (String, u8)> {
    // 0 and 1 behind a pattern: anything may follow; else so many symbols less two.
    (prop_oneof!["\\+?[019]{1,3}", "\\+", "[*][1]?"], 0..5_u8)
}

fn set() -> impl Strategy<Value = SetSpec> {
    (
        prop::collection::vec(pattern(), 0..3),
        prop::collection::vec(0..3_u16, 0..2),
        prop_oneof![8 => Just(0_u8), 1 => 1..16_u8],
    )
        .prop_map(|(patterns, lists, words)| SetSpec {
            patterns,
            lists,
            words,
        })
}

fn condition(often: u32) -> impl Strategy<Value = [Option<SetSpec>; 2]> {
    let half = move || prop_oneof![10 - often => Just(None), often => set().prop_map(Some)];
    let none = prop_oneof![8 => Just(None), 2 => set().prop_map(Some)];
    (half(), none).prop_map(|(any, none)| [any, none])
}

fn texts() -> impl Strategy<Value = Vec<(bool, &'static str)>> {
    let item = (prop::bool::weighted(0.7), prop::sample::select(&HOSTS[..]));
    prop_oneof![6 => Just(Vec::new()), 2 => prop::collection::vec(item, 1..3)]
}

fn rule() -> impl Strategy<Value = RuleSpec> {
    let during = prop::collection::vec((0..2_u16, any::<bool>()), 1..3);
    (
        prop::option::weighted(0.4, prop::collection::vec(0..GROUPS, 1..3)),
        condition(8),
        prop_oneof![7 => Just([None, None]), 3 => condition(7)],
        texts(),
        texts(),
        prop_oneof![6 => Just(Vec::new()), 3 => during],
        prop::collection::vec(0..=GROUPS, 0..3),
    )
        .prop_map(
            |(from, called, calling, host, tgrp, during, route_to)| RuleSpec {
                from,
                called,
                calling,
                host,
                tgrp,
                during,
                route_to,
            },
        )
}

prop_compose! {
    fn parts()(
        rules in prop::collection::vec(rule(), 1..7),
        rows in prop::collection::vec(pattern(), 0..14),
        marks in prop::collection::vec(pattern(), 0..4),
        schedules in prop::collection::vec(0..SCHEDULES.len(), 3),
    ) -> Parts {
        Parts { rules, rows, marks, schedules }
    }
}

fn choice(parts: &Parts) -> impl Strategy<Value = Choice> + use<> {
    let all: Vec<usize> = (0..parts.rules.len()).collect();
    let most = all.len();
    (
        prop::sample::subsequence(all, 0..=most).prop_shuffle(),
        prop::collection::vec(prop::option::weighted(0.8, 0..6_u8), parts.rows.len()),
        prop::collection::vec(prop::bool::weighted(0.8), parts.marks.len()),
        prop::collection::vec(
            prop::sample::subsequence(vec![0, 1, 2, 3, 4], 0..3).prop_shuffle(),
            usize::from(GROUPS),
        ),
        1..4_u8,
        Just(parts.schedules.clone()).prop_shuffle(),
    )
        .prop_map(
            |(rules, rows, marks, trunks, max_routes, schedules)| Choice {
                rules,
                rows,
                marks,
                trunks,
                max_routes,
                schedules,
            },
        )
}

/// Parts, and two tables made of them: mostly the same with a few differences.
pub(crate) fn two_tables() -> impl Strategy<Value = [Arc<RoutingTable>; 2]> {
    parts().prop_flat_map(|parts| {
        let pair = (choice(&parts), choice(&parts), 0..32_u8);
        pair.prop_map(move |(first, second, taken)| {
            // Each bit takes one kind of difference over.
            let mut other = first.clone();
            if taken & 1 != 0 {
                other.rules = second.rules;
            }
            if taken & 2 != 0 {
                other.rows = second.rows;
            }
            if taken & 4 != 0 {
                other.marks = second.marks;
            }
            if taken & 8 != 0 {
                (other.trunks, other.max_routes) = (second.trunks, second.max_routes);
            }
            if taken & 16 != 0 {
                other.schedules = second.schedules;
            }
            [table(&parts, &first), table(&parts, &other)].map(Arc::new)
        })
    })
}

fn number(text: &str) -> Number {
    Number::parse(text.as_bytes()).unwrap()
}

const fn remaining(code: u8) -> Remaining {
    match code {
        0 | 1 => Remaining::Any,
        more => Remaining::Exactly(more - 2),
    }
}

fn map(patterns: &[(String, u8)]) -> PrefixMap<()> {
    let rows: BTreeMap<_, ()> = patterns
        .iter()
        .map(|(text, code)| ((number(text), remaining(*code)), ()))
        .collect();
    let entries = rows.into_keys().map(|(prefix, remaining)| Entry {
        prefix,
        remaining,
        value: (),
    });
    PrefixMap::build(entries, 0).unwrap()
}

fn number_set(spec: &SetSpec) -> NumberSet {
    NumberSet {
        patterns: map(&spec.patterns),
        lists: spec.lists.iter().copied().map(ListId).collect(),
        any_assigned: spec.words & 1 != 0,
        emergency: spec.words & 2 != 0,
        anonymous: spec.words & 4 != 0,
        anything: spec.words & 8 != 0,
    }
}

fn numbers([any_of, none_of]: &[Option<SetSpec>; 2]) -> NumberCondition {
    NumberCondition {
        any_of: any_of.as_ref().map(number_set),
        none_of: none_of.as_ref().map(number_set),
    }
}

fn text_condition(items: &[(bool, &'static str)]) -> TextCondition {
    let side = |wanted: bool| -> Box<[TextPattern]> {
        let items = items.iter().filter(|(own, _)| *own == wanted);
        items
            .map(|(_, text)| TextPattern::parse(text).unwrap())
            .collect()
    };
    TextCondition {
        any_of: items.iter().any(|(wanted, _)| *wanted).then(|| side(true)),
        none_of: side(false),
    }
}

fn table(parts: &Parts, choice: &Choice) -> RoutingTable {
    let trunks = (0..TRUNKS).map(|id| Trunk {
        name: format!("trunk-{id}").into(),
        target: TargetUri {
            scheme: "sip:".into(),
            fixed_user: None,
            user_parameters: "".into(),
            host_and_parameters: format!("{id}.example").into(),
        },
        weight: 1,
        max_calls: None,
        max_cps: None,
        large_over_tcp: false,
        probing: None,
        options_contact: None,
        origin: NOWHERE,
    });
    let groups = choice.trunks.iter().zip(0..).map(|(own, id)| TrunkGroup {
        name: format!("group-{id}").into(),
        trunks: own.iter().copied().map(TrunkId).collect(),
        hunt: Hunt::TopDown,
        max_calls: None,
        dial_plan: (id == 1).then_some(DialPlanId(0)),
        inbound: Box::default(),
        outbound: Box::default(),
        // The third overflows to the first.
        search: [GroupId(id), GroupId(0)][..if id == 2 { 2 } else { 1 }].into(),
        alternative_routing: (id < 2).then_some(PolicyId(0)),
        // The second takes none of its own calls back.
        send_back: id != 1,
        transfers_to: None,
        origin: NOWHERE,
    });
    // Digits of a closed plan stay as they are: no number here has seven.
    let plan = DialPlan {
        country_code: number("4"),
        area_code: None,
        international_prefixes: Vec::new(),
        national_prefix: None,
        extensions: Vec::new(),
        emergency: vec![number("11"), number("909")],
        phone_contexts: Vec::new(),
    };
    let schedules = choice.schedules.iter().take(2).map(|index| {
        let (zone, open, closed) = SCHEDULES[*index];
        NamedSchedule {
            name: format!("schedule-{index}").into(),
            schedule: Schedule {
                time_zone: jiff::tz::TimeZone::get(zone).unwrap(),
                open: open
                    .iter()
                    .map(|line| Opening::parse(line).unwrap())
                    .collect(),
                closed: closed
                    .iter()
                    .map(|line| Closing::parse(line).unwrap())
                    .collect(),
            },
            open_with: Box::default(),
            closed_with: Box::default(),
        }
    });
    let list = |name: &str, marks| DidList {
        name: name.into(),
        file: 0,
        rows: 0,
        marks,
    };
    let marked = parts.marks.iter().zip(&choice.marks);
    let marked: Vec<_> = marked
        .filter(|(_, is)| **is)
        .map(|(row, _)| row.clone())
        .collect();
    RoutingTable::new(TableParts {
        files: vec!["routes.toml".into()],
        trunks: trunks.collect(),
        groups: groups.collect(),
        rules: choice
            .rules
            .iter()
            .map(|at| rule_of(*at, &parts.rules[*at]))
            .collect(),
        networks: vec![
            ("10.0.0.0/8".parse().unwrap(), GroupId(0)),
            ("10.1.0.0/16".parse().unwrap(), GroupId(1)),
        ],
        dial_plans: vec![("plan".into(), plan)],
        schedules: schedules.collect(),
        policies: vec![AlternativeRouting {
            name: "policy".into(),
            next_route_on: Box::default(),
            give_up_on: Box::default(),
            trunk_timeout_ms: None,
            max_routes: choice.max_routes,
            last_resort: true,
        }],
        lists: vec![
            list("one", None),
            list("two", None),
            list("marks", Some(map(&marked))),
        ],
        dids: dids(parts, choice),
        ..TableParts::default()
    })
}

fn dids(parts: &Parts, choice: &Choice) -> trunkline::routing::did_map::DidMap {
    let mut rows = BTreeMap::new();
    for ((text, code), says) in parts.rows.iter().zip(&choice.rows) {
        if let Some(says) = says {
            rows.insert((number(text), remaining(*code)), *says);
        }
    }
    let mut builder = DidMapBuilder::new();
    for ((prefix, remaining), says) in rows {
        let did = Did {
            group: (says > 1).then_some(GroupId(u16::from(says) % GROUPS)),
            list: ListId(u16::from(says) % 2),
        };
        builder.push(&prefix, remaining, did, 1);
    }
    builder.build(0).unwrap()
}

fn rule_of(at: usize, spec: &RuleSpec) -> Rule {
    let destination = |to: &u16| match to {
        0 => Destination::Assigned,
        group => Destination::Group(GroupId(group - 1)),
    };
    Rule {
        name: format!("rule {at}").into(),
        from: spec
            .from
            .as_ref()
            .map(|groups| groups.iter().copied().map(GroupId).collect()),
        called: numbers(&spec.called),
        calling: numbers(&spec.calling),
        host: text_condition(&spec.host),
        tgrp: text_condition(&spec.tgrp),
        during: spec
            .during
            .iter()
            .map(|(id, open)| (ScheduleId(*id), *open))
            .collect(),
        action: match spec.route_to.as_slice() {
            [] => Action::Reject {
                status: 403,
                reason: "no".into(),
            },
            to => Action::RouteTo(to.iter().map(destination).collect()),
        },
        text: RuleText::default(),
        origin: NOWHERE,
    }
}
