//! Whatever comes to the proxy, and in whatever order: every play ends and breaks no law.
#![no_main]

use std::cell::RefCell;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use libfuzzer_sys::fuzz_target;
use trunkline::proxy::{FlowTransport, Now, ProxyListener, ProxySettings, fuzz_proxy};
use trunkline::routing::Snapshot;
use trunkline::transaction::Timers;

struct Rig {
    snapshot: Snapshot,
    settings: ProxySettings,
    now: Now,
    sources: [SocketAddr; 3],
}

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(rig());
}

fn rig() -> Rig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/table");
    let table = trunkline::tables::load(&folder).table.unwrap();
    let local = "192.0.2.200:5060".parse().unwrap();
    let instant = Instant::now();
    Rig {
        snapshot: Snapshot::new(Arc::new(table)),
        settings: ProxySettings {
            worker: 0,
            secret: *b"known to us only",
            key: RandomState::new(),
            epoch: instant,
            timers: Timers::default(),
            listeners: vec![ProxyListener {
                name: "".into(),
                transport: FlowTransport::Udp,
                local,
                advertised: local,
            }],
            server_header: None,
            calls_max: 10,
        },
        now: Now {
            instant,
            wall: "2026-03-02T10:00:00Z".parse().unwrap(),
        },
        sources: [
            "192.0.2.9:5080".parse().unwrap(),
            "192.0.2.77:5060".parse().unwrap(),
            "198.51.100.66:9".parse().unwrap(),
        ],
    }
}

fuzz_target!(|play: &[u8]| {
    RIG.with_borrow(|rig| {
        fuzz_proxy(rig.settings.clone(), &rig.sources, &rig.snapshot, rig.now, play);
    });
});
