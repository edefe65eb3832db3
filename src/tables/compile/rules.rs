//! Rules: their conditions and what they do.

use super::trunks::{text_patterns, without_trunks};
use super::{AllNames, Compiled};
use crate::limits::RULES_MAX;
use crate::routing::number::Number;
use crate::routing::prefix_map::{PrefixMap, PrefixMapBuilder, Remaining, range_to_prefixes};
use crate::routing::rule::{
    Action, Destination, NumberCondition, NumberSet, Rule, RuleText, TextCondition,
};
use crate::routing::{GroupId, ListId, ScheduleId};
use crate::tables::diagnostic::{Code, Diagnostic, nearest, quoted};
use crate::tables::names::Context;
use crate::tables::pattern::Pattern;
use crate::tables::schema::{RuleSection, Schema};
use crate::tables::source::Spot;
use crate::tables::toml_reader::Text;
use std::collections::HashMap;

pub(super) fn compile(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    compiled: &mut Compiled,
) {
    one_file(context, "rule", schema.rules.iter().map(|rule| rule.spot));
    one_file(
        context,
        "classification",
        schema.classifications.iter().map(|c| c.spot),
    );
    if let Some(over) = schema.rules.get(RULES_MAX) {
        let message = format!("a table has at most {RULES_MAX} rules");
        context.error(Code::OverLimit, over.spot, "one too many", message);
        return;
    }
    unique_names(context, schema);
    // A rule that could not be read in full is left out: half of its conditions would
    // match calls it was never meant for. The table is refused anyway.
    for section in &schema.rules {
        if let Some(rule) = rule(context, names, schema, section) {
            compiled.parts.rules.push(rule);
        }
    }
}

/// The order of these entries matters, so it must not depend on file names.
fn one_file(context: &Context<'_>, key: &str, spots: impl Iterator<Item = Spot>) {
    let mut first: Option<Spot> = None;
    let mut reported = Vec::new();
    for spot in spots {
        let first = *first.get_or_insert(spot);
        if spot.file == first.file || reported.contains(&spot.file) {
            continue;
        }
        reported.push(spot.file);
        let message = format!("[[{key}]] stands in two files");
        context.diagnostics.push(
            Diagnostic::error(Code::OrderSplit, message)
                .at(context.sources.place(spot, "here"))
                .at(context.sources.place(first, "and here"))
                .help("put them all into one file: their order decides, and files have none"),
        );
    }
}

fn unique_names(context: &Context<'_>, schema: &Schema) {
    let mut first: HashMap<&str, Spot> = HashMap::new();
    for name in schema.rules.iter().filter_map(|rule| rule.name.as_ref()) {
        let Some(earlier) = first.get(name.as_str()) else {
            first.insert(name.as_str(), name.spot);
            continue;
        };
        let message = format!("two rules are named {}", quoted(name.as_str()));
        context.diagnostics.push(
            Diagnostic::error(Code::DefinedTwice, message)
                .at(context.sources.place(name.spot, "second"))
                .at(context.sources.place(*earlier, "first")),
        );
    }
}

fn rule(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    section: &RuleSection,
) -> Option<Rule> {
    let errors_before = context.diagnostics.errors();
    for (key, spot) in &section.empty_lists {
        let (message, help) = match *key {
            "route_to" => (
                "route_to is an empty list, so the rule would lead nowhere".to_owned(),
                "name a trunk group, or write reject = { status = 403, reason = \"…\" }".to_owned(),
            ),
            key => (
                format!("{key} is an empty list, so the rule could never apply"),
                format!("leave {key} out, or name something"),
            ),
        };
        let diagnostic = Diagnostic::error(Code::NotAllowed, message).help(help);
        context.push(diagnostic, *spot, "");
    }
    let action = action(context, names, schema, section);
    let rule = Rule {
        name: section.name.as_ref().map_or("", Text::as_str).into(),
        from: section
            .from
            .as_ref()
            .map(|list| groups(context, names, list)),
        called: numbers(context, names, section.called.as_deref(), Side::Called),
        calling: numbers(context, names, section.calling.as_deref(), Side::Calling),
        host: texts(context, section.host.as_deref()),
        tgrp: texts(context, section.tgrp.as_deref()),
        during: hours(
            context,
            names,
            section.during.as_deref().unwrap_or_default(),
        ),
        action: action?,
        text: RuleText {
            from: written(section.from.as_deref()),
            called: written(section.called.as_deref()),
            calling: written(section.calling.as_deref()),
            host: written(section.host.as_deref()),
            tgrp: written(section.tgrp.as_deref()),
            during: written(section.during.as_deref()),
        },
        origin: context.origin(section.spot),
    };
    (context.diagnostics.errors() == errors_before).then_some(rule)
}

fn action(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    section: &RuleSection,
) -> Option<Action> {
    let name = section.name.as_ref().map_or("", Text::as_str);
    match (section.has_route_to, section.has_reject) {
        (true, false) => {
            let list = section.route_to.as_deref()?;
            Some(Action::RouteTo(destinations(context, names, schema, list)))
        }
        (false, true) => {
            let (status, reason) = section.reject.as_ref()?;
            if reason.as_str().chars().any(char::is_control) {
                let message = "a reason phrase is one line of text";
                context.error(Code::NotAllowed, reason.spot, "", message);
            }
            Some(Action::Reject {
                status: *status,
                reason: reason.as_str().into(),
            })
        }
        (both, _) => {
            if !context.is_damaged {
                let message = if both {
                    format!("rule {} has both route_to and reject", quoted(name))
                } else {
                    format!("rule {} says neither route_to nor reject", quoted(name))
                };
                context.error(
                    Code::KeyChoice,
                    section.spot,
                    "one of them decides",
                    message,
                );
            }
            None
        }
    }
}

fn destinations(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    list: &[Text],
) -> Box<[Destination]> {
    let destination = |text: &Text| {
        if text.as_str() == "assigned" {
            if !names.something_is_assigned && !context.is_damaged {
                let message = "no DID list assigns trunk groups, so nothing is assigned";
                let diagnostic = Diagnostic::error(Code::NothingToRouteTo, message)
                    .help("give a DID list a trunk_group column");
                context.push(diagnostic, text.spot, "");
            }
            return Some(Destination::Assigned);
        }
        let id = names.groups.find(context, text)?;
        without_trunks(context, schema, id, text);
        Some(Destination::Group(GroupId(id)))
    };
    list.iter().filter_map(destination).collect()
}

/// `from`: the groups named, without those written with `!`; only `!` means all others.
fn groups(context: &Context<'_>, names: &AllNames<'_>, list: &[Text]) -> Box<[GroupId]> {
    let (mut wanted, mut unwanted) = (Vec::new(), Vec::new());
    for text in list {
        let (negated, name, spot) = item(text);
        let Some(id) = names.groups.find_at(context, name, spot) else {
            continue;
        };
        if negated {
            unwanted.push(id);
        } else {
            wanted.push(id);
        }
    }
    if wanted.is_empty() {
        wanted = (0..names.groups.len() as u16).collect();
    }
    wanted.retain(|id| !unwanted.contains(id));
    if let (true, Some(first)) = (
        wanted.is_empty() && unwanted.len() == list.len(),
        list.first(),
    ) {
        let message = "from excludes every trunk group, so the rule can never decide";
        context.error(Code::NeverDecides, first.spot, "", message);
    }
    wanted.into_iter().map(GroupId).collect()
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Side {
    Called,
    Calling,
}

fn numbers(
    context: &Context<'_>,
    names: &AllNames<'_>,
    list: Option<&[Text]>,
    side: Side,
) -> NumberCondition {
    let set = |wanted: bool| -> Option<NumberSet> {
        let items: Vec<(&str, Spot)> = list
            .unwrap_or_default()
            .iter()
            .map(item)
            .filter(|(negated, _, _)| *negated != wanted)
            .map(|(_, text, spot)| (text, spot))
            .collect();
        (!items.is_empty()).then(|| number_set(context, names, &items, side))
    };
    NumberCondition {
        any_of: set(true),
        none_of: set(false),
    }
}

fn number_set(
    context: &Context<'_>,
    names: &AllNames<'_>,
    items: &[(&str, Spot)],
    side: Side,
) -> NumberSet {
    let mut set = NumberSet::default();
    let mut lists = Vec::new();
    let mut entries: Vec<(Number, Remaining, Spot)> = Vec::new();
    for (text, spot) in items {
        match (*text, side) {
            ("*", _) => set.anything = true,
            ("did:*", _) => set.any_assigned = true,
            ("emergency", Side::Called) => set.emergency = true,
            ("anonymous", Side::Calling) => set.anonymous = true,
            (text, _) => {
                if let Some(name) = text.strip_prefix("did:") {
                    let spot = tail(*spot, name);
                    lists.extend(names.dids.find_at(context, name, spot).map(ListId));
                } else {
                    pattern(context, text, *spot, side, &mut entries);
                }
            }
        }
    }
    set.lists = lists.into();
    set.patterns = pattern_map(context, entries);
    set
}

/// The last bytes of a spot: where `name` stands at the end of a string.
fn tail(spot: Spot, name: &str) -> Spot {
    let quote = 1;
    let end = spot.end.saturating_sub(quote);
    let start = end.saturating_sub(name.len() as u32).max(spot.start);
    Spot { start, end, ..spot }
}

fn pattern(
    context: &Context<'_>,
    text: &str,
    spot: Spot,
    side: Side,
    entries: &mut Vec<(Number, Remaining, Spot)>,
) {
    // In a rule `+*` is any international number; in a DID list it would be a slip.
    if text.trim() == "+*"
        && let Some(plus) = Number::parse(b"+")
    {
        entries.push((plus, Remaining::Any, spot));
        return;
    }
    match Pattern::parse(text) {
        Ok(Pattern::Exact(number)) => entries.push((number, Remaining::Exactly(0), spot)),
        Ok(Pattern::Prefix(number)) => entries.push((number, Remaining::Any, spot)),
        Ok(Pattern::Range(first, last)) => {
            // A parsed range always divides into prefixes.
            let _ = range_to_prefixes(&first, &last, |prefix, remaining| {
                entries.push((prefix, remaining, spot));
            });
        }
        Err(error) => {
            let diagnostic = error.diagnostic(text, context.sources.place(spot, ""));
            let diagnostic = match diagnostic.help {
                None if diagnostic.code == Code::NotANumber => diagnostic.help(help(text, side)),
                _ => diagnostic,
            };
            context.diagnostics.push(diagnostic);
        }
    }
}

/// What to write for an item that is no pattern: mostly one of the few words, misspelt or
/// on the wrong side.
fn help(text: &str, side: Side) -> String {
    let (word, elsewhere) = match side {
        Side::Called => ("emergency", "anonymous"),
        Side::Calling => ("anonymous", "emergency"),
    };
    if text == elsewhere {
        let key = if side == Side::Called {
            "calling"
        } else {
            "called"
        };
        return format!("{} stands in {key} only", quoted(text));
    }
    match nearest(text, [word]) {
        Some(meant) => format!("did you mean {}?", quoted(meant)),
        None => format!(
            "write a number, a prefix such as \"+449*\", a range \"A to B\", \"did:NAME\" or {}",
            quoted(word)
        ),
    }
}

fn pattern_map(context: &Context<'_>, entries: Vec<(Number, Remaining, Spot)>) -> PrefixMap<()> {
    let mut builder = PrefixMapBuilder::with_capacity(entries.len());
    let mut first: HashMap<(Number, Remaining), Spot> = HashMap::new();
    let mut reported: Vec<Spot> = Vec::new();
    for (prefix, remaining, spot) in entries {
        match first.get(&(prefix, remaining)) {
            Some(earlier) => {
                // Ranges of one rule may share blocks; one remark for each item is enough.
                if !reported.contains(&spot) {
                    reported.push(spot);
                    context.diagnostics.push(
                        Diagnostic::error(Code::DefinedTwice, "the rule names these numbers twice")
                            .at(context.sources.place(spot, "again here"))
                            .at(context.sources.place(*earlier, "first here")),
                    );
                }
            }
            None => {
                first.insert((prefix, remaining), spot);
                builder.push(&prefix, remaining, ());
            }
        }
    }
    builder.build(0).unwrap_or_default()
}

fn texts(context: &Context<'_>, list: Option<&[Text]>) -> TextCondition {
    let side = |wanted: bool| -> Vec<(&str, Spot)> {
        let items = list.unwrap_or_default().iter().map(item);
        items
            .filter(|(negated, _, _)| *negated != wanted)
            .map(|(_, text, spot)| (text, spot))
            .collect()
    };
    let wanted = side(true);
    TextCondition {
        any_of: (!wanted.is_empty()).then(|| text_patterns(context, wanted)),
        none_of: text_patterns(context, side(false)),
    }
}

fn hours(context: &Context<'_>, names: &AllNames<'_>, list: &[Text]) -> Box<[(ScheduleId, bool)]> {
    list.iter()
        .filter_map(|text| {
            let (negated, name, spot) = item(text);
            Some((
                ScheduleId(names.schedules.find_at(context, name, spot)?),
                !negated,
            ))
        })
        .collect()
}

/// Whether an item is written with `!`, what it names, and where that stands.
fn item(text: &Text) -> (bool, &str, Spot) {
    match text.as_str().strip_prefix('!') {
        Some(rest) => (true, rest, text.sub(1..text.as_str().len())),
        None => (false, text.as_str(), text.spot),
    }
}

fn written(list: Option<&[Text]>) -> Box<[Box<str>]> {
    list.unwrap_or_default()
        .iter()
        .map(|text| text.as_str().into())
        .collect()
}
