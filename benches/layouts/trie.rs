//! A trie over digits with a bitmap a node, path compression, and a table of the first six
//! digits in front.

/// 16 bytes: where the children begin, one bit for each that exists, and digits that all
/// numbers below share.
#[derive(Clone, Copy, Default)]
struct Node {
    children: u32,
    value: u32,
    shared: u32,
    bitmap: u16,
    shared_digits: u8,
}

const NONE: u32 = u32::MAX;
const ROOT_DIGITS: u32 = 6;

pub(crate) struct Trie {
    root: Vec<u32>,
    nodes: Vec<Node>,
    /// A line a number, for explanations.
    lines: usize,
}

/// A number's digits behind the root's, the first in the highest four bits, and their count.
#[derive(Clone, Copy)]
struct Rest {
    digits: u64,
    count: u32,
}

fn split(number: u64) -> (usize, Rest) {
    let count = (number.ilog10() + 1).saturating_sub(ROOT_DIGITS);
    let size = 10_u64.pow(count);
    let mut rest = number % size;
    let mut digits = 0;
    for _ in 0..count {
        digits = digits >> 4 | (rest % 10) << 60;
        rest /= 10;
    }
    ((number / size) as usize, Rest { digits, count })
}

impl Trie {
    /// Of numbers of at least six digits, in any order.
    pub(crate) fn build(rows: &[(u64, u32)]) -> Self {
        let mut sorted: Vec<(usize, u64, u32, u32)> = rows
            .iter()
            .map(|(number, value)| {
                let (slot, rest) = split(*number);
                (slot, rest.digits, rest.count, *value)
            })
            .collect();
        sorted.sort_unstable();
        let mut trie = Self {
            root: vec![NONE; 1_000_000],
            nodes: Vec::new(),
            lines: rows.len(),
        };
        for bucket in sorted.chunk_by(|a, b| a.0 == b.0) {
            let at = trie.nodes.len();
            trie.nodes.push(Node::default());
            trie.root[bucket[0].0] = at as u32;
            let rows: Vec<(Rest, u32)> = bucket
                .iter()
                .map(|(_, digits, count, value)| {
                    (
                        Rest {
                            digits: *digits,
                            count: *count,
                        },
                        *value,
                    )
                })
                .collect();
            trie.fill(at, &rows);
        }
        trie.nodes.shrink_to_fit();
        trie
    }

    fn fill(&mut self, at: usize, rows: &[(Rest, u32)]) {
        let (Some((first, _)), Some((last, _))) = (rows.first(), rows.last()) else {
            return;
        };
        let shortest = rows.iter().map(|(rest, _)| rest.count).min().unwrap_or(0);
        let alike = (first.digits ^ last.digits).leading_zeros() / 4;
        let shared = alike.min(shortest).min(8);
        let mut node = Node {
            value: NONE,
            shared: (first.digits >> 32) as u32 & !(u32::MAX.checked_shr(4 * shared).unwrap_or(0)),
            shared_digits: shared as u8,
            ..Node::default()
        };
        let below: Vec<(Rest, u32)> = rows
            .iter()
            .filter_map(|(rest, value)| {
                let rest = behind(*rest, shared);
                if rest.count == 0 {
                    node.value = *value;
                    return None;
                }
                Some((rest, *value))
            })
            .collect();
        let children: Vec<&[(Rest, u32)]> = below
            .chunk_by(|a, b| a.0.digits >> 60 == b.0.digits >> 60)
            .collect();
        node.children = self.nodes.len() as u32;
        self.nodes
            .resize(self.nodes.len() + children.len(), Node::default());
        for child in &children {
            node.bitmap |= 1 << (child[0].0.digits >> 60);
        }
        self.nodes[at] = node;
        for (index, child) in children.iter().enumerate() {
            let child: Vec<(Rest, u32)> = child
                .iter()
                .map(|(rest, value)| (behind(*rest, 1), *value))
                .collect();
            self.fill(node.children as usize + index, &child);
        }
    }

    pub(crate) fn find(&self, number: u64) -> Option<u32> {
        let (slot, mut rest) = split(number);
        let mut at = *self.root.get(slot)?;
        let mut best = None;
        while let Some(node) = self.nodes.get(at as usize) {
            let shared = u32::from(node.shared_digits);
            let mask = !(u32::MAX.checked_shr(4 * shared).unwrap_or(0));
            if rest.count < shared || (rest.digits >> 32) as u32 & mask != node.shared {
                break;
            }
            rest = behind(rest, shared);
            if node.value != NONE {
                best = Some(node.value);
            }
            let digit = rest.digits >> 60;
            if rest.count == 0 || node.bitmap >> digit & 1 == 0 {
                break;
            }
            at = node.children + (node.bitmap & ((1 << digit) - 1)).count_ones();
            rest = behind(rest, 1);
        }
        best
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        self.root.len() * 4 + self.nodes.len() * size_of::<Node>() + self.lines * 4
    }
}

fn behind(rest: Rest, digits: u32) -> Rest {
    Rest {
        digits: rest.digits.checked_shl(4 * digits).unwrap_or(0),
        count: rest.count - digits,
    }
}
