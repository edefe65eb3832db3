//! Whatever another machine wrote: what becomes of it is a table, and every complaint has its
//! line.
#![no_main]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trunkline::import::{File, Tried, fuzz_import};

/// In memory where the system has such a place: a disk would be the slowest part.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let parent = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    parent.join(format!("trunkline-fuzz-import-{}", std::process::id()))
});

fn load(files: &[File]) -> Tried {
    for (name, text) in files {
        let path = FOLDER.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let loaded = trunkline::tables::load(&FOLDER);
    fs::remove_dir_all(&*FOLDER).unwrap();
    Tried {
        table: loaded.table,
        dead: loaded.report.dead_rules(),
        report: loaded.report.text(false),
    }
}

fuzz_target!(|bytes: &[u8]| fuzz_import(bytes, load));
