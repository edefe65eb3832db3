//! The conditions of rules one by one, for whoever asks of all calls what [`route`] asks of
//! one: which rules a called number can meet, and whose calls those are.
//!
//! [`route`]: super::route

use super::dial_plan::is_emergency;
use super::prefix_map::Match;
use super::rule::{NumberCondition, Which};
use super::rule_index::{self, Candidates};
use super::{
    Caller, Dialled, Did, GroupId, Number, RequestFacts, RoutingTable, Rule, RuleId, Walk,
};
use jiff::Timestamp;

/// What a table knows of a called number before it knows anything else of the call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Called {
    /// The DID row that fits best.
    pub did: Option<Match<Did>>,
    /// Whether it is an emergency number of the arrival group.
    pub emergency: bool,
    /// The rules whose `from` and `called` hold, top to bottom.
    pub rules: Vec<RuleId>,
}

/// The rules that a call to this number, as it is after normalisation, can meet on its
/// arrival group. `None` is a user part that is no number.
#[must_use]
pub fn of_called(table: &RoutingTable, from: GroupId, number: Option<Number>) -> Called {
    let facts = no_facts(from);
    let mut walk = walk(table, &facts, number, Caller::Anonymous);
    let called = rule_index::Called {
        number: walk.called.as_ref(),
        emergency: walk.emergency,
        list: walk.did.map(|row| row.value.list),
    };
    let mut candidates = Candidates::new();
    table.find_candidates(from, &called, &mut candidates);
    let is_met = |rule: &Rule, walk: &mut Walk<'_, '_>| {
        let from_holds = rule.from.as_ref().is_none_or(|list| list.contains(&from));
        from_holds && rule.called.holds(walk, Which::Called)
    };
    let rules = candidates
        .filter(|id| table.rule(*id).is_some_and(|rule| is_met(rule, &mut walk)))
        .collect();
    Called {
        did: walk.did,
        emergency: walk.emergency,
        rules,
    }
}

/// Whether a condition on the calling number holds for this caller.
#[must_use]
pub fn holds_for_caller(table: &RoutingTable, condition: &NumberCondition, caller: Caller) -> bool {
    let facts = no_facts(GroupId(0));
    let mut walk = walk(table, &facts, None, caller);
    condition.holds(&mut walk, Which::Calling)
}

fn walk<'t, 'f>(
    table: &'t RoutingTable,
    facts: &'t RequestFacts<'f>,
    called: Option<Number>,
    calling: Caller,
) -> Walk<'t, 'f> {
    let plan = table
        .group(facts.from)
        .and_then(|group| table.dial_plan(group));
    Walk {
        table,
        facts,
        called,
        calling,
        emergency: called.is_some_and(|number| is_emergency(plan, &number)),
        did: called.and_then(|number| table.did(&number)),
        calling_did: None,
    }
}

/// Facts of which only the arrival group is read.
const fn no_facts(from: GroupId) -> RequestFacts<'static> {
    RequestFacts {
        from,
        called: Dialled {
            number: b"",
            raw: b"",
            phone_context: None,
        },
        calling: None,
        host: b"",
        tgrp: None,
        at: Timestamp::UNIX_EPOCH,
        call_hash: 0,
    }
}
