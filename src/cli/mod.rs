//! The command line: one file per verb, all calling the library.

mod check;
mod color;
mod demo;
mod plan;
mod plan_json;
mod plan_text;
mod route;
mod route_text;
mod run;

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
    /// Answer calls until a signal ends it
    Run(run::Run),
    /// Play the example: real calls, a number that moves, a table with a mistake
    Demo(demo::Demo),
}

impl Cli {
    /// Does what was asked for. 0 fine; 1 findings; 2 wrong usage; 78 bad configuration.
    #[must_use]
    pub fn execute(self) -> ExitCode {
        match self.verb {
            Verb::Check(check) => check.execute(),
            Verb::Route(route) => route.execute(),
            Verb::Plan(plan) => plan.execute(),
            Verb::Run(run) => run.execute(),
            Verb::Demo(demo) => demo.execute(),
        }
    }
}
