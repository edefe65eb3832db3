//! The number space of two tables, cut into regions on which no condition changes.
//!
//! A list holds numbers of one length, a prefix numbers of all lengths, and nothing else
//! can be said of a number. So there are two kinds of regions. *Listed* numbers are of one
//! length and named by a row, a range or a rule: they are decimal intervals, and are counted.
//! What is left under a prefix, and under no longer one, is *open*: every row and rule
//! holds for all of it or for none.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::limits::{NUMBER_SYMBOLS_MAX, PLAN_WITNESS_TRIES_MAX};
use crate::routing::Did;
use crate::routing::Number;
use crate::routing::dial_plan::normalise;
use crate::routing::did_map::DidMap;
use crate::routing::prefix_map::{PrefixMap, PrefixMapBuilder, Remaining};

/// Numbers with the same symbols up to the last that is no digit, and so many digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Plane {
    lead: Option<Number>,
    digits: u8,
}

/// Numbers on which no condition of either table changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Region {
    /// The numbers of a plane whose digits are worth `first` to `last`.
    Listed {
        plane: Plane,
        first: u128,
        last: u128,
    },
    /// Unlisted numbers that begin so and not as any longer prefix; `None` is no prefix.
    Open(Option<Number>),
}

/// Who names a number: a rule, a list, a dial plan. The caller says which is which.
pub(super) type Owner = u32;

/// What two tables say of numbers, as far as it is not the same for all.
pub(super) struct NumberSpace<'t> {
    dids: Vec<&'t DidMap>,
    /// To each pattern the number of its set of owners.
    patterns: PrefixMap<u32>,
    /// Prefixes with anything behind them.
    open: BTreeSet<Number>,
    planes: BTreeMap<Plane, Vec<(u128, u128)>>,
}

/// A pattern and who names it.
pub(super) type Named = (Number, Remaining, Owner);

impl<'t> NumberSpace<'t> {
    pub(super) fn new(dids: Vec<&'t DidMap>, mut named: Vec<Named>) -> Self {
        let mut space = Self {
            dids,
            patterns: PrefixMap::default(),
            open: BTreeSet::new(),
            planes: BTreeMap::new(),
        };
        for map in space.dids.clone() {
            map.whole_numbers(|first, last| space.add_run(&first, &last));
            for (prefix, remaining) in map.prefixes() {
                space.add(&prefix, remaining);
            }
        }
        named.sort_unstable();
        named.dedup();
        let mut sets: BTreeMap<Vec<Owner>, u32> = BTreeMap::new();
        let mut builder = PrefixMapBuilder::with_capacity(named.len());
        for same in named.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let Some((prefix, remaining, _)) = same.first() else {
                continue;
            };
            space.add(prefix, *remaining);
            let owners = same.iter().map(|(_, _, owner)| *owner).collect();
            let next = sets.len() as u32;
            builder.push(prefix, *remaining, *sets.entry(owners).or_insert(next));
        }
        // Each prefix stands once, and there are fewer than in the tables themselves.
        space.patterns = builder.build(0).unwrap_or_default();
        space
    }

    fn add(&mut self, prefix: &Number, remaining: Remaining) {
        let more = match remaining {
            Remaining::Any if prefix.len() < NUMBER_SYMBOLS_MAX => {
                self.open.insert(*prefix);
                return;
            }
            Remaining::Any => 0,
            Remaining::Exactly(more) => u32::from(more),
        };
        let (plane, value) = Plane::of(prefix);
        let Some(size) = 10_u128.checked_pow(more) else {
            return;
        };
        let plane = Plane {
            digits: plane.digits.saturating_add(more as u8),
            ..plane
        };
        let first = value.saturating_mul(size);
        self.add_block(plane, first, first.saturating_add(size - 1));
    }

    fn add_run(&mut self, first: &Number, last: &Number) {
        let ((plane, first), (_, last)) = (Plane::of(first), Plane::of(last));
        self.add_block(plane, first, last);
    }

    fn add_block(&mut self, plane: Plane, first: u128, last: u128) {
        self.planes.entry(plane).or_default().push((first, last));
    }

    /// Shows every region with one of its numbers and its key: regions with the same key
    /// are named by the same owners and assigned alike.
    pub(super) fn each(&mut self, mut visit: impl FnMut(Region, &Number, &[u32])) {
        let mut key = Vec::new();
        let cuts = self.cuts();
        for (plane, mut blocks) in std::mem::take(&mut self.planes) {
            let cuts = cuts.get(&plane.lead).map_or(&[][..], |cuts| cuts);
            plane.sweep(&mut blocks, cuts, |first, last| {
                if let Some(number) = plane.number(first) {
                    self.key(&number, &mut key);
                    visit(Region::Listed { plane, first, last }, &number, &key);
                }
            });
        }
        for prefix in std::iter::once(None).chain(self.open.iter().copied().map(Some)) {
            if let Some(number) = self.open_number(prefix) {
                self.key(&number, &mut key);
                visit(Region::Open(prefix), &number, &key);
            }
        }
    }

    /// Where open prefixes begin, by lead: how many digits, and what they are worth.
    fn cuts(&self) -> BTreeMap<Option<Number>, Vec<(u8, u128)>> {
        let mut cuts: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for prefix in &self.open {
            let (plane, value) = Plane::of(prefix);
            let of_lead = cuts.entry(plane.lead).or_default();
            of_lead.push((plane.digits, value));
        }
        cuts
    }

    fn key(&self, number: &Number, key: &mut Vec<u32>) {
        key.clear();
        for dids in &self.dids {
            let did = dids.longest(number).map(|found| found.value);
            let Did { group, list } = did.unwrap_or(Did {
                group: None,
                list: crate::routing::ListId(u16::MAX),
            });
            let group = group.map_or(u32::from(u16::MAX), |group| group.0.into());
            key.push(u32::from(list.0) << 16 | group);
        }
        let fixed = key.len();
        self.patterns
            .all_matches(number, |found| key.push(found.value));
        if let Some(owners) = key.get_mut(fixed..) {
            owners.sort_unstable();
        }
        let mut last = None;
        let mut at = 0;
        key.retain(|owner| {
            at += 1;
            at <= fixed || last.replace(*owner) != Some(*owner)
        });
    }

    /// The longest open prefix that is shorter.
    pub(super) fn parent(&self, prefix: &Number) -> Option<Number> {
        (1..prefix.len())
            .rev()
            .find_map(|length| prefix.first(length).filter(|head| self.open.contains(head)))
    }

    /// A number of an open region, if there is one. The shortest come first, so that it is
    /// nearly always the prefix itself.
    fn open_number(&self, prefix: Option<Number>) -> Option<Number> {
        let start: Vec<u8> = prefix.map_or(Vec::new(), |number| number.as_bytes().to_vec());
        let long = |symbol: &u8| {
            (start.len() + 1..=NUMBER_SYMBOLS_MAX).find_map(|length| {
                let symbols = start.iter().copied().chain(std::iter::repeat(*symbol));
                Number::collect(symbols.take(length)).filter(|n| self.is_open(n, prefix))
            })
        };
        let itself = prefix.filter(|number| self.is_open(number, prefix));
        itself
            .or_else(|| SYMBOLS.iter().rev().find_map(long))
            .or_else(|| self.searched_number(prefix, start))
    }

    fn searched_number(&self, prefix: Option<Number>, start: Vec<u8>) -> Option<Number> {
        let mut queue = VecDeque::from([start]);
        for _ in 0..PLAN_WITNESS_TRIES_MAX {
            let head = queue.pop_front()?;
            for symbol in SYMBOLS {
                let symbols = head.iter().copied().chain([*symbol]);
                let Some(number) = Number::collect(symbols) else {
                    continue;
                };
                if self.is_open(&number, prefix) {
                    return Some(number);
                }
                if !self.open.contains(&number) {
                    queue.push_back(number.as_bytes().to_vec());
                }
            }
        }
        None
    }

    /// Whether a number is one (a lone `+` is none), begins as no longer prefix than this
    /// and is listed nowhere.
    fn is_open(&self, number: &Number, prefix: Option<Number>) -> bool {
        let length = prefix.map_or(0, |prefix| prefix.len());
        let is_longer = |length| number.first(length).is_some_and(|n| self.open.contains(&n));
        let mut listed = false;
        let mut look = |remaining| listed |= remaining != Remaining::Any;
        self.patterns
            .all_matches(number, |found| look(found.remaining));
        for dids in &self.dids {
            dids.all_matches(number, |found, _| look(found.remaining));
        }
        !listed
            && !(length + 1..=number.len()).any(is_longer)
            && normalise(None, number.as_bytes(), None).number == Some(*number)
    }
}

const SYMBOLS: &[u8; 13] = b"+#*0123456789";

/// So many digits fit 64 bits.
const SHORT_DIGITS: usize = 19;

/// Takes the last digit off.
const fn divide(value: &mut u64) -> u8 {
    let last = (*value % 10) as u8;
    *value /= 10;
    last
}

impl Plane {
    /// The plane of a number, and what its digits are worth there.
    pub(super) fn of(number: &Number) -> (Self, u128) {
        let symbols = number.as_bytes();
        let lead = symbols
            .iter()
            .rposition(|symbol| !symbol.is_ascii_digit())
            .map_or(0, |last| last + 1);
        let (_, digits) = symbols.split_at_checked(lead).unwrap_or((symbols, &[]));
        // Numbers of E.164 fit half the bits, which is a quarter of the work.
        let (front, back) = digits
            .split_at_checked(SHORT_DIGITS)
            .unwrap_or((digits, &[]));
        let digit = |digit: &u8| digit.wrapping_sub(b'0');
        let front = front.iter().map(digit).fold(0, |value: u64, digit| {
            value.wrapping_mul(10).wrapping_add(digit.into())
        });
        let value = back
            .iter()
            .map(digit)
            .fold(u128::from(front), |value, digit| {
                value.saturating_mul(10).saturating_add(digit.into())
            });
        let plane = Self {
            lead: number.first(lead),
            digits: digits.len() as u8,
        };
        (plane, value)
    }

    /// The number of the plane whose digits are worth so much.
    pub(super) fn number(&self, value: u128) -> Option<Number> {
        let lead = self.lead.as_ref().map_or(&[][..], Number::as_bytes);
        let mut digits = [b'0'; NUMBER_SYMBOLS_MAX];
        let digits = digits.get_mut(..self.digits.into())?;
        let mut value = value;
        let mut short = u64::try_from(value);
        for digit in digits.iter_mut().rev() {
            *digit += match &mut short {
                Ok(short) => divide(short),
                Err(_) => {
                    let last = (value % 10) as u8;
                    value /= 10;
                    short = u64::try_from(value);
                    last
                }
            };
        }
        Number::collect(lead.iter().chain(digits.iter()).copied())
    }

    /// Shows the parts into which prefixes and the ends of blocks cut what is in a block.
    fn sweep(
        &self,
        blocks: &mut Vec<(u128, u128)>,
        cuts: &[(u8, u128)],
        mut show: impl FnMut(u128, u128),
    ) {
        blocks.sort_unstable();
        blocks.dedup();
        let mut ends: Vec<u128> = blocks.iter().map(|(_, last)| last + 1).collect();
        ends.sort_unstable();
        let mut bounds: Vec<u128> = blocks.iter().map(|(first, _)| *first).collect();
        bounds.extend(&ends);
        for (digits, value) in cuts {
            // A prefix with more digits than these numbers have holds none of them.
            let Some(more) = self.digits.checked_sub(*digits) else {
                continue;
            };
            let size = 10_u128.pow(more.into());
            bounds.extend([value * size, (value + 1) * size]);
        }
        bounds.sort_unstable();
        bounds.dedup();
        let mut begun = blocks.iter().map(|(first, _)| *first).peekable();
        let mut ended = ends.into_iter().peekable();
        let mut covering = 0_usize;
        for (from, to) in bounds.iter().zip(bounds.iter().skip(1)) {
            while begun.next_if(|first| first <= from).is_some() {
                covering += 1;
            }
            while ended.next_if(|end| end <= from).is_some() {
                covering = covering.saturating_sub(1);
            }
            if covering > 0 {
                show(*from, to - 1);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_plane_gives_its_numbers_back(text in "[+]?[0-9*#]{0,2}[0-9]{1,28}") {
            let number = Number::parse(text.as_bytes()).unwrap();
            let (plane, value) = Plane::of(&number);
            prop_assert_eq!(plane.number(value), Some(number));
        }

        /// Every number is in the regions it belongs to: a listed one in one region of its
        /// plane, with a key that only numbers with the same owners have.
        #[test]
        fn listed_regions_hold_what_is_listed_each_once(
            named in prop::collection::vec(("[+]?[0-2]{1,3}", 0..4_u8, 0..3_u32), 0..12),
        ) {
            let named: Vec<Named> = named
                .iter()
                .map(|(text, code, owner)| {
                    let remaining = match code {
                        0 => Remaining::Any,
                        more => Remaining::Exactly(more - 1),
                    };
                    (Number::parse(text.as_bytes()).unwrap(), remaining, *owner)
                })
                .collect();
            let mut regions = Vec::new();
            NumberSpace::new(Vec::new(), named.clone()).each(|region, _, key| {
                regions.push((region, key.to_vec()));
            });
            let owners = |number: &Number| {
                let mut owners: Vec<Owner> = Vec::new();
                let mut listed = false;
                for (prefix, remaining, owner) in &named {
                    let rest = number.as_bytes().strip_prefix(prefix.as_bytes());
                    if rest.is_some_and(|rest| remaining.allows(rest)) {
                        owners.push(*owner);
                        listed |= *remaining != Remaining::Any;
                    }
                }
                owners.sort_unstable();
                owners.dedup();
                (listed, owners)
            };
            let mut keys: BTreeMap<Vec<u32>, Vec<Owner>> = BTreeMap::new();
            for text in (0..1000).flat_map(|n| [format!("{n}"), format!("+{n:03}"), format!("{n:02}")]) {
                let number = Number::parse(text.as_bytes()).unwrap();
                let (plane, value) = Plane::of(&number);
                let holding: Vec<_> = regions
                    .iter()
                    .filter(|(region, _)| match region {
                        Region::Listed { plane: its, first, last } => {
                            *its == plane && (*first..=*last).contains(&value)
                        }
                        Region::Open(_) => false,
                    })
                    .collect();
                let (listed, owners) = owners(&number);
                prop_assert_eq!(holding.len(), usize::from(listed), "{}", number);
                for (_, key) in holding {
                    // Sets of owners differ where owners differ.
                    let known = keys.entry(key.clone()).or_insert_with(|| owners.clone());
                    prop_assert_eq!(known, &owners);
                }
            }
        }
    }
}
