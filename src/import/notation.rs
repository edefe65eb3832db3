//! The notation in which routing and manipulation rows of an AudioCodes SBC name numbers.
//!
//! `*` is any number, `x` a digit, `[n-m,a]` numbers of equal length, `#` at the end the end of
//! the number; without it a prefix is meant. Not understood, because no number list can say it:
//! suffixes `(…)`, letters, `$`.

use crate::limits::{IMPORT_ITEMS_MAX, NUMBER_SYMBOLS_MAX};

/// What a row asks of a user part.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Notation {
    parts: Vec<Part>,
    /// Whether anything may follow.
    open: bool,
    any: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Symbol(u8),
    AnyDigit,
    /// Numbers of so many digits, from and to.
    Ranges(usize, Vec<(u64, u64)>),
}

/// Numbers that begin so: for each place the symbols that fit, and whether anything may follow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Shape {
    pub(super) places: Vec<Symbols>,
    pub(super) open: bool,
}

impl Shape {
    /// What stands before the digits at its end of which each may be any, and how many of these
    /// there are; none where anything may follow.
    fn head_and_digits(&self) -> (&[Symbols], usize) {
        let any = self.places.iter().rev().take_while(|p| **p == DIGITS);
        let digits = if self.open { 0 } else { any.count() };
        let head = self.places.len() - digits;
        (self.places.get(..head).unwrap_or_default(), digits)
    }
}

/// A set of symbols, a bit each in the order of [`SYMBOLS`].
pub(super) type Symbols = u16;

pub(super) const SYMBOLS: &[u8; 13] = b"0123456789+*#";
pub(super) const DIGITS: Symbols = 0x3ff;

pub(super) fn symbols_of(symbol: u8) -> Symbols {
    let at = SYMBOLS.iter().position(|known| *known == symbol);
    at.map_or(0, |at| 1 << at)
}

impl Notation {
    /// Reads a notation.
    ///
    /// # Errors
    /// What in it cannot be said of a number here.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut notation = Self {
            parts: Vec::new(),
            open: true,
            any: false,
        };
        let text = text.trim();
        if text.is_empty() || text == "*" {
            notation.any = true;
            return Ok(notation);
        }
        let mut rest = text;
        while let Some(symbol) = rest.chars().next() {
            rest = rest.get(symbol.len_utf8()..).unwrap_or_default();
            let part = match symbol {
                '#' if rest.is_empty() => {
                    notation.open = false;
                    break;
                }
                '[' => {
                    let (inside, behind) = rest.split_once(']').ok_or("a [ is not closed")?;
                    rest = behind;
                    let (digits, ranges) = digit_ranges(inside)?;
                    Part::Ranges(digits, ranges)
                }
                'x' | 'X' => Part::AnyDigit,
                '+' if !notation.parts.is_empty() => return Err("a + inside".into()),
                '0'..='9' | '+' | '*' | '#' => Part::Symbol(symbol as u8),
                '(' => return Err("a suffix in parentheses".into()),
                symbol => return Err(format!("the character {symbol:?}")),
            };
            notation.parts.push(part);
            if notation.symbols() > NUMBER_SYMBOLS_MAX {
                return Err("more symbols than a number has".into());
            }
        }
        Ok(notation)
    }

    fn symbols(&self) -> usize {
        let length = |part: &Part| match part {
            Part::Ranges(digits, _) => *digits,
            _ => 1,
        };
        self.parts.iter().map(length).sum()
    }

    /// Whether it asks for nothing.
    #[must_use]
    pub(super) const fn is_any(&self) -> bool {
        self.any
    }

    /// Whether a number is meant, as the SBC would say: symbol by symbol, ranges by value.
    #[must_use]
    pub(super) fn fits(&self, number: &[u8]) -> bool {
        if self.any {
            return true;
        }
        let mut rest = number;
        for part in &self.parts {
            let length = match part {
                Part::Ranges(digits, _) => *digits,
                _ => 1,
            };
            let Some((head, tail)) = rest.split_at_checked(length) else {
                return false;
            };
            let fits = match (part, head) {
                (Part::Symbol(wanted), [symbol]) => symbol == wanted,
                (Part::AnyDigit, [symbol]) => symbol.is_ascii_digit(),
                (Part::Ranges(_, ranges), digits) => {
                    let value = std::str::from_utf8(digits).ok();
                    let value = value.filter(|_| digits.iter().all(u8::is_ascii_digit));
                    let value: Option<u64> = value.and_then(|digits| digits.parse().ok());
                    value.is_some_and(|v| ranges.iter().any(|(a, b)| (*a..=*b).contains(&v)))
                }
                _ => false,
            };
            if !fits {
                return false;
            }
            rest = tail;
        }
        self.open || rest.is_empty()
    }

    /// The same as shapes; empty for any number.
    ///
    /// # Errors
    /// There are more than [`IMPORT_ITEMS_MAX`].
    pub(super) fn shapes(&self) -> Result<Vec<Shape>, String> {
        if self.any {
            return Ok(Vec::new());
        }
        let mut shapes: Vec<Vec<Symbols>> = vec![Vec::new()];
        for part in &self.parts {
            let continued: Vec<Vec<Symbols>> = match part {
                Part::Symbol(symbol) => vec![vec![symbols_of(*symbol)]],
                Part::AnyDigit => vec![vec![DIGITS]],
                Part::Ranges(digits, ranges) => {
                    let blocks = ranges.iter().flat_map(|(a, b)| blocks(*a, *b, *digits));
                    blocks.take(IMPORT_ITEMS_MAX + 1).collect()
                }
            };
            if shapes.len().saturating_mul(continued.len()) > IMPORT_ITEMS_MAX {
                return Err(too_many());
            }
            shapes = shapes
                .iter()
                .flat_map(|shape| continued.iter().map(move |tail| [&**shape, tail].concat()))
                .collect();
        }
        let shape = |places| Shape {
            places,
            open: self.open,
        };
        Ok(shapes.into_iter().map(shape).collect())
    }

    /// The same as prefixes, and how long a number is in all where that is asked for; none for
    /// any number. That there are few enough was seen when it was read.
    pub(super) fn prefixes(&self) -> Vec<(Vec<u8>, Option<usize>)> {
        let mut prefixes = Vec::new();
        for shape in self.shapes().unwrap_or_default() {
            let (head, _) = shape.head_and_digits();
            let length = (!shape.open).then_some(shape.places.len());
            let heads = written_out(head, IMPORT_ITEMS_MAX).unwrap_or_default();
            prefixes.extend(heads.into_iter().map(|head| (head, length)));
        }
        prefixes
    }

    /// The same as items of `called` or `calling`; none for any number.
    ///
    /// # Errors
    /// It takes more than [`IMPORT_ITEMS_MAX`] of them.
    pub(super) fn items(&self) -> Result<Vec<Item>, String> {
        let mut prefixes = Vec::new();
        let mut runs = Vec::new();
        for shape in self.shapes()? {
            // A range says the digits behind; a prefix has to write them out.
            let (head, kept) = shape.head_and_digits();
            for head in written_out(head, IMPORT_ITEMS_MAX).ok_or_else(too_many)? {
                match shape.open {
                    true => prefixes.push(Item::Prefix(head)),
                    false => runs.push(Item::run(&head, kept)),
                }
                if prefixes.len() + runs.len() > IMPORT_ITEMS_MAX {
                    return Err(too_many());
                }
            }
        }
        prefixes.sort();
        prefixes.dedup();
        prefixes.extend(merged(runs));
        match prefixes.iter().find(|item| !item.can_be_written()) {
            Some(item) => Err(format!("{:?}, which no number list can say", item.text())),
            None => Ok(prefixes),
        }
    }
}

fn too_many() -> String {
    format!("more than {IMPORT_ITEMS_MAX} numbers and prefixes")
}

/// An item of a number list, as text of digits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Item {
    Prefix(Vec<u8>),
    /// What stands in front of the digits, how many digits there are, and their least and
    /// greatest value.
    Run(Vec<u8>, usize, u128, u128),
}

impl Item {
    /// All numbers with so many digits more.
    pub(super) fn run(head: &[u8], more: usize) -> Self {
        let lead = head
            .iter()
            .rposition(|s| !s.is_ascii_digit())
            .map_or(0, |at| at + 1);
        let (lead, digits) = head.split_at_checked(lead).unwrap_or_default();
        let value = digits
            .iter()
            .fold(0_u128, |value, digit| value * 10 + u128::from(digit - b'0'));
        let size = 10_u128.pow(more as u32);
        let first = value * size;
        Self::Run(
            lead.to_vec(),
            digits.len() + more,
            first,
            first + (size - 1),
        )
    }

    /// Whether the text means this: a `*` at the end of a number would make it a prefix, behind
    /// a `+` stand digits, and the ends of a range differ in what stands behind its last symbol
    /// that is no digit.
    pub(super) fn can_be_written(&self) -> bool {
        let is_number = |symbols: &[u8]| {
            let global = symbols.strip_prefix(b"+");
            global.is_none_or(|rest| rest.iter().all(u8::is_ascii_digit))
        };
        match self {
            Self::Prefix(symbols) => is_number(symbols),
            Self::Run(lead, 0, ..) => {
                is_number(lead) && lead.last().is_some_and(|last| !b"*+".contains(last))
            }
            Self::Run(lead, _, first, last) => {
                is_number(lead) && (first == last || !lead.iter().any(u8::is_ascii_digit))
            }
        }
    }

    /// As it is written in a rule.
    pub(super) fn text(&self) -> String {
        match self {
            Self::Prefix(symbols) => format!("{}*", String::from_utf8_lossy(symbols)),
            Self::Run(lead, digits, first, last) => {
                let lead = String::from_utf8_lossy(lead);
                let number = |value: &u128| match digits {
                    0 => lead.to_string(),
                    digits => format!("{lead}{value:0digits$}"),
                };
                match first == last {
                    true => number(first),
                    false => format!("{} to {}", number(first), number(last)),
                }
            }
        }
    }
}

/// Neighbouring runs put together.
pub(super) fn merged(mut runs: Vec<Item>) -> Vec<Item> {
    runs.sort();
    runs.dedup();
    let mut merged: Vec<Item> = Vec::new();
    for run in runs {
        if let (Some(Item::Run(lead, digits, _, last)), Item::Run(l, d, first, end)) =
            (merged.last_mut(), &run)
            && (&*lead, &*digits) == (l, d)
            && *first <= *last + 1
        {
            *last = (*last).max(*end);
            continue;
        }
        merged.push(run);
    }
    merged
}

/// Every row of symbols that fits, if there are at most so many.
pub(super) fn written_out(places: &[Symbols], most: usize) -> Option<Vec<Vec<u8>>> {
    let mut written: Vec<Vec<u8>> = vec![Vec::new()];
    for place in places {
        let symbols: Vec<u8> = SYMBOLS
            .iter()
            .zip(0..)
            .filter(|(_, at)| place >> at & 1 == 1)
            .map(|(symbol, _)| *symbol)
            .collect();
        if written.len() * symbols.len() > most {
            return None;
        }
        written = written
            .iter()
            .flat_map(|head| {
                symbols
                    .iter()
                    .map(move |symbol| [&**head, &[*symbol]].concat())
            })
            .collect();
    }
    Some(written)
}

/// What stands between brackets: how many digits each number has, and from where to where.
pub(super) fn digit_ranges(inside: &str) -> Result<(usize, Vec<(u64, u64)>), String> {
    let wrong = || format!("the range [{inside}]");
    let mut digits = None;
    let mut ranges = Vec::new();
    for element in inside.split(',') {
        let (first, last) = element.split_once('-').unwrap_or((element, element));
        let (first, last) = (first.trim(), last.trim());
        for end in [first, last] {
            let is_number = !end.is_empty() && end.bytes().all(|b| b.is_ascii_digit());
            if !is_number || end.len() > 18 || *digits.get_or_insert(end.len()) != end.len() {
                return Err(wrong());
            }
        }
        let (Ok(first), Ok(last)) = (first.parse(), last.parse()) else {
            return Err(wrong());
        };
        if first > last {
            return Err(wrong());
        }
        ranges.push((first, last));
    }
    Ok((digits.ok_or_else(wrong)?, ranges))
}

/// A range of values as the fewest shapes of so many digits.
pub(super) fn blocks(first: u64, last: u64, digits: usize) -> Vec<Vec<Symbols>> {
    let mut blocks = Vec::new();
    let mut from = first;
    while from <= last {
        let mut free = 0;
        while free < digits as u32 {
            let size = 10_u64.pow(free + 1);
            let end = from.checked_add(size - 1);
            if !from.is_multiple_of(size) || end.is_none_or(|end| end > last) {
                break;
            }
            free += 1;
        }
        let text = format!(
            "{:0width$}",
            from / 10_u64.pow(free),
            width = digits - free as usize
        );
        let kept = match free as usize == digits {
            true => "",
            false => &*text,
        };
        let mut places: Vec<Symbols> = kept.bytes().map(symbols_of).collect();
        places.resize(digits, DIGITS);
        blocks.push(places);
        from = match from.checked_add(10_u64.pow(free)) {
            Some(next) => next,
            None => break,
        };
    }
    blocks
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use crate::routing::Number;
    use crate::tables::pattern::Pattern;
    use proptest::prelude::*;

    fn items(text: &str) -> Vec<String> {
        let items = Notation::parse(text).unwrap().items().unwrap();
        items.iter().map(Item::text).collect()
    }

    #[test]
    fn what_the_manual_shows() {
        for (text, expected) in [
            ("*", &[][..]),
            ("+44", &["+44*"]),
            ("[5551200-5551300]#", &["5551200 to 5551300"]),
            ("112#", &["112"]),
            ("12xx#", &["1200 to 1299"]),
            ("9[1,3-4]#", &["91", "93 to 94"]),
            ("*21#", &["*21"]),
        ] {
            assert_eq!(items(text), expected, "{text}");
        }
        assert_eq!(items("123[099-101]"), ["123099*", "123100*", "123101*"]);
        for text in ["03(100)", "alice", "$", "[1-22]", "[5-3]", "1[2", "44+1"] {
            assert!(Notation::parse(text).is_err(), "{text}");
        }
    }

    fn notation() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            3 => "[12]", 1 => Just("x".to_owned()), 1 => Just("[1,3]".to_owned()),
            1 => Just("[09-21]".to_owned()), 1 => Just("[1-3]".to_owned()),
        ];
        let parts = prop::collection::vec(part, 1..4);
        (parts, prop::sample::select(vec!["", "#"])).prop_map(|(p, end)| p.concat() + end)
    }

    proptest! {
        /// The items hold for exactly the numbers the notation fits.
        #[test]
        fn items_are_the_notation(text in notation(), number in "[0-3]{1,7}") {
            let notation = Notation::parse(&text).unwrap();
            // Too many of them, or some that no list can say.
            let Ok(items) = notation.items() else { return Ok(()) };
            let holds = items.iter().any(|item| {
                let number = Number::parse(number.as_bytes()).unwrap();
                match Pattern::parse(&item.text()).unwrap() {
                    Pattern::Exact(exact) => exact == number,
                    Pattern::Prefix(prefix) => number.starts_with(prefix.as_bytes()),
                    Pattern::Range(a, b) => a.len() == number.len() && a <= number && number <= b,
                }
            });
            prop_assert_eq!(holds, notation.fits(number.as_bytes()), "{} {:?}", text, items);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            if let Ok(notation) = Notation::parse(&text) {
                let _ = (notation.items(), notation.fits(text.as_bytes()));
            }
        }
    }
}
