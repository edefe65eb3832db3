//! The log: lines in one of several formats, to standard error, a file that can be reopened,
//! the journal or a syslog server, through a bounded queue that never makes a call wait.

mod files;
mod journal;
mod line;
mod syslog;

pub use syslog::{ENTERPRISE, FACILITY, SyslogSettings};

use std::io;
use std::path::PathBuf;
use std::sync::OnceLock;

use tracing::level_filters::LevelFilter;
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};

use self::files::{Batched, ReopenableFile};
use self::journal::Journal;
use self::line::Line;
use self::syslog::{Origin, Syslog};
use super::MaskNumbers;
use crate::limits::LOG_LINES_QUEUED_MAX;
use crate::transport::Outlet;

/// Target of lines about calls: their numbers are hidden field by field.
pub(super) const CALLS: &str = "trunkline::calls";
/// Target of lines that hold counts of ours, however large, and no telephone number.
pub const COUNTS: &str = "trunkline::counts";

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `2026-11-22T19:00:00.118Z INFO …`, for people.
    #[default]
    Text,
    /// `ts=… level=info event=call dialled=…`, for people and log stores.
    Logfmt,
    /// One JSON object a line, for log stores.
    Json,
    /// Records for the systemd journal, with fields of their own.
    Journald,
    /// RFC 5424, for a syslog server.
    Syslog,
}

impl LogFormat {
    /// Whether a line about a call has fields besides its message.
    #[must_use]
    pub const fn has_fields(self) -> bool {
        !matches!(self, Self::Text)
    }

    /// Whether its message is for people: the line that can be pasted into a shell.
    #[must_use]
    pub const fn shows_line(self) -> bool {
        matches!(self, Self::Text | Self::Journald | Self::Syslog)
    }
}

/// What is logged and where.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// The least important lines written.
    pub level: LevelFilter,
    /// The file; standard error without one. The journal and syslog have none.
    pub file: Option<PathBuf>,
    /// The socket of the journal, if that is not where it usually is.
    pub journal: Option<PathBuf>,
    /// The syslog server; there if, and only if, the format is syslog.
    pub syslog: Option<SyslogSettings>,
    /// How much of telephone numbers is shown, in every line.
    pub mask: MaskNumbers,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: LevelFilter::INFO,
            file: None,
            journal: None,
            syslog: None,
            mask: MaskNumbers::None,
        }
    }
}

/// The log of this process. Dropping it writes what is queued.
#[derive(Debug)]
pub struct Log {
    file: Option<ReopenableFile>,
    _writer: WorkerGuard,
}

impl Log {
    /// Starts logging for the whole process.
    ///
    /// # Errors
    /// The file, the journal or the certificates for the syslog server cannot be used, or
    /// something else already logs for this process.
    pub fn start(settings: &LogSettings) -> io::Result<Self> {
        let (lines, writer, file) = sink(settings)?;
        let dropped = lines.error_counter();
        install(settings, lines)?;
        // Installed once, so it is not there yet.
        let _ = DROPPED.set(dropped);
        Ok(Self {
            file,
            _writer: writer,
        })
    }

    /// Opens the file anew by its name, after somebody moved it away. Lines go to the
    /// old one when that fails. Without a file there is nothing to do.
    ///
    /// # Errors
    /// What the system said.
    pub fn reopen(&self) -> io::Result<()> {
        self.file.as_ref().map_or(Ok(()), ReopenableFile::reopen)
    }
}

/// Lines lost because the disk was slower than the calls. There is one log in a process, and
/// nothing is lost before it is started.
#[must_use]
pub fn log_lines_dropped() -> u64 {
    DROPPED
        .get()
        .map_or(0, |dropped| dropped.dropped_lines() as u64)
}

static DROPPED: OnceLock<ErrorCounter> = OnceLock::new();

/// The queue, the thread behind it, and the file it writes to if that is one.
fn sink(settings: &LogSettings) -> io::Result<(NonBlocking, WorkerGuard, Option<ReopenableFile>)> {
    let queue = NonBlockingBuilder::default()
        .lossy(true)
        .buffered_lines_limit(LOG_LINES_QUEUED_MAX)
        .thread_name("log");
    let path = settings.file.as_deref();
    let file = path.map(ReopenableFile::open).transpose()?;
    let (lines, writer) = match (settings.format, &settings.syslog, &file) {
        (LogFormat::Journald, ..) => {
            let usual = || PathBuf::from(journal::SOCKET);
            let socket = settings.journal.clone().unwrap_or_else(usual);
            queue.finish(Journal::open(socket)?)
        }
        (LogFormat::Syslog, Some(syslog), _) => {
            let outlet = Outlet::open(&syslog.to).map_err(io::Error::other)?;
            queue.finish(Syslog::new(outlet))
        }
        (_, _, Some(file)) => queue.finish(Batched::new(file.clone())),
        (_, _, None) => queue.finish(Batched::new(io::stderr())),
    };
    Ok((lines, writer, file))
}

fn install(settings: &LogSettings, lines: NonBlocking) -> io::Result<()> {
    let syslog = settings.syslog.as_ref();
    let (facility, enterprise) = syslog.map_or((FACILITY, ENTERPRISE), |syslog| {
        (syslog.facility, syslog.enterprise)
    });
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(settings.level)
        .with_writer(lines)
        .with_ansi(false)
        .event_format(Line {
            format: settings.format,
            mask: settings.mask,
            origin: Origin::new(facility, enterprise),
        })
        .finish();
    tracing::subscriber::set_global_default(subscriber)
        .map_err(|e| io::Error::new(io::ErrorKind::AlreadyExists, e))
}
