//! From a message to the plain facts that routing asks for.

use std::net::{Ipv6Addr, SocketAddr};

use arrayvec::ArrayVec;
use jiff::Timestamp;

use super::event::DialledText;
use crate::limits::DIALLED_BYTES_MAX;
use crate::routing::{self, Arrival, Dialled, GroupId, Label, RequestFacts, RoutingTable};
use crate::sip::{Message, NameAddr, ParseError, RequestHead, Uri, UserPart};

/// What an INVITE says about a call, read once. Borrows from the datagram.
#[derive(Debug)]
pub struct CallFacts<'a> {
    /// The Request-URI.
    pub request_uri: Uri<'a>,
    /// The From.
    pub from: NameAddr<'a>,
    /// Host of the Request-URI, without brackets.
    pub host: &'a [u8],
    /// The number that was dialled.
    pub called: UserText<'a>,
    /// The caller; `None` is anonymous.
    pub calling: Option<UserText<'a>>,
    /// Label of the Request-URI, whole or not.
    pub label: Label<'a>,
}

impl<'a> CallFacts<'a> {
    /// Reads the facts of a request.
    ///
    /// # Errors
    /// What [`Message::read_request`] has to say about it.
    pub fn read(request: &Message<'a>) -> Result<Self, ParseError> {
        Ok(Self::of(request, &request.read_request()?))
    }

    /// The facts of a request whose head has been read.
    #[must_use]
    pub fn of(request: &Message<'a>, head: &RequestHead<'a>) -> Self {
        Self {
            host: head.uri.host_text(),
            called: UserText::of(head.uri.user),
            calling: calling(request, &head.from),
            label: label(&head.uri),
            request_uri: head.uri,
            from: head.from,
        }
    }

    /// What classification reads besides headers. RFC 4904 §5: the originating trunk
    /// group is a label of the Contact; From and Request-URI are looked at as well.
    #[must_use]
    pub fn arrival<'b>(
        &self,
        request: &Message<'a>,
        source: SocketAddr,
        listener: &'b str,
    ) -> Arrival<'b>
    where
        'a: 'b,
    {
        let contact = request.contact().ok().flatten();
        let contact = contact.as_ref().map(|contact| &contact.uri);
        Arrival {
            source: source.ip(),
            listener,
            contact_host: contact.map(Uri::host_text).unwrap_or_default(),
            from_host: self.from.uri.host_text(),
            request_host: self.host,
            labels: [
                contact.map(label).unwrap_or_default(),
                label(&self.from.uri),
                self.label,
            ],
        }
    }

    /// The trunk group a call arrives on that came from `source` to the listener of that name.
    /// Where nothing is asked of the message, it is not read for it.
    #[must_use]
    pub(super) fn classify(
        &self,
        request: &Message<'a>,
        (source, listener): (SocketAddr, &str),
        table: &RoutingTable,
    ) -> Option<GroupId> {
        let header = |name: &str| request.by_name(name.as_bytes()).next();
        let arrival = if routing::is_by_source_only(table) {
            Arrival::of_source(source.ip(), listener)
        } else {
            self.arrival(request, source, listener)
        };
        routing::classify(table, &arrival, header)
    }

    /// What routing asks of a call that arrived on `from` at `at`. Every door goes through
    /// here, so that the server, the proxy and the command line ask the same.
    #[must_use]
    pub fn request(&self, from: GroupId, call_id: &[u8], at: Timestamp) -> RequestFacts<'_> {
        RequestFacts {
            from,
            called: self.called.dialled(),
            calling: self.calling.as_ref().map(UserText::dialled),
            host: self.host,
            tgrp: self.tgrp(),
            at,
            call_hash: call_hash(call_id),
        }
    }

    /// `tgrp` of the Request-URI. Half a label is none (RFC 4904 §5.3).
    #[must_use]
    pub fn tgrp(&self) -> Option<&'a [u8]> {
        self.label.trunk_context.and(self.label.tgrp)
    }

    /// Appends the parameters that stood behind the dialled number and belong to it
    /// (`;ext=100`), each with its `;`. The caller's trunk group label and the context of
    /// a local number name what only the caller knows: they stay behind. Out of a tel URI
    /// they come escaped as a user part wants it (RFC 3261 §19.1.6).
    pub fn write_carried(&self, out: &mut Vec<u8>) {
        let Some(user) = self.request_uri.user else {
            return self.write_uri_parameters(out);
        };
        if user.is_bare() {
            return;
        }
        for parameter in user.as_bytes().split(|byte| *byte == b';').skip(1) {
            let name = parameter
                .split(|byte| *byte == b'=')
                .next()
                .unwrap_or_default();
            if !name.is_empty() && !NOT_CARRIED.iter().any(|not| name.eq_ignore_ascii_case(not)) {
                out.push(b';');
                parameter.iter().for_each(|byte| write_in_user(*byte, out));
            }
        }
    }
}

impl CallFacts<'_> {
    /// The parameters of a URI without a user part say whom it is for (a transfer of Teams:
    /// `;x-m=…;x-t=…`): all but those that say how to get there.
    fn write_uri_parameters(&self, out: &mut Vec<u8>) {
        let raw = self.request_uri.params.as_bytes();
        for parameter in raw.split(|byte| *byte == b';') {
            let name = parameter.split(|byte| *byte == b'=').next();
            let name = name.unwrap_or_default();
            let is_way = THE_WAY.iter().any(|way| name.eq_ignore_ascii_case(way));
            let is_sound = parameter.iter().all(|byte| is_in_parameter(*byte));
            if !name.is_empty() && !is_way && is_sound {
                out.push(b';');
                out.extend_from_slice(parameter);
            }
        }
    }
}

/// RFC 3261 §25.1 uri-parameter: a Contact is written around it.
const fn is_in_parameter(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'_' | b'.' | b'!' | b'~' | b'*' | b'\'' | b'(' | b')' | b'%' | b'='
        )
        || matches!(byte, b'[' | b']' | b'/' | b':' | b'&' | b'+' | b'$')
}

/// URI parameters that are for the hop before us: RFC 3261 §19.1.1, §25.1.
const THE_WAY: [&[u8]; 6] = [b"transport", b"maddr", b"ttl", b"lr", b"method", b"user"];

/// Writes what a parameter of a tel URI may hold (RFC 3966 §3) and a user part may not.
fn write_in_user(byte: u8, out: &mut Vec<u8>) {
    match byte {
        b':' => out.extend_from_slice(b"%3A"),
        b'[' => out.extend_from_slice(b"%5B"),
        b']' => out.extend_from_slice(b"%5D"),
        other => out.push(other),
    }
}

const NOT_CARRIED: [&[u8]; 3] = [b"tgrp", b"trunk-context", b"phone-context"];

/// The number of a user part, as it stands and with its escapes resolved once.
#[derive(Debug, Clone)]
pub struct UserText<'a> {
    raw: &'a [u8],
    decoded: Option<ArrayVec<u8, DIALLED_BYTES_MAX>>,
    phone_context: Option<&'a [u8]>,
}

impl<'a> UserText<'a> {
    fn of(user: Option<UserPart<'a>>) -> Self {
        let Some(user) = user else {
            return Self {
                raw: b"",
                decoded: None,
                phone_context: None,
            };
        };
        if user.is_bare() {
            return Self {
                raw: user.as_bytes(),
                decoded: None,
                phone_context: None,
            };
        }
        let raw = user.number();
        let decoded = raw.contains(&b'%').then(|| decoded(&user)).flatten();
        let has_params = raw.len() < user.as_bytes().len();
        Self {
            raw,
            decoded,
            phone_context: has_params.then(|| user.param(b"phone-context")).flatten(),
        }
    }

    /// What routing looks up.
    #[must_use]
    pub fn dialled(&self) -> Dialled<'_> {
        let number = self.decoded.as_deref().unwrap_or(self.raw);
        Dialled {
            number,
            raw: self.raw,
            phone_context: self.phone_context,
        }
    }

    /// The context of a local number.
    #[must_use]
    pub const fn phone_context(&self) -> Option<&'a [u8]> {
        self.phone_context
    }

    /// What is looked up, for observers.
    #[must_use]
    pub fn text(&self) -> DialledText {
        let number = self.dialled().number;
        let shown = number.get(..DIALLED_BYTES_MAX).unwrap_or(number);
        // It has just been cut to what fits.
        DialledText::try_from(shown).unwrap_or_default()
    }

    fn is_number(&self) -> bool {
        self.dialled()
            .number
            .first()
            .is_some_and(|first| *first == b'+' || first.is_ascii_digit())
    }
}

/// Escapes resolved once. `None` when what comes out is longer than any number or holds
/// a control byte: it is then looked up, and sent on, as it stands.
fn decoded(user: &UserPart<'_>) -> Option<ArrayVec<u8, DIALLED_BYTES_MAX>> {
    let mut room = [0; DIALLED_BYTES_MAX];
    Some(user.decode_number(&mut room)?.iter().copied().collect())
}

/// The caller: what the trusted side asserts (RFC 3325 §9.1), a number before a name,
/// otherwise the From. `None` when neither shows anybody.
fn calling<'a>(request: &Message<'a>, from: &NameAddr<'a>) -> Option<UserText<'a>> {
    let mut named = None;
    for asserted in request.p_asserted_identity().filter_map(Result::ok) {
        let user = UserText::of(asserted.uri.user);
        if user.is_number() {
            return Some(user);
        }
        if named.is_none() && !user.raw.is_empty() {
            named = Some(user);
        }
    }
    if named.is_some() {
        return named;
    }
    let user = UserText::of(from.uri.user);
    let anonymous = user.raw.is_empty()
        || user.raw.eq_ignore_ascii_case(b"anonymous")
        || from
            .uri
            .host_text()
            .eq_ignore_ascii_case(b"anonymous.invalid");
    (!anonymous).then_some(user)
}

fn label<'a>(uri: &Uri<'a>) -> Label<'a> {
    let labelled = uri.user.filter(|user| !user.is_bare());
    labelled.map_or_else(Label::default, |user| Label {
        tgrp: user.param(b"tgrp"),
        trunk_context: user.param(b"trunk-context"),
    })
}

/// Spreads calls over trunks: a hash of the Call-ID that every worker, every restart
/// and every node computes alike. Eight bytes at a time, each word multiplied and folded;
/// stirred in the end so that all bits count.
#[must_use]
pub fn call_hash(call_id: &[u8]) -> u64 {
    let (words, tail) = call_id.as_chunks();
    let fold = |hash: u64, word: u64| {
        let mixed = (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 32)
    };
    let folded = words.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, word| {
        fold(hash, u64::from_le_bytes(*word))
    });
    let last = tail
        .iter()
        .fold(0, |last, byte| last << 8 | u64::from(*byte));
    let folded = if tail.is_empty() {
        folded
    } else {
        fold(folded, last)
    };
    let stirred = (folded ^ (folded >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    stirred ^ (stirred >> 33)
}

/// Whether an answer may be sent there: one host, and a port. Never multicast,
/// broadcast, unspecified or IPv4-mapped addresses, whatever a Via or a packet claims.
#[must_use]
pub fn is_answerable(to: SocketAddr) -> bool {
    let (unspecified, crowd) = match to {
        SocketAddr::V4(v4) => (
            v4.ip().is_unspecified(),
            v4.ip().is_broadcast() || v4.ip().is_multicast(),
        ),
        SocketAddr::V6(v6) => (
            v6.ip().is_unspecified(),
            v6.ip().is_multicast() || is_mapped(v6.ip()),
        ),
    };
    to.port() != 0 && !unspecified && !crowd
}

fn is_mapped(ip: &Ipv6Addr) -> bool {
    ip.to_ipv4_mapped().is_some()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test may fail loudly
    use super::*;

    #[test]
    fn nothing_is_sent_to_crowds_or_nowhere() {
        let bad = [
            "255.255.255.255:5060",
            "224.0.0.1:5060",
            "0.0.0.0:5060",
            "10.0.0.1:0",
            "[ff02::1]:5060",
            "[::]:5060",
            "[::ffff:10.0.0.1]:5060",
        ];
        for bad in bad {
            assert!(!is_answerable(bad.parse().unwrap()), "{bad}");
        }
        for good in ["10.0.0.1:5060", "[2001:db8::1]:5060", "127.0.0.1:1"] {
            assert!(is_answerable(good.parse().unwrap()), "{good}");
        }
    }

    #[test]
    fn escapes_are_resolved_once_and_never_into_control_bytes() {
        let decoded = |raw| decoded(&UserPart::new(raw));
        assert_eq!(decoded(b"%2b44%32").unwrap().as_slice(), b"+442");
        assert_eq!(decoded(b"%252b;ext=1").unwrap().as_slice(), b"%2b");
        for refused in [&b"1%00"[..], b"1%0d%0a", &[b'1'; 65]] {
            assert!(decoded(refused).is_none());
        }
    }

    /// Found by fuzzing: a colon would have made a password of what follows it.
    #[test]
    fn parameters_of_a_tel_uri_are_carried_as_a_user_part_can_hold_them() {
        let request = "INVITE tel:7042;a:b=[c]/d;ext=3;phone-context=x SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <tel:1>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n";
        let message = Message::parse_datagram(request.as_bytes()).unwrap();
        let mut carried = Vec::new();
        CallFacts::read(&message)
            .unwrap()
            .write_carried(&mut carried);
        assert_eq!(carried, b";a%3Ab=%5Bc%5D/d;ext=3");
        let uri = [b"sip:7042", &carried[..], b"@gw.example"].concat();
        assert!(Uri::parse(&uri).is_ok());
    }

    /// Who is transferred to stands in the parameters; what would break the Contact around
    /// them, or says how to get to us, stays behind.
    #[test]
    fn parameters_of_a_uri_without_a_user_are_carried() {
        let request = "INVITE sip:a.example;transport=tls;x-m=8:orgid:1;lr;x-t=2;User=ip SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nFrom: <sip:1@a>;tag=1\r\nTo: <sip:c@d>\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n";
        let message = Message::parse_datagram(request.as_bytes()).unwrap();
        let facts = CallFacts::read(&message).unwrap();
        let mut carried = Vec::new();
        facts.write_carried(&mut carried);
        assert_eq!(carried, b";x-m=8:orgid:1;x-t=2");
    }

    #[test]
    fn equal_call_ids_hash_alike_and_neighbours_do_not() {
        assert_eq!(call_hash(b"a@b"), call_hash(b"a@b"));
        // Other machines of other orders of bytes compute the same.
        assert_eq!(
            call_hash(b"14123939262411202619015@10.20.0.11"),
            16_906_526_849_441_843_944
        );
        let shares = (0..3000_u32)
            .filter(|n| call_hash(format!("{n}@10.0.0.1").as_bytes()).is_multiple_of(3))
            .count();
        assert!(
            (900..1100).contains(&shares),
            "{shares} of 3000 went to the first of three"
        );
    }
}
