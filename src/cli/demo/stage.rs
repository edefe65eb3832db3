//! Everything that runs during the demo: the server, the agents, the SBC, the signal.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::agent::{Agent, Mood};
use super::sbc::{Row, Sbc};
use super::table::TableCopy;
use crate::observe::Log;
use crate::server::{Config, ListenerConfig, Server, ServerHandle, StartError};

/// Who answers: the name, the host of the table's addresses that means it, and whether it
/// knows its trunks by their label.
const AGENTS: [(&str, &str, bool); 6] = [
    ("Teams", "teams.route", false),
    ("Genesys", "genesys.route", true),
    ("Carrier A Docklands", DOCKLANDS, false),
    ("Carrier A Slough", SLOUGH, false),
    ("Carrier B Berlin", "carrier-b.route", false),
    ("Voicemail", "voicemail.route", false),
];
const DOCKLANDS: &str = "carrier-a-docklands.route";
const SLOUGH: &str = "carrier-a-slough.route";

/// How long the log may take to tell of what was asked.
const LOG_WAIT: Duration = Duration::from_secs(30);
const LOG_LOOK: Duration = Duration::from_millis(5);

/// The running whole. Dropping it ends everything and removes the table.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) server: Arc<ServerHandle>,
    /// Where the server listens.
    pub(super) trunkline: SocketAddr,
    pub(super) sbc: Sbc,
    pub(super) copy: TableCopy,
    agents: Vec<Agent>,
    rows: Arc<[Row]>,
    hangups: JoinHandle<()>,
    terminal_closed: Arc<Notify>,
    _log: Log,
}

impl Stage {
    /// Writes the table, starts the server and the agents.
    ///
    /// # Errors
    /// A sentence about what could not be had.
    pub(super) async fn set() -> anyhow::Result<Self> {
        // Before anybody is told to send it: without this a SIGHUP ends the process.
        let hangup = signal(SignalKind::hangup()).context("cannot receive signals")?;
        let copy = TableCopy::write().context("cannot write a copy of the example table")?;
        let listener = ListenerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        let mut config = Config::new(copy.tables(), vec![listener]);
        config.log.file = Some(copy.log());
        let log = Log::start(&config.log).context("cannot open the log")?;
        let server = Arc::new(Server::start(&config).map_err(why_not_started)?);
        let trunkline = server.local_addrs().first().copied();
        let trunkline = trunkline.context("the server listens nowhere")?;
        let mut agents = Vec::with_capacity(AGENTS.len());
        for (name, host, by_label) in AGENTS {
            agents.push(
                Agent::start(name, host, by_label)
                    .await
                    .context("cannot open a socket")?,
            );
        }
        let rows = Row::to(&agents);
        let sbc = Sbc::start(trunkline, &rows).await?;
        let terminal_closed = Arc::new(Notify::new());
        let hangups = reload_on(hangup, Arc::clone(&server), Arc::clone(&terminal_closed));
        let hangups = tokio::spawn(hangups);
        Ok(Self {
            server,
            trunkline,
            sbc,
            copy,
            agents,
            rows,
            hangups,
            terminal_closed,
            _log: log,
        })
    }

    /// A second caller.
    ///
    /// # Errors
    /// What the system said.
    pub(super) async fn another_sbc(&self) -> io::Result<Sbc> {
        Sbc::start(self.trunkline, &self.rows).await
    }

    /// How many agents there are.
    pub(super) fn agents(&self) -> usize {
        self.agents.len()
    }

    /// Takes both data centres of carrier A down, or brings them back.
    pub(super) fn set_carrier_a(&self, is_up: bool) {
        for agent in &self.agents {
            match agent.host {
                _ if is_up => agent.set_mood(Mood::Answers),
                DOCKLANDS => agent.set_mood(Mood::Unavailable),
                SLOUGH => agent.set_mood(Mood::Silent),
                _ => {}
            }
        }
    }

    /// Sends this process a SIGHUP, as an operator would.
    ///
    /// The shell has `kill` built in; the program of that name is missing on small systems.
    ///
    /// # Errors
    /// There is no shell, or it could not send the signal.
    pub(super) async fn hang_up(&self) -> anyhow::Result<()> {
        let kill = format!("kill -HUP {}", std::process::id());
        let shell = move || Command::new("sh").args(["-c", &kill]).status();
        let status = tokio::task::spawn_blocking(shell).await?;
        let status = status.context("cannot send a SIGHUP: no shell")?;
        ensure!(
            status.success(),
            "cannot send a SIGHUP: the shell says {status}"
        );
        Ok(())
    }

    /// The end of the first line of the log that holds all of `texts`, from the first.
    ///
    /// # Errors
    /// None came.
    pub(super) async fn log_line(&self, texts: [&str; 2]) -> anyhow::Result<String> {
        let deadline = Instant::now() + LOG_WAIT;
        loop {
            let log = std::fs::read(self.copy.log()).unwrap_or_default();
            let log = String::from_utf8_lossy(&log);
            let line = log
                .lines()
                .find(|line| texts.iter().all(|text| line.contains(text)));
            let told = line.and_then(|line| line.get(line.find(texts[0])?..));
            if let Some(told) = told {
                return Ok(told.to_owned());
            }
            if Instant::now() >= deadline {
                bail!("the log never told of \"{}\"", texts.join(" … "));
            }
            tokio::time::sleep(LOG_LOOK).await;
        }
    }

    /// Until nobody is left who could end the demo by hand.
    pub(super) async fn terminal_closed(&self) {
        self.terminal_closed.notified().await;
    }

    /// Generation of the table that serves.
    pub(super) fn generation(&self) -> u64 {
        self.server.tables().current().generation()
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.hangups.abort();
    }
}

/// What the daemon does on SIGHUP. A terminal that was closed sends one too, and then
/// there is nobody left to serve.
async fn reload_on(mut hangup: Signal, server: Arc<ServerHandle>, closed: Arc<Notify>) {
    let on_terminal = io::stdout().is_terminal();
    while hangup.recv().await.is_some() {
        if on_terminal && !io::stdout().is_terminal() {
            closed.notify_one();
        }
        server.reload_soon();
    }
}

pub(super) fn why_not_started(error: StartError) -> anyhow::Error {
    match error {
        StartError::Table(report) => anyhow::anyhow!("{}", report.text(false)),
        other => anyhow::Error::new(other),
    }
}

/// Shown as typed after the name of the program.
pub(super) fn shown(path: &Path) -> String {
    let bytes = path.as_os_str().as_encoded_bytes();
    crate::observe::ShellWord(bytes).to_string()
}
