//! Calls that are up, and the sinks of their records, as they are told on the socket.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A call that is up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LiveCall {
    /// Its name, as in its record.
    pub call: String,
    /// When its INVITE came, RFC 3339.
    pub since: String,
    /// Seconds since it was answered.
    pub up_s: u64,
    /// The trunk group it arrived on.
    pub from: String,
    /// Who sent the INVITE.
    pub source: String,
    /// The calling number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calling: Option<String>,
    /// The called number.
    pub called: String,
    /// The trunk group it went to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk_group: Option<String>,
    /// The trunk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trunk: Option<String>,
    /// The rule that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The generation of the table that decided.
    pub generation: u64,
    /// The Call-ID.
    pub call_id: String,
}

/// A sink of call records.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SinkStatus {
    /// Its name.
    pub name: String,
    /// Whether the last that was to be written was.
    pub up: bool,
    /// Records written since the start.
    pub written: u64,
    /// Records dropped.
    pub dropped: u64,
    /// Calls it was not told of, for its queue was full.
    pub missed: u64,
    /// Records that wait in its spool.
    pub waiting: u64,
    /// Bytes of its spool.
    pub spool_bytes: u64,
    /// Age of the oldest record in it, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub oldest_s: Option<u64>,
}
