//! tables

pub mod diagnostic;
pub mod render;
pub mod source;
pub mod toml_reader;
mod toml_syntax;
