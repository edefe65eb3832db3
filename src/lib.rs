//! Trunkline: a SIP-aware routing engine for enterprise session border controllers.
//!
//! Two pure cores that do not know each other: [`sip`] turns bytes into meaning,
//! [`routing`] turns facts into a decision. [`proxy`] joins them and is driven by
//! `(now, input, snapshot)`; everything that touches a socket, a file, a signal or
//! a clock is a thin shell around it ([`tables`], [`server`], [`cli`]).
//!
//! Start reading at [`routing::route`], then [`proxy::RedirectServer`], then [`tables::load`].

#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod cli;
#[cfg(feature = "server")]
pub mod control;
#[cfg(feature = "server")]
pub mod doctor;
pub mod export;
pub mod generations;
#[cfg(feature = "server")]
pub mod hep;
#[cfg(feature = "server")]
pub mod http;
pub mod import;
pub mod ledger;
pub mod limits;
#[cfg(feature = "server")]
pub mod observe;
pub mod plan;
pub mod proxy;
#[cfg(feature = "server")]
pub mod records;
pub mod routing;
#[cfg(feature = "server")]
pub mod server;
pub mod sip;
pub mod system;
pub mod tables;
pub mod transaction;
#[cfg(feature = "server")]
pub mod transport;
pub mod wave;
