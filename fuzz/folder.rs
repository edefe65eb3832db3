//! A folder for the files of one process.

use std::path::{Path, PathBuf};

/// In memory where the system has such a place: a disk would be the slowest part.
pub fn in_memory(target: &str) -> PathBuf {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    parent.join(format!("trunkline-fuzz-{target}-{}", std::process::id()))
}
