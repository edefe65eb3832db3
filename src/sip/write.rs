//! Replies to a request.

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};

use memchr::memchr;

use super::address::has_tag;
use super::header::CommaList;
use super::header_lines::{write_clean, write_line};
use super::message::Line;
use super::param::{Param, Params};
use super::{HeaderLines, HeaderName, Message, RequestHead, StatusCode, Via, block, scan};

/// An answer to a request (RFC 3261 §8.2.6), made of the request's own bytes.
///
/// Via, From, To, Call-ID and CSeq are copied byte for byte, folds apart: they
/// become one space; compact names are written long. What may differ is the top Via,
/// when [`Reply::source`] says where the request came from, and a tag added to To.
#[derive(Debug, Clone)]
pub struct Reply<'m, 'a> {
    request: &'m Message<'a>,
    status: StatusCode,
    reason: &'m [u8],
    source: Option<SocketAddr>,
    to_tag: Option<&'m [u8]>,
    head: Option<&'m RequestHead<'a>>,
}

impl<'m, 'a> Reply<'m, 'a> {
    /// An answer with that status and its usual reason phrase. The request is
    /// neither a response nor an ACK: those are not answered.
    #[inline]
    pub fn new(request: &'m Message<'a>, status: StatusCode) -> Self {
        let reason = status.reason_phrase().as_bytes();
        Self {
            request,
            status,
            reason,
            source: None,
            to_tag: None,
            head: None,
        }
    }

    /// Another reason phrase.
    #[must_use]
    #[inline]
    pub fn reason(mut self, reason: &'m [u8]) -> Self {
        self.reason = reason;
        self
    }

    /// Where the request came from. Adds `received` to the top Via where RFC 3261
    /// §18.2.1 wants it, fills in `rport` (RFC 3581 §4), and takes off what a
    /// client claimed of either.
    #[must_use]
    #[inline]
    pub fn source(mut self, source: SocketAddr) -> Self {
        self.source = Some(source);
        self
    }

    /// The tag To gets if it has none. Not for 100 Trying (RFC 3261 §8.2.6.2).
    #[must_use]
    #[inline]
    pub fn to_tag(mut self, tag: &'m [u8]) -> Self {
        self.to_tag = Some(tag);
        self
    }

    /// What has been read of this request already: it is not read again.
    #[must_use]
    #[inline]
    pub fn head(mut self, head: &'m RequestHead<'a>) -> Self {
        self.head = Some(head);
        self
    }

    /// Appends the answer to `out`, which keeps what it has.
    ///
    /// Whatever the request and the callers put in, no CR, LF or unescaped NUL
    /// comes out but the ends of the lines written here.
    pub fn write(&self, out: &mut Vec<u8>) {
        self.write_with([], out);
    }

    /// [`Reply::write`] with more header lines, each a name and a value.
    pub fn write_with<'h>(
        &self,
        headers: impl IntoIterator<Item = (&'h [u8], &'h [u8])>,
        out: &mut Vec<u8>,
    ) {
        self.write_start(out);
        for (name, value) in headers {
            write_line(name, value, out);
        }
        out.extend_from_slice(END);
    }

    /// [`Reply::write`] with more header lines that are ready.
    pub fn write_with_lines(&self, lines: [&HeaderLines; 2], out: &mut Vec<u8>) {
        self.write_start(out);
        for lines in lines {
            out.extend_from_slice(lines.as_bytes());
        }
        out.extend_from_slice(END);
    }

    /// The status line and what is the request's.
    fn write_start(&self, out: &mut Vec<u8>) {
        out.reserve(ROOM_BYTES);
        let [a, b, c] = self.status.digits();
        out.extend_from_slice(&[
            b'S', b'I', b'P', b'/', b'2', b'.', b'0', b' ', a, b, c, b' ',
        ]);
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
    }

    fn write_vias(&self, out: &mut Vec<u8>) {
        let mut vias = self.request.lines(HeaderName::Via);
        if let Some(top) = vias.next() {
            self.write_top_via(&top, out);
        }
        vias.for_each(|via| via.write(HeaderName::Via, out));
    }

    fn write_top_via(&self, top: &Line<'_>, out: &mut Vec<u8>) {
        let Some(source) = self.source else {
            return top.write(HeaderName::Via, out);
        };
        let read;
        let via = match self.head {
            Some(head) => Some(&head.top_via),
            None => {
                read = self.request.top_via().ok();
                read.as_ref()
            }
        };
        let Some(via) = via.filter(|via| via.steers || !is_sent_by(via, source.ip())) else {
            return top.write(HeaderName::Via, out);
        };
        out.extend_from_slice(b"Via: ");
        write_placed_via(top.value, via, source, out);
        out.extend_from_slice(b"\r\n");
    }

    fn write_to(&self, out: &mut Vec<u8>) {
        let Some(to) = self.request.line(HeaderName::To) else {
            return;
        };
        let is_tagged = |head: &RequestHead<'_>| head.to.tag().is_some();
        let tagged = || self.head.map_or_else(|| has_tag(to.value), is_tagged);
        to.write_open(HeaderName::To, out);
        if let Some(tag) = self.to_tag.filter(|_| !tagged()) {
            out.extend_from_slice(b";tag=");
            write_clean(tag, out);
        }
        out.extend_from_slice(b"\r\n");
    }

    fn write_copy(&self, name: HeaderName, out: &mut Vec<u8>) {
        if let Some(line) = self.request.line(name) {
            line.write(name, out);
        }
    }
}

/// Behind the header lines: an answer of ours has no body.
const END: &[u8] = b"Content-Length: 0\r\n\r\n";

/// Room that most answers need: asked for once, and not piece by piece.
const ROOM_BYTES: usize = 1_024;

/// Whether the Via says the address that the packet came from.
fn is_sent_by(via: &Via<'_>, source: IpAddr) -> bool {
    via.host
        .ip()
        .is_some_and(|sent_by| sent_by.to_canonical() == source.to_canonical())
}

/// The first value of the list with `received` and `rport` as the packet has them;
/// the other values as they came.
fn write_placed_via(list: &[u8], via: &Via<'_>, source: SocketAddr, out: &mut Vec<u8>) {
    let address = source.ip().to_canonical();
    let params = via.params.as_bytes();
    let before = match params {
        [b';', ..] => 0,
        _ => memchr(b';', params).unwrap_or(params.len()),
    };
    let params_at = scan::offset_in(list, params) + before;
    let element_end = if block::any(list, |block| block.equal(b',')) {
        let element = CommaList::new(list).next().unwrap_or(list);
        scan::offset_in(list, element) + element.len()
    } else {
        list.len()
    };
    let params = list.get(params_at..element_end).unwrap_or_default();
    write_clean(list.get(..params_at).unwrap_or_default(), out);
    let mut asked = false;
    for segment in Params::new(params).segments() {
        let name = Param::from_segment(segment).name;
        if name.eq_ignore_ascii_case(b"rport") {
            if !asked {
                out.extend_from_slice(b";rport=");
                write_number(source.port(), out);
            }
            asked = true;
        } else if !name.eq_ignore_ascii_case(b"received") {
            out.push(b';');
            write_clean(segment, out);
        }
    }
    if asked || !is_sent_by(via, address) {
        out.extend_from_slice(b";received=");
        write_address(address, out);
    }
    write_clean(list.get(element_end..).unwrap_or_default(), out);
}

pub(super) fn write_address(address: IpAddr, out: &mut Vec<u8>) {
    match address {
        IpAddr::V4(v4) => {
            for (i, octet) in v4.octets().into_iter().enumerate() {
                if i > 0 {
                    out.push(b'.');
                }
                write_number(octet.into(), out);
            }
        }
        IpAddr::V6(v6) => {
            // Writing to a Vec does not fail.
            let _ = write!(out, "{v6}");
        }
    }
}

/// In decimal, without the machinery of formatting.
pub(super) fn write_number(number: u16, out: &mut Vec<u8>) {
    if number >= 10 {
        write_number(number / 10, out);
    }
    out.push(b'0' + (number % 10) as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own message has failed.

    use super::*;

    fn request(via: &str, to: &str) -> String {
        format!(
            "INVITE sip:+442071838750@192.0.2.1 SIP/2.0\r\nv: {via}\r\nMax-Forwards: 70\r\n\
             Via:  SIP/2.0/TCP  far.example ;received=9.9.9.9;rport=1\r\n\
             From: \"J\r\n \t Doe\" <sip:a%0d%0a@b>;tag=1\r\nt: {to}\r\ni: id@b\r\nCSeq: 7 INVITE\r\n\
             Timestamp: 54\r\nSubject: none\r\n\r\n"
        )
    }

    fn reply(
        text: &str,
        write: impl for<'m, 'a> FnOnce(Reply<'m, 'a>) -> Reply<'m, 'a>,
        status: StatusCode,
    ) -> String {
        let message = Message::parse_datagram(text.as_bytes()).unwrap();
        let mut out = Vec::new();
        write(Reply::new(&message, status)).write(&mut out);
        String::from_utf8(out).unwrap()
    }

    /// The top Via of a reply to a request from that source.
    fn answered_via(via: &str, source: &str) -> String {
        let text = request(via, "<sip:c@d>");
        let source = source.parse().unwrap();
        let out = reply(&text, |reply| reply.source(source), StatusCode::OK);
        out.lines()
            .nth(1)
            .unwrap()
            .strip_prefix("Via: ")
            .unwrap()
            .to_owned()
    }

    #[test]
    fn a_reply_is_made_of_the_request() {
        let text = request("SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1", "<sip:c@d>");
        let message = Message::parse_datagram(text.as_bytes()).unwrap();
        let more: [(&[u8], &[u8]); 2] = [
            (b"Contact", b"<sip:x@y>;q=1.0"),
            (b"Reason", b"Q.850;cause=1\r\nEvil: yes\0"),
        ];
        let mut out = Vec::new();
        Reply::new(&message, StatusCode::MOVED_TEMPORARILY)
            .to_tag(b"t7")
            .write_with(more, &mut out);
        let out = String::from_utf8(out).unwrap();
        assert_eq!(
            out,
            "SIP/2.0 302 Moved Temporarily\r\nVia: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1\r\n\
             Via: SIP/2.0/TCP  far.example ;received=9.9.9.9;rport=1\r\n\
             From: \"J Doe\" <sip:a%0d%0a@b>;tag=1\r\nTo: <sip:c@d>;tag=t7\r\nCall-ID: id@b\r\nCSeq: 7 INVITE\r\n\
             Contact: <sip:x@y>;q=1.0\r\nReason: Q.850;cause=1 Evil: yes \r\nContent-Length: 0\r\n\r\n"
        );
    }

    #[test]
    fn a_tag_is_added_only_where_there_is_none() {
        for (to, expected) in [
            ("<sip:c@d>;tag=old", "To: <sip:c@d>;tag=old"),
            ("<sip:c@d> ; TAG = old", "To: <sip:c@d> ; TAG = old"),
            ("<sip:c@d;tag=uri>", "To: <sip:c@d;tag=uri>;tag=new"),
            ("sip:c@d;x=\";tag=1\"", "To: sip:c@d;x=\";tag=1\";tag=new"),
        ] {
            let out = reply(
                &request("SIP/2.0/UDP h", to),
                |reply| reply.to_tag(b"new"),
                StatusCode::OK,
            );
            assert_eq!(
                out.lines().find(|line| line.starts_with("To:")),
                Some(expected)
            );
        }
    }

    #[test]
    fn numbers_and_addresses_are_written_as_the_library_does() {
        for number in 0..=u16::MAX {
            let mut out = Vec::new();
            write_number(number, &mut out);
            assert_eq!(out, number.to_string().into_bytes());
        }
        for text in [
            "0.0.0.0",
            "192.0.2.1",
            "255.255.255.255",
            "::1",
            "2001:db8::9",
        ] {
            let mut out = Vec::new();
            write_address(text.parse().unwrap(), &mut out);
            assert_eq!(out, text.as_bytes());
        }
    }

    #[test]
    fn reading_first_changes_no_byte() {
        for (via, to) in [
            (
                "SIP/2.0/UDP 192.0.2.9;branch=z9hG4bK1;rport, SIP/2.0/UDP b",
                "<sip:c@d>",
            ),
            (
                "SIP/2.0/UDP h;received=1.2.3.4;branch=1",
                "<sip:c@d>;x=y ; tag=2",
            ),
        ] {
            let text = request(via, to);
            let source = "192.0.2.9:5060".parse().unwrap();
            let message = Message::parse_datagram(text.as_bytes()).unwrap();
            let head = message.read_request().unwrap();
            let reply = Reply::new(&message, StatusCode::OK)
                .source(source)
                .to_tag(b"t");
            let (mut plain, mut read) = (Vec::new(), Vec::new());
            reply.clone().write(&mut plain);
            reply.head(&head).write(&mut read);
            assert_eq!(plain, read);
        }
    }

    #[test]
    fn trying_repeats_the_timestamp_and_a_reason_may_be_ours() {
        let text = request("SIP/2.0/UDP h", "<sip:c@d>");
        let out = reply(
            &text,
            |reply| reply.reason(b"Your call\r\nis\0important"),
            StatusCode::TRYING,
        );
        assert!(
            out.starts_with("SIP/2.0 100 Your call is important\r\n")
                && out.contains("\r\nTimestamp: 54\r\n")
        );
        assert!(!reply(&text, |reply| reply, StatusCode::OK).contains("Timestamp"));
    }

    #[test]
    fn the_top_via_says_where_the_packet_came_from() {
        for (via, source, expected) in [
            (
                "SIP/2.0/UDP 192.0.2.9;branch=1",
                "192.0.2.9:5060",
                "SIP/2.0/UDP 192.0.2.9;branch=1",
            ),
            (
                "SIP/2.0/UDP 192.0.2.9;branch=1",
                "[::ffff:192.0.2.9]:5060",
                "SIP/2.0/UDP 192.0.2.9;branch=1",
            ),
            (
                "SIP/2.0/UDP 192.0.2.9;branch=1",
                "192.0.2.7:99",
                "SIP/2.0/UDP 192.0.2.9;branch=1;received=192.0.2.7",
            ),
            (
                "SIP/2.0/UDP gw.example",
                "192.0.2.7:99",
                "SIP/2.0/UDP gw.example;received=192.0.2.7",
            ),
            (
                "SIP/2.0/UDP 192.0.2.9;rport;branch=1",
                "192.0.2.9:99",
                "SIP/2.0/UDP 192.0.2.9;rport=99;branch=1;received=192.0.2.9",
            ),
            (
                "SIP/2.0/UDP h ; received = 6.6.6.6 ;rport=1;RPORT; x=\";rport\" , SIP/2.0/UDP b;rport",
                "[2001:db8::7]:99",
                "SIP/2.0/UDP h ;rport=99; x=\";rport\";received=2001:db8::7 , SIP/2.0/UDP b;rport",
            ),
            (
                "SIP/2.0/UDP 192.0.2.9;received=6.6.6.6",
                "192.0.2.9:1",
                "SIP/2.0/UDP 192.0.2.9",
            ),
            (
                "SIP / 2.0\r\n /UDP 192.0.2.9 ;\r\n branch = 1",
                "192.0.2.9:1",
                "SIP / 2.0 /UDP 192.0.2.9 ; branch = 1",
            ),
        ] {
            assert_eq!(answered_via(via, source), expected, "{via} from {source}");
        }
    }
}
