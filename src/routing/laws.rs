//! What must hold for any entries, numbers and calls. Fuzz targets and tests call these.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::prefix_map::{BuildError, Entry, Match, PrefixMap, Remaining};
use super::{Dialled, Explanation, Number, RequestFacts, Snapshot, route};

/// Looking a number up answers what looking at every entry answers, and a map with the
/// same row twice is not built. `bytes` become entries first, then numbers.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_prefix_map(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let count = bytes.next().unwrap_or_default() % 64;
    let mut entries = Vec::new();
    for value in 0..u32::from(count) {
        let Some((prefix, remaining)) = number(&mut bytes).zip(bytes.next()) else {
            break;
        };
        let remaining = match remaining {
            0..=99 => Remaining::Any,
            100..=199 => Remaining::Exactly(0),
            _ => Remaining::Exactly(remaining - 199),
        };
        entries.push(Entry {
            prefix,
            remaining,
            value,
        });
    }
    let mut rows: BTreeMap<(Number, Remaining), u32> = BTreeMap::new();
    let fits = |entry: &Entry<u32>| match entry.remaining {
        Remaining::Any => true,
        Remaining::Exactly(symbols) => {
            entry.prefix.len() + usize::from(symbols) <= crate::limits::NUMBER_SYMBOLS_MAX
        }
    };
    for entry in entries.iter().filter(|entry| fits(entry)) {
        rows.insert((entry.prefix, entry.remaining), entry.value);
    }
    let twice = entries.iter().filter(|entry| fits(entry)).count() - rows.len();
    match PrefixMap::build(entries.iter().copied(), 8) {
        Ok(map) => {
            assert_eq!((twice, map.len()), (0, rows.len()));
            assert!(
                map.iter()
                    .map(|row| ((row.prefix, row.remaining), row.value))
                    .eq(rows)
            );
            while let Some(number) = number(&mut bytes) {
                finds_what_a_scan_finds(&map, &entries, &number);
            }
            for entry in &entries {
                finds_what_a_scan_finds(&map, &entries, &entry.prefix);
            }
        }
        Err(BuildError::Duplicates { shown, total }) => {
            assert!(total == twice && twice > 0 && !shown.is_empty());
        }
        Err(error) => panic!("{error:?} of {count} entries"),
    }
}

fn finds_what_a_scan_finds(map: &PrefixMap<u32>, entries: &[Entry<u32>], number: &Number) {
    let fitting = entries.iter().filter_map(|entry| {
        let rest = number.as_bytes().strip_prefix(entry.prefix.as_bytes())?;
        let found = Match {
            length: u8::try_from(entry.prefix.len()).unwrap_or(u8::MAX),
            remaining: entry.remaining,
            value: entry.value,
        };
        entry.remaining.allows(rest.len()).then_some(found)
    });
    let mut expected: Vec<_> = fitting.collect();
    expected.sort_by_key(|found| (found.length, found.remaining));
    let mut found = Vec::new();
    map.all_matches(number, |entry| found.push(entry));
    assert_eq!(map.longest(number), expected.last().copied());
    assert_eq!(found, expected);
}

/// A call is decided alike whether or not somebody listens, and the report says what
/// was decided. `bytes` become the facts of the call.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_explanation(snapshot: &Snapshot, bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_at_checked(12) else {
        return;
    };
    let mut numbers = head.iter().map(|byte| i64::from(*byte));
    let mut next = || numbers.next().unwrap_or_default();
    // Four bytes of minutes from 2020 on: any hour, weekday and change of clocks.
    let minutes = ((next() << 24) | (next() << 16) | (next() << 8) | next()) % (60 * 24 * 365 * 30);
    let Ok(at) = Timestamp::from_second(1_577_836_800 + minutes * 60) else {
        return;
    };
    let call_hash = (next() as u64) << 56 | next() as u64;
    let (from, shown, with_context) = (next(), next() % 4 > 0, next() % 4 == 0);
    let groups = snapshot.table.arrival_groups();
    let Some(from) = groups.get(usize::try_from(from).unwrap_or_default() % groups.len().max(1))
    else {
        return;
    };
    let mut parts = rest.splitn(5, |byte| *byte == 0);
    let mut text = || parts.next().unwrap_or_default();
    let (called, calling, host, tgrp, carried) = (text(), text(), text(), text(), text());
    let dialled = |number| Dialled {
        number,
        raw: number,
        phone_context: with_context.then_some(host),
    };
    let facts = RequestFacts {
        from: *from,
        called: dialled(called),
        calling: shown.then(|| dialled(calling)),
        host,
        tgrp: (!tgrp.is_empty()).then_some(tgrp),
        at,
        call_hash,
    };
    let decision = route(snapshot, &facts, &mut ());
    let (explained, report) = Explanation::of(snapshot, &facts, carried);
    assert_eq!(decision, explained);
    let table = &snapshot.table;
    let rule = decision
        .rule
        .and_then(|rule| table.rule(rule))
        .map(|rule| &*rule.name);
    assert_eq!(report.rule.as_deref(), rule);
    assert_eq!(report.rules.len(), table.rules().len());
    let applied: Vec<_> = report
        .rules
        .iter()
        .filter(|rule| rule.result == "applied")
        .collect();
    assert_eq!(applied.first().map(|rule| &*rule.name), rule);
    assert!(applied.len() <= 1);
    let routes: Vec<_> = match &decision.outcome {
        super::Outcome::Route(routes) => {
            assert!(!routes.is_empty() && report.status.is_none());
            routes
                .iter()
                .map(|route| table.trunk_name(route.trunk))
                .collect()
        }
        _ => Vec::new(),
    };
    let chosen = report
        .routes
        .iter()
        .filter(|route| route.position.is_some());
    assert!(chosen.map(|route| &*route.trunk).eq(routes));
}

/// A number of few different symbols, so that prefixes nest; the first byte is its
/// length, with a bias to short ones.
fn number(bytes: &mut impl Iterator<Item = u8>) -> Option<Number> {
    let length = match bytes.next()? {
        long @ 224.. => long & 31,
        short => short % 7 + 1,
    };
    let symbol = |byte: u8| match byte {
        0..=99 => b'1',
        100..=179 => b'2',
        180..=199 => b'+',
        200..=209 => b'*',
        210..=219 => b'#',
        other => b'0' + other % 10,
    };
    let symbols: Vec<u8> = bytes.take(usize::from(length.max(1))).map(symbol).collect();
    Number::parse(&symbols)
        .or_else(|| Number::parse(symbols.get(1..)?.split(|b| *b == b'+').next()?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::collection::vec;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1_000))]

        #[test]
        fn any_entries_are_found_as_a_scan_finds_them(bytes in vec(any::<u8>(), 0..600)) {
            fuzz_prefix_map(&bytes);
        }
    }
}
