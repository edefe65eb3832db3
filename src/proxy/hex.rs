//! Hexadecimal digits, written and read without a branch for each.

/// A value that is no digit.
const NONE: u8 = 0x10;

/// The digits of a number, the highest first, in lower case.
pub(super) fn sixteen_digits(number: u64) -> [u8; 16] {
    let mut text = [0; 16];
    let (halves, _) = text.as_chunks_mut();
    for (half, number) in halves.iter_mut().zip([number >> 32, number & 0xffff_ffff]) {
        *half = eight_digits(number);
    }
    text
}

/// The digits of a number of 32 bits, all at once: a byte for each.
fn eight_digits(number: u64) -> [u8; 8] {
    const EACH: u64 = 0x0101_0101_0101_0101;
    let fours = (number | number << 16) & 0x0000_ffff_0000_ffff;
    let pairs = (fours | fours << 8) & 0x00ff_00ff_00ff_00ff;
    let values = (pairs | pairs << 4) & (0x0f * EACH);
    let letters = (values + 6 * EACH) >> 4 & EACH;
    let from_nine_to_a = u64::from(b'a' - b'9' - 1);
    (values + u64::from(b'0') * EACH + letters * from_nine_to_a).to_be_bytes()
}

/// Reads so many digits off the front, at most 16: the number, and what stands behind it.
pub(super) fn read(text: &[u8], digits: usize) -> Option<(u64, &[u8])> {
    let (text, rest) = text.split_at_checked(digits)?;
    let (number, seen) = text.iter().fold((0_u64, 0), |(number, seen), byte| {
        let value = value(*byte);
        (number << 4 | u64::from(value), seen | value)
    });
    (seen < NONE).then_some((number, rest))
}

/// Appends the last so many digits, at most 16.
pub(super) fn push(number: u64, digits: usize, out: &mut Vec<u8>) {
    let spelled = sixteen_digits(number);
    let from = spelled.len().saturating_sub(digits);
    out.extend_from_slice(spelled.get(from..).unwrap_or_default());
}

/// What a byte says as a digit. Lower case only: it is we who wrote it.
const fn value(byte: u8) -> u8 {
    match (byte.wrapping_sub(b'0'), byte.wrapping_sub(b'a')) {
        (digit @ 0..=9, _) => digit,
        (_, letter @ 0..=5) => letter + 10,
        _ => NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn digits_are_those_of_the_library() {
        for number in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef, 0xa0f9_0000_0000_00ff] {
            assert_eq!(sixteen_digits(number), format!("{number:016x}").as_bytes());
        }
    }

    proptest! {
        #[test]
        fn what_was_written_is_read(number: u64, digits in 0_usize..=16, rest in ".{0,3}") {
            let mut text = Vec::new();
            push(number, digits, &mut text);
            prop_assert_eq!(text.len(), digits);
            text.extend_from_slice(rest.as_bytes());
            let kept = number & u64::MAX.checked_shr(64 - 4 * digits as u32).unwrap_or(0);
            prop_assert_eq!(read(&text, digits), Some((kept, rest.as_bytes())));
        }

        #[test]
        fn nothing_else_is_read(text in prop::collection::vec(any::<u8>(), 0..20), digits in 0_usize..=16) {
            let lower = |byte: &u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(byte);
            let good = text.get(..digits).is_some_and(|text| text.iter().all(lower));
            prop_assert_eq!(read(&text, digits).is_some(), good);
        }
    }
}
