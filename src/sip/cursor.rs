//! A place in a value, and where words end behind it.

use super::block::{BLOCK_BYTES, Block};
use super::scan;

/// A place in a value. Where a word may end behind it has been looked for once, sixteen
/// bytes at a time: at a stop, which is whatever is no letter and no digit, or the end.
#[derive(Clone, Copy)]
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// A bit for each stop in the rest, its first byte's the lowest. Nothing is known
    /// of what is behind the highest bit.
    stops: u64,
}

/// Bytes that have a bit.
const WINDOW_BYTES: usize = u64::BITS as usize;

impl<'a> Cursor<'a> {
    #[inline(always)]
    pub(super) fn new(value: &'a [u8]) -> Self {
        Self {
            rest: value,
            stops: stops(value),
        }
    }

    /// What is left.
    #[inline(always)]
    pub(super) const fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// What stands between this place and a later one.
    #[inline(always)]
    pub(super) fn until(self, later: Self) -> Option<&'a [u8]> {
        self.rest.get(..self.rest.len() - later.rest.len())
    }

    /// Behind `byte`, if that is next.
    #[inline(always)]
    pub(super) fn behind(self, byte: u8) -> Option<Self> {
        let stops = self.stops >> 1;
        match self.rest {
            [next, rest @ ..] if *next == byte => Some(Self { rest, stops }),
            _ => None,
        }
    }

    /// Behind `text`, if that is next.
    #[inline(always)]
    pub(super) fn behind_text<const N: usize>(self, text: &[u8; N]) -> Option<Self> {
        let rest = self.rest.strip_prefix(text)?;
        let stops = self.stops >> N;
        Some(Self { rest, stops })
    }

    /// Where `rest`, an end of what is left, begins.
    #[inline(always)]
    pub(super) fn at(self, rest: &'a [u8]) -> Self {
        let skipped = (self.rest.len() - rest.len()) as u32;
        let stops = self.stops.unbounded_shr(skipped);
        Self { rest, stops }
    }

    /// The bytes of that class that are next, and behind them. Letters and digits must
    /// be in the class.
    #[inline(always)]
    pub(super) fn run(self, class: u16) -> (&'a [u8], Self) {
        let mut stops = self.stops;
        while stops != 0 {
            let at = stops.trailing_zeros();
            let Some((run, rest)) = self.rest.split_at_checked(at as usize) else {
                break;
            };
            match rest.first() {
                Some(byte) if scan::is(*byte, class) => stops &= stops - 1,
                _ => {
                    let stops = stops >> at;
                    return (run, Self { rest, stops });
                }
            }
        }
        let (length, stops) = long_run(self.rest, class);
        let (run, rest) = self.rest.split_at_checked(length).unwrap_or_default();
        (run, Self { rest, stops })
    }
}

/// The length of a run whose end is behind the window, and the stops behind it. Takes
/// and answers values only: what it had a reference to would not stay in registers.
#[cold]
#[inline(never)]
fn long_run(rest: &[u8], class: u16) -> (usize, u64) {
    let length = scan::run(rest, class);
    (length, stops(rest.get(length..).unwrap_or_default()))
}

/// The stops among the first bytes of a value. What is behind its end is a stop.
#[inline(always)]
fn stops(value: &[u8]) -> u64 {
    let words = |bytes| u64::from(Block::new(bytes).alphanumeric());
    let (blocks, tail) = value.as_chunks();
    let mut found = 0;
    for (at, bytes) in blocks.iter().take(WINDOW_BYTES / BLOCK_BYTES).enumerate() {
        found |= words(bytes) << (at * BLOCK_BYTES);
    }
    if value.len() < WINDOW_BYTES {
        // The last block overlaps the one before, so that there is no remainder.
        match value.last_chunk() {
            Some(last) => found |= words(last) << (value.len() - BLOCK_BYTES),
            None => found = words(&padded(tail)),
        }
    }
    !found
}

fn padded(tail: &[u8]) -> [u8; BLOCK_BYTES] {
    let mut bytes = [0; BLOCK_BYTES];
    for (byte, tail) in bytes.iter_mut().zip(tail) {
        *byte = *tail;
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const CLASSES: [u16; 5] = [
        scan::TOKEN,
        scan::USER,
        scan::VALUE,
        scan::LABEL,
        scan::URI_PLAIN,
    ];

    #[test]
    fn letters_and_digits_are_in_every_class() {
        for byte in (0..=u8::MAX).filter(|byte| byte.is_ascii_alphanumeric()) {
            for class in CLASSES
                .into_iter()
                .chain([scan::DISPLAY, scan::QUOTED, scan::HOST])
            {
                assert!(scan::is(byte, class), "{byte} in {class}");
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(5_000))]

        #[test]
        fn runs_end_where_byte_by_byte_they_end(
            value in prop_oneof![
                "[a-z0-9.;=@:-]{0,150}".prop_map(String::into_bytes),
                "([a-z0-9]{0,90}[.;=]){0,4}".prop_map(String::into_bytes),
                proptest::collection::vec(any::<u8>(), 0..100),
            ],
            at in 0_usize..5,
        ) {
            let mut cursor = Cursor::new(&value);
            let mut turn = at;
            while !cursor.rest().is_empty() {
                let class = CLASSES[turn % CLASSES.len()];
                let (run, behind) = cursor.run(class);
                prop_assert_eq!(run.len(), scan::run(cursor.rest(), class));
                prop_assert_eq!(cursor.until(behind), Some(run));
                prop_assert_eq!(run.len() + behind.rest().len(), cursor.rest().len());
                cursor = match behind.rest() {
                    [first, ..] if turn % 2 == 0 => behind.behind(*first).unwrap_or(behind),
                    [_, rest @ ..] => behind.at(rest),
                    [] => behind,
                };
                turn += 1;
            }
        }
    }
}
