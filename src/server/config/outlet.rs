//! The keys of a machine that takes logs or captures.

use std::path::Path;

use super::http::read_address;
use super::listen::not_allowed;
use super::tls::{read_authority, read_name};
use crate::tables::toml_reader::Reader;
use crate::transport::{OutletOver, OutletTo};

/// Over what it is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
    Tls,
}

const TRANSPORTS: [(&str, Transport); 3] = [
    ("udp", Transport::Udp),
    ("tcp", Transport::Tcp),
    ("tls", Transport::Tls),
];

/// `address` and `transport`, with TLS `name` and `ca`; `usual` is the transport left out.
pub(super) fn read_outlet(
    table: &mut Reader<'_>,
    folder: &Path,
    usual: Transport,
) -> Option<OutletTo> {
    let address = table.required_string("address");
    let address = address.and_then(|text| read_address(table, &text));
    let transport = table.one_of("transport", &TRANSPORTS);
    let transport = transport.map_or(usual, |(transport, _)| transport);
    if transport == Transport::Tls {
        table.require("name");
    }
    let (name, authority) = (table.string("name"), table.string("ca"));
    for key in ["name", "ca"] {
        if let Some(spot) = table.key_spot(key).filter(|_| transport != Transport::Tls) {
            let message = format!("{key} is for transport = \"tls\" only");
            not_allowed(table, spot, message, "leave it out");
        }
    }
    let over = match transport {
        Transport::Udp => OutletOver::Udp,
        Transport::Tcp => OutletOver::Tcp,
        Transport::Tls => OutletOver::Tls {
            name: read_name(table, &name?)?,
            authority: read_authority(authority, folder),
        },
    };
    Some(OutletTo {
        address: address?,
        over,
    })
}
