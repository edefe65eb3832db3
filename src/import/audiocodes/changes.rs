//! Inbound and outbound manipulations.

use super::{IniRow, Reader, Table, notation};
use crate::import::original::Change;
use crate::limits::NUMBER_SYMBOLS_MAX;
use crate::routing::Number;
use crate::routing::manipulation::Step;
use std::collections::BTreeSet;

impl Reader<'_, '_> {
    pub(super) fn changes(&mut self, name: &str) -> Vec<Change> {
        let inbound = name == "IPInboundManipulation";
        let mut changes: Vec<Change> = Vec::new();
        let mut seen = BTreeSet::new();
        for (table, row) in self.table(name) {
            match self.change(table, row, inbound) {
                Ok(change) => {
                    let additional = table.value(row, "IsAdditionalManipulation") == "1";
                    let same = (change.group.clone(), change.of_called, change.fits.clone());
                    // Of the same end it would change what was changed already.
                    let again = additional && !seen.insert(same);
                    match again {
                        true => self.say(
                            row.line,
                            left_out(table, row, "it changes the same number again"),
                        ),
                        false => changes.push(change),
                    }
                }
                Err(why) => self.say(row.line, left_out(table, row, &why)),
            }
        }
        changes
    }

    fn change(&mut self, table: &Table, row: &IniRow, inbound: bool) -> Result<Change, String> {
        let value = |column: &str| table.value(row, column);
        for (column, any) in [
            ("SrcHost", "*"),
            ("DestHost", "*"),
            ("CallingNamePrefix", "*"),
        ] {
            if !matches!(value(column), "") && value(column) != any {
                return Err(format!(
                    "its {column} {:?} cannot be said here",
                    value(column)
                ));
            }
        }
        for column in ["MessageConditionName", "DestTags", "SrcTags"] {
            if !matches!(value(column), "" | "-1") {
                return Err(format!(
                    "its {column} {:?} cannot be said here",
                    value(column)
                ));
            }
        }
        if !matches!(value("RequestType"), "" | "-1" | "0" | "1" | "4" | "5") {
            return Err("it is not for calls".into());
        }
        if !matches!(value("Trigger"), "" | "-1" | "0" | "4") {
            return Err("it is for calls that are routed again".into());
        }
        if !matches!(value("ManipulationPurpose"), "" | "-1" | "0") {
            return Err("it is for routing only".into());
        }
        let (own, other) = match inbound {
            true => ("SrcIPGroupName", "DestIPGroupName"),
            false => ("DestIPGroupName", "SrcIPGroupName"),
        };
        if !matches!(value(other), "" | "Any" | "any" | "-1") {
            return Err(format!("it asks for {other} {:?}", value(other)));
        }
        let group = match value(own) {
            "" | "Any" | "any" | "-1" => None,
            name => Some(self.group(name, row.line).ok_or("its group is not known")?),
        };
        let of_called = value("ManipulatedURI") == "1";
        let (own, other) = match of_called {
            true => ("DestUsernamePrefix", "SrcUsernamePrefix"),
            false => ("SrcUsernamePrefix", "DestUsernamePrefix"),
        };
        if !matches!(value(other), "" | "*") {
            return Err(format!("it asks for {other} {:?} too", value(other)));
        }
        Ok(Change {
            line: row.line,
            name: value("ManipulationName").to_owned(),
            group,
            of_called,
            fits: notation(value(own))?,
            step: step(table, row)?,
        })
    }
}

fn left_out(table: &Table, row: &IniRow, why: &str) -> String {
    let name = table.value(row, "ManipulationName");
    format!("manipulation {} {name:?} is left out: {why}", row.index)
}

fn step(table: &Table, row: &IniRow) -> Result<Step, String> {
    let count = |column: &str| {
        let most = NUMBER_SYMBOLS_MAX as u32;
        table.number(row, column).unwrap_or(0).min(most) as u8
    };
    let added = |column: &str| match table.value(row, column) {
        "" => Ok(None),
        text => match Number::parse(text.as_bytes()) {
            Some(number) => Ok(Some(number)),
            None => Err(format!("{text:?} is not a part of a number")),
        },
    };
    // 255 leaves all. To leave none is to remove all.
    let keep = table.number(row, "LeaveFromRight").unwrap_or(255);
    let strip = match keep {
        0 => NUMBER_SYMBOLS_MAX as u8,
        _ => count("RemoveFromLeft"),
    };
    Ok(Step {
        prefix: None,
        length: None,
        strip,
        strip_right: count("RemoveFromRight"),
        keep_right: u8::try_from(keep)
            .ok()
            .filter(|k| (1..NUMBER_SYMBOLS_MAX).contains(&usize::from(*k))),
        prepend: added("Prefix2Add")?,
        append: added("Suffix2Add")?,
    })
}
