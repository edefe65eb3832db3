//! The keys of TLS: those of a `[[listen]]`, and `[[tls_peer]]`.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use tokio_rustls::rustls::pki_types::{DnsName, ServerName};

use super::listen::not_allowed;
use crate::limits::TLS_NAMES_MAX;
use crate::proxy::FlowTransport;
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::toml_reader::{Reader, Text};
use crate::transport::{Authority, Clients, ListenerTls, PeerAt, PeerTls};

/// What stands in a listener only with `transport = "tls"`.
pub(super) const LISTENER_KEYS: [&str; 5] =
    ["certificate", "key", "client", "client_ca", "client_names"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Off,
    Optional,
    Required,
}

/// The keys of TLS of one listener; `None` without TLS, and where one is wrong.
pub(super) fn read_listener(
    table: &mut Reader<'_>,
    transport: FlowTransport,
    folder: &Path,
) -> Option<ListenerTls> {
    let is_tls = transport == FlowTransport::Tls;
    if is_tls {
        table.require("certificate");
        table.require("key");
    }
    let certificate = table.string("certificate");
    let key = table.string("key");
    let client = table.one_of(
        "client",
        &[
            ("off", Client::Off),
            ("optional", Client::Optional),
            ("required", Client::Required),
        ],
    );
    let authorities = table.string("client_ca");
    let names = table.strings("client_names").unwrap_or_default();
    if !is_tls {
        for key in LISTENER_KEYS {
            if let Some(spot) = table.key_spot(key) {
                let message = format!("{key} is for listeners with transport = \"tls\" only");
                not_allowed(table, spot, message, "leave it out");
            }
        }
        return None;
    }
    let names = read_names(table, &names);
    let asked = client.map(|(client, _)| client);
    let clients = match (asked, authorities) {
        (None | Some(Client::Off), None) => {
            if let Some(spot) = table.key_spot("client_names") {
                let message = String::from("no certificate is asked for, so none can have a name");
                let help = "write client_ca = \"…\", the CAs whose word is believed";
                not_allowed(table, spot, message, help);
            }
            Clients::Unasked
        }
        (Some(Client::Off), Some(text)) => {
            let message = String::from("no certificate is asked for with client = \"off\"");
            not_allowed(table, text.spot, message, "leave one of them out");
            return None;
        }
        (Some(_), None) => {
            table.require("client_ca");
            return None;
        }
        (asked, Some(text)) => Clients::Asked {
            authorities: folder.join(text.value),
            is_optional: asked == Some(Client::Optional),
            names,
        },
    };
    Some(ListenerTls {
        certificate: folder.join(certificate?.value),
        key: folder.join(key?.value),
        clients,
    })
}

/// `[[tls_peer]]`, each of them.
pub(super) fn read_peers(root: &mut Reader<'_>, folder: &Path) -> Vec<PeerTls> {
    let tables = root.tables("tls_peer");
    if let Some(over) = tables.get(TLS_NAMES_MAX) {
        let message = format!("at most {TLS_NAMES_MAX} peers are met over TLS");
        let place = over.place(over.spot(), "one too many");
        root.report(Diagnostic::error(Code::OverLimit, message).at(place));
        return Vec::new();
    }
    let mut known: Vec<(PeerTls, Text)> = Vec::new();
    for table in tables {
        if let Some(peer) = read_peer(table, folder, &known) {
            known.push(peer);
        }
    }
    known.into_iter().map(|(peer, _)| peer).collect()
}

fn read_peer(
    mut table: Reader<'_>,
    folder: &Path,
    known: &[(PeerTls, Text)],
) -> Option<(PeerTls, Text)> {
    let address = table.required_string("address");
    let name = table.string("name");
    let authority = table.string("ca");
    let certificate = table.string("certificate");
    let key = table.string("key");
    let wildcards = table.boolean("wildcards");
    let address = address.and_then(|text| Some((read_peer_at(&table, &text)?, text)));
    let name = match (&name, &address) {
        (Some(text), _) => read_name(&table, text),
        (None, Some((PeerAt::Host(host), _))) => ServerName::try_from(host.to_string()).ok(),
        (None, _) => {
            table.require("name");
            None
        }
    };
    match (&certificate, &key) {
        (Some(_), None) => table.require("key"),
        (None, Some(_)) => table.require("certificate"),
        _ => {}
    }
    if let Some((at, text)) = &address {
        let twice = known.iter().find(|(peer, _)| peer.at == *at);
        if let Some((_, first)) = twice {
            let message = format!("two TLS peers have the address {}", quoted(&text.value));
            table.report(
                Diagnostic::error(Code::DefinedTwice, message)
                    .at(table.place(text.spot, ""))
                    .at(table.place(first.spot, "first used here")),
            );
        }
    }
    table.finish();
    let (at, text) = address?;
    let peer = PeerTls {
        at,
        name: name?,
        authority: read_authority(authority, folder),
        own: certificate
            .zip(key)
            .map(|(certificate, key)| (folder.join(certificate.value), folder.join(key.value))),
        wildcards: wildcards.is_some_and(|(yes, _)| yes),
    };
    Some((peer, text))
}

/// Whose word is believed: a file, or `"system"`.
pub(super) fn read_authority(ca: Option<Text>, folder: &Path) -> Authority {
    match ca {
        Some(text) if text.value != "system" => Authority::File(folder.join(text.value)),
        _ => Authority::System,
    }
}

/// `"203.0.113.7"`, `"203.0.113.7:5061"`, `"[2001:db8::7]:5061"`, `"sip.carrier.example"`.
fn read_peer_at(table: &Reader<'_>, text: &Text) -> Option<PeerAt> {
    let value = text.as_str();
    if let Ok(ip) = value.parse::<IpAddr>() {
        return Some(PeerAt::Address(ip, None));
    }
    if let Ok(address) = value.parse::<SocketAddr>() {
        return Some(PeerAt::Address(address.ip(), Some(address.port())));
    }
    let is_plain = |name: &DnsName<'_>| !name.as_ref().bytes().all(is_of_an_address);
    match ServerName::try_from(value) {
        Ok(ServerName::DnsName(name)) if is_plain(&name) => {
            let host = value.trim_end_matches('.').to_ascii_lowercase();
            Some(PeerAt::Host(host.into()))
        }
        _ => {
            let message = format!("{} is not an address", quoted(value));
            let help = "allowed: the IP address of a trunk, with or without a port, such as \
                        \"203.0.113.7\" or \"[2001:db8::7]:5061\", or its host name";
            not_allowed(table, text.spot, message, help);
            None
        }
    }
}

/// What an IPv4 address is made of: `203.0.113.700` is no host.
const fn is_of_an_address(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'.'
}

fn read_names(table: &Reader<'_>, texts: &[Text]) -> Vec<ServerName<'static>> {
    if let Some(over) = texts.get(TLS_NAMES_MAX) {
        let message = format!("at most {TLS_NAMES_MAX} names");
        not_allowed(table, over.spot, message, "one too many");
        return Vec::new();
    }
    let read = |text| read_name(table, text);
    texts.iter().filter_map(read).collect()
}

pub(super) fn read_name(table: &Reader<'_>, text: &Text) -> Option<ServerName<'static>> {
    let name = ServerName::try_from(text.value.clone()).ok();
    if name.is_none() {
        let message = format!("{} is no name of a certificate", quoted(&text.value));
        let help = "allowed: a host name such as \"sip.carrier.example\", or an IP address";
        not_allowed(table, text.spot, message, help);
    }
    name
}
