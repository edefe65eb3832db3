//! Longest-prefix match over telephone numbers, built once and never changed.
//!
//! # Layout
//! All prefixes stand in one sorted array of packed keys, 4 bits a symbol. The entry
//! that decides a number is found in two moves: the last key that is not greater than
//! the number, then up the chain of that key's own prefixes. Every prefix of the
//! number that is stored lies on that chain, because everything between a prefix and
//! a number that starts with it starts with it as well.
//!
//! Each entry is a key, a 4-byte link (the next shorter prefix and what may follow) and
//! the value; a B-tree of every 16th key on top keeps a lookup within a few cache
//! lines. Prefixes of up to 16 symbols (`+` and the 15 digits of E.164) take 8-byte
//! keys, longer ones 16-byte keys in a shelf of their own that is usually empty.

mod ranges;
mod shelf;

pub use ranges::{RangeError, range_to_prefixes};

use std::fmt;

use crate::limits::NUMBER_SYMBOLS_MAX;
use crate::routing::number::Number;
use shelf::{Key, Row, Shelf};

/// What may follow a prefix.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Remaining {
    /// Anything, nothing included: `+4930123*`.
    Any,
    /// Exactly so many more symbols. 0 makes the prefix one exact number.
    Exactly(u8),
}

impl Remaining {
    /// Whether `symbols` more symbols may follow.
    #[must_use]
    pub fn allows(self, symbols: usize) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => usize::from(wanted) == symbols,
        }
    }
}

/// One row of a prefix map: numbers that start with `prefix` and have `remaining`
/// symbols more lead to `value`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry<V> {
    /// The first symbols.
    pub prefix: Number,
    /// What may follow them.
    pub remaining: Remaining,
    /// What they lead to.
    pub value: V,
}

/// An entry that fits a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Match<V> {
    /// Symbols of the entry's prefix: `number.first(length)` is the prefix.
    pub length: u8,
    /// What the entry lets follow.
    pub remaining: Remaining,
    /// The entry's value.
    pub value: V,
}

/// Immutable longest-prefix match: the longest prefix wins, and at the same prefix
/// [`Remaining::Exactly`] beats [`Remaining::Any`].
///
/// Lookups do not allocate. A map is valid for ever; a changed table is a new map.
#[derive(Clone)]
pub struct PrefixMap<V> {
    short: Shelf<u64, V>,
    long: Shelf<u128, V>,
}

impl<V: Copy> PrefixMap<V> {
    /// Builds a map of all entries, in any order; see [`PrefixMapBuilder::build`].
    ///
    /// # Errors
    /// The same prefix and remaining twice, or too many entries.
    pub fn build(
        entries: impl IntoIterator<Item = Entry<V>>,
        duplicates_max: usize,
    ) -> Result<Self, BuildError<V>> {
        let entries = entries.into_iter();
        let mut builder = PrefixMapBuilder::with_capacity(entries.size_hint().0);
        for entry in entries {
            builder.push(&entry.prefix, entry.remaining, entry.value);
        }
        builder.build(duplicates_max)
    }

    /// The entry that decides this number, if any does.
    #[must_use]
    pub fn longest(&self, number: &Number) -> Option<Match<V>> {
        let key = number.packed();
        self.long
            .matches(key, number.len())
            .next()
            .or_else(|| self.short.matches(u64::of(key), number.len()).next())
    }

    /// Shows every entry that fits the number, from the shortest prefix to the one
    /// that [`PrefixMap::longest`] answers.
    pub fn all_matches(&self, number: &Number, mut show: impl FnMut(Match<V>)) {
        let key = number.packed();
        let mut found = arrayvec::ArrayVec::<Match<V>, MATCHES_MAX>::new();
        let long = self.long.matches(key, number.len());
        let short = self.short.matches(u64::of(key), number.len());
        // At each length at most one Any and one Exactly fit: it cannot overflow.
        found.extend(long.chain(short).take(MATCHES_MAX));
        found.into_iter().rev().for_each(&mut show);
    }

    /// All entries, ordered by prefix as text, then Any before Exactly by rising count.
    pub fn iter(&self) -> impl Iterator<Item = Entry<V>> {
        let mut short = self.short.iter().peekable();
        let mut long = self.long.iter().peekable();
        std::iter::from_fn(move || match (short.peek(), long.peek()) {
            (Some(a), Some(b)) if b.prefix < a.prefix => long.next(),
            (None, _) => long.next(),
            _ => short.next(),
        })
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.short.len() + self.long.len()
    }

    /// Whether no number matches at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Heap memory held, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> usize {
        self.short.memory_bytes() + self.long.memory_bytes()
    }
}

impl<V: Copy> Default for PrefixMap<V> {
    fn default() -> Self {
        Self {
            short: Shelf::empty(),
            long: Shelf::empty(),
        }
    }
}

impl<V: Copy> fmt::Debug for PrefixMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A million entries help nobody.
        write!(f, "PrefixMap({} entries)", self.len())
    }
}

/// Collects entries for a [`PrefixMap`]: 16 bytes a row for 4-byte values.
#[derive(Clone, Debug)]
pub struct PrefixMapBuilder<V> {
    short: Vec<Row<u64, V>>,
    long: Vec<Row<u128, V>>,
}

impl<V: Copy> PrefixMapBuilder<V> {
    /// A builder with room for so many entries of up to 16 symbols.
    #[must_use]
    pub fn with_capacity(entries: usize) -> Self {
        Self {
            short: Vec::with_capacity(entries),
            long: Vec::new(),
        }
    }

    /// Adds one entry. One that asks for more symbols than a number can have is left
    /// out: it could never match.
    pub fn push(&mut self, prefix: &Number, remaining: Remaining, value: V) {
        if let Remaining::Exactly(symbols) = remaining
            && prefix.len() + usize::from(symbols) > NUMBER_SYMBOLS_MAX
        {
            return;
        }
        let key = prefix.packed();
        if prefix.len() <= u64::SYMBOLS {
            self.short.push(Row::new(u64::of(key), remaining, value));
        } else {
            self.long.push(Row::new(key, remaining, value));
        }
    }

    /// Sorts what was added and lays it out. The order of adding does not matter.
    ///
    /// # Errors
    /// [`BuildError::Duplicates`] if the same prefix and remaining were added twice,
    /// with at most `duplicates_max` of them shown; [`BuildError::TooMany`] beyond
    /// [`crate::limits::PREFIX_MAP_ENTRIES_MAX`] entries.
    pub fn build(mut self, duplicates_max: usize) -> Result<PrefixMap<V>, BuildError<V>> {
        let entries = self.short.len() + self.long.len();
        if entries > crate::limits::PREFIX_MAP_ENTRIES_MAX {
            return Err(BuildError::TooMany { entries });
        }
        shelf::sort(&mut self.short);
        shelf::sort(&mut self.long);
        let mut shown = Vec::new();
        let total = shelf::duplicates(&self.short, &mut shown, duplicates_max)
            + shelf::duplicates(&self.long, &mut shown, duplicates_max);
        if total > 0 {
            return Err(BuildError::Duplicates { shown, total });
        }
        Ok(PrefixMap {
            short: Shelf::of_sorted(self.short),
            long: Shelf::of_sorted(self.long),
        })
    }
}

/// The same prefix and remaining, added twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Duplicate<V> {
    /// The prefix of both.
    pub prefix: Number,
    /// What both let follow.
    pub remaining: Remaining,
    /// One value; of three equal entries each neighbouring pair is shown.
    pub first: V,
    /// The other value. Which one was added first is not kept.
    pub second: V,
}

/// Why a map could not be built.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BuildError<V> {
    /// Entries that contradict or repeat each other.
    Duplicates {
        /// The first of them, by number; as many as the caller asked for.
        shown: Vec<Duplicate<V>>,
        /// How many there are in all.
        total: usize,
    },
    /// More entries than a map holds.
    TooMany {
        /// How many there were.
        entries: usize,
    },
}

impl<V: fmt::Debug> fmt::Display for BuildError<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Duplicates { total, .. } => write!(f, "{total} numbers are listed twice"),
            Self::TooMany { entries } => write!(
                f,
                "{entries} number entries; at most {} fit",
                crate::limits::PREFIX_MAP_ENTRIES_MAX
            ),
        }
    }
}

impl<V: fmt::Debug> std::error::Error for BuildError<V> {}

/// Entries that can fit one number: two for each prefix length.
const MATCHES_MAX: usize = 2 * NUMBER_SYMBOLS_MAX;
