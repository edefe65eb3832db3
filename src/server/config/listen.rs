//! `[[listen]]`: where calls come in.

use std::net::{IpAddr, SocketAddr};
use std::path::Path;

use super::{Advertised, ListenerConfig, Mode, tls};
use crate::limits::LISTENERS_MAX;
use crate::proxy::{FlowTransport, is_answerable};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::source::Spot;
use crate::tables::toml_reader::{Reader, Text};

/// `[[listen]]`, each of them.
pub(super) fn read_listeners(root: &mut Reader<'_>, folder: &Path) -> Vec<ListenerConfig> {
    if !root.has("http") {
        root.require("listen");
    }
    let tables = root.tables("listen");
    if root.has("listen") && tables.len() > LISTENERS_MAX {
        let message = format!(
            "{} listeners, and at most {LISTENERS_MAX} are served",
            tables.len()
        );
        root.report(Diagnostic::error(Code::OverLimit, message).at(root.place(root.spot(), "")));
        return Vec::new();
    }
    let mut known: Vec<(ListenerConfig, Text, Option<Text>)> = Vec::new();
    for table in tables {
        if let Some(listener) = read_listener(table, folder, &known) {
            known.push(listener);
        }
    }
    known.into_iter().map(|(listener, ..)| listener).collect()
}

fn read_listener(
    mut table: Reader<'_>,
    folder: &Path,
    known: &[(ListenerConfig, Text, Option<Text>)],
) -> Option<(ListenerConfig, Text, Option<Text>)> {
    let address = table.required_string("address");
    let name = table.string("name");
    let stateful = table.boolean("stateful");
    let advertise = table.string("advertise");
    let alias = table.boolean("alias");
    table.require("transport");
    let transport = table.one_of(
        "transport",
        &[
            ("udp", FlowTransport::Udp),
            ("tcp", FlowTransport::Tcp),
            ("tls", FlowTransport::Tls),
        ],
    );
    table.require("mode");
    let mode = table.one_of(
        "mode",
        &[("redirect", Mode::Redirect), ("proxy", Mode::Proxy)],
    );
    let transport = transport.map_or(FlowTransport::Udp, |(transport, _)| transport);
    let tls = tls::read_listener(&mut table, transport, folder);
    let address = address.and_then(|text| Some((read_address(&table, &text)?, text)));
    let advertise = advertise.and_then(|text| Some((read_advertised(&table, &text)?, text)));
    let mode = mode.map_or(Mode::Redirect, |(mode, _)| mode);
    match (mode, &address) {
        (Mode::Redirect, _) => {
            only_for(&table, "advertise", "proxy");
            only_for(&table, "alias", "proxy");
        }
        (Mode::Proxy, Some((address, text))) => {
            check_advertised(&table, *address, text, advertise.as_ref());
        }
        (Mode::Proxy, None) => {}
    }
    if mode == Mode::Proxy {
        only_for(&table, "stateful", "redirect");
    } else if transport.is_reliable()
        && let Some(spot) = table.key_spot("stateful")
    {
        let message = "stateful is for listeners with transport = \"udp\" only";
        table.report(
            Diagnostic::error(Code::NotAllowed, message.to_owned())
                .at(table.place(spot, ""))
                .help("leave it out: a stream loses no answer, so none is repeated"),
        );
    }
    if let Some((true, spot)) = alias.filter(|_| mode == Mode::Proxy && !transport.is_reliable()) {
        let message = "alias is for listeners with transport = \"tcp\" or \"tls\" only".to_owned();
        not_allowed(
            &table,
            spot,
            message,
            "leave it out: UDP has no connections",
        );
    }
    if let Some((parsed, text)) = &address {
        let twice = known.iter().find(|(other, ..)| {
            other.address == *parsed
                && (other.transport == FlowTransport::Udp) == (transport == FlowTransport::Udp)
                && parsed.port() != 0
        });
        if let Some((_, first, _)) = twice {
            defined_twice(&table, text, first, "address");
        }
    }
    let same_name = |(_, _, other): &&(_, _, Option<Text>)| match (other, &name) {
        (Some(other), Some(name)) => other.value == name.value,
        _ => false,
    };
    if let (Some((_, _, Some(first))), Some(name)) = (known.iter().find(same_name), &name) {
        defined_twice(&table, name, first, "name");
    }
    table.finish();
    let (address, text) = address?;
    let listener = ListenerConfig {
        address,
        transport,
        tls,
        name: name.as_ref().map_or_else(String::new, |n| n.value.clone()),
        mode,
        stateful: stateful.is_some_and(|(yes, _)| yes),
        advertise: advertise.map(|(advertised, _)| advertised),
        alias: alias.is_some_and(|(yes, _)| yes),
    };
    Some((listener, text, name))
}

/// Reports what is not allowed, and what to do.
pub(super) fn not_allowed(table: &Reader<'_>, spot: Spot, message: String, help: &str) {
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(spot, ""))
            .help(help),
    );
}

/// Reports a key that says nothing to a listener of this mode.
fn only_for(table: &Reader<'_>, key: &str, mode: &str) {
    let Some(spot) = table.key_spot(key) else {
        return;
    };
    let message = format!("{key} is for listeners with mode = {} only", quoted(mode));
    let help = match mode {
        "redirect" => "leave it out: a proxy always keeps its transactions",
        _ if key == "alias" => "leave it out: a redirect opens no connections for requests",
        _ => "leave it out: a redirect names no address of its own",
    };
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(spot, ""))
            .help(help),
    );
}

/// `"192.0.2.5"`, `"192.0.2.5:5060"`, `"[2001:db8::5]:5060"`.
fn read_advertised(table: &Reader<'_>, text: &Text) -> Option<Advertised> {
    let value = text.as_str();
    let parsed = match (value.parse::<IpAddr>(), value.parse::<SocketAddr>()) {
        (Ok(ip), _) => Some(Advertised { ip, port: None }),
        (_, Ok(address)) => Some(Advertised {
            ip: address.ip(),
            port: Some(address.port()),
        }),
        _ => None,
    };
    let usable = |advertised: &Advertised| {
        is_answerable(SocketAddr::new(advertised.ip, advertised.port.unwrap_or(1)))
    };
    if let Some(advertised) = parsed.filter(usable) {
        return Some(advertised);
    }
    let message = format!("{} is not an address peers can send to", quoted(value));
    let help = "allowed: an IP address of this machine as peers see it, with or without a port, \
                such as \"192.0.2.5\" or \"[2001:db8::5]:5060\"";
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(text.spot, ""))
            .help(help),
    );
    None
}

/// A proxy writes an address into every request it sends on, for answers and for the rest
/// of the dialog: it must be one.
fn check_advertised(
    table: &Reader<'_>,
    address: SocketAddr,
    text: &Text,
    advertise: Option<&(Advertised, Text)>,
) {
    let told = match advertise {
        None if address.ip().is_unspecified() && !table.has("advertise") => Some((
            text.spot,
            format!("peers cannot send to {}", quoted(&text.value)),
            "write the address of one interface, or the one peers reach: advertise = \"192.0.2.5\"",
        )),
        Some((advertised, text)) if advertised.ip.is_ipv4() != address.is_ipv4() => Some((
            text.spot,
            format!(
                "{} is not of the address family of {address}",
                quoted(&text.value)
            ),
            "a listener sends to peers of its own family only",
        )),
        _ => None,
    };
    if let Some((spot, message, help)) = told {
        table.report(
            Diagnostic::error(Code::NotAllowed, message)
                .at(table.place(spot, ""))
                .help(help),
        );
    }
}

fn defined_twice(table: &Reader<'_>, second: &Text, first: &Text, key: &str) {
    let message = format!("two listeners have the {key} {}", quoted(&second.value));
    table.report(
        Diagnostic::error(Code::DefinedTwice, message)
            .at(table.place(second.spot, ""))
            .at(table.place(first.spot, "first used here")),
    );
}

fn read_address(table: &Reader<'_>, text: &Text) -> Option<SocketAddr> {
    let parsed = text.value.parse::<SocketAddr>().ok();
    let multicast = parsed.is_some_and(|address| address.ip().is_multicast());
    if let Some(address) = parsed
        && !multicast
    {
        return Some(address);
    }
    let message = format!("{} is not an address to listen on", quoted(&text.value));
    let help = if multicast {
        String::from("calls are not answered to multicast addresses")
    } else if let Ok(ip) = text.value.parse::<IpAddr>() {
        format!(
            "write it with a port: {}",
            quoted(&SocketAddr::new(ip, 5060).to_string())
        )
    } else {
        String::from(
            "allowed: an IP address and a port, such as \"10.0.0.5:5060\" or \"[2001:db8::5]:5060\"",
        )
    };
    table.report(
        Diagnostic::error(Code::NotAllowed, message)
            .at(table.place(text.spot, ""))
            .help(help),
    );
    None
}
