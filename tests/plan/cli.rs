//! `trunkline plan` from outside: what it prints and how it exits.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

struct Ran {
    out: String,
    err: String,
    code: i32,
}

fn plan(arguments: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
    let since = ["--since", "2026-11-22T00:00:00Z"];
    command.arg("plan").args(since).args(arguments);
    let output = command.env("NO_COLOR", "1").output().unwrap();
    Ran {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

const EXAMPLE: &str = "routing-tables/example";

/// The example table with some of its lines replaced, in a folder named `new`.
fn changed(changes: &[(&str, &str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let to = folder.path().join("new");
    copied(Path::new(EXAMPLE), &to);
    // They would refuse some of these changes, which is what they are for.
    std::fs::remove_file(to.join("cases.toml")).unwrap();
    for (file, from, into) in changes {
        let file = to.join(file);
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from), "{from}");
        std::fs::write(&file, text.replacen(from, into, 1)).unwrap();
    }
    folder
}

fn copied(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap().path();
        let to = to.join(entry.file_name().unwrap());
        if entry.is_dir() {
            copied(&entry, &to);
        } else {
            std::fs::copy(&entry, to).unwrap();
        }
    }
}

fn new(folder: &tempfile::TempDir) -> String {
    folder.path().join("new").to_str().unwrap().to_owned()
}

const TO_TEAMS: (&str, &str, &str) = (
    "dids/teams.csv",
    "+442079460123,teams,Alice Example\n",
    "+442079460123,teams,Alice Example\n+442079460130,teams,\n+442079460140 to +442079460149,teams,\n",
);
const NO_RECEPTION: (&str, &str, &str) = (
    "routes.toml",
    "route_to = [\"assigned\", \"reception\"]",
    "route_to = [\"assigned\"]",
);
const LONGER_DAY: (&str, &str, &str) = ("routes.toml", "08:00", "07:00");
const BARRED: (&str, &str, &str) = ("routes.toml", "\"+449*\"", "\"+449*\", \"+4476*\"");
const RENAMED: (&str, &str, &str) = (
    "routes.toml",
    "\"Germany is cheaper from Berlin\"",
    "\"Germany leaves in Berlin\"",
);
const NEW_ADDRESS: (&str, &str, &str) = (
    "trunks.toml",
    "sip:carrier-a-docklands.route",
    "sip:carrier-a-wharf.route",
);

/// Stories of the example table, each in full. `BLESS=1` writes what is expected anew.
#[test]
fn stories_of_the_example() {
    for (name, changes) in [
        ("a-wave", &[TO_TEAMS][..]),
        ("hours", &[LONGER_DAY]),
        ("rules", &[BARRED, RENAMED, NEW_ADDRESS]),
        ("alternatives", &[NO_RECEPTION]),
    ] {
        let folder = changed(changes);
        let ran = plan(&[EXAMPLE, &new(&folder)]);
        assert_eq!((ran.code, &*ran.err), (0, ""), "{name}");
        // Hashes change with every comment in the example, folders with every run.
        let (_, came) = ran.out.split_once('\n').unwrap();
        let file = format!("tests/plan/stories/{name}.txt");
        if std::env::var_os("BLESS").is_some() {
            std::fs::create_dir_all("tests/plan/stories").unwrap();
            std::fs::write(&file, came).unwrap();
        }
        assert_eq!(came, std::fs::read_to_string(&file).unwrap(), "{name}");
    }
}

#[test]
fn exit_codes() {
    let folder = changed(&[TO_TEAMS]);
    let new = new(&folder);
    let code = |arguments: &[&str]| plan(arguments).code;
    assert_eq!(code(&[EXAMPLE, EXAMPLE]), 0);
    assert_eq!(code(&["--detailed-exitcode", EXAMPLE, EXAMPLE]), 0);
    assert_eq!(code(&[EXAMPLE, &new]), 0);
    assert_eq!(code(&["--detailed-exitcode", EXAMPLE, &new]), 2);
    assert_eq!(code(&[]), 2, "wrong usage");
    let nowhere = [EXAMPLE, "--socket", "/nowhere/control.sock"];
    assert_eq!(
        code(&nowhere),
        69,
        "no server serves what it is compared with"
    );
    assert_eq!(code(&[EXAMPLE, &new, "--since", "x"]), 2, "wrong usage");
    let bad = "tests/diagnostics/bad/T004-unknown-group-in-csv";
    for folders in [[EXAMPLE, bad], [bad, EXAMPLE]] {
        let ran = plan(&folders);
        assert_eq!((ran.code, &*ran.out), (1, ""));
        assert!(ran.err.contains("error[T004]"), "{}", ran.err);
    }
}

/// A gate that is broken, the name of the change, and the change that bears it.
#[test]
fn gates_and_how_to_pass_them() {
    let gated = tempfile::tempdir().unwrap();
    copied(Path::new(EXAMPLE), gated.path());
    let policy = "[policy]\nmax_moved_numbers = 10\nrequire_alternative = [\"teams\"]\n";
    std::fs::write(gated.path().join("policy.toml"), policy).unwrap();
    let old = gated.path().to_str().unwrap();
    let folder = changed(&[TO_TEAMS]);
    let new = new(&folder);

    let ran = plan(&["--detailed-exitcode", old, &new]);
    assert_eq!(ran.code, 1, "{}", ran.out);
    let broken = "BROKEN max_moved_numbers = 10: 11 numbers move (";
    assert!(ran.out.contains(broken), "{}", ran.out);
    assert!(
        ran.out.contains("genesys-london -> teams: 11"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains("  (policy.toml:2)"), "{}", ran.out);
    let kept = "BROKEN require_alternative: \"teams\": +442079460130 would have teams";
    assert!(ran.out.contains(kept), "{}", ran.out);

    let object = json(&plan(&["--json", old, &new]));
    assert_eq!(object["gates"]["hold"], false);
    let name = object["gates"]["change"].as_str().unwrap();
    let accepting = format!("{policy}accept = \"{name}\"\n");
    std::fs::write(Path::new(&new).join("policy.toml"), accepting).unwrap();
    let ran = plan(&["--detailed-exitcode", old, &new]);
    assert_eq!(ran.code, 2, "{}", ran.out);
    assert!(ran.out.contains(&format!("accepted by name: {name}")));

    // One more number, and it is another change.
    let list = Path::new(&new).join("dids/teams.csv");
    let text = std::fs::read_to_string(&list).unwrap();
    std::fs::write(&list, format!("{text}+442079460131,teams,\n")).unwrap();
    assert_eq!(plan(&[old, &new]).code, 1);
}

fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap()
}

#[test]
fn plan_as_json() {
    let folder = changed(&[TO_TEAMS]);
    let object = json(&plan(&["--json", EXAMPLE, &new(&folder)]));
    let mut documented = [
        "schema", "changed", "before", "after", "summary", "changes", "arrivals", "gates",
    ];
    documented.sort_unstable();
    let mut came: Vec<&String> = object.as_object().unwrap().keys().collect();
    came.sort_unstable();
    assert_eq!(came, documented);
    assert_eq!(object["schema"], "trunkline.plan/1");
    assert_eq!(object["summary"]["moved"]["numbers"], 11);
    let change = &object["changes"][0];
    assert_eq!(change["ranges"][1]["first"], "+442079460140");
    assert_eq!(change["ranges"][1]["row_before"], "dids/genesys.csv:3");
    let calls = change["calls"].as_array().unwrap();
    let moved: Vec<&Value> = calls.iter().filter(|c| c["kind"] == "moved").collect();
    assert_eq!(moved.len(), 1);
    assert_eq!(moved[0]["after"]["routes"][0]["trunk_group"], "teams");
    let none = json(&plan(&["--json", EXAMPLE, EXAMPLE]));
    assert_eq!(none["changed"], false);
    assert_eq!(none["changes"].as_array().unwrap().len(), 0);
}

/// A long list is cut and counted; with `--all` it is not.
#[test]
fn long_lists_are_cut_and_counted() {
    let rows: String = (0..40)
        .map(|n| format!("+44207946{:04},teams,\n", 3 * n))
        .collect();
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    for (to, group) in [(&old, "genesys-london"), (&new, "teams")] {
        std::fs::create_dir_all(to).unwrap();
        let table = "[trunk_group.genesys-london]\ntrunks = [\"a\"]\naccept_from = [\"10.0.0.1\"]\n\
             [trunk_group.teams]\ntrunks = [\"b\"]\naccept_from = [\"10.0.0.2\"]\n\
             [trunk.a]\naddress = \"sip:a\"\n[trunk.b]\naddress = \"sip:b\"\n\
             [did.users]\nfile = \"users.csv\"\n[[rule]]\nname = \"Users\"\n\
             called = [\"did:*\"]\nroute_to = [\"assigned\"]\n";
        std::fs::write(to.join("routing.toml"), table).unwrap();
        let rows = rows.replace("teams", group);
        let rows = format!("number,trunk_group,comment\n{rows}");
        std::fs::write(to.join("users.csv"), rows).unwrap();
    }
    let (old, new) = (old.to_str().unwrap(), new.to_str().unwrap());
    let cut = plan(&[old, new]).out;
    assert!(
        cut.contains("… and 30 more numbers: --all shows them"),
        "{cut}"
    );
    assert!(cut.contains("40 numbers: genesys-london -> teams"), "{cut}");
    let all = plan(&["--all", old, new]).out;
    assert!(!all.contains('…') && all.lines().count() > 45, "{all}");
}
