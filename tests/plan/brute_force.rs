//! Every number of up to four symbols, from both arrival groups, with other facts drawn.

use std::sync::Arc;

use jiff::Timestamp;
use proptest::prelude::*;
use trunkline::plan::{Call, compare, law_compare};
use trunkline::routing::RoutingTable;

use crate::random_tables::{HOSTS_CALLED, LABELS_CALLED, two_tables};

/// `0`, `+0`, … `+9999` in the digits that tables name and one that they do not, and codes.
fn numbers() -> Vec<String> {
    let mut all = vec![String::from("alice")];
    let mut longest = vec![String::new()];
    for _ in 0..4 {
        longest = longest
            .iter()
            .flat_map(|head| ['0', '1', '5', '9'].map(|digit| format!("{head}{digit}")))
            .collect();
        all.extend(
            longest
                .iter()
                .flat_map(|tail| [tail.clone(), format!("+{tail}")]),
        );
    }
    // Not "*1*1": a range stands for its digits.
    all.extend(["*", "*1", "*5", "*11", "#", "#0"].map(String::from));
    all
}

const CALLERS: [Option<&str>; 8] = [
    None,
    Some("alice"),
    Some("0"),
    Some("+"),
    Some("+19"),
    Some("+01"),
    Some("191"),
    Some("*1"),
];

/// Working hours, night, a holiday, a closed week, the hour that comes twice, a leap day.
const HOURS: [&str; 8] = [
    "2026-05-06T10:00:00Z",
    "2026-05-06T22:00:00Z",
    "2026-12-25T10:00:00Z",
    "2026-06-03T10:00:00Z",
    "2026-10-25T00:40:00Z",
    "2026-10-25T01:40:00Z",
    "2028-02-29T12:00:00Z",
    "2026-07-04T17:30:00Z",
];

/// More where they cost less: `cargo test --release --test plan`.
const CASES: u32 = if cfg!(debug_assertions) { 40 } else { 2_000 };

fn since() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

type Others = (usize, usize, usize, usize);

fn calls(others: Vec<Others>) -> impl Iterator<Item = Call> {
    let numbers = numbers();
    others
        .into_iter()
        .flat_map(move |(caller, host, label, hour)| {
            let facts = move |from: &str, called: &String| Call {
                from: from.to_owned(),
                called: called.clone(),
                calling: CALLERS[caller].map(String::from),
                host: HOSTS_CALLED[host].to_owned(),
                tgrp: LABELS_CALLED[label].map(String::from),
                at: HOURS[hour].parse().unwrap(),
            };
            let calls = ["group-0", "group-1"].map(|from| {
                let calls = numbers.iter().map(|called| facts(from, called));
                calls.collect::<Vec<_>>()
            });
            calls.into_iter().flatten()
        })
}

fn others() -> impl Strategy<Value = Vec<Others>> {
    let one = (
        0..CALLERS.len(),
        0..HOSTS_CALLED.len(),
        0..LABELS_CALLED.len(),
        0..HOURS.len(),
    );
    prop::collection::vec(one, 4)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(CASES))]

    /// What the plan says of a call is what both tables do with it, for every number.
    #[test]
    fn a_plan_is_what_both_tables_do(tables in two_tables(), others in others()) {
        let [before, after] = &tables;
        law_compare([before, after], since(), calls(others)).unwrap();
    }

    /// A table compared with itself changes nothing, and a change back undoes the change.
    #[test]
    fn nothing_changes_without_a_change(tables in two_tables()) {
        let [before, after] = &tables;
        prop_assert!(compare(before, before, since()).unwrap().is_empty());
        let there = totals(before, after);
        prop_assert_eq!(there, totals(after, before));
    }
}

/// Numbers and prefixes for which something changes.
fn totals(before: &Arc<RoutingTable>, after: &Arc<RoutingTable>) -> (u64, usize) {
    let changes = compare(before, after, since()).unwrap().changes;
    let numbers = changes.iter().map(|change| change.numbers).sum();
    (
        numbers,
        changes.iter().map(|change| change.open_prefixes()).sum(),
    )
}
