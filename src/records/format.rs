//! Records as bytes: lines of JSON, of CSV, or in the order in which AudioCodes writes them.

use std::fmt::Write as _;

use super::record::{COLUMNS, Record};

/// What a file of records looks like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// A JSON object a line, every column as a key.
    Ndjson,
    /// CSV (RFC 4180) with a first line of column names.
    Csv,
    /// `|`-separated, in the order of the call records of an AudioCodes SBC. Calls only.
    Pipe,
}

/// The columns of an SBC's signalling record, release 7.2, in its order. Those with `-` are
/// always empty here.
pub const PIPE_COLUMNS: &[&str] = &[
    "SBCReportType",
    "EPTyp",
    "SIPCallId",
    "SessionId",
    "Orig",
    "SourceIp",
    "SourcePort",
    "DestIp",
    "DestPort",
    "TransportType",
    "SrcURI",
    "SrcURIBeforeMap",
    "DstURI",
    "DstURIBeforeMap",
    "Durat",
    "TrmSd",
    "TrmReason",
    "TrmReasonCategory",
    "SetupTime",
    "ConnectTime",
    "ReleaseTime",
    "RedirectReason -",
    "RedirectURINum -",
    "RedirectURINumBeforeMap -",
    "TxSigIPDiffServ -",
    "IPGroup",
    "SrdId -",
    "SIPInterfaceId",
    "ProxySetId",
    "IpProfileId -",
    "MediaRealmId -",
    "DirectMedia -",
    "SIPTrmReason",
    "SIPTermDesc",
    "Caller -",
    "Callee -",
];

impl Format {
    /// Its name in the configuration.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
            Self::Pipe => "pipe",
        }
    }

    /// What a new file begins with.
    #[must_use]
    pub fn head(self) -> String {
        match self {
            Self::Ndjson | Self::Pipe => String::new(),
            Self::Csv => COLUMNS.join(",") + "\r\n",
        }
    }

    /// Adds a record as one line. Whatever a peer wrote, it cannot end its line.
    pub fn write(self, record: &Record<'_>, out: &mut Vec<u8>) {
        match self {
            Self::Ndjson => {
                // Writing to memory does not fail.
                let _ = serde_json::to_writer(&mut *out, record);
                out.push(b'\n');
            }
            Self::Csv => write_csv(record, out),
            Self::Pipe => {
                if record.event != "attempt" {
                    out.extend_from_slice(pipe_line(record).as_bytes());
                }
            }
        }
    }
}

fn write_csv(record: &Record<'_>, out: &mut Vec<u8>) {
    let begins = out.len();
    let mut writer = csv::WriterBuilder::new()
        .has_headers(false)
        .terminator(csv::Terminator::CRLF)
        .from_writer(&mut *out);
    let _ = writer.serialize(record);
    drop(writer);
    // A quoted value may hold line ends; a line of a file shall be a record all the same.
    let last = out.len().saturating_sub(2);
    for byte in out.get_mut(begins..last).unwrap_or_default() {
        if matches!(*byte, b'\r' | b'\n') {
            *byte = b' ';
        }
    }
}

fn pipe_line(record: &Record<'_>) -> String {
    let text = |value: Option<&str>| value.unwrap_or_default().to_owned();
    let number = |value: Option<u16>| value.map_or_else(String::new, |n| n.to_string());
    let uri = |user: Option<&str>, host: Option<&str>| match (user, host) {
        (Some(user), Some(host)) => format!("{user}@{host}"),
        (Some(user), None) => user.to_owned(),
        _ => String::new(),
    };
    let (src, dst) = (record.src_ip.as_deref(), record.dst_ip.as_deref());
    let seconds = record.duration_ms.unwrap_or(0).div_ceil(1_000);
    let answered = record.event == "end";
    let connect = record.t_answer.as_deref().filter(|_| answered);
    let cells: [String; 36] = [
        String::from("CALL_END"),
        String::from("SBC"),
        record.call_id.to_owned(),
        text(record.session_id),
        String::from("RMT"),
        text(src),
        number(record.src_port),
        text(dst),
        number(record.dst_port),
        text(record.transport).to_uppercase(),
        uri(record.from_out.as_deref(), src),
        uri(record.from_in.as_deref(), src),
        uri(record.to_out.as_deref(), dst),
        uri(record.to_in.as_deref(), dst),
        seconds.to_string(),
        String::from(match record.end_by {
            Some("caller") => "RMT",
            Some("callee") => "LCL",
            _ => "UNKN",
        }),
        record
            .q850
            .map_or_else(String::new, |cause| cause.to_string()),
        String::from(category(record)),
        sbc_time(record.t_setup.as_deref()),
        sbc_time(connect),
        sbc_time(record.t_end.as_deref()),
        String::from("-1"),
        String::new(),
        String::new(),
        String::new(),
        text(record.from_group),
        String::new(),
        text(record.listener),
        text(record.trunk_group),
        String::new(),
        String::new(),
        String::new(),
        match (answered, record.sip_code) {
            (false, Some(status)) => status.to_string(),
            _ => String::from("BYE"),
        },
        text(record.reason_text),
        String::new(),
        String::new(),
    ];
    let mut line = String::new();
    for cell in cells {
        line.push('|');
        // A bar in a value would be another column, a line end another record.
        let plain = |symbol: char| symbol != '|' && !symbol.is_control();
        line.extend(
            cell.chars()
                .map(|symbol| if plain(symbol) { symbol } else { ' ' }),
        );
    }
    line.push('\n');
    line
}

/// Why it is over, in the words of the SBC.
fn category(record: &Record<'_>) -> &'static str {
    if record.event != "fail" {
        return "NORMAL_CALL_CLEAR";
    }
    match record.sip_code {
        Some(486 | 600) => "BUSY",
        Some(408 | 480 | 487) => "NO_ANSWER",
        Some(403 | 404 | 484 | 604) => "NOT_FOUND",
        _ => "GENERAL_FAILED",
    }
}

/// `17:00:49.052 UTC Thu Oct 14 2014`, of RFC 3339.
fn sbc_time(stamp: Option<&str>) -> String {
    let Some(at) = stamp.and_then(|text| text.parse::<jiff::Timestamp>().ok()) else {
        return String::new();
    };
    let at = at.to_zoned(jiff::tz::TimeZone::UTC);
    let mut text = String::new();
    let _ = write!(text, "{}", at.strftime("%H:%M:%S.%3f UTC %a %b %d %Y"));
    text
}
