//! Lines in a file or on standard error, many with one call of the system.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::limits::{LOG_BATCH_BYTES_MAX, LOG_PAUSE_MS};

/// Writes many lines with one call of the system. Whoever wrote waits a moment before it
/// looks for more: a line a call would otherwise cost a wake-up, and a write, each.
pub(super) struct Batched<W> {
    out: W,
    lines: Vec<u8>,
}

impl<W: Write> Batched<W> {
    pub(super) const fn new(out: W) -> Self {
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
pub(super) struct ReopenableFile {
    path: PathBuf,
    file: Arc<Mutex<File>>,
}

impl ReopenableFile {
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            path: path.to_owned(),
            file: Arc::new(Mutex::new(append(path)?)),
        })
    }

    pub(super) fn reopen(&self) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

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
