//! What is explained is what is decided.
#![no_main]

use std::path::Path;
use std::sync::{Arc, LazyLock};

use libfuzzer_sys::fuzz_target;
use trunkline::routing::{Snapshot, fuzz_explanation};

static EXAMPLE: LazyLock<Snapshot> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../routing-tables/example");
    Snapshot::new(Arc::new(trunkline::tables::load(&folder).table.unwrap()))
});

fuzz_target!(|bytes: &[u8]| fuzz_explanation(&EXAMPLE, bytes));
