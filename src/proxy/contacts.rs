//! The Contacts of a redirect: one per route, best first.

use super::facts::CallFacts;
use crate::limits::ROUTES_MAX;
use crate::routing::{Decision, Outcome, RoutingTable};
use crate::sip::{HeaderLines, Host, StatusCode, Uri};

/// Header lines built for one answer; its buffers are used again for the next.
#[derive(Debug, Default)]
pub(super) struct Contacts {
    lines: HeaderLines,
    carried: Vec<u8>,
}

impl Contacts {
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
        self.lines.clear();
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
        let mut place = 0;
        for route in routes {
            let elsewhere = table.trunk(route.trunk).is_some_and(|trunk| {
                goes_elsewhere(trunk.target.host_and_parameters.as_bytes(), facts)
            });
            let kept = self.lines.push_written(b"Contact", |out| {
                out.push(b'<');
                let start = out.len();
                table.write_request_uri(route, decision, &self.carried, out);
                let uri = out.get(start..).unwrap_or_default();
                let leads_on = !uri.is_empty() && (elsewhere || !leads_back(uri, facts));
                out.extend_from_slice(&quality(place));
                leads_on
            });
            place += u8::from(kept);
        }
        if place == 0 {
            StatusCode::LOOP_DETECTED
        } else {
            StatusCode::MOVED_TEMPORARILY
        }
    }

    /// The lines in order, as [`Contacts::collect`] left them.
    pub(super) const fn lines(&self) -> &HeaderLines {
        &self.lines
    }
}

/// What stands behind a URI in this place.
const fn quality(place: u8) -> [u8; 7] {
    match place {
        0 => *b">;q=1.0",
        _ => [b'>', b';', b'q', b'=', b'0', b'.', b'0' + 10 - place % 10],
    }
}

fn leads_back(uri: &[u8], facts: &CallFacts<'_>) -> bool {
    Uri::parse(uri).is_ok_and(|uri| uri.equivalent(&facts.request_uri))
}

/// Whether what begins with a host is seen at a glance to name another one than the
/// Request-URI: names and IPv4 addresses are the same only when they are written the same,
/// but for case (RFC 3261 §19.1.4). An IPv6 address can be written in many ways.
fn goes_elsewhere(host: &[u8], facts: &CallFacts<'_>) -> bool {
    let wanted = facts.host;
    if wanted.is_empty() || matches!(facts.request_uri.host, Host::Ipv6(_)) {
        return false;
    }
    let start = host.split_at_checked(wanted.len()).map(|(start, _)| start);
    !start.is_some_and(|start| start.eq_ignore_ascii_case(wanted))
}

const _: () = assert!(ROUTES_MAX < 10, "each q value has one digit");

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::sip::Message;

    /// The glance never says "elsewhere" of what RFC 3261 calls the same.
    #[test]
    fn what_is_equivalent_leads_back() {
        const URIS: [&str; 12] = [
            "sip:+1@sbc.example:5060",
            "sip:+1@SBC.example:5060",
            "sip:+1@sbc.example",
            "sip:+1@sbc.example.net",
            "sip:+1@10.0.0.1",
            "sip:+1@10.0.0.1;transport=udp",
            "sip:+1@10.0.0.10",
            "sip:+1@[2001:db8::1]",
            "sip:+1@[2001:db8:0::1]",
            "sip:sbc.example",
            "tel:+1",
            "tel:+1;ext=1",
        ];
        for request_uri in URIS {
            let text = format!(
                "INVITE {request_uri} SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
            );
            let message = Message::parse_datagram(text.as_bytes()).unwrap();
            let facts = CallFacts::read(&message).unwrap();
            for uri in URIS {
                let same = leads_back(uri.as_bytes(), &facts);
                let behind = uri.split_once('@').or_else(|| uri.split_once(':'));
                let (_, host) = behind.unwrap();
                let elsewhere = goes_elsewhere(host.as_bytes(), &facts);
                assert!(!(same && elsewhere), "{uri} {request_uri}");
            }
        }
    }
}
