//! `trunkline demo`: the example story, with real calls on this machine.

mod acts;
mod agent;
mod change;
mod message;
mod proxied;
mod sbc;
mod screen;
mod stage;
mod story;
mod table;
mod traffic;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use tokio::signal::unix::{SignalKind, signal};

use super::color::ColorChoice;
use acts::Ledger;
use screen::Screen;
use stage::Stage;

/// Play the example: real calls, a number that moves, a table with a mistake.
///
/// Starts the server with the example table on a free port of this machine, plays the SBC,
/// Teams, Genesys and the carriers around it, and holds every call against the table. Exits
/// with 0 when each ended where the table says, with 1 when one did not.
#[derive(Debug, clap::Args)]
pub(super) struct Demo {
    /// Keep server and agents running afterwards, until Ctrl-C
    #[arg(long)]
    stay: bool,
    /// When to use colours
    #[arg(long, value_enum, default_value_t)]
    color: ColorChoice,
}

/// Ended by a signal before the end of the story.
const EXIT_INTERRUPTED: u8 = 130;

/// A machine that needs longer for the story has a problem worth telling.
const STORY_WAIT: Duration = Duration::from_secs(60);

impl Demo {
    pub(super) fn execute(&self) -> ExitCode {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build();
        let ended = match runtime {
            Ok(runtime) => runtime.block_on(self.run()),
            Err(error) => Err(error.into()),
        };
        ended.unwrap_or_else(|error| {
            anstream::eprintln!("trunkline: the demo failed: {error:#}");
            ExitCode::from(1)
        })
    }

    async fn run(&self) -> anyhow::Result<ExitCode> {
        let color = self.color.for_stream(&std::io::stdout());
        let screen = Screen { color };
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        let begun = Instant::now();
        let mut stage = Stage::set().await?;
        let told = tokio::select! {
            told = tokio::time::timeout(STORY_WAIT, acts::tell(&mut stage, screen)) => told,
            _ = interrupt.recv() => return Ok(ExitCode::from(EXIT_INTERRUPTED)),
            _ = terminate.recv() => return Ok(ExitCode::from(EXIT_INTERRUPTED)),
        };
        let ledger = told.context("the story took more than a minute")??;
        conclude(screen, &ledger, begun.elapsed());
        let program = program();
        if self.stay {
            acts::invite_callers(&stage, screen, &program);
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
                () = stage.terminal_closed() => {}
            }
        } else {
            acts::suggest(screen, &program);
        }
        if let [first, more @ ..] = ledger.troubles.as_slice() {
            let more = match more.len() {
                0 => String::new(),
                more => format!(" ({more} more above)"),
            };
            bail!("not everything ended as the table says: {first}{more}");
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn conclude(screen: Screen, ledger: &Ledger, took: Duration) {
    if ledger.troubles.is_empty() {
        let (placed, background) = (ledger.placed, ledger.background);
        screen.chapter(&format!(
            "{placed} calls and {background} in the background, each where the table says, in {:.1} s",
            took.as_secs_f64()
        ));
    }
}

/// How this program was called, to be called again.
fn program() -> String {
    let name = std::env::args_os().next().unwrap_or_default();
    stage::shown(std::path::Path::new(&name))
}
