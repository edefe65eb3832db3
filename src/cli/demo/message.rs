//! What the agents say and hear, written and read with `rsip`.
//!
//! `rsip` takes a user part with a dot in it for a host, and a trunk context has dots:
//! Contacts are read by the crate's own parser, and addressed to `rsip` part by part.

use std::net::SocketAddr;

use rsip::headers;
use rsip::prelude::*;
use rsip::{Header, Method, Param, Request, Response, SipMessage, StatusCode, typed};

use crate::limits::ROUTES_MAX;
use crate::sip::{Host, NameAddr, Uri};

/// One end of a call as the other end sees it.
#[derive(Debug, Clone)]
pub(super) struct Leg {
    /// Shared by every request of the call.
    pub(super) call_id: String,
    /// Who calls, with the tag.
    pub(super) from: typed::From,
    /// Where answers are to be sent.
    pub(super) local: SocketAddr,
}

/// A response with the reason phrase as it came: `rsip` keeps only the code.
#[derive(Debug)]
pub(super) struct Heard {
    pub(super) response: Response,
    pub(super) reason: String,
}

/// One Contact of a redirect.
#[derive(Debug, Clone)]
pub(super) struct Target {
    /// The URI as it came.
    pub(super) text: String,
    /// The number or name before its parameters.
    pub(super) number: String,
    /// The host, which an SBC's own rows turn into an address.
    pub(super) host: String,
    /// The trunk group label (RFC 4904).
    pub(super) tgrp: Option<String>,
    /// To be called.
    pub(super) uri: rsip::Uri,
    q: f32,
}

impl Leg {
    /// A leg of a new call from `number`.
    pub(super) fn new(number: &str, local: SocketAddr) -> Self {
        let from = typed::From::from(at(number, local));
        Self {
            call_id: headers::CallId::default().value().to_owned(),
            from: from.with_tag(rsip::param::Tag::default()),
            local,
        }
    }

    /// A request without a body. Its branch is new.
    pub(super) fn request(
        &self,
        method: Method,
        uri: rsip::Uri,
        to: headers::To,
        cseq: u32,
    ) -> Request {
        let contact = typed::Contact::from(at("sbc", self.local));
        let headers: Vec<Header> = vec![
            typed::Via::from(rsip::Uri::from(self.local)).into(),
            headers::MaxForwards::default().into(),
            self.from.clone().into(),
            to.into(),
            headers::CallId::new(self.call_id.as_str()).into(),
            typed::CSeq { seq: cseq, method }.into(),
            contact.into(),
            headers::UserAgent::new("trunkline demo").into(),
            headers::ContentLength::default().into(),
        ];
        Request {
            method,
            uri,
            version: rsip::Version::V2,
            headers: headers.into(),
            body: Vec::new(),
        }
    }

    /// An INVITE with an offer.
    pub(super) fn invite(&self, uri: rsip::Uri, to: headers::To, cseq: u32) -> Request {
        let mut invite = self.request(Method::Invite, uri, to, cseq);
        put_sdp(&mut invite.headers, &mut invite.body, self.local);
        invite
    }
}

/// The ACK of a response that is no 2xx: part of its INVITE's transaction.
/// RFC 3261 §17.1.1.3.
pub(super) fn ack_of_refusal(invite: &Request, answer: &Response) -> Option<Request> {
    let number = invite.cseq_header().ok()?.typed().ok()?.seq;
    let headers: Vec<Header> = vec![
        invite.via_header().ok()?.clone().into(),
        headers::MaxForwards::default().into(),
        invite.from_header().ok()?.clone().into(),
        answer.to_header().ok()?.clone().into(),
        invite.call_id_header().ok()?.clone().into(),
        typed::CSeq {
            seq: number,
            method: Method::Ack,
        }
        .into(),
        headers::ContentLength::default().into(),
    ];
    Some(Request {
        method: Method::Ack,
        uri: invite.uri.clone(),
        version: rsip::Version::V2,
        headers: headers.into(),
        body: Vec::new(),
    })
}

/// A response to a request, with `tag` in its To. `None` if the request lacks what a
/// response must repeat. RFC 3261 §8.2.6.2.
pub(super) fn reply(request: &Request, status: StatusCode, tag: &str) -> Option<Response> {
    let mut to = request.to_header().ok()?.value().to_owned();
    if !to.contains(";tag=") {
        to.push_str(";tag=");
        to.push_str(tag);
    }
    let vias = request.headers.iter().filter_map(|header| match header {
        Header::Via(via) => Some(Header::from(via.clone())),
        _ => None,
    });
    let mut headers: Vec<Header> = vias.collect();
    headers.extend(record_routes(&request.headers).map(|route| Header::from(route.clone())));
    headers.extend([
        request.from_header().ok()?.clone().into(),
        headers::To::new(to).into(),
        request.call_id_header().ok()?.clone().into(),
        request.cseq_header().ok()?.clone().into(),
        headers::ContentLength::default().into(),
    ]);
    Some(Response {
        status_code: status,
        version: rsip::Version::V2,
        headers: headers.into(),
        body: Vec::new(),
    })
}

/// The Record-Routes of a message, in order.
fn record_routes(headers: &rsip::Headers) -> impl Iterator<Item = &headers::RecordRoute> {
    headers.iter().filter_map(|header| match header {
        Header::RecordRoute(route) => Some(route),
        _ => None,
    })
}

/// The 200 to an INVITE: with a Contact and an answer to its offer.
pub(super) fn accept(invite: &Request, tag: &str, local: SocketAddr) -> Option<Response> {
    let mut response = reply(invite, StatusCode::OK, tag)?;
    let contact = typed::Contact::from(rsip::Uri {
        scheme: Some(rsip::Scheme::Sip),
        ..local.into()
    });
    response.headers.push(contact.into());
    put_sdp(&mut response.headers, &mut response.body, local);
    Some(response)
}

/// A request, and what its Request-URI asks for.
#[derive(Debug)]
pub(super) struct Asked {
    /// The request, its Request-URI replaced: `rsip` fails at a label's dots.
    pub(super) request: Request,
    /// Whether the Request-URI names a trunk (RFC 4904 §5.3: by both parameters).
    pub(super) is_labelled: bool,
}

impl Asked {
    /// A datagram that is a request. What `rsip` cannot read was not sent by us.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let mut words = bytes.splitn(3, |byte| *byte == b' ');
        let (method, uri, rest) = (words.next()?, words.next()?, words.next()?);
        let user = Uri::parse(uri).ok()?.user;
        let has = |name: &[u8]| user.is_some_and(|user| user.param(name).is_some());
        let readable = [method, b" sip:agent@127.0.0.1 ", rest].concat();
        let SipMessage::Request(request) = SipMessage::try_from(readable).ok()? else {
            return None;
        };
        Some(Self {
            request,
            is_labelled: has(b"tgrp") && has(b"trunk-context"),
        })
    }
}

impl Heard {
    /// A datagram that is a response.
    pub(super) fn read(bytes: &[u8]) -> Option<Self> {
        let SipMessage::Response(response) = SipMessage::try_from(bytes).ok()? else {
            return None;
        };
        let line = bytes.split(|byte| *byte == b'\r').next()?;
        let reason = line.splitn(3, |byte| *byte == b' ').nth(2)?;
        let reason = String::from_utf8_lossy(reason).into_owned();
        Some(Self { response, reason })
    }

    pub(super) fn status(&self) -> u16 {
        self.response.status_code.code()
    }

    /// Whether it answers this request.
    pub(super) fn answers(&self, request: &Request) -> bool {
        let id = |message: &rsip::Headers| {
            message.iter().find_map(|header| match header {
                Header::CallId(id) => Some(id.value().trim().to_owned()),
                _ => None,
            })
        };
        let cseq = |message: &rsip::Headers| {
            message.iter().find_map(|header| match header {
                Header::CSeq(cseq) => Some(cseq.value().trim().to_owned()),
                _ => None,
            })
        };
        let (ours, theirs) = (&request.headers, &self.response.headers);
        id(ours) == id(theirs) && cseq(ours) == cseq(theirs)
    }

    /// The Routes of requests inside the dialog that it makes, for the caller:
    /// RFC 3261 §12.1.2.
    pub(super) fn routes(&self) -> Vec<Header> {
        let mut routes: Vec<Header> = record_routes(&self.response.headers)
            .map(|route| headers::Route::new(route.value()).into())
            .collect();
        routes.reverse();
        routes
    }

    /// Its Contacts, best first: by q, and as they stand where q is equal.
    pub(super) fn targets(&self) -> Vec<Target> {
        let contacts = self.response.contact_headers();
        let mut targets: Vec<Target> = contacts
            .into_iter()
            .filter_map(|contact| Target::read(contact.value().as_bytes()))
            .take(ROUTES_MAX)
            .collect();
        targets.sort_by(|a, b| b.q.total_cmp(&a.q));
        targets
    }
}

impl Target {
    fn read(contact: &[u8]) -> Option<Self> {
        let address = NameAddr::parse(contact).ok()?;
        let uri = &address.uri;
        let q = address
            .param(b"q")
            .and_then(|q| std::str::from_utf8(q).ok()?.parse().ok());
        Some(Self {
            text: text(uri.raw),
            number: uri.user.map(|user| text(user.number())).unwrap_or_default(),
            host: host(&uri.host).to_string(),
            tgrp: uri.user.and_then(|user| user.param(b"tgrp")).map(text),
            uri: for_rsip(uri),
            q: q.unwrap_or(1.0),
        })
    }
}

/// `sip:number@address;user=phone`, as an SBC dials.
pub(super) fn dialled(number: &str, at_address: SocketAddr) -> rsip::Uri {
    let mut uri = at(number, at_address);
    uri.params
        .push(Param::User(rsip::param::User::new("phone")));
    uri
}

/// `sip:user@address`.
pub(super) fn at(user: &str, address: SocketAddr) -> rsip::Uri {
    rsip::Uri {
        scheme: Some(rsip::Scheme::Sip),
        auth: Some((user, None::<String>).into()),
        ..address.into()
    }
}

/// `sip:user@host`.
pub(super) fn at_host(user: &str, host: &str) -> rsip::Uri {
    rsip::Uri {
        scheme: Some(rsip::Scheme::Sip),
        auth: Some((user, None::<String>).into()),
        host_with_port: rsip::Domain::from(host).into(),
        ..rsip::Uri::default()
    }
}

fn for_rsip(uri: &Uri<'_>) -> rsip::Uri {
    let param = |param: crate::sip::Param<'_>| {
        let value = param.value.map(|value| text(value).into());
        Param::Other(text(param.name).into(), value)
    };
    rsip::Uri {
        scheme: Some(rsip::Scheme::Sip),
        auth: uri
            .user
            .map(|user| (text(user.as_bytes()), None::<String>).into()),
        host_with_port: rsip::HostWithPort {
            host: host(&uri.host),
            port: uri.port.map(Into::into),
        },
        params: uri.params.iter().map(param).collect(),
        headers: Vec::new(),
    }
}

fn host(host: &Host<'_>) -> rsip::Host {
    match *host {
        Host::Domain(name) => rsip::Host::Domain(text(name).into()),
        Host::Ipv4(address) => rsip::Host::IpAddr(address.into()),
        Host::Ipv6(address) => rsip::Host::IpAddr(address.into()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// One audio stream to the discard port: the agents signal, they do not talk.
fn put_sdp(headers: &mut rsip::Headers, body: &mut Vec<u8>, local: SocketAddr) {
    let ip = local.ip();
    let family = if ip.is_ipv6() { "IP6" } else { "IP4" };
    let sdp = format!(
        "v=0\r\no=- 1 1 IN {family} {ip}\r\ns=-\r\nc=IN {family} {ip}\r\nt=0 0\r\n\
         m=audio 9 RTP/AVP 8\r\na=rtpmap:8 PCMA/8000\r\n"
    );
    headers.push(headers::ContentType::new("application/sdp").into());
    headers.unique_push(headers::ContentLength::new(sdp.len().to_string()).into());
    *body = sdp.into_bytes();
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    fn redirect(contacts: &str) -> Heard {
        let text = format!(
            "SIP/2.0 302 Moved Temporarily\r\nVia: SIP/2.0/UDP 127.0.0.1:9;branch=z9hG4bK1\r\n\
             From: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{contacts}\r\n"
        );
        Heard::read(text.as_bytes()).unwrap()
    }

    #[test]
    fn contacts_are_followed_by_q_and_keep_their_label() {
        let heard = redirect(
            "Contact: <sip:+44207@b.route>;q=0.5\r\n\
             Contact: <sip:+44207;tgrp=g-1;trunk-context=byoc.example.net@a.route;user=phone>;q=0.9\r\n\
             Contact: <sip:desk@c.route:5061>;q=0.5\r\n",
        );
        let targets = heard.targets();
        let hosts: Vec<&str> = targets.iter().map(|target| &*target.host).collect();
        assert_eq!(hosts, ["a.route", "b.route", "c.route"]);
        assert_eq!(targets[0].tgrp.as_deref(), Some("g-1"));
        for target in &targets {
            assert_eq!(target.uri.to_string(), target.text, "written as it came");
            let leg = Leg::new("+442079460122", "127.0.0.1:5070".parse().unwrap());
            let to = typed::To::from(at("0122", leg.local)).into();
            let bytes: Vec<u8> = leg.invite(target.uri.clone(), to, 2).into();
            let asked = Asked::read(&bytes).unwrap();
            assert_eq!(asked.is_labelled, target.tgrp.is_some());
        }
        assert_eq!(heard.reason, "Moved Temporarily");
    }

    #[test]
    fn an_invite_is_one_the_server_reads() {
        let local = "127.0.0.1:5070".parse().unwrap();
        let leg = Leg::new("+442079460123", local);
        let to = || typed::To::from(dialled("0123", local)).into();
        let bytes: Vec<u8> = leg.invite(dialled("0123", local), to(), 1).into();
        let message = crate::sip::Message::parse_datagram(&bytes).unwrap();
        message.check_request().unwrap();
        assert_eq!(
            message.uri().unwrap().raw,
            b"sip:0123@127.0.0.1:5070;user=phone"
        );
        assert_eq!(message.call_id().unwrap(), leg.call_id.as_bytes());
        assert!(message.body().starts_with(b"v=0\r\n"));
        let invite = Asked::read(&bytes).unwrap();
        assert!(!invite.is_labelled);
        let invite = invite.request;
        let answer = accept(&invite, "t", local).unwrap();
        let answer = Heard::read(&Vec::<u8>::from(answer)).unwrap();
        assert!(answer.answers(&invite) && answer.status() == 200);
        let other = Leg::new("1", local).invite(dialled("0123", local), to(), 1);
        assert!(!answer.answers(&other));
        let ack = ack_of_refusal(&invite, &answer.response).unwrap();
        assert_eq!(ack.via_header().unwrap(), invite.via_header().unwrap());
        assert!(ack.to_header().unwrap().value().ends_with(";tag=t"));
    }

    #[test]
    fn garbage_is_nothing() {
        for bytes in [
            &b""[..],
            b"\r\n\r\n",
            b"SIP/2.0 200",
            b"\xff\xfe\0",
            b"INVITE",
        ] {
            assert!(Asked::read(bytes).is_none() && Heard::read(bytes).is_none());
        }
    }
}
