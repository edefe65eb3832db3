//! Any files in a table folder load, or every error has its place. The files stand one
//! behind the other, a NUL between them.
#![no_main]

#[path = "../folder.rs"]
mod folder;

use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;

const FILES: [&str; 4] = ["routing.toml", "dids/one.csv", "cases.toml", "dids/two.csv"];

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = folder::in_memory("tables");
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
