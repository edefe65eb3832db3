//! Who has a number, and where the table sends it: lists of the platforms and of the carriers
//! against the rows of a table.
//!
//! All ends of all ranges cut the numbers of each length into stretches on which every list
//! and every row says the same; one number of each is asked for. Nothing is sampled.

use super::cover::{Cover, number, value};
use super::lists::Listed;
use crate::routing::prefix_map::Remaining;
use crate::routing::{Number, RoutingTable};
use std::collections::{BTreeMap, BTreeSet};

/// A list, and the trunk groups that lead to whom it belongs.
#[derive(Debug)]
pub struct Platform<'a> {
    /// What people call it.
    pub name: &'a str,
    /// Its numbers.
    pub listed: &'a [Listed],
    /// Names of its trunk groups.
    pub groups: &'a [String],
}

/// What does not agree, or is free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Two platforms have the number.
    OnBoth,
    /// The row sends calls elsewhere than to who has the number.
    AgainstOwner,
    /// A platform has the number, and no row of the table has it.
    NotInTable,
    /// A row sends calls to a platform that does not have the number.
    OwnedByNobody,
    /// In no block of a carrier.
    InNoBlock,
    /// In a block, and nobody's: no disagreement.
    Free,
}

impl Kind {
    /// As it is printed.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::OnBoth => "on both platforms",
            Self::AgainstOwner => "routed against its owner",
            Self::NotInTable => "not in the table",
            Self::OwnedByNobody => "owned by nobody",
            Self::InNoBlock => "in no block",
            Self::Free => "free",
        }
    }
}

/// Neighbouring numbers of which the same is to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stretch {
    /// What is to be said.
    pub kind: Kind,
    /// The first number.
    pub first: Number,
    /// The last, of the same length.
    pub last: Number,
    /// How many numbers.
    pub count: u64,
    /// Who has them.
    pub owners: String,
    /// The trunk group of the row; empty where there is none.
    pub group: String,
}

/// Compares lists with a table. Without blocks nothing is said of blocks.
#[must_use]
pub fn reconcile(
    platforms: &[Platform<'_>],
    blocks: Option<&[Listed]>,
    table: &RoutingTable,
) -> Vec<Stretch> {
    let mut found: Vec<Stretch> = Vec::new();
    let lists: Vec<Cover> = platforms.iter().map(|p| Cover::of(p.listed)).collect();
    let blocks = blocks.map(Cover::of);
    for (digits, cuts) in cuts(&lists, blocks.as_ref(), table) {
        let ends = cuts
            .iter()
            .skip(1)
            .copied()
            .chain([10_u64.saturating_pow(digits)]);
        for (first, end) in cuts.iter().copied().zip(ends) {
            let (Some(number), Some(last)) = (number(first, digits), number(end - 1, digits))
            else {
                continue;
            };
            let row = table.did(&number);
            let group = row.and_then(|row| row.value.group);
            let group = group.map_or("", |group| table.group_name(group));
            let mut has = Vec::new();
            let mut leads_to = Vec::new();
            for (platform, list) in platforms.iter().zip(&lists) {
                if list.has(digits, first) {
                    has.push(platform);
                }
                if platform.groups.iter().any(|name| name == group) {
                    leads_to.push(platform.name);
                }
            }
            let owners: Vec<&str> = has.iter().map(|platform| platform.name).collect();
            let in_block = blocks.as_ref().map(|blocks| blocks.has(digits, first));
            for kind in kinds(&owners, &leads_to, row.is_some(), in_block) {
                let stretch = Stretch {
                    kind,
                    first: number,
                    last,
                    count: end - first,
                    owners: owners.join(" and "),
                    group: group.to_owned(),
                };
                add(&mut found, stretch);
            }
        }
    }
    found.sort_by_key(|stretch| (stretch.kind, stretch.first));
    found
}

fn kinds(owners: &[&str], leads_to: &[&str], has_row: bool, in_block: Option<bool>) -> Vec<Kind> {
    let mut kinds = Vec::new();
    match owners {
        [] if !leads_to.is_empty() => kinds.push(Kind::OwnedByNobody),
        [] => {}
        [_] if !has_row => kinds.push(Kind::NotInTable),
        [owner] if !leads_to.contains(owner) => kinds.push(Kind::AgainstOwner),
        [_] => {}
        _ => kinds.push(Kind::OnBoth),
    }
    match in_block {
        Some(false) if has_row || !owners.is_empty() => kinds.push(Kind::InNoBlock),
        Some(true) if !has_row && owners.is_empty() => kinds.push(Kind::Free),
        _ => {}
    }
    kinds
}

/// Adds a stretch, to the one before it where it goes on.
fn add(found: &mut Vec<Stretch>, stretch: Stretch) {
    let same = found.iter_mut().rev().take(2).find(|before| {
        before.kind == stretch.kind
            && (&before.owners, &before.group) == (&stretch.owners, &stretch.group)
            && before.last.len() == stretch.first.len()
            && value(&before.last).map(|(_, v)| v + 1) == value(&stretch.first).map(|(_, v)| v)
    });
    match same {
        Some(before) => {
            before.last = stretch.last;
            before.count += stretch.count;
        }
        None => found.push(stretch),
    }
}

/// Where anything begins or has ended, by how many digits: 0 always among them.
fn cuts(
    lists: &[Cover],
    blocks: Option<&Cover>,
    table: &RoutingTable,
) -> BTreeMap<u32, BTreeSet<u64>> {
    let mut cuts: BTreeMap<u32, BTreeSet<u64>> = BTreeMap::new();
    let mut add = |digits: u32, first: u64, last: u64| {
        let of_length = cuts.entry(digits).or_insert_with(|| BTreeSet::from([0]));
        of_length.insert(first);
        if last + 1 < 10_u64.saturating_pow(digits) {
            of_length.insert(last + 1);
        }
    };
    for cover in lists.iter().chain(blocks) {
        for (digits, first, last) in cover.iter() {
            add(digits, first, last);
        }
    }
    table.dids().whole_numbers(|first, last| {
        if let (Some((digits, first)), Some((_, last))) = (value(&first), value(&last)) {
            add(digits, first, last);
        }
    });
    let mut open = Vec::new();
    for (prefix, remaining) in table.dids().prefixes() {
        let Some((digits, first)) = value(&prefix) else {
            continue;
        };
        match remaining {
            Remaining::Any => open.push((digits, first)),
            Remaining::Exactly(more) => {
                let all = digits + u32::from(more);
                if let (true, Some(size)) = (all <= 18, 10_u64.checked_pow(more.into())) {
                    add(all, first * size, first * size + (size - 1));
                }
            }
        }
    }
    for (length, of_length) in &mut cuts {
        for (digits, first) in open.iter().filter(|(digits, _)| digits <= length) {
            let size = 10_u64.saturating_pow(length - digits);
            of_length.insert(first * size);
            let end = first * size + size;
            if end < 10_u64.saturating_pow(*length) {
                of_length.insert(end);
            }
        }
    }
    cuts
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing

    use super::*;
    use crate::routing::did_map::DidMapBuilder;
    use crate::routing::table::{DidList, TableParts};
    use crate::routing::trunk::{Hunt, TrunkGroup};
    use crate::routing::{Did, GroupId, ListId, Origin};
    use proptest::prelude::*;

    const GROUPS: [&str; 3] = ["teams", "genesys", "fax"];

    fn group(name: &str) -> TrunkGroup {
        TrunkGroup {
            name: name.into(),
            trunks: Box::default(),
            hunt: Hunt::TopDown,
            dial_plan: None,
            inbound: Box::default(),
            outbound: Box::default(),
            max_calls: None,
            search: Box::default(),
            alternative_routing: None,
            send_back: true,
            transfers_to: None,
            origin: Origin { file: 0, line: 0 },
        }
    }

    /// A table with rows (prefix, whether anything may follow, group).
    fn table(rows: &BTreeMap<(String, bool), Option<u16>>) -> RoutingTable {
        let mut builder = DidMapBuilder::new();
        for ((prefix, open), group) in rows {
            let remaining = match open {
                true => Remaining::Any,
                false => Remaining::Exactly((4 - prefix.len()) as u8),
            };
            let did = Did {
                group: group.map(GroupId),
                list: ListId(0),
            };
            let prefix = Number::parse(prefix.as_bytes()).unwrap();
            builder.push(&prefix, remaining, did, 1);
        }
        RoutingTable::new(TableParts {
            groups: GROUPS.map(group).into(),
            lists: vec![DidList {
                name: "all".into(),
                file: 0,
                rows: 1,
                marks: None,
            }],
            dids: builder.build(0).unwrap(),
            ..TableParts::default()
        })
    }

    fn listed() -> impl Strategy<Value = Vec<Listed>> {
        let row = (0..1_000_u64, 0..40_u64).prop_map(|(first, more)| Listed {
            line: 1,
            first: number(first, 3).unwrap(),
            last: number((first + more).min(999), 3),
            tag: String::new(),
            name: String::new(),
        });
        prop::collection::vec(row, 0..5)
    }

    proptest! {
        /// Number by number: what the stretches say is what the lists and the row say.
        #[test]
        fn stretches_are_what_each_number_is(
            teams in listed(),
            genesys in listed(),
            blocks in prop::option::of(listed()),
            rows in prop::collection::btree_map(
                ("\\+[0-2]{0,3}", any::<bool>()).prop_filter("one digit", |(p, _)| p.len() > 1),
                prop::option::of(0..3_u16),
                0..6,
            ),
        ) {
            let table = table(&rows);
            let groups = [["teams".to_owned()], ["genesys".to_owned()]];
            let platforms = [
                Platform { name: "Teams", listed: &teams, groups: &groups[0] },
                Platform { name: "Genesys", listed: &genesys, groups: &groups[1] },
            ];
            let found = reconcile(&platforms, blocks.as_deref(), &table);
            let has = |list: &[Listed], number: &Number| {
                list.iter().any(|row| row.first <= *number && *number <= row.last.unwrap())
            };
            // A prefix alone, which no list speaks of, has no numbers of three digits to ask for.
            let asked = !(teams.is_empty() && genesys.is_empty());
            for value in (0..1_000).filter(|_| asked) {
                let number = number(value, 3).unwrap();
                let owners: Vec<&str> = [("Teams", &teams), ("Genesys", &genesys)]
                    .into_iter()
                    .filter(|(_, list)| has(list, &number))
                    .map(|(name, _)| name)
                    .collect();
                let row = table.did(&number);
                let leads_to: Vec<&str> = match row.and_then(|row| row.value.group) {
                    Some(GroupId(0)) => vec!["Teams"],
                    Some(GroupId(1)) => vec!["Genesys"],
                    _ => vec![],
                };
                let in_block = blocks.as_ref().map(|blocks| has(blocks, &number));
                let mut wanted = kinds(&owners, &leads_to, row.is_some(), in_block);
                let mut came: Vec<Kind> = found
                    .iter()
                    .filter(|s| s.first.len() == 4 && s.first <= number && number <= s.last)
                    .map(|stretch| stretch.kind)
                    .collect();
                wanted.sort_unstable();
                came.sort_unstable();
                prop_assert_eq!(came, wanted, "{}", number);
            }
            for stretch in &found {
                let (_, first) = value(&stretch.first).unwrap();
                let (_, last) = value(&stretch.last).unwrap();
                prop_assert_eq!(stretch.count, last - first + 1);
            }
        }
    }

    #[test]
    fn what_is_said_of_whom() {
        let none: &[&str] = &[];
        for (owners, leads_to, has_row, in_block, expected) in [
            (
                &["Teams", "Genesys"][..],
                &["Teams"][..],
                true,
                None,
                &[Kind::OnBoth][..],
            ),
            (&["Teams"], &["Genesys"], true, None, &[Kind::AgainstOwner]),
            (&["Teams"], none, true, None, &[Kind::AgainstOwner]),
            (
                &["Teams"],
                none,
                false,
                Some(false),
                &[Kind::NotInTable, Kind::InNoBlock],
            ),
            (none, &["Teams"], true, Some(true), &[Kind::OwnedByNobody]),
            (none, none, false, Some(true), &[Kind::Free]),
            (none, none, true, Some(true), &[]),
            (&["Teams"], &["Teams"], true, Some(true), &[]),
        ] {
            assert_eq!(kinds(owners, leads_to, has_row, in_block), expected);
        }
    }
}
