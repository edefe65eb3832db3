//! DID lists: read, checked against each other, and put into the table's number space.

use super::Compiled;
use crate::limits::DIAGNOSTICS_MAX;
use crate::routing::did_map::{DidMap, DidMapBuilder};
use crate::routing::prefix_map::{BuildError, PrefixMapBuilder};
use crate::routing::table::DidList;
use crate::routing::{Did, GroupId, ListId};
use crate::tables::diagnostic::{Code, Diagnostic, Diagnostics, quoted};
use crate::tables::dids::{self, DidRows};
use crate::tables::names::{Context, Names};
use crate::tables::schema::{DidSection, Schema};
use crate::tables::source::Sources;

/// The rows of all lists, and which list each section of the schema became.
pub(super) struct Lists {
    rows: DidRows,
    /// By section; `None` for one that could not be read.
    by_section: Vec<Option<dids::ListId>>,
}

/// Reads every list the schema names. Needs the sources to itself: CSV files are added.
pub(super) fn read(schema: &Schema, sources: &mut Sources, diagnostics: &Diagnostics) -> Lists {
    let mut rows = DidRows::new();
    let by_section = schema
        .dids
        .iter()
        .map(|section| read_one(section, &mut rows, sources, diagnostics))
        .collect();
    rows.check_overlaps(sources, diagnostics);
    // A row that could not be read may be what fills the hole.
    if !diagnostics.has_errors() {
        rows.check_holes(sources, diagnostics);
    }
    Lists { rows, by_section }
}

/// The rows of every list that can be read, by themselves.
pub(in crate::tables) fn did_rows(
    schema: &Schema,
    sources: &mut Sources,
    diagnostics: &Diagnostics,
) -> DidRows {
    read(schema, sources, diagnostics).rows
}

fn read_one(
    section: &DidSection,
    rows: &mut DidRows,
    sources: &mut Sources,
    diagnostics: &Diagnostics,
) -> Option<dids::ListId> {
    let wrong = |message: String, help: &str| {
        let place = sources.place(section.spot, "");
        diagnostics.push(
            Diagnostic::error(Code::KeyChoice, message)
                .at(place)
                .help(help),
        );
    };
    let name = quoted(section.name.as_str());
    match (&section.file, &section.numbers) {
        (Some(_), Some(_)) => {
            wrong(
                format!("DID list {name} has both file and numbers"),
                "keep one of them",
            );
            None
        }
        (None, None) => {
            wrong(
                format!("DID list {name} has neither file nor numbers"),
                "write file = \"dids/NAME.csv\"",
            );
            None
        }
        (Some(file), None) => {
            if let Some(group) = &section.trunk_group {
                let place = sources.place(group.spot, "");
                let message = "trunk_group stands in the file's rows";
                let help = "leave it out here, and give the file a trunk_group column";
                diagnostics.push(
                    Diagnostic::error(Code::KeyChoice, message)
                        .at(place)
                        .help(help),
                );
            }
            let id = sources.read_list(file.as_str(), file.spot, diagnostics)?;
            rows.read_csv(sources.get(id)?, diagnostics)
        }
        (None, Some(numbers)) => {
            let source = sources.get(section.spot.file)?;
            rows.add_numbers(source, numbers, section.trunk_group.as_ref(), diagnostics)
        }
    }
}

impl Lists {
    /// Whether some list assigns trunk groups. One that could not be read may.
    pub(super) fn assign_something(&self) -> bool {
        self.by_section.iter().any(|list| {
            list.and_then(|id| self.rows.list(id))
                .is_none_or(dids::List::assigns)
        })
    }

    /// Resolves trunk groups and fills the number space.
    pub(super) fn compile(
        self,
        context: &Context<'_>,
        groups: &Names<'_>,
        schema: &Schema,
        compiled: &mut Compiled,
    ) {
        let resolved = self.resolve(context, groups, schema);
        let sections = self.sections();
        let mut builder = DidMapBuilder::new();
        // Each cell belongs to one list, so it says all there is to say; without one the list does.
        let mut of_cells = vec![None; self.rows.groups().len()];
        let mut of_lists = vec![None; sections.len()];
        let filled = self.rows.entries(|prefix, remaining, row| {
            let (cell, list) = (row.group(), row.list().index());
            let known = match cell {
                Some(cell) => of_cells.get_mut(cell),
                None => of_lists.get_mut(list),
            };
            let mut assignment = || {
                builder.assignment(Did {
                    group: cell.and_then(|cell| resolved.get(cell).copied().flatten()),
                    list: sections.get(list).copied().unwrap_or(ListId(0)),
                })
            };
            let assignment = match known {
                Some(known) => *known.get_or_insert_with(assignment),
                None => assignment(),
            };
            let line = self.rows.line(row, context.sources);
            builder.push_packed(prefix, remaining, assignment, line);
        });
        if let Err(row) = filled {
            let place = self
                .rows
                .place(&row, context.sources, "this range is one too many");
            let message = "the ranges of the DID lists divide into too many prefixes";
            context
                .diagnostics
                .push(Diagnostic::error(Code::OverLimit, message).at(place));
        }
        compiled.parts.dids = self.built(builder, context);
        compiled.parts.lists = schema
            .dids
            .iter()
            .zip(&self.by_section)
            .map(|(section, list)| self.list(section, *list, context))
            .collect();
    }

    /// The section each list was read for, by the number of the list.
    fn sections(&self) -> Vec<ListId> {
        let mut sections = vec![ListId(0); self.rows.lists().len()];
        for (section, list) in (0u16..).map(ListId).zip(&self.by_section) {
            if let Some(slot) = list.and_then(|id| sections.get_mut(id.index())) {
                *slot = section;
            }
        }
        sections
    }

    /// The trunk group of each distinct cell of the lists.
    fn resolve(
        &self,
        context: &Context<'_>,
        groups: &Names<'_>,
        schema: &Schema,
    ) -> Vec<Option<GroupId>> {
        let resolve = |cell: &dids::GroupCell| {
            let id = groups.find_at(context, &cell.name, cell.spot)?;
            let empty = schema
                .groups
                .get(usize::from(id))
                .is_some_and(|g| g.trunks.is_empty() && g.overflow.is_empty());
            if empty && !context.is_damaged {
                let message = format!(
                    "trunk group {} has no trunks to route to",
                    quoted(&cell.name)
                );
                let label = format!("{} rows are assigned to it", cell.rows);
                context.error(Code::NothingToRouteTo, cell.spot, &label, message);
            }
            Some(GroupId(id))
        };
        self.rows.groups().iter().map(resolve).collect()
    }

    fn built(&self, builder: DidMapBuilder, context: &Context<'_>) -> DidMap {
        match builder.build(DIAGNOSTICS_MAX) {
            Ok(map) => map,
            // Collisions are found with their places before; what is left cannot happen, and
            // if it did, nobody may be served from half a table.
            Err(error) => {
                let message = match error {
                    BuildError::Duplicates { total, .. } => {
                        format!("{total} numbers are assigned twice")
                    }
                    BuildError::TooMany { entries } => format!("{entries} numbers are too many"),
                };
                context
                    .diagnostics
                    .push(Diagnostic::error(Code::OverLimit, message));
                DidMap::default()
            }
        }
    }

    fn list(
        &self,
        section: &DidSection,
        id: Option<dids::ListId>,
        context: &Context<'_>,
    ) -> DidList {
        let list = id.and_then(|id| self.rows.list(id));
        let marks = id
            .filter(|_| list.is_some_and(|list| !list.assigns()))
            .map(|id| {
                let mut builder = PrefixMapBuilder::with_capacity(0);
                let push = |_, prefix, remaining| builder.push_packed(prefix, remaining, ());
                if self.rows.members(|wanted| wanted == id, push).is_err() {
                    let message = format!(
                        "the ranges of DID list {} divide into too many prefixes",
                        quoted(section.name.as_str())
                    );
                    context.error(Code::OverLimit, section.spot, "", message);
                }
                builder.build(0).unwrap_or_default()
            });
        let file = list.and_then(|list| context.sources.iter().position(|f| f.id() == list.file()));
        DidList {
            name: section.name.as_str().into(),
            file: file.unwrap_or(0) as u16,
            rows: list.map_or(0, dids::List::rows),
            marks,
        }
    }
}
