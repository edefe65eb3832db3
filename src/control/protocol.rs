//! What is said on the control socket. docs/control.md shows every line of it.

use super::calls::{LiveCall, SinkStatus};
use crate::ledger::{Clocks, Generation, OrderKind, Trial, TrunkOrder};
use crate::limits::{CONFIRM_SECONDS_MAX, MESSAGE_CHARS_MAX};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name and version of the protocol. Within a version fields are added, never taken away.
pub const SCHEMA: &str = "trunkline.control/1";

/// One request: one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// What runs, and what serves. Braces, so that a field too many is told.
    Status {},
    /// The generations that are kept, newest first.
    History {
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<usize>,
    },
    /// The files of a generation, as they were read.
    Files {
        /// Which; the one that serves when left out.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        generation: Option<u64>,
    },
    /// Read the table folder again.
    Reload(Change),
    /// Keep the table that is on trial.
    Confirm {},
    /// Serve again what served before.
    Undo(Change),
    /// Serve the table of an older generation again.
    Rollback {
        /// Which.
        generation: u64,
        /// How.
        #[serde(default)]
        how: Change,
    },
    /// The trunks of the table that serves, and the state they are in.
    Trunks {},
    /// The calls that are up.
    Calls {
        /// Only those in which this trunk group has part.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        group: Option<String>,
        /// At most so many.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        number: Option<usize>,
        /// Only the last four symbols of telephone numbers.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        mask: bool,
    },
    /// Give an order about a trunk.
    Trunk {
        /// Its name.
        name: String,
        /// What it is to do.
        order: OrderKind,
        /// A word about it, for the log and the status.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
}

/// How a change is made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// Take it back after so many seconds, unless it is confirmed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confirm_s: Option<u32>,
    /// A word about it, for the history.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Make it even if a gate does not hold.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub force: bool,
}

impl Request {
    /// Whether it changes anything.
    #[must_use]
    pub const fn changes(&self) -> bool {
        match self {
            Self::Status {}
            | Self::History { .. }
            | Self::Files { .. }
            | Self::Trunks {}
            | Self::Calls { .. } => false,
            Self::Reload(_)
            | Self::Confirm {}
            | Self::Undo(_)
            | Self::Rollback { .. }
            | Self::Trunk { .. } => true,
        }
    }

    /// Reads a line.
    ///
    /// # Errors
    /// A sentence: it is no request, or a value is out of bounds.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let request: Self = serde_json::from_slice(line).map_err(|error| error.to_string())?;
        match &request {
            Self::Reload(how) | Self::Rollback { how, .. } => how.check()?,
            Self::Undo(how) => {
                how.check()?;
                if how.confirm_s.is_some() {
                    return Err(String::from("an undo is not on trial: undo it by another"));
                }
            }
            Self::Trunk { message, .. } => check_message(message.as_deref())?,
            Self::Status {}
            | Self::History { .. }
            | Self::Files { .. }
            | Self::Trunks {}
            | Self::Calls { .. }
            | Self::Confirm {} => {}
        }
        Ok(request)
    }
}

impl Change {
    /// Whether its values are within bounds.
    ///
    /// # Errors
    /// A sentence that names the bound.
    pub fn check(&self) -> Result<(), String> {
        if let Some(seconds) = self.confirm_s
            && !(1..=CONFIRM_SECONDS_MAX).contains(&seconds)
        {
            return Err(format!(
                "{seconds} seconds to confirm: allowed are 1 to {CONFIRM_SECONDS_MAX}"
            ));
        }
        check_message(self.message.as_deref())
    }
}

/// Whether a word about a change is one the history can keep.
fn check_message(message: Option<&str>) -> Result<(), String> {
    let Some(message) = message else {
        return Ok(());
    };
    let chars = message.chars().count();
    if chars > MESSAGE_CHARS_MAX {
        return Err(format!(
            "a message of {chars} characters: at most {MESSAGE_CHARS_MAX} are kept"
        ));
    }
    if message.chars().any(char::is_control) {
        return Err(String::from(
            "a message is one line without control characters",
        ));
    }
    Ok(())
}

/// One line of an answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// [`SCHEMA`].
    pub schema: String,
    /// What it says.
    #[serde(flatten)]
    pub answer: Answer,
}

/// What is answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "snake_case")]
pub enum Answer {
    /// What runs, and what serves.
    Status(Box<Status>),
    /// What has served, newest first.
    History {
        /// The generations.
        generations: Vec<Generation>,
    },
    /// Another table serves.
    Changed(Box<Changed>),
    /// The table on trial stays.
    Confirmed {
        /// Its generation.
        generation: Generation,
    },
    /// The trunks, in the order of the table.
    Trunks {
        /// All of them.
        trunks: Vec<TrunkStatus>,
    },
    /// Calls that are up, the oldest first.
    Calls {
        /// How many there are.
        count: usize,
        /// As many as were asked for.
        calls: Vec<LiveCall>,
    },
    /// An order about a trunk holds.
    Ordered(Box<Ordered>),
    /// Nothing was changed, for nothing would be.
    Unchanged {
        /// The generation that serves.
        generation: u64,
    },
    /// Nothing was changed, and why.
    Refused(Refused),
    /// The files of this generation follow, then `End`.
    Files {
        /// The generation.
        generation: Generation,
    },
    /// A piece of a file. Pieces of one file follow each other.
    File {
        /// Its name, relative to the table folder.
        name: String,
        /// The piece.
        text: String,
    },
    /// That was all.
    End,
}

/// What runs, and what serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Process id.
    pub pid: u32,
    /// When it started, RFC 3339.
    pub started: String,
    /// Where it listens.
    pub listening: Vec<String>,
    /// Workers.
    pub workers: usize,
    /// The table folder.
    pub tables: String,
    /// The state folder, if there is one.
    pub state: Option<String>,
    /// The generation that serves.
    pub generation: Generation,
    /// The generation an undo would bring back.
    pub before: Option<u64>,
    /// Whether an undo, a rollback or a return serves in place of what the folder says.
    pub held: bool,
    /// The trial that runs.
    pub trial: Option<TrialStatus>,
    /// The last reload, if it was refused.
    pub refused: Option<LastRefused>,
    /// The trunks that calls are not sent to now.
    #[serde(default)]
    pub trunks_out: Vec<TrunkStatus>,
    /// The sinks of call records.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<SinkStatus>,
    /// Whether whoever asks may change anything.
    pub may_change: bool,
}

/// An order about a trunk that holds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Ordered {
    /// The order.
    pub order: TrunkOrder,
    /// The trunk as it is now.
    pub trunk: TrunkStatus,
}

/// A trunk as it is at this moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrunkStatus {
    /// Its name.
    pub name: String,
    /// Its address, as it stands in the table.
    pub address: String,
    /// Whether calls are sent to it, and if not, why.
    pub state: TrunkState,
    /// What found it down: `probes` or `calls`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub found_by: Option<String>,
    /// Seconds until it is tried again, where calls found it down.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub back_in_s: Option<u64>,
    /// Calls in progress, where the table has them counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub calls: Option<u32>,
    /// The order it is under.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<TrunkOrder>,
}

/// Whether calls are sent to a trunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum TrunkState {
    /// They are.
    Up,
    /// Probes or calls have found it dead, or it asked for quiet.
    Down,
    /// By order: no new calls.
    Draining,
    /// By order: no new calls, no probes.
    Maintenance,
}

impl TrunkState {
    /// As it stands in JSON and in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Down => "down",
            Self::Draining => "draining",
            Self::Maintenance => "maintenance",
        }
    }
}

/// A trial as it stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialStatus {
    /// The generation whose table comes back.
    pub return_to: u64,
    /// When, RFC 3339, by the time of day as the trial began.
    pub until: String,
    /// Whole seconds left.
    pub left_s: u64,
}

impl TrialStatus {
    /// At this moment.
    #[must_use]
    pub fn of(trial: &Trial, clocks: &Clocks) -> Self {
        Self {
            return_to: trial.return_to,
            until: format!("{:.0}", trial.deadline.until),
            left_s: trial.deadline.left(clocks).as_secs(),
        }
    }
}

/// A reload that was refused.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LastRefused {
    /// When, RFC 3339.
    pub at: String,
    /// Who wanted it.
    pub by: String,
    /// Why.
    pub why: String,
}

/// A change that was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Changed {
    /// The generation that serves now.
    pub generation: Generation,
    /// The one that served before.
    pub former: u64,
    /// When it is taken back unless it is confirmed.
    pub trial: Option<TrialStatus>,
    /// Whether it serves in place of what the folder says.
    pub held: bool,
    /// Reading, checking and compiling, in milliseconds.
    pub took_ms: u64,
    /// Warnings, one line each.
    pub warnings: Vec<String>,
}

/// A change that was not made, or a question that was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// One of a closed list of words; docs/control.md.
    pub reason: String,
    /// A sentence.
    pub message: String,
    /// The generation that serves.
    pub serving: u64,
    /// What is wrong with the table, one line each.
    #[serde(default)]
    pub findings: Vec<String>,
    /// The same, each with its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub details: Vec<Finding>,
}

/// What is wrong with a table, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Finding {
    /// `T013`; docs/diagnostics.md.
    pub code: String,
    /// `error`, `warning` or `info`.
    pub severity: String,
    /// A sentence.
    pub message: String,
    /// The file, relative to the table folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Counted from 1; absent where the whole file is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// In characters, counted from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<u32>,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

impl Refused {
    /// Without findings.
    #[must_use]
    pub fn new(reason: &str, message: impl Into<String>, serving: u64) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
            serving,
            findings: Vec::new(),
            details: Vec::new(),
        }
    }
}

impl From<Answer> for Reply {
    fn from(answer: Answer) -> Self {
        Self {
            schema: SCHEMA.to_owned(),
            answer,
        }
    }
}

impl Reply {
    /// The line, with its end.
    #[must_use]
    pub fn line(&self) -> String {
        let mut line = serde_json::to_string(self).unwrap_or_default();
        line.push('\n');
        line
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::{Answer, Change, OrderKind, Refused, Reply, Request};
    use proptest::prelude::*;

    fn read(line: &str) -> Result<Request, String> {
        Request::read(line.as_bytes())
    }

    #[test]
    fn requests() {
        let reload = |change| Ok(Request::Reload(change));
        assert_eq!(read(r#"{"do":"status"}"#), Ok(Request::Status {}));
        assert_eq!(read(r#"{"do":"reload"}"#), reload(Change::default()));
        assert_eq!(
            read(r#"{"do":"reload","confirm_s":300,"message":"wave 3","force":true}"#),
            reload(Change {
                confirm_s: Some(300),
                message: Some(String::from("wave 3")),
                force: true
            })
        );
        assert_eq!(
            read(r#"{"do":"rollback","generation":7}"#),
            Ok(Request::Rollback {
                generation: 7,
                how: Change::default()
            })
        );
        for bad in [
            "",
            "reload",
            "{}",
            r#"{"do":"explode"}"#,
            r#"{"do":"status","number":1}"#,
            r#"{"do":"confirm","force":true}"#,
            r#"{"do":"rollback"}"#,
            r#"{"do":"rollback","generation":-1}"#,
            r#"{"do":"reload","confirm_s":0}"#,
            r#"{"do":"reload","confirm_s":86401}"#,
            r#"{"do":"reload","confrim_s":300}"#,
            r#"{"do":"reload","message":"two\nlines"}"#,
            r#"{"do":"undo","confirm_s":300}"#,
            r#"{"do":"trunks","name":"x"}"#,
            r#"{"do":"trunk","name":"x"}"#,
            r#"{"do":"trunk","name":"x","order":"maintenance"}"#,
            r#"{"do":"trunk","name":"x","order":"drain","message":"two\nlines"}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
        let long = format!(r#"{{"do":"reload","message":"{}"}}"#, "x".repeat(501));
        assert!(read(&long).unwrap_err().contains("at most 500"));
    }

    #[test]
    fn a_reply_is_one_line_and_reads_back() {
        let reply = Reply::from(Answer::Refused(Refused::new("gates", "two\nlines", 7)));
        let line = reply.line();
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(serde_json::from_str::<Reply>(&line).unwrap(), reply);
        assert!(line.starts_with(
            r#"{"schema":"trunkline.control/1","answer":"refused","reason":"gates","#
        ));
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_read_or_refused(line in ".{0,200}") {
            let _ = Request::read(line.as_bytes());
        }

        #[test]
        fn what_is_asked_is_what_is_read(
            generation in any::<u64>(),
            confirm_s in proptest::option::of(1_u32..=86_400),
            message in proptest::option::of("[^\\p{Cc}]{0,100}"),
            force in any::<bool>(),
        ) {
            let how = Change { confirm_s, message, force };
            for request in [
                Request::Reload(how.clone()),
                Request::Rollback { generation, how: how.clone() },
                Request::Undo(Change { confirm_s: None, ..how.clone() }),
                Request::Files { generation: Some(generation) },
                Request::Confirm {},
                Request::Trunks {},
                Request::Trunk { name: how.message.clone().unwrap_or_default(), order: OrderKind::Maint, message: how.message.clone() },
            ] {
                let line = serde_json::to_vec(&request).unwrap();
                prop_assert_eq!(Request::read(&line), Ok(request));
            }
        }
    }
}
