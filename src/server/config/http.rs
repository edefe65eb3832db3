//! `[http]`: who may ask over HTTP, where, and what the line of an answer is made of;
//! `[metrics]`: where the server is watched.

use std::net::SocketAddr;

use super::listen::not_allowed;
use crate::http::{Account, Placeholder, Secret, Template};
use crate::limits::HTTP_ACCOUNTS_MAX;
use crate::tables::diagnostic::{Code, Diagnostic, nearest, quoted};
use crate::tables::toml_reader::{Reader, Text};

/// The listener for questions over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where; port 0 draws a free one.
    pub address: SocketAddr,
    /// What `/v1/answer` says.
    pub template: Template,
    /// Who may ask; without any, the addresses that the table lets send calls.
    pub accounts: Vec<Account>,
}

/// The line without a template of its own: what an SBC has a routing tag or an IP Group for.
const ANSWER: &str = "{trunk_group}";
/// The line of a call that a rule rejects.
const REJECTED: &str = "reject";

pub(super) fn read_http(root: &mut Reader<'_>) -> Option<HttpConfig> {
    let mut table = root.table("http")?;
    let address = table.required_string("address");
    let address = address.and_then(|text| read_address(&table, &text));
    let answer = table.string("answer");
    let rejected = table.string("rejected");
    let rejected = rejected.as_ref().map_or(REJECTED, Text::as_str);
    let template = match &answer {
        Some(text) => read_template(&table, text, rejected),
        None => Template::parse(ANSWER, rejected).ok(),
    };
    let accounts = read_accounts(&mut table);
    table.finish();
    Some(HttpConfig {
        address: address?,
        template: template?,
        accounts,
    })
}

/// `[metrics]`: where `/metrics` is.
pub(super) fn read_metrics(root: &mut Reader<'_>) -> Option<SocketAddr> {
    let mut table = root.table("metrics")?;
    let address = table.required_string("address");
    let address = address.and_then(|text| read_address(&table, &text));
    table.finish();
    address
}

pub(super) fn read_address(table: &Reader<'_>, text: &Text) -> Option<SocketAddr> {
    let address = text.as_str().parse().ok();
    if address.is_none() {
        let message = format!("{} is not an address with a port", quoted(text.as_str()));
        not_allowed(
            table,
            text.spot,
            message,
            "write 10.20.0.50:8080 or [2001:db8::50]:8080",
        );
    }
    address
}

fn read_template(table: &Reader<'_>, text: &Text, rejected: &str) -> Option<Template> {
    let wrong = match Template::parse(text.as_str(), rejected) {
        Ok(template) => return Some(template),
        Err(wrong) => wrong,
    };
    let words = Placeholder::WORDS.map(|(word, _)| word);
    let message = format!("{{{}}} stands for nothing", wrong.escape_debug());
    let help = match nearest(&wrong, words) {
        Some(meant) => format!("did you mean {{{meant}}}?"),
        None => format!("allowed: {{{}}}", words.join("}, {")),
    };
    not_allowed(table, text.spot, message, &help);
    None
}

fn read_accounts(table: &mut Reader<'_>) -> Vec<Account> {
    let named = table.named_tables("account");
    if named.len() > HTTP_ACCOUNTS_MAX {
        let message = format!(
            "{} accounts, and at most {HTTP_ACCOUNTS_MAX} are kept",
            named.len()
        );
        let diagnostic = Diagnostic::error(Code::OverLimit, message);
        table.report(diagnostic.at(table.place(table.spot(), "")));
        return Vec::new();
    }
    let accounts = named.into_iter().filter_map(|(name, mut account)| {
        let secret = account.required_string("secret_sha256");
        let trunk_group = account.string("trunk_group").map(|text| text.value);
        let secret = secret.and_then(|text| {
            let secret = Secret::from_hex(text.as_str());
            if secret.is_none() {
                let message = String::from("this is not the SHA-256 of a secret");
                let help =
                    "write the 64 hexadecimal digits that `printf %s SECRET | sha256sum` prints";
                not_allowed(&account, text.spot, message, help);
            }
            secret
        });
        account.finish();
        Some(Account {
            name: name.value,
            secret: secret?,
            trunk_group,
        })
    });
    accounts.collect()
}
