//! What must hold for any files in a table folder.

use std::path::Path;

use super::{Diagnostic, Loaded, load};

/// Loading never panics. A table is given exactly when there is no error; every finding
/// has a place, in a file that is there, at a line and column that file has; and it can
/// be shown.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_load(folder: &Path) -> Loaded {
    let loaded = load(folder);
    let report = &loaded.report;
    assert_eq!(loaded.table.is_none(), report.has_errors());
    assert!(report.errors as usize >= report.diagnostics.iter().filter(|d| is_error(d)).count());
    for finding in &report.diagnostics {
        assert!(!finding.places.is_empty(), "no place: {finding:?}");
        for place in finding.places.iter().filter(|place| !place.is_whole_file()) {
            let text = std::fs::read(folder.join(&place.file)).unwrap_or_default();
            let text = String::from_utf8_lossy(&text);
            let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
            let line = text.split('\n').nth(place.line as usize - 1);
            let Some(line) = line else {
                panic!("no such line: {finding:?}");
            };
            let line = line.strip_suffix('\r').unwrap_or(line);
            let columns = line.chars().count() as u64 + 1;
            assert!(
                (1..=columns).contains(&u64::from(place.column)),
                "{finding:?}"
            );
            assert!(line.contains(&place.line_text), "{finding:?}");
        }
    }
    assert_eq!(report.text(true).is_empty(), report.is_empty());
    assert_eq!(report.short().is_empty(), report.is_empty());
    loaded
}

fn is_error(finding: &Diagnostic) -> bool {
    finding.severity == super::diagnostic::Severity::Error
}
