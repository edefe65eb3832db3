//! Files that no table can be made of: each is answered with what is wrong and where, within
//! bounded time and output, and the running table is left as it was.
#![allow(clippy::unwrap_used)] // a test says so by failing

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use trunkline::limits;
use trunkline::tables::diagnostic::{Code, Report};
use trunkline::tables::{Reload, TableStore, load};

const SOUND: &str = r#"
[trunk_group.pstn]
trunks      = ["pstn-1"]
accept_from = ["203.0.113.0/28"]

[trunk.pstn-1]
address = "sip:203.0.113.2"

[[rule]]
name     = "Assigned"
called   = ["did:*"]
route_to = ["assigned"]

[[rule]]
name     = "Everything"
route_to = ["pstn"]

[did.users]
file = "dids/users.csv"
"#;

const USERS: &str = "number,trunk_group\n+442071838750,pstn\n";

/// A folder with a sound table and a store that serves it.
struct Served {
    folder: TempDir,
    store: TableStore,
}

impl Served {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("dids")).unwrap();
        fs::write(folder.path().join("routing.toml"), SOUND).unwrap();
        fs::write(folder.path().join("dids/users.csv"), USERS).unwrap();
        let (store, _, report) = TableStore::open(folder.path()).unwrap();
        assert!(report.is_empty(), "{}", report.text(false));
        Self { folder, store }
    }

    fn toml(&self) -> PathBuf {
        self.folder.path().join("routing.toml")
    }

    fn users(&self) -> PathBuf {
        self.folder.path().join("dids/users.csv")
    }

    /// What the folder holds now is refused, on few pages; the table that serves is the very same
    /// one.
    fn refused(&self, what: &str) -> Report {
        let before = self.store.current();
        let Reload::Refused { generation, report } = self.store.reload() else {
            panic!("{what} was not refused");
        };
        assert_eq!(generation, 1, "{what}");
        assert!(
            std::sync::Arc::ptr_eq(&before, &self.store.current()),
            "{what}: the running table was touched"
        );
        assert!(report.has_errors(), "{what}");
        assert!(
            report.diagnostics.len() <= limits::DIAGNOSTICS_MAX,
            "{what}"
        );
        let text = report.text(false);
        assert!(text.len() < 1 << 20, "{what}: {} bytes", text.len());
        for found in &report.diagnostics {
            assert!(found.place().is_some(), "{what}: {}", found.message);
        }
        report
    }

    /// `content` in place of the TOML file, and then of the list, is refused with `code`.
    #[track_caller]
    fn toml_refused(&self, content: impl AsRef<[u8]>, code: Code, what: &str) -> Report {
        fs::write(self.toml(), content).unwrap();
        let report = self.refused(what);
        assert_shows(&report, code, what);
        report
    }

    #[track_caller]
    fn users_refused(&self, content: impl AsRef<[u8]>, code: Code, what: &str) -> Report {
        fs::write(self.users(), content).unwrap();
        let report = self.refused(what);
        assert_shows(&report, code, what);
        report
    }

    /// Put back, the old files say what the running table says.
    fn recovers(&self) {
        fs::write(self.toml(), SOUND).unwrap();
        fs::write(self.users(), USERS).unwrap();
        assert!(matches!(
            self.store.reload(),
            Reload::Unchanged { generation: 1 }
        ));
    }
}

#[track_caller]
fn assert_shows(report: &Report, code: Code, what: &str) {
    assert!(
        report.diagnostics.iter().any(|found| found.code == code),
        "{what}:\n{}",
        report.short()
    );
}

/// Bytes without a pattern, the same in every run.
fn garbage(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 32) as u8
    })
    .take(length)
    .collect()
}

#[test]
fn bytes_that_are_no_text() {
    let served = Served::new();
    let utf_16 = |text: &str| -> Vec<u8> {
        let units = std::iter::once(0xfeff).chain(text.encode_utf16());
        units.flat_map(u16::to_le_bytes).collect()
    };
    let latin_1 = |text: &str| [text.as_bytes(), b"# B\xfcro\n"].concat();
    for length in [1 << 10, 1 << 20] {
        served.toml_refused(garbage(length), Code::NotText, "garbage as TOML");
    }
    served.toml_refused(utf_16(SOUND), Code::NotText, "UTF-16 as TOML");
    served.toml_refused(latin_1(SOUND), Code::NotText, "Latin-1 as TOML");
    served.toml_refused(vec![0; 1 << 20], Code::NotText, "zeros as TOML");
    served.recovers();
    for length in [1 << 10, 4 << 20] {
        served.users_refused(garbage(length), Code::NotText, "garbage as CSV");
    }
    served.users_refused(utf_16(USERS), Code::NotText, "UTF-16 as CSV");
    let report = served.users_refused(latin_1(USERS), Code::NotText, "Latin-1 as CSV");
    assert!(
        report.short().starts_with("dids/users.csv:3:4: error T002"),
        "{}",
        report.short()
    );
    served.recovers();
}

/// Text that is no TOML, in every way that is neither binary nor a typing slip.
#[test]
fn text_that_is_no_table() {
    let served = Served::new();
    served.toml_refused("", Code::EmptyTable, "an empty file");
    served.toml_refused("\u{feff}", Code::EmptyTable, "a byte order mark alone");
    served.toml_refused(USERS, Code::TomlSyntax, "a list in place of a table");
    served.toml_refused("{\"rule\": []}", Code::TomlSyntax, "JSON");
    served.toml_refused("[".repeat(1 << 16), Code::TomlSyntax, "brackets");
    served.toml_refused("\"".repeat(1 << 16), Code::TomlSyntax, "quotes");
    served.recovers();
    served.users_refused("", Code::CsvHeader, "an empty list");
    served.users_refused("\n\n\n", Code::CsvHeader, "a list of nothing");
    served.users_refused(SOUND, Code::CsvHeader, "TOML in place of a list");
    let quotes = format!("{USERS}\"{}", "+442071838751,pstn\n".repeat(10_000));
    served.users_refused(quotes, Code::CsvRow, "a quote that swallows the file");
    served.recovers();
}

#[test]
fn a_byte_order_mark_and_windows_line_ends_are_accepted() {
    let served = Served::new();
    let changed = |text: &str| format!("\u{feff}{}", text.replace('\n', "\r\n"));
    fs::write(served.toml(), changed(SOUND)).unwrap();
    fs::write(served.users(), changed(USERS)).unwrap();
    let Reload::Swapped {
        generation,
        summary,
        report,
        ..
    } = served.store.reload()
    else {
        panic!("refused");
    };
    assert_eq!((generation, summary.dids), (2, 1));
    assert!(report.is_empty());
}

/// What stands where a file should be.
#[test]
fn what_is_no_file() {
    let served = Served::new();
    let put = |path: &Path, make: &dyn Fn(&Path), code: Code, what: &str| {
        fs::remove_file(path).unwrap();
        make(path);
        assert_shows(&served.refused(what), code, what);
        if path.symlink_metadata().is_ok_and(|found| found.is_dir()) {
            fs::remove_dir(path).unwrap();
        } else {
            let _ = fs::remove_file(path);
        }
        served.recovers();
    };
    let fifo = |path: &Path| {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
    };
    let closed = |path: &Path| {
        fs::write(path, SOUND).unwrap();
        fs::set_permissions(path, fs::Permissions::from_mode(0o000)).unwrap();
    };
    for path in [served.toml(), served.users()] {
        let own = path.clone();
        put(
            &path,
            &|path| fs::create_dir(path).unwrap(),
            Code::CannotRead,
            "a folder",
        );
        put(&path, &fifo, Code::CannotRead, "a pipe");
        put(
            &path,
            &|path| symlink(&own, path).unwrap(),
            Code::CannotRead,
            "a link to itself",
        );
        put(
            &path,
            &|path| symlink("/dev/zero", path).unwrap(),
            Code::CannotRead,
            "a device",
        );
        put(
            &path,
            &|path| symlink("nowhere", path).unwrap(),
            Code::CannotRead,
            "a link to nothing",
        );
        // Root may read everything; for root this would show nothing.
        let probe = served.folder.path().join("probe");
        closed(&probe);
        let is_root = fs::File::open(&probe).is_ok();
        fs::remove_file(&probe).unwrap();
        if !is_root {
            put(
                &path,
                &closed,
                Code::CannotRead,
                "a file that may not be read",
            );
        }
    }
    put(
        &served.users(),
        &|_| (),
        Code::CannotRead,
        "a list that is not there",
    );
    put(
        &served.toml(),
        &|_| (),
        Code::EmptyTable,
        "a folder without a table",
    );
}

#[test]
fn a_folder_that_is_none() {
    let served = Served::new();
    let folder = served.folder.path();
    for (path, code) in [
        (folder.join("nowhere"), Code::CannotRead),
        (folder.join("routing.toml"), Code::CannotRead),
        (folder.join("dids"), Code::EmptyTable),
    ] {
        let loaded = load(&path);
        assert!(loaded.table.is_none());
        assert_shows(&loaded.report, code, &path.display().to_string());
        assert_eq!(loaded.report.errors, 1, "{}", loaded.report.short());
    }
    fs::rename(folder.join("routing.toml"), folder.join("routing.txt")).unwrap();
    assert_shows(&served.refused("renamed"), Code::EmptyTable, "renamed");
}

#[test]
fn a_list_outside_the_folder() {
    let served = Served::new();
    for file in [
        "../users.csv",
        "dids/../../users.csv",
        "/etc/passwd",
        ".",
        "dids\\\\users.csv",
    ] {
        let toml = SOUND.replace("dids/users.csv", file);
        served.toml_refused(toml, Code::CannotRead, file);
    }
    served.recovers();
}

/// Nesting is what parsers recurse on: none of these may use up the stack.
#[test]
fn deep_nesting() {
    let served = Served::new();
    const DEPTH: usize = 100_000;
    let nested = |open: &str, close: &str| {
        format!(
            "{SOUND}\nx = {}{}\n",
            open.repeat(DEPTH),
            close.repeat(DEPTH)
        )
    };
    for (what, toml) in [
        ("lists", nested("[", "]")),
        ("lists never closed", nested("[", "")),
        ("tables", nested("{a=", "1}")),
        ("tables never closed", nested("{a=", "")),
        ("lists of tables", nested("[{a=", "}]")),
        ("a key", format!("{SOUND}\n{}a = 1\n", "a.".repeat(DEPTH))),
        ("a header", format!("{SOUND}\n[{}a]\n", "a.".repeat(DEPTH))),
        (
            "a list of tables",
            format!("{SOUND}\n[[{}a]]\n", "a.".repeat(DEPTH)),
        ),
    ] {
        fs::write(served.toml(), toml).unwrap();
        served.refused(what);
    }
    served.recovers();
}

/// What takes a parser time that grows with the square of the file: of a hundred thousand lines
/// such a one does not come back.
#[test]
fn many_of_everything() {
    let served = Served::new();
    const MANY: usize = 100_000;
    let many = |line: &dyn Fn(usize) -> String| -> String {
        let mut toml = SOUND.to_owned();
        for index in 0..MANY {
            toml.push_str(&line(index));
            toml.push('\n');
        }
        toml
    };
    let rule = |i: usize| format!("[[rule]]\nname = \"r{i}\"\nroute_to = [\"pstn\"]\n");
    for (what, toml) in [
        ("tables before their parents", {
            let mut toml = many(&|i| format!("[a{i}.b]"));
            (0..MANY).for_each(|i| writeln!(toml, "[a{i}]").unwrap());
            toml
        }),
        (
            "headers",
            many(&|i| format!("[trunk.t{i}]\naddress = \"sip:192.0.2.1\"")),
        ),
        ("nested headers", many(&|i| format!("[a.b{i}.c]"))),
        ("dotted keys", many(&|i| format!("a.b{i}.c = 1"))),
        ("keys", many(&|i| format!("key{i} = 1"))),
        ("the same key", many(&|_| "key = 1".to_owned())),
        ("the same header", many(&|_| "[trunk.pstn-1]".to_owned())),
        ("rules", many(&rule)),
        ("rules of one name", many(&|_| rule(0))),
        ("lines that are none", many(&|_| "nonsense".to_owned())),
        ("quotes left out", many(&|i| format!("k{i} = word"))),
        ("one list", format!("{SOUND}\nx = [{}]", "1,".repeat(MANY))),
        ("one inline table", {
            let keys: Vec<String> = (0..MANY).map(|i| format!("k{i} = 1")).collect();
            format!("{SOUND}\nx = {{ {} }}", keys.join(", "))
        }),
        (
            "one inline table of one key",
            format!("{SOUND}\nx = {{ {} }}", "k.l = 1, ".repeat(MANY)),
        ),
        ("numbers of one list", {
            let mut toml = SOUND.to_owned();
            toml.push_str("\n[did.many]\ntrunk_group = \"pstn\"\nnumbers = [");
            (0..MANY).for_each(|_| toml.push_str("\"+442071838750\","));
            toml.push_str("]\n");
            toml
        }),
    ] {
        fs::write(served.toml(), toml).unwrap();
        served.refused(what);
    }
    served.recovers();
}

#[test]
fn more_rules_than_a_table_holds() {
    let served = Served::new();
    let mut toml = SOUND.to_owned();
    for index in 2..=limits::RULES_MAX {
        writeln!(toml, "[[rule]]\nname = \"r{index}\"\nroute_to = [\"pstn\"]").unwrap();
    }
    let report = served.toml_refused(toml, Code::OverLimit, "rules");
    // Two rules stand on the first 14 lines, and each further one on three.
    let over = 20 + 3 * (limits::RULES_MAX - 2);
    assert!(
        report
            .short()
            .starts_with(&format!("routing.toml:{over}:1: error T017")),
        "{}",
        report.short()
    );
}

/// Rows as wide as people's comments make them, 100 MB of them.
fn wide_rows(row: impl Fn(u32) -> String) -> String {
    const BYTES: usize = 100 << 20;
    let comment = "x".repeat(1_000);
    let mut list = String::with_capacity(BYTES + 2_000);
    list.push_str("number,trunk_group,comment\n");
    for index in 0.. {
        if list.len() >= BYTES {
            break;
        }
        list.push_str(&row(index));
        list.push_str(&comment);
        list.push('\n');
    }
    list
}

#[test]
fn a_list_of_100_mb() {
    let served = Served::new();
    let damaged = wide_rows(|_| "4.42E+11,pstn,".to_owned());
    let rows = damaged.lines().count() as u64 - 1;
    let report = served.users_refused(damaged, Code::DamagedNumber, "100 MB of damage");
    assert_eq!(report.errors, rows);
    let shown = report.diagnostics.len() as u64;
    let left_out: u64 = report.left_out.iter().map(|(_, count)| count).sum();
    assert_eq!(shown + left_out, rows);
    let unknown = wide_rows(|index| format!("+4420{index:08},group-{index},"));
    served.users_refused(unknown, Code::UnknownName, "100 MB of unknown groups");
    let twice = wide_rows(|_| "+442071838750,pstn,".to_owned());
    served.users_refused(twice, Code::AssignedTwice, "100 MB of one number");
    let sound = wide_rows(|index| format!("+4420{index:08},pstn,"));
    fs::write(served.users(), &sound).unwrap();
    let Reload::Swapped { summary, .. } = served.store.reload() else {
        panic!("refused");
    };
    assert_eq!(summary.dids, sound.lines().count() as u64 - 1);
}

#[test]
fn one_line_of_50_mb() {
    let served = Served::new();
    const BYTES: usize = 50 << 20;
    for (what, line) in [
        ("digits", "4".repeat(BYTES)),
        ("delimiters", ",".repeat(BYTES)),
        ("a cell", format!("+442071838750,{}", "x".repeat(BYTES))),
        (
            "a quoted cell",
            format!("+442071838750,\"{}\"", "x".repeat(BYTES)),
        ),
        (
            "a quote that never ends",
            format!("\"{}", "4".repeat(BYTES)),
        ),
    ] {
        fs::write(served.users(), format!("number,trunk_group\n{line}\n")).unwrap();
        served.refused(what);
        fs::write(served.users(), line).unwrap();
        served.refused(what);
    }
    served.recovers();
    let long = format!(
        "{SOUND}# {}\nx = \"{}",
        "x".repeat(7 << 20),
        "y".repeat(7 << 20)
    );
    served.toml_refused(long, Code::TomlSyntax, "a TOML line");
}

/// Sizes are looked at before anything is read: these files are holes.
#[test]
fn a_file_over_its_limit() {
    let served = Served::new();
    let hole = |path: &Path, bytes: u64| fs::File::create(path).unwrap().set_len(bytes).unwrap();
    hole(&served.users(), limits::TABLE_FILE_BYTES_MAX + 1);
    assert_shows(&served.refused("a list"), Code::OverLimit, "a list");
    served.recovers();
    hole(&served.toml(), limits::TOML_FILE_BYTES_MAX + 1);
    assert_shows(&served.refused("a table"), Code::OverLimit, "a table");
    served.recovers();
    let full = limits::TOML_FILE_BYTES_MAX as usize;
    let comment = "#".repeat(full - SOUND.len());
    fs::write(served.toml(), format!("{SOUND}{comment}")).unwrap();
    assert!(matches!(served.store.reload(), Reload::Swapped { .. }));
}

#[test]
fn more_files_than_a_table_holds() {
    let served = Served::new();
    for index in 0..=limits::TABLE_FILES_MAX {
        fs::write(served.folder.path().join(format!("{index}.toml")), "").unwrap();
    }
    assert_shows(&served.refused("files"), Code::OverLimit, "files");
}
