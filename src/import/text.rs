//! Bytes of files that other machines wrote, as text.

use super::Finding;

/// The text of a file, without a byte order mark. UTF-16 is known by its mark; a line that is no
/// UTF-8 is read as Latin-1, and said; so are zero bytes, which no table may have and which are
/// left out.
#[must_use]
pub fn text_of(bytes: &[u8]) -> (String, Vec<Finding>) {
    let (mut text, mut findings) = match bytes {
        [0xff, 0xfe, rest @ ..] => (wide(rest, u16::from_le_bytes), Vec::new()),
        [0xfe, 0xff, rest @ ..] => (wide(rest, u16::from_be_bytes), Vec::new()),
        [0xef, 0xbb, 0xbf, rest @ ..] => narrow(rest),
        _ => narrow(bytes),
    };
    let zeros = text.bytes().filter(|byte| *byte == 0).count();
    if zeros > 0 {
        let before = text.split('\0').next().unwrap_or_default();
        let line = 1 + before.bytes().filter(|byte| *byte == b'\n').count();
        let message = format!("{zeros} zero bytes are left out, the first in this line");
        findings.push(Finding::new(line as u32, message));
        text.retain(|symbol| symbol != '\0');
    }
    (text, findings)
}

fn wide(bytes: &[u8], of: fn([u8; 2]) -> u16) -> String {
    let pairs = bytes.chunks_exact(2);
    let units = pairs.filter_map(|pair| Some(of(pair.try_into().ok()?)));
    char::decode_utf16(units)
        .map(|symbol| symbol.unwrap_or(char::REPLACEMENT_CHARACTER))
        .collect()
}

fn narrow(bytes: &[u8]) -> (String, Vec<Finding>) {
    let mut findings = Vec::new();
    if let Ok(text) = std::str::from_utf8(bytes) {
        return (text.to_owned(), findings);
    }
    let mut text = String::with_capacity(bytes.len());
    for (line, number) in bytes.split_inclusive(|byte| *byte == b'\n').zip(1..) {
        match std::str::from_utf8(line) {
            Ok(line) => text.push_str(line),
            Err(_) => {
                text.extend(line.iter().copied().map(char::from));
                findings.push(Finding::new(number, "not UTF-8; read as Latin-1"));
            }
        }
    }
    (text, findings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_save() {
        for (bytes, expected, lines) in [
            (&b"\xef\xbb\xbfa\n"[..], "a\n", &[][..]),
            (b"\xff\xfea\0\xe9\0", "a\u{e9}", &[]),
            (b"\xfe\xff\0a", "a", &[]),
            (b"a\nZ\xfcrich\nb", "a\nZ\u{fc}rich\nb", &[2]),
            (b"", "", &[]),
            (b"a\nb\0c\0\n\0", "a\nbc\n", &[2]),
        ] {
            let (text, findings) = text_of(bytes);
            assert_eq!(text, expected);
            let said: Vec<u32> = findings.iter().map(|finding| finding.line).collect();
            assert_eq!(said, lines);
        }
    }
}
