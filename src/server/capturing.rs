//! What a capture server is told of: decisions and call records.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread::JoinHandle;

use jiff::SignedDuration;

use super::config::HepConfig;
use crate::hep::{Agent, Capture, CaptureEnd, HepSettings, RecordCopy};
use crate::limits::RECORDS_QUEUE_MAX;
use crate::observe::{
    CallDetail, CallLine, LoneEnd, MaskNumbers, Observer, ProxiedCallLine, Subscription, Told,
};
use crate::proxy::Flow;
use crate::records::{Format, records_of};

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

/// Copies the record of every call that is over, until the observer ends.
///
/// # Errors
/// Too many listen already, or the system gives no thread.
pub(super) fn copy_records(
    capture: Capture,
    observer: &Observer,
    mask: MaskNumbers,
) -> io::Result<JoinHandle<()>> {
    let heard = observer.subscribe(RECORDS_QUEUE_MAX);
    let heard = heard.ok_or_else(|| io::Error::other("too many listen already"))?;
    let thread = std::thread::Builder::new().name(String::from("hep-records"));
    thread.spawn(move || copy(&capture, heard, mask))
}

fn copy(capture: &Capture, mut heard: Subscription, mask: MaskNumbers) {
    let mut lost = 0;
    while let Some(told) = heard.blocking_recv() {
        let dropped = heard.dropped();
        capture.lost(dropped - lost);
        lost = dropped;
        let mut json = Vec::new();
        records_of(&told, mask, false, |record| {
            Format::Ndjson.write(record, &mut json);
        });
        // A line of a file, without its end; none while the call is up.
        json.pop();
        let Ok(json) = String::from_utf8(json) else {
            continue;
        };
        match &told {
            Told::Up(_) => {}
            Told::Over(call) => capture.record(of_call(call, json)),
            Told::LoneEnd(end) => capture.record(of_lone_end(end, json)),
        }
    }
    capture.lost(heard.dropped() - lost);
}

fn of_call(call: &CallDetail, json: String) -> RecordCopy<'_> {
    let answered = SignedDuration::from_millis(call.answer_ms.into());
    let answered = call.at.checked_add(answered).unwrap_or(call.at);
    let sent_to = call.last_attempt().and_then(|attempt| attempt.sent_to);
    RecordCopy {
        at: call.end.as_ref().map_or(answered, |end| end.at),
        from: call.source,
        to: sent_to.unwrap_or(NOWHERE),
        is_stream: call.transport != "udp",
        call_id: &call.call_id,
        trunk_group: &call.from,
        json,
    }
}

fn of_lone_end(end: &LoneEnd, json: String) -> RecordCopy<'_> {
    RecordCopy {
        at: end.end.at,
        from: end.end.source.unwrap_or(NOWHERE),
        to: NOWHERE,
        is_stream: false,
        call_id: &end.call_id,
        trunk_group: "",
        json,
    }
}

/// Of a call that was sent to no trunk by us: a packet has to have an address.
const NOWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);
