//! What happens, told as it happens: server-sent events, and the list of the last ones.

use std::collections::VecDeque;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};
use hyper::body::Frame;
use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::caller::Caller;
use super::pages::{Page, Pages};
use super::problem::Problem;
use super::{Api, Role, masking};
use crate::limits::{API_EVENTS_MAX, API_EVENTS_WAITING_MAX, API_HEARTBEAT_MS, API_LISTENERS_MAX};
use crate::observe::{ApiCounters, ApiOutcome, MaskNumbers};

/// The type of a stream of events.
pub(super) const STREAM: &str = "text/event-stream";

pub(super) fn pages(pages: Pages) -> Pages {
    let last = "Where somebody was who comes again: what came since is told first";
    pages.add(
        Page::get(
            "/events",
            "events",
            "What happens, as it happens; or the last events as JSON",
        )
        .header(
            "Accept",
            "text/event-stream for the stream",
            false,
            &json!({"type": "string"}),
        )
        .header("Last-Event-ID", last, false, &json!({"type": "string"}))
        .gives::<EventList>(200)
        .gives_too(200, STREAM),
        events,
    )
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// Another table serves.
    Changed,
    /// A change was refused.
    Refused,
    /// The table that serves returns unless it is confirmed.
    Trial,
    /// The table on trial stays.
    Confirmed,
    /// A trunk went out of service, or came back.
    Trunk,
    /// An order about a trunk was given.
    Ordered,
}

impl EventKind {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Changed => "changed",
            Self::Refused => "refused",
            Self::Trial => "trial",
            Self::Confirmed => "confirmed",
            Self::Trunk => "trunk",
            Self::Ordered => "ordered",
        }
    }
}

/// Something that happened.
#[derive(Debug, Clone, Serialize, JsonSchema)]
struct Event {
    /// Its place among all; another server begins anew.
    id: String,
    /// What it is.
    event: EventKind,
    /// When, RFC 3339.
    at: String,
    /// What there is to say of it.
    data: Value,
}

/// The last events.
#[derive(Debug, Serialize, JsonSchema)]
struct EventList {
    /// Oldest first.
    events: Vec<Event>,
}

/// Where events are told and heard. Clones are the same place.
#[derive(Debug, Clone)]
pub struct Events(Arc<Hub>);

#[derive(Debug)]
struct Hub {
    /// Tells the events of this process from those of another one.
    epoch: String,
    counters: Arc<ApiCounters>,
    told: Mutex<Told>,
}

#[derive(Debug, Default)]
struct Told {
    last: u64,
    kept: VecDeque<(u64, Event)>,
    listeners: Vec<Listener>,
    is_closed: bool,
}

#[derive(Debug)]
struct Listener {
    sender: Sender<Bytes>,
    mask: MaskNumbers,
}

impl Events {
    /// A place where nothing has happened yet.
    #[must_use]
    pub fn new(counters: Arc<ApiCounters>) -> Self {
        let drawn = RandomState::new().build_hasher().finish();
        Self(Arc::new(Hub {
            epoch: format!("{drawn:016x}"),
            counters,
            told: Mutex::default(),
        }))
    }

    /// What is counted of those who listen, and of all else.
    #[must_use]
    pub fn counters(&self) -> &Arc<ApiCounters> {
        &self.0.counters
    }

    /// Tells everybody who listens. Waits for nobody: who does not keep up is hung up on.
    pub fn tell(&self, event: EventKind, data: Value) {
        let mut told = self.lock();
        told.last += 1;
        let number = told.last;
        let event = Event {
            id: format!("{}-{number}", self.0.epoch),
            event,
            at: format!("{:.3}", Timestamp::now()),
            data,
        };
        told.listeners.retain(|listener| {
            let heard = listener.sender.try_send(written(&event, listener.mask));
            if matches!(heard, Err(tokio::sync::mpsc::error::TrySendError::Full(_))) {
                self.0.counters.count(ApiOutcome::SlowListener);
            }
            heard.is_ok()
        });
        if told.kept.len() >= API_EVENTS_MAX {
            told.kept.pop_front();
        }
        told.kept.push_back((number, event));
    }

    /// Ends all streams.
    pub(super) fn close(&self) {
        let mut told = self.lock();
        told.is_closed = true;
        told.listeners.clear();
    }

    /// Hears what is told from now on, and what came since the event `after` if that is known.
    fn listen(&self, after: Option<&str>, mask: MaskNumbers) -> Result<Listening, Problem> {
        let mut told = self.lock();
        told.listeners
            .retain(|listener| !listener.sender.is_closed());
        if told.is_closed || told.listeners.len() >= API_LISTENERS_MAX {
            return Err(Problem::busy("as many listen to events as may"));
        }
        let (sender, waiting) = channel(API_EVENTS_WAITING_MAX);
        let mut beginning = String::from("retry: 2000\n\n");
        if let Some(after) = after {
            match self.known(&told, after) {
                Some(number) => {
                    let since = told.kept.iter().filter(|(other, _)| *other > number);
                    for (_, event) in since {
                        let text = written(event, mask);
                        beginning.push_str(&String::from_utf8_lossy(&text));
                    }
                }
                // What happened meanwhile is not known: look again.
                None => beginning.push_str("event: missed\ndata: {}\n\n"),
            }
        }
        told.listeners.push(Listener { sender, mask });
        Ok(Listening::new(beginning.into(), waiting))
    }

    /// The number of an event of ours behind which nothing is missing.
    fn known(&self, told: &Told, id: &str) -> Option<u64> {
        let (epoch, number) = id.split_once('-')?;
        let number: u64 = number.parse().ok()?;
        let oldest = told
            .kept
            .front()
            .map_or(told.last + 1, |(oldest, _)| *oldest);
        let is_ours = epoch == self.0.epoch && number <= told.last;
        (is_ours && number + 1 >= oldest).then_some(number)
    }

    fn lock(&self) -> MutexGuard<'_, Told> {
        self.0.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn written(event: &Event, mask: MaskNumbers) -> Bytes {
    let Event {
        id,
        event,
        at,
        data,
    } = event;
    let mut said = json!({"at": at, "data": data});
    masking::walk(mask, &mut said);
    // JSON of ours has no line ends in it.
    Bytes::from(format!(
        "id: {id}\nevent: {}\ndata: {said}\n\n",
        event.as_str()
    ))
}

/// The body of a stream: its beginning, what comes to wait, and a heartbeat in between. It
/// ends when nobody can send any more.
pub(super) struct Listening {
    beginning: Option<Bytes>,
    waiting: Receiver<Bytes>,
    heartbeat: Interval,
}

impl Listening {
    pub(super) fn new(beginning: Bytes, waiting: Receiver<Bytes>) -> Self {
        let mut heartbeat = interval(Duration::from_millis(API_HEARTBEAT_MS));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        Self {
            beginning: Some(beginning),
            waiting,
            heartbeat,
        }
    }
}

impl HttpBody for Listening {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let frame = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if let Some(bytes) = self.beginning.take() {
            return frame(bytes);
        }
        match self.waiting.poll_recv(cx) {
            Poll::Ready(Some(bytes)) => return frame(bytes),
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        match self.heartbeat.poll_tick(cx) {
            Poll::Ready(_) => frame(Bytes::from_static(b": here\n\n")),
            Poll::Pending => Poll::Pending,
        }
    }
}

/// Whether a request asks for a stream.
pub(super) fn wants_stream(headers: &HeaderMap) -> bool {
    let accepted = headers.get(header::ACCEPT);
    accepted.is_some_and(|value| value.to_str().is_ok_and(|text| text.contains(STREAM)))
}

async fn events(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    if !wants_stream(&headers) {
        let told = api.events.lock();
        let events = told.kept.iter().map(|(_, event)| event.clone());
        return Ok(Json(EventList {
            events: events.collect(),
        })
        .into_response());
    }
    let mask = match caller.role {
        Role::Viewer => api.mask,
        Role::Operator | Role::Admin => MaskNumbers::None,
    };
    let after = headers.get(HeaderName::from_static("last-event-id"));
    let after = after.and_then(|value| value.to_str().ok());
    let listening = api.events.listen(after, mask)?;
    let head = [
        (header::CONTENT_TYPE, STREAM),
        (header::CACHE_CONTROL, "no-store"),
    ];
    Ok((head, Body::new(listening)).into_response())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)] // a test says so by failing
    use super::*;

    async fn next(listening: &mut Listening) -> Option<String> {
        let frame = std::future::poll_fn(|cx| Pin::new(&mut *listening).poll_frame(cx)).await?;
        let bytes = frame.unwrap().into_data().unwrap();
        Some(String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn who_comes_again_hears_what_was_missed_or_that_nobody_knows() {
        let events = Events::new(Arc::default());
        for number in 0..3 {
            events.tell(EventKind::Trunk, json!({"number": number}));
        }
        let first = events.lock().kept[0].1.id.clone();
        let mut again = events.listen(Some(&first), MaskNumbers::None).unwrap();
        let told = next(&mut again).await.unwrap();
        assert_eq!(told.matches("event: trunk").count(), 2, "{told}");
        assert!(!told.contains("missed"));
        for unknown in ["", "x", "0000000000000000-1", &format!("{}9", first)] {
            let mut lost = events.listen(Some(unknown), MaskNumbers::None).unwrap();
            assert!(
                next(&mut lost).await.unwrap().contains("event: missed"),
                "{unknown}"
            );
        }
        for _ in 0..API_EVENTS_MAX {
            events.tell(EventKind::Trunk, json!({}));
        }
        let mut late = events.listen(Some(&first), MaskNumbers::None).unwrap();
        assert!(next(&mut late).await.unwrap().contains("event: missed"));
    }

    #[tokio::test]
    async fn who_does_not_keep_up_is_hung_up_on_and_counted() {
        let events = Events::new(Arc::default());
        let mut slow = events.listen(None, MaskNumbers::None).unwrap();
        let mut quick = events.listen(None, MaskNumbers::None).unwrap();
        assert!(next(&mut quick).await.unwrap().starts_with("retry"));
        for _ in 0..=API_EVENTS_WAITING_MAX {
            events.tell(EventKind::Ordered, json!({}));
            assert!(next(&mut quick).await.unwrap().contains("event: ordered"));
        }
        assert_eq!(events.counters().totals()["slow-listener"], 1);
        let mut heard = 0;
        while next(&mut slow).await.is_some() {
            heard += 1;
        }
        assert_eq!(heard, API_EVENTS_WAITING_MAX + 1);
        events.close();
        assert!(next(&mut quick).await.is_none());
        assert!(events.listen(None, MaskNumbers::None).is_err());
    }

    #[tokio::test]
    async fn as_many_listen_as_may() {
        let events = Events::new(Arc::default());
        let listen = || events.listen(None, MaskNumbers::None);
        let mut all: Vec<_> = (0..API_LISTENERS_MAX).map(|_| listen().unwrap()).collect();
        assert!(listen().is_err());
        all.pop();
        assert!(listen().is_ok());
    }
}
