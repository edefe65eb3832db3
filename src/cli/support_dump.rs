//! `trunkline support-dump`: what somebody who helps has to see, and no telephone number.

use super::server::Server;
use crate::control::{Answer, Reply, Request};
use crate::doctor::{self, Asked};
use crate::limits::{LOG_TAIL_BYTES_MAX, METRICS_BYTES_MAX};
use crate::observe::COMMIT;
use crate::server::Config;
use crate::tables;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

/// Write a folder with all that somebody who helps has to see.
///
/// Status, trunks and history of the running server, its counters, the configuration in force
/// without secrets, a summary of the table, what `doctor` says, the end of the log. All but the
/// last two figures of every telephone number are hidden, whatever [privacy] says. Names,
/// addresses and Call-IDs stay: look through it before you pass it on. Whatever cannot be had is
/// left out, and contents.txt says why.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline support-dump /tmp/dump && tar -C /tmp -czf dump.tar.gz dump")]
pub(super) struct SupportDump {
    /// A folder that is not there yet
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    #[command(flatten)]
    server: Server,
}

impl SupportDump {
    pub(super) fn execute(&self) -> ExitCode {
        let config = match super::config::read(self.server.config()) {
            Ok(config) => config,
            Err(code) => return code,
        };
        let file = self.server.config().map(Path::to_owned);
        let file = file.or_else(|| super::configs().next().map(Path::to_owned));
        match self.write(&config, &file.unwrap_or_default()) {
            Ok(contents) => {
                // A closed pipe is no reason to complain.
                let _ = io::stdout().write_all(contents.as_bytes());
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("trunkline: cannot write {}: {error}", self.folder.display());
                ExitCode::from(1)
            }
        }
    }

    fn write(&self, config: &Config, file: &Path) -> io::Result<String> {
        DirBuilder::new().mode(0o700).create(&self.folder)?;
        let mut dump = Dump {
            folder: &self.folder,
            contents: String::new(),
        };
        dump.put("version.txt", "which program", Ok(version()))?;
        let said = |request: &Request| match self.server.ask(request) {
            Ok(answer @ Answer::Refused(_)) => Err(Reply::from(answer).line()),
            Ok(answer) => serde_json::to_string_pretty(&Reply::from(answer))
                .map_err(|error| error.to_string()),
            Err(_) => Err(String::from("no server answers")),
        };
        dump.put("status.json", "what serves", said(&Request::Status {}))?;
        dump.put(
            "trunks.json",
            "which trunks are up",
            said(&Request::Trunks {}),
        )?;
        let history = Request::History { number: None };
        dump.put("history.json", "which tables served", said(&history))?;
        let metrics = config
            .metrics
            .ok_or_else(|| String::from("[metrics] is not set"));
        let metrics = metrics
            .and_then(|address| counters(address).map_err(|error| format!("{address}: {error}")));
        dump.put("metrics.txt", "the counters", metrics)?;
        let in_force = config.in_force().to_string();
        dump.put(
            "config.toml",
            "the configuration in force, without secrets",
            Ok(in_force),
        )?;
        dump.put(
            "table.json",
            "how large the table is, and its findings",
            table(&config.tables),
        )?;
        let doctor = doctor::examine(&Asked {
            config: file.to_owned(),
            connect: false,
        });
        dump.put("doctor.txt", "what doctor says", Ok(doctor.text()))?;
        let log = config.log.file.as_deref();
        let log = log.ok_or_else(|| String::from("no [log] file: journalctl -u trunkline has it"));
        let log = log.and_then(|log| tail(log).map_err(|error| error.to_string()));
        dump.put("log.txt", "the end of the log", log)?;
        let contents = std::mem::take(&mut dump.contents);
        dump.put("contents.txt", "", Ok(contents.clone()))?;
        Ok(contents)
    }
}

struct Dump<'d> {
    folder: &'d Path,
    contents: String,
}

impl Dump<'_> {
    /// Writes a file, numbers hidden, and notes what it is, or why it is not there.
    fn put(&mut self, name: &str, what: &str, text: Result<String, String>) -> io::Result<()> {
        match text {
            Ok(text) => {
                let mut options = fs::OpenOptions::new();
                let mut file = options
                    .write(true)
                    .create_new(true)
                    .mode(0o600)
                    .open(self.folder.join(name))?;
                file.write_all(masked(&text).as_bytes())?;
                self.contents.push_str(&format!("{name:<14} {what}\n"));
            }
            Err(why) => {
                let why = masked(why.trim());
                self.contents
                    .push_str(&format!("{name:<14} left out: {why}\n"));
            }
        }
        Ok(())
    }
}

fn version() -> String {
    let system = fs::read_to_string("/proc/version").unwrap_or_default();
    let commit = COMMIT
        .map(|commit| format!(" ({commit})"))
        .unwrap_or_default();
    format!("trunkline {}{commit}\n{system}", env!("CARGO_PKG_VERSION"))
}

/// How much there is of a table, and what is wrong with it.
fn table(folder: &Path) -> Result<String, String> {
    let loaded = tables::load(folder);
    let summary = serde_json::json!({
        "read": loaded.summary,
        "sha256": loaded.table.as_ref().map(|table| table.hash().to_string()),
        "errors": loaded.report.errors,
        "warnings": loaded.report.warnings,
        "findings": loaded.report.short().lines().take(100).collect::<Vec<_>>(),
    });
    serde_json::to_string_pretty(&summary).map_err(|error| error.to_string())
}

/// What `/metrics` says.
fn counters(address: SocketAddr) -> io::Result<String> {
    let patience = Duration::from_secs(3);
    let mut stream = TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    stream.write_all(format!("GET /metrics HTTP/1.0\r\nHost: {address}\r\n\r\n").as_bytes())?;
    let mut answer = String::new();
    stream.take(METRICS_BYTES_MAX).read_to_string(&mut answer)?;
    match answer.split_once("\r\n\r\n") {
        Some((_, body)) => Ok(body.to_owned()),
        None => Err(io::Error::from(io::ErrorKind::InvalidData)),
    }
}

/// The last lines of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    let from = length.saturating_sub(LOG_TAIL_BYTES_MAX);
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LOG_TAIL_BYTES_MAX).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    Ok(match (from, text.split_once('\n')) {
        // The first line was cut.
        (1.., Some((_, whole))) => whole.to_owned(),
        _ => text.into_owned(),
    })
}

/// A text in which every telephone number shows its last two figures only.
///
/// A number is six figures or more in a row; where it begins with `+` or `0`, also with single
/// blanks and hyphens between them. Long fractions of a second and parts of hashes look alike,
/// and are hidden too.
fn masked(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '+' || c.is_ascii_digit()) {
        let (before, number) = rest.split_at(at);
        out.push_str(before);
        let length = length_of(number);
        let (number, behind) = number.split_at(length);
        let figures = number.bytes().filter(u8::is_ascii_digit).count();
        let mut left = figures;
        for c in number.chars() {
            let is_hidden = c.is_ascii_digit() && figures >= 6 && left > 2;
            left -= usize::from(c.is_ascii_digit());
            out.push(if is_hidden { 'x' } else { c });
        }
        rest = behind;
    }
    out.push_str(rest);
    out
}

/// Bytes of the number a text begins with, at least one.
fn length_of(text: &str) -> usize {
    let is_spaced = text.starts_with(['+', '0']);
    let mut length = 1;
    let mut bytes = text.bytes().enumerate().skip(1).peekable();
    while let Some((at, byte)) = bytes.next() {
        let goes_on = bytes.peek().is_some_and(|(_, next)| next.is_ascii_digit());
        match byte {
            b'0'..=b'9' => length = at + 1,
            b' ' | b'-' if is_spaced && goes_on => {}
            _ => break,
        }
    }
    length
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn numbers_are_hidden_and_little_else() {
        for (text, shown) in [
            (
                "sip:+442079460005@teams.route",
                "sip:+xxxxxxxxxx05@teams.route",
            ),
            ("020 7946-0123 ", "xxx xxxx-xx23 "),
            ("0049 30 5551234", "xxxx xx xxxxx34"),
            (
                "2026-11-23T09:08:57Z 10.20.0.11:5060 pid 48211",
                "2026-11-23T09:08:57Z 10.20.0.11:5060 pid 48211",
            ),
            ("us=3.1 gen=214 + 12", "us=3.1 gen=214 + 12"),
            ("\u{2019}442079\u{2019}", "\u{2019}xxxx79\u{2019}"),
        ] {
            assert_eq!(masked(text), shown, "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_six_figures_stay_together(text in "[+0-9a-z é.-]{0,80}") {
            let shown = masked(&text);
            let longest = shown.split(|c: char| !c.is_ascii_digit()).map(str::len).max();
            prop_assert!(longest.unwrap_or(0) < 6, "{shown}");
            prop_assert_eq!(shown.chars().count(), text.chars().count());
        }
    }
}
