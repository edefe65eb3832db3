//! Reading TOML without stopping at the first mistake.
//!
//! serde would report one mistake and leave; a table is corrected faster when all of
//! them are shown at once, each at its place. So the language is read by asking a
//! [`Reader`] for one key after the other: what is wrong is reported, what is right is
//! returned, and [`Reader::finish`] reports every key nobody asked for.

use std::fmt::Write as _;
use std::ops::{Range, RangeInclusive};

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::{Code, Diagnostic, Diagnostics, either, nearest, quoted};
use super::source::{SourceFile, Spot};
use super::toml_syntax;
use crate::limits;

/// One TOML file, parsed as far as it can be.
#[derive(Debug)]
pub struct Document<'d> {
    source: &'d SourceFile,
    diagnostics: &'d Diagnostics,
    root: Spanned<DeTable<'d>>,
    /// Lines with a syntax error: what stands there was guessed and is not judged.
    damaged_lines: Vec<u32>,
}

impl<'d> Document<'d> {
    /// Parses a file; every syntax error is reported (T003, or T008 for a key or table
    /// defined twice), and what could be understood can still be read.
    #[must_use]
    pub fn parse(source: &'d SourceFile, diagnostics: &'d Diagnostics) -> Self {
        if let Some(over) = toml_syntax::header_over_limit(source.text()) {
            return Self::unread(source, over, diagnostics);
        }
        let (root, errors) = DeTable::parse_recoverable(source.text());
        let damaged_lines = toml_syntax::report(source, root.get_ref(), &errors, diagnostics);
        Self {
            source,
            diagnostics,
            root,
            damaged_lines,
        }
    }

    /// A file that is not parsed at all (T017): it would take minutes.
    fn unread(source: &'d SourceFile, over: Range<usize>, diagnostics: &'d Diagnostics) -> Self {
        let most = limits::TOML_LATE_HEADERS_MAX;
        let message = format!("more than {most} headers stand behind those of their own parts");
        let help = "write [a] above [a.b]";
        let place = source.place(over.clone(), "");
        diagnostics.push(
            Diagnostic::error(Code::OverLimit, message)
                .at(place)
                .help(help),
        );
        let (root, _) = DeTable::parse_recoverable("");
        Self {
            source,
            diagnostics,
            root,
            damaged_lines: vec![source.line_of(over.start)],
        }
    }

    /// Whether there are syntax errors: names that seem to be missing may only be lost.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        !self.damaged_lines.is_empty()
    }

    /// Reads the keys and tables at the top of the file.
    #[must_use]
    pub fn root(&self) -> Reader<'_> {
        Reader {
            source: self.source,
            diagnostics: self.diagnostics,
            damaged_lines: &self.damaged_lines,
            table: self.root.get_ref(),
            spot: self.source.spot(0..0),
            title: String::from("the file"),
            named: false,
            asked: Vec::new(),
        }
    }
}

/// A string of a file and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text {
    /// The string, its escapes resolved.
    pub value: String,
    /// Where it stands, quotes included.
    pub spot: Spot,
    /// Where the first byte of `value` stands; unknown when the string has escapes.
    content_start: Option<u32>,
}

impl Text {
    fn new(source: &SourceFile, value: &str, range: Range<usize>) -> Self {
        let raw = source.text().get(range.clone()).unwrap_or_default();
        let inner = without_quotes(raw);
        let content_start = (inner == value)
            .then(|| inner.as_ptr().addr().wrapping_sub(raw.as_ptr().addr()))
            .map(|skipped| source.spot(range.start + skipped..range.end).start);
        Self {
            value: value.to_owned(),
            spot: source.spot(range),
            content_start,
        }
    }

    /// A string that no file holds, said to stand at `spot`.
    #[must_use]
    pub const fn implied(value: String, spot: Spot) -> Self {
        Self {
            value,
            spot,
            content_start: None,
        }
    }

    /// The string itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.value
    }

    /// Where a part of `value`, given in bytes, stands. The whole string where its
    /// escapes make that unknown.
    #[must_use]
    pub fn sub(&self, range: Range<usize>) -> Spot {
        let offset = |at: usize| u32::try_from(at.min(self.value.len())).unwrap_or(u32::MAX);
        match self.content_start {
            Some(start) => Spot {
                start: start.saturating_add(offset(range.start)),
                end: start.saturating_add(offset(range.end)),
                ..self.spot
            },
            None => self.spot,
        }
    }
}

/// What stands between the quotes of a TOML string; a bare key has none.
fn without_quotes(raw: &str) -> &str {
    for quotes in ["\"\"\"", "'''"] {
        if let Some(inner) = raw
            .strip_prefix(quotes)
            .and_then(|raw| raw.strip_suffix(quotes))
        {
            // A line end right after the opening quotes is not part of the string.
            let inner = inner
                .strip_prefix('\r')
                .filter(|rest| rest.starts_with('\n'))
                .unwrap_or(inner);
            return inner.strip_prefix('\n').unwrap_or(inner);
        }
    }
    ['"', '\'']
        .into_iter()
        .find_map(|quote| raw.strip_prefix(quote)?.strip_suffix(quote))
        .unwrap_or(raw)
}

/// Reads one table, key by key.
#[derive(Debug)]
pub struct Reader<'d> {
    source: &'d SourceFile,
    diagnostics: &'d Diagnostics,
    damaged_lines: &'d [u32],
    table: &'d DeTable<'d>,
    spot: Spot,
    /// The table as messages call it: `[trunk.pstn-lon]`.
    title: String,
    /// Whether the table is one of [`Reader::named_tables`].
    named: bool,
    asked: Vec<&'static str>,
}

type Value<'d> = &'d Spanned<DeValue<'d>>;

impl<'d> Reader<'d> {
    /// A string.
    pub fn string(&mut self, key: &'static str) -> Option<Text> {
        let value = self.value(key)?;
        self.text_of(value, key, "a string")
    }

    /// A string that must be there: T007 when it is not.
    pub fn required_string(&mut self, key: &'static str) -> Option<Text> {
        self.require(key);
        self.string(key)
    }

    /// A list of strings; an empty list is one. Items that are no strings are reported
    /// and left out.
    pub fn strings(&mut self, key: &'static str) -> Option<Vec<Text>> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Array(items) => {
                let item = |item| self.text_of(item, key, "a list of strings");
                Some(items.iter().filter_map(item).collect())
            }
            DeValue::String(one) => {
                self.wrong_type(
                    value,
                    key,
                    "a list of strings",
                    Some(format!("write [{}]", quoted(one))),
                );
                None
            }
            _ => {
                self.wrong_type(value, key, "a list of strings", None);
                None
            }
        }
    }

    /// A list of strings that must be there: T007 when it is not.
    pub fn required_strings(&mut self, key: &'static str) -> Option<Vec<Text>> {
        self.require(key);
        self.strings(key)
    }

    /// A whole number within `allowed` (T009 otherwise).
    pub fn integer(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<u64>,
    ) -> Option<(u64, Spot)> {
        let value = self.value(key)?;
        let DeValue::Integer(number) = value.get_ref() else {
            self.wrong_type(value, key, "a whole number", unquoted_help(value));
            return None;
        };
        let parsed = u64::from_str_radix(number.as_str(), number.radix()).ok();
        let found = parsed.filter(|number| allowed.contains(number));
        if found.is_none() {
            let message = format!("{key} = {number} is not allowed");
            self.not_allowed(value.span(), message, &span_of(&allowed));
        }
        Some((found?, self.source.spot(value.span())))
    }

    /// A whole number or a span of them: `4` or `"3-5"`, within `allowed`.
    pub fn integers(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<u64>,
    ) -> Option<(RangeInclusive<u64>, Spot)> {
        let value = self.value(key)?;
        let DeValue::String(text) = value.get_ref() else {
            return self
                .integer(key, allowed)
                .map(|(number, spot)| (number..=number, spot));
        };
        let found = span_from(text)
            .filter(|span| allowed.contains(span.start()) && allowed.contains(span.end()));
        if found.is_none() {
            let message = format!("{key} = {} is not allowed", quoted(text));
            let expected = format!("{} or a span such as \"3-5\" within it", span_of(&allowed));
            self.not_allowed(value.span(), message, &expected);
        }
        Some((found?, self.source.spot(value.span())))
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<(bool, Spot)> {
        let value = self.value(key)?;
        match value.get_ref() {
            DeValue::Boolean(yes) => Some((*yes, self.source.spot(value.span()))),
            _ => {
                self.wrong_type(value, key, "true or false", unquoted_help(value));
                None
            }
        }
    }

    /// A duration such as `"30s"` in milliseconds, within `allowed` milliseconds.
    pub fn duration_ms(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<u64>,
    ) -> Option<(u64, Spot)> {
        let (duration, spot) = self.duration_or(key, allowed, None)?;
        Some((duration?, spot))
    }

    /// A duration in milliseconds, or `"off"`, which is `None`.
    pub fn duration_ms_or_off(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<u64>,
    ) -> Option<(Option<u64>, Spot)> {
        self.duration_or(key, allowed, Some("off"))
    }

    fn duration_or(
        &mut self,
        key: &'static str,
        allowed: RangeInclusive<u64>,
        word: Option<&str>,
    ) -> Option<(Option<u64>, Spot)> {
        let value = self.value(key)?;
        if let DeValue::Integer(number) = value.get_ref() {
            let help = format!("write {key} = \"{number}s\" for seconds");
            self.wrong_type(value, key, "a duration in quotes", Some(help));
            return None;
        }
        let text = self.text_of(value, key, "a duration in quotes")?;
        if word == Some(text.as_str()) {
            return Some((None, text.spot));
        }
        let found = duration_ms(&text.value).filter(|duration| allowed.contains(duration));
        if found.is_none() {
            let mut expected = format!(
                "a duration from \"{}\" to \"{}\"",
                duration_text(*allowed.start()),
                duration_text(*allowed.end())
            );
            if let Some(word) = word {
                let _ = write!(expected, ", or {}", quoted(word));
            }
            let message = format!("{key} = {} is not allowed", quoted(&text.value));
            self.not_allowed(value.span(), message, &expected);
        }
        Some((Some(found?), text.spot))
    }

    /// One of a few words, each with its meaning (T009 names them all).
    pub fn one_of<T: Copy>(
        &mut self,
        key: &'static str,
        words: &[(&'static str, T)],
    ) -> Option<(T, Spot)> {
        let text = self.string(key)?;
        let found = words.iter().find(|(word, _)| *word == text.value);
        if let Some((_, meaning)) = found {
            return Some((*meaning, text.spot));
        }
        let names = || words.iter().map(|(word, _)| *word);
        let mut help = format!("allowed: {}", either(names()));
        if let Some(meant) = nearest(&text.value, names()) {
            help = format!("did you mean {}? {help}", quoted(meant));
        }
        let message = format!("{key} = {} is not allowed", quoted(&text.value));
        self.report(
            Diagnostic::error(Code::NotAllowed, message)
                .at(self.place(text.spot, ""))
                .help(help),
        );
        None
    }

    /// A table, written inline or under a header.
    pub fn table(&mut self, key: &'static str) -> Option<Self> {
        let value = self.value(key)?;
        let title = self.title_below(key);
        self.reader_of(value, key, title, "a table")
    }

    /// Tables written as `[[key]]` or as a list of inline tables; none when the key is
    /// left out.
    pub fn tables(&mut self, key: &'static str) -> Vec<Self> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Array(items) = value.get_ref() else {
            let help = value
                .get_ref()
                .is_table()
                .then(|| format!("write [[{key}]], or put it in [ ]"));
            self.wrong_type(value, key, "a list of tables", help);
            return Vec::new();
        };
        let title = format!("[[{key}]]");
        items
            .iter()
            .filter_map(|item| self.reader_of(item, key, title.clone(), "a list of tables"))
            .collect()
    }

    /// Tables written as `[key.NAME]`, each with its name; none when the key is left
    /// out. A name is letters, digits, `.`, `_` and `-`, at most 64 of them, and begins
    /// with a letter or digit (T009 otherwise; the table is still read).
    pub fn named_tables(&mut self, key: &'static str) -> Vec<(Text, Self)> {
        let Some(value) = self.value(key) else {
            return Vec::new();
        };
        let DeValue::Table(tables) = value.get_ref() else {
            let help = Some(format!("write [{key}.NAME] above the keys of each"));
            self.wrong_type(value, key, "tables with names", help);
            return Vec::new();
        };
        let mut named = Vec::with_capacity(tables.len());
        for (name, table) in tables {
            let name = Text::new(self.source, name.get_ref(), name.span());
            self.check_name(&name, key);
            let title = format!("[{key}.{}]", one_line_name(&name.value));
            if let Some(mut reader) = self.reader_of(table, key, title, "tables with names") {
                reader.named = true;
                named.push((name, reader));
            }
        }
        named
    }

    /// Whether the key is there, with whatever value.
    #[must_use]
    pub fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether the key is there and its value is a list without items.
    #[must_use]
    pub fn is_empty_list(&self, key: &str) -> bool {
        let value = self.table.get(key).map(Spanned::get_ref);
        matches!(value, Some(DeValue::Array(items)) if items.is_empty())
    }

    /// Where the table begins: its header, its braces, or the start of the file.
    #[must_use]
    pub const fn spot(&self) -> Spot {
        self.spot
    }

    /// The table as messages call it: `[trunk.pstn-lon]`.
    #[must_use]
    pub fn title(&self) -> &str {
        &self.title
    }

    /// Where a key stands.
    #[must_use]
    pub fn key_spot(&self, key: &str) -> Option<Spot> {
        self.table
            .get_key_value(key)
            .map(|(key, _)| self.source.spot(key.span()))
    }

    /// Where the value of a key stands.
    #[must_use]
    pub fn value_spot(&self, key: &str) -> Option<Spot> {
        self.table
            .get(key)
            .map(|value| self.source.spot(value.span()))
    }

    /// Line and column of a spot of this file.
    #[must_use]
    pub fn place(&self, spot: Spot, label: &str) -> super::diagnostic::Place {
        self.source.place(spot.range(), label)
    }

    /// Reports a finding about this table.
    pub fn report(&self, diagnostic: Diagnostic) {
        let guessed = diagnostic.place().is_some_and(|place| {
            place.file == self.source.name()
                && self.damaged_lines.binary_search(&place.line).is_ok()
        });
        // A key that seems to be missing may stand in a line that was not understood.
        let lost = diagnostic.code == Code::MissingKey && !self.damaged_lines.is_empty();
        if !guessed && !lost {
            self.diagnostics.push(diagnostic);
        }
    }

    /// Reports T007 unless the key is there.
    pub fn require(&self, key: &str) {
        if !self.has(key) {
            self.report(
                Diagnostic::error(
                    Code::MissingKey,
                    format!("{} has no {}", self.title, quoted(key)),
                )
                .at(self.place(self.spot, "")),
            );
        }
    }

    /// Reports every key nobody asked for (T005). Call it last.
    pub fn finish(self) {
        for (key, value) in self.table {
            if self.asked.iter().any(|asked| *asked == key.get_ref()) {
                continue;
            }
            let name = key.get_ref();
            let message = format!("unknown key {} in {}", quoted(name), self.title);
            self.report(
                Diagnostic::error(Code::UnknownKey, message)
                    .at(self.source.place(key.span(), ""))
                    .help(self.help_for_unknown(name, value.get_ref())),
            );
        }
    }

    fn help_for_unknown(&self, name: &str, value: &DeValue<'_>) -> String {
        if let Some(meant) = nearest(name, self.asked.iter().copied()) {
            return format!("did you mean {}?", quoted(meant));
        }
        if self.named && value.is_table() {
            return String::from("a name with a dot is written in quotes: [trunk.\"london.1\"]");
        }
        if self.asked.is_empty() {
            return String::from("no keys are known here");
        }
        format!("known keys: {}", self.asked.join(", "))
    }

    fn value(&mut self, key: &'static str) -> Option<Value<'d>> {
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        self.table.get(key)
    }

    fn text_of(&self, value: Value<'d>, key: &str, expected: &str) -> Option<Text> {
        match value.get_ref() {
            DeValue::String(text) => Some(Text::new(self.source, text, value.span())),
            _ => {
                self.wrong_type(value, key, expected, quoted_help(value));
                None
            }
        }
    }

    fn reader_of(
        &self,
        value: Value<'d>,
        key: &str,
        title: String,
        expected: &str,
    ) -> Option<Self> {
        let DeValue::Table(table) = value.get_ref() else {
            self.wrong_type(value, key, expected, None);
            return None;
        };
        Some(Self {
            source: self.source,
            diagnostics: self.diagnostics,
            damaged_lines: self.damaged_lines,
            table,
            spot: self.source.spot(value.span()),
            title,
            named: false,
            asked: Vec::new(),
        })
    }

    fn title_below(&self, key: &str) -> String {
        match self
            .title
            .strip_prefix('[')
            .and_then(|title| title.strip_suffix(']'))
        {
            Some(title) if !title.starts_with('[') => format!("[{title}.{key}]"),
            Some(_) => format!("{key} of {}", self.title),
            None => format!("[{key}]"),
        }
    }

    fn wrong_type(&self, value: Value<'d>, key: &str, expected: &str, help: Option<String>) {
        let found = type_name(value.get_ref());
        self.report(
            Diagnostic::error(
                Code::WrongType,
                format!("{key} must be {expected}, not {found}"),
            )
            .at(self.source.place(value.span(), ""))
            .maybe_help(help),
        );
    }

    fn not_allowed(&self, range: Range<usize>, message: String, allowed: &str) {
        self.report(
            Diagnostic::error(Code::NotAllowed, message)
                .at(self.source.place(range, ""))
                .help(format!("allowed: {allowed}")),
        );
    }

    fn check_name(&self, name: &Text, key: &str) {
        let Some(wrong) = wrong_in_name(&name.value) else {
            return;
        };
        let message = format!(
            "{} cannot be the name of a {key}: {wrong}",
            quoted(&name.value)
        );
        self.report(
            Diagnostic::error(Code::NotAllowed, message).at(self.place(name.spot, "")).help(
                "a name is letters, digits, \".\", \"_\" and \"-\", and begins with a letter or digit",
            ),
        );
    }
}

const NAME_BYTES_MAX: usize = 64;

fn wrong_in_name(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() {
        Some(String::from("it is empty"))
    } else if name.len() > NAME_BYTES_MAX {
        Some(format!("it is longer than {NAME_BYTES_MAX} characters"))
    } else if let Some(wrong) = name.chars().find(|c| !allowed(*c)) {
        Some(format!(
            "{} stands in it",
            quoted(wrong.encode_utf8(&mut [0; 4]))
        ))
    } else if !name.starts_with(|c: char| c.is_ascii_alphanumeric()) {
        Some(String::from("it does not begin with a letter or digit"))
    } else {
        None
    }
}

/// A name for a title: quoted unless it is one that TOML lets stand bare.
fn one_line_name(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) {
        name.to_owned()
    } else {
        quoted(name)
    }
}

const fn type_name(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::String(_) => "a string",
        DeValue::Integer(_) => "a number",
        DeValue::Float(_) => "a number with a point",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    }
}

/// What to write where a string is wanted and something plain stands.
fn quoted_help(value: Value<'_>) -> Option<String> {
    match value.get_ref() {
        DeValue::Integer(number) if number.radix() == 10 => {
            Some(format!("write \"{}\" in quotes", number.as_str()))
        }
        DeValue::Datetime(date) => Some(format!("write \"{date}\" in quotes")),
        DeValue::Boolean(yes) => Some(format!("write \"{yes}\" in quotes")),
        DeValue::Array(items) if items.len() == 1 => Some(String::from("write it without [ ]")),
        _ => None,
    }
}

/// What to write where a number, `true` or `false` is wanted and a string stands.
fn unquoted_help(value: Value<'_>) -> Option<String> {
    let text = value.get_ref().as_str()?;
    let plain = text == "true" || text == "false" || text.parse::<u64>().is_ok();
    plain.then(|| format!("write {text} without quotes"))
}

fn span_of(allowed: &RangeInclusive<u64>) -> String {
    match (*allowed.start(), *allowed.end()) {
        (0, u64::MAX) => String::from("a whole number"),
        (least, u64::MAX) => format!("a whole number from {least} on"),
        (least, most) => format!("a whole number from {least} to {most}"),
    }
}

fn span_from(text: &str) -> Option<RangeInclusive<u64>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (decimal(first.trim())?, decimal(last.trim())?);
    (first <= last).then_some(first..=last)
}

/// ASCII digits only: `parse` alone would take `+5`.
fn decimal(text: &str) -> Option<u64> {
    text.bytes()
        .all(|byte| byte.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// Milliseconds of `"500ms"`, `"30s"`, `"2m"` or `"1h"`. `None` for anything else and
/// for what does not fit 64 bits.
#[must_use]
pub fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at_checked(digits)?;
    let unit_ms = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

/// Milliseconds as the language writes them, in the largest unit that divides them.
#[must_use]
pub fn duration_text(duration_ms: u64) -> String {
    let units = [(3_600_000, "h"), (60_000, "m"), (1_000, "s")];
    let fits = units
        .iter()
        .find(|(unit_ms, _)| duration_ms > 0 && duration_ms.is_multiple_of(*unit_ms));
    match fits {
        Some((unit_ms, unit)) => format!("{}{unit}", duration_ms / unit_ms),
        None if duration_ms == 0 => String::from("0s"),
        None => format!("{duration_ms}ms"),
    }
}

#[cfg(test)]
mod tests;
