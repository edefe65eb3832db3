//! The line per decided call, made to be pasted into a shell.

use std::borrow::Cow;
use std::fmt::{self, Display, Write};
use std::time::Duration;

use super::log::CALLS;
use super::{LogFormat, MaskNumbers, ProxiedCallLine, ShellWord};
use crate::proxy::CallEvent;
use crate::routing::{Outcome, RoutingTable};

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

    /// The same of a call of a proxy.
    pub fn proxied(&self, line: &ProxiedCallLine<'_>) {
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
        match (format.has_fields(), format.shows_line()) {
            (false, _) => tracing::info!(target: CALLS, "{self}"),
            (true, false) => self.log_fields(&"call"),
            (true, true) => self.log_fields(self),
        }
    }

    fn log_fields(&self, message: &dyn Display) {
        let event = self.event;
        tracing::info!(
            target: CALLS,
            event = "call",
            dialled = %Lossy(&self.masked(&event.dialled).0),
            from = self.table.group_name(event.from),
            calling = event.shown.as_ref().map(|shown| Lossy(&self.masked(shown).0).to_string()),
            phone_context = event.phone_context.map(|context| self.text(context)),
            host = self.text(event.host),
            tgrp = event.tgrp.map(|tgrp| self.text(tgrp)),
            at = %event.at,
            status = event.status,
            routes = self.text(Routes(self).to_string().as_bytes()),
            rule = event.rule.map(|rule| self.text(self.table.rule_name(rule).as_bytes())),
            called = event.called.map(|called| Lossy(&self.masked(called.as_bytes()).0).to_string()),
            calling_normalised = event.calling.number().map(|n| Lossy(&self.masked(n.as_bytes()).0).to_string()),
            generation = event.generation,
            source = %event.source,
            listener = event.listener,
            us = micros(self.took),
            call_id = self.call_id(),
            "{message}"
        );
    }

    /// Text of a peer or of the table, with the numbers in it hidden.
    pub(super) fn text(&self, text: &[u8]) -> String {
        let text = Lossy(text).to_string();
        match self.mask.text(&text) {
            Cow::Borrowed(_) => text,
            Cow::Owned(shown) => shown,
        }
    }

    /// The Call-ID, with the numbers of the call in it hidden.
    pub(super) fn call_id(&self) -> String {
        let event = self.event;
        let call_id = Lossy(event.call_id).to_string();
        if self.mask == MaskNumbers::None {
            return call_id;
        }
        let (called, calling) = (event.called, event.calling.number());
        let lossy = |number: &[u8]| Lossy(number).to_string();
        let numbers = [
            Some(lossy(&event.dialled)),
            event.shown.as_ref().map(|shown| lossy(shown)),
            called.map(|number| lossy(number.as_bytes())),
            calling.map(|number| lossy(number.as_bytes())),
        ];
        let numbers: Vec<&str> = numbers.iter().flatten().map(String::as_str).collect();
        self.mask.call_id(&call_id, &numbers)
    }

    /// Has a line written, with what `write` is given in place of the Call-ID, and hides what
    /// numbers the other text of peers and of the table has.
    pub(super) fn veiled(
        &self,
        f: &mut fmt::Formatter<'_>,
        write: impl FnOnce(&mut dyn Write, &dyn Display) -> fmt::Result,
    ) -> fmt::Result {
        if self.mask == MaskNumbers::None {
            return write(f, &ShellWord(self.event.call_id));
        }
        let mut line = String::new();
        // No value has it: all control characters are escaped.
        write(&mut line, &PLACE_OF_CALL_ID)?;
        let call_id = ShellWord(self.call_id().as_bytes()).to_string();
        let shown = self.mask.text(&line);
        f.write_str(&shown.replace(PLACE_OF_CALL_ID, &call_id))
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
    pub(super) fn command(&self, f: &mut dyn Write, call_id: &dyn Display) -> fmt::Result {
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
            write!(f, " --call-id {call_id}")?;
        }
        write!(f, " --at {:.0}", event.at)?;
        if hyphen {
            write!(f, " -- {}", ShellWord(&dialled.0))?;
        }
        Ok(())
    }

    pub(super) fn rule_and_called(&self, f: &mut dyn Write) -> fmt::Result {
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
        self.veiled(f, |f, call_id| {
            self.command(f, call_id)?;
            write!(f, " # {} {}", event.status, Routes(self))?;
            self.rule_and_called(f)?;
            write!(
                f,
                " gen={} src={} us={:.1} cid={call_id}",
                event.generation,
                event.source,
                micros(self.took),
            )
        })
    }
}

const PLACE_OF_CALL_ID: char = '\u{1}';

fn option(f: &mut dyn Write, name: &str, value: &[u8]) -> fmt::Result {
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
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use std::collections::BTreeMap;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::observe::tallies::{table_of, tests::call};
    use tracing::span;

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

    /// Notes which fields the events have, with a value or without.
    #[derive(Clone, Default)]
    struct Fields(Arc<Mutex<Vec<&'static str>>>);

    impl tracing::Subscriber for Fields {
        fn enabled(&self, _: &tracing::Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            let names = event.metadata().fields().iter().map(|field| field.name());
            self.0.lock().unwrap().extend(names);
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    fn fields_of(log: impl FnOnce()) -> Vec<&'static str> {
        let fields = Fields::default();
        tracing::subscriber::with_default(fields.clone(), log);
        let names = fields.0.lock().unwrap();
        names
            .iter()
            .copied()
            .filter(|name| *name != "message")
            .collect()
    }

    #[test]
    fn the_dictionary_has_each_field_and_no_other() {
        let call = call(table_of(1, &["sbc", "uk", "de"]));
        let event = call.decision("");
        let line = CallLine {
            event: &event,
            table: &call.table,
            took: Duration::ZERO,
            mask: MaskNumbers::None,
        };
        let proxied = ProxiedCallLine {
            call: &call,
            listener: "",
            mask: MaskNumbers::None,
        };
        let one = fields_of(|| line.log(LogFormat::Json));
        let other = fields_of(|| proxied.log(LogFormat::Json));
        assert!(one.len() > 15 && other.len() > 15, "{one:?} {other:?}");
        let mut code: BTreeMap<&str, &str> = BTreeMap::new();
        code.extend(one.iter().map(|name| (*name, "`call`")));
        for name in other {
            let is_both = code.contains_key(name);
            code.insert(name, if is_both { "both" } else { "`proxied-call`" });
        }
        let page = include_str!("../../docs/logs.md");
        let (_, table) = page.split_once("## Fields").unwrap();
        let (table, _) = table.split_once("\n## ").unwrap();
        let rows = table.lines().filter_map(|line| line.strip_prefix("| `"));
        let written: BTreeMap<&str, &str> = rows
            .map(|row| {
                let (name, rest) = row.split_once("` | ").unwrap();
                (name, rest.split_once(" | ").unwrap().0)
            })
            .collect();
        assert_eq!(code, written);
    }
}
