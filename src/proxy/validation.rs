//! What a request must be before a proxy forwards it: RFC 3261 §16.3.

use super::branch::{is_looped, loop_mark};
use super::flow::{Flow, Listeners};
use super::proxy_event::ProxyRefusal;
use super::route_set::{NoWay, RouteSet};
use super::secret::Secret;
use crate::sip::{HeaderName, Message, Method, ParseError, RequestHead, StatusCode};

/// Why a request is not forwarded.
#[derive(Debug, Clone, Copy)]
pub(super) struct Unfit {
    pub(super) why: ProxyRefusal,
    pub(super) status: StatusCode,
    pub(super) error: Option<ParseError>,
}

impl Unfit {
    pub(super) const fn new(why: ProxyRefusal, status: StatusCode) -> Self {
        Self {
            why,
            status,
            error: None,
        }
    }

    /// `None` when it must not be answered.
    pub(super) fn malformed(error: ParseError) -> Option<Self> {
        Some(Self {
            why: ProxyRefusal::Malformed,
            status: error.status()?,
            error: Some(error),
        })
    }
}

/// A request that may be forwarded.
#[derive(Debug)]
pub(super) struct Valid<'a> {
    /// Its way.
    pub(super) way: RouteSet<'a>,
    /// By it the request is known again if it comes around (RFC 5393 §4.2); 0 for an ACK.
    pub(super) loop_mark: u64,
}

/// RFC 3261 §16.3 steps 3 to 5 and §16.4, for a request that [`Message::read_request`]
/// (steps 1 and 2) has read: hops left, no loop, no extension we would have to know.
/// Step 6, credentials, is not for us: the table says who may call.
///
/// # Errors
/// What keeps it from being forwarded. An ACK is never answered, whatever this says.
pub(super) fn check<'a>(
    request: &Message<'a>,
    head: &RequestHead<'a>,
    flow: &Flow,
    listeners: &Listeners,
    secret: &Secret,
) -> Result<Valid<'a>, Unfit> {
    if head.max_forwards == Some(0) {
        return Err(Unfit::new(ProxyRefusal::Hops, StatusCode::TOO_MANY_HOPS));
    }
    let way = RouteSet::read(request, head.uri, listeners).map_err(|no_way| match no_way {
        NoWay::Malformed(error) => Unfit {
            error: Some(error),
            ..Unfit::new(ProxyRefusal::Malformed, StatusCode::BAD_REQUEST)
        },
        NoWay::TooLong => Unfit::new(ProxyRefusal::Malformed, StatusCode::BAD_REQUEST),
    })?;
    // ACK of a 2xx is forwarded without a transaction: its Vias are those of its own way.
    let is_ack = head.method == Method::Ack;
    let loop_mark = if is_ack {
        0
    } else {
        loop_mark(secret, request, head, &arrived(flow))
    };
    if !is_ack && is_looped(request, head, loop_mark) {
        return Err(Unfit::new(ProxyRefusal::Loop, StatusCode::LOOP_DETECTED));
    }
    let requires = |value: &[u8]| !value.is_empty();
    if !is_ack && request.values(HeaderName::ProxyRequire).any(requires) {
        return Err(Unfit::new(
            ProxyRefusal::Extension,
            StatusCode::BAD_EXTENSION,
        ));
    }
    Ok(Valid { way, loop_mark })
}

/// What classification knows besides the message: who sent it, and to which listener.
fn arrived(flow: &Flow) -> [u8; 18] {
    let ip = match flow.peer.ip() {
        std::net::IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        std::net::IpAddr::V6(v6) => v6,
    };
    let [low, high] = flow.listener.to_le_bytes();
    let mut bytes = [low; 18];
    let parts = ip.octets().into_iter().chain([low, high]);
    bytes
        .iter_mut()
        .zip(parts)
        .for_each(|(to, from)| *to = from);
    bytes
}
