//! The files of a table as lines of an answer, and back.

use super::protocol::{Answer, Reply};
use crate::ledger::Generation;
use crate::limits::CONTROL_PIECE_BYTES;
use crate::system::files_below;
use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::Path;

/// Reads the files below `folder` and gives the lines that tell them to `send`, until it
/// says no.
pub(super) fn tell(
    generation: &Generation,
    folder: &Path,
    mut send: impl FnMut(String) -> bool,
) -> io::Result<()> {
    let generation = generation.clone();
    if !send(line(Answer::Files { generation })) {
        return Ok(());
    }
    for name in files_below(folder)? {
        let mut file = File::open(folder.join(&name))?;
        // Characters of several bytes may lie across two pieces.
        let mut held = Vec::new();
        loop {
            let room = (CONTROL_PIECE_BYTES - held.len()) as u64;
            let read = file.by_ref().take(room).read_to_end(&mut held)?;
            let whole = match str::from_utf8(&held) {
                Ok(text) => text.len(),
                Err(error) => error.valid_up_to(),
            };
            let rest = held.split_off(whole);
            if read == 0 && !rest.is_empty() {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
            let text = String::from_utf8_lossy(&held).into_owned();
            held = rest;
            if read == 0 && text.is_empty() {
                break;
            }
            let name = name.clone();
            if !send(line(Answer::File { name, text })) {
                return Ok(());
            }
        }
    }
    send(line(Answer::End));
    Ok(())
}

fn line(answer: Answer) -> String {
    Reply::from(answer).line()
}

/// Writes a piece of a file below `folder`. A name that leads out of it is an error.
pub(super) fn put(folder: &Path, name: &str, text: &str) -> io::Result<()> {
    use std::io::Write as _;
    if name.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return Err(io::Error::from(io::ErrorKind::InvalidData));
    }
    let path = folder.join(name);
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let mut file = fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::{put, tell};
    use crate::control::{Answer, Reply};
    use crate::ledger::{Cause, Counts, Generation};
    use crate::limits::{CONTROL_LINE_BYTES_MAX, CONTROL_PIECE_BYTES};
    use proptest::prelude::*;
    use std::fs;

    fn generation() -> Generation {
        Generation {
            number: 1,
            sha256: String::new(),
            at: jiff::Timestamp::UNIX_EPOCH,
            by: String::from("test"),
            cause: Cause::Start,
            table_of: None,
            message: None,
            counts: Counts::default(),
        }
    }

    /// Sends a text through and gives what arrives.
    fn through(text: &str) -> String {
        let [from, to] = [(); 2].map(|()| tempfile::tempdir().unwrap());
        fs::create_dir(from.path().join("dids")).unwrap();
        fs::write(from.path().join("dids/a.csv"), text).unwrap();
        let mut lines = Vec::new();
        tell(&generation(), from.path(), |line| {
            lines.push(line);
            true
        })
        .unwrap();
        for line in lines {
            assert!(line.len() <= CONTROL_LINE_BYTES_MAX, "{}", line.len());
            let reply: Reply = serde_json::from_str(&line).unwrap();
            if let Answer::File { name, text } = reply.answer {
                put(to.path(), &name, &text).unwrap();
            }
        }
        fs::read_to_string(to.path().join("dids/a.csv")).unwrap_or_default()
    }

    #[test]
    fn a_large_file_arrives_as_it_was() {
        for text in [
            "\u{1}".repeat(3 * CONTROL_PIECE_BYTES + 1),
            "€".repeat(CONTROL_PIECE_BYTES),
            format!("x{}", "€".repeat(CONTROL_PIECE_BYTES)),
        ] {
            assert!(through(&text) == text);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        #[test]
        fn any_text_arrives_as_it_was(text in "(?s).{1,3000}", times in 1_usize..5) {
            let text = text.repeat(times);
            prop_assert!(through(&text) == text);
        }
    }

    #[test]
    fn no_name_leads_out_of_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["../x", "/x", "a/../../x", "", "a//b"] {
            assert!(put(folder.path(), name, "x").is_err(), "{name}");
        }
    }
}
