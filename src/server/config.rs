//! `trunkline.toml`: what is listened on and how, read with the diagnostics of the tables.

mod api;
mod dns;
mod hep;
mod http;
mod in_force;
mod listen;
mod log;
mod outlet;
mod records;
mod tls;

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use api::ApiConfig;
pub use control::{CONTROL_SOCKET, ControlConfig};
pub use hep::HepConfig;
pub use http::HttpConfig;
pub use in_force::HIDDEN;
pub use records::RecordsConfig;

use crate::generations::Keeping;
use crate::limits::{PROXY_CALLS_MAX, WORKERS_MAX};
use crate::observe::{LogSettings, MaskNumbers};
use crate::proxy::FlowTransport;
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics, Report, quoted};
use crate::tables::source::Sources;
use crate::tables::toml_reader::{Document, Reader, Text};
use crate::transport::{ListenerTls, PeerTls};
use listen::read_listeners;

/// Everything `trunkline run` needs besides the tables themselves.
#[derive(Debug, Clone)]
pub struct Config {
    /// The folder of the routing table.
    pub tables: PathBuf,
    /// What is listened on for SIP; at least one, where there is no `http`.
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
    /// Whom a proxy opens TLS connections to, and what is believed of them.
    pub tls_peers: Vec<PeerTls>,
    /// Where tables that served are kept, and how many.
    pub keeping: Keeping,
    /// The control socket.
    pub control: ControlConfig,
    /// Name servers for the names of trunks; those of the system where there are none.
    pub dns_servers: Vec<SocketAddr>,
    /// The listener for questions over HTTP; none without one.
    pub http: Option<HttpConfig>,
    /// Where metrics are asked for over HTTP; nowhere without one.
    pub metrics: Option<SocketAddr>,
    /// Certificates for metrics, for TLS.
    pub metrics_tls: Option<ListenerTls>,
    /// The admin API.
    pub api: ApiConfig,
    /// Where call records go.
    pub records: RecordsConfig,
    /// Whom copies of messages and decisions go to; nobody without one.
    pub hep: Option<HepConfig>,
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

/// One `[[listen]]`: an address and a transport.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListenerConfig {
    /// Where; port 0 draws a free one.
    pub address: SocketAddr,
    /// Over what. UDP and the others share no ports: one address may have both.
    pub transport: FlowTransport,
    /// Certificates; there if, and only if, `transport` is TLS.
    pub tls: Option<ListenerTls>,
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
    /// Whether a connection that comes in may be reused for requests to its peer, which asks
    /// for it (RFC 5923); of a proxy.
    pub alias: bool,
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
            tls_peers: Vec::new(),
            keeping: Keeping::default(),
            control: ControlConfig::default(),
            dns_servers: Vec::new(),
            http: None,
            metrics: None,
            metrics_tls: None,
            api: ApiConfig::default(),
            records: RecordsConfig::default(),
            hep: None,
        }
    }

    /// Whether anybody wants to be told of calls: without it none is followed to its end.
    #[must_use]
    pub fn tells_calls(&self) -> bool {
        let has_copies = self.hep.as_ref().is_some_and(|hep| hep.taken.records);
        self.records.live_calls || !self.records.sinks.is_empty() || has_copies
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
    /// A stateless redirect listener for UDP without a name.
    #[must_use]
    pub const fn new(address: SocketAddr) -> Self {
        Self {
            address,
            transport: FlowTransport::Udp,
            tls: None,
            name: String::new(),
            mode: Mode::Redirect,
            stateful: false,
            advertise: None,
            alias: false,
        }
    }

    /// A proxy listener for UDP without a name, reached by its own address.
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
    let listeners = read_listeners(&mut root, folder);
    let (mut log, log_decisions) = log::read_log(&mut root, folder);
    let mask_numbers = read_privacy(&mut root);
    log.mask = mask_numbers;
    let proxy = read_proxy(&mut root, folder);
    let tls_peers = tls::read_peers(&mut root, folder);
    let keeping = control::read_state(&mut root, folder);
    let control = control::read_control(&mut root, folder);
    let dns_servers = dns::read_dns(&mut root);
    let http = http::read_http(&mut root, folder);
    let (metrics, metrics_tls) = http::read_metrics(&mut root, folder);
    let api = api::read_api(&mut root, folder);
    let records = records::read_records(&mut root, folder, mask_numbers);
    let hep = hep::read_hep(&mut root, folder);
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
        tls_peers,
        keeping,
        control,
        dns_servers,
        http,
        metrics,
        metrics_tls,
        api,
        records,
        hep,
    })
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

mod control;
#[cfg(test)]
mod tests;
