//! Reading folders, and finding lines again.

#![expect(clippy::unwrap_used, reason = "a test that has no file has failed")]

use std::fs;

use proptest::prelude::*;

use super::*;
use crate::tables::diagnostic::Report;

fn folder(files: &[(&str, &[u8])]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, content) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
    folder
}

fn read(files: &[(&str, &[u8])]) -> (tempfile::TempDir, Sources, Report) {
    let folder = folder(files);
    let diagnostics = Diagnostics::new();
    let sources = read_folder(folder.path(), &diagnostics);
    (folder, sources, diagnostics.into_report())
}

/// Reads `name` as a list that is named in `named.toml`.
fn read_list(files: &[(&str, &[u8])], name: &str) -> (Option<String>, Report) {
    let folder = folder(files);
    let mut sources = Sources::new(folder.path());
    let diagnostics = Diagnostics::new();
    let named = SourceFile::from_text("named.toml", format!("file = \"{name}\"")).unwrap();
    let id = sources.add(named, &diagnostics).unwrap();
    let spot = Spot {
        file: id,
        start: 7,
        end: 9 + u32::try_from(name.len()).unwrap(),
    };
    let list = sources.read_list(name, spot, &diagnostics);
    let text = list.and_then(|id| Some(sources.get(id)?.text().to_owned()));
    (text, diagnostics.into_report())
}

#[test]
fn folder_gives_its_toml_files_by_name() {
    let (_folder, sources, report) = read(&[
        ("b.toml", b"b"),
        ("a.TOML", b"a"),
        (".hidden.toml", b"h"),
        ("a.toml~", b"~"),
        ("#a.toml#", b"#"),
        ("notes.txt", b"n"),
        ("dids/users.toml", b"below"),
    ]);
    let names: Vec<&str> = sources.iter().map(SourceFile::name).collect();
    assert_eq!(names, ["a.TOML", "b.toml"]);
    assert!(report.is_empty());
}

#[test]
fn missing_folder_is_said() {
    let diagnostics = Diagnostics::new();
    let sources = read_folder(Path::new("/nowhere/at/all"), &diagnostics);
    assert_eq!(sources.iter().count(), 0);
    let report = diagnostics.into_report();
    assert_eq!(
        report.short(),
        "/nowhere/at/all: error T001: cannot read the table folder: no such file or folder\n"
    );
}

#[test]
fn byte_order_mark_moves_nothing() {
    let (_folder, sources, report) = read(&[("a.toml", b"\xef\xbb\xbfx = 1\r\ny = 2\r\n")]);
    let file = sources.iter().next().unwrap();
    assert!(report.is_empty() && file.text().starts_with("x = 1"));
    let place = file.place(7..8, "");
    assert_eq!(
        (place.line, place.column, place.line_text.as_str()),
        (2, 1, "y = 2")
    );
}

#[test]
fn what_is_not_utf8_is_shown_at_its_first_byte() {
    for (bytes, line, column, word) in [
        (b"x = 1\nname = \"M\xfcnchen\"\n".as_slice(), 2, 10, "0xFC"),
        (b"\xff\xfex\0", 1, 1, "UTF-16"),
        (b"\xfe\xff\0x", 1, 1, "UTF-16"),
        (b"ok\nb\0d\xff\n", 2, 2, "zero byte"),
        (b"\xef\xbb\xbfab\xff", 1, 3, "0xFF"),
        (b"caf\xc3", 1, 4, "0xC3"),
    ] {
        let (_folder, _, report) = read(&[("a.toml", bytes)]);
        let found = report.diagnostics.first().unwrap();
        let place = found.place().unwrap();
        assert_eq!(
            (found.code, place.line, place.column),
            (Code::NotText, line, column),
            "{word}"
        );
        assert!(found.message.contains(word), "{}", found.message);
    }
}

/// What is shown of a long line is in it: no character is cut in two.
#[test]
fn a_line_that_is_not_utf8_is_cut_between_characters() {
    for symbol in ["é", "€", "🎻"] {
        for before in 0..symbol.len() {
            let text = "a".repeat(before) + &symbol.repeat(100);
            let bytes = [b"\xff", text.as_bytes()].concat();
            let (_folder, _, report) = read(&[("a.toml", &bytes)]);
            let place = report.diagnostics.first().unwrap().place().unwrap();
            let shown = place.line_text.strip_prefix('\u{fffd}').unwrap();
            assert!(shown.len() > 100 && text.starts_with(shown), "{shown}");
        }
    }
}

#[test]
fn lists_are_read_from_inside_the_folder_only() {
    let files: &[(&str, &[u8])] = &[("dids/users.csv", b"number\n"), ("dids/x/y.csv", b"z")];
    assert_eq!(
        read_list(files, "dids/users.csv").0.as_deref(),
        Some("number\n")
    );
    for name in [
        "/etc/passwd",
        "../x.csv",
        "dids/../../x",
        "",
        "./dids/users.csv",
        "dids\\\\users.csv",
        "dids//users.csv",
    ] {
        let (text, report) = read_list(files, name);
        assert_eq!(text, None, "{name}");
        let found = report.diagnostics.first().unwrap();
        assert_eq!(found.code, Code::CannotRead);
        assert_eq!(
            found.place().unwrap().column,
            8,
            "the caret stands at the name"
        );
    }
    let missing = read_list(files, "dids/no.csv").1.short();
    assert_eq!(
        missing,
        "named.toml:1:8: error T001: cannot read \"dids/no.csv\": no such file or folder\n"
    );
    assert!(
        read_list(files, "dids/x")
            .1
            .short()
            .contains("it is a folder")
    );
}

#[cfg(unix)]
#[test]
fn a_socket_or_pipe_is_never_opened() {
    let folder = tempfile::tempdir().unwrap();
    let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("a.toml")).unwrap();
    let diagnostics = Diagnostics::new();
    let _ = read_folder(folder.path(), &diagnostics);
    assert!(
        diagnostics
            .into_report()
            .short()
            .contains("it is not a regular file")
    );
}

#[test]
fn a_toml_file_over_its_limit_is_refused_unread() {
    let folder = tempfile::tempdir().unwrap();
    let file = File::create(folder.path().join("a.toml")).unwrap();
    file.set_len(limits::TOML_FILE_BYTES_MAX + 1).unwrap();
    let diagnostics = Diagnostics::new();
    let _ = read_folder(folder.path(), &diagnostics);
    assert!(
        diagnostics
            .into_report()
            .short()
            .contains("T017: cannot read \"a.toml\": it is larger than 16 MiB")
    );
}

#[test]
fn hash_knows_names_and_contents() {
    let hash = |files: &[(&str, &[u8])]| read(files).1.content_hash();
    let one = hash(&[("a.toml", b"x"), ("b.toml", b"y")]);
    assert_eq!(one, hash(&[("b.toml", b"y"), ("a.toml", b"x")]));
    assert_ne!(one, hash(&[("a.toml", b"y"), ("b.toml", b"x")]));
    assert_ne!(one, hash(&[("a.toml", b"x")]));
    assert_eq!(one.to_string().len(), 64);
    assert_eq!(one.short(), one.to_string().get(..12).unwrap());
}

proptest! {
    /// Lines, columns and texts equal those of a walk over every character.
    #[test]
    fn places_equal_the_naive_walk(text in "[a-c\u{e9}\u{1f600}\n\r]{0,300}", start in 0..400_usize, length in 0..20_usize) {
        let source = SourceFile::from_text("t", text.clone()).unwrap();
        let start = floor_char(&text, start);
        let place = source.place(start..start + length, "");
        let before = text.get(..start).unwrap();
        let line = before.matches('\n').count();
        prop_assert_eq!(place.line as usize, line + 1);
        prop_assert_eq!(source.line_of(start) as usize, line + 1);
        let line_text = text.split('\n').nth(line).unwrap();
        let line_text = line_text.strip_suffix('\r').unwrap_or(line_text);
        let column = before.rsplit('\n').next().unwrap().chars().count().min(line_text.chars().count());
        prop_assert_eq!(place.column as usize, column + 1);
        prop_assert!(place.length >= 1);
        if line_text.len() <= LINE_CHARS_SHOWN {
            prop_assert_eq!(place.line_text, line_text);
        }
        prop_assert_eq!(text.get(source.line_range(place.line)).unwrap(), line_text);
    }

    /// Lines are found again beyond the first block too.
    #[test]
    fn lines_are_found_in_large_files(lengths in prop::collection::vec(0..40_000_usize, 1..12), pick in 0..12_usize) {
        let text: String = lengths.iter().map(|length| "x".repeat(*length) + "\n").collect();
        let source = SourceFile::from_text("t", text).unwrap();
        let line = pick % lengths.len();
        let start: usize = lengths.iter().take(line).map(|length| length + 1).sum();
        prop_assert_eq!(source.line_of(start) as usize, line + 1);
        let range = source.line_range(u32::try_from(line + 1).unwrap());
        prop_assert_eq!(range, start..start + lengths.get(line).unwrap());
    }
}
