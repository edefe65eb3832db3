//! A configuration as its file would say it with nothing left out.

use std::path::Path;
use std::time::Duration;

use tokio_postgres::config::Host;
use toml::{Table, Value};

use super::hep::{DECISION, RECORDS, SIP};
use super::log::{FACILITIES, FORMATS};
use super::{ApiConfig, Config, HepConfig, HttpConfig, ListenerConfig, Mode, RecordsConfig};
use crate::observe::{LogSettings, MaskNumbers, SyslogSettings};
use crate::records::{
    FileSettings, Format, PostgresSettings, PostgresTls, SinkSettings, Target, WhenFull,
};
use crate::transport::{Authority, Clients, ListenerTls, OutletOver, OutletTo, PeerAt, PeerTls};

/// What stands for the hash of an account's secret: who reads a configuration that was passed on
/// has nothing to try secrets against.
pub const HIDDEN: &str = "hidden";

impl Config {
    /// The keys of the file with the values in force, defaults included; keys that have none are
    /// left out. Relative paths are seen from the folder of the process, as they are used.
    /// Secrets are [`HIDDEN`].
    #[must_use]
    pub fn in_force(&self) -> Table {
        // Every field by name: one that is added is missed here by the compiler.
        let Self {
            tables,
            listeners,
            workers,
            log,
            log_decisions,
            mask_numbers,
            drain_timeout,
            server_header,
            proxy,
            tls_peers,
            keeping,
            control,
            dns_servers,
            http,
            metrics,
            metrics_tls,
            api: admin,
            records,
            hep,
        } = self;
        let mut root = Entries::default();
        root.put("tables", path(tables));
        root.put("workers", number(*workers));
        root.put("drain_timeout", duration(*drain_timeout));
        root.maybe("server_header", server_header.clone());
        root.all("listen", listeners.iter().map(listener));
        root.all("tls_peer", tls_peers.iter().map(tls_peer));
        root.section("proxy", |table| {
            table.maybe("secret_file", proxy.secret_file.as_deref().map(path));
            table.put("calls_max", number(proxy.calls_max));
            table.maybe("calls_per_source", proxy.calls_per_source.map(i64::from));
        });
        root.section("state", |table| {
            table.maybe("dir", keeping.folder.as_deref().map(path));
            table.put("keep", number(keeping.keep));
        });
        root.section("control", |table| {
            table.maybe("socket", control.socket.as_deref().map(path));
            table.put("users", texts(&control.users));
            table.put("groups", texts(&control.groups));
        });
        if let Some(http) = http {
            root.put("http", questions(http));
        }
        if let Some(address) = metrics {
            root.section("metrics", |table| {
                table.put("address", address.to_string());
                certificates(metrics_tls.as_ref(), table);
            });
        }
        root.section("api", |table| api(admin, table));
        if !dns_servers.is_empty() {
            root.section("dns", |table| table.put("servers", texts(dns_servers)));
        }
        root.section("records", |table| call_records(records, table));
        if let Some(hep) = hep {
            root.section("hep", |table| capture(hep, table));
        }
        root.section("log", |table| {
            log_lines(log, table);
            table.put("decisions", *log_decisions);
        });
        root.section("privacy", |table| {
            table.put("mask_numbers", mask(*mask_numbers));
        });
        root.0
    }
}

fn listener(listener: &ListenerConfig) -> Value {
    let ListenerConfig {
        address,
        transport,
        tls,
        name,
        mode,
        stateful,
        advertise,
        alias,
    } = listener;
    let mut table = Entries::default();
    table.put("address", address.to_string());
    table.put("transport", transport.as_str());
    let mode = match mode {
        Mode::Redirect => "redirect",
        Mode::Proxy => "proxy",
    };
    table.put("mode", mode);
    table.maybe("name", Some(name.clone()).filter(|name| !name.is_empty()));
    // Keys of the other mode or transport are refused where they say nothing else than now.
    table.maybe("stateful", stateful.then_some(true));
    let advertised = advertise.map(|advertised| match advertised.port {
        Some(port) => std::net::SocketAddr::new(advertised.ip, port).to_string(),
        None => advertised.ip.to_string(),
    });
    table.maybe("advertise", advertised);
    table.maybe("alias", alias.then_some(true));
    certificates(tls.as_ref(), &mut table);
    table.0.into()
}

/// The keys of TLS of whatever listens.
fn certificates(tls: Option<&ListenerTls>, table: &mut Entries) {
    let Some(tls) = tls else {
        return;
    };
    table.put("certificate", path(&tls.certificate));
    table.put("key", path(&tls.key));
    match &tls.clients {
        Clients::Unasked => table.put("client", "off"),
        Clients::Asked {
            authorities,
            is_optional,
            names,
        } => {
            let client = if *is_optional { "optional" } else { "required" };
            table.put("client", client);
            table.put("client_ca", path(authorities));
            let names: Vec<_> = names.iter().map(|name| name.to_str()).collect();
            table.put("client_names", texts(&names));
        }
    }
}

fn api(api: &ApiConfig, table: &mut Entries) {
    let ApiConfig {
        socket,
        listen,
        tls,
        tokens,
        audit,
    } = api;
    table.maybe("socket", socket.as_deref().map(path));
    table.maybe("listen", listen.map(|address| address.to_string()));
    certificates(tls.as_ref(), table);
    let is_open = listen.is_some_and(|address| !address.ip().is_loopback());
    table.maybe("insecure", (is_open && tls.is_none()).then_some(true));
    table.maybe("audit", audit.as_deref().map(path));
    table.section("token", |all| {
        for token in tokens {
            all.section(&token.name, |table| {
                table.put("sha256", HIDDEN);
                table.put("role", token.role.as_str());
                let expires = token.expires.map(|expires| expires.to_string());
                table.maybe("expires", expires);
                if !token.networks.is_empty() {
                    table.put("networks", texts(&token.networks));
                }
            });
        }
    });
}

fn tls_peer(peer: &PeerTls) -> Value {
    let PeerTls {
        at,
        name,
        authority,
        own,
        wildcards,
    } = peer;
    let mut table = Entries::default();
    let address = match at {
        PeerAt::Address(ip, Some(port)) => std::net::SocketAddr::new(*ip, *port).to_string(),
        PeerAt::Address(ip, None) => ip.to_string(),
        PeerAt::Host(host) => host.to_string(),
    };
    table.put("address", address);
    table.put("name", &*name.to_str());
    table.put("ca", believed(authority));
    if let Some((certificate, key)) = own {
        table.put("certificate", path(certificate));
        table.put("key", path(key));
    }
    table.put("wildcards", *wildcards);
    table.0.into()
}

fn questions(http: &HttpConfig) -> Table {
    let HttpConfig {
        address,
        template,
        tls,
        accounts,
    } = http;
    let mut table = Entries::default();
    table.put("address", address.to_string());
    table.put("answer", template.text());
    table.put("rejected", template.rejected());
    certificates(tls.as_ref(), &mut table);
    table.section("account", |all| {
        for account in accounts {
            all.section(&account.name, |table| {
                table.put("secret_sha256", HIDDEN);
                table.maybe("trunk_group", account.trunk_group.clone());
            });
        }
    });
    table.0
}

fn call_records(records: &RecordsConfig, table: &mut Entries) {
    let RecordsConfig { live_calls, sinks } = records;
    if *live_calls || !sinks.is_empty() {
        table.put("live_calls", *live_calls);
    }
    table.all("sink", sinks.iter().map(sink));
}

fn sink(sink: &SinkSettings) -> Value {
    let SinkSettings {
        name,
        mask: shown,
        attempts,
        target,
    } = sink;
    let mut table = Entries::default();
    table.put("name", name.as_str());
    table.put("mask_numbers", mask(*shown));
    table.put("attempts", *attempts);
    match target {
        Target::File(FileSettings {
            path: file,
            format,
            bytes_max,
            age_max,
            keep,
        }) => {
            let format = match format {
                Format::Ndjson => "ndjson",
                Format::Csv => "csv",
                Format::Pipe => "pipe",
            };
            table.put("file", path(file));
            table.put("format", format);
            table.put("rotate_mb", mebibytes(*bytes_max));
            table.maybe("rotate_after", age_max.map(duration));
            table.put("keep", i64::from(*keep));
        }
        Target::Postgres(settings, spool) => {
            let PostgresSettings {
                database,
                table: name,
                tls,
            } = &**settings;
            table.put("postgres", way_to(database));
            table.maybe("password_file", database.get_password().map(|_| HIDDEN));
            table.put("table", name.as_str());
            table.put("tls", *tls != PostgresTls::Off);
            if let PostgresTls::Required(Some(ca)) = tls {
                table.put("ca", path(ca));
            }
            let drops = match spool.when_full {
                WhenFull::DropOldest => "oldest",
                WhenFull::DropNewest => "newest",
            };
            table.put("spool", path(&spool.folder));
            table.put("spool_mb", mebibytes(spool.bytes_max));
            table.put("spool_full_drops", drops);
            table.put("spool_sync", duration(spool.sync));
        }
    }
    table.0.into()
}

/// A database, as far as it says where it is and who asks.
fn way_to(database: &tokio_postgres::Config) -> String {
    let host = |host: &Host| match host {
        Host::Tcp(name) => name.clone(),
        Host::Unix(folder) => folder.display().to_string(),
    };
    let hosts: Vec<_> = database.get_hosts().iter().map(host).collect();
    let ports: Vec<_> = database.get_ports().iter().map(u16::to_string).collect();
    let words = [
        ("host", Some(hosts.join(","))),
        ("port", Some(ports.join(","))),
        ("dbname", database.get_dbname().map(str::to_owned)),
        ("user", database.get_user().map(str::to_owned)),
    ];
    let word = |(key, value): (&str, Option<String>)| {
        let value = value.filter(|value| !value.is_empty())?;
        Some(format!("{key}={value}"))
    };
    words
        .into_iter()
        .filter_map(word)
        .collect::<Vec<_>>()
        .join(" ")
}

fn capture(hep: &HepConfig, table: &mut Entries) {
    let HepConfig {
        to,
        capture_id,
        password_file,
        taken,
    } = hep;
    outlet(to, table);
    table.put("capture_id", i64::from(*capture_id));
    table.maybe("password_file", password_file.as_deref().map(path));
    let kinds = [
        (SIP, taken.sip),
        (DECISION, taken.decisions),
        (RECORDS, taken.records),
    ];
    let copied = kinds.iter().filter_map(|(kind, is)| is.then_some(*kind));
    table.put("what", copied.collect::<Vec<_>>());
}

fn log_lines(log: &LogSettings, table: &mut Entries) {
    let LogSettings {
        format,
        level,
        file,
        mask: _,
        journal,
        syslog,
    } = log;
    table.maybe("format", word(&FORMATS, format));
    table.put("level", level.to_string());
    table.maybe("file", file.as_deref().map(path));
    table.maybe("journal_socket", journal.as_deref().map(path));
    if let Some(SyslogSettings {
        to,
        facility,
        enterprise,
    }) = syslog
    {
        table.section("syslog", |table| {
            outlet(to, table);
            table.maybe("facility", word(&FACILITIES, facility));
            table.put("enterprise", i64::from(*enterprise));
        });
    }
}

/// A machine that takes logs or copies.
fn outlet(OutletTo { address, over }: &OutletTo, table: &mut Entries) {
    table.put("address", address.to_string());
    let transport = match over {
        OutletOver::Udp => "udp",
        OutletOver::Tcp => "tcp",
        OutletOver::Tls { name, authority } => {
            table.put("name", &*name.to_str());
            table.put("ca", believed(authority));
            "tls"
        }
    };
    table.put("transport", transport);
}

fn believed(authority: &Authority) -> Value {
    match authority {
        Authority::System => Value::from("system"),
        Authority::File(file) => path(file),
    }
}

/// The word of a value.
fn word<T: PartialEq>(words: &[(&'static str, T)], value: &T) -> Option<&'static str> {
    let known = words.iter().find(|(_, known)| known == value)?;
    Some(known.0)
}

fn mask(mask: MaskNumbers) -> &'static str {
    match mask {
        MaskNumbers::None => "none",
        MaskNumbers::Last4 => "last4",
        MaskNumbers::All => "all",
    }
}

fn mebibytes(bytes: u64) -> i64 {
    i64::try_from(bytes >> 20).unwrap_or(i64::MAX)
}

/// Keys and values in the order they are put.
#[derive(Default)]
struct Entries(Table);

impl Entries {
    fn put(&mut self, key: &str, value: impl Into<Value>) {
        self.0.insert(key.to_owned(), value.into());
    }

    fn maybe(&mut self, key: &str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.put(key, value);
        }
    }

    /// A list, unless it is empty.
    fn all(&mut self, key: &str, values: impl Iterator<Item = Value>) {
        let values: Vec<Value> = values.collect();
        self.maybe(key, Some(values).filter(|values| !values.is_empty()));
    }

    /// A table, unless it is empty.
    fn section(&mut self, key: &str, fill: impl FnOnce(&mut Self)) {
        let mut table = Self::default();
        fill(&mut table);
        self.maybe(key, Some(table.0).filter(|table| !table.is_empty()));
    }
}

fn path(path: &Path) -> Value {
    Value::from(path.display().to_string())
}

fn number(number: usize) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn duration(duration: Duration) -> String {
    match duration.as_millis() {
        ms if ms % 1_000 == 0 => format!("{}s", ms / 1_000),
        ms => format!("{ms}ms"),
    }
}

fn texts(values: &[impl ToString]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;
    use std::fs;

    /// What is shown, read as a file, is the same configuration.
    #[test]
    fn what_is_in_force_can_be_read_again() {
        let smallest = "[[listen]]\naddress = \"127.0.0.1:5060\"\ntransport = \"udp\"\n\
                        mode = \"redirect\"\n";
        let full = r#"
workers = 3
drain_timeout = "1500ms"
server_header = "Trunkline"
[[listen]]
address = "127.0.0.1:5060"
transport = "udp"
mode = "redirect"
name = "inside"
stateful = true
[[listen]]
address = "0.0.0.0:5062"
transport = "tls"
mode = "proxy"
advertise = "192.0.2.5:5061"
alias = true
certificate = "own.pem"
key = "own.key"
client = "optional"
client_ca = "ca.pem"
client_names = ["sbc.example.net"]
[[listen]]
address = "[::1]:5061"
transport = "tls"
mode = "redirect"
certificate = "own.pem"
key = "own.key"
[[tls_peer]]
address = "203.0.113.7:5061"
name = "sip.carrier.example"
ca = "ca.pem"
certificate = "own.pem"
key = "own.key"
wildcards = true
[[tls_peer]]
address = "2001:db8::1"
name = "192.0.2.9"
[[tls_peer]]
address = "SIP.teams.example"
[proxy]
secret_file = "secret"
calls_max = 77
calls_per_source = 5
[state]
dir = "state"
keep = 9
[control]
socket = "control.sock"
users = ["0"]
groups = ["0"]
[http]
address = "127.0.0.1:8080"
answer = "tag={trunk_group};{rule}"
rejected = "no"
certificate = "own.pem"
key = "own.key"
[metrics]
address = "127.0.0.1:9464"
certificate = "own.pem"
key = "own.key"
client_ca = "ca.pem"
[api]
socket = "api.sock"
audit = "audit.log"
certificate = "own.pem"
key = "own.key"
[dns]
servers = ["127.0.0.1", "[::1]:5353"]
[log]
format = "json"
level = "off"
file = "log"
decisions = false
[records]
live_calls = true
[[records.sink]]
name = "day"
file = "calls.csv"
format = "csv"
rotate_mb = 5
rotate_after = "3600s"
keep = 3
attempts = false
mask_numbers = "all"
[[records.sink]]
name = "base"
postgres = "host=/run/postgresql port=5433 dbname=calls user=trunkline"
table = "calls.records"
ca = "ca.pem"
spool = "spool"
spool_mb = 7
spool_full_drops = "newest"
spool_sync = "0s"
[privacy]
mask_numbers = "last4"
"#;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trunkline.toml");
        let elsewhere = r#"
[[listen]]
address = "127.0.0.1:5060"
transport = "udp"
mode = "redirect"
[hep]
address = "127.0.0.1:9061"
transport = "tls"
name = "homer.example.net"
ca = "ca.pem"
capture_id = 7
password_file = "word"
what = ["decision", "records"]
[log]
format = "syslog"
[log.syslog]
address = "127.0.0.1:514"
transport = "tcp"
facility = "local3"
enterprise = 9
"#;
        let journal = "[[listen]]\naddress = \"127.0.0.1:5060\"\ntransport = \"udp\"\n\
                       mode = \"redirect\"\n[log]\nformat = \"journald\"\n\
                       journal_socket = \"journal\"\n";
        for text in [smallest, full, elsewhere, journal] {
            fs::write(&file, format!("tables = \"t\"\n{text}")).unwrap();
            let config = Config::read(&file).unwrap();
            fs::write(&file, config.in_force().to_string()).unwrap();
            let again = Config::read(&file);
            let again = again
                .unwrap_or_else(|report| panic!("{}\n{}", report.text(false), config.in_force()));
            assert_eq!(format!("{again:?}"), format!("{config:?}"));
        }
    }

    #[test]
    fn secrets_are_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trunkline.toml");
        let hash = "0123456789abcdef".repeat(4);
        let text = format!(
            "tables = \"t\"\n[http]\naddress = \"127.0.0.1:0\"\n\
             [http.account.sbc]\nsecret_sha256 = \"{hash}\"\n"
        );
        fs::write(&file, text).unwrap();
        let shown = Config::read(&file).unwrap().in_force().to_string();
        assert!(
            shown.contains("[http.account.sbc]\nsecret_sha256 = \"hidden\""),
            "{shown}"
        );
        assert!(!shown.contains(&hash));
    }
}
