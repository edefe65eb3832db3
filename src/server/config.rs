//! `trunkline.toml`: what is listened on and how, read with the diagnostics of the tables.

mod dns;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use tracing::level_filters::LevelFilter;

use crate::limits::{LISTENERS_MAX, PROXY_CALLS_MAX, WORKERS_MAX};
use crate::observe::{LogFormat, LogSettings, MaskNumbers};
use crate::proxy::is_answerable;
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics, Report, quoted};
use crate::tables::source::Sources;
use crate::tables::toml_reader::{Document, Reader, Text};

/// Everything `trunkline run` needs besides the tables themselves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the routing table.
    pub tables: PathBuf,
    /// What is listened on; at least one.
    pub listeners: Vec<ListenerConfig>,
    /// Worker threads; each has its own socket per listener.
    pub workers: usize,
    /// What is logged and where.
    pub log: LogSettings,
    /// Whether every decision is a line of the log.
    pub log_decisions: bool,
    /// How much of telephone numbers the log shows.
    pub mask_numbers: MaskNumbers,
    /// How long a stop waits for the ACKs of stateful listeners.
    pub drain_timeout: Duration,
    /// Value of the Server header of replies; none without one.
    pub server_header: Option<String>,
    /// What all proxy listeners have in common.
    pub proxy: ProxyConfig,
    /// Name servers for the names of trunks; those of the system where there are none.
    pub dns_servers: Vec<SocketAddr>,
}

/// `[proxy]`: what all proxy listeners have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProxyConfig {
    /// The file of the secret by which dialogs are known again after a restart; drawn at
    /// each start without one. It is made when it is not there.
    pub secret_file: Option<PathBuf>,
    /// New calls a worker may have in progress; more get 503.
    pub calls_max: usize,
    /// New calls a second that a worker takes from one source; more get 503. No bound
    /// without one.
    pub calls_per_source: Option<u32>,
}

/// What a listener does with a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It answers 302 with the routes.
    Redirect,
    /// It sends the call on to its routes itself.
    Proxy,
}

/// The address peers reach a listener by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Advertised {
    /// The address; never unspecified.
    pub ip: IpAddr,
    /// The port; that of the listener without one.
    pub port: Option<u16>,
}

/// One `[[listen]]`: a UDP address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where; port 0 draws a free one.
    pub address: SocketAddr,
    /// The name classifications know it by; empty without one.
    pub name: String,
    /// What it does with a call.
    pub mode: Mode,
    /// Whether a redirect listener repeats final responses to INVITE until they are
    /// acknowledged; a proxy always does.
    pub stateful: bool,
    /// What a proxy writes into Via and Record-Route in place of `address`; needed where
    /// that is unspecified.
    pub advertise: Option<Advertised>,
}

impl Config {
    /// A configuration with the defaults of the file: all cores, log to standard error.
    #[must_use]
    pub fn new(tables: impl Into<PathBuf>, listeners: Vec<ListenerConfig>) -> Self {
        Self {
            tables: tables.into(),
            listeners,
            workers: cores(),
            log: LogSettings::default(),
            log_decisions: true,
            mask_numbers: MaskNumbers::None,
            drain_timeout: DRAIN_TIMEOUT,
            server_header: None,
            proxy: ProxyConfig::default(),
            dns_servers: Vec::new(),
        }
    }

    /// Reads the file. Paths in it are relative to the folder it stands in.
    ///
    /// # Errors
    /// Everything that is wrong with it, each with its line and column.
    pub fn read(path: &Path) -> Result<Self, Report> {
        let diagnostics = Diagnostics::new();
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut sources = Sources::new(folder);
        let file = sources.read_toml(path, &diagnostics);
        let config = file.and_then(|id| sources.get(id)).and_then(|source| {
            let document = Document::parse(source, &diagnostics);
            read_root(document.root(), folder)
        });
        match config {
            Some(config) if !diagnostics.has_errors() => Ok(config),
            _ => Err(diagnostics.into_report()),
        }
    }
}

impl ListenerConfig {
    /// A stateless redirect listener without a name.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            name: String::new(),
            mode: Mode::Redirect,
            stateful: false,
            advertise: None,
        }
    }

    /// A proxy listener without a name, reached by its own address.
    #[must_use]
    pub fn proxy(address: SocketAddr) -> Self {
        Self {
            mode: Mode::Proxy,
            ..Self::new(address)
        }
    }

    /// The address peers reach it by when its socket has this one.
    #[must_use]
    pub fn advertised(&self, local: SocketAddr) -> SocketAddr {
        self.advertise.map_or(local, |advertised| {
            SocketAddr::new(advertised.ip, advertised.port.unwrap_or(local.port()))
        })
    }
}

impl Default for ProxyConfig {
    fn default() -> Self {
        Self {
            secret_file: None,
            calls_max: PROXY_CALLS_MAX,
            calls_per_source: None,
        }
    }
}

const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);
/// More a second than any worker carries is no bound.
const CALLS_PER_SOURCE_MAX: u64 = 100_000;
/// A header of this length is a product name; more is a mistake.
const SERVER_HEADER_BYTES_MAX: usize = 128;

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, |cores| cores.get().min(WORKERS_MAX))
}

/// Reads all of it before it gives up, so that every mistake is told.
fn read_root(mut root: Reader<'_>, folder: &Path) -> Option<Config> {
    let tables = root.required_string("tables");
    let workers = root.integer("workers", 1..=WORKERS_MAX as u64);
    let drain = root.duration_ms("drain_timeout", 0..=3_600_000);
    let server_header = root
        .string("server_header")
        .and_then(|text| header_value(&root, &text));
    let listeners = read_listeners(&mut root);
    let (log, log_decisions) = read_log(&mut root, folder);
    let mask_numbers = read_privacy(&mut root);
    let proxy = read_proxy(&mut root, folder);
    let dns_servers = dns::read_dns(&mut root);
    root.finish();
    Some(Config {
        tables: folder.join(tables?.value),
        listeners,
        workers: workers
            .and_then(|(n, _)| usize::try_from(n).ok())
            .unwrap_or_else(cores),
        log,
        log_decisions,
        mask_numbers,
        drain_timeout: drain.map_or(DRAIN_TIMEOUT, |(ms, _)| Duration::from_millis(ms)),
        server_header,
        proxy,
        dns_servers,
    })
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Transport {
    Udp,
    Tcp,
    Tls,
}

fn read_listeners(root: &mut Reader<'_>) -> Vec<ListenerConfig> {
    root.require("listen");
    let tables = root.tables("listen");
    if root.has("listen") && tables.len() > LISTENERS_MAX {
        let message = format!(
            "{} listeners, and at most {LISTENERS_MAX} are served",
            tables.len()
        );
        root.report(Diagnostic::error(Code::OverLimit, message).at(root.place(root.spot(), "")));
        return Vec::new();
    }
    let mut known: Vec<(ListenerConfig, Text, Option<Text>)> = Vec::new();
    for table in tables {
        if let Some(listener) = read_listener(table, &known) {
            known.push(listener);
        }
    }
    known.into_iter().map(|(listener, ..)| listener).collect()
}

fn read_listener(
    mut table: Reader<'_>,
    known: &[(ListenerConfig, Text, Option<Text>)],
) -> Option<(ListenerConfig, Text, Option<Text>)> {
    let address = table.required_string("address");
    let name = table.string("name");
    let stateful = table.boolean("stateful");
    let advertise = table.string("advertise");
    table.require("transport");
    let transport = table.one_of(
        "transport",
        &[
            ("udp", Transport::Udp),
            ("tcp", Transport::Tcp),
            ("tls", Transport::Tls),
        ],
    );
    table.require("mode");
    let mode = table.one_of(
        "mode",
        &[("redirect", Mode::Redirect), ("proxy", Mode::Proxy)],
    );
    if let Some((Transport::Tcp | Transport::Tls, spot)) = transport {
        not_available(&table, spot, "transport", "udp");
    }
    let address = address.and_then(|text| Some((read_address(&table, &text)?, text)));
    let advertise = advertise.and_then(|text| Some((read_advertised(&table, &text)?, text)));
    let mode = mode.map_or(Mode::Redirect, |(mode, _)| mode);
    match (mode, &address) {
        (Mode::Redirect, _) => only_for(&table, "advertise", "proxy"),
        (Mode::Proxy, Some((address, text))) => {
            check_advertised(&table, *address, text, advertise.as_ref());
        }
        (Mode::Proxy, None) => {}
    }
    if mode == Mode::Proxy {
        only_for(&table, "stateful", "redirect");
    }
    if let Some((parsed, text)) = &address {
        let twice = known
            .iter()
            .find(|(other, ..)| other.address == *parsed && parsed.port() != 0);
        if let Some((_, first, _)) = twice {
            defined_twice(&table, text, first, "address");
        }
    }
    let same_name = |(_, _, other): &&(_, _, Option<Text>)| match (other, &name) {
        (Some(other), Some(name)) => other.value == name.value,
        _ => false,
    };
    if let (Some((_, _, Some(first))), Some(name)) = (known.iter().find(same_name), &name) {
        defined_twice(&table, name, first, "name");
    }
    table.finish();
    let (address, text) = address?;
    let listener = ListenerConfig {
        address,
        name: name.as_ref().map_or_else(String::new, |n| n.value.clone()),
        mode,
        stateful: stateful.is_some_and(|(yes, _)| yes),
        advertise: advertise.map(|(advertised, _)| advertised),
    };
    Some((listener, text, name))
}

fn not_available(
    table: &Reader<'_>,
    spot: crate::tables::source::Spot,
    key: &str,
    available: &str,
) {
    let message = format!("this {key} is not available in this version");
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(spot, ""))
            .help(format!("allowed: {}", quoted(available))),
    );
}

/// Reports a key that says nothing to a listener of this mode.
fn only_for(table: &Reader<'_>, key: &str, mode: &str) {
    let Some(spot) = table.key_spot(key) else {
        return;
    };
    let message = format!("{key} is for listeners with mode = {} only", quoted(mode));
    let help = match mode {
        "redirect" => "leave it out: a proxy always keeps its transactions",
        _ => "leave it out: a redirect names no address of its own",
    };
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(spot, ""))
            .help(help),
    );
}

/// `"192.0.2.5"`, `"192.0.2.5:5060"`, `"[2001:db8::5]:5060"`.
fn read_advertised(table: &Reader<'_>, text: &Text) -> Option<Advertised> {
    let value = text.as_str();
    let parsed = match (value.parse::<IpAddr>(), value.parse::<SocketAddr>()) {
        (Ok(ip), _) => Some(Advertised { ip, port: None }),
        (_, Ok(address)) => Some(Advertised {
            ip: address.ip(),
            port: Some(address.port()),
        }),
        _ => None,
    };
    let usable = |advertised: &Advertised| {
        is_answerable(SocketAddr::new(advertised.ip, advertised.port.unwrap_or(1)))
    };
    if let Some(advertised) = parsed.filter(usable) {
        return Some(advertised);
    }
    let message = format!("{} is not an address peers can send to", quoted(value));
    let help = "allowed: an IP address of this machine as peers see it, with or without a port, \
                such as \"192.0.2.5\" or \"[2001:db8::5]:5060\"";
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(text.spot, ""))
            .help(help),
    );
    None
}

/// A proxy writes an address into every request it sends on, for answers and for the rest
/// of the dialog: it must be one.
fn check_advertised(
    table: &Reader<'_>,
    address: SocketAddr,
    text: &Text,
    advertise: Option<&(Advertised, Text)>,
) {
    let told = match advertise {
        None if address.ip().is_unspecified() && !table.has("advertise") => Some((
            text.spot,
            format!("peers cannot send to {}", quoted(&text.value)),
            "write the address of one interface, or the one peers reach: advertise = \"192.0.2.5\"",
        )),
        Some((advertised, text)) if advertised.ip.is_ipv4() != address.is_ipv4() => Some((
            text.spot,
            format!(
                "{} is not of the address family of {address}",
                quoted(&text.value)
            ),
            "a listener sends to peers of its own family only",
        )),
        _ => None,
    };
    if let Some((spot, message, help)) = told {
        table.report(
            Diagnostic::error(Code::NotAllowed, message)
                .at(table.place(spot, ""))
                .help(help),
        );
    }
}

fn defined_twice(table: &Reader<'_>, second: &Text, first: &Text, key: &str) {
    let message = format!("two listeners have the {key} {}", quoted(&second.value));
    table.report(
        Diagnostic::error(Code::DefinedTwice, message)
            .at(table.place(second.spot, ""))
            .at(table.place(first.spot, "first used here")),
    );
}

fn read_address(table: &Reader<'_>, text: &Text) -> Option<SocketAddr> {
    let parsed = text.value.parse::<SocketAddr>().ok();
    let multicast = parsed.is_some_and(|address| address.ip().is_multicast());
    if let Some(address) = parsed
        && !multicast
    {
        return Some(address);
    }
    let message = format!("{} is not an address to listen on", quoted(&text.value));
    let help = if multicast {
        String::from("calls are not answered to multicast addresses")
    } else if let Ok(ip) = text.value.parse::<std::net::IpAddr>() {
        format!(
            "write it with a port: {}",
            quoted(&SocketAddr::new(ip, 5060).to_string())
        )
    } else {
        String::from(
            "allowed: an IP address and a port, such as \"10.0.0.5:5060\" or \"[2001:db8::5]:5060\"",
        )
    };
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(text.spot, ""))
            .help(help),
    );
    None
}

fn header_value(root: &Reader<'_>, text: &Text) -> Option<String> {
    let plain = text.value.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let trimmed = text.value.trim();
    if plain && !trimmed.is_empty() && trimmed.len() <= SERVER_HEADER_BYTES_MAX {
        return Some(trimmed.to_owned());
    }
    let message = format!("{} cannot be the value of a header", quoted(&text.value));
    let help = format!("allowed: 1 to {SERVER_HEADER_BYTES_MAX} visible ASCII characters");
    root.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(root.place(text.spot, ""))
            .help(help),
    );
    None
}

fn read_log(root: &mut Reader<'_>, folder: &Path) -> (LogSettings, bool) {
    let mut settings = LogSettings::default();
    let Some(mut table) = root.table("log") else {
        return (settings, true);
    };
    if let Some((format, _)) = table.one_of(
        "format",
        &[("text", LogFormat::Text), ("json", LogFormat::Json)],
    ) {
        settings.format = format;
    }
    let levels = [
        ("error", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("info", LevelFilter::INFO),
        ("debug", LevelFilter::DEBUG),
        ("off", LevelFilter::OFF),
    ];
    if let Some((level, _)) = table.one_of("level", &levels) {
        settings.level = level;
    }
    settings.file = table.string("file").map(|text| folder.join(text.value));
    let decisions = table.boolean("decisions").is_none_or(|(yes, _)| yes);
    table.finish();
    (settings, decisions)
}

fn read_proxy(root: &mut Reader<'_>, folder: &Path) -> ProxyConfig {
    let mut config = ProxyConfig::default();
    let Some(mut table) = root.table("proxy") else {
        return config;
    };
    config.secret_file = table
        .string("secret_file")
        .map(|text| folder.join(text.value));
    if let Some((calls, _)) = table.integer("calls_max", 1..=PROXY_CALLS_MAX as u64) {
        config.calls_max = usize::try_from(calls).unwrap_or(PROXY_CALLS_MAX);
    }
    config.calls_per_source = table
        .integer("calls_per_source", 1..=CALLS_PER_SOURCE_MAX)
        .and_then(|(calls, _)| u32::try_from(calls).ok());
    table.finish();
    config
}

fn read_privacy(root: &mut Reader<'_>) -> MaskNumbers {
    let Some(mut table) = root.table("privacy") else {
        return MaskNumbers::None;
    };
    let words = [
        ("none", MaskNumbers::None),
        ("last4", MaskNumbers::Last4),
        ("all", MaskNumbers::All),
    ];
    let mask = table
        .one_of("mask_numbers", &words)
        .map_or(MaskNumbers::None, |(mask, _)| mask);
    table.finish();
    mask
}

#[cfg(test)]
mod tests;
