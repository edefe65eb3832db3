//! The transaction user: where messages meet decisions. Pure: time, bytes and the
//! table come in, bytes and an event come out.
//!
//! Two of them: the redirect server of RFC 3261 §8.3 ([`RedirectServer`]) and the stateful
//! proxy of §16 ([`Engine`]). Both ask the same `routing::route`.
//!
//! | file | of the proxy |
//! |---|---|
//! | `engine` | inputs, outputs, the order of looking |
//! | `validation` | §16.3: what a request must be |
//! | `route_set` | §16.4: where it wants to go |
//! | `forwarding` | §16.6: the bytes that leave |
//! | `response_context` | §16.7: attempts, and the best of their answers |
//! | `held` | §15, RFC 4028: the calls that are up and counted or followed |
//! | `words` | what a request says of its call |
//! | `acceptance` | §13.3.1.4: a 2xx and its ACK, hop by hop |
//! | `prober` | §11: which trunks are alive |
//! | `branch` | our Vias: whose transaction, which one, and loops |
//! | `hex` | digits of branches and marks |
//! | `flow` | listeners, flows, targets |
//! | `proxy_event` | what observers see |

mod acceptance;
mod branch;
mod contacts;
mod engine;
mod event;
mod facts;
mod flow;
mod forwarding;
mod held;
mod hex;
mod laws;
mod locations;
mod prober;
mod proxy_event;
mod redirect;
mod response_context;
mod route_set;
mod secret;
mod sources;
mod strangers;
mod table_view;
#[cfg(test)]
mod tests;
mod to_tag;
mod validation;
mod words;

pub use branch::{dialog_owner, request_owner, response_owner, speaks_of_an_invite};
#[doc(hidden)]
pub use engine::fuzz_proxy;
pub use engine::{Engine, Input, Output, ProxySettings};
#[cfg(feature = "server")]
pub(crate) use event::counted;
pub use event::{Answer, CallEvent, DialledText, DropReason, Fate, MethodKind, Refusal, Refused};
pub use facts::{CallFacts, UserText, call_hash, is_answerable};
pub use flow::{Flow, FlowTransport, ProxyListener};
#[doc(hidden)]
pub use laws::fuzz_redirect;
pub use locations::{Location, Locations, NameQuery, Question, Service};
pub use proxy_event::{
    AttemptReport, CallEnd, CallEnded, EndedBy, LargeBy, ProbeMiss, ProbeReport, ProxiedCall,
    ProxyDrop, ProxyEvent, ProxyRefusal, ProxyRefused, ProxyRepeat,
};
pub use redirect::{Datagram, Now, RedirectServer, RedirectSettings};
pub use sources::{Sources, one_owner};
pub use table_view::way_to;
pub use words::CallWords;
