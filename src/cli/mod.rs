//! The command line: one file per verb, all calling the library.

mod check;
mod color;
mod demo;
mod explain;
mod import;
mod pages;
mod plan;
mod plan_json;
mod plan_text;
mod reconcile;
mod route;
mod route_text;
mod run;
mod search;
mod table_folder;

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
    /// Show what a code of `check` means
    Explain(explain::Explain),
    /// Make a table of the configuration of another machine
    Import(import::Import),
    /// Compare number lists of Teams, Genesys and the carriers with a table
    Reconcile(reconcile::Reconcile),
    /// Answer calls until a signal ends it
    Run(run::Run),
    /// Play the example: real calls, a number that moves, a table with a mistake
    Demo(demo::Demo),
    /// Print what a shell needs to complete the command line
    Completions(pages::Completions),
    /// Print the manual page, or write those of all verbs
    Man(pages::Man),
}

impl Cli {
    /// Does what was asked for. 0 fine; 1 findings; 2 wrong usage; 78 bad configuration.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        match self.verb {
            Verb::Check(check) => check.execute(),
            Verb::Route(route) => route.execute(),
            Verb::Plan(plan) => plan.execute(),
            Verb::Search(search) => search.execute(),
            Verb::Explain(explain) => explain.execute(),
            Verb::Import(import) => import.execute(),
            Verb::Reconcile(reconcile) => reconcile.execute(),
            Verb::Run(run) => run.execute(),
            Verb::Demo(demo) => demo.execute(),
            Verb::Completions(completions) => completions.execute(),
            Verb::Man(man) => man.execute(),
        }
    }
}
