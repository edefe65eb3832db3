//! `trunkline trunk`: the trunks of a running server, and what they are to do.

use super::server::{self, Server};
use crate::control::{Answer, Request, TrunkStatus};
use crate::ledger::OrderKind;
use std::fmt::Write as _;
use std::process::ExitCode;

/// Show the trunks of a running server, or give one an order.
///
/// `drain` lets no new call begin on a trunk: those in progress go on, and it is probed. `maint`
/// has it left alone altogether; requests inside calls still pass. `ready` ends either. An order
/// holds until the next one, over reloads that leave the trunk as it is, and over restarts where
/// the server keeps its tables. Exits with 1 when nothing was ordered, with 69 when no server
/// answers.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  trunkline trunk                                   # all of them
  trunkline trunk drain pstn-lon -m 'line card'
  trunkline trunk maint pstn-lon
  trunkline trunk ready pstn-lon")]
pub(super) struct Trunk {
    /// What the trunk is to do; without it, all trunks are shown
    #[arg(value_enum, value_name = "ORDER", requires = "name")]
    order: Option<Word>,
    /// Name of the trunk
    #[arg(value_name = "NAME")]
    name: Option<String>,
    /// A word about it, for the log and whoever looks
    #[arg(long, short, value_name = "TEXT", requires = "order")]
    message: Option<String>,
    #[command(flatten)]
    server: Server,
    /// One JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Word {
    /// It takes calls again
    Ready,
    /// No new calls; those in progress go on
    Drain,
    /// No new calls, and no probes
    Maint,
}

impl Trunk {
    pub(super) fn execute(&self) -> ExitCode {
        let request = match (self.order, &self.name) {
            (Some(word), Some(name)) => Request::Trunk {
                name: name.clone(),
                order: match word {
                    Word::Ready => OrderKind::Ready,
                    Word::Drain => OrderKind::Drain,
                    Word::Maint => OrderKind::Maint,
                },
                message: self.message.clone(),
            },
            _ => Request::Trunks {},
        };
        match self.server.ask(&request) {
            Ok(answer) => server::print(answer, self.json, |answer| match answer {
                Answer::Trunks { trunks } => page(trunks),
                Answer::Ordered(ordered) => page(std::slice::from_ref(&ordered.trunk)),
                other => server::unexpected(other),
            }),
            Err(code) => code,
        }
    }
}

fn page(trunks: &[TrunkStatus]) -> String {
    let width = |of: fn(&TrunkStatus) -> usize| trunks.iter().map(of).max().unwrap_or(0);
    let names = width(|trunk| trunk.name.chars().count());
    let states = width(|trunk| trunk.state.as_str().len());
    let mut text = String::new();
    for trunk in trunks {
        let _ = writeln!(
            text,
            "{:names$}  {:states$}  {}{}",
            trunk.name,
            trunk.state.as_str(),
            trunk.address,
            remark(trunk)
        );
    }
    text
}

/// Why it is not up, and what is going on there, with a comma before each.
pub(super) fn remark(trunk: &TrunkStatus) -> String {
    let mut text = String::new();
    match (&trunk.found_by, trunk.back_in_s) {
        (Some(by), Some(seconds)) => {
            let _ = write!(text, ", found by {by}, tried again in {seconds} s");
        }
        (Some(by), None) => {
            let _ = write!(text, ", found by {by}");
        }
        (None, _) => {}
    }
    if let Some(calls) = trunk.calls {
        let _ = write!(text, ", {calls} calls");
    }
    if let Some(order) = &trunk.order {
        let _ = write!(text, ", by {} since {:.0}", order.by, order.at);
        if let Some(message) = &order.message {
            let _ = write!(text, ": {message}");
        }
    }
    text
}
