//! Requests that an element makes of another message, or of nothing: the ACK for a
//! final response that is no 2xx, CANCEL, and the OPTIONS that asks whether a trunk
//! is alive.

use std::io::Write as _;

use super::header::CommaList;
use super::{HeaderName, Message, ParseError, ParseErrorKind};

/// Max-Forwards of a request that begins here. RFC 3261 §8.1.1.6.
const MAX_FORWARDS: &[u8] = b"70";

/// Appends the ACK for `response`, a final one that is no 2xx, to `invite` as we sent
/// it: RFC 3261 §17.1.1.3. To is that of the response.
///
/// # Errors
/// `invite` is a response, or lacks what an ACK is made of. Nothing is appended then.
pub fn write_ack(
    invite: &Message<'_>,
    response: &Message<'_>,
    out: &mut Vec<u8>,
) -> Result<(), ParseError> {
    let to = response.first(HeaderName::To);
    let ack = Derived::of(invite)?;
    ack.write(b"ACK", to.unwrap_or(ack.to), None, out);
    Ok(())
}

/// Appends the CANCEL for `invite` as we sent it: RFC 3261 §9.1. `reason` is the value
/// of its Reason field (RFC 3326), copied from the CANCEL we got or our own.
///
/// It may be sent only after a provisional response has come.
///
/// # Errors
/// `invite` is a response, or lacks what a CANCEL is made of. Nothing is appended then.
pub fn write_cancel(
    invite: &Message<'_>,
    reason: Option<&[u8]>,
    out: &mut Vec<u8>,
) -> Result<(), ParseError> {
    let cancel = Derived::of(invite)?;
    cancel.write(b"CANCEL", cancel.to, reason, out);
    Ok(())
}

/// An OPTIONS request outside any dialog: RFC 3261 §11.1.
///
/// All values go out as they are: they come from our own configuration and must hold
/// no line ends.
#[derive(Debug, Clone, Copy)]
pub struct OptionsProbe<'a> {
    /// Whom it asks: Request-URI and To.
    pub uri: &'a [u8],
    /// The value of Via, with our branch.
    pub via: &'a [u8],
    /// The URI of From.
    pub from: &'a [u8],
    /// The URI of Contact, if we name one: where we are, by the name peers know us by.
    pub contact: Option<&'a [u8]>,
    /// The tag of From.
    pub from_tag: &'a [u8],
    /// Call-ID.
    pub call_id: &'a [u8],
    /// The number of CSeq, below 2^31.
    pub sequence: u32,
    /// Max-Forwards; 0 asks the next element and nobody behind it.
    pub max_forwards: u8,
    /// User-Agent, if we name ourselves.
    pub user_agent: Option<&'a [u8]>,
}

impl OptionsProbe<'_> {
    /// Appends the request to `out`.
    pub fn write(&self, out: &mut Vec<u8>) {
        push(out, &[b"OPTIONS ", self.uri, b" SIP/2.0\r\n"]);
        push_line(out, b"Via", self.via);
        push(
            out,
            &[b"From: <", self.from, b">;tag=", self.from_tag, b"\r\n"],
        );
        push(out, &[b"To: <", self.uri, b">\r\n"]);
        push_line(out, b"Call-ID", self.call_id);
        // Writing to a Vec does not fail.
        let _ = write!(out, "CSeq: {} OPTIONS\r\n", self.sequence);
        let _ = write!(out, "Max-Forwards: {}\r\n", self.max_forwards);
        if let Some(contact) = self.contact {
            push(out, &[b"Contact: <", contact, b">\r\n"]);
        }
        push_line(out, b"Accept", b"application/sdp");
        if let Some(user_agent) = self.user_agent {
            push_line(out, b"User-Agent", user_agent);
        }
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }
}

/// What ACK and CANCEL take from the INVITE, each value as it stands there.
struct Derived<'m, 'a> {
    invite: &'m Message<'a>,
    uri: &'a [u8],
    via: &'a [u8],
    from: &'a [u8],
    to: &'a [u8],
    call_id: &'a [u8],
    sequence: u32,
}

impl<'m, 'a> Derived<'m, 'a> {
    fn of(invite: &'m Message<'a>) -> Result<Self, ParseError> {
        let missing = |name| ParseError::new(ParseErrorKind::Missing(name), 0);
        let field = |name| invite.first(name).ok_or_else(|| missing(name));
        Ok(Self {
            invite,
            uri: invite
                .request_uri()
                .ok_or(ParseError::new(ParseErrorKind::NotARequest, 0))?,
            via: CommaList::new(field(HeaderName::Via)?)
                .next()
                .ok_or_else(|| missing(HeaderName::Via))?,
            from: field(HeaderName::From)?,
            to: field(HeaderName::To)?,
            call_id: field(HeaderName::CallId)?,
            sequence: invite.cseq()?.number,
        })
    }

    fn write(&self, method: &[u8], to: &[u8], reason: Option<&[u8]>, out: &mut Vec<u8>) {
        push(out, &[method, b" ", self.uri, b" SIP/2.0\r\n"]);
        push_line(out, b"Via", self.via);
        for routes in self.invite.all(HeaderName::Route) {
            push_line(out, b"Route", routes);
        }
        push_line(out, b"From", self.from);
        push_line(out, b"To", to);
        push_line(out, b"Call-ID", self.call_id);
        // Writing to a Vec does not fail.
        let _ = write!(out, "CSeq: {} ", self.sequence);
        push(out, &[method, b"\r\n"]);
        push_line(out, b"Max-Forwards", MAX_FORWARDS);
        if let Some(reason) = reason {
            push_line(out, b"Reason", reason);
        }
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }
}

fn push_line(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    push(out, &[name, b": ", value, b"\r\n"]);
}

fn push(out: &mut Vec<u8>, parts: &[&[u8]]) {
    parts.iter().for_each(|part| out.extend_from_slice(part));
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

    use super::*;
    use crate::sip::Method;

    const INVITE: &str = "INVITE sip:1@192.0.2.9;user=phone SIP/2.0\r\n\
        v: SIP/2.0/UDP 192.0.2.1 ;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK0\r\n\
        Via: SIP/2.0/UDP c\r\nRoute: <sip:a;lr>,\r\n <sip:b;lr>\r\nf: \"A, B\" <sip:a@b>;tag=f\r\n\
        route: <sip:c;lr>\r\nTo: <sip:c@d>\r\ni: id@h\r\nCSeq: 0007 INVITE\r\nMax-Forwards: 3\r\n\
        Require: 100rel\r\nSubject: s\r\nl: 4\r\n\r\nbody";

    const BUSY: &str = "SIP/2.0 486 Busy\r\nt: <sip:c@d>;tag=t\r\n\r\n";

    fn read(text: &str) -> Message<'_> {
        Message::parse_datagram(text.as_bytes()).unwrap()
    }

    fn text(out: Vec<u8>) -> String {
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn an_ack_takes_to_from_the_response_and_the_rest_from_the_invite() {
        let mut out = Vec::new();
        write_ack(&read(INVITE), &read(BUSY), &mut out).unwrap();
        let ack = text(out);
        assert_eq!(
            ack,
            "ACK sip:1@192.0.2.9;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1 ;branch=z9hG4bK1\r\n\
             Route: <sip:a;lr>,\r\n <sip:b;lr>\r\nRoute: <sip:c;lr>\r\n\
             From: \"A, B\" <sip:a@b>;tag=f\r\nTo: <sip:c@d>;tag=t\r\nCall-ID: id@h\r\nCSeq: 7 ACK\r\n\
             Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        assert_eq!(read(&ack).check_request(), Ok(()));
    }

    #[test]
    fn a_cancel_has_the_to_of_its_invite_and_says_why() {
        let mut out = Vec::new();
        let reason = b"SIP;cause=200;text=\"Call completed elsewhere\"";
        write_cancel(&read(INVITE), Some(reason), &mut out).unwrap();
        let cancel = text(out);
        assert!(cancel.starts_with("CANCEL sip:1@192.0.2.9;user=phone SIP/2.0\r\n"));
        assert!(cancel.contains("\r\nCSeq: 7 CANCEL\r\n"));
        assert!(!cancel.contains("Require") && !cancel.contains("\r\nVia: SIP/2.0/UDP c"));
        let (cancel, invite) = (read(&cancel), read(INVITE));
        assert_eq!(cancel.check_request(), Ok(()));
        for name in [HeaderName::From, HeaderName::To, HeaderName::CallId] {
            assert_eq!(cancel.first(name), invite.first(name));
        }
        assert!(
            cancel
                .values(HeaderName::Route)
                .eq(invite.values(HeaderName::Route))
        );
        assert_eq!(cancel.first(HeaderName::Reason), Some(&reason[..]));
        assert_eq!(
            cancel.top_via().unwrap().branch(),
            invite.top_via().unwrap().branch()
        );
    }

    #[test]
    fn what_is_no_invite_has_neither() {
        let response = read(BUSY);
        for (wrong, kind) in [
            (BUSY, ParseErrorKind::NotARequest),
            (
                "INVITE sip:a SIP/2.0\r\n\r\n",
                ParseErrorKind::Missing(HeaderName::Via),
            ),
            (
                &INVITE.replace("CSeq: 0007", "CSeq: x"),
                ParseErrorKind::CSeq,
            ),
            (
                &INVITE.replace("To:", "X:"),
                ParseErrorKind::Missing(HeaderName::To),
            ),
        ] {
            let mut out = Vec::new();
            let error = write_ack(&read(wrong), &response, &mut out).unwrap_err();
            let cancel = write_cancel(&read(wrong), None, &mut out);
            assert_eq!(cancel.map_err(|error| error.kind), Err(error.kind));
            assert_eq!(error.kind, kind, "{wrong}");
            assert!(out.is_empty());
        }
    }

    #[test]
    fn a_probe_is_a_request_that_passes() {
        let probe = OptionsProbe {
            uri: b"sip:192.0.2.9:5060",
            via: b"SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKp;rport",
            from: b"sip:ping@192.0.2.1",
            from_tag: b"p",
            contact: Some(b"sip:trunkline.example.net:5060"),
            call_id: b"p1",
            sequence: 12,
            max_forwards: 0,
            user_agent: Some(b"Trunkline"),
        };
        let mut out = Vec::new();
        probe.write(&mut out);
        let message = Message::parse_datagram(&out).unwrap();
        assert_eq!(message.check_request(), Ok(()));
        assert_eq!(message.method(), Some(Method::Options));
        assert_eq!(message.max_forwards(), Ok(Some(0)));
        assert_eq!(message.to().unwrap().uri.raw, probe.uri);
        let contact = message.contact().unwrap().unwrap();
        assert_eq!(Some(contact.uri.raw), probe.contact);
        assert_eq!(message.from().unwrap().tag(), Some(&b"p"[..]));
        assert_eq!(message.cseq().unwrap().number, 12);
        assert_eq!(message.content_length(), Ok(Some(0)));
        assert_eq!(
            message.first(HeaderName::UserAgent),
            Some(&b"Trunkline"[..])
        );
    }
}
