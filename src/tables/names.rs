//! Names become ids: defined once, looked up with "did you mean", and missed when unused.

use super::diagnostic::{Code, Diagnostic, Diagnostics, Severity, nearest, quoted};
use super::source::{Sources, Spot};
use super::toml_reader::Text;
use crate::limits::NAMES_MAX;
use crate::routing::Origin;
use std::cell::RefCell;
use std::collections::HashMap;

/// Where findings go while sections are compiled.
#[derive(Clone, Copy)]
pub(super) struct Context<'c> {
    pub(super) sources: &'c Sources,
    pub(super) diagnostics: &'c Diagnostics,
    /// Some file has syntax errors: a name that seems to be missing may only be lost.
    pub(super) is_damaged: bool,
}

impl Context<'_> {
    pub(super) fn error(&self, code: Code, spot: Spot, label: &str, message: impl Into<String>) {
        self.push(Diagnostic::error(code, message), spot, label);
    }

    pub(super) fn push(&self, diagnostic: Diagnostic, spot: Spot, label: &str) {
        self.diagnostics
            .push(diagnostic.at(self.sources.place(spot, label)));
    }

    /// File and line of a spot, as the compiled table keeps them.
    pub(super) fn origin(&self, spot: Spot) -> Origin {
        let line = self
            .sources
            .get(spot.file)
            .map_or(0, |f| f.line_of(spot.range().start));
        Origin {
            file: self.file_number(spot),
            line,
        }
    }

    pub(super) fn file_number(&self, spot: Spot) -> u16 {
        self.sources
            .iter()
            .position(|file| file.id() == spot.file)
            .unwrap_or(0) as u16
    }

    /// `routes.toml:18`.
    pub(super) fn place_text(&self, spot: Spot) -> String {
        let place = self.sources.place(spot, "");
        format!("{}:{}", place.file, place.line)
    }
}

/// The names of one kind of thing; ids count in the order of the sections.
pub(super) struct Names<'s> {
    /// `trunk group`, as messages say it.
    kind: &'static str,
    by_name: HashMap<&'s str, (u16, Spot)>,
    in_order: Vec<&'s Text>,
    used: RefCell<Vec<bool>>,
}

impl<'s> Names<'s> {
    /// Collects names. One defined twice is reported with both places; the first counts.
    pub(super) fn collect(
        context: &Context<'_>,
        kind: &'static str,
        names: impl Iterator<Item = &'s Text>,
    ) -> Self {
        let mut by_name: HashMap<&str, (u16, Spot)> = HashMap::new();
        let in_order: Vec<&Text> = names.collect();
        if let Some(over) = in_order.get(NAMES_MAX) {
            let message = format!("more than {NAMES_MAX} {kind}s");
            context.error(Code::OverLimit, over.spot, "", message);
        }
        for (index, name) in in_order.iter().take(NAMES_MAX).enumerate() {
            if let Some((_, first)) = by_name.get(name.as_str()) {
                let message = format!("{kind} {} is defined twice", quoted(name.as_str()));
                context.diagnostics.push(
                    Diagnostic::error(Code::DefinedTwice, message)
                        .at(context.sources.place(name.spot, "defined again here"))
                        .at(context.sources.place(*first, "first defined here")),
                );
                continue;
            }
            by_name.insert(name.as_str(), (index as u16, name.spot));
        }
        let used = RefCell::new(vec![false; in_order.len()]);
        Self {
            kind,
            by_name,
            in_order,
            used,
        }
    }

    /// The id of a name; an unknown one is reported with the nearest.
    pub(super) fn find(&self, context: &Context<'_>, name: &Text) -> Option<u16> {
        self.find_at(context, name.as_str(), name.spot)
    }

    pub(super) fn mark_used(&self, id: u16) {
        if let Some(used) = self.used.borrow_mut().get_mut(usize::from(id)) {
            *used = true;
        }
    }

    /// The same as [`Self::find`] for a name that is a part of a string.
    pub(super) fn find_at(&self, context: &Context<'_>, name: &str, spot: Spot) -> Option<u16> {
        if let Some((id, _)) = self.by_name.get(name) {
            self.mark_used(*id);
            return Some(*id);
        }
        if !context.is_damaged {
            // Written down only when there is room: a list may name as many as it has rows.
            context
                .diagnostics
                .push_with(Code::UnknownName, Severity::Error, || {
                    self.unknown(context, name, spot)
                });
        }
        None
    }

    fn unknown(&self, context: &Context<'_>, name: &str, spot: Spot) -> Diagnostic {
        let message = format!("unknown {} {}", self.kind, quoted(name));
        let mut names: Vec<&str> = self.by_name.keys().copied().collect();
        // Of two that are equally near, the same one in every run.
        names.sort_unstable();
        let meant = nearest(name, names);
        let help = meant.and_then(|meant| self.by_name.get(meant).map(|(_, at)| (meant, at)));
        let help = match help {
            Some((meant, at)) => Some(format!(
                "did you mean {} ({})?",
                quoted(meant),
                context.place_text(*at)
            )),
            None => self.few(),
        };
        let label = format!("no such {}", self.kind);
        Diagnostic::error(Code::UnknownName, message)
            .maybe_help(help)
            .at(context.sources.place(spot, label))
    }

    /// All names, when they are few enough to read.
    fn few(&self) -> Option<String> {
        let mut names: Vec<&str> = self.by_name.keys().copied().collect();
        names.sort_unstable();
        match names.len() {
            0 => Some(format!("the table defines no {}", self.kind)),
            1..=12 => Some(format!("{}s: {}", self.kind, names.join(", "))),
            _ => None,
        }
    }

    /// Ids of a list of names, the unknown ones reported and left out, repeated ones too.
    pub(super) fn find_all(&self, context: &Context<'_>, names: &[Text]) -> Vec<u16> {
        let mut ids: Vec<u16> = Vec::with_capacity(names.len());
        for name in names {
            let Some(id) = self.find(context, name) else {
                continue;
            };
            if ids.contains(&id) {
                let message = format!(
                    "{} {} is named twice in this list",
                    self.kind,
                    quoted(name.as_str())
                );
                context.error(Code::DefinedTwice, name.spot, "again here", message);
                continue;
            }
            ids.push(id);
        }
        ids
    }

    /// Warns of what nothing refers to.
    pub(super) fn report_unused(&self, context: &Context<'_>) {
        for (name, used) in self.in_order.iter().zip(self.used.borrow().iter()) {
            if !used && !context.is_damaged {
                let message = format!("{} {} is never used", self.kind, quoted(name.as_str()));
                context.push(Diagnostic::warning(Code::NeverUsed, message), name.spot, "");
            }
        }
    }

    pub(super) fn len(&self) -> usize {
        self.in_order.len()
    }

    pub(super) fn name(&self, id: u16) -> &'s str {
        self.in_order
            .get(usize::from(id))
            .map_or("", |name| name.as_str())
    }
}

/// Finds a circle among ids and reports it once for each circle. `next` gives what an id
/// refers to, with the place of each reference. True when there is any: nobody may walk it.
pub(super) fn report_circles(
    context: &Context<'_>,
    names: &Names<'_>,
    next: &[Vec<(u16, Spot)>],
) -> bool {
    let mut state = vec![Visit::New; next.len()];
    let mut found = false;
    for start in 0..next.len() as u16 {
        let mut path: Vec<(u16, usize)> = vec![(start, 0)];
        if state.get(usize::from(start)) != Some(&Visit::New) {
            continue;
        }
        while let Some((id, position)) = path.last().copied() {
            if position == 0
                && let Some(slot) = state.get_mut(usize::from(id))
            {
                *slot = Visit::OnPath;
            }
            let edge = next
                .get(usize::from(id))
                .and_then(|edges| edges.get(position))
                .copied();
            let Some((to, spot)) = edge else {
                if let Some(slot) = state.get_mut(usize::from(id)) {
                    *slot = Visit::Done;
                }
                path.pop();
                continue;
            };
            if let Some(last) = path.last_mut() {
                last.1 += 1;
            }
            match state.get(usize::from(to)) {
                Some(Visit::New) => path.push((to, 0)),
                Some(Visit::OnPath) => {
                    found = true;
                    let from = path.iter().position(|(id, _)| *id == to).unwrap_or(0);
                    let mut round: Vec<&str> = path
                        .iter()
                        .skip(from)
                        .map(|(id, _)| names.name(*id))
                        .collect();
                    round.push(names.name(to));
                    let message = format!(
                        "{}s refer to each other in a circle: {}",
                        names.kind,
                        round.join(" -> ")
                    );
                    let mut diagnostic = Diagnostic::error(Code::Circular, message)
                        .at(context.sources.place(spot, "closes the circle"));
                    for (id, position) in path.iter().skip(from).take(CIRCLE_PLACES_MAX) {
                        // `position` is the reference after the one that is being followed.
                        let followed = next
                            .get(usize::from(*id))
                            .and_then(|edges| edges.get(position.checked_sub(1)?))
                            .filter(|(_, at)| *at != spot);
                        if let Some((_, at)) = followed {
                            let label = format!("{} goes on here", quoted(names.name(*id)));
                            diagnostic = diagnostic.at(context.sources.place(*at, label));
                        }
                    }
                    context.diagnostics.push(diagnostic);
                }
                _ => {}
            }
        }
    }
    found
}

/// Places shown of one circle: a longer one is named in full in the sentence.
const CIRCLE_PLACES_MAX: usize = 8;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Visit {
    New,
    OnPath,
    Done,
}
