//! Trunk groups as observers number them: a name keeps its place whatever tables come and go.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use arc_swap::ArcSwap;

use crate::limits::GROUPS_TALLIED_MAX;
use crate::routing::{GroupId, RoutingTable};

/// The places of trunk groups, for all workers. Ids of groups hold for one generation of the
/// table; what is counted of a group has to outlive it.
#[derive(Debug)]
pub struct Roster {
    names: Mutex<Names>,
    newest: ArcSwap<Places>,
}

#[derive(Debug, Default)]
struct Names {
    places: HashMap<Arc<str>, usize>,
    names: Vec<Arc<str>>,
}

/// Where the groups of one table are counted, by their ids.
#[derive(Debug, Default)]
struct Places {
    generation: u64,
    groups: Box<[usize]>,
}

impl Roster {
    /// One that knows no name.
    #[must_use]
    pub fn new() -> Self {
        Self {
            names: Mutex::default(),
            newest: ArcSwap::default(),
        }
    }

    /// The place of a group of `table`, below [`GROUPS_TALLIED_MAX`]; `None` when so many
    /// others have one. Only the first question about a newer table, and those about an
    /// older one, cost more than a few instructions.
    pub(super) fn place(&self, table: &RoutingTable, group: GroupId) -> Option<usize> {
        let newest = self.newest.load();
        if newest.generation == table.generation() {
            return newest.place(group);
        }
        self.place_in(table, group, newest.generation)
    }

    /// The names in the order of their places.
    pub(super) fn names(&self) -> Vec<Arc<str>> {
        self.lock().names.clone()
    }

    #[cold]
    fn place_in(&self, table: &RoutingTable, group: GroupId, newest: u64) -> Option<usize> {
        let mut names = self.lock();
        if table.generation() < newest {
            return names.place(table.group_name(group));
        }
        let groups = table.groups().iter();
        let places = Places {
            generation: table.generation(),
            // Beyond the bound stands a place that nothing has.
            groups: groups
                .map(|group| names.place(&group.name).unwrap_or(GROUPS_TALLIED_MAX))
                .collect(),
        };
        let place = places.place(group);
        self.newest.store(Arc::new(places));
        place
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Names> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Roster {
    fn default() -> Self {
        Self::new()
    }
}

impl Names {
    fn place(&mut self, name: &str) -> Option<usize> {
        if let Some(place) = self.places.get(name) {
            return Some(*place);
        }
        let place = self.names.len();
        if place >= GROUPS_TALLIED_MAX || name.is_empty() {
            return None;
        }
        let name: Arc<str> = name.into();
        self.names.push(Arc::clone(&name));
        self.places.insert(name, place);
        Some(place)
    }
}

impl Places {
    fn place(&self, group: GroupId) -> Option<usize> {
        let place = self.groups.get(group.index()).copied();
        place.filter(|place| *place < GROUPS_TALLIED_MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::tallies::table_of;

    #[test]
    fn a_name_keeps_its_place_over_tables() {
        let roster = Roster::new();
        let (old, new) = (table_of(1, &["a", "b"]), table_of(2, &["b", "c"]));
        assert_eq!(roster.place(&old, GroupId(1)), Some(1));
        assert_eq!(roster.place(&new, GroupId(0)), Some(1));
        assert_eq!(roster.place(&new, GroupId(1)), Some(2));
        // A call that began on the old table ends.
        assert_eq!(roster.place(&old, GroupId(0)), Some(0));
        assert_eq!(roster.place(&new, GroupId(7)), None);
        assert_eq!(roster.names(), ["a", "b", "c"].map(Arc::from));
    }

    #[test]
    fn there_are_places_for_so_many_names() {
        let roster = Roster::new();
        let names: Vec<_> = (0..=GROUPS_TALLIED_MAX).map(|n| n.to_string()).collect();
        let names: Vec<_> = names.iter().map(|name| &**name).collect();
        let table = table_of(1, &names);
        let last = u16::try_from(GROUPS_TALLIED_MAX).expect("ids are 16 bits");
        assert_eq!(roster.place(&table, GroupId(last)), None);
        assert_eq!(
            roster.place(&table, GroupId(last - 1)),
            Some(GROUPS_TALLIED_MAX - 1)
        );
    }
}
