//! The ini file of an AudioCodes SBC: 7.0, 7.2 and 7.4.
//!
//! What a table of ours cannot say (message conditions, suffixes, rows for REFER) is
//! left out and said, with its line. Nothing is guessed.

mod arrivals;
mod changes;
mod groups;
mod plans;
mod reasons;
mod routes;

use super::Finding;
use super::ini::{self, Row as IniRow, Table};
use super::notation::Notation;
use super::original::Original;

/// Columns that are read, or of which it is known that they change nothing here.
const KNOWN: &[(&str, &[&str])] = &[
    (
        "IP2IPRouting",
        &[
            "RouteName",
            "RoutingPolicyName",
            "SrcIPGroupName",
            "SrcUsernamePrefix",
            "SrcHost",
            "DestUsernamePrefix",
            "DestHost",
            "RequestType",
            "MessageConditionName",
            "ReRouteIPGroupName",
            "Trigger",
            "CallSetupRulesSetId",
            "DestType",
            "DestIPGroupName",
            "DestSIPInterfaceName",
            "DestAddress",
            "DestPort",
            "DestTransportType",
            "AltRouteOptions",
            "GroupPolicy",
            "CostGroup",
            "DestTags",
            "ModifiedDestUserName",
            "SrcTags",
            "IPGroupSetName",
            "RoutingTagName",
            "InternalAction",
        ],
    ),
    (
        "ProxyIp",
        &[
            "ProxySetId",
            "ProxyIpIndex",
            "IpAddress",
            "TransportType",
            "Priority",
            "Weight",
        ],
    ),
    ("SBCAlternativeRoutingReasons", &["ReleaseCause"]),
    ("DialPlan", &["Name", "PrefixCaseSensitivity"]),
    (
        "DialPlanRule",
        &[
            "DialPlanName",
            "DialPlanId",
            "RuleIndex",
            "Name",
            "Prefix",
            "Tag",
        ],
    ),
    ("IPGroupSet", &["Name", "Policy", "Tags"]),
    (
        "IPGroupSetMember",
        &[
            "IPGroupSetId",
            "IPGroupSetMemberIndex",
            "IPGroupName",
            "Weight",
        ],
    ),
    (
        "Classification",
        &[
            "ClassificationName",
            "MessageConditionName",
            "SRDName",
            "SrcSIPInterfaceName",
            "SrcAddress",
            "SrcPort",
            "SrcTransportType",
            "SrcUsernamePrefix",
            "SrcHost",
            "DestUsernamePrefix",
            "DestHost",
            "ActionType",
            "SrcIPGroupName",
            "DestRoutingPolicy",
            "IpProfileName",
            "IPGroupSelection",
            "IpGroupTagName",
        ],
    ),
    ("IPInboundManipulation", MANIPULATION),
    ("IPOutboundManipulation", MANIPULATION),
];

/// Tables whose rows are looked at.
const READ: &[&str] = &[
    "IPGroup",
    "ProxySet",
    "ProxyIp",
    "IP2IPRouting",
    "IPInboundManipulation",
    "IPOutboundManipulation",
    "SBCAlternativeRoutingReasons",
    "DialPlan",
    "DialPlanRule",
    "IPGroupSet",
    "IPGroupSetMember",
    "Classification",
];

/// Tables that are not imported and may change where a call goes.
const DECIDES: &[(&str, &str)] = &[
    ("CallSetupRules", "they may change numbers and destinations"),
    (
        "MessageManipulations",
        "they may change numbers and destinations in messages",
    ),
    ("PREFIX", "calls of its gateway are routed by it"),
    ("PstnPrefix", "calls of its gateway are routed by it"),
    ("Tel2IPRouting", "calls of its gateway are routed by it"),
    ("IP2TelRouting", "calls of its gateway are routed by it"),
    ("SBCUserInfoTable", "registered users are found by it"),
    ("CostGroupTable", "routes may be chosen by cost"),
];

const MANIPULATION: &[&str] = &[
    "ManipulationName",
    "RoutingPolicyName",
    "IsAdditionalManipulation",
    "ManipulatedURI",
    "ManipulationPurpose",
    "SrcIPGroupName",
    "DestIPGroupName",
    "SrcUsernamePrefix",
    "SrcHost",
    "DestUsernamePrefix",
    "DestHost",
    "CallingNamePrefix",
    "MessageConditionName",
    "RequestType",
    "ReRouteIPGroupName",
    "Trigger",
    "RemoveFromLeft",
    "RemoveFromRight",
    "LeaveFromRight",
    "Prefix2Add",
    "Suffix2Add",
    "PrivacyRestrictionMode",
    "DestTags",
    "SrcTags",
];

/// Reads an ini file. Every byte order of rows, release and mistake gives an answer.
#[must_use]
pub(super) fn read(text: &str, findings: &mut Vec<Finding>) -> Original {
    let tables = ini::read(text, findings);
    let mut reader = Reader {
        tables: &tables,
        original: Original::default(),
        findings,
    };
    reader.columns();
    reader.groups();
    reader.original.inbound = reader.changes("IPInboundManipulation");
    reader.original.outbound = reader.changes("IPOutboundManipulation");
    reader.group_sets();
    reader.dial_plan();
    reader.routes();
    reader.arrivals();
    reader.reasons();
    reader.others();
    reader.original.leave_out_unassigned(reader.findings);
    reader.original.say_dead_tags(reader.findings);
    reader.original
}

struct Reader<'t, 'f> {
    tables: &'t [Table],
    original: Original,
    findings: &'f mut Vec<Finding>,
}

impl<'t> Reader<'t, '_> {
    fn table(&self, name: &str) -> impl Iterator<Item = (&'t Table, &'t IniRow)> + use<'t> {
        let named = self.tables.iter().filter({
            let name = name.to_owned();
            move |table| table.name.eq_ignore_ascii_case(&name)
        });
        named.flat_map(|table| table.rows.iter().map(move |row| (table, row)))
    }

    fn say(&mut self, line: u32, message: impl Into<String>) {
        self.findings.push(Finding::new(line, message));
    }

    fn columns(&mut self) {
        for table in self.tables {
            let Some((_, known)) = KNOWN.iter().find(|(name, _)| *name == table.name) else {
                continue;
            };
            let unknown = table
                .columns
                .iter()
                .filter(|column| !known.iter().any(|known| known.eq_ignore_ascii_case(column)));
            let unknown: Vec<&str> = unknown.map(|column| &**column).collect();
            if !unknown.is_empty() {
                let message = format!(
                    "{} has columns that are not known here: {}",
                    table.name,
                    unknown.join(", ")
                );
                self.say(table.format_line, message);
            }
        }
    }

    /// Tables that nothing is read of. Those that have to do with where calls go are said, the
    /// others only named.
    fn others(&mut self) {
        for table in self.tables.iter().filter(|table| !table.rows.is_empty()) {
            let name = &*table.name;
            let is = |known: &&str| known.eq_ignore_ascii_case(name);
            if READ.iter().any(is) || Self::is_of_reasons(table) {
                continue;
            }
            let rows = table.rows.len();
            match DECIDES.iter().find(|(known, _)| is(known)) {
                Some((_, what)) => {
                    let message = format!("{name} is left out ({rows} rows): {what}");
                    self.say(table.format_line, message);
                }
                None => self.original.not_read.push(name.to_owned()),
            }
        }
        self.original.not_read.sort();
        self.original.not_read.dedup();
    }
}

fn notation(text: &str) -> Result<Notation, String> {
    let notation = Notation::parse(text)
        .map_err(|why| format!("{why} in {text:?} cannot be said of a number"))?;
    notation
        .items()
        .map_err(|why| format!("{text:?} stands for {why}"))?;
    Ok(notation)
}

fn transport(value: &str) -> Option<&'static str> {
    match value {
        "0" => Some("udp"),
        "1" => Some("tcp"),
        "2" => Some("tls"),
        _ => None,
    }
}

/// A name or an address, with a port or without.
pub(super) fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_six = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_host = match is_six {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => is_name(host) || host.parse::<std::net::Ipv4Addr>().is_ok(),
    };
    // A number that is read may have a plus before it, a port may not.
    let is_port = |port: &str| {
        port.starts_with(|c: char| c.is_ascii_digit()) && port.parse::<u16>().is_ok_and(|p| p > 0)
    };
    is_host && host.len() <= 253 && port.is_none_or(is_port)
}

/// A host name (RFC 3261 §25.1): the last label begins with a letter, else it is meant for an
/// address.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        let is_symbol = |c: u8| c.is_ascii_alphanumeric() || c == b'-';
        let ends_well = !label.starts_with('-') && !label.ends_with('-');
        (1..=63).contains(&label.len()) && label.bytes().all(is_symbol) && ends_well
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.split('.').all(is_label) && last.starts_with(|c: char| c.is_ascii_alphabetic())
}

#[cfg(test)]
mod tests {
    use super::is_host;

    #[test]
    fn what_can_be_sent_to() {
        for good in [
            "192.0.2.1",
            "192.0.2.1:5061",
            "a",
            "sbc-1.example.com:5060",
            "[2001:db8::1]:5060",
        ] {
            assert!(is_host(good), "{good}");
        }
        for wrong in [
            "",
            "1920.2.1",
            "192.0.2.256",
            "192.0.2.1/32",
            "a..b",
            "-a",
            "a:0",
            "a:x",
            "a:+5060",
            "[::g]",
            "5",
        ] {
            assert!(!is_host(wrong), "{wrong}");
        }
    }
}
