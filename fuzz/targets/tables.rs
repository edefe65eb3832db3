//! Any files in a table folder load, or every error has its place. The files stand one
//! behind the other, a NUL between them.
#![no_main]

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

const FILES: [&str; 4] = ["routing.toml", "dids/one.csv", "cases.toml", "dids/two.csv"];

/// In memory where the system has such a place: a disk would be the slowest part.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    let folder = parent.join(format!("trunkline-fuzz-{}", std::process::id()));
    std::fs::create_dir_all(folder.join("dids")).unwrap();
    folder
});

fuzz_target!(|bytes: &[u8]| {
    let mut parts = bytes.splitn(FILES.len(), |byte| *byte == 0);
    for name in FILES {
        match (parts.next(), FOLDER.join(name)) {
            (Some(part), path) => std::fs::write(path, part).unwrap(),
            (None, path) => drop(std::fs::remove_file(path)),
        }
    }
    trunkline::tables::fuzz_load(&FOLDER);
});
