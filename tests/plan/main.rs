//! The plan of a change against brute force: every number, many other facts, both tables.

#![allow(clippy::unwrap_used)] // a test says so by failing

mod brute_force;
mod cli;
mod export;
mod folders;
mod random_tables;
