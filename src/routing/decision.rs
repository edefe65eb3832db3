//! What was decided for a call, and who listens to how.

use super::dial_plan::Normalised;
use super::number::Number;
use super::prefix_map::Match;
use super::trunk::{TrunkState, User};
use super::{Did, GroupId, Miss, RuleId, TrunkId};
use crate::limits::ROUTES_MAX;
use arrayvec::ArrayVec;

/// The decision for one call. Ids are valid for the table it was made with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision<'a> {
    /// The rule that decided; `None` when none applied.
    pub rule: Option<RuleId>,
    /// The called number after normalisation, or the user part that is no number.
    pub called: User<'a>,
    /// The caller after normalisation.
    pub calling: Caller,
    /// The DID row that fits the called number best.
    pub did: Option<Match<Did>>,
    /// Whether this is an emergency call.
    pub emergency: bool,
    /// What happens to the call.
    pub outcome: Outcome,
}

/// What happens to a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Try these, in order: the first is the main route, the rest are its alternatives.
    /// Never empty.
    Route(ArrayVec<Route, ROUTES_MAX>),
    /// Answer with the status and reason of the rule that decided.
    Reject {
        /// SIP status code.
        status: u16,
    },
    /// No rule applied, or the rule's destinations lead nowhere: 404.
    NoRoute,
    /// There are trunks, but none may be tried now: 503.
    Unavailable,
}

/// One route: a trunk, and the group on whose behalf it is tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Route {
    /// The group named by the rule, or one of its overflow groups.
    pub group: GroupId,
    /// The trunk.
    pub trunk: TrunkId,
}

/// Who is calling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// Shows no identity, or hides it.
    Anonymous,
    /// Shows one; `None` when it is not a number.
    Shown(Option<Number>),
}

impl Caller {
    /// The number, if one is shown.
    #[must_use]
    pub fn number(self) -> Option<Number> {
        match self {
            Self::Anonymous => None,
            Self::Shown(number) => number,
        }
    }
}

/// Which end of a call a number belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The number that was dialled.
    Called,
    /// The number of the caller.
    Calling,
}

/// Listens to a decision being made. `&mut ()` hears nothing and costs nothing;
/// [`Explanation`](super::Explanation) writes everything down. The walk is the same.
pub trait Trace {
    /// Whether rules that the arrival group can never meet are shown too.
    const EVERY_RULE: bool;

    /// A number was read: manipulated on arrival to `arrived`, then normalised.
    fn number(&mut self, end: End, arrived: Option<Number>, normalised: &Normalised) {
        let _ = (end, arrived, normalised);
    }
    /// A rule was tried: it decides, or misses by this condition.
    fn rule(&mut self, rule: RuleId, verdict: Result<(), Miss>) {
        let _ = (rule, verdict);
    }
    /// A trunk was reached in the order of trying.
    fn trunk(&mut self, route: Route, state: TrunkState) {
        let _ = (route, state);
    }
}

impl Trace for () {
    const EVERY_RULE: bool = false;
}
