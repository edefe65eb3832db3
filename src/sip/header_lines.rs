//! Header lines on their way out.

use memchr::memchr3;

use super::{block, scan};

/// Header lines, each with its CRLF, ready to be sent.
///
/// Whatever names and values are pushed, no CR, LF or unescaped NUL is in it but the ends
/// of its lines. Keeps its buffer when it is cleared.
#[derive(Debug, Clone, Default)]
pub struct HeaderLines(Vec<u8>);

impl HeaderLines {
    /// The lines as they are sent.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Forgets the lines.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// Adds a line.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        write_line(name, value, &mut self.0);
    }

    /// Adds a line of that name with the value that `write` appends to what it is given;
    /// none, if it answers `false`.
    pub fn push_written(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>) -> bool) -> bool {
        let start = self.0.len();
        self.0.extend_from_slice(name);
        self.0.extend_from_slice(b": ");
        let value_at = self.0.len();
        if !write(&mut self.0) {
            self.0.truncate(start);
            return false;
        }
        if self.0.get(value_at..).is_some_and(is_unclean) {
            let value = self.0.split_off(value_at);
            unfold(&value, &mut self.0);
        }
        self.0.extend_from_slice(b"\r\n");
        true
    }
}

pub(super) fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    write_clean(name, out);
    out.extend_from_slice(b": ");
    write_clean(value, out);
    out.extend_from_slice(b"\r\n");
}

/// The value with each fold as one space (RFC 3261 §7.3.1), and with a space for
/// every other byte that would end the line for somebody.
#[inline]
pub(super) fn write_clean(value: &[u8], out: &mut Vec<u8>) {
    if is_unclean(value) {
        unfold(value, out);
    } else {
        out.extend_from_slice(value);
    }
}

/// Whether there may be a byte that ends a line for somebody. Told of sixteen bytes at once.
#[inline]
fn is_unclean(value: &[u8]) -> bool {
    block::any(value, |block| block.at_most(b'\r'))
}

/// [`write_clean`] of a value that may need it.
fn unfold(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = memchr3(b'\r', b'\n', 0, rest) {
        let (before, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        if let [0, tail @ ..] = tail {
            out.extend_from_slice(before);
            out.push(if scan::is_escaped(before) { 0 } else { b' ' });
            rest = tail;
            continue;
        }
        let blanks = before
            .iter()
            .rev()
            .take_while(|byte| scan::is_wsp(**byte))
            .count();
        out.extend_from_slice(before.get(..before.len() - blanks).unwrap_or_default());
        out.push(b' ');
        let fold = tail.iter().take_while(|byte| scan::is_lws(**byte)).count();
        rest = tail.get(fold..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_byte_breaks_a_line() {
        let clean = |text: &[u8]| {
            let mut out = Vec::new();
            write_clean(text, &mut out);
            out
        };
        assert_eq!(clean(b"a \t\r\n\t b"), b"a b");
        assert_eq!(clean(b"a\rb\nc\0d"), b"a b c d");
        assert_eq!(
            clean(b"\"\\\0\" \\\\\0"),
            b"\"\\\0\" \\\\ ",
            "an escaped NUL is the peer's own text"
        );
        assert_eq!(clean(b"%0d%0a"), b"%0d%0a");
        assert_eq!(clean(b"\r\n"), b" ");
    }

    #[test]
    fn a_written_line_is_clean_or_left_out() {
        let mut lines = HeaderLines::default();
        lines.push(b"Server", b"a\r\nb");
        assert!(!lines.push_written(b"Contact", |out| {
            out.extend_from_slice(b"half");
            false
        }));
        assert!(lines.push_written(b"Contact", |out| {
            out.extend_from_slice(b"<sip:a@b>\r\nEvil: 1");
            true
        }));
        assert_eq!(
            lines.as_bytes(),
            b"Server: a b\r\nContact: <sip:a@b> Evil: 1\r\n"
        );
    }
}
