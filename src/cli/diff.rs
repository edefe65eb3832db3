//! `trunkline diff`: what one generation does otherwise than another.

use super::plan::Comparing;
use super::server::Server;
use std::process::ExitCode;

/// Show what one generation does to calls that another did otherwise.
///
/// It is `trunkline plan` over two tables that have served: every number is compared.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline diff 213 214                # what gen 214 changed
  trunkline diff 215 209                # what going back to gen 209 would do")]
pub(super) struct Diff {
    /// The generation that is compared
    #[arg(value_name = "GEN")]
    old: u64,
    /// The generation it is compared with
    #[arg(value_name = "GEN")]
    new: u64,
    #[command(flatten)]
    comparing: Comparing,
    #[command(flatten)]
    server: Server,
}

impl Diff {
    pub(super) fn execute(&self) -> ExitCode {
        let tables = [self.old, self.new].map(|number| self.server.table_of(Some(number)));
        match tables {
            [Ok(old), Ok(new)] => self
                .comparing
                .execute([&old.title(), &new.title()], [old.path(), new.path()]),
            [Err(code), _] | [_, Err(code)] => code,
        }
    }
}
