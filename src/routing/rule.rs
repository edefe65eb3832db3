//! Rules: conditions on a call, and what to do with calls that meet them.

use super::prefix_map::PrefixMap;
use super::text_pattern::TextPattern;
use super::{Caller, GroupId, ListId, Origin, ScheduleId, Walk};

/// One rule of the table. Rules are read top to bottom; the first whose conditions all
/// hold decides.
#[derive(Debug)]
pub struct Rule {
    /// Unique name.
    pub name: Box<str>,
    /// Arrival trunk groups; `None` is any.
    pub from: Option<Box<[GroupId]>>,
    /// The called number.
    pub called: NumberCondition,
    /// The calling number.
    pub calling: NumberCondition,
    /// The host of the Request-URI.
    pub host: TextCondition,
    /// The trunk group label of the Request-URI (RFC 4904).
    pub tgrp: TextCondition,
    /// Schedules, each open (`true`) or closed (`false`). Any of the positive ones and all
    /// of the negative ones must hold.
    pub during: Box<[(ScheduleId, bool)]>,
    /// What happens to a call.
    pub action: Action,
    /// The conditions as written, for explanations.
    pub text: RuleText,
    /// Where it was defined.
    pub origin: Origin,
}

/// What a rule does.
#[derive(Debug)]
pub enum Action {
    /// Route to these, in order of preference.
    RouteTo(Box<[Destination]>),
    /// Answer with this status, 400 to 699.
    Reject {
        /// SIP status code.
        status: u16,
        /// Reason phrase.
        reason: Box<str>,
    },
}

/// One item of `route_to`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The trunk group of the matching DID row.
    Assigned,
    /// A trunk group.
    Group(GroupId),
}

/// The conditions of a rule as they stand in the file. Cold: read by explanations only.
#[derive(Debug, Default)]
pub struct RuleText {
    /// Items of `from`.
    pub from: Box<[Box<str>]>,
    /// Items of `called`.
    pub called: Box<[Box<str>]>,
    /// Items of `calling`.
    pub calling: Box<[Box<str>]>,
    /// Items of `host`.
    pub host: Box<[Box<str>]>,
    /// Items of `tgrp`.
    pub tgrp: Box<[Box<str>]>,
    /// Items of `during`.
    pub during: Box<[Box<str>]>,
}

/// A list of number items: any of the positive ones (if there are any) and none of the
/// negative ones must hold.
#[derive(Debug, Default)]
pub struct NumberCondition {
    /// `None`: the list has no positive item, so the positive half holds.
    pub any_of: Option<NumberSet>,
    /// Items written with `!`.
    pub none_of: Option<NumberSet>,
}

/// A set of numbers as a rule names it.
#[derive(Debug, Default)]
pub struct NumberSet {
    /// Exact numbers, prefixes and ranges.
    pub patterns: PrefixMap<()>,
    /// `did:NAME`.
    pub lists: Box<[ListId]>,
    /// `did:*`.
    pub any_assigned: bool,
    /// `emergency`.
    pub emergency: bool,
    /// `anonymous`.
    pub anonymous: bool,
    /// `*`.
    pub anything: bool,
}

/// A list of text items, read like [`NumberCondition`].
#[derive(Debug, Default)]
pub struct TextCondition {
    /// `None`: no positive item.
    pub any_of: Option<Box<[TextPattern]>>,
    /// Items written with `!`.
    pub none_of: Box<[TextPattern]>,
}

/// The condition by which a rule did not apply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Miss {
    /// The call arrived on another trunk group.
    From,
    /// The called number.
    Called,
    /// The calling number.
    Calling,
    /// The host of the Request-URI.
    Host,
    /// The trunk group label.
    Tgrp,
    /// The hour.
    During,
    /// Everything holds, but an emergency call is never barred.
    EmergencyNotBarred,
    /// Everything holds, but for this emergency call it leads to no trunk.
    EmergencyNotRouted,
}

impl Rule {
    /// Checks the conditions in the order from, called, calling, host, label, schedule:
    /// cheap ones first. `Err` names the first that does not hold.
    pub(super) fn conditions(&self, walk: &mut Walk<'_, '_>) -> Result<(), Miss> {
        if !self
            .from
            .as_ref()
            .is_none_or(|groups| groups.contains(&walk.facts.from))
        {
            return Err(Miss::From);
        }
        if !self.called.holds(walk, Which::Called) {
            return Err(Miss::Called);
        }
        if !self.calling.holds(walk, Which::Calling) {
            return Err(Miss::Calling);
        }
        if !self.host.holds(walk.facts.host) {
            return Err(Miss::Host);
        }
        if !self.tgrp.holds(walk.facts.tgrp.unwrap_or_default()) {
            return Err(Miss::Tgrp);
        }
        if !self.hours_hold(walk) {
            return Err(Miss::During);
        }
        Ok(())
    }

    fn hours_hold(&self, walk: &Walk<'_, '_>) -> bool {
        self.holds_during(|schedule| walk.table.is_open(schedule, walk.facts.at))
    }

    /// Whether `during` holds while the schedules are open or not.
    pub fn holds_during(&self, is_open: impl Fn(ScheduleId) -> bool) -> bool {
        let mut positive = false;
        let mut one_open = false;
        for (schedule, wanted_open) in &self.during {
            let open = is_open(*schedule);
            match (wanted_open, open) {
                (false, true) => return false,
                (false, false) => {}
                (true, open) => {
                    positive = true;
                    one_open |= open;
                }
            }
        }
        !positive || one_open
    }
}

/// Which number of the call a condition reads.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Called,
    Calling,
}

impl NumberCondition {
    pub(super) fn holds(&self, walk: &mut Walk<'_, '_>, which: Which) -> bool {
        self.any_of
            .as_ref()
            .is_none_or(|set| set.contains(walk, which))
            && !self
                .none_of
                .as_ref()
                .is_some_and(|set| set.contains(walk, which))
    }

    /// Whether the condition holds for every call.
    #[must_use]
    pub fn is_unconditional(&self) -> bool {
        self.none_of.is_none() && self.any_of.as_ref().is_none_or(|set| set.anything)
    }
}

impl NumberSet {
    fn contains(&self, walk: &mut Walk<'_, '_>, which: Which) -> bool {
        if self.anything {
            return true;
        }
        let number = match which {
            Which::Called => walk.called,
            Which::Calling => match walk.calling {
                Caller::Anonymous => return self.anonymous,
                Caller::Shown(number) => number,
            },
        };
        if self.emergency && which == Which::Called && walk.emergency {
            return true;
        }
        let Some(number) = number else { return false };
        if self.patterns.longest(&number).is_some() {
            return true;
        }
        if !self.any_assigned && self.lists.is_empty() {
            return false;
        }
        let row = match which {
            Which::Called => walk.did,
            Which::Calling => walk.calling_did(),
        };
        (self.any_assigned && row.is_some())
            || self
                .lists
                .iter()
                .any(|id| match walk.table.list_marks(*id) {
                    Some(marks) => marks.longest(&number).is_some(),
                    None => row.is_some_and(|row| row.value.list == *id),
                })
    }
}

impl TextCondition {
    /// Whether the condition holds for this text; empty where a call has none.
    #[must_use]
    pub fn holds(&self, value: &[u8]) -> bool {
        self.any_of
            .as_ref()
            .is_none_or(|patterns| patterns.iter().any(|p| p.matches(value)))
            && !self.none_of.iter().any(|p| p.matches(value))
    }

    /// Whether the condition holds for every call.
    #[must_use]
    pub fn is_unconditional(&self) -> bool {
        self.any_of.is_none() && self.none_of.is_empty()
    }
}
