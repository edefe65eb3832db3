//! Table folders of a chosen size, the calls that meet them, and a server to take these.

#![allow(dead_code)] // each bench uses what it needs

use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::RandomState;
use std::io::{BufWriter, Write as _};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use arrayvec::ArrayVec;
use jiff::Timestamp;
use tempfile::TempDir;
use trunkline::proxy::{Datagram, Fate, Now, RedirectServer, RedirectSettings};
use trunkline::routing::number::Number;
use trunkline::routing::{Decision, Dialled, GroupId, RequestFacts, Snapshot, route};
use trunkline::tables;

use crate::numbers::{scattered, shuffled};

/// The group calls arrive on.
const CARRIER: GroupId = GroupId(0);

/// Messages that a socket brings at once.
pub(crate) const BATCH_MAX: usize = 32;

/// Where the calls come from.
const SOURCE: &str = "10.20.0.11:5060";

/// A folder with one list of so many scattered DIDs, in no order, and so many rules of
/// which a call meets the last.
pub(crate) fn folder(dids: usize, rules: usize) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("routing.toml"), routing(rules)).expect("written");
    let file = File::create(folder.path().join("users.csv")).expect("a file");
    let mut rows = BufWriter::new(file);
    rows.write_all(b"number,trunk_group,comment\n")
        .expect("written");
    for (serial, number) in shuffled(scattered(dids)).into_iter().enumerate() {
        let group = if serial % 3 == 0 { "genesys" } else { "teams" };
        writeln!(rows, "+{number},{group},user {serial}").expect("written");
    }
    rows.flush().expect("written");
    folder
}

/// Two in three rules are for a prefix nobody dials, the third for another arrival group.
fn routing(rules: usize) -> String {
    let mut text = String::new();
    for (group, address) in [("pstn", 1), ("branch", 2), ("teams", 3), ("genesys", 4)] {
        let _ = writeln!(
            text,
            "[trunk_group.{group}]\ntrunks = [\"{group}-1\"]\n\
             [trunk.{group}-1]\naddress = \"sip:192.0.2.{address};transport=udp\"\n"
        );
    }
    text += "[[classification]]\nsource = [\"10.20.0.0/24\"]\ntrunk_group = \"pstn\"\n\
             [[classification]]\nsource = [\"10.20.1.0/24\"]\ntrunk_group = \"branch\"\n\
             [did.users]\nfile = \"users.csv\"\n\
             [[rule]]\nname = \"emergency\"\ncalled = [\"emergency\"]\nroute_to = [\"pstn\"]\n";
    for serial in 0..rules.saturating_sub(2) {
        let from = if serial % 3 == 2 {
            "from = [\"branch\"]\n"
        } else {
            ""
        };
        let _ = writeln!(
            text,
            "[[rule]]\nname = \"rule {serial}\"\n{from}called = [\"+9{serial:05}*\"]\nroute_to = [\"teams\"]\n"
        );
    }
    text + "[[rule]]\nname = \"assigned\"\nfrom = [\"pstn\"]\ncalled = [\"did:*\"]\n\
            route_to = [\"assigned\", \"pstn\"]\n"
}

/// The table of a folder.
pub(crate) fn snapshot(folder: &Path) -> Snapshot {
    let loaded = tables::load(folder);
    match loaded.table {
        Some(table) => {
            assert_eq!(table.group_named("pstn"), Some(CARRIER));
            Snapshot::new(Arc::new(table))
        }
        None => panic!("{}", loaded.report.short()),
    }
}

/// Decides a call to this number from the carrier.
pub(crate) fn decide<'n>(snapshot: &Snapshot, called: &'n Number) -> Decision<'n> {
    let called = Dialled {
        number: called.as_bytes(),
        raw: called.as_bytes(),
        phone_context: None,
    };
    let calling = Dialled {
        number: b"+447700900123",
        raw: b"+447700900123",
        phone_context: None,
    };
    let facts = RequestFacts {
        from: CARRIER,
        called,
        calling: Some(calling),
        host: b"10.20.0.50",
        tgrp: None,
        at: Timestamp::UNIX_EPOCH,
        call_hash: 1,
    };
    route(snapshot, &facts, &mut ())
}

/// An INVITE as an SBC sends it, with SDP.
pub(crate) fn invite(called: &Number) -> Vec<u8> {
    let body = "v=0\r\no=AudiocodesGW 1512 1511 IN IP4 10.20.0.11\r\ns=Phone-Call\r\n\
                c=IN IP4 10.20.0.11\r\nt=0 0\r\nm=audio 6000 RTP/AVP 8 0 101\r\n\
                a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    format!(
        "INVITE sip:{called}@10.20.0.50;user=phone SIP/2.0\r\n\
         Via: SIP/2.0/UDP 10.20.0.11:5060;branch=z9hG4bKac1412397131\r\n\
         Max-Forwards: 70\r\n\
         From: \"+447700900123\" <sip:+447700900123@10.20.0.11;user=phone>;tag=1c1412393912\r\n\
         To: <sip:{called}@10.20.0.50;user=phone>\r\n\
         Call-ID: 14123939262411202619015@10.20.0.11\r\n\
         CSeq: 1 INVITE\r\n\
         Contact: <sip:+447700900123@10.20.0.11:5060>\r\n\
         Supported: em,100rel,timer,replaces,path,resource-priority,sdp-anat\r\n\
         Allow: REGISTER,OPTIONS,INVITE,ACK,CANCEL,BYE,NOTIFY,PRACK,REFER,INFO,SUBSCRIBE,UPDATE\r\n\
         User-Agent: M800B/v.7.40A.250.440\r\n\
         P-Asserted-Identity: <sip:+447700900123@10.20.0.11>\r\n\
         Content-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

/// A redirect server and the buffer it writes to.
pub(crate) struct Site {
    server: RedirectServer,
    snapshot: Snapshot,
    now: Now,
    out: Vec<u8>,
    source: SocketAddr,
}

impl Site {
    pub(crate) fn new(snapshot: Snapshot) -> Self {
        let settings = RedirectSettings {
            tag_key: RandomState::new(),
            stateful: false,
            server_header: Some(String::from("Trunkline")),
        };
        Self {
            server: RedirectServer::new(settings),
            snapshot,
            now: Now {
                instant: Instant::now(),
                wall: Timestamp::UNIX_EPOCH,
            },
            out: Vec::new(),
            source: SOURCE.parse().expect("an address"),
        }
    }

    /// [`Site::answer`] of messages that came together, as a socket brings them.
    pub(crate) fn answer_batch(&mut self, batch: &[Vec<u8>]) -> usize {
        let datagrams: ArrayVec<_, BATCH_MAX> = batch
            .iter()
            .map(|bytes| datagram(bytes, self.source))
            .collect();
        self.server.foresee(&datagrams, &self.snapshot);
        batch.iter().map(|bytes| self.answer(bytes)).sum()
    }

    /// From the bytes of a request to the bytes of its answer: how many these are.
    pub(crate) fn answer(&mut self, bytes: &[u8]) -> usize {
        let datagram = datagram(bytes, self.source);
        let fate = self
            .server
            .handle(self.now, &datagram, &self.snapshot, &mut self.out);
        let Fate::Answer { status, .. } = fate else {
            panic!("{fate:?}");
        };
        assert_eq!(status.code(), 302);
        self.out.len()
    }
}

fn datagram(bytes: &[u8], source: SocketAddr) -> Datagram<'_> {
    Datagram {
        bytes,
        source,
        asked: None,
        listener: "inside",
    }
}
