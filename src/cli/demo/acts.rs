//! The story in order.

use std::path::Path;

use anyhow::Context as _;
use jiff::Timestamp;

use super::change::change_the_table;
use super::proxied::carry;
use super::sbc::{Call, Placed};
use super::screen::Screen;
use super::stage::{Stage, shown};
use super::story::{CAROL, End, OUTAGE, SCENES, Scene, judge, table_says};
use crate::cli::route_text;

/// The table of the demo, in a checkout.
const EXAMPLE: &str = "routing-tables/example";

/// What was placed, and what went wrong.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    /// Calls of the story.
    pub(super) placed: u64,
    /// Calls in the background.
    pub(super) background: u64,
    /// Sentences; none is as it should be.
    pub(super) troubles: Vec<String>,
}

impl Ledger {
    /// Shows and keeps what went wrong.
    pub(super) fn trouble(&mut self, screen: Screen, text: &str) {
        screen.trouble(text);
        self.troubles.push(text.to_owned());
    }
}

/// Tells all of it.
///
/// # Errors
/// What kept the story from being told. Calls that ended elsewhere are in the ledger.
pub(super) async fn tell(stage: &mut Stage, screen: Screen) -> anyhow::Result<Ledger> {
    let mut ledger = Ledger::default();
    introduce(stage, screen);
    screen.chapter("Calls");
    for scene in &SCENES {
        place(stage, screen, &mut ledger, scene).await?;
    }
    stage.set_carrier_a(false);
    place(stage, screen, &mut ledger, &OUTAGE).await?;
    stage.set_carrier_a(true);
    let call_id = change_the_table(stage, screen, &mut ledger).await?;
    explain(stage, screen, &call_id).await?;
    carry(stage, screen, &mut ledger).await?;
    Ok(ledger)
}

fn introduce(stage: &Stage, screen: Screen) {
    let table = stage.server.tables().current();
    screen.chapter("Trunkline answers each INVITE with a 302 that says where the call goes");
    screen.line(&format!(
        "server  {} (udp), the table of routing-tables/example: {} DID rows, {} rules, {} trunks",
        stage.trunkline,
        table.did_rows(),
        table.rules().len(),
        table.trunks().len()
    ));
    screen.line(&format!(
        "agents  an SBC that asks and follows, and {} that answer; all real SIP on loopback",
        stage.agents()
    ));
}

/// Places a call of the story, shows it, and holds it against the table.
///
/// # Errors
/// The call could not be placed.
pub(super) async fn place(
    stage: &mut Stage,
    screen: Screen,
    ledger: &mut Ledger,
    scene: &Scene,
) -> anyhow::Result<Placed> {
    let before = Timestamp::now();
    let placed = stage.sbc.place(&scene.call).await?;
    let after = Timestamp::now();
    let title = title(stage, scene, &placed, before)?;
    screen.title(&title);
    screen.call(&scene.call, &placed);
    ledger.placed += 1;
    // A desk may open or close while it is called.
    let verdict = held_against(stage, scene, &placed, before)?;
    let verdict = verdict.or(held_against(stage, scene, &placed, after)?);
    if let Err(trouble) = verdict {
        ledger.trouble(screen, &format!("{}: {trouble}", scene.title));
    }
    Ok(placed)
}

fn held_against(
    stage: &Stage,
    scene: &Scene,
    placed: &Placed,
    at: Timestamp,
) -> anyhow::Result<Result<(), String>> {
    let snapshot = stage.server.tables().snapshot();
    let report = table_says(&snapshot, &scene.call, &placed.call_id, at)?;
    Ok(judge(scene.ends, placed, &report))
}

/// The title; where the hour decides, with the hour and the rule it chose.
fn title(stage: &Stage, scene: &Scene, placed: &Placed, at: Timestamp) -> anyhow::Result<String> {
    if scene.ends != End::ByTheClock {
        return Ok(scene.title.to_owned());
    }
    let snapshot = stage.server.tables().snapshot();
    let report = table_says(&snapshot, &scene.call, &placed.call_id, at)?;
    let rule = report.rule.unwrap_or_default();
    let clock = at.in_tz("Europe/London")?.strftime("%A %H:%M").to_string();
    Ok(format!("{}, {clock} there: \"{rule}\"", scene.title))
}

/// The line of the log about Carol's call, and what it explains when it is pasted.
async fn explain(stage: &Stage, screen: Screen, call_id: &str) -> anyhow::Result<()> {
    screen.chapter("Why? The log has a line for every call, made to be pasted into a shell");
    let line = stage.log_line(["trunkline route ", call_id]).await?;
    let command = line
        .split_once(" # ")
        .map_or(&*line, |(command, _)| command);
    let tables = shown(&stage.copy.tables());
    screen.block(&format!("$ {command} --table {tables}"));
    let at = command.split_once(" --at ").map(|(_, at)| at.trim());
    let at = at.context("the log does not say when the call was")?;
    let snapshot = stage.server.tables().snapshot();
    let report = table_says(&snapshot, &CAROL, call_id, at.parse()?)?;
    screen.block(&route_text::one(&report, screen.color));
    Ok(())
}

/// What may be tried next. `program` is how this one was called.
pub(super) fn suggest(screen: Screen, program: &str) {
    screen.chapter("Try next");
    screen.line(&format!("{program} demo --stay"));
    if Path::new(EXAMPLE).exists() {
        screen.line(&format!("{program} check {EXAMPLE}"));
        screen.line(&format!(
            "{program} route 02079460100 --from carrier-a --at 'Sun 10:00' --timezone Europe/London --table {EXAMPLE}"
        ));
        screen.line("and read README.md, docs/how-a-call-is-routed.md, docs/routing-tables.md");
    }
}

/// How to call what keeps running.
pub(super) fn invite_callers(stage: &Stage, screen: Screen, program: &str) {
    let Call { dialled, from, .. } = CAROL;
    let (tables, log) = (shown(&stage.copy.tables()), shown(&stage.copy.log()));
    let process = std::process::id();
    screen.chapter("Still serving, until Ctrl-C");
    screen.line(&format!(
        "sipp -sn uac -m 1 -s {dialled} -trace_msg -message_file answer.txt {}   # sees the 302, follows none",
        stage.trunkline
    ));
    screen.line(&format!(
        "{program} route {dialled} --from {} --table {tables}",
        from.trunk_group()
    ));
    screen.line(&format!(
        "edit {tables}/dids/teams.csv, then: kill -HUP {process}"
    ));
    screen.line(&format!("tail -f {log}   # a line for every call"));
}
