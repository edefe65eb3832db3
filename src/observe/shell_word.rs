//! Text from the wire as one word of a shell and one piece of one line.

use std::fmt::{self, Write};

use crate::limits::LOGGED_VALUE_BYTES_MAX;

/// Shows bytes so that they can be pasted into a POSIX shell as a single word, whatever
/// a peer wrote: bare when every byte is in `[A-Za-z0-9+._:/@-]`, otherwise in single
/// quotes. Control bytes, quotes, backslashes and everything beyond ASCII are shown as
/// `\xNN`, so that no value ends its quotes, its line or its reading direction. Values
/// longer than [`LOGGED_VALUE_BYTES_MAX`] end in `...`.
#[derive(Debug, Clone, Copy)]
pub struct ShellWord<'a>(pub &'a [u8]);

impl fmt::Display for ShellWord<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (shown, cut) = match self.0.split_at_checked(LOGGED_VALUE_BYTES_MAX) {
            Some((shown, rest)) => (shown, !rest.is_empty()),
            None => (self.0, false),
        };
        let bare = !shown.is_empty() && shown.iter().all(|byte| is_bare(*byte));
        if bare && let Ok(text) = str::from_utf8(shown) {
            f.write_str(text)?;
        } else {
            f.write_char('\'')?;
            shown.iter().try_for_each(|byte| escaped(*byte, f))?;
            f.write_char('\'')?;
        }
        if cut { f.write_str("...") } else { Ok(()) }
    }
}

const fn is_bare(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'.' | b'_' | b':' | b'/' | b'@' | b'-')
}

fn escaped(byte: u8, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match byte {
        b'\'' | b'\\' => write!(f, "\\x{byte:02x}"),
        b' '..=b'~' => f.write_char(char::from(byte)),
        _ => write!(f, "\\x{byte:02x}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn shows_plain_values_bare_and_the_rest_quoted() {
        let cases: [(&[u8], &str); 8] = [
            (b"+442071838750", "+442071838750"),
            (b"8f2a@10.0.0.5", "8f2a@10.0.0.5"),
            (b"", "''"),
            (b"a b", "'a b'"),
            (b"$(reboot)", "'$(reboot)'"),
            (b"';reboot;'", "'\\x27;reboot;\\x27'"),
            (b"1\r\n2", "'1\\x0d\\x0a2'"),
            (b"\xe2\x80\xae", "'\\xe2\\x80\\xae'"),
        ];
        for (bytes, shown) in cases {
            assert_eq!(ShellWord(bytes).to_string(), shown);
        }
    }

    proptest! {
        /// Nothing but the two quotes around it is special to a shell, and it is one line.
        #[test]
        fn is_one_word_on_one_line(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            let shown = ShellWord(&bytes).to_string();
            prop_assert!(shown.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
            let body = shown.trim_end_matches("...");
            let inner = body.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            match inner {
                Some(inner) => prop_assert!(!inner.contains('\'')),
                None => prop_assert!(shown.bytes().all(is_bare)),
            }
        }
    }
}
