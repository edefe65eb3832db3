//! The threads behind the observer: one a sink that writes what it hears, and one more that
//! empties the spool of a sink that may be away.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::alarm::Alarm;
use super::files::RecordFile;
use super::postgres::{Away, Postgres};
use super::{FileSettings, Format, PostgresSettings, Spool, SpoolSettings, records_of};
use crate::limits::{
    POSTGRES_BATCH_MAX, RECORDS_BATCH_BYTES_MAX, RECORDS_QUEUE_MAX, SINK_RETRY_MS_FIRST,
    SINK_RETRY_MS_MAX, SINK_STOP_MS_MAX,
};
use crate::observe::{MaskNumbers, Observer, SinkStanding, Subscription, Told};

/// One place where records go.
#[derive(Debug, Clone)]
pub struct SinkSettings {
    /// Its name in the log and in metrics.
    pub name: String,
    /// How much of telephone numbers is shown.
    pub mask: MaskNumbers,
    /// Whether it gets a row for each attempt.
    pub attempts: bool,
    /// What it is.
    pub target: Target,
}

/// What a sink is.
#[derive(Debug, Clone)]
pub enum Target {
    /// A file, written straight.
    File(FileSettings),
    /// A table of a database, through a spool.
    Postgres(Box<PostgresSettings>, SpoolSettings),
}

/// A sink that cannot be opened.
#[derive(Debug)]
pub struct NoSink {
    name: String,
    cause: io::Error,
}

/// All sinks of a server, at work.
#[derive(Debug, Default)]
pub struct Records {
    sinks: Vec<Arc<Sink>>,
    threads: Vec<JoinHandle<()>>,
    stop: Arc<Stop>,
}

/// What a sink shares with who asks how it stands.
#[derive(Debug)]
struct Sink {
    name: String,
    spool: Option<Spool>,
    missed: Arc<AtomicU64>,
    up: AtomicBool,
    acknowledged: AtomicU64,
    written: AtomicU64,
    repeated: AtomicU64,
    refused: AtomicU64,
    dropped: AtomicU64,
    failures: AtomicU64,
}

/// When the server began to stop.
#[derive(Debug, Default)]
struct Stop(OnceLock<Instant>);

impl Records {
    /// Opens every sink and has it told of calls from now on.
    ///
    /// # Errors
    /// A file, a spool or a thread that cannot be had. A database that is away is none: its
    /// spool waits for it.
    pub fn start(settings: &[SinkSettings], observer: &Observer) -> Result<Self, NoSink> {
        let mut records = Self::default();
        for wanted in settings {
            let added = records.add(wanted, observer);
            added.map_err(|cause| NoSink {
                name: wanted.name.clone(),
                cause,
            })?;
        }
        Ok(records)
    }

    fn add(&mut self, wanted: &SinkSettings, observer: &Observer) -> io::Result<()> {
        let heard = observer
            .subscribe(RECORDS_QUEUE_MAX)
            .ok_or_else(|| io::Error::other("too many listen already"))?;
        let spool = match &wanted.target {
            Target::File(_) => None,
            Target::Postgres(_, spool) if spool.folder.parent() == Some(Path::new("")) => {
                let why = "no folder for its spool: write spool, or [state] dir";
                return Err(io::Error::other(why));
            }
            Target::Postgres(_, spool) => Some(Spool::open(spool.clone())?),
        };
        let sink = Arc::new(Sink {
            name: wanted.name.clone(),
            spool,
            missed: heard.dropped_count(),
            up: AtomicBool::new(true),
            acknowledged: AtomicU64::new(0),
            written: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            failures: AtomicU64::new(0),
        });
        self.sinks.push(Arc::clone(&sink));
        let hears = Hears {
            heard,
            mask: wanted.mask,
            attempts: wanted.attempts,
            alarm: Alarm::new(&wanted.name),
            sink: Arc::clone(&sink),
            stop: Arc::clone(&self.stop),
        };
        match &wanted.target {
            Target::File(settings) => {
                let format = settings.format;
                let file = RecordFile::open(settings.clone())?;
                self.begin(&wanted.name, move || hears.into_file(format, file))
            }
            Target::Postgres(settings, _) => {
                let empties = Empties {
                    alarm: Alarm::new(&wanted.name),
                    database: Postgres::new(settings)?,
                    sink,
                    stop: Arc::clone(&self.stop),
                };
                self.begin(&wanted.name, move || empties.run())?;
                self.begin(&wanted.name, move || hears.into_spool())
            }
        }
    }

    fn begin(&mut self, name: &str, work: impl FnOnce() + Send + 'static) -> io::Result<()> {
        // The kernel shows fifteen letters.
        let thread = std::thread::Builder::new().name(format!("records-{name}"));
        self.threads.push(thread.spawn(work)?);
        Ok(())
    }

    /// For who wants to know how the sinks stand, at any time.
    pub fn standing(&self) -> impl Fn() -> Vec<SinkStanding> + Send + Sync + 'static {
        let sinks = self.sinks.clone();
        move || sinks.iter().map(|sink| sink.standing()).collect()
    }

    /// Waits until what was heard is written, once the observer has ended; not longer than
    /// [`SINK_STOP_MS_MAX`] for sinks that take nothing.
    pub fn join(&mut self) {
        let began = *self.stop.0.get_or_init(Instant::now);
        let most = Duration::from_millis(SINK_STOP_MS_MAX + SINK_RETRY_MS_FIRST);
        for thread in self.threads.drain(..) {
            while !thread.is_finished() && began.elapsed() < most {
                std::thread::sleep(Duration::from_millis(5));
            }
            // One that hangs on a disk or a network is left to the end of the process; what its
            // spool has is there at the next start. One that panicked has said so.
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

impl fmt::Display for NoSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "records cannot be written to {}: {}",
            self.name, self.cause
        )
    }
}

impl std::error::Error for NoSink {}

impl Stop {
    fn has_begun(&self) -> bool {
        self.0.get().is_some()
    }

    /// Whether nobody waits any longer.
    fn is_over(&self) -> bool {
        let most = Duration::from_millis(SINK_STOP_MS_MAX);
        self.0.get().is_some_and(|began| began.elapsed() >= most)
    }

    /// Sleeps, a second at a time after a stop has begun.
    fn sleep(&self, pause: Duration) {
        let until = Instant::now() + pause;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            if self.is_over() || left.is_zero() {
                return;
            }
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }
}

impl Sink {
    fn standing(&self) -> SinkStanding {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let spool = self.spool.as_ref().map(Spool::standing).unwrap_or_default();
        SinkStanding {
            name: self.name.clone(),
            up: self.up.load(Ordering::Relaxed),
            acknowledged: read(&self.acknowledged),
            written: read(&self.written),
            repeated: read(&self.repeated),
            refused: read(&self.refused),
            dropped: read(&self.dropped) + spool.dropped,
            unsure: spool.unsure,
            missed: read(&self.missed),
            failures: read(&self.failures),
            spool_bytes: spool.bytes,
            spool_bytes_max: spool.bytes_max,
            waiting: spool.waiting,
            oldest_ms: spool.oldest_ms,
        }
    }

    fn failed(&self, alarm: &mut Alarm, what: impl fmt::Display) {
        self.up.store(false, Ordering::Relaxed);
        add(&self.failures, 1);
        alarm.trouble(what);
    }

    fn works(&self, alarm: &mut Alarm) {
        self.up.store(true, Ordering::Relaxed);
        alarm.well();
    }
}

/// The thread that hears.
struct Hears {
    heard: Subscription,
    mask: MaskNumbers,
    attempts: bool,
    alarm: Alarm,
    sink: Arc<Sink>,
    stop: Arc<Stop>,
}

impl Hears {
    /// Gathers what waits, as much as is written at once; false when nothing more will come.
    fn gather(&mut self, mut take: impl FnMut(&mut Self, &Told) -> usize) -> bool {
        let Some(told) = self.heard.blocking_recv() else {
            return false;
        };
        let mut bytes = take(self, &told);
        while bytes < RECORDS_BATCH_BYTES_MAX
            && let Some(told) = self.heard.try_recv()
        {
            bytes += take(self, &told);
        }
        true
    }

    fn into_file(mut self, format: Format, mut file: RecordFile) {
        let attempts = self.attempts && format != Format::Pipe;
        let (mut lines, mut count) = (Vec::new(), 0);
        while self.gather(|hears, told| {
            let before = lines.len();
            records_of(told, hears.mask, attempts, |record| {
                format.write(record, &mut lines);
                count += 1;
            });
            lines.len() - before
        }) {
            let (sink, alarm) = (Arc::clone(&self.sink), &mut self.alarm);
            loop {
                let Err(error) = file.write(&lines) else {
                    sink.works(alarm);
                    add(&sink.acknowledged, count);
                    add(&sink.written, count);
                    break;
                };
                sink.failed(alarm, format_args!("cannot be written: {error}"));
                if self.stop.is_over() {
                    add(&sink.dropped, count);
                    break;
                }
                self.stop.sleep(Duration::from_millis(SINK_RETRY_MS_FIRST));
            }
            lines.clear();
            count = 0;
        }
    }

    fn into_spool(mut self) {
        let sink = Arc::clone(&self.sink);
        let Some(spool) = &sink.spool else {
            return;
        };
        let (mut records, mut dropped) = (Vec::new(), spool.standing().dropped);
        while self.gather(|hears, told| {
            let mut bytes = 0;
            records_of(told, hears.mask, hears.attempts, |record| {
                // Writing to memory does not fail.
                let record = serde_json::to_vec(record).unwrap_or_default();
                bytes += record.len();
                records.push(record);
            });
            bytes
        }) {
            let (mut rest, mut lost) = (&records[..], 0);
            while let Err(not_kept) = spool.append(now_ms(), rest) {
                rest = not_kept.rest;
                let cause = not_kept.cause;
                sink.failed(
                    &mut self.alarm,
                    format_args!("the spool cannot be written: {cause}"),
                );
                if rest.is_empty() {
                    break;
                }
                if self.stop.is_over() {
                    lost = rest.len();
                    add(&sink.dropped, lost as u64);
                    break;
                }
                self.stop.sleep(Duration::from_millis(SINK_RETRY_MS_FIRST));
            }
            add(&sink.acknowledged, (records.len() - lost) as u64);
            records.clear();
            let now = spool.standing().dropped;
            if now > dropped {
                let more = now - dropped;
                (self.alarm).trouble(format_args!("the spool is full: {more} records dropped"));
            }
            dropped = now;
        }
        spool.close();
    }
}

/// The thread that empties the spool.
struct Empties {
    alarm: Alarm,
    database: Postgres,
    sink: Arc<Sink>,
    stop: Arc<Stop>,
}

impl Empties {
    fn run(mut self) {
        let sink = Arc::clone(&self.sink);
        let Some(spool) = &sink.spool else {
            return;
        };
        let mut pause_ms = SINK_RETRY_MS_FIRST;
        while !self.stop.is_over() {
            // Asked before: what was appended until then is found.
            let is_last = self.stop.has_begun();
            let batch = match spool.take(POSTGRES_BATCH_MAX, Duration::from_millis(500)) {
                Ok(Some(batch)) => batch,
                Ok(None) if is_last && spool.standing().waiting == 0 => return,
                Ok(None) => {
                    self.database.look_after(&sink.up);
                    continue;
                }
                Err(error) => {
                    let what = format_args!("the spool cannot be read: {error}");
                    sink.failed(&mut self.alarm, what);
                    self.stop.sleep(Duration::from_millis(pause_ms));
                    continue;
                }
            };
            match self.database.insert(&batch.records) {
                Ok(inserted) => {
                    let count = batch.records.len() as u64;
                    add(&sink.written, inserted.rows);
                    add(&sink.refused, inserted.refused);
                    let repeated = count.saturating_sub(inserted.rows + inserted.refused);
                    add(&sink.repeated, repeated);
                    sink.works(&mut self.alarm);
                    if let Some(why) = inserted.why {
                        self.alarm
                            .trouble(format_args!("a record is refused: {why}"));
                    }
                    if let Err(error) = spool.confirm(&batch) {
                        let what = format_args!("the spool cannot be written: {error}");
                        sink.failed(&mut self.alarm, what);
                    }
                    pause_ms = SINK_RETRY_MS_FIRST;
                }
                Err(Away { why, was_sent }) => {
                    spool.give_back(&batch, was_sent);
                    sink.failed(&mut self.alarm, why);
                    if is_last {
                        // The spool keeps it for the next start.
                        return;
                    }
                    self.stop.sleep(Duration::from_millis(pause_ms));
                    pause_ms = (pause_ms * 2).min(SINK_RETRY_MS_MAX);
                }
            }
        }
    }
}

fn add(counter: &AtomicU64, count: u64) {
    counter.fetch_add(count, Ordering::Relaxed);
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
