//! Whatever another machine wrote: what becomes of it is a table, and every complaint has its
//! line.
#![no_main]

#[path = "../folder.rs"]
mod folder;

use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use trunkline::import::{File, Tried, fuzz_import};

static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| folder::in_memory("import"));

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
