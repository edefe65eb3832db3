//! Sixteen bytes looked at together.

use wide::{i8x16, u8x16};

pub(super) const BLOCK_BYTES: usize = 16;

/// Sixteen bytes of a message. What is asked of them is answered with one bit for each,
/// the first byte's the lowest.
#[derive(Clone, Copy)]
pub(super) struct Block(u8x16);

impl Block {
    #[inline(always)]
    pub(super) fn new(bytes: &[u8; BLOCK_BYTES]) -> Self {
        Self(u8x16::new(*bytes))
    }

    /// The bytes that are `byte`.
    #[inline(always)]
    pub(super) fn equal(self, byte: u8) -> u32 {
        self.0.simd_eq(u8x16::splat(byte)).to_bitmask()
    }

    /// The bytes from 0 to `limit`.
    #[inline(always)]
    pub(super) fn at_most(self, limit: u8) -> u32 {
        self.0.min(u8x16::splat(limit)).simd_eq(self.0).to_bitmask()
    }

    /// The letters and digits of ASCII.
    #[inline(always)]
    pub(super) fn alphanumeric(self) -> u32 {
        // The bit that tells upper from lower case makes no other byte a letter.
        let letters = range(self.0 | u8x16::splat(0x20), b'a', b'z');
        (letters | range(self.0, b'0', b'9')).to_bitmask()
    }
}

/// Whether `found` marks one of the bytes.
#[inline]
pub(super) fn any(bytes: &[u8], found: impl Fn(Block) -> u32) -> bool {
    let marks = |block: &[u8; BLOCK_BYTES]| found(Block::new(block)) != 0;
    // The last block overlaps the one before, so that there is no remainder.
    if let Some(last) = bytes.last_chunk() {
        return marks(last) || bytes.as_chunks().0.iter().any(marks);
    }
    match (bytes.first_chunk::<8>(), bytes.last_chunk::<8>()) {
        // Side by side: nothing is written to memory to be read from there at once.
        (Some(first), Some(last)) => {
            let (first, last) = (u64::from_le_bytes(*first), u64::from_le_bytes(*last));
            marks(&(u128::from(first) | u128::from(last) << 64).to_le_bytes())
        }
        // The first of them stands for those that are lacking.
        _ => bytes.first().is_some_and(|first| {
            let mut block = [*first; BLOCK_BYTES];
            block
                .iter_mut()
                .zip(bytes)
                .for_each(|(to, from)| *to = *from);
            marks(&block)
        }),
    }
}

/// The bytes from `first` to `last`: moved up so that these are the highest of the signed
/// ones, which takes one comparison. There is none of unsigned bytes.
#[inline(always)]
fn range(bytes: u8x16, first: u8, last: u8) -> i8x16 {
    let top = i8::MAX as u8;
    let moved = bytes + u8x16::splat(top - last);
    let below = top - last + first - 1;
    let signed = i8x16::new(moved.to_array().map(u8::cast_signed));
    signed.simd_gt(i8x16::splat(below.cast_signed()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_told_at_every_place() {
        for byte in 0..=u8::MAX {
            for at in 0..BLOCK_BYTES {
                for filler in [b'a', 0, 0xff] {
                    let mut bytes = [filler; BLOCK_BYTES];
                    bytes[at] = byte;
                    let bits = |found: fn(u8) -> bool| {
                        let bit = |(at, byte): (usize, &u8)| u32::from(found(*byte)) << at;
                        bytes.iter().enumerate().map(bit).sum::<u32>()
                    };
                    let block = Block::new(&bytes);
                    assert_eq!(block.equal(b':'), bits(|byte| byte == b':'));
                    assert_eq!(block.at_most(13), bits(|byte| byte <= 13));
                    let alphanumeric = bits(|byte| byte.is_ascii_alphanumeric());
                    assert_eq!(block.alphanumeric(), alphanumeric);
                }
            }
        }
    }

    #[test]
    fn one_byte_is_found_in_a_value_of_any_length() {
        for length in 0..70 {
            let mut bytes = vec![b'z'; length];
            assert!(!any(&bytes, |block| block.at_most(b'\r')));
            for at in 0..length {
                bytes[at] = b'\r';
                assert!(
                    any(&bytes, |block| block.at_most(b'\r')),
                    "{at} of {length}"
                );
                assert!(any(&bytes, |block| block.equal(b'\r')), "{at} of {length}");
                bytes[at] = b'z';
            }
        }
    }
}
