//! Where a request wants to go by its own words: RFC 3261 §16.4 (Route processing) and
//! §16.6 steps 6 and 7 (the next hop), strict routers included.

use arrayvec::ArrayVec;

use super::flow::{DIALOG_PARAMETER, Listeners};
use super::hex;
use crate::limits::ROUTE_VALUES_MAX;
use crate::sip::{HeaderName, Message, NameAddr, ParseError, Uri};

/// The way of a request, read from its Request-URI and Route. Borrows from the message.
#[derive(Debug)]
pub(super) struct RouteSet<'a> {
    /// The Request-URI it leaves with.
    pub(super) request_uri: Uri<'a>,
    /// The Route values it leaves with, as they stand in the message.
    pub(super) routes: ArrayVec<&'a [u8], ROUTE_VALUES_MAX>,
    /// A URI that becomes the last Route: the next hop is a strict router, which takes the
    /// Request-URI for itself.
    pub(super) last_route: Option<&'a [u8]>,
    /// Our own values that were taken off the top.
    pub(super) own_taken: usize,
    /// Whether values were taken off elsewhere, so that the field is written anew.
    pub(super) rewritten: bool,
    /// Whether a Route or the Request-URI was our Record-Route: the request belongs to a
    /// dialog that goes through here.
    pub(super) through_us: bool,
    /// Marks of dialogs in our own values.
    pub(super) marks: ArrayVec<u64, OWN_VALUES_MAX>,
    /// The URI of the next hop.
    pub(super) next_hop: Uri<'a>,
}

/// Own Record-Routes that follow each other: two a pass (RFC 5658), and a call that
/// passed us twice in a row.
const OWN_VALUES_MAX: usize = 4;

/// Why a request has no way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWay {
    /// A Route or the Request-URI is malformed.
    Malformed(ParseError),
    /// More Route values than [`ROUTE_VALUES_MAX`].
    TooLong,
}

impl From<ParseError> for NoWay {
    fn from(error: ParseError) -> Self {
        Self::Malformed(error)
    }
}

impl<'a> RouteSet<'a> {
    /// Reads the way of a request with this Request-URI.
    pub(super) fn read(
        request: &Message<'a>,
        uri: Uri<'a>,
        listeners: &Listeners,
    ) -> Result<Self, NoWay> {
        let mut set = Self {
            request_uri: uri,
            routes: ArrayVec::new(),
            last_route: None,
            own_taken: 0,
            rewritten: false,
            through_us: false,
            marks: ArrayVec::new(),
            next_hop: uri,
        };
        for value in request.values(HeaderName::Route) {
            set.routes.try_push(value).map_err(|_| NoWay::TooLong)?;
        }
        set.undo_strict_router(listeners)?;
        set.take_own(listeners)?;
        set.find_next_hop()?;
        Ok(set)
    }

    /// RFC 3261 §16.4: a strict router before us put our Record-Route into the
    /// Request-URI and the Request-URI at the end of Route.
    fn undo_strict_router(&mut self, listeners: &Listeners) -> Result<(), NoWay> {
        let uri = self.request_uri;
        let is_record_route =
            uri.param(b"lr").is_some() && uri.user.is_none() && listeners.is_own_uri(&uri);
        if !is_record_route {
            return Ok(());
        }
        let Some(last) = self.routes.pop() else {
            return Ok(());
        };
        self.note_own(&uri);
        self.request_uri = NameAddr::parse(last)?.uri;
        self.rewritten = true;
        Ok(())
    }

    /// RFC 3261 §16.4: the first Route values that name us are taken off.
    fn take_own(&mut self, listeners: &Listeners) -> Result<(), NoWay> {
        while let Some(first) = self.routes.first() {
            // As we wrote it, mostly; a peer may have written it in another way.
            let own_words = listeners
                .behind_record_route(first)
                .and_then(|rest| mark_of(rest.strip_suffix(b">")?));
            if let Some(mark) = own_words.filter(|_| self.own_taken < OWN_VALUES_MAX) {
                self.note_mark(mark);
            } else {
                let uri = NameAddr::parse(first)?.uri;
                if self.own_taken >= OWN_VALUES_MAX || !listeners.is_own_uri(&uri) {
                    break;
                }
                self.note_own(&uri);
            }
            self.routes.remove(0);
            self.own_taken += 1;
        }
        Ok(())
    }

    fn note_own(&mut self, own: &Uri<'_>) {
        self.through_us = true;
        if let Some(mark) = own.param(DIALOG_PARAMETER).and_then(mark_of) {
            self.note_mark(mark);
        }
    }

    fn note_mark(&mut self, mark: u64) {
        self.through_us = true;
        // Beyond the bound a mark is one too few, and the request is asked more strictly.
        let _ = self.marks.try_push(mark);
    }

    /// RFC 3261 §16.6 step 6: a next hop without `lr` is a strict router.
    fn find_next_hop(&mut self) -> Result<(), NoWay> {
        let Some(first) = self.routes.first() else {
            self.next_hop = self.request_uri;
            return Ok(());
        };
        self.next_hop = NameAddr::parse(first)?.uri;
        if self.next_hop.param(b"lr").is_none() {
            self.last_route = Some(self.request_uri.raw);
            self.request_uri = self.next_hop;
            self.routes.remove(0);
            self.rewritten = true;
        }
        Ok(())
    }
}

/// The mark as [`hex::push`](super::hex::push) wrote it; behind it may stand a worker.
fn mark_of(text: &[u8]) -> Option<u64> {
    let (mark, worker) = hex::read(text, 16)?;
    matches!(worker.len(), 0 | 2).then_some(mark)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;
    use crate::proxy::flow::{FlowTransport, ProxyListener};

    const OURS: &str = "10.0.0.1:5060";

    fn way(uri: &str, routes: &[&str]) -> String {
        let ours = OURS.parse().unwrap();
        let listeners = Listeners::new(vec![ProxyListener {
            name: "".into(),
            transport: FlowTransport::Udp,
            local: ours,
            advertised: ours,
        }]);
        let routes: String = routes.iter().map(|r| format!("Route: {r}\r\n")).collect();
        let text = format!("BYE {uri} SIP/2.0\r\n{routes}\r\n");
        let message = Message::parse_datagram(text.as_bytes()).unwrap();
        let set = match RouteSet::read(&message, message.uri().unwrap(), &listeners) {
            Ok(set) => set,
            Err(error) => return format!("{error:?}"),
        };
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let mut routes: Vec<String> = set.routes.iter().map(|r| text(r)).collect();
        routes.extend(set.last_route.map(|uri| format!("<{}>", text(uri))));
        format!(
            "{} [{}] to {}{}{}",
            text(set.request_uri.raw),
            routes.join(" "),
            set.next_hop.host,
            if set.through_us { " through us" } else { "" },
            if set.marks.is_empty() { "" } else { " marked" },
        )
    }

    #[test]
    fn ways_of_requests() {
        let own = "<sip:10.0.0.1:5060;lr;tl=00000000000000ff>";
        let cases: [(&str, &[&str], &str); 11] = [
            ("sip:b@10.0.0.9", &[], "sip:b@10.0.0.9 [] to 10.0.0.9"),
            (
                "sip:b@10.0.0.9",
                &[own],
                "sip:b@10.0.0.9 [] to 10.0.0.9 through us marked",
            ),
            (
                "sip:b@10.0.0.9",
                &["<sip:10.0.0.1;lr>, <sip:10.0.0.8;lr>", "<sip:10.0.0.7;lr>"],
                "sip:b@10.0.0.9 [<sip:10.0.0.8;lr> <sip:10.0.0.7;lr>] to 10.0.0.8 through us",
            ),
            (
                "sip:b@10.0.0.9",
                &[own, own, "<sip:10.0.0.8;lr>"],
                "sip:b@10.0.0.9 [<sip:10.0.0.8;lr>] to 10.0.0.8 through us marked",
            ),
            // The router before us is strict: RFC 3261 §16.12.1.2.
            (
                "sip:10.0.0.1:5060;lr",
                &["<sip:10.0.0.8;lr>", "<sip:b@10.0.0.9>"],
                "sip:b@10.0.0.9 [<sip:10.0.0.8;lr>] to 10.0.0.8 through us",
            ),
            (
                "sip:10.0.0.1:5060;lr",
                &["<sip:b@10.0.0.9>"],
                "sip:b@10.0.0.9 [] to 10.0.0.9 through us",
            ),
            // The next router is strict.
            (
                "sip:b@10.0.0.9",
                &[own, "<sip:10.0.0.8>", "<sip:10.0.0.7;lr>"],
                "sip:10.0.0.8 [<sip:10.0.0.7;lr> <sip:b@10.0.0.9>] to 10.0.0.8 through us marked",
            ),
            // A number at our address is no Record-Route of ours.
            (
                "sip:+44@10.0.0.1;lr",
                &["<sip:10.0.0.8;lr>"],
                "sip:+44@10.0.0.1;lr [<sip:10.0.0.8;lr>] to 10.0.0.8",
            ),
            ("sip:10.0.0.1;lr", &[], "sip:10.0.0.1;lr [] to 10.0.0.1"),
            // Only the top is ours to take.
            (
                "sip:b@10.0.0.9",
                &["<sip:10.0.0.8;lr>", own],
                "sip:b@10.0.0.9 [<sip:10.0.0.8;lr> <sip:10.0.0.1:5060;lr;tl=00000000000000ff>] to 10.0.0.8",
            ),
            (
                "sip:b@10.0.0.9",
                &["<sip:10.0.0.1;lr;tl=xyz>"],
                "sip:b@10.0.0.9 [] to 10.0.0.9 through us",
            ),
        ];
        for (uri, routes, expected) in cases {
            assert_eq!(way(uri, routes), expected, "{uri} {routes:?}");
        }
    }

    #[test]
    fn routes_without_end_and_without_sense_are_refused() {
        let many = vec!["<sip:10.0.0.8;lr>"; ROUTE_VALUES_MAX + 1];
        assert_eq!(way("sip:b@10.0.0.9", &many), "TooLong");
        assert!(way("sip:b@10.0.0.9", &["<sip:>"]).starts_with("Malformed"));
        assert!(way("sip:10.0.0.1;lr", &["nonsense"]).starts_with("Malformed"));
    }
}
