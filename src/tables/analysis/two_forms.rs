//! The same number with `+` and without, assigned to two trunk groups: T039. One of the two
//! was forgotten when the number moved.

use std::collections::BTreeMap;

use super::Analysis;
use super::walk::{line_of, numbers, row_of};
use crate::routing::number::Number;
use crate::routing::prefix_map::Remaining;
use crate::routing::{Did, Origin, RoutingTable};
use crate::tables::diagnostic::{Code, Diagnostic, Severity};
use crate::tables::pattern::lost_plus;

pub(super) fn report(analysis: Analysis<'_>) {
    let table = analysis.table;
    // Every row was looked at when it was read: without a lost + there are no two forms.
    if !analysis.context.diagnostics.has(Code::LostPlus) {
        return;
    }
    let mut rows = Rows::new();
    table.dids().whole_numbers(|first, last| {
        if lost_plus(&first) {
            for number in numbers(&first, &last) {
                look_at(table, &number, line_of(table, &number), &mut rows);
            }
        }
    });
    for (prefix, remaining) in table.dids().prefixes() {
        let Remaining::Exactly(more) = remaining else {
            continue;
        };
        let symbols = prefix.as_bytes().iter().copied();
        let first = Number::collect(symbols.chain(std::iter::repeat_n(b'0', more.into())));
        let row = row_of(table, &prefix, remaining);
        if let (Some(first), Some((_, line))) = (first.filter(lost_plus), row) {
            look_at(table, &first, line, &mut rows);
        }
    }
    for ((bare, line), (number, other)) in rows {
        say(analysis, bare, line, number, other);
    }
}

/// By the row without `+`: its first number, and the row of that number with `+`.
type Rows = BTreeMap<(Did, u32), (Number, Did)>;

fn look_at(table: &RoutingTable, number: &Number, line: u32, rows: &mut Rows) {
    let with_plus = with_plus(number).and_then(|number| table.did(&number));
    let (Some(bare), Some(with_plus)) = (table.did(number), with_plus) else {
        return;
    };
    if bare.value.group != with_plus.value.group {
        rows.entry((bare.value, line))
            .or_insert((*number, with_plus.value));
    }
}

fn with_plus(number: &Number) -> Option<Number> {
    Number::collect([b'+'].into_iter().chain(number.as_bytes().iter().copied()))
}

fn say(analysis: Analysis<'_>, bare: Did, line: u32, number: Number, other: Did) {
    let table = analysis.table;
    let assigned = |did: Did| match did.group {
        Some(group) => format!("assigned to {}", table.group_name(group)),
        None => String::from("assigned nowhere"),
    };
    let place = |did: Did, line| {
        let file = table.list(did.list).map_or(u16::MAX, |list| list.file);
        analysis.line(Origin { file, line }, assigned(did))
    };
    let diagnostics = analysis.context.diagnostics;
    diagnostics.push_with(Code::TwoForms, Severity::Warning, || {
        let other_line = with_plus(&number).map_or(0, |number| line_of(table, &number));
        let message = format!("{number} is assigned here, and with + elsewhere");
        Diagnostic::warning(Code::TwoForms, message)
            .at(place(bare, line))
            .at(place(other, other_line))
            .help("keep the row with +, and decide which trunk group has the number")
    });
}
