//! `[dns]`: who is asked where the trunks' names are.

use std::net::{IpAddr, SocketAddr};

use crate::limits::DNS_SERVERS_MAX;
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::toml_reader::{Reader, Text};

const DNS_PORT: u16 = 53;

/// The name servers; those of the system where there are none.
pub(super) fn read_dns(root: &mut Reader<'_>) -> Vec<SocketAddr> {
    let Some(mut table) = root.table("dns") else {
        return Vec::new();
    };
    let servers = table.strings("servers").unwrap_or_default();
    if let Some(beyond) = servers.get(DNS_SERVERS_MAX) {
        let message = format!("at most {DNS_SERVERS_MAX} name servers are asked");
        table.report(Diagnostic::error(Code::OverLimit, message).at(table.place(beyond.spot, "")));
    }
    let read = |text: &Text| read_server(&table, text);
    let servers = servers.iter().filter_map(read).collect();
    table.finish();
    servers
}

fn read_server(table: &Reader<'_>, text: &Text) -> Option<SocketAddr> {
    let value = text.as_str();
    let alone = value
        .parse::<IpAddr>()
        .map(|ip| SocketAddr::new(ip, DNS_PORT));
    let server = alone.or_else(|_| value.parse::<SocketAddr>()).ok();
    if server.is_none() {
        let message = format!("{} is not the address of a name server", quoted(value));
        table.report(
            Diagnostic::error(Code::NotAllowed, message)
                .at(table.place(text.spot, ""))
                .help("allowed: an IP address, with a port if that is not 53"),
        );
    }
    server
}
