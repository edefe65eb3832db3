//! New text, and the message on its way out around it.

use std::io::Write as _;
use std::net::SocketAddr;

use crate::sip::param::{Param, Params};
use crate::sip::write::{write_address, write_number};

/// New text in the place of bytes of the message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Splice<'a> {
    pub(super) from: usize,
    pub(super) to: usize,
    pub(super) text: Text<'a>,
}

/// What a new text is made of.
#[derive(Debug, Clone, Copy)]
pub(super) enum Text<'a> {
    Bytes(&'a [u8]),
    Decimal(u32),
    /// A user and its `@`.
    User(&'a [u8]),
    /// The parameters of a Via, told where the request came from.
    Seen {
        params: &'a [u8],
        source: SocketAddr,
        sent_from_there: bool,
    },
}

impl Text<'_> {
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        // Writing to a Vec does not fail.
        match *self {
            Text::Bytes(bytes) => out.extend_from_slice(bytes),
            Text::Decimal(number) => match u16::try_from(number) {
                Ok(number) => write_number(number, out),
                Err(_) => drop(write!(out, "{number}")),
            },
            Text::User(user) => out.extend([user, b"@"].into_iter().flatten()),
            Text::Seen {
                params,
                source,
                sent_from_there,
            } => {
                write_seen(params, source, sent_from_there, out);
            }
        }
    }
}

/// The parameters of a Via with `received` and `rport` as the packet has them.
fn write_seen(params: &[u8], source: SocketAddr, sent_from_there: bool, out: &mut Vec<u8>) {
    let mut asked = false;
    for segment in Params::new(params).segments() {
        let name = Param::from_segment(segment).name;
        if name.eq_ignore_ascii_case(b"rport") {
            if !asked {
                out.extend_from_slice(b";rport=");
                write_number(source.port(), out);
            }
            asked = true;
        } else if !name.eq_ignore_ascii_case(b"received") {
            out.push(b';');
            out.extend_from_slice(segment);
        }
    }
    if asked || !sent_from_there {
        out.extend_from_slice(b";received=");
        write_address(source.ip().to_canonical(), out);
    }
}

/// The message on its way into `out`.
pub(super) struct Transcript<'o, 'a> {
    pub(super) bytes: &'a [u8],
    /// What stands before it is dealt with.
    pub(super) at: usize,
    /// What is still to be spliced in.
    pub(super) splices: &'o [Splice<'a>],
    pub(super) out: &'o mut Vec<u8>,
}

impl Transcript<'_, '_> {
    /// Copies what stands before `end`, with its splices.
    pub(super) fn up_to(&mut self, end: usize) {
        while let Some((splice, rest)) = self.splices.split_first()
            && splice.from < end
        {
            self.splices = rest;
            self.copy(splice.from);
            splice.text.write(self.out);
            self.at = splice.to;
        }
        self.copy(end);
        self.at = self.at.max(end);
    }

    /// Leaves out what stands before `end`, with its splices.
    pub(super) fn skip_to(&mut self, end: usize) {
        while let Some((splice, rest)) = self.splices.split_first()
            && splice.to <= end
        {
            self.splices = rest;
        }
        self.at = self.at.max(end);
    }

    fn copy(&mut self, end: usize) {
        self.out
            .extend_from_slice(self.bytes.get(self.at..end).unwrap_or_default());
    }
}
