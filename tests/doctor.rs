//! `trunkline doctor`: everything that can be broken, broken, and what it says then.
#![allow(clippy::unwrap_used)] // a test says so by failing

use std::collections::BTreeSet;
use std::fs;
use std::net::{TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;

use serde_json::Value;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_rustls::rustls::{ServerConfig, ServerConnection, StreamOwned};
use trunkline::doctor::Check;

/// A folder with a configuration and a table.
struct Ground(tempfile::TempDir);

/// What was said: the exit code and the findings.
struct Said {
    code: i32,
    json: Value,
}

const REDIRECT: &str =
    "[[listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"udp\"\nmode = \"redirect\"\n";
const PROXY: &str =
    "[[listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"udp\"\nmode = \"proxy\"\n";

impl Ground {
    /// A table whose one trunk has this address, and this configuration.
    fn new(trunk: &str, config: &str) -> Self {
        let ground = Self(tempfile::tempdir().unwrap());
        fs::create_dir(ground.path("table")).unwrap();
        let table = format!(
            "[trunk_group.pstn]\naccept_from = [\"127.0.0.1\"]\ntrunks = [\"pstn-1\"]\n\n\
             [trunk.pstn-1]\naddress = \"{trunk}\"\n\n\
             [[rule]]\nname = \"All\"\ncalled = [\"*\", \"emergency\"]\nroute_to = [\"pstn\"]\n"
        );
        fs::write(ground.path("table/routing.toml"), table).unwrap();
        ground.configure(config);
        ground
    }

    fn configure(&self, config: &str) {
        let own = "\n[state]\ndir = \"state\"\n\n[control]\nsocket = \"control.sock\"\n";
        let text = format!("tables = \"table\"\n{config}{own}");
        fs::write(self.path("trunkline.toml"), text).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn doctor(&self, more: &[&str]) -> Said {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.args(["doctor", "--json", "--config"]);
        let output = command.arg(self.path("trunkline.toml")).args(more).output();
        let output = output.unwrap();
        let json: Value = serde_json::from_slice(&output.stdout).unwrap();
        let said = Said {
            code: output.status.code().unwrap(),
            json,
        };
        said.holds_what_is_promised();
        said
    }
}

impl Said {
    /// The sentences of a check with this verdict.
    fn of(&self, check: &str, verdict: &str) -> Vec<String> {
        let findings = self.json["findings"].as_array().unwrap().iter();
        let wanted = findings.filter(|f| f["check"] == check && f["verdict"] == verdict);
        wanted
            .map(|f| {
                format!(
                    "{}: {}",
                    f["subject"].as_str().unwrap(),
                    f["says"].as_str().unwrap()
                )
            })
            .collect()
    }

    /// That one of a check has this verdict and says this.
    fn has(&self, check: &str, verdict: &str, words: &str) {
        let found = self.of(check, verdict);
        assert!(
            found.iter().any(|says| says.contains(words)),
            "{check} {verdict} {words}: {:#}",
            self.json
        );
    }

    /// Exit code and verdicts agree, and whatever is broken has a remedy.
    fn holds_what_is_promised(&self) {
        assert_eq!(self.json["schema"], "trunkline.doctor/1");
        let findings = self.json["findings"].as_array().unwrap();
        let broken = findings.iter().any(|f| f["verdict"] == "failed");
        assert_eq!(self.json["ok"], !broken);
        assert_eq!(self.code, i32::from(broken), "{:#}", self.json);
        for finding in findings {
            let wants = finding["verdict"] == "failed" || finding["verdict"] == "warning";
            assert!(!wants || finding["fix"].is_string(), "{finding}");
        }
    }
}

#[test]
fn a_sound_server_that_does_not_run() {
    let ground = Ground::new("sip:pstn.route", REDIRECT);
    let said = ground.doctor(&[]);
    assert_eq!(said.code, 0, "{:#}", said.json);
    for (check, words) in [
        ("configuration", "can be read"),
        ("table", "0 DIDs, 1 rules"),
        ("port", "is free"),
        ("state", "is made at the start"),
        ("state", "MiB free"),
        ("source", "there is a way back"),
    ] {
        said.has(check, "ok", words);
    }
    said.has("server", "warning", "no such socket");
    said.has("trunk", "left_out", "labels");
    assert_eq!(
        fs::read_dir(ground.path("")).unwrap().count(),
        2,
        "nothing is made"
    );
}

#[test]
fn a_server_that_runs() {
    let ground = Ground::new("sip:pstn.route", REDIRECT);
    let mut server = Command::new(env!("CARGO_BIN_EXE_trunkline"))
        .args(["run", "--config"])
        .arg(ground.path("trunkline.toml"))
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let status = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.arg("healthcheck").arg("--socket");
        command
            .arg(ground.path("control.sock"))
            .output()
            .unwrap()
            .status
            .success()
    };
    while !status() {
        assert!(server.try_wait().unwrap().is_none());
        thread::sleep(std::time::Duration::from_millis(20));
    }
    let said = ground.doctor(&[]);
    fs::write(ground.path("table/cases.toml"), "[broken").unwrap();
    let broken = ground.doctor(&[]);
    fs::remove_file(ground.path("table/cases.toml")).unwrap();
    let more = fs::read_to_string(ground.path("table/routing.toml")).unwrap();
    fs::write(
        ground.path("table/routing.toml"),
        more.replace("All", "All of them"),
    )
    .unwrap();
    let changed = ground.doctor(&[]);
    server.kill().unwrap();
    server.wait().unwrap();
    assert_eq!(said.code, 0, "{:#}", said.json);
    said.has("server", "ok", "serves gen 1");
    said.has("group", "ok", "1 of 1 trunks take calls");
    said.has("state", "ok", "is its owner's alone");
    broken.has("table", "failed", "cases.toml");
    broken.has("server", "ok", "serves gen 1");
    changed.has("server", "warning", "changes that do not serve");
}

/// Numbers are hidden in whatever is passed on, also where the log shows them.
#[test]
fn a_support_dump_has_no_number() {
    let ground = Ground::new(
        "sip:pstn.route",
        &format!("{REDIRECT}[log]\nfile = \"log\"\n"),
    );
    let line = "trunkline route +442079460123 --from pstn --calling 02079461234 # 302\n";
    fs::write(ground.path("log"), line.repeat(20_000)).unwrap();
    let dump = ground.path("dump");
    let run = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trunkline"));
        command.arg("support-dump").arg(&dump).arg("--config");
        command.arg(ground.path("trunkline.toml")).output().unwrap()
    };
    let output = run();
    let contents = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{contents}");
    assert!(
        contents.contains("status.json    left out: no server answers"),
        "{contents}"
    );
    assert!(
        contents.contains("log.txt        the end of the log"),
        "{contents}"
    );
    assert_eq!(
        fs::metadata(&dump).unwrap().permissions().mode() & 0o777,
        0o700
    );
    let log = fs::read_to_string(dump.join("log.txt")).unwrap();
    assert!((400_000..=512 << 10).contains(&log.len()), "{}", log.len());
    let hidden = "trunkline route +xxxxxxxxxx23 --from pstn --calling xxxxxxxxx34 # 302";
    assert!(
        log.lines().all(|line| line == hidden),
        "{:?}",
        log.lines().next()
    );
    for file in fs::read_dir(&dump).unwrap() {
        let text = fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(!text.contains("2079460123") && !text.contains("2079461234"));
    }
    assert!(
        !run().status.success(),
        "a folder that is there is nobody's to overwrite"
    );
}

#[test]
fn what_is_broken_here() {
    let ground = Ground::new("sip:pstn.route", REDIRECT);
    fs::write(
        ground.path("table/routing.toml"),
        "[trunk.a]\naddress = \"EDIT\"\n",
    )
    .unwrap();
    ground.doctor(&[]).has("table", "failed", "routing.toml:2:");
    ground.configure("[[listen]]\n");
    let said = ground.doctor(&[]);
    said.has("configuration", "failed", "trunkline.toml:");
    assert!(said.of("table", "failed").is_empty(), "nothing is guessed");
    let held = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = held.local_addr().unwrap().port();
    let ground = Ground::new(
        "sip:pstn.route",
        &REDIRECT.replace(":0", &format!(":{port}")),
    );
    ground
        .doctor(&[])
        .has("port", "failed", "another process holds this port");
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let metrics = format!(
        "{REDIRECT}[metrics]\naddress = \"{}\"\n",
        web.local_addr().unwrap()
    );
    ground.configure(&metrics);
    ground
        .doctor(&[])
        .has("port", "failed", "another process holds this port");
    // A state folder others can look into, and one that is a file.
    fs::create_dir(ground.path("state")).unwrap();
    fs::set_permissions(ground.path("state"), fs::Permissions::from_mode(0o755)).unwrap();
    ground
        .doctor(&[])
        .has("state", "warning", "others can read numbers");
    fs::remove_dir(ground.path("state")).unwrap();
    fs::write(ground.path("state"), "").unwrap();
    ground.doctor(&[]).has("state", "failed", "is no folder");
    // A table that knows nobody, and one that knows somebody of the other kind.
    let table = fs::read_to_string(ground.path("table/routing.toml")).unwrap();
    let strange = |with: &str| {
        let text = table.replace("accept_from = [\"127.0.0.1\"]\n", with);
        fs::write(ground.path("table/routing.toml"), text).unwrap();
        ground.doctor(&[])
    };
    strange("accept_from = [\"2001:db8::1\"]\n").has("source", "warning", "no listener");
    strange("").has("source", "failed", "everybody gets 403");
}

#[test]
fn secrets_names_and_trunks_of_a_proxy() {
    let dead = UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = format!("[dns]\nservers = [\"{}\"]\n", dead.local_addr().unwrap());
    drop(dead);
    let ground = Ground::new("sip:pstn.trunkline.invalid", &format!("{PROXY}{servers}"));
    let said = ground.doctor(&[]);
    said.has("secret", "warning", "none is kept");
    said.has("name", "failed", "pstn.trunkline.invalid");
    said.has("trunk", "left_out", "--connect");
    let ground = Ground::new("sip:127.0.0.1:9;transport=tcp", PROXY);
    let said = ground.doctor(&[]);
    said.has(
        "trunk",
        "failed",
        "no proxy listener has its transport, tcp",
    );
    ground.configure(&format!("{PROXY}[proxy]\nsecret_file = \"secret\"\n"));
    ground
        .doctor(&[])
        .has("secret", "ok", "is made at the start");
    fs::write(ground.path("secret"), "short").unwrap();
    fs::set_permissions(ground.path("secret"), fs::Permissions::from_mode(0o600)).unwrap();
    ground
        .doctor(&[])
        .has("secret", "failed", "32 hexadecimal digits");
}

/// One that answers OPTIONS, one that is silent, one where nobody is.
#[test]
fn trunks_are_asked() {
    let trunk = UdpSocket::bind("127.0.0.1:0").unwrap();
    let place = trunk.local_addr().unwrap();
    let ground = Ground::new(&format!("sip:{place}"), PROXY);
    ground
        .doctor(&["--connect"])
        .has("trunk", "failed", "does not answer OPTIONS");
    thread::spawn(move || {
        let mut room = [0; 65_535];
        // What was sent while it was silent lies there still.
        trunk
            .set_read_timeout(Some(std::time::Duration::from_secs(60)))
            .unwrap();
        while let Ok((length, from)) = trunk.recv_from(&mut room) {
            let request = String::from_utf8_lossy(&room[..length]).into_owned();
            assert!(
                request.starts_with(&format!("OPTIONS sip:{place} SIP/2.0\r\n")),
                "{request}"
            );
            let answer =
                request.replacen(&format!("OPTIONS sip:{place} SIP/2.0"), "SIP/2.0 405 No", 1);
            trunk.send_to(answer.as_bytes(), from).unwrap();
        }
    });
    ground
        .doctor(&["--connect"])
        .has("trunk", "ok", "answers OPTIONS: 405");
    let nobody = UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let ground = Ground::new(&format!("sip:{nobody}"), PROXY);
    assert_eq!(ground.doctor(&["--connect"]).of("trunk", "failed").len(), 1);
}

struct Paper {
    pem: String,
    key: String,
    der: Vec<u8>,
    key_der: Vec<u8>,
}

fn paper(names: &[&str], change: impl FnOnce(&mut rcgen::CertificateParams)) -> Paper {
    let key = rcgen::KeyPair::generate().unwrap();
    let names: Vec<String> = names.iter().map(ToString::to_string).collect();
    let mut parameters = rcgen::CertificateParams::new(names).unwrap();
    change(&mut parameters);
    let certificate = parameters.self_signed(&key).unwrap();
    Paper {
        pem: certificate.pem(),
        key: key.serialize_pem(),
        der: certificate.der().to_vec(),
        key_der: key.serialize_der(),
    }
}

#[test]
fn certificates_of_ours() {
    let tls = "[[listen]]\naddress = \"127.0.0.1:0\"\ntransport = \"tls\"\nmode = \"redirect\"\n\
               certificate = \"own.pem\"\nkey = \"own.key\"\n";
    let ground = Ground::new("sip:pstn.route", tls);
    ground.doctor(&[]).has("certificate", "failed", "own.pem");
    let shown = |paper: &Paper| {
        fs::write(ground.path("own.pem"), &paper.pem).unwrap();
        fs::write(ground.path("own.key"), &paper.key).unwrap();
        ground.doctor(&[])
    };
    let year = |year| rcgen::date_time_ymd(year, 1, 1);
    let sound = paper(&["sbc.example.net"], |p| p.not_after = year(2199));
    shown(&sound).has("certificate", "ok", "sbc.example.net, until 2199-01-01");
    shown(&sound).has("certificate", "warning", "anybody may connect");
    let expired = paper(&["sbc.example.net"], |p| p.not_after = year(2020));
    shown(&expired).has("certificate", "failed", "expired 2020-01-01");
    let early = paper(&["sbc.example.net"], |p| p.not_before = year(2198));
    shown(&early).has("certificate", "failed", "not valid before 2198-01-01");
    let usage = |usage| {
        paper(&["sbc.example.net"], |p| {
            p.extended_key_usages = vec![usage];
        })
    };
    let client = usage(rcgen::ExtendedKeyUsagePurpose::ClientAuth);
    shown(&client).has("certificate", "failed", "does not hold serverAuth");
    let nameless = paper(&[], |_| {});
    shown(&nameless).has("certificate", "failed", "no subject alternative name");
    let other = paper(&["other.example"], |p| {
        p.distinguished_name
            .push(rcgen::DnType::CommonName, "somebody else");
    });
    let pair = Paper {
        pem: format!("{}{}", sound.pem, other.pem),
        ..paper(&[], |_| {})
    };
    fs::write(ground.path("own.pem"), &pair.pem).unwrap();
    fs::write(ground.path("own.key"), &sound.key).unwrap();
    ground
        .doctor(&[])
        .has("certificate", "failed", "stands another certificate");
    let soon = jiff::Timestamp::now() + jiff::SignedDuration::from_hours(5 * 24);
    let soon = soon.to_zoned(jiff::tz::TimeZone::UTC).date();
    let (month, day) = (soon.month().unsigned_abs(), soon.day().unsigned_abs());
    let ending = paper(&["sbc.example.net"], |p| {
        p.not_after = rcgen::date_time_ymd(i32::from(soon.year()), month, day);
    });
    shown(&ending).has("certificate", "warning", "sbc.example.net, until");
    // One that a proxy shows to a trunk, for servers only.
    let server = usage(rcgen::ExtendedKeyUsagePurpose::ServerAuth);
    fs::write(ground.path("ca.pem"), &sound.pem).unwrap();
    shown(&server);
    ground.configure(&format!(
        "{PROXY}[[tls_peer]]\naddress = \"127.0.0.1\"\nname = \"sip.carrier.example\"\n\
         ca = \"ca.pem\"\ncertificate = \"own.pem\"\nkey = \"own.key\"\n"
    ));
    let said = ground.doctor(&[]);
    said.has("certificate", "failed", "does not hold clientAuth");
}

#[test]
fn certificates_of_peers() {
    let trunk = TcpListener::bind("127.0.0.1:0").unwrap();
    let place = trunk.local_addr().unwrap();
    let shown = paper(&["sip.carrier.example"], |_| {});
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let key = PrivatePkcs8KeyDer::from(shown.key_der.clone()).into();
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![shown.der.clone().into()], key)
        .unwrap();
    let config = Arc::new(config);
    thread::spawn(move || {
        for stream in trunk.incoming() {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = StreamOwned::new(connection, stream.unwrap());
            let mut room = [0; 4_096];
            if let Ok(length) = std::io::Read::read(&mut stream, &mut room) {
                let request = String::from_utf8_lossy(&room[..length]).into_owned();
                let (_, rest) = request.split_once("\r\n").unwrap();
                let answer = format!("SIP/2.0 200 OK\r\n{rest}");
                std::io::Write::write_all(&mut stream, answer.as_bytes()).unwrap();
            }
        }
    });
    let with = |name: &str| {
        let listen = PROXY.replace("\"udp\"", "\"tls\"");
        let config = format!(
            "{listen}certificate = \"own.pem\"\nkey = \"own.key\"\n\n\
             [[tls_peer]]\naddress = \"127.0.0.1\"\nname = \"{name}\"\nca = \"ca.pem\"\n"
        );
        let ground = Ground::new(&format!("sip:{place};transport=tls"), &config);
        let own = paper(&["sbc.example.net"], |_| {});
        fs::write(ground.path("own.pem"), own.pem).unwrap();
        fs::write(ground.path("own.key"), own.key).unwrap();
        fs::write(ground.path("ca.pem"), &shown.pem).unwrap();
        ground.doctor(&["--connect"])
    };
    let said = with("sip.carrier.example");
    said.has("peer_certificate", "ok", "sip.carrier.example, until");
    said.has("trunk", "ok", "answers OPTIONS: 200");
    let said = with("sip.other.example");
    said.has(
        "peer_certificate",
        "failed",
        "its certificate is for another name",
    );
}

/// Every check is explained, and every page it sends people to has the section.
#[test]
fn every_check_is_explained() {
    let docs = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs");
    let page = fs::read_to_string(docs.join("cli.md")).unwrap();
    let section = page.split("## `trunkline doctor`").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let explained: BTreeSet<&str> = (section.lines())
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    let known: BTreeSet<&str> = Check::ALL.iter().map(|check| check.as_str()).collect();
    assert_eq!(explained, known);
    for check in Check::ALL {
        let (file, section) = check.page().split_once('#').unwrap_or((check.page(), ""));
        let text = fs::read_to_string(docs.join(file)).unwrap();
        let headings = text
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(anchor);
        let found = section.is_empty() || headings.into_iter().any(|anchor| anchor == section);
        assert!(found, "{} of {}", check.page(), check.as_str());
    }
}

/// What a heading is called in a link.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}
