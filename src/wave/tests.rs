#![allow(clippy::unwrap_used)] // a test says so by failing

use super::*;
use crate::import::lists;
use crate::tables::load;
use crate::tables::written::written_lists;
use proptest::prelude::*;
use std::fs;
use std::path::Path;

const TABLE: &str = "[trunk_group.a]\ntrunks = [\"t\"]\naccept_from = [\"10.0.0.1\"]\n[trunk_group.b]\ntrunks = [\"t\"]\n[trunk.t]\naddress = \"sip:192.0.2.1\"\n[did.one]\nfile = \"one.csv\"\n[did.two]\nfile = \"two.csv\"\n[[rule]]\nname = \"all\"\ncalled = [\"*\"]\nroute_to = [\"assigned\", \"a\"]\n";

fn written(folder: &Path, lists: [&str; 2]) {
    fs::write(folder.join("routing.toml"), TABLE).unwrap();
    fs::write(folder.join("one.csv"), lists[0]).unwrap();
    fs::write(folder.join("two.csv"), lists[1]).unwrap();
}

/// The lists after the wave, or why not.
fn moved(lists: [&str; 2], wave: &str) -> Result<[String; 2], Refused> {
    let folder = tempfile::tempdir().unwrap();
    written(folder.path(), lists);
    let loaded = load(folder.path());
    let table = loaded
        .table
        .unwrap_or_else(|| panic!("{}", loaded.report.text(false)));
    let mut findings = Vec::new();
    let numbers = lists::read(wave, &mut findings);
    assert_eq!(findings, []);
    let wave = Wave::of(&table, &written_lists(folder.path()), &numbers, "b")?;
    Ok([
        wave.text("one.csv", lists[0], "b"),
        wave.text("two.csv", lists[1], "b"),
    ])
}

#[test]
fn rows_change_or_get_rows_below_them_and_the_rest_stays() {
    let one = "# mine\r\nnumber;comment; trunk_group\r\n+4420 1000;\"Alice; \"\"A\"\"\"; a\r\n\r\n# a block\r\n+442010* ; block;a\r\n";
    let two = "number,trunk_group\n+44203000 to +44203009,a";
    let wave = "number,name\n+44201000,\n+44201011,Bob\n+44201012 to +44201015,\n+44203005,\n";
    let [first, second] = moved([one, two], wave).unwrap();
    assert_eq!(
        first,
        "# mine\r\nnumber;comment; trunk_group\r\n+4420 1000;\"Alice; \"\"A\"\"\";b\r\n\r\n# a block\r\n\
         +442010* ; block;a\r\n+44201011;Bob;b\r\n+44201012 to +44201015;;b\r\n"
    );
    assert_eq!(
        second,
        "number,trunk_group\n+44203000 to +44203009,a\n+44203005,b"
    );
}

#[test]
fn what_cannot_be_moved_is_said() {
    let one = "number,trunk_group\n+441*,a\n";
    let two = "number,trunk_group\n+442,a\n";
    let refused = moved([one, two], "number\n+4430\n+4431\n+4411\n").unwrap_err();
    assert_eq!(
        refused.to_string(),
        "no row of the table has 2 of the numbers: +4430 to +4431; add them to a list first"
    );
    let refused = moved([one, two], "Prefix,Tag\n+441,x\n").unwrap_err();
    assert!(
        matches!(refused, Refused::Open { line: 2, .. }),
        "{refused}"
    );
}

fn row() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        3 => "\\+4[12][0-3][0-3]",
        1 => "\\+4[12][0-3]?\\*",
        2 => ("\\+4[12]", 0..4_u32, 0..4_u32, 0..4_u32, 0..4_u32).prop_map(|(head, a, b, c, d)| {
            let ends = [a * 10 + b, c * 10 + d];
            let (first, last) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
            format!("{head}{first:02} to {head}{last:02}")
        }),
    ];
    (number, prop::sample::select(vec!["a", "b", ""])).prop_map(|(n, g)| format!("{n},{g}"))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    /// Exactly the numbers of the wave have the group afterwards, all others what they had.
    #[test]
    fn exactly_these_numbers_move(
        rows in prop::collection::vec(row(), 1..8),
        cut in 0..8_usize,
        wave in prop::collection::vec((0..2_u32, 0..44_u32, 0..6_u32), 1..5),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let head = "number,trunk_group\n";
        let (one, two) = rows.split_at(cut.min(rows.len()));
        let lists = [one, two].map(|rows| format!("{head}{}\n", rows.join("\n")));
        written(folder.path(), [&lists[0], &lists[1]]);
        let Some(before) = load(folder.path()).table else { return Ok(()) };
        let mut list = String::from("number\n");
        for (second, first, more) in wave {
            let head = format!("+4{}", second + 1);
            list.push_str(&format!("{head}{first:02} to {head}{:02}\n", first + more));
        }
        let numbers = lists::read(&list, &mut Vec::new());
        let wanted = Cover::of(&numbers);
        let wave = match Wave::of(&before, &written_lists(folder.path()), &numbers, "b") {
            Ok(wave) => wave,
            Err(refused) => {
                let listed = |n: u64| before.did(&number(n, 4).unwrap()).is_some();
                let some = wanted.iter().any(|(_, a, b)| (a..=b).any(|n| !listed(n)));
                prop_assert!(some, "{refused}");
                return Ok(());
            }
        };
        let texts = [("one.csv", 0), ("two.csv", 1)]
            .map(|(file, at)| wave.text(file, &lists[at], "b"));
        written(folder.path(), [&texts[0], &texts[1]]);
        let loaded = load(folder.path());
        prop_assert!(loaded.table.is_some(), "{}{texts:?}", loaded.report.text(false));
        let after = loaded.table.unwrap();
        let mut moved = 0;
        for value in 0..10_000 {
            let number = number(value, 4).unwrap();
            let group = |table: &RoutingTable| {
                let row = table.did(&number);
                row.map(|row| row.value.group.map_or("", |group| table.group_name(group)).to_owned())
            };
            let (was, is) = (group(&before), group(&after));
            moved += u64::from(was != is);
            match wanted.has(4, value) {
                true => prop_assert_eq!(is.as_deref(), Some("b")),
                false => prop_assert_eq!(is, was),
            }
        }
        prop_assert_eq!(wave.moved, moved);
    }
}
