//! tables

mod damage;
pub mod diagnostic;
pub mod dids;
pub mod pattern;
pub mod render;
pub mod source;
pub mod toml_reader;
mod toml_syntax;
