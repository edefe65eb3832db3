//! IP-to-IP routing rows.

use super::groups::set_name;
use super::plans::only_tag;
use super::{IniRow, Reader, Table, is_host, notation, transport};
use crate::import::original::{Address, Group, Row, Target};

impl Reader<'_, '_> {
    pub(super) fn routes(&mut self) {
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
        for column in ["MessageConditionName", "ModifiedDestUserName"] {
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
        let by_tag = value("DestType") == "12";
        let [called_tag, calling_tag] = [value("DestTags"), value("SrcTags")].map(only_tag);
        let (called_tag, calling_tag) = (called_tag?, calling_tag?);
        let mut from = match value("SrcIPGroupName") {
            "" | "Any" | "any" | "-1" => Vec::new(),
            name => vec![self.group(name, row.line).ok_or("who calls is not known")?],
        };
        if by_tag || called_tag.is_some() || calling_tag.is_some() {
            from = self.tagged(&from)?;
        }
        for (name, value) in called_tag.iter().chain(&calling_tag) {
            let tag = (name.clone(), value.clone());
            let mut rules = self
                .original
                .plan
                .rules
                .iter()
                .zip(&self.original.plan.items);
            if !rules.any(|(rule, items)| !items.is_empty() && rule.tags.contains(&tag)) {
                return Err(format!("no number has the tag {value:?}"));
            }
        }
        let host = match value("DestHost") {
            "" | "*" => None,
            host if is_host(host) => Some(host.to_owned()),
            host => return Err(format!("its DestHost {host:?} cannot be said here")),
        };
        let called = notation(value("DestUsernamePrefix"))?;
        let calling = notation(value("SrcUsernamePrefix"))?;
        // A rule cannot ask that a number both stands in a list and begins in some way.
        if (by_tag || called_tag.is_some()) && !called.is_any() {
            return Err("it asks for a tag and a prefix of the called number".into());
        }
        if by_tag && called_tag.is_some() {
            return Err("it asks for a tag and is routed by one".into());
        }
        if calling_tag.is_some() && !calling.is_any() {
            return Err("it asks for a tag and a prefix of the calling number".into());
        }
        if !matches!(value("CostGroup"), "" | "-1") {
            let message = format!("cost group {:?} is left out", value("CostGroup"));
            self.say(row.line, message);
        }
        Ok(Row {
            line: row.line,
            index: row.index,
            name: value("RouteName").to_owned(),
            from,
            called,
            calling,
            called_tag,
            calling_tag,
            host,
            targets: vec![self.target(table, row)?],
        })
    }

    fn target(&mut self, table: &Table, row: &IniRow) -> Result<Target, String> {
        let value = |column: &str| table.value(row, column);
        match value("DestType") {
            "12" => self.by_tag(value("RoutingTagName")),
            kind @ ("" | "0" | "11") => {
                let name = match kind {
                    "11" => &*set_name(value("IPGroupSetName")),
                    _ => value("DestIPGroupName"),
                };
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
                        dial_plan: String::new(),
                        tags: Vec::new(),
                        reasons: String::new(),
                    });
                }
                Ok(Target::Address(name))
            }
            other => Err(format!("its DestType {other} cannot be said here")),
        }
    }
}
