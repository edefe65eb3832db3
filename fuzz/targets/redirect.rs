//! Whatever reaches the redirect server, what it answers is an answer. The length of the
//! datagram chooses who sends it and whether the server keeps transactions.
#![no_main]

use std::cell::RefCell;
use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use trunkline::proxy::{Datagram, Now, RedirectServer, RedirectSettings, fuzz_redirect};
use trunkline::routing::Snapshot;

struct Rig {
    stateless: RedirectServer,
    stateful: RedirectServer,
    snapshot: Snapshot,
    now: Now,
    sources: [SocketAddr; 4],
}

thread_local! {
    static RIG: RefCell<Rig> = RefCell::new(rig());
}

fn rig() -> Rig {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds/table");
    let table = trunkline::tables::load(&folder).table.unwrap();
    let server = |stateful| {
        RedirectServer::new(RedirectSettings {
            tag_key: RandomState::new(),
            stateful,
            server_header: None,
        })
    };
    Rig {
        stateless: server(false),
        stateful: server(true),
        snapshot: Snapshot::new(Arc::new(table)),
        now: Now {
            instant: Instant::now(),
            wall: "2026-03-02T10:00:00Z".parse().unwrap(),
        },
        sources: [
            "192.0.2.9:5080".parse().unwrap(),
            "[2001:db8::9]:5080".parse().unwrap(),
            "198.51.100.66:9".parse().unwrap(),
            "[2001:db8:66::1]:5060".parse().unwrap(),
        ],
    }
}

fuzz_target!(|bytes: &[u8]| {
    RIG.with_borrow_mut(|rig| {
        // Timers fire, and strangers get their share of answers anew.
        rig.now.instant += Duration::from_secs(1);
        let datagram = Datagram {
            bytes,
            source: rig.sources[bytes.len() % 4],
            asked: None,
            listener: "",
        };
        let stateful = bytes.len() % 8 >= 4;
        let server = if stateful { &mut rig.stateful } else { &mut rig.stateless };
        fuzz_redirect(server, rig.now, &datagram, &rig.snapshot);
        let mut out = Vec::new();
        for _ in 0..64 {
            if server.poll_timer(rig.now.instant, &mut out).is_none() {
                break;
            }
        }
    });
});
