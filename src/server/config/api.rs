//! `[api]`: where the server is administered from, and by whom.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ipnet::IpNet;
use jiff::Timestamp;

use super::http::{read_address, read_secret, read_tls};
use super::listen::not_allowed;
use crate::api::{Role, Token};
use crate::limits::{API_TOKEN_NETWORKS_MAX, API_TOKENS_MAX};
use crate::tables::diagnostic::{Code, Diagnostic, quoted};
use crate::tables::toml_reader::{Reader, Text};
use crate::transport::ListenerTls;

/// The admin API.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApiConfig {
    /// The local socket; none without one.
    pub socket: Option<PathBuf>,
    /// Where it listens over TCP; nowhere without one. Port 0 draws a free one.
    pub listen: Option<SocketAddr>,
    /// Certificates, for TLS.
    pub tls: Option<ListenerTls>,
    /// Who may come over TCP.
    pub tokens: Vec<Token>,
    /// The file of the audit log; without one its lines are in the log.
    pub audit: Option<PathBuf>,
}

pub(super) fn read_api(root: &mut Reader<'_>, folder: &Path) -> ApiConfig {
    let mut config = ApiConfig::default();
    let Some(mut table) = root.table("api") else {
        return config;
    };
    config.socket = table.string("socket").map(|text| folder.join(text.value));
    config.audit = table.string("audit").map(|text| folder.join(text.value));
    let listen = table.string("listen");
    config.listen = listen.as_ref().and_then(|text| read_address(&table, text));
    config.tls = read_tls(&mut table, folder);
    let insecure = table.boolean("insecure").is_some_and(|(yes, _)| yes);
    config.tokens = read_tokens(&mut table);
    if let (Some(address), Some(text)) = (config.listen, &listen) {
        check_listen(&table, &config, address, text, insecure);
    }
    table.finish();
    config
}

/// Whoever reads along has the token: in the clear it goes nowhere unasked.
fn check_listen(
    table: &Reader<'_>,
    config: &ApiConfig,
    address: SocketAddr,
    text: &Text,
    insecure: bool,
) {
    if config.tokens.is_empty() && !table.has("token") {
        let message = String::from("nobody has a token, so nobody could use this");
        let help = "write an [api.token.NAME]: `trunkline token new` makes one";
        not_allowed(table, text.spot, message, help);
    }
    let is_tls = config.tls.is_some() || table.has("certificate");
    if !is_tls && !insecure && !address.ip().is_loopback() {
        let message = format!("{address} can be reached from elsewhere, without TLS");
        let help = "write certificate and key, or insecure = true where the network is trusted";
        not_allowed(table, text.spot, message, help);
    }
}

fn read_tokens(table: &mut Reader<'_>) -> Vec<Token> {
    let named = table.named_tables("token");
    if named.len() > API_TOKENS_MAX {
        let message = format!(
            "{} tokens, and at most {API_TOKENS_MAX} are kept",
            named.len()
        );
        let diagnostic = Diagnostic::error(Code::OverLimit, message);
        table.report(diagnostic.at(table.place(table.spot(), "")));
        return Vec::new();
    }
    let tokens = named
        .into_iter()
        .filter_map(|(name, token)| read_token(name, token));
    tokens.collect()
}

fn read_token(name: Text, mut token: Reader<'_>) -> Option<Token> {
    let secret = token.required_string("sha256");
    let secret = secret.and_then(|text| read_secret(&token, &text, "token"));
    token.require("role");
    let role = token.one_of("role", &Role::WORDS);
    let expires = token.string("expires");
    let expires = expires.map(|text| read_time(&token, &text));
    let networks = token.strings("networks").unwrap_or_default();
    if let Some(over) = networks.get(API_TOKEN_NETWORKS_MAX) {
        let message = format!("at most {API_TOKEN_NETWORKS_MAX} networks");
        not_allowed(&token, over.spot, message, "one too many");
    }
    let networks = networks
        .iter()
        .map(|text| read_network(&token, text))
        .collect::<Option<Vec<IpNet>>>();
    token.finish();
    Some(Token {
        name: name.value,
        secret: secret?,
        role: role?.0,
        // What cannot be read is no reason to be good for ever.
        expires: match expires {
            None => None,
            Some(read) => Some(read?),
        },
        networks: networks?,
    })
}

fn read_time(table: &Reader<'_>, text: &Text) -> Option<Timestamp> {
    let found = text.as_str().parse().ok();
    if found.is_none() {
        let message = format!("{} is not a time", quoted(text.as_str()));
        not_allowed(table, text.spot, message, "write \"2027-01-01T00:00:00Z\"");
    }
    found
}

fn read_network(table: &Reader<'_>, text: &Text) -> Option<IpNet> {
    let value = text.as_str();
    let found = value.parse().ok();
    let found = found.or_else(|| Some(IpNet::from(value.parse::<std::net::IpAddr>().ok()?)));
    if found.is_none() {
        let message = format!("{} is not a network", quoted(value));
        not_allowed(
            table,
            text.spot,
            message,
            "write \"10.20.0.0/16\" or \"10.20.0.5\"",
        );
    }
    found
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;
    use crate::server::Config;

    const HASH: &str = "a1fce4363854ff888cff4b8e7875d600c2682390412a8cf79b37d0b11148b0fa";

    fn read(api: &str) -> Result<ApiConfig, String> {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("trunkline.toml");
        let listen = "[[listen]]\naddress = \"127.0.0.1:5060\"\ntransport = \"udp\"\n\
                      mode = \"redirect\"\n";
        std::fs::write(&file, format!("tables = \"t\"\n{listen}{api}")).unwrap();
        let read = Config::read(&file);
        read.map(|config| config.api)
            .map_err(|report| report.short())
    }

    #[test]
    fn a_token_says_whose_it_is_what_for_from_where_and_until_when() {
        let config = read(&format!(
            "[api]\nlisten = \"127.0.0.1:8443\"\n[api.token.deploy]\nsha256 = \"{HASH}\"\n\
             role = \"operator\"\nexpires = \"2027-01-01T00:00:00Z\"\n\
             networks = [\"10.20.0.0/16\", \"192.0.2.7\"]\n"
        ))
        .unwrap();
        let token = &config.tokens[0];
        assert_eq!((&*token.name, token.role), ("deploy", Role::Operator));
        assert_eq!(token.expires, "2027-01-01T00:00:00Z".parse().ok());
        assert_eq!(token.networks.len(), 2);
    }

    #[test]
    fn what_would_let_in_more_than_was_meant_is_a_mistake() {
        let token = format!("[api.token.x]\nsha256 = \"{HASH}\"\nrole = \"viewer\"\n");
        for (api, said) in [
            (
                "[api]\nlisten = \"127.0.0.1:1\"\n".to_owned(),
                "nobody has a token",
            ),
            (
                format!("[api]\nlisten = \"0.0.0.0:1\"\n{token}"),
                "without TLS",
            ),
            (
                format!("[api]\nlisten = \"[2001:db8::1]:1\"\n{token}"),
                "without TLS",
            ),
            (
                format!("[api]\nlisten = \"here\"\n{token}"),
                "not an address",
            ),
            (token.replace("viewer", "root"), "root"),
            (token.replace("role = \"viewer\"\n", ""), "role"),
            (token.replace(HASH, "abc"), "SHA-256 of a token"),
            (format!("{token}expires = \"soon\"\n"), "not a time"),
            (
                format!("{token}networks = [\"10.0.0.0/33\"]\n"),
                "not a network",
            ),
            (format!("{token}scope = \"x\"\n"), "scope"),
            (
                format!("[api]\nclient_ca = \"ca.pem\"\n{token}"),
                "certificate",
            ),
        ] {
            let found = read(&api).unwrap_err();
            assert!(found.contains(said), "{api}: {found}");
        }
        let open = format!("[api]\nlisten = \"0.0.0.0:1\"\ninsecure = true\n{token}");
        assert!(read(&open).is_ok());
    }
}
