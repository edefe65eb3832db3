//! `trunkline route`: where a number goes, and why.

use super::color::ColorChoice;
use super::route_text;
use super::server::Server;
use super::table_folder::table_folder;
use crate::control::{TrunkState, TrunkStatus};
use crate::proxy::{CallFacts, call_hash};
use crate::routing::explanation::Report;
use crate::routing::{
    Dialled, Explanation, GroupId, Order, RequestFacts, RoutingTable, Snapshot, TrunkId, classify,
};
use crate::sip::Message;
use crate::tables::{self, diagnostic::nearest};
use anyhow::{Context as _, bail};
use jiff::Timestamp;
use serde::Serialize;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

/// Show where a number goes, and why.
///
/// Prints the number as dialled and as normalised, the DID row that matched, every rule with
/// why it did or did not apply, and what each trunk will be sent. Exits with 0 when there is a
/// route, with 1 when the call is rejected or has none.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline route '020 7946 0750' --from carrier-a --at 'Sun 10:00' --timezone Europe/London --table routing-tables/example
  trunkline route +442079460750 --table routing-tables/example      # from every trunk group
  trunkline route +442079460750 --live                                # as it is at this moment
  trunkline route --invite invite.sip --source 10.20.0.11 --table routing-tables/example")]
pub(super) struct RouteCall {
    /// The number as it is dialled
    #[arg(
        value_name = "NUMBER",
        required_unless_present = "invite",
        allow_hyphen_values = true
    )]
    number: Option<String>,
    /// Trunk group the call arrives on; without it, every group that calls can arrive on
    #[arg(long, value_name = "GROUP")]
    from: Option<String>,
    /// Calling number; without it the call is anonymous
    #[arg(long, value_name = "NUMBER", conflicts_with = "invite")]
    calling: Option<String>,
    /// Time of the call: 'Mon 10:00', '2026-12-25 10:00' or RFC 3339; without it, now
    #[arg(long, value_name = "TIME")]
    at: Option<String>,
    /// Time zone of a wall-clock --at, where the table's schedules differ: Europe/London
    #[arg(long, value_name = "ZONE", requires = "at")]
    timezone: Option<String>,
    /// Host of the Request-URI
    #[arg(long, conflicts_with = "invite")]
    host: Option<String>,
    /// Trunk group label of the Request-URI (RFC 4904)
    #[arg(long, conflicts_with = "invite")]
    tgrp: Option<String>,
    /// Call-ID: what weighted and least-loaded groups draw their order from
    #[arg(long, conflicts_with = "invite")]
    call_id: Option<String>,
    /// Phone-context of the number (RFC 3966)
    #[arg(long, conflicts_with = "invite")]
    phone_context: Option<String>,
    /// Read the call from a file with a SIP INVITE
    #[arg(long, value_name = "FILE", conflicts_with = "number")]
    invite: Option<PathBuf>,
    /// Address the INVITE came from; without it, that of its top Via
    #[arg(long, value_name = "IP", requires = "invite")]
    source: Option<IpAddr>,
    /// Name of the listener the INVITE came in on
    #[arg(long, value_name = "NAME", requires = "invite", default_value = "")]
    listener: String,
    /// Folder of the table; without it, that of ./trunkline.toml or /etc/trunkline
    #[arg(long, value_name = "DIR")]
    table: Option<PathBuf>,
    /// Decide by the table of a generation that the running server has served
    #[arg(long = "gen", value_name = "GEN", conflicts_with = "table")]
    generation: Option<u64>,
    /// Decide by the table that the running server serves, with its trunks as they are now
    #[arg(long, conflicts_with_all = ["table", "generation"])]
    live: bool,
    #[command(flatten)]
    server: Server,
    /// How the decision is written
    #[arg(long, value_enum, default_value_t)]
    format: Format,
    /// When to use colours
    #[arg(long, value_enum, default_value_t)]
    color: ColorChoice,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// In full: every rule, every route
    #[default]
    Text,
    /// A few lines: number, row, rule and routes
    Short,
    /// One JSON object
    Json,
}

/// The JSON form when no trunk group was named.
#[derive(Serialize)]
struct ByGroup<'a> {
    schema: &'static str,
    by_from: &'a [Report],
}

impl RouteCall {
    pub(super) fn execute(&self) -> ExitCode {
        match self.reports() {
            Ok(reports) => self.print(&reports),
            Err(Failure::Table(report)) => {
                let _ = anstream::stderr().write_all(report.text(false).as_bytes());
                eprintln!("trunkline: the table has errors; nothing was routed");
                ExitCode::from(1)
            }
            Err(Failure::Told(code)) => code,
            Err(Failure::Usage(error)) => {
                eprintln!("trunkline: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    fn print(&self, reports: &[Report]) -> ExitCode {
        let color = self.color.for_stream(&std::io::stdout());
        let text = match (self.format, reports) {
            (Format::Json, [one]) => json(one),
            (Format::Json, many) => json(&ByGroup {
                schema: "trunkline.route-by-group/1",
                by_from: many,
            }),
            (Format::Text, [one]) => route_text::one(one, color),
            (Format::Short, [one]) => route_text::short(one, color),
            (Format::Text | Format::Short, many) => route_text::by_group(many, color),
        };
        // A closed pipe is no reason to complain.
        let _ = std::io::stdout().write_all(text.as_bytes());
        let routed = reports.iter().any(|report| report.outcome == "route");
        if routed {
            ExitCode::SUCCESS
        } else {
            ExitCode::from(1)
        }
    }

    fn reports(&self) -> Result<Vec<Report>, Failure> {
        let loaded = if self.generation.is_some() || self.live {
            let kept = self.server.table_of(self.generation);
            tables::load(kept.map_err(Failure::Told)?.path())
        } else {
            tables::load(&table_folder(self.table.as_deref(), self.server.config())?)
        };
        let Some(table) = loaded.table else {
            return Err(Failure::Table(loaded.report));
        };
        let at = match &self.at {
            Some(text) => tables::parse_time(&table, text, self.timezone.as_deref())
                .map_err(anyhow::Error::msg)?,
            None => Timestamp::now(),
        };
        let snapshot = Snapshot::new(Arc::new(table));
        if self.live {
            let trunks = self.server.trunks().map_err(Failure::Told)?;
            trunks.iter().for_each(|trunk| live(&snapshot, trunk));
        }
        match &self.invite {
            Some(file) => Ok(vec![self.of_invite(&snapshot, file, at)?]),
            None => Ok(self.of_number(&snapshot, at)?),
        }
    }

    fn of_number(&self, snapshot: &Snapshot, at: Timestamp) -> anyhow::Result<Vec<Report>> {
        let bytes = |text: &'_ Option<String>| text.clone().unwrap_or_default().into_bytes();
        let (called, host, context) = (
            bytes(&self.number),
            bytes(&self.host),
            bytes(&self.phone_context),
        );
        let calling = bytes(&self.calling);
        let tgrp = bytes(&self.tgrp);
        let groups = match &self.from {
            Some(name) => vec![group_named(&snapshot.table, name)?],
            None => snapshot.table.arrival_groups(),
        };
        if groups.is_empty() {
            bail!("no call can arrive: the table has no accept_from and no classification");
        }
        let report = |from| {
            let facts = RequestFacts {
                from,
                called: Dialled {
                    number: &called,
                    raw: &called,
                    phone_context: self.phone_context.as_ref().map(|_| &*context),
                },
                calling: self.calling.as_ref().map(|_| Dialled {
                    number: &calling,
                    raw: &calling,
                    phone_context: None,
                }),
                host: &host,
                tgrp: self.tgrp.as_ref().map(|_| &*tgrp),
                at,
                call_hash: self
                    .call_id
                    .as_ref()
                    .map_or(0, |id| call_hash(id.as_bytes())),
            };
            Explanation::of(snapshot, &facts, b"").1
        };
        Ok(groups.into_iter().map(report).collect())
    }

    fn of_invite(&self, snapshot: &Snapshot, file: &Path, at: Timestamp) -> anyhow::Result<Report> {
        let bytes = std::fs::read(file).with_context(|| file.display().to_string())?;
        let bytes = with_crlf(bytes);
        let invite = Message::parse_datagram(&bytes)
            .and_then(|message| message.check_request().map(|()| message))
            .with_context(|| format!("{} is not a SIP request", file.display()))?;
        let facts = CallFacts::read(&invite)?;
        let from = match &self.from {
            Some(name) => group_named(&snapshot.table, name)?,
            None => self.classified(snapshot, &invite, &facts)?,
        };
        let mut carried = Vec::new();
        facts.write_carried(&mut carried);
        let request = facts.request(from, invite.call_id().unwrap_or_default(), at);
        Ok(Explanation::of(snapshot, &request, &carried).1)
    }

    fn classified(
        &self,
        snapshot: &Snapshot,
        invite: &Message<'_>,
        facts: &CallFacts<'_>,
    ) -> anyhow::Result<GroupId> {
        let source = match self.source {
            Some(source) => source,
            None => via_address(invite)
                .context("the top Via names no address; say --source IP or --from GROUP")?,
        };
        let arrival = facts.arrival(invite, SocketAddr::new(source, 0), &self.listener);
        let header = |name: &str| invite.by_name(name.as_bytes()).next();
        classify(&snapshot.table, &arrival, header).with_context(|| {
            format!("a call from {source} is refused with 403: no trunk group accepts it")
        })
    }
}

/// What becomes of an anonymous call to a number, from each of these groups.
pub(super) fn of_number(
    table: RoutingTable,
    number: &str,
    from: &[GroupId],
    at: Timestamp,
) -> Vec<Report> {
    let snapshot = Snapshot::new(Arc::new(table));
    let called = Dialled {
        number: number.as_bytes(),
        raw: number.as_bytes(),
        phone_context: None,
    };
    let report = |from: &GroupId| {
        let facts = RequestFacts {
            from: *from,
            called,
            calling: None,
            host: b"",
            tgrp: None,
            at,
            call_hash: 0,
        };
        Explanation::of(&snapshot, &facts, b"").1
    };
    from.iter().map(report).collect()
}

/// Why nothing can be shown.
enum Failure {
    Table(tables::Report),
    /// It has been said already.
    Told(ExitCode),
    Usage(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Usage(error)
    }
}

/// Puts a trunk into the state it has in a running server.
fn live(snapshot: &Snapshot, status: &TrunkStatus) {
    let mut trunks = (0..=u16::MAX).map(TrunkId).zip(snapshot.table.trunks());
    let Some((id, _)) = trunks.find(|(_, trunk)| *trunk.name == *status.name) else {
        return;
    };
    let availability = &snapshot.availability;
    match (status.state, status.back_in_s) {
        (TrunkState::Up, _) => {}
        (TrunkState::Down, None) => availability.set_out_by_probes(id, true),
        (TrunkState::Down, Some(seconds)) => {
            let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
            availability.retry_after(id, seconds);
        }
        (TrunkState::Draining, _) => availability.order(id, Order::Drain),
        (TrunkState::Maintenance, _) => availability.order(id, Order::Maint),
    }
}

fn group_named(table: &RoutingTable, name: &str) -> anyhow::Result<GroupId> {
    if let Some(group) = table.group_named(name) {
        return Ok(group);
    }
    let names: Vec<&str> = table.groups().iter().map(|group| &*group.name).collect();
    match nearest(name, names.iter().copied()) {
        Some(meant) => bail!("unknown trunk group \"{name}\"; did you mean \"{meant}\"?"),
        None => bail!(
            "unknown trunk group \"{name}\"; there are {}",
            names.join(", ")
        ),
    }
}

/// The address the top Via names: `received`, or the host it was sent by.
fn via_address(invite: &Message<'_>) -> Option<IpAddr> {
    let via = invite.top_via().ok()?;
    via.received().or_else(|| via.host.ip())
}

/// A message pasted into a file has the line ends of the editor.
fn with_crlf(bytes: Vec<u8>) -> Vec<u8> {
    if bytes.windows(2).any(|pair| pair == b"\r\n") {
        return bytes;
    }
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 16);
    for byte in bytes {
        if byte == b'\n' {
            out.push(b'\r');
        }
        out.push(byte);
    }
    if !out.windows(4).any(|end| end == b"\r\n\r\n") {
        out.extend_from_slice(b"\r\n\r\n");
    }
    out
}

fn json(value: &impl Serialize) -> String {
    let mut text = serde_json::to_string_pretty(value).unwrap_or_default();
    text.push('\n');
    text
}
