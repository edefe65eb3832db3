//! `trunkline history --number`: where calls to one number went, generation by generation.

use super::route::of_number;
use super::route_text::outcome;
use super::server::{self, Server};
use crate::control::{Answer, Request};
use crate::ledger::{self, Generation};
use crate::routing::explanation::Report;
use crate::tables;
use jiff::Timestamp;
use serde::Serialize;
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

/// Which number, and which of its calls.
#[derive(Debug, clap::Args)]
pub(super) struct Numbered {
    /// Show where calls to this number went, newest first
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(super) number: Option<String>,
    /// Trunk group the calls arrive on; without it, each that calls can arrive on
    #[arg(long, value_name = "GROUP", requires = "number")]
    from: Option<String>,
    /// Only what served then: 'Mon 10:00', '2026-05-03 10:00' or RFC 3339
    #[arg(long, value_name = "TIME", requires = "number")]
    on: Option<String>,
    /// Time zone of a wall-clock --on, where the table's schedules differ: Europe/London
    #[arg(long, value_name = "ZONE", requires = "on")]
    timezone: Option<String>,
}

/// Generations one after the other that did the same.
#[derive(Debug, Serialize)]
struct Span {
    first: u64,
    last: u64,
    /// RFC 3339.
    since: String,
    /// Absent while it still serves.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    calls: Vec<Call>,
}

/// What becomes of a call, by the trunk group it arrives on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Call {
    from: String,
    outcome: String,
    rule: Option<String>,
    /// `dids/users.csv:14`.
    row: Option<String>,
}

#[derive(Serialize)]
struct Answered<'a> {
    schema: &'static str,
    number: &'a str,
    spans: &'a [Span],
}

impl Numbered {
    pub(super) fn execute(&self, number: &str, server: &Server, json: bool) -> ExitCode {
        let answer = match server.ask(&Request::History { number: None }) {
            Ok(answer) => answer,
            Err(code) => return code,
        };
        let Answer::History { generations } = answer else {
            return server::print(answer, json, server::unexpected);
        };
        match self.spans(number, server, &generations) {
            Ok(spans) => {
                let text = match json {
                    true => {
                        let answered = Answered {
                            schema: "trunkline.history-of/1",
                            number,
                            spans: &spans,
                        };
                        serde_json::to_string_pretty(&answered).unwrap_or_default() + "\n"
                    }
                    false => page(&spans),
                };
                // A closed pipe is no reason to complain.
                let _ = std::io::stdout().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Err(Failure::Told(code)) => code,
            Err(Failure::Usage(error)) => {
                eprintln!("trunkline: {error:#}");
                ExitCode::from(2)
            }
        }
    }

    /// Newest first, as the generations are.
    fn spans(
        &self,
        number: &str,
        server: &Server,
        generations: &[Generation],
    ) -> Result<Vec<Span>, Failure> {
        let on = self.on.as_ref().map(|text| self.time(text, server));
        let on = on.transpose()?;
        // The one that served then, or all.
        let (until, shown) = match on {
            None => (None, generations),
            Some(on) => {
                let place = generations.iter().position(|g| g.at <= on);
                let (newer, rest) = generations.split_at(place.unwrap_or(generations.len()));
                (newer.last().map(|g| g.at), rest.get(..1).unwrap_or(rest))
            }
        };
        let calls = |generation: &Generation| self.calls(number, server, generation, on);
        let spans = ledger::spans(shown, until, calls)?;
        if spans.is_empty() {
            return Err(anyhow::anyhow!("nothing that is kept served then").into());
        }
        let stamp = |at| format!("{at:.0}");
        let told = spans.into_iter().map(|span| Span {
            first: span.first.number,
            last: span.last.number,
            since: stamp(span.first.at),
            until: span.until.map(stamp),
            calls: span.done,
        });
        Ok(told.collect())
    }

    fn time(&self, text: &str, server: &Server) -> Result<Timestamp, Failure> {
        // Wall-clock times are read on the clock of the table that serves.
        let kept = server.table_of(None).map_err(Failure::Told)?;
        let Some(table) = tables::load(kept.path()).table else {
            return Err(anyhow::anyhow!("the table that serves cannot be read").into());
        };
        let time = tables::parse_time(&table, text, self.timezone.as_deref());
        Ok(time.map_err(|why| anyhow::anyhow!("--on: {why}"))?)
    }

    fn calls(
        &self,
        number: &str,
        server: &Server,
        generation: &Generation,
        on: Option<Timestamp>,
    ) -> Result<Vec<Call>, Failure> {
        let kept = server.table_of(Some(generation.number));
        let loaded = tables::load(kept.map_err(Failure::Told)?.path());
        let Some(table) = loaded.table else {
            return Ok(vec![Call {
                from: String::new(),
                outcome: String::from("its files have errors for this version"),
                rule: None,
                row: None,
            }]);
        };
        let from = match &self.from {
            Some(name) => match table.group_named(name) {
                Some(group) => vec![group],
                None => {
                    return Ok(vec![Call {
                        from: name.clone(),
                        outcome: String::from("there was no such trunk group"),
                        rule: None,
                        row: None,
                    }]);
                }
            },
            None => table.arrival_groups(),
        };
        let reports = of_number(table, number, &from, on.unwrap_or_else(Timestamp::now));
        Ok(reports.iter().map(Call::of).collect())
    }
}

impl Call {
    fn of(report: &Report) -> Self {
        Self {
            from: report.from.clone(),
            outcome: outcome(report),
            rule: report.rule.clone(),
            row: report.did.first().map(|row| row.place.clone()),
        }
    }

    fn text(&self) -> String {
        let mut text = self.outcome.clone();
        if let Some(row) = &self.row {
            let _ = write!(text, "  {row}");
        }
        if let Some(rule) = &self.rule {
            let _ = write!(text, "  rule {rule:?}");
        }
        text
    }
}

fn page(spans: &[Span]) -> String {
    let heads = spans.iter().map(|span| {
        let generations = match span.first == span.last {
            true => format!("gen {}", span.first),
            false => format!("gen {} to {}", span.first, span.last),
        };
        match &span.until {
            Some(until) => format!("{generations}  {} to {until}", span.since),
            None => format!("{generations}  since {}", span.since),
        }
    });
    let heads: Vec<String> = heads.collect();
    let mut text = String::new();
    for (head, span) in heads.iter().zip(spans) {
        let same = match span.calls.split_first() {
            Some((first, rest)) => rest.iter().all(|call| call.text() == first.text()),
            None => true,
        };
        match span.calls.first().filter(|_| same) {
            Some(call) => {
                let _ = writeln!(text, "{head}  {}", call.text());
            }
            None => {
                let _ = writeln!(text, "{head}");
                for call in &span.calls {
                    let _ = writeln!(text, "  from {}  {}", call.from, call.text());
                }
            }
        }
    }
    text
}

/// Why nothing can be shown.
enum Failure {
    /// It has been said already.
    Told(ExitCode),
    Usage(anyhow::Error),
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Usage(error)
    }
}
