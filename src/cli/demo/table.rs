//! A copy of the example table that may be changed, with its log beside it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// `routing-tables/example`, so that the program alone is enough.
const FILES: [(&str, &str); 6] = [
    (
        "trunks.toml",
        include_str!("../../../routing-tables/example/trunks.toml"),
    ),
    (
        "routes.toml",
        include_str!("../../../routing-tables/example/routes.toml"),
    ),
    (
        "cases.toml",
        include_str!("../../../routing-tables/example/cases.toml"),
    ),
    (
        "dids/genesys.csv",
        include_str!("../../../routing-tables/example/dids/genesys.csv"),
    ),
    (
        "dids/lobby-phones.csv",
        include_str!("../../../routing-tables/example/dids/lobby-phones.csv"),
    ),
    (
        "dids/teams.csv",
        include_str!("../../../routing-tables/example/dids/teams.csv"),
    ),
];

/// Names tried for the folder: somebody's leftovers may have the first ones.
const NAMES_MAX: u32 = 100;

/// A folder of our own. Dropping it removes it.
#[derive(Debug)]
pub(super) struct TableCopy {
    folder: PathBuf,
}

impl TableCopy {
    /// Writes the copy into the system's folder for temporary files.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn write() -> io::Result<Self> {
        let copy = Self {
            folder: new_folder()?,
        };
        fs::create_dir_all(copy.tables().join("dids"))?;
        for (name, text) in FILES {
            fs::write(copy.tables().join(name), text)?;
        }
        Ok(copy)
    }

    /// The table.
    pub(super) fn tables(&self) -> PathBuf {
        self.folder.join("tables")
    }

    /// The folder that goes with its owner.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The log of the server.
    pub(super) fn log(&self) -> PathBuf {
        self.folder.join("trunkline.log")
    }

    /// Adds a row to a file of the table; returns what the file said before.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn add_row(&self, file: &str, row: &str) -> io::Result<String> {
        let path = self.tables().join(file);
        let before = fs::read_to_string(&path)?;
        let line_end = if before.ends_with('\n') { "" } else { "\n" };
        self.replace(file, &format!("{before}{line_end}{row}\n"))?;
        Ok(before)
    }

    /// Replaces a file at once, as an editor does: a reload never sees half of it.
    ///
    /// # Errors
    /// What the system said.
    pub(super) fn replace(&self, file: &str, text: &str) -> io::Result<()> {
        let new = self.folder.join("new");
        fs::write(&new, text)?;
        fs::rename(&new, self.tables().join(file))
    }
}

impl Drop for TableCopy {
    fn drop(&mut self) {
        // What cannot be removed is the system's to clean up.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Nobody else's folder, and nobody else may look into it.
fn new_folder() -> io::Result<PathBuf> {
    let parent = std::env::temp_dir();
    let process = std::process::id();
    for number in 0..NAMES_MAX {
        let folder = parent.join(format!("trunkline-demo-{process}-{number}"));
        match DirBuilder::new().mode(0o700).create(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(named(&folder, &error)),
        }
    }
    Err(io::Error::from(io::ErrorKind::AlreadyExists))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::tables;

    #[test]
    fn the_copy_is_the_example_and_goes_with_its_owner() {
        let copy = TableCopy::write().unwrap();
        let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("routing-tables/example");
        let (ours, theirs) = (tables::load(&copy.tables()), tables::load(&example));
        assert_eq!(ours.table.unwrap().hash(), theirs.table.unwrap().hash());
        assert_eq!(ours.summary, theirs.summary);
        let folder = copy.folder.clone();
        drop(copy);
        assert!(!folder.exists());
    }

    #[test]
    fn a_row_can_be_added_and_taken_back() {
        let copy = TableCopy::write().unwrap();
        let path = copy.tables().join("dids/teams.csv");
        let before = copy.add_row("dids/teams.csv", "+1,teams,x").unwrap();
        let after = fs::read_to_string(&path).unwrap();
        assert!(after.starts_with(&before) && after.ends_with("\n+1,teams,x\n"));
        copy.replace("dids/teams.csv", &before).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), before);
    }
}
