//! Which sets of text patterns a host or a label can fit together, and a text for each.
//!
//! All patterns are read at once, symbol by symbol, like one automaton: the states that can
//! be reached are all there are, so what is not among them fits no text.

use std::collections::{BTreeSet, VecDeque};

use super::TooComplex;
use crate::limits::PLAN_TEXT_STATES_MAX;
use crate::routing::text_pattern::TextPattern;

/// A text for every set of these patterns that a text can fit; the shortest each, the
/// empty text first.
pub(super) fn texts<'p>(
    patterns: impl Iterator<Item = &'p TextPattern>,
) -> Result<Vec<Vec<u8>>, TooComplex> {
    let distinct: BTreeSet<(bool, &[u8], bool)> = patterns.map(TextPattern::parts).collect();
    let automata: Vec<Automaton<'_>> = distinct.iter().map(Automaton::of).collect();
    let alphabet = alphabet(&distinct);
    let start: Vec<u32> = vec![0; automata.len()];
    let mut seen = BTreeSet::from([start.clone()]);
    let mut found: BTreeSet<Vec<bool>> = BTreeSet::new();
    let mut order = Vec::new();
    let mut queue = VecDeque::from([(start, Vec::new())]);
    while let Some((state, text)) = queue.pop_front() {
        let fits: Vec<bool> = automata
            .iter()
            .zip(&state)
            .map(|(automaton, at)| automaton.accepts(*at))
            .collect();
        if found.insert(fits) {
            order.push(text.clone());
        }
        for byte in &alphabet {
            let next: Vec<u32> = automata
                .iter()
                .zip(&state)
                .map(|(automaton, at)| automaton.step(*at, *byte))
                .collect();
            if seen.contains(&next) {
                continue;
            }
            if seen.len() >= PLAN_TEXT_STATES_MAX {
                return Err(TooComplex::Texts);
            }
            seen.insert(next.clone());
            let mut longer = text.clone();
            longer.push(*byte);
            queue.push_back((next, longer));
        }
    }
    Ok(order)
}

/// The bytes that patterns tell apart, and one that stands for all others.
fn alphabet(patterns: &BTreeSet<(bool, &[u8], bool)>) -> Vec<u8> {
    let used: BTreeSet<u8> = patterns
        .iter()
        .flat_map(|(_, text, _)| text.iter().copied())
        .collect();
    let letters = (b'a'..=b'z').rev().chain(b'0'..=b'9').chain([b'-', b'.']);
    let other = letters.chain(0..=u8::MAX).find(|byte| {
        let folded = byte.to_ascii_lowercase();
        !used.contains(&folded)
    });
    // The most telling first, so that examples are made of what patterns name.
    used.iter().copied().chain(other).collect()
}

/// One pattern: how much of it has been read. Where no text may stand in front, one state
/// more is that it can no longer fit; where any may, a failure falls back as far as needed.
struct Automaton<'p> {
    open_start: bool,
    text: &'p [u8],
    open_end: bool,
    /// For each count of matched bytes the longest shorter one that still matches.
    back: Vec<usize>,
}

const LOST: u32 = u32::MAX;

impl<'p> Automaton<'p> {
    fn of((open_start, text, open_end): &(bool, &'p [u8], bool)) -> Self {
        let mut back = vec![0; text.len() + 1];
        let mut matched = 0;
        for (at, byte) in text.iter().enumerate().skip(1) {
            while matched > 0 && text.get(matched) != Some(byte) {
                matched = back.get(matched).copied().unwrap_or(0);
            }
            if text.get(matched) == Some(byte) {
                matched += 1;
            }
            if let Some(slot) = back.get_mut(at + 1) {
                *slot = matched;
            }
        }
        Self {
            open_start: *open_start,
            text,
            open_end: *open_end,
            back,
        }
    }

    fn is_whole(&self, at: u32) -> bool {
        at as usize == self.text.len()
    }

    fn accepts(&self, at: u32) -> bool {
        self.is_whole(at)
    }

    fn step(&self, at: u32, byte: u8) -> u32 {
        if at == LOST || (self.open_end && self.is_whole(at)) {
            return at;
        }
        let mut at = at as usize;
        loop {
            if self.text.get(at) == Some(&byte) {
                return at as u32 + 1;
            }
            if !self.open_start {
                return LOST;
            }
            if at == 0 {
                return 0;
            }
            at = self.back.get(at).copied().unwrap_or(0);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use proptest::prelude::*;

    fn parsed(texts: &[String]) -> Vec<TextPattern> {
        texts
            .iter()
            .map(|text| TextPattern::parse(text).unwrap())
            .collect()
    }

    fn fits(patterns: &[TextPattern], text: &[u8]) -> Vec<bool> {
        patterns
            .iter()
            .map(|pattern| pattern.matches(text))
            .collect()
    }

    #[test]
    fn every_set_of_patterns_and_no_other() {
        let patterns = parsed(&["*.net".into(), "sbc*".into(), "a.net".into()]);
        let texts = texts(patterns.iter()).unwrap();
        let sets: BTreeSet<Vec<bool>> = texts.iter().map(|text| fits(&patterns, text)).collect();
        assert_eq!(sets.len(), texts.len(), "each once");
        // Nothing, one each, both ends, and `a.net`, which always ends with `.net`.
        assert_eq!(texts.len(), 5, "{texts:?}");
    }

    #[test]
    fn too_many_are_refused() {
        let many: Vec<String> = (b'a'..=b'z').map(|c| format!("*{}*", c as char)).collect();
        assert!(texts(parsed(&many).iter()).is_err());
    }

    proptest! {
        /// What any short text fits is fitted by one of the texts.
        #[test]
        fn equals_trying_every_text(
            written in prop::collection::vec("\\*?[abB]{1,3}\\*?", 0..5),
        ) {
            let patterns = parsed(&written);
            let sets: BTreeSet<Vec<bool>> = texts(patterns.iter())
                .unwrap()
                .iter()
                .map(|text| fits(&patterns, text))
                .collect();
            let mut tried: Vec<Vec<u8>> = vec![Vec::new()];
            let mut all = BTreeSet::new();
            for _ in 0..=6 {
                all.extend(tried.iter().map(|text| fits(&patterns, text)));
                tried = tried
                    .iter()
                    .flat_map(|text| b"abx".iter().map(|c| [text, &[*c][..]].concat()))
                    .collect();
            }
            prop_assert!(all.is_subset(&sets), "{:?}", all);
            // A text may have to be longer than those tried to fit many at once.
            if written.len() <= 2 {
                prop_assert_eq!(all, sets);
            }
        }
    }
}
