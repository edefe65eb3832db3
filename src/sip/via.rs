//! The Via header field (RFC 3261 §20.42, RFC 3581).

use std::fmt;
use std::net::IpAddr;

use nom::Parser;
use nom::bytes::complete::take_while1;
use nom::combinator::{map_opt, opt};
use nom::sequence::{preceded, terminated};

use super::grammar::{Grammar, lws, separator, stopped_in, token};
use super::header::CommaList;
use super::host::{Host, host};
use super::param::{NameLengths, Params, Wanted, header_params};
use super::{ParseError, ParseErrorKind, plain, scan};

/// One value of a Via header field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Via<'a> {
    /// The transport it was sent over.
    pub transport: Transport<'a>,
    /// The host of sent-by.
    pub host: Host<'a>,
    /// The port of sent-by, if it is written.
    pub port: Option<u16>,
    /// The parameters.
    pub params: Params<'a>,
    branch: Wanted<'a>,
    /// Whether one of the parameters may be maddr, rport or received: those that say where
    /// answers go. Told by the lengths of their names.
    pub(super) steers: bool,
}

/// The transport named in a Via, read without case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Transport<'a> {
    /// UDP.
    Udp,
    /// TCP.
    Tcp,
    /// TLS over TCP.
    Tls,
    /// SCTP.
    Sctp,
    /// WebSocket.
    Ws,
    /// WebSocket over TLS.
    Wss,
    /// Any other, as it came.
    Other(&'a [u8]),
}

impl<'a> Via<'a> {
    /// Reads one value and nothing behind it.
    ///
    /// # Errors
    /// [`ParseErrorKind::Via`] or [`ParseErrorKind::Parameter`], at the byte of `value`.
    pub fn parse(value: &'a [u8]) -> Result<Self, ParseError> {
        match Self::parse_first(value)? {
            (via, []) => Ok(via),
            (_, rest) => Err(ParseError::new(
                ParseErrorKind::Via,
                scan::offset_in(value, rest),
            )),
        }
    }

    /// Reads the first value of a comma list; answers the rest from its comma on.
    pub(super) fn parse_first(value: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        if let Some(plain) = plain::via(value) {
            return Ok(plain);
        }
        Self::parse_grammar(value)
    }

    /// As [`Via::parse_first`], whatever form the value has.
    pub(super) fn parse_grammar(value: &'a [u8]) -> Result<(Self, &'a [u8]), ParseError> {
        let (rest, (transport, host, port)) =
            sent_protocol_and_by(value).map_err(stopped_in(value, ParseErrorKind::Via))?;
        let (rest, params) = terminated(header_params, lws)
            .parse(rest)
            .map_err(stopped_in(value, ParseErrorKind::Parameter))?;
        match rest.first() {
            None | Some(b',') => {
                let branch = Wanted::find(params, b"branch");
                let steers = steers(params.name_lengths());
                Ok((
                    Self::from_parts(transport, host, port, params, branch, steers),
                    rest,
                ))
            }
            Some(b';' | b'=') => Err(ParseError::new(
                ParseErrorKind::Parameter,
                scan::offset_in(value, rest),
            )),
            Some(_) => Err(ParseError::new(
                ParseErrorKind::Via,
                scan::offset_in(value, rest),
            )),
        }
    }

    /// As [`Via::parse_first`], whatever the parameters look like: enough to answer.
    pub(super) fn salvage_first(value: &'a [u8]) -> Option<Self> {
        let element = CommaList::new(value).next()?;
        let (rest, (transport, host, port)) = sent_protocol_and_by(element).ok()?;
        let params = Params::new(rest);
        let branch = Wanted::find(params, b"branch");
        let steers = steers(params.name_lengths());
        Some(Self::from_parts(
            transport, host, port, params, branch, steers,
        ))
    }

    #[inline]
    pub(super) const fn from_parts(
        transport: Transport<'a>,
        host: Host<'a>,
        port: Option<u16>,
        params: Params<'a>,
        branch: Wanted<'a>,
        steers: bool,
    ) -> Self {
        Self {
            transport,
            host,
            port,
            params,
            branch,
            steers,
        }
    }

    /// The value of a parameter, its name in any case.
    pub fn param(&self, name: &[u8]) -> Option<&'a [u8]> {
        self.params.get(name)
    }

    /// The branch: the transaction this hop belongs to.
    pub const fn branch(&self) -> Option<&'a [u8]> {
        self.branch.value
    }

    /// Whether there are several branches.
    pub(super) const fn branch_is_repeated(&self) -> bool {
        self.branch.repeated
    }

    /// Whether the branch is one of RFC 3261: it begins with the magic cookie and
    /// goes on (§8.1.1.7). Otherwise the transaction is matched as RFC 2543 did.
    pub fn branch_is_unique(&self) -> bool {
        const MAGIC_COOKIE: &[u8] = b"z9hG4bK";
        self.branch()
            .and_then(|branch| branch.split_at_checked(MAGIC_COOKIE.len()))
            .is_some_and(|(cookie, rest)| {
                cookie.eq_ignore_ascii_case(MAGIC_COOKIE) && !rest.is_empty()
            })
    }

    /// The address a server saw the request come from, if it says so and it is one;
    /// IPv6 with or without brackets (RFC 5118 §4.5).
    pub fn received(&self) -> Option<IpAddr> {
        self.params.get(b"received").and_then(Host::parse)?.ip()
    }

    /// RFC 3581: `None` when there is no `rport`, `Some(None)` when it asks for the
    /// port, `Some(Some(port))` when a server filled it in.
    pub fn rport(&self) -> Option<Option<u16>> {
        self.params.get(b"rport").map(scan::port)
    }

    /// The address in `maddr`, if it is one.
    pub fn maddr(&self) -> Option<IpAddr> {
        self.params.get(b"maddr").and_then(Host::parse)?.ip()
    }
}

/// Whether names of such lengths may be maddr, rport or received.
#[inline]
pub(super) const fn steers(name_lengths: NameLengths) -> bool {
    const WANTED: u32 = 1 << b"maddr".len() | 1 << b"rport".len() | 1 << b"received".len();
    name_lengths & WANTED != 0
}

impl<'a> Transport<'a> {
    /// The transport these bytes name.
    pub fn from_bytes(name: &'a [u8]) -> Self {
        const KNOWN: [Transport<'static>; 6] = [
            Transport::Udp,
            Transport::Tcp,
            Transport::Tls,
            Transport::Sctp,
            Transport::Ws,
            Transport::Wss,
        ];
        let known = KNOWN
            .into_iter()
            .find(|known| known.as_bytes().eq_ignore_ascii_case(name));
        known.unwrap_or(Self::Other(name))
    }

    /// The name as RFC 3261 and RFC 7118 write it.
    pub const fn as_bytes(&self) -> &'a [u8] {
        match *self {
            Self::Udp => b"UDP",
            Self::Tcp => b"TCP",
            Self::Tls => b"TLS",
            Self::Sctp => b"SCTP",
            Self::Ws => b"WS",
            Self::Wss => b"WSS",
            Self::Other(name) => name,
        }
    }
}

impl fmt::Display for Transport<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes().escape_ascii().fmt(f)
    }
}

type ProtocolAndBy<'a> = (Transport<'a>, Host<'a>, Option<u16>);

/// `sent-protocol LWS sent-by`.
fn sent_protocol_and_by(input: &[u8]) -> Grammar<'_, ProtocolAndBy<'_>> {
    let transport = (token, separator(b"/"), token, separator(b"/"), token)
        .map(|(.., name)| Transport::from_bytes(name));
    let port_digits = map_opt(take_while1(|byte: u8| byte.is_ascii_digit()), scan::port);
    let port = opt(preceded(separator(b":"), port_digits));
    (terminated(transport, take_while1(scan::is_lws)), host, port).parse(input)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // A test that cannot read its own Via has failed.

    use super::*;

    fn via(text: &str) -> Via<'_> {
        Via::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn the_parts_of_a_via() {
        let plain = via("SIP/2.0/UDP gw.example:5080;branch=z9hG4bK=1=2;rport;received=192.0.2.7");
        assert_eq!((plain.transport, plain.port), (Transport::Udp, Some(5080)));
        assert_eq!(plain.host, Host::Domain(b"gw.example"));
        assert_eq!(plain.branch(), Some(&b"z9hG4bK=1=2"[..]));
        assert_eq!(
            (plain.rport(), plain.received()),
            (Some(None), Some(IpAddr::from([192, 0, 2, 7])))
        );
        assert!(plain.branch_is_unique());

        let spread = via(
            "SIP\r\n / 2.0 / tls\r\n\t[2001:db8::9]\t: 5061 ; rport = 99 ;\r\n branch = 390skd ",
        );
        assert_eq!(
            (spread.transport, spread.port, spread.rport()),
            (Transport::Tls, Some(5061), Some(Some(99)))
        );
        assert_eq!(spread.host, Host::Ipv6("2001:db8::9".parse().unwrap()));
        assert!(!spread.branch_is_unique());
        assert!(!via("SIP/2.0/UDP h;branch=z9hG4bK").branch_is_unique());
    }

    #[test]
    fn received_takes_ipv6_with_and_without_brackets() {
        let address: IpAddr = "2001:db8::9:255".parse().unwrap();
        assert_eq!(
            via("SIP/2.0/UDP h;received=[2001:db8::9:255]").received(),
            Some(address)
        );
        assert_eq!(
            via("SIP/2.0/UDP h;received=2001:db8::9:255").received(),
            Some(address)
        );
        assert_eq!(via("SIP/2.0/UDP h;received=gw.example").received(), None);
    }

    #[test]
    fn unknown_transports_are_kept() {
        assert_eq!(
            via("SIP/2.0/Pigeon h").transport,
            Transport::Other(b"Pigeon")
        );
        assert_eq!(via("SIP/2.0/wss h").transport.as_bytes(), b"WSS");
    }

    #[test]
    fn what_is_no_via_is_refused() {
        for wrong in [
            "",
            "SIP/2.0/UDP",
            "SIP/2.0 h",
            "SIP/2.0/UDPh",
            "SIP/2.0/UDP 2001:db8::1",
            "SIP/2.0/UDP h:70000",
            "SIP/2.0/UDP h;;,;,,",
            "SIP/2.0/UDP h;branch=",
            "SIP/2.0/UDP h x",
            "SIP/2.0/UDP a, SIP/2.0/UDP b",
        ] {
            assert!(Via::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    /// As a list it is one Via with a comment, read from the left it would be two: an answer
    /// could not repeat it alike.
    #[test]
    fn a_comment_is_no_value_of_a_parameter() {
        let comment = b"SIP/2.0/UDP h;maddr= (a,SIP/2.0/UDP b;received=c)";
        assert!(Via::parse_first(comment).is_err());
        // Without a blank it opens none.
        let (first, rest) = Via::parse_first(b"SIP/2.0/UDP h;x=(a, SIP/2.0/UDP b").unwrap();
        assert_eq!(first.param(b"x"), Some(&b"(a"[..]));
        assert_eq!(rest, b", SIP/2.0/UDP b");
    }

    #[test]
    fn the_first_of_a_list_is_read_up_to_its_comma() {
        let (first, rest) = Via::parse_first(b"SIP/2.0/UDP a;x=\",\" , SIP/2.0/UDP b").unwrap();
        assert_eq!(
            (first.host, rest),
            (Host::Domain(b"a"), &b", SIP/2.0/UDP b"[..])
        );
        let damaged = Via::salvage_first(b"SIP/2.0/UDP 192.0.2.15;;;x=\xff;branch=1,;,").unwrap();
        assert_eq!(damaged.branch(), Some(&b"1"[..]));
        assert!(Via::salvage_first(b"SIP/2.0/UDP ;;").is_none());
    }
}
