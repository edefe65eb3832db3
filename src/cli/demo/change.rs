//! A number moves while it is being called; then somebody mistypes.

use anyhow::ensure;

use super::acts::{Ledger, place};
use super::screen::Screen;
use super::stage::Stage;
use super::story::{CAROL, End, Scene};
use super::traffic::{Flow, Traffic};
use crate::tables;

const TEAMS_CSV: &str = "dids/teams.csv";
const CAROLS_ROW: &str = "+442079460125,teams,Carol Example";
const TYPO: &str = "+442079460126,taems,Dave Example";

/// Calls in the background before, between and after the changes, at least.
const FLOW: u64 = 50;

const MOVED: Scene = Scene {
    title: "Carol's phone now rings on Teams",
    call: CAROL,
    ends: End::With("Teams"),
};
const STILL: Scene = Scene {
    title: "The running table was kept",
    call: CAROL,
    ends: End::With("Teams"),
};

/// Moves Carol, then breaks the table, while Carol is called all the time. Returns the
/// Call-ID of her call after the move.
pub(super) async fn change_the_table(
    stage: &mut Stage,
    screen: Screen,
    ledger: &mut Ledger,
) -> anyhow::Result<String> {
    screen.chapter("Carol moves to Teams, while her phone keeps ringing");
    let traffic = Traffic::start(stage.another_sbc().await?, CAROL);
    traffic.flow(FLOW).await?;
    let call_id = move_carol(stage, screen, ledger).await?;
    traffic.flow(FLOW).await?;
    screen.chapter("Somebody mistypes the next row");
    mistype(stage, screen, ledger).await?;
    traffic.flow(FLOW).await?;
    let flow = traffic.end().await?;
    screen.chapter("Meanwhile");
    tell_flow(&flow, screen, ledger);
    Ok(call_id)
}

async fn move_carol(
    stage: &mut Stage,
    screen: Screen,
    ledger: &mut Ledger,
) -> anyhow::Result<String> {
    stage.copy.add_row(TEAMS_CSV, CAROLS_ROW)?;
    screen.line(&format!("{TEAMS_CSV}   + {CAROLS_ROW}"));
    stage.hang_up().await?;
    let told = stage.log_line(["reload gen 1->2", "dids="]).await?;
    screen.line(&format!("{}   {told}", kill()));
    ensure!(stage.generation() == 2, "the new table does not serve");
    Ok(place(stage, screen, ledger, &MOVED).await?.call_id)
}

async fn mistype(stage: &mut Stage, screen: Screen, ledger: &mut Ledger) -> anyhow::Result<()> {
    let before = stage.copy.add_row(TEAMS_CSV, TYPO)?;
    screen.line(&format!("{TEAMS_CSV}   + {TYPO}"));
    stage.hang_up().await?;
    let told = stage.log_line(["reload refused", "gen 2 kept"]).await?;
    // The place and the sentence follow as `trunkline check` prints them.
    let told = told.split_once(": error").map_or(&*told, |(told, _)| told);
    screen.line(&format!("{}   {told}", kill()));
    let report = tables::load(&stage.copy.tables()).report;
    screen.block(&format!("\n{}", report.text(screen.color)));
    if stage.generation() != 2 {
        ledger.trouble(screen, "the running table was not kept");
    }
    place(stage, screen, ledger, &STILL).await?;
    stage.copy.replace(TEAMS_CSV, &before)?;
    Ok(())
}

fn tell_flow(flow: &Flow, screen: Screen, ledger: &mut Ledger) {
    screen.line(&format!(
        "{} calls to Carol in the background: {}; unanswered: {}",
        flow.calls,
        flow.words(),
        flow.unanswered
    ));
    ledger.background = flow.calls;
    if flow.unanswered > 0 {
        ledger.trouble(screen, "calls were lost while the table changed");
    }
    let turns: Vec<&str> = flow.turns.iter().map(|(name, _)| *name).collect();
    if turns != ["Genesys", "Teams"] {
        ledger.trouble(screen, "Carol did not move once, from Genesys to Teams");
    }
}

fn kill() -> String {
    format!("kill -HUP {}", std::process::id())
}
