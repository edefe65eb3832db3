//! The log: text or JSON lines, to standard error or a file that can be reopened,
//! through a bounded queue that never makes a call wait.

use std::fmt::{self, Write as _};
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_appender::non_blocking::{ErrorCounter, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::field::RecordFields;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::FormatTime;
use tracing_subscriber::fmt::{FmtContext, MakeWriter};
use tracing_subscriber::registry::LookupSpan;

use crate::limits::{LOG_BATCH_BYTES_MAX, LOG_LINES_QUEUED_MAX, LOG_PAUSE_MS};

/// How lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// `2026-11-22T19:00:00.118Z INFO …`, for people.
    #[default]
    Text,
    /// One JSON object a line, for log stores.
    Json,
}

/// What is logged and where.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// How lines look.
    pub format: LogFormat,
    /// The least important lines written.
    pub level: LevelFilter,
    /// The file; standard error without one.
    pub file: Option<PathBuf>,
}

impl Default for LogSettings {
    fn default() -> Self {
        Self {
            format: LogFormat::Text,
            level: LevelFilter::INFO,
            file: None,
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
    /// The file cannot be opened, or something else already logs for this process.
    pub fn start(settings: &LogSettings) -> io::Result<Self> {
        let file = settings
            .file
            .as_deref()
            .map(ReopenableFile::open)
            .transpose()?;
        let queue = NonBlockingBuilder::default()
            .lossy(true)
            .buffered_lines_limit(LOG_LINES_QUEUED_MAX)
            .thread_name("log");
        let (lines, writer) = match &file {
            Some(file) => queue.finish(Batched::new(file.clone())),
            None => queue.finish(Batched::new(io::stderr())),
        };
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

fn install<W>(settings: &LogSettings, lines: W) -> io::Result<()>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let builder = tracing_subscriber::fmt()
        .with_max_level(settings.level)
        .with_writer(lines)
        .with_ansi(false);
    let installed = match settings.format {
        LogFormat::Text => tracing::subscriber::set_global_default(
            builder
                .fmt_fields(PlainFields)
                .event_format(PlainLine)
                .finish(),
        ),
        LogFormat::Json => tracing::subscriber::set_global_default(
            builder
                .json()
                .flatten_event(true)
                .with_current_span(false)
                .with_target(false)
                .with_timer(UtcTime)
                .finish(),
        ),
    };
    installed.map_err(|e| io::Error::new(io::ErrorKind::AlreadyExists, e))
}

/// Writes many lines with one call of the system. Whoever wrote waits a moment before it
/// looks for more: a line a call would otherwise cost a wake-up, and a write, each.
struct Batched<W> {
    out: W,
    lines: Vec<u8>,
}

impl<W: Write> Batched<W> {
    const fn new(out: W) -> Self {
        Self {
            out,
            lines: Vec::new(),
        }
    }

    /// What could not be written is lost, as a line was before.
    fn write_out(&mut self) -> io::Result<()> {
        let written = self.out.write_all(&self.lines);
        self.lines.clear();
        written
    }
}

impl<W: Write> Write for Batched<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.lines.len() + bytes.len() > LOG_BATCH_BYTES_MAX {
            self.write_out()?;
        }
        self.lines.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    /// Called on the log's own thread when its queue is empty.
    fn flush(&mut self) -> io::Result<()> {
        if self.lines.is_empty() {
            return self.out.flush();
        }
        self.write_out()?;
        self.out.flush()?;
        std::thread::sleep(Duration::from_millis(LOG_PAUSE_MS));
        Ok(())
    }
}

/// A file that can be swapped under its writers.
#[derive(Debug, Clone)]
struct ReopenableFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl ReopenableFile {
    fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(Mutex::new(append(path)?)),
        })
    }

    fn reopen(&self) -> io::Result<()> {
        let fresh = append(&self.path)?;
        *self.file.lock().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl Write for ReopenableFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .flush()
    }
}

fn append(path: &Path) -> io::Result<File> {
    OpenOptions::new().create(true).append(true).open(path)
}

/// `2026-11-22T19:00:00.118Z`.
struct UtcTime;

impl FormatTime for UtcTime {
    fn format_time(&self, w: &mut Writer<'_>) -> fmt::Result {
        write!(w, "{:.3}", Timestamp::now())
    }
}

/// Time, level, message, fields; one line whatever stands in them.
struct PlainLine;

impl<S, N> FormatEvent<S, N> for PlainLine
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        UtcTime.format_time(&mut writer)?;
        write!(writer, " {} ", event.metadata().level())?;
        context
            .field_format()
            .format_fields(writer.by_ref(), event)?;
        writer.write_char('\n')
    }
}

/// The message bare, other fields as `name=value`, control characters escaped.
struct PlainFields;

impl<'w> FormatFields<'w> for PlainFields {
    fn format_fields<R: RecordFields>(&self, writer: Writer<'w>, fields: R) -> fmt::Result {
        let mut visitor = PlainVisitor {
            writer,
            first: true,
            result: Ok(()),
        };
        fields.record(&mut visitor);
        visitor.result
    }
}

struct PlainVisitor<'w> {
    writer: Writer<'w>,
    first: bool,
    result: fmt::Result,
}

impl tracing::field::Visit for PlainVisitor<'_> {
    fn record_str(&mut self, field: &tracing::field::Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }

    fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
        if self.result.is_err() {
            return;
        }
        let space = if std::mem::replace(&mut self.first, false) {
            ""
        } else {
            " "
        };
        let mut line = OneLine(&mut self.writer);
        self.result = match field.name() {
            "message" => write!(line, "{space}{value:?}"),
            name => write!(line, "{space}{name}={value:?}"),
        };
    }
}

/// Passes text on with control characters escaped.
struct OneLine<'a, W>(&'a mut W);

impl<W: fmt::Write> fmt::Write for OneLine<'_, W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(char::is_control) {
            let Some(last) = piece.chars().next_back().filter(|c| c.is_control()) else {
                self.0.write_str(piece)?;
                continue;
            };
            self.0
                .write_str(piece.strip_suffix(last).unwrap_or(piece))?;
            write!(self.0, "{}", last.escape_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    #[test]
    fn a_value_cannot_start_a_second_line() {
        let mut shown = String::new();
        OneLine(&mut shown)
            .write_str("a\nb\r\u{1b}[31mc\u{85}")
            .unwrap();
        assert_eq!(shown, "a\\nb\\r\\u{1b}[31mc\\u{85}");
    }

    /// A disk that counts how often it is written to.
    #[derive(Default)]
    struct Counting(Vec<usize>);

    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn lines_are_written_together_and_never_too_many() {
        let mut log = Batched::new(Counting::default());
        for _ in 0..100 {
            log.write_all(&[b'x'; 10]).unwrap();
        }
        assert!(log.out.0.is_empty());
        log.flush().unwrap();
        log.flush().unwrap();
        assert_eq!(log.out.0, [1_000]);
        for _ in 0..3 {
            log.write_all(&[b'x'; LOG_BATCH_BYTES_MAX]).unwrap();
        }
        log.flush().unwrap();
        assert_eq!(log.out.0[1..], [LOG_BATCH_BYTES_MAX; 3]);
    }

    #[test]
    fn a_moved_file_is_left_behind_after_reopening() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("log"), folder.path().join("log.1"));
        let mut file = ReopenableFile::open(&path).unwrap();
        file.write_all(b"one\n").unwrap();
        std::fs::rename(&path, &moved).unwrap();
        file.write_all(b"two\n").unwrap();
        file.reopen().unwrap();
        file.write_all(b"three\n").unwrap();
        assert_eq!(std::fs::read_to_string(moved).unwrap(), "one\ntwo\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "three\n");
    }
}
