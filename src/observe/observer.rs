//! The thread that hears the feed: it knows which calls are up, and tells who wants to know.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::call_detail::text;
use super::feed::{Feed, FeedCounts, FeedEnd, FeedEvent, Subscribers, Subscription, Told};
use super::{CallDetail, EndDetail, LoneEnd, NoBeginning};
use crate::limits::{FEED_PAUSE_MS, LIVE_CALL_S_MAX, LIVE_CALLS_MAX};
use crate::proxy::{CallEnded, CallWords, ProxiedCall};

/// The observer of a server, for all who ask it. A clone is the same observer.
#[derive(Debug, Clone)]
pub struct Observer {
    live: Arc<Mutex<Live>>,
    subscribers: Subscribers,
    counts: Arc<FeedCounts>,
}

/// The thread of an observer. It ends when the last [`Feed`] is gone.
#[derive(Debug)]
pub struct ObserverThread(Option<JoinHandle<()>>);

/// What is known of a proxy listener: its name, and over what it listens.
#[derive(Debug, Clone)]
pub struct ListenerName {
    /// Empty if it has none.
    pub name: Box<str>,
    /// `udp`, `tcp` or `tls`.
    pub transport: &'static str,
}

/// Some of the calls that are up.
#[derive(Debug, Clone, Default)]
pub struct LiveCalls {
    /// How many fit what was asked.
    pub count: usize,
    /// The oldest of them.
    pub calls: Vec<Arc<CallDetail>>,
}

/// Calls that are up, by their number in the engines.
#[derive(Debug, Default)]
struct Live(HashMap<u64, Arc<CallDetail>>);

/// How often is looked for calls whose end was never told.
const SWEEP: Duration = Duration::from_secs(600);

impl Observer {
    /// Starts the thread. `listeners` are those of the proxy, in the order of the engine.
    ///
    /// # Errors
    /// The system gives no thread.
    pub fn start(listeners: Vec<ListenerName>) -> io::Result<(Feed, Self, ObserverThread)> {
        let (feed, end) = Feed::new();
        let observer = Self {
            live: Arc::default(),
            subscribers: Subscribers::default(),
            counts: Arc::clone(&end.counts),
        };
        let run = Run {
            observer: observer.clone(),
            listeners,
            began_us: Timestamp::now().as_microsecond(),
            named: 0,
        };
        let thread = std::thread::Builder::new().name(String::from("observer"));
        let thread = thread.spawn(move || run.hear(&end))?;
        Ok((feed, observer, ObserverThread(Some(thread))))
    }

    /// From now on whoever holds the subscription is told, with room for so many that wait.
    /// `None` when there are too many already.
    #[must_use]
    pub fn subscribe(&self, room: usize) -> Option<Subscription> {
        self.subscribers.add(room)
    }

    /// The calls that are up, those in which `group` has part if one is named: the oldest of
    /// them, at most so many, and the count of all.
    #[must_use]
    pub fn live_calls(&self, group: Option<&str>, most: usize) -> LiveCalls {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        let fits = |call: &&Arc<CallDetail>| group.is_none_or(|group| call.is_of_group(group));
        let mut calls: Vec<_> = live.0.values().filter(fits).cloned().collect();
        drop(live);
        let count = calls.len();
        let by_age = |a: &Arc<CallDetail>, b: &Arc<CallDetail>| (a.at, &a.id).cmp(&(b.at, &b.id));
        if most < count {
            calls.select_nth_unstable_by(most, by_age);
            calls.truncate(most);
        }
        calls.sort_unstable_by(by_age);
        LiveCalls { count, calls }
    }

    /// How many calls are up.
    #[must_use]
    pub fn live_count(&self) -> usize {
        let live = self.live.lock().unwrap_or_else(PoisonError::into_inner);
        live.0.len()
    }

    /// What was counted.
    #[must_use]
    pub fn counts(&self) -> &FeedCounts {
        &self.counts
    }
}

impl ObserverThread {
    /// Waits until all that was told has been heard, once every [`Feed`] is gone.
    pub fn join(&mut self) {
        if let Some(thread) = self.0.take() {
            // It panics for defects only, and has said so.
            let _ = thread.join();
        }
    }
}

struct Run {
    observer: Observer,
    listeners: Vec<ListenerName>,
    began_us: i64,
    named: u64,
}

impl Run {
    fn hear(mut self, end: &FeedEnd) {
        let mut swept = Instant::now();
        // Asleep until something is told, then a pause in which more gathers: a worker wakes
        // this thread two hundred times a second at most.
        while let Ok(event) = end.queue.recv() {
            self.take(event);
            for event in end.queue.try_iter() {
                self.take(event);
            }
            if swept.elapsed() > SWEEP {
                swept = Instant::now();
                self.sweep(Timestamp::now());
            }
            std::thread::sleep(Duration::from_millis(FEED_PAUSE_MS));
        }
        self.observer.subscribers.close();
    }

    fn take(&mut self, event: FeedEvent) {
        let told = match event {
            FeedEvent::Proxied(call) => self.proxied(&call),
            FeedEvent::Decided(call) => {
                let id = self.name();
                Told::Over(Arc::new(CallDetail::of_decided(id, &call)))
            }
            FeedEvent::Ended(ended, at) => self.ended(&ended, at),
        };
        self.observer.subscribers.tell(&told);
    }

    fn proxied(&self, call: &ProxiedCall) -> Told {
        let listener = self.listeners.get(usize::from(call.listener));
        let listener = listener.map_or(("", "udp"), |l| (&*l.name, l.transport));
        let id = format!("{:x}-{:x}", self.began_us, call.number).into();
        let detail = Arc::new(CallDetail::of_proxied(id, listener, call));
        if !detail.was_up() {
            return Told::Over(detail);
        }
        let mut live = self.live();
        if call.is_followed && live.0.len() < LIVE_CALLS_MAX {
            live.0.insert(call.number, Arc::clone(&detail));
            return Told::Up(detail);
        }
        self.observer.counts.count_unfollowed();
        Told::Over(detail)
    }

    fn ended(&mut self, ended: &CallEnded, at: Timestamp) -> Told {
        let words = CallWords::of(&ended.bye);
        let mut end = EndDetail {
            at,
            by: Some(ended.by),
            up_ms: ended.up_ms,
            source: ended.source,
            q850: words.q850,
            sip: words.sip,
            text: words.text.map(text),
        };
        let known = ended.call.and_then(|call| self.live().0.remove(&call));
        match known {
            Some(call) => {
                if let Some(up_ms) = ended.up_ms {
                    end.at = later(call.at, u64::from(call.answer_ms) + up_ms);
                }
                Told::Over(over(call, end))
            }
            None => Told::LoneEnd(Arc::new(LoneEnd {
                id: self.name(),
                why: match ended.call {
                    None => NoBeginning::Before,
                    Some(_) => NoBeginning::Missed,
                },
                call_id: text(words.call_id),
                session_id: words.session_id.map(text),
                end,
            })),
        }
    }

    /// Calls whose end had no room in the queue are not up for ever.
    fn sweep(&self, now: Timestamp) {
        let oldest = now.as_second() - i64::try_from(LIVE_CALL_S_MAX).unwrap_or(i64::MAX);
        let is_old = |_: &u64, call: &mut Arc<CallDetail>| call.at.as_second() < oldest;
        let old: Vec<_> = self.live().0.extract_if(is_old).collect();
        for (_, call) in old {
            let end = EndDetail {
                at: now,
                by: None,
                up_ms: None,
                source: None,
                q850: None,
                sip: None,
                text: None,
            };
            self.observer.subscribers.tell(&Told::Over(over(call, end)));
        }
    }

    /// A name for what has no number: beyond those of all workers.
    fn name(&mut self) -> Box<str> {
        self.named += 1;
        format!("{:x}-{:x}", self.began_us, 1_u64 << 63 | self.named).into()
    }

    fn live(&self) -> std::sync::MutexGuard<'_, Live> {
        (self.observer.live.lock()).unwrap_or_else(PoisonError::into_inner)
    }
}

fn over(call: Arc<CallDetail>, end: EndDetail) -> Arc<CallDetail> {
    let mut call = Arc::unwrap_or_clone(call);
    call.end = Some(end);
    Arc::new(call)
}

fn later(at: Timestamp, ms: u64) -> Timestamp {
    let ms = i64::try_from(ms).unwrap_or(i64::MAX);
    at.checked_add(jiff::SignedDuration::from_millis(ms))
        .unwrap_or(at)
}
