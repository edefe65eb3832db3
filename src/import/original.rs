//! What the SBC would do: its routing rows in order, the first that fits.

use super::Finding;
use super::dial_plan::{self, Prefix};
use super::notation::{Item, Notation};
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
    /// Release causes on which a call moves to its next route: sets that groups name, and one
    /// for the groups that name none.
    pub(super) reasons: Vec<Reasons>,
    /// The plan whose tags rows ask for; empty without one.
    pub(super) plan: DialPlan,
    /// Which group a call arrives on, top to bottom.
    pub(super) arrivals: Vec<Arrival>,
    /// Tables of the file that have nothing to do with routing.
    pub(super) not_read: Vec<String>,
}

/// The name and the value of a tag, in lower case.
pub(super) type Tag = (String, String);

/// Numbers and their tags: the rule that fits best decides.
#[derive(Debug, Default)]
pub(super) struct DialPlan {
    pub(super) name: String,
    pub(super) line: u32,
    pub(super) rules: Vec<DialRule>,
    /// For each rule the rows of a list that say the same, of which the longest prefix decides.
    pub(super) items: Vec<Vec<Item>>,
    /// The tag by whose value calls are routed, if any row does.
    pub(super) routed_by: Option<String>,
}

#[derive(Debug)]
pub(super) struct DialRule {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) prefix: Prefix,
    pub(super) tags: Vec<Tag>,
}

impl DialPlan {
    /// The rule that fits a number best, by its place.
    pub(super) fn best(&self, number: &[u8]) -> Option<usize> {
        dial_plan::best(self.rules.iter().map(|rule| &rule.prefix), number)
    }

    pub(super) fn has_tag(&self, rule: Option<usize>, tag: &Tag) -> bool {
        let rule = rule.and_then(|rule| self.rules.get(rule));
        rule.is_some_and(|rule| rule.tags.contains(tag))
    }
}

/// A row of the classification table.
#[derive(Debug)]
pub(super) struct Arrival {
    pub(super) line: u32,
    pub(super) name: String,
    pub(super) source: String,
    pub(super) from_host: Option<String>,
    pub(super) request_host: Option<String>,
    pub(super) group: String,
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
    /// Which dial plan its calls are tagged by; empty for none.
    pub(super) dial_plan: String,
    /// Tags that lead to it.
    pub(super) tags: Vec<Tag>,
    /// The set of alternative reasons it names; empty for that of all.
    pub(super) reasons: String,
}

/// A set of alternative reasons.
#[derive(Debug)]
pub(super) struct Reasons {
    pub(super) name: String,
    /// None for the table that all groups share.
    pub(super) index: Option<u32>,
    pub(super) line: u32,
    /// SIP statuses, and the classes 4, 5 and 6.
    pub(super) causes: Vec<u16>,
}

/// Stands before the name of a set of groups, which is a group here.
pub(super) const SET: &str = "set ";

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
    /// The group that has the tag of the called number.
    Assigned,
}

impl Target {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Group(name) | Self::Address(name) => name,
            Self::Assigned => "assigned",
        }
    }
}

#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) line: u32,
    pub(super) index: u32,
    pub(super) name: String,
    /// Any of these; empty is any at all.
    pub(super) from: Vec<String>,
    pub(super) called: Notation,
    pub(super) calling: Notation,
    pub(super) called_tag: Option<Tag>,
    pub(super) calling_tag: Option<Tag>,
    pub(super) host: Option<String>,
    pub(super) targets: Vec<Target>,
}

impl Row {
    /// Whether the row fits whatever fits the other.
    pub(super) fn covers(&self, other: &Self) -> bool {
        let any = |notation: &Notation| notation.is_any();
        (self.from.is_empty() || self.from == other.from)
            && (self.called_tag.is_none() || self.called_tag == other.called_tag)
            && (self.calling_tag.is_none() || self.calling_tag == other.calling_tag)
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
    /// The rules of the dial plan that fit these numbers best.
    pub(super) rules: [Option<usize>; 2],
    pub(super) host: &'a str,
}

impl Original {
    /// The first row that fits.
    pub(super) fn decide(&self, call: Seen<'_>) -> Option<&Row> {
        let [called, calling] = call.rules;
        self.rows.iter().find(|row| {
            let calling_fits = |number: &[u8]| row.calling.fits(number);
            self.fits_called(row, call.from, call.called, called)
                && (row.calling.is_any() || call.calling.is_some_and(calling_fits))
                && row
                    .calling_tag
                    .as_ref()
                    .is_none_or(|tag| self.plan.has_tag(calling, tag))
                && row
                    .host
                    .as_deref()
                    .is_none_or(|h| h.eq_ignore_ascii_case(call.host))
        })
    }

    /// Whether a row may be for calls of a group to a number, whose best rule is known.
    pub(super) fn fits_called(
        &self,
        row: &Row,
        from: &str,
        called: &[u8],
        rule: Option<usize>,
    ) -> bool {
        // Without an entry in the dial plan there is no tag to route by.
        let is_tagged = !row.targets.contains(&Target::Assigned) || rule.is_some();
        (row.from.is_empty() || row.from.iter().any(|name| name == from))
            && row.called.fits(called)
            && is_tagged
            && row
                .called_tag
                .as_ref()
                .is_none_or(|tag| self.plan.has_tag(rule, tag))
    }

    /// The group that has the tag of a rule: the first one.
    pub(super) fn assigned(&self, rule: Option<usize>) -> Option<&Group> {
        let routed_by = self.plan.routed_by.as_ref()?;
        let rule = self.plan.rules.get(rule?)?;
        let tag = rule.tags.iter().find(|(name, _)| name == routed_by)?;
        let groups = self.groups.iter();
        groups
            .filter(|group| !group.addresses.is_empty())
            .find(|group| group.tags.contains(tag))
    }

    /// The set of alternative reasons of this name; without one, that of all groups.
    pub(super) fn reasons_named(&self, name: &str) -> Option<&Reasons> {
        self.reasons.iter().find(|reasons| match name {
            "" => reasons.index.is_none(),
            name => reasons.index.is_some() && reasons.name == name,
        })
    }

    /// Whether a final response of a group moves a call to its next route. One of 408 does,
    /// listed or not.
    pub(super) fn moves_on(&self, group: &Group, status: u16) -> bool {
        let reasons = self.reasons_named(&group.reasons);
        let causes = reasons.map_or(&[][..], |reasons| &reasons.causes);
        status == 408 || causes.contains(&status) || causes.contains(&(status / 100))
    }

    /// Tables of the file that were not looked at, and have nothing to do with routing.
    #[must_use]
    pub fn not_read(&self) -> &[String] {
        &self.not_read
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

    /// Leaves out the routing by tags where no tag of any number leads to a group.
    pub(super) fn leave_out_unassigned(&mut self, findings: &mut Vec<Finding>) {
        let mut items = self.plan.items.iter().enumerate();
        if items.any(|(at, items)| !items.is_empty() && self.assigned(Some(at)).is_some()) {
            return;
        }
        self.rows.retain_mut(|row| {
            let before = row.targets.len();
            row.targets.retain(|target| *target != Target::Assigned);
            if row.targets.len() < before {
                let message = format!(
                    "routing row {} {:?} is left out: no tag of a number leads to a group with \
                     an address",
                    row.index, row.name
                );
                findings.push(Finding::new(row.line, message));
            }
            !row.targets.is_empty()
        });
    }

    /// Says which tags lead nowhere: calls to their numbers go nowhere here too.
    pub(super) fn say_dead_tags(&self, findings: &mut Vec<Finding>) {
        let Some(routed_by) = &self.plan.routed_by else {
            return;
        };
        for (at, rule) in self.plan.rules.iter().enumerate() {
            if self.assigned(Some(at)).is_none() {
                let tag = rule.tags.iter().find(|(name, _)| name == routed_by);
                let message = match tag {
                    Some((_, value)) => format!("no IP group with an address has tag {value:?}"),
                    None => format!("the rule has no tag {routed_by:?} to route by"),
                };
                findings.push(Finding::new(rule.line, message));
            }
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
