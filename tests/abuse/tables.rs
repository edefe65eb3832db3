//! Poisoned tables: the whole is refused with its places, and the old one serves on.

use std::fs;

use trunkline::tables::{Reload, TableStore, fuzz_load};

use super::{TABLE, folder_with};

const POISONS: [(&str, &str, &[u8]); 12] = [
    ("no TOML", "routing.toml", b"[[[["),
    ("a binary", "routing.toml", b"\x7fELF\0\0\0\xff\xfe"),
    ("half a character", "more.toml", b"x = \"\xe2\x82"),
    (
        "a dangling target",
        "more.toml",
        b"[[rule]]\nname = \"x\"\nroute_to = [\"nobody\"]\n",
    ),
    (
        "a name twice",
        "more.toml",
        b"[trunk.teams]\naddress = \"sip:h\"\n",
    ),
    (
        "a prefix twice",
        "more.toml",
        b"[did.a]\nnumbers = [\"+4420*\", \"+4420*\"]\ntrunk_group = \"teams\"\n",
    ),
    (
        "a group that overflows into itself",
        "more.toml",
        b"[trunk_group.a]\noverflow = [\"b\"]\n[trunk_group.b]\noverflow = [\"a\"]\n",
    ),
    (
        "a schedule that includes itself",
        "more.toml",
        b"[schedule.a]\ntimezone = \"UTC\"\nopen = [\"schedule:a\"]\n",
    ),
    (
        "a list outside the folder",
        "more.toml",
        b"[did.a]\nfile = \"../../etc/passwd\"\n",
    ),
    (
        "a list that is a folder",
        "more.toml",
        b"[did.a]\nfile = \".\"\n",
    ),
    (
        "an address that injects",
        "more.toml",
        b"[trunk.x]\naddress = \"sip:h>\\r\\nInjected: <sip:x\"\n",
    ),
    (
        "a reason that injects",
        "more.toml",
        b"[[rule]]\nname = \"x\"\nreject = { status = 403, reason = \"a\\r\\nb\" }\n",
    ),
];

#[test]
fn a31_a_poisoned_table_is_refused_and_the_old_one_serves_on() {
    let folder = folder_with(&[("routing.toml", TABLE)]);
    let (store, ..) =
        TableStore::open(folder.path()).unwrap_or_else(|report| panic!("{}", report.text(false)));
    for (what, name, bytes) in POISONS {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        // The law: every finding has its place in a file.
        assert!(fuzz_load(folder.path()).table.is_none(), "{what}");
        let Reload::Refused {
            generation: 1,
            report,
        } = store.reload()
        else {
            panic!("{what} was taken");
        };
        assert!(
            report.has_errors() && report.diagnostics.len() < 20,
            "{what}: {}",
            report.text(false)
        );
        fs::remove_file(&path).unwrap();
        fs::write(folder.path().join("routing.toml"), TABLE).unwrap();
        assert!(
            matches!(store.reload(), Reload::Unchanged { generation: 1 }),
            "{what}"
        );
    }
}

#[test]
fn a31_deep_and_endless_toml_is_refused_in_bounds() {
    for text in [
        format!("x = {}{}", "[".repeat(100_000), "]".repeat(100_000)),
        format!("x = {}", "{a=".repeat(100_000)),
        format!("{}x = 1", "a.".repeat(100_000)),
        format!("[{}x]", "a.".repeat(100_000)),
        "[[rule]]\n".repeat(60_000),
        format!("x = \"{}\"", "\\u0041".repeat(300_000)),
        "\u{feff}".repeat(10_000),
        "x = 1\n".repeat(100_000),
    ] {
        let folder = folder_with(&[("routing.toml", &text)]);
        let loaded = fuzz_load(folder.path());
        assert!(
            loaded.table.is_none()
                && loaded.report.diagnostics.len() <= trunkline::limits::DIAGNOSTICS_MAX
        );
    }
}

#[test]
fn a31_a_million_mistakes_are_a_page() {
    let rows = "number,trunk_group\n".to_owned() + &"4.4E+11,nobody\n".repeat(200_000);
    let list = "[trunk_group.g]\n[did.a]\nfile = \"dids/a.csv\"\n";
    let folder = folder_with(&[("routing.toml", list), ("dids/a.csv", &rows)]);
    let loaded = trunkline::tables::load(folder.path());
    assert!(loaded.report.errors >= 200_000);
    assert!(loaded.report.diagnostics.len() <= trunkline::limits::DIAGNOSTICS_MAX);
    assert!(loaded.report.text(false).len() < 1 << 20);
}

#[cfg(unix)]
#[test]
fn a31_a_pipe_a_device_or_a_loop_of_links_is_no_table() {
    use std::os::unix::fs::symlink;
    for target in ["/dev/zero", "/dev/full", "routing.toml"] {
        let folder = tempfile::tempdir().unwrap();
        symlink(target, folder.path().join("routing.toml")).unwrap();
        assert!(
            trunkline::tables::load(folder.path()).table.is_none(),
            "{target}"
        );
    }
}
