//! Dial plans of an AudioCodes SBC: rules that give a number a tag, of which the one that fits
//! best decides, whatever their order.
//!
//! Best is told symbol by symbol from the left: of two rules that fit a number the one that
//! asks for more at the first place where they differ. A digit beats a range, a narrower range a
//! wider one, a range `n`, `z` and `x`, and these a rule that asks for nothing any more; one that
//! ends there (`#`) beats one that does not. Equal rules: the upper.
//!
//! Not understood, because no number list can say it: suffixes `(…)`, letters, `.`.

mod written;

pub(super) use written::{TooMuch, rows};

use super::notation::{Symbols, symbols_of};
use crate::limits::{IMPORT_ITEMS_MAX, NUMBER_SYMBOLS_MAX};
use arrayvec::ArrayVec;

/// What one rule asks of a number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    parts: Vec<Part>,
    /// Whether anything may follow.
    open: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Symbol(u8),
    /// `x`, `z` or `n`: digits from the first on.
    Wild(u8),
    /// Numbers of so many digits, from and to.
    Ranges(usize, Vec<(u64, u64)>),
}

/// How much is asked at one place: less is better.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Rank {
    End,
    Symbol,
    Range(u8),
    Wild(u8),
    Nothing,
}

/// One rank for each symbol of a number, and one for its end.
type Ranks = ArrayVec<Rank, { NUMBER_SYMBOLS_MAX + 1 }>;

impl Prefix {
    /// Reads the prefix of a rule.
    ///
    /// # Errors
    /// What in it cannot be said of a number here.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut prefix = Self {
            parts: Vec::new(),
            open: true,
        };
        let text = text.trim();
        if text.is_empty() {
            return Err(String::from("it is empty"));
        }
        if text == "*" {
            return Ok(prefix);
        }
        let mut rest = text;
        while let Some(symbol) = rest.chars().next() {
            rest = rest.get(symbol.len_utf8()..).unwrap_or_default();
            let part = match symbol {
                '#' if rest.is_empty() => {
                    prefix.open = false;
                    break;
                }
                '[' => {
                    let (inside, behind) = rest.split_once(']').ok_or("a [ is not closed")?;
                    rest = behind;
                    let (digits, ranges) = super::notation::digit_ranges(inside)?;
                    Part::Ranges(digits, ranges)
                }
                '\\' => {
                    let escaped = rest.trim_start_matches('\\');
                    let symbol = escaped.chars().next().ok_or("a \\ at the end")?;
                    rest = escaped.get(symbol.len_utf8()..).unwrap_or_default();
                    literal(symbol, &prefix)?
                }
                'x' | 'X' => Part::Wild(0),
                'z' | 'Z' => Part::Wild(1),
                'n' | 'N' => Part::Wild(2),
                '(' => return Err("a suffix in parentheses".into()),
                symbol => literal(symbol, &prefix)?,
            };
            prefix.parts.push(part);
            if prefix.symbols() > NUMBER_SYMBOLS_MAX {
                return Err("more symbols than a number has".into());
            }
        }
        Ok(prefix)
    }

    fn symbols(&self) -> usize {
        self.parts.iter().map(Part::symbols).sum()
    }

    /// How well the rule fits a number, place by place; `None` if it does not.
    fn ranks(&self, number: &[u8]) -> Option<Ranks> {
        let mut ranks = Ranks::new();
        let mut rest = number;
        for part in &self.parts {
            let (head, tail) = rest.split_at_checked(part.symbols())?;
            part.rank(head, &mut ranks)?;
            rest = tail;
        }
        match (self.open, rest) {
            (true, _) => ranks.try_push(Rank::Nothing).ok()?,
            (false, []) => ranks.try_push(Rank::End).ok()?,
            (false, _) => return None,
        }
        Some(ranks)
    }

    /// Whether a number is meant.
    #[cfg(test)]
    fn fits(&self, number: &[u8]) -> bool {
        self.ranks(number).is_some()
    }

    /// The same written out, place by place, with the ranks.
    fn shapes(&self, rule: usize) -> Result<Vec<Shape>, String> {
        let mut shapes: Vec<Vec<(Symbols, Rank)>> = vec![Vec::new()];
        for part in &self.parts {
            let continued = part.places();
            if shapes.len().saturating_mul(continued.len()) > IMPORT_ITEMS_MAX {
                return Err(format!("more than {IMPORT_ITEMS_MAX} numbers and prefixes"));
            }
            shapes = shapes
                .iter()
                .flat_map(|shape| continued.iter().map(move |tail| [&**shape, tail].concat()))
                .collect();
        }
        let shape = |places| Shape {
            places,
            open: self.open,
            rule,
        };
        Ok(shapes.into_iter().map(shape).collect())
    }

    /// The same for whoever compares numbers symbol by symbol.
    pub(super) fn plain_shapes(&self) -> Vec<super::notation::Shape> {
        let plain = |shape: Shape| super::notation::Shape {
            places: shape.places.iter().map(|(symbols, _)| *symbols).collect(),
            open: shape.open,
        };
        let shapes = self.shapes(0).unwrap_or_default();
        shapes.into_iter().map(plain).collect()
    }
}

fn literal(symbol: char, prefix: &Prefix) -> Result<Part, String> {
    match symbol {
        '+' if !prefix.parts.is_empty() => Err("a + inside".into()),
        '0'..='9' | '+' | '*' | '#' => Ok(Part::Symbol(symbol as u8)),
        symbol => Err(format!("the character {symbol:?}")),
    }
}

impl Part {
    const fn symbols(&self) -> usize {
        match self {
            Self::Ranges(digits, _) => *digits,
            _ => 1,
        }
    }

    /// Adds the ranks of the symbols, if they fit.
    fn rank(&self, symbols: &[u8], ranks: &mut Ranks) -> Option<()> {
        match (self, symbols) {
            (Self::Symbol(wanted), [symbol]) if wanted == symbol => {
                ranks.try_push(Rank::Symbol).ok()?;
            }
            (Self::Wild(from), [symbol]) if (b'0' + from..=b'9').contains(symbol) => {
                ranks.try_push(Rank::Wild(10 - from)).ok()?;
            }
            (Self::Ranges(_, ranges), digits) if digits.iter().all(u8::is_ascii_digit) => {
                let value: u64 = std::str::from_utf8(digits).ok()?.parse().ok()?;
                ranges.iter().find(|(a, b)| (*a..=*b).contains(&value))?;
                for at in 0..digits.len() {
                    ranks
                        .try_push(range_rank(ranges, digits.get(..at)?, digits.len()))
                        .ok()?;
                }
            }
            _ => return None,
        }
        Some(())
    }

    /// Every way to write it out.
    fn places(&self) -> Vec<Vec<(Symbols, Rank)>> {
        match self {
            Self::Symbol(symbol) => vec![vec![(symbols_of(*symbol), Rank::Symbol)]],
            Self::Wild(from) => {
                let digits = (b'0' + from..=b'9').map(symbols_of).sum();
                vec![vec![(digits, Rank::Wild(10 - from))]]
            }
            Self::Ranges(digits, ranges) => {
                let blocks = ranges
                    .iter()
                    .flat_map(|(a, b)| super::notation::blocks(*a, *b, *digits));
                let blocks = blocks.take(IMPORT_ITEMS_MAX + 1);
                blocks.map(|block| ranked(&block, ranges)).collect()
            }
        }
    }
}

/// How many digits may stand behind these in a number of the ranges.
fn range_rank(ranges: &[(u64, u64)], before: &[u8], digits: usize) -> Rank {
    let head = before
        .iter()
        .fold(0_u64, |value, digit| value * 10 + u64::from(digit - b'0'));
    let size = 10_u64.saturating_pow((digits - before.len()) as u32 - 1);
    let possible = (0..10).filter(|digit| {
        let first = head
            .saturating_mul(10)
            .saturating_add(*digit)
            .saturating_mul(size);
        let last = first.saturating_add(size - 1);
        ranges.iter().any(|(a, b)| *a <= last && first <= *b)
    });
    Rank::Range(possible.count() as u8)
}

/// The places of a block: single digits, then any.
fn ranked(block: &[Symbols], ranges: &[(u64, u64)]) -> Vec<(Symbols, Rank)> {
    let mut before: Vec<u8> = Vec::new();
    let mut places = Vec::new();
    for place in block {
        places.push((*place, range_rank(ranges, &before, block.len())));
        // Behind a place for any digit all digits are possible, whichever this one is.
        before.push(b'0' + (place.trailing_zeros() as u8).min(9));
    }
    places
}

/// One way to write a rule out.
#[derive(Clone, Debug)]
struct Shape {
    places: Vec<(Symbols, Rank)>,
    open: bool,
    rule: usize,
}

impl Shape {
    fn is_any_digit_from(&self, at: usize) -> bool {
        let rest = self.places.get(at..).unwrap_or_default();
        !self.open
            && rest
                .iter()
                .all(|(symbols, _)| *symbols == super::notation::DIGITS)
    }

    fn rank(&self, at: usize) -> Rank {
        match (self.places.get(at), self.open) {
            (Some((_, rank)), _) => *rank,
            (None, false) => Rank::End,
            (None, true) => Rank::Nothing,
        }
    }
}

/// The rule that fits a number best.
pub(super) fn best<'r>(rules: impl Iterator<Item = &'r Prefix>, number: &[u8]) -> Option<usize> {
    let fitting = rules
        .enumerate()
        .filter_map(|(at, rule)| Some((rule.ranks(number)?, at)));
    fitting.min().map(|(_, at)| at)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::super::notation::Item;
    use super::*;
    use crate::routing::Number;
    use crate::routing::prefix_map::{PrefixMapBuilder, Remaining, range_to_prefixes};
    use proptest::prelude::*;

    fn winner(rules: &[&str], number: &str) -> Option<usize> {
        let rules: Vec<Prefix> = rules.iter().map(|r| Prefix::parse(r).unwrap()).collect();
        best(rules.iter(), number.as_bytes())
    }

    #[test]
    fn what_the_manual_shows() {
        for (rules, number, expected) in [
            (&["523x", "5234"][..], "5234", 1),
            (&["523x", "523[1-9]"], "5234", 1),
            (&["532[1-9]1111", "5321"], "53211111", 1),
            (&["321xxx", "321"], "321444", 0),
            (&["321xxx", "321"], "32144", 1),
            (&["532[1-9]", "532[2-4]"], "5324", 1),
            (&["*", "5"], "6", 0),
            (&["52n", "52z", "52x"], "521", 1),
            (&["521", "521#"], "521", 1),
        ] {
            assert_eq!(winner(rules, number), Some(expected), "{rules:?} {number}");
        }
        for text in ["53([2-4])", "alice", "5.", "5[1-22]", "5[1", "", "4+4"] {
            assert!(Prefix::parse(text).is_err(), "{text}");
        }
        assert!(Prefix::parse("\\\\*21#").unwrap().fits(b"*21"));
    }

    #[test]
    fn what_no_list_can_say_is_found_out() {
        for (text, is_said) in [
            ("*21#", true),
            ("1*", true),
            ("1*#", false),
            ("1*x#", false),
        ] {
            let rule = Prefix::parse(text).unwrap();
            let rows = rows(&[&Prefix::parse("2").unwrap(), &rule]);
            let is_wrong = matches!(rows, Err(TooMuch::Rule(1, _)));
            assert_eq!(is_wrong, !is_said, "{text} {rows:?}");
        }
    }

    /// A few rules once took eight million beginnings, and seconds, before they were refused.
    #[test]
    fn few_rules_have_few_beginnings() {
        let of = |texts: &[&str]| {
            let rules: Vec<Prefix> = texts.iter().map(|t| Prefix::parse(t).unwrap()).collect();
            rows(&rules.iter().collect::<Vec<_>>())
        };
        let fine = of(&["xxxx1", "556"]).unwrap();
        assert_eq!(fine.first().map(Vec::len), Some(9_990));
        let wide = of(&["55zzzzzzzzzzzzzzzzzz6", "55"]);
        assert!(matches!(wide, Err(TooMuch::Together)));
    }

    /// A range that another rule's prefix lies in is cut beside it.
    #[test]
    fn a_prefix_takes_no_number_from_a_range() {
        for (rules, expected) in [
            (&["x21", "12x#"][..], &["120 to 121", "122 to 129"][..]),
            (&["x29", "12x#"], &["120 to 128", "129"]),
            (&["x21", "1xxx#"], &["1000 to 1219", "1220 to 1999"]),
            (&["*", "+xx#"], &["+00 to +89", "+90 to +99"]),
            (&["x2", "12x#"], &["120 to 129"]),
        ] {
            let rules: Vec<Prefix> = rules.iter().map(|r| Prefix::parse(r).unwrap()).collect();
            let rows = rows(&rules.iter().collect::<Vec<_>>()).unwrap();
            let items = rows.last().unwrap().iter().map(Item::text);
            assert_eq!(items.collect::<Vec<_>>(), expected, "{rows:?}");
        }
    }

    fn prefix() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            4 => "[123]", 2 => Just("x".to_owned()), 1 => Just("z".to_owned()),
            1 => Just("[1,3]".to_owned()), 1 => Just("[12-21]".to_owned()),
            1 => Just("[1-2]".to_owned()), 1 => Just("n".to_owned()),
        ];
        let parts = prop::collection::vec(part, 1..4);
        let some =
            (parts, prop::sample::select(vec!["", "#"])).prop_map(|(p, end)| p.concat() + end);
        let global = "\\+[1x][2x]{1,2}#?";
        prop_oneof![12 => some, 1 => Just("*".to_owned()), 1 => Just("+1".to_owned()), 1 => global]
    }

    proptest! {
        /// The rows say of every number what the best rule says: the longest prefix decides.
        #[test]
        fn rows_are_the_best_rule(
            rules in prop::collection::vec(prefix(), 1..6),
            number in "\\+?[0-3]{1,7}",
        ) {
            let rules: Vec<Prefix> = rules.iter().map(|r| Prefix::parse(r).unwrap()).collect();
            let rows = rows(&rules.iter().collect::<Vec<_>>()).unwrap();
            let mut map = PrefixMapBuilder::with_capacity(64);
            for (rule, items) in rows.iter().enumerate() {
                for item in items {
                    match item {
                        Item::Prefix(prefix) => {
                            map.push(&Number::parse(prefix).unwrap(), Remaining::Any, rule);
                        }
                        Item::Run(..) => {
                            let text = item.text();
                            let (a, b) = text.split_once(" to ").unwrap_or((&text, &text));
                            let ends = [a, b].map(|end| Number::parse(end.as_bytes()).unwrap());
                            range_to_prefixes(&ends[0], &ends[1], |prefix, more| {
                                map.push(&prefix, more, rule);
                            })
                            .unwrap();
                        }
                    }
                }
            }
            let map = map.build(0).unwrap();
            let number = Number::parse(number.as_bytes()).unwrap();
            let came = map.longest(&number).map(|found| found.value);
            prop_assert_eq!(came, best(rules.iter(), number.as_bytes()), "{:?}", rows);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}") {
            if let Ok(prefix) = Prefix::parse(&text) {
                let _ = (rows(&[&prefix]), prefix.fits(text.as_bytes()));
            }
        }
    }
}
