//! Numbers to measure with: the same on every machine and in every run.

#![allow(dead_code)] // each bench uses what it needs

use trunkline::routing::number::Number;
use trunkline::routing::{Did, GroupId, ListId};

/// A small generator of even spread (splitmix64): measurements need no secrets.
#[derive(Clone)]
pub(crate) struct Draw(pub(crate) u64);

impl Draw {
    /// The next 64 bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }
}

/// Country codes of where most numbers are.
const COUNTRIES: [u64; 24] = [
    1, 7, 20, 27, 30, 31, 32, 33, 34, 36, 39, 40, 41, 43, 44, 45, 46, 47, 48, 49, 351, 353, 358,
    420,
];

/// So many different numbers of 10 to 12 digits in 24 countries, in rising order.
pub(crate) fn scattered(count: usize) -> Vec<u64> {
    let mut draw = Draw(1);
    let mut numbers = Vec::with_capacity(count);
    while numbers.len() < count {
        let missing = count - numbers.len();
        numbers.extend((0..missing).map(|_| one(&mut draw)));
        numbers.sort_unstable();
        numbers.dedup();
    }
    numbers
}

fn one(draw: &mut Draw) -> u64 {
    let country = COUNTRIES[draw.below(COUNTRIES.len() as u64) as usize];
    let digits = 10 + draw.below(3) as u32;
    let rest = digits - (country.ilog10() + 1);
    country * 10_u64.pow(rest) + draw.below(10_u64.pow(rest))
}

/// So many numbers in blocks of a thousand neighbours, in rising order.
pub(crate) fn clustered(count: usize) -> Vec<u64> {
    let number = |serial: u64| 442_000_000_000 + serial / 1_000 * 3_000 + serial % 1_000;
    (0..count as u64).map(number).collect()
}

/// What a number is assigned to: one of 200 groups by its first seven digits, and every
/// 64th number elsewhere.
pub(crate) fn assigned(number: u64, serial: usize) -> Did {
    let head = number / 10_u64.pow(number.ilog10().saturating_sub(6));
    let group = if serial % 64 == 63 {
        200 + head % 50
    } else {
        head % 200
    };
    Did {
        group: Some(GroupId(group as u16)),
        list: ListId(0),
    }
}

/// One of 200 groups by chance: neighbours never agree for long.
pub(crate) fn assigned_by_chance(number: u64) -> Did {
    Did {
        group: Some(GroupId((Draw(number).bits() % 200) as u16)),
        list: ListId(0),
    }
}

/// `+` and the digits.
pub(crate) fn global(number: u64) -> Number {
    Number::parse(format!("+{number}").as_bytes()).expect("a number of up to 12 digits")
}

/// So many of the numbers, drawn by chance.
pub(crate) fn drawn(numbers: &[u64], count: usize) -> Vec<Number> {
    let mut draw = Draw(3);
    (0..count)
        .map(|_| global(numbers[draw.below(numbers.len() as u64) as usize]))
        .collect()
}

/// The numbers in another order, the same in every run.
pub(crate) fn shuffled(mut numbers: Vec<u64>) -> Vec<u64> {
    let mut draw = Draw(4);
    for last in (1..numbers.len()).rev() {
        numbers.swap(last, draw.below(last as u64 + 1) as usize);
    }
    numbers
}
