//! Whatever the layout, answers are those of looking at every row.

#![allow(clippy::unwrap_used)] // a test says so by failing

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Copy, Debug)]
struct Listed {
    prefix: Number,
    remaining: Remaining,
    did: Did,
    line: u32,
}

fn number(text: &str) -> Number {
    Number::parse(text.as_bytes()).unwrap()
}

fn did(value: u16) -> Did {
    Did {
        group: (!value.is_multiple_of(7)).then_some(GroupId(value)),
        list: ListId(value / 3),
    }
}

fn built(rows: &[Listed]) -> DidMap {
    let mut builder = DidMapBuilder::new();
    for row in rows {
        builder.push(&row.prefix, row.remaining, row.did, row.line);
    }
    builder.build(9).unwrap()
}

fn whole(numbers: impl IntoIterator<Item = (String, u16, u32)>) -> Vec<Listed> {
    let row = |(text, value, line): (String, u16, u32)| Listed {
        prefix: number(&text),
        remaining: Remaining::Exactly(0),
        did: did(value),
        line,
    };
    numbers.into_iter().map(row).collect()
}

fn matches(map: &DidMap, number: &Number) -> Vec<(Match<Did>, u32)> {
    let mut shown = Vec::new();
    map.all_matches(number, |found, line| shown.push((found, line)));
    shown
}

/// The law: look at every row.
fn naive(rows: &[Listed], number: &Number) -> Vec<(Match<Did>, u32)> {
    let fits = |row: &Listed| {
        let rest = number.as_bytes().strip_prefix(row.prefix.as_bytes())?;
        row.remaining.allows(rest).then_some((
            Match {
                length: row.prefix.len() as u8,
                remaining: row.remaining,
                value: row.did,
            },
            row.line,
        ))
    };
    let mut found: Vec<_> = rows.iter().filter_map(fits).collect();
    found.sort_by_key(|(found, _)| (found.length, found.remaining));
    found
}

#[test]
fn a_whole_number_beats_what_is_shorter() {
    let mut rows = whole([
        ("+442071838750".to_owned(), 1, 7),
        ("+44207183875".to_owned(), 2, 8),
    ]);
    rows.push(Listed {
        prefix: number("+4420718387"),
        remaining: Remaining::Exactly(2),
        did: did(3),
        line: 9,
    });
    let map = built(&rows);
    let longest = |text| {
        map.longest(&number(text))
            .map(|found| (found.length, found.value))
    };
    assert_eq!(longest("+442071838750"), Some((13, did(1))));
    assert_eq!(longest("+442071838751"), Some((11, did(3))));
    assert_eq!(longest("+44207183875"), Some((12, did(2))));
    assert_eq!(longest("+4420718387501"), None);
    let lines: Vec<u32> = matches(&map, &number("+442071838750"))
        .iter()
        .map(|(_, line)| *line)
        .collect();
    assert_eq!(lines, [9, 7]);
}

/// `1*` sorts between `19` and `20` as `1` and a star, and is none of their neighbours.
#[test]
fn runs_hold_digits_only() {
    let rows = whole((0..400).map(|serial| (format!("+4{serial:03}"), 1, serial)));
    let map = built(&rows);
    for text in ["+41*", "+4*20", "+41#0", "+419", "+4400", "+43999", "+412*"] {
        assert_eq!(map.longest(&number(text)), None, "{text}");
    }
    for row in &rows {
        assert_eq!(matches(&map, &row.prefix), naive(&rows, &row.prefix));
    }
}

/// The promise on memory, whatever the numbers are: a number by itself, and neighbours.
#[test]
fn a_did_takes_few_bytes() {
    let scattered = whole((0..100_000_u64).map(|serial| {
        // Spread over ten digits by an odd multiplier.
        let digits = serial.wrapping_mul(0x9E37_79B9_7F4A_7C15) % 10_000_000_000;
        (
            format!("+49{digits:010}"),
            (serial % 200) as u16,
            serial as u32,
        )
    }));
    let map = built(&scattered);
    assert_eq!(map.len(), scattered.len());
    assert!(
        map.memory_bytes() * 10 <= 178 * map.len(),
        "{}",
        map.memory_bytes()
    );

    // 200 groups, and every 64th number goes elsewhere; in order, and in any other order.
    let group = |serial: u64| {
        if serial.is_multiple_of(64) {
            999
        } else {
            (serial / 1_000 % 200) as u16
        }
    };
    let clustered = |line: fn(u64) -> u64| {
        built(&whole((0..100_000_u64).map(|serial| {
            (
                format!("+4420{serial:08}"),
                group(serial),
                line(serial) as u32,
            )
        })))
    };
    let in_order = clustered(|serial| serial + 2);
    assert!(
        in_order.memory_bytes() * 10 <= 19 * in_order.len(),
        "{}",
        in_order.memory_bytes()
    );
    let shuffled = clustered(|serial| serial * 77_777 % 100_000);
    assert!(
        shuffled.memory_bytes() <= 5 * shuffled.len(),
        "{}",
        shuffled.memory_bytes()
    );
    let found = matches(&shuffled, &number("+442000000123"));
    assert_eq!(
        found.first().map(|(_, line)| *line),
        Some(123 * 77_777 % 100_000)
    );
}

#[test]
fn twice_is_told_with_both_values() {
    let mut rows = whole([("+441".to_owned(), 1, 1), ("+441".to_owned(), 2, 2)]);
    let open = Listed {
        prefix: number("+44"),
        remaining: Remaining::Any,
        did: did(3),
        line: 3,
    };
    rows.extend([open, open]);
    let mut builder = DidMapBuilder::new();
    for row in &rows {
        builder.push(&row.prefix, row.remaining, row.did, row.line);
    }
    let Err(BuildError::Duplicates { shown, total }) = builder.clone().build(9) else {
        panic!("built");
    };
    assert_eq!((shown.len(), total), (2, 2));
    let numbers: Vec<&Number> = shown.iter().map(|twice| &twice.prefix).collect();
    assert_eq!(numbers, [&number("+441"), &number("+44")]);
    let Err(BuildError::Duplicates { shown, total }) = builder.build(1) else {
        panic!("built");
    };
    assert_eq!((shown.len(), total), (1, 2));
}

#[test]
fn an_empty_map_matches_nothing() {
    let map = DidMap::default();
    assert!(map.is_empty() && map.longest(&number("112")).is_none());
    assert_eq!(map.longest_batch(&[number("112"); 3]), [None; 3]);
}

/// Few symbols, so that rows nest, neighbour each other and are hit.
fn any_symbols() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "\\+?[0-3]{1,5}",
        2 => "\\+44[0-2][0-9]{2}",
        2 => "\\+?[019*#]{1,5}",
        1 => "\\+?1{12,16}[12]{1,3}",
        1 => "\\+?1{20,27}[12]{1,3}",
    ]
}

fn any_rows(max: usize) -> impl Strategy<Value = Vec<Listed>> {
    let remaining = prop_oneof![
        6 => Just(Remaining::Exactly(0)),
        1 => Just(Remaining::Any),
        1 => (0..4_u8).prop_map(Remaining::Exactly),
    ];
    let keys = prop::collection::btree_map(
        (any_symbols(), remaining),
        (
            0..4_u16,
            prop_oneof![Just(None), (0..1_000_u32).prop_map(Some)],
        ),
        0..max,
    );
    keys.prop_map(|keys: BTreeMap<_, _>| {
        let rows = keys.into_iter().zip(1..);
        rows.map(|(((text, remaining), (value, line)), serial)| Listed {
            prefix: number(&text),
            remaining,
            did: did(value),
            // Mostly in step, as lists are written.
            line: line.unwrap_or(serial),
        })
        .collect()
    })
}

/// Every number from one to another, so that runs are long.
fn block() -> impl Strategy<Value = Vec<Listed>> {
    (
        0..900_u32,
        1..400_u32,
        prop::collection::vec(0..2_u16, 8),
        any::<bool>(),
    )
        .prop_map(|(from, count, values, in_order)| {
            whole((from..(from + count).min(1_000)).map(|serial| {
                let value = values.get(serial as usize / 16 % 8).copied().unwrap();
                let line = if in_order { serial } else { serial * 7 % 1_001 };
                (format!("+49{serial:03}"), value, line)
            }))
        })
}

/// Looking at numbers that are there, that are not, and at none, decides nothing and ends.
#[test]
fn lookups_are_brought_near_as_many_as_there_is_room_for() {
    let mut builder = DidMapBuilder::new();
    for serial in 0..5_000_u16 {
        let text = format!("+44207{:06}", u32::from(serial) * 37);
        builder.push(&number(&text), Remaining::Exactly(0), did(serial % 7), 1);
    }
    let map = builder.build(0).unwrap();
    let mut lookups = Lookups::default();
    lookups.bring_near();
    for _ in 0..3 {
        let room = (0..FORESEEN_CALLS_MAX)
            .map(|n| lookups.add(&map, &number(&format!("+44207{:06}", n * 74))))
            .filter(|room| *room);
        assert_eq!(room.count(), FORESEEN_CALLS_MAX - 1);
        lookups.bring_near();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn equals_the_naive_scan(
        rows in any_rows(120),
        block in prop::option::of(block()),
        queries in prop::collection::vec(any_symbols(), 1..40),
    ) {
        let mut rows = rows;
        rows.extend(block.into_iter().flatten());
        let mut listed = std::collections::BTreeSet::new();
        rows.retain(|row| listed.insert((row.prefix, row.remaining)));
        let map = built(&rows);
        let symbols = |row: &Listed| match row.remaining {
            Remaining::Any => 0,
            Remaining::Exactly(more) => row.prefix.len() + usize::from(more),
        };
        prop_assert_eq!(map.len(), rows.iter().filter(|row| symbols(row) <= 31).count());
        let queries: Vec<Number> =
            queries.iter().map(|text| number(text)).chain(rows.iter().map(|row| row.prefix)).collect();
        for query in &queries {
            let expected = naive(&rows, query);
            prop_assert_eq!(matches(&map, query), expected.clone(), "{}", query);
            prop_assert_eq!(map.longest(query), expected.last().map(|(found, _)| *found));
        }
        for sixteen in queries.chunks_exact(16) {
            let sixteen: [Number; 16] = sixteen.try_into().unwrap();
            prop_assert_eq!(map.longest_batch(&sixteen), sixteen.map(|query| map.longest(&query)));
        }
    }

    #[test]
    fn order_of_adding_does_not_matter(
        (rows, shuffled) in any_rows(200)
            .prop_flat_map(|rows| (Just(rows.clone()), Just(rows).prop_shuffle())),
    ) {
        let (map, other) = (built(&rows), built(&shuffled));
        for row in &rows {
            prop_assert_eq!(matches(&map, &row.prefix), matches(&other, &row.prefix));
        }
    }
}
