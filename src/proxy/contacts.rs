//! The Contacts of a redirect: one per route, best first.

use std::io::Write;

use super::facts::CallFacts;
use crate::limits::ROUTES_MAX;
use crate::routing::{Decision, Outcome, RoutingTable};
use crate::sip::{StatusCode, Uri};

/// Header values built for one answer; its buffers are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    bytes: Vec<u8>,
    ends: arrayvec::ArrayVec<usize, ROUTES_MAX>,
    carried: Vec<u8>,
}

impl Contacts {
    /// Forgets everything.
    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    /// Builds the Contacts of a decision and says with which status it is answered.
    ///
    /// RFC 3261 §8.3: the routes in order of q, from 1.0 down by a tenth. A URI that
    /// equals the Request-URI is left out, for it would only lead back here; when none
    /// is left the call is going in circles: 482.
    pub(super) fn collect(
        &mut self,
        table: &RoutingTable,
        decision: &Decision<'_>,
        facts: &CallFacts<'_>,
    ) -> StatusCode {
        self.clear();
        let routes = match &decision.outcome {
            Outcome::Route(routes) => routes,
            Outcome::Reject { status } => {
                return StatusCode::new(*status).unwrap_or(StatusCode::FORBIDDEN);
            }
            Outcome::NoRoute => return StatusCode::NOT_FOUND,
            Outcome::Unavailable => return StatusCode::SERVICE_UNAVAILABLE,
        };
        self.carried.clear();
        facts.write_carried(&mut self.carried);
        for route in routes {
            let start = self.bytes.len();
            self.bytes.push(b'<');
            table.write_request_uri(route, decision, &self.carried, &mut self.bytes);
            let uri = self.bytes.get(start + 1..).unwrap_or_default();
            if uri.is_empty() || leads_back(uri, &facts.request_uri) {
                self.bytes.truncate(start);
                continue;
            }
            self.finish_one();
        }
        if self.ends.is_empty() {
            StatusCode::LOOP_DETECTED
        } else {
            StatusCode::MOVED_TEMPORARILY
        }
    }

    /// The values in order.
    pub(super) fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts
            .zip(self.ends.iter().copied())
            .filter_map(|(start, end)| self.bytes.get(start..end))
    }

    fn finish_one(&mut self) {
        let place = self.ends.len();
        // Writing to a Vec does not fail.
        let _ = match place {
            0 => self.bytes.write_all(b">;q=1.0"),
            _ => write!(self.bytes, ">;q=0.{}", 10_usize.saturating_sub(place)),
        };
        let _ = self.ends.try_push(self.bytes.len());
    }
}

fn leads_back(uri: &[u8], request_uri: &Uri<'_>) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.equivalent(request_uri))
}

const _: () = assert!(ROUTES_MAX < 10, "each q value has one digit");
