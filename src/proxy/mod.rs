//! The transaction user: where messages meet decisions. Pure: time, bytes and the
//! table come in, bytes and an event come out.
//!
//! Present: the redirect server of RFC 3261 §8.3 ([`RedirectServer`]).

mod contacts;
mod event;
mod facts;
mod laws;
mod redirect;
mod strangers;
#[cfg(test)]
mod tests;
mod to_tag;

pub use event::{Answer, CallEvent, DialledText, DropReason, Fate, MethodKind, Refusal, Refused};
pub use facts::{CallFacts, UserText, call_hash, is_answerable};
#[doc(hidden)]
pub use laws::fuzz_redirect;
pub use redirect::{Datagram, Now, RedirectServer, RedirectSettings};
