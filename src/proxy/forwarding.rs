//! The bytes that leave: requests on their way to the next hop (RFC 3261 §16.6), responses
//! on their way back (§16.7). What is not changed leaves as it came.
//!
//! Each is written on a `page` that is used again and again; what stood on it is lost.

use bytes::Bytes;

use super::branch::Branch;
use super::facts::CallFacts;
use super::flow::{Flow, Listeners};
use super::hex;
use super::response_context::Call;
use super::route_set::RouteSet;
use crate::routing::{Caller, Decision, Outcome, Route, User};
use crate::sip::{Edit, EditError, HeaderName, Message, StatusCode};

/// What a request needs besides its own bytes to leave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Departure<'d> {
    pub(super) listeners: &'d Listeners,
    /// How it came.
    pub(super) from: &'d Flow,
    /// Who sent it: the packet's source.
    pub(super) source: std::net::SocketAddr,
    /// How it leaves.
    pub(super) to: &'d Flow,
    /// The branch of our Via.
    pub(super) branch: Branch,
}

/// What our Record-Route says of its dialog.
#[derive(Debug, Clone, Copy)]
pub(super) struct DialogMark {
    pub(super) mark: u64,
    /// The worker that knows the call, where that matters: it is counted, or came on a
    /// connection. `dialog_owner` finds it.
    pub(super) owner: Option<u8>,
}

/// An INVITE outside a dialog, on its way to a trunk.
///
/// Request-URI: the trunk's, with the number as its group wants it, from the number as it
/// was dialled. Routes that the caller preloaded are taken off: the table decides where a
/// call goes. Record-Route: ours, so that the dialog comes through here; two of them when
/// it leaves by another listener than it came by (RFC 5658). P-Asserted-Identity: the
/// calling number as the group wants it, if that differs; From stays, as it names the
/// dialog's caller end to end.
///
/// # Errors
/// The message cannot be changed so.
pub(super) fn to_trunk(
    request: &Message<'_>,
    facts: &CallFacts<'_>,
    call: &Call,
    route: Route,
    departure: &Departure<'_>,
    dialog: DialogMark,
    page: &mut Vec<u8>,
) -> Result<Bytes, EditError> {
    let uri = request_uri(facts, call, route);
    let via = via(departure);
    let record_route = |place| record_route(departure.listeners, place, dialog);
    let own_side = record_route(departure.to.listener);
    let their_side = Some(departure.from.listener)
        .filter(|place| *place != departure.to.listener)
        .map(record_route);
    let calling = asserted(request, call, route);
    let mut edit = Edit::new(request);
    edit.set_request_uri(&uri)?;
    edit.decrement_max_forwards()?;
    edit.mark_source(departure.source)?;
    edit.push_via(&via)?;
    edit.remove(HeaderName::Route.as_str().as_bytes())?;
    if let Some(their_side) = &their_side {
        edit.push_record_route(their_side)?;
    }
    edit.push_record_route(&own_side)?;
    if let Some((nth, number)) = &calling {
        // Where it has no place for this number, it stays as the caller's side asserted it.
        let _ = edit.set_user(HeaderName::PAssertedIdentity, *nth, number);
    }
    written(&mut edit, departure, page)
}

/// A request inside a dialog, on its way along its Route set: RFC 3261 §16.6 without
/// step 4, for the dialog's route set is made.
///
/// # Errors
/// The message cannot be changed so.
pub(super) fn along_route(
    request: &Message<'_>,
    way: &RouteSet<'_>,
    departure: &Departure<'_>,
    page: &mut Vec<u8>,
) -> Result<Bytes, EditError> {
    let via = via(departure);
    let mut routes = Vec::new();
    let mut edit = Edit::new(request);
    edit.decrement_max_forwards()?;
    edit.mark_source(departure.source)?;
    edit.push_via(&via)?;
    if way.rewritten {
        write_routes(way, &mut routes);
        let route = HeaderName::Route.as_str().as_bytes();
        if routes.is_empty() {
            edit.remove(route)?;
        } else {
            edit.set_header(route, &routes)?;
        }
        edit.set_request_uri(way.request_uri.raw)?;
    } else {
        for _ in 0..way.own_taken {
            edit.pop_route()?;
        }
    }
    written(&mut edit, departure, page)
}

/// A response on its way back: RFC 3261 §16.7 step 3. `None` when there is no Via left:
/// nobody asked but us.
pub(super) fn without_own_via(response: &Message<'_>, page: &mut Vec<u8>) -> Option<Bytes> {
    response.values(HeaderName::Via).nth(1)?;
    page.clear();
    let written = response.write_without_top_via(page);
    written.then(|| Bytes::copy_from_slice(page))
}

/// The response with another status: RFC 3261 §16.7 step 6 has a 503 become a 500.
pub(super) fn with_status(response: &Bytes, status: StatusCode) -> Bytes {
    let line_end = memchr::memchr(b'\r', response).unwrap_or(0);
    let rest = response.get(line_end..).unwrap_or_default();
    let line = format!("SIP/2.0 {status} {}", status.reason_phrase());
    [line.as_bytes(), rest].concat().into()
}

/// Written on the page, and copied from there: the size is not known before, and what is
/// kept should take no more room than it needs.
fn written(
    edit: &mut Edit<'_>,
    departure: &Departure<'_>,
    page: &mut Vec<u8>,
) -> Result<Bytes, EditError> {
    if departure.to.transport.is_reliable() {
        edit.ensure_content_length()?;
    }
    page.clear();
    edit.write(page);
    Ok(Bytes::copy_from_slice(page))
}

/// RFC 3261 §16.6 step 8.
fn via(departure: &Departure<'_>) -> Vec<u8> {
    let start = departure.listeners.get(departure.to.listener);
    let start = start.map_or(&[][..], |own| &own.via);
    let mut via = Vec::with_capacity(start.len() + Branch::BYTES);
    via.extend_from_slice(start);
    departure.branch.write(&mut via);
    via
}

/// RFC 3261 §16.6 step 4.
fn record_route(listeners: &Listeners, place: u16, dialog: DialogMark) -> Vec<u8> {
    let start = listeners
        .get(place)
        .map_or(&[][..], |own| &own.record_route);
    let mut value = Vec::with_capacity(start.len() + 19);
    value.extend_from_slice(start);
    hex::push(dialog.mark, 16, &mut value);
    if let Some(owner) = dialog.owner {
        hex::push(owner.into(), 2, &mut value);
    }
    value.push(b'>');
    value
}

fn request_uri(facts: &CallFacts<'_>, call: &Call, route: Route) -> Vec<u8> {
    let mut carried = Vec::new();
    facts.write_carried(&mut carried);
    let decision = Decision {
        rule: call.rule,
        called: call
            .called
            .map_or(User::Raw(facts.called.dialled().raw), User::Number),
        calling: call.calling,
        did: None,
        emergency: call.emergency,
        outcome: Outcome::NoRoute,
    };
    let mut uri = Vec::with_capacity(128);
    call.view
        .table
        .write_request_uri(&route, &decision, &carried, &mut uri);
    uri
}

/// Which P-Asserted-Identity shows the calling number, and how the group wants it; `None`
/// when it stays as it is.
fn asserted(request: &Message<'_>, call: &Call, route: Route) -> Option<(usize, Vec<u8>)> {
    let Caller::Shown(Some(number)) = call.calling else {
        return None;
    };
    let wanted = call.view.table.outbound_calling(route.group, number);
    if wanted == number {
        return None;
    }
    let starts_a_number = |user: &[u8]| {
        user.first()
            .is_some_and(|first| *first == b'+' || first.is_ascii_digit())
    };
    let nth = request.p_asserted_identity().position(|identity| {
        identity.is_ok_and(|identity| {
            identity
                .uri
                .user
                .is_some_and(|user| starts_a_number(user.number()))
        })
    })?;
    // `#` is no character of a user part.
    let mut user = Vec::new();
    for byte in wanted.as_bytes() {
        match byte {
            b'#' => user.extend_from_slice(b"%23"),
            other => user.push(*other),
        }
    }
    Some((nth, user))
}

fn write_routes(way: &RouteSet<'_>, out: &mut Vec<u8>) {
    for value in &way.routes {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(value);
    }
    if let Some(uri) = way.last_route {
        if !out.is_empty() {
            out.extend_from_slice(b", ");
        }
        out.push(b'<');
        out.extend_from_slice(uri);
        out.push(b'>');
    }
}
