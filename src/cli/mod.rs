//! The command line: one file per verb, all calling the library.

mod calls;
mod check;
mod color;
mod config;
mod confirm;
mod demo;
mod diff;
mod doctor;
mod explain;
mod export;
mod fmt;
mod healthcheck;
mod history;
mod history_of;
mod import;
mod move_dids;
mod pages;
mod plan;
mod plan_text;
mod reconcile;
mod reload;
mod rollback;
mod route;
mod route_text;
mod run;
mod scratch;
mod search;
mod server;
mod status;
mod support_dump;
mod table_folder;
mod token;
mod trunk;
mod undo;

use std::path::Path;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// SIP-aware routing engine for enterprise session border controllers.
#[derive(Debug, Parser)]
#[command(name = "trunkline", version, arg_required_else_help = true)]
pub struct Cli {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Report every mistake of a routing table at once, then run its cases
    Check(check::Check),
    /// Show where a number goes, and why
    Route(Box<route::RouteCall>),
    /// Show what a change of the table does to calls, before it does it
    Plan(plan::Plan),
    /// Show where a number, a range, a rule or a comment stands
    Search(search::Search),
    /// Show what a code of `check` means, or what a profile sets
    Explain(explain::Explain),
    /// Make a table of the configuration of another machine
    Import(import::Import),
    /// Write the files of a table neatly
    Fmt(fmt::Fmt),
    /// Write a table, or its numbers, for other programs
    Export(export::Export),
    /// Move numbers to a trunk group, in the lists of a table
    Move(move_dids::Move),
    /// Compare number lists of Teams, Genesys and the carriers with a table
    Reconcile(reconcile::Reconcile),
    /// Answer calls until a signal ends it
    Run(run::Run),
    /// Show what a running server serves, and whether anything waits for you
    Status(status::Status),
    /// Look at everything a server needs, and say what is wrong with it
    Doctor(doctor::Doctor),
    /// Show the configuration in force, defaults included
    Config(config::ShowConfig),
    /// Write a folder with all that somebody who helps has to see
    SupportDump(support_dump::SupportDump),
    /// Exit with 0 when the running server answers
    Healthcheck(healthcheck::Healthcheck),
    /// Show the calls that are up on a running server
    Calls(calls::Calls),
    /// Show the trunks of a running server, or give one an order
    Trunk(trunk::Trunk),
    /// Have the running server read its table folder again
    Reload(reload::Reload),
    /// Keep the table that is on trial
    Confirm(confirm::Confirm),
    /// Serve again what served before
    Undo(undo::Undo),
    /// Serve the table of an older generation again
    Rollback(rollback::Rollback),
    /// Show which tables have served: since when, by whom, and why
    History(history::History),
    /// Show what one generation does to calls that another did otherwise
    Diff(diff::Diff),
    /// Make tokens for the admin API
    Token(token::Token),
    /// Play the example: real calls, a number that moves, a table with a mistake
    Demo(demo::Demo),
    /// Print what a shell needs to complete the command line
    Completions(pages::Completions),
    /// Print the manual page, or write those of all verbs
    Man(pages::Man),
}

impl Cli {
    /// Does what was asked for. 0 fine; 1 findings; 2 wrong usage; 69 no server answers;
    /// 78 bad configuration.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        match self.verb {
            Verb::Check(check) => check.execute(),
            Verb::Route(route) => route.execute(),
            Verb::Plan(plan) => plan.execute(),
            Verb::Search(search) => search.execute(),
            Verb::Explain(explain) => explain.execute(),
            Verb::Import(import) => import.execute(),
            Verb::Fmt(fmt) => fmt.execute(),
            Verb::Export(export) => export.execute(),
            Verb::Move(wave) => wave.execute(),
            Verb::Reconcile(reconcile) => reconcile.execute(),
            Verb::Run(run) => run.execute(),
            Verb::Status(status) => status.execute(),
            Verb::Doctor(doctor) => doctor.execute(),
            Verb::Config(config) => config.execute(),
            Verb::SupportDump(dump) => dump.execute(),
            Verb::Healthcheck(healthcheck) => healthcheck.execute(),
            Verb::Calls(calls) => calls.execute(),
            Verb::Trunk(trunk) => trunk.execute(),
            Verb::Reload(reload) => reload.execute(),
            Verb::Confirm(confirm) => confirm.execute(),
            Verb::Undo(undo) => undo.execute(),
            Verb::Rollback(rollback) => rollback.execute(),
            Verb::History(history) => history.execute(),
            Verb::Diff(diff) => diff.execute(),
            Verb::Token(token) => token.execute(),
            Verb::Demo(demo) => demo.execute(),
            Verb::Completions(completions) => completions.execute(),
            Verb::Man(man) => man.execute(),
        }
    }
}

/// Where a configuration is looked for when none is named, in this order.
fn configs() -> impl Iterator<Item = &'static Path> {
    let places = ["trunkline.toml", "/etc/trunkline/trunkline.toml"];
    places
        .into_iter()
        .map(Path::new)
        .filter(|path| path.exists())
}

/// The exit code of a verb; why it could not be done goes to standard error.
fn told(done: anyhow::Result<ExitCode>) -> ExitCode {
    done.unwrap_or_else(|error| {
        eprintln!("trunkline: {error:#}");
        ExitCode::from(2)
    })
}
