//! Whole numbers of one length, sorted, neighbours with the same assignment as one run.
//!
//! Sixteen runs share a block of three cache lines, keys in front and words behind, and a
//! B-tree of every block's first key stands above: a lookup waits for memory about once.
//! Lines of files stand apart, so that they never take room in a cache.

use std::ops::Range;

use super::decimal::{all_digits, digit_steps};

/// A number of a run's length, packed: 4 bits a symbol as in
/// [`Number::packed`](crate::routing::Number::packed), the last in the lowest bits.
pub(super) type Key = u64;

/// One number before it is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) key: Key,
    /// Index of its assignment, below [`ASSIGNMENTS_MAX`].
    pub(super) assignment: u32,
    /// Line of its file, below [`LINES_MAX`].
    pub(super) line: u32,
}

/// Assignments a word can tell apart.
pub(super) const ASSIGNMENTS_MAX: usize = 1 << (u32::BITS - TAIL_BITS);

/// Lines a number may stand in: one bit of 32 says that a run's lines stand elsewhere.
pub(super) const LINES_MAX: u32 = 1 << 31;

/// The numbers of one length.
#[derive(Clone, Debug, Default)]
pub(super) struct Runs {
    blocks: Box<[Block]>,
    /// The first key of each block of the level below; the last level is one node.
    levels: Box<[Box<[Node]>]>,
    /// For each run the line of its first number, when the others follow in step; else
    /// [`LINES_MAX`] and where in `scattered` they begin.
    lines: Box<[u32]>,
    /// Lines of runs whose rows do not stand in order, number by number.
    scattered: Box<[u32]>,
    /// Numbers, not runs.
    numbers: usize,
}

/// A number that was found: its run, and what the run says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Found {
    run: usize,
    steps: u32,
    pub(super) assignment: u32,
}

impl Runs {
    /// Lays out rows that are sorted by key and have no key twice.
    pub(super) fn of_sorted(rows: &[Row]) -> Self {
        let mut layout = Layout::default();
        let mut rest = rows;
        while let Some(first) = rest.first() {
            let (run, behind) = rest.split_at(run_length(first, rest));
            layout.add(first, run);
            rest = behind;
        }
        let blocks = layout.blocks.into_boxed_slice();
        let levels = index(&blocks);
        Self {
            blocks,
            levels,
            lines: layout.lines.into_boxed_slice(),
            scattered: layout.scattered.into_boxed_slice(),
            numbers: rows.len(),
        }
    }

    /// The number, if it is there.
    pub(super) fn find(&self, key: Key) -> Option<Found> {
        let mut at = 0;
        for level in self.levels.iter().rev() {
            at = level.get(at)?.child(at, key)?;
        }
        self.find_in_block(at, key)
    }

    /// Levels above the blocks.
    pub(super) fn depth(&self) -> usize {
        self.levels.len()
    }

    /// One step of [`Runs::find`]: from a node of `level`, counted from the blocks, to its
    /// child. `at` is returned as it came where there is no such level.
    pub(super) fn descend(&self, level: usize, at: usize, key: Key) -> usize {
        match self.levels.get(level) {
            Some(nodes) => nodes
                .get(at)
                .and_then(|node| node.child(at, key))
                .unwrap_or(NOWHERE),
            None => at,
        }
    }

    /// The last step of [`Runs::find`].
    pub(super) fn find_in_block(&self, at: usize, key: Key) -> Option<Found> {
        let block = self.blocks.get(at)?;
        // Asked for here, the words' cache line comes together with those of the keys and
        // not after them: a quarter of the time when none of them is near.
        let [word, ..] = block.words;
        std::hint::black_box(word);
        let (slot, first, word) = block.last_not_greater(key)?;
        let tail = (key & TAIL_MASK) as u32;
        let is_first = key == first;
        // Neighbours differ in their last three digits only, and are nothing but digits.
        let is_inside = (key ^ first) >> TAIL_BITS == 0
            && tail <= (word & TAIL_MASK as u32)
            && all_digits(tail);
        (is_first || is_inside).then(|| Found {
            run: at * BLOCK_RUNS + slot,
            steps: if is_first {
                0
            } else {
                digit_steps((first & TAIL_MASK) as u32, tail)
            },
            assignment: word >> TAIL_BITS,
        })
    }

    /// A word of each cache line that [`Runs::find_in_block`] will read: to have them on
    /// their way while other numbers are looked at.
    pub(super) fn touch_block(&self, at: usize) -> u64 {
        self.blocks.get(at).map_or(0, |block| {
            let [[first, ..], .., [.., last]] = block.keys;
            let [word, ..] = block.words;
            first ^ last ^ u64::from(word)
        })
    }

    /// The same for a step of [`Runs::descend`].
    pub(super) fn touch_node(&self, level: usize, at: usize) -> u64 {
        let node = self.levels.get(level).and_then(|nodes| nodes.get(at));
        node.map_or(0, |node| {
            let [[first, ..], .., [.., last]] = node.keys;
            first ^ last
        })
    }

    /// The line a number stands in. Cold: for explanations.
    pub(super) fn line(&self, found: Found) -> u32 {
        let line = self.lines.get(found.run).copied().unwrap_or_default();
        match line.checked_sub(LINES_MAX) {
            None => line + found.steps,
            Some(from) => self
                .scattered
                .get(from as usize + found.steps as usize)
                .copied()
                .unwrap_or_default(),
        }
    }

    /// Shows the first and the last number of every run, in rising order.
    pub(super) fn each(&self, mut show: impl FnMut(Key, Key)) {
        for block in &self.blocks {
            for (first, word) in block.keys.as_flattened().iter().zip(block.words) {
                if *first != UNUSED {
                    show(*first, *first & !TAIL_MASK | u64::from(word) & TAIL_MASK);
                }
            }
        }
    }

    pub(super) fn numbers(&self) -> usize {
        self.numbers
    }

    /// Where the arrays lie that every lookup reads, as addresses.
    pub(super) fn places(&self) -> impl Iterator<Item = Range<usize>> {
        let blocks = addresses(&self.blocks);
        let levels = self.levels.iter().map(|level| addresses(level));
        std::iter::once(blocks).chain(levels)
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let nodes: usize = self.levels.iter().map(|level| level.len()).sum();
        size_of_val(&*self.blocks)
            + nodes * size_of::<Node>()
            + size_of_val(&*self.levels)
            + size_of_val(&*self.lines)
            + size_of_val(&*self.scattered)
    }
}

/// Where a slice lies in memory.
fn addresses<T>(slice: &[T]) -> Range<usize> {
    let range = slice.as_ptr_range();
    range.start.addr()..range.end.addr()
}

/// Where no node is.
const NOWHERE: usize = usize::MAX;

/// Runs of a block, and children of a node.
const BLOCK_RUNS: usize = 16;

/// Last symbols in which the numbers of a run may differ: three digits.
const TAIL_BITS: u32 = 12;
const TAIL_MASK: u64 = (1 << TAIL_BITS) - 1;

/// The key behind the last one of a block that is not full. No number packs to it.
const UNUSED: Key = Key::MAX;

/// Sixteen runs: their first numbers, and for each the last three symbols of its last
/// number below the index of its assignment.
#[repr(align(64))]
#[derive(Clone, Debug)]
struct Block {
    keys: Keys,
    words: [u32; BLOCK_RUNS],
}

impl Block {
    /// The last run that does not begin behind `key`: where it stands, how it begins and
    /// its word.
    fn last_not_greater(&self, key: Key) -> Option<(usize, Key, u32)> {
        let (slot, first) = last_not_greater(&self.keys, key)?;
        Some((slot, first, *self.words.get(slot)?))
    }
}

/// First keys of sixteen blocks or nodes.
#[repr(align(64))]
#[derive(Clone, Debug)]
struct Node {
    keys: Keys,
}

impl Node {
    fn child(&self, at: usize, key: Key) -> Option<usize> {
        let (slot, _) = last_not_greater(&self.keys, key)?;
        Some(at * BLOCK_RUNS + slot)
    }
}

/// Sixteen sorted keys, in quarters.
type Keys = [[Key; QUARTER]; QUARTER];
const QUARTER: usize = 4;

/// The last of the sorted keys that is not greater, and where it stands. First the quarter,
/// then the key in it: counting has no branch to mispredict.
fn last_not_greater(keys: &Keys, key: Key) -> Option<(usize, Key)> {
    let [_, [second, ..], [third, ..], [fourth, ..]] = *keys;
    let quarter =
        usize::from(second <= key) + usize::from(third <= key) + usize::from(fourth <= key);
    let [a, b, c, d] = *keys.get(quarter)?;
    let within = usize::from(b <= key) + usize::from(c <= key) + usize::from(d <= key);
    let found = *[a, b, c, d].get(within)?;
    (a <= key).then_some((quarter * QUARTER + within, found))
}

/// Rows from the first that are one run.
fn run_length(first: &Row, rows: &[Row]) -> usize {
    if !all_digits((first.key & TAIL_MASK) as u32) {
        return 1;
    }
    let neighbours = rows.iter().zip(rows.iter().skip(1)).take_while(|(a, b)| {
        let (tail, next) = ((a.key & TAIL_MASK) as u32, (b.key & TAIL_MASK) as u32);
        b.assignment == first.assignment
            && b.key >> TAIL_BITS == first.key >> TAIL_BITS
            && all_digits(next)
            && digit_steps(tail, next) == 1
    });
    1 + neighbours.count()
}

/// Blocks and lines while runs are added.
#[derive(Default)]
struct Layout {
    blocks: Vec<Block>,
    lines: Vec<u32>,
    scattered: Vec<u32>,
}

impl Layout {
    fn add(&mut self, first: &Row, run: &[Row]) {
        let last = run.last().unwrap_or(first);
        let word = first.assignment << TAIL_BITS | (last.key & TAIL_MASK) as u32;
        let slot = self.lines.len() % BLOCK_RUNS;
        if slot == 0 {
            self.blocks.push(Block {
                keys: [[UNUSED; QUARTER]; QUARTER],
                words: [0; BLOCK_RUNS],
            });
        }
        if let Some(block) = self.blocks.last_mut()
            && let Some((key, slot_word)) = block
                .keys
                .as_flattened_mut()
                .get_mut(slot)
                .zip(block.words.get_mut(slot))
        {
            (*key, *slot_word) = (first.key, word);
        }
        let in_step = (first.line..).zip(run).all(|(line, row)| row.line == line);
        if in_step {
            self.lines.push(first.line);
        } else {
            // At most as many as there are numbers: PREFIX_MAP_ENTRIES_MAX, below LINES_MAX.
            self.lines.push(LINES_MAX | self.scattered.len() as u32);
            self.scattered.extend(run.iter().map(|row| row.line));
        }
    }
}

/// Nodes above the blocks, level by level, until one is enough.
fn index(blocks: &[Block]) -> Box<[Box<[Node]>]> {
    let mut levels: Vec<Box<[Node]>> = Vec::new();
    let mut firsts: Vec<Key> = blocks
        .iter()
        .filter_map(|block| block.keys.as_flattened().first().copied())
        .collect();
    while firsts.len() > 1 {
        let nodes: Box<[Node]> = firsts.chunks(BLOCK_RUNS).map(node).collect();
        firsts = firsts.iter().copied().step_by(BLOCK_RUNS).collect();
        levels.push(nodes);
    }
    levels.into_boxed_slice()
}

fn node(firsts: &[Key]) -> Node {
    let mut keys = [[UNUSED; QUARTER]; QUARTER];
    for (key, first) in keys.as_flattened_mut().iter_mut().zip(firsts) {
        *key = *first;
    }
    Node { keys }
}

const _: () = assert!(size_of::<Block>() == 192);
const _: () = assert!(size_of::<Node>() == 128);
const _: () = assert!(crate::limits::PREFIX_MAP_ENTRIES_MAX < LINES_MAX as usize);
