//! The line per proxied call: the decision, every attempt, and what the caller got.

use std::fmt::{self, Display};
use std::time::Duration;

use super::call_line::CallLine;
use super::log::CALLS;
use super::{LogFormat, MaskNumbers};
use crate::proxy::{AttemptReport, LargeBy, ProxiedCall};
use crate::routing::table::Cause;
use crate::routing::{Ending, Outcome, RoutingTable};

/// One proxied call as a log line.
///
/// Shown as text it begins as a [`CallLine`] does, so that it can be pasted into a shell;
/// behind the `#` stand the status the caller got, each attempt with what ended it
/// (`uk/lon=timeout,uk/man=200`), why the call ended so, and how long it took.
#[derive(Debug, Clone, Copy)]
pub struct ProxiedCallLine<'c> {
    /// The call.
    pub call: &'c ProxiedCall,
    /// The listener it came in on; empty if it has no name.
    pub listener: &'c str,
    /// How much of the numbers is shown.
    pub mask: MaskNumbers,
}

impl ProxiedCallLine<'_> {
    /// Writes the line to the log, at level INFO.
    pub fn log(&self, format: LogFormat) {
        match (format.has_fields(), format.shows_line()) {
            (false, _) => tracing::info!(target: CALLS, "{self}"),
            (true, false) => self.log_fields(&"call"),
            (true, true) => self.log_fields(self),
        }
    }

    fn log_fields(&self, message: &dyn Display) {
        let (call, event) = (self.call, self.call.decision(self.listener));
        let line = CallLine {
            event: &event,
            table: &call.table,
            took: Duration::ZERO,
            mask: self.mask,
        };
        let number = |number: &[u8]| line.masked_text(number);
        let text = |bytes: &[u8]| line.text(bytes);
        let shown = |shown: &dyn Display| line.text(shown.to_string().as_bytes());
        tracing::info!(
            target: CALLS,
            event = "proxied-call",
            dialled = number(&event.dialled),
            from = call.table.group_name(event.from),
            calling = event.shown.as_ref().map(|shown| number(shown)),
            phone_context = event.phone_context.map(text),
            host = text(event.host),
            tgrp = event.tgrp.map(text),
            at = %event.at,
            status = event.status,
            ended = call.ended_by.as_str(),
            attempts = shown(&Attempts(call)),
            routes = shown(&line.routes()),
            rule = event.rule.map(|rule| text(call.table.rule_name(rule).as_bytes())),
            called = event.called.map(|called| number(called.as_bytes())),
            calling_normalised = event.calling.number().map(|n| number(n.as_bytes())),
            emergency = call.emergency,
            progress_ms = call.progress_ms,
            answer_ms = call.answer_ms,
            generation = event.generation,
            source = %event.source,
            listener = event.listener,
            call_id = line.call_id(),
            "{message}"
        );
    }
}

impl Display for ProxiedCallLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (call, event) = (self.call, self.call.decision(self.listener));
        let line = CallLine {
            event: &event,
            table: &call.table,
            took: Duration::ZERO,
            mask: self.mask,
        };
        line.veiled(f, |f, call_id| {
            line.command(f, call_id)?;
            write!(f, " # {} ", event.status)?;
            match (&call.outcome, call.attempts.is_empty()) {
                (Outcome::Route(_), false) => write!(f, "{}", Attempts(call))?,
                _ => write!(f, "{}", line.routes())?,
            }
            line.rule_and_called(f)?;
            write!(f, " ended={}", call.ended_by.as_str())?;
            if let Some(progress) = call.progress_ms {
                write!(f, " progress-ms={progress}")?;
            }
            write!(
                f,
                " answer-ms={} gen={} src={} cid={call_id}",
                call.answer_ms, event.generation, event.source,
            )
        })
    }
}

/// `uk/lon=timeout,uk/man=200`: each attempt and what ended it.
struct Attempts<'c>(&'c ProxiedCall);

impl Display for Attempts<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ProxiedCall {
            table, attempts, ..
        } = self.0;
        for (i, attempt) in attempts.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(f, "{comma}{}", OneAttempt { table, attempt })?;
        }
        Ok(())
    }
}

struct OneAttempt<'c> {
    table: &'c RoutingTable,
    attempt: &'c AttemptReport,
}

impl Display for OneAttempt<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let route = self.attempt.route;
        let (group, trunk) = (
            self.table.group_name(route.group),
            self.table.trunk_name(route.trunk),
        );
        write!(f, "{group}/{trunk}=")?;
        let Some(Ending { cause, q850 }) = self.attempt.ending else {
            return f.write_str("cancelled");
        };
        match cause {
            Cause::TrunkTimeout => f.write_str("timeout")?,
            Cause::TransportError => f.write_str("unreachable")?,
            Cause::Status(status) => write!(f, "{status}")?,
            Cause::StatusClass(class) => write!(f, "{class}xx")?,
            Cause::Q850(cause) => write!(f, "q850:{cause}")?,
        }
        if let Some(cause) = q850 {
            write!(f, ":q850:{cause}")?;
        }
        match self.attempt.large {
            Some(LargeBy::Tcp) => f.write_str(":large-tcp"),
            Some(LargeBy::Udp) => f.write_str(":large-udp"),
            None => Ok(()),
        }
    }
}
