//! What comes before rules: which group a call arrives on, and how its numbers are read.
//!
//! Addresses are compared exactly. Classifications, dial plans and inbound manipulations
//! are compared as they are written: one that is written otherwise is reported, even if it
//! should do the same.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::IpNet;

use super::Side;
use crate::routing::trunk::TrunkGroup;
use crate::routing::{Classification, RoutingTable};

/// A change before rules are read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArrivalChange {
    /// What kind.
    pub kind: ArrivalKind,
    /// What it is about: addresses, a classification, a trunk group.
    pub what: String,
    /// How it was; empty for nothing.
    pub before: String,
    /// How it is; empty for nothing.
    pub after: String,
}

/// Kinds of [`ArrivalChange`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ArrivalKind {
    /// Calls from these addresses are not accepted any more.
    SourceRefused,
    /// They arrive on another trunk group.
    SourceMoved,
    /// They were not accepted and are.
    SourceAdmitted,
    /// A classification is new, gone, another, or in another place of the order.
    Classification,
    /// Numbers of calls on this group are read otherwise: dial plan, inbound manipulations;
    /// or calls without any go elsewhere: `transfers_to`.
    Reading,
}

impl ArrivalKind {
    /// Stable name for programs.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SourceRefused => "source_refused",
            Self::SourceMoved => "source_moved",
            Self::SourceAdmitted => "source_admitted",
            Self::Classification => "classification",
            Self::Reading => "reading",
        }
    }
}

pub(super) fn compare(tables: [&RoutingTable; 2]) -> Vec<ArrivalChange> {
    let mut changes = sources(tables);
    changes.extend(classifications(tables));
    changes.extend(readings(tables));
    changes
}

/// The groups of `accept_from`, address by address.
fn sources(tables: [&RoutingTable; 2]) -> Vec<ArrivalChange> {
    let nets = tables.map(Networks::of);
    let [before, after] = &nets;
    if before.groups == after.groups {
        return Vec::new();
    }
    let mut changes = Vec::new();
    for family in [Family::V4, Family::V6] {
        let ends = nets.iter().flat_map(|nets| nets.ends(family));
        let bounds: BTreeSet<u128> = ends.collect();
        let mut last: Option<(u128, u128, &str, &str)> = None;
        for (from, to) in bounds.iter().zip(bounds.iter().skip(1)) {
            let (old, new) = (before.group(family, *from), after.group(family, *from));
            match &mut last {
                Some((_, end, a, b)) if (*a, *b, *end) == (old, new, *from) => *end = *to,
                _ => {
                    changes.extend(last.take().and_then(|found| source(family, found)));
                    last = Some((*from, *to, old, new));
                }
            }
        }
        changes.extend(last.and_then(|found| source(family, found)));
    }
    changes
}

fn source(
    family: Family,
    (from, to, before, after): (u128, u128, &str, &str),
) -> Option<ArrivalChange> {
    let kind = match (before, after) {
        _ if before == after => return None,
        ("", _) => ArrivalKind::SourceAdmitted,
        (_, "") => ArrivalKind::SourceRefused,
        _ => ArrivalKind::SourceMoved,
    };
    let (first, last) = (family.text(from), family.text(to - 1));
    let what = if first == last {
        first
    } else {
        format!("{first} to {last}")
    };
    Some(ArrivalChange {
        kind,
        what,
        before: before.to_owned(),
        after: after.to_owned(),
    })
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Family {
    V4,
    V6,
}

impl Family {
    const fn bits(self) -> u8 {
        match self {
            Self::V4 => 32,
            Self::V6 => 128,
        }
    }

    /// The first address of the network of so many bits that holds this one.
    fn network(self, address: u128, bits: u8) -> u128 {
        let host_bits = self.bits().saturating_sub(bits);
        let mask = u128::MAX.checked_shl(host_bits.into()).unwrap_or(0);
        address & mask
    }

    fn text(self, address: u128) -> String {
        match self {
            Self::V4 => Ipv4Addr::from(address as u32).to_string(),
            Self::V6 => Ipv6Addr::from(address).to_string(),
        }
    }
}

/// The `accept_from` of a table.
struct Networks<'t> {
    groups: BTreeMap<(Family, u8, u128), &'t str>,
    lengths: BTreeSet<(Family, u8)>,
}

impl<'t> Networks<'t> {
    fn of(table: &'t RoutingTable) -> Self {
        let mut groups = BTreeMap::new();
        for (net, group) in table.networks() {
            let (family, first) = match net {
                IpNet::V4(net) => (Family::V4, u32::from(net.network()).into()),
                IpNet::V6(net) => (Family::V6, u128::from(net.network())),
            };
            groups.insert((family, net.prefix_len(), first), table.group_name(*group));
        }
        let lengths = groups.keys().map(|(family, bits, _)| (*family, *bits));
        Self {
            lengths: lengths.collect(),
            groups,
        }
    }

    /// First addresses of networks, and those behind their last.
    fn ends(&self, family: Family) -> impl Iterator<Item = u128> {
        let own = self.groups.keys().filter(move |(its, ..)| *its == family);
        own.flat_map(move |(_, bits, first)| {
            let host_bits = family.bits().saturating_sub(*bits);
            let size = 1_u128.checked_shl(host_bits.into()).unwrap_or(u128::MAX);
            // The last IPv6 address of all is left out: nobody calls from it.
            [*first, first.saturating_add(size)]
        })
    }

    /// The group of the longest network with this address; empty for none.
    fn group(&self, family: Family, address: u128) -> &'t str {
        let lengths = self.lengths.iter().rev().filter(|(its, _)| *its == family);
        let mut found = lengths.filter_map(|(_, bits)| {
            let key = (family, *bits, family.network(address, *bits));
            self.groups.get(&key).copied()
        });
        found.next().unwrap_or("")
    }
}

fn classifications(tables: [&RoutingTable; 2]) -> Vec<ArrivalChange> {
    let [before, after] = tables.map(|table| {
        let rows = table.classifications().iter();
        rows.map(|row| (written(table, row), row))
            .collect::<Vec<_>>()
    });
    let contents = |rows: &[(String, &Classification)]| {
        let contents = rows.iter().map(|(content, _)| content.clone());
        contents.collect::<Vec<String>>()
    };
    let (old, new) = (contents(&before), contents(&after));
    if old == new {
        return Vec::new();
    }
    let mut changes = Vec::new();
    let mut only = |side: Side, rows: &[(String, &Classification)], others: &[String]| {
        let table = side.of(&tables);
        let mut others = others.to_vec();
        for (content, row) in rows {
            if let Some(same) = others.iter().position(|other| other == content) {
                others.swap_remove(same);
                continue;
            }
            let group = table.group_name(row.group).to_owned();
            let (before, after) = match side {
                Side::Before => (group, String::new()),
                Side::After => (String::new(), group),
            };
            changes.push(ArrivalChange {
                kind: ArrivalKind::Classification,
                what: format!("classification {}", table.place(row.origin)),
                before,
                after,
            });
        }
    };
    only(Side::Before, &before, &new);
    only(Side::After, &after, &old);
    if changes.is_empty() {
        changes.push(ArrivalChange {
            kind: ArrivalKind::Classification,
            what: "order of the classifications".to_owned(),
            before: String::new(),
            after: String::new(),
        });
    }
    changes
}

/// All that a classification asks, and its group by name.
fn written(table: &RoutingTable, row: &Classification) -> String {
    let Classification {
        source,
        listener,
        header,
        tgrp,
        trunk_context,
        contact_host,
        from_host,
        request_host,
        group,
        origin: _,
    } = row;
    let group = table.group_name(*group);
    format!(
        "{group} {source:?} {listener:?} {header:?} {tgrp:?} {trunk_context:?} \
         {contact_host:?} {from_host:?} {request_host:?}"
    )
}

/// How the groups that calls arrive on in both tables read numbers.
fn readings(tables: [&RoutingTable; 2]) -> Vec<ArrivalChange> {
    let [before, after] = tables;
    let new_groups: BTreeMap<&str, &TrunkGroup> = after
        .arrival_groups()
        .into_iter()
        .filter_map(|id| after.group(id))
        .map(|group| (&*group.name, group))
        .collect();
    let mut changes = Vec::new();
    for old in before.arrival_groups() {
        let name = before.group_name(old);
        let Some((old, new)) = before.group(old).zip(new_groups.get(name).copied()) else {
            continue;
        };
        if before.dial_plan(old) != after.dial_plan(new) {
            let plan = |table: &RoutingTable, group| {
                let name = table.dial_plan_name(group);
                name.map_or("no dial plan".to_owned(), |name| {
                    format!("dial plan {name}")
                })
            };
            changes.push(ArrivalChange {
                kind: ArrivalKind::Reading,
                what: name.to_owned(),
                before: plan(before, old),
                after: plan(after, new),
            });
        }
        let inbound = |table: &RoutingTable, group: &TrunkGroup| {
            let steps = group
                .inbound
                .iter()
                .filter_map(|id| table.manipulation(*id).cloned());
            steps.collect::<Vec<_>>()
        };
        if inbound(before, old) != inbound(after, new) {
            changes.push(ArrivalChange {
                kind: ArrivalKind::Reading,
                what: name.to_owned(),
                before: "inbound manipulations as before".to_owned(),
                after: "other inbound manipulations".to_owned(),
            });
        }
        let transfers = |table: &RoutingTable, group: &TrunkGroup| {
            let to = group.transfers_to.map(|to| table.group_name(to).to_owned());
            to.map_or(String::from("transfers by the rules"), |to| {
                format!("transfers to {to}")
            })
        };
        let (was, is) = (transfers(before, old), transfers(after, new));
        if was != is {
            changes.push(ArrivalChange {
                kind: ArrivalKind::Reading,
                what: name.to_owned(),
                before: was,
                after: is,
            });
        }
    }
    changes.sort_by(|a, b| a.what.cmp(&b.what));
    changes
}
