//! Release causes that move a call to its next route: one table for all (7.0, 7.2), or sets
//! that IP groups name (7.4).
//!
//! The sets and their rules are known by their columns: a table of reasons with names is one of
//! sets; one with release causes and a set they belong to is one of rules.

use super::{IniRow, Reader, Table};
use crate::import::original::{Reasons, Target};

/// The columns of a table of reasons.
struct Columns<'t> {
    cause: Option<&'t str>,
    set: Option<&'t str>,
    name: Option<&'t str>,
}

impl<'t> Columns<'t> {
    /// Of a table that has to do with it.
    fn of(table: &'t Table) -> Option<Self> {
        let has = |text: &str, word: &str| text.to_ascii_lowercase().contains(word);
        let find = |fits: &dyn Fn(&str) -> bool| {
            let columns = table.columns.iter().map(|column| &**column);
            columns.into_iter().find(|column| fits(column))
        };
        (has(&table.name, "alt") && has(&table.name, "reason")).then(|| Self {
            cause: find(&|column| has(column, "cause")),
            set: find(&|column| has(column, "set")),
            name: find(&|column| column.eq_ignore_ascii_case("name")),
        })
    }
}

impl<'t> Reader<'t, '_> {
    /// Whether a table is read here.
    pub(super) fn is_of_reasons(table: &Table) -> bool {
        Columns::of(table).is_some_and(|columns| columns.cause.is_some() || columns.name.is_some())
    }

    pub(super) fn reasons(&mut self) {
        let tables = self.tables;
        let tables = || {
            tables
                .iter()
                .filter_map(|table| Some((table, Columns::of(table)?)))
        };
        for (table, columns) in tables() {
            let (None, Some(name)) = (columns.cause, columns.name) else {
                continue;
            };
            for row in &table.rows {
                self.original.reasons.push(Reasons {
                    name: table.value(row, name).to_owned(),
                    index: Some(row.index),
                    line: row.line,
                    causes: Vec::new(),
                });
            }
        }
        for (table, columns) in tables() {
            let Some(cause) = columns.cause else { continue };
            for row in &table.rows {
                let set = columns.set.map_or("", |column| table.value(row, column));
                self.reason(table, row, cause, set);
            }
        }
        for reasons in &mut self.original.reasons {
            reasons.causes.sort_unstable();
            reasons.causes.dedup();
        }
        let groups = self.original.groups.iter();
        let unknown = groups.filter(|group| {
            !group.reasons.is_empty() && self.original.reasons_named(&group.reasons).is_none()
        });
        let unknown = unknown.map(|group| (group.line, group.reasons.clone()));
        for (line, name) in unknown.collect::<Vec<_>>() {
            let message = format!(
                "its alternative reasons set {name:?} is not there: only silence moves its \
                 calls on"
            );
            self.say(line, message);
        }
        self.different_reasons();
    }

    /// A search goes by what the first of its groups says.
    fn different_reasons(&mut self) {
        let groups = &self.original.groups;
        let reasons_of = |target: &Target| {
            let group = groups.iter().find(|group| group.name == target.name());
            group.map(|group| &*group.reasons)
        };
        let rows = self.original.rows.iter().filter(|row| {
            let mut reasons = row.targets.iter().filter_map(reasons_of);
            let first = reasons.next();
            reasons.any(|other| Some(other) != first)
        });
        let lines: Vec<u32> = rows.map(|row| row.line).collect();
        for line in lines {
            let message = "its groups have different alternative reasons: those of the first \
                           hold for all of them here";
            self.say(line, message);
        }
    }

    fn reason(&mut self, table: &'t Table, row: &'t IniRow, column: &str, set: &str) {
        let cause = match table.number(row, column) {
            Some(class @ 4..=6) => class,
            Some(status @ 300..=699) => status,
            _ => {
                let cause = table.value(row, column);
                let message = format!("release cause {cause:?} is left out: not a SIP status");
                self.say(row.line, message);
                return;
            }
        };
        let sets = &mut self.original.reasons;
        let index: Option<u32> = set.parse().ok();
        let named = sets.iter().position(|reasons| match set {
            "" => reasons.index.is_none(),
            set => reasons.index.is_some() && (reasons.name == set || reasons.index == index),
        });
        match named.and_then(|at| sets.get_mut(at)) {
            Some(reasons) => reasons.causes.push(cause as u16),
            None if set.is_empty() => sets.push(Reasons {
                name: String::from("imported"),
                index: None,
                line: row.line,
                causes: vec![cause as u16],
            }),
            None => {
                let message = format!("alternative reasons set {set:?} is not there");
                self.say(row.line, message);
            }
        }
    }
}
