//! IP groups, the proxy sets they send to, and sets of groups.

use super::plans::tags;
use super::{IniRow, Reader, Table, is_host, transport};
use crate::import::original::{Address, Group, SET};
use std::collections::BTreeSet;

impl Reader<'_, '_> {
    pub(super) fn groups(&mut self) {
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
                dial_plan: table.value(row, "SBCDialPlanName").to_owned(),
                tags: tags(table.value(row, "Tags")),
                reasons: table.value(row, "SBCAltRouteReasonsSetName").to_owned(),
            });
            if !matches!(table.value(row, "CallSetupRulesSetId"), "" | "-1") {
                let message = "its call setup rules cannot be said here and are left out";
                self.say(row.line, message);
            }
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
        let priorities: BTreeSet<_> = addresses.iter().map(|(priority, _)| *priority).collect();
        let is_balanced = match sets.value(set, "ProxyLoadBalancingMethod") {
            "" | "0" | "-1" => false,
            // Random weights share the calls among those of one priority: with one each there
            // is nothing to share.
            "2" if priorities.len() == addresses.len() => false,
            "2" if priorities.len() > 1 => {
                let message = format!(
                    "proxy set {name:?} has {} priorities: here its {} addresses share the \
                     calls by their weights alone",
                    priorities.len(),
                    addresses.len()
                );
                self.say(set.line, message);
                true
            }
            _ => true,
        };
        let addresses = addresses.into_iter().map(|(_, address)| address).collect();
        (addresses, is_balanced)
    }

    /// An IP group that is named, if it is there.
    pub(super) fn group(&mut self, name: &str, line: u32) -> Option<String> {
        let is_known = self.original.groups.iter().any(|group| group.name == name);
        if !is_known {
            self.say(line, format!("IP group {name:?} is not there"));
        }
        is_known.then(|| name.to_owned())
    }

    /// Sets of groups: one group with the addresses of all members, in their order.
    pub(super) fn group_sets(&mut self) {
        for (table, row) in self.table("IPGroupSet") {
            match self.group_set(table, row) {
                Ok(set)
                    if self
                        .original
                        .groups
                        .iter()
                        .any(|group| group.name == set.name) =>
                {
                    let name = table.value(row, "Name");
                    let message =
                        format!("IP group set {name:?} is defined twice; the first counts");
                    self.say(row.line, message);
                }
                Ok(set) => self.original.groups.push(set),
                Err(why) => {
                    let name = table.value(row, "Name");
                    let message = format!("IP group set {name:?} is left out: {why}");
                    self.say(row.line, message);
                }
            }
        }
    }

    fn group_set(&mut self, table: &Table, row: &IniRow) -> Result<Group, String> {
        let own_name = table.value(row, "Name");
        let index = row.index.to_string();
        // Round robin and random share the calls, homing tries the members in order.
        let is_balanced = match table.value(row, "Policy") {
            "" | "-1" | "0" | "1" => true,
            "2" => false,
            other => return Err(format!("its policy {other} cannot be said here")),
        };
        let mut addresses = Vec::new();
        let mut reasons = BTreeSet::new();
        for (members, member) in self.table("IPGroupSetMember") {
            let of = members.value(member, "IPGroupSetId");
            if of != index && (of.is_empty() || of != own_name) {
                continue;
            }
            let name = members.value(member, "IPGroupName");
            let Some(group) = self.original.groups.iter().find(|group| group.name == name) else {
                return Err(format!("its member {name:?} is not there"));
            };
            let changes = &self.original.outbound;
            if changes
                .iter()
                .any(|change| change.group.as_deref() == Some(name))
            {
                return Err(format!(
                    "its member {name:?} has outbound manipulations of its own"
                ));
            }
            reasons.insert(group.reasons.clone());
            let weight = members
                .number(member, "Weight")
                .filter(|weight| *weight > 0);
            addresses.extend(group.addresses.iter().map(|address| Address {
                weight: weight.unwrap_or(1),
                ..address.clone()
            }));
        }
        if reasons.len() > 1 {
            return Err("its members have different alternative reasons".into());
        }
        let reasons = reasons.pop_first().unwrap_or_default();
        Ok(Group {
            name: set_name(own_name),
            line: row.line,
            addresses,
            is_balanced,
            by_address: false,
            dial_plan: String::new(),
            tags: tags(table.value(row, "Tags")),
            reasons,
        })
    }
}

/// A set is a group like others, under a name that no IP group has by accident.
pub(super) fn set_name(name: &str) -> String {
    format!("{SET}{name}")
}
