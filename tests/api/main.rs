//! The admin API as those meet it who administer: who may, what is told, what is changed.

#![allow(clippy::unwrap_used)] // a test may fail loudly

mod admission;
#[expect(dead_code, reason = "what other tests do with certificates")]
#[path = "../loopback/ca.rs"]
mod ca;
mod calls;
mod changes;
mod client;
mod document;
mod drafts;
mod events;
mod hostile;
mod looking;
mod page;
#[allow(dead_code)] // other tests use the rest of it
#[path = "../loopback/phone.rs"]
mod phone;
mod tls;
#[path = "../loopback/words.rs"]
mod words;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use client::{Client, Reply};
use serde_json::Value;
use tempfile::TempDir;
use trunkline::api::{Role, Token, token_text};
use trunkline::http::Secret;
use trunkline::observe::Totals;
use trunkline::server::{Config, Server, ServerHandle};

/// The table of the tests.
pub(crate) const TABLE: &str = r#"
[trunk_group.carrier-a]
accept_from = ["127.0.0.1"]
dial_plan   = "uk"
trunks      = ["carrier-a-1"]

[trunk_group.teams]
trunks = ["teams-1", "teams-2"]

[trunk_group.genesys]
trunks = ["genesys-1"]

[trunk.carrier-a-1]
address = "sip:192.0.2.1"

[trunk.teams-1]
address = "sip:teams-1.route;user=phone"

[trunk.teams-2]
address = "sip:teams-2.route;user=phone"

[trunk.genesys-1]
address = "sip:genesys-1.route;user=phone"

[dial_plan.uk]
country_code         = "44"
area_code            = "20"
international_prefix = ["00"]
national_prefix      = "0"
emergency            = ["999"]

[did.users]
file = "dids/users.csv"

[[rule]]
name     = "Emergency"
called   = ["emergency"]
route_to = ["carrier-a"]

[[rule]]
name   = "Barred"
called = ["+449*"]
reject = { status = 403, reason = "Premium numbers are barred" }

[[rule]]
name     = "Assigned"
called   = ["did:*"]
route_to = ["assigned"]
"#;

pub(crate) const USERS: &str = "number,trunk_group
+442079460123,teams
+442079460124,genesys
+442079460200 to +442079460299,genesys
+442079460300,teams
";

/// A server that is administered.
pub(crate) struct Administered {
    server: ServerHandle,
    folder: TempDir,
    /// The port for TCP.
    port: u16,
}

impl Administered {
    pub(crate) fn open() -> Self {
        Self::configured(|_| {})
    }

    pub(crate) fn configured(change: impl FnOnce(&mut Config)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let tables = folder.path().join("tables");
        std::fs::create_dir_all(tables.join("dids")).unwrap();
        std::fs::write(tables.join("routing.toml"), TABLE).unwrap();
        std::fs::write(tables.join("dids/users.csv"), USERS).unwrap();
        let mut config = Config::new(tables, Vec::new());
        config.workers = 1;
        config.keeping.folder = Some(folder.path().join("state"));
        config.api.socket = Some(folder.path().join("api.sock"));
        config.api.listen = Some("127.0.0.1:0".parse().unwrap());
        config.api.audit = Some(folder.path().join("audit.log"));
        config.api.tokens = [Role::Viewer, Role::Operator, Role::Admin]
            .map(token)
            .into_iter()
            .collect();
        change(&mut config);
        let server = Server::start(&config).unwrap();
        Self {
            port: server.api_addr().unwrap().port(),
            server,
            folder,
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// By the local socket, as the user of the test, who is the server's own.
    pub(crate) fn local(&self) -> Client {
        Client::local(&self.path("api.sock"))
    }

    /// Over TCP, with the token of a role.
    pub(crate) fn with(&self, role: Role) -> Client {
        self.bare()
            .header("Authorization", &format!("Bearer {}", text(role)))
    }

    /// Over TCP, without a token.
    pub(crate) fn bare(&self) -> Client {
        Client::network(self.port)
    }

    /// What is found below `/api/v1`, by the local socket.
    pub(crate) fn get(&self, path: &str) -> Value {
        let reply = self.local().get(path);
        assert_eq!(reply.status, 200, "{path}: {}", reply.text);
        reply.json()
    }

    pub(crate) fn post(&self, path: &str, body: &Value) -> Reply {
        self.local().send("POST", path, &body.to_string())
    }

    /// Where it listens for SIP.
    pub(crate) fn sip_addr(&self) -> SocketAddr {
        self.server.local_addrs()[0]
    }

    pub(crate) fn shutdown(self) -> Totals {
        self.server.shutdown()
    }

    pub(crate) fn counted(&self, outcome: &str) -> u64 {
        self.server.totals().api.get(outcome).copied().unwrap_or(0)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        std::fs::write(self.tables().join(file), text).unwrap();
    }

    pub(crate) fn tables(&self) -> &Path {
        self.server.tables().folder()
    }
}

/// The text of the token of a role.
pub(crate) fn text(role: Role) -> String {
    token_text(&[role as u8 + 1; 32])
}

fn token(role: Role) -> Token {
    Token {
        name: format!("the {}", role.as_str()),
        secret: Secret::of(text(role).as_bytes()),
        role,
        expires: None,
        networks: Vec::new(),
    }
}

#[test]
fn the_local_socket_tells_what_runs() {
    let server = Administered::open();
    let status = server.get("/status");
    assert_eq!(status["generation"]["number"], 1);
    assert_eq!(status["may_change"], true);
    assert_eq!(server.get("/version")["api"], "v1");
    assert_eq!(server.local().get("/readyz").text, "ready\n");
    assert!(
        server
            .local()
            .get("/metrics")
            .text
            .contains("trunkline_table_rules 3")
    );
    use std::os::unix::fs::PermissionsExt as _;
    let mode = std::fs::metadata(server.path("api.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let socket = server.path("api.sock");
    let _ = server.server.shutdown();
    assert!(!socket.exists());
}
