//! Plans of tables as they are written.

use std::path::Path;

use trunkline::plan::{ArrivalKind, Kind, Plan, compare};
use trunkline::tables::load;

fn since() -> jiff::Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Every table of this repository is the same as itself.
#[test]
fn a_table_does_not_differ_from_itself() {
    for folder in std::fs::read_dir("routing-tables").unwrap() {
        let folder = folder.unwrap().path();
        let table = load(&folder).table.unwrap();
        let plan = compare(&table, &table, since()).unwrap();
        assert!(plan.is_empty(), "{}: {plan:?}", folder.display());
    }
}

/// The same rows and definitions in other files and another order are the same table.
#[test]
fn the_order_of_files_and_rows_does_not_matter() {
    let from = Path::new("routing-tables/example");
    let to = tempfile::tempdir().unwrap();
    std::fs::create_dir(to.path().join("dids")).unwrap();
    for list in std::fs::read_dir(from.join("dids")).unwrap() {
        let list = list.unwrap().path();
        let text = std::fs::read_to_string(&list).unwrap();
        let (head, rows) = text.split_once('\n').unwrap();
        let mut rows: Vec<&str> = rows.lines().collect();
        rows.reverse();
        let text = format!("{head}\n{}\n", rows.join("\n"));
        std::fs::write(to.path().join("dids").join(list.file_name().unwrap()), text).unwrap();
    }
    // Every part of the trunks in a file of its own, named in the reverse order.
    let trunks = std::fs::read_to_string(from.join("trunks.toml")).unwrap();
    let mut parts: Vec<String> = Vec::new();
    for line in trunks.lines() {
        if line.starts_with('[') && !line.starts_with("[[") || parts.is_empty() {
            parts.push(String::new());
        }
        let part = parts.last_mut().unwrap();
        part.push_str(line);
        part.push('\n');
    }
    let (ordered, free): (Vec<_>, Vec<_>) = parts
        .into_iter()
        .partition(|part| part.contains("[[classification]]"));
    assert!(free.len() > 3, "{free:?}");
    for (at, part) in free.iter().enumerate() {
        std::fs::write(to.path().join(format!("a{:03}.toml", 999 - at)), part).unwrap();
    }
    std::fs::write(to.path().join("z.toml"), ordered.concat()).unwrap();
    std::fs::copy(from.join("routes.toml"), to.path().join("b.toml")).unwrap();
    let loaded = load(to.path());
    assert!(loaded.table.is_some(), "{}", loaded.report.text(false));
    let plan = compare(&load(from).table.unwrap(), &loaded.table.unwrap(), since()).unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}

/// The plan from one table to another, both in one file.
fn planned(before: &str, after: &str) -> Plan {
    let [before, after] = [before, after].map(|text| {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("routing.toml"), text).unwrap();
        let loaded = load(folder.path());
        loaded
            .table
            .unwrap_or_else(|| panic!("{}", loaded.report.text(false)))
    });
    compare(&before, &after, since()).unwrap()
}

const SMALL: &str = r#"
[dial_plan.uk]
country_code = "44"
national_prefix = "0"
emergency = ["999"]

[trunk_group.carrier]
trunks = ["c1", "c2"]
hunt = "weighted"
accept_from = ["10.0.0.0/8", "2001:db8::/32"]
dial_plan = "uk"
alternative_routing = "carrier"

[trunk_group.office]
trunks = ["o1"]
accept_from = ["10.1.0.0/16"]
outbound = ["national"]

[trunk.c1]
address = "sip:c1"
[trunk.c2]
address = "sip:c2"
[trunk.o1]
address = "sip:o1"

[manipulation.national]
called = [{ prefix = "+44", strip = 3, prepend = "0" }]

[alternative_routing.carrier]
next_route_on = ["503"]

[[classification]]
source = ["10.2.0.1"]
tgrp = ["office*"]
trunk_group = "office"

[[rule]]
name = "Out"
from = ["office"]
called = ["emergency", "+*"]
route_to = ["carrier"]

[[rule]]
name = "In"
route_to = ["office"]
"#;

/// The kinds of all changes when something in [`SMALL`] is replaced.
fn kinds(from: &str, to: &str) -> Vec<Kind> {
    assert!(SMALL.contains(from), "{from}");
    let plan = planned(SMALL, &SMALL.replacen(from, to, 1));
    assert!(plan.arrivals.is_empty(), "{plan:?}");
    let lines = plan.changes.iter().flat_map(|change| &change.lines);
    let mut kinds: Vec<Kind> = lines.map(|line| line.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

#[test]
fn what_a_trunk_group_does_with_its_calls() {
    // Who shares calls has no order.
    assert_eq!(kinds(r#"["c1", "c2"]"#, r#"["c2", "c1"]"#), []);
    assert_eq!(kinds(r#"hunt = "weighted""#, ""), [Kind::Rerouted]);
    assert_eq!(
        kinds(r#"address = "sip:c2""#, r#"address = "sip:c9""#),
        [Kind::Rerouted]
    );
    let weight = "address = \"sip:c2\"\nweight = 3";
    assert_eq!(kinds(r#"address = "sip:c2""#, weight), [Kind::Manner]);
    let calls = "address = \"sip:o1\"\nmax_calls = 3";
    assert_eq!(kinds(r#"address = "sip:o1""#, calls), [Kind::Manner]);
    // How often a trunk is asked whether it lives changes no call.
    let probes = "address = \"sip:o1\"\noptions = \"30s\"";
    assert_eq!(kinds(r#"address = "sip:o1""#, probes), []);
    assert_eq!(
        kinds("strip = 3, prepend", "strip = 2, prepend"),
        [Kind::Manner]
    );
    assert_eq!(kinds(r#"["503"]"#, r#"["503", "500"]"#), [Kind::Manner]);
    assert_eq!(
        kinds(r#"name = "In""#, r#"name = "Inside""#),
        [Kind::RuleOnly]
    );
}

#[test]
fn a_trunk_less_is_an_alternative_less() {
    let fewer = SMALL
        .replacen(r#"trunks = ["c1", "c2"]"#, r#"trunks = ["c1"]"#, 1)
        .replacen("[trunk.c2]\naddress = \"sip:c2\"\n", "", 1);
    let plan = planned(SMALL, &fewer);
    let mut lines = plan.changes.iter().flat_map(|change| &change.lines);
    assert!(lines.all(|line| line.loses_last_alternative && line.kind == Kind::Rerouted));
    // 999 is the office's own only by its plan, and 112 and 911 are everybody's.
    assert!(plan.summary.prefixes_lose_last_alternative > 0);
    assert_eq!(plan.summary.moved, 0);
}

/// Addresses one by one, classifications and dial plans as written.
#[test]
fn what_comes_before_rules() {
    let arrivals = |from: &str, to: &str| {
        assert!(SMALL.contains(from), "{from}");
        let plan = planned(SMALL, &SMALL.replacen(from, to, 1));
        let said = plan.arrivals.iter();
        said.map(|found| {
            let (what, before, after) = (&found.what, &found.before, &found.after);
            (found.kind, format!("{what}: {before} -> {after}"))
        })
        .collect::<Vec<_>>()
    };
    let moved = |what: &str| (ArrivalKind::SourceMoved, what.to_owned());
    assert_eq!(
        arrivals(r#""10.1.0.0/16""#, r#""10.1.0.0/17""#),
        [moved("10.1.128.0 to 10.1.255.255: office -> carrier")]
    );
    assert_eq!(
        arrivals(
            r#"["10.0.0.0/8", "2001:db8::/32"]"#,
            r#"["10.0.0.0/9", "11.0.0.1"]"#
        ),
        [
            (
                ArrivalKind::SourceRefused,
                "10.128.0.0 to 10.255.255.255: carrier -> ".to_owned()
            ),
            (
                ArrivalKind::SourceAdmitted,
                "11.0.0.1:  -> carrier".to_owned()
            ),
            (
                ArrivalKind::SourceRefused,
                "2001:db8:: to 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff: carrier -> ".to_owned()
            ),
        ]
    );
    // The same addresses in other networks are the same.
    assert_eq!(
        arrivals(r#""10.1.0.0/16""#, r#""10.1.0.0/17", "10.1.128.0/17""#),
        []
    );
    let classified = arrivals(r#"tgrp = ["office*"]"#, r#"tgrp = ["office-1"]"#);
    assert_eq!(classified.len(), 2, "{classified:?}");
    assert!(
        classified
            .iter()
            .all(|(kind, _)| *kind == ArrivalKind::Classification)
    );
    let read = arrivals(r#"national_prefix = "0""#, r#"national_prefix = "1""#);
    assert_eq!(
        read,
        [(
            ArrivalKind::Reading,
            "carrier: dial plan uk -> dial plan uk".to_owned()
        )]
    );
    let carrier = "[trunk_group.carrier]\n";
    let transfers = arrivals(carrier, &format!("{carrier}transfers_to = \"office\"\n"));
    assert_eq!(
        transfers,
        [(
            ArrivalKind::Reading,
            "carrier: transfers by the rules -> transfers to office".to_owned()
        )]
    );
}
