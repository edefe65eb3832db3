//! The server as a process of its own, a trunk behind it, and what the process uses.

use std::fmt;
use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::{Child, Command};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned, crypto::ring};

use crate::Tls;
use crate::ca::Ca;
use crate::words::response;

/// A proxy over UDP, TCP and TLS, which knows all of 127.0.0.0/8.
pub(crate) struct Process {
    pub(crate) udp: SocketAddr,
    pub(crate) tcp: SocketAddr,
    pub(crate) tls: SocketAddr,
    /// One storm at a time: each wants the machine.
    _alone: MutexGuard<'static, ()>,
    child: Child,
    folder: TempDir,
    client: Arc<ClientConfig>,
    began: Usage,
}

static ALONE: Mutex<()> = Mutex::new(());

/// What the process uses at a moment.
pub(crate) struct Usage {
    pub(crate) descriptors: usize,
    pub(crate) resident_kib: usize,
    most_kib: usize,
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (now, most) = (self.resident_kib / 1_024, self.most_kib / 1_024);
        write!(
            f,
            "{} descriptors {now} MiB (most {most})",
            self.descriptors
        )
    }
}

impl Process {
    /// Starts one, with at most so many descriptors.
    pub(crate) fn start(descriptors: Option<usize>) -> Self {
        // A storm that failed has left nothing half done.
        let alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
        raise_own_limit();
        let folder = tempfile::tempdir().unwrap();
        let ca = Ca::new();
        ca.write(folder.path(), "own", &ca.issue("trunkline.test"));
        let [udp, tcp, tls] = free_addresses();
        let text = |name: &str, text: String| fs::write(folder.path().join(name), text).unwrap();
        fs::create_dir(folder.path().join("table")).unwrap();
        text(
            "table/routing.toml",
            format!(
                "[trunk.t]\naddress = \"sip:{}\"\n[trunk_group.all]\ntrunks = [\"t\"]\n\
                 accept_from = [\"127.0.0.0/8\"]\n\
                 [[rule]]\nname = \"All\"\ncalled = [\"*\"]\nroute_to = [\"all\"]\n",
                start_trunk()
            ),
        );
        let listen = |address: SocketAddr, transport: &str| {
            format!(
                "[[listen]]\naddress = \"{address}\"\ntransport = \"{transport}\"\nmode = \"proxy\"\n"
            )
        };
        text(
            "trunkline.toml",
            format!(
                "tables = \"table\"\nworkers = 2\ndrain_timeout = \"1s\"\n\
                 [log]\nfile = \"server.log\"\ndecisions = false\n{}{}{}\
                 certificate = \"own.pem\"\nkey = \"own.key\"\n",
                listen(udp, "udp"),
                listen(tcp, "tcp"),
                listen(tls, "tls"),
            ),
        );
        let limit = descriptors.map_or(String::from("-n $(ulimit -Hn)"), |count| {
            format!("-n {count}")
        });
        let child = Command::new("sh")
            .args([
                "-c",
                &format!("ulimit {limit}; exec \"$0\" run --config \"$1\""),
            ])
            .arg(env!("CARGO_BIN_EXE_trunkline"))
            .arg(folder.path().join("trunkline.toml"))
            .spawn()
            .unwrap();
        let client = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(ca.roots())
            .with_no_client_auth();
        let mut process = Self {
            udp,
            tcp,
            tls,
            _alone: alone,
            child,
            folder,
            client: Arc::new(client),
            began: Usage {
                descriptors: 0,
                resident_kib: 0,
                most_kib: 0,
            },
        };
        let deadline = Instant::now() + Duration::from_secs(60);
        while TcpStream::connect(process.tls).is_err() {
            assert!(Instant::now() < deadline, "it did not start");
            thread::sleep(Duration::from_millis(10));
        }
        process.began = process.usage();
        process
    }

    /// TLS over a connection; the handshake happens with the first bytes.
    pub(crate) fn over_tls(&self, stream: TcpStream) -> Tls {
        stream
            .set_read_timeout(Some(Duration::from_secs(60)))
            .unwrap();
        let name = ServerName::try_from("trunkline.test").unwrap();
        let session = ClientConnection::new(Arc::clone(&self.client), name).unwrap();
        StreamOwned::new(session, stream)
    }

    pub(crate) fn client(&self) -> Arc<ClientConfig> {
        Arc::clone(&self.client)
    }

    pub(crate) fn usage(&self) -> Usage {
        let of = format!("/proc/{}", self.child.id());
        let status = fs::read_to_string(format!("{of}/status")).unwrap();
        let kib = |key: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(key));
            let digits = line.unwrap().trim().trim_end_matches(" kB");
            digits.parse().unwrap()
        };
        Usage {
            descriptors: fs::read_dir(format!("{of}/fd")).unwrap().count(),
            resident_kib: kib("VmRSS:"),
            most_kib: kib("VmHWM:"),
        }
    }

    /// Ends it as an operator would: it had no defect, and never used more memory than so
    /// many connections may cost. The line of its log with its counters.
    pub(crate) fn end_soundly(mut self, connections: usize) -> String {
        const CONNECTION_KIB_MAX: usize = 100;
        const REST_KIB_MAX: usize = 64 << 10;
        let most = self.usage().most_kib - self.began.resident_kib;
        let bound = connections * CONNECTION_KIB_MAX + REST_KIB_MAX;
        assert!(most <= bound, "{most} KiB for {connections} connections");
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        assert!(self.child.wait().unwrap().success());
        let log = fs::read_to_string(self.folder.path().join("server.log")).unwrap();
        assert!(!log.contains("defect"), "{log}");
        let counted = log.lines().rfind(|line| line.contains(" INFO requests "));
        counted.unwrap().to_owned()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Of a test that failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// As many descriptors as the system allows this process.
fn raise_own_limit() {
    let pid = std::process::id().to_string();
    let hard = Command::new("sh").args(["-c", "ulimit -Hn"]).output();
    let hard = String::from_utf8(hard.unwrap().stdout).unwrap();
    let limit = format!("--nofile={0}:{0}", hard.trim());
    let raised = Command::new("prlimit")
        .args(["--pid", &pid, &limit])
        .status();
    assert!(raised.unwrap().success());
}

fn free_addresses() -> [SocketAddr; 3] {
    // Held until all are drawn, so that no two are the same.
    let drawn = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    drawn.map(|listener| listener.local_addr().unwrap())
}

/// A trunk that takes every call at once; it ends with this process.
fn start_trunk() -> SocketAddr {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut room = [0; 65_536];
        while let Ok((length, from)) = socket.recv_from(&mut room) {
            let request = String::from_utf8_lossy(&room[..length]);
            if !request.starts_with("ACK ") {
                let answer = response(&request, 200, address);
                socket.send_to(answer.as_bytes(), from).unwrap();
            }
        }
    });
    address
}
