//! The calls that are up and how their records stand, for whoever asks.

use std::fmt;
use std::sync::Arc;

use jiff::Timestamp;
use serde_json::Value;

use crate::api::CallStream;
use crate::control::{Answer, LiveCall, Refused, SinkStatus};
use crate::limits::CONTROL_CALLS_MAX;
use crate::observe::{CallDetail, CallsStanding, MaskNumbers, Observer, SinkStanding, Told};
use crate::records::{Records, records_of};

/// Where calls are asked about. A clone is the same desk.
#[derive(Clone)]
pub(super) struct CallDesk {
    observer: Observer,
    sinks: Arc<dyn Fn() -> Vec<SinkStanding> + Send + Sync>,
    mask: MaskNumbers,
}

impl fmt::Debug for CallDesk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallDesk").finish_non_exhaustive()
    }
}

impl CallDesk {
    /// `mask` holds for all who ask.
    pub(super) fn new(observer: &Observer, records: &Records, mask: MaskNumbers) -> Self {
        Self {
            observer: observer.clone(),
            sinks: Arc::new(records.standing()),
            mask,
        }
    }

    /// How many calls are up, and how their records stand.
    pub(super) fn standing(&self) -> CallsStanding {
        let counts = self.observer.counts();
        CallsStanding {
            live: self.observer.live_count(),
            told: counts.told(),
            dropped: counts.dropped(),
            unfollowed: counts.unfollowed(),
            sinks: (self.sinks)(),
            now_ms: now_ms(),
        }
    }

    /// The sinks of records.
    pub(super) fn sinks(&self) -> Vec<SinkStatus> {
        let now_ms = now_ms();
        let sinks = (self.sinks)().into_iter();
        sinks
            .map(|sink| SinkStatus {
                oldest_s: sink.oldest_s(now_ms),
                name: sink.name,
                up: sink.up,
                written: sink.written,
                dropped: sink.dropped,
                missed: sink.missed,
                waiting: sink.waiting,
                spool_bytes: sink.spool_bytes,
            })
            .collect()
    }

    /// The calls that are up, the oldest first; only those of a trunk group if one is named.
    pub(super) fn live_calls(
        &self,
        group: Option<&str>,
        most: Option<usize>,
        mask: bool,
    ) -> Answer {
        let most = most.unwrap_or(CONTROL_CALLS_MAX).min(CONTROL_CALLS_MAX);
        let mask = match (mask, self.mask) {
            (true, MaskNumbers::None) => MaskNumbers::Last4,
            (_, mask) => mask,
        };
        let live = self.observer.live_calls(group, most);
        let now = Timestamp::now();
        Answer::Calls {
            count: live.count,
            calls: (live.calls.iter())
                .map(|call| listed(call, now, mask))
                .collect(),
        }
    }
}

/// What is answered where nobody follows calls.
pub(super) fn not_followed(serving: u64) -> Answer {
    let message = "calls are not followed: write live_calls = true into [records]";
    Answer::Refused(Refused::new("not_followed", message, serving))
}

fn listed(call: &CallDetail, now: Timestamp, mask: MaskNumbers) -> LiveCall {
    let route = call.last_attempt().map(|attempt| &attempt.route);
    let answered_ms = call.at.as_millisecond() + i64::from(call.answer_ms);
    let up_ms = now.as_millisecond().saturating_sub(answered_ms);
    let called = call.called.as_deref().unwrap_or(&call.dialled);
    let calling = call.calling.as_deref().or(call.shown.as_deref());
    LiveCall {
        call: call.id.to_string(),
        since: format!("{:.3}", call.at),
        up_s: u64::try_from(up_ms / 1_000).unwrap_or(0),
        from: call.from.to_string(),
        source: call.source.to_string(),
        calling: calling.map(|number| mask.number(number).into_owned()),
        called: mask.number(called).into_owned(),
        trunk_group: route.map(|route| route.trunk_group.to_string()),
        trunk: route.map(|route| route.trunk.to_string()),
        rule: call.rule.as_deref().map(str::to_owned),
        generation: call.generation,
        call_id: call.call_id.to_string(),
    }
}

/// What calls do, for who listens.
pub(super) fn stream(observer: &Observer) -> CallStream {
    CallStream {
        observer: observer.clone(),
        tell,
    }
}

/// A call that was answered, as it is listed; one that is over, as its record.
fn tell(told: &Told, mask: MaskNumbers) -> (&'static str, Value) {
    if let Told::Up(call) = told {
        let listed = serde_json::to_value(listed(call, Timestamp::now(), mask));
        return ("answered", listed.unwrap_or_default());
    }
    let mut over = Value::Null;
    records_of(told, mask, false, |record| {
        over = serde_json::to_value(record).unwrap_or_default();
    });
    ("over", over)
}

fn now_ms() -> u64 {
    u64::try_from(Timestamp::now().as_millisecond()).unwrap_or(0)
}
