//! Records for the systemd journal: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.

use std::fmt::{self, Write};
use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::PathBuf;

use tracing::Level;

use super::line::{OneLine, Parts};

/// Where journald takes records.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// By which `journalctl` finds all records of one kind (`MESSAGE_ID=…`); drawn once.
const MESSAGE_IDS: [(&str, &str); 2] = [
    ("call", "0d7b1f6a4c0e4f5d9b1a57c2be0e6c11"),
    ("proxied-call", "5c8e0f6b9a3d4c7e8f12d4a6b7c9e022"),
];

/// One record. Control characters are escaped in all values, so each is one line, and the
/// form of the protocol for values of several lines is never needed.
pub(super) fn record(parts: &Parts, to: &mut impl fmt::Write) -> fmt::Result {
    let priority = priority(parts.level);
    write!(to, "PRIORITY={priority}\nSYSLOG_IDENTIFIER=trunkline\n")?;
    let kind = parts.fields.iter().find(|(name, _)| *name == "event");
    let kind = kind.and_then(|(_, value)| {
        MESSAGE_IDS
            .iter()
            .find(|(event, _)| *event == value.as_str())
    });
    if let Some((_, id)) = kind {
        writeln!(to, "MESSAGE_ID={id}")?;
    }
    for (name, value) in &parts.fields {
        to.write_str("TRUNKLINE_")?;
        name.chars()
            .try_for_each(|c| to.write_char(c.to_ascii_uppercase()))?;
        to.write_char('=')?;
        OneLine(&mut *to).write_str(value.as_str())?;
        to.write_char('\n')?;
    }
    to.write_str("MESSAGE=")?;
    OneLine(&mut *to).write_str(&parts.message)?;
    to.write_char('\n')
}

/// As syslog(3) numbers them.
pub(super) const fn priority(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 4,
        Level::INFO => 6,
        Level::DEBUG | Level::TRACE => 7,
    }
}

/// Takes each write as one record. It may wait: it is asked by the log's own thread.
pub(super) struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::unbound()?;
        // A service that logs to a journal that is not there should say so at its start.
        socket.connect(&path)?;
        Ok(Self { socket, path })
    }
}

impl io::Write for Journal {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.socket.send(record).is_err() {
            // journald was started again: its socket is another one.
            self.socket.connect(&self.path)?;
            self.socket.send(record)?;
        }
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
