//! What the SBC would do: its routing rows in order, the first that fits.

use super::Finding;
use super::notation::Notation;
use crate::routing::manipulation::Step;
use crate::routing::{Number, manipulation};

/// The part of a configuration that decides where a call goes, as far as it was understood.
#[derive(Debug, Default)]
pub struct Original {
    /// IP groups that calls come from or go to.
    pub(super) groups: Vec<Group>,
    /// Routing rows, top to bottom, each with its alternatives.
    pub(super) rows: Vec<Row>,
    /// Inbound manipulations, top to bottom.
    pub(super) inbound: Vec<Change>,
    /// Outbound manipulations, top to bottom.
    pub(super) outbound: Vec<Change>,
    /// Release causes on which a call moves to its next route.
    pub(super) causes: Vec<String>,
}

#[derive(Debug)]
pub(super) struct Group {
    pub(super) name: String,
    pub(super) line: u32,
    /// Addresses of the proxy set, in order of priority.
    pub(super) addresses: Vec<Address>,
    pub(super) is_balanced: bool,
    /// Whether calls are known by the address they come from.
    pub(super) by_address: bool,
}

/// Where a proxy set sends to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Address {
    pub(super) host: String,
    pub(super) transport: Option<&'static str>,
    pub(super) weight: u32,
    pub(super) line: u32,
}

/// Where a call goes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// An IP group.
    Group(String),
    /// An address written into the row: the group made of it has this name.
    Address(String),
}

impl Target {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Group(name) | Self::Address(name) => name,
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) line: u32,
    pub(super) index: u32,
    pub(super) name: String,
    /// `None` is any.
    pub(super) from: Option<String>,
    pub(super) called: Notation,
    pub(super) calling: Notation,
    pub(super) host: Option<String>,
    pub(super) targets: Vec<Target>,
}

impl Row {
    /// Whether the row fits whatever fits the other.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let any = |notation: &Notation| notation.is_any();
        (self.from.is_none() || self.from == other.from)
            && (any(&self.called) || self.called == other.called)
            && (any(&self.calling) || self.calling == other.calling)
            && (self.host.is_none() || self.host == other.host)
    }
}

/// A row of a manipulation table.
#[derive(Clone, Debug)]
pub(super) struct Change {
    pub(super) line: u32,
    pub(super) name: String,
    /// `None` is any.
    pub(super) group: Option<String>,
    /// Whether the called number is changed, not the calling one.
    pub(super) of_called: bool,
    pub(super) fits: Notation,
    /// Strips and additions; prefix and length are those of `fits`.
    pub(super) step: Step,
}

/// A call as routing rows see it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Seen<'a> {
    pub(super) from: &'a str,
    pub(super) called: &'a [u8],
    /// `None` shows no number.
    pub(super) calling: Option<&'a [u8]>,
    pub(super) host: &'a str,
}

impl Original {
    /// The first row that fits.
    pub(super) fn decide(&self, call: Seen<'_>) -> Option<&Row> {
        self.rows.iter().find(|row| {
            row.from.as_deref().is_none_or(|from| from == call.from)
                && row.called.fits(call.called)
                && (row.calling.is_any() || call.calling.is_some_and(|n| row.calling.fits(n)))
                && row
                    .host
                    .as_deref()
                    .is_none_or(|h| h.eq_ignore_ascii_case(call.host))
        })
    }

    /// The number as manipulations leave it: the first row that fits changes it.
    pub(super) fn changed(rows: &[Change], group: &str, of_called: bool, number: Number) -> Number {
        let row = rows.iter().find(|row| {
            row.of_called == of_called
                && row.group.as_deref().is_none_or(|name| name == group)
                && row.fits.fits(number.as_bytes())
        });
        match row {
            Some(row) => manipulation::apply(std::slice::from_ref(&row.step), number).number,
            None => number,
        }
    }

    /// The configuration without some of its rows, by their lines.
    pub fn leave_out(&mut self, lines: &[u32], findings: &mut Vec<Finding>) {
        self.rows.retain(|row| {
            let out = lines.contains(&row.line);
            if out {
                let message = format!(
                    "routing row {} {:?} can never decide: rows above take all its calls",
                    row.index, row.name
                );
                findings.push(Finding::new(row.line, message));
            }
            !out
        });
    }

    /// How many routing rows and manipulations there are.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        (self.rows.len(), self.inbound.len() + self.outbound.len())
    }
}
