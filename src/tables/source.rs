//! The files a table is made of: reading them, and saying where in them something stands.

use std::fmt;
use std::fs::{File, Metadata};
use std::io::{self, Read as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use sha2::{Digest as _, Sha256};

use super::diagnostic::{Code, Diagnostic, Diagnostics, Place, quoted};
use crate::limits;

/// One file, read as a whole and known to be UTF-8.
#[derive(Debug)]
pub struct SourceFile {
    id: FileId,
    name: String,
    content: String,
    /// Bytes of the byte order mark in front of the text.
    mark_bytes: usize,
    /// Line feeds before each block of [`BLOCK_BYTES`] of the text, made when first
    /// asked: a caret at the end of a huge file must not count every line anew.
    line_feeds: OnceLock<Vec<u32>>,
    /// SHA-256 of all bytes, made when first asked.
    digest: OnceLock<[u8; 32]>,
}

/// Which of the [`Sources`] a spot stands in. Valid for the `Sources` that gave it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FileId(u16);

/// A stretch of one file. Valid for the [`Sources`] its file was read into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Spot {
    /// The file.
    pub file: FileId,
    /// First byte, counted in [`SourceFile::text`].
    pub start: u32,
    /// The byte behind the last one.
    pub end: u32,
}

impl Spot {
    /// The stretch in bytes.
    #[must_use]
    pub const fn range(self) -> Range<usize> {
        self.start as usize..self.end as usize
    }
}

const BLOCK_BYTES: usize = 1 << 16;

/// A line longer than this is shown in part.
const LINE_CHARS_SHOWN: usize = 200;

/// Characters shown before the place in a line that is cut.
const CHARS_BEFORE_PLACE: usize = 60;

impl SourceFile {
    /// Text that stands in no file that is read from disk: a test, or standard input.
    /// `None` when it is larger than a table file may be.
    #[must_use]
    pub fn from_text(name: impl Into<String>, text: impl Into<String>) -> Option<Self> {
        let (name, content) = (name.into(), text.into());
        (content.len() as u64 <= limits::TABLE_FILE_BYTES_MAX).then(|| Self::new(name, content))
    }

    fn new(name: String, content: String) -> Self {
        let mark_bytes = if content.starts_with('\u{feff}') {
            '\u{feff}'.len_utf8()
        } else {
            0
        };
        Self {
            id: FileId(0),
            name,
            content,
            mark_bytes,
            line_feeds: OnceLock::new(),
            digest: OnceLock::new(),
        }
    }

    /// SHA-256 of all its bytes. Made once: whoever reads a large file may have it made
    /// meanwhile.
    pub fn digest(&self) -> [u8; 32] {
        *self
            .digest
            .get_or_init(|| Sha256::digest(self.content.as_bytes()).into())
    }

    /// Its number among the [`Sources`] it was read into.
    #[must_use]
    pub const fn id(&self) -> FileId {
        self.id
    }

    /// Its name, relative to the folder that was read.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its bytes as they stand on disk, the byte order mark included.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        self.content.as_bytes()
    }

    /// Its text without the byte order mark. Every offset counts in this.
    #[must_use]
    pub fn text(&self) -> &str {
        self.content.get(self.mark_bytes..).unwrap_or_default()
    }

    /// The stretch `range` of this file.
    #[must_use]
    pub fn spot(&self, range: Range<usize>) -> Spot {
        // No file is larger than TABLE_FILE_BYTES_MAX, which fits.
        let offset = |at: usize| u32::try_from(at).unwrap_or(u32::MAX);
        Spot {
            file: self.id,
            start: offset(range.start),
            end: offset(range.end),
        }
    }

    /// The line a byte stands in, counted from 1.
    #[must_use]
    pub fn line_of(&self, offset: usize) -> u32 {
        let bytes = self.text().as_bytes();
        let offset = offset.min(bytes.len());
        let blocks = self
            .line_feeds
            .get_or_init(|| line_feeds_before_blocks(bytes));
        let block = offset / BLOCK_BYTES;
        let before = blocks.get(block).copied().unwrap_or_default();
        let within = bytes.get(block * BLOCK_BYTES..offset).unwrap_or_default();
        before + count_line_feeds(within) + 1
    }

    /// The bytes of a line counted from 1, without its line end; empty and at the end
    /// of the text if there are fewer lines.
    #[must_use]
    pub fn line_range(&self, line: u32) -> Range<usize> {
        let bytes = self.text().as_bytes();
        let before = line.saturating_sub(1);
        let blocks = self
            .line_feeds
            .get_or_init(|| line_feeds_before_blocks(bytes));
        // The last block before which there are fewer line feeds than before the line.
        let block = blocks
            .partition_point(|feeds| *feeds < before)
            .saturating_sub(1);
        let block_start = (block * BLOCK_BYTES).min(bytes.len());
        let rest = bytes.get(block_start..).unwrap_or_default();
        let left = before - blocks.get(block).copied().unwrap_or_default().min(before);
        let start = match left.checked_sub(1) {
            None => block_start,
            Some(skip) => memchr::memchr_iter(b'\n', rest)
                .nth(skip as usize)
                .map_or(bytes.len(), |feed| block_start + feed + 1),
        };
        let rest = bytes.get(start..).unwrap_or_default();
        let line = rest
            .get(..memchr::memchr(b'\n', rest).unwrap_or(rest.len()))
            .unwrap_or_default();
        start..start + line.strip_suffix(b"\r").unwrap_or(line).len()
    }

    /// Line, column and text of a stretch of bytes. A stretch over several lines is
    /// shown to the end of its first; one beyond the text stands at its end.
    #[must_use]
    pub fn place(&self, range: Range<usize>, label: impl Into<String>) -> Place {
        let text = self.text();
        let start = floor_char(text, range.start);
        let end = floor_char(text, range.end.max(start));
        let (before, after) = text.split_at_checked(start).unwrap_or((text, ""));
        let line_start = memchr::memrchr(b'\n', before.as_bytes()).map_or(0, |feed| feed + 1);
        let line_end = start + memchr::memchr(b'\n', after.as_bytes()).unwrap_or(after.len());
        let line = text.get(line_start..line_end).unwrap_or_default();
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (left, marked) = split_line(line, start - line_start, end.min(line_end) - line_start);
        let (line_text, cut) = cut_line(line, left);
        Place {
            file: self.name.clone(),
            line: self.line_of(start),
            column: count(left).saturating_add(1),
            length: count(marked).max(1),
            line_text,
            text_column: u32::try_from(cut).unwrap_or(u32::MAX).saturating_add(1),
            label: label.into(),
        }
    }
}

/// Every file read for one table, and the folder they stand in.
#[derive(Debug)]
pub struct Sources {
    folder: PathBuf,
    files: Vec<SourceFile>,
}

/// Reads every `*.toml` that stands directly in `folder`, in order of name. Hidden
/// files and what editors leave behind are passed over. What cannot be read is reported
/// and left out.
#[must_use]
pub fn read_folder(folder: &Path, diagnostics: &Diagnostics) -> Sources {
    let mut sources = Sources::new(folder);
    match toml_names(folder) {
        Ok(names) => {
            for name in names {
                let path = folder.join(&name);
                let name = name.to_string_lossy().into_owned();
                sources.read(&path, name, Kind::Toml, None, diagnostics);
            }
        }
        Err(error) => diagnostics.push(
            Diagnostic::error(
                Code::CannotRead,
                format!("cannot read the table folder: {}", os_said(&error)),
            )
            .at(Place::whole_file(folder.display().to_string())),
        ),
    }
    sources
}

/// Names of the TOML files of a folder, sorted.
fn toml_names(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let name = PathBuf::from(entry?.file_name());
        let hidden = name.as_os_str().as_encoded_bytes().starts_with(b".");
        let toml = name
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("toml"));
        // One more than allowed is enough to be refused.
        if toml && !hidden && names.len() <= limits::TABLE_FILES_MAX {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// What a file is read as: decides how large it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Toml,
    List,
}

impl Kind {
    const fn bytes_max(self) -> u64 {
        match self {
            Self::Toml => limits::TOML_FILE_BYTES_MAX,
            Self::List => limits::TABLE_FILE_BYTES_MAX,
        }
    }
}

impl Sources {
    /// No files yet; lists are looked for in `folder`.
    #[must_use]
    pub fn new(folder: &Path) -> Self {
        Self {
            folder: folder.to_path_buf(),
            files: Vec::new(),
        }
    }

    /// The files in the order they were read.
    pub fn iter(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// The file of an id.
    #[must_use]
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(usize::from(id.0))
    }

    /// Line and column of a spot.
    #[must_use]
    pub fn place(&self, spot: Spot, label: impl Into<String>) -> Place {
        match self.get(spot.file) {
            Some(file) => file.place(spot.range(), label),
            None => Place::whole_file(self.folder.display().to_string()),
        }
    }

    /// Adds a text as a file, as if it had been read. `None` and T017 when there are
    /// too many files or it is too large.
    pub fn add(&mut self, file: SourceFile, diagnostics: &Diagnostics) -> Option<FileId> {
        let index = u16::try_from(self.files.len()).ok();
        let Some(index) = index.filter(|index| usize::from(*index) < limits::TABLE_FILES_MAX)
        else {
            let message = format!("more than {} files in one table", limits::TABLE_FILES_MAX);
            diagnostics
                .push(Diagnostic::error(Code::OverLimit, message).at(Place::whole_file(file.name)));
            return None;
        };
        let id = FileId(index);
        self.files.push(SourceFile { id, ..file });
        Some(id)
    }

    /// Reads one TOML file that stands anywhere, such as the configuration file; `path`
    /// is shown as given.
    pub fn read_toml(&mut self, path: &Path, diagnostics: &Diagnostics) -> Option<FileId> {
        self.read(
            path,
            path.display().to_string(),
            Kind::Toml,
            None,
            diagnostics,
        )
    }

    /// Reads the CSV file that a table names. `name` is relative to the folder, with `/`
    /// between its parts, and may not lead out of it; `named_at` is where it is named
    /// and where the caret stands when it cannot be read. A file read before is not
    /// read again.
    pub fn read_list(
        &mut self,
        name: &str,
        named_at: Spot,
        diagnostics: &Diagnostics,
    ) -> Option<FileId> {
        if !stays_inside(name) {
            diagnostics.push(
                Diagnostic::error(
                    Code::CannotRead,
                    format!("{} does not stand in the table folder", quoted(name)),
                )
                .at(self.place(named_at, ""))
                .help("write a path relative to the table folder, such as \"dids/users.csv\""),
            );
            return None;
        }
        if let Some(known) = self.files.iter().find(|file| file.name == name) {
            return Some(known.id);
        }
        let path = self.folder.join(name);
        self.read(
            &path,
            name.to_owned(),
            Kind::List,
            Some(named_at),
            diagnostics,
        )
    }

    fn read(
        &mut self,
        path: &Path,
        name: String,
        kind: Kind,
        named_at: Option<Spot>,
        diagnostics: &Diagnostics,
    ) -> Option<FileId> {
        let result = read_bytes(path, kind.bytes_max()).and_then(|bytes| to_text(&name, bytes));
        match result {
            Ok(content) => self.add(SourceFile::new(name, content), diagnostics),
            Err(refused) => {
                diagnostics.push(self.refusal(name, refused, named_at));
                None
            }
        }
    }

    fn refusal(&self, name: String, refused: Refused, named_at: Option<Spot>) -> Diagnostic {
        let (code, sentence) = match refused {
            Refused::Unreadable(sentence) => (Code::CannotRead, sentence),
            Refused::TooLarge(sentence) => (Code::OverLimit, sentence),
            Refused::NotText(diagnostic) => return *diagnostic,
        };
        let message = format!("cannot read {}: {sentence}", quoted(&name));
        let place = match named_at {
            Some(spot) => self.place(spot, ""),
            None => Place::whole_file(name),
        };
        Diagnostic::error(code, message).at(place)
    }

    /// What all files together say: equal for equal names and contents, whatever the
    /// order they were read in.
    #[must_use]
    pub fn content_hash(&self) -> ContentHash {
        let mut files: Vec<&SourceFile> = self.files.iter().collect();
        files.sort_by(|a, b| a.name.cmp(&b.name));
        let mut hash = Sha256::new();
        for file in files {
            // The length keeps the end of a name from being the start of a digest.
            hash.update((file.name.len() as u64).to_le_bytes());
            hash.update(file.name.as_bytes());
            hash.update(file.digest());
        }
        ContentHash(hash.finalize().into())
    }
}

/// SHA-256 of the names and contents of all files of a table. Shown as 64 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ContentHash(pub [u8; 32]);

impl ContentHash {
    /// The first twelve hex digits: enough to tell the tables of one site apart.
    #[must_use]
    pub fn short(&self) -> String {
        self.to_string().chars().take(12).collect()
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Why a file is not read.
enum Refused {
    Unreadable(String),
    TooLarge(String),
    NotText(Box<Diagnostic>),
}

/// Whether a relative path names a file below the folder it is relative to.
fn stays_inside(name: &str) -> bool {
    !name.contains(['\\', '\0']) && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

/// The bytes of a regular file; anything else (a pipe would block, a device never
/// end) is refused before it is opened.
fn read_bytes(path: &Path, bytes_max: u64) -> Result<Vec<u8>, Refused> {
    let unreadable = |error: io::Error| Refused::Unreadable(os_said(&error));
    regular(&std::fs::metadata(path).map_err(unreadable)?)?;
    let file = File::open(path).map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    regular(&metadata)?;
    let too_large = || Refused::TooLarge(format!("it is larger than {} MiB", bytes_max >> 20));
    if metadata.len() > bytes_max {
        return Err(too_large());
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or_default());
    // The file may grow while it is read.
    file.take(bytes_max + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    if bytes.len() as u64 > bytes_max {
        Err(too_large())
    } else {
        Ok(bytes)
    }
}

fn regular(metadata: &Metadata) -> Result<(), Refused> {
    if metadata.is_file() {
        Ok(())
    } else if metadata.is_dir() {
        Err(Refused::Unreadable("it is a folder".to_owned()))
    } else {
        Err(Refused::Unreadable("it is not a regular file".to_owned()))
    }
}

/// What the operating system said, without its error number.
fn os_said(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::NotFound => "no such file or folder".to_owned(),
        io::ErrorKind::PermissionDenied => "permission denied".to_owned(),
        io::ErrorKind::NotADirectory => "it is not a folder".to_owned(),
        _ => {
            let said = error.to_string();
            said.split(" (os error")
                .next()
                .unwrap_or_default()
                .to_lowercase()
        }
    }
}

fn to_text(name: &str, bytes: Vec<u8>) -> Result<String, Refused> {
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(not_text(name, &bytes, 0, "the file is UTF-16, not UTF-8"));
    }
    if let Some(nul) = memchr::memchr(0, &bytes) {
        return Err(not_text(
            name,
            &bytes,
            nul,
            "the file is not text: a zero byte stands in it",
        ));
    }
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        let bytes = error.as_bytes();
        let byte = bytes.get(at).copied().unwrap_or_default();
        let message = format!("the file is not UTF-8: byte 0x{byte:02X} is no character");
        not_text(name, bytes, at, &message)
    })
}

/// T002 at the first byte that is no text. Everything before it is UTF-8, except that a
/// NUL may come before bytes that are not.
fn not_text(name: &str, bytes: &[u8], at: usize, message: &str) -> Refused {
    let (before, after) = bytes.split_at_checked(at).unwrap_or((bytes, &[]));
    let line_end = memchr::memchr(b'\n', after)
        .unwrap_or(after.len())
        .min(LINE_CHARS_SHOWN);
    // Not in the middle of a character, of which three bytes at most continue it.
    let continues = |at: &usize| after.get(*at).is_some_and(|byte| byte & 0xc0 == 0x80);
    let line_end = (line_end.saturating_sub(3)..=line_end)
        .rev()
        .find(|at| !continues(at))
        .unwrap_or(line_end);
    let mut text = String::from_utf8_lossy(before).into_owned();
    let start = text.len();
    text.push_str(&String::from_utf8_lossy(
        after.get(..line_end).unwrap_or_default(),
    ));
    let shown = SourceFile::new(name.to_owned(), text);
    let start = start.saturating_sub(shown.mark_bytes);
    let end = shown
        .text()
        .get(start..)
        .and_then(|rest| rest.chars().next())
        .map_or(0, char::len_utf8);
    Refused::NotText(Box::new(
        Diagnostic::error(Code::NotText, message)
            .at(shown.place(start..start + end, ""))
            .help("save the file as UTF-8"),
    ))
}

fn count(chars: &str) -> u32 {
    u32::try_from(chars.chars().count()).unwrap_or(u32::MAX)
}

/// What stands before the place in its line, and what the place covers.
fn split_line(line: &str, start: usize, end: usize) -> (&str, &str) {
    let start = floor_char(line, start);
    let end = floor_char(line, end.max(start));
    (
        line.get(..start).unwrap_or_default(),
        line.get(start..end).unwrap_or_default(),
    )
}

/// The part of a line worth showing, and how many characters were cut off before it.
fn cut_line(line: &str, left: &str) -> (String, usize) {
    // Bytes are at least as many as characters: nothing to count for ordinary lines.
    if line.len() <= LINE_CHARS_SHOWN {
        return (line.to_owned(), 0);
    }
    let cut = left.chars().count().saturating_sub(CHARS_BEFORE_PLACE);
    // From the place backwards: a line may be as long as a file.
    let start = left
        .char_indices()
        .nth_back(CHARS_BEFORE_PLACE - 1)
        .map_or(0, |(at, _)| at);
    let shown = line.get(start..).unwrap_or_default();
    (shown.chars().take(LINE_CHARS_SHOWN).collect(), cut)
}

/// The greatest character boundary at or before `at`.
fn floor_char(text: &str, at: usize) -> usize {
    let mut at = at.min(text.len());
    // A character has at most four bytes.
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn count_line_feeds(bytes: &[u8]) -> u32 {
    u32::try_from(memchr::memchr_iter(b'\n', bytes).count()).unwrap_or(u32::MAX)
}

/// One more than there are blocks: the end of the text may be the start of a block.
fn line_feeds_before_blocks(bytes: &[u8]) -> Vec<u32> {
    let mut sum = 0;
    let mut before = vec![sum];
    for block in bytes.chunks(BLOCK_BYTES) {
        sum += count_line_feeds(block);
        before.push(sum);
    }
    before
}

#[cfg(test)]
mod tests;
