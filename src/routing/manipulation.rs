//! Manipulations: numbers rewritten into what the next party expects.

use std::ops::RangeInclusive;

use crate::routing::number::Number;

/// Two lists of steps, tried in order on the called and on the calling number. At most
/// [`crate::limits::MANIPULATION_STEPS_MAX`] steps a list, which who builds one checks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Manipulation {
    /// Steps for the called number.
    pub called: Vec<Step>,
    /// Steps for the calling number.
    pub calling: Vec<Step>,
}

/// One step: whom it fits, and what it does, in the order of the fields.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Step {
    /// Fits numbers that start with this; `None` fits all.
    pub prefix: Option<Number>,
    /// Fits numbers with so many symbols in all, `+` included; `None` fits all.
    pub length: Option<RangeInclusive<u8>>,
    /// Symbols removed on the left; all of them if there are fewer.
    pub strip: u8,
    /// Symbols removed on the right of what is left.
    pub strip_right: u8,
    /// Of what is still left only so many symbols on the right stay.
    pub keep_right: Option<u8>,
    /// Put in front.
    pub prepend: Option<Number>,
    /// Put behind.
    pub append: Option<Number>,
}

/// What became of a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The number to use.
    pub number: Number,
    /// The step that fitted, if any.
    pub step: Option<usize>,
    /// The step would have left no number (nothing, more than 31 symbols, or a `+`
    /// behind the front), so the number stayed as it was.
    pub overflowed: bool,
}

/// Applies the first step that fits; a number no step fits stays as it is. Never fails
/// and does not allocate.
#[must_use]
pub fn apply(steps: &[Step], number: Number) -> Applied {
    let Some((index, step)) = steps.iter().enumerate().find(|(_, s)| s.fits(&number)) else {
        return Applied {
            number,
            step: None,
            overflowed: false,
        };
    };
    let changed = step.change(&number);
    Applied {
        number: changed.unwrap_or(number),
        step: Some(index),
        overflowed: changed.is_none(),
    }
}

impl Step {
    /// Whether the step's prefix and length fit the number.
    #[must_use]
    pub fn fits(&self, number: &Number) -> bool {
        let prefix_fits = self
            .prefix
            .is_none_or(|prefix| number.starts_with(prefix.as_bytes()));
        let length_fits = self
            .length
            .as_ref()
            .is_none_or(|range| u8::try_from(number.len()).is_ok_and(|n| range.contains(&n)));
        prefix_fits && length_fits
    }

    /// The number as the step leaves it; `None` if that is not a number.
    fn change(&self, number: &Number) -> Option<Number> {
        let kept = without_first(number.as_bytes(), usize::from(self.strip));
        let kept_length = kept.len().saturating_sub(usize::from(self.strip_right));
        let kept = kept.get(..kept_length).unwrap_or_default();
        let dropped = self
            .keep_right
            .map_or(0, |keep| kept.len().saturating_sub(usize::from(keep)));
        let kept = without_first(kept, dropped);
        let front = self.prepend.as_ref().map_or(&[][..], Number::as_bytes);
        let back = self.append.as_ref().map_or(&[][..], Number::as_bytes);
        Number::collect(front.iter().chain(kept).chain(back).copied())
    }
}

/// What is behind the first `count` symbols; nothing if there are fewer.
fn without_first(symbols: &[u8], count: usize) -> &[u8] {
    symbols.get(count..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Number {
        Number::parse(text.as_bytes()).unwrap()
    }

    fn applied(steps: &[Step], text: &str) -> (String, Option<usize>, bool) {
        let applied = apply(steps, number(text));
        (applied.number.to_string(), applied.step, applied.overflowed)
    }

    #[test]
    fn the_first_step_that_fits_decides() {
        let uk_national = [
            Step {
                prefix: Some(number("+44")),
                strip: 3,
                prepend: Some(number("0")),
                ..Step::default()
            },
            Step {
                prefix: Some(number("+")),
                strip: 1,
                prepend: Some(number("00")),
                ..Step::default()
            },
        ];
        let cases = [
            ("+442071838750", "02071838750", Some(0)),
            ("+4930123456", "004930123456", Some(1)),
            ("112", "112", None),
        ];
        for (from, to, step) in cases {
            assert_eq!(applied(&uk_national, from), (to.to_owned(), step, false));
        }
    }

    #[test]
    fn every_part_of_a_step_in_its_order() {
        let change = |step: Step, text| applied(&[step], text);
        let step = || Step {
            strip: 1,
            strip_right: 2,
            keep_right: Some(3),
            prepend: Some(number("+9")),
            append: Some(number("#")),
            ..Step::default()
        };
        assert_eq!(
            change(step(), "123456789"),
            ("+9567#".to_owned(), Some(0), false)
        );
        assert_eq!(change(step(), "1234"), ("+92#".to_owned(), Some(0), false));
        // Fewer symbols than are removed: what is put around them is all.
        assert_eq!(change(step(), "12"), ("+9#".to_owned(), Some(0), false));
        let only_length = Step {
            length: Some(4..=5),
            prepend: Some(number("9")),
            ..Step::default()
        };
        for (from, to) in [
            ("123", "123"),
            ("1234", "91234"),
            ("12345", "912345"),
            ("123456", "123456"),
        ] {
            assert_eq!(change(only_length.clone(), from).0, to);
        }
    }

    #[test]
    fn a_step_that_leaves_no_number_changes_nothing() {
        let empties = Step {
            strip: u8::MAX,
            ..Step::default()
        };
        let plus_inside = Step {
            prepend: Some(number("0")),
            ..Step::default()
        };
        let too_long = Step {
            append: Some(number(&"1".repeat(20))),
            ..Step::default()
        };
        for step in [empties, plus_inside, too_long] {
            assert_eq!(
                applied(&[step], "+442071838750"),
                ("+442071838750".to_owned(), Some(0), true)
            );
        }
    }

    prop_compose! {
        fn any_step()(
            prefix in prop::option::of("\\+?[12]{1,2}"),
            length in prop::option::of((0..10_u8, 0..40_u8)),
            strip in 0..8_u8,
            strip_right in 0..8_u8,
            keep_right in prop::option::of(0..8_u8),
            prepend in prop::option::of("\\+?[0-9]{1,30}"),
            append in prop::option::of("\\+?[0-9]{1,30}"),
        ) -> Step {
            let number = |text: String| number(&text);
            Step {
                prefix: prefix.map(number),
                length: length.map(|(min, max)| min..=max),
                strip,
                strip_right,
                keep_right,
                prepend: prepend.map(number),
                append: append.map(number),
            }
        }
    }

    /// The same on owned text, the way a person would do it.
    fn by_hand(step: &Step, number: &Number) -> String {
        let mut text: Vec<char> = number.as_str().chars().skip(step.strip.into()).collect();
        for _ in 0..step.strip_right {
            text.pop();
        }
        while step.keep_right.is_some_and(|keep| text.len() > keep.into()) {
            text.remove(0);
        }
        let text: String = text.into_iter().collect();
        let around = |part: &Option<Number>| part.map_or(String::new(), |part| part.to_string());
        format!("{}{text}{}", around(&step.prepend), around(&step.append))
    }

    proptest! {
        #[test]
        fn equals_doing_it_by_hand(
            steps in prop::collection::vec(any_step(), 0..4),
            text in "\\+?[12]{1,30}",
        ) {
            let from = number(&text);
            let applied = apply(&steps, from);
            let fitting = steps.iter().position(|step| {
                let prefix = step.prefix.map_or(String::new(), |prefix| prefix.to_string());
                let length = step.length.clone().unwrap_or(0..=u8::MAX);
                text.starts_with(&prefix) && length.contains(&(text.len() as u8))
            });
            prop_assert_eq!(applied.step, fitting);
            let expected = fitting.and_then(|index| steps.get(index)).map(|step| by_hand(step, &from));
            match expected.as_deref().map(|text| Number::parse(text.as_bytes())) {
                None => prop_assert_eq!((applied.number, applied.overflowed), (from, false)),
                Some(None) => prop_assert_eq!((applied.number, applied.overflowed), (from, true)),
                Some(Some(to)) => prop_assert_eq!((applied.number, applied.overflowed), (to, false)),
            }
        }
    }
}
