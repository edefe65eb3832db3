//! The line per decided call, made to be pasted into a shell.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::{LogFormat, ShellWord};
use crate::proxy::CallEvent;
use crate::routing::{Outcome, RoutingTable};

/// How much of a telephone number the log shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum MaskNumbers {
    /// All of it.
    #[default]
    None,
    /// Its last four symbols; the line can no longer be pasted.
    Last4,
    /// Nothing of it; the line can no longer be pasted.
    All,
}

impl MaskNumbers {
    /// A number as it may be shown.
    #[must_use]
    pub fn shown(self, number: &str) -> Cow<'_, str> {
        if self == Self::None {
            return Cow::Borrowed(number);
        }
        let hidden = self.hidden(number.chars().count());
        let symbols = number.chars().enumerate();
        let symbols = symbols.map(|(place, symbol)| if place < hidden { '*' } else { symbol });
        Cow::Owned(symbols.collect())
    }

    /// How many of so many symbols are hidden: the first ones.
    fn hidden(self, symbols: usize) -> usize {
        symbols.saturating_sub(match self {
            Self::None => symbols,
            Self::Last4 => 4,
            Self::All => 0,
        })
    }
}

/// Whether and how decisions are logged.
#[derive(Debug, Clone, Copy)]
pub struct CallLog {
    /// Whether they are.
    pub enabled: bool,
    /// As what.
    pub format: LogFormat,
    /// How much of the numbers is shown.
    pub mask: MaskNumbers,
}

impl CallLog {
    /// Writes the line, if decisions are logged.
    pub fn line(&self, line: &CallLine<'_>) {
        if self.enabled {
            line.log(self.format);
        }
    }
}

/// One decided call as a log line.
///
/// Shown as text it reads `trunkline route NUMBER --from GROUP … # STATUS …`: the same
/// decision, asked of the command line again, with what came of it behind a `#`.
/// Whatever a peer wrote is a [`ShellWord`]: it can neither end its quotes nor its line.
#[derive(Debug, Clone, Copy)]
pub struct CallLine<'c> {
    /// The call.
    pub event: &'c CallEvent<'c>,
    /// The table that decided it: the ids of the event are its.
    pub table: &'c RoutingTable,
    /// From the arrival of the datagram to the sending of the answer.
    pub took: Duration,
    /// How much of the numbers is shown.
    pub mask: MaskNumbers,
}

impl CallLine<'_> {
    /// Writes the line to the log, at level INFO.
    pub fn log(&self, format: LogFormat) {
        match format {
            LogFormat::Text => tracing::info!("{self}"),
            LogFormat::Json => self.log_fields(),
        }
    }

    fn log_fields(&self) {
        let event = self.event;
        tracing::info!(
            event = "call",
            dialled = %Lossy(&self.masked(&event.dialled).0),
            from = self.table.group_name(event.from),
            calling = event.shown.as_ref().map(|shown| Lossy(&self.masked(shown).0).to_string()),
            phone_context = event.phone_context.map(|context| Lossy(context).to_string()),
            host = %Lossy(event.host),
            tgrp = event.tgrp.map(|tgrp| Lossy(tgrp).to_string()),
            at = %event.at,
            status = event.status,
            routes = %Routes(self),
            rule = event.rule.map(|rule| self.table.rule_name(rule)),
            called = event.called.map(|called| Lossy(&self.masked(called.as_bytes()).0).to_string()),
            calling_normalised = event.calling.number().map(|n| Lossy(&self.masked(n.as_bytes()).0).to_string()),
            generation = event.generation,
            source = %event.source,
            listener = event.listener,
            us = micros(self.took),
            call_id = %Lossy(event.call_id),
            "call"
        );
    }

    /// A number as the line may show it.
    pub(super) fn masked_text(&self, number: &[u8]) -> String {
        Lossy(&self.masked(number).0).to_string()
    }

    /// The routes of the decision, or what there is instead.
    pub(super) fn routes(&self) -> impl Display {
        Routes(self)
    }

    fn masked(&self, number: &[u8]) -> Masked {
        Masked::new(number, self.mask)
    }

    /// The part that asks for the decision again.
    pub(super) fn command(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.event;
        let dialled = self.masked(&event.dialled);
        f.write_str("trunkline route")?;
        // Behind `--` nothing is an option, whatever was dialled.
        let hyphen = dialled.0.first() == Some(&b'-');
        if !hyphen {
            write!(f, " {}", ShellWord(&dialled.0))?;
        }
        write!(
            f,
            " --from {}",
            ShellWord(self.table.group_name(event.from).as_bytes())
        )?;
        if let Some(shown) = &event.shown {
            option(f, "calling", &self.masked(shown).0)?;
        }
        if let Some(context) = event.phone_context {
            option(f, "phone-context", context)?;
        }
        if self.table.reads_host() {
            option(f, "host", event.host)?;
        }
        if let Some(tgrp) = event.tgrp.filter(|_| self.table.reads_tgrp()) {
            option(f, "tgrp", tgrp)?;
        }
        if self.table.draws() {
            option(f, "call-id", event.call_id)?;
        }
        write!(f, " --at {:.0}", event.at)?;
        if hyphen {
            write!(f, " -- {}", ShellWord(&dialled.0))?;
        }
        Ok(())
    }

    pub(super) fn rule_and_called(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rule) = self.event.rule {
            write!(f, " rule={:?}", self.table.rule_name(rule))?;
        }
        match self.event.called {
            Some(called) => write!(
                f,
                " called={}",
                ShellWord(&self.masked(called.as_bytes()).0)
            ),
            None => Ok(()),
        }
    }
}

impl Display for CallLine<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let event = self.event;
        self.command(f)?;
        write!(f, " # {} {}", event.status, Routes(self))?;
        self.rule_and_called(f)?;
        write!(
            f,
            " gen={} src={} us={:.1} cid={}",
            event.generation,
            event.source,
            micros(self.took),
            ShellWord(event.call_id)
        )
    }
}

fn option(f: &mut fmt::Formatter<'_>, name: &str, value: &[u8]) -> fmt::Result {
    let joint = if value.first() == Some(&b'-') {
        '='
    } else {
        ' '
    };
    write!(f, " --{name}{joint}{}", ShellWord(value))
}

/// `teams/teams-1,reception/vm-1`, or what there is instead.
struct Routes<'r, 'c>(&'r CallLine<'c>);

impl Display for Routes<'_, '_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let routes = match &self.0.event.outcome {
            Outcome::Route(routes) => routes,
            Outcome::Reject { .. } => return f.write_str("rejected"),
            Outcome::NoRoute => return f.write_str("no-route"),
            Outcome::Unavailable => return f.write_str("unavailable"),
        };
        let table = self.0.table;
        for (i, route) in routes.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            write!(
                f,
                "{comma}{}/{}",
                table.group_name(route.group),
                table.trunk_name(route.trunk)
            )?;
        }
        Ok(())
    }
}

/// A number as the log may show it.
struct Masked(arrayvec::ArrayVec<u8, { crate::limits::DIALLED_BYTES_MAX }>);

impl Masked {
    fn new(number: &[u8], mask: MaskNumbers) -> Self {
        let hidden = mask.hidden(number.len());
        let symbol = |(i, byte): (usize, &u8)| if i < hidden { b'*' } else { *byte };
        let capacity = crate::limits::DIALLED_BYTES_MAX;
        Self(
            number
                .iter()
                .enumerate()
                .map(symbol)
                .take(capacity)
                .collect(),
        )
    }
}

/// Bytes as text: what is no UTF-8 is replaced.
pub(super) struct Lossy<'b>(pub(super) &'b [u8]);

impl Display for Lossy<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            f.write_str(chunk.valid())?;
            if !chunk.invalid().is_empty() {
                f.write_char(char::REPLACEMENT_CHARACTER)?;
            }
        }
        Ok(())
    }
}

fn micros(took: Duration) -> f64 {
    took.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hides_what_must_not_be_shown() {
        let masked = |mask| Lossy(&Masked::new(b"+442071838750", mask).0).to_string();
        assert_eq!(masked(MaskNumbers::None), "+442071838750");
        assert_eq!(masked(MaskNumbers::Last4), "*********8750");
        assert_eq!(masked(MaskNumbers::All), "*************");
        assert_eq!(
            Lossy(&Masked::new(b"999", MaskNumbers::Last4).0).to_string(),
            "999"
        );
    }
}
