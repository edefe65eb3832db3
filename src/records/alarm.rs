//! Trouble with a sink, told at most so often.

use std::fmt::Display;
use std::time::{Duration, Instant};

use crate::limits::SINK_ALARM_S;

/// What the log hears of one sink.
#[derive(Debug)]
pub(super) struct Alarm {
    sink: String,
    told: Option<Instant>,
    held_back: u64,
    in_trouble: bool,
}

impl Alarm {
    pub(super) fn new(sink: &str) -> Self {
        Self {
            sink: sink.to_owned(),
            told: None,
            held_back: 0,
            in_trouble: false,
        }
    }

    /// It does not work. One line in [`SINK_ALARM_S`].
    pub(super) fn trouble(&mut self, what: impl Display) {
        self.in_trouble = true;
        let pause = Duration::from_secs(SINK_ALARM_S);
        if self.told.is_some_and(|told| told.elapsed() < pause) {
            self.held_back += 1;
            return;
        }
        self.told = Some(Instant::now());
        let again = std::mem::take(&mut self.held_back);
        let sink = &self.sink;
        if again > 0 {
            tracing::error!("records to {sink}: {what} ({again} times more since the last line)");
        } else {
            tracing::error!("records to {sink}: {what}");
        }
    }

    /// It works (again).
    pub(super) fn well(&mut self) {
        if std::mem::take(&mut self.in_trouble) {
            self.told = None;
            self.held_back = 0;
            tracing::info!("records to {} are written again", self.sink);
        }
    }
}
