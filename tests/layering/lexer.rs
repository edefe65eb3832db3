//! Just enough of Rust's lexical grammar to read paths: comments and literals
//! are gone, code that is compiled for tests only can be cut out.

/// One identifier, number or punctuation mark; `::` is one token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
    pub(crate) line: usize,
}

impl Token<'_> {
    pub(crate) fn is_name(&self) -> bool {
        self.text
            .starts_with(|first: char| first.is_alphabetic() || first == '_')
    }
}

/// The code of `source` without comments, strings, characters and lifetimes.
pub(crate) fn tokens(source: &str) -> Vec<Token<'_>> {
    let mut found = Vec::new();
    let mut line = 1;
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = match first {
            '/' if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => block_comment(rest),
            '"' => quoted(rest, '"'),
            '\'' => character_or_lifetime(rest),
            _ => match literal_with_prefix(rest) {
                Some(length) => length,
                None => code(rest, first, line, &mut found),
            },
        };
        let (consumed, after) = rest.split_at(length.min(rest.len()));
        line += consumed.matches('\n').count();
        rest = after;
    }
    found
}

/// The tokens that are compiled into the product: items under `#[cfg(test)]` are cut out.
pub(crate) fn without_tests<'a>(all: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < all.len() {
        match attribute(&all[at..]) {
            Some(Attribute {
                length,
                inner,
                test,
            }) if test => {
                if inner {
                    return Vec::new();
                }
                at += length;
                at += item(&all[at..]);
            }
            _ => {
                kept.push(all[at]);
                at += 1;
            }
        }
    }
    kept
}

/// Names of the modules declared for tests only and kept in files of their own.
pub(crate) fn test_modules<'a>(all: &[Token<'a>]) -> Vec<&'a str> {
    let mut found = Vec::new();
    for at in 0..all.len() {
        let Some(declared) = attribute(&all[at..]).filter(|attribute| attribute.test) else {
            continue;
        };
        let start = at + declared.length;
        let words: Vec<&str> = all[start..start + item(&all[start..])]
            .iter()
            .map(|t| t.text)
            .collect();
        if let [.., "mod", name, ";"] = words[..] {
            found.push(name);
        }
    }
    found
}

struct Attribute {
    length: usize,
    inner: bool,
    test: bool,
}

/// The attribute that `tokens` begins with: `#[…]` or `#![…]`.
fn attribute(tokens: &[Token<'_>]) -> Option<Attribute> {
    let inner = tokens.get(1)?.text == "!";
    let open = 1 + usize::from(inner);
    if tokens.first()?.text != "#" || tokens.get(open)?.text != "[" {
        return None;
    }
    let length = open + group(&tokens[open..]);
    let words: Vec<&str> = tokens[open + 1..length].iter().map(|t| t.text).collect();
    let test = words.first() == Some(&"test")
        || (words.first() == Some(&"cfg") && words.contains(&"test") && !words.contains(&"not"));
    Some(Attribute {
        length,
        inner,
        test,
    })
}

/// Tokens of the item that follows an attribute, further attributes included.
fn item(tokens: &[Token<'_>]) -> usize {
    let mut at = 0;
    while let Some(next) = attribute(&tokens[at..]) {
        at += next.length;
    }
    let mut ends_with_brace = true;
    while let Some(token) = tokens.get(at) {
        match token.text {
            "use" | "const" | "static" | "type" | "let" => ends_with_brace = false,
            "fn" => ends_with_brace = true,
            ";" => return at + 1,
            "{" if ends_with_brace => return at + group(&tokens[at..]),
            "(" | "[" | "{" => {
                at += group(&tokens[at..]);
                continue;
            }
            _ => {}
        }
        at += 1;
    }
    at
}

/// Tokens from an opening bracket up to and including its closing one.
fn group(tokens: &[Token<'_>]) -> usize {
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        match token.text {
            "(" | "[" | "{" => depth += 1,
            ")" | "]" | "}" => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    tokens.len()
}

fn code<'a>(rest: &'a str, first: char, line: usize, found: &mut Vec<Token<'a>>) -> usize {
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    let length = if in_word(first) {
        rest.find(|c| !in_word(c)).unwrap_or(rest.len())
    } else if rest.starts_with("::") {
        2
    } else {
        first.len_utf8()
    };
    if !first.is_whitespace() {
        let text = &rest[..length];
        found.push(Token { text, line });
    }
    length
}

/// Block comments nest.
fn block_comment(rest: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        if rest[at..].starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest[at..].starts_with("*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest[at..].chars().next().map_or(1, char::len_utf8);
        }
    }
    rest.len()
}

/// From an opening quote to the closing one; a backslash takes the next character along.
fn quoted(rest: &str, quote: char) -> usize {
    let mut characters = rest.char_indices().skip(1);
    while let Some((at, character)) = characters.next() {
        if character == '\\' {
            characters.next();
        } else if character == quote {
            return at + 1;
        }
    }
    rest.len()
}

/// `'a'`, `'\n'` and `'['` are characters; `'a` and `'static` are lifetimes.
fn character_or_lifetime(rest: &str) -> usize {
    let mut after = rest.chars().skip(1);
    match (after.next(), after.next()) {
        (Some('\\'), _) | (Some(_), Some('\'')) => quoted(rest, '\''),
        _ => {
            let name = rest[1..].find(|c: char| !c.is_alphanumeric() && c != '_');
            name.map_or(rest.len(), |length| length + 1)
        }
    }
}

/// `b"…"`, `c"…"`, `b'…'`, `r"…"`, `br##"…"##`; `None` for an ordinary word.
fn literal_with_prefix(rest: &str) -> Option<usize> {
    let prefix = rest.find(|c| !matches!(c, 'b' | 'c' | 'r'))?;
    if prefix == 0 || prefix > 2 {
        return None;
    }
    let (letters, after) = rest.split_at(prefix);
    if !letters.ends_with('r') {
        return match after.chars().next()? {
            '"' => Some(prefix + quoted(after, '"')),
            '\'' if letters == "b" => Some(prefix + quoted(after, '\'')),
            _ => None,
        };
    }
    let hashes = after.find(|c| c != '#')?;
    if !after[hashes..].starts_with('"') {
        return None;
    }
    let end = format!("\"{}", "#".repeat(hashes));
    let body = prefix + hashes + 1;
    let length = rest[body..].find(&end).map(|at| body + at + end.len());
    Some(length.unwrap_or(rest.len()))
}
