//! Replies to a request, and where they go.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;
use memchr::{memchr, memchr3};

use super::address::has_tag;
use super::header::CommaList;
use super::param::{Param, Params};
use super::{HeaderName, Message, StatusCode, Via, scan};
use crate::limits::REPLY_HEADERS_MAX;

/// An answer to a request (RFC 3261 §8.2.6), made of the request's own bytes.
///
/// Via, From, To, Call-ID and CSeq are copied byte for byte, folds apart: they
/// become one space. What may differ is the top Via, when [`Reply::source`] says
/// where the request came from, and a tag added to To.
#[derive(Debug, Clone)]
pub struct Reply<'m, 'a> {
    request: &'m Message<'a>,
    status: StatusCode,
    reason: &'m [u8],
    source: Option<SocketAddr>,
    to_tag: Option<&'m [u8]>,
    headers: ArrayVec<(&'m [u8], &'m [u8]), REPLY_HEADERS_MAX>,
}

impl<'m, 'a> Reply<'m, 'a> {
    /// An answer with that status and its usual reason phrase. The request is
    /// neither a response nor an ACK: those are not answered.
    pub fn new(request: &'m Message<'a>, status: StatusCode) -> Self {
        let reason = status.reason_phrase().as_bytes();
        Self {
            request,
            status,
            reason,
            source: None,
            to_tag: None,
            headers: ArrayVec::new(),
        }
    }

    /// Another reason phrase.
    #[must_use]
    pub fn reason(mut self, reason: &'m [u8]) -> Self {
        self.reason = reason;
        self
    }

    /// Where the request came from. Adds `received` to the top Via where RFC 3261
    /// §18.2.1 wants it, fills in `rport` (RFC 3581 §4), and takes off what a
    /// client claimed of either.
    #[must_use]
    pub fn source(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// The tag To gets if it has none. Not for 100 Trying (RFC 3261 §8.2.6.2).
    #[must_use]
    pub fn to_tag(mut self, tag: &'m [u8]) -> Self {
        self.to_tag = Some(tag);
        self
    }

    /// One more header line. Beyond `limits::REPLY_HEADERS_MAX` lines it is left
    /// out: no caller of ours has that many.
    #[must_use]
    pub fn header(mut self, name: &'m [u8], value: &'m [u8]) -> Self {
        let kept = self.headers.try_push((name, value)).is_ok();
        debug_assert!(kept, "more than REPLY_HEADERS_MAX header lines in a reply");
        self
    }

    /// Appends the answer to `out`, which keeps what it has.
    ///
    /// Whatever the request and the callers put in, no CR, LF or unescaped NUL
    /// comes out but the ends of the lines written here.
    pub fn write(&self, out: &mut Vec<u8>) {
        // Writing to a Vec does not fail.
        let _ = write!(out, "SIP/2.0 {} ", self.status);
        write_clean(self.reason, out);
        out.extend_from_slice(b"\r\n");
        self.write_vias(out);
        self.write_copy(HeaderName::From, out);
        self.write_to(out);
        self.write_copy(HeaderName::CallId, out);
        self.write_copy(HeaderName::CSeq, out);
        if self.status == StatusCode::TRYING {
            self.write_copy(HeaderName::Timestamp, out);
        }
        for (name, value) in &self.headers {
            write_line(name, value, out);
        }
        out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    }

    fn write_vias(&self, out: &mut Vec<u8>) {
        let mut vias = self.request.all(HeaderName::Via);
        if let Some(top) = vias.next() {
            out.extend_from_slice(b"Via: ");
            match (self.source, self.request.top_via()) {
                (Some(source), Ok(via)) => write_top_via(top, &via, source, out),
                _ => write_clean(top, out),
            }
            out.extend_from_slice(b"\r\n");
        }
        vias.for_each(|via| write_line(b"Via", via, out));
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        let Some(to) = self.request.first(HeaderName::To) else {
            return;
        };
        out.extend_from_slice(b"To: ");
        write_clean(to, out);
        if let Some(tag) = self.to_tag.filter(|_| !has_tag(to)) {
            out.extend_from_slice(b";tag=");
            write_clean(tag, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_copy(&self, name: HeaderName, out: &mut Vec<u8>) {
        if let Some(value) = self.request.first(name) {
            write_line(name.as_str().as_bytes(), value, out);
        }
    }
}

/// Where the answer to a request over UDP goes (RFC 3261 §18.2.2, RFC 3581 §4):
/// to `maddr`, else to the source of the packet, at its port if `rport` asks for
/// that, else at the port of sent-by.
///
/// The Via is what the peer wrote, so it is believed only within reason: never a
/// multicast, broadcast or unspecified address, no loopback for a source that is
/// none, and never port 0.
pub fn reply_target(top_via: &Via<'_>, source: SocketAddr) -> SocketAddr {
    const DEFAULT_PORT: u16 = 5060;
    let sent_by_port = top_via
        .port
        .filter(|port| *port != 0)
        .unwrap_or(DEFAULT_PORT);
    if let Some(maddr) = top_via
        .maddr()
        .filter(|maddr| is_answerable(*maddr, source.ip()))
    {
        return SocketAddr::new(maddr, sent_by_port);
    }
    if top_via.rport().is_some() && source.port() != 0 {
        return source;
    }
    let mut target = source;
    target.set_port(sent_by_port);
    target
}

fn is_answerable(target: IpAddr, source: IpAddr) -> bool {
    let (target, source) = (target.to_canonical(), source.to_canonical());
    let broadcast = matches!(target, IpAddr::V4(address) if address.is_broadcast());
    let foreign_loopback = target.is_loopback() && !source.is_loopback();
    target.is_ipv4() == source.is_ipv4()
        && !(target.is_multicast() || target.is_unspecified() || broadcast || foreign_loopback)
}

/// The first value of the list with `received` and `rport` as the packet has them;
/// the other values as they came.
fn write_top_via(list: &[u8], via: &Via<'_>, source: SocketAddr, out: &mut Vec<u8>) {
    let address = source.ip().to_canonical();
    let element = CommaList::new(list).next().unwrap_or(list);
    let params = via.params.as_bytes();
    let params_at = scan::offset_in(list, params) + memchr(b';', params).unwrap_or(params.len());
    let element_end = scan::offset_in(list, element) + element.len();
    let params = list.get(params_at..element_end).unwrap_or_default();
    write_clean(list.get(..params_at).unwrap_or_default(), out);
    let mut asked = false;
    for segment in Params::new(params).segments() {
        let name = Param::from_segment(segment).name;
        if name.eq_ignore_ascii_case(b"rport") {
            if !asked {
                let _ = write!(out, ";rport={}", source.port());
            }
            asked = true;
        } else if !name.eq_ignore_ascii_case(b"received") {
            out.push(b';');
            write_clean(segment, out);
        }
    }
    let sent_from_there = via
        .host
        .ip()
        .is_some_and(|sent_by| sent_by.to_canonical() == address);
    if asked || !sent_from_there {
        let _ = write!(out, ";received={address}");
    }
    write_clean(list.get(element_end..).unwrap_or_default(), out);
}

fn write_line(name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    write_clean(name, out);
    out.extend_from_slice(b": ");
    write_clean(value, out);
    out.extend_from_slice(b"\r\n");
}

/// The value with each fold as one space (RFC 3261 §7.3.1), and with a space for
/// every other byte that would end the line for somebody.
fn write_clean(value: &[u8], out: &mut Vec<u8>) {
    let mut rest = value;
    while let Some(at) = memchr3(b'\r', b'\n', 0, rest) {
        let (before, tail) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        if let [0, tail @ ..] = tail {
            out.extend_from_slice(before);
            out.push(if scan::is_escaped(before) { 0 } else { b' ' });
            rest = tail;
            continue;
        }
        let blanks = before
            .iter()
            .rev()
            .take_while(|byte| scan::is_wsp(**byte))
            .count();
        out.extend_from_slice(before.get(..before.len() - blanks).unwrap_or_default());
        out.push(b' ');
        let fold = tail.iter().take_while(|byte| scan::is_lws(**byte)).count();
        rest = tail.get(fold..).unwrap_or_default();
    }
    out.extend_from_slice(rest);
}
