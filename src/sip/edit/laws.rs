//! What must hold for any message and any changes. Tests and fuzz targets call it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{Edit, EditError};
use crate::limits::{HEADERS_MAX, MESSAGE_BYTES_MAX};
use crate::sip::{HeaderName, Message, Scheme};

/// Where the requests of the law come from.
const SOURCE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77)), 5066);

const URI: &[u8] = b"sip:+442071838750@192.0.2.1;user=phone";
const VIA: &[u8] = b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKnew;rport";
const ROUTES: [&[u8]; 2] = [b"<sip:192.0.2.1;lr>", b"<sip:192.0.2.2;transport=tcp;lr>"];
const USER: &[u8] = b"+441632960001";
const SUBJECT: &[u8] = b"another, subject";
const OWN: &[u8] = b"X-Own";

/// What was asked of the edit and granted.
#[derive(Debug, Default)]
struct Asked {
    uri: bool,
    vias: usize,
    popped_vias: usize,
    record_routes: usize,
    routes: usize,
    popped_routes: usize,
    subject: bool,
    removed: bool,
    user: bool,
    hops: bool,
    length: bool,
    seen: bool,
    own: usize,
}

/// Without a change a message leaves as it came; with any, what was changed reads back
/// as it was meant and everything else stands as it stood. `choices` are the changes.
///
/// # Panics
/// When the law is broken.
pub fn fuzz_edit(bytes: &[u8], choices: &[u8]) {
    let Ok(message) = Message::parse_datagram(bytes) else {
        return;
    };
    let mut out = b"before".to_vec();
    Edit::new(&message).write(&mut out);
    assert_eq!(
        out.strip_prefix(b"before"),
        Some(message.bytes()),
        "no edit changed something"
    );

    let mut edit = Edit::new(&message);
    let mut asked = Asked::default();
    for choice in choices {
        if asked.ask(&mut edit, *choice) == Err(EditError::Full) {
            break;
        }
    }
    out.clear();
    edit.write(&mut out);
    let added = asked.vias + asked.record_routes + asked.routes + asked.own + 3;
    if out.len() > MESSAGE_BYTES_MAX || message.headers().count() + added > HEADERS_MAX {
        return;
    }
    let changed = match Message::parse_datagram(&out) {
        Ok(changed) => changed,
        Err(error) => panic!("{error}: {}", out.escape_ascii()),
    };
    asked.check_lines(&message, &changed);
    asked.check_values(&message, &changed);
}

/// One of two in turn.
fn nth_route<'a>(nth: usize) -> &'a [u8] {
    let [one, other] = ROUTES;
    if nth.is_multiple_of(2) { one } else { other }
}

impl Asked {
    fn ask(&mut self, edit: &mut Edit<'_>, choice: u8) -> Result<(), EditError> {
        match choice % 14 {
            0 => edit.set_request_uri(URI).map(|()| self.uri = true),
            1 => edit.push_via(VIA).map(|()| self.vias += 1),
            2 => edit.pop_via().map(|()| self.popped_vias += 1),
            3 | 4 => edit
                .push_record_route(nth_route(self.record_routes))
                .map(|()| self.record_routes += 1),
            5 => edit
                .push_route(b"<sip:192.0.2.3;lr>")
                .map(|()| self.routes += 1),
            6 => edit.pop_route().map(|()| self.popped_routes += 1),
            7 => edit.set_header(b"s", SUBJECT).map(|()| self.subject = true),
            8 => edit.remove(b"contact").map(|()| self.removed = true),
            9 => edit
                .set_user(HeaderName::From, 0, USER)
                .map(|()| self.user = true),
            10 => edit.decrement_max_forwards().map(|()| self.hops = true),
            11 => edit.ensure_content_length().map(|()| self.length = true),
            12 => edit.mark_source(SOURCE).map(|()| self.seen = true),
            _ => edit.push_header(OWN, b"1").map(|()| self.own += 1),
        }
    }

    /// Lines of names nobody asked about stand as they stood, in their order; so do
    /// start line and body.
    fn check_lines(&self, message: &Message<'_>, changed: &Message<'_>) {
        assert_eq!(changed.body(), message.body());
        assert_eq!(changed.method(), message.method());
        assert_eq!(changed.status(), message.status());
        let uri = if self.uri {
            Some(URI)
        } else {
            message.request_uri()
        };
        assert_eq!(changed.request_uri(), uri);
        let untouched = |message: &Message<'_>| -> Vec<(Vec<u8>, Vec<u8>)> {
            message
                .headers()
                .filter(|header| !self.is_touched(header.name, header.name_bytes))
                .map(|header| (header.name_bytes.to_vec(), header.value.to_vec()))
                .collect()
        };
        assert_eq!(untouched(changed), untouched(message));
    }

    fn is_touched(&self, name: HeaderName, name_bytes: &[u8]) -> bool {
        match name {
            HeaderName::Via => self.vias + self.popped_vias > 0 || self.seen,
            HeaderName::RecordRoute => self.record_routes > 0,
            HeaderName::Route => self.routes + self.popped_routes > 0,
            HeaderName::Subject => self.subject,
            HeaderName::Contact => self.removed,
            HeaderName::From => self.user,
            HeaderName::MaxForwards => self.hops,
            HeaderName::ContentLength => self.length,
            _ => name_bytes.eq_ignore_ascii_case(OWN) && self.own > 0,
        }
    }

    fn check_values(&self, message: &Message<'_>, changed: &Message<'_>) {
        let count = |message: &Message<'_>, name| message.values(name).count();
        // A parenthesis that never closes means another list once it begins elsewhere.
        let plain = |name| !message.all(name).any(|value| value.contains(&b'('));
        if plain(HeaderName::Via) {
            self.check_vias(message, changed);
        }
        if plain(HeaderName::Route) {
            let routes = changed.values(HeaderName::Route).skip(self.routes);
            let expected = message.values(HeaderName::Route).skip(self.popped_routes);
            assert!(routes.eq(expected), "the routes left");
        }
        let pushed = (0..self.record_routes).rev().map(nth_route);
        let record_routes = pushed.chain(message.values(HeaderName::RecordRoute));
        assert!(
            changed.values(HeaderName::RecordRoute).eq(record_routes),
            "the last on top"
        );
        if self.subject {
            assert!(changed.all(HeaderName::Subject).eq([SUBJECT]));
        }
        assert!(!self.removed || count(changed, HeaderName::Contact) == 0);
        let from = changed.from().ok().map(|from| from.uri);
        if let Some(uri) = from.filter(|uri| self.user && uri.scheme != Scheme::Tel) {
            assert_eq!(uri.user.map(|user| user.as_bytes()), Some(USER));
        }
        if self.hops {
            let hops = message
                .max_forwards()
                .ok()
                .flatten()
                .map_or(70, |hops| hops - 1);
            assert_eq!(changed.max_forwards(), Ok(Some(hops)));
        }
        if self.length {
            assert_eq!(changed.content_length(), Ok(Some(message.body().len())));
        }
        let own = |message: &Message<'_>| message.by_name(OWN).count();
        assert_eq!(own(changed), own(message) + self.own);
    }

    fn check_vias(&self, message: &Message<'_>, changed: &Message<'_>) {
        let mut vias = changed.values(HeaderName::Via);
        assert!(
            vias.by_ref().take(self.vias).all(|via| via == VIA),
            "ours stand on top"
        );
        let mut expected = message.values(HeaderName::Via).skip(self.popped_vias);
        if self.seen && self.popped_vias == 0 {
            expected.next();
            let seen = vias.next().and_then(|via| crate::sip::Via::parse(via).ok());
            let was = message.vias().next().and_then(Result::ok);
            assert_eq!(
                seen.and_then(|via| via.branch()),
                was.and_then(|via| via.branch())
            );
            let rport = was.and_then(|via| via.rport()).map(|_| Some(SOURCE.port()));
            assert_eq!(seen.and_then(|via| via.rport()), rport);
            assert!(seen.is_some_and(|via| {
                via.received() == Some(SOURCE.ip()) || via.host.ip() == Some(SOURCE.ip())
            }));
        }
        assert!(vias.eq(expected), "the Vias below");
    }
}
