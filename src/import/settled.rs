//! The table of an original, without the rows that can never decide.

use super::{File, Finding, Names, Original};
use crate::limits::IMPORT_PASSES_MAX;

/// Writes the table, asks `dead` for the lines of `routing.toml` whose rules can never decide,
/// leaves out the rows these came from, and writes it again until there are none: a table with
/// one would be refused, and in the original they do nothing either.
///
/// # Errors
/// Those of `dead`.
pub fn settled<E>(
    original: &mut Original,
    findings: &mut Vec<Finding>,
    mut dead: impl FnMut(&[File]) -> Result<Vec<u32>, E>,
) -> Result<(Vec<File>, Names), E> {
    let mut passes = 0;
    loop {
        passes += 1;
        let mut said = Vec::new();
        let (files, names) = original.write(&mut said);
        let toml = files.first().map_or("", |(_, text)| text);
        let lines = dead(&files)?;
        let lines = lines.iter().filter_map(|line| imported_line(toml, *line));
        let lines: Vec<u32> = lines.collect();
        if lines.is_empty() || passes >= IMPORT_PASSES_MAX {
            findings.extend(said);
            return Ok((files, names));
        }
        original.leave_out(&lines, findings);
    }
}

/// The line of the original that a line of a rule came from.
fn imported_line(toml: &str, line: u32) -> Option<u32> {
    let before = toml.lines().take(line as usize);
    let head = before.filter(|line| line.starts_with("[[rule]]")).last()?;
    head.rsplit("line ").next()?.parse().ok()
}
