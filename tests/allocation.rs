//! Nothing is allocated between the bytes of an INVITE and the bytes of its answer.
//!
//! One test in a binary of its own: the allocator that counts is that of the process.

#![allow(unsafe_code)] // to stand in front of the allocator; only counting is added
#![allow(clippy::unwrap_used)] // a test says so by failing

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::fmt::Write as _;
use std::hash::RandomState;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use trunkline::proxy::{Datagram, Fate, Now, RedirectServer, RedirectSettings};
use trunkline::routing::Snapshot;
use trunkline::tables;

/// Counts what the thread asks for and passes it on.
struct Counting;

thread_local! {
    // Without a destructor and with a constant start: counting never allocates.
    static ASKED: Cell<u64> = const { Cell::new(0) };
}

fn count() {
    ASKED.set(ASKED.get() + 1);
}

// SAFETY: every call is passed on to the system's allocator with the arguments it came
// with, and its answer is returned as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: the caller keeps to what GlobalAlloc asks.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, block: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        count();
        // SAFETY: as above.
        unsafe { System.realloc(block, layout, bytes) }
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(block, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(work: impl FnOnce()) -> u64 {
    let before = ASKED.get();
    work();
    ASKED.get() - before
}

/// Takes a call from bytes to bytes.
struct Rig {
    server: RedirectServer,
    snapshot: Snapshot,
    now: Now,
    out: Vec<u8>,
}

impl Rig {
    fn new(folder: &Path) -> Self {
        let loaded = tables::load(folder);
        let table = loaded
            .table
            .unwrap_or_else(|| panic!("{}", loaded.report.short()));
        let settings = RedirectSettings {
            tag_key: RandomState::new(),
            stateful: false,
            server_header: Some(String::from("Trunkline")),
        };
        Self {
            server: RedirectServer::new(settings),
            snapshot: Snapshot::new(Arc::new(table)),
            now: Now {
                instant: Instant::now(),
                wall: "2026-11-23T10:00:00Z".parse().unwrap(),
            },
            out: Vec::new(),
        }
    }

    /// The status of the answer.
    fn status(&mut self, source: &str, message: &str) -> u16 {
        let datagram = Datagram {
            bytes: message.as_bytes(),
            source: source.parse().unwrap(),
            listener: "inside",
        };
        let fate = self
            .server
            .handle(self.now, &datagram, &self.snapshot, &mut self.out);
        match fate {
            Fate::Answer { status, .. } => status.code(),
            other => panic!("{other:?}"),
        }
    }
}

fn invite(uri: &str, extra: &str) -> String {
    let body = "v=0\r\no=- 1 1 IN IP4 10.20.0.11\r\ns=-\r\nc=IN IP4 10.20.0.11\r\nt=0 0\r\n\
                m=audio 6000 RTP/AVP 8 0 101\r\na=rtpmap:101 telephone-event/8000\r\n";
    format!(
        "INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.20.0.11:5060;branch=z9hG4bK-{};rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Bob\" <sip:+447700900123@10.20.0.11>;tag=1c77\r\n\
         To: <{uri}>\r\nCall-ID: {}@10.20.0.11\r\nCSeq: 1 INVITE\r\n\
         Contact: <sip:+447700900123@10.20.0.11:5060>\r\n{extra}\
         P-Asserted-Identity: <sip:+447700900123@10.20.0.11>\r\n\
         Allow: INVITE, ACK, CANCEL, OPTIONS, BYE\r\nSupported: timer, 100rel\r\n\
         Content-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{body}",
        uri.len(),
        uri.len(),
        body.len()
    )
}

/// A table of many DIDs and rules.
fn large_table(folder: &Path) {
    let mut rules = String::from(
        "[trunk_group.pstn]\ntrunks = [\"pstn-1\"]\naccept_from = [\"10.20.0.0/16\"]\n\
         [trunk.pstn-1]\naddress = \"sip:192.0.2.1\"\n\
         [trunk_group.teams]\ntrunks = [\"teams-1\", \"teams-2\"]\nhunt = \"weighted\"\n\
         [trunk.teams-1]\naddress = \"sip:192.0.2.2\"\n[trunk.teams-2]\naddress = \"sip:192.0.2.3\"\n\
         [did.users]\nfile = \"users.csv\"\n\
         [[rule]]\nname = \"emergency\"\ncalled = [\"emergency\"]\nroute_to = [\"pstn\"]\n",
    );
    for serial in 0..1_000 {
        write!(
            rules,
            "[[rule]]\nname = \"r{serial}\"\ncalled = [\"+49{serial:04}*\"]\nroute_to = [\"teams\", \"pstn\"]\n"
        )
        .unwrap();
    }
    rules += "[[rule]]\nname = \"assigned\"\nfrom = [\"pstn\"]\ncalled = [\"did:*\"]\nroute_to = [\"assigned\", \"pstn\"]\n";
    let rows = (0..20_000).fold(String::from("number,trunk_group\n"), |rows, serial| {
        rows + &format!(
            "+4420{:08},{}\n",
            serial * 4_001,
            if serial % 3 == 0 { "pstn" } else { "teams" }
        )
    });
    std::fs::write(folder.join("routing.toml"), rules).unwrap();
    std::fs::write(folder.join("users.csv"), rows).unwrap();
}

/// Once the buffer has grown to the size of an answer.
fn asks_for_nothing(rig: &mut Rig, source: &str, calls: &[(u16, String)]) {
    for (status, message) in calls {
        assert_eq!(rig.status(source, message), *status, "{message}");
    }
    for (_, message) in calls {
        let asked = allocations(|| {
            for _ in 0..10 {
                rig.status(source, message);
            }
        });
        assert_eq!(asked, 0, "{message}");
    }
}

#[test]
fn an_answer_allocates_nothing() {
    let folder = tempfile::tempdir().unwrap();
    large_table(folder.path());
    let mut large = Rig::new(folder.path());
    let mut example = Rig::new(Path::new("routing-tables/example"));
    let carrier = "X-Trunk-Group: carrier-a\r\n";
    let source = "10.20.0.11:5060";
    let host = "10.20.0.50;user=phone";
    let large_calls = [
        (302, invite(&format!("sip:+442000004001@{host}"), "")),
        (302, invite(&format!("sip:+442012003000@{host}"), "")),
        (302, invite(&format!("sip:+490999123456@{host}"), "")),
        (302, invite("sip:112@10.20.0.50", "")),
        (404, invite(&format!("sip:+39061234567@{host}"), "")),
        (404, invite("sip:alice@10.20.0.50", "")),
    ];
    let example_calls = [
        (302, invite(&format!("sip:+442079460122@{host}"), carrier)),
        (302, invite(&format!("sip:+442079460250@{host}"), carrier)),
        (302, invite(&format!("sip:00442079460123@{host}"), carrier)),
        (
            302,
            invite(&format!("sip:+4930231255001;ext=7@{host}"), carrier),
        ),
        (302, invite(&format!("sip:+442079460500@{host}"), carrier)),
    ];
    let stranger = [(403, invite(&format!("sip:+442079460123@{host}"), ""))];
    asks_for_nothing(&mut large, source, &large_calls);
    asks_for_nothing(&mut example, source, &example_calls);
    // Somebody we do not know.
    asks_for_nothing(&mut example, "203.0.113.9:5060", &stranger);
    // What counts does count.
    assert_eq!(
        allocations(|| drop(std::hint::black_box(Box::new(1_u64)))),
        1
    );
}
