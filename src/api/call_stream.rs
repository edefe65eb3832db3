//! Calls as they are answered and end, told to who listens.

use std::fmt;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::Api;
use super::events::{Listening, STREAM};
use super::problem::Problem;
use crate::limits::{API_CALL_LISTENERS_MAX, API_EVENTS_WAITING_MAX};
use crate::observe::{ApiCounters, ApiOutcome, MaskNumbers, Observer, Subscription, Told};

/// Where calls are heard of, and how they are told.
#[derive(Clone)]
pub struct CallStream {
    /// Who knows of them.
    pub observer: Observer,
    /// The word for what happened, and what there is to say of it.
    pub tell: fn(&Told, MaskNumbers) -> (&'static str, Value),
}

impl fmt::Debug for CallStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CallStream").finish_non_exhaustive()
    }
}

/// Places of those who listen to calls, and the end of their streams.
pub(super) struct CallListeners {
    stream: Option<CallStream>,
    places: Arc<Semaphore>,
    ended: watch::Sender<bool>,
}

impl CallListeners {
    pub(super) fn new(stream: Option<CallStream>) -> Self {
        Self {
            stream,
            places: Arc::new(Semaphore::new(API_CALL_LISTENERS_MAX)),
            ended: watch::Sender::new(false),
        }
    }

    /// Ends all streams, and those that are asked for later.
    pub(super) fn close(&self) {
        self.ended.send_replace(true);
    }
}

/// A stream of what calls do from now on; `None` where nobody follows them.
///
/// # Errors
/// As many listen as may.
pub(super) fn listen(api: &Api) -> Result<Option<Response>, Problem> {
    let listeners = &api.call_listeners;
    let Some(stream) = &listeners.stream else {
        return Ok(None);
    };
    let busy = || Problem::busy("as many listen to calls as may");
    let place = Arc::clone(&listeners.places).try_acquire_owned();
    let place = place.map_err(|_| busy())?;
    let heard = stream.observer.subscribe(API_EVENTS_WAITING_MAX);
    let (sender, waiting) = channel(API_EVENTS_WAITING_MAX);
    let passing = Passing {
        heard: heard.ok_or_else(busy)?,
        sender,
        tell: stream.tell,
        mask: api.mask,
        counters: Arc::clone(&api.counters),
        ended: listeners.ended.subscribe(),
        _place: place,
    };
    tokio::spawn(passing.pass_on());
    let beginning = Bytes::from_static(b"retry: 2000\n\n");
    let head = [
        (header::CONTENT_TYPE, STREAM),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let body = Body::new(Listening::new(beginning, waiting));
    Ok(Some((head, body).into_response()))
}

/// What the feed says, on its way to one who listens.
struct Passing {
    heard: Subscription,
    sender: Sender<Bytes>,
    tell: fn(&Told, MaskNumbers) -> (&'static str, Value),
    mask: MaskNumbers,
    counters: Arc<ApiCounters>,
    ended: watch::Receiver<bool>,
    _place: OwnedSemaphorePermit,
}

impl Passing {
    /// Until the server ends, the peer goes, or is behind: the stream ends with the sender.
    async fn pass_on(mut self) {
        loop {
            let told = tokio::select! {
                _ = self.ended.wait_for(|ended| *ended) => return,
                () = self.sender.closed() => return,
                told = self.heard.recv() => told,
            };
            let Some(told) = told else { return };
            let (event, data) = (self.tell)(&told, self.mask);
            // JSON of ours has no line ends in it.
            let text = Bytes::from(format!("event: {event}\ndata: {data}\n\n"));
            let sent = self.sender.try_send(text);
            let is_behind = matches!(sent, Err(TrySendError::Full(_))) || self.heard.dropped() > 0;
            if is_behind {
                self.counters.count(ApiOutcome::SlowListener);
                return;
            }
        }
    }
}
