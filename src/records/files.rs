//! A file of records that is put aside when it is large or old.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use super::format::Format;
use crate::limits::RECORD_BYTES_MAX;

/// Where records are written, and how much of them is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileSettings {
    /// The file; those put aside are `PATH.1` (the youngest), `PATH.2`, …
    pub path: PathBuf,
    /// What it looks like.
    pub format: Format,
    /// Bytes after which it is put aside.
    pub bytes_max: u64,
    /// Age after which it is; never by age without one.
    pub age_max: Option<Duration>,
    /// Files put aside that are kept.
    pub keep: u32,
}

/// An open file of records.
#[derive(Debug)]
pub(super) struct RecordFile {
    settings: FileSettings,
    file: File,
    bytes: u64,
    born: SystemTime,
    looked: Instant,
}

/// How often is looked whether somebody has moved the file away.
const LOOK: Duration = Duration::from_secs(1);

impl RecordFile {
    /// Opens it, mode 640, to be written on. A last line that was torn is cut off.
    pub(super) fn open(settings: FileSettings) -> io::Result<Self> {
        let mut file = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o640)
            .open(&settings.path)?;
        let mut bytes = whole_lines(&mut file)?;
        file.set_len(bytes)?;
        if bytes == 0 {
            let head = settings.format.head();
            file.write_all(head.as_bytes())?;
            bytes = head.len() as u64;
        }
        let known = file.metadata()?;
        let born = known.created().or_else(|_| known.modified());
        Ok(Self {
            settings,
            file,
            bytes,
            born: born.unwrap_or_else(|_| SystemTime::now()),
            looked: Instant::now(),
        })
    }

    /// Writes whole lines. On an error none of them is there, and the same may be tried again.
    pub(super) fn write(&mut self, lines: &[u8]) -> io::Result<()> {
        self.make_way(lines.len() as u64)?;
        if let Err(error) = self.file.write_all(lines) {
            // What is half there would be there twice.
            self.file.set_len(self.bytes)?;
            return Err(error);
        }
        self.bytes += lines.len() as u64;
        Ok(())
    }

    /// Puts the file aside if it is full or old, and opens it anew if it was moved away.
    fn make_way(&mut self, more: u64) -> io::Result<()> {
        let head = self.settings.format.head().len() as u64;
        let is_full = self.bytes > head && self.bytes + more > self.settings.bytes_max;
        let age = self.born.elapsed().unwrap_or_default();
        let is_old = self.settings.age_max.is_some_and(|max| age >= max) && self.bytes > head;
        if is_full || is_old {
            put_aside(&self.settings.path, self.settings.keep)?;
            *self = Self::open(self.settings.clone())?;
        } else if self.looked.elapsed() >= LOOK {
            self.looked = Instant::now();
            let own = self.file.metadata()?;
            let there = fs::metadata(&self.settings.path);
            if there.map_or(true, |there| {
                (there.dev(), there.ino()) != (own.dev(), own.ino())
            }) {
                *self = Self::open(self.settings.clone())?;
            }
        }
        Ok(())
    }
}

/// `PATH` becomes `PATH.1`, that `PATH.2`, and so on; the last one goes.
fn put_aside(path: &Path, keep: u32) -> io::Result<()> {
    let aside = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    if keep == 0 {
        return fs::remove_file(path);
    }
    for number in (1..keep).rev() {
        match fs::rename(aside(number), aside(number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, aside(1))
}

/// Bytes up to the end of the last whole line.
fn whole_lines(file: &mut File) -> io::Result<u64> {
    let length = file.metadata()?.len();
    let tail = (RECORD_BYTES_MAX as u64 * 2).min(length);
    file.seek(SeekFrom::Start(length - tail))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let torn = bytes
        .iter()
        .rev()
        .take_while(|byte| **byte != b'\n')
        .count();
    Ok(length.saturating_sub(torn as u64))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    fn settings(folder: &Path, format: Format) -> FileSettings {
        FileSettings {
            path: folder.join("calls"),
            format,
            bytes_max: 100,
            age_max: None,
            keep: 3,
        }
    }

    #[test]
    fn a_full_file_is_put_aside_and_so_many_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RecordFile::open(settings(folder.path(), Format::Ndjson)).unwrap();
        for number in 0..50 {
            file.write(format!("{number:029}\n").as_bytes()).unwrap();
        }
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert!(read("calls").ends_with("49\n") && read("calls.1").ends_with("47\n"));
        assert!(read("calls.3").len() <= 100);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 4);
        let mode = fs::metadata(folder.path().join("calls"))
            .unwrap()
            .permissions();
        assert_eq!(mode.mode() & 0o777, 0o640);
    }

    #[test]
    fn an_old_file_is_put_aside() {
        let folder = tempfile::tempdir().unwrap();
        let mut wanted = settings(folder.path(), Format::Ndjson);
        wanted.age_max = Some(Duration::ZERO);
        let mut file = RecordFile::open(wanted).unwrap();
        file.write(b"1\n").unwrap();
        file.write(b"2\n").unwrap();
        assert_eq!(fs::read(folder.path().join("calls.1")).unwrap(), b"1\n");
    }

    #[test]
    fn a_torn_line_is_cut_off_and_a_head_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("calls");
        let head = Format::Csv.head();
        drop(RecordFile::open(settings(folder.path(), Format::Csv)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), head);
        fs::write(&path, format!("{head}a,b\r\nc,")).unwrap();
        drop(RecordFile::open(settings(folder.path(), Format::Csv)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{head}a,b\r\n"));
        fs::write(&path, "torn").unwrap();
        drop(RecordFile::open(settings(folder.path(), Format::Csv)).unwrap());
        assert_eq!(fs::read_to_string(&path).unwrap(), head);
    }

    #[test]
    fn a_file_that_was_moved_away_is_begun_anew() {
        let folder = tempfile::tempdir().unwrap();
        let mut file = RecordFile::open(settings(folder.path(), Format::Ndjson)).unwrap();
        fs::rename(folder.path().join("calls"), folder.path().join("elsewhere")).unwrap();
        file.looked = Instant::now().checked_sub(LOOK).unwrap();
        file.write(b"1\n").unwrap();
        assert_eq!(fs::read(folder.path().join("calls")).unwrap(), b"1\n");
    }
}
