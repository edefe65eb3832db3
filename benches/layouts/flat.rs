//! Runs in one sorted array, found by a table of their first six digits and binary search.

/// First keys, last keys' ends and values of runs; keys are digits with their count in
/// front, so that lengths do not mix.
pub(crate) struct Flat {
    root: Vec<u32>,
    keys: Vec<u64>,
    words: Vec<u32>,
}

const ROOT_DIGITS: u32 = 6;

/// The first six digits, and how many follow: where in the root.
fn slot(number: u64) -> usize {
    let digits = number.ilog10() + 1;
    let head = number / 10_u64.pow(digits.saturating_sub(ROOT_DIGITS));
    (digits as usize - 1) % 4 * 1_000_000 + head as usize
}

/// Orders by slot, then by number.
fn key(number: u64) -> u64 {
    let digits = u64::from(number.ilog10());
    (digits % 4) << 60 | number
}

impl Flat {
    /// Of numbers in rising order with their values.
    pub(crate) fn build(rows: &[(u64, u32)]) -> Self {
        let mut sorted: Vec<(u64, u64, u32)> = rows
            .iter()
            .map(|(n, value)| (key(*n), *n, *value))
            .collect();
        sorted.sort_unstable();
        let (mut keys, mut words, mut slots): (Vec<u64>, Vec<u32>, Vec<usize>) = Default::default();
        for (key, number, value) in sorted {
            let run = (keys.last(), words.last_mut(), slots.last());
            if let (Some(first), Some(word), Some(last_slot)) = run {
                let more = key - *first;
                if *word >> 12 == value
                    && more == u64::from(*word & 0xFFF) + 1
                    && more <= 0xFFF
                    && *last_slot == slot(number)
                {
                    *word += 1;
                    continue;
                }
            }
            keys.push(key);
            words.push(value << 12);
            slots.push(slot(number));
        }
        let mut root = vec![0; 4_000_001];
        for slot in slots {
            root[slot + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut root {
            sum += *start;
            *start = sum;
        }
        Self { root, keys, words }
    }

    pub(crate) fn find(&self, number: u64) -> Option<u32> {
        let slot = slot(number);
        let bucket = *self.root.get(slot)? as usize..*self.root.get(slot + 1)? as usize;
        let keys = self.keys.get(bucket.clone())?;
        let key = key(number);
        let at = keys.partition_point(|other| *other <= key).checked_sub(1)?;
        let (first, word) = (keys.get(at)?, self.words.get(bucket.start + at)?);
        (key - first <= u64::from(word & 0xFFF)).then_some(word >> 12)
    }

    /// With four bytes a run for its line.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.root.len() * 4 + self.keys.len() * 16
    }
}
