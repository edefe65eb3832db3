//! Reading a large CSV list with several threads.
//!
//! A list without a quote is cut at line ends, where no record can go on, and each thread
//! reads and sorts its piece. That is all a sound list needs. A row with anything to say
//! about it makes the whole list be read again by one thread, which finds the words.

use std::num::NonZero;
use std::thread;

use csv::ByteRecord;

use super::csv_header::Columns;
use super::csv_list::{Start, reader};
use super::{DidRow, GroupsOfList, ListId, LostPlusses, UNASSIGNED};
use crate::limits::{LIST_PIECE_BYTES_MIN, LIST_THREADS_MAX, NAMES_MAX};
use crate::tables::source::SourceFile;

/// The rows of one piece, sorted. Lines count from its first, which is 1; groups are
/// indices into `groups`.
pub(super) struct Piece {
    pub(super) rows: Vec<DidRow>,
    pub(super) groups: Vec<GroupName>,
    pub(super) lost_plusses: LostPlusses,
    /// Line ends in it.
    pub(super) line_ends: u32,
}

/// A trunk group as the rows of a piece name it.
pub(super) struct GroupName {
    pub(super) name: Vec<u8>,
    /// The line that names it first.
    pub(super) line: u32,
}

/// Pieces worth cutting a text into: one for each processor, none too small.
pub(super) fn worthwhile(text: &str) -> usize {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    (text.len() / LIST_PIECE_BYTES_MIN).clamp(1, processors.min(LIST_THREADS_MAX))
}

/// Reads the rows of a list, whose header has been taken off, in so many pieces. `None`
/// when some row is not sound. The digest of the file is made meanwhile.
pub(super) fn read(
    source: &SourceFile,
    rows: &str,
    columns: &Columns,
    list: ListId,
    pieces: usize,
) -> Option<Vec<Piece>> {
    if memchr::memchr(b'"', rows.as_bytes()).is_some() {
        return None;
    }
    thread::scope(|scope| {
        let threads: Vec<_> = cut(rows, pieces)
            .into_iter()
            .map(|piece| scope.spawn(move || read_piece(piece, columns, list)))
            .collect();
        scope.spawn(|| source.digest());
        // A thread that panicked is a mistake of ours; one thread will meet it again.
        threads
            .into_iter()
            .map(|thread| thread.join().ok().flatten())
            .collect()
    })
}

/// Cuts a text behind line ends into at most so many pieces.
fn cut(text: &str, pieces: usize) -> Vec<&str> {
    let size = text.len() / pieces.max(1);
    let mut cut = Vec::with_capacity(pieces);
    let mut rest = text;
    while cut.len() + 1 < pieces {
        let behind = rest.as_bytes().get(size..).unwrap_or_default();
        let Some(feed) = memchr::memchr(b'\n', behind) else {
            break;
        };
        // A line feed is a character of one byte.
        let Some((piece, behind)) = rest.split_at_checked(size + feed + 1) else {
            break;
        };
        cut.push(piece);
        rest = behind;
    }
    cut.push(rest);
    cut
}

fn read_piece(text: &str, columns: &Columns, list: ListId) -> Option<Piece> {
    let mut reader = reader(text, columns.delimiter);
    let mut record = ByteRecord::new();
    let mut start = Start::default();
    let mut groups = GroupsOfList::default();
    let mut piece = Piece {
        rows: Vec::with_capacity(text.len() / ROW_BYTES_TYPICAL),
        groups: Vec::new(),
        lost_plusses: LostPlusses::default(),
        line_ends: 0,
    };
    while reader.read_byte_record(&mut record).ok()? {
        start.skip_to_record(text, &record);
        if columns.is_blank(&record) {
            continue;
        }
        if !columns.fit(&record) {
            return None;
        }
        let row = columns
            .row(&record, start.line, list, &mut piece.lost_plusses)
            .ok()?;
        let name = columns.group_name(&record);
        let group = match groups.known(name) {
            _ if name.is_empty() => UNASSIGNED,
            Some(group) => group,
            None => {
                let group = u16::try_from(piece.groups.len()).ok()?;
                if piece.groups.len() >= NAMES_MAX {
                    return None;
                }
                groups.add(name, group);
                piece.groups.push(GroupName {
                    name: name.to_vec(),
                    line: start.line,
                });
                group
            }
        };
        piece.rows.push(DidRow { group, ..row });
    }
    piece.rows.sort_unstable_by_key(DidRow::order);
    let line_ends = memchr::memchr_iter(b'\n', text.as_bytes()).count();
    piece.line_ends = u32::try_from(line_ends).ok()?;
    Some(piece)
}

/// A guess that saves most of the growing: a number, a group and a short comment.
const ROW_BYTES_TYPICAL: usize = 32;
