//! What the control socket is answered with.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use serde_json::json;
use tokio::sync::oneshot;

use super::calls::{self, CallDesk};
use super::daemon::service;
use super::reloading::{self, Bench, Changes};
use super::trunks;
use crate::api::{EventKind, finding};
use crate::control::{
    Access, Answer, Answering, Change, Changed as Made, Desk, Draft, LastRefused, Peer, Refused,
    Request, Status, TrialStatus, Who, accounts,
};
use crate::generations::{Asked, Denied, Generations, clocks};
use crate::limits::DIAGNOSTICS_MAX;
use crate::tables::Reload;
use crate::tables::diagnostic::{Code, Diagnostic, Report, Severity};

/// A change that was tried, and how it went.
#[derive(Debug)]
pub(super) struct Changed {
    pub(super) outcome: Result<Reload, Denied>,
    answer: Answer,
}

impl Changed {
    pub(super) fn new(generations: &Generations, outcome: Result<Reload, Denied>) -> Self {
        Self {
            answer: answer(generations, &outcome),
            outcome,
        }
    }

    /// Why nothing was changed, if something should have been.
    pub(super) fn refused(&self) -> Option<String> {
        match &self.outcome {
            Ok(Reload::Refused { report, .. }) => Some(reloading::summary(report)),
            Ok(Reload::NotMade { cause, .. }) => Some(cause.clone()),
            Ok(Reload::Swapped { .. } | Reload::Unchanged { .. }) => None,
            Err(denied) => Some(denied.to_string()),
        }
    }
}

/// The desk of a running server.
#[derive(Debug)]
pub(super) struct ServerDesk {
    pub(super) bench: Bench,
    pub(super) changes: Changes,
    pub(super) access: Access,
    pub(super) started: Timestamp,
    pub(super) listening: Vec<String>,
    pub(super) workers: usize,
    pub(super) state: Option<PathBuf>,
    /// None where nobody follows calls.
    pub(super) calls: Option<CallDesk>,
}

/// The last attempt to change the table, if it failed. All who change it tell of it here.
#[derive(Debug, Clone, Default)]
pub(super) struct LastOutcome(Arc<Mutex<Option<(u64, LastRefused)>>>);

impl LastOutcome {
    /// Notes how a change went, after which this generation serves.
    pub(super) fn note(&self, serving: u64, by: &str, refused: Option<String>) {
        let told = refused.map(|why| {
            let told = LastRefused {
                at: format!("{:.0}", Timestamp::now()),
                by: by.to_owned(),
                why,
            };
            (serving, told)
        });
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = told;
    }

    /// The failed attempt, if nothing came of the last one. `serving` is the generation the
    /// caller knows of: a change to it is made before it is noted.
    pub(super) fn get(&self, serving: u64) -> Option<LastRefused> {
        let told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let told = told.as_ref().filter(|(number, _)| *number == serving);
        told.map(|(_, refused)| refused.clone())
    }
}

impl Desk for ServerDesk {
    fn who(&self, peer: &Peer) -> Who {
        Who {
            name: accounts::user_name(peer.uid),
            may_change: self.access.may_change(peer),
        }
    }

    fn take_draft(&self, draft: Draft, how: Change, who: &Who) -> Answering {
        if !who.may_change {
            return self.not_allowed();
        }
        self.change("draft", how, who, move |generations, asked| {
            generations.serve_draft(&draft.folder, &draft.base_sha256, asked)
        })
    }

    fn take(&self, request: Request, who: &Who) -> Answering {
        if request.changes() && !who.may_change {
            return self.not_allowed();
        }
        match request {
            Request::Status {} => Answering::Now(self.status(who.may_change)),
            Request::History { number } => {
                let ledger = self.bench.generations.ledger();
                let newest = ledger.generations().iter().rev();
                let generations = newest.take(number.unwrap_or(usize::MAX)).cloned();
                let generations = generations.collect();
                Answering::Now(Answer::History { generations })
            }
            Request::Files { generation } => self.files(generation),
            Request::Reload(how) => {
                let certificates = Arc::clone(&self.bench.certificates);
                self.change("reload", how, who, move |generations, asked| {
                    certificates.reload();
                    generations.reload(asked)
                })
            }
            Request::Undo(how) => self.change("undo", how, who, Generations::undo),
            Request::Rollback { generation, how } => {
                self.change("rollback", how, who, move |generations, asked| {
                    generations.rollback(generation, asked)
                })
            }
            Request::Confirm {} => self.confirm(who),
            Request::Calls {
                group,
                number,
                mask,
            } => Answering::Now(match &self.calls {
                Some(desk) => desk.live_calls(group.as_deref(), number, mask),
                None => calls::not_followed(self.serving()),
            }),
            Request::Trunks {} => Answering::Now(Answer::Trunks {
                trunks: trunks::all(&self.bench.generations),
            }),
            Request::Trunk {
                name,
                order,
                message,
            } => {
                let asked = Asked {
                    by: who.name.clone(),
                    message,
                    ..Asked::default()
                };
                self.hand_in(move |bench| trunks::order(bench, &name, order, &asked))
            }
        }
    }
}

impl ServerDesk {
    fn status(&self, may_change: bool) -> Answer {
        let ledger = self.bench.generations.ledger();
        let Some(serving) = ledger.serving() else {
            return Answer::Refused(Refused::new("starting", "nothing serves yet", 0));
        };
        Answer::Status(Box::new(Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            started: format!("{:.0}", self.started),
            listening: self.listening.clone(),
            workers: self.workers,
            tables: absolute(self.bench.generations.store().folder()),
            state: self.state.as_deref().map(absolute),
            generation: serving.clone(),
            before: ledger.before().map(|before| before.number),
            held: ledger.is_held(),
            trial: ledger
                .trial()
                .map(|trial| TrialStatus::of(trial, &clocks())),
            refused: self.bench.last.get(serving.number),
            trunks_out: trunks::out(&self.bench.generations),
            records: self.calls.as_ref().map(CallDesk::sinks).unwrap_or_default(),
            may_change,
        }))
    }

    fn files(&self, generation: Option<u64>) -> Answering {
        let serving = self.serving();
        match self
            .bench
            .generations
            .files_of(generation.unwrap_or(serving))
        {
            Ok((generation, folder)) => Answering::Files(Box::new(generation), folder),
            Err(denied) => Answering::Now(Answer::Refused(Refused::new(
                denied.as_str(),
                denied.to_string(),
                serving,
            ))),
        }
    }

    fn change(
        &self,
        verb: &'static str,
        how: Change,
        who: &Who,
        make: impl FnOnce(&Generations, &Asked) -> Result<Reload, Denied> + Send + 'static,
    ) -> Answering {
        let asked = Asked {
            by: who.name.clone(),
            message: how.message,
            confirm_s: how.confirm_s,
            force: how.force,
        };
        self.hand_in(move |bench| bench.change(verb, &asked, make).answer)
    }

    fn confirm(&self, who: &Who) -> Answering {
        let by = who.name.clone();
        self.hand_in(move |bench| {
            let generations = &bench.generations;
            let answer = match generations.confirm() {
                Ok(Ok(generation)) => {
                    tracing::info!("confirm gen {} by={by}", generation.number);
                    let data = json!({"generation": generation.number, "by": by});
                    bench.events.tell(EventKind::Confirmed, data);
                    Answer::Confirmed { generation }
                }
                Ok(Err(cause)) => {
                    tracing::error!("confirm failed: {cause}");
                    Answer::Refused(Refused::new("not_kept", cause, serving(generations)))
                }
                Err(denied) => refused(generations, denied),
            };
            service::ready(&reloading::status(generations, None));
            answer
        })
    }

    /// Has the thread that changes tables do something, and answers when it has.
    fn hand_in(&self, make: impl FnOnce(&Bench) -> Answer + Send + 'static) -> Answering {
        let (done, answer) = oneshot::channel();
        let had_room = self.changes.hand_in(move |bench| {
            // Whoever asked may have gone: what was done is done.
            let _ = done.send(make(bench));
        });
        if had_room {
            Answering::Later(answer)
        } else {
            self.refuse("busy", "too many changes wait already")
        }
    }

    fn refuse(&self, reason: &str, message: &str) -> Answering {
        Answering::Now(Answer::Refused(Refused::new(
            reason,
            message,
            self.serving(),
        )))
    }

    fn not_allowed(&self) -> Answering {
        let message = "only root, the server's own user, and who is listed in [control] \
                       may change what serves";
        self.refuse("not_allowed", message)
    }

    fn serving(&self) -> u64 {
        serving(&self.bench.generations)
    }
}

/// A path as it can be pasted elsewhere.
fn absolute(path: &Path) -> String {
    let absolute = std::path::absolute(path);
    let shown = absolute.as_deref().unwrap_or(path);
    shown.display().to_string()
}

fn serving(generations: &Generations) -> u64 {
    generations.store().current().generation()
}

fn refused(generations: &Generations, denied: Denied) -> Answer {
    let message = denied.to_string();
    Answer::Refused(Refused::new(denied.as_str(), message, serving(generations)))
}

fn answer(generations: &Generations, outcome: &Result<Reload, Denied>) -> Answer {
    match outcome {
        Ok(Reload::Swapped {
            generation,
            report,
            load_time,
            ..
        }) => {
            let ledger = generations.ledger();
            let Some(made) = ledger.get(*generation) else {
                return Answer::Unchanged {
                    generation: *generation,
                };
            };
            Answer::Changed(Box::new(Made {
                generation: made.clone(),
                former: generation.saturating_sub(1),
                trial: ledger
                    .trial()
                    .map(|trial| TrialStatus::of(trial, &clocks())),
                held: ledger.is_held(),
                took_ms: u64::try_from(load_time.as_millis()).unwrap_or(u64::MAX),
                warnings: findings(report),
            }))
        }
        Ok(Reload::Unchanged { generation }) => Answer::Unchanged {
            generation: *generation,
        },
        Ok(Reload::Refused { generation, report }) => {
            let mut errors = report
                .diagnostics
                .iter()
                .filter(|found| found.severity == Severity::Error);
            let only_gates = errors.all(|found| found.code == Code::OverGate);
            let reason = if only_gates { "gates" } else { "table" };
            Answer::Refused(Refused {
                findings: findings(report),
                details: report.diagnostics.iter().map(finding).collect(),
                ..Refused::new(reason, reloading::summary(report), *generation)
            })
        }
        Ok(Reload::NotMade { generation, cause }) => {
            Answer::Refused(Refused::new("not_kept", cause, *generation))
        }
        Err(denied) => refused(generations, *denied),
    }
}

/// As many as are kept.
fn findings(report: &Report) -> Vec<String> {
    let kept = report.diagnostics.iter().take(DIAGNOSTICS_MAX);
    kept.map(Diagnostic::short).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Who asked just when a trial had run out was told of a refusal before it.
    #[test]
    fn a_refusal_is_forgotten_with_the_generation_that_stayed() {
        let last = LastOutcome::default();
        last.note(2, "root", Some("unconfirmed".to_owned()));
        assert!(last.get(2).is_some_and(|told| told.why == "unconfirmed"));
        assert!(last.get(3).is_none());
        last.note(3, "deadline", None);
        assert!(last.get(3).is_none());
    }
}
