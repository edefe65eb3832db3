//! Lists as they come out of spreadsheets, and the number space they share.

#![expect(clippy::unwrap_used, reason = "a test that has no list has failed")]

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::routing::prefix_map::{Entry, PrefixMap, Remaining};
use crate::tables::diagnostic::Report;

struct Read {
    rows: DidRows,
    sources: Sources,
    report: Report,
}

impl Read {
    /// Every row as `line number group`.
    fn shown(&self) -> Vec<String> {
        let group = |row: &DidRow| {
            let cell = row.group().and_then(|group| self.rows.groups().get(group));
            cell.map_or("-", |cell| cell.name.as_str())
        };
        let line = |row: &DidRow| self.rows.line(row, &self.sources);
        let shown =
            |row: &DidRow| format!("{} {} {}", line(row), row.pattern().unwrap(), group(row));
        self.rows.rows().iter().map(shown).collect()
    }
}

/// Reads lists one after the other and looks for collisions.
fn read(texts: &[&str]) -> Read {
    let mut sources = Sources::new(Path::new("."));
    let diagnostics = Diagnostics::new();
    let mut rows = DidRows::new();
    for (index, text) in texts.iter().enumerate() {
        let file = SourceFile::from_text(format!("{index}.csv"), *text).unwrap();
        let id = sources.add(file, &diagnostics).unwrap();
        let _ = rows.read_csv(sources.get(id).unwrap(), &diagnostics);
    }
    rows.check_overlaps(&sources, &diagnostics);
    Read {
        rows,
        sources,
        report: diagnostics.into_report(),
    }
}

/// Reads one list in so many pieces.
fn read_in(text: &str, pieces: usize) -> Read {
    let mut sources = Sources::new(Path::new("."));
    let diagnostics = Diagnostics::new();
    let mut rows = DidRows::new();
    let file = SourceFile::from_text("0.csv", text).unwrap();
    let id = sources.add(file, &diagnostics).unwrap();
    let source = sources.get(id).unwrap();
    let _ = csv_list::read(&mut rows, source, &diagnostics, pieces);
    rows.check_overlaps(&sources, &diagnostics);
    Read {
        rows,
        sources,
        report: diagnostics.into_report(),
    }
}

/// Lists beyond the size where pieces are worthwhile are read as small ones are.
#[test]
fn a_large_list_is_read_whole() {
    let rows = 4 * limits::LIST_PIECE_BYTES_MIN / 20;
    let text = (0..rows).fold(String::from("number,trunk_group\n"), |text, serial| {
        text + &format!("+4420{serial:08},g{}\n", serial % 9)
    });
    let list = read(&[&text]);
    assert_eq!(
        (list.report.short(), list.rows.rows().len()),
        (String::new(), rows)
    );
    for (row, serial) in list.rows.rows().iter().zip(0..) {
        assert_eq!(list.rows.line(row, &list.sources), serial + 2);
    }
    let counted: u32 = list.rows.groups().iter().map(|cell| cell.rows).sum();
    assert_eq!((list.rows.groups().len(), counted as usize), (9, rows));
}

fn found(text: &str) -> String {
    read(&[text]).report.short()
}

#[test]
fn the_list_of_the_manual_is_read() {
    let list = read(&["number,trunk_group,comment\n\
        +442071838750,teams,Alice Example\n\
        +442071839000 to +442071839999,teams,London block 2\n\
        +4930123456*,pbx-berlin,not migrated yet\n\
        +442071838751,,nowhere\n"]);
    assert_eq!(list.report.short(), "");
    assert_eq!(
        list.shown(),
        [
            "4 +4930123456* pbx-berlin",
            "2 +442071838750 teams",
            "5 +442071838751 -",
            "3 +442071839000 to +442071839999 teams",
        ]
    );
    let rows: Vec<u32> = list.rows.groups().iter().map(|cell| cell.rows).collect();
    assert_eq!(rows, [2, 1]);
}

#[test]
fn delimiters_quotes_and_line_ends_are_recognised() {
    for text in [
        "number,trunk_group\n+441,a\n+442,b\n",
        "number;trunk_group\n+441;a\n+442;b\n",
        "number\ttrunk_group\n+441\ta\n+442\tb\n",
        "\u{feff}number,trunk_group\r\n+441,a\r\n+442,b",
        "Trunk Group,\"NUMBER\"\na,\"+441\"\nb, +442 \n",
        "number,x,trunk_group\n+441,\"1,2\",a\n+442,\"say \"\"hi\"\"\",b\n",
        "number,trunk_group,comment\n+441,a,\"x, y\"\n+442,b,x, y\n,,\n  ,\n",
        "number,trunk_group\n+441,a\r+442,b\r",
    ] {
        let list = read(&[text]);
        assert_eq!(list.report.short(), "", "{text}");
        let numbers: Vec<String> = list
            .shown()
            .iter()
            .map(|row| row.split_at(2).1.to_owned())
            .collect();
        assert_eq!(numbers, ["+441 a", "+442 b"], "{text}");
    }
}

#[test]
fn lines_are_counted_past_comments_blanks_and_quoted_line_ends() {
    for end in ["\n", "\r\n"] {
        let text = [
            "# made on Monday, \"quoted",
            "",
            "number,comment,trunk_group",
            "# more",
            "",
            "+441,\"two",
            "lines\",a",
            "",
            "#x",
            "+442,,a",
            "+443,,a",
        ]
        .join(end);
        assert_eq!(
            read(&[&text]).shown(),
            ["6 +441 a", "10 +442 a", "11 +443 a"]
        );
    }
}

#[test]
fn header_mistakes_are_named() {
    for (text, expected) in [
        ("", "0.csv:1:1: error T015: the list is empty"),
        ("# nothing\n\n", "0.csv:3:1: error T015: the list is empty"),
        (",,\n", "0.csv:1:1: error T015: the list is empty"),
        (
            "+441,teams\n",
            "0.csv:1:1: error T015: the first line is a number, not a header",
        ),
        (
            "name,group\n",
            "0.csv:1:1: error T015: the header has no column \"number\"",
        ),
        (
            "# c\nnumbr,trunk_group\n",
            "0.csv:2:1: error T015: unknown column \"numbr\"",
        ),
        (
            "number;trunkgruop\n",
            "0.csv:1:8: error T015: unknown column \"trunkgruop\"",
        ),
        (
            "number,number\n",
            "0.csv:1:8: error T015: column \"number\" stands twice in the header",
        ),
        (
            "number\r+441\r",
            "0.csv:1:1: error T015: the lines of the list end in CR alone",
        ),
    ] {
        assert_eq!(found(text).trim_end(), expected, "{text:?}");
    }
    let meant = read(&["number,trunk-grup\n"]).report;
    assert_eq!(
        meant.diagnostics.first().unwrap().help.as_deref(),
        Some("did you mean \"trunk_group\"?")
    );
}

#[test]
fn row_mistakes_are_named() {
    for (row, expected) in [
        (
            "+44x1,a",
            "2:4: error T010: \"+44x1\" is not a number: \"x\" stands in it",
        ),
        (
            "\" +44x1 \",a",
            "2:6: error T010: \"+44x1\" is not a number: \"x\" stands in it",
        ),
        (",a", "2:1: error T010: a number is missing"),
        (
            "*,a",
            "2:1: error T011: a prefix needs at least one symbol before the *",
        ),
        (
            "+449 to +441,a",
            "2:1: error T012: \"+449 to +441\" is not a range: its first number is above its last",
        ),
        (
            "+441",
            "2:1: error T016: the row has 1 column, its header has 2",
        ),
        (
            "+441,a,b",
            "2:8: error T016: the row has 3 columns, its header has 2",
        ),
        (
            "\"+441,a\n+442,a",
            "2:2: error T016: a quote that opens in this row is not closed in it",
        ),
        (
            "'+441,a",
            "2:1: error T021: \"'+441\" begins with the apostrophe a spreadsheet puts before text",
        ),
        (
            "4.4E+11,a",
            "2:1: error T021: \"4.4E+11\" was rounded to scientific notation by a spreadsheet",
        ),
        (
            "#N/A,a",
            "2:1: error T021: \"#N/A\" is what a spreadsheet shows when a formula fails",
        ),
    ] {
        let text = format!("number,trunk_group\n{row}\n");
        assert_eq!(
            found(&text).trim_end(),
            format!("0.csv:{expected}"),
            "{row}"
        );
    }
}

#[test]
fn lost_plusses_are_one_warning() {
    let list = read(&["number\n+441\n442071838750\n442071838751\n07\n"]);
    assert_eq!(
        list.report.short(),
        "0.csv:3:1: warning T022: 2 numbers look as if they have lost their +, 442071838750 first\n"
    );
    assert_eq!(list.rows.rows().len(), 4);
}

#[test]
fn numbers_in_toml_are_a_list_too() {
    let text = "numbers = [\"+441\", \"+4x2\",\n \"+441\"]\ntrunk_group = \"a\"\n";
    let mut sources = Sources::new(Path::new("."));
    let diagnostics = Diagnostics::new();
    let id = sources
        .add(SourceFile::from_text("r.toml", text).unwrap(), &diagnostics)
        .unwrap();
    let mut rows = DidRows::new();
    let source = sources.get(id).unwrap();
    let document = crate::tables::toml_reader::Document::parse(source, &diagnostics);
    let mut root = document.root();
    let (numbers, group) = (
        root.strings("numbers").unwrap(),
        root.string("trunk_group").unwrap(),
    );
    let list = rows
        .add_numbers(source, &numbers, Some(&group), &diagnostics)
        .unwrap();
    drop(document);
    rows.check_overlaps(&sources, &diagnostics);
    assert!(rows.list(list).unwrap().assigns());
    assert_eq!(
        rows.rows()
            .iter()
            .map(|row| rows.line(row, &sources))
            .collect::<Vec<_>>(),
        [1, 2]
    );
    assert_eq!(
        diagnostics.into_report().short(),
        "r.toml:1:23: error T010: \"+4x2\" is not a number: \"x\" stands in it\n\
         r.toml:2:2: error T013: +441 is assigned twice\n"
    );
}

#[test]
fn collisions_show_both_places() {
    let list = read(&[
        "number,trunk_group\n+441,a\n+4410 to +4419,a\n",
        "number,trunk_group\n+44*,b\n+441,\n+4415 to +4424,b\n",
    ]);
    assert_eq!(
        list.report.short(),
        "1.csv:3:1: error T013: +441 is assigned twice\n\
         1.csv:4:1: error T014: ranges +4415 to +4424 and +4410 to +4419 overlap\n"
    );
    let labels: Vec<(&str, &str)> = list
        .report
        .diagnostics
        .iter()
        .flat_map(|found| {
            found
                .places
                .iter()
                .map(|place| (place.file.as_str(), place.label.as_str()))
        })
        .collect();
    assert_eq!(
        labels,
        [
            ("1.csv", "assigned nowhere"),
            ("0.csv", "first assigned to a"),
            ("1.csv", "assigned to b"),
            ("0.csv", "assigned to a"),
        ]
    );
}

#[test]
fn a_list_without_groups_may_repeat_numbers() {
    assert_eq!(
        read(&["number,trunk_group\n+441,a\n", "number\n+441\n+441\n"])
            .report
            .short(),
        ""
    );
}

#[test]
fn a_million_damaged_rows_are_a_page() {
    let mut text = String::from("number,trunk_group\n");
    for _ in 0..20_000 {
        text.push_str("4.42072E+11,a\n");
    }
    text.push_str("+44x,a\n");
    let report = read(&[&text]).report;
    assert_eq!(report.errors, 20_001);
    assert_eq!(report.diagnostics.len(), limits::DIAGNOSTICS_MAX);
    assert!(
        report
            .diagnostics
            .iter()
            .any(|found| found.code == Code::NotANumber)
    );
}

/// A row of a small world: numbers of up to three digits out of 0 to 3 and 9.
fn small_row() -> impl Strategy<Value = String> {
    let digits = "[01239]{1,3}";
    let range = (0..1_000_u32, 0..1_000_u32, 1..=3_usize).prop_map(|(a, b, digits)| {
        let most = 10_u32.pow(u32::try_from(digits).unwrap());
        let (first, last) = ((a % most).min(b % most), (a % most).max(b % most));
        format!("{first:0digits$} to {last:0digits$}")
    });
    prop_oneof![
        3 => digits.prop_map(String::from),
        1 => digits.prop_map(|digits| format!("{digits}*")),
        3 => range.clone(),
        1 => range.prop_map(|range| range.replace("to ", "to +").replacen("", "+", 1)),
    ]
}

fn world() -> impl Strategy<Value = Vec<Vec<String>>> {
    prop::collection::vec(prop::collection::vec(small_row(), 0..6), 1..3)
}

/// First, last and number of symbols; `None` for a prefix.
fn span(pattern: &Pattern) -> Option<(Number, Number)> {
    match *pattern {
        Pattern::Exact(number) => Some((number, number)),
        Pattern::Range(first, last) => Some((first, last)),
        Pattern::Prefix(_) => None,
    }
}

fn holds(pattern: &Pattern, number: &Number) -> bool {
    match (pattern, span(pattern)) {
        (Pattern::Prefix(prefix), _) => number.starts_with(prefix.as_bytes()),
        // Of one length and alphabet, numbers compare as their texts do.
        (_, Some((first, last))) => {
            number.len() == first.len()
                && number.is_global() == first.is_global()
                && first <= *number
                && *number <= last
        }
        (_, None) => false,
    }
}

/// Symbols of the largest aligned block around `number` that lies in the pattern.
fn depth(pattern: &Pattern, number: &Number) -> usize {
    if let Pattern::Prefix(prefix) = pattern {
        return prefix.len();
    }
    let lead = usize::from(number.is_global());
    let fits = |kept: usize| {
        let ends = |digit: char| -> Number {
            let text: String = number
                .as_str()
                .chars()
                .enumerate()
                .map(|(i, c)| if i < kept { c } else { digit })
                .collect();
            Number::parse(text.as_bytes()).unwrap()
        };
        holds(pattern, &ends('0')) && holds(pattern, &ends('9'))
    };
    // A prefix keeps at least one symbol.
    (lead.max(1)..=number.len())
        .find(|kept| fits(*kept))
        .unwrap_or(number.len())
}

fn collide(a: &Pattern, b: &Pattern) -> (bool, bool) {
    let (Some((a_first, a_last)), Some((b_first, b_last))) = (span(a), span(b)) else {
        return (a == b, false);
    };
    let twice = (a_first, a_last) == (b_first, b_last);
    let comparable = a_first.len() == b_first.len() && a_first.is_global() == b_first.is_global();
    let apart = a_last < b_first || b_last < a_first;
    let nested =
        (a_first <= b_first && b_last <= a_last) || (b_first <= a_first && a_last <= b_last);
    (twice, comparable && !apart && !nested)
}

fn every_small_number() -> impl Iterator<Item = Number> {
    let plain = (1..=3_usize).flat_map(|digits| {
        (0..10_u32.pow(u32::try_from(digits).unwrap()))
            .map(move |value| format!("{value:0digits$}"))
    });
    plain
        .flat_map(|text| [format!("+{text}"), text])
        .map(|text| Number::parse(text.as_bytes()).unwrap())
}

fn csv_of(rows: &[String]) -> String {
    rows.iter()
        .fold(String::from("number,trunk_group\n"), |text, row| {
            text + row + ",g\n"
        })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    /// Collisions are those that comparing every pair finds; without any, the entries
    /// answer every number as the innermost row that holds it.
    #[test]
    fn collisions_and_entries_equal_brute_force(world in world()) {
        let texts: Vec<String> = world.iter().map(|rows| csv_of(rows)).collect();
        let list = read(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let patterns: Vec<Pattern> = world.iter().flatten().map(|row| Pattern::parse(row).unwrap()).collect();
        let pairs = patterns.iter().enumerate().flat_map(|(i, a)| patterns.iter().skip(i + 1).map(move |b| collide(a, b)));
        let (twice, overlap) = pairs.fold((false, false), |(t, o), (twice, overlap)| (t || twice, o || overlap));
        let has = |code| list.report.diagnostics.iter().any(|found| found.code == code);
        prop_assert_eq!((has(Code::AssignedTwice), has(Code::RangesOverlap)), (twice, overlap));
        for found in &list.report.diagnostics {
            prop_assert!(found.places.iter().all(|place| place.line >= 2 && place.column == 1));
            prop_assert_eq!(found.places.len(), 2);
        }
        if twice || overlap {
            return Ok(());
        }
        let mut entries = Vec::new();
        list.rows.entries(|prefix, remaining, row| {
            entries.push(Entry { prefix: Number::unpack(prefix).unwrap(), remaining, value: row.pattern().unwrap() });
        }).unwrap();
        let map = PrefixMap::build(entries, 9).unwrap();
        for number in every_small_number() {
            let best = patterns
                .iter()
                .filter(|pattern| holds(pattern, &number))
                // Deepest block; at the same depth the smaller range, and any range
                // before a prefix.
                .max_by_key(|pattern| (depth(pattern, &number), std::cmp::Reverse(size(pattern))));
            let found = map.longest(&number).map(|found| found.value);
            prop_assert_eq!(found.map(normal), best.copied().map(normal), "{}", number);
        }
    }

    /// Who stands in a list does not depend on other lists or on repetitions.
    #[test]
    fn members_equal_brute_force(world in world()) {
        let texts: Vec<String> = world.iter().map(|rows| csv_of(rows)).collect();
        let list = read(&texts.iter().map(String::as_str).collect::<Vec<_>>());
        let mut members: Vec<Vec<Entry<()>>> = vec![Vec::new(); world.len()];
        list.rows.members(|_| true, |list, prefix, remaining| {
            members.get_mut(list.index()).unwrap().push(Entry { prefix: Number::unpack(prefix).unwrap(), remaining, value: () });
        }).unwrap();
        for (rows, members) in world.iter().zip(members) {
            let map = PrefixMap::build(members, 9).unwrap();
            let patterns: Vec<Pattern> = rows.iter().map(|row| Pattern::parse(row).unwrap()).collect();
            for number in every_small_number() {
                let expected = patterns.iter().any(|pattern| holds(pattern, &number));
                prop_assert_eq!(map.longest(&number).is_some(), expected, "{}", number);
            }
        }
    }

    /// No bytes panic, and every refusal has a place in the file.
    #[test]
    fn every_refusal_has_a_place(
        text in "\\PC{0,80}|(number|trunk_group|comment|x|[,;\t\"#\r\n]){0,12}\n([-+*#0-9.,;\t\"'=E\r\na to]{0,20}\n){0,8}",
    ) {
        let list = read(&[&text]);
        let lines = text.split('\n').count();
        for found in &list.report.diagnostics {
            let place = found.place().unwrap();
            prop_assert!(place.line >= 1 && place.line as usize <= lines && place.column >= 1, "{:?}", found);
        }
        for row in list.rows.rows() {
            let line = list.rows.line(row, &list.sources);
            prop_assert!(line >= 2 && line as usize <= lines);
        }
    }

    /// Pieces say what one thread says, rows, groups and findings alike.
    #[test]
    fn pieces_make_no_difference(
        body in prop::collection::vec(
            "\\+4[0-9]{1,3},[ab]?(,c)?|[0-9]{9,12},a|[0-9]{2}\\*,b|7[0-4] to 7[5-9],c|#x|,,",
            0..40,
        ),
        unsound in prop::option::weighted(0.2, Just("x,a")),
        before in "(# made\n){0,2}",
        crlf: bool,
        pieces in 2..6_usize,
    ) {
        let end = if crlf { "\r\n" } else { "\n" };
        let text = format!("{before}number,trunk_group,comment{end}{}{end}{}", body.join(end), unsound.unwrap_or_default());
        let (one, several) = (read_in(&text, 1), read_in(&text, pieces));
        prop_assert_eq!(several.shown(), one.shown());
        prop_assert_eq!(several.rows.groups(), one.rows.groups());
        let counts = |read: &Read| read.rows.lists().iter().map(List::rows).collect::<Vec<_>>();
        prop_assert_eq!(counts(&several), counts(&one));
        prop_assert_eq!(several.report.short(), one.report.short());
    }

    /// A written list is read back, row for row and line for line.
    #[test]
    fn written_rows_are_read_back(rows in prop::collection::vec((small_row(), 0..3_u8), 1..30), crlf: bool) {
        let end = if crlf { "\r\n" } else { "\n" };
        let mut text = format!("number;comment;trunk_group{end}");
        let mut expected = Vec::new();
        let mut line = 2_u32;
        for (row, style) in &rows {
            match style {
                0 => text += &format!("{row};;g{end}"),
                1 => text += &format!("\"{row}\";\"a;\"\"b\";g{end}"),
                _ => text += &format!("# c{end}{end}{row};\"x{end}y\";g{end}"),
            }
            line += if *style == 2 { 2 } else { 0 };
            expected.push((line, Pattern::parse(row).map(normal).unwrap()));
            line += if *style == 2 { 2 } else { 1 };
        }
        let list = read(&[&text]);
        let mut read: Vec<(u32, Pattern)> =
            list.rows.rows().iter().map(|row| (list.rows.line(row, &list.sources), row.pattern().unwrap())).collect();
        read.sort_by_key(|(line, _)| *line);
        prop_assert_eq!(read, expected);
    }
}

/// Numbers of a range; more than any range has for a prefix.
fn size(pattern: &Pattern) -> u128 {
    span(pattern).map_or(u128::MAX, |(first, last)| {
        digits_value(&last) - digits_value(&first) + 1
    })
}

/// A range of one number is that number.
fn normal(pattern: Pattern) -> Pattern {
    match pattern {
        Pattern::Range(first, last) if first == last => Pattern::Exact(first),
        other => other,
    }
}

#[test]
fn entries_of_a_block_are_one_prefix() {
    let list = read(&["number,trunk_group\n+442071839000 to +442071839999,a\n"]);
    let mut shown = Vec::new();
    list.rows
        .entries(|prefix, remaining, _| {
            shown.push((Number::unpack(prefix).unwrap().to_string(), remaining));
        })
        .unwrap();
    assert_eq!(shown, [(String::from("+442071839"), Remaining::Exactly(3))]);
}
