//! Arithmetic on the last three symbols of a packed number.

/// Whether three symbols of 4 bits, of which digits are 4 to 13, are all digits.
pub(super) fn all_digits(tail: u32) -> bool {
    // 4 to 15 are what has one of the two upper bits, and no symbol is 14 or 15.
    (tail >> 2 | tail >> 3) & 0x111 == 0x111
}

/// How many numbers lie from one to another that is not smaller, both of three digits.
pub(super) fn digit_steps(from: u32, to: u32) -> u32 {
    value(to).saturating_sub(value(from))
}

/// The codes count from 4 in each place: that cancels out in a difference.
fn value(tail: u32) -> u32 {
    (tail >> 8 & 0xF) * 100 + (tail >> 4 & 0xF) * 10 + (tail & 0xF)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use crate::routing::number::Number;

    fn tail(text: &str) -> u32 {
        (Number::parse(text.as_bytes()).unwrap().packed() >> (128 - 12)) as u32
    }

    #[test]
    fn steps_are_differences() {
        for (from, to, steps) in [("000", "999", 999), ("099", "100", 1), ("420", "420", 0)] {
            assert_eq!(digit_steps(tail(from), tail(to)), steps);
        }
    }

    #[test]
    fn only_digits_are_digits() {
        assert!(all_digits(tail("000")) && all_digits(tail("999")));
        for text in ["*00", "0*0", "00#", "+00", "12", "1"] {
            assert!(!all_digits(tail(text)), "{text}");
        }
    }
}
