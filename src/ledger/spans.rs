//! What one thing did under each table that served, in spans that did the same.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Generation;

/// Generations one after the other under which the same was done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span<'l, T> {
    /// The first of them.
    pub first: &'l Generation,
    /// The last of them.
    pub last: &'l Generation,
    /// When the last ended; `None` while it serves.
    pub until: Option<Timestamp>,
    /// What was done.
    pub done: T,
}

/// The spans of generations that come newest first, newest first. `until` is when the newest of
/// them ended, and `done` says what was done under a generation: it is asked once for a table,
/// however often that served.
///
/// # Errors
/// Those of `done`; then it is not asked again.
pub fn spans<'l, T: Clone + PartialEq, E>(
    generations: impl IntoIterator<Item = &'l Generation>,
    mut until: Option<Timestamp>,
    mut done: impl FnMut(&'l Generation) -> Result<T, E>,
) -> Result<Vec<Span<'l, T>>, E> {
    let mut spans: Vec<Span<'l, T>> = Vec::new();
    let mut known: BTreeMap<&str, T> = BTreeMap::new();
    for generation in generations {
        let ended = until.replace(generation.at);
        let what = match known.get(&*generation.sha256) {
            Some(what) => what.clone(),
            None => done(generation)?,
        };
        known.insert(&generation.sha256, what.clone());
        match spans.last_mut() {
            Some(span) if span.done == what => span.first = generation,
            _ => spans.push(Span {
                first: generation,
                last: generation,
                until: ended,
                done: what,
            }),
        }
    }
    Ok(spans)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;
    use crate::ledger::{Cause, Counts};

    fn generation(number: u64, table: &str) -> Generation {
        Generation {
            number,
            sha256: table.to_owned(),
            at: Timestamp::from_second(i64::try_from(number).unwrap() * 100).unwrap(),
            by: String::from("test"),
            cause: Cause::Reload,
            table_of: None,
            message: None,
            counts: Counts::default(),
        }
    }

    #[test]
    fn generations_that_did_the_same_are_one_span_and_a_table_is_asked_once() {
        let tables = ["a", "b", "c", "b", "a"];
        let all: Vec<_> = (1..).zip(tables).map(|(n, t)| generation(n, t)).collect();
        let mut asked = Vec::new();
        let does = |generation: &Generation| {
            asked.push(generation.number);
            // b and c do the same.
            Ok::<_, ()>(generation.sha256 == "a")
        };
        let spans = spans(all.iter().rev(), None, does).unwrap();
        let told: Vec<_> = spans
            .iter()
            .map(|span| (span.first.number, span.last.number, span.until, span.done))
            .collect();
        let at = |number: usize| Some(all[number - 1].at);
        assert_eq!(
            told,
            [
                (5, 5, None, true),
                (2, 4, at(5), false),
                (1, 1, at(2), true)
            ]
        );
        assert_eq!(asked, [5, 4, 3]);
    }

    #[test]
    fn the_newest_ended_when_it_is_said_to_and_an_error_ends_it() {
        let all = [generation(2, "a"), generation(1, "b")];
        let until = Some(Timestamp::UNIX_EPOCH);
        let one = spans(&all[..1], until, |_| Ok::<_, ()>(1)).unwrap();
        assert_eq!((one.len(), one[0].until), (1, until));
        let mut asked = 0;
        let refused = spans(&all, None, |_| {
            asked += 1;
            Err::<(), _>("no")
        });
        assert_eq!((refused, asked), (Err("no"), 1));
    }
}
