//! What a capture server is told of: messages and decisions.

use std::io;

use super::config::HepConfig;
use crate::hep::{Agent, Capture, CaptureEnd, HepSettings};
use crate::observe::{CallLine, ProxiedCallLine};
use crate::proxy::Flow;

/// The password of a capture server is a word.
const PASSWORD_BYTES_MAX: usize = 1_024;

/// Starts the capture that is configured.
pub(super) fn start(config: &HepConfig) -> io::Result<(Capture, CaptureEnd)> {
    let password = config.password_file.as_deref().map(|path| {
        let named = |cause: io::Error| io::Error::other(format!("{}: {cause}", path.display()));
        let text = std::fs::read_to_string(path).map_err(named)?;
        let word = text.trim_end_matches(['\r', '\n']);
        if word.is_empty() || word.len() > PASSWORD_BYTES_MAX {
            let why = format!("holds no password of 1 to {PASSWORD_BYTES_MAX} bytes");
            return Err(named(io::Error::other(why)));
        }
        Ok(Box::from(word.as_bytes()))
    });
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Capture::start(&HepSettings {
        to: config.to.clone(),
        agent: Agent {
            id: config.capture_id,
            password: password.transpose()?,
            name: host.trim().into(),
        },
        taken: config.taken,
    })
}

/// A redirected call was decided, which came by `flow`.
pub(super) fn decided(capture: Option<&Capture>, flow: &Flow, line: &CallLine<'_>) {
    if let Some(capture) = capture.filter(|capture| capture.takes_decisions()) {
        let (event, text) = (line.event, line.to_string());
        let group = line.table.group_name(event.from);
        capture.decision(event.at, flow, event.call_id, group, text);
    }
}

/// A call of a proxy has its final answer.
pub(super) fn ended(capture: Option<&Capture>, flow: &Flow, line: &ProxiedCallLine<'_>) {
    if let Some(capture) = capture.filter(|capture| capture.takes_decisions()) {
        let (call, text) = (line.call, line.to_string());
        let group = call.table.group_name(call.from);
        let event = call.decision(line.listener);
        capture.decision(event.at, flow, event.call_id, group, text);
    }
}
