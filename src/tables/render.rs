//! Findings as text with carets, as one line each, and as JSON.

use annotate_snippets::{AnnotationKind, Element, Group, Level, Origin, Renderer, Snippet};
use serde::{Serialize, Serializer};
use std::fmt::Write as _;

use super::diagnostic::{Diagnostic, Place, Report, Severity, is_invisible};

impl Diagnostic {
    /// The finding as an engineer reads it: the sentence, the line with a caret, the
    /// places it collides with, help. No line feed at the end.
    #[must_use]
    pub fn text(&self, color: bool) -> String {
        let renderer = if color {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let message = one_line(&self.message);
        let level = match self.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
            Severity::Info => Level::INFO,
        };
        let mut group = level
            .primary_title(message)
            .id(self.code.as_str())
            .elements(Vec::<Element<'_>>::new());
        for (index, place) in self.places.iter().enumerate() {
            let kind = if index == 0 {
                AnnotationKind::Primary
            } else {
                AnnotationKind::Context
            };
            group = with_place(group, place, kind);
        }
        if let Some(help) = &self.help {
            group = group.element(Level::HELP.message(one_line(help)));
        }
        if let Some(note) = &self.note {
            group = group.element(Level::NOTE.message(one_line(note)));
        }
        let rendered = renderer.render(&[group]);
        self.places.iter().fold(rendered, with_true_column)
    }

    /// The finding as editors and `grep` read it: `file:line:col: error T004: message`.
    #[must_use]
    pub fn short(&self) -> String {
        let mut line = String::new();
        if let Some(place) = self.place() {
            line.push_str(&one_line(&place.file));
            if !place.is_whole_file() {
                let _ = write!(line, ":{}:{}", place.line, place.column);
            }
            line.push_str(": ");
        }
        let _ = write!(
            line,
            "{} {}: {}",
            self.severity.as_str(),
            self.code.as_str(),
            one_line(&self.message)
        );
        line
    }
}

impl Report {
    /// Every finding as text with carets, a blank line between them; ends in a line
    /// feed unless empty.
    #[must_use]
    pub fn text(&self, color: bool) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text.push_str(&diagnostic.text(color));
            text.push_str("\n\n");
        }
        self.write_left_out(&mut text);
        text
    }

    /// Every finding on one line; ends in a line feed unless empty.
    #[must_use]
    pub fn short(&self) -> String {
        let mut text = String::new();
        for diagnostic in &self.diagnostics {
            text.push_str(&diagnostic.short());
            text.push('\n');
        }
        self.write_left_out(&mut text);
        text
    }

    fn write_left_out(&self, text: &mut String) {
        for (code, count) in &self.left_out {
            let _ = writeln!(
                text,
                "… and {count} more of {}: {}",
                code.as_str(),
                code.title()
            );
        }
    }
}

fn with_place<'a>(group: Group<'a>, place: &'a Place, kind: AnnotationKind) -> Group<'a> {
    let path = one_line(&place.file);
    if place.is_whole_file() {
        return group.element(Origin::path(path));
    }
    let line = visible(&place.line_text);
    let label = (!place.label.is_empty()).then(|| one_line(&place.label));
    let annotation = kind.span(byte_span(&line, place)).label(label);
    group.element(
        Snippet::source(line)
            .path(path)
            .line_start(place.line as usize)
            .annotation(annotation),
    )
}

/// The header above a line that was cut on the left: the renderer counts columns from
/// the cut, the reader of the file does not.
fn with_true_column(rendered: String, place: &Place) -> String {
    if place.text_column <= 1 {
        return rendered;
    }
    let header = |column: u32| format!("{}:{}:{column}\n", one_line(&place.file), place.line);
    let counted_from_cut = place.column - place.text_column.min(place.column) + 1;
    rendered.replacen(&header(counted_from_cut), &header(place.column), 1)
}

/// Where the place stands in its line, in bytes. `line` has the characters of
/// `place.line_text`, some of them replaced one for one.
fn byte_span(line: &str, place: &Place) -> std::ops::Range<usize> {
    let skip = place.column.saturating_sub(place.text_column.max(1)) as usize;
    let offset = |chars: usize| {
        line.char_indices()
            .nth(chars)
            .map_or(line.len(), |(at, _)| at)
    };
    offset(skip)..offset(skip.saturating_add(place.length as usize))
}

/// The line with what cannot be seen shown, one character for one, so that columns stay
/// true and no file can move the reader's cursor.
fn visible(line: &str) -> String {
    line.chars()
        .map(|c| match c {
            '\t' => ' ',
            '\u{feff}' | '\u{a0}' | '\u{3000}' | '\u{202f}' => '␣',
            c if c.is_control() || is_invisible(c) => '\u{fffd}',
            c => c,
        })
        .collect()
}

fn one_line(text: &str) -> String {
    text.chars()
        .map(|c| {
            if c == '\n' || c == '\r' || c == '\t' {
                ' '
            } else if c.is_control() {
                '\u{fffd}'
            } else {
                c
            }
        })
        .collect()
}

/// One place as JSON; a whole file has no line.
#[derive(Serialize)]
struct PlaceJson<'a> {
    file: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    column: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    length: Option<u32>,
    #[serde(skip_serializing_if = "str::is_empty")]
    label: &'a str,
}

impl<'a> PlaceJson<'a> {
    fn new(place: &'a Place) -> Self {
        let number = |n: u32| (!place.is_whole_file()).then_some(n);
        Self {
            file: &place.file,
            line: number(place.line),
            column: number(place.column),
            length: number(place.length),
            label: &place.label,
        }
    }
}

#[derive(Serialize)]
struct DiagnosticJson<'a> {
    code: &'static str,
    severity: &'static str,
    message: &'a str,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<PlaceJson<'a>>,
    related: Vec<PlaceJson<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    help: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<&'a str>,
}

/// `{"code","severity","message","file","line","column","length","label","related","help","note"}`;
/// what there is none of is left out, `related` is always a list.
impl Serialize for Diagnostic {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        DiagnosticJson {
            code: self.code.as_str(),
            severity: self.severity.as_str(),
            message: &self.message,
            place: self.place().map(PlaceJson::new),
            related: self.places.iter().skip(1).map(PlaceJson::new).collect(),
            help: self.help.as_deref(),
            note: self.note.as_deref(),
        }
        .serialize(serializer)
    }
}

/// `{"errors","warnings","diagnostics":[…],"left_out":{"T021":12}}`.
impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let left_out: std::collections::BTreeMap<&str, u64> = self
            .left_out
            .iter()
            .map(|(code, count)| (code.as_str(), *count))
            .collect();
        let mut report = serializer.serialize_struct("Report", 4)?;
        report.serialize_field("errors", &self.errors)?;
        report.serialize_field("warnings", &self.warnings)?;
        report.serialize_field("diagnostics", &self.diagnostics)?;
        report.serialize_field("left_out", &left_out)?;
        report.end()
    }
}

#[cfg(test)]
mod tests;
