//! A telephone number as the routing core knows it: 32 bytes, no heap.

use std::fmt;
use std::num::NonZeroU8;

use wide::u8x16;

use crate::limits::NUMBER_SYMBOLS_MAX;

/// A called or calling number, or the first symbols of one: 1 to 31 symbols of
/// `+ 0-9 * #`, where `+` stands only in front.
///
/// Orders like its text (`+44` before `+441` before `+45`), so a prefix comes
/// directly before the numbers that start with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(C, align(16))]
pub struct Number {
    // Unused places are 0, which is below every symbol: comparing the arrays is
    // comparing the texts.
    symbols: [u8; NUMBER_SYMBOLS_MAX],
    // Never 0, and so `Option<Number>` is as large. Copies of 32 bytes in two halves wait
    // for nothing; of 33 bytes each half would wait for the one that was written last.
    length: NonZeroU8,
}

impl Number {
    /// Reads exactly the symbols of a number: no separators, no letters, not empty,
    /// not longer than [`NUMBER_SYMBOLS_MAX`].
    #[must_use]
    #[inline]
    pub fn parse(text: &[u8]) -> Option<Self> {
        let length = u8::try_from(text.len()).ok().and_then(NonZeroU8::new)?;
        let (front, back) = text.split_at_checked(HALF_BYTES).unwrap_or((text, &[]));
        if back.len() >= HALF_BYTES {
            return None;
        }
        let halves = [padded(front), padded(back)];
        // All places at once: no loop ends where a number does.
        let plus = places(halves, |block| block.simd_eq(u8x16::splat(b'+')));
        let others = places(halves, |block| {
            let digit = block - u8x16::splat(b'0');
            digit.simd_eq(digit.min(u8x16::splat(9)))
                | block.simd_eq(u8x16::splat(b'*'))
                | block.simd_eq(u8x16::splat(b'#'))
        });
        let used = (1 << length.get()) - 1;
        ((others | plus & 1) == used).then(|| Self {
            symbols: symbols_of(halves),
            length,
        })
    }

    /// Reads a number as people write it: like [`Number::parse`], after dropping the
    /// visual separators `-`, `.`, `(` and `)` of RFC 3966 §5.1.1, and spaces.
    #[must_use]
    #[inline]
    pub fn parse_visual(text: &[u8]) -> Option<Self> {
        let written = || text.iter().copied();
        // Most come without separators.
        Self::parse(text)
            .or_else(|| Self::collect(written().filter(|byte| !is_visual_separator(*byte))))
    }

    /// Reads a number from bytes that come one by one; [`Number::parse`] of their
    /// concatenation.
    pub fn collect(text: impl IntoIterator<Item = u8>) -> Option<Self> {
        let mut symbols = [0; NUMBER_SYMBOLS_MAX];
        let mut length = 0;
        for byte in text {
            *symbols.get_mut(length)? = byte;
            length += 1;
        }
        Self::parse(symbols.get(..length)?)
    }

    /// The symbols, 1 to 31 bytes of ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.symbols.get(..self.len()).unwrap_or_default()
    }

    /// The symbols as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }

    /// How many symbols, `+` included: 1 to 31.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a number is never empty")]
    pub const fn len(&self) -> usize {
        self.length.get() as usize
    }

    /// Whether the number starts with these symbols; itself counts, and so does nothing.
    #[must_use]
    pub fn starts_with(&self, prefix: &[u8]) -> bool {
        self.as_bytes().starts_with(prefix)
    }

    /// Whether it is written in global form, with `+` (RFC 3966 §5.1.4).
    #[must_use]
    pub fn is_global(&self) -> bool {
        self.starts_with(b"+")
    }

    /// Whether every symbol is a digit `0-9`.
    #[must_use]
    pub fn is_digits(&self) -> bool {
        self.as_bytes().iter().all(u8::is_ascii_digit)
    }

    /// Whether there is a `#`, which no user part may hold as it stands.
    #[must_use]
    pub fn has_hash(&self) -> bool {
        let hash = |half: &[u8; HALF_BYTES]| u8x16::new(*half).simd_eq(u8x16::splat(b'#'));
        let halves = [self.symbols.first_chunk(), self.symbols.last_chunk()];
        halves
            .into_iter()
            .flatten()
            .any(|half| hash(half).to_bitmask() != 0)
    }

    /// The first `length` symbols; all of them if there are fewer, `None` for zero.
    #[must_use]
    pub fn first(&self, length: usize) -> Option<Self> {
        Self::collect(self.as_bytes().iter().copied().take(length))
    }

    /// What is left behind a prefix; `None` if the number does not start with it or
    /// nothing is left.
    #[must_use]
    pub fn without_prefix(&self, prefix: &[u8]) -> Option<Self> {
        Self::parse(self.as_bytes().strip_prefix(prefix)?)
    }

    /// For logs that must not name a person: every symbol is printed as `x`, except a
    /// leading `+` and the last `keep_last` symbols. The length stays visible.
    #[must_use]
    pub const fn masked(&self, keep_last: usize) -> Masked {
        Masked {
            number: *self,
            keep_last,
        }
    }

    /// All symbols in one integer, 4 bits each by [`symbol_code`], the first one in
    /// the highest bits, 0 behind the last. Orders like the number itself.
    #[must_use]
    pub fn packed(&self) -> u128 {
        // Unused places are 0 and so is their code: no loop depends on the length.
        let (front, back) = self.symbols.split_at(FRONT_SYMBOLS);
        let (eights, _) = front.as_chunks::<8>();
        let front = eights
            .iter()
            .fold(0, |packed, eight| packed << 32 | pack_eight(*eight));
        let back = if self.len() > FRONT_SYMBOLS {
            pack(back) << 4
        } else {
            0
        };
        u128::from(front) << 64 | u128::from(back)
    }

    /// The number behind [`Number::packed`]; `None` if no number packs to this.
    #[must_use]
    pub fn unpack(packed: u128) -> Option<Self> {
        let symbols_used = (u128::BITS - packed.trailing_zeros()).div_ceil(4);
        let mut symbols = [0; NUMBER_SYMBOLS_MAX];
        let mut rest = packed;
        for symbol in symbols.iter_mut().take(symbols_used as usize) {
            rest = rest.rotate_left(4);
            *symbol = code_symbol((rest & 0xF) as u8)?;
        }
        Self::parse(symbols.get(..symbols_used as usize)?)
    }
}

/// The 4-bit code of a symbol, 1 to 13, rising as ASCII does (`# * + 0-9`) so that
/// codes order like text; 0 is free to mean "no symbol". `None` for any other byte.
#[must_use]
pub const fn symbol_code(symbol: u8) -> Option<u8> {
    match symbol {
        b'#' => Some(1),
        b'*' => Some(2),
        b'+' => Some(3),
        b'0'..=b'9' => Some(symbol - b'0' + 4),
        _ => None,
    }
}

/// The symbol of a 4-bit code: [`symbol_code`] backwards.
#[must_use]
pub const fn code_symbol(code: u8) -> Option<u8> {
    match code {
        1 => Some(b'#'),
        2 => Some(b'*'),
        3 => Some(b'+'),
        4..=13 => Some(code - 4 + b'0'),
        _ => None,
    }
}

/// A bit for each place whose symbol is found, the first place's the lowest.
#[inline(always)]
fn places(halves: [u128; 2], found: impl Fn(u8x16) -> u8x16) -> u32 {
    let [front, back] = halves.map(|half| found(u8x16::new(half.to_le_bytes())).to_bitmask());
    front | back << HALF_BYTES
}

/// The bytes of both halves but the last, which is none.
#[inline(always)]
fn symbols_of(halves: [u128; 2]) -> [u8; NUMBER_SYMBOLS_MAX] {
    let bytes = halves.map(u128::to_le_bytes);
    bytes
        .as_flattened()
        .first_chunk()
        .copied()
        .unwrap_or([0; NUMBER_SYMBOLS_MAX])
}

/// At most sixteen bytes and zeros behind them, the first byte lowest. Of eight and more
/// the last eight are read again over the first: nothing is written to be read at once.
#[inline(always)]
fn padded(bytes: &[u8]) -> u128 {
    if let Some(all) = bytes.first_chunk() {
        return u128::from_le_bytes(*all);
    }
    match (bytes.first_chunk(), bytes.last_chunk()) {
        (Some(first), Some(last)) => {
            let skipped = 8 * (bytes.len() as u32 - u64::BITS / 8);
            u128::from(u64::from_le_bytes(*first))
                | u128::from(u64::from_le_bytes(*last)) << skipped
        }
        _ => bytes
            .iter()
            .rev()
            .fold(0, |all, byte| all << 8 | u128::from(*byte)),
    }
}

/// Symbols looked at together.
const HALF_BYTES: usize = 16;

/// Codes of eight symbols at once, the last one in the lowest bits. A digit's code is its
/// value and 4, that of `#`, `*` or `+` is made of the lowest and the fourth bit of its
/// byte, and 0 stays 0.
fn pack_eight(symbols: [u8; 8]) -> u64 {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let symbols = u64::from_be_bytes(symbols);
    let digits = (symbols >> 4 & EACH) * 0xFF;
    let of_digit = (symbols & (0x0F * EACH)) + 4 * EACH;
    let of_sign = (symbols & EACH) + ((symbols >> 2) & (2 * EACH));
    let codes = of_digit & digits | of_sign & !digits;
    let pairs = (codes | codes >> 4) & 0x00FF_00FF_00FF_00FF;
    let fours = (pairs | pairs >> 8) & 0x0000_FFFF_0000_FFFF;
    (fours | fours >> 16) & 0xFFFF_FFFF
}

/// Codes of at most 16 symbols, the last one in the lowest bits. A byte cannot miss a
/// table of 256.
fn pack(symbols: &[u8]) -> u64 {
    symbols.iter().fold(0, |packed, symbol| {
        packed << 4 | u64::from(CODES[usize::from(*symbol)])
    })
}

/// [`symbol_code`] of every byte, 0 for none.
const CODES: [u8; 256] = {
    let mut codes = [0; 256];
    let mut symbol = 0;
    while symbol < codes.len() {
        if let Some(code) = symbol_code(symbol as u8) {
            codes[symbol] = code;
        }
        symbol += 1;
    }
    codes
};

/// Symbols in the upper half of [`Number::packed`].
const FRONT_SYMBOLS: usize = 16;

/// RFC 3966 §3 visual-separator, and the space people type.
const fn is_visual_separator(byte: u8) -> bool {
    matches!(byte, b' ' | b'-' | b'.' | b'(' | b')')
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Debug for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Number({})", self.as_str())
    }
}

/// A number with its middle hidden; made by [`Number::masked`], printed by `Display`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Masked {
    number: Number,
    keep_last: usize,
}

impl fmt::Display for Masked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown_from = self.number.len().saturating_sub(self.keep_last);
        for (index, symbol) in self.number.as_str().char_indices() {
            let shown = index >= shown_from || symbol == '+';
            fmt::Write::write_char(f, if shown { symbol } else { 'x' })?;
        }
        Ok(())
    }
}

const _: () = assert!(size_of::<Option<Number>>() == 32);
// Number::packed: 16 symbols in the upper half, 15 in the lower, one place left free.
const _: () = assert!(NUMBER_SYMBOLS_MAX == 2 * FRONT_SYMBOLS - 1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn only_numbers_parse() {
        let longest = "+123456789012345678901234567890";
        for text in ["+", "0", "+442071838750", "*21#", "#", longest] {
            assert_eq!(number(text).as_str(), text);
        }
        let too_long = "1".repeat(NUMBER_SYMBOLS_MAX + 1);
        for text in [
            "", "44+20", "++44", "+44 20", "alice", "+44a", "٣", &too_long,
        ] {
            assert_eq!(Number::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn visual_separators_are_dropped() {
        for text in ["+44 (20) 7183-8750", "+44.20.7183.8750", " +442071838750 "] {
            assert_eq!(
                Number::parse_visual(text.as_bytes()),
                Some(number("+442071838750"))
            );
        }
        for text in ["", " ", "()", "+44/20", "44 +20", "+44\t20"] {
            assert_eq!(Number::parse_visual(text.as_bytes()), None, "{text}");
        }
        let spaced = "1 ".repeat(NUMBER_SYMBOLS_MAX);
        assert!(Number::parse_visual(spaced.as_bytes()).is_some());
    }

    #[test]
    fn masked_hides_the_middle() {
        let shown = |text, keep_last| number(text).masked(keep_last).to_string();
        assert_eq!(shown("+442071838750", 3), "+xxxxxxxxx750");
        assert_eq!(shown("*21*0203#", 0), "xxxxxxxxx");
        assert_eq!(shown("112", 9), "112");
    }

    #[test]
    fn parts() {
        let alice = number("+442071838750");
        assert_eq!(alice.first(3), Some(number("+44")));
        assert_eq!(alice.first(99), Some(alice));
        assert_eq!(alice.first(0), None);
        assert_eq!(alice.without_prefix(b"+44"), Some(number("2071838750")));
        assert_eq!(alice.without_prefix(b"+49"), None);
        assert_eq!(alice.without_prefix(alice.as_bytes()), None);
        assert!(alice.is_global() && !alice.is_digits());
        assert!(number("044").is_digits() && !number("*44").is_digits());
        assert_eq!(
            format!("{alice:>15}|{alice:?}"),
            "  +442071838750|Number(+442071838750)"
        );
    }

    #[test]
    fn unpack_refuses_what_no_number_packs_to() {
        let one = number("1").packed();
        // Nothing, a hole before the last symbol, an unused code, a plus inside, 32 symbols.
        for packed in [0, one >> 4, 14 << 124, one | 3 << 120, u128::MAX, one | 4] {
            assert_eq!(Number::unpack(packed), None, "{packed:x}");
        }
    }

    proptest! {
        #[test]
        fn packing_keeps_number_and_order(a in "\\+?[0-9*#]{1,30}", b in "\\+?[0-9*#]{1,30}") {
            let (a, b) = (number(&a), number(&b));
            prop_assert_eq!(Number::unpack(a.packed()), Some(a));
            prop_assert_eq!(a.packed().cmp(&b.packed()), a.cmp(&b));
            prop_assert_eq!(a.cmp(&b), a.as_str().cmp(b.as_str()));
        }

        #[test]
        fn any_bytes_parse_or_not(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let alphabet = |byte: &u8| b"+0123456789*#".contains(byte);
            let plus_inside = bytes.iter().skip(1).any(|byte| *byte == b'+');
            let is_number = (1..=31).contains(&bytes.len()) && bytes.iter().all(alphabet) && !plus_inside;
            prop_assert_eq!(Number::parse(&bytes).is_some(), is_number);
            if let Some(number) = Number::parse_visual(&bytes) {
                prop_assert_eq!(Number::parse(number.as_bytes()), Some(number));
            }
        }
    }
}
