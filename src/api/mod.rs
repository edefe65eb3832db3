//! The admin API: what a running server serves, and what is done about it, over HTTP.
//!
//! Everything that changes goes through the [`Desk`] of the control socket, so that both
//! doors lead to the same room. [`open`] answers below `/api/v1`; docs/api.md is its page.

mod admission;
mod asking;
mod audit;
mod call_stream;
mod caller;
mod calls;
mod changes;
mod comparing;
mod dids;
mod drafts;
mod events;
mod generations;
mod heavy;
mod masking;
mod pages;
mod patch;
mod problem;
mod reading;
mod repeats;
mod status;
mod table;
mod token;
mod trunks;
mod turns;

pub use audit::Audit;
pub use call_stream::CallStream;
pub use caller::Role;
pub use events::{EventKind, Events};
pub use problem::finding;
pub use token::{TOKEN_PREFIX, Token, token_text};

use std::fmt;
use std::hash::RandomState;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use axum::Router;
use call_stream::CallListeners;
use caller::Caller;
use drafts::Drafts;
use heavy::Heavy;
use pages::Pages;
use problem::Problem;
use repeats::Repeats;

use crate::control::{Answer, Answering, Desk, Request};
use crate::generations::Generations;
use crate::http::Watched;
use crate::limits::API_WRONG_TOKENS_PER_SECOND_MAX;
use crate::observe::{ApiCounters, LineBudget, MaskNumbers};
use crate::proxy::Sources;

/// What the API answers with.
pub struct Parts {
    /// Who may change what, and does it.
    pub desk: Arc<dyn Desk>,
    /// The tables.
    pub generations: Arc<Generations>,
    /// How the server stands.
    pub watched: Watched,
    /// Who may come from elsewhere.
    pub tokens: Vec<Token>,
    /// How much of telephone numbers viewers see.
    pub mask: MaskNumbers,
    /// What happens.
    pub events: Events,
    /// What calls do; `None` where nobody follows them.
    pub calls: Option<CallStream>,
    /// Where changes are written down.
    pub audit: Arc<Audit>,
    /// A folder for drafts, whose content is nobody else's; without one there are none.
    pub drafts: Option<PathBuf>,
}

/// The API of a running server.
struct Api {
    desk: Arc<dyn Desk>,
    generations: Arc<Generations>,
    watched: Watched,
    tokens: Vec<Token>,
    mask: MaskNumbers,
    events: Events,
    call_listeners: CallListeners,
    counters: Arc<ApiCounters>,
    audit: Arc<Audit>,
    wrong_tokens: Mutex<Sources>,
    wrong_token_lines: LineBudget<1>,
    repeats: Repeats,
    heavy: Heavy,
    drafts: Drafts,
    /// The OpenAPI document.
    document: OnceLock<String>,
}

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Parts").finish_non_exhaustive()
    }
}

/// All that is answered, below `/api/v1`. Whoever asks is known by what the listener puts
/// among the extensions of the request: a [`control::Peer`](crate::control::Peer) or a
/// [`std::net::SocketAddr`].
///
/// The [`Attendant`] is to attend while the router answers.
pub fn open(parts: Parts) -> (Router, Attendant) {
    let mut wrong_tokens = Sources::new(RandomState::new());
    wrong_tokens.set(API_WRONG_TOKENS_PER_SECOND_MAX);
    let api = Arc::new(Api {
        desk: parts.desk,
        generations: parts.generations,
        watched: parts.watched,
        tokens: parts.tokens,
        mask: parts.mask,
        counters: Arc::clone(parts.events.counters()),
        events: parts.events,
        call_listeners: CallListeners::new(parts.calls),
        audit: parts.audit,
        wrong_tokens: Mutex::new(wrong_tokens),
        wrong_token_lines: LineBudget::new(),
        repeats: Repeats::default(),
        heavy: Heavy::new(),
        drafts: Drafts::new(parts.drafts),
        document: OnceLock::new(),
    });
    let sections = [
        status::pages,
        table::pages,
        asking::pages,
        dids::pages,
        generations::pages,
        trunks::pages,
        calls::pages,
        comparing::pages,
        changes::pages,
        drafts::pages,
        events::pages,
    ];
    let none = Pages::new(Arc::clone(&api));
    let pages = sections.iter().fold(none, |pages, add| add(pages));
    let (resources, document) = pages.finish();
    let _ = api.document.set(document.to_string());
    let router = resources
        .fallback(problem::no_such_resource)
        .method_not_allowed_fallback(problem::no_such_method)
        .with_state(Arc::clone(&api));
    (router, Attendant(api))
}

/// Looks after what nobody asks for: trunks that turn, drafts that were left.
pub struct Attendant(Arc<Api>);

impl Attendant {
    /// Attends until the future is dropped; all who listen to events are hung up on then.
    pub async fn attend(self) {
        let api = &self.0;
        let mut looked = tokio::time::interval(LOOK);
        let mut known = turns::states(&api.generations);
        loop {
            looked.tick().await;
            api.drafts.sweep();
            known = turns::told(&api.events, &known, turns::states(&api.generations));
        }
    }
}

impl Drop for Attendant {
    fn drop(&mut self) {
        self.0.events.close();
        self.0.call_listeners.close();
    }
}

impl fmt::Debug for Attendant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Attendant")
    }
}

/// How late it may be told that a trunk has turned.
const LOOK: Duration = Duration::from_secs(1);

impl Api {
    fn wrong_tokens(&self) -> MutexGuard<'_, Sources> {
        self.wrong_tokens
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the desk of the control socket.
    ///
    /// # Errors
    /// What it refuses.
    async fn ask(&self, request: Request, caller: &Caller) -> Result<Answer, Problem> {
        answered(self.desk.take(request, &caller.who())).await
    }
}

async fn answered(answering: Answering) -> Result<Answer, Problem> {
    let answer = match answering {
        Answering::Now(answer) => answer,
        Answering::Later(answer) => answer
            .await
            .map_err(|_| Problem::busy("the server is stopping"))?,
        Answering::Files(..) => return Err(Problem::failed("files are not asked for here")),
    };
    match answer {
        Answer::Refused(refused) => Err(refused.into()),
        answer => Ok(answer),
    }
}

/// An answer to another question.
fn unexpected(answer: &Answer) -> Problem {
    Problem::failed(format!("unexpected answer: {answer:?}"))
}
