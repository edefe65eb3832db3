//! Two folders compared as text, as `git apply` reads it.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use crate::generations::files_below;

/// Lines around a change that say where it belongs.
const CONTEXT: usize = 3;

/// What makes the folder `after` of the folder `before`: a unified diff with one hunk a file,
/// from its first line that differs to its last.
///
/// # Errors
/// What the system said.
pub(super) fn patch(before: &Path, after: &Path) -> io::Result<String> {
    let mut names = files_below(before)?;
    names.extend(files_below(after)?);
    let mut patch = String::new();
    for name in names {
        let texts = [before, after].map(|folder| read(&folder.join(&name)));
        let [before, after] = texts;
        let (before, after) = (before?, after?);
        if before != after {
            write_file(&mut patch, &name, before.as_deref(), after.as_deref());
        }
    }
    Ok(patch)
}

fn read(path: &Path) -> io::Result<Option<String>> {
    match fs::read(path) {
        // Tables are UTF-8: nothing else has ever served.
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write_file(patch: &mut String, name: &str, before: Option<&str>, after: Option<&str>) {
    let side = |text: Option<&str>, prefix: &str| match text {
        Some(_) => format!("{prefix}/{name}"),
        None => String::from("/dev/null"),
    };
    let _ = writeln!(patch, "diff --git a/{name} b/{name}");
    match (before, after) {
        (None, Some(_)) => patch.push_str("new file mode 100644\n"),
        (Some(_), None) => patch.push_str("deleted file mode 100644\n"),
        _ => {}
    }
    let [old, new] = [before, after].map(|text| lines(text.unwrap_or_default()));
    if old.is_empty() && new.is_empty() {
        return;
    }
    let _ = writeln!(patch, "--- {}", side(before, "a"));
    let _ = writeln!(patch, "+++ {}", side(after, "b"));
    let pairs = old.iter().zip(&new);
    let same_before = pairs.take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same_before;
    let pairs = old.iter().rev().zip(new.iter().rev()).take(rest);
    let same_after = pairs.take_while(|(a, b)| a == b).count();
    let start = same_before.saturating_sub(CONTEXT);
    let end = |lines: &[&str]| (lines.len() - same_after + CONTEXT).min(lines.len());
    let (old_end, new_end) = (end(&old), end(&new));
    let _ = writeln!(
        patch,
        "@@ -{} +{} @@",
        span(start, old_end),
        span(start, new_end)
    );
    let mut put = |sign: char, lines: &[&str]| {
        for line in lines {
            patch.push(sign);
            patch.push_str(line);
            if !line.ends_with('\n') {
                patch.push_str("\n\\ No newline at end of file\n");
            }
        }
    };
    let piece = |lines: &'_ [&'_ str], from: usize, to: usize| -> Vec<String> {
        let piece = lines.get(from..to).unwrap_or_default();
        piece.iter().map(|line| (*line).to_owned()).collect()
    };
    let pieces = [
        (' ', piece(&old, start, same_before)),
        ('-', piece(&old, same_before, old.len() - same_after)),
        ('+', piece(&new, same_before, new.len() - same_after)),
        (' ', piece(&old, old.len() - same_after, old_end)),
    ];
    for (sign, lines) in &pieces {
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        put(*sign, &lines);
    }
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// `12,5`; of no lines the number is that of the line before.
fn span(start: usize, end: usize) -> String {
    let count = end.saturating_sub(start);
    let first = if count == 0 { start } else { start + 1 };
    format!("{first},{count}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_patch_is_what_git_writes_where_one_place_differs() {
        let [a, b] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        let old: String = (1..=20).map(|line| format!("line {line}\n")).collect();
        fs::write(a.path().join("x.toml"), &old).unwrap();
        fs::write(b.path().join("x.toml"), old.replace("line 10\n", "ten\n")).unwrap();
        let patch = patch(a.path(), b.path()).unwrap();
        assert_eq!(
            patch,
            "diff --git a/x.toml b/x.toml\n--- a/x.toml\n+++ b/x.toml\n@@ -7,7 +7,7 @@\n \
             line 7\n line 8\n line 9\n-line 10\n+ten\n line 11\n line 12\n line 13\n"
        );
        assert_eq!(super::patch(a.path(), a.path()).unwrap(), "");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        /// Whatever the texts, `git apply` makes the one of the other.
        #[test]
        fn git_makes_the_new_folder_of_the_old_one(
            old in proptest::option::of("([ab]{0,2}\n){0,12}[ab]{0,2}"),
            new in proptest::option::of("([ab]{0,2}\n){0,12}[ab]{0,2}"),
        ) {
            let [a, b] = [(); 2].map(|()| tempfile::tempdir().unwrap());
            for (folder, text) in [(&a, &old), (&b, &new)] {
                fs::create_dir(folder.path().join("dids")).unwrap();
                if let Some(text) = text {
                    fs::write(folder.path().join("dids/x.csv"), text).unwrap();
                }
            }
            let patch = patch(a.path(), b.path()).unwrap();
            if patch.is_empty() {
                prop_assert_eq!(old, new);
            } else {
                let mut git = Command::new("git")
                    .args(["apply", "--whitespace=nowarn", "-"])
                    .current_dir(a.path())
                    .stdin(Stdio::piped())
                    .spawn()
                    .unwrap();
                std::io::Write::write_all(&mut git.stdin.take().unwrap(), patch.as_bytes()).unwrap();
                prop_assert!(git.wait().unwrap().success(), "{patch}");
                prop_assert_eq!(read(&a.path().join("dids/x.csv")).unwrap(), new);
            }
        }
    }
}
