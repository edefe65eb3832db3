//! How far the sink of a spool has come: one line in one small file, replaced as a whole.

use std::fs;
use std::io;
use std::path::Path;

use super::frame::{MAGIC, crc32};

/// A place in a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) segment: u64,
    /// Bytes from the beginning of its file.
    pub(super) offset: u64,
    /// Frames before it in its segment.
    pub(super) frames: u64,
}

/// Up to where the sink has everything, and what was counted so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) position: Position,
    pub(super) delivered: u64,
    pub(super) dropped: u64,
    pub(super) unsure: u64,
}

const FILE: &str = "mark";

impl Position {
    pub(super) const fn start_of(segment: u64) -> Self {
        Self {
            segment,
            offset: MAGIC.len() as u64,
            frames: 0,
        }
    }

    /// Frames before it in that segment, if it is in it.
    pub(super) const fn frames_in(&self, segment: u64) -> u64 {
        if self.segment == segment {
            self.frames
        } else {
            0
        }
    }
}

impl Mark {
    /// The mark of a folder; one at the beginning where there is none that can be read: then
    /// all that is there is sent again.
    pub(super) fn read(folder: &Path) -> io::Result<Self> {
        let text = match fs::read_to_string(folder.join(FILE)) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => String::new(),
            Err(error) => return Err(error),
        };
        Ok(Self::parse(&text).unwrap_or(Self {
            position: Position::start_of(0),
            delivered: 0,
            dropped: 0,
            unsure: 0,
        }))
    }

    /// Replaces the file. The disk may have it later: what it says less than is true is sent
    /// again, and the sink knows it.
    pub(super) fn write(&self, folder: &Path) -> io::Result<()> {
        let new = folder.join("mark.new");
        fs::write(&new, self.text())?;
        fs::rename(new, folder.join(FILE))
    }

    /// This mark, where the first segment is that one: it may be none of before.
    pub(super) fn within(mut self, first: Option<u64>) -> Self {
        if let Some(first) = first.filter(|first| *first > self.position.segment) {
            self.position = Position::start_of(first);
        }
        self
    }

    fn text(&self) -> String {
        let Position {
            segment,
            offset,
            frames,
        } = self.position;
        let (delivered, dropped, unsure) = (self.delivered, self.dropped, self.unsure);
        let text = format!("{segment} {offset} {frames} {delivered} {dropped} {unsure}");
        format!("{text} {:08x}\n", crc32(text.as_bytes()))
    }

    fn parse(text: &str) -> Option<Self> {
        let (text, crc) = text.trim_end().rsplit_once(' ')?;
        if u32::from_str_radix(crc, 16).ok()? != crc32(text.as_bytes()) {
            return None;
        }
        let mut numbers = text.split(' ').map(|word| word.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self {
            position: Position {
                segment: next()?,
                offset: next()?,
                frames: next()?,
            },
            delivered: next()?,
            dropped: next()?,
            unsure: next()?,
        })
    }
}
