//! One table that came to serve, and how.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A table that came to serve. Two generations may have one table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Generation {
    /// Its number: one more than that of the generation before it.
    pub number: u64,
    /// SHA-256 over names and bytes of its files, 64 hexadecimal digits.
    pub sha256: String,
    /// When it came to serve.
    #[serde(with = "rfc3339")]
    #[cfg_attr(feature = "server", schemars(with = "String"))]
    pub at: Timestamp,
    /// Who had it served: a user, `signal`, `start` or `deadline`.
    pub by: String,
    /// How it came to serve.
    pub cause: Cause,
    /// The generation whose table it serves again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub table_of: Option<u64>,
    /// What whoever had it served said of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// How much its files hold.
    pub counts: Counts,
}

impl Generation {
    /// What is said while it serves in place of what the operator's folder says.
    #[must_use]
    pub fn in_place_of_folder(&self) -> String {
        let next = match self.cause {
            Cause::Draft => "bring its changes there",
            _ => "the next reload reads it",
        };
        format!(
            "gen {} serves ({} by {} at {:.0}), NOT the table folder: {next}",
            self.number,
            self.cause.as_str(),
            self.by,
            self.at
        )
    }
}

/// How a generation came to serve.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The process started, and the folder said something new.
    Start,
    /// The folder was read again.
    Reload,
    /// The table before it was called back.
    Undo,
    /// An older table was called back.
    Rollback,
    /// Its successor was not confirmed in time.
    Return,
    /// A draft was applied: a table that was made beside the folder.
    Draft,
}

impl Cause {
    /// As it stands in logs and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Reload => "reload",
            Self::Undo => "undo",
            Self::Rollback => "rollback",
            Self::Return => "return",
            Self::Draft => "draft",
        }
    }
}

/// How much a table holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Counts {
    /// Rows of all DID lists.
    pub dids: u64,
    /// Rules.
    pub rules: u64,
    /// Files.
    pub files: u64,
}

/// Times as text people can read.
pub(super) mod rfc3339 {
    use jiff::Timestamp;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::ledger) fn serialize<S: Serializer>(
        at: &Timestamp,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(at)
    }

    pub(in crate::ledger) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Timestamp, D::Error> {
        let text = String::deserialize(from)?;
        text.parse().map_err(D::Error::custom)
    }
}
