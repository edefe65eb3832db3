//! The files of a table as they are to be written: blanks, order of nothing, no word changed.

use crate::tables::pattern::Pattern;
use crate::tables::sheet::Sheet;

/// Keys up to this length have their values in one column.
const ALIGNED_KEY_MAX: usize = 14;

/// A TOML file with one blank around `=`, values of neighbouring keys in one column, a blank
/// line in front of each header and no blanks at the ends of lines. Comments, order and what
/// stands between quotes stay.
#[must_use]
pub fn toml(text: &str) -> String {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines: Vec<Line<'_>> = Vec::new();
    let mut inside = Inside::default();
    for raw in text.lines() {
        let is_inside = inside.is_open();
        let was_quoted = inside.quotes.is_some();
        inside.read(raw);
        lines.push(match is_inside {
            // Blanks in a text of several lines are part of it.
            _ if was_quoted || inside.quotes.is_some() => Line::Kept(raw),
            true => Line::Kept(raw.trim_end()),
            false => Line::of(raw.trim()),
        });
    }
    let mut written = String::with_capacity(text.len());
    let mut run = 0..0;
    for (at, line) in lines.iter().enumerate() {
        if !run.contains(&at) {
            let more = lines.iter().skip(at);
            let more = more.take_while(|line| !matches!(line, Line::Blank | Line::Header(_)));
            run = at..at + more.count();
        }
        let width = lines.get(run.clone()).unwrap_or_default().iter();
        let width = width.filter_map(Line::aligned_key).max().unwrap_or(0);
        match line {
            Line::Blank if written.is_empty() || written.ends_with("\n\n") => continue,
            Line::Header(_)
                if at > 0 && !written.ends_with("\n\n") && !comment_above(&lines, at) =>
            {
                written.push('\n');
            }
            _ => {}
        }
        match line {
            Line::Blank => {}
            Line::Header(text) | Line::Other(text) | Line::Kept(text) => written.push_str(text),
            Line::Pair(key, value) => {
                written.push_str(&format!("{key:<width$} = {value}"));
            }
        }
        written.push('\n');
    }
    let end = written.trim_end_matches('\n').len();
    written.truncate(end);
    if !written.is_empty() {
        written.push('\n');
    }
    written
}

/// Whether what stands above a header belongs to it.
fn comment_above(lines: &[Line<'_>], at: usize) -> bool {
    let above = at.checked_sub(1).and_then(|above| lines.get(above));
    matches!(above, Some(Line::Other(text)) if text.starts_with('#'))
}

enum Line<'t> {
    Blank,
    Header(&'t str),
    Pair(&'t str, &'t str),
    /// In the middle of a value.
    Kept(&'t str),
    Other(&'t str),
}

impl<'t> Line<'t> {
    fn of(text: &'t str) -> Self {
        let key = text
            .split_once('=')
            .map(|(key, value)| (key.trim(), value.trim()));
        let is_key = |key: &str| {
            let symbol = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
            !key.is_empty() && key.chars().all(symbol)
        };
        match (text, key) {
            ("", _) => Self::Blank,
            (text, _) if text.starts_with('[') => Self::Header(text),
            (_, Some((key, value))) if is_key(key) => Self::Pair(key, value),
            (text, _) => Self::Other(text),
        }
    }

    fn aligned_key(&self) -> Option<usize> {
        match self {
            Self::Pair(key, _) => Some(key.len()).filter(|length| *length <= ALIGNED_KEY_MAX),
            _ => None,
        }
    }
}

/// Whether a value goes on in the next line: a list, or a text between three quotes.
#[derive(Default)]
struct Inside {
    brackets: usize,
    /// The three quotes that end it.
    quotes: Option<&'static str>,
}

impl Inside {
    const fn is_open(&self) -> bool {
        self.brackets > 0 || self.quotes.is_some()
    }

    fn read(&mut self, line: &str) {
        // A header has brackets too, and closes them.
        let mut rest = line;
        while let Some(symbol) = rest.chars().next() {
            if let Some(end) = self.quotes {
                match rest.find(end) {
                    Some(at) => rest = rest.get(at + end.len()..).unwrap_or_default(),
                    None => return,
                }
                self.quotes = None;
                continue;
            }
            let three = ["\"\"\"", "'''"]
                .into_iter()
                .find(|three| rest.starts_with(three));
            if let Some(three) = three {
                self.quotes = Some(three);
                rest = rest.get(3..).unwrap_or_default();
                continue;
            }
            rest = rest.get(symbol.len_utf8()..).unwrap_or_default();
            match symbol {
                '#' => return,
                '[' | '{' => self.brackets += 1,
                ']' | '}' => self.brackets = self.brackets.saturating_sub(1),
                '"' | '\'' => rest = behind_quote(rest, symbol),
                _ => {}
            }
        }
    }
}

/// What stands behind a text in quotes, of which the first was read.
fn behind_quote(text: &str, quote: char) -> &str {
    let mut escaped = false;
    for (at, symbol) in text.char_indices() {
        match symbol {
            _ if escaped => escaped = false,
            '\\' if quote == '"' => escaped = true,
            symbol if symbol == quote => return text.get(at + 1..).unwrap_or_default(),
            _ => {}
        }
    }
    ""
}

/// A CSV list with numbers written plainly and no blanks or quotes that mean nothing. Comments,
/// order, columns and delimiter stay.
#[must_use]
pub fn csv(text: &str) -> String {
    let sheet = Sheet::read(text);
    let number = sheet.column("number");
    let mut written = String::with_capacity(text.len());
    let mut done = text.len() - text.trim_start_matches('\u{feff}').len();
    for row in sheet.rows() {
        written.push_str(text.get(done..row.range.start).unwrap_or_default());
        done = row.range.end;
        let columns = sheet.columns().len();
        let known = (0..columns).map(|at| {
            let value = sheet.value(row, Some(at));
            match Pattern::parse(&value) {
                Ok(pattern) if number == Some(at) => pattern.to_string(),
                _ => sheet.quoted(&value),
            }
        });
        let known: Vec<String> = known.collect();
        // What stands behind the last column is no part of it, and is kept as it is.
        match sheet.cell(row, columns) {
            Some(_) => written.push_str(text.get(row.range.clone()).unwrap_or_default()),
            None => written.push_str(&known.join(&sheet.delimiter().to_string())),
        }
    }
    written.push_str(text.get(done..).unwrap_or_default());
    let lines: Vec<&str> = written.lines().map(str::trim_end).collect();
    let mut written = lines.join("\n");
    if !written.is_empty() && !written.ends_with('\n') {
        written.push('\n');
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_changes_and_what_does_not() {
        let text = "\u{feff}# head\r\n\r\n\r\n[trunk.a]   # why\r\naddress=\"sip:a=b\"\r\nweight   =  3 # x\r\n# of b\r\n[trunk.b]\r\naddress = \"\"\"x  \r\n  y = 1  \"\"\"\r\nalternative_routing = [ # l  \r\n  \"a\",  \r\n]\r\nmax=1\r\n\r\n";
        assert_eq!(
            toml(text),
            "# head\n\n[trunk.a]   # why\naddress = \"sip:a=b\"\nweight  = 3 # x\n# of b\n[trunk.b]\naddress = \"\"\"x  \n  y = 1  \"\"\"\nalternative_routing = [ # l\n  \"a\",\n]\nmax = 1\n"
        );
        let list = "# of us\nnumber; trunk_group;comment\n+44 20 7946-0100 ; \"teams\";\"Alice; A\"\n\n+44207 to  +44209;x ;\n";
        assert_eq!(
            csv(list),
            "# of us\nnumber; trunk_group;comment\n+442079460100;teams;\"Alice; A\"\n\n+44207 to +44209;x;\n"
        );
    }

    proptest! {
        /// The values stay, and a neat text is neat.
        #[test]
        fn values_stay(text in "(\\[[ab]\\]|[cd] ?= ?(\"x ?\"|1|\\[\n?1, # ]\n? 2\\])|# y|  |\n){0,12}") {
            let neat = toml(&text);
            prop_assert_eq!(toml(&neat), &*neat);
            let [was, is] = [&*text, &*neat].map(|text| text.parse::<::toml::Table>().ok());
            prop_assert!(was.is_none() || was == is, "{}", neat);
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,60}") {
            let _ = (toml(&text), csv(&text), csv(&format!("number,b\n{text}")));
        }
    }
}
