//! A folder that goes with whoever made it.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

/// A folder of our own for a while.
pub(super) struct Scratch(PathBuf);

impl Scratch {
    /// A name that somebody took, a live one or what a killed one left, is passed over.
    pub(super) fn new() -> io::Result<Self> {
        let process = std::process::id();
        for attempt in 0..100 {
            let name = format!("trunkline-{process}-{attempt}");
            let path = std::env::temp_dir().join(name);
            match DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::from(io::ErrorKind::AlreadyExists))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
