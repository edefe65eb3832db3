//! What becomes of whole header fields.

use super::text::{Text, Transcript};
use crate::sip::header::CommaList;
use crate::sip::{Header, HeaderName, scan};

/// One change, and the name of the fields it is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change<'a> {
    pub(super) known: HeaderName,
    pub(super) name: &'a [u8],
    pub(super) what: What<'a>,
}

/// What becomes of the fields of a name.
#[derive(Debug, Clone, Copy)]
pub(super) enum What<'a> {
    /// One more line, above the first of that name.
    Push(Text<'a>),
    /// The first field gets this value, the others go.
    Set(&'a [u8]),
    /// All fields go.
    Remove,
    /// So many values go, from the top.
    Pop(usize),
}

impl<'a> Change<'a> {
    pub(super) fn is_about(&self, known: HeaderName, name: &[u8]) -> bool {
        self.known == known && (known != HeaderName::Other || self.name.eq_ignore_ascii_case(name))
    }

    /// What becomes of one field, whose line ends where `next` begins.
    pub(super) fn apply(
        &self,
        header: &Header<'a>,
        next: usize,
        progress: &mut usize,
        copy: &mut Transcript<'_, 'a>,
    ) {
        let value_at = scan::offset_in(copy.bytes, header.value);
        match self.what {
            What::Push(_) => {}
            What::Set(value) if *progress == 0 => {
                *progress = 1;
                copy.up_to(value_at);
                copy.out.extend_from_slice(value);
                copy.skip_to(value_at + header.value.len());
            }
            What::Set(_) | What::Remove => copy.skip_to(next),
            What::Pop(count) => {
                let mut left = CommaList::new(header.value).skip_while(|_| {
                    let gone = *progress < count;
                    *progress += usize::from(gone);
                    gone
                });
                let before = CommaList::new(header.value).next();
                match (before, left.next()) {
                    (Some(_), None) => copy.skip_to(next),
                    (Some(first), Some(kept)) if first.as_ptr() != kept.as_ptr() => {
                        copy.up_to(value_at);
                        copy.skip_to(scan::offset_in(copy.bytes, kept));
                    }
                    _ => {}
                }
            }
        }
    }

    /// The line, its name spelled in full if it is known.
    pub(super) fn write_line(&self, text: Text<'_>, out: &mut Vec<u8>) {
        out.extend_from_slice(match self.known {
            HeaderName::Other => self.name,
            known => known.as_str().as_bytes(),
        });
        out.extend_from_slice(b": ");
        text.write(out);
        out.extend_from_slice(b"\r\n");
    }
}
