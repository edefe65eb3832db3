//! Records on disk, between the server and a sink that may be slow or away.
//!
//! A folder of segments, each a row of [frames](super::frame), and a file that says how far the
//! sink has come. What [`Spool::append`] has returned for is *acknowledged*: it is with the
//! system, so that no end of the process loses it, and on the disk no later than
//! [`SpoolSettings::sync`] afterwards, so that power loses no more than that. A tail that was
//! torn is cut off when the spool is opened: nothing in it was acknowledged.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::frame::{self, FRAME_HEAD_BYTES, MAGIC};
use super::spool_mark::{Mark, Position};
use crate::limits::{SPOOL_BATCH_BYTES_MAX, SPOOL_SEGMENT_BYTES_MAX};

/// How a spool is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpoolSettings {
    /// Its folder, for this sink alone; made with mode 700.
    pub folder: PathBuf,
    /// Bytes it may have on disk.
    pub bytes_max: u64,
    /// What is dropped when it is full.
    pub when_full: WhenFull,
    /// How late the disk may have what was acknowledged; zero: not at all.
    pub sync: Duration,
}

/// What a full spool drops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// What has waited longest, a segment at a time.
    DropOldest,
    /// What comes.
    DropNewest,
}

/// A spool that is open. One thread appends, one takes.
#[derive(Debug)]
pub struct Spool {
    state: Mutex<State>,
    grown: Condvar,
    /// Held for as long as the spool is open.
    _lock: File,
}

/// What waits, in order, for the sink to confirm it.
#[derive(Debug, PartialEq, Eq)]
pub struct Batch {
    /// The records.
    pub records: Vec<Vec<u8>>,
    end: Position,
}

/// Records that a spool has not kept.
#[derive(Debug)]
pub struct NotKept<'r> {
    /// Which; none where only the disk is late.
    pub rest: &'r [Vec<u8>],
    /// Why.
    pub cause: io::Error,
}

/// How a spool stands. The counts outlive the process.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SpoolStanding {
    /// Bytes on disk.
    pub bytes: u64,
    /// Those it may have.
    pub bytes_max: u64,
    /// Records that wait.
    pub waiting: u64,
    /// When the oldest of them came, in milliseconds since 1970.
    pub oldest_ms: Option<u64>,
    /// Records the sink has confirmed.
    pub delivered: u64,
    /// Records that were dropped for want of room.
    pub dropped: u64,
    /// Records that were dropped for want of room after they had been sent without an answer:
    /// the sink may have them.
    pub unsure: u64,
}

#[derive(Debug)]
struct State {
    settings: SpoolSettings,
    segments: VecDeque<Segment>,
    last: File,
    mark: Mark,
    /// Frames behind the mark that were sent without an answer.
    sent: u64,
    in_flight: bool,
    synced: Instant,
    is_dirty: bool,
    oldest_ms: Option<u64>,
    closed: bool,
}

#[derive(Debug, Clone, Copy)]
struct Segment {
    number: u64,
    bytes: u64,
    frames: u64,
}

impl Spool {
    /// Opens the spool of a folder, or makes one. A second time at once is refused.
    ///
    /// # Errors
    /// The folder cannot be used, or another process has it open.
    pub fn open(settings: SpoolSettings) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&settings.folder)?;
        let lock = file(&settings.folder.join("lock"))?;
        lock.try_lock().map_err(io::Error::from)?;
        let mark = Mark::read(&settings.folder)?;
        let mut segments = VecDeque::new();
        for number in numbers(&settings.folder)? {
            let path = path(&settings.folder, number);
            if number < mark.position.segment {
                fs::remove_file(&path)?;
                continue;
            }
            segments.push_back(look_at(&path, number)?);
        }
        let mark = mark.within(segments.front().map(|first| first.number));
        let mut state = State {
            last: lock.try_clone()?,
            settings,
            segments,
            mark,
            sent: 0,
            in_flight: false,
            synced: Instant::now(),
            is_dirty: false,
            oldest_ms: None,
            closed: false,
        };
        state.open_last()?;
        state.begin_behind_the_mark()?;
        state.oldest_ms = state.look_for_oldest();
        Ok(Self {
            state: Mutex::new(state),
            grown: Condvar::new(),
            _lock: lock,
        })
    }

    /// Keeps these records, which came at `now_ms` (since 1970). Afterwards they are
    /// acknowledged, but for those that were dropped and counted.
    ///
    /// # Errors
    /// The disk takes nothing: which of them are not kept, none is half there.
    pub fn append<'r>(&self, now_ms: u64, records: &'r [Vec<u8>]) -> Result<(), NotKept<'r>> {
        let mut state = self.state();
        let piece = usize::try_from(state.segment_max()).unwrap_or(usize::MAX);
        let piece = piece.min(SPOOL_BATCH_BYTES_MAX);
        let mut rest = records;
        while !rest.is_empty() {
            let mut bytes = Vec::new();
            let mut taken = 0;
            for record in rest {
                if taken > 0 && bytes.len() + FRAME_HEAD_BYTES + record.len() > piece {
                    break;
                }
                frame::write(now_ms, record, &mut bytes);
                taken += 1;
            }
            state
                .append(&bytes, taken as u64, now_ms)
                .map_err(|cause| NotKept { rest, cause })?;
            let (_, left) = rest.split_at_checked(taken).unwrap_or((rest, &[]));
            rest = left;
        }
        let synced = state.sync_if_due();
        drop(state);
        self.grown.notify_all();
        synced.map_err(|cause| NotKept { rest: &[], cause })
    }

    /// The next records, at most so many, as soon as there are any; `None` when there were none
    /// for `patience`, or when the spool is closed and empty. They wait until [`Spool::confirm`]
    /// or [`Spool::give_back`]; meanwhile no others are given.
    ///
    /// # Errors
    /// The disk cannot be read.
    pub fn take(&self, most: usize, patience: Duration) -> io::Result<Option<Batch>> {
        let mut state = self.state();
        if !state.has_more() && !state.closed {
            state = (self.grown.wait_timeout(state, patience))
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.sync_if_due()?;
        if state.in_flight || !state.has_more() {
            return Ok(None);
        }
        let batch = state.read(most)?;
        state.in_flight = !batch.records.is_empty();
        Ok(Some(batch).filter(|batch| !batch.records.is_empty()))
    }

    /// The sink has them: they are forgotten.
    ///
    /// # Errors
    /// That could not be written down: after a restart they would be sent once more.
    pub fn confirm(&self, batch: &Batch) -> io::Result<()> {
        let mut state = self.state();
        state.in_flight = false;
        state.confirm(batch)
    }

    /// The sink has not taken them, or, where they were sent, nobody knows: they are given
    /// again.
    pub fn give_back(&self, batch: &Batch, were_sent: bool) {
        let mut state = self.state();
        state.in_flight = false;
        if were_sent {
            state.sent = state.sent.max(batch.records.len() as u64);
        }
    }

    /// Nothing is appended any more. Who waits in [`Spool::take`] wakes.
    pub fn close(&self) {
        let mut state = self.state();
        state.closed = true;
        // The system has it; the disk gets it now.
        let _ = state.sync();
        drop(state);
        self.grown.notify_all();
    }

    /// How it stands.
    #[must_use]
    pub fn standing(&self) -> SpoolStanding {
        let state = self.state();
        SpoolStanding {
            bytes: state.bytes(),
            bytes_max: state.settings.bytes_max,
            waiting: state.waiting(),
            oldest_ms: state.oldest_ms,
            delivered: state.mark.delivered,
            dropped: state.mark.dropped,
            unsure: state.mark.unsure,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A full spool drops a segment: an eighth of it at most.
    fn segment_max(&self) -> u64 {
        (self.settings.bytes_max / 8).min(SPOOL_SEGMENT_BYTES_MAX)
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    fn has_more(&self) -> bool {
        self.next().is_some()
    }

    /// The segment with the first frame behind the mark.
    fn next(&self) -> Option<Segment> {
        let position = self.mark.position;
        let mut segments = self.segments.iter();
        let next = segments.find(|segment| {
            segment.number >= position.segment
                && segment.frames > position.frames_in(segment.number)
        });
        next.copied()
    }

    /// Frames behind the mark.
    fn waiting(&self) -> u64 {
        let position = self.mark.position;
        let left = |s: &Segment| s.frames.saturating_sub(position.frames_in(s.number));
        self.segments.iter().map(left).sum()
    }

    fn append(&mut self, bytes: &[u8], frames: u64, now_ms: u64) -> io::Result<()> {
        let size = bytes.len() as u64;
        while self.bytes() + size > self.settings.bytes_max {
            if self.settings.when_full == WhenFull::DropNewest || !self.drop_oldest()? {
                self.mark.dropped += frames;
                return self.mark.write(&self.settings.folder);
            }
        }
        let current = self.segments.back().map_or(u64::MAX, |last| last.bytes);
        if current.saturating_add(size) > self.segment_max() {
            self.begin_segment()?;
        }
        let Some(last) = self.segments.back_mut() else {
            return Err(io::Error::other("a spool without a segment"));
        };
        if let Err(error) = self.last.write_all(bytes) {
            // What is half there was not acknowledged.
            self.last.set_len(last.bytes)?;
            self.last.seek(SeekFrom::Start(last.bytes))?;
            return Err(error);
        }
        last.bytes += size;
        last.frames += frames;
        self.is_dirty = true;
        self.oldest_ms.get_or_insert(now_ms);
        Ok(())
    }

    /// Gives up the oldest segment; whether there was one that may go.
    fn drop_oldest(&mut self) -> io::Result<bool> {
        let Some(oldest) = self.segments.front().copied() else {
            return Ok(false);
        };
        if self.in_flight || oldest.frames == 0 {
            return Ok(false);
        }
        if self.segments.len() == 1 {
            self.begin_segment()?;
        }
        let here = self.mark.position.frames_in(oldest.number);
        let lost = oldest.frames.saturating_sub(here);
        let unsure = self.sent.min(lost);
        self.mark.dropped += lost - unsure;
        self.mark.unsure += unsure;
        self.sent = 0;
        self.mark.position = Position::start_of(oldest.number + 1);
        // First it is written that the segment does not count any more: a kill in between
        // leaves a file that the next start removes.
        self.mark.write(&self.settings.folder)?;
        self.segments.pop_front();
        fs::remove_file(path(&self.settings.folder, oldest.number))?;
        self.oldest_ms = self.look_for_oldest();
        Ok(true)
    }

    fn begin_segment(&mut self) -> io::Result<()> {
        self.sync()?;
        let number = self
            .segments
            .back()
            .map_or_else(|| self.mark.position.segment.max(1), |last| last.number + 1);
        let mut made = file(&path(&self.settings.folder, number))?;
        made.set_len(0)?;
        made.write_all(MAGIC)?;
        self.last = made;
        self.is_dirty = true;
        self.segments.push_back(Segment {
            number,
            bytes: MAGIC.len() as u64,
            frames: 0,
        });
        // A segment whose name is not on the disk is none.
        File::open(&self.settings.folder)?.sync_all()
    }

    /// The last segment, to be written on.
    fn open_last(&mut self) -> io::Result<()> {
        let Some(last) = self.segments.back().copied() else {
            return self.begin_segment();
        };
        let mut file = file(&path(&self.settings.folder, last.number))?;
        if last.bytes < MAGIC.len() as u64 {
            // Torn before its first frame.
            self.segments.pop_back();
            return self.begin_segment();
        }
        file.set_len(last.bytes)?;
        file.seek(SeekFrom::Start(last.bytes))?;
        self.last = file;
        Ok(())
    }

    /// Where the disk has less than the sink has confirmed (power was lost before it was told),
    /// the mark stands behind the end: what comes begins a segment of its own.
    fn begin_behind_the_mark(&mut self) -> io::Result<()> {
        let position = self.mark.position;
        let there = self.segments.iter().find(|s| s.number == position.segment);
        let is_short = match there {
            Some(segment) => segment.bytes < position.offset,
            None => {
                position.frames > 0
                    && self
                        .segments
                        .back()
                        .is_none_or(|s| s.number < position.segment)
            }
        };
        if !is_short {
            return Ok(());
        }
        self.begin_segment()?;
        if let Some(last) = self.segments.back() {
            self.mark.position = Position::start_of(last.number);
        }
        self.mark.write(&self.settings.folder)
    }

    /// Records behind the mark, of one segment.
    fn read(&mut self, most: usize) -> io::Result<Batch> {
        let mut position = self.mark.position;
        let Some(segment) = self.next() else {
            return Ok(Batch {
                records: Vec::new(),
                end: position,
            });
        };
        if segment.number != position.segment {
            position = Position::start_of(segment.number);
        }
        let mut file = File::open(path(&self.settings.folder, segment.number))?;
        file.seek(SeekFrom::Start(position.offset))?;
        let left = segment.bytes.saturating_sub(position.offset);
        let mut bytes = Vec::new();
        let room = (SPOOL_BATCH_BYTES_MAX + FRAME_HEAD_BYTES) as u64 * 2;
        file.take(left.min(room)).read_to_end(&mut bytes)?;
        let mut records = Vec::new();
        for found in frame::read_all(&bytes).take(most) {
            if records.is_empty() {
                self.oldest_ms = Some(found.at_ms);
            }
            position.offset += found.bytes as u64;
            position.frames += 1;
            records.push(found.record.to_vec());
        }
        if records.is_empty() {
            return self.leave_damaged(segment);
        }
        Ok(Batch {
            records,
            end: position,
        })
    }

    /// What is left of a segment cannot be read any more: it is lost, and counted.
    fn leave_damaged(&mut self, segment: Segment) -> io::Result<Batch> {
        let here = self.mark.position.frames_in(segment.number);
        self.mark.dropped += segment.frames.saturating_sub(here);
        if self.segments.back().map(|last| last.number) == Some(segment.number) {
            self.begin_segment()?;
        }
        self.mark.position = Position::start_of(segment.number + 1);
        self.mark.write(&self.settings.folder)?;
        self.segments.retain(|kept| kept.number > segment.number);
        let position = self.mark.position;
        Ok(Batch {
            records: Vec::new(),
            end: position,
        })
    }

    fn confirm(&mut self, batch: &Batch) -> io::Result<()> {
        self.sent = 0;
        self.mark.delivered += batch.records.len() as u64;
        self.mark.position = batch.end;
        self.mark.write(&self.settings.folder)?;
        while let Some(first) = self.segments.front().copied() {
            let is_done = first.number < batch.end.segment
                || first.number == batch.end.segment && first.frames <= batch.end.frames;
            if !is_done || self.segments.len() == 1 {
                break;
            }
            self.segments.pop_front();
            fs::remove_file(path(&self.settings.folder, first.number))?;
        }
        if !self.has_more() {
            self.oldest_ms = None;
        }
        Ok(())
    }

    fn look_for_oldest(&mut self) -> Option<u64> {
        self.oldest_ms = None;
        // Reading one says when it came.
        self.read(1).ok()?;
        self.oldest_ms
    }

    fn sync_if_due(&mut self) -> io::Result<()> {
        if self.is_dirty && self.synced.elapsed() >= self.settings.sync {
            self.sync()?;
        }
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        self.synced = Instant::now();
        if std::mem::take(&mut self.is_dirty) {
            self.last.sync_data()?;
        }
        Ok(())
    }
}

fn path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:016x}.spool"))
}

/// The numbers of the segments there are, in order.
fn numbers(folder: &Path) -> io::Result<Vec<u64>> {
    let mut numbers = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let stem = name.to_str().and_then(|name| name.strip_suffix(".spool"));
        numbers.extend(stem.and_then(|stem| u64::from_str_radix(stem, 16).ok()));
    }
    numbers.sort_unstable();
    Ok(numbers)
}

/// How much of a segment is whole.
fn look_at(path: &Path, number: u64) -> io::Result<Segment> {
    let bytes = fs::read(path)?;
    let Some(frames) = bytes.strip_prefix(MAGIC) else {
        return Ok(Segment {
            number,
            bytes: 0,
            frames: 0,
        });
    };
    let mut segment = Segment {
        number,
        bytes: MAGIC.len() as u64,
        frames: 0,
    };
    for found in frame::read_all(frames) {
        segment.bytes += found.bytes as u64;
        segment.frames += 1;
    }
    Ok(segment)
}

fn file(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
}

#[cfg(test)]
mod tests;
