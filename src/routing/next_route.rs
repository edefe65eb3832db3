//! Alternative routing: whether a call moves to its next route, as a function of why the
//! last attempt ended.

use super::table::{AlternativeRouting, Cause};
use super::{Availability, Outage, Route};

/// What moves a call on when its group names no policy.
pub const NEXT_ROUTE_ON_BY_DEFAULT: [Cause; 7] = [
    Cause::TrunkTimeout,
    Cause::TransportError,
    Cause::Status(408),
    Cause::Status(500),
    Cause::Status(502),
    Cause::Status(503),
    Cause::Status(504),
];

/// How an attempt on a route ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ending {
    /// [`Cause::TrunkTimeout`], [`Cause::TransportError`] or [`Cause::Status`].
    pub cause: Cause,
    /// Q.850 cause of the response's Reason (RFC 3326), if it had one.
    pub q850: Option<u8>,
}

/// How far a call has come with the routes of its decision.
#[derive(Clone, Copy, Debug)]
pub struct Search<'r> {
    /// The routes of the decision, in order.
    pub routes: &'r [Route],
    /// How many of them were tried or passed over.
    pub tried: usize,
    /// Whether the caller was told of progress: a provisional response other than 100 was
    /// relayed. A phone has rung, so the search is over.
    pub progressed: bool,
    /// An emergency call ignores availability: a trunk believed dead is better than none.
    pub emergency: bool,
}

/// What [`next_route`] decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Try the route at this place in the list.
    Try(usize),
    /// Give the caller what there is.
    Stop(Stop),
}

/// Why a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// The policy gives up on the cause.
    GivenUp,
    /// The policy does not move on for the cause.
    NotListed,
    /// The caller was told of progress before.
    Progressed,
    /// Every route was tried.
    NoneLeft,
    /// Routes are left, and all of them are out of service.
    OutOfService,
    /// Routes are left, and all of them are full.
    Full,
}

/// Whether an attempt that ended so moves the call to another route, and to which: the
/// first one left that is in service, or, where the policy has a last resort, the first that
/// is out of service but not by order. `give_up_on` wins over `next_route_on`; without a
/// policy [`NEXT_ROUTE_ON_BY_DEFAULT`] holds.
#[must_use]
pub fn next_route(
    policy: Option<&AlternativeRouting>,
    ending: Ending,
    search: Search<'_>,
    availability: &Availability,
) -> Next {
    let default = &NEXT_ROUTE_ON_BY_DEFAULT[..];
    let (on, not_on) = policy.map_or((default, &[][..]), |policy| {
        (&*policy.next_route_on, &*policy.give_up_on)
    });
    let listed = |causes: &[Cause]| causes.iter().any(|cause| ending.is(*cause));
    if listed(not_on) {
        return Next::Stop(Stop::GivenUp);
    }
    if !listed(on) {
        return Next::Stop(Stop::NotListed);
    }
    if search.progressed {
        return Next::Stop(Stop::Progressed);
    }
    search.next(availability, policy.is_none_or(|policy| policy.last_resort))
}

impl Search<'_> {
    /// The first route left that may be tried.
    fn next(&self, availability: &Availability, last_resort: bool) -> Next {
        let left = self.routes.get(self.tried..).unwrap_or_default();
        let fits = |route: &Route| self.emergency || availability.in_service(route.trunk);
        let resort = |route: &Route| {
            last_resort && !(availability.outage(route.trunk)).is_some_and(Outage::is_by_order)
        };
        let place = left.iter().position(fits);
        match place.or_else(|| left.iter().position(resort)) {
            Some(further) => Next::Try(self.tried + further),
            None if left.is_empty() => Next::Stop(Stop::NoneLeft),
            None => Next::Stop(Stop::OutOfService),
        }
    }
}

impl Ending {
    /// An attempt that a response with this status ended.
    #[must_use]
    pub const fn status(status: u16, q850: Option<u8>) -> Self {
        Self {
            cause: Cause::Status(status),
            q850,
        }
    }

    /// An attempt that ended without a response.
    #[must_use]
    pub const fn without_response(cause: Cause) -> Self {
        Self { cause, q850: None }
    }

    /// Whether a policy that lists `cause` means this ending.
    fn is(&self, cause: Cause) -> bool {
        match (cause, self.cause) {
            (Cause::StatusClass(class), Cause::Status(status)) => u16::from(class) == status / 100,
            (Cause::Q850(listed), _) => self.q850 == Some(listed),
            (listed, ended) => listed == ended,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routing::{GroupId, TrunkId};
    use proptest::prelude::*;

    fn routes(count: u16) -> Vec<Route> {
        let route = |trunk| Route {
            group: GroupId(0),
            trunk: TrunkId(trunk),
        };
        (0..count).map(route).collect()
    }

    fn policy(on: &[Cause], not_on: &[Cause]) -> AlternativeRouting {
        AlternativeRouting {
            name: "p".into(),
            next_route_on: on.into(),
            give_up_on: not_on.into(),
            trunk_timeout_ms: None,
            max_routes: 8,
            last_resort: false,
        }
    }

    fn search(routes: &[Route], tried: usize) -> Search<'_> {
        Search {
            routes,
            tried,
            progressed: false,
            emergency: false,
        }
    }

    #[test]
    fn causes_move_a_call_on_as_the_policy_says() {
        use Cause::{Q850, Status, StatusClass, TransportError, TrunkTimeout};
        let (routes, trunks) = (routes(2), Availability::new(2));
        let own = policy(
            &[StatusClass(5), Q850(34), TrunkTimeout],
            &[Status(503), Q850(17)],
        );
        let (on, off, up) = (
            Next::Try(1),
            Next::Stop(Stop::NotListed),
            Next::Stop(Stop::GivenUp),
        );
        let cases = [
            (Ending::status(503, None), on, up),
            (Ending::status(500, None), on, on),
            (Ending::status(501, None), off, on),
            (Ending::status(486, Some(34)), off, on),
            (Ending::status(500, Some(17)), on, up),
            (Ending::status(486, None), off, off),
            (Ending::status(603, None), off, off),
            (Ending::without_response(TrunkTimeout), on, on),
            (Ending::without_response(TransportError), on, off),
        ];
        for (ending, by_default, by_own) in cases {
            let decide = |policy| next_route(policy, ending, search(&routes, 1), &trunks);
            assert_eq!(decide(None), by_default, "{ending:?} by default");
            assert_eq!(decide(Some(&own)), by_own, "{ending:?} by the policy");
        }
    }

    #[test]
    fn the_search_ends_when_a_phone_rang_and_when_nothing_is_left() {
        let (routes, trunks) = (routes(3), Availability::new(3));
        let ending = Ending::status(503, None);
        let decide = |search| next_route(None, ending, search, &trunks);
        let rang = Search {
            progressed: true,
            ..search(&routes, 1)
        };
        assert_eq!(decide(rang), Next::Stop(Stop::Progressed));
        assert_eq!(decide(search(&routes, 3)), Next::Stop(Stop::NoneLeft));
        trunks.order(TrunkId(1), crate::routing::Order::Drain);
        assert_eq!(decide(search(&routes, 1)), Next::Try(2));
        trunks.order(TrunkId(2), crate::routing::Order::Drain);
        assert_eq!(decide(search(&routes, 1)), Next::Stop(Stop::OutOfService));
        let emergency = Search {
            emergency: true,
            ..search(&routes, 1)
        };
        assert_eq!(decide(emergency), Next::Try(1));
    }

    fn any_cause() -> impl Strategy<Value = Cause> {
        prop_oneof![
            Just(Cause::TrunkTimeout),
            Just(Cause::TransportError),
            (300..310_u16).prop_map(Cause::Status),
            (3..6_u8).prop_map(Cause::StatusClass),
            (1..4_u8).prop_map(Cause::Q850),
        ]
    }

    proptest! {
        /// A search never goes back, never leaves the list, never tries what is out, and
        /// never goes on with what the policy gives up on.
        #[test]
        fn a_search_goes_forward(
            on in prop::collection::vec(any_cause(), 0..6),
            not_on in prop::collection::vec(any_cause(), 0..3),
            (status, q850) in (300..600_u16, prop::option::of(1..4_u8)),
            (count, tried) in (0..8_u16, 0..10_usize),
            out in prop::collection::vec(0..8_u16, 0..8),
        ) {
            let (routes, trunks) = (routes(count), Availability::new(8));
            out.iter().for_each(|id| trunks.order(TrunkId(*id), crate::routing::Order::Drain));
            let policy = policy(&on, &not_on);
            let ending = Ending::status(status, q850);
            match next_route(Some(&policy), ending, search(&routes, tried), &trunks) {
                Next::Try(place) => {
                    prop_assert!(place >= tried && place < routes.len());
                    prop_assert!(!out.contains(&(place as u16)));
                    prop_assert!(!not_on.contains(&Cause::Status(status)));
                    prop_assert!(!not_on.contains(&Cause::StatusClass((status / 100) as u8)));
                }
                Next::Stop(Stop::NoneLeft) => prop_assert!(tried >= routes.len()),
                Next::Stop(Stop::Progressed) => prop_assert!(false, "there was none"),
                Next::Stop(_) => {}
            }
        }
    }
}
