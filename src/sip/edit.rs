//! Changes to a message on its way: what is not changed leaves as it came.

mod change;
mod laws;
#[cfg(test)]
mod tests;
mod text;
mod top_via;

use std::fmt;
use std::net::SocketAddr;

use arrayvec::ArrayVec;
use memchr::{memchr, memchr3};

use change::{Change, What};
pub use laws::fuzz_edit;
use text::{Splice, Text, Transcript};

use super::{Header, HeaderName, Message, NameAddr, ParseError, Scheme, Via, scan};
use crate::limits::EDITS_MAX;

/// Max-Forwards of a request that came without. RFC 3261 §16.6 step 3.
const MAX_FORWARDS: u32 = 70;

/// A message and what is to be changed in it before it goes on.
///
/// Every change is about the message as it came: fields and values are counted there,
/// and the order of the calls does not matter but for two rules. What is pushed later
/// stands above what was pushed earlier; of two changes of the same bytes the later
/// one counts. A field that is removed takes changes inside it along.
///
/// [`Edit::write`] copies all other bytes: order, spelling, folds and body.
#[derive(Debug, Clone)]
pub struct Edit<'a> {
    message: &'a Message<'a>,
    /// Changes inside a line, in order, apart from each other.
    splices: ArrayVec<Splice<'a>, EDITS_MAX>,
    /// Changes of whole lines.
    changes: ArrayVec<Change<'a>, EDITS_MAX>,
    /// One bit for each name that `changes` is about.
    touched: u64,
}

/// Why a message cannot be changed so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EditError {
    /// There are `limits::EDITS_MAX` changes already.
    Full,
    /// The new text would end its line or its place: a CR, LF or NUL, or a byte that
    /// cannot stand there.
    Text,
    /// The message has no such field, value or line.
    Missing,
    /// Max-Forwards is 0: RFC 3261 §16.3 step 3.
    NoHopsLeft,
    /// What is to be changed cannot be read.
    Unreadable(ParseError),
}

impl<'a> Edit<'a> {
    /// No change yet.
    #[must_use]
    pub fn new(message: &'a Message<'a>) -> Self {
        Self {
            message,
            splices: ArrayVec::new(),
            changes: ArrayVec::new(),
            touched: 0,
        }
    }

    /// Another Request-URI. RFC 3261 §16.6 step 2.
    ///
    /// # Errors
    /// A response has none; a blank or control byte cannot stand in it.
    pub fn set_request_uri(&mut self, uri: &'a [u8]) -> Result<(), EditError> {
        let old = self.message.request_uri().ok_or(EditError::Missing)?;
        let visible = |byte: &u8| *byte > b' ' && *byte != 0x7f;
        if uri.is_empty() || !uri.iter().all(visible) {
            return Err(EditError::Text);
        }
        self.splice(old, Text::Bytes(uri))
    }

    /// A Via of our own on top. RFC 3261 §16.6 step 8.
    ///
    /// # Errors
    /// [`EditError::Full`], [`EditError::Text`].
    pub fn push_via(&mut self, via: &'a [u8]) -> Result<(), EditError> {
        self.push_header(HeaderName::Via.as_str().as_bytes(), via)
    }

    /// Takes the top value of Via off; called again, the next one. RFC 3261 §16.7
    /// step 3.
    ///
    /// # Errors
    /// [`EditError::Missing`] when all values are taken already.
    pub fn pop_via(&mut self) -> Result<(), EditError> {
        self.pop(HeaderName::Via)
    }

    /// A Record-Route on top. RFC 3261 §16.6 step 4.
    ///
    /// # Errors
    /// [`EditError::Full`], [`EditError::Text`].
    pub fn push_record_route(&mut self, route: &'a [u8]) -> Result<(), EditError> {
        self.push_header(HeaderName::RecordRoute.as_str().as_bytes(), route)
    }

    /// A Route on top. RFC 3261 §16.6 step 6.
    ///
    /// # Errors
    /// [`EditError::Full`], [`EditError::Text`].
    pub fn push_route(&mut self, route: &'a [u8]) -> Result<(), EditError> {
        self.push_header(HeaderName::Route.as_str().as_bytes(), route)
    }

    /// Takes the first value of Route off; called again, the next one. RFC 3261 §16.4.
    ///
    /// # Errors
    /// [`EditError::Missing`] when all values are taken already.
    pub fn pop_route(&mut self) -> Result<(), EditError> {
        self.pop(HeaderName::Route)
    }

    /// One more line, above the first field of that name; without one above the other
    /// fields if it is a Via, below them if not.
    ///
    /// # Errors
    /// [`EditError::Full`]; [`EditError::Text`] for a line end in the value, or a name
    /// that is no token.
    pub fn push_header(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), EditError> {
        clean(value)?;
        self.change(name, What::Push(Text::Bytes(value)))
    }

    /// The first field of that name gets this value and further ones go; without one
    /// it is added below the other fields.
    ///
    /// # Errors
    /// As [`Edit::push_header`].
    pub fn set_header(&mut self, name: &'a [u8], value: &'a [u8]) -> Result<(), EditError> {
        clean(value)?;
        self.forget(name);
        self.change(name, What::Set(value))
    }

    /// All fields of that name go, and none is as good; what is pushed stays.
    ///
    /// # Errors
    /// [`EditError::Full`]; [`EditError::Text`] for a name that is no token.
    pub fn remove(&mut self, name: &'a [u8]) -> Result<(), EditError> {
        self.forget(name);
        self.change(name, What::Remove)
    }

    /// Another text for one value of a comma list, counted from 0 as
    /// [`Message::values`] has them.
    ///
    /// # Errors
    /// [`EditError::Missing`] when there are not so many; [`EditError::Text`] for a line
    /// end.
    pub fn replace_value(
        &mut self,
        name: HeaderName,
        nth: usize,
        value: &'a [u8],
    ) -> Result<(), EditError> {
        clean(value)?;
        let old = self
            .message
            .values(name)
            .nth(nth)
            .ok_or(EditError::Missing)?;
        self.splice(old, Text::Bytes(value))
    }

    /// Another user part in the URI of one address, counted from 0: a number as the
    /// trunk wants it, in From or P-Asserted-Identity. Display name, host and
    /// parameters stay; of a tel URI the number changes and its parameters stay.
    ///
    /// # Errors
    /// [`EditError::Missing`] when there are not so many addresses or the URI has no
    /// place for a user, [`EditError::Unreadable`] for a damaged one, and
    /// [`EditError::Text`] for bytes that need escaping there.
    pub fn set_user(
        &mut self,
        name: HeaderName,
        nth: usize,
        user: &'a [u8],
    ) -> Result<(), EditError> {
        let value = self
            .message
            .values(name)
            .nth(nth)
            .ok_or(EditError::Missing)?;
        let uri = NameAddr::parse(value).map_err(EditError::Unreadable)?.uri;
        let class = match uri.scheme {
            Scheme::Sip | Scheme::Sips => scan::USER,
            Scheme::Tel => scan::PHONE,
            Scheme::Other(_) => return Err(EditError::Missing),
        };
        // Without brackets these would end the URI: RFC 3261 §20.10.
        let at = scan::offset_in(value, uri.raw);
        let bracketed = at.checked_sub(1).and_then(|at| value.get(at)) == Some(&b'<');
        let ends = |byte: &u8| !bracketed && matches!(byte, b';' | b',' | b'?');
        let fits = !user.is_empty() && scan::escaped_run(user, class) == user.len();
        if !fits || user.iter().any(ends) {
            return Err(EditError::Text);
        }
        match uri.user.map(|user| user.as_bytes()) {
            Some(number) if uri.scheme == Scheme::Tel => {
                let length = memchr(b';', number).unwrap_or(number.len());
                self.splice(number.get(..length).unwrap_or_default(), Text::Bytes(user))
            }
            Some(old) => self.splice(old, Text::Bytes(user)),
            None => {
                let host = memchr(b':', uri.raw).map_or(0, |colon| colon + 1);
                let host = uri.raw.get(host..host).unwrap_or_default();
                self.splice(host, Text::User(user))
            }
        }
    }

    /// Max-Forwards less one, or 70 when there is none. RFC 3261 §16.6 step 3.
    ///
    /// # Errors
    /// [`EditError::NoHopsLeft`] at 0, [`EditError::Unreadable`] for what is no number
    /// from 0 to 255.
    pub fn decrement_max_forwards(&mut self) -> Result<(), EditError> {
        let hops = self.message.max_forwards().map_err(EditError::Unreadable)?;
        match (hops, self.message.first(HeaderName::MaxForwards)) {
            (Some(0), _) => Err(EditError::NoHopsLeft),
            (Some(hops), Some(old)) => self.splice(old, Text::Decimal(u32::from(hops) - 1)),
            _ => self.push_number(HeaderName::MaxForwards, MAX_FORWARDS),
        }
    }

    /// A Content-Length if there is none: a stream needs it (RFC 3261 §18.3).
    ///
    /// # Errors
    /// [`EditError::Full`].
    pub fn ensure_content_length(&mut self) -> Result<(), EditError> {
        if self.message.first(HeaderName::ContentLength).is_some() {
            return Ok(());
        }
        let length = u32::try_from(self.message.body().len()).map_err(|_| EditError::Text)?;
        self.push_number(HeaderName::ContentLength, length)
    }

    /// Writes into the top Via where the request came from: `received` where RFC 3261
    /// §18.2.1 wants it, the port where `rport` asks for it (RFC 3581 §4); what a
    /// client claimed of either goes.
    ///
    /// # Errors
    /// [`EditError::Missing`] without Via, [`EditError::Unreadable`] for a damaged one.
    pub fn mark_source(&mut self, source: SocketAddr) -> Result<(), EditError> {
        let top = self.message.values(HeaderName::Via).next();
        let top = top.ok_or(EditError::Missing)?;
        let via = Via::parse(top).map_err(EditError::Unreadable)?;
        let params = via.params.as_bytes();
        let at = memchr(b';', params).unwrap_or(params.len());
        let at = scan::offset_in(top, params) + at;
        let params = top.get(at..).unwrap_or_default();
        let sent_by = via.host.ip().map(|ip| ip.to_canonical());
        self.splice(
            params,
            Text::Seen {
                params,
                source,
                sent_from_there: sent_by == Some(source.ip().to_canonical()),
            },
        )
    }

    /// Appends the changed message to `out`.
    ///
    /// Whether the next hop can read it is for the caller to see: a message near
    /// `limits::MESSAGE_BYTES_MAX` or `limits::HEADERS_MAX` may have outgrown them.
    pub fn write(&self, out: &mut Vec<u8>) {
        let bytes = self.message.bytes();
        out.reserve(bytes.len() + 256);
        let mut copy = Transcript {
            bytes,
            at: 0,
            splices: &self.splices,
            out,
        };
        let head = bytes.len() - self.message.body().len();
        let blank_line = usize::from(
            bytes
                .get(..head)
                .is_some_and(|head| head.ends_with(b"\r\n")),
        );
        let fields_end = head - 2 * blank_line;
        self.write_fields(fields_end, &mut copy);
        copy.up_to(fields_end);
        for change in self.changes.iter().rev() {
            match change.what {
                _ if self.has(change) => {}
                What::Push(text) if change.known != HeaderName::Via => {
                    change.write_line(text, copy.out);
                }
                What::Set(value) => change.write_line(Text::Bytes(value), copy.out),
                _ => {}
            }
        }
        copy.up_to(bytes.len());
    }

    /// The header fields as far as they are touched.
    fn write_fields(&self, fields_end: usize, copy: &mut Transcript<'_, 'a>) {
        let bytes = copy.bytes;
        let begins = |header: &Header<'_>| scan::offset_in(bytes, header.name_bytes);
        let mut headers = self.message.headers().peekable();
        let mut progress = [0_usize; EDITS_MAX];
        if self.message.first(HeaderName::Via).is_none() {
            copy.up_to(headers.peek().map_or(fields_end, begins));
            self.push_above(HeaderName::Via, b"Via", &mut progress, copy);
        }
        while let Some(header) = headers.next() {
            if self.touched & bit(header.name) == 0 {
                continue;
            }
            let next = headers.peek().map_or(fields_end, begins);
            copy.up_to(begins(&header));
            self.push_above(header.name, header.name_bytes, &mut progress, copy);
            for (change, progress) in self.changes.iter().zip(&mut progress) {
                if change.is_about(header.name, header.name_bytes) {
                    change.apply(&header, next, progress, copy);
                }
            }
        }
    }

    /// The pushed lines of that name, once.
    fn push_above(
        &self,
        known: HeaderName,
        name: &[u8],
        progress: &mut [usize; EDITS_MAX],
        copy: &mut Transcript<'_, 'a>,
    ) {
        for (change, progress) in self.changes.iter().zip(progress).rev() {
            if let What::Push(text) = change.what
                && *progress == 0
                && change.is_about(known, name)
            {
                *progress = 1;
                change.write_line(text, copy.out);
            }
        }
    }

    /// The line with that number, however often it is asked for.
    fn push_number(&mut self, name: HeaderName, number: u32) -> Result<(), EditError> {
        let same = |change: &Change<'_>| {
            change.known == name && matches!(change.what, What::Push(Text::Decimal(_)))
        };
        if self.changes.iter().any(same) {
            return Ok(());
        }
        self.change(name.as_str().as_bytes(), What::Push(Text::Decimal(number)))
    }

    fn pop(&mut self, name: HeaderName) -> Result<(), EditError> {
        let message = self.message;
        let has_more_than = |count| message.values(name).nth(count).is_some();
        let popped = self
            .changes
            .iter_mut()
            .find_map(|change| match &mut change.what {
                What::Pop(count) if change.known == name => Some(count),
                _ => None,
            });
        match popped {
            Some(count) if has_more_than(*count) => {
                *count += 1;
                Ok(())
            }
            None if has_more_than(0) => self.change(name.as_str().as_bytes(), What::Pop(1)),
            _ => Err(EditError::Missing),
        }
    }

    /// Whether the message came with such a field.
    fn has(&self, change: &Change<'_>) -> bool {
        match change.known {
            HeaderName::Other => self.message.by_name(change.name).next().is_some(),
            known => self.message.first(known).is_some(),
        }
    }

    /// Drops what was to become of all fields of that name: the later word counts.
    fn forget(&mut self, name: &[u8]) {
        let known = HeaderName::from_bytes(name);
        self.changes.retain(|change| {
            let decides = matches!(change.what, What::Set(_) | What::Remove);
            !(decides && change.is_about(known, name))
        });
    }

    fn change(&mut self, name: &'a [u8], what: What<'a>) -> Result<(), EditError> {
        is_token(name)?;
        let known = HeaderName::from_bytes(name);
        let change = Change { known, name, what };
        self.changes.try_push(change).map_err(|_| EditError::Full)?;
        self.touched |= bit(known);
        Ok(())
    }

    /// Puts `text` in the place of `old`, a part of the message.
    fn splice(&mut self, old: &[u8], text: Text<'a>) -> Result<(), EditError> {
        let from = scan::offset_in(self.message.bytes(), old);
        let to = from + old.len();
        self.splices.retain(|other| {
            let apart = other.to <= from || to <= other.from;
            let both_nothing = (other.from, other.to) == (from, to) && from == to;
            apart && !both_nothing
        });
        let before = |other: &&Splice<'_>| (other.from, other.to) < (from, to);
        let place = self.splices.iter().take_while(before).count();
        self.splices
            .try_insert(place, Splice { from, to, text })
            .map_err(|_| EditError::Full)
    }
}

/// The bit of a name in `touched`; `Message` makes sure that they are few enough.
const fn bit(name: HeaderName) -> u64 {
    1 << name.index()
}

fn clean(value: &[u8]) -> Result<(), EditError> {
    memchr3(b'\r', b'\n', 0, value).map_or(Ok(()), |_| Err(EditError::Text))
}

fn is_token(text: &[u8]) -> Result<(), EditError> {
    let token = !text.is_empty() && text.iter().all(|byte| scan::is(*byte, scan::TOKEN));
    if token { Ok(()) } else { Err(EditError::Text) }
}

impl fmt::Display for EditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full => write!(f, "more than {EDITS_MAX} changes to one message"),
            Self::Text => f.write_str("this text cannot stand in a header field"),
            Self::Missing => f.write_str("the message has no such field or value"),
            Self::NoHopsLeft => f.write_str("Max-Forwards is 0"),
            Self::Unreadable(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for EditError {}
