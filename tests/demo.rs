//! The first thing a newcomer runs, run as they do.

#![allow(clippy::unwrap_used)] // a test may fail loudly

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

fn demo() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    command.arg("demo").env_remove("NO_COLOR");
    command
}

/// What it printed, whitespace made even; it must have ended well.
fn told(output: &Output) -> String {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{text}\n{errors}");
    assert!(errors.is_empty(), "{errors}");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_story_is_told_from_anywhere_and_leaves_nothing_behind() {
    let home = tempfile::tempdir().unwrap();
    let begun = Instant::now();
    let output = demo()
        .current_dir(home.path())
        .env("TMPDIR", home.path())
        .output()
        .unwrap();
    let took = begun.elapsed();
    let text = told(&output);
    for line in [
        "Carrier A calls 02079460123: 302 teams.route, +442079460500@teams.route → Teams answers +442079460123,",
        "and 5 more labels, +442079460500@teams.route → Genesys answers +442079460125,",
        "The London service desk, ",
        "Genesys calls 0123: 302 teams.route → Teams answers +442079460123,",
        "482 This number lives on Genesys → refused,",
        "Teams calls +449098790000: 403 Premium-rate numbers are barred → refused,",
        "Teams calls 112: 302 carrier-b.route → Carrier B Berlin answers 112,",
        "→ carrier-a-docklands.route says 503, carrier-a-slough.route silent for 800 ms, \
         Carrier B Berlin answers 00441214960000,",
        "reload gen 1->2 dids=20 ",
        "Carrier A calls 02079460125: 302 teams.route, +442079460500@teams.route → Teams answers +442079460125,",
        "reload refused, gen 2 kept: 1 error, first dids/teams.csv:14:15",
        "error[T004]: unknown trunk group \"taems\"",
        "help: did you mean \"teams\"",
        " to Genesys, then ",
        "; unanswered: 0",
        "+442079460125 -> ROUTE teams, reception",
        "number +442079460125 dids/teams.csv:13 assigned to teams",
        "each where the table says, in ",
        "Teams calls +441214960000: 200 → Carrier A answers, ",
        "Teams calls +441214960000: 200 → Carrier B answers, ",
        "the log: … # 200 carriers/carrier-a=unreachable,carriers/carrier-b=200 rule=\"The outside\" \
         called=+441214960000 ended=answer ",
    ] {
        assert!(text.contains(line), "{line:?} is missing in {text}");
    }
    assert!(!text.contains('\x1b'), "no colour in a pipe");
    assert!(took < Duration::from_secs(60), "{took:?}");
    let left = std::fs::read_dir(home.path()).unwrap().count();
    assert_eq!(left, 0, "the copy of the table is still there");
}

#[test]
fn it_stays_until_it_is_interrupted() {
    let home = tempfile::tempdir().unwrap();
    let mut process = demo()
        .args(["--stay", "--color", "always"])
        .env("TMPDIR", home.path())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(process.stdout.take().unwrap());
    let mut text = String::new();
    while !text.contains("Ctrl-C") {
        assert_ne!(output.read_line(&mut text).unwrap(), 0, "{text}");
    }
    assert!(process.try_wait().unwrap().is_none(), "it does not stay");
    let kill = format!("kill -INT {}", process.id());
    let sent = Command::new("sh").args(["-c", &kill]).status().unwrap();
    assert!(sent.success());
    output.read_to_string(&mut text).unwrap();
    assert_eq!(process.wait().unwrap().code(), Some(0), "{text}");
    assert!(
        text.contains("\x1b[1m") && text.contains("kill -HUP "),
        "{text}"
    );
    assert_eq!(std::fs::read_dir(home.path()).unwrap().count(), 0);
}

#[test]
fn without_room_for_the_table_it_says_so() {
    let output = demo().env("TMPDIR", "/nowhere/at/all").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.starts_with("trunkline: the demo failed: cannot write a copy of the example table: ")
            && text.contains("/nowhere/at/all"),
        "{text}"
    );
}
