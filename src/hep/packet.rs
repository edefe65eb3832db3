//! One HEPv3 packet: the specification of sipcapture, revision 37.

use std::net::{IpAddr, SocketAddr};

use jiff::Timestamp;

use crate::limits::HEP_PACKET_BYTES_MAX;

/// Something that was said, by whom, to whom and when.
#[derive(Debug, Clone, Copy)]
pub struct Packet<'p> {
    /// When.
    pub at: Timestamp,
    /// Who said it.
    pub from: SocketAddr,
    /// To whom.
    pub to: SocketAddr,
    /// Whether on a connection; else as a datagram.
    pub is_stream: bool,
    /// What it is.
    pub kind: Kind,
    /// By which packets of one call are joined: its Call-ID. Empty is left out.
    pub correlation: &'p [u8],
    /// The trunk group a call arrived on.
    pub trunk_group: Option<&'p str>,
    /// What was said.
    pub payload: &'p [u8],
}

/// What a payload is: the protocol type of HEP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A SIP message.
    Sip,
    /// A line of a log.
    Log,
    /// The record of a call, as JSON.
    CallRecord,
}

/// Who captures: what is the same in all packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Its number.
    pub id: u32,
    /// What the capture server asks for, if anything.
    pub password: Option<Box<[u8]>>,
    /// Its name.
    pub name: Box<str>,
}

/// A packet would be longer than its length can say, or than a datagram can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

/// Types of chunks of the vendor 0.
mod chunk {
    pub(super) const IP_FAMILY: u16 = 0x01;
    pub(super) const IP_PROTOCOL: u16 = 0x02;
    pub(super) const IPV4_SOURCE: u16 = 0x03;
    pub(super) const IPV4_DESTINATION: u16 = 0x04;
    pub(super) const IPV6_SOURCE: u16 = 0x05;
    pub(super) const IPV6_DESTINATION: u16 = 0x06;
    pub(super) const SOURCE_PORT: u16 = 0x07;
    pub(super) const DESTINATION_PORT: u16 = 0x08;
    pub(super) const SECONDS: u16 = 0x09;
    pub(super) const MICROSECONDS: u16 = 0x0a;
    pub(super) const PROTOCOL: u16 = 0x0b;
    pub(super) const AGENT_ID: u16 = 0x0c;
    pub(super) const PASSWORD: u16 = 0x0e;
    pub(super) const PAYLOAD: u16 = 0x0f;
    pub(super) const CORRELATION: u16 = 0x11;
    pub(super) const AGENT_NAME: u16 = 0x13;
    pub(super) const TRANSACTION: u16 = 0x24;
    pub(super) const TAGS: u16 = 0x26;
}

const MAGIC: &[u8; 4] = b"HEP3";
const AF_INET: u8 = 2;
/// As Linux numbers it, and capture servers expect it.
const AF_INET6: u8 = 10;
const TCP: u8 = 6;
const UDP: u8 = 17;

impl Packet<'_> {
    /// Writes the packet into `out`, which is emptied before.
    ///
    /// # Errors
    /// It would be too long; what `out` holds then is no packet.
    pub fn write(&self, agent: &Agent, out: &mut Vec<u8>) -> Result<(), TooLong> {
        out.clear();
        out.extend_from_slice(MAGIC);
        out.extend_from_slice(&[0; 2]);
        self.addresses(out)?;
        let second = u32::try_from(self.at.as_second()).unwrap_or_default();
        let microsecond = u32::try_from(self.at.subsec_microsecond()).unwrap_or_default();
        put(out, chunk::SECONDS, &second.to_be_bytes())?;
        put(out, chunk::MICROSECONDS, &microsecond.to_be_bytes())?;
        put(out, chunk::PROTOCOL, &[self.kind.number()])?;
        put(out, chunk::AGENT_ID, &agent.id.to_be_bytes())?;
        if let Some(password) = &agent.password {
            put(out, chunk::PASSWORD, password)?;
        }
        if !self.correlation.is_empty() {
            put(out, chunk::CORRELATION, self.correlation)?;
        }
        if !agent.name.is_empty() {
            put(out, chunk::AGENT_NAME, agent.name.as_bytes())?;
        }
        if let Some(group) = self.trunk_group {
            put(out, chunk::TRANSACTION, b"call")?;
            put(out, chunk::TAGS, group.as_bytes())?;
        }
        put(out, chunk::PAYLOAD, self.payload)?;
        let length = u16::try_from(out.len()).map_err(|_| TooLong)?;
        if out.len() > HEP_PACKET_BYTES_MAX {
            return Err(TooLong);
        }
        if let Some(place) = out.get_mut(4..6) {
            place.copy_from_slice(&length.to_be_bytes());
        }
        Ok(())
    }

    fn addresses(&self, out: &mut Vec<u8>) -> Result<(), TooLong> {
        let both = (self.from.ip().to_canonical(), self.to.ip().to_canonical());
        let protocol = if self.is_stream { TCP } else { UDP };
        match both {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                put(out, chunk::IP_FAMILY, &[AF_INET])?;
                put(out, chunk::IP_PROTOCOL, &[protocol])?;
                put(out, chunk::IPV4_SOURCE, &from.octets())?;
                put(out, chunk::IPV4_DESTINATION, &to.octets())?;
            }
            // One packet has one family.
            (from, to) => {
                let v6 = |ip: IpAddr| match ip {
                    IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
                    IpAddr::V6(ip) => ip.octets(),
                };
                put(out, chunk::IP_FAMILY, &[AF_INET6])?;
                put(out, chunk::IP_PROTOCOL, &[protocol])?;
                put(out, chunk::IPV6_SOURCE, &v6(from))?;
                put(out, chunk::IPV6_DESTINATION, &v6(to))?;
            }
        }
        put(out, chunk::SOURCE_PORT, &self.from.port().to_be_bytes())?;
        put(out, chunk::DESTINATION_PORT, &self.to.port().to_be_bytes())
    }
}

impl Kind {
    /// As capture servers know it: 0x3c is a CDR; 100 is a log of theirs, of the numbers HEP
    /// leaves open.
    const fn number(self) -> u8 {
        match self {
            Self::Sip => 1,
            Self::Log => 100,
            Self::CallRecord => 0x3c,
        }
    }
}

/// One chunk: vendor, type, length with these six bytes, value.
fn put(out: &mut Vec<u8>, kind: u16, value: &[u8]) -> Result<(), TooLong> {
    let length = value.len().checked_add(6).ok_or(TooLong)?;
    let length = u16::try_from(length).map_err(|_| TooLong)?;
    out.extend_from_slice(&0_u16.to_be_bytes());
    out.extend_from_slice(&kind.to_be_bytes());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}
