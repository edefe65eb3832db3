//! The ini file of an AudioCodes SBC: 7.0, 7.2 and 7.4.
//!
//! What a table of ours cannot say (message conditions, tags, suffixes, rows for REFER) is
//! left out and said, with its line. Nothing is guessed.

use super::Finding;
use super::ini::{self, Row as IniRow, Table};
use super::notation::Notation;
use super::original::{Address, Change, Group, Original, Row, Target};
use crate::limits::NUMBER_SYMBOLS_MAX;
use crate::routing::Number;
use crate::routing::manipulation::Step;
use std::collections::BTreeSet;

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
    ("IPInboundManipulation", MANIPULATION),
    ("IPOutboundManipulation", MANIPULATION),
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
    reader.routes();
    reader.original.inbound = reader.changes("IPInboundManipulation");
    reader.original.outbound = reader.changes("IPOutboundManipulation");
    reader.causes();
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

    fn groups(&mut self) {
        for (table, row) in self.table("IPGroup") {
            let name = match table.value(row, "Name") {
                "" => format!("IPGroup {}", row.index),
                name => name.to_owned(),
            };
            if self.original.groups.iter().any(|group| group.name == name) {
                self.say(
                    row.line,
                    format!("IP group {name:?} is defined twice; the first counts"),
                );
                continue;
            }
            let set = table.value(row, "ProxySetName");
            let (addresses, is_balanced) = self.proxy_set(set, &name, row.line);
            self.original.groups.push(Group {
                name,
                line: row.line,
                addresses,
                is_balanced,
                by_address: table.value(row, "ClassifyByProxySet") == "1",
            });
        }
    }

    fn proxy_set(&mut self, name: &str, group: &str, line: u32) -> (Vec<Address>, bool) {
        if name.is_empty() || name == "-1" {
            return (Vec::new(), false);
        }
        let set = self.table("ProxySet").find(|(table, row)| {
            table.value(row, "ProxyName") == name || row.index.to_string() == name
        });
        let Some((sets, set)) = set else {
            self.say(
                line,
                format!("IP group {group:?} names proxy set {name:?}, which is not there"),
            );
            return (Vec::new(), false);
        };
        let own_name = sets.value(set, "ProxyName");
        let index = set.index.to_string();
        let mut addresses = Vec::new();
        for (table, row) in self.table("ProxyIp") {
            let of = table.value(row, "ProxySetId");
            if of != index && (of.is_empty() || of != own_name) {
                continue;
            }
            let host = table.value(row, "IpAddress");
            if !is_host(host) {
                self.say(row.line, format!("{host:?} is not an address"));
                continue;
            }
            let priority = table.number(row, "Priority").unwrap_or(0);
            let address = Address {
                host: host.to_owned(),
                transport: transport(table.value(row, "TransportType")),
                weight: table.number(row, "Weight").unwrap_or(1),
                line: row.line,
            };
            addresses.push((priority, address));
        }
        if addresses.is_empty() {
            self.say(set.line, format!("proxy set {name:?} has no address"));
        }
        addresses.sort_by_key(|(priority, _)| *priority);
        let balanced = sets.value(set, "ProxyLoadBalancingMethod");
        let addresses = addresses.into_iter().map(|(_, address)| address).collect();
        (addresses, !matches!(balanced, "" | "0" | "-1"))
    }

    /// An IP group that is named, if it is there.
    fn group(&mut self, name: &str, line: u32) -> Option<String> {
        let is_known = self.original.groups.iter().any(|group| group.name == name);
        if !is_known {
            self.say(line, format!("IP group {name:?} is not there"));
        }
        is_known.then(|| name.to_owned())
    }

    fn routes(&mut self) {
        // Rows that were left out have no alternatives either.
        let mut has_route = false;
        for (table, row) in self.table("IP2IPRouting") {
            let alternative = table.value(row, "AltRouteOptions");
            let is_alternative = !matches!(alternative, "" | "0" | "-1");
            let label = format!(
                "routing row {} {:?}",
                row.index,
                table.value(row, "RouteName")
            );
            match self.route(table, row) {
                Err(why) => {
                    self.say(row.line, format!("{label} is left out: {why}"));
                    has_route &= is_alternative;
                }
                Ok(route) if !is_alternative => {
                    has_route = true;
                    self.original.rows.push(route);
                }
                Ok(route) => match self.original.rows.last_mut().filter(|_| has_route) {
                    Some(main) if alternative == "1" || route.covers(main) => {
                        let new = route.targets.into_iter();
                        let new = new.filter(|target| !main.targets.contains(target));
                        let new: Vec<Target> = new.collect();
                        main.targets.extend(new);
                    }
                    Some(_) => self.say(
                        row.line,
                        format!(
                            "{label} is left out: an alternative that asks for less than its route"
                        ),
                    ),
                    None => self.say(
                        row.line,
                        format!("{label} is left out: the route above it was"),
                    ),
                },
            }
        }
    }

    fn route(&mut self, table: &Table, row: &IniRow) -> Result<Row, String> {
        let value = |column: &str| table.value(row, column);
        match value("RequestType") {
            "" | "-1" | "0" | "1" | "4" | "5" => {}
            other => return Err(format!("it is for requests of type {other}, not for calls")),
        }
        match value("Trigger") {
            "" | "-1" | "0" | "4" => {}
            other => {
                return Err(format!(
                    "it is for calls that are routed again (trigger {other})"
                ));
            }
        }
        for column in [
            "MessageConditionName",
            "DestTags",
            "SrcTags",
            "ModifiedDestUserName",
        ] {
            if !matches!(value(column), "" | "-1") {
                return Err(format!(
                    "its {column} {:?} cannot be said here",
                    value(column)
                ));
            }
        }
        if !matches!(value("CallSetupRulesSetId"), "" | "-1") {
            return Err("call setup rules cannot be said here".into());
        }
        if !matches!(value("SrcHost"), "" | "*") {
            return Err(format!(
                "its SrcHost {:?} cannot be said here",
                value("SrcHost")
            ));
        }
        let from = match value("SrcIPGroupName") {
            "" | "Any" | "any" | "-1" => None,
            name => Some(self.group(name, row.line).ok_or("who calls is not known")?),
        };
        let host = match value("DestHost") {
            "" | "*" => None,
            host if is_host(host) => Some(host.to_owned()),
            host => return Err(format!("its DestHost {host:?} cannot be said here")),
        };
        Ok(Row {
            line: row.line,
            index: row.index,
            name: value("RouteName").to_owned(),
            from,
            called: notation(value("DestUsernamePrefix"))?,
            calling: notation(value("SrcUsernamePrefix"))?,
            host,
            targets: vec![self.target(table, row)?],
        })
    }

    fn target(&mut self, table: &Table, row: &IniRow) -> Result<Target, String> {
        let value = |column: &str| table.value(row, column);
        match value("DestType") {
            "" | "0" => {
                let name = value("DestIPGroupName");
                let name = self.group(name, row.line).ok_or("it leads nowhere")?;
                let group = self.original.groups.iter().find(|group| group.name == name);
                match group.is_some_and(|group| !group.addresses.is_empty()) {
                    true => Ok(Target::Group(name)),
                    false => Err(format!("IP group {name:?} has no address to send to")),
                }
            }
            "1" => {
                let host = value("DestAddress");
                if host.eq_ignore_ascii_case("internal") || !is_host(host) {
                    return Err(format!("its DestAddress {host:?} is not an address"));
                }
                let port = table
                    .number(row, "DestPort")
                    .filter(|port| (1..=65_535).contains(port));
                let host = match port {
                    Some(port) => format!("{host}:{port}"),
                    None => host.to_owned(),
                };
                let transport = transport(value("DestTransportType"));
                let name = format!("to {host} {}", transport.unwrap_or_default());
                let name = name.trim().to_owned();
                if !self.original.groups.iter().any(|group| group.name == name) {
                    self.original.groups.push(Group {
                        name: name.clone(),
                        line: row.line,
                        addresses: vec![Address {
                            host,
                            transport,
                            weight: 1,
                            line: row.line,
                        }],
                        is_balanced: false,
                        by_address: false,
                    });
                }
                Ok(Target::Address(name))
            }
            other => Err(format!("its DestType {other} cannot be said here")),
        }
    }

    fn changes(&mut self, name: &str) -> Vec<Change> {
        let inbound = name == "IPInboundManipulation";
        let mut changes: Vec<Change> = Vec::new();
        let mut seen = BTreeSet::new();
        for (table, row) in self.table(name) {
            match self.change(table, row, inbound) {
                Ok(change) => {
                    let additional = table.value(row, "IsAdditionalManipulation") == "1";
                    let same = (change.group.clone(), change.of_called, change.fits.clone());
                    // Of the same end it would change what was changed already.
                    let again = additional && !seen.insert(same);
                    match again {
                        true => self.say(
                            row.line,
                            left_out(table, row, "it changes the same number again"),
                        ),
                        false => changes.push(change),
                    }
                }
                Err(why) => self.say(row.line, left_out(table, row, &why)),
            }
        }
        changes
    }

    fn change(&mut self, table: &Table, row: &IniRow, inbound: bool) -> Result<Change, String> {
        let value = |column: &str| table.value(row, column);
        for (column, any) in [
            ("SrcHost", "*"),
            ("DestHost", "*"),
            ("CallingNamePrefix", "*"),
        ] {
            if !matches!(value(column), "") && value(column) != any {
                return Err(format!(
                    "its {column} {:?} cannot be said here",
                    value(column)
                ));
            }
        }
        for column in ["MessageConditionName", "DestTags", "SrcTags"] {
            if !matches!(value(column), "" | "-1") {
                return Err(format!(
                    "its {column} {:?} cannot be said here",
                    value(column)
                ));
            }
        }
        if !matches!(value("RequestType"), "" | "-1" | "0" | "1" | "4" | "5") {
            return Err("it is not for calls".into());
        }
        if !matches!(value("Trigger"), "" | "-1" | "0" | "4") {
            return Err("it is for calls that are routed again".into());
        }
        if !matches!(value("ManipulationPurpose"), "" | "-1" | "0") {
            return Err("it is for routing only".into());
        }
        let (own, other) = match inbound {
            true => ("SrcIPGroupName", "DestIPGroupName"),
            false => ("DestIPGroupName", "SrcIPGroupName"),
        };
        if !matches!(value(other), "" | "Any" | "any" | "-1") {
            return Err(format!("it asks for {other} {:?}", value(other)));
        }
        let group = match value(own) {
            "" | "Any" | "any" | "-1" => None,
            name => Some(self.group(name, row.line).ok_or("its group is not known")?),
        };
        let of_called = value("ManipulatedURI") == "1";
        let (own, other) = match of_called {
            true => ("DestUsernamePrefix", "SrcUsernamePrefix"),
            false => ("SrcUsernamePrefix", "DestUsernamePrefix"),
        };
        if !matches!(value(other), "" | "*") {
            return Err(format!("it asks for {other} {:?} too", value(other)));
        }
        Ok(Change {
            line: row.line,
            name: value("ManipulationName").to_owned(),
            group,
            of_called,
            fits: notation(value(own))?,
            step: step(table, row)?,
        })
    }

    fn causes(&mut self) {
        for (table, row) in self.table("SBCAlternativeRoutingReasons") {
            let cause = table.number(row, "ReleaseCause");
            match cause {
                Some(class @ 4..=6) => self.original.causes.push(format!("{class}xx")),
                Some(status @ 300..=699) => self.original.causes.push(status.to_string()),
                _ => {
                    let cause = table.value(row, "ReleaseCause");
                    self.say(
                        row.line,
                        format!("release cause {cause:?} is left out: not a SIP status"),
                    );
                }
            }
        }
        self.original.causes.sort();
        self.original.causes.dedup();
    }
}

fn left_out(table: &Table, row: &IniRow, why: &str) -> String {
    let name = table.value(row, "ManipulationName");
    format!("manipulation {} {name:?} is left out: {why}", row.index)
}

fn notation(text: &str) -> Result<Notation, String> {
    let notation = Notation::parse(text)
        .map_err(|why| format!("{why} in {text:?} cannot be said of a number"))?;
    notation
        .items()
        .map_err(|why| format!("{text:?} stands for {why}"))?;
    Ok(notation)
}

fn step(table: &Table, row: &IniRow) -> Result<Step, String> {
    let count = |column: &str| {
        let most = NUMBER_SYMBOLS_MAX as u32;
        table.number(row, column).unwrap_or(0).min(most) as u8
    };
    let added = |column: &str| match table.value(row, column) {
        "" => Ok(None),
        text => match Number::parse(text.as_bytes()) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{text:?} is not a part of a number")),
        },
    };
    // 255 leaves all.
    let keep = table.number(row, "LeaveFromRight").unwrap_or(255);
    Ok(Step {
        prefix: None,
        length: None,
        strip: count("RemoveFromLeft"),
        strip_right: count("RemoveFromRight"),
        keep_right: u8::try_from(keep)
            .ok()
            .filter(|k| usize::from(*k) < NUMBER_SYMBOLS_MAX),
        prepend: added("Prefix2Add")?,
        append: added("Suffix2Add")?,
    })
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
fn is_host(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_name = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'-');
    let is_six = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    let is_host = match is_six {
        Some(six) => six.parse::<std::net::Ipv6Addr>().is_ok(),
        None => host.bytes().all(is_name) && host.bytes().any(|c| c.is_ascii_alphanumeric()),
    };
    is_host && host.len() <= 253 && port.is_none_or(|p| p.parse::<u16>().is_ok_and(|p| p > 0))
}
