//! Numbers, prefixes and ranges as people write them, in rules and in DID lists.

use std::fmt::Write as _;
use std::ops::Range;

use super::damage::{self, Damage};
use super::diagnostic::{Code, Diagnostic, Place, quoted};
use crate::limits;
use crate::routing::number::Number;
use crate::routing::prefix_map::{RangeError, range_to_prefixes};

/// What one item of a rule or one row of a list stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pattern {
    /// `"999"`: exactly this number.
    Exact(Number),
    /// `"+449*"`: every number that begins so.
    Prefix(Number),
    /// `"+442071839000 to +442071839999"`: every number between the two, both
    /// included. Both have the same length, the first is not above the last and they
    /// span at most 2^64 - 1 numbers.
    Range(Number, Number),
}

impl Pattern {
    /// Reads a pattern. Visual separators (RFC 3966 §5.1.1) and spaces are dropped;
    /// anything else that is not `+ 0-9 * #` is refused, and what spreadsheets do to
    /// numbers is recognised.
    ///
    /// # Errors
    /// What is wrong, and which bytes of `text`.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text.len() > TEXT_BYTES_MAX {
            return Err(PatternError::new(0..text.len(), PatternErrorKind::TooLong));
        }
        let trimmed = text.trim_ascii();
        let start = text.len() - text.trim_ascii_start().len();
        Self::parse_trimmed(trimmed).map_err(|error| error.moved(start))
    }

    fn parse_trimmed(text: &str) -> Result<Self, PatternError> {
        if let Some((first, last_start)) = split_range(text) {
            return range(text, first, last_start);
        }
        if let Some(prefix) = without_star(text) {
            if prefix.trim_ascii().is_empty() {
                return Err(PatternError::new(
                    0..text.len(),
                    PatternErrorKind::EmptyPrefix,
                ));
            }
            return number(prefix)
                .map(Self::Prefix)
                .map_err(PatternError::of_prefix);
        }
        number(text).map(Self::Exact)
    }
}

/// What stands before the `*` at the end, whatever separators follow it.
fn without_star(text: &str) -> Option<&str> {
    text.trim_end_matches(is_separator).strip_suffix('*')
}

const fn is_separator(c: char) -> bool {
    matches!(c, ' ' | '-' | '.' | '(' | ')')
}

/// Two numbers with every separator anybody writes stay far below; a longer text is not
/// looked into, since it may be a file without line ends.
const TEXT_BYTES_MAX: usize = 1 << 10;

/// Why a text is not a [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PatternError {
    /// The bytes of the text that are wrong.
    pub range: Range<usize>,
    /// What is wrong with them.
    pub kind: PatternErrorKind,
}

/// What can be wrong with a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PatternErrorKind {
    /// There is nothing.
    Empty,
    /// `*` alone.
    EmptyPrefix,
    /// A character that no number has.
    NotASymbol(char),
    /// A `+` that does not stand in front.
    PlusInside,
    /// A `*` or `#` behind a `+`: an international number has digits only.
    StarInside,
    /// Only separators, or a `+` alone.
    NoDigits,
    /// More than [`limits::NUMBER_SYMBOLS_MAX`] symbols.
    TooLong,
    /// Two numbers with something else than `to` between them.
    NotTo,
    /// `+449* to +450*`.
    PrefixInRange,
    /// The ends differ in length.
    UnequalLength,
    /// The first is above the last.
    Reversed,
    /// The ends differ in more than digits.
    UnlikeEnds,
    /// More numbers than can be counted.
    RangeTooLarge,
    /// A spreadsheet has been at it.
    Damaged(Damage),
}

impl PatternError {
    const fn new(range: Range<usize>, kind: PatternErrorKind) -> Self {
        Self { range, kind }
    }

    fn moved(mut self, by: usize) -> Self {
        self.range = self.range.start + by..self.range.end + by;
        self
    }

    /// The likely original of a damaged prefix is a prefix.
    fn of_prefix(mut self) -> Self {
        if let PatternErrorKind::Damaged(Damage {
            likely: Some(likely),
            ..
        }) = &mut self.kind
        {
            likely.push('*');
        }
        self
    }

    /// The code the error is reported under.
    #[must_use]
    pub const fn code(&self) -> Code {
        use PatternErrorKind as Kind;
        match self.kind {
            Kind::EmptyPrefix => Code::EmptyPrefix,
            Kind::UnequalLength | Kind::Reversed | Kind::UnlikeEnds | Kind::RangeTooLarge => {
                Code::BadRange
            }
            Kind::Damaged(_) => Code::DamagedNumber,
            _ => Code::NotANumber,
        }
    }

    /// The finding about `text`, which stands at `place`.
    #[must_use]
    pub fn diagnostic(&self, text: &str, place: Place) -> Diagnostic {
        let message = match &self.kind {
            PatternErrorKind::Empty => String::from("a number is missing"),
            PatternErrorKind::EmptyPrefix => {
                String::from("a prefix needs at least one symbol before the *")
            }
            kind => format!("{} {}", quoted(text.trim_ascii()), kind.reason()),
        };
        Diagnostic::error(self.code(), message)
            .at(place)
            .maybe_help(self.kind.help())
    }
}

impl PatternErrorKind {
    fn reason(&self) -> String {
        match self {
            Self::Empty | Self::EmptyPrefix => String::from("is empty"),
            Self::NotASymbol(c) => format!(
                "is not a number: {} stands in it",
                quoted(c.encode_utf8(&mut [0; 4]))
            ),
            Self::PlusInside => String::from("is not a number: + stands only in front"),
            Self::StarInside => {
                String::from("is not a number: only digits follow a +, and a * stands at the end")
            }
            Self::NoDigits => String::from("is not a number: it has no digits"),
            Self::TooLong => format!("is longer than {} symbols", limits::NUMBER_SYMBOLS_MAX),
            Self::NotTo => String::from("is not a number: it looks like two"),
            Self::PrefixInRange => {
                String::from("is not a range: its ends are whole numbers, without *")
            }
            Self::UnequalLength => String::from("is not a range: its ends have different lengths"),
            Self::Reversed => String::from("is not a range: its first number is above its last"),
            Self::UnlikeEnds => String::from("is not a range: its ends must differ in digits only"),
            Self::RangeTooLarge => String::from("is not a range: it spans too many numbers"),
            Self::Damaged(damage) => damage.reason(),
        }
    }

    fn help(&self) -> Option<String> {
        let help = match self {
            Self::EmptyPrefix | Self::Empty => {
                "write a number, a prefix such as \"+449*\" or a range such as \"+442071839000 to +442071839999\""
            }
            Self::NotTo => "a range is written with \" to \" between its numbers",
            Self::UnequalLength => "write both ends in full: \"+442071839000 to +442071839999\"",
            Self::RangeTooLarge => "write a prefix such as \"+44*\"",
            Self::Damaged(damage) => return damage.help(),
            _ => return None,
        };
        Some(help.to_owned())
    }
}

/// The first end, and where the last begins, of a text with ` to ` in it.
fn split_range(text: &str) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    memchr::memchr_iter(b't', bytes).find_map(|at| {
        let (first, rest) = text.split_at_checked(at)?;
        let last = rest.strip_prefix("to")?;
        let apart = first.ends_with([' ', '\t']) && last.starts_with([' ', '\t']);
        apart.then_some((first, at + 2))
    })
}

fn range(text: &str, first: &str, last_start: usize) -> Result<Pattern, PatternError> {
    let last = text.get(last_start..).unwrap_or_default();
    let last_start = last_start + last.len() - last.trim_ascii_start().len();
    let (first, last) = (first.trim_ascii(), last.trim_ascii());
    let whole = |kind| PatternError::new(0..text.len(), kind);
    if without_star(first).or(without_star(last)).is_some() {
        return Err(whole(PatternErrorKind::PrefixInRange));
    }
    let low = number(first)?;
    let high = number(last).map_err(|error| error.moved(last_start))?;
    check_range(&low, &high).map_err(whole)?;
    Ok(Pattern::Range(low, high))
}

fn check_range(low: &Number, high: &Number) -> Result<(), PatternErrorKind> {
    // Asked once for the rules both ends obey; what it shows is not needed yet.
    range_to_prefixes(low, high, |_, _| {}).map_err(|error| match error {
        RangeError::UnequalLength => PatternErrorKind::UnequalLength,
        RangeError::Reversed => PatternErrorKind::Reversed,
        RangeError::NotDigits => PatternErrorKind::UnlikeEnds,
    })?;
    match range_size(low, high) {
        Some(_) => Ok(()),
        None => Err(PatternErrorKind::RangeTooLarge),
    }
}

/// How many numbers a range has, of ends that differ in digits only.
pub(super) fn range_size(low: &Number, high: &Number) -> Option<u64> {
    u64::try_from(digits_value(high).checked_sub(digits_value(low))?)
        .ok()?
        .checked_add(1)
}

/// All digits as one integer. At most 31 of them, which is below 2^104.
pub(super) fn digits_value(number: &Number) -> u128 {
    let digits = number
        .as_bytes()
        .iter()
        .filter(|symbol| symbol.is_ascii_digit());
    digits.fold(0, |value, digit| value * 10 + u128::from(digit - b'0'))
}

/// Reads one number, without a `*` that makes it a prefix.
fn number(text: &str) -> Result<Number, PatternError> {
    let whole = |kind| PatternError::new(0..text.len(), kind);
    if text.is_empty() {
        return Err(whole(PatternErrorKind::Empty));
    }
    // What is damaged may look like a number once separators are dropped.
    if let Some(damage) = damage::of(text) {
        return Err(whole(PatternErrorKind::Damaged(damage)));
    }
    let number = Number::parse_visual(text.as_bytes()).ok_or_else(|| why_no_number(text))?;
    if number.is_global()
        && number
            .as_bytes()
            .iter()
            .any(|symbol| matches!(symbol, b'*' | b'#'))
    {
        return Err(whole(PatternErrorKind::StarInside));
    }
    if number.as_bytes() == b"+" {
        return Err(whole(PatternErrorKind::NoDigits));
    }
    if number.len() > E164_DIGITS_MAX + 1 && (text.contains('-') || text.contains("..")) {
        return Err(whole(PatternErrorKind::NotTo));
    }
    Ok(number)
}

/// E.164 §6: a number has at most 15 digits. More, with a dash among them, are two.
pub(super) const E164_DIGITS_MAX: usize = 15;

fn why_no_number(text: &str) -> PatternError {
    let symbol = |c: char| c.is_ascii_digit() || matches!(c, '+' | '*' | '#');
    let stranger = text
        .char_indices()
        .find(|(_, c)| !symbol(*c) && !is_separator(*c));
    if let Some((at, c)) = stranger {
        return PatternError::new(at..at + c.len_utf8(), PatternErrorKind::NotASymbol(c));
    }
    let mut symbols = text.char_indices().filter(|(_, c)| symbol(*c));
    if let Some((at, _)) = symbols.clone().skip(1).find(|(_, c)| *c == '+') {
        let two = at > 5;
        let kind = if two {
            PatternErrorKind::NotTo
        } else {
            PatternErrorKind::PlusInside
        };
        return PatternError::new(at..at + 1, kind);
    }
    let kind = match symbols.next() {
        Some(_) => PatternErrorKind::TooLong,
        None => PatternErrorKind::NoDigits,
    };
    PatternError::new(0..text.len(), kind)
}

/// Whether a number looks like an international one that lost its `+`: E.164 numbers
/// have up to 15 digits and no country code begins with 0.
#[must_use]
pub fn lost_plus(number: &Number) -> bool {
    (10..=E164_DIGITS_MAX).contains(&number.len())
        && number.is_digits()
        && !number.starts_with(b"0")
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exact(number) => write!(f, "{number}"),
            Self::Prefix(prefix) => {
                write!(f, "{prefix}")?;
                f.write_char('*')
            }
            Self::Range(first, last) => write!(f, "{first} to {last}"),
        }
    }
}

#[cfg(test)]
mod tests;
