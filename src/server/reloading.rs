//! The one thread that changes the table: one change at a time, in the order they came, and
//! the log of it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use serde_json::json;

use super::certificates::Certificates;
use super::daemon::service;
use super::desk::{Changed, LastOutcome};
use super::turns::Turns;
use crate::api::{EventKind, Events};
use crate::generations::{Asked, Denied, Generations};
use crate::limits::{CHANGES_WAITING_MAX, RELOAD_DIAGNOSTICS_LOGGED_MAX};
use crate::observe::{self, ChangeResult, Counters, ShellWord};
use crate::system;
use crate::tables::Reload;
use crate::tables::diagnostic::{Report, Severity};

/// Where changes are handed in. The thread ends when all of these are dropped.
#[derive(Debug, Clone)]
pub(super) struct Changes {
    jobs: SyncSender<Job>,
    /// Whether a signal came that nothing was done about yet: however many come while the
    /// tables are read, what they announce is read once, after the last of them.
    signalled: Arc<AtomicBool>,
}

/// A piece of work for the thread.
enum Job {
    /// Look whether a signal came.
    Look,
    /// Make a change, and tell how it went.
    Make(Box<dyn FnOnce(&Bench) + Send>),
}

/// What the thread works on.
#[derive(Debug, Clone)]
pub(super) struct Bench {
    pub(super) generations: Arc<Generations>,
    pub(super) last: LastOutcome,
    /// What is counted of changes.
    pub(super) counters: Arc<Counters>,
    pub(super) certificates: Arc<Certificates>,
    pub(super) turns: Turns,
    /// Where it is told what happens.
    pub(super) events: Events,
    /// How changes went so far.
    pub(super) seen: Arc<observe::Changes>,
}

impl Changes {
    /// Starts the thread. It gives way to calls.
    pub(super) fn start(bench: Bench) -> io::Result<Self> {
        let (jobs, waiting) = sync_channel(CHANGES_WAITING_MAX);
        let signalled = Arc::new(AtomicBool::new(false));
        let changes = Self {
            jobs,
            signalled: Arc::clone(&signalled),
        };
        std::thread::Builder::new()
            .name(String::from("reload"))
            .spawn(move || {
                system::give_way_to_calls();
                run(&bench, &waiting, &signalled);
            })?;
        Ok(changes)
    }

    /// Has the tables read again, by signal.
    pub(super) fn reload_soon(&self) {
        self.signalled.store(true, Ordering::Release);
        // Full: whatever is done next, the signal is seen after it.
        let _ = self.jobs.try_send(Job::Look);
    }

    /// Hands in a change. Whether there was room for it.
    pub(super) fn hand_in(&self, make: impl FnOnce(&Bench) + Send + 'static) -> bool {
        self.jobs.try_send(Job::Make(Box::new(make))).is_ok()
    }
}

/// How long the thread sleeps while a change is on trial: the clock that decides may run on
/// while the one that wakes us stands still.
const TRIAL_NAP: Duration = Duration::from_secs(1);

/// How long it sleeps otherwise; a job wakes it.
const NAP: Duration = Duration::from_secs(3_600);

fn run(bench: &Bench, jobs: &Receiver<Job>, signalled: &AtomicBool) {
    let generations = &bench.generations;
    loop {
        let left = generations.trial_left();
        match jobs.recv_timeout(left.map_or(NAP, |left| left.min(TRIAL_NAP))) {
            Ok(Job::Make(make)) => make(bench),
            Ok(Job::Look) | Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if signalled.swap(false, Ordering::AcqRel) {
            bench.reload(&Asked::by("signal"));
        }
        if generations.trial_left().is_some_and(|left| left.is_zero()) {
            bench.change("return", &Asked::by("deadline"), |generations, _| {
                let serving = generations.store().current().generation();
                let nothing = Denied::NothingOnTrial {
                    generation: serving,
                };
                generations.return_if_due().ok_or(nothing)
            });
        }
    }
}

impl Bench {
    /// Reads certificates and tables again.
    pub(super) fn reload(&self, asked: &Asked) -> Changed {
        self.change("reload", asked, |generations, asked| {
            self.certificates.reload();
            generations.reload(asked)
        })
    }

    /// Changes the table and logs how it went; the service manager and whoever asks for the
    /// status learn of it.
    pub(super) fn change(
        &self,
        verb: &str,
        asked: &Asked,
        change: impl FnOnce(&Generations, &Asked) -> Result<Reload, Denied> + Send,
    ) -> Changed {
        service::reloading();
        let began = Instant::now();
        let outcome = self.turns.give_way(|| change(&self.generations, asked));
        let changed = Changed::new(&self.generations, outcome);
        let now_s = jiff::Timestamp::now().as_second();
        self.seen
            .note(result(&changed.outcome), began.elapsed(), now_s);
        // Before the line: who has read it may ask for the status.
        let serving = self.generations.store().current().generation();
        self.last.note(serving, &asked.by, changed.refused());
        log(verb, &changed.outcome, asked, &self.generations);
        self.tell(verb, asked, &changed);
        service::ready(&status(&self.generations, changed.refused().as_deref()));
        changed
    }
}

impl Bench {
    /// Tells who listens to events.
    fn tell(&self, verb: &str, asked: &Asked, changed: &Changed) {
        let ledger = self.generations.ledger();
        let (by, message) = (&asked.by, &asked.message);
        if let Ok(Reload::Swapped { generation, .. }) = changed.outcome {
            let data = json!({
                "generation": generation,
                "former": generation.saturating_sub(1),
                "verb": verb,
                "by": by,
                "message": message,
                "held": ledger.is_held(),
            });
            self.events.tell(EventKind::Changed, data);
            if let Some(trial) = ledger.trial() {
                let until = format!("{:.0}", trial.deadline.until);
                let data = json!({
                    "generation": generation,
                    "return_to": trial.return_to,
                    "until": until,
                });
                self.events.tell(EventKind::Trial, data);
            }
        }
        let why = match &changed.outcome {
            Err(denied) => Some(denied.to_string()),
            Ok(_) => changed.refused(),
        };
        if let Some(why) = why {
            let data = json!({"verb": verb, "by": by, "message": message, "why": why});
            self.events.tell(EventKind::Refused, data);
        }
    }
}

const fn result(outcome: &Result<Reload, Denied>) -> ChangeResult {
    match outcome {
        Ok(Reload::Swapped { .. }) => ChangeResult::Made,
        Ok(Reload::Unchanged { .. }) => ChangeResult::Unchanged,
        Ok(Reload::Refused { .. }) => ChangeResult::Refused,
        Ok(Reload::NotMade { .. }) | Err(_) => ChangeResult::Failed,
    }
}

/// The line of a change, and its findings.
fn log(verb: &str, outcome: &Result<Reload, Denied>, asked: &Asked, generations: &Generations) {
    let serving = generations.store().current().generation();
    match outcome {
        Ok(Reload::Swapped {
            generation,
            report,
            load_time,
            ..
        }) => {
            let table = generations.store().current();
            tracing::info!(
                "{verb} gen {}->{generation} dids={} rules={} took_ms={}{}",
                generation.saturating_sub(1),
                table.did_rows(),
                table.rules().len(),
                load_time.as_millis(),
                how(generations, asked)
            );
            log_findings(report);
            warn_if_held(generations);
            warn_of_waiting_orders(generations);
        }
        Ok(Reload::Unchanged { generation }) => {
            tracing::info!("{verb} gen {generation} kept: the files say the same");
        }
        Ok(Reload::Refused { generation, report }) => {
            tracing::error!("{verb} refused, gen {generation} kept: {}", summary(report));
            log_findings(report);
        }
        Ok(Reload::NotMade { generation, cause }) => {
            tracing::error!("{verb} refused, gen {generation} kept: {cause}");
        }
        Err(denied @ (Denied::Unconfirmed { .. } | Denied::DraftServes { .. })) => {
            tracing::error!("{verb} refused, gen {serving} kept: {denied}");
        }
        // A slip of whoever typed it, who has been told.
        Err(denied) => tracing::info!("{verb} refused, gen {serving} kept: {denied}"),
    }
}

/// Who, why, and what comes after.
fn how(generations: &Generations, asked: &Asked) -> String {
    let mut text = format!(" by={}", ShellWord(asked.by.as_bytes()));
    if let Some(message) = &asked.message {
        text.push_str(&format!(" msg={}", ShellWord(message.as_bytes())));
    }
    if let Some(trial) = generations.ledger().trial() {
        text.push_str(&format!(" confirm_until={:.0}", trial.deadline.until));
    }
    text
}

/// Says what must not be overlooked: the folder and what serves are not the same.
fn warn_if_held(generations: &Generations) {
    let ledger = generations.ledger();
    if let Some(serving) = ledger.serving().filter(|_| ledger.is_held()) {
        tracing::warn!("{}", serving.in_place_of_folder());
    }
}

/// Says whose order has no effect now: somebody may believe that a trunk takes no calls.
fn warn_of_waiting_orders(generations: &Generations) {
    for order in generations.orders_waiting() {
        tracing::warn!(
            "trunk {} is not in this table, or is elsewhere: {} by {} waits for it to come back",
            order.trunk,
            order.order.as_str(),
            order.by
        );
    }
}

/// One line a finding, as many as a log should hold.
pub(super) fn log_findings(report: &Report) {
    for finding in report
        .diagnostics
        .iter()
        .take(RELOAD_DIAGNOSTICS_LOGGED_MAX)
    {
        match finding.severity {
            Severity::Error => tracing::error!("{}", finding.short()),
            Severity::Warning => tracing::warn!("{}", finding.short()),
            Severity::Info => tracing::info!("{}", finding.short()),
        }
    }
    let told = report.diagnostics.len().min(RELOAD_DIAGNOSTICS_LOGGED_MAX) as u64;
    let untold = (report.errors + report.warnings).saturating_sub(told);
    if untold > 0 {
        tracing::warn!("{untold} more findings: run `trunkline check` to see them");
    }
}

/// What the service manager shows.
pub(super) fn status(generations: &Generations, refused: Option<&str>) -> String {
    let table = generations.store().current();
    let mut text = format!(
        "table gen {}, {} DIDs, {} rules",
        table.generation(),
        table.did_rows(),
        table.rules().len()
    );
    let ledger = generations.ledger();
    if let Some(trial) = ledger.trial() {
        text.push_str(&format!("; {}", trial.sentence()));
    } else if ledger.is_held() {
        text.push_str("; NOT the table folder, until the next reload");
    }
    if let Some(why) = refused {
        text.push_str(&format!("; last reload refused: {why}"));
    }
    text
}

/// `2 errors, first routes.toml:18:25: …`.
pub(super) fn summary(report: &Report) -> String {
    let first = report
        .diagnostics
        .iter()
        .find(|finding| finding.severity == Severity::Error);
    let plural = if report.errors == 1 { "" } else { "s" };
    match first {
        Some(first) => format!("{} error{plural}, first {}", report.errors, first.short()),
        None => format!("{} error{plural}", report.errors),
    }
}
