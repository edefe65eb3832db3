//! Dashboards, recording rules and alerts speak of metrics that there are.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::Asked;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/observability")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// Every name of a series the page may have: counters end in `_total`, histograms are three.
fn series() -> BTreeSet<String> {
    let page = Asked::open(Vec::new(), "{trunk}").watched("/metrics");
    let families = page.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    families
        .flat_map(|family| {
            let (name, kind) = family.split_once(' ').unwrap();
            let suffixes: &[&str] = match kind {
                "counter" => &["_total"],
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            suffixes.iter().map(move |suffix| format!("{name}{suffix}"))
        })
        .collect()
}

/// The names of ours in a text: words that begin with `trunkline_`, `trunkline:` or `process_`.
fn named(text: &str) -> BTreeSet<&str> {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = text.split(|c| !is_name(c));
    let words = words.map(|word| word.trim_end_matches(':'));
    words
        .filter(|word| {
            ["trunkline_", "trunkline:", "process_"]
                .iter()
                .any(|prefix| word.starts_with(prefix))
        })
        .collect()
}

/// What the recording rules record, by name.
fn recorded() -> BTreeSet<String> {
    let rules = read("trunkline.rules.yml");
    let names = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- record: "));
    names.map(str::to_owned).collect()
}

/// The dashboards, by file.
fn dashboards() -> BTreeMap<String, Value> {
    let entries = std::fs::read_dir(folder().join("dashboards")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names
        .map(|name| {
            let text = read(&format!("dashboards/{name}"));
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect()
}

#[test]
fn every_metric_they_name_is_on_the_page() {
    let (series, recorded) = (series(), recorded());
    let boards = dashboards();
    let texts = boards
        .iter()
        .map(|(name, board)| (name.clone(), board.to_string()));
    let rules = [
        "trunkline.rules.yml",
        "trunkline.alerts.yml",
        "rules-test.yml",
    ];
    let rules = rules.map(|name| (name.to_owned(), read(name)));
    let mut checked = 0;
    for (file, text) in texts.chain(rules) {
        for name in named(&text) {
            let is_known = series.contains(name) || recorded.contains(name);
            assert!(is_known, "{file}: {name} is no metric");
            checked += 1;
        }
    }
    assert!(checked > 60, "only {checked} names found");
}

#[test]
fn there_are_five_dashboards_and_each_panel_asks_for_something() {
    let boards = dashboards();
    let names: Vec<_> = boards.keys().collect();
    assert_eq!(
        names,
        [
            "calls.json",
            "engine.json",
            "records.json",
            "table.json",
            "trunks.json"
        ]
    );
    let mut uids = BTreeSet::new();
    for (file, board) in &boards {
        assert!(uids.insert(board["uid"].as_str().unwrap()), "{file}");
        let panels = board["panels"].as_array().unwrap();
        assert!(panels.len() >= 10, "{file}");
        let mut places = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            let place = &panel["gridPos"];
            let right = place["x"].as_u64().unwrap() + place["w"].as_u64().unwrap();
            assert!(right <= 24, "{file}: {title}");
            assert!(places.insert(place.to_string()), "{file}: {title}");
            for target in panel["targets"].as_array().unwrap() {
                let ask = target["expr"].as_str().unwrap();
                assert!(ask.contains("$instance"), "{file}: {title}: {ask}");
            }
        }
    }
}

#[test]
fn every_alert_has_a_severity_an_action_and_a_test() {
    let (alerts, tests) = (read("trunkline.alerts.yml"), read("rules-test.yml"));
    let mut all = alerts.split("- alert: ");
    all.next();
    let mut count = 0;
    for alert in all {
        let name = alert.lines().next().unwrap();
        for part in ["expr: ", "severity: ", "summary: ", "action: "] {
            assert!(alert.contains(part), "{name} has no {part}");
        }
        let fires = tests.contains(&format!("alertname: {name}\n"));
        assert!(fires, "no test has {name} fire");
        count += 1;
    }
    assert!(count >= 18, "{count}");
}
