//! One decision for all ways of asking.

use std::sync::Arc;
use std::time::Instant;

use arrayvec::ArrayVec;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::account::Account;
use super::asker::Asker;
use super::problem::Problem;
use super::question::Question;
use super::text::Template;
use crate::limits::HTTP_WRONG_SECRETS_MAX;
use crate::observe::{
    AnsweredBy, CallLine, CallLog, DecidedCall, Feed, FeedEvent, HttpCounters, HttpOutcome,
};
use crate::proxy::{CallEvent, call_hash};
use crate::routing::{
    self, Arrival, Decision, Dialled, Explanation, GroupId, Outcome, RequestFacts, Snapshot, User,
    explanation, rule::Action,
};
use crate::tables::TableStore;

/// What questions are answered with.
#[derive(Debug)]
pub struct Desk {
    store: Arc<TableStore>,
    accounts: Vec<Account>,
    template: Template,
    counters: Arc<HttpCounters>,
    calls: CallLog,
    feed: Option<Feed>,
    wrong_secrets: Semaphore,
}

/// A decision and the table it was made with.
#[derive(Debug)]
pub struct Decided<'q> {
    /// The table, which the ids of the decision are of.
    pub snapshot: Arc<Snapshot>,
    /// The group the call arrived on.
    pub from: GroupId,
    /// What was decided.
    pub decision: Decision<'q>,
    /// The whole explanation, where it was asked for.
    pub report: Option<explanation::Report>,
}

impl Desk {
    /// A desk that answers by the table of the moment. Without accounts it answers those
    /// addresses that the table lets send calls.
    #[must_use]
    pub fn new(
        store: Arc<TableStore>,
        accounts: Vec<Account>,
        template: Template,
        counters: Arc<HttpCounters>,
        calls: CallLog,
    ) -> Self {
        Self {
            store,
            accounts,
            template,
            counters,
            calls,
            feed: None,
            wrong_secrets: Semaphore::new(HTTP_WRONG_SECRETS_MAX),
        }
    }

    /// The same, which tells of every call it decides.
    #[must_use]
    pub fn told_to(mut self, feed: Option<Feed>) -> Self {
        self.feed = feed;
        self
    }

    pub(super) fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    pub(super) const fn template(&self) -> &Template {
        &self.template
    }

    pub(super) const fn wrong_secrets(&self) -> &Semaphore {
        &self.wrong_secrets
    }

    pub(super) fn snapshot(&self) -> Arc<Snapshot> {
        self.store.snapshot()
    }

    pub(super) fn count(&self, outcome: HttpOutcome) {
        self.counters.count(outcome);
    }

    /// Decides the call of a question, counts it and logs it.
    ///
    /// # Errors
    /// No trunk group is known for it.
    pub(super) fn decide<'q>(
        &self,
        asker: &Asker,
        question: &'q Question,
    ) -> Result<Decided<'q>, Problem> {
        let begun = Instant::now();
        let snapshot = self.store.snapshot();
        let from = arrived_on(&snapshot, asker, question).inspect_err(|_| {
            self.count(HttpOutcome::Refused);
        })?;
        let at = Timestamp::now();
        let decided = decided(snapshot, question, from, at);
        let decision = &decided.decision;
        self.count(match decision.outcome {
            Outcome::Route(_) => HttpOutcome::Routed,
            Outcome::Reject { .. } => HttpOutcome::Rejected,
            Outcome::NoRoute => HttpOutcome::NoOpinion,
            Outcome::Unavailable => HttpOutcome::Unavailable,
        });
        if self.calls.enabled || self.feed.is_some() {
            let facts = facts(question, from, at);
            self.tell(&decided.snapshot, asker, &facts, decision, question, begun);
        }
        Ok(decided)
    }

    fn tell(
        &self,
        snapshot: &Snapshot,
        asker: &Asker,
        facts: &RequestFacts<'_>,
        decision: &Decision<'_>,
        question: &Question,
        begun: Instant,
    ) {
        let cut = |text: &[u8]| text.iter().copied().collect_cut();
        let event = CallEvent {
            at: facts.at,
            source: asker.source,
            listener: "http",
            call_id: question.call_id.as_deref().unwrap_or_default().as_bytes(),
            generation: snapshot.table.generation(),
            from: facts.from,
            dialled: cut(facts.called.number),
            phone_context: facts.called.phone_context,
            shown: facts.calling.map(|calling| cut(calling.number)),
            host: facts.host,
            tgrp: facts.tgrp,
            called: match decision.called {
                User::Number(number) => Some(number),
                User::Raw(_) => None,
            },
            calling: decision.calling,
            rule: decision.rule,
            outcome: decision.outcome.clone(),
            status: sip_status(decision),
        };
        self.calls.line(&CallLine {
            event: &event,
            table: &snapshot.table,
            took: begun.elapsed(),
            mask: self.calls.mask,
        });
        if let Some(feed) = &self.feed {
            let by = (AnsweredBy::Http, "http");
            let call = DecidedCall::of(&event, &snapshot.table, by, b"");
            feed.tell(FeedEvent::Decided(call));
        }
    }
}

/// Decides the call of a question that arrives on this group: what SIP would be answered.
#[must_use]
pub fn decided<'q>(
    snapshot: Arc<Snapshot>,
    question: &'q Question,
    from: GroupId,
    at: Timestamp,
) -> Decided<'q> {
    let facts = facts(question, from, at);
    let (decision, report) = if question.explain {
        let (decision, report) = Explanation::of(&snapshot, &facts, b"");
        (decision, Some(report))
    } else {
        (routing::route(&snapshot, &facts, &mut ()), None)
    };
    Decided {
        snapshot,
        from,
        decision,
        report,
    }
}

/// As much of a text as fits.
trait CollectCut: Iterator<Item = u8> + Sized {
    fn collect_cut<const N: usize>(self) -> ArrayVec<u8, N> {
        self.take(N).collect()
    }
}

impl<I: Iterator<Item = u8>> CollectCut for I {}

impl Decided<'_> {
    /// The phrase of a rejecting rule.
    pub(super) fn reason(&self) -> &str {
        let rule = self
            .decision
            .rule
            .and_then(|id| self.snapshot.table.rule(id));
        match rule.map(|rule| &rule.action) {
            Some(Action::Reject { reason, .. }) => reason,
            _ => "",
        }
    }

    /// What is wrong, where there is no route.
    pub(super) fn problem(&self) -> Option<Problem> {
        match self.decision.outcome {
            Outcome::Route(_) => None,
            Outcome::Reject { status } => Some(Problem::rejected(status, self.reason())),
            Outcome::NoRoute => Some(Problem::no_opinion()),
            Outcome::Unavailable => Some(Problem::unavailable()),
        }
    }
}

/// What a redirect listener answers to the same call.
pub(super) fn sip_status(decision: &Decision<'_>) -> u16 {
    match decision.outcome {
        Outcome::Route(_) => 302,
        Outcome::Reject { status } => status,
        Outcome::NoRoute => 404,
        Outcome::Unavailable => 503,
    }
}

/// The trunk group a call arrives on: that of the account, the one the question names, or
/// the one the table has for the address, in this order.
fn arrived_on(snapshot: &Snapshot, asker: &Asker, question: &Question) -> Result<GroupId, Problem> {
    let table = &snapshot.table;
    let named = match (&asker.trunk_group, &question.from) {
        (Some(own), Some(named)) if own != named => {
            let detail = format!("the account is of trunk group \"{own}\"");
            return Err(Problem::unknown_source(detail));
        }
        (Some(own), _) => Some(own),
        (None, named) => named.as_ref(),
    };
    if let Some(name) = named {
        return table.group_named(name).ok_or_else(|| {
            Problem::unknown_source(format!("the table has no trunk group \"{name}\""))
        });
    }
    let host = question.host.as_deref().unwrap_or_default().as_bytes();
    let arrival = Arrival {
        request_host: host,
        ..Arrival::of_source(asker.source.ip(), "http")
    };
    routing::classify(table, &arrival, |_| None).ok_or_else(|| {
        let detail = format!(
            "say which with from: the table has none for {}",
            asker.source.ip()
        );
        Problem::unknown_source(detail)
    })
}

fn facts(question: &Question, from: GroupId, at: Timestamp) -> RequestFacts<'_> {
    fn dialled<'q>(number: &'q str, phone_context: Option<&'q str>) -> Dialled<'q> {
        Dialled {
            number: number.as_bytes(),
            raw: number.as_bytes(),
            phone_context: phone_context.map(str::as_bytes),
        }
    }
    let call_id = question.call_id.as_deref().unwrap_or_default();
    RequestFacts {
        from,
        called: dialled(&question.called, question.phone_context.as_deref()),
        calling: question.shown().map(|number| dialled(number, None)),
        host: question.host.as_deref().unwrap_or_default().as_bytes(),
        tgrp: question.tgrp.as_deref().map(str::as_bytes),
        at,
        call_hash: call_hash(call_id.as_bytes()),
    }
}
