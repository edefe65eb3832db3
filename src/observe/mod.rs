//! What happened, for people: the line per decision, counters, the log itself.
//!
//! Nothing here can slow a call down for long: lines go through a bounded queue that
//! drops and counts, counters are plain atomics of one worker each.

mod api_counters;
mod build;
mod call_detail;
mod call_line;
mod changes;
mod counters;
mod feed;
mod histogram;
mod http_counters;
mod http_refusals;
mod line_budget;
mod log;
mod mask;
mod metrics;
mod observer;
mod peer_errors;
mod process;
mod proxied_call_line;
mod record_counts;
mod roster;
mod shell_word;
mod tallies;
mod trunk_turns;

pub use api_counters::{ApiCounters, ApiOutcome};
pub use build::COMMIT;
pub use call_detail::{AttemptDetail, CallDetail, EndDetail, LoneEnd, NoBeginning, RouteDetail};
pub use call_line::{CallLine, CallLog};
pub use changes::{ChangeResult, Changes, ChangesSeen};
pub use counters::{Counters, Proxied, Totals};
pub use feed::{AnsweredBy, DecidedCall, Feed, FeedCounts, FeedEvent, Subscription, Told};
pub use histogram::{Durations, Histogram};
pub use http_counters::{HttpCounters, HttpOutcome};
pub use http_refusals::{FaceRefusals, HttpFace, HttpRefusal, HttpRefusals};
pub use line_budget::LineBudget;
pub use log::{
    COUNTS, ENTERPRISE, FACILITY, Log, LogFormat, LogSettings, SyslogSettings, log_lines_dropped,
};
pub use mask::MaskNumbers;
pub use metrics::{CertificateEnd, Standing};
pub use observer::{ListenerName, LiveCalls, Observer, ObserverThread};
pub use peer_errors::PeerErrors;
pub use process::Process;
pub use proxied_call_line::ProxiedCallLine;
pub use record_counts::{CallsStanding, SinkStanding};
pub use roster::Roster;
pub use shell_word::ShellWord;
pub use tallies::{Decided, GroupTallied, Tallied, Tallies};
pub use trunk_turns::{TrunksOut, tell_turn};
