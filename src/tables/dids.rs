//! DID lists: the rows of all of them, where each stands, and what they assign.
//!
//! A row is 32 bytes, so that millions of them can be held while a table is compiled:
//! the number is packed, a range is its first number and how many there are, and the
//! trunk group is an index into the distinct cells of its list.

mod csv_header;
mod csv_list;
mod csv_pieces;
mod holes;
mod overlaps;

pub(super) use csv_list::{Start, cells, delimiter_of, reader as csv_reader};

use std::collections::HashMap;

use super::diagnostic::{Code, Diagnostic, Diagnostics, Place, Severity};
use super::pattern::{Pattern, digits_value, lost_plus, range_size};
use super::source::{FileId, SourceFile, Sources, Spot};
use super::toml_reader::Text;
use crate::limits;
use crate::routing::number::Number;

/// The rows of all DID lists of a table.
#[derive(Debug, Default)]
pub struct DidRows {
    rows: Vec<DidRow>,
    lists: Vec<List>,
    groups: Vec<GroupCell>,
    /// Whether T017 has been reported: once is enough.
    over_limit: bool,
}

/// Which of the lists of [`DidRows`] is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListId(u16);

impl ListId {
    /// Its number: lists count from 0 in the order they were read.
    #[must_use]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

/// One list that was read.
#[derive(Debug)]
pub struct List {
    file: FileId,
    assigns: bool,
    origin: Origin,
    rows: u32,
}

impl List {
    /// The file its rows stand in.
    #[must_use]
    pub const fn file(&self) -> FileId {
        self.file
    }

    /// Whether the list has trunk groups: if not, it only marks numbers.
    #[must_use]
    pub const fn assigns(&self) -> bool {
        self.assigns
    }

    /// Rows that could be read.
    #[must_use]
    pub const fn rows(&self) -> u32 {
        self.rows
    }
}

/// How the rows of a list are found again.
#[derive(Debug)]
enum Origin {
    /// By line of a CSV file.
    Csv { delimiter: u8, number_column: usize },
    /// By item of `numbers = […]`.
    Items(Vec<Spot>),
}

/// A distinct trunk group of one list, to be resolved once and not once a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupCell {
    /// The name as written; never empty.
    pub name: String,
    /// Where it stands for the first time in its list.
    pub spot: Spot,
    /// Rows of the list that name it.
    pub rows: u32,
}

/// One row: what it matches, whose it is and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DidRow {
    /// [`Number::packed`] of the number, the prefix or the first of the range.
    first: u128,
    /// How many numbers: 1 for one number, 0 for all that begin with the prefix.
    size: u64,
    /// Line of a CSV file, or item of a list in TOML counted from 0.
    position: u32,
    list: ListId,
    /// Index into the groups, or [`UNASSIGNED`].
    group: u16,
}

const UNASSIGNED: u16 = u16::MAX;

const _: () = assert!(size_of::<DidRow>() == 32);
const _: () = assert!(limits::NAMES_MAX < UNASSIGNED as usize);

impl DidRow {
    /// A row without a group.
    const fn new(first: u128, size: u64, position: u32, list: ListId) -> Self {
        Self {
            first,
            size,
            position,
            list,
            group: UNASSIGNED,
        }
    }

    fn of(pattern: &Pattern, position: u32, list: ListId) -> Self {
        let (first, size) = match pattern {
            Pattern::Exact(number) => (number, 1),
            Pattern::Prefix(prefix) => (prefix, 0),
            // A pattern that was parsed has a size.
            Pattern::Range(first, last) => (first, range_size(first, last).unwrap_or(1)),
        };
        Self::new(first.packed(), size, position, list)
    }

    /// What the row matches.
    ///
    /// `None` never happens for rows that were read: it would take a packed number that
    /// is none.
    #[must_use]
    pub fn pattern(&self) -> Option<Pattern> {
        let first = Number::unpack(self.first)?;
        Some(match self.size {
            0 => Pattern::Prefix(first),
            1 => Pattern::Exact(first),
            size => Pattern::Range(first, last_of(&first, size)?),
        })
    }

    /// The list it belongs to.
    #[must_use]
    pub const fn list(&self) -> ListId {
        self.list
    }

    /// Index of its trunk group in [`DidRows::groups`]; `None` if it is assigned nowhere.
    #[must_use]
    pub fn group(&self) -> Option<usize> {
        (self.group != UNASSIGNED).then_some(usize::from(self.group))
    }
}

/// The last number of a range: digits from the right, the symbols before them kept.
fn last_of(first: &Number, size: u64) -> Option<Number> {
    let mut value = digits_value(first).checked_add(u128::from(size.checked_sub(1)?))?;
    let mut symbols: arrayvec::ArrayVec<u8, { limits::NUMBER_SYMBOLS_MAX }> =
        first.as_bytes().iter().copied().collect();
    for symbol in symbols
        .iter_mut()
        .rev()
        .filter(|symbol| symbol.is_ascii_digit())
    {
        *symbol = b'0' + (value % 10) as u8;
        value /= 10;
    }
    Number::parse(&symbols)
}

impl DidRows {
    /// No lists.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads a CSV list. What is wrong in a row is reported and the row left out;
    /// `None` when the header cannot be understood, and then no row is read.
    pub fn read_csv(&mut self, source: &SourceFile, diagnostics: &Diagnostics) -> Option<ListId> {
        let pieces = csv_pieces::worthwhile(source.text());
        csv_list::read(self, source, diagnostics, pieces)
    }

    /// Adds the list `numbers = […]` of a TOML file, all of it assigned to
    /// `trunk_group` if there is one.
    pub fn add_numbers(
        &mut self,
        source: &SourceFile,
        numbers: &[Text],
        trunk_group: Option<&Text>,
        diagnostics: &Diagnostics,
    ) -> Option<ListId> {
        let spots = numbers.iter().map(|number| number.spot).collect();
        let list = self.start_list(source.id(), trunk_group.is_some(), Origin::Items(spots))?;
        let group = trunk_group.map(|name| self.add_group(&name.value, name.spot));
        let mut lost_plusses = LostPlusses::default();
        for (position, text) in (0..).zip(numbers) {
            match Pattern::parse(&text.value) {
                Ok(pattern) => {
                    lost_plusses.look_at(position, &pattern);
                    let group = group.unwrap_or(UNASSIGNED);
                    let row = DidRow {
                        group,
                        ..DidRow::of(&pattern, position, list)
                    };
                    self.add_row(row, source, diagnostics);
                }
                Err(error) => {
                    let place = source.place(text.sub(error.range.clone()).range(), "");
                    diagnostics.push(error.diagnostic(&text.value, place));
                }
            }
        }
        let spot_of = |position: u32| {
            numbers
                .get(position as usize)
                .map(|number| number.spot.range())
        };
        let place = |position| source.place(spot_of(position).unwrap_or_default(), "");
        lost_plusses.report(place, diagnostics);
        Some(list)
    }

    /// All rows: in no order, until [`DidRows::check_overlaps`] sorts them by number.
    #[must_use]
    pub fn rows(&self) -> &[DidRow] {
        &self.rows
    }

    /// The lists in the order they were read.
    #[must_use]
    pub fn lists(&self) -> &[List] {
        &self.lists
    }

    /// The list of an id that this value gave.
    #[must_use]
    pub fn list(&self, id: ListId) -> Option<&List> {
        self.lists.get(id.index())
    }

    /// The distinct trunk groups, list by list.
    #[must_use]
    pub fn groups(&self) -> &[GroupCell] {
        &self.groups
    }

    /// The line a row stands in, counted from 1.
    #[must_use]
    pub fn line(&self, row: &DidRow, sources: &Sources) -> u32 {
        match self.list(row.list).map(|list| (list.file, &list.origin)) {
            Some((file, Origin::Items(_))) => {
                let spot = self.item_spot(row);
                spot.and_then(|spot| Some(sources.get(file)?.line_of(spot.range().start)))
                    .unwrap_or_default()
            }
            _ => row.position,
        }
    }

    /// Where the number of a row stands.
    #[must_use]
    pub fn place(&self, row: &DidRow, sources: &Sources, label: impl Into<String>) -> Place {
        let found = self
            .list(row.list)
            .and_then(|list| Some((list, sources.get(list.file)?)));
        match found {
            Some((
                List {
                    origin:
                        Origin::Csv {
                            delimiter,
                            number_column,
                        },
                    ..
                },
                source,
            )) => {
                let range = csv_list::cell_range(source, row.position, *delimiter, *number_column);
                source.place(range, label)
            }
            Some((_, source)) => match self.item_spot(row) {
                Some(spot) => source.place(spot.range(), label),
                None => Place::whole_file(source.name()),
            },
            None => Place::whole_file(""),
        }
    }

    fn item_spot(&self, row: &DidRow) -> Option<Spot> {
        match &self.list(row.list)?.origin {
            Origin::Items(spots) => spots.get(row.position as usize).copied(),
            Origin::Csv { .. } => None,
        }
    }

    /// `None` beyond [`limits::NAMES_MAX`] lists, of which nobody has read so many files.
    fn start_list(&mut self, file: FileId, assigns: bool, origin: Origin) -> Option<ListId> {
        if self.lists.len() >= limits::NAMES_MAX {
            return None;
        }
        let id = ListId(u16::try_from(self.lists.len()).ok()?);
        self.lists.push(List {
            file,
            assigns,
            origin,
            rows: 0,
        });
        Some(id)
    }

    /// The index of a new group cell; beyond [`limits::NAMES_MAX`] of them
    /// [`UNASSIGNED`], which [`Self::groups_full`] tells.
    fn add_group(&mut self, name: &str, spot: Spot) -> u16 {
        let index = u16::try_from(self.groups.len()).unwrap_or(UNASSIGNED);
        if self.groups_full() {
            return UNASSIGNED;
        }
        self.groups.push(GroupCell {
            name: name.to_owned(),
            spot,
            rows: 0,
        });
        index
    }

    const fn groups_full(&self) -> bool {
        self.groups.len() >= limits::NAMES_MAX
    }

    /// Adds a row; T017 once when there are too many. Says whether there was room.
    fn add_row(&mut self, row: DidRow, source: &SourceFile, diagnostics: &Diagnostics) -> bool {
        if self.rows.len() >= limits::DID_ROWS_MAX {
            if !std::mem::replace(&mut self.over_limit, true) {
                let message = format!("more than {} rows in all DID lists", limits::DID_ROWS_MAX);
                let place = Place::whole_file(source.name());
                diagnostics.push(Diagnostic::error(Code::OverLimit, message).at(place));
            }
            return false;
        }
        self.push(row);
        true
    }

    /// Adds a row for which there is room.
    fn push(&mut self, row: DidRow) {
        self.rows.push(row);
        if let Some(list) = self.lists.get_mut(row.list.index()) {
            list.rows = list.rows.saturating_add(1);
        }
        if let Some(cell) = self.groups.get_mut(usize::from(row.group)) {
            cell.rows = cell.rows.saturating_add(1);
        }
    }
}

/// The group cells of the list being read, by name.
#[derive(Default)]
struct GroupsOfList {
    by_name: HashMap<Vec<u8>, u16>,
    /// Lists go back and forth between few groups: no hash for those.
    recent: arrayvec::ArrayVec<(Vec<u8>, u16), RECENT_GROUPS>,
    oldest: usize,
}

const RECENT_GROUPS: usize = 8;

impl GroupsOfList {
    fn known(&mut self, name: &[u8]) -> Option<u16> {
        let recent = self.recent.iter().find(|(recent, _)| recent == name);
        if let Some((_, group)) = recent {
            return Some(*group);
        }
        let group = *self.by_name.get(name)?;
        self.remember(name, group);
        Some(group)
    }

    fn remember(&mut self, name: &[u8], group: u16) {
        if !self.recent.is_full() {
            self.recent.push((name.to_vec(), group));
            return;
        }
        if let Some((oldest, its_group)) = self.recent.get_mut(self.oldest) {
            oldest.clear();
            oldest.extend_from_slice(name);
            *its_group = group;
        }
        self.oldest = (self.oldest + 1) % RECENT_GROUPS;
    }

    fn add(&mut self, name: &[u8], group: u16) {
        self.by_name.insert(name.to_vec(), group);
        self.remember(name, group);
    }
}

/// One warning a file, with a count, rather than one a row.
#[derive(Default)]
struct LostPlusses {
    first: Option<(u32, Number)>,
    rows: u64,
}

impl LostPlusses {
    fn look_at(&mut self, position: u32, pattern: &Pattern) {
        let (Pattern::Exact(number) | Pattern::Prefix(number) | Pattern::Range(number, _)) =
            pattern;
        if lost_plus(number) {
            self.rows += 1;
            self.first.get_or_insert((position, *number));
        }
    }

    /// Adds what was seen in a piece that begins behind so many lines.
    fn add(&mut self, piece: &Self, line_before: u32) {
        self.rows += piece.rows;
        let first = piece
            .first
            .map(|(line, number)| (line.saturating_add(line_before), number));
        self.first = self.first.or(first);
    }

    fn report(&self, place: impl FnOnce(u32) -> Place, diagnostics: &Diagnostics) {
        let Some((position, number)) = self.first else {
            return;
        };
        diagnostics.push_with(Code::LostPlus, Severity::Warning, || {
            let message = match self.rows {
                1 => format!("{number} looks like a number that has lost its +"),
                rows => format!("{rows} numbers look as if they have lost their +, {number} first"),
            };
            Diagnostic::warning(Code::LostPlus, message)
                .at(place(position))
                .help(format!("write +{number}"))
                .note("calls are compared in global form, with +: a number without it is only matched by a call that has none")
        });
    }
}

#[cfg(test)]
mod tests;
