//! Who asks, and what they may.

use std::fmt;
use std::net::SocketAddr;

use schemars::JsonSchema;
use serde::Serialize;

use crate::control::Who;

/// What somebody may do. Each may what those before it may.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, serde::Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Look; telephone numbers are masked where `[privacy]` says so.
    Viewer,
    /// Change what serves, where the gates let it pass, and give trunks orders.
    Operator,
    /// Change what serves also where a gate does not hold.
    Admin,
}

impl Role {
    /// Each with its name.
    pub const WORDS: [(&str, Self); 3] = [
        ("viewer", Self::Viewer),
        ("operator", Self::Operator),
        ("admin", Self::Admin),
    ];

    /// As it stands in files and JSON.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }
}

/// Whoever was let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Caller {
    /// As the history and the log name them.
    pub(super) name: String,
    pub(super) role: Role,
    pub(super) from: Origin,
}

/// Where a request came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// The local socket, by this user.
    Local { uid: u32 },
    /// A TCP connection.
    Network(SocketAddr),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local { uid } => write!(f, "local uid {uid}"),
            Self::Network(address) => write!(f, "{address}"),
        }
    }
}

impl Caller {
    /// As the desk of the control socket knows them.
    pub(super) fn who(&self) -> Who {
        Who {
            name: self.name.clone(),
            may_change: self.role >= Role::Operator,
        }
    }
}
