//! Patterns for host names, header values and trunk group labels.

/// A text with at most one `*` at its start and one at its end; case does not matter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TextPattern {
    text: Box<[u8]>,
    open_start: bool,
    open_end: bool,
}

impl TextPattern {
    /// Reads a pattern. `None` when a `*` stands inside or the pattern is empty.
    #[must_use]
    pub fn parse(pattern: &str) -> Option<Self> {
        let open_start = pattern.starts_with('*');
        let rest = pattern.strip_prefix('*').unwrap_or(pattern);
        let open_end = rest.ends_with('*') || (open_start && rest.is_empty());
        let text = rest.strip_suffix('*').unwrap_or(rest);
        if text.contains('*') || pattern.is_empty() {
            return None;
        }
        Some(Self {
            text: text.to_ascii_lowercase().into_bytes().into(),
            open_start,
            open_end,
        })
    }

    /// Whether any text may stand before and behind, and the text between, in lower case.
    #[must_use]
    pub fn parts(&self) -> (bool, &[u8], bool) {
        (self.open_start, &self.text, self.open_end)
    }

    /// Whether the pattern fits. Does not allocate.
    #[must_use]
    pub fn matches(&self, value: &[u8]) -> bool {
        let length = self.text.len();
        match (self.open_start, self.open_end) {
            (false, false) => value.eq_ignore_ascii_case(&self.text),
            (false, true) => value
                .get(..length)
                .is_some_and(|head| head.eq_ignore_ascii_case(&self.text)),
            (true, false) => value
                .len()
                .checked_sub(length)
                .and_then(|start| value.get(start..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(&self.text)),
            (true, true) => {
                length == 0
                    || value
                        .windows(length)
                        .any(|w| w.eq_ignore_ascii_case(&self.text))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::TextPattern;

    #[test]
    fn stars_stand_for_any_text_at_either_end() {
        let cases = [
            ("sbc.example", "SBC.example", true),
            ("sbc.example", "sbc.example.net", false),
            (
                "*.pstnhub.microsoft.com",
                "sip-du-a-eu.PSTNHUB.microsoft.com",
                true,
            ),
            ("*.pstnhub.microsoft.com", "pstnhub.microsoft.com", false),
            ("gen-*", "GEN-07", true),
            ("gen-*", "ge", false),
            ("*byoc*", "x.byoc.y", true),
            ("*", "", true),
            ("*", "anything", true),
        ];
        for (pattern, value, expected) in cases {
            let parsed = TextPattern::parse(pattern).expect(pattern);
            assert_eq!(
                parsed.matches(value.as_bytes()),
                expected,
                "{pattern} on {value}"
            );
        }
        assert_eq!(TextPattern::parse("a*b"), None);
        assert_eq!(TextPattern::parse(""), None);
    }
}
