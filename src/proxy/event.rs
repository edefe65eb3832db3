//! What the engine tells of a request: the only thing observers ever see.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use jiff::Timestamp;

use crate::limits::DIALLED_BYTES_MAX;
use crate::routing::{Caller, GroupId, Number, Outcome, RuleId};
use crate::sip::{Method, ParseError, StatusCode};
use crate::transaction::AnswerPath;

/// What became of one datagram.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every datagram is a call, and nothing is allocated for one"
)]
pub enum Fate<'a> {
    /// Send the bytes that were written, from the address that was asked.
    Answer {
        /// Where to.
        to: SocketAddr,
        /// The status of the answer.
        status: StatusCode,
        /// What was asked.
        method: MethodKind,
        /// What the answer is about.
        answer: Answer<'a>,
    },
    /// Send the bytes that were written, on this path: an INVITE came again, and gets
    /// the answer of its transaction again.
    Repeat(AnswerPath),
    /// Nothing is due: an ACK, or a retransmission that was already answered for good.
    Absorbed(MethodKind),
    /// Nothing is sent, for this reason.
    Dropped(DropReason),
}

/// What an answer is about.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "almost every answer is a call, and nothing is allocated for one"
)]
pub enum Answer<'a> {
    /// An INVITE that was decided.
    Call(CallEvent<'a>),
    /// A request that was refused before any decision.
    Refused(Refused),
    /// OPTIONS or CANCEL, served.
    Served,
}

/// One decided call. Ids are valid for `generation` of the table.
#[derive(Debug)]
pub struct CallEvent<'a> {
    /// When the INVITE was taken from the socket.
    pub at: Timestamp,
    /// Who sent it.
    pub source: SocketAddr,
    /// The listener it came in on; empty if it has no name.
    pub listener: &'a str,
    /// The Call-ID, as received.
    pub call_id: &'a [u8],
    /// Generation of the table that decided.
    pub generation: u64,
    /// The trunk group it arrived on.
    pub from: GroupId,
    /// The number as dialled: what was looked up.
    pub dialled: DialledText,
    /// The context of a local number (RFC 3966 phone-context).
    pub phone_context: Option<&'a [u8]>,
    /// The caller as shown; `None` when anonymous.
    pub shown: Option<DialledText>,
    /// Host of the Request-URI.
    pub host: &'a [u8],
    /// Trunk group label of the Request-URI, if it is whole (RFC 4904).
    pub tgrp: Option<&'a [u8]>,
    /// The called number after normalisation; `None` when it is no number.
    pub called: Option<Number>,
    /// The caller after normalisation.
    pub calling: Caller,
    /// The rule that decided.
    pub rule: Option<RuleId>,
    /// What was decided.
    pub outcome: Outcome,
    /// The status of the answer. 482 when every route led back to the request.
    pub status: u16,
}

/// A user part as it was looked up, cut to [`DIALLED_BYTES_MAX`].
pub type DialledText = ArrayVec<u8, DIALLED_BYTES_MAX>;

/// Declares an enum whose members are counted: each has a place and a name.
macro_rules! counted {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// All of them, in the order of [`Self::index`].
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// Its place among all.
            #[must_use]
            pub const fn index(self) -> usize {
                self as usize
            }

            /// Its name in logs and counters.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

pub(crate) use counted;

counted! {
    /// Methods as they are counted.
    MethodKind {
        /// INVITE.
        Invite = "INVITE",
        /// ACK.
        Ack = "ACK",
        /// CANCEL.
        Cancel = "CANCEL",
        /// OPTIONS.
        Options = "OPTIONS",
        /// BYE.
        Bye = "BYE",
        /// REGISTER.
        Register = "REGISTER",
        /// Anything else.
        Other = "other",
    }
}

impl MethodKind {
    /// How a method is counted.
    #[must_use]
    pub const fn of(method: Method<'_>) -> Self {
        match method {
            Method::Invite => Self::Invite,
            Method::Ack => Self::Ack,
            Method::Cancel => Self::Cancel,
            Method::Options => Self::Options,
            Method::Bye => Self::Bye,
            Method::Register => Self::Register,
            _ => Self::Other,
        }
    }
}

counted! {
    /// Why nothing was answered.
    DropReason {
        /// Not SIP, or too little of it to answer.
        Junk = "junk",
        /// A response: we send no requests.
        Response = "response",
        /// A keep-alive of line ends (RFC 5626 §4.4.1) or an empty datagram.
        KeepAlive = "keep-alive",
        /// The answer would go to a crowd, to nowhere, or to port 0.
        Unanswerable = "unanswerable",
        /// The answer to an unknown source would be much longer than its request.
        Amplification = "amplification",
        /// As many unknown sources were answered in this second as are answered in one.
        Flood = "flood",
        /// A defect of ours: what it did was undone, and the datagram forgotten.
        Defect = "defect",
    }
}

counted! {
    /// Why a request was refused before any decision.
    Refusal {
        /// No classification and no accept_from covers the sender: 403.
        UnknownSource = "unknown source",
        /// Not what RFC 3261 allows: 400, 413, 414, 416, 505, 513.
        Malformed = "malformed",
        /// A method that is not served here: 405.
        Method = "method not served",
        /// An extension that is required and not known: 420.
        Extension = "extension",
        /// Max-Forwards is spent: 483.
        Hops = "too many hops",
        /// A request inside a dialog, or a CANCEL of nothing: 481.
        NoDialog = "no dialog",
        /// The listener is being shut down: 503.
        Draining = "draining",
    }
}

/// A refusal, and for a malformed request what is wrong with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// Why.
    pub why: Refusal,
    /// What is wrong, when it is [`Refusal::Malformed`].
    pub error: Option<ParseError>,
}

impl From<Refusal> for Refused {
    fn from(why: Refusal) -> Self {
        Self { why, error: None }
    }
}
