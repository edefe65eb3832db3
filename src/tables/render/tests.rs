//! How findings look.

#![expect(clippy::unwrap_used, reason = "a test that has no file has failed")]

use super::*;
use crate::tables::diagnostic::{Code, Diagnostics};
use crate::tables::source::SourceFile;

fn file(name: &str, text: impl Into<String>) -> SourceFile {
    SourceFile::from_text(name, text).unwrap()
}

fn two_files() -> Diagnostic {
    let routes = file(
        "routes.toml",
        "# first\nroute_to = [\"assigned\", \"recepton\"]\n",
    );
    let trunks = file("trunks.toml", "\n\n[trunk_group.reception]\n");
    Diagnostic::error(Code::UnknownName, "unknown trunk group \"recepton\"")
        .at(routes.place(32..42, "not defined"))
        .at(trunks.place(2..25, "this one is"))
        .help("did you mean \"reception\"?")
        .note("names are compared exactly")
}

#[test]
fn text_shows_both_places_with_carets() {
    let expected = r#"error[T004]: unknown trunk group "recepton"
 --> routes.toml:2:25
  |
2 | route_to = ["assigned", "recepton"]
  |                         ^^^^^^^^^^ not defined
  |
 ::: trunks.toml:3:1
  |
3 | [trunk_group.reception]
  | ----------------------- this one is
  |
  = help: did you mean "reception"?
  = note: names are compared exactly"#;
    assert_eq!(two_files().text(false), expected);
    assert!(two_files().text(true).contains("\u{1b}["));
}

#[test]
fn short_is_what_editors_jump_to() {
    assert_eq!(
        two_files().short(),
        "routes.toml:2:25: error T004: unknown trunk group \"recepton\""
    );
}

#[test]
fn json_has_every_field() {
    let json = serde_json::to_value(two_files()).unwrap();
    let expected = serde_json::json!({
        "code": "T004", "severity": "error", "message": "unknown trunk group \"recepton\"",
        "file": "routes.toml", "line": 2, "column": 25, "length": 10, "label": "not defined",
        "related": [{"file": "trunks.toml", "line": 3, "column": 1, "length": 23, "label": "this one is"}],
        "help": "did you mean \"reception\"?", "note": "names are compared exactly",
    });
    assert_eq!(json, expected);
}

#[test]
fn a_missing_folder_is_named_without_a_line() {
    let missing =
        Diagnostic::error(Code::CannotRead, "no such folder").at(Place::whole_file("/etc/x"));
    assert_eq!(missing.short(), "/etc/x: error T001: no such folder");
    assert_eq!(
        missing.text(false),
        "error[T001]: no such folder\n--> /etc/x"
    );
    let json = serde_json::to_value(missing).unwrap();
    assert_eq!(json.get("file").unwrap(), "/etc/x");
    assert_eq!(json.get("line"), None);
}

#[test]
fn a_huge_line_is_cut_and_its_column_stays_true() {
    let source = file(
        "long.csv",
        format!("{}WRONG{}\n", "x".repeat(5_000), "y".repeat(5_000)),
    );
    let text = Diagnostic::warning(Code::LostPlus, "m")
        .at(source.place(5_000..5_005, "here"))
        .text(false);
    assert!(text.contains("long.csv:1:5001\n"), "{text}");
    assert!(
        text.contains("WRONG") && text.contains("^^^^^ here"),
        "{text}"
    );
    assert!(text.len() < 1_000, "{text}");
}

#[test]
fn control_characters_of_a_file_never_reach_the_terminal() {
    let source = file("a\u{1b}[2J.toml", "x = \"\u{1b}[31mred\u{202e}\t\u{a0}\"\n");
    let diagnostic =
        Diagnostic::error(Code::NotAllowed, "bad\u{7}\nvalue").at(source.place(4..10, "a\u{1b}b"));
    for text in [diagnostic.text(false), diagnostic.short()] {
        assert!(!text.contains(['\u{1b}', '\u{7}', '\u{202e}']), "{text}");
    }
    assert!(diagnostic.short().lines().count() == 1);
}

#[test]
fn what_was_left_out_is_counted() {
    let diagnostics = Diagnostics::new();
    for line in 0..crate::limits::DIAGNOSTICS_MAX + 7 {
        diagnostics.push(Diagnostic::error(
            Code::DamagedNumber,
            format!("row {line}"),
        ));
    }
    let report = diagnostics.into_report();
    assert!(
        report
            .short()
            .ends_with("… and 7 more of T021: number damaged by a spreadsheet\n")
    );
    let json = serde_json::to_value(&report).unwrap();
    assert_eq!(
        json.get("errors").unwrap(),
        crate::limits::DIAGNOSTICS_MAX + 7
    );
    assert_eq!(
        json.get("left_out").unwrap(),
        &serde_json::json!({"T021": 7})
    );
}
