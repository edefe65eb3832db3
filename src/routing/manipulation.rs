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
