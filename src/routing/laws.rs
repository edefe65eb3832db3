//! What must hold for any entries, numbers and calls. Fuzz targets and tests call these.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::did_map::DidMapBuilder;
use super::prefix_map::{BuildError, Entry, Match, PrefixMap, Remaining};
use super::{Dialled, Did, Explanation, GroupId, ListId, Number, RequestFacts, Snapshot, route};

/// Looking a number up answers what looking at every entry answers, and a map with the
/// same row twice is not built. `bytes` become entries first, then numbers.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_prefix_map(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let entries = entries(&mut bytes);
    let (rows, twice) = rows(&entries);
    match PrefixMap::build(entries.iter().copied(), 8) {
        Ok(map) => {
            assert_eq!((twice, map.len()), (0, rows.len()));
            assert!(
                map.iter()
                    .map(|row| ((row.prefix, row.remaining), row.value))
                    .eq(rows)
            );
            for number in numbers(&mut bytes, &entries) {
                let expected = scan(&entries, &number);
                let mut found = Vec::new();
                map.all_matches(&number, |entry| found.push(entry));
                assert_eq!(map.longest(&number), expected.last().copied());
                assert_eq!(found, expected);
            }
        }
        Err(BuildError::Duplicates { shown, total }) => {
            assert!(total == twice && twice > 0 && !shown.is_empty());
        }
        Err(error) => panic!("{error:?} of {} entries", entries.len()),
    }
}

/// The same of the DIDs of a table, looked up alone and sixteen at a time.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_did_map(bytes: &[u8]) {
    let mut bytes = bytes.iter().copied();
    let spread = bytes.next().unwrap_or_default();
    let mut entries = entries(&mut bytes);
    // Neighbours, which are kept as one run where they say the same.
    for at in 0..entries.len() {
        let Some(entry) = entries.get(at).copied() else {
            break;
        };
        let neighbours = (1..u64::from(spread % 16)).map_while(|step| {
            let prefix = neighbour(&entry.prefix, step)?;
            Some(Entry { prefix, ..entry })
        });
        entries.extend(neighbours.collect::<Vec<_>>());
    }
    let did = |value: u32| Did {
        group: (!value.is_multiple_of(4)).then_some(GroupId((value % 4) as u16)),
        list: ListId((value % 3) as u16),
    };
    let mut builder = DidMapBuilder::new();
    for entry in &entries {
        builder.push(
            &entry.prefix,
            entry.remaining,
            did(entry.value),
            entry.value,
        );
    }
    let (rows, twice) = rows(&entries);
    match builder.build(8) {
        Ok(map) => {
            assert_eq!((twice, map.len()), (0, rows.len()));
            let numbers = numbers(&mut bytes, &entries);
            let mut decided = Vec::new();
            for number in &numbers {
                let meant = |found: Match<u32>| Match {
                    length: found.length,
                    remaining: found.remaining,
                    value: did(found.value),
                };
                let scan = scan(&entries, number);
                let expected: Vec<_> = scan
                    .iter()
                    .map(|found| (meant(*found), found.value))
                    .collect();
                let mut found = Vec::new();
                map.all_matches(number, |row, line| found.push((row, line)));
                assert_eq!(found, expected);
                decided.push(scan.last().map(|found| meant(*found)));
                assert_eq!(map.longest(number), decided.last().copied().flatten());
            }
            for (batch, decided) in numbers.chunks(16).zip(decided.chunks(16)) {
                if let Ok(batch) = <&[Number; 16]>::try_from(batch) {
                    assert_eq!(map.longest_batch(batch).as_slice(), decided);
                }
            }
        }
        Err(BuildError::Duplicates { shown, total }) => {
            assert!(total == twice && twice > 0 && !shown.is_empty());
        }
        Err(error) => panic!("{error:?} of {} entries", entries.len()),
    }
}

fn entries(bytes: &mut impl Iterator<Item = u8>) -> Vec<Entry<u32>> {
    let count = bytes.next().unwrap_or_default() % 64;
    let mut entries = Vec::new();
    for value in 0..u32::from(count) {
        let Some((prefix, remaining)) = number(bytes).zip(bytes.next()) else {
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
    entries
}

/// The entries that can match a number, each once, and how many more there are.
fn rows(entries: &[Entry<u32>]) -> (BTreeMap<(Number, Remaining), u32>, usize) {
    let fits = |entry: &&Entry<u32>| match entry.remaining {
        Remaining::Any => true,
        Remaining::Exactly(symbols) => {
            entry.prefix.len() + usize::from(symbols) <= crate::limits::NUMBER_SYMBOLS_MAX
        }
    };
    let fitting = entries.iter().filter(fits);
    let rows: BTreeMap<_, _> = fitting
        .map(|entry| ((entry.prefix, entry.remaining), entry.value))
        .collect();
    let twice = entries.iter().filter(fits).count() - rows.len();
    (rows, twice)
}

/// What is asked for: what is left of the bytes, and the entries themselves.
fn numbers(bytes: &mut impl Iterator<Item = u8>, entries: &[Entry<u32>]) -> Vec<Number> {
    let mut numbers: Vec<_> = std::iter::from_fn(|| number(bytes)).collect();
    numbers.extend(entries.iter().map(|entry| entry.prefix));
    numbers
}

/// What looking at every entry finds, from the shortest prefix on.
fn scan(entries: &[Entry<u32>], number: &Number) -> Vec<Match<u32>> {
    let fitting = entries.iter().filter_map(|entry| {
        let rest = number.as_bytes().strip_prefix(entry.prefix.as_bytes())?;
        let found = Match {
            length: u8::try_from(entry.prefix.len()).unwrap_or(u8::MAX),
            remaining: entry.remaining,
            value: entry.value,
        };
        entry.remaining.allows(rest).then_some(found)
    });
    let mut found: Vec<_> = fitting.collect();
    found.sort_by_key(|found| (found.length, found.remaining));
    found
}

/// The number so many further on, of the same length.
fn neighbour(number: &Number, step: u64) -> Option<Number> {
    let text = number.as_str();
    let digits = text.strip_prefix('+').unwrap_or(text);
    let sign = text.get(..text.len() - digits.len())?;
    let next = digits.parse::<u64>().ok()?.checked_add(step)?;
    let next = format!("{sign}{next:0width$}", width = digits.len());
    Number::parse(next.as_bytes()).filter(|next| next.len() == number.len())
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
            fuzz_did_map(&bytes);
        }
    }
}
