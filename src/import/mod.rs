//! Configurations of other machines, read into tables of our own.
//!
//! [`import`] turns the ini file of an SBC into TOML that says where each rule came from,
//! and lists what it leaves out. [`proof`] then asks the compiled table and a small model of
//! the original about every number that either can tell apart. Text in, text out: nothing
//! here touches a file.

mod audiocodes;
pub mod cover;
mod dial_plan;
pub mod drouting;
mod ini;
mod laws;
pub mod lists;
mod notation;
mod original;
pub mod proof;
pub mod reconcile;
mod rows;
mod settled;
mod text;
mod write;

pub use laws::{Tried, fuzz_import};
pub use original::{Original, Target};
pub use settled::settled;
pub use text::text_of;
pub use write::{File, Names, import};

/// Something to know about a line of the file that was imported.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// Line, counted from 1.
    pub line: u32,
    /// One sentence.
    pub message: String,
}

impl Finding {
    fn new(line: u32, message: impl Into<String>) -> Self {
        Self {
            line,
            message: message.into(),
        }
    }
}
