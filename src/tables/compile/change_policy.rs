//! `[policy]`: what a change to the table may do without being let through by hand.

use super::{AllNames, Compiled};
use crate::routing::number::Number;
use crate::routing::table::ChangePolicy;
use crate::routing::{GroupId, Origin};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::names::Context;
use crate::tables::schema::{ChangePolicySection, Schema};
use crate::tables::toml_reader::Text;

pub(super) fn compile(
    context: &Context<'_>,
    names: &AllNames<'_>,
    schema: &Schema,
    compiled: &mut Compiled,
) {
    let mut sections = schema.change_policies.iter();
    let Some(section) = sections.next() else {
        return;
    };
    for second in sections {
        context.diagnostics.push(
            Diagnostic::error(Code::DefinedTwice, "[policy] is defined twice")
                .at(context.sources.place(second.spot, "defined again here"))
                .at(context.sources.place(section.spot, "first defined here")),
        );
    }
    compiled.parts.change_policy = ChangePolicy {
        max_moved_numbers: section
            .max_moved_numbers
            .map(|(max, spot)| (max, context.origin(spot))),
        frozen_prefixes: section
            .frozen_prefixes
            .iter()
            .filter_map(|text| frozen(context, text))
            .collect(),
        require_alternative: alternatives(context, names, section),
        accept: section
            .accept
            .as_ref()
            .and_then(|text| change(context, text)),
    };
}

/// A prefix, with or without the `*` that rules write behind one.
fn frozen(context: &Context<'_>, text: &Text) -> Option<(Number, Origin)> {
    let value = text.as_str().trim();
    let number = Number::parse(value.strip_suffix('*').unwrap_or(value).as_bytes());
    if number.is_none() {
        let message = format!("{} is not the beginning of a number", quoted(text.as_str()));
        let diagnostic = Diagnostic::error(Code::NotANumber, message)
            .help("write its first digits, from the +: \"+44999\"");
        context.push(diagnostic, text.spot, "");
    }
    Some((number?, context.origin(text.spot)))
}

fn alternatives(
    context: &Context<'_>,
    names: &AllNames<'_>,
    section: &ChangePolicySection,
) -> Box<[(GroupId, Origin)]> {
    let ids = names.groups.find_all(context, &section.require_alternative);
    let origin = |name: &str| {
        let named = section.require_alternative.iter();
        let mut same = named.filter(|text| text.as_str() == name);
        let spot = same.next().map_or(section.spot, |text| text.spot);
        context.origin(spot)
    };
    ids.into_iter()
        .map(|id| (GroupId(id), origin(names.groups.name(id))))
        .collect()
}

/// The name of a change, as `plan` prints it.
fn change(context: &Context<'_>, text: &Text) -> Option<Box<str>> {
    let value = text.as_str();
    let is_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if value.len() == CHANGE_DIGITS && value.bytes().all(is_hex) {
        return Some(value.into());
    }
    let message = format!("{} is not the name of a change", quoted(value));
    let diagnostic = Diagnostic::error(Code::NotAllowed, message)
        .help("write the 16 digits that `trunkline plan OLD NEW` prints");
    context.push(diagnostic, text.spot, "");
    None
}

const CHANGE_DIGITS: usize = 16;
