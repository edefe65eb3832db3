//! One event as one line, in each of the formats.

use std::fmt::{self, Write as _};

use jiff::Timestamp;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::journal;
use super::syslog::Origin;
use super::{CALLS, COUNTS, LogFormat};
use crate::observe::MaskNumbers;

/// Writes events as lines.
pub(super) struct Line {
    pub(super) format: LogFormat,
    pub(super) mask: MaskNumbers,
    /// Who says it, to a syslog server.
    pub(super) origin: Origin,
}

/// The message and the fields of one event, with the numbers in them hidden.
pub(super) struct Parts {
    pub(super) level: Level,
    pub(super) at: Timestamp,
    pub(super) message: String,
    pub(super) fields: Vec<(&'static str, Value)>,
}

/// The value of a field.
pub(super) enum Value {
    /// Words.
    Text(String),
    /// A number, true or false, as JSON writes it too.
    Bare(String),
}

impl Value {
    pub(super) fn as_str(&self) -> &str {
        let (Self::Text(text) | Self::Bare(text)) = self;
        text
    }
}

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'s> LookupSpan<'s>,
    N: for<'w> FormatFields<'w> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let parts = Parts::of(event, self.mask);
        match self.format {
            LogFormat::Text => text(&parts, &mut writer),
            LogFormat::Logfmt => logfmt(&parts, &mut writer),
            LogFormat::Json => json(&parts, &mut writer),
            LogFormat::Journald => journal::record(&parts, &mut writer),
            LogFormat::Syslog => self.origin.message(&parts, &mut writer),
        }
    }
}

impl Parts {
    fn of(event: &Event<'_>, mask: MaskNumbers) -> Self {
        let target = event.metadata().target();
        // Calls hide their numbers field by field, and know a Call-ID; counts are none.
        let is_open = target == CALLS || target == COUNTS;
        let mut parts = Self {
            level: *event.metadata().level(),
            at: Timestamp::now(),
            message: String::new(),
            fields: Vec::new(),
        };
        event.record(&mut parts);
        if !is_open && mask != MaskNumbers::None {
            parts.message = mask.text(&parts.message).into_owned();
            for (_, value) in &mut parts.fields {
                if let Value::Text(text) = value {
                    *text = mask.text(text).into_owned();
                }
            }
        }
        parts
    }

    fn push(&mut self, field: &Field, value: Value) {
        if field.name() == "message" {
            self.message.push_str(value.as_str());
        } else {
            self.fields.push((field.name(), value));
        }
    }
}

impl Visit for Parts {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.push(field, Value::Text(value.to_owned()));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.push(field, Value::Text(format!("{value:?}")));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.push(field, Value::Bare(value.to_string()));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.push(field, Value::Bare(value.to_string()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.push(field, Value::Bare(value.to_string()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        let value = if value.is_finite() { value } else { 0.0 };
        self.push(field, Value::Bare(value.to_string()));
    }
}

/// Time, level, message bare, other fields as `name=value`; one line whatever stands in them.
fn text(parts: &Parts, to: &mut Writer<'_>) -> fmt::Result {
    write!(to, "{:.3} {} ", parts.at, parts.level)?;
    let mut line = OneLine(&mut *to);
    line.write_str(&parts.message)?;
    for (name, value) in &parts.fields {
        write!(line, " {name}={}", value.as_str())?;
    }
    to.write_char('\n')
}

/// `name=value` throughout, values in quotes where they need them.
fn logfmt(parts: &Parts, to: &mut Writer<'_>) -> fmt::Result {
    let level = match parts.level {
        Level::ERROR => "error",
        Level::WARN => "warn",
        Level::INFO => "info",
        Level::DEBUG => "debug",
        Level::TRACE => "trace",
    };
    write!(to, "ts={:.3} level={level}", parts.at)?;
    for (name, value) in &parts.fields {
        write!(to, " {name}=")?;
        logfmt_value(value.as_str(), to)?;
    }
    to.write_str(" msg=")?;
    logfmt_value(&parts.message, to)?;
    to.write_char('\n')
}

fn logfmt_value(value: &str, to: &mut Writer<'_>) -> fmt::Result {
    let is_special = |c: char| c <= ' ' || matches!(c, '=' | '"' | '\\') || c.is_control();
    if !value.is_empty() && !value.contains(is_special) {
        return to.write_str(value);
    }
    to.write_char('"')?;
    for symbol in value.chars() {
        match symbol {
            '"' | '\\' => write!(to, "\\{symbol}")?,
            _ if symbol.is_control() => write!(to, "{}", symbol.escape_default())?,
            _ => to.write_char(symbol)?,
        }
    }
    to.write_char('"')
}

fn json(parts: &Parts, to: &mut Writer<'_>) -> fmt::Result {
    let text = |to: &mut Writer<'_>, text: &str| {
        let quoted = serde_json::to_string(text).map_err(|_| fmt::Error)?;
        to.write_str(&quoted)
    };
    write!(
        to,
        "{{\"timestamp\":\"{:.3}\",\"level\":\"{}\"",
        parts.at, parts.level
    )?;
    for (name, value) in &parts.fields {
        write!(to, ",\"{name}\":")?;
        match value {
            Value::Text(value) => text(to, value)?,
            Value::Bare(value) => to.write_str(value)?,
        }
    }
    to.write_str(",\"message\":")?;
    text(to, &parts.message)?;
    to.write_str("}\n")
}

/// Passes text on with control characters escaped.
pub(super) struct OneLine<W>(pub(super) W);

impl<W: fmt::Write> fmt::Write for OneLine<W> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for piece in text.split_inclusive(char::is_control) {
            let Some(last) = piece.chars().next_back().filter(|c| c.is_control()) else {
                self.0.write_str(piece)?;
                continue;
            };
            self.0
                .write_str(piece.strip_suffix(last).unwrap_or(piece))?;
            write!(self.0, "{}", last.escape_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    fn parts() -> Parts {
        Parts {
            level: Level::WARN,
            at: Timestamp::UNIX_EPOCH,
            message: "a \"b\"\nc".to_owned(),
            fields: vec![
                ("call_id", Value::Text("x y=z\u{85}".to_owned())),
                ("us", Value::Bare("2.5".to_owned())),
                ("host", Value::Text(String::new())),
            ],
        }
    }

    fn written(write: fn(&Parts, &mut Writer<'_>) -> fmt::Result) -> String {
        let mut text = String::new();
        write(&parts(), &mut Writer::new(&mut text)).unwrap();
        text
    }

    #[test]
    fn a_value_cannot_start_a_second_line() {
        let mut shown = String::new();
        OneLine(&mut shown)
            .write_str("a\nb\r\u{1b}[31mc\u{85}")
            .unwrap();
        assert_eq!(shown, "a\\nb\\r\\u{1b}[31mc\\u{85}");
    }

    #[test]
    fn each_format_is_one_line() {
        assert_eq!(
            written(text),
            "1970-01-01T00:00:00.000Z WARN a \"b\"\\nc call_id=x y=z\\u{85} us=2.5 host=\n"
        );
        assert_eq!(
            written(logfmt),
            "ts=1970-01-01T00:00:00.000Z level=warn call_id=\"x y=z\\u{85}\" us=2.5 host=\"\" \
             msg=\"a \\\"b\\\"\\nc\"\n"
        );
        let line = written(json);
        let read: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(
            read,
            serde_json::json!({"timestamp": "1970-01-01T00:00:00.000Z", "level": "WARN",
                "call_id": "x y=z\u{85}", "us": 2.5, "host": "", "message": "a \"b\"\nc"})
        );
        assert_eq!(line.matches('\n').count(), 1);
    }
}
