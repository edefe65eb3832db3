//! The server as a daemon: signals, the service manager, the exit code.

use std::io;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};

use super::desk::ServerDesk;
use super::tide::Tide;
use super::{Config, Order, Server, ServerHandle, StartError, reloading};
use crate::control::{NoSocket, Socket};
use crate::observe::{COUNTS, Log, TrunksOut, log_lines_dropped};
use crate::system;

/// The configuration, a table or an address is wrong: starting again will not help.
pub const EXIT_CONFIG: u8 = 78;
/// Ours: a worker ended that should not have.
const EXIT_SOFTWARE: u8 = 70;
/// Ended by a second SIGINT.
const EXIT_INTERRUPTED: u8 = 130;

/// How often the log tells of peers' errors it held back, and unused memory is looked for.
const FLUSH_INTERVAL: Duration = Duration::from_secs(10);

/// Serves until a signal ends it. Says on standard error why it cannot start.
///
/// SIGHUP reads the tables again, SIGTERM and SIGINT end after what is queued and
/// outstanding, a second SIGINT ends now, SIGUSR1 opens the log file anew, SIGUSR2 logs
/// the counters.
#[must_use]
pub fn run(config: &Config) -> ExitCode {
    system::give_freed_tables_back();
    let folder = |name| std::env::var_os(name);
    let config = &config
        .clone()
        .in_folders(folder("STATE_DIRECTORY"), folder("RUNTIME_DIRECTORY"));
    match start(config) {
        Ok(started) => {
            let Started {
                runtime,
                signals,
                log,
                handle,
                control,
            } = started;
            let code = runtime.block_on(async {
                if let Some((socket, desk)) = control {
                    tokio::spawn(socket.serve(desk));
                }
                serve(signals, &log, handle).await
            });
            drop((runtime, log));
            code
        }
        Err(Failure::Control(error)) => {
            anstream::eprintln!("trunkline: {error}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Start(StartError::Table(report))) => {
            anstream::eprint!("{}", report.text(true));
            anstream::eprintln!(
                "trunkline: the routing table {} is not served: {} errors",
                config.tables.display(),
                report.errors
            );
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Start(error)) => {
            anstream::eprintln!("trunkline: {error}");
            ExitCode::from(EXIT_CONFIG)
        }
        Err(Failure::Log(error)) => {
            let file = config
                .log
                .file
                .as_deref()
                .map(|file| format!(" {}", file.display()));
            anstream::eprintln!(
                "trunkline: cannot open the log{}: {error}",
                file.unwrap_or_default()
            );
            ExitCode::from(EXIT_CONFIG)
        }
    }
}

enum Failure {
    Start(StartError),
    Log(io::Error),
    Control(NoSocket),
}

struct Started {
    runtime: tokio::runtime::Runtime,
    signals: Signals,
    log: Log,
    handle: ServerHandle,
    control: Option<(Socket, Arc<ServerDesk>)>,
}

fn start(config: &Config) -> Result<Started, Failure> {
    let system = |error| Failure::Start(StartError::System(error));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(system)?;
    // Before the tables are read: a SIGHUP meanwhile must not end the process.
    let signals = runtime.block_on(async { Signals::new() }).map_err(system)?;
    let log = Log::start(&config.log).map_err(Failure::Log)?;
    let path = config.control.socket.as_deref();
    let socket = path
        .map(|path| runtime.block_on(async { Socket::bind(path) }))
        .transpose()
        .map_err(Failure::Control)?;
    let handle = Server::start(config).map_err(Failure::Start)?;
    let control = socket.zip(handle.desk.clone());
    Ok(Started {
        runtime,
        signals,
        log,
        handle,
        control,
    })
}

struct Signals {
    hangup: Signal,
    terminate: Signal,
    interrupt: Signal,
    reopen: Signal,
    report: Signal,
}

impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hangup: signal(SignalKind::hangup())?,
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            reopen: signal(SignalKind::user_defined1())?,
            report: signal(SignalKind::user_defined2())?,
        })
    }
}

async fn serve(mut signals: Signals, log: &Log, handle: ServerHandle) -> ExitCode {
    let serving = handle.bench.generations.store().current().generation();
    let refused = handle.bench.last.get(serving);
    let why = refused.as_ref().map(|refused| &*refused.why);
    let status = reloading::status(&handle.bench.generations, why);
    tracing::info!(
        "listening on {}, {} workers; {status}",
        handle.listening_on(),
        handle.threads.len()
    );
    service::ready(&status);
    let mut flush = tokio::time::interval(FLUSH_INTERVAL);
    let mut tide = Tide::default();
    let failed = loop {
        tokio::select! {
            _ = signals.hangup.recv() => handle.reload_soon(),
            _ = signals.reopen.recv() => reopen(log, &handle),
            _ = signals.report.recv() => report(&handle),
            _ = flush.tick() => {
                handle.flush_peer_errors();
                tide.look();
            }
            _ = signals.terminate.recv() => break false,
            _ = signals.interrupt.recv() => break false,
            () = handle.ended.notified() => break true,
        }
    };
    service::stopping();
    tracing::info!("stopping: answering what is queued");
    let stopped_now = stop(&mut signals, handle).await;
    match (failed, stopped_now) {
        (true, _) => ExitCode::from(EXIT_SOFTWARE),
        (false, true) => ExitCode::from(EXIT_INTERRUPTED),
        (false, false) => ExitCode::SUCCESS,
    }
}

/// Drains. Returns whether a second SIGINT cut it short.
async fn stop(signals: &mut Signals, handle: ServerHandle) -> bool {
    handle.order(Order::Drain);
    let orders = handle.orders.clone();
    let mut draining = tokio::task::spawn_blocking(move || {
        let mut handle = handle;
        handle.join();
        handle
    });
    let mut cut_short = false;
    let handle = loop {
        tokio::select! {
            handle = &mut draining => break handle,
            _ = signals.interrupt.recv() => {
                cut_short = true;
                orders.send_replace(Order::Stop);
            }
        }
    };
    if let Ok(handle) = handle {
        handle.flush_peer_errors();
        report(&handle);
    }
    tracing::info!("stopped");
    cut_short
}

fn reopen(log: &Log, handle: &ServerHandle) {
    if let Some(Err(error)) = handle.admin.as_ref().map(|admin| admin.audit.reopen()) {
        tracing::error!("cannot open the audit log anew, writing to the old one: {error}");
    }
    match log.reopen() {
        Ok(()) => tracing::info!("log file opened anew"),
        Err(error) => {
            tracing::error!("cannot open the log file anew, writing to the old one: {error}");
        }
    }
}

fn report(handle: &ServerHandle) {
    tracing::info!(
        target: COUNTS,
        "{}; log-lines-dropped={}",
        handle.totals(),
        log_lines_dropped()
    );
    let orders = handle.bench.generations.orders();
    if handle.is_proxy || orders.iter().next().is_some() {
        tracing::info!("trunks {}", TrunksOut(&handle.store.snapshot()));
    }
}

/// What systemd is told (`Type=notify-reload`). Without it, nothing happens.
pub(super) mod service {
    use sd_notify::NotifyState::{MonotonicUsec, Ready, Reloading, Status, Stopping};
    use sd_notify::{NotifyState, notify};

    /// Serving; shown as `status`.
    pub(in crate::server) fn ready(status: &str) {
        tell(&[Ready, Status(status)]);
    }

    /// Reading the tables. systemd needs the time, to tell this from earlier reloads.
    pub(in crate::server) fn reloading() {
        match NotifyState::monotonic_usec_now() {
            Ok(now @ MonotonicUsec(_)) => tell(&[Reloading, now]),
            Ok(_) | Err(_) => tell(&[Status("reloading")]),
        }
    }

    /// Ending.
    pub(in crate::server) fn stopping() {
        tell(&[Stopping]);
    }

    fn tell(states: &[NotifyState<'_>]) {
        if let Err(error) = notify(states) {
            tracing::warn!("cannot tell the service manager: {error}");
        }
    }
}
