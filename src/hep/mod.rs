//! Copies of what passes for a capture server, in HEPv3: every SIP message in and out, after
//! decryption, the line of every decision, the records of calls. Off unless it is configured.
//!
//! Messages under TLS are invisible to whoever listens on the network; only an end of the
//! connection can show them.
//!
//! [`Packet`] is the form, pure; [`Capture`] is what workers hold: it queues and returns, and
//! a thread of its own puts packets together and sends them.

mod capture;
mod packet;

pub use capture::{Capture, CaptureEnd, HepCounters, HepResult, HepSettings, RecordCopy, Taken};
pub use packet::{Agent, Kind, Packet, TooLong};
