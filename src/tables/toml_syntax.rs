//! Syntax errors of a TOML file as findings.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hasher as _};
use std::ops::Range;

use toml::de::{DeTable, DeValue, Error};

use super::diagnostic::{Code, Diagnostic, Diagnostics, Severity, quoted};
use super::source::SourceFile;
use crate::limits::TOML_LATE_HEADERS_MAX;

/// Reports every error and returns the lines they stand in, sorted.
pub(super) fn report(
    source: &SourceFile,
    root: &DeTable<'_>,
    errors: &[Error],
    diagnostics: &Diagnostics,
) -> Vec<u32> {
    let mut lines = Vec::with_capacity(errors.len());
    let mut first_places = None;
    let mut last_seen = None;
    let mut line = Line {
        offset: 0,
        number: 1,
    };
    let unclosed = Unclosed::find(source, root, errors);
    let mut told_unclosed = false;
    let mut shadow = 0..0;
    for error in errors {
        let range = error.span().unwrap_or(0..0);
        let seen = Some((range.clone(), error.message()));
        // The parser repeats itself where a header cannot be entered.
        if seen == last_seen {
            continue;
        }
        last_seen = seen;
        lines.push(line.at(source, range.start));
        if let Some(unclosed) = &unclosed
            && unclosed.explains(&range)
        {
            if !std::mem::replace(&mut told_unclosed, true) {
                lines.push(unclosed.line);
                diagnostics.push_with(Code::TomlSyntax, Severity::Error, || {
                    unclosed.diagnostic(source)
                });
            }
            continue;
        }
        let twice = error.message() == "duplicate key";
        // The keys of a table that is there twice are there twice for that reason.
        if twice && shadow.contains(&range.start) {
            continue;
        }
        if twice && header_around(source.text(), &range).is_some() {
            shadow = range.end..next_header(source.text(), range.end);
        }
        let code = if twice {
            Code::DefinedTwice
        } else {
            Code::TomlSyntax
        };
        diagnostics.push_with(code, Severity::Error, || {
            if twice {
                let firsts = first_places.get_or_insert_with(|| FirstPlaces::find(source, root));
                defined_twice(source, range, firsts)
            } else {
                syntax_error(source, range, error.message())
            }
        });
    }
    lines.sort_unstable();
    lines.dedup();
    lines
}

/// The header that is one too many of those that stand behind the headers of their own
/// parts, as `[a]` behind `[a.b]`: the parser moves all its tables for each of them.
/// Lines of a long string that look like headers are counted too.
pub(super) fn header_over_limit(text: &str) -> Option<Range<usize>> {
    let mut parents = HashSet::new();
    let mut late = 0;
    let mut start = 0;
    for line in text.split_inclusive('\n') {
        let at = start + line.len() - line.trim_start().len();
        start += line.len();
        let Some(header) = header_of(line) else {
            continue;
        };
        let mut name = DefaultHasher::new();
        for byte in header.bytes().filter(|byte| !b" \t\"'[]".contains(byte)) {
            if byte == b'.' {
                parents.insert(name.finish());
            }
            name.write_u8(byte);
        }
        late += usize::from(parents.remove(&name.finish()));
        if late > TOML_LATE_HEADERS_MAX {
            return Some(at..at + header.len());
        }
    }
    None
}

/// Errors come mostly in order: counting on from the last one keeps a file with an
/// error in every line from being counted through again and again.
struct Line {
    offset: usize,
    number: u32,
}

impl Line {
    fn at(&mut self, source: &SourceFile, offset: usize) -> u32 {
        let passed = source.text().as_bytes().get(self.offset..offset);
        self.number = match passed {
            Some(passed) => {
                let feeds = memchr::memchr_iter(b'\n', passed).count();
                self.number
                    .saturating_add(u32::try_from(feeds).unwrap_or(u32::MAX))
            }
            None => source.line_of(offset),
        };
        self.offset = offset.min(source.text().len());
        self.number
    }
}

/// A list whose bracket is never closed takes in the rest of the file, and the parser has
/// something to say about every line of it.
struct Unclosed {
    /// The list, from its bracket to the end of the file.
    list: Range<usize>,
    line: u32,
}

impl Unclosed {
    /// The outermost of such lists.
    fn find(source: &SourceFile, root: &DeTable<'_>, errors: &[Error]) -> Option<Self> {
        let unclosed = errors
            .iter()
            .find(|error| error.message().starts_with("unclosed array"))?;
        let end = unclosed.span()?.start;
        let start = outermost_list(root, end)?;
        Some(Self {
            list: start..source.text().len(),
            line: source.line_of(start),
        })
    }

    fn explains(&self, range: &Range<usize>) -> bool {
        self.list.contains(&range.start) || range.start >= self.list.end
    }

    fn diagnostic(&self, source: &SourceFile) -> Diagnostic {
        let bracket = self.list.start..self.list.start + 1;
        Diagnostic::error(Code::TomlSyntax, "not TOML: this list is never closed")
            .at(source.place(bracket, "opened here"))
            .help("write ] where the list ends")
    }
}

/// Where the outermost list begins that reaches to `end`.
fn outermost_list(table: &DeTable<'_>, end: usize) -> Option<usize> {
    table.iter().find_map(|(_, value)| match value.get_ref() {
        DeValue::Array(_) if value.span().contains(&end) || value.span().end == end => {
            Some(value.span().start)
        }
        DeValue::Array(items) => items
            .iter()
            .filter_map(|item| item.get_ref().as_table())
            .find_map(|table| outermost_list(table, end)),
        DeValue::Table(below) => outermost_list(below, end),
        _ => None,
    })
}

fn next_header(text: &str, from: usize) -> usize {
    let rest = text.get(from..).unwrap_or_default();
    rest.find("\n[").map_or(text.len(), |at| from + at + 1)
}

fn syntax_error(source: &SourceFile, range: Range<usize>, message: &str) -> Diagnostic {
    let value = source.text().get(range.clone()).unwrap_or_default();
    let place = source.place(range, "");
    let error = |what: &str| Diagnostic::error(Code::TomlSyntax, format!("not TOML: {what}"));
    // The parser guesses what a bare word was meant to be; mostly it was a text.
    let guessed = [
        "string values must be quoted",
        "invalid boolean",
        "invalid float",
    ];
    let bare_word = value.starts_with(|c: char| c.is_ascii_alphabetic());
    if bare_word && guessed.iter().any(|guess| message.starts_with(guess)) {
        return error("a text stands without quotes")
            .at(place)
            .help(format!("put it in quotes: {}", quoted(value)));
    }
    let unclosed = ["invalid basic string", "invalid literal string"];
    if unclosed.iter().any(|what| message.starts_with(what)) && message.contains("expected") {
        return error("a quote is not closed").at(place);
    }
    error(message).at(place)
}

fn defined_twice(source: &SourceFile, range: Range<usize>, firsts: &FirstPlaces<'_>) -> Diagnostic {
    let name = source.text().get(range.clone()).unwrap_or_default();
    let first = firsts.of(source.text(), &range);
    let what = header_around(source.text(), &range).unwrap_or(name);
    let diagnostic = Diagnostic::error(
        Code::DefinedTwice,
        format!("{} is defined twice", shown(what)),
    )
    .at(source.place(range, "defined again here"));
    match first {
        Some(first) => diagnostic.at(source.place(first, "first defined here")),
        None => diagnostic,
    }
}

fn shown(what: &str) -> String {
    if what.starts_with('[') {
        what.to_owned()
    } else {
        quoted(what)
    }
}

/// Where tables and keys were first defined. The parser drops that, so it is found
/// again: headers in the text, keys in the tree. Made once a file, and only for a file
/// in which something is defined twice.
struct FirstPlaces<'s> {
    /// Headers without white space, with where each stands, in order.
    headers: HashMap<String, Vec<Range<usize>>>,
    /// Keys with where each stands and the inline table it stands in.
    keys: HashMap<&'s str, Vec<KeyPlace>>,
}

/// Where a key stands, and the inline table around it.
type KeyPlace = (Range<usize>, Option<Range<usize>>);

impl<'s> FirstPlaces<'s> {
    fn find(source: &SourceFile, root: &'s DeTable<'_>) -> Self {
        let mut found = Self {
            headers: HashMap::new(),
            keys: HashMap::new(),
        };
        let mut strings = Vec::new();
        found.collect_keys(source.text(), root, None, &mut strings);
        strings.sort_unstable_by_key(|range: &Range<usize>| range.start);
        found.collect_headers(source.text(), &strings);
        found
    }

    /// Depth is bounded by the parser, which refuses to nest deeper than 80.
    fn collect_keys(
        &mut self,
        text: &str,
        table: &'s DeTable<'_>,
        inline: Option<&Range<usize>>,
        strings: &mut Vec<Range<usize>>,
    ) {
        for (key, value) in table {
            let stands = (key.span(), inline.cloned());
            self.keys.entry(key.get_ref()).or_default().push(stands);
            self.collect_value(text, value.get_ref(), value.span(), inline, strings);
        }
    }

    fn collect_value(
        &mut self,
        text: &str,
        value: &'s DeValue<'_>,
        span: Range<usize>,
        inline: Option<&Range<usize>>,
        strings: &mut Vec<Range<usize>>,
    ) {
        match value {
            DeValue::Table(below) => {
                let braces = text
                    .get(span.clone())
                    .is_some_and(|raw| raw.starts_with('{'));
                let inline = if braces { Some(&span) } else { inline };
                self.collect_keys(text, below, inline, strings);
            }
            DeValue::Array(items) => {
                for item in items.iter() {
                    self.collect_value(text, item.get_ref(), item.span(), inline, strings);
                }
            }
            DeValue::String(_) => strings.push(span),
            _ => {}
        }
    }

    fn collect_headers(&mut self, text: &str, strings: &[Range<usize>]) {
        let mut start = 0;
        for line in text.split_inclusive('\n') {
            let indent = line.len() - line.trim_start().len();
            let at = start + indent;
            start += line.len();
            let Some(header) = header_of(line) else {
                continue;
            };
            let range = at..at + header.len();
            // A line of a long string may look like a header.
            let next = strings.partition_point(|string| string.start < range.start);
            let before = next.checked_sub(1).and_then(|last| strings.get(last));
            if before.is_none_or(|string| string.end <= range.start) {
                self.headers
                    .entry(squeezed(header))
                    .or_default()
                    .push(range);
            }
        }
    }

    /// Where what is defined again at `range` was defined first.
    fn of(&self, text: &str, range: &Range<usize>) -> Option<Range<usize>> {
        if let Some(header) = header_around(text, range) {
            let first = self.headers.get(&squeezed(header))?.first()?;
            return (first.end <= range.start).then(|| first.clone());
        }
        if stands_behind(text, range.start, &['.']) {
            // Which table a dotted key belongs to is not told here.
            return None;
        }
        let name = text.get(range.clone())?.trim_matches(['"', '\'']);
        let mut earlier = self.keys.get(name)?.iter().filter(|(key, inline)| {
            key.end <= range.start
                && inline
                    .as_ref()
                    .is_none_or(|braces| braces.contains(&range.start))
                && !stands_behind(text, key.start, &['.', '['])
        });
        earlier.next_back().map(|(key, _)| key.clone())
    }
}

fn stands_behind(text: &str, at: usize, marks: &[char]) -> bool {
    text.get(..at)
        .is_some_and(|before| before.trim_end_matches([' ', '\t']).ends_with(marks))
}

/// The header that a key at `range` stands in.
fn header_around<'t>(text: &'t str, range: &Range<usize>) -> Option<&'t str> {
    // No further back: a line may be as long as a file, and have as many errors.
    let window = range.start.saturating_sub(HEADER_BYTES_MAX);
    let before = text.as_bytes().get(window..range.start)?;
    let start = match memchr::memrchr(b'\n', before) {
        Some(feed) => window + feed + 1,
        None if window == 0 => 0,
        None => return None,
    };
    let before = text.get(start..range.start)?;
    if before.contains('=') || !before.trim_start().starts_with('[') {
        return None;
    }
    header_of(text.get(start..)?.lines().next()?)
}

/// A longer header is taken for something else.
const HEADER_BYTES_MAX: usize = 1 << 10;

/// `[a.b]` or `[[a]]` of a line that is a header.
fn header_of(line: &str) -> Option<&str> {
    let line = line.trim();
    let end = line.starts_with('[').then(|| line.rfind(']'))??;
    line.get(..=end)
}

fn squeezed(header: &str) -> String {
    header
        .chars()
        .filter(|c| !matches!(c, ' ' | '\t' | '"' | '\''))
        .collect()
}
