//! Bytes of files that other machines wrote, as text.

use super::Finding;

/// The text of a file, without a byte order mark. UTF-16 is known by its mark; a line that is no
/// UTF-8 is read as Latin-1, and said.
#[must_use]
pub fn text_of(bytes: &[u8]) -> (String, Vec<Finding>) {
    let mut findings = Vec::new();
    let wide = |rest: &[u8], of: fn([u8; 2]) -> u16| {
        let pairs = rest.chunks_exact(2);
        let units = pairs.filter_map(|pair| Some(of(pair.try_into().ok()?)));
        char::decode_utf16(units)
            .map(|symbol| symbol.unwrap_or(char::REPLACEMENT_CHARACTER))
            .collect::<String>()
    };
    match bytes {
        [0xff, 0xfe, rest @ ..] => return (wide(rest, u16::from_le_bytes), findings),
        [0xfe, 0xff, rest @ ..] => return (wide(rest, u16::from_be_bytes), findings),
        _ => {}
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
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
        ] {
            let (text, findings) = text_of(bytes);
            assert_eq!(text, expected);
            let said: Vec<u32> = findings.iter().map(|finding| finding.line).collect();
            assert_eq!(said, lines);
        }
    }
}
