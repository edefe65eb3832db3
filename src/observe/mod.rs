//! What happened, for people: the line per decision, counters, the log itself.
//!
//! Nothing here can slow a call down for long: lines go through a bounded queue that
//! drops and counts, counters are plain atomics of one worker each.

mod api_counters;
mod call_detail;
mod call_line;
mod counters;
mod feed;
mod http_counters;
mod line_budget;
mod log;
mod metrics;
mod observer;
mod peer_errors;
mod proxied_call_line;
mod record_counts;
mod shell_word;
mod trunk_turns;

pub use api_counters::{ApiCounters, ApiOutcome};
pub use call_detail::{AttemptDetail, CallDetail, EndDetail, LoneEnd, NoBeginning, RouteDetail};
pub use call_line::{CallLine, CallLog, MaskNumbers};
pub use counters::{Counters, Proxied, Totals};
pub use feed::{AnsweredBy, DecidedCall, Feed, FeedCounts, FeedEvent, Subscription, Told};
pub use http_counters::{HttpCounters, HttpOutcome};
pub use line_budget::LineBudget;
pub use log::{Log, LogFormat, LogSettings};
pub use metrics::Standing;
pub use observer::{ListenerName, LiveCalls, Observer, ObserverThread};
pub use peer_errors::PeerErrors;
pub use proxied_call_line::ProxiedCallLine;
pub use record_counts::{CallsStanding, SinkStanding};
pub use shell_word::ShellWord;
pub use trunk_turns::{TrunksOut, tell_turn};
