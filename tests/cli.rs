//! `check` and `route` as people and scripts meet them: exit codes, streams, text and JSON.
#![allow(clippy::unwrap_used)] // a test says so by failing

use assert_cmd::Command;
use serde_json::Value;
use std::fs;
use std::path::Path;

const EXAMPLE: &str = "routing-tables/example";
const BAD: &str = "tests/diagnostics/bad/T004-unknown-group-in-csv";
const WARNED: &str = "tests/diagnostics/bad/T022-lost-its-plus";

/// What one run came to.
struct Ran {
    code: i32,
    out: String,
    err: String,
}

fn trunkline(arguments: &[&str]) -> Ran {
    let mut command = Command::cargo_bin("trunkline").unwrap();
    // Not the configuration of whoever runs the tests.
    command.env_remove("NO_COLOR").args(arguments);
    let output = command.output().unwrap();
    Ran {
        code: output.status.code().unwrap(),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

fn route(arguments: &[&str]) -> Ran {
    trunkline(&[&["route", "--table", EXAMPLE], arguments].concat())
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}", ran.out))
}

fn keys(value: &Value) -> Vec<&str> {
    value
        .as_object()
        .unwrap()
        .keys()
        .map(String::as_str)
        .collect()
}

#[test]
fn exit_codes() {
    let nowhere = "tests/no-such-folder";
    let premium = ["+449061234567", "--from", "teams"];
    for (code, arguments) in [
        (0, &["check", EXAMPLE][..]),
        (0, &["check", WARNED]),
        (1, &["check", BAD]),
        (1, &["check", nowhere]),
        (1, &["check", "--format", "json", BAD]),
        (1, &["check", "--format", "short", BAD]),
        (2, &["check"]),
        (2, &["check", "--format", "yaml", EXAMPLE]),
        (2, &["check", "--no-such-option", EXAMPLE]),
        (2, &["no-such-verb"]),
        (2, &[]),
        (0, &["--help"]),
        (0, &["--version"]),
        (0, &["route", "--help"]),
        (1, &["route", "1", "--table", BAD]),
        (2, &["route", "--table", EXAMPLE]),
        (2, &["route", "1", "--table", EXAMPLE, "--from", "nobody"]),
        (2, &["route", "1", "--table", EXAMPLE, "--at", "yesterday"]),
        (
            2,
            &["route", "--table", EXAMPLE, "--invite", "no-such-file.sip"],
        ),
        (2, &["route", "1", "--table", EXAMPLE, "--invite", "a.sip"]),
        (2, &["route", "1", "--table", EXAMPLE, "--gen", "1"]),
        (2, &["rollback"]),
        (2, &["rollback", "yesterday"]),
        (2, &["reload", "--confirm", "0"]),
        (2, &["reload", "--confirm", "86401"]),
        (2, &["plan"]),
        (2, &["plan", EXAMPLE, EXAMPLE, EXAMPLE]),
        (2, &["diff", "1"]),
        (2, &["move", "--dids", EXAMPLE]),
        (
            2,
            &[
                "move", "--dids", EXAMPLE, "--to", "nobody", "--table", EXAMPLE,
            ],
        ),
        (2, &["export"]),
        (2, &["export", "csv", "--table", BAD]),
        (0, &["export", "dial-plan", "--table", EXAMPLE]),
        (2, &["fmt", BAD]),
        (0, &["fmt", "--check", "routing-tables/minimal"]),
        (1, &["fmt", "--check", "routing-tables/number-formats"]),
        (2, &["history", "--from", "teams"]),
        (1, &["check", "--config", nowhere]),
        (2, &["check", "--config", nowhere, EXAMPLE]),
        (1, &["healthcheck", "--socket", nowhere]),
        (78, &["config", "--config", nowhere]),
        (78, &["support-dump", nowhere, "--config", nowhere]),
        (1, &["doctor", "--config", nowhere]),
        (2, &["doctor", "now"]),
        (69, &["status", "--socket", nowhere]),
        (69, &["plan", EXAMPLE, "--socket", nowhere]),
    ] {
        let ran = trunkline(arguments);
        assert_eq!(ran.code, code, "{arguments:?}\n{}{}", ran.out, ran.err);
        // Wrong usage is said on standard error, and leaves nothing for a pipe to read.
        if code == 2 {
            assert!(ran.out.is_empty() && !ran.err.is_empty(), "{arguments:?}");
        }
    }
    assert_eq!(route(&["+442079460750", "--from", "carrier-a"]).code, 0);
    assert_eq!(route(&premium).code, 1, "rejected");
    assert_eq!(
        route(&["+15551234567", "--from", "carrier-a"]).code,
        1,
        "no route"
    );
}

#[test]
fn check_says_what_the_library_says() {
    let report = trunkline::tables::load(Path::new(BAD)).report;
    let text = trunkline(&["check", BAD]);
    let (findings, summary) = text.out.trim_end().rsplit_once('\n').unwrap();
    assert_eq!(format!("{findings}\n"), report.text(false));
    assert!(
        summary.starts_with(
            "1 TOML and 1 CSV file, 4 DIDs, 1 rule, no cases run: 2 errors, no warnings ("
        ),
        "{summary}"
    );
    let quiet = trunkline(&["check", "--quiet", BAD]);
    assert_eq!(quiet.out, report.text(false));
    let short = trunkline(&["check", "--format", "short", "--quiet", BAD]);
    assert_eq!(short.out, report.short());
    assert_eq!(
        short.out.lines().next().unwrap(),
        "dids/users.csv:3:15: error T004: unknown trunk group \"taems\""
    );
    let sound = trunkline(&["check", "--quiet", EXAMPLE]);
    assert_eq!((sound.code, &*sound.out, &*sound.err), (0, "", ""));
}

#[test]
fn check_as_json() {
    let bad = json(&trunkline(&["check", "--format", "json", BAD]));
    let mut documented = vec![
        "schema",
        "ok",
        "errors",
        "warnings",
        "sha256",
        "read",
        "diagnostics",
        "profiles",
        "infos",
        "left_out",
    ];
    documented.sort_unstable();
    let mut came = keys(&bad);
    came.sort_unstable();
    assert_eq!(came, documented);
    assert_eq!(bad["schema"], "trunkline.check/1");
    assert_eq!(bad["ok"], false);
    assert_eq!((&bad["errors"], &bad["warnings"]), (&2.into(), &0.into()));
    assert_eq!(bad["sha256"], Value::Null);
    assert_eq!(bad["read"]["dids"], 4);
    let first = &bad["diagnostics"][0];
    assert_eq!(first["code"], "T004");
    assert_eq!(first["severity"], "error");
    assert_eq!(first["file"], "dids/users.csv");
    assert_eq!((&first["line"], &first["column"]), (&3.into(), &15.into()));
    assert_eq!(first["help"], "did you mean \"teams\" (routing.toml:8)?");
    assert_eq!(first["related"], Value::Array(Vec::new()));

    let twice = "tests/diagnostics/bad/T013-in-two-files";
    let twice = json(&trunkline(&["check", "--format", "json", twice]));
    assert_eq!(
        twice["diagnostics"][0]["related"][0]["file"],
        "dids/london.csv"
    );

    let sound = json(&trunkline(&["check", "--format", "json", EXAMPLE]));
    assert_eq!(sound["ok"], true);
    assert_eq!(sound["diagnostics"], Value::Array(Vec::new()));
    assert_eq!(sound["sha256"].as_str().unwrap().len(), 64);
    assert_eq!(sound["read"]["cases_failed"], 0);
    assert!(sound["read"]["cases"].as_u64().unwrap() > 0);
}

/// A configuration is checked as a start reads it: itself, its table, its certificates.
#[test]
fn check_of_a_configuration() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("trunkline.toml");
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing-tables/minimal");
    let check = |tables: &Path, more: &str| {
        let listen = "[[listen]]\naddress = \"127.0.0.1:0\"\nmode = \"redirect\"\n";
        let tables = tables.display();
        fs::write(&file, format!("tables = \"{tables}\"\n{listen}{more}")).unwrap();
        trunkline(&["check", "--config", file.to_str().unwrap()])
    };
    let sound = check(&table, "transport = \"udp\"");
    assert_eq!(sound.code, 0, "{}{}", sound.out, sound.err);
    assert!(sound.out.contains("no errors"), "{}", sound.out);
    let misspelt = check(&table, "transport = \"upd\"");
    assert_eq!(misspelt.code, 1);
    assert!(
        misspelt.out.contains("trunkline.toml:5"),
        "{}",
        misspelt.out
    );
    assert_eq!(
        check(folder.path(), "transport = \"udp\"").code,
        1,
        "no table"
    );
    let tls = "transport = \"tls\"\ncertificate = \"none.pem\"\nkey = \"none.key\"";
    let unproven = check(&table, tls);
    assert_eq!(unproven.code, 1);
    assert!(unproven.err.contains("none.pem"), "{}", unproven.err);
}

/// More findings than are written: the rest are counted, by code.
#[test]
fn what_is_left_out_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let table = "tests/diagnostics/bad/T022-lost-its-plus/routing.toml";
    fs::copy(table, folder.path().join("routing.toml")).unwrap();
    fs::create_dir(folder.path().join("dids")).unwrap();
    let rows = "4.42E+11,teams\n".repeat(620);
    fs::write(
        folder.path().join("dids/users.csv"),
        format!("number,trunk_group\n{rows}"),
    )
    .unwrap();
    let folder = folder.path().to_str().unwrap();
    let ran = trunkline(&["check", "--format", "json", folder]);
    let report = json(&ran);
    assert_eq!((ran.code, &report["errors"]), (1, &620.into()));
    assert_eq!(report["diagnostics"].as_array().unwrap().len(), 500);
    let left_out = report["left_out"]["T021"].as_u64().unwrap();
    assert!((120..=121).contains(&left_out), "{left_out}");
    let short = trunkline(&["check", "--format", "short", folder]).out;
    assert!(short.contains("more of T021: number damaged by a spreadsheet\n"));
}

#[test]
fn colours_are_for_terminals() {
    for arguments in [
        &["check", BAD][..],
        &["route", "+442079460750", "--table", EXAMPLE],
    ] {
        let piped = trunkline(arguments);
        assert!(!piped.out.contains('\u{1b}'), "{}", piped.out);
        let always = trunkline(&[arguments, &["--color", "always"]].concat());
        let never = trunkline(&[arguments, &["--color", "never"]].concat());
        assert!(!never.out.contains('\u{1b}'));
        assert!(always.out.contains('\u{1b}'), "{}", always.out);
    }
}

/// Three calls of the example in full. `BLESS=1` writes what is expected anew.
#[test]
fn route_as_text() {
    for (name, arguments) in [
        (
            "moved-to-teams",
            &[
                "020 7946 0123",
                "--from",
                "carrier-a",
                "--calling",
                "+447700900123",
            ][..],
        ),
        (
            "desk-is-closed",
            &[
                "+442079460100",
                "--from",
                "carrier-a",
                "--calling",
                "+447700900123",
            ],
        ),
        (
            "premium-is-barred",
            &["00449061234567", "--from", "genesys-london"],
        ),
    ] {
        let at = ["--at", "2026-06-07T10:00[Europe/London]"];
        let came = route(&[arguments, &at].concat());
        assert_eq!(came.err, "", "{name}");
        // The hash changes with every comment in the table.
        let (came, table) = came.out.rsplit_once("table ").unwrap();
        assert_eq!(table.trim_end().len(), 12, "{table}");
        let file = format!("tests/cli/{name}.txt");
        if std::env::var_os("BLESS").is_some() {
            fs::create_dir_all("tests/cli").unwrap();
            fs::write(&file, came).unwrap();
        }
        assert_eq!(came, fs::read_to_string(&file).unwrap(), "{name}");
    }
}

#[test]
fn route_as_json() {
    let at = ["--at", "2026-06-07T09:00:00Z", "--format", "json"];
    let one = route(&[&["020 7946 0123", "--from", "carrier-a"][..], &at].concat());
    let one = json(&one);
    let mut documented = vec![
        "schema",
        "outcome",
        "status",
        "reason",
        "rule",
        "from",
        "at",
        "called",
        "calling",
        "emergency",
        "did",
        "rules",
        "routes",
        "table",
    ];
    documented.sort_unstable();
    let mut came = keys(&one);
    came.sort_unstable();
    assert_eq!(came, documented);
    assert_eq!(one["schema"], "trunkline.route/1");
    assert_eq!(one["outcome"], "route");
    assert_eq!(one["at"], "2026-06-07T09:00:00Z");
    assert_eq!(one["called"]["dialled"], "020 7946 0123");
    assert_eq!(one["called"]["normalised"], "+442079460123");
    assert_eq!(one["calling"], Value::Null);
    assert_eq!(one["did"][0]["trunk_group"], "teams");
    assert_eq!(one["did"][0]["decides"], true);
    assert_eq!(one["did"][1]["trunk_group"], "genesys-london");
    assert_eq!(
        one["routes"][0]["request_uri"],
        "sip:+442079460123@teams.route;user=phone"
    );
    let results: Vec<&str> = one["rules"]
        .as_array()
        .unwrap()
        .iter()
        .map(|rule| rule["result"].as_str().unwrap())
        .collect();
    let applied = results
        .iter()
        .position(|result| *result == "applied")
        .unwrap();
    assert!(
        results[..applied]
            .iter()
            .all(|result| *result == "did_not_apply")
    );
    assert!(
        results[applied + 1..]
            .iter()
            .all(|result| *result == "not_reached")
    );

    let groups = json(&route(&[&["+442079460123"][..], &at].concat()));
    assert_eq!(groups["schema"], "trunkline.route-by-group/1");
    let from: Vec<&str> = groups["by_from"]
        .as_array()
        .unwrap()
        .iter()
        .map(|report| report["from"].as_str().unwrap())
        .collect();
    let mut arrivals = vec![
        "carrier-a",
        "carrier-b",
        "teams",
        "genesys-desk",
        "genesys-london",
        "genesys-berlin",
    ];
    arrivals.sort_unstable();
    let mut sorted = from.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, arrivals);

    let barred = json(&route(
        &[&["+449061234567", "--from", "teams"][..], &at].concat(),
    ));
    assert_eq!(
        (&barred["outcome"], &barred["status"]),
        (&"reject".into(), &403.into())
    );
    assert_eq!(barred["reason"], "Premium-rate numbers are barred");
}

const INVITE: &str = "\
INVITE sip:+442079460123@sbc.example.net;user=phone SIP/2.0
Via: SIP/2.0/UDP 10.20.0.11:5060;branch=z9hG4bK74bf9
Max-Forwards: 70
From: <sip:+447700900123@carrier.example>;tag=9fxced76sl
To: <sip:+442079460123@sbc.example.net>
Call-ID: 3848276298220188511@carrier.example
CSeq: 1 INVITE
Contact: <sip:10.20.0.11:5060>
X-Trunk-Group: carrier-a
Content-Length: 0

";

#[test]
fn route_of_an_invite() {
    let folder = tempfile::tempdir().unwrap();
    let at = ["--at", "2026-06-07T09:00:00Z", "--format", "json"];
    let of = |content: &str, more: &[&str]| {
        let file = folder.path().join("call.sip");
        fs::write(&file, content).unwrap();
        let invite = ["--invite", file.to_str().unwrap()];
        route(&[&invite, more, &at].concat())
    };
    let typed = json(&route(
        &[
            &[
                "+442079460123",
                "--from",
                "carrier-a",
                "--calling",
                "+447700900123",
            ][..],
            &["--host", "sbc.example.net"],
            &at,
        ]
        .concat(),
    ));
    for content in [
        INVITE.to_owned(),
        INVITE.replace('\n', "\r\n"),
        // As an editor leaves it that knows better about blank lines.
        INVITE.trim_end().to_owned(),
    ] {
        let ran = of(&content, &[]);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{content}");
        let read = json(&ran);
        for field in [
            "outcome", "rule", "from", "called", "calling", "did", "rules", "routes",
        ] {
            assert_eq!(read[field], typed[field], "{field}");
        }
    }
    // The Contact of Teams decides where nothing else does.
    let teams = INVITE.replace("X-Trunk-Group: carrier-a\n", "").replace(
        "<sip:10.20.0.11:5060>",
        "<sip:sip.pstnhub.microsoft.com:5061>",
    );
    assert_eq!(json(&of(&teams, &[]))["from"], "teams");
    assert_eq!(
        json(&of(INVITE, &["--from", "carrier-b"]))["from"],
        "carrier-b"
    );

    let stranger = of(INVITE, &["--source", "192.0.2.66"]);
    assert_eq!((stranger.code, &*stranger.out), (2, ""));
    assert!(
        stranger.err.contains("192.0.2.66 is refused with 403"),
        "{}",
        stranger.err
    );
    for (what, content) in [
        ("no message", "hello\n".to_owned()),
        ("nothing", String::new()),
        (
            "a response",
            INVITE.replacen(
                "INVITE sip:+442079460123@sbc.example.net;user=phone SIP/2.0",
                "SIP/2.0 200 OK",
                1,
            ),
        ),
        (
            "no URI",
            INVITE.replacen(
                "sip:+442079460123@sbc.example.net;user=phone",
                "nonsense",
                1,
            ),
        ),
    ] {
        let ran = of(&content, &[]);
        assert_eq!((ran.code, &*ran.out), (2, ""), "{what}");
        assert!(ran.err.starts_with("trunkline: "), "{what}: {}", ran.err);
        assert!(!ran.err.contains("panicked"), "{what}: {}", ran.err);
    }
}

#[test]
fn route_helps_with_names_and_times() {
    let said = |arguments: &[&str]| route(arguments).err;
    assert_eq!(
        said(&["1", "--from", "carier-a"]),
        "trunkline: unknown trunk group \"carier-a\"; did you mean \"carrier-a\"?\n"
    );
    let all = said(&["1", "--from", "nobody"]);
    assert!(
        all.contains("unknown trunk group \"nobody\"") && all.contains("genesys-berlin"),
        "{all}"
    );
    let at = said(&["1", "--from", "teams", "--at", "yesterday"]);
    assert!(at.contains("\"yesterday\" is not a point in time"), "{at}");
}

/// A table with errors routes nothing: half of it would mislead.
#[test]
fn route_shows_the_errors_of_a_table() {
    let ran = trunkline(&["route", "+442071838750", "--table", BAD]);
    assert_eq!((ran.code, &*ran.out), (1, ""));
    assert!(
        ran.err
            .contains("error[T004]: unknown trunk group \"taems\""),
        "{}",
        ran.err
    );
    assert!(
        ran.err
            .ends_with("trunkline: the table has errors; nothing was routed\n")
    );
}

#[test]
fn every_code_is_explained_from_the_manual() {
    let list = trunkline(&["explain"]);
    assert_eq!(list.code, 0);
    let manual = fs::read_to_string("docs/diagnostics.md").unwrap();
    for code in list.out.lines().map(|line| &line[..4]) {
        let ran = trunkline(&["explain", code]);
        assert_eq!(ran.code, 0);
        assert!(ran.out.starts_with(&format!("## {code} ")), "{}", ran.out);
        assert!(manual.contains(ran.out.trim()), "{code}");
    }
    let unknown = trunkline(&["explain", "T01"]);
    assert_eq!((unknown.code, unknown.out.is_empty()), (2, true));
}

#[test]
fn search_shows_file_and_line() {
    let number = trunkline(&["search", "+442079460123", "--table", EXAMPLE]);
    assert_eq!(number.code, 0);
    let row = "dids/teams.csv:9:1: +442079460123,teams,Alice Example";
    assert!(number.out.lines().any(|line| line == row), "{}", number.out);
    let nothing = trunkline(&["search", "no such thing", "--table", EXAMPLE]);
    assert_eq!((nothing.code, &*nothing.out), (1, ""));
    assert_eq!(
        trunkline(&["search", "x", "--table", "no-such-folder"]).code,
        2
    );
}

/// Every verb and every option of its own is in what a shell completes, and has a page.
#[test]
fn completions_and_pages_know_every_verb() {
    let help = trunkline(&["--help"]).out;
    let verbs = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let verbs: Vec<&str> = verbs
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    assert!(
        verbs.contains(&"check") && verbs.contains(&"search"),
        "{verbs:?}"
    );
    for shell in ["bash", "zsh", "fish"] {
        let script = trunkline(&["completions", shell]);
        assert_eq!(script.code, 0);
        for verb in &verbs {
            assert!(script.out.contains(verb), "{shell} {verb}");
        }
    }
    assert!(trunkline(&["man"]).out.contains(".TH trunkline 1"));
    let folder = tempfile::tempdir().unwrap();
    let written = trunkline(&["man", "--dir", folder.path().to_str().unwrap()]);
    assert_eq!(written.code, 0, "{}", written.err);
    for verb in verbs.iter().filter(|verb| **verb != "help") {
        let page = folder.path().join(format!("trunkline-{verb}.1"));
        assert!(
            fs::read_to_string(&page).unwrap().contains("SYNOPSIS"),
            "{verb}"
        );
    }
}
