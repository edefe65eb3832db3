//! Hosts: names, IPv4 addresses, IPv6 references.

use std::fmt;
use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use memchr::memchr;
use nom::Parser;
use nom::branch::alt;
use nom::bytes::complete::{tag, take_while1};
use nom::combinator::map_opt;
use nom::sequence::delimited;

use super::grammar::Grammar;
use super::scan;

/// The host of a URI or of a Via.
#[derive(Debug, Clone, Copy)]
pub enum Host<'a> {
    /// A name, as it came. Also the empty host of a tel URI.
    Domain(&'a [u8]),
    /// An IPv4 address.
    Ipv4(Ipv4Addr),
    /// An IPv6 reference, its brackets taken off.
    Ipv6(Ipv6Addr),
}

impl<'a> Host<'a> {
    /// The host of a URI that has none.
    pub(super) const NONE: Self = Host::Domain(b"");

    /// Reads a whole value as a host; an IPv6 address with or without brackets,
    /// as `received` and `maddr` have it (RFC 5118 §4.5).
    pub fn parse(value: &'a [u8]) -> Option<Self> {
        match host(value) {
            Ok(([], host)) => Some(host),
            _ => ipv6(value).map(Self::Ipv6),
        }
    }

    /// The address, if the host is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match *self {
            Self::Domain(_) => None,
            Self::Ipv4(address) => Some(IpAddr::V4(address)),
            Self::Ipv6(address) => Some(IpAddr::V6(address)),
        }
    }

    /// The name, if the host is one.
    pub fn domain(&self) -> Option<&'a [u8]> {
        match *self {
            Self::Domain(name) => Some(name),
            _ => None,
        }
    }
}

/// Names compare without case, addresses by value (RFC 3261 §19.1.4).
impl PartialEq for Host<'_> {
    fn eq(&self, other: &Host<'_>) -> bool {
        match (self, other) {
            (Host::Domain(a), Host::Domain(b)) => a.eq_ignore_ascii_case(b),
            (Host::Ipv4(a), Host::Ipv4(b)) => a == b,
            (Host::Ipv6(a), Host::Ipv6(b)) => a == b,
            _ => false,
        }
    }
}

impl Eq for Host<'_> {}

impl Hash for Host<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Host::Domain(name) => name
                .iter()
                .for_each(|byte| state.write_u8(byte.to_ascii_lowercase())),
            Host::Ipv4(address) => address.hash(state),
            Host::Ipv6(address) => address.hash(state),
        }
    }
}

/// As in a URI: IPv6 in brackets.
impl fmt::Display for Host<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Domain(name) => name.escape_ascii().fmt(f),
            Host::Ipv4(address) => address.fmt(f),
            Host::Ipv6(address) => write!(f, "[{address}]"),
        }
    }
}

/// `host = hostname / IPv4address / IPv6reference`.
pub(super) fn host(input: &[u8]) -> Grammar<'_, Host<'_>> {
    let reference = delimited(
        tag(&b"["[..]),
        map_opt(
            take_while1(|byte: u8| byte.is_ascii_hexdigit() || matches!(byte, b':' | b'.')),
            ipv6,
        ),
        tag(&b"]"[..]),
    );
    let name = map_opt(take_while1(|byte| scan::is(byte, scan::HOST)), name_or_ipv4);
    alt((name, reference.map(Host::Ipv6))).parse(input)
}

/// A last label of digits only is no host name (`toplabel` begins with a letter),
/// so it is an IPv4 address or wrong.
fn name_or_ipv4(text: &[u8]) -> Option<Host<'_>> {
    let labels = text.strip_suffix(b".").unwrap_or(text);
    let last = labels.rsplit(|byte| *byte == b'.').next()?;
    if !last.is_empty() && last.iter().all(u8::is_ascii_digit) {
        return ipv4(text).map(Host::Ipv4);
    }
    let well_formed = labels
        .split(|byte| *byte == b'.')
        .all(|label| !label.is_empty() && label.first() != Some(&b'-'));
    well_formed.then_some(Host::Domain(text))
}

/// Four decimal numbers; leading zeros do not make them octal (RFC 3261 §25.1).
fn ipv4(text: &[u8]) -> Option<Ipv4Addr> {
    let mut octets = [0_u8; 4];
    let mut parts = text.split(|byte| *byte == b'.');
    for octet in &mut octets {
        let part = parts.next().filter(|part| part.len() <= 3)?;
        *octet = scan::decimal(part).and_then(|value| u8::try_from(value).ok())?;
    }
    parts.next().is_none().then(|| Ipv4Addr::from(octets))
}

/// An IPv6 address without brackets. The `:::` the grammar of RFC 3261 let slip
/// through is read as `::` (RFC 5118 §4.10).
pub(super) fn ipv6(text: &[u8]) -> Option<Ipv6Addr> {
    /// `8 x 4` digits and 7 colons, or 6 groups and an IPv4 address, and one colon too many.
    const TEXT_BYTES_MAX: usize = 46;
    memchr(b':', text)?;
    let text = std::str::from_utf8(text)
        .ok()
        .filter(|text| text.len() <= TEXT_BYTES_MAX)?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (head, tail) = text.split_once(":::")?;
    let mut repaired = arrayvec::ArrayString::<TEXT_BYTES_MAX>::new();
    repaired.try_push_str(head).ok()?;
    repaired.try_push_str("::").ok()?;
    repaired.try_push_str(tail).ok()?;
    repaired.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn hosts_are_names_or_addresses() {
        assert_eq!(
            Host::parse(b"192.0.02.001"),
            Some(Host::Ipv4(Ipv4Addr::new(192, 0, 2, 1)))
        );
        assert_eq!(
            Host::parse(b"Example.COM."),
            Some(Host::Domain(b"example.com."))
        );
        assert_eq!(Host::parse(b"[2001:db8::1]"), Host::parse(b"2001:DB8:0::1"));
        assert_eq!(
            Host::parse(b"[::ffff:192.0.2.10]")
                .and_then(|h| h.ip())
                .map(|ip| ip.to_canonical()),
            Some(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 10)))
        );
        assert_eq!(
            Host::parse(b"[2001:db8:::192.0.2.1]"),
            Host::parse(b"[2001:db8::192.0.2.1]")
        );
        for wrong in [
            &b""[..],
            b"256.1.1.1",
            b"1.2.3",
            b"1.2.3.4.5",
            b"0001.2.3.4",
            b"a..b",
            b"-a.b",
            b".",
            b"[]",
            b"[2001:db8::1",
            b"[::1%eth0]",
            b"a b",
            b"[2001::db8::1]",
        ] {
            assert_eq!(Host::parse(wrong), None, "{}", wrong.escape_ascii());
        }
    }

    proptest! {
        #[test]
        fn addresses_are_read_as_the_standard_library_writes_them(address: IpAddr) {
            let text = address.to_string();
            prop_assert_eq!(Host::parse(text.as_bytes()).and_then(|host| host.ip()), Some(address));
        }
    }
}
