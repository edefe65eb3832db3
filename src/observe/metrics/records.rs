//! The part of the page about calls that are told and their records.

use std::fmt;

use super::{Page, signed};
use crate::observe::{CallsStanding, SinkStanding};

/// A counter of a sink: its name, its help, its value.
type Counter = (&'static str, &'static str, fn(&SinkStanding) -> u64);

impl Page<'_, '_> {
    pub(super) fn calls(&mut self, calls: &CallsStanding) -> fmt::Result {
        self.gauge(
            "live_calls",
            "Calls that are up, of those followed",
            signed(calls.live),
        )?;
        let help = "Events of calls that were told";
        self.counter("feed_events", help, calls.told)?;
        let help = "Events of calls that there was no room for";
        self.counter("feed_dropped", help, calls.dropped)?;
        let help = "Answered calls whose end nobody could wait for";
        self.counter("feed_unfollowed", help, calls.unfollowed)?;
        let counters: [Counter; 8] = [
            (
                "records_acknowledged",
                "Call records that no end of the process loses",
                |s| s.acknowledged,
            ),
            ("records_written", "Call records written", |s| s.written),
            (
                "records_repeated",
                "Call records the sink had already",
                |s| s.repeated,
            ),
            (
                "records_refused",
                "Call records the sink can never take",
                |s| s.refused,
            ),
            (
                "records_dropped",
                "Call records dropped for want of room",
                |s| s.dropped,
            ),
            (
                "records_unsure",
                "Call records dropped after they were sent without an answer",
                |s| s.unsure,
            ),
            ("records_missed", "Calls a sink was not told of", |s| {
                s.missed
            }),
            ("records_failures", "Tries of a sink that failed", |s| {
                s.failures
            }),
        ];
        for (name, help, value) in counters {
            let values = calls.sinks.iter().map(|sink| (&*sink.name, value(sink)));
            self.counters(name, help, "sink", &values.collect())?;
        }
        let now_ms = calls.now_ms;
        self.of_sinks(
            "records_sink_up",
            "Whether the sink takes records",
            calls,
            |s| u64::from(s.up),
        )?;
        self.of_sinks("records_waiting", "Call records in the spool", calls, |s| {
            s.waiting
        })?;
        self.of_sinks("records_spool_bytes", "Bytes of the spool", calls, |s| {
            s.spool_bytes
        })?;
        let help = "Bytes the spool may have; 0 without one";
        self.of_sinks("records_spool_max_bytes", help, calls, |s| {
            s.spool_bytes_max
        })?;
        let help = "Age of the oldest record in the spool";
        self.of_sinks("records_oldest_seconds", help, calls, |sink| {
            sink.oldest_s(now_ms).unwrap_or(0)
        })
    }

    fn of_sinks(
        &mut self,
        name: &str,
        help: &str,
        calls: &CallsStanding,
        value: impl Fn(&SinkStanding) -> u64,
    ) -> fmt::Result {
        let values = calls.sinks.iter().map(|sink| {
            let value = i64::try_from(value(sink)).unwrap_or(i64::MAX);
            ([("sink", &*sink.name)], value)
        });
        self.gauges(name, help, values)
    }
}
