//! `trunkline token`: tokens for the admin API.

use crate::api::{Role, token_text};
use crate::http::Secret;
use crate::system::fill_random;
use anyhow::{Context as _, bail};
use ipnet::IpNet;
use jiff::Timestamp;
use jiff::civil::Date;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Make tokens for the admin API.
#[derive(Debug, clap::Args)]
pub(super) struct Token {
    #[command(subcommand)]
    verb: TokenVerb,
}

#[derive(Debug, clap::Subcommand)]
enum TokenVerb {
    /// Draw a new token, and print it with the lines of the configuration that let it in
    ///
    /// The token is shown this once and kept nowhere: the configuration has its hash. It is good
    /// from the next start of the server on.
    New(New),
}

#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline token new --role viewer --name wallboard
  trunkline token new --role operator --name deploy --expires 2027-01-01 --cidr 10.20.0.0/16")]
struct New {
    /// What it is good for
    #[arg(long, value_parser = ["viewer", "operator", "admin"])]
    role: String,
    /// Whose it is, as history and audit log name them
    #[arg(long, default_value = "token")]
    name: String,
    /// Until when: 2027-01-01, or RFC 3339; without it, for ever
    #[arg(long, value_name = "TIME")]
    expires: Option<String>,
    /// Where it is good; everywhere without it
    #[arg(long, value_name = "NETWORK")]
    cidr: Vec<IpNet>,
}

impl Token {
    pub(super) fn execute(&self) -> ExitCode {
        let TokenVerb::New(new) = &self.verb;
        super::told(new.print().map(|text| {
            print!("{text}");
            ExitCode::SUCCESS
        }))
    }
}

impl New {
    fn print(&self) -> anyhow::Result<String> {
        let role = Role::WORDS.iter().find(|(word, _)| *word == self.role);
        let (role, _) = role.context("unknown role")?;
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if self.name.is_empty() || self.name.len() > 64 || !self.name.bytes().all(is_name) {
            bail!("--name: letters, digits, _ and -, at most 64 of them");
        }
        let mut drawn = [0; 32];
        fill_random(&mut drawn).context("no chance to draw from")?;
        let token = token_text(&drawn);
        let secret = Secret::of(token.as_bytes());
        let mut text = format!("{token}\n\n[api.token.{}]\n", self.name);
        let _ = writeln!(text, "sha256   = \"{secret:x}\"\nrole     = \"{role}\"");
        if let Some(expires) = &self.expires {
            let _ = writeln!(text, "expires  = \"{}\"", time(expires)?);
        }
        if !self.cidr.is_empty() {
            let networks = self.cidr.iter().map(|network| format!("\"{network}\""));
            let networks = networks.collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "networks = [{networks}]");
        }
        Ok(text)
    }
}

fn time(text: &str) -> anyhow::Result<Timestamp> {
    if let Ok(time) = text.parse() {
        return Ok(time);
    }
    let date: Date = text
        .parse()
        .map_err(|_| anyhow::anyhow!("--expires: write 2027-01-01 or 2027-01-01T00:00:00Z"))?;
    Ok(date.in_tz("UTC")?.timestamp())
}
