//! The files below a folder.

#![forbid(unsafe_code)] // Beside the module that may.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::{fs, io};

use crate::limits::TABLE_FILES_MAX;

/// Names of all files below a folder, in order, with `/` between their parts.
///
/// # Errors
/// What the system said, or there are more files than a table has.
pub fn files_below(folder: &Path) -> io::Result<BTreeSet<String>> {
    let mut found = BTreeSet::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(inside) = folders.pop() {
        for entry in fs::read_dir(folder.join(&inside))? {
            let entry = entry?;
            let path = inside.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                folders.push(path);
            } else if let Some(name) = path.to_str() {
                found.insert(name.to_owned());
            }
            if found.len() + folders.len() > 2 * TABLE_FILES_MAX {
                return Err(io::Error::from(io::ErrorKind::InvalidData));
            }
        }
    }
    Ok(found)
}
