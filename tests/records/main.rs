//! Call records from calls to rows: real servers, files, a real PostgreSQL; and the storm.

#![allow(clippy::unwrap_used)] // a test may fail loudly

#[path = "../loopback/ca.rs"]
#[allow(dead_code)] // other tests use the rest of it
mod ca;
mod cluster;
mod database;
mod locked;
mod pages;
#[path = "../loopback/phone.rs"]
#[allow(dead_code)] // other tests use the rest of it
mod phone;
mod program;
mod rows;
mod slow;
mod storm;
#[path = "../loopback/words.rs"]
mod words;
