//! A telephone number as the routing core knows it: 32 bytes, no heap.

use std::fmt;

use crate::limits::NUMBER_SYMBOLS_MAX;

/// A called or calling number, or the first symbols of one: 1 to 31 symbols of
/// `+ 0-9 * #`, where `+` stands only in front.
///
/// Orders like its text (`+44` before `+441` before `+45`), so a prefix comes
/// directly before the numbers that start with it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Number {
    // Unused places are 0, which is below every symbol: comparing the arrays is
    // comparing the texts.
    symbols: [u8; NUMBER_SYMBOLS_MAX],
    length: u8,
}

impl Number {
    /// Reads exactly the symbols of a number: no separators, no letters, not empty,
    /// not longer than [`NUMBER_SYMBOLS_MAX`].
    #[must_use]
    pub fn parse(text: &[u8]) -> Option<Self> {
        Self::collect(text.iter().copied())
    }

    /// Reads a number as people write it: like [`Number::parse`], after dropping the
    /// visual separators `-`, `.`, `(` and `)` of RFC 3966 §5.1.1, and spaces.
    #[must_use]
    pub fn parse_visual(text: &[u8]) -> Option<Self> {
        Self::collect(
            text.iter()
                .copied()
                .filter(|byte| !is_visual_separator(*byte)),
        )
    }

    /// Reads a number from bytes that come one by one; [`Number::parse`] of their
    /// concatenation.
    pub fn collect(text: impl IntoIterator<Item = u8>) -> Option<Self> {
        let mut symbols = [0; NUMBER_SYMBOLS_MAX];
        let mut length = 0;
        for byte in text {
            symbol_code(byte)?;
            if byte == b'+' && length > 0 {
                return None;
            }
            *symbols.get_mut(usize::from(length))? = byte;
            length += 1;
        }
        (length > 0).then_some(Self { symbols, length })
    }

    /// The symbols, 1 to 31 bytes of ASCII.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.symbols
            .get(..usize::from(self.length))
            .unwrap_or_default()
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
        self.length as usize
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
        let codes = self.as_bytes().iter().filter_map(|byte| symbol_code(*byte));
        let (packed, free_bits) = codes.fold((0, u128::BITS), |(packed, free_bits), code| {
            (packed << 4 | u128::from(code), free_bits - 4)
        });
        // A number has 1 to 31 symbols, so 4 to 124 bits are free.
        packed << free_bits
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

const _: () = assert!(size_of::<Number>() == 32);
// Number::packed holds every symbol and leaves at least one free place.
const _: () = assert!(NUMBER_SYMBOLS_MAX * 4 < u128::BITS as usize);
