//! How much of telephone numbers is shown, in whatever text they stand.

use std::borrow::Cow;

/// How much of a telephone number the log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskNumbers {
    /// All of it.
    #[default]
    None,
    /// Its last four symbols; the line can no longer be pasted.
    Last4,
    /// Nothing of it; the line can no longer be pasted.
    All,
}

/// So many digits in a row are a number: dates, times, addresses and ports have fewer.
const DIGITS_MIN: usize = 7;
/// So many where blanks and hyphens stand between them: a date with its hour has ten, and
/// a colon behind it.
const SPACED_DIGITS_MIN: usize = 9;
/// So many behind a plus sign: a country code alone says nothing of anybody.
const GLOBAL_DIGITS_MIN: usize = 4;

impl MaskNumbers {
    /// A text with every telephone number in it hidden: what begins with `+`, and seven digits
    /// in a row, or nine with blanks and hyphens between. Shorter numbers cannot be told from
    /// counts; where a field is known to hold a number, use [`MaskNumbers::number`].
    #[must_use]
    pub fn text(self, text: &str) -> Cow<'_, str> {
        if self == Self::None || !text.bytes().any(|byte| byte.is_ascii_digit()) {
            return Cow::Borrowed(text);
        }
        let (mut shown, mut rest) = (String::with_capacity(text.len()), text);
        while let Some(at) = rest.find(|c: char| c == '+' || c.is_ascii_digit()) {
            let (before, from) = rest.split_at(at);
            shown.push_str(before);
            let after_colon = before.ends_with(':');
            let (run, behind) = from.split_at(Run::of(from).bytes(after_colon, from));
            let is_count = before.ends_with("dids=") || behind.starts_with(" DIDs");
            if !is_count && Run::of(run).is_number(run) {
                shown.push_str(&self.number(run));
            } else {
                shown.push_str(run);
            }
            rest = behind;
        }
        shown.push_str(rest);
        Cow::Owned(shown)
    }

    /// A number, hidden but for what may be shown of it.
    #[must_use]
    pub fn number(self, number: &str) -> Cow<'_, str> {
        if self == Self::None {
            return Cow::Borrowed(number);
        }
        let hidden = self.hidden(number.chars().count());
        let symbols = number.chars().enumerate();
        let symbols = symbols.map(|(at, symbol)| if at < hidden { '*' } else { symbol });
        Cow::Owned(symbols.collect())
    }

    /// How many of so many symbols are hidden: the first ones.
    pub(super) fn hidden(self, symbols: usize) -> usize {
        symbols.saturating_sub(match self {
            Self::None => symbols,
            Self::Last4 => 4,
            Self::All => 0,
        })
    }

    /// A Call-ID. It is what logs of several machines are joined by, so it is shown; but where
    /// a peer made it of one of the call's own `numbers`, that is hidden.
    #[must_use]
    pub fn call_id(self, call_id: &str, numbers: &[&str]) -> String {
        if self == Self::None {
            return call_id.to_owned();
        }
        let ends: Vec<String> = numbers.iter().filter_map(|number| end_of(number)).collect();
        let mut shown = String::with_capacity(call_id.len());
        let mut rest = call_id;
        while let Some(at) = rest.find(|c: char| c.is_ascii_digit()) {
            let (before, from) = rest.split_at(at);
            let length = from.bytes().take_while(u8::is_ascii_digit).count();
            let (run, behind) = from.split_at(length);
            shown.push_str(before);
            if ends.iter().any(|end| run.contains(&**end)) {
                shown.push_str(&self.number(run));
            } else {
                shown.push_str(run);
            }
            rest = behind;
        }
        shown.push_str(rest);
        shown
    }
}

/// The last digits of a number, by which it is known whatever stands before them; `None` of
/// one too short to be told from anything else.
fn end_of(number: &str) -> Option<String> {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let at = digits.len().checked_sub(DIGITS_MIN)?;
    digits.get(at..).map(str::to_owned)
}

/// Digits at the beginning of a text, with what may stand between them.
struct Run {
    digits: usize,
    /// With separators, up to the last digit.
    spaced_bytes: usize,
    /// Up to the first separator.
    bare_bytes: usize,
}

impl Run {
    /// Of a text that begins with a digit or `+`.
    fn of(text: &str) -> Self {
        let mut run = Self {
            digits: 0,
            spaced_bytes: 0,
            bare_bytes: 0,
        };
        let mut separators = 0;
        for (at, byte) in text.bytes().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    run.digits += 1;
                    run.spaced_bytes = at + 1;
                    if run.bare_bytes == at {
                        run.bare_bytes = at + 1;
                    }
                    separators = 0;
                }
                b'+' if at == 0 => run.bare_bytes = 1,
                b' ' | b'-' | b'(' | b')' if separators < 2 => separators += 1,
                _ => break,
            }
        }
        run.spaced_bytes = run.spaced_bytes.max(run.bare_bytes);
        run
    }

    /// How much of the text is looked at as one: with separators where that makes a number.
    fn bytes(&self, after_colon: bool, text: &str) -> usize {
        let bare = text.as_bytes().get(..self.bare_bytes).unwrap_or_default();
        let is_bare_number = bare.iter().filter(|b| b.is_ascii_digit()).count() >= DIGITS_MIN;
        let before_colon = text.as_bytes().get(self.spaced_bytes) == Some(&b':');
        let is_clock = after_colon || before_colon;
        let is_global = text.starts_with('+') && self.digits >= GLOBAL_DIGITS_MIN;
        let is_spaced = self.digits >= SPACED_DIGITS_MIN && !is_clock && !is_bare_number;
        if is_global || is_spaced {
            self.spaced_bytes
        } else {
            self.bare_bytes.max(1)
        }
    }

    fn is_number(&self, run: &str) -> bool {
        let is_bare = run.len() == self.bare_bytes;
        (run.starts_with('+') && self.digits >= GLOBAL_DIGITS_MIN)
            || (is_bare && self.digits >= DIGITS_MIN)
            || (!is_bare && self.digits >= SPACED_DIGITS_MIN)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_in_a_text_are_hidden_and_nothing_else() {
        let cases = [
            ("dialled +442071838750 by", "dialled *********8750 by"),
            ("\"+49301234O\" is no prefix", "\"*****1234O\" is no prefix"),
            ("sip:02071838750@10.0.0.1", "sip:*******8750@10.0.0.1"),
            ("+44 20 7183 8750, and 44", "************8750, and 44"),
            ("020 7183 8750 ", "*********8750 "),
            ("(020) 7183-8750", "(**********8750"),
            ("src=198.51.100.7:40112", "src=198.51.100.7:40112"),
            ("until 2026-11-22T19:05:00Z", "until 2026-11-22T19:05:00Z"),
            ("at 2026-11-22 19:05:00", "at 2026-11-22 19:05:00"),
            ("[2001:db8::5]:5060", "[2001:db8::5]:5060"),
            (
                "+44 is a country, +4930* too",
                "+44 is a country, *4930* too",
            ),
            ("routes.toml:65:12", "routes.toml:65:12"),
            ("gen 12->13 took_ms=35", "gen 12->13 took_ms=35"),
            ("dids=12000000 rules=5", "dids=12000000 rules=5"),
            ("gen 3, 12000000 DIDs", "gen 3, 12000000 DIDs"),
        ];
        for (text, shown) in cases {
            assert_eq!(MaskNumbers::Last4.text(text), shown);
            assert_eq!(MaskNumbers::None.text(text), text);
        }
        assert_eq!(MaskNumbers::All.text("+442071838750"), "*************");
        assert_eq!(MaskNumbers::Last4.number("999"), "999");
    }

    #[test]
    fn a_call_id_is_shown_but_for_the_numbers_of_its_call() {
        let mask = MaskNumbers::Last4;
        let numbers = ["+442071838750", "112"];
        let shown = |call_id| mask.call_id(call_id, &numbers);
        assert_eq!(
            shown("17846325012312202520@10.0.0.1"),
            "17846325012312202520@10.0.0.1"
        );
        assert_eq!(shown("c-02071838750-7@x"), "c-*******8750-7@x");
        assert_eq!(shown("00442071838750"), "**********8750");
    }

    proptest! {
        /// Wherever a number stands, at most its last four digits are left of it.
        #[test]
        fn no_number_is_left(
            before in "[ a-z=\"<(.]{0,8}",
            plus in any::<bool>(),
            number in "[1-9][0-9]{6,14}",
            behind in "[ a-z\",;>@.)]{0,8}",
        ) {
            let plus = if plus { "+" } else { "" };
            let text = format!("{before}{plus}{number}{behind}");
            let shown = MaskNumbers::Last4.text(&text);
            prop_assert!(!shown.contains(&number[2..]), "{}", shown);
            prop_assert!(shown.starts_with(&before));
            prop_assert_eq!(shown.chars().count(), text.chars().count());
            let none = MaskNumbers::All.text(&text);
            prop_assert!(!none.bytes().any(|byte| byte.is_ascii_digit()), "{}", none);
        }

        /// Any text has as many symbols as before.
        #[test]
        fn no_text_is_too_odd(text in any::<String>()) {
            prop_assert_eq!(MaskNumbers::Last4.text(&text).chars().count(), text.chars().count());
        }
    }
}
