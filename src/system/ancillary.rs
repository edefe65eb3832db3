//! Socket addresses and ancillary values as the kernel writes them, read and written byte by
//! byte.

#![forbid(unsafe_code)] // Beside the module that may.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// A socket address as the kernel writes it, of either family.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Name(pub(super) [u8; NAME_BYTES]);

/// Ancillary values of one datagram, or of a run of them: one address and an interface, and
/// the length of each.
#[derive(Debug, Clone, Copy)]
#[repr(C, align(8))]
pub(super) struct Control(pub(super) [u8; CONTROL_BYTES]);

/// Ancillary values of one error: an address that was asked, an extended error and the
/// address of who reported it.
#[repr(C, align(8))]
pub(super) struct ErrorControl(pub(super) [u8; ERROR_CONTROL_BYTES]);

pub(super) const ERROR_CONTROL_BYTES: usize = 256;
pub(super) const NAME_BYTES: usize = size_of::<libc::sockaddr_in6>();
pub(super) const CONTROL_BYTES: usize = 64;
const HEADER_BYTES: usize = size_of::<libc::cmsghdr>();

const _: () = assert!(
    space(size_of::<libc::in6_pktinfo>()) + space(size_of::<SegmentBytes>()) <= CONTROL_BYTES
);

/// The bytes of a C struct, field by field.
struct Fields<'b>(&'b [u8]);

impl Fields<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (field, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*field)
    }

    fn skip(&mut self, bytes: usize) -> Option<()> {
        self.0 = self.0.get(bytes..)?;
        Some(())
    }
}

/// `sockaddr_in`: family, port, address. `sockaddr_in6`: family, port, flow, address, scope.
pub(super) fn read_name(name: &[u8]) -> Option<SocketAddr> {
    let mut name = Fields(name);
    let family = i32::from(u16::from_ne_bytes(name.take()?));
    let port = u16::from_be_bytes(name.take()?);
    match family {
        libc::AF_INET => Some((Ipv4Addr::from(name.take::<4>()?), port).into()),
        libc::AF_INET6 => {
            let flow = u32::from_be_bytes(name.take()?);
            let ip = Ipv6Addr::from(name.take::<16>()?);
            let scope = u32::from_ne_bytes(name.take()?);
            Some(SocketAddrV6::new(ip, port, flow, scope).into())
        }
        _ => None,
    }
}

/// What [`read_name`] reads, and its length.
pub(super) fn write_name(address: SocketAddr) -> (Name, usize) {
    let mut name = Name([0; NAME_BYTES]);
    let (family, port) = match address {
        SocketAddr::V4(_) => (libc::AF_INET, address.port()),
        SocketAddr::V6(_) => (libc::AF_INET6, address.port()),
    };
    put(&mut name.0, 0, &(family as libc::sa_family_t).to_ne_bytes());
    put(&mut name.0, 2, &port.to_be_bytes());
    let length = match address {
        SocketAddr::V4(v4) => {
            put(&mut name.0, 4, &v4.ip().octets());
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            put(&mut name.0, 4, &v6.flowinfo().to_be_bytes());
            put(&mut name.0, 8, &v6.ip().octets());
            put(&mut name.0, 24, &v6.scope_id().to_ne_bytes());
            NAME_BYTES
        }
    };
    (name, length)
}

/// The address in `IP_PKTINFO` (interface, local address, address of the header) or
/// `IPV6_PKTINFO` (address, interface), when it is one that may be sent from.
pub(super) fn read_asked(control: &[u8]) -> Option<IpAddr> {
    let mut fields = Fields(control);
    fields.skip(size_of::<usize>())?;
    let level = i32::from_ne_bytes(fields.take()?);
    let kind = i32::from_ne_bytes(fields.take()?);
    match (level, kind) {
        (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
            fields.skip(size_of::<libc::c_int>())?;
            let local = Ipv4Addr::from(fields.take::<4>()?);
            (!local.is_unspecified()).then_some(local.into())
        }
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
            let asked = Ipv6Addr::from(fields.take::<16>()?);
            (!asked.is_multicast()).then_some(asked.into())
        }
        _ => None,
    }
}

/// Whether the `IP_RECVERR` or `IPV6_RECVERR` among ancillary values says that a peer cannot
/// be reached; `None` without one. Its fields: errno, origin, type, code.
pub(super) fn read_unreachable(mut control: &[u8]) -> Option<bool> {
    loop {
        let mut fields = Fields(control);
        let length = usize::from_ne_bytes(fields.take()?);
        let level = i32::from_ne_bytes(fields.take()?);
        let kind = i32::from_ne_bytes(fields.take()?);
        if matches!(
            (level, kind),
            (libc::IPPROTO_IP, libc::IP_RECVERR) | (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)
        ) {
            fields.skip(size_of::<u32>())?;
            let [origin, kind, code] = fields.take()?;
            return Some(is_unreachable(origin, kind, code));
        }
        let next = length
            .max(HEADER_BYTES)
            .next_multiple_of(size_of::<usize>());
        control = control.get(next..)?;
    }
}

/// ICMP (RFC 792): destination unreachable but for "fragmentation needed", and parameter
/// problem. ICMPv6 (RFC 4443): the same two.
pub(super) const fn is_unreachable(origin: u8, kind: u8, code: u8) -> bool {
    match (origin, kind) {
        (libc::SO_EE_ORIGIN_ICMP, 3) => code != 4,
        (libc::SO_EE_ORIGIN_ICMP, 12) | (libc::SO_EE_ORIGIN_ICMP6, 1 | 4) => true,
        _ => false,
    }
}

/// Ancillary values, and how many bytes of them are written.
pub(super) type Written = (Control, usize);

/// Has a datagram leave from `from`. The interface of a link-local address is that of the
/// peer; any other is for the routing of the system to find.
pub(super) fn write_source(written: &mut Written, from: IpAddr, to: SocketAddr) {
    match from {
        IpAddr::V4(from) => {
            let mut data = [0; size_of::<libc::in_pktinfo>()];
            put(&mut data, 4, &from.octets());
            write_value(written, (libc::IPPROTO_IP, libc::IP_PKTINFO), &data);
        }
        IpAddr::V6(from) => {
            let mut data = [0; size_of::<libc::in6_pktinfo>()];
            put(&mut data, 0, &from.octets());
            if let (SocketAddr::V6(to), true) = (to, from.is_unicast_link_local()) {
                put(&mut data, 16, &to.scope_id().to_ne_bytes());
            }
            write_value(written, (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO), &data);
        }
    }
}

/// What `UDP_SEGMENT` says.
type SegmentBytes = u16;

/// Has the bytes leave as datagrams of this length each; the last may be shorter.
pub(super) fn write_segments(written: &mut Written, bytes: usize) {
    // `runs` makes none of longer letters.
    let bytes = SegmentBytes::try_from(bytes).unwrap_or(SegmentBytes::MAX);
    let kind = (libc::SOL_UDP, libc::UDP_SEGMENT);
    write_value(written, kind, &bytes.to_ne_bytes());
}

fn write_value((control, length): &mut Written, (level, kind): (i32, i32), data: &[u8]) {
    let at = *length;
    let cmsg_len = HEADER_BYTES + data.len();
    put(&mut control.0, at, &cmsg_len.to_ne_bytes());
    put(
        &mut control.0,
        at + size_of::<usize>(),
        &level.to_ne_bytes(),
    );
    put(
        &mut control.0,
        at + size_of::<usize>() + 4,
        &kind.to_ne_bytes(),
    );
    put(&mut control.0, at + HEADER_BYTES, data);
    *length = at + space(data.len());
}

/// `CMSG_SPACE`: a value is padded to the alignment of the next header.
const fn space(data_bytes: usize) -> usize {
    HEADER_BYTES + data_bytes.next_multiple_of(size_of::<usize>())
}

fn put(bytes: &mut [u8], at: usize, field: &[u8]) {
    if let Some(room) = bytes.get_mut(at..at + field.len()) {
        room.copy_from_slice(field);
    }
}
