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
    /// Exactly so many more digits. 0 makes the prefix one exact number.
    Exactly(u8),
}

impl Remaining {
    /// Whether these symbols may follow.
    #[must_use]
    pub fn allows(self, rest: &[u8]) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(wanted) => {
                usize::from(wanted) == rest.len() && rest.iter().all(u8::is_ascii_digit)
            }
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
        if self.is_empty() {
            return None;
        }
        let key = number.packed();
        self.long
            .matches(key, number.len())
            .next()
            .or_else(|| self.short.matches(key, number.len()).next())
    }

    /// Shows every entry that fits the number, from the shortest prefix to the one
    /// that [`PrefixMap::longest`] answers.
    pub fn all_matches(&self, number: &Number, mut show: impl FnMut(Match<V>)) {
        if self.is_empty() {
            return;
        }
        let key = number.packed();
        let mut found = arrayvec::ArrayVec::<Match<V>, MATCHES_MAX>::new();
        let long = self.long.matches(key, number.len());
        let short = self.short.matches(key, number.len());
        // At each length at most one Any and one Exactly fit: it cannot overflow.
        found.extend(long.chain(short).take(MATCHES_MAX));
        found.iter().rev().copied().for_each(&mut show);
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

impl<V> Default for PrefixMapBuilder<V> {
    fn default() -> Self {
        Self {
            short: Vec::new(),
            long: Vec::new(),
        }
    }
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
        self.push_packed(prefix.packed(), remaining, value);
    }

    /// [`PrefixMapBuilder::push`] of a prefix as [`Number::packed`] makes it.
    pub fn push_packed(&mut self, prefix: u128, remaining: Remaining, value: V) {
        let symbols = prefix.length();
        if let Remaining::Exactly(more) = remaining
            && symbols + usize::from(more) > NUMBER_SYMBOLS_MAX
        {
            return;
        }
        if symbols <= u64::SYMBOLS {
            self.short.push(Row::new(u64::of(prefix), remaining, value));
        } else {
            self.long.push(Row::new(prefix, remaining, value));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text.as_bytes()).unwrap()
    }

    fn entry(prefix: &str, remaining: Remaining, value: u32) -> Entry<u32> {
        Entry {
            prefix: number(prefix),
            remaining,
            value,
        }
    }

    fn longest(map: &PrefixMap<u32>, text: &str) -> Option<(u8, u32)> {
        map.longest(&number(text))
            .map(|found| (found.length, found.value))
    }

    #[test]
    fn longest_prefix_decides_and_exactly_beats_any() {
        let map = PrefixMap::build(
            [
                entry("+44", Remaining::Any, 1),
                entry("+442071838", Remaining::Exactly(3), 2),
                entry("+442071838", Remaining::Any, 3),
                entry("+442071838750", Remaining::Exactly(0), 4),
                entry("+44207183875", Remaining::Exactly(4), 5),
            ],
            0,
        )
        .unwrap();
        assert_eq!(longest(&map, "+442071838750"), Some((13, 4)));
        assert_eq!(longest(&map, "+442071838751"), Some((10, 2)));
        assert_eq!(longest(&map, "+44207183875"), Some((10, 3)));
        assert_eq!(longest(&map, "+442071838750123"), Some((12, 5)));
        assert_eq!(longest(&map, "+4420718387501234"), Some((10, 3)));
        assert_eq!(longest(&map, "+44"), Some((3, 1)));
        assert_eq!(longest(&map, "+4"), None);
        assert_eq!(longest(&map, "+45"), None);
        assert_eq!(longest(&map, "+"), None);
        assert_eq!(longest(&map, "#"), None);

        let mut lengths = Vec::new();
        map.all_matches(&number("+442071838751"), |found| lengths.push(found.value));
        assert_eq!(lengths, [1, 3, 2]);
    }

    #[test]
    fn long_prefixes_come_before_short_ones() {
        let map = PrefixMap::build(
            [
                entry("+123456789012345", Remaining::Any, 1),
                entry("+1234567890123456", Remaining::Any, 2),
                entry("+123456789012345678901234567890", Remaining::Exactly(0), 3),
            ],
            0,
        )
        .unwrap();
        assert_eq!(
            longest(&map, "+123456789012345678901234567890"),
            Some((31, 3))
        );
        assert_eq!(longest(&map, "+12345678901234567"), Some((17, 2)));
        assert_eq!(longest(&map, "+12345678901234599"), Some((16, 1)));
        assert_eq!(longest(&map, "+123456789012345"), Some((16, 1)));
        assert_eq!(longest(&map, "+12345678901234"), None);
    }

    #[test]
    fn what_can_never_match_is_left_out() {
        let map = PrefixMap::build(
            [
                entry("1", Remaining::Exactly(30), 1),
                entry("1", Remaining::Exactly(31), 2),
                entry("1", Remaining::Exactly(255), 3),
            ],
            0,
        )
        .unwrap();
        assert_eq!(map.len(), 1);
        assert_eq!(longest(&map, &"1".repeat(31)), Some((1, 1)));
    }

    #[test]
    fn duplicates_are_reported_with_both_values() {
        let entries = [
            entry("+44", Remaining::Any, 1),
            entry("112", Remaining::Exactly(0), 2),
            entry("+44", Remaining::Any, 3),
            entry("112", Remaining::Exactly(0), 4),
            entry("112", Remaining::Any, 5),
            entry("112", Remaining::Exactly(0), 6),
        ];
        let Err(BuildError::Duplicates { shown, total }) = PrefixMap::build(entries, 2) else {
            panic!("built");
        };
        assert_eq!((shown.len(), total), (2, 3));
        let duplicate = shown.first().unwrap();
        let mut values = [duplicate.first, duplicate.second];
        values.sort_unstable();
        assert_eq!(
            (duplicate.prefix, duplicate.remaining, values),
            (number("+44"), Remaining::Any, [1, 3])
        );
    }

    #[test]
    fn an_empty_map_matches_nothing() {
        let map = PrefixMap::<u32>::default();
        assert!(map.is_empty() && map.longest(&number("112")).is_none());
        assert_eq!(map.iter().count(), 0);
    }

    /// The promise on memory: at most 24 bytes for a DID with an 8-byte value.
    #[test]
    fn a_did_takes_few_bytes() {
        let dids = (0..100_000_u64).map(|serial| {
            // Scattered over ten digits by an odd multiplier.
            let digits = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 10_000_000_000;
            let prefix = number(&format!("+49{digits:010}"));
            Entry {
                prefix,
                remaining: Remaining::Exactly(0),
                value: serial,
            }
        });
        let map = PrefixMap::build(dids, 10).unwrap();
        assert!(
            map.memory_bytes() <= 21 * map.len(),
            "{}",
            map.memory_bytes()
        );
        let found = map.longest(&number("+490000000000")).unwrap();
        assert_eq!((found.length, found.value), (13, 0));
    }

    fn any_remaining() -> impl Strategy<Value = Remaining> {
        prop_oneof![
            Just(Remaining::Any),
            (0..4_u8).prop_map(Remaining::Exactly),
            (0..40_u8).prop_map(Remaining::Exactly),
        ]
    }

    /// Few symbols, so that entries nest and queries hit; sometimes longer than a short key.
    fn any_symbols() -> impl Strategy<Value = String> {
        prop_oneof![
            4 => "\\+?[12]{1,6}",
            2 => "\\+?[019*#]{1,4}",
            2 => "\\+?1{12,16}[12]{1,4}",
            1 => "\\+?1{20,27}[12]{1,3}",
        ]
    }

    fn any_entries(max: usize) -> impl Strategy<Value = Vec<Entry<u32>>> {
        let keys =
            prop::collection::btree_map((any_symbols(), any_remaining()), any::<u32>(), 0..max);
        keys.prop_map(|keys: BTreeMap<_, _>| {
            let entries = keys.into_iter();
            entries
                .map(|((prefix, remaining), value)| entry(&prefix, remaining, value))
                .collect()
        })
    }

    /// The law: look at every entry.
    fn naive(entries: &[Entry<u32>], number: &Number) -> Vec<Match<u32>> {
        let mut found: Vec<_> = entries
            .iter()
            .filter_map(|entry| {
                let rest = number.as_bytes().strip_prefix(entry.prefix.as_bytes())?;
                let found = Match {
                    length: entry.prefix.len() as u8,
                    remaining: entry.remaining,
                    value: entry.value,
                };
                entry.remaining.allows(rest).then_some(found)
            })
            .collect();
        found.sort_by_key(|found| (found.length, found.remaining));
        found
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn equals_the_naive_scan(
            entries in any_entries(120),
            queries in prop::collection::vec(any_symbols(), 1..40),
        ) {
            let map = PrefixMap::build(entries.iter().copied(), 0).unwrap();
            for query in queries {
                let query = number(&query);
                let expected = naive(&entries, &query);
                let mut found = Vec::new();
                map.all_matches(&query, |entry| found.push(entry));
                prop_assert_eq!(map.longest(&query), expected.last().copied());
                prop_assert_eq!(found, expected);
            }
        }

        #[test]
        fn order_of_adding_does_not_matter(
            (entries, shuffled) in any_entries(60)
                .prop_flat_map(|entries| (Just(entries.clone()), Just(entries).prop_shuffle())),
        ) {
            let built = PrefixMap::build(shuffled, 0).unwrap();
            let fits = |entry: &Entry<u32>| match entry.remaining {
                Remaining::Any => true,
                Remaining::Exactly(symbols) => entry.prefix.len() + usize::from(symbols) <= 31,
            };
            let mut expected: Vec<_> = entries.into_iter().filter(fits).collect();
            expected.sort_by_key(|entry| (entry.prefix, entry.remaining));
            prop_assert_eq!(built.len(), expected.len());
            prop_assert_eq!(built.iter().collect::<Vec<_>>(), expected);
        }
    }
}
