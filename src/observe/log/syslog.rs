//! Messages for a syslog server: RFC 5424, over UDP (RFC 5426), TCP (RFC 6587) or TLS
//! (RFC 5425).

use std::fmt::{self, Write};
use std::io;

use super::journal::priority;
use super::line::{OneLine, Parts};
use crate::limits::SYSLOG_DATAGRAM_BYTES_MAX;
use crate::transport::{Outlet, OutletTo};

/// Where messages go, and as whose.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SyslogSettings {
    /// The server.
    pub to: OutletTo,
    /// The facility, 0 to 23.
    pub facility: u8,
    /// The private enterprise number in the name of the structured data (RFC 5424 §7.2.2).
    pub enterprise: u32,
}

/// `local0`.
pub const FACILITY: u8 = 16;
/// Reserved for documentation (RFC 5612): who has a number of their own sets it.
pub const ENTERPRISE: u32 = 32_473;

/// Who says it: what is the same in all messages.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    facility: u8,
    enterprise: u32,
    host: String,
    process: u32,
}

impl Origin {
    pub(super) fn new(facility: u8, enterprise: u32) -> Self {
        Self {
            facility,
            enterprise,
            host: host_name(),
            process: std::process::id(),
        }
    }

    /// RFC 5424 §6: header, the fields as one element of structured data, and the text.
    pub(super) fn message(&self, parts: &Parts, to: &mut impl fmt::Write) -> fmt::Result {
        let value = u16::from(self.facility) * 8 + u16::from(priority(parts.level));
        let (host, process) = (&self.host, self.process);
        write!(to, "<{value}>1 {:.3} {host} trunkline {process} ", parts.at)?;
        match parts.fields.iter().find(|(name, _)| *name == "event") {
            Some((_, event)) => write!(to, "{}", event.as_str().to_ascii_uppercase())?,
            None => to.write_char('-')?,
        }
        if parts.fields.is_empty() {
            to.write_str(" - ")?;
        } else {
            write!(to, " [trunkline@{}", self.enterprise)?;
            for (name, value) in &parts.fields {
                write!(to, " {name}=\"")?;
                value.as_str().chars().try_for_each(|symbol| match symbol {
                    '"' | '\\' | ']' => write!(to, "\\{symbol}"),
                    _ if symbol.is_control() => write!(to, "{}", symbol.escape_default()),
                    _ => to.write_char(symbol),
                })?;
                to.write_char('"')?;
            }
            to.write_str("] ")?;
        }
        OneLine(to).write_str(&parts.message)
    }
}

/// The name of this machine, as far as a header may have it: RFC 5424 §6.2.4.
fn host_name() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name
        .chars()
        .filter(char::is_ascii_graphic)
        .take(255)
        .collect();
    if name.is_empty() {
        "-".to_owned()
    } else {
        name
    }
}

/// Takes each write as one message. It may wait: it is asked by the log's own thread.
pub(super) struct Syslog {
    outlet: Outlet,
    frame: Vec<u8>,
}

impl Syslog {
    pub(super) const fn new(outlet: Outlet) -> Self {
        Self {
            outlet,
            frame: Vec::new(),
        }
    }
}

impl io::Write for Syslog {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        if self.outlet.is_stream() {
            // RFC 6587 §3.4.1: octets are counted.
            self.frame.clear();
            write!(self.frame, "{} ", message.len())?;
            self.frame.extend_from_slice(message);
            self.outlet.send_patiently(&self.frame);
        } else {
            let most = message.len().min(SYSLOG_DATAGRAM_BYTES_MAX);
            let cut = message.get(..most).unwrap_or(message);
            // Nobody listens, or the network is gone: UDP promises nothing.
            let _ = self.outlet.send(cut);
        }
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::super::line::Value;
    use super::*;
    use jiff::Timestamp;
    use tracing::Level;

    #[test]
    fn a_message_has_the_form_of_rfc_5424() {
        let origin = Origin {
            facility: FACILITY,
            enterprise: ENTERPRISE,
            host: "rt1".to_owned(),
            process: 1123,
        };
        let mut parts = Parts {
            level: Level::INFO,
            at: Timestamp::UNIX_EPOCH,
            message: "routed\nso".to_owned(),
            fields: vec![
                ("event", Value::Text("call".to_owned())),
                ("rule", Value::Text("a ]\"\\ b".to_owned())),
            ],
        };
        let mut text = String::new();
        origin.message(&parts, &mut text).unwrap();
        assert_eq!(
            text,
            "<134>1 1970-01-01T00:00:00.000Z rt1 trunkline 1123 CALL \
             [trunkline@32473 event=\"call\" rule=\"a \\]\\\"\\\\ b\"] routed\\nso"
        );
        parts.fields.clear();
        text.clear();
        origin.message(&parts, &mut text).unwrap();
        assert!(text.ends_with(" trunkline 1123 - - routed\\nso"), "{text}");
    }

    #[test]
    fn this_machine_has_a_name() {
        assert!(!host_name().contains([' ', '\n']) && !host_name().is_empty());
    }
}
