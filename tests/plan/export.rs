//! What is exported and imported again is the same table: the plan from one to the other is
//! empty.

use std::fs;
use std::path::Path;

use proptest::prelude::*;
use trunkline::export;
use trunkline::import::lists;
use trunkline::plan::compare;
use trunkline::tables::load;
use trunkline::tables::written::written_lists;

fn toml_texts(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "toml"))
        .collect();
    names.sort();
    let texts = names.iter().map(|path| fs::read_to_string(path).unwrap());
    texts
        .map(|text| text.trim_start_matches('\u{feff}').to_owned())
        .collect()
}

fn write(folder: &Path, files: &[export::File]) {
    for (name, text) in files {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
}

fn same(before: &Path, after: &Path) {
    let loaded = load(after);
    let after = loaded
        .table
        .unwrap_or_else(|| panic!("{}", loaded.report.text(false)));
    let before = load(before).table.unwrap();
    let since = "2026-01-01T00:00:00Z".parse().unwrap();
    let plan = compare(&before, &after, since).unwrap();
    assert!(plan.is_empty(), "{plan:?}");
}

fn by_json(folder: &Path) {
    let texts = toml_texts(folder);
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let json = export::json(&texts, &written_lists(folder));
    let files = export::from_json(&json).unwrap();
    let again = tempfile::tempdir().unwrap();
    write(again.path(), &files);
    same(folder, again.path());
    // Nothing is lost the second time either.
    let texts = toml_texts(again.path());
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    assert_eq!(export::json(&texts, &written_lists(again.path())), json);
}

fn by_csv(folder: &Path) {
    let lists = written_lists(folder);
    let files = export::from_csv(&export::csv(&lists)).unwrap();
    let again = tempfile::tempdir().unwrap();
    let texts = toml_texts(folder).into_iter().zip(0..);
    let texts = texts.map(|(text, at)| (format!("{at}.toml"), text));
    write(again.path(), &texts.collect::<Vec<_>>());
    for list in lists.iter().filter(|list| list.is_csv) {
        let own = files
            .iter()
            .find(|(name, _)| *name == format!("{}.csv", list.name));
        let empty = if list.assigns {
            "number,trunk_group\n"
        } else {
            "number\n"
        };
        let text = own.map_or(empty, |(_, text)| text);
        write(again.path(), &[(list.file.clone(), text.to_owned())]);
    }
    same(folder, again.path());
}

#[test]
fn every_table_of_this_repository() {
    for of in ["routing-tables", "tests/diagnostics/good"] {
        for folder in fs::read_dir(of).unwrap() {
            let folder = folder.unwrap().path();
            by_json(&folder);
            by_csv(&folder);
        }
    }
}

const TABLE: &str = "[trunk_group.a]\ntrunks = [\"t\"]\naccept_from = [\"10.0.0.1\"]\n[trunk_group.b]\ntrunks = [\"t\"]\n[trunk.t]\naddress = \"sip:192.0.2.1\"\n[did.one]\nfile = \"dids/one.csv\"\n[[rule]]\nname = \"all\"\ncalled = [\"did:*\"]\nroute_to = [\"assigned\"]\n";
const MARKED: &str = "[did.marks]\nfile = \"marks.csv\"\n[[rule]]\nname = \"marked\"\ncalling = [\"did:marks\"]\nroute_to = [\"a\", \"b\"]\n";

fn pattern() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "\\+?[123]{1,4}",
        2 => "\\+?[123]{1,3}\\*",
        1 => "\\*[12]{1,2}\\*?",
        2 => ("\\+?[12]", 0..100_u32, 0..100_u32).prop_map(|(head, a, b)| {
            format!("{head}{:02} to {head}{:02}", a.min(b), a.max(b))
        }),
    ]
}

fn rows(assigned: bool) -> impl Strategy<Value = String> {
    let group = prop::sample::select(vec!["a", "b", ""]);
    let comment = prop::sample::select(vec![
        "",
        "Alice",
        "\"a, \"\"b\"\"\"",
        "\"# not \u{fc}\"",
        "\" x \"",
    ]);
    let row =
        (pattern(), group, comment).prop_map(move |(pattern, group, comment)| match assigned {
            true => format!("{pattern},{group},{comment}\n"),
            false => format!("{pattern},{comment}\n"),
        });
    let head = match assigned {
        true => "number,trunk_group,comment\n",
        false => "number,comment\n",
    };
    prop::collection::vec(row, 1..8).prop_map(move |rows| head.to_owned() + &rows.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(192))]

    #[test]
    fn random_lists_by_json_and_csv(assigned in rows(true), marks in rows(false)) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[
            ("routing.toml".into(), MARKED.to_owned() + TABLE),
            ("dids/one.csv".into(), assigned),
            ("marks.csv".into(), marks),
        ]);
        if load(folder.path()).table.is_some() {
            by_json(folder.path());
            by_csv(folder.path());
        }
    }

    /// The SBC looks for the best match, the table for the longest prefix: what is exported is
    /// the same to both.
    #[test]
    fn random_lists_by_dial_plan(assigned in rows(true)) {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &[
            ("routing.toml".into(), TABLE.to_owned()),
            ("dids/one.csv".into(), assigned),
        ]);
        if load(folder.path()).table.is_none() {
            return Ok(());
        }
        let (plan, doubts) = export::dial_plan(&written_lists(folder.path()), "P");
        prop_assert_eq!(doubts, Vec::<String>::new());
        let mut findings = Vec::new();
        let listed = lists::read(&plan, &mut findings);
        prop_assert_eq!(findings, []);
        let again = tempfile::tempdir().unwrap();
        write(again.path(), &[
            ("routing.toml".into(), TABLE.to_owned()),
            ("dids/one.csv".into(), lists::did_csv(&listed, None)),
        ]);
        same(folder.path(), again.path());
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,80}") {
        let _ = (export::from_json(&text), export::from_csv(&text));
        let _ = export::from_csv(&format!("number,trunk_group,comment,list,assigns\n{text}"));
        let _ = export::from_json(&format!("{{\"schema\":\"trunkline.table/1\",\"table\":{{\"did\":{{\"x\":{{\"rows\":[{text:?}]}}}}}}}}"));
    }
}
