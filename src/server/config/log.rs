//! `[log]`: in which form, and where to.

use std::path::Path;

use tracing::level_filters::LevelFilter;

use super::listen::not_allowed;
use super::outlet::{Transport, read_outlet};
use crate::observe::{ENTERPRISE, FACILITY, LogFormat, LogSettings, SyslogSettings};
use crate::tables::toml_reader::Reader;

pub(super) const FORMATS: [(&str, LogFormat); 5] = [
    ("text", LogFormat::Text),
    ("logfmt", LogFormat::Logfmt),
    ("json", LogFormat::Json),
    ("journald", LogFormat::Journald),
    ("syslog", LogFormat::Syslog),
];

const LEVELS: [(&str, LevelFilter); 5] = [
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("off", LevelFilter::OFF),
];

/// RFC 5424 §6.2.1, without those of the system's own parts.
pub(super) const FACILITIES: [(&str, u8); 10] = [
    ("user", 1),
    ("daemon", 3),
    ("local0", 16),
    ("local1", 17),
    ("local2", 18),
    ("local3", 19),
    ("local4", 20),
    ("local5", 21),
    ("local6", 22),
    ("local7", 23),
];

/// The log, and whether every decision is a line of it.
pub(super) fn read_log(root: &mut Reader<'_>, folder: &Path) -> (LogSettings, bool) {
    let mut settings = LogSettings::default();
    let Some(mut table) = root.table("log") else {
        return (settings, true);
    };
    if let Some((format, _)) = table.one_of("format", &FORMATS) {
        settings.format = format;
    }
    if let Some((level, _)) = table.one_of("level", &LEVELS) {
        settings.level = level;
    }
    settings.file = table.string("file").map(|text| folder.join(text.value));
    settings.journal = (table.string("journal_socket")).map(|text| folder.join(text.value));
    let decisions = table.boolean("decisions").is_none_or(|(yes, _)| yes);
    let is_syslog = settings.format == LogFormat::Syslog;
    let is_journal = settings.format == LogFormat::Journald;
    let misplaced = [
        (
            "file",
            !is_syslog && !is_journal,
            "is not for the journal and syslog",
        ),
        (
            "journal_socket",
            is_journal,
            "is for format = \"journald\" only",
        ),
        ("syslog", is_syslog, "is for format = \"syslog\" only"),
    ];
    for (key, has_place, why) in misplaced {
        if let Some(spot) = table.key_spot(key).filter(|_| !has_place) {
            not_allowed(&table, spot, format!("{key} {why}"), "leave it out");
        }
    }
    if is_syslog {
        table.require("syslog");
        settings.syslog = read_syslog(&mut table, folder);
    } else {
        // Where it is, its place is wrong, which was told.
        drop(table.table("syslog"));
    }
    table.finish();
    (settings, decisions)
}

fn read_syslog(log: &mut Reader<'_>, folder: &Path) -> Option<SyslogSettings> {
    let mut table = log.table("syslog")?;
    let to = read_outlet(&mut table, folder, Transport::Udp);
    let facility = table.one_of("facility", &FACILITIES);
    let enterprise = table.integer("enterprise", 1..=u64::from(u32::MAX));
    table.finish();
    Some(SyslogSettings {
        to: to?,
        facility: facility.map_or(FACILITY, |(facility, _)| facility),
        enterprise: enterprise
            .and_then(|(number, _)| u32::try_from(number).ok())
            .unwrap_or(ENTERPRISE),
    })
}
