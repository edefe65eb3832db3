//! Layer 1: bytes to meaning and back, RFC 3261.
//!
//! [`Message::parse_datagram`] reads a message in one pass over its bytes, without
//! the heap: the start line, one span per header field, the body. What a field
//! *means* is read only when somebody asks ([`Message::from`], [`Message::top_via`],
//! [`Message::uri`]), and borrows from the same bytes. [`Message::check_request`]
//! asks for everything a request must have before anybody acts on it. [`Reply`]
//! writes an answer from the bytes of the request.
//!
//! This layer knows no clock, no socket and no routing. Numbers, trunks and
//! decisions live elsewhere; here a user part is bytes.
//!
//! | file | what it reads |
//! |---|---|
//! | `scan` | byte classes of RFC 3261 §25, white space, decimal numbers |
//! | `message` | the one pass: lines, names, spans; framing by Content-Length |
//! | `line` | lines as nearly every peer writes them, many bytes at a time |
//! | `start_line` | request line and status line |
//! | `typed` | the fields of a message as values, and [`Message::check_request`] |
//! | `plain` | values as nearly every peer writes them, in one pass |
//! | `head` | all that a request must have, as values |
//! | `salvage` | enough of a damaged request to answer it |
//! | `name` | header names, long and compact |
//! | `header` | comma lists, CSeq |
//! | `grammar` | pieces shared by the header values: tokens, quoted strings |
//! | `param`, `host`, `uri`, `address`, `via` | the values |
//! | `frame` | message boundaries on a stream |
//! | `write`, `reply_target` | replies, and where they go |
//! | `header_lines` | header lines on their way out |
//! | `edit` | changes to a message that goes on |
//! | `request_write` | ACK, CANCEL and OPTIONS of our own |
//! | `laws` | what must hold for any bytes; for tests and fuzz targets |

mod address;
mod block;
mod cursor;
mod edit;
mod error;
mod frame;
mod grammar;
mod head;
mod header;
mod header_lines;
mod host;
mod laws;
mod line;
mod message;
mod method;
mod name;
mod param;
mod plain;
mod reply_target;
mod request_write;
#[cfg(test)]
mod round_trip;
mod salvage;
mod scan;
mod start_line;
mod status;
mod typed;
mod uri;
mod via;
mod write;

pub use address::{Diversion, HistoryInfo, NameAddr};
#[doc(hidden)]
pub use edit::fuzz_edit;
pub use edit::{Edit, EditError};
pub use error::{ParseError, ParseErrorKind};
pub use frame::{Frame, Framer};
pub use head::RequestHead;
pub use header::{CSeq, Header};
pub use header_lines::HeaderLines;
pub use host::Host;
#[doc(hidden)]
pub use laws::{fuzz_datagram, fuzz_header, fuzz_stream, fuzz_uri, fuzz_value, fuzz_via};
pub use message::Message;
pub use method::Method;
pub use name::HeaderName;
pub use param::{Param, Params};
pub use reply_target::reply_target;
pub use request_write::{OptionsProbe, write_ack, write_cancel};
pub use start_line::{StartLine, glimpse_number};
pub use status::StatusCode;
pub use uri::{Scheme, Uri, UserPart};
pub use via::{Transport, Via};
pub use write::Reply;

/// What reading from a stream came to.
///
/// A datagram is always whole, so only stream parsing answers [`Parsed::Partial`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed<T> {
    /// Everything was there.
    Complete(T),
    /// What is there is right so far; more bytes are needed.
    Partial,
}

impl<T> Parsed<T> {
    /// The value, if it is complete.
    pub fn complete(self) -> Option<T> {
        match self {
            Self::Complete(value) => Some(value),
            Self::Partial => None,
        }
    }
}
