//! A range of numbers as the fewest prefixes.

use std::fmt;

use super::Remaining;
use crate::routing::number::Number;

/// Shows the fewest entries that match exactly the numbers from `first` to `last`, both
/// included, in rising order: `+442071839000` to `+442071839999` is the one prefix
/// `+442071839` with exactly 3 more. Both ends have the same number of symbols and
/// start with the same symbols that are not digits; at most 18 entries a digit.
///
/// # Errors
/// [`RangeError`]; nothing has been shown then.
pub fn range_to_prefixes(
    first: &Number,
    last: &Number,
    mut show: impl FnMut(Number, Remaining),
) -> Result<(), RangeError> {
    if first.len() != last.len() {
        return Err(RangeError::UnequalLength);
    }
    let (lead, digits, low) = lead_and_value(first).ok_or(RangeError::NotDigits)?;
    let (last_lead, _, high) = lead_and_value(last).ok_or(RangeError::NotDigits)?;
    if lead != last_lead {
        return Err(RangeError::NotDigits);
    }
    if low > high {
        return Err(RangeError::Reversed);
    }
    // A prefix keeps at least one symbol.
    let block_digits_max = if lead.is_empty() { digits - 1 } else { digits };
    let mut from = low;
    while from <= high {
        let block_digits = largest_block(from, high, block_digits_max);
        let kept = from / 10_u128.pow(block_digits);
        let kept_digits = (0..digits - block_digits).rev();
        let prefix = kept_digits.map(|place| (kept / 10_u128.pow(place) % 10) as u8 + b'0');
        if let Some(prefix) = Number::collect(lead.iter().copied().chain(prefix)) {
            show(prefix, Remaining::Exactly(block_digits as u8));
        }
        from += 10_u128.pow(block_digits);
    }
    Ok(())
}

/// How many last digits may run free at once: the block starts at `from`, is aligned
/// to its size and ends by `high`.
fn largest_block(from: u128, high: u128, digits_max: u32) -> u32 {
    (1..=digits_max)
        .take_while(|digits| {
            let size = 10_u128.pow(*digits);
            from.is_multiple_of(size) && from + (size - 1) <= high
        })
        .last()
        .unwrap_or(0)
}

/// The symbols in front of the first digit, how many digits follow and their value;
/// `None` if there is no digit or something else between them.
fn lead_and_value(number: &Number) -> Option<(&[u8], u32, u128)> {
    let symbols = number.as_bytes();
    let lead_length = symbols.iter().position(u8::is_ascii_digit)?;
    let (lead, digits) = symbols.split_at_checked(lead_length)?;
    // At most 31 digits: below 10^31, which fits 104 bits.
    let value = digits.iter().try_fold(0_u128, |value, digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        Some(value * 10 + u128::from(digit))
    })?;
    Some((lead, digits.len() as u32, value))
}

/// Why two numbers are not the ends of a range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeError {
    /// They have different numbers of symbols.
    UnequalLength,
    /// The first is greater than the last.
    Reversed,
    /// They do not start with the same symbols, or have others than digits behind.
    NotDigits,
}

impl fmt::Display for RangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnequalLength => "the two ends of a range must have equally many digits",
            Self::Reversed => "the first number of a range must not be above the last",
            Self::NotDigits => "the two ends of a range must differ in digits only",
        })
    }
}

impl std::error::Error for RangeError {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text.as_bytes()).unwrap()
    }

    fn prefixes(first: &str, last: &str) -> Result<Vec<String>, RangeError> {
        let mut shown = Vec::new();
        range_to_prefixes(&number(first), &number(last), |prefix, remaining| {
            let Remaining::Exactly(symbols) = remaining else {
                panic!("an open prefix in a range");
            };
            shown.push(format!("{prefix}/{symbols}"));
        })
        .map(|()| shown)
    }

    #[test]
    fn ranges_become_the_fewest_prefixes() {
        let cases: [(&str, &str, &[&str]); 7] = [
            ("+442071839000", "+442071839999", &["+442071839/3"]),
            ("+4930100", "+4930100", &["+4930100/0"]),
            (
                "+4930198",
                "+4930211",
                &[
                    "+4930198/0",
                    "+4930199/0",
                    "+493020/1",
                    "+4930210/0",
                    "+4930211/0",
                ],
            ),
            ("+00", "+99", &["+/2"]),
            (
                "00",
                "99",
                &[
                    "0/1", "1/1", "2/1", "3/1", "4/1", "5/1", "6/1", "7/1", "8/1", "9/1",
                ],
            ),
            ("*210", "*219", &["*21/1"]),
            ("+990", "+999", &["+99/1"]),
        ];
        for (first, last, expected) in cases {
            assert_eq!(
                prefixes(first, last).unwrap(),
                expected,
                "{first} to {last}"
            );
        }
    }

    #[test]
    fn the_longest_range_fits() {
        let (first, last) = (format!("1{}", "0".repeat(30)), "9".repeat(31));
        assert_eq!(prefixes(&first, &last).unwrap().len(), 9);
        let (first, last) = (
            format!("{}1", "0".repeat(30)),
            format!("{}8", "9".repeat(30)),
        );
        assert_eq!(prefixes(&first, &last).unwrap().len(), 2 * 30 * 9 + 8);
    }

    #[test]
    fn what_is_no_range() {
        assert_eq!(prefixes("+4420", "+44200"), Err(RangeError::UnequalLength));
        assert_eq!(prefixes("+4421", "+4420"), Err(RangeError::Reversed));
        for (first, last) in [
            ("+4420", "04420"),
            ("+", "+"),
            ("1*2", "1*3"),
            ("*12", "#12"),
        ] {
            assert_eq!(prefixes(first, last), Err(RangeError::NotDigits), "{first}");
        }
    }

    proptest! {
        #[test]
        fn covers_the_range_and_nothing_else(
            lead in "\\+?|\\*",
            a in 0..1000_u32,
            b in 0..1000_u32,
        ) {
            let text = |value| format!("{lead}{value:03}");
            let (low, high) = (a.min(b), a.max(b));
            let mut shown = Vec::new();
            range_to_prefixes(&number(&text(low)), &number(&text(high)), |prefix, remaining| {
                shown.push((prefix, remaining));
            })
            .unwrap();
            for value in 0..1000 {
                let number = number(&text(value));
                let covering = shown.iter().filter(|(prefix, remaining)| {
                    let rest = number.as_bytes().strip_prefix(prefix.as_bytes());
                    rest.is_some_and(|rest| remaining.allows(rest))
                });
                let in_range = (low..=high).contains(&value);
                prop_assert_eq!(covering.count(), usize::from(in_range), "{}", number);
            }
            // No ten neighbours could be one: that is what makes them the fewest.
            let parent = |prefix: &Number| prefix.first(prefix.len() - 1);
            for ten in shown.windows(10) {
                let same = ten.iter().all(|(prefix, remaining)| {
                    ten.first().is_some_and(|(first, rest)| {
                        parent(first).is_some() && parent(first) == parent(prefix) && rest == remaining
                    })
                });
                prop_assert!(!same);
            }
        }
    }
}
