//! Patterns as people write them, and as spreadsheets leave them.

#![expect(clippy::unwrap_used, reason = "the numbers of tests are numbers")]

use proptest::prelude::*;

use super::*;

fn n(text: &str) -> Number {
    Number::parse(text.as_bytes()).unwrap()
}

#[test]
fn patterns_are_read() {
    for (text, pattern) in [
        ("999", Pattern::Exact(n("999"))),
        (" +44 (20) 7183-87.50 ", Pattern::Exact(n("+442071838750"))),
        ("020.7183.8750", Pattern::Exact(n("02071838750"))),
        ("*21", Pattern::Exact(n("*21"))),
        ("#31#", Pattern::Exact(n("#31#"))),
        ("+449*", Pattern::Prefix(n("+449"))),
        ("*21*", Pattern::Prefix(n("*21"))),
        ("+1000 to +1999", Pattern::Range(n("+1000"), n("+1999"))),
        ("+1 000\tto\t+1 999", Pattern::Range(n("+1000"), n("+1999"))),
        ("5 to 5", Pattern::Range(n("5"), n("5"))),
    ] {
        assert_eq!(Pattern::parse(text), Ok(pattern), "{text}");
    }
}

#[test]
fn mistakes_are_named() {
    for (text, code, word) in [
        ("", Code::NotANumber, "missing"),
        ("*", Code::EmptyPrefix, "at least one"),
        (" * ", Code::EmptyPrefix, "at least one"),
        ("alice", Code::NotANumber, "\"a\" stands in it"),
        ("+44/20", Code::NotANumber, "\"/\""),
        ("+", Code::NotANumber, "no digits"),
        ("+*", Code::NotANumber, "no digits"),
        ("()", Code::NotANumber, "no digits"),
        ("4+4", Code::NotANumber, "only in front"),
        ("+44*20", Code::NotANumber, "only digits follow"),
        (
            "12345678901234567890123456789012",
            Code::NotANumber,
            "longer than 31",
        ),
        ("+442071839000-+442071839999", Code::NotANumber, "two"),
        ("442071839000-442071839999", Code::NotANumber, "two"),
        ("442071839000..442071839999", Code::NotANumber, "two"),
        ("+441 to +4412", Code::BadRange, "different lengths"),
        ("+449 to +441", Code::BadRange, "above"),
        ("+449 to 1449", Code::BadRange, "digits only"),
        ("+44* to +45*", Code::NotANumber, "without *"),
        (
            "+10000000000000000000000 to +99999999999999999999999",
            Code::BadRange,
            "too many",
        ),
        ("+44 to ", Code::NotANumber, "\"t\""),
    ] {
        let error = Pattern::parse(text).unwrap_err();
        let message = error.diagnostic(text, Place::whole_file("f")).message;
        assert_eq!(error.code(), code, "{text}: {message}");
        assert!(message.contains(word), "{text}: {message}");
    }
}

#[test]
fn damage_is_named_and_undone_where_it_can_be() {
    for (text, likely) in [
        ("4.42072E+11", None),
        ("4,42072E+11", None),
        ("4.42072e11", None),
        ("+4,42E+11", None),
        ("442071838750.0", Some("442071838750")),
        ("442071838750,00", Some("442071838750")),
        ("'+442071838750", Some("+442071838750")),
        ("\u{2019}+442071838750", Some("+442071838750")),
        ("=\"+442071838750\"", Some("+442071838750")),
        ("=+442071838750", Some("+442071838750")),
        ("\"+442071838750\"", Some("+442071838750")),
        ("\u{201c}+442071838750\u{201d}", Some("+442071838750")),
        ("#NAME?", None),
        ("#N/A", None),
        ("+44 (0)20 7183 8750", Some("+442071838750")),
        ("0044(0)2071838750", Some("00442071838750")),
        ("\u{ff0b}\u{ff14}\u{ff14}\u{ff12}\u{ff10}", Some("+4420")),
        ("+44\u{a0}20\u{a0}7183 8750", Some("+442071838750")),
        ("\u{202d}+442071838750\u{202c}", Some("+442071838750")),
        ("+44\u{2013}2071838750", Some("+442071838750")),
        ("+44207183875O", Some("+442071838750")),
        ("+44207l838750", Some("+442071838750")),
        ("442,071,838,750", Some("442071838750")),
        ("-442071838750", Some("442071838750")),
        ("'+449*", Some("+449*")),
    ] {
        let error = Pattern::parse(text).unwrap_err();
        let PatternErrorKind::Damaged(damage) = &error.kind else {
            panic!("{text}: {error:?}")
        };
        assert_eq!(damage.likely.as_deref(), likely, "{text}");
        assert_eq!(error.code(), Code::DamagedNumber);
        let found = error.diagnostic(text, Place::whole_file("f"));
        assert!(found.help.is_some(), "{text} has no help");
    }
}

#[test]
fn sound_numbers_are_not_taken_for_damaged_ones() {
    for text in [
        "020-7183-8750",
        "(020) 7183 8750",
        "(0)2071838750",
        "12.34.00",
        "00",
        "1.0",
    ] {
        assert!(Pattern::parse(text).is_ok(), "{text}");
    }
    for text in ["reception", "did:users", "LOL"] {
        assert_eq!(
            Pattern::parse(text).unwrap_err().code(),
            Code::NotANumber,
            "{text}"
        );
    }
}

/// Written exactly, it would be shown as a prefix.
#[test]
fn a_star_at_the_end_is_no_symbol_whatever_follows_it() {
    assert_eq!(Pattern::parse("1*()"), Ok(Pattern::Prefix(n("1"))));
    let kind = |text| Pattern::parse(text).map_err(|error| error.kind);
    assert_eq!(kind("*("), Err(PatternErrorKind::EmptyPrefix));
    assert_eq!(kind("1*( to 2*-"), Err(PatternErrorKind::PrefixInRange));
}

#[test]
fn lost_plus_is_told_from_national_and_short_numbers() {
    let lost = ["442071838750", "4930123456"];
    let kept = ["+442071838750", "02071838750", "8750", "1234567890123456"];
    assert!(lost.iter().all(|text| lost_plus(&n(text))));
    assert!(!kept.iter().any(|text| lost_plus(&n(text))));
}

proptest! {
    /// What is shown reads back as the same pattern.
    #[test]
    fn display_reads_back(text in "[+*#0-9]{1,12}|[+]?[0-9]{2,15}[*]|[+]?[0-9]{3} to [+]?[0-9]{3}") {
        if let Ok(pattern) = Pattern::parse(&text) {
            prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern));
        }
    }

    /// No text panics, and every error points into the text.
    #[test]
    fn errors_point_into_the_text(text in ".{0,40}|[-+*#0-9 .,()'=EeOlto\u{a0}\u{ff10}\"]{0,40}") {
        match Pattern::parse(&text) {
            Ok(pattern) => prop_assert_eq!(Pattern::parse(&pattern.to_string()), Ok(pattern)),
            Err(error) => {
                prop_assert!(text.get(error.range.clone()).is_some(), "{:?}", error);
                let found = error.diagnostic(&text, Place::whole_file("f"));
                prop_assert!(!found.message.is_empty());
            }
        }
    }
}
