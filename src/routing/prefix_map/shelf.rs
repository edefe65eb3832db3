//! One sorted array of packed prefixes with its values and its index.

use std::fmt::Debug;

use super::{Duplicate, Entry, Match, Remaining};
use crate::limits::{NUMBER_SYMBOLS_MAX, PREFIX_MAP_ENTRIES_MAX};
use crate::routing::number::Number;

/// Packed symbols, 4 bits each, the first in the highest bits, 0 behind the last.
pub(super) trait Key: Copy + Ord + Debug {
    /// Symbols that fit.
    const SYMBOLS: usize;
    /// The first [`Key::SYMBOLS`] symbols of a packed number.
    fn of(packed: u128) -> Self;
    /// The packed number again.
    fn packed(self) -> u128;
    /// Symbols in use.
    fn length(self) -> usize;
    /// Whether `self` starts with `prefix`, which has `length` symbols, at least one.
    fn starts_with(self, prefix: Self, length: usize) -> bool;
}

impl Key for u64 {
    const SYMBOLS: usize = 16;
    fn of(packed: u128) -> Self {
        (packed >> 64) as Self
    }
    fn packed(self) -> u128 {
        u128::from(self) << 64
    }
    fn length(self) -> usize {
        Self::SYMBOLS - self.trailing_zeros() as usize / 4
    }
    fn starts_with(self, prefix: Self, length: usize) -> bool {
        (self ^ prefix) >> (Self::BITS as usize - 4 * length) == 0
    }
}

impl Key for u128 {
    const SYMBOLS: usize = 32;
    fn of(packed: u128) -> Self {
        packed
    }
    fn packed(self) -> u128 {
        self
    }
    fn length(self) -> usize {
        Self::SYMBOLS - self.trailing_zeros() as usize / 4
    }
    fn starts_with(self, prefix: Self, length: usize) -> bool {
        (self ^ prefix) >> (Self::BITS as usize - 4 * length) == 0
    }
}

/// An entry before it is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row<K, V> {
    key: K,
    value: V,
    remaining: u8,
}

impl<K: Key, V: Copy> Row<K, V> {
    pub(super) fn new(key: K, remaining: Remaining, value: V) -> Self {
        let remaining = remaining_code(remaining);
        Self {
            key,
            value,
            remaining,
        }
    }

    fn order(&self) -> (K, u8) {
        (self.key, self.remaining)
    }
}

/// Sorts rows by prefix, then by remaining, in place.
pub(super) fn sort<K: Key, V: Copy>(rows: &mut [Row<K, V>]) {
    rows.sort_unstable_by_key(Row::order);
}

/// Adds the pairs of neighbours that are the same to `shown`, until it holds `max`;
/// answers how many pairs there are.
pub(super) fn duplicates<K: Key, V: Copy>(
    sorted: &[Row<K, V>],
    shown: &mut Vec<Duplicate<V>>,
    max: usize,
) -> usize {
    let mut total = 0;
    for (first, second) in sorted.iter().zip(sorted.iter().skip(1)) {
        if first.order() != second.order() {
            continue;
        }
        total += 1;
        if let Some(prefix) = Number::unpack(first.key.packed()).filter(|_| shown.len() < max) {
            shown.push(Duplicate {
                prefix,
                remaining: code_remaining(first.remaining),
                first: first.value,
                second: second.value,
            });
        }
    }
    total
}

/// Keys of one width, sorted, with what belongs to them at the same index.
#[derive(Clone)]
pub(super) struct Shelf<K, V> {
    keys: Box<[K]>,
    links: Box<[Link]>,
    values: Box<[V]>,
    /// The first key of each block of the level below; the keys themselves are below
    /// the first level, and the last level is one block.
    levels: Box<[Box<[K]>]>,
}

impl<K: Key, V: Copy> Shelf<K, V> {
    pub(super) fn empty() -> Self {
        Self::of_sorted(Vec::new())
    }

    /// Lays out sorted rows without duplicates.
    pub(super) fn of_sorted(rows: Vec<Row<K, V>>) -> Self {
        let links = link(&rows);
        let keys: Box<[K]> = rows.iter().map(|row| row.key).collect();
        let values = rows.iter().map(|row| row.value).collect();
        drop(rows);
        let levels = index(&keys);
        Self {
            keys,
            links,
            values,
            levels,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.keys.len()
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let index: usize = self.levels.iter().map(|level| size_of_val(&**level)).sum();
        size_of_val(&*self.keys)
            + size_of_val(&*self.links)
            + size_of_val(&*self.values)
            + size_of_val(&*self.levels)
            + index
    }

    /// The entries that fit a number of `length` symbols, packed, from the longest prefix to
    /// the shortest.
    pub(super) fn matches(&self, packed: u128, length: usize) -> impl Iterator<Item = Match<V>> {
        let number = K::of(packed);
        self.chain(number).filter_map(move |at| {
            let key = *self.keys.get(at)?;
            let key_length = key.length();
            if !number.starts_with(key, key_length) {
                return None;
            }
            let remaining = self.links.get(at)?.remaining();
            let rest = length.checked_sub(key_length)?;
            let fits = match remaining {
                Remaining::Any => true,
                Remaining::Exactly(wanted) => {
                    usize::from(wanted) == rest && ends_in_digits(packed, length, rest)
                }
            };
            fits.then_some(Match {
                length: key_length as u8,
                remaining,
                value: *self.values.get(at)?,
            })
        })
    }

    /// All entries in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = Entry<V>> {
        let links_values = self.links.iter().zip(&self.values);
        self.keys
            .iter()
            .zip(links_values)
            .filter_map(|(key, (link, value))| {
                Some(Entry {
                    prefix: Number::unpack(key.packed())?,
                    remaining: link.remaining(),
                    value: *value,
                })
            })
    }

    /// The last key not greater than `number`, then its prefixes, ever shorter. Ends
    /// because every link points to a smaller index.
    fn chain(&self, number: K) -> impl Iterator<Item = usize> {
        std::iter::successors(self.last_not_greater(number), |at| {
            self.links.get(*at).and_then(|link| link.shorter())
        })
    }

    /// Descends the index: in each level one block of at most 16 keys is counted.
    fn last_not_greater(&self, number: K) -> Option<usize> {
        let mut block = 0;
        for level in self.levels.iter().rev() {
            block = last_in_block(level, block, number)?;
        }
        last_in_block(&self.keys, block, number)
    }
}

/// Whether the last `digits` symbols of a packed number of `length` symbols are digits: their
/// codes, unlike those of `#`, `*` and `+`, are 4 and more.
fn ends_in_digits(packed: u128, length: usize, digits: usize) -> bool {
    const ONES: u128 = u128::MAX / 0xF;
    let symbols = u128::SYMBOLS - length.min(u128::SYMBOLS);
    let number = packed.checked_shr(4 * symbols as u32).unwrap_or(0);
    let places = ONES & !u128::MAX.checked_shl(4 * digits as u32).unwrap_or(0);
    (number >> 2 | number >> 3) & places == places
}

/// The index of the last key in this block that is not greater than `number`.
fn last_in_block<K: Key>(keys: &[K], block: usize, number: K) -> Option<usize> {
    let from = block * BLOCK_KEYS;
    let to = keys.len().min(from + BLOCK_KEYS);
    // Counting has no branch to mispredict, and a block is two cache lines.
    let count: usize = keys
        .get(from..to)?
        .iter()
        .map(|key| usize::from(*key <= number))
        .sum();
    Some(from + count.checked_sub(1)?)
}

/// Links every row to the closest row before it whose prefix is a prefix of its own.
fn link<K: Key, V: Copy>(sorted: &[Row<K, V>]) -> Box<[Link]> {
    // The rows whose prefixes the current one starts with, shortest first.
    let mut open: Vec<(K, usize)> = Vec::new();
    let mut links = Vec::with_capacity(sorted.len());
    for (at, row) in sorted.iter().enumerate() {
        while let Some((key, _)) = open.last()
            && !row.key.starts_with(*key, key.length())
        {
            open.pop();
        }
        links.push(Link::new(open.last().map(|(_, at)| *at), row.remaining));
        open.push((row.key, at));
    }
    links.into_boxed_slice()
}

/// Every 16th key, and every 16th of those, until one block is enough.
fn index<K: Key>(keys: &[K]) -> Box<[Box<[K]>]> {
    let mut levels: Vec<Box<[K]>> = Vec::new();
    let mut below = keys;
    while below.len() > BLOCK_KEYS {
        levels.push(below.iter().step_by(BLOCK_KEYS).copied().collect());
        below = levels.last().map_or(&[], |level| level);
    }
    levels.into_boxed_slice()
}

/// The index of the next shorter prefix (27 bits) and what may follow (5 bits).
#[derive(Clone, Copy)]
struct Link(u32);

impl Link {
    fn new(shorter: Option<usize>, remaining: u8) -> Self {
        let shorter = shorter.map_or(SHORTER_NONE, |at| at as u32);
        Self(shorter << REMAINING_BITS | u32::from(remaining))
    }

    fn shorter(self) -> Option<usize> {
        let shorter = self.0 >> REMAINING_BITS;
        (shorter != SHORTER_NONE).then_some(shorter as usize)
    }

    fn remaining(self) -> Remaining {
        code_remaining((self.0 & REMAINING_MASK) as u8)
    }
}

/// Any is 0 and Exactly(n) is n + 1, so that Any sorts first and is tried last. At most
/// 30 symbols follow a prefix of at least one, so 5 bits are enough.
fn remaining_code(remaining: Remaining) -> u8 {
    match remaining {
        Remaining::Any => 0,
        Remaining::Exactly(symbols) => symbols.saturating_add(1),
    }
}

fn code_remaining(code: u8) -> Remaining {
    code.checked_sub(1)
        .map_or(Remaining::Any, Remaining::Exactly)
}

const BLOCK_KEYS: usize = 16;
const REMAINING_BITS: u32 = 5;
const REMAINING_MASK: u32 = (1 << REMAINING_BITS) - 1;
const SHORTER_NONE: u32 = u32::MAX >> REMAINING_BITS;

const _: () = assert!(PREFIX_MAP_ENTRIES_MAX < SHORTER_NONE as usize);
const _: () = assert!(NUMBER_SYMBOLS_MAX <= REMAINING_MASK as usize);
