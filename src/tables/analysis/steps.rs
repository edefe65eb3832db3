//! Steps of manipulations that never leave a number, leave one nobody can have, or are never
//! reached, and extensions that make none: T042, T043.
//!
//! What a step leaves depends on the number's length and on whether it begins with `+`, so it
//! is asked of every length a telephone number has. A step that does well for one of them is
//! no finding.

use std::ops::RangeInclusive;

use super::Analysis;
use crate::routing::manipulation::{Step, apply};
use crate::routing::number::Number;
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::pattern::E164_DIGITS_MAX;
use crate::tables::schema::{ExtensionSection, StepSection};
use crate::tables::source::Spot;

/// Nobody has a shorter international number, its `+` counted.
const GLOBAL_SYMBOLS_MIN: usize = 8;

pub(super) fn report(analysis: Analysis<'_>) {
    for section in &analysis.schema.manipulations {
        let name = quoted(section.name.as_str());
        let Some(manipulation) = compiled(analysis, section.name.as_str()) else {
            continue;
        };
        let sides = [
            (&section.called, &manipulation.called),
            (&section.calling, &manipulation.calling),
        ];
        for (sections, steps) in sides {
            for (index, (written, step)) in sections.iter().zip(steps).enumerate() {
                let earlier = steps.iter().zip(sections).take(index);
                let covering = earlier
                    .into_iter()
                    .find(|(earlier, _)| covers(earlier, step));
                let spot = spot_of(written, section.name.spot);
                match covering {
                    Some((_, by)) => never_applies(analysis, &name, spot, by, section.name.spot),
                    None => leaves_what(analysis, &name, spot, step),
                }
            }
        }
    }
    for plan in &analysis.schema.dial_plans {
        for extension in &plan.extensions {
            too_long_extension(analysis, plan.name.as_str(), extension);
        }
    }
}

fn compiled<'a>(
    analysis: Analysis<'a>,
    name: &str,
) -> Option<&'a crate::routing::manipulation::Manipulation> {
    let mut sections = analysis.schema.manipulations.iter();
    let id = sections.position(|section| section.name.as_str() == name)?;
    analysis
        .table
        .manipulation(crate::routing::ManipulationId(id as u16))
}

fn spot_of(section: &StepSection, manipulation: Spot) -> Spot {
    let texts = [&section.prefix, &section.prepend, &section.append];
    let first = texts.into_iter().flatten().next();
    first.map_or(manipulation, |text| text.spot)
}

/// Whether every number that the later step fits is taken by the earlier one.
fn covers(earlier: &Step, later: &Step) -> bool {
    let prefix = earlier.prefix.is_none_or(|earlier| {
        let later = later.prefix.as_ref();
        later.is_some_and(|later| later.starts_with(earlier.as_bytes()))
    });
    let length = earlier.length.as_ref().is_none_or(|earlier| {
        let later = later.length.as_ref();
        later.is_some_and(|l| earlier.contains(l.start()) && earlier.contains(l.end()))
    });
    prefix && length
}

fn never_applies(
    analysis: Analysis<'_>,
    name: &str,
    spot: Spot,
    by: &StepSection,
    manipulation: Spot,
) {
    let message = format!("a step of manipulation {name} never applies");
    let by = spot_of(by, manipulation);
    let diagnostic = Diagnostic::warning(Code::StepNeverApplies, message)
        .at(analysis.place(spot, "never reached"))
        .at(analysis.place(by, "fits all its numbers first"))
        .help("the first step that fits is applied: write the longer prefix above the shorter");
    analysis.context.diagnostics.push(diagnostic);
}

/// What becomes of one number.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Left {
    Good,
    /// Nothing, or no number: the step is without effect.
    Nothing,
    /// More digits than any telephone number has.
    TooLong,
}

fn leaves_what(analysis: Analysis<'_>, name: &str, spot: Spot, step: &Step) {
    let left: Vec<Left> = lengths(step)
        .filter_map(|length| try_length(step, length))
        .collect();
    let (message, help) = match left.first() {
        None => (
            format!("a step of manipulation {name} fits no number"),
            "its prefix is longer than the lengths it asks for",
        ),
        Some(first) if *first == Left::Good || left.iter().any(|one| one != first) => return,
        Some(Left::Nothing) => (
            format!("a step of manipulation {name} leaves no number, so it changes nothing"),
            "strip less, strip the + before something is put in front, or put digits there",
        ),
        Some(_) => (
            format!("a step of manipulation {name} makes numbers longer than 15 digits"),
            "no telephone number is longer: strip more, or put less in front or behind",
        ),
    };
    let diagnostic = Diagnostic::warning(Code::ImpossibleNumber, message)
        .at(analysis.place(spot, "for every number it fits"))
        .help(help);
    analysis.context.diagnostics.push(diagnostic);
}

/// Lengths of numbers that can be dialled and that the step fits.
fn lengths(step: &Step) -> RangeInclusive<usize> {
    let global = step.prefix.is_some_and(|prefix| prefix.is_global());
    let least = step.prefix.map_or(1, |prefix| prefix.len());
    let (least, most) = match (&step.length, global) {
        (Some(length), _) => (
            least.max((*length.start()).into()),
            usize::from(*length.end()).min(crate::limits::NUMBER_SYMBOLS_MAX),
        ),
        (None, true) => (
            least.max(GLOBAL_SYMBOLS_MIN),
            (E164_DIGITS_MAX + 1).max(least),
        ),
        (None, false) => (least, E164_DIGITS_MAX.max(least)),
    };
    least..=most
}

fn try_length(step: &Step, length: usize) -> Option<Left> {
    let head = step
        .prefix
        .map_or(Vec::new(), |prefix| prefix.as_bytes().to_vec());
    let filled = head.iter().copied().chain(std::iter::repeat(b'5'));
    let number = Number::collect(filled.take(length))?;
    // A step without a prefix is asked of an international number too: one is enough.
    let international = || {
        let symbols = [b'+'].into_iter().chain(std::iter::repeat(b'5'));
        Number::collect(symbols.take(length))
    };
    let asked = [
        Some(number),
        step.prefix.is_none().then(international).flatten(),
    ];
    let left = asked.into_iter().flatten().map(|number| {
        let applied = apply(std::slice::from_ref(step), number);
        let is_global = applied.number.is_global();
        match applied.overflowed {
            true => Left::Nothing,
            false if is_global && applied.number.len() > E164_DIGITS_MAX + 1 => Left::TooLong,
            false => Left::Good,
        }
    });
    left.reduce(|a, b| if a == Left::Good { a } else { b })
}

fn too_long_extension(analysis: Analysis<'_>, plan: &str, section: &ExtensionSection) {
    let (Some(digits), Some(prefix)) = (section.digits, &section.prefix) else {
        return;
    };
    let Some(number) = Number::parse(prefix.as_str().as_bytes()) else {
        return;
    };
    let made = number.len() - 1 + usize::from(digits);
    if made <= E164_DIGITS_MAX {
        return;
    }
    let message = format!(
        "an extension of dial plan {} makes numbers of {made} digits",
        quoted(plan)
    );
    let diagnostic = Diagnostic::warning(Code::ImpossibleNumber, message)
        .at(analysis.place(prefix.spot, "with its extension behind it"))
        .help(
            "no telephone number has more than 15 digits: write what stands before the extension",
        );
    analysis.context.diagnostics.push(diagnostic);
}
