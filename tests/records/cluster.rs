//! A PostgreSQL of the test's own, on a Unix socket: as Debian has it, run as nobody where we
//! are root, for it refuses to be.

use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt as _, chown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use tempfile::TempDir;

use crate::ca::Identity;

const NOBODY: u32 = 65_534;
const PORT: u16 = 5432;
const TABLE: &str = include_str!("../../docs/records.sql");

pub(crate) struct Cluster {
    folder: TempDir,
    programs: PathBuf,
    process: Option<Child>,
    runtime: tokio::runtime::Runtime,
    /// Where it takes TLS and a password, too.
    locked: Option<u16>,
}

impl Cluster {
    /// Makes one, starts it, and makes the table.
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir_in(place()).unwrap();
        let all = std::fs::Permissions::from_mode(0o755);
        std::fs::set_permissions(folder.path(), all).unwrap();
        if is_root() {
            chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let mut cluster = Self {
            folder,
            programs: programs(),
            process: None,
            runtime,
            locked: None,
        };
        let made = cluster
            .command("initdb")
            .args([
                "-A",
                "trust",
                "-U",
                "trunkline",
                "-E",
                "UTF8",
                "--no-locale",
                "--no-sync",
                "-D",
            ])
            .arg(cluster.folder.path().join("data"))
            .output()
            .unwrap();
        assert!(
            made.status.success(),
            "{}",
            String::from_utf8_lossy(&made.stderr)
        );
        cluster.start();
        cluster.ask(TABLE);
        cluster
    }

    /// For the configuration.
    pub(crate) fn way(&self) -> String {
        let port = self.locked.unwrap_or(PORT);
        format!(
            "host={} port={port} user=trunkline dbname=postgres",
            self.folder.path().display()
        )
    }

    /// Has it take connections over TCP as well: under TLS, with this certificate, and with
    /// this password. Returns the port.
    pub(crate) fn lock(&mut self, identity: &Identity, password: &str) -> u16 {
        self.ask(&format!("ALTER USER trunkline PASSWORD '{password}'"));
        self.stop();
        let data = self.folder.path().join("data");
        let write = |name: &str, text: &str| {
            let path = data.join(name);
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
            if is_root() {
                chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        };
        write("server.crt", &identity.chain);
        write("server.key", &identity.key);
        let who = "local all all trust\nhostssl all trunkline 127.0.0.1/32 scram-sha-256\n";
        write("pg_hba.conf", who);
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        self.locked = Some(port);
        self.start();
        port
    }

    pub(crate) const fn is_up(&self) -> bool {
        self.process.is_some()
    }

    pub(crate) fn start(&mut self) {
        // After a kill its children may hold its memory for a moment.
        for _ in 0..100 {
            let process = self
                .command("postgres")
                .arg("-D")
                .arg(self.folder.path().join("data"))
                .arg("-k")
                .arg(self.folder.path())
                .args(["-c", "fsync=off", "-c", "max_wal_size=4GB"])
                .args(match self.locked {
                    Some(port) => vec![
                        String::from("-c"),
                        String::from("listen_addresses=127.0.0.1"),
                        String::from("-c"),
                        String::from("ssl=on"),
                        format!("-p{port}"),
                    ],
                    None => vec![String::from("-c"), String::from("listen_addresses=")],
                })
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            self.process = Some(process);
            for _ in 0..300 {
                if self.try_ask("SELECT 1").is_some() {
                    return;
                }
                if self.process.as_mut().unwrap().try_wait().unwrap().is_some() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(100));
            }
        }
        panic!("PostgreSQL does not start");
    }

    /// It goes in the middle of whatever it does.
    pub(crate) fn kill(&mut self) {
        let mut process = self.process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// It ends whatever is asked, and goes.
    pub(crate) fn stop(&mut self) {
        let mut process = self.process.take().unwrap();
        let id = process.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-INT", &id])
                .status()
                .unwrap()
                .success()
        );
        process.wait().unwrap();
    }

    /// Runs a statement, or several.
    pub(crate) fn ask(&self, statements: &str) {
        self.runtime.block_on(async {
            let client = self.client().await.unwrap();
            client.batch_execute(statements).await.unwrap();
        });
    }

    /// The first column of a query, as text.
    pub(crate) fn column(&self, query: &str) -> Vec<String> {
        self.runtime.block_on(async {
            let client = self.client().await.unwrap();
            let rows = client.query(query, &[]).await.unwrap();
            rows.iter().map(|row| row.get(0)).collect()
        })
    }

    fn try_ask(&self, statement: &str) -> Option<()> {
        self.runtime
            .block_on(async { self.client().await?.batch_execute(statement).await.ok() })
    }

    async fn client(&self) -> Option<tokio_postgres::Client> {
        let connected = tokio_postgres::connect(&self.way(), tokio_postgres::NoTls).await;
        let (client, connection) = connected.ok()?;
        tokio::spawn(async { drop(connection.await) });
        Some(client)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(self.programs.join(program));
        command
            .current_dir(self.folder.path())
            .stdout(Stdio::null());
        if is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.process.is_some() {
            self.kill();
        }
    }
}

/// Under target/, where nobody can go there and the path of the socket is short enough.
fn place() -> PathBuf {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let mut way = target.ancestors();
    let is_open = |folder: &Path| {
        let mode = std::fs::metadata(folder).map(|found| found.permissions().mode());
        mode.is_ok_and(|mode| mode & 0o001 != 0)
    };
    let is_short = target.as_os_str().len() < 60;
    if is_short && (!is_root() || way.all(is_open)) {
        return target.to_owned();
    }
    std::env::temp_dir()
}

fn is_root() -> bool {
    trunkline::system::own_uid() == 0
}

/// Debian keeps each release apart, and out of the PATH.
fn programs() -> PathBuf {
    let releases = std::fs::read_dir("/usr/lib/postgresql")
        .into_iter()
        .flatten();
    let mut found: Vec<_> = releases
        .flatten()
        .map(|release| release.path().join("bin"))
        .collect();
    found.sort();
    let found = found.into_iter().rfind(|bin| bin.join("postgres").exists());
    found.expect("PostgreSQL is not there: tests/install pg_lsclusters=postgresql")
}
