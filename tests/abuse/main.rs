//! What attackers have done to other SIP servers, tried on this one. docs/testing.md lists
//! the cases by number; numbers that are missing concern faces that are not there.

#![allow(clippy::unwrap_used)] // A case that cannot be set up has failed.

mod calls;
mod framing;
mod messages;
mod tables;

use std::hash::RandomState;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use trunkline::proxy::{
    Datagram, DropReason, Fate, Now, RedirectServer, RedirectSettings, fuzz_redirect,
};
use trunkline::routing::Snapshot;
use trunkline::sip::Message;

const TABLE: &str = r#"
[trunk.carrier]
address = "sip:192.0.2.1"

[trunk.teams]
address = "sip:teams.route;user=phone"

[trunk.inside]
address = "sip:inside.route"

[trunk_group.pstn]
accept_from = ["192.0.2.0/24", "2001:db8::/32"]
trunks      = ["carrier"]

[trunk_group.teams]
trunks = ["teams"]

[trunk_group.trusted]
trunks = ["inside"]

[[classification]]
source      = ["192.0.2.250"]
from_host   = ["trusted.example"]
trunk_group = "trusted"

[[rule]]
name     = "Only the trusted reach the inside"
from     = ["trusted"]
route_to = ["trusted"]

[[rule]]
name     = "Emergency"
called   = ["emergency"]
route_to = ["pstn"]

[[rule]]
name     = "Users"
called   = ["+442071838*"]
route_to = ["teams"]

[[rule]]
name     = "The manager's number"
called   = ["+447777777777"]
reject   = { status = 403, reason = "Not for sale" }
"#;

const SBC: &str = "192.0.2.9:5060";

fn folder_with(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
    folder
}

fn snapshot_of(folder: &Path) -> Snapshot {
    let loaded = trunkline::tables::load(folder);
    let text = loaded.report.text(false);
    Snapshot::new(Arc::new(loaded.table.unwrap_or_else(|| panic!("{text}"))))
}

/// An engine, its table and its clock.
struct Rig {
    server: RedirectServer,
    snapshot: Snapshot,
    now: Now,
}

/// What came of a datagram.
struct Outcome {
    status: Option<u16>,
    to: Option<SocketAddr>,
    dropped: Option<DropReason>,
    text: String,
}

impl Rig {
    fn new(stateful: bool) -> Self {
        let settings = RedirectSettings {
            tag_key: RandomState::new(),
            stateful,
            server_header: None,
        };
        Self {
            server: RedirectServer::new(settings),
            snapshot: snapshot_of(folder_with(&[("routing.toml", TABLE)]).path()),
            now: Now {
                instant: Instant::now(),
                wall: "2026-03-02T10:00:00Z".parse().unwrap(),
            },
        }
    }

    fn wait(&mut self, time: Duration) {
        self.now.instant += time;
    }

    fn hears_from(&mut self, source: &str, bytes: &[u8]) -> Outcome {
        let source = source.parse().unwrap();
        let datagram = Datagram {
            bytes,
            source,
            asked: None,
            listener: "",
        };
        let mut out = Vec::new();
        let (status, to, dropped) =
            match self
                .server
                .handle(self.now, &datagram, &self.snapshot, &mut out)
            {
                Fate::Answer { to, status, .. } => (Some(status.code()), Some(to), None),
                Fate::Repeat(path) => (
                    Message::parse_datagram(&out)
                        .unwrap()
                        .status()
                        .map(|s| s.code()),
                    Some(path.to),
                    None,
                ),
                Fate::Absorbed(_) => (None, None, None),
                Fate::Dropped(reason) => (None, None, Some(reason)),
            };
        Outcome {
            status,
            to,
            dropped,
            text: out.escape_ascii().to_string(),
        }
    }

    fn hears(&mut self, bytes: &[u8]) -> Outcome {
        self.hears_from(SBC, bytes)
    }

    /// The status of the answer to an INVITE; its laws hold.
    fn status_of(&mut self, invite: &[u8]) -> Option<u16> {
        self.wait(Duration::from_secs(1));
        let datagram = Datagram {
            bytes: invite,
            source: SBC.parse().unwrap(),
            asked: None,
            listener: "",
        };
        fuzz_redirect(&mut self.server, self.now, &datagram, &self.snapshot)
            .map(|status| status.code())
    }

    /// The server still knows its trade.
    fn is_healthy(&mut self) {
        let answer = self.hears(&invite("+442071838750", &[]));
        assert_eq!(answer.status, Some(302), "{}", answer.text);
    }
}

/// An INVITE from the SBC to that number, with more fields.
fn invite(number: &str, fields: &[&str]) -> Vec<u8> {
    request(&format!("INVITE sip:{number}@192.0.2.1 SIP/2.0"), fields)
}

fn request(start: &str, fields: &[&str]) -> Vec<u8> {
    let method = start.split(' ').next().unwrap();
    let mut text = format!(
        "{start}\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\nFrom: <sip:+441632960001@192.0.2.9>;tag=1\r\n\
         To: <sip:+442071838750@192.0.2.1>\r\nCall-ID: abuse@192.0.2.9\r\nCSeq: 1 {method}\r\nContact: <sip:192.0.2.9>\r\n"
    );
    for field in fields {
        text.push_str(field);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    text.into_bytes()
}
