//! Every mistake of a file is shown, at its place.

#![expect(clippy::unwrap_used, reason = "a test that has no file has failed")]

use proptest::prelude::*;

use super::*;
use crate::tables::diagnostic::Report;

/// Reads `text` with `read` and returns what was found on one line each.
fn check(text: &str, read: impl FnOnce(&mut Reader<'_>)) -> String {
    report(text, read).short()
}

fn report(text: &str, read: impl FnOnce(&mut Reader<'_>)) -> Report {
    let source = SourceFile::from_text("t.toml", text).unwrap();
    let diagnostics = Diagnostics::new();
    let document = Document::parse(&source, &diagnostics);
    let mut reader = document.root();
    read(&mut reader);
    reader.finish();
    drop(document);
    diagnostics.into_report()
}

/// Asks for everything there is, as the language does.
fn read_all(root: &mut Reader<'_>) {
    for (name, mut trunk) in root.named_tables("trunk") {
        let _ = (name.sub(0..1), trunk.required_string("address"));
        trunk.integer("weight", 1..=1_000);
        trunk.duration_ms_or_off("options", 1_000..=3_600_000);
        trunk.one_of("hunt", &[("top-down", 1), ("weighted", 2)]);
        trunk.finish();
    }
    for mut rule in root.tables("rule") {
        rule.required_strings("called");
        rule.boolean("enabled");
        if let Some(mut reject) = rule.table("reject") {
            reject.integer("status", 300..=699);
            reject.integers("length", 1..=31);
            reject.finish();
        }
        rule.finish();
    }
    root.duration_ms("timeout", 1..=60_000);
}

#[test]
fn a_sound_file_is_read_without_a_word() {
    let found = check(
        r#"
timeout = "30s"
[trunk.a]
address = "sip:a"
weight = 3
options = "off"
hunt = "weighted"
[trunk."b.1"]
address = 'sip:b'
[[rule]]
called = ["999", "112"]
enabled = true
reject = { status = 403, length = "3-5" }
"#,
        |root| {
            read_all(root);
            assert_eq!(root.duration_ms("timeout", 1..=60_000).unwrap().0, 30_000);
            let trunks = root.named_tables("trunk");
            let names: Vec<&str> = trunks.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["a", "b.1"]);
            let rule = root.tables("rule").into_iter().next();
            let reject = rule
                .unwrap()
                .table("reject")
                .unwrap()
                .integers("length", 1..=31);
            assert_eq!(reject.unwrap().0, 3..=5);
        },
    );
    assert_eq!(found, "");
}

#[test]
fn every_mistake_is_shown_at_its_place() {
    let found = check(
        r#"timeout = 30
trnuk = 1
[trunk."-x"]
weight = "3"
options = "30"
hunt = "top-dwon"
adress = "sip:a"
[[rule]]
called = "999"
enabled = 1
reject = { status = 200, length = "5-3", code = 1 }
[[rule]]
called = ["1", 2, 3.5]
"#,
        read_all,
    );
    let expected = r#"t.toml:1:11: error T006: timeout must be a duration in quotes, not a number
t.toml:2:1: error T005: unknown key "trnuk" in the file
t.toml:3:1: error T007: [trunk.-x] has no "address"
t.toml:3:8: error T009: "-x" cannot be the name of a trunk: it does not begin with a letter or digit
t.toml:4:10: error T006: weight must be a whole number, not a string
t.toml:5:11: error T009: options = "30" is not allowed
t.toml:6:8: error T009: hunt = "top-dwon" is not allowed
t.toml:7:1: error T005: unknown key "adress" in [trunk.-x]
t.toml:9:10: error T006: called must be a list of strings, not a string
t.toml:10:11: error T006: enabled must be true or false, not a number
t.toml:11:21: error T009: status = 200 is not allowed
t.toml:11:35: error T009: length = "5-3" is not allowed
t.toml:11:42: error T005: unknown key "code" in reject of [[rule]]
t.toml:13:16: error T006: called must be a list of strings, not a number
t.toml:13:19: error T006: called must be a list of strings, not a number with a point
"#;
    assert_eq!(found, expected);
}

#[test]
fn help_says_what_to_write() {
    let help = |text: &str| {
        let report = report(text, read_all);
        report
            .diagnostics
            .first()
            .and_then(|found| found.help.clone())
            .unwrap_or_default()
    };
    assert_eq!(help("[[rule]]\ncalled = \"999\""), "write [\"999\"]");
    assert_eq!(
        help("[trunk.a]\naddress = \"x\"\nadress = \"x\""),
        "did you mean \"address\"?"
    );
    assert_eq!(
        help("[trunk.a]\naddress = \"x\"\nzzz = 1"),
        "known keys: address, weight, options, hunt"
    );
    assert_eq!(
        help("[trunk.a]\naddress = \"x\"\nweight = \"3\""),
        "write 3 without quotes"
    );
    assert_eq!(help("[trunk.a]\naddress = 3"), "write \"3\" in quotes");
    assert_eq!(help("timeout = 30"), "write timeout = \"30s\" for seconds");
    assert_eq!(
        help("timeout = \"2m\""),
        "allowed: a duration from \"1ms\" to \"1m\""
    );
    assert_eq!(
        help("[trunk.a]\naddress = \"x\"\nhunt = \"Weighted\""),
        "did you mean \"weighted\"? allowed: \"top-down\" or \"weighted\""
    );
    assert!(
        help("[trunk.lon.1]\naddress = \"x\"").is_empty(),
        "its missing address comes first"
    );
    assert_eq!(
        help("[rule]\ncalled = []"),
        "write [[rule]], or put it in [ ]"
    );
}

#[test]
fn syntax_errors_are_all_shown_and_do_not_breed_others() {
    let found = check(
        "[trunk.a]\naddress = sip:a\nweight = 1\n[trunk.b\naddress = \"x\"\n[trunk.c]\nweight = \"x\"\n",
        read_all,
    );
    let lines: Vec<&str> = found.lines().collect();
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("t.toml:2:") && line.contains("T003")),
        "{found}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("t.toml:4:") && line.contains("T003")),
        "{found}"
    );
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("t.toml:7:10: error T006")),
        "{found}"
    );
    assert!(
        !found.contains("T007"),
        "what seems to be missing may be lost: {found}"
    );
}

#[test]
fn what_is_defined_twice_is_shown_at_both_places() {
    for (text, again, first) in [
        (
            "[trunk.a]\n[trunk.b]\n[ trunk.'a' ]\n",
            (3, 9),
            Some((1, 1)),
        ),
        ("x = 1\nx = 2\n", (2, 1), Some((1, 1))),
        (
            "[a]\nx = 1\n[b]\nx = 1\ny = 2\nx = 3\n",
            (6, 1),
            Some((4, 1)),
        ),
        ("[a]\nx = 1\nt = { x = 2 }\nx = 3\n", (4, 1), Some((2, 1))),
        ("t = { x = 2, x = 3 }\n", (1, 14), Some((1, 7))),
        ("a.x = 1\na.x = 2\n", (2, 3), None),
        ("s = \"\"\"\n[t]\n\"\"\"\n[t]\n[t]\n", (5, 2), Some((4, 1))),
    ] {
        let report = report(text, |_| {});
        let found = report
            .diagnostics
            .iter()
            .find(|found| found.code == Code::DefinedTwice)
            .unwrap();
        let at = |index: usize| {
            found
                .places
                .get(index)
                .map(|place| (place.line, place.column))
        };
        assert_eq!((at(0), at(1)), (Some(again), first), "{text}");
    }
}

#[test]
fn carets_stand_inside_strings_unless_escapes_move_them() {
    for (text, start) in [
        ("x = [\"abcdef\"]", Some(6)),
        ("x = ['abcdef']", Some(6)),
        ("x = [\"\"\"\nabcdef\"\"\"]", Some(9)),
        ("x = ['''abcdef''']", Some(8)),
        ("x = [\"\\u0061bcdef\"]", None),
    ] {
        report(text, |root| {
            let texts = root.strings("x").unwrap();
            let item = texts.first().unwrap();
            assert_eq!(item.value, "abcdef", "{text}");
            let sub = item.sub(2..4);
            match start {
                Some(start) => assert_eq!((sub.start, sub.end), (start + 2, start + 4), "{text}"),
                None => assert_eq!(sub, item.spot, "{text}"),
            }
        });
    }
}

#[test]
fn durations_are_read_and_written() {
    for (text, duration) in [
        ("500ms", Some(500)),
        ("30s", Some(30_000)),
        ("2m", Some(120_000)),
        ("1h", Some(3_600_000)),
        ("0s", Some(0)),
        ("", None),
        ("30", None),
        ("s", None),
        ("1.5s", None),
        ("-1s", None),
        ("+1s", None),
        ("1 s", None),
        ("99999999999999999999s", None),
        ("9999999999999999999h", None),
    ] {
        assert_eq!(duration_ms(text), duration, "{text}");
        if let Some(duration) = duration {
            assert_eq!(duration_ms(&duration_text(duration)), Some(duration));
        }
    }
}

proptest! {
    /// No text panics, and every finding has a file, a line and a column.
    #[test]
    fn every_refusal_has_a_place(
        text in "(\\[\\[?(trunk|rule|trunk\\.a|rule\\.reject|x)\\]?\\]\n|(address|weight|options|called|reject|x|a\\.b) ?= ?(\"[a-z0-9]{0,3}\"|[0-9]{1,3}|\\[\"1\", ?2?\\]|\\{ ?x = 1 ?\\}|tru|\"\"\")\n|\\PC{0,3}\n){0,12}",
    ) {
        let report = report(&text, read_all);
        let lines = text.split('\n').count();
        for found in &report.diagnostics {
            let place = found.place().unwrap();
            prop_assert!(place.line >= 1 && place.line as usize <= lines && place.column >= 1, "{:?}", found);
            prop_assert!(!found.text(false).is_empty());
        }
    }

    #[test]
    fn no_text_panics(text in "\\PC{0,60}|[\\[\\]{}=.\"'a\n\t#,1-]{0,60}") {
        let report = report(&text, read_all);
        prop_assert!(report.diagnostics.iter().all(|found| found.place().is_some_and(|place| place.line >= 1)));
    }
}
