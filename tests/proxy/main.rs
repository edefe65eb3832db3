//! The proxy engine from bytes to bytes in virtual time: callers, trunks and a network
//! that does what the test says.
#![allow(clippy::unwrap_used)] // A test may fail loudly.

mod abuse;
mod accepted;
mod alternative_routing;
mod bench;
mod calls;
mod counting;
mod dialogs;
mod ends;
mod labels;
mod limits;
mod platforms;
mod probing;
mod profiles;
mod races;
