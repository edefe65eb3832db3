//! A reader of HEPv3 that takes nothing on trust: every length is checked, each chunk may stand
//! anywhere and once only, and one that is not known is an error.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

/// All that a packet says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Decoded {
    pub(crate) family: u8,
    pub(crate) protocol: u8,
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) second: u32,
    pub(crate) microsecond: u32,
    pub(crate) kind: u8,
    pub(crate) id: u32,
    pub(crate) password: Option<Vec<u8>>,
    pub(crate) correlation: Option<Vec<u8>>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) transaction: Option<Vec<u8>>,
    pub(crate) tags: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Decoded, String> {
    let rest = bytes.strip_prefix(b"HEP3").ok_or("not HEP3")?;
    let (length, mut rest) = rest.split_first_chunk().ok_or("no length")?;
    let length = usize::from(u16::from_be_bytes(*length));
    if length != bytes.len() {
        return Err(format!("{length} is not {}", bytes.len()));
    }
    let mut chunks: BTreeMap<u16, &[u8]> = BTreeMap::new();
    while !rest.is_empty() {
        let (head, behind) = rest.split_first_chunk::<6>().ok_or("half a chunk")?;
        let [vendor @ .., t0, t1, l0, l1] = *head;
        if vendor != [0, 0] {
            return Err(format!("vendor {vendor:?}"));
        }
        let (kind, length) = (u16::from_be_bytes([t0, t1]), u16::from_be_bytes([l0, l1]));
        let length = usize::from(length)
            .checked_sub(6)
            .ok_or("shorter than itself")?;
        let (value, behind) = behind.split_at_checked(length).ok_or("beyond the end")?;
        if chunks.insert(kind, value).is_some() {
            return Err(format!("{kind:#x} twice"));
        }
        rest = behind;
    }
    let decoded = read(&mut chunks)?;
    match chunks.keys().next() {
        Some(unknown) => Err(format!("unknown chunk {unknown:#x}")),
        None => Ok(decoded),
    }
}

fn read(chunks: &mut BTreeMap<u16, &[u8]>) -> Result<Decoded, String> {
    let family = u8::from_be_bytes(fixed(chunks, 0x01)?);
    let (from, to) = match family {
        2 => (
            Ipv4Addr::from(fixed(chunks, 0x03)?).into(),
            Ipv4Addr::from(fixed(chunks, 0x04)?).into(),
        ),
        10 => (
            Ipv6Addr::from(fixed::<16>(chunks, 0x05)?).into(),
            Ipv6Addr::from(fixed::<16>(chunks, 0x06)?).into(),
        ),
        other => return Err(format!("family {other}")),
    };
    let mut bytes = |kind| chunks.remove(&kind).map(<[u8]>::to_vec);
    let (password, correlation, name) = (bytes(0x0e), bytes(0x11), bytes(0x13));
    let (transaction, tags) = (bytes(0x24), bytes(0x26));
    let payload = bytes(0x0f).ok_or("no payload")?;
    let microsecond = u32::from_be_bytes(fixed(chunks, 0x0a)?);
    if microsecond >= 1_000_000 {
        return Err(format!("{microsecond} microseconds"));
    }
    let protocol = u8::from_be_bytes(fixed(chunks, 0x02)?);
    if ![6, 17].contains(&protocol) {
        return Err(format!("protocol {protocol}"));
    }
    Ok(Decoded {
        family,
        protocol,
        from: SocketAddr::new(from, u16::from_be_bytes(fixed(chunks, 0x07)?)),
        to: SocketAddr::new(to, u16::from_be_bytes(fixed(chunks, 0x08)?)),
        second: u32::from_be_bytes(fixed(chunks, 0x09)?),
        microsecond,
        kind: u8::from_be_bytes(fixed(chunks, 0x0b)?),
        id: u32::from_be_bytes(fixed(chunks, 0x0c)?),
        password,
        correlation,
        name,
        transaction,
        tags,
        payload,
    })
}

fn fixed<const N: usize>(chunks: &mut BTreeMap<u16, &[u8]>, kind: u16) -> Result<[u8; N], String> {
    let value = chunks.remove(&kind).ok_or(format!("no chunk {kind:#x}"))?;
    value
        .try_into()
        .map_err(|_| format!("{kind:#x} has {} bytes", value.len()))
}
